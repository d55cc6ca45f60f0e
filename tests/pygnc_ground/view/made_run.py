"""Folder of a run with chosen messages."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

import pygnc
from pygnc.bus.messages import AttitudeEstimate, Event, FormationEstimate, Message, OrbitEstimate
from pygnc.bus.streams import encode
from pygnc.formats import journal

GPS_MS = 1_426_000_000_000
ZERO = (0.0, 0.0, 0.0)


def orbit(number: int, **changes: object) -> OrbitEstimate:
    place, speed, sigma = (6.9e6, 1e3 * number, 0.0), (0.0, 7.6e3, 0.0), (1.0, 1.0, 1.0)
    found = OrbitEstimate(
        seq=number,
        last_input_seq=number,
        gps_ms=GPS_MS + 1000 * number,
        fix_gps_ms=GPS_MS + 1000 * number,
        position_ecef_m=place,
        velocity_ecef_mps=speed,
        position_sigma_m=sigma,
        velocity_sigma_mps=sigma,
        position_gcrf_m=place,
        velocity_gcrf_mps=speed,
        accepted=True,
        cause="",
        nis=3.0,
        nis_dof=3,
        nis_mean=1.0,
        nis_count=number,
        spacecraft_to_gps_ms=GPS_MS,
    )
    return msgspec.structs.replace(found, **changes)


def attitude(number: int, mode: str = "fine") -> AttitudeEstimate:
    return AttitudeEstimate(
        seq=number,
        last_input_seq=number,
        input_seq=number,
        t_spacecraft_s=number,
        gps_ms=GPS_MS + 1000 * number,
        mode=mode,
        quaternion_gcrf_from_body=(1.0, 0.0, 0.0, 0.0),
        rate_body_rad_s=ZERO,
        mag_body_ut=(20.0, 0.0, 0.0),
        gyro_bias_imu_rad_s=ZERO,
        mag_bias_imu_ut=ZERO,
        sigma_rad=(0.01, 0.01, 0.01),
        in_sun=number != 2,
        orbit_age_s=0.0,
        orbit_late=False,
        nis=3.0,
        dof=3,
        cause="",
        found=False,
    )


def partner(number: int, radio_id: int = 75, *, ambiguous: bool = False) -> FormationEstimate:
    return FormationEstimate(
        seq=number,
        last_input_seq=number,
        input_seq=number,
        gps_ms=GPS_MS + 1000 * number,
        partner_id=radio_id,
        cause="",
        position_rtn_m=(0.0, 1000.0 + number, 20.0),
        covariance_rtn=(4.0, 0.0, 100.0, 0.0, 0.0, 9.0, *(0.0,) * 15),
        range_residual_m=0.1,
        ambiguous=ambiguous,
        mirror_rtn_m=(0.0, 1000.0, -20.0) if ambiguous else None,
    )


def event(number: int, text: str, name: str = "phase", task: str = "orbit") -> Event:
    return Event(number, task, "warning", name, text, 1_000_000_000 * number, 0)


def write_run(folder: Path, *, closed: bool = True, header: bytes | None = None, **streams: Sequence[Message]) -> Path:
    """Write the journals of a run; `closed` ends them."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"pygnc": pygnc.__version__, "t_spacecraft_s": 0, "t_mono_ns": 0}
    head = msgspec.msgpack.encode(values) if header is None else header
    for name, messages in {"input": [], **streams}.items():
        append_run(folder, name, messages, head, closed=closed)
    return folder


def append_run(
    folder: Path, name: str, messages: Sequence[Message], head: bytes = b"", *, closed: bool = False
) -> None:
    """Write further records of a journal."""
    path = folder / f"{name}-00000.pgj.part"
    with path.open("ab") as file:
        if not path.stat().st_size:
            file.write(journal.encode(journal.Kind.HEADER, 0, head))
        for message in messages:
            file.write(journal.encode(journal.Kind.MESSAGE, message.seq, encode(message)))
    if closed:
        path.rename(folder / f"{name}-00000.pgj")

"""`~/pygnc_info.txt`: summary of the run in ASCII, below 200 bytes, for people and for a beacon."""

import math
from collections.abc import Iterator
from typing import Final

from pygnc.formats.status import PARTNERS, AttitudeMode, OrbitMode, Phase, Value

SIZE_MAX: Final = 199
_DEGREES: Final = 180.0 / math.pi


def compose(status: dict[str, Value]) -> bytes:
    """Return the text for the fields of a status record (see `pygnc.formats.status`).

    Lines are in order of importance; a line that does not fit any more is left out.
    """
    text = ""
    for line in _lines(status):
        if len(text) + len(line) < SIZE_MAX:
            text += line + "\n"
    return text.encode("ascii")


def _lines(status: dict[str, Value]) -> Iterator[str]:
    phase = Phase(int(status["phase"])).name
    yield f"PyGNC run {int(status['run_number'])} {phase} SC {int(status['spacecraft_time_s'])}"
    partners = [*_partner_lines(status)]
    yield from _position_lines(status)
    if not partners:
        yield from _velocity_lines(status)
    yield from _attitude_lines(status)
    if partners:
        yield from partners
        yield from _velocity_lines(status)
    yield from _reading_lines(status)
    yield f"EV {int(status['events'])} DMG {int(status['damaged_bytes'])}B"
    yield f"FIX {int(status['fixes_accepted'])}/{int(status['fixes_received'])}"


def _position_lines(status: dict[str, Value]) -> Iterator[str]:
    mode = OrbitMode(int(status["orbit_mode"]))
    if mode is OrbitMode.NONE:
        yield "ORBIT unknown"
        return
    sigma = max(float(status[f"position_sigma_m_{axis}"]) for axis in "xyz")
    time = f"GPS {int(status['orbit_gps_week'])} {int(status['orbit_gps_tow_ms']) / 1e3:.0f}"
    yield f"{time} AGE {float(status['orbit_age_s']):.0f} SIG {sigma:.1f}"
    yield f"R {_vector(status, 'position_ecef_m', 1e-3, 2)}"


def _velocity_lines(status: dict[str, Value]) -> Iterator[str]:
    if OrbitMode(int(status["orbit_mode"])) is not OrbitMode.NONE:
        yield f"V {_vector(status, 'velocity_ecef_mps', 1e-3, 5)}"


def _attitude_lines(status: dict[str, Value]) -> Iterator[str]:
    mode = AttitudeMode(int(status["attitude_mode"]))
    light = "SUN" if status["in_sun"] else "ECL"
    if mode is AttitudeMode.SEARCHING:
        yield f"Q unknown {light}"
    elif mode is not AttitudeMode.NONE:
        parts = " ".join(f"{float(status[f'quaternion_{part}']):.3f}" for part in "wxyz")
        yield f"Q {parts} {mode.name} {light}"


def _partner_lines(status: dict[str, Value]) -> Iterator[str]:
    for partner in (f"partner{k}" for k in range(PARTNERS)):
        if not status[f"{partner}_id"]:
            continue
        sigma_m = max(float(status[f"{partner}_sigma_m_{axis}"]) for axis in "xyz")
        if math.isnan(sigma_m):
            yield f"P{int(status[f'{partner}_id'])} unknown"
        else:
            doubt = "?" if status[f"{partner}_ambiguous"] else ""
            yield f"P{int(status[f'{partner}_id'])} {_vector(status, f'{partner}_rtn_m', 1.0, 0)} S{sigma_m:.0f}{doubt}"


def _reading_lines(status: dict[str, Value]) -> Iterator[str]:
    if AttitudeMode(int(status["attitude_mode"])) is not AttitudeMode.NONE:
        yield f"GY {_vector(status, 'rate_body_rad_s', _DEGREES, 2)}"
        yield f"MG {_vector(status, 'mag_body_ut', 1.0, 0)}"


def _vector(status: dict[str, Value], name: str, factor: float, decimals: int) -> str:
    return " ".join(f"{factor * float(status[f'{name}_{axis}']):.{decimals}f}" for axis in "xyz")

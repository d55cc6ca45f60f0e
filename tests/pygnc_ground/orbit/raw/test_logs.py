"""Orbit from receivers' own logs, with measurements and broadcast messages, against that from RINEX."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from typer.testing import CliRunner

from pygnc_ground.commands.orbit import app
from pygnc_ground.gnss.broadcast import BroadcastOrbits
from pygnc_ground.gnss.measurements import L1_WAVELENGTH_M, L2_WAVELENGTH_M, GnssMeasurements
from pygnc_ground.gnss.rinex_navigation import write_navigation
from pygnc_ground.gnss.rinex_writer import write_rinex3
from pygnc_ground.receivers.raw_files import read_orbits
from tests.fakes import raw_logs as fake
from tests.fakes.lnav import sent_words, subframe_words
from tests.fakes.lnav_values import raw_values
from tests.pygnc_ground.scenario.raw_scenario import Made, scenario

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("raw_gnss")]
Words = list[list[int]]


def ublox(prn: int, frames: Words, _: int) -> bytes:
    return b"".join(fake.sfrbx(prn, sent_words(words, "turned")) for words in frames)


def septentrio(prn: int, frames: Words, gps_ms: int) -> bytes:
    return b"".join(fake.raw_ca(prn, sent_words(words), gps_ms) for words in frames)


def near_the_codes(seen: GnssMeasurements) -> GnssMeasurements:
    """Return phases without whole cycles of each pass, as receivers begin them near the code."""
    changed = seen.phase_l1_m.copy(), seen.phase_l2_m.copy()
    for name in np.unique(seen.satellite):
        rows = np.flatnonzero(seen.satellite == name)
        for part in np.split(rows, np.flatnonzero(np.diff(seen.gps_ms[rows]) > 10_000) + 1):
            for phase_m, wavelength_m in zip(changed, (L1_WAVELENGTH_M, L2_WAVELENGTH_M), strict=True):
                cycles = np.rint((phase_m[part[0]] - seen.code_l1_m[part[0]]) / wavelength_m)
                phase_m[part] -= wavelength_m * cycles
    return replace(seen, phase_l1_m=changed[0], phase_l2_m=changed[1])


def positions(words: list[str], out: Path) -> npt.NDArray[np.float64]:
    printed = CliRunner().invoke(app, [*words, "--out", str(out)])
    assert printed.exit_code == 0, printed.output
    return pl.read_parquet(out / "orbit_batch.parquet")["x_gcrf_m", "y_gcrf_m", "z_gcrf_m"].to_numpy()


@pytest.fixture(scope="module")
def flight() -> Made:
    return scenario(3600)


@pytest.mark.parametrize(
    ("encode", "navigation", "limit_m"),
    [
        (fake.rawx, ublox, 1e-5),
        (fake.range_binary, fake.raw_ephemeris, 1e-5),
        (fake.range_compressed, fake.raw_ephemeris, 1 / 128),
        (fake.meas_epoch, septentrio, 0.003),
    ],
    ids=["RXM-RAWX", "RANGE", "RANGECMP", "MeasEpoch"],
)
def test_log_gives_the_orbit_of_rinex_within_its_resolution(
    flight: Made,
    encode: fake.Encoder,
    navigation: Callable[[int, Words, int], bytes],
    limit_m: float,
    tmp_path: Path,
) -> None:
    """RANGECMP has codes of 1/128 m. The iterations end once the orbit changes by less than 1 mm."""
    log = tmp_path / "receiver.log"
    sent = [
        navigation(
            int(row["prn"]),
            [subframe_words(number, tow_s + 6 * number, raw_values(row)) for number in (1, 2, 3)],
            int(row["sent_gps_ns"]) // 1_000_000,
        )
        for row in flight.broadcast.table
        if (tow_s := int(row["sent_gps_ns"]) // 1_000_000_000 % 604_800) + 18 < 604_800
    ]
    log.write_bytes(b"".join([*sent, *(encode(epoch) for epoch in fake.epochs(near_the_codes(flight.measurements)))]))
    found = positions([str(log), "--gnss-orbits", str(log)], tmp_path / "log")
    seen, (sent_orbits, _) = flight.measurements, read_orbits([log])
    assert isinstance(sent_orbits, BroadcastOrbits)
    rinex, messages = tmp_path / "seen.rnx", tmp_path / "brdc.rnx"
    # Logs have no P code on L1, and messages are coarser than the simulator's RINEX navigation file, by up to 0.1 m.
    rinex.write_bytes(write_rinex3(replace(seen, code_p1_m=np.full(len(seen), np.nan)), "test"))
    messages.write_bytes(write_navigation(sent_orbits.table, flight.broadcast.klobuchar))
    expected = positions([str(rinex), "--gnss-orbits", str(messages)], tmp_path / "rinex")
    assert np.linalg.norm(found - expected, axis=1).max() < limit_m

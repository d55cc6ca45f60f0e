"""Orbit from receivers' own logs, with measurements and broadcast messages, against that from RINEX."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from typer.testing import CliRunner

from pygnc_ground.commands.orbit import app
from pygnc_ground.gnss.broadcast import BroadcastOrbits
from pygnc_ground.gnss.rinex_navigation import write_navigation
from pygnc_ground.gnss.rinex_writer import write_rinex3
from pygnc_ground.receivers.raw_files import read_orbits
from tests.fakes import raw_logs as fake
from tests.pygnc_ground.scenario.raw_logs import Navigation, receiver_log, septentrio, ublox
from tests.pygnc_ground.scenario.raw_scenario import Made, scenario

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("raw_gnss")]


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
        (fake.range_compressed, fake.raw_ephemeris, 0.012),
        (fake.meas_epoch, septentrio, 0.003),
    ],
    ids=["RXM-RAWX", "RANGE", "RANGECMP", "MeasEpoch"],
)
def test_log_gives_the_orbit_of_rinex_within_its_resolution(
    flight: Made,
    encode: fake.Encoder,
    navigation: Navigation,
    limit_m: float,
    tmp_path: Path,
) -> None:
    """Phases of RANGECMP have steps of 0.7 mm. The iterations end once the orbit changes by less than 1 mm."""
    log = tmp_path / "receiver.log"
    log.write_bytes(receiver_log(flight, encode, navigation))
    found = positions([str(log), "--gnss-orbits", str(log)], tmp_path / "log")
    seen, (sent_orbits, _) = flight.measurements, read_orbits([log])
    assert isinstance(sent_orbits, BroadcastOrbits)
    rinex, messages = tmp_path / "seen.rnx", tmp_path / "brdc.rnx"
    # Logs have no P code on L1, and messages are coarser than the simulator's RINEX navigation file, by up to 0.1 m.
    rinex.write_bytes(write_rinex3(replace(seen, code_p1_m=np.full(len(seen), np.nan)), "test"))
    messages.write_bytes(write_navigation(sent_orbits.table, flight.broadcast.klobuchar))
    expected = positions([str(rinex), "--gnss-orbits", str(messages)], tmp_path / "rinex")
    assert np.linalg.norm(found - expected, axis=1).max() < limit_m

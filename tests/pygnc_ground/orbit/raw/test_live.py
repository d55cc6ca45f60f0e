"""Orbit filter for raw measurements, epoch by epoch."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.commands.orbit import app
from pygnc_ground.gnss.broadcast import BroadcastOrbits
from pygnc_ground.gnss.measurements import GnssMeasurements
from pygnc_ground.orbit.raw.determination import Receiver
from pygnc_ground.orbit.raw.live import LiveFilter, LiveState, delay_mapping, live_orbit
from pygnc_ground.orbit.raw.screening import RawOrbitError
from pygnc_ground.truth.frames import earth_orientation
from tests.pygnc_ground.scenario.raw_scenario import Made, scenario

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("raw_gnss")]
DURATION_S = 5400


@pytest.fixture(scope="module")
def flight() -> Made:
    return scenario(DURATION_S, clock_jumps=True, clock_drift_ppm=1.0)


def filtered(seen: GnssMeasurements, orbits: BroadcastOrbits) -> list[LiveState]:
    frames = EarthFrames(earth_orientation(int(seen.gps_ms[-1])))
    return list(live_orbit(seen, orbits, None, Receiver(), OrbitSettings(), frames))


def test_filter_is_accurate_and_knows_its_error(flight: Made) -> None:
    found = filtered(flight.measurements.without_l2(), flight.broadcast)
    times_ms = np.array([one.gps_ms for one in found])
    true = flight.path.states_gcrf(1e-3 * (times_ms - flight.path.start_gps_ms))
    error_m = np.array([one.state for one in found])[:, :3] - true[:, :3]
    inverse = np.linalg.inv(np.array([one.covariance[:3, :3] for one in found]))
    nees = np.einsum("ni,nij,nj->n", error_m, inverse, error_m).mean() / 3.0
    late = times_ms > times_ms[0] + 1_800_000
    assert np.sqrt((error_m[late] ** 2).sum(axis=1).mean()) < 1.5
    assert np.linalg.norm(error_m[late], axis=1).max() < 3.0
    assert nees < 2.0


def test_states_are_those_of_the_time_tags_whatever_the_clock_is_wrong_by() -> None:
    wrong = scenario(1200, clock_offset_s=0.3)
    found = filtered(wrong.measurements.without_l2(), wrong.broadcast)
    times_ms = np.array([one.gps_ms for one in found])
    true = wrong.path.states_gcrf(1e-3 * (times_ms - wrong.path.start_gps_ms))
    error = np.array([one.state[:6] for one in found]) - true
    assert len(error) > 80
    assert np.linalg.norm(error[:, :3], axis=1).max() < 30.0
    assert np.linalg.norm(error[:, 3:], axis=1).max() < 0.1


def test_a_result_depends_on_nothing_later(flight: Made) -> None:
    seen = flight.measurements.without_l2()
    end_ms = int(seen.gps_ms[0]) + 1_200_000
    table = flight.broadcast.table
    sent = BroadcastOrbits(table[table["sent_gps_ns"] <= 1_000_000 * end_ms])
    cut = filtered(seen.selected(seen.gps_ms <= end_ms), sent)
    whole = [one for one in filtered(seen, flight.broadcast) if one.gps_ms <= end_ms]
    assert len(cut) == len(whole) > 80
    for one, other in zip(cut, whole, strict=True):
        assert np.array_equal(one.state, other.state)


def test_memory_is_bounded_by_the_satellites_in_view(flight: Made) -> None:
    seen = flight.measurements.without_l2()
    frames = EarthFrames(earth_orientation(int(seen.gps_ms[-1])))
    one = LiveFilter(flight.broadcast, None, Receiver(), OrbitSettings(), frames)
    sizes = []
    for gps_ms in np.unique(seen.gps_ms).tolist():
        one.process(seen.selected(seen.gps_ms == gps_ms))
        sizes.append(len(one._x))
    assert max(sizes) <= 11 + 20
    assert sys.getsizeof(one._points) < 2000


def test_a_minute_gives_no_orbit(flight: Made) -> None:
    seen = flight.measurements.without_l2()
    with pytest.raises(RawOrbitError, match="fewer than 12 positions"):
        filtered(seen.selected(seen.gps_ms < seen.gps_ms[0] + 60_000), flight.broadcast)


def test_a_pause_of_hours_begins_anew(flight: Made) -> None:
    seen = flight.measurements.without_l2()
    early = seen.gps_ms < seen.gps_ms[0] + 600_000
    late = seen.gps_ms > seen.gps_ms[0] + 4_300_000
    found = filtered(seen.selected(early | late), flight.broadcast)
    gaps = np.diff([one.gps_ms for one in found])
    assert gaps.max() > 3_600_000
    true = flight.path.states_gcrf(1e-3 * (found[-1].gps_ms - flight.path.start_gps_ms))[0]
    assert np.linalg.norm(found[-1].state[:3] - true[:3]) < 5.0


def test_orbit_begins_anew_if_time_goes_back(flight: Made) -> None:
    seen = flight.measurements.without_l2()
    seen = seen.selected(seen.gps_ms < seen.gps_ms[0] + 900_000)
    frames = EarthFrames(earth_orientation(int(seen.gps_ms[-1])))
    one = LiveFilter(flight.broadcast, None, Receiver(), OrbitSettings(), frames)
    for early_ms in (1_000_000, 0):
        wrong = replace(seen, gps_ms=seen.gps_ms + early_ms)
        times_ms = np.unique(wrong.gps_ms)
        found = [one.process(wrong.selected(wrong.gps_ms == at)) for at in times_ms]
        assert found[0] is None
    last = found[-1]
    assert last is not None
    true = flight.path.states_gcrf(1e-3 * (last.gps_ms - flight.path.start_gps_ms))[0]
    assert np.linalg.norm(last.state[:3] - true[:3]) < 10.0


def test_later_messages_of_other_times_do_not_change_the_ephemerides_in_use(flight: Made) -> None:
    """Later messages move the rows of the table."""
    seen = flight.measurements.without_l2()
    seen = seen.selected(seen.gps_ms < seen.gps_ms[0] + 600_000)
    frames, end_ns = EarthFrames(earth_orientation(int(seen.gps_ms[-1]))), np.array([1_000_000 * int(seen.gps_ms[-1])])
    used = [flight.broadcast.choose(name, end_ns)[0] for name in flight.broadcast.satellites]
    early = BroadcastOrbits(flight.broadcast.table[used])
    assert len(early.table) < len(flight.broadcast.table)
    covariances = []
    for later in (early, flight.broadcast):
        one = LiveFilter(early, None, Receiver(), OrbitSettings(), frames)
        for gps_ms in np.unique(seen.gps_ms).tolist():
            one.orbits = early if gps_ms < seen.gps_ms[0] + 400_000 else later
            state = one.process(seen.selected(seen.gps_ms == gps_ms))
        assert state is not None
        covariances.append(state.covariance)
    assert np.array_equal(covariances[0], covariances[1])


def test_epochs_before_any_ephemeris_give_no_orbit(flight: Made) -> None:
    seen = flight.measurements.without_l2()
    with pytest.raises(RawOrbitError, match="fewer than 12 positions"):
        filtered(seen.selected(seen.gps_ms < seen.gps_ms[0] + 600_000), BroadcastOrbits(flight.broadcast.table[:0]))


def test_command_filters_with_broadcast_messages_only(flight: Made, tmp_path: Path) -> None:
    observations, navigation, precise = (tmp_path / name for name in ("seen.rnx", "brdc.rnx", "precise.sp3"))
    observations.write_bytes(flight.files.observations)
    navigation.write_bytes(flight.files.navigation)
    precise.write_bytes(flight.files.precise)
    words = [str(observations), "--live", "--gnss-orbits"]
    printed = CliRunner().invoke(app, [*words, str(navigation), "--out", str(tmp_path / "out")])
    assert printed.exit_code == 0, printed.output
    assert "filter: mean of code and phase on L1" in printed.output
    table = pl.read_parquet(tmp_path / "out" / "orbit.parquet")
    assert 10 < table["x_gcrf_m"].null_count() < 40
    refused = CliRunner().invoke(app, [*words, str(precise), "--out", str(tmp_path / "other")])
    assert "SP3 files are not known on board" in refused.output


def test_delay_is_mapped_like_that_of_a_thin_layer_above_the_orbit() -> None:
    """The layer is 100 km above an orbit of 500 km."""
    elevation = np.radians([5.0, 10.0, 20.0, 30.0, 60.0, 90.0])
    angle_at_layer = np.arcsin(6_871.0 / 6_971.0 * np.cos(elevation))
    np.testing.assert_allclose(delay_mapping(np.sin(elevation)), 1.0 / np.cos(angle_at_layer), rtol=0.03)


def test_filter_needs_no_library_that_does_not_fly() -> None:
    loaded = (
        "import sys, pygnc_ground.commands.raw_follower;"
        " print({'scipy', 'polars', 'pandas', 'matplotlib'} & {*sys.modules})"
    )
    printed = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "set()"

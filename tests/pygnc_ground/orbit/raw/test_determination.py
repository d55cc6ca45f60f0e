"""Orbits from raw measurements: simulated ones, and those of GRACE-B against the precise orbit of CODE."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.commands.export import app as export_app
from pygnc_ground.commands.orbit import app
from pygnc_ground.commands.raw_orbit import RawFiles, determine
from pygnc_ground.gnss.measurements import GnssMeasurements, GnssOrbits
from pygnc_ground.orbit.prediction import OrbitPrediction
from pygnc_ground.orbit.raw.determination import RawOrbit, Receiver, solve_raw_orbit
from pygnc_ground.orbit.raw.screening import RawOrbitError, jumps_of_clock, without_repeated
from pygnc_ground.truth.frames import earth_orientation
from tests.pygnc_ground.scenario.raw_scenario import Made, scenario, scenario_path
from tests.reference import recording

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("raw_gnss")]
DURATION_S = 7200


@pytest.fixture(scope="module")
def flight() -> Made:
    return scenario(DURATION_S)


def solved(seen: GnssMeasurements, orbits: GnssOrbits, *, dual: bool = True) -> RawOrbit:
    frames = EarthFrames(earth_orientation(int(seen.gps_ms[-1])))
    return solve_raw_orbit(seen, orbits, None, Receiver(dual=dual), OrbitSettings(), frames)


def errors(found: RawOrbit, truth: Made) -> tuple[float, float]:
    """Return the RMS error in three dimensions and the NEES per axis."""
    times_ms = np.unique(truth.measurements.gps_ms)
    states, covariance = found.states(times_ms)
    true = truth.path.states_gcrf(1e-3 * (times_ms - truth.path.start_gps_ms))
    error_m = (states - true)[:, :3]
    squares = np.einsum("ni,nij,nj->n", error_m, np.linalg.inv(covariance[:, :3, :3]), error_m)
    return float(np.sqrt((error_m**2).sum(axis=1).mean())), float(squares.mean()) / 3.0


@pytest.mark.parametrize(
    ("kind", "dual", "limit_m", "limit_nees"),
    [
        ("precise", True, 0.1, 2.0),
        ("precise", False, 0.7, 2.0),
        ("broadcast", True, 0.6, 2.0),
        # In two hours, an orbit from one frequency and broadcast messages is less certain than it states.
        ("broadcast", False, 1.5, 4.0),
    ],
)
def test_orbit_is_that_of_the_scenario(
    flight: Made, kind: str, *, dual: bool, limit_m: float, limit_nees: float
) -> None:
    rms_m, nees = errors(solved(flight.measurements, getattr(flight, kind), dual=dual), flight)
    assert rms_m < limit_m
    assert nees < limit_nees


@pytest.mark.slow
def test_a_clock_that_is_wrong_by_milliseconds_does_not_displace_the_orbit() -> None:
    """In 8 ms, the Earth turns by 4 m at the receiver."""
    late = scenario(DURATION_S, clock_offset_s=0.008)
    rms_m, _ = errors(solved(late.measurements, late.precise), late)
    assert rms_m < 0.1


@pytest.mark.slow
def test_clock_of_the_receiver_jumps_by_milliseconds() -> None:
    jumping = scenario(DURATION_S, clock_jumps=True, clock_drift_ppm=1.0)
    found = solved(jumping.measurements, jumping.precise)
    assert errors(found, jumping)[0] < 0.1
    assert jumps_of_clock(found.points) == 7


def test_slips_that_the_receiver_does_not_report_end_a_pass(flight: Made) -> None:
    seen = flight.measurements
    names, counts = np.unique(seen.satellite, return_counts=True)
    late = seen.gps_ms > int(np.median(seen.gps_ms[seen.satellite == names[counts.argmax()]]))
    slipped = seen.phase_l1_m + 0.19 * ((seen.satellite == names[counts.argmax()]) & late)
    found = solved(replace(seen, phase_l1_m=slipped), flight.precise)
    assert errors(found, flight)[0] < 0.1
    assert found.combined.slips > solved(seen, flight.precise).combined.slips


def test_noise_grows_with_falling_elevation_as_it_is_weighted(flight: Made) -> None:
    """The simulator has loops and multipath that decrease with the elevation."""
    found = solved(flight.measurements, flight.precise)
    seen = found.combined.measurements
    own_m = found.at(seen.gps_ms, np.zeros(len(seen)))[:, :3]
    frames = EarthFrames(earth_orientation(int(seen.gps_ms[-1])))
    turn = frames.at_each(seen.gps_ms, np.zeros(len(seen))).ecef_from_gcrf
    own_m = np.einsum("nij,nj->ni", turn, own_m)
    sight_m = found.links.position_ecef_m - own_m
    sine = np.einsum("ni,ni->n", sight_m, own_m) / np.linalg.norm(sight_m, axis=1) / np.linalg.norm(own_m, axis=1)
    spreads_m = [
        float(np.nanstd(found.fitted.code_m[(sine >= low) & (sine < high)]))
        for low, high in ((0.3, 0.45), (0.45, 0.65), (0.65, 0.85), (0.85, 1.0))
    ]
    assert spreads_m == sorted(spreads_m, reverse=True)
    for spread_m, sine_of in zip(spreads_m, (0.37, 0.55, 0.75, 0.92), strict=True):
        assert 0.3 < spread_m / (0.5 / sine_of) < 1.5


def test_steps_of_the_fitted_clock_end_no_pass(flight: Made) -> None:
    """Between two intervals of the fit, the clock of the receiver may step by centimetres for all satellites.

    With messages, passes also end where the messages change: once, for some of the twelve satellites in view.
    """
    broadcast, precise = (solved(flight.measurements, orbits) for orbits in (flight.broadcast, flight.precise))
    assert broadcast.combined.pass_count <= precise.combined.pass_count + 12


def test_a_slip_of_one_cycle_shows_with_one_frequency(flight: Made) -> None:
    """The mean of code and phase, noisier than a cycle, neither hides a slip nor ends passes for nothing."""
    seen = flight.measurements.without_l2()
    before = solved(seen, flight.precise).combined
    assert before.pass_count < 2 * len(np.unique(seen.satellite)) + 10
    names, counts = np.unique(seen.satellite, return_counts=True)
    rows = seen.satellite == names[counts.argmax()]
    middle_ms = int(np.median(seen.gps_ms[rows]))
    slipped = seen.phase_l1_m + 0.19 * (rows & (seen.gps_ms > middle_ms))
    after = solved(replace(seen, phase_l1_m=slipped), flight.precise).combined
    assert after.pass_count == before.pass_count + 1


def test_one_frequency_that_drops_out_leaves_the_other(flight: Made) -> None:
    seen = flight.measurements
    late = seen.gps_ms > seen.gps_ms[0] + 900_000
    lost = np.where(late, np.nan, seen.code_p2_m), np.where(late, np.nan, seen.phase_l2_m)
    found = solved(replace(seen, code_p2_m=lost[0], phase_l2_m=lost[1]), flight.precise)
    assert found.combined.dual.any()
    assert not found.combined.dual.all()
    assert errors(found, flight)[0] < 0.7


@pytest.mark.parametrize(("dual", "limit_m"), [(True, 0.1), (False, 0.7)])
def test_biases_of_the_code_do_not_displace_the_orbit(flight: Made, *, dual: bool, limit_m: float) -> None:
    """The bias between C1 and P1 is 0.6 m at most and differs between satellites."""
    seen = flight.measurements
    bias_m = np.where(np.char.endswith(seen.satellite, "1"), 0.6, -0.3)
    unknown = np.full(len(seen), np.nan)
    found = solved(replace(seen, code_l1_m=seen.code_l1_m + bias_m, code_p1_m=unknown), flight.precise, dual=dual)
    rms_m, nees = errors(found, flight)
    assert rms_m < limit_m
    assert nees < 2.0


def test_measurements_of_two_receivers_are_rejected(flight: Made) -> None:
    both = flight.measurements.selected(np.sort(np.tile(np.arange(len(flight.measurements)), 2)))
    with pytest.raises(RawOrbitError, match="several satellites or overlap"):
        without_repeated(both)


def test_measurements_of_a_minute_give_no_orbit(flight: Made) -> None:
    seen = flight.measurements
    with pytest.raises(RawOrbitError, match=r"in \d minutes? only; 4 are required"):
        solved(seen.selected(seen.gps_ms < seen.gps_ms[0] + 60_000), flight.precise)


def test_files_of_a_scenario_give_a_folder_that_can_be_replaced(flight: Made, tmp_path: Path) -> None:
    observations, navigation, out = tmp_path / "seen.rnx", tmp_path / "brdc.rnx", tmp_path / "out"
    observations.write_bytes(flight.files.observations)
    navigation.write_bytes(flight.files.navigation)
    words = [str(observations), "--gnss-orbits", str(navigation), "--out", str(out)]
    without = CliRunner().invoke(app, [str(observations), "--out", str(out)])
    assert "give the orbits of the GPS satellites by --gnss-orbits" in without.output
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0, printed.output
    assert "taken as at the centre of mass +- 0.5 m" in printed.output
    messages = {"orbit.oem", "orbit.opm", "orbit.omm", "orbit.tle"}
    assert {path.name for path in out.iterdir()} == {
        "orbit_batch.parquet", "orbit_state.json", "replay.json", "report.html", *messages
    }  # fmt: skip
    assert "predicted a day ahead: sigma" in printed.output
    assert "mean elements: within" in printed.output
    exported = CliRunner().invoke(
        export_app, [str(out), "--predict", "1", "--out", str(again := tmp_path / "messages")]
    )
    assert exported.exit_code == 0, exported.output
    for name in messages:
        assert (again / name).read_bytes() == (out / name).read_bytes()
    assert {path.name for path in again.iterdir()} >= {*messages, "predicted.oem", "starlink.oem", "aws.oem"}
    assert CliRunner().invoke(app, words).exit_code != 0
    assert CliRunner().invoke(app, [*words, "--overwrite"]).exit_code == 0


def test_an_antenna_that_is_not_given_is_unknown() -> None:
    assert Receiver.of(None, None, dual=True).sigma_m == 0.5
    assert Receiver.of((0.0, 0.0, -0.4), None, dual=True) == Receiver((0.0, 0.0, -0.4))
    assert Receiver.of(None, 0.1, dual=True).sigma_m == 0.1


def grace_files(tmp_path: Path, *, dual: bool = True) -> RawFiles:
    folder = recording("").parent / "grace_b"
    if not folder.exists():
        pytest.skip(f"{folder} is missing")
    config = tmp_path / "grace.toml"
    config.write_text("[orbit.spacecraft]\nmass_kg = 480.0\narea_m2 = 1.0\n")
    return RawFiles(
        observations=(folder / "GRCB2080.10D",),
        gnss_orbits=tuple(folder / f"COD1594{day}.EPH" for day in (1, 2, 3)),
        receiver=Receiver((0.0, 0.0, -0.414), dual=dual),
        truth=folder / "grcb_truth_00h_12h.csv",
        config=config,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("dual", "limit_m"), [(True, 0.3), (False, 1.0)])
def test_orbit_of_grace_b(tmp_path: Path, *, dual: bool, limit_m: float) -> None:
    files = grace_files(tmp_path, dual=dual)
    line = next(line for line in determine(files).lines if line.startswith("position error"))
    rms_m, nees = float(line.split()[4]), float(line.split("NEES ")[1].split(";")[0])
    assert rms_m < limit_m
    assert 0.5 < nees < 2.0


def test_orbits_of_another_day_are_named(tmp_path: Path) -> None:
    files = grace_files(tmp_path)
    with pytest.raises(ValueError, match=r"the measurements are of 2010-07-27; add the files"):
        determine(replace(files, gnss_orbits=files.gnss_orbits[:1]))


def test_newest_state_is_that_of_the_batch_and_its_prediction_is_honest(flight: Made) -> None:
    """Two hours hardly show the drag, so that its prior counts."""
    settings, table = OrbitSettings(), earth_orientation(int(flight.measurements.gps_ms[-1]))
    found = solved(flight.measurements, flight.precise)
    newest = found.newest(settings)
    states, covariance = found.states(flight.measurements.gps_ms[-1:])
    assert newest.x[:6] == pytest.approx(states[0], rel=1e-12)
    assert np.allclose(newest.covariance[:6, :6], covariance[0], rtol=1e-6, atol=1e-12)
    orbit = OrbitPrediction.after(settings, table, newest, ())
    begin_ms = flight.path.start_gps_ms
    longer = scenario_path(DURATION_S + 43_200)
    assert longer.states_gcrf([DURATION_S])[0] == pytest.approx(flight.path.states_gcrf([DURATION_S])[0], rel=1e-9)
    for hours in (1, 12):
        later = orbit.predict(newest.gps_ms + 3_600_000 * hours)
        error_m = (later.x - np.pad(longer.states_gcrf([1e-3 * (later.gps_ms - begin_ms)])[0], (0, 4)))[:3]
        square = error_m @ np.linalg.solve(later.covariance[:3, :3], error_m)
        assert square < 16.3  # 99.9 % of three dimensions

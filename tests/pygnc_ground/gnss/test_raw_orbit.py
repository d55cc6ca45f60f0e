"""Orbits from raw measurements: simulated ones, and those of GRACE-B against the precise orbit of CODE."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pygnc.environment.gravity import gravity, solid_tide_acceleration
from pygnc.environment.sun_moon import SunMoon, third_body_acceleration
from pygnc.estimators.orbit.settings import OrbitSettings, SpacecraftSettings
from pygnc_ground.commands.raw_orbit import RawFiles, determine
from pygnc_ground.gnss.measurements import GnssMeasurements
from pygnc_ground.gnss.raw_orbit import RawOrbitError, Receiver, jumps_of_clock, solve_raw_orbit
from tests.pygnc_ground.gnss.simulation import BEGIN_MS, FRAMES, Circles, integrated, measure
from tests.reference import recording

STEP_S = 30.0
RECEIVER = Receiver()
GRACE = Receiver((0.0, 0.0, -0.414))
SUN_MOON = SunMoon()
SETTINGS = OrbitSettings(spacecraft=SpacecraftSettings(area_m2=0.0))


def attraction(seconds: float, place: np.ndarray) -> np.ndarray:
    turn = FRAMES.at(BEGIN_MS, np.array([seconds])).ecef_from_gcrf[0]
    bodies = SUN_MOON.at(BEGIN_MS, seconds)
    tides = solid_tide_acceleration(place, *bodies)
    return np.asarray(turn.T @ gravity(turn @ place, 70) + third_body_acceleration(place, *bodies) + tides)


@pytest.fixture(scope="module")
def states() -> np.ndarray:
    return integrated(attraction, 5400.0, STEP_S)


@pytest.fixture(scope="module")
def seen(states: np.ndarray) -> GnssMeasurements:
    return measure(Circles(), states, STEP_S, 1)


def error_m(seen: GnssMeasurements, states: np.ndarray, receiver: Receiver = RECEIVER) -> float:
    found = solve_raw_orbit(seen, Circles(), None, receiver, SETTINGS, FRAMES)
    estimated, _ = found.states(BEGIN_MS + 30_000 * np.arange(len(states)))
    return float(np.sqrt(((estimated - states)[:, :3] ** 2).sum(axis=1).mean()))


@pytest.mark.parametrize(("dual", "limit_m"), [(True, 0.1), (False, 0.4)])
def test_orbit_is_that_of_the_simulation(
    seen: GnssMeasurements, states: np.ndarray, *, dual: bool, limit_m: float
) -> None:
    assert error_m(seen, states, Receiver(dual=dual)) < limit_m


def test_clock_of_the_receiver_jumps_by_milliseconds(states: np.ndarray) -> None:
    seen = measure(Circles(), states, STEP_S, 2, clock_s=lambda t: (t * 1e-6) % 1e-3)
    found = solve_raw_orbit(seen, Circles(), None, Receiver(), SETTINGS, FRAMES)
    estimated, _ = found.states(BEGIN_MS + 30_000 * np.arange(len(states)))
    assert np.linalg.norm((estimated - states)[:, :3], axis=1).max() < 0.3
    assert jumps_of_clock(found.points) == 5


def test_slips_end_a_pass(seen: GnssMeasurements, states: np.ndarray) -> None:
    slipped = seen.phase_l1_m + 0.19 * ((seen.satellite == "G01") & (seen.gps_ms > BEGIN_MS + 2_000_000))
    assert error_m(replace(seen, phase_l1_m=slipped), states) < 0.1


def test_one_frequency_that_drops_out_leaves_the_other(seen: GnssMeasurements, states: np.ndarray) -> None:
    late = seen.gps_ms > BEGIN_MS + 900_000
    lost = np.where(late, np.nan, seen.code_p2_m), np.where(late, np.nan, seen.phase_l2_m)
    assert error_m(replace(seen, code_p2_m=lost[0], phase_l2_m=lost[1]), states) < 0.6


def test_measurements_of_two_receivers_are_rejected(seen: GnssMeasurements) -> None:
    both = seen.selected(np.sort(np.tile(np.arange(len(seen)), 2)))
    with pytest.raises(RawOrbitError, match="several satellites or overlap"):
        solve_raw_orbit(both, Circles(), None, Receiver(), SETTINGS, FRAMES)


def test_measurements_of_a_minute_give_no_orbit(seen: GnssMeasurements) -> None:
    with pytest.raises(RawOrbitError, match="only 1 minutes have a position"):
        solve_raw_orbit(seen.selected(seen.gps_ms == BEGIN_MS), Circles(), None, Receiver(), SETTINGS, FRAMES)


def grace_files(tmp_path: Path, receiver: Receiver = GRACE) -> RawFiles:
    folder = recording("").parent / "grace_b"
    if not folder.exists():
        pytest.skip(f"{folder} is missing")
    config = tmp_path / "grace.toml"
    config.write_text("[orbit.spacecraft]\nmass_kg = 480.0\narea_m2 = 1.0\n")
    return RawFiles(
        observations=(folder / "GRCB2080.10D",),
        gnss_orbits=tuple(folder / f"COD1594{day}.EPH" for day in (1, 2, 3)),
        receiver=receiver,
        truth=folder / "grcb_truth_00h_12h.csv",
        config=config,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("dual", "limit_m"), [(True, 0.3), (False, 1.0)])
def test_orbit_of_grace_b(tmp_path: Path, *, dual: bool, limit_m: float) -> None:
    files = grace_files(tmp_path, receiver=Receiver((0.0, 0.0, -0.414), dual=dual))
    line = next(line for line in determine(files).lines if line.startswith("position error"))
    rms_m, nees = float(line.split()[4]), float(line.split("NEES ")[1].split(";")[0])
    assert rms_m < limit_m
    assert 0.5 < nees < 2.0


def test_orbits_of_another_day_are_named(tmp_path: Path) -> None:
    files = grace_files(tmp_path)
    with pytest.raises(ValueError, match=r"the measurements are of 2010-07-27; add the SP3 files"):
        determine(replace(files, gnss_orbits=files.gnss_orbits[:1]))

"""The first orbit, with wild fixes, without velocities, and when there is none."""

import numpy as np
import numpy.typing as npt
import pytest
import satkit

from pygnc.environment.frames import EarthFrames
from pygnc_ground.orbit.batch.first_orbit import first_orbit, oblate_earth
from pygnc_ground.orbit.batch.trajectory import Grid
from tests.pygnc.estimators.orbit.truth import ORIENTATION, sun_synchronous

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
TRUTH = sun_synchronous()
TIMES = np.array(TRUTH.gps_ms[::4])
STATES = TRUTH.gcrf[::4]
GRID = Grid(int(TIMES[0]), int(TIMES[-1]))
SPIN = EarthFrames(ORIENTATION).at(int(TIMES[0]), np.zeros(1)).rotation_gcrf_rad_s
POLE = SPIN / np.linalg.norm(SPIN)


def noisy_fixes(
    *, velocity: bool = True, wild_fraction: float = 0.0, wild_m: float = 1e5
) -> tuple[IntArray, FloatArray, FloatArray]:
    random = np.random.default_rng(8)
    position_m = STATES[:, :3] + random.normal(0.0, 10.0, (len(TIMES), 3))
    velocity_mps = STATES[:, 3:] + random.normal(0.0, 0.01, (len(TIMES), 3))
    wild = random.random(len(TIMES)) < wild_fraction
    position_m[wild] += random.normal(0.0, wild_m, (wild.sum(), 3))
    velocity_mps[wild] += random.normal(0.0, 1e-3 * wild_m, (wild.sum(), 3))
    return TIMES, position_m, (velocity_mps if velocity else np.full_like(velocity_mps, np.nan))


def test_the_oblate_earth_attracts_as_the_second_zonal_of_egm2008_does() -> None:
    for direction in np.random.default_rng(9).normal(size=(20, 3)):
        place = 7e6 * direction / np.linalg.norm(direction)
        expected = satkit.gravity(place, model=satkit.gravmodel.egm2008, degree=2, order=0)
        np.testing.assert_allclose(oblate_earth(place, np.array([0.0, 0.0, 1.0])), expected, rtol=1e-8)


@pytest.mark.parametrize("wild_fraction", [0.0, 0.45])
def test_the_orbit_stays_within_kilometres_of_the_truth(wild_fraction: float) -> None:
    orbit = first_orbit(*noisy_fixes(wild_fraction=wild_fraction), GRID, POLE)
    assert orbit is not None
    assert np.linalg.norm(orbit[0][:3] - STATES[0, :3]) < 5e3


def test_positions_alone_give_an_orbit_too() -> None:
    orbit = first_orbit(*noisy_fixes(velocity=False), GRID, POLE)
    assert orbit is not None
    assert np.linalg.norm(orbit[0][:3] - STATES[0, :3]) < 5e3
    assert np.linalg.norm(orbit[0][3:] - STATES[0, 3:]) < 10.0


def test_positions_too_far_apart_give_none() -> None:
    fixes = noisy_fixes(velocity=False)
    gps_ms, position_m, velocity_mps = fixes
    assert first_orbit(gps_ms[::40], position_m[::40], velocity_mps[::40], GRID, POLE) is None


def test_positions_at_one_time_give_none() -> None:
    fixes = noisy_fixes(velocity=False)
    gps_ms, position_m, velocity_mps = fixes
    assert first_orbit(np.repeat(gps_ms[:1], 5), position_m[:5], velocity_mps[:5], GRID, POLE) is None

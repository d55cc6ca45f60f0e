import numpy as np
import pytest

from pygnc.environment.arrays import Array
from pygnc.environment.sunlight import radiation_pressure_acceleration, sunlit_fraction
from tests.flight.environment.authority import brahe

SUN_M = np.array([1.2e11, -0.8e11, -0.35e11])
AWAY = -SUN_M / np.linalg.norm(SUN_M)
ASIDE = np.cross(AWAY, [0.0, 0.0, 1.0]) / np.linalg.norm(np.cross(AWAY, [0.0, 0.0, 1.0]))


def behind_the_earth(angle_rad: float) -> Array:
    """A place 6 900 km from the Earth's centre, `angle_rad` off the shadow's axis."""
    place: Array = 6.9e6 * (np.cos(angle_rad) * AWAY + np.sin(angle_rad) * ASIDE)
    return place


@pytest.mark.parametrize("angle_rad", np.linspace(1.16, 1.21, 60))
def test_the_shadow_is_that_of_an_independent_library(angle_rad: float) -> None:
    place = behind_the_earth(float(angle_rad))
    assert sunlit_fraction(place, SUN_M) == pytest.approx(brahe.eclipse_conical(place, SUN_M), abs=1e-3)


def test_the_shadow_begins_and_ends_without_a_jump() -> None:
    visible = [sunlit_fraction(behind_the_earth(angle), SUN_M) for angle in np.linspace(1.16, 1.21, 2_000)]
    assert (visible[0], visible[-1]) == (0.0, 1.0)
    assert (np.diff(visible) >= 0.0).all()
    assert np.diff(visible).max() < 0.01
    assert sunlit_fraction(behind_the_earth(0.0), SUN_M) == 0.0
    assert sunlit_fraction(behind_the_earth(np.pi), SUN_M) == 1.0


def test_the_lights_pressure_is_that_of_an_independent_library() -> None:
    place = behind_the_earth(2.0)
    # Area, mass, reflectivity, and the pressure at one astronomical unit in N/m2.
    expected = brahe.accel_solar_radiation_pressure(place, SUN_M, 1.58, 1.3, 0.02, 1361.0 / 299_792_458.0)
    ours = radiation_pressure_acceleration(place, SUN_M, 1.3 * 0.02 / 1.58)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    assert not radiation_pressure_acceleration(behind_the_earth(0.5), SUN_M, 0.02).any()

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.environment.drag import harris_priester
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, rtn_axes
from pygnc.estimators.orbit.dynamics import Surroundings, perturbation
from pygnc.estimators.orbit.settings import SpacecraftSettings
from tests.pygnc.environment.authority import brahe

SPACECRAFT = SpacecraftSettings(mass_kg=1.58, area_m2=0.02, drag_coefficient=2.2, reflectivity_coefficient=0.0)
NO_AREA = SpacecraftSettings(area_m2=0.0)
SURROUNDINGS = Surroundings(
    sun_m=np.array([1.2e11, -0.8e11, -0.35e11]),
    moon_m=np.array([-2.5e8, 2.6e8, 1.2e8]),
    earth_rotation_rad_s=np.array([0.0, 0.0, EARTH_ROTATION_RAD_S]),
)
STATE = np.array([4_897_631.4, -749_565.6, 4_842_564.5, -5_364.9, -801.9, 5_301.8, 0.4, 1e-7, -2e-7, 3e-7])
STEPS = np.array([100.0] * 3 + [1.0] * 3 + [1e-3] + [1e-7] * 3)


def acceleration(x: Array, spacecraft: SpacecraftSettings = SPACECRAFT) -> Array:
    return perturbation(x, SURROUNDINGS, spacecraft).acceleration


def test_the_partials_are_the_derivatives() -> None:
    partials = perturbation(STATE, SURROUNDINGS, SPACECRAFT).partials
    for column, step in enumerate(STEPS):
        shift = np.zeros(10)
        shift[column] = step
        difference = (acceleration(STATE + shift) - acceleration(STATE - shift)) / (2.0 * step)
        # The tide and the turning of the empirical axes are left out on purpose.
        left_out = (acceleration(STATE + shift, NO_AREA) - acceleration(STATE - shift, NO_AREA)) / (2.0 * step)
        expected = difference if column >= 6 else difference - left_out
        np.testing.assert_allclose(partials[:, column], expected, atol=0.01 * np.abs(expected).max())


def test_drag_agrees_with_brahe_at_the_same_density() -> None:
    density, _ = harris_priester(STATE[:3], SURROUNDINGS.sun_m, np.array([0.0, 0.0, 1.0]))
    expected = brahe.accel_drag(STATE[:6], density * np.exp(0.4), 1.58, 0.02, 2.2, np.eye(3))
    drag = acceleration(STATE) - acceleration(STATE, NO_AREA)
    np.testing.assert_allclose(drag, expected, rtol=1e-6)


def test_a_satellite_that_turns_with_the_earth_feels_no_wind() -> None:
    x = np.zeros(10)
    x[:3] = (6_900_000.0, 0.0, 0.0)
    x[4] = EARTH_ROTATION_RAD_S * 6_900_000.0 + 1e-3
    drag = acceleration(x) - acceleration(x, NO_AREA)
    assert np.abs(drag).max() < 1e-16


def test_the_axes_are_radial_transverse_and_normal() -> None:
    axes = rtn_axes(STATE[:3], STATE[3:6])
    np.testing.assert_allclose(axes, brahe.rotation_rtn_to_eci(STATE[:6]), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)

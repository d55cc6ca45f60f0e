import numpy as np
import pytest

from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2, gravity, gravity_and_gradient
from tests.pygnc.environment.authority import brahe

POSITIONS_ECEF_M = np.array(
    [
        [6_878_000.0, 0.0, 0.0],
        [-2_100_000.0, 4_400_000.0, 4_800_000.0],
        [1_000.0, -2_000.0, 6_800_000.0],
        [3_300_000.0, 3_100_000.0, -5_200_000.0],
    ]
)


EGM2008 = brahe.GravityModel.from_model_type(brahe.GravityModelType.EGM2008_120)


@pytest.mark.parametrize("degree", [2, 8, 20, 50, 70])
def test_gravity_is_that_of_an_independent_egm2008(degree: int) -> None:
    for position in POSITIONS_ECEF_M:
        expected = brahe.accel_gravity_spherical_harmonics(position, np.eye(3), EGM2008, degree, degree)
        np.testing.assert_allclose(gravity(position, degree), expected, rtol=0.0, atol=1e-12)


def test_the_constants_are_the_models() -> None:
    assert EGM2008.gm == GM_EARTH_M3_S2
    assert EGM2008.radius == EARTH_RADIUS_M


@pytest.mark.parametrize("degree", [2, 8, 50])
def test_the_gradient_is_the_derivative(degree: int) -> None:
    for position in POSITIONS_ECEF_M:
        value, gradient = gravity_and_gradient(position, degree)
        step_m = 10.0
        differences = [
            (gravity(position + axis, degree) - gravity(position - axis, degree)) / (2.0 * step_m)
            for axis in step_m * np.eye(3)
        ]
        np.testing.assert_allclose(gradient, np.array(differences).T, rtol=0.0, atol=1e-14)
        np.testing.assert_allclose(value, gravity(position, degree), rtol=0.0, atol=1e-14)

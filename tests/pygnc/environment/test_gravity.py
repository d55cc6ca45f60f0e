import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.environment.gravity import (
    EARTH_RADIUS_M,
    GM_EARTH_M3_S2,
    gravity,
    gravity_and_gradient,
    solid_tide_acceleration,
)
from pygnc.environment.sun_moon import SunMoon
from tests.pygnc.environment.authority import brahe, epoch
from tests.pygnc.environment.moments import moments

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
def test_gravity_agrees_with_an_independent_egm2008(degree: int) -> None:
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


BEGIN_MS = moments()[-1]
ELEMENTS = np.array([6_878_136.3, 0.001, 97.4, 30.0, 90.0, 45.0])
STATE = np.asarray(brahe.state_koe_to_eci(ELEMENTS, brahe.AngleFormat.DEGREES), dtype=np.float64)
MINUTES = 90


def path(*, tides: bool) -> Array:
    """Return the path of brahe's satellite, with or without tides of the solid Earth, shape (n, 3)."""
    forces = brahe.ForceModelConfig(
        gravity=brahe.GravityConfiguration(degree=8, order=8, model_type=brahe.GravityModelType.EGM2008_120),
        tides=brahe.TidesConfiguration(brahe.PermanentTideConfig.AUTO, brahe.SolidTideConfig()) if tides else None,
    )
    config = brahe.NumericalPropagationConfig(
        brahe.IntegrationMethod.RKF78, brahe.IntegratorConfig.adaptive(1e-10, 1e-12), brahe.VariationalConfig()
    )
    propagator = brahe.NumericalOrbitPropagator(epoch(BEGIN_MS), STATE, config, forces, None)
    states = []
    for minute in range(MINUTES + 1):
        propagator.propagate_to(epoch(BEGIN_MS + 60_000 * minute))
        states.append(np.asarray(propagator.current_state(), dtype=np.float64)[:3])
    return np.array(states)


def test_tidal_displacement_agrees_with_brahe() -> None:
    """Both displacements start at rest; the tide is integrated along the path in the gradient of a central field."""
    without = path(tides=False)
    expected = path(tides=True) - without
    bodies = SunMoon()
    offset, rate, step_s = np.zeros(3), np.zeros(3), 60.0
    for minute in range(MINUTES):
        middle = 0.5 * (without[minute] + without[minute + 1]) + offset
        radius = float(np.linalg.norm(middle))
        sun_m, moon_m = bodies.at(BEGIN_MS + 60_000 * minute, 30.0)
        gradient = 3.986004415e14 / radius**3 * (3.0 * np.outer(middle, middle) / radius**2 - np.eye(3))
        force = solid_tide_acceleration(middle, sun_m, moon_m) + gradient @ (offset + 0.5 * step_s * rate)
        offset += step_s * (rate + 0.5 * step_s * force)
        rate += step_s * force
    assert np.linalg.norm(expected[-1]) > 1.0
    assert np.linalg.norm(offset - expected[-1]) < 0.1 * np.linalg.norm(expected[-1])


def test_the_force_is_the_gradient_of_its_potential() -> None:
    """A lone Moon on the x axis: k2 GM R^5 P2 / (d^3 r^3) with k2 = 0.3, differentiated numerically."""
    moon = np.array([3.844e8, 0.0, 0.0])
    far_sun = np.array([0.0, 1e20, 0.0])

    def potential(position: Array) -> float:
        radius, cosine = np.linalg.norm(position), position[0] / np.linalg.norm(position)
        size = 0.3 * 4.902800066e12 * 6_378_136.3**5 / (3.844e8**3 * radius**3)
        return float(size * 0.5 * (3.0 * cosine**2 - 1.0))

    for position in (np.array([6.9e6, 0.0, 0.0]), np.array([3e6, -4e6, 5e6])):
        steps = 100.0 * np.eye(3)
        expected = [(potential(position + step) - potential(position - step)) / 200.0 for step in steps]
        assert solid_tide_acceleration(position, far_sun, moon) == pytest.approx(expected, rel=1e-6, abs=1e-14)

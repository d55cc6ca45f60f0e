"""Temperatures against the closed form of a first-order lag."""

import brahe
import numpy as np
import pytest

from pygnc_ground.scenario import environment
from pygnc_ground.scenario.environment import Conditions
from pygnc_ground.scenario.temperature import interior, lagged
from tests.pygnc_ground.scenario.circular_orbit import CircularOrbit, FloatArray

TIME_CONSTANT_S = 1500.0
START_GPS_MS = 1_426_636_818_000
T_S = np.arange(0.0, 12_000.0, 5.0)


def conditions(orbit: CircularOrbit, t_s: FloatArray = T_S) -> Conditions:
    states = orbit.states_gcrf(t_s)
    sun_m = np.tile([brahe.AU, 0.0, 0.0], (len(t_s), 1))
    sunlit = environment.sunlit_fraction(states[:, :3], sun_m)
    return Conditions(t_s, states, states, np.zeros_like(sun_m), sun_m, sunlit)


def test_a_step_is_followed_exponentially_at_any_spacing() -> None:
    t_s = np.sort(np.random.default_rng(1).uniform(0.0, 5000.0, 300))
    response = lagged(np.ones((300, 2)), t_s, TIME_CONSTANT_S, [0.0, 3.0])
    decay = np.exp(-(t_s - t_s[0]) / TIME_CONSTANT_S)
    np.testing.assert_allclose(response, np.column_stack((1.0 - decay, 1.0 + 2.0 * decay)), rtol=1e-12)


def test_a_sine_is_followed_with_the_lag_and_loss_of_a_first_order_system() -> None:
    t_s, rate_rad_s = np.arange(0.0, 30_000.0, 5.0), 2.0 * np.pi / 5670.0
    response = lagged(np.cos(rate_rad_s * t_s), t_s, TIME_CONSTANT_S, 0.0)[-1200:]
    phase = rate_rad_s * t_s[-1200:] - np.arctan(rate_rad_s * TIME_CONSTANT_S)
    expected = np.cos(phase) / np.hypot(1.0, rate_rad_s * TIME_CONSTANT_S)
    np.testing.assert_allclose(response, expected, atol=1e-4)


@pytest.mark.parametrize("start_rad", [0.0, 2.0, 4.0])
def test_the_interior_has_the_usual_amplitude_from_the_start_with_the_longest_shadow(start_rad: float) -> None:
    around = conditions(CircularOrbit(radius_m=6.878e6, start_rad=start_rad))
    # The projected area of a cube in this direction is 1.5, its mean over all directions.
    one = 0.5 - np.sqrt(1.0 / 24.0)
    warmth = interior(around, np.tile([one, one, 1.5 - 2.0 * one], (len(T_S), 1)), TIME_CONSTANT_S)
    lit = around.sunlit_fraction > 0.5
    sunset, sunrise = np.flatnonzero(lit[:-1] & ~lit[1:]), np.flatnonzero(~lit[:-1] & lit[1:])
    assert len(sunset) >= 2
    np.testing.assert_allclose(warmth[sunset], 1.0, atol=0.02)
    np.testing.assert_allclose(warmth[sunrise], -1.0, atol=0.02)


def test_a_face_turned_to_the_sun_absorbs_two_thirds_of_a_turning_cubes_mean() -> None:
    # Without shadow the temperature is that of equilibrium at once, where it depends on the area only.
    dawn = conditions(CircularOrbit(radius_m=1e9, start_rad=1.5), np.arange(0.0, 20_000.0, 60.0))
    areas = [np.ones(3) / np.sqrt(3.0), np.array([1.0, 1.0, 0.0]) / np.sqrt(2.0), np.array([0.0, 0.0, 1.0])]
    diagonal, edge, face = (interior(dawn, np.tile(area, (len(dawn.t_s), 1)), TIME_CONSTANT_S)[-1] for area in areas)
    assert (diagonal - face) / (edge - face) == pytest.approx((3.0**0.5 - 1.0) / (2.0**0.5 - 1.0), rel=1e-3)

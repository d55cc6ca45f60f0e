"""Forces at the nodes: derivatives against differences, and drag and sunlight against closed forms."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from pygnc.environment.drag import harris_priester
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from pygnc.environment.sun_moon import SunMoon
from pygnc.estimators.orbit.settings import SpacecraftSettings
from pygnc_ground.orbit.batch.forces import _RADIATION_COLUMN, DRAG, EMPIRICAL, ForceModel, Forces, Parameters
from tests.pygnc.estimators.orbit.truth import ORIENTATION, sun_synchronous

FloatArray = npt.NDArray[np.float64]
TIMES = np.array(sun_synchronous().gps_ms[::60])
STATES = sun_synchronous().gcrf[::60]
SAIL = SpacecraftSettings(area_m2=2e3)
"""Drag and sunlight of 0.1 m/s^2: not lost beside gravity."""


@cache
def model(craft: SpacecraftSettings) -> ForceModel:
    return ForceModel(TIMES, np.zeros(len(TIMES)), EarthFrames(ORIENTATION), craft)


def forces(
    craft: SpacecraftSettings,
    states: FloatArray = STATES,
    log_drag: float = 0.0,
    empirical_mps2: tuple[float, float, float] = (0.0, 0.0, 0.0),
    radiation_coefficient: float = 0.0,
) -> Forces:
    count = len(states)
    parameters = Parameters(np.full(count, log_drag), np.tile(empirical_mps2, (count, 1)), radiation_coefficient)
    return model(craft).at(states, parameters)


@pytest.mark.parametrize("axis", range(6))
def test_derivatives_by_the_state_are_those_of_the_acceleration(axis: int) -> None:
    """The atmosphere's and gravity's finest detail is left out of them."""
    step = np.zeros(6)
    step[axis] = 100.0 if axis < 3 else 1.0
    after, before = (forces(SAIL, STATES + sign * step).acceleration_mps2 for sign in (1.0, -1.0))
    difference = (after - before) / (2.0 * step[axis])
    found = forces(SAIL)
    analytic = (found.by_position if axis < 3 else found.by_velocity)[:, :, axis % 3]
    np.testing.assert_allclose(analytic, difference, atol=5e-3 * np.abs(difference).max())


def test_derivatives_by_the_parameters_are_those_of_the_acceleration() -> None:
    found = forces(SAIL).by_parameter
    more = forces(SAIL, log_drag=1e-4).acceleration_mps2 - forces(SAIL, log_drag=-1e-4).acceleration_mps2
    np.testing.assert_allclose(found[:, :, DRAG], more / 2e-4, rtol=1e-6, atol=1e-9)
    more = forces(SAIL, radiation_coefficient=1.0).acceleration_mps2 - forces(SAIL).acceleration_mps2
    np.testing.assert_allclose(found[:, :, _RADIATION_COLUMN], more, atol=1e-14)
    more = forces(SAIL, empirical_mps2=(1.0, 2.0, -3.0)).acceleration_mps2 - forces(SAIL).acceleration_mps2
    np.testing.assert_allclose(found[:, :, EMPIRICAL] @ (1.0, 2.0, -3.0), more, atol=1e-12)


def test_drag_slows_down_against_the_air_that_turns_with_the_earth() -> None:
    found = forces(SAIL).by_parameter[:, :, DRAG]
    for row, (gps_ms, state) in enumerate(zip(TIMES.tolist(), STATES, strict=True)):
        # The pole of 2024 lies 0.13 degrees off the axis of GCRF.
        wind = state[3:] - np.cross((0.0, 0.0, EARTH_ROTATION_RAD_S), state[:3])
        density, _ = harris_priester(state[:3], SunMoon().at(gps_ms)[0], np.array([0.0, 0.0, 1.0]))
        expected = -0.5 * density * 2.2 * 2e3 / 1.58 * np.linalg.norm(wind) * wind
        np.testing.assert_allclose(found[row], expected, atol=5e-3 * np.abs(expected).max())


def test_the_empirical_axes_are_radial_transverse_and_normal() -> None:
    axes = forces(SAIL).by_parameter[:, :, EMPIRICAL]
    radial, transverse, normal = axes.transpose(2, 0, 1)
    np.testing.assert_allclose(radial, STATES[:, :3] / np.linalg.norm(STATES[:, :3], axis=1, keepdims=True), rtol=1e-14)
    np.testing.assert_allclose(np.cross(radial, transverse), normal, atol=1e-14)
    np.testing.assert_allclose((normal * STATES[:, 3:]).sum(axis=1), 0.0, atol=1e-8)
    assert ((transverse * STATES[:, 3:]).sum(axis=1) > 7e3).all()


def test_light_pushes_away_from_the_sun_and_not_in_the_shadow() -> None:
    sun_m = np.array([SunMoon().at(gps_ms)[0] for gps_ms in TIMES.tolist()])
    states = STATES.copy()
    states[0, :3] = -7e6 * sun_m[0] / np.linalg.norm(sun_m[0])
    found = forces(SAIL, states).by_parameter[:, :, _RADIATION_COLUMN]
    size = np.linalg.norm(found, axis=1)
    assert size[0] == 0.0
    np.testing.assert_allclose(size[1:], 4.54e-6 * 2e3 / 1.58, rtol=0.04)
    away = -(found * sun_m).sum(axis=1) / np.linalg.norm(sun_m, axis=1)
    np.testing.assert_allclose(away[1:], size[1:], rtol=1e-6)

"""Forces at the nodes: derivatives against differences, and drag and sunlight against closed forms.

The unknown forces: where they act and what is known of them beforehand.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from pygnc.environment.drag import harris_priester
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from pygnc.environment.sun_moon import SunMoon
from pygnc.estimators.orbit.settings import OrbitSettings, SpacecraftSettings
from pygnc_ground.orbit.batch import collocation, forces
from pygnc_ground.orbit.batch.forces import (
    DRAG,
    EMPIRICAL,
    RADIATION_COLUMN,
    ArcForces,
    ArcParameters,
    Factors,
)
from tests.pygnc.estimators.orbit.truth import ORIENTATION, sun_synchronous

FloatArray = npt.NDArray[np.float64]
TIMES = np.array(sun_synchronous().gps_ms[::60])
STATES = sun_synchronous().gcrf[::60]
SAIL = SpacecraftSettings(area_m2=30.0)
"""Drag and sunlight of 1 mm/s^2: not lost beside gravity."""


@cache
def model(craft: SpacecraftSettings) -> ArcForces:
    return ArcForces(TIMES, np.zeros(len(TIMES)), EarthFrames(ORIENTATION), craft)


def forces_at(
    craft: SpacecraftSettings,
    states: FloatArray = STATES,
    log_drag: float = 0.0,
    empirical_mps2: tuple[float, float, float] = (0.0, 0.0, 0.0),
    radiation_coefficient: float = 0.0,
) -> collocation.LinearForce:
    parameters = np.tile([log_drag, *empirical_mps2, radiation_coefficient], (len(states), 1))
    return model(craft).at(states, parameters)


@pytest.mark.parametrize("axis", range(6))
def test_derivatives_by_the_state_are_those_of_the_acceleration(axis: int) -> None:
    """The atmosphere's and gravity's finest detail is left out of them."""
    step = np.zeros(6)
    step[axis] = 100.0 if axis < 3 else 1.0
    after, before = (forces_at(SAIL, STATES + sign * step).acceleration_mps2 for sign in (1.0, -1.0))
    difference = (after - before) / (2.0 * step[axis])
    found = forces_at(SAIL)
    analytic = (found.d_position if axis < 3 else found.d_velocity)[:, :, axis % 3]
    np.testing.assert_allclose(analytic, difference, atol=5e-3 * np.abs(difference).max())


def test_forces_beside_the_places_of_an_evaluation_are_those_of_the_models() -> None:
    at_rest = np.zeros((len(STATES), 5))
    beside = STATES + np.array((0.5, -0.9, 0.7, 1e-3, -1e-3, 1e-3))
    of_arc, anew = (
        ArcForces(TIMES, np.zeros(len(TIMES)), EarthFrames(ORIENTATION), SpacecraftSettings()) for _ in "12"
    )
    first = of_arc.at(STATES, at_rest).acceleration_mps2
    expected = anew.at(beside, at_rest).acceleration_mps2
    assert np.abs(expected - first).max() > 1e-7
    np.testing.assert_allclose(of_arc.at(beside, at_rest).acceleration_mps2, expected, atol=3e-10, rtol=0.0)
    far = STATES + np.array((2e3, 0.0, 0.0, 0.0, 0.0, 0.0))
    np.testing.assert_array_equal(of_arc.at(far, at_rest).acceleration_mps2, anew.at(far, at_rest).acceleration_mps2)


def test_derivatives_by_the_parameters_are_those_of_the_acceleration() -> None:
    found = forces_at(SAIL).d_parameter
    more = forces_at(SAIL, log_drag=1e-4).acceleration_mps2 - forces_at(SAIL, log_drag=-1e-4).acceleration_mps2
    np.testing.assert_allclose(found[:, :, DRAG], more / 2e-4, rtol=1e-6, atol=1e-9)
    more = forces_at(SAIL, radiation_coefficient=1.0).acceleration_mps2 - forces_at(SAIL).acceleration_mps2
    np.testing.assert_allclose(found[:, :, RADIATION_COLUMN], more, atol=1e-14)
    more = forces_at(SAIL, empirical_mps2=(1.0, 2.0, -3.0)).acceleration_mps2 - forces_at(SAIL).acceleration_mps2
    np.testing.assert_allclose(found[:, :, EMPIRICAL] @ (1.0, 2.0, -3.0), more, atol=1e-12)


def test_drag_opposes_the_velocity_relative_to_the_rotating_atmosphere() -> None:
    found = forces_at(SAIL).d_parameter[:, :, DRAG]
    for row, (gps_ms, state) in enumerate(zip(TIMES.tolist(), STATES, strict=True)):
        # The pole of 2024 lies 0.13 degrees off the axis of GCRF.
        wind = state[3:] - np.cross((0.0, 0.0, EARTH_ROTATION_RAD_S), state[:3])
        density, _ = harris_priester(state[:3], SunMoon().at(gps_ms)[0], np.array([0.0, 0.0, 1.0]))
        expected = -0.5 * density * 2.2 * SAIL.area_m2 / SAIL.mass_kg * np.linalg.norm(wind) * wind
        np.testing.assert_allclose(found[row], expected, atol=5e-3 * np.abs(expected).max())


def test_the_empirical_axes_are_radial_transverse_and_normal() -> None:
    axes = forces_at(SAIL).d_parameter[:, :, EMPIRICAL]
    radial, transverse, normal = axes.transpose(2, 0, 1)
    np.testing.assert_allclose(radial, STATES[:, :3] / np.linalg.norm(STATES[:, :3], axis=1, keepdims=True), rtol=1e-14)
    np.testing.assert_allclose(np.cross(radial, transverse), normal, atol=1e-14)
    np.testing.assert_allclose((normal * STATES[:, 3:]).sum(axis=1), 0.0, atol=1e-8)
    assert ((transverse * STATES[:, 3:]).sum(axis=1) > 7e3).all()


def test_light_pushes_away_from_the_sun_and_not_in_the_shadow() -> None:
    sun_m = np.array([SunMoon().at(gps_ms)[0] for gps_ms in TIMES.tolist()])
    states = STATES.copy()
    states[0, :3] = -7e6 * sun_m[0] / np.linalg.norm(sun_m[0])
    found = forces_at(SAIL, states).d_parameter[:, :, RADIATION_COLUMN]
    size = np.linalg.norm(found, axis=1)
    assert size[0] == 0.0
    np.testing.assert_allclose(size[1:], 4.54e-6 * SAIL.area_m2 / SAIL.mass_kg, rtol=0.04)
    away = -(found * sun_m).sum(axis=1) / np.linalg.norm(sun_m, axis=1)
    np.testing.assert_allclose(away[1:], size[1:], rtol=1e-6)


SETTINGS = OrbitSettings()


@pytest.mark.parametrize("per_interval", [3, 1])
def test_parameters_at_the_nodes_are_linear_in_time(per_interval: int) -> None:
    unknowns = ArcParameters(7, per_interval)
    values = np.zeros(unknowns.count)
    slope = np.array([0.1, 1e-7, -2e-7, 3e-7])
    place_s = unknowns.interval_s * np.arange(unknowns.nodes)
    values[forces.FIRST_NODE :] = (place_s[:, None] * slope).ravel()
    values[forces.RADIATION] = 1.4
    at_nodes = unknowns.at_nodes(values)
    time_s = (collocation.SEGMENT_S * (np.arange(7)[:, None] + collocation.NODE)).ravel()
    np.testing.assert_allclose(at_nodes[:, DRAG], slope[0] * time_s, rtol=1e-12)
    np.testing.assert_allclose(at_nodes[:, EMPIRICAL], time_s[:, None] * slope[1:], rtol=1e-12)
    assert (at_nodes[:, RADIATION_COLUMN] == 1.4).all()


def test_derivatives_by_the_local_unknowns_agree_with_the_parameters_they_make() -> None:
    unknowns = ArcParameters(segments=4)
    random = np.random.default_rng(2)
    d_parameter = random.normal(size=(4, collocation.NODES, 3, 5))
    values = random.normal(size=unknowns.count)
    at_nodes = unknowns.at_nodes(values)
    expected = np.einsum("ksap,ksp->ksa", d_parameter, at_nodes.reshape(4, collocation.NODES, 5))
    found = np.einsum("ksap,kp->ksa", unknowns.local(d_parameter), values[unknowns.local_columns])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_prior_has_the_settings_sigmas_and_correlation_times() -> None:
    unknowns = ArcParameters(segments=30)
    noise = SETTINGS.process_noise
    prior = unknowns.prior(SETTINGS, Factors(density_variation=2.0, empirical=3.0))
    assert not prior.information[forces.STATE].any()
    covariance = np.linalg.inv(prior.information[6:, 6:])
    sigma = np.sqrt(np.diagonal(covariance))[1:].reshape(-1, forces.PER_NODE)
    drag_sigma = np.hypot(noise.drag_log_sigma, 2.0 * noise.density_variation)
    np.testing.assert_allclose(sigma[:, 0], drag_sigma, rtol=1e-9)
    np.testing.assert_allclose(sigma[:, 1:], 3.0 * np.tile(noise.empirical_sigma_mps2, (len(sigma), 1)), rtol=1e-9)
    transverse = covariance[1 + 2 :: 4, 1 + 2 :: 4]
    expected = np.exp(-2.0 * unknowns.interval_s / noise.empirical_time_s)
    assert transverse[3, 5] / transverse[3, 3] == pytest.approx(expected, rel=1e-9)
    assert prior.log_determinant == pytest.approx(-np.linalg.slogdet(covariance)[1], rel=1e-9)


def test_the_reflectivity_coefficient_is_expected_to_be_the_settings() -> None:
    settings = replace(SETTINGS, spacecraft=replace(SETTINGS.spacecraft, reflectivity_coefficient=1.7))
    assert ArcParameters(3).prior(settings, Factors()).mean[forces.RADIATION] == 1.7

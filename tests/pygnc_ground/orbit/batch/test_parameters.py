"""The unknown forces: where they act and what is known of them beforehand."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch import collocation, forces
from pygnc_ground.orbit.batch.forces import Factors, Unknowns

SETTINGS = OrbitSettings()


def test_parameters_at_the_nodes_are_linear_in_time_between_the_quarters_of_an_hour() -> None:
    unknowns = Unknowns(segments=7)
    values = np.zeros(unknowns.count)
    slope = np.array([0.1, 1e-7, -2e-7, 3e-7])
    place_s = forces.INTERVAL_S * np.arange(unknowns.nodes)
    values[forces.FIRST_NODE :] = (place_s[:, None] * slope).ravel()
    values[forces.RADIATION] = 1.4
    at_nodes = unknowns.at_nodes(values)
    time_s = (collocation.SEGMENT_S * (np.arange(7)[:, None] + collocation.NODE)).ravel()
    np.testing.assert_allclose(at_nodes.log_drag, slope[0] * time_s, rtol=1e-12)
    np.testing.assert_allclose(at_nodes.empirical_rtn_mps2, time_s[:, None] * slope[1:], rtol=1e-12)
    assert at_nodes.radiation_coefficient == 1.4


def test_derivatives_by_the_local_unknowns_agree_with_the_parameters_they_make() -> None:
    unknowns = Unknowns(segments=4)
    random = np.random.default_rng(2)
    by_parameter = random.normal(size=(4, collocation.NODES, 3, 5))
    values = random.normal(size=unknowns.count)
    at_nodes = unknowns.at_nodes(values)
    each = np.column_stack((at_nodes.log_drag, at_nodes.empirical_rtn_mps2))
    each = np.column_stack((each, np.full(len(each), at_nodes.radiation_coefficient)))
    expected = np.einsum("ksap,ksp->ksa", by_parameter, each.reshape(4, collocation.NODES, 5))
    found = np.einsum("ksap,kp->ksa", unknowns.local(by_parameter), values[unknowns.local_columns])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_prior_has_the_settings_sigmas_and_correlation_times() -> None:
    unknowns = Unknowns(segments=30)
    noise = SETTINGS.process_noise
    prior = unknowns.prior(SETTINGS, Factors(density_variation=2.0, empirical=3.0))
    assert not prior.information[forces.STATE].any()
    covariance = np.linalg.inv(prior.information[6:, 6:])
    sigma = np.sqrt(np.diagonal(covariance))[1:].reshape(-1, forces.PER_NODE)
    drag_sigma = np.hypot(noise.drag_log_sigma, 2.0 * noise.density_variation)
    np.testing.assert_allclose(sigma[:, 0], drag_sigma, rtol=1e-9)
    np.testing.assert_allclose(sigma[:, 1:], 3.0 * np.tile(noise.empirical_sigma_mps2, (len(sigma), 1)), rtol=1e-9)
    transverse = covariance[1 + 2 :: 4, 1 + 2 :: 4]
    expected = np.exp(-2.0 * forces.INTERVAL_S / noise.empirical_time_s)
    assert transverse[3, 5] / transverse[3, 3] == pytest.approx(expected, rel=1e-9)
    assert prior.log_determinant == pytest.approx(-np.linalg.slogdet(covariance)[1], rel=1e-9)


def test_the_reflectivity_coefficient_is_expected_to_be_the_settings() -> None:
    settings = replace(SETTINGS, spacecraft=replace(SETTINGS.spacecraft, reflectivity_coefficient=1.7))
    assert Unknowns(3).prior(settings, Factors()).mean[forces.RADIATION] == 1.7

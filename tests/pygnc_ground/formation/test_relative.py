"""Relative motion against brahe's, and against a rotation in closed form."""

import math

import numpy as np
import pytest

from pygnc.estimators.formation.elements import relative_elements
from pygnc_ground.formation.relative import elements_by_relative_state, rtn_from_gcrf
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.scenario.settings import Orbit
from pygnc_ground.scenario.trajectory import initial_state_gcrf
from tests.pygnc.environment.authority import brahe


def pair(seed: int, **elements: float) -> tuple[FloatArray, FloatArray]:
    """Two satellites some kilometres apart."""
    draw = np.random.default_rng(seed)
    drawn = {
        "eccentricity": draw.uniform(1e-4, 0.01),
        "inclination_deg": draw.uniform(20.0, 120.0),
        "raan_deg": draw.uniform(10.0, 350.0),
        "argument_of_perigee_deg": draw.uniform(10.0, 170.0),
        "mean_anomaly_deg": draw.uniform(10.0, 170.0),
    }
    own = initial_state_gcrf(Orbit(**(drawn | elements)))
    return own, own + np.concatenate((1e3 * draw.standard_normal(3), draw.standard_normal(3)))


@pytest.mark.parametrize("seed", range(10))
def test_elements_are_those_of_brahe(seed: int) -> None:
    own, other = pair(seed)
    expected = np.asarray(brahe.state_eci_to_roe(own, other, brahe.AngleFormat.RADIANS))
    # brahe's angles may be off by a full turn.
    expected[[1, 4, 5]] -= 2.0 * math.pi * np.round(expected[[1, 4, 5]] / (2.0 * math.pi))
    axis_m = brahe.state_eci_to_koe(own, brahe.AngleFormat.RADIANS)[0]
    np.testing.assert_allclose(relative_elements(own, other), axis_m * expected, rtol=1e-7, atol=1e-4)


def test_elements_know_no_jump_where_angles_begin_anew() -> None:
    for angles in ((0.0, 0.0, 0.0), (0.0, 200.0, 160.0), (180.0, 0.0, 180.0)):
        names = ("raan_deg", "argument_of_perigee_deg", "mean_anomaly_deg")
        own, other = pair(3, **dict(zip(names, angles, strict=True)))
        for scale in (1.0, -1.0):
            elements = relative_elements(own, own + scale * (other - own))
            assert np.abs(elements).max() < 2e4


def test_a_satellite_ahead_on_the_same_circle_differs_in_its_place_along_it_only() -> None:
    for ahead_deg in (0.01, -0.02):
        own, other = (
            initial_state_gcrf(Orbit(eccentricity=0.0, mean_anomaly_deg=angle)) for angle in (50.0, 50.0 + ahead_deg)
        )
        arc_m = Orbit().semi_major_axis_m * math.radians(ahead_deg)
        np.testing.assert_allclose(relative_elements(own, other), [0.0, arc_m, 0.0, 0.0, 0.0, 0.0], atol=1e-5)


def test_derivatives_foretell_a_kilometre_to_its_square_over_the_radius() -> None:
    own, other = pair(7)
    foretold = elements_by_relative_state(own, other) @ (own - other)
    np.testing.assert_allclose(foretold, -relative_elements(own, other), atol=5.0)
    small = own + 1e-3 * (other - own)
    foretold = elements_by_relative_state(own, own) @ (small - own)
    np.testing.assert_allclose(foretold, relative_elements(own, small), atol=1e-5)


def test_radial_transverse_normal_are_those_of_brahe() -> None:
    for seed in range(5):
        own, other = pair(seed)
        expected = brahe.state_eci_to_rtn(own, other)
        np.testing.assert_allclose(rtn_from_gcrf(own) @ (other - own), expected, rtol=1e-9, atol=1e-6)


def test_many_states_are_turned_as_one_by_one() -> None:
    own, other = np.array([pair(seed) for seed in range(4)]).transpose(1, 0, 2)
    for function in (relative_elements, elements_by_relative_state):
        together = function(own, other)
        np.testing.assert_array_equal(together, [function(one, two) for one, two in zip(own, other, strict=True)])
    np.testing.assert_array_equal(rtn_from_gcrf(own), [rtn_from_gcrf(one) for one in own])

"""Relative orbital elements against brahe, and mirror images against propagated distances."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.common.arrays import Array
from pygnc.estimators.formation.relative_coordinates import (
    BOTH,
    IN_PLANE,
    NORMAL,
    d_elements_d_state,
    d_mirror_elements_d_state,
    d_state_d_mirror_elements,
    mirror_elements,
    mirror_images,
    relative_elements,
    rtn_from_gcrf,
    state_from_elements,
)
from pygnc_ground.formation import relative as ground
from pygnc_ground.scenario.settings import Forces, Orbit, Spacecraft
from pygnc_ground.scenario.trajectory import Trajectory, initial_state_gcrf
from tests.pygnc.environment.authority import brahe

angles = st.floats(0.0, 360.0)
APART = np.array((900.0, -1_500.0, 700.0, 0.4, -0.2, 0.6))


def own_state(inclination: float, node: float, anomaly: float, eccentricity: float = 0.02) -> Array:
    orbit = Orbit(eccentricity=eccentricity, inclination_deg=inclination, raan_deg=node, mean_anomaly_deg=anomaly)
    return initial_state_gcrf(orbit)


def _by_brahe(own: Array, other: Array) -> Array:
    elements = np.asarray(brahe.state_eci_to_roe(own, other, brahe.AngleFormat.RADIANS))
    axis_m = float(brahe.state_eci_to_koe(own, brahe.AngleFormat.RADIANS)[0])
    # Angles, which brahe counts from 0 to 360 degrees.
    elements[[1, 4, 5]] = np.remainder(elements[[1, 4, 5]] + np.pi, 2.0 * np.pi) - np.pi
    return axis_m * elements


@given(
    inclination=st.floats(5.0, 175.0), node=st.floats(5.0, 355.0), anomaly=angles, eccentricity=st.floats(1e-3, 0.05)
)
def test_relative_elements_match_brahe(inclination: float, node: float, anomaly: float, eccentricity: float) -> None:
    own = own_state(inclination, node, anomaly, eccentricity)
    expected = _by_brahe(own, own + APART)
    assert relative_elements(own, own + APART) == pytest.approx(expected, abs=1e-3)


@given(inclination=st.floats(5.0, 175.0), node=angles, anomaly=angles, size=st.floats(0.0, 60.0))
def test_state_from_elements_is_the_inverse_at_any_distance(
    inclination: float, node: float, anomaly: float, size: float
) -> None:
    own = own_state(inclination, node, anomaly)
    other = own + size * APART
    assert state_from_elements(own, relative_elements(own, other)) == pytest.approx(other, rel=1e-12, abs=1e-6)


def test_derivative_of_elements_matches_brahe() -> None:
    own = own_state(97.5, 30.0, 77.0)
    steps = np.diag(np.repeat((100.0, 0.1), 3))
    columns = [
        (_by_brahe(own, own + APART + step) - _by_brahe(own, own + APART - step)) / (2.0 * step.sum()) for step in steps
    ]
    derivatives = d_elements_d_state(own, own + APART)
    assert derivatives[:, :3] == pytest.approx(np.transpose(columns)[:, :3], abs=2e-4)
    assert derivatives[:, 3:] == pytest.approx(np.transpose(columns)[:, 3:], abs=0.2)


POINT_MASS = Forces(
    gravity_degree=0,
    sun_and_moon=False,
    solid_tides=False,
    relativity=False,
    drag=False,
    radiation_pressure=False,
)
OWN = initial_state_gcrf(Orbit(mean_anomaly_deg=40.0))
RTN = rtn_from_gcrf(OWN)
RELATIVE_STATES: Array = np.asarray(np.linalg.solve(RTN, (400.0, 700.0, 300.0, 0.1, -0.9, 0.25)), dtype=np.float64)


def distances(relative: Array) -> Array:
    t_s = np.linspace(0.0, 6_000.0, 30)
    start_ms = 1_391_299_218_000
    own, other = (
        Trajectory(start_ms, 6_000.0, state, Spacecraft(), POINT_MASS).states_gcrf(t_s)
        for state in (OWN, OWN + relative)
    )
    result: Array = np.linalg.norm((other - own)[:, :3], axis=1)
    return result


@cache
def true_distances() -> Array:
    return distances(RELATIVE_STATES)


@pytest.mark.parametrize("image", [NORMAL, IN_PLANE, BOTH])
def test_mirror_images_keep_their_distances_over_an_orbit(image: int) -> None:
    mirrored = mirror_images(OWN, RELATIVE_STATES[None])[image, 0]
    assert np.linalg.norm(mirrored - RELATIVE_STATES) > 100.0
    assert distances(mirrored) == pytest.approx(true_distances(), abs=2.0)


def test_mirror_images_have_the_signs_of_their_names() -> None:
    flipped = (mirror_images(OWN, RELATIVE_STATES[None])[:, 0] @ RTN.T)[:, :3]
    assert flipped[0] == pytest.approx((400.0, 700.0, 300.0))
    assert flipped[NORMAL] == pytest.approx((400.0, 700.0, -300.0), abs=0.5)
    assert flipped[IN_PLANE] == pytest.approx((-400.0, -700.0, 300.0), abs=0.5)
    assert flipped[BOTH] == pytest.approx((-400.0, -700.0, -300.0), abs=0.5)


def test_image_of_an_image_is_the_original_at_forty_kilometres() -> None:
    far = 40.0 * RELATIVE_STATES
    for image in (NORMAL, IN_PLANE, BOTH):
        there = mirror_images(OWN, far[None])[image, 0]
        assert mirror_images(OWN, there[None])[image, 0] == pytest.approx(far, abs=1e-4)


def test_rtn_axes_match_the_ground_analysis() -> None:
    assert pytest.approx(ground.rtn_from_gcrf(OWN), abs=1e-15) == RTN


def test_elements_match_first_order_geometry() -> None:
    """D'Amico 2010, equation 2.17, at the node of the frame of the images."""
    by_elements = RTN @ d_state_d_mirror_elements(OWN)
    assert by_elements[:3, 0] == pytest.approx((1.0, 0.0, 0.0), abs=5e-3)
    assert by_elements[:3, 1] == pytest.approx((0.0, 1.0, 0.0), abs=5e-3)
    assert by_elements[:3, 2] == pytest.approx((-1.0, 0.0, 0.0), abs=5e-3)
    assert by_elements[:3, 3] == pytest.approx((0.0, -2.0, 0.0), abs=5e-3)
    assert by_elements[:3, 5] == pytest.approx((0.0, 0.0, -1.0), abs=5e-3)


def test_derivatives_of_elements_and_states_are_inverse() -> None:
    product = d_mirror_elements_d_state(OWN, np.zeros((1, 6)))[0] @ d_state_d_mirror_elements(OWN)
    assert product == pytest.approx(np.eye(6), abs=1e-5)


def test_mirror_images_have_elements_of_the_same_size() -> None:
    flipped = mirror_elements(OWN, mirror_images(OWN, RELATIVE_STATES[None])[:, 0])
    assert np.abs(flipped) == pytest.approx(np.abs(np.tile(flipped[0], (4, 1))), abs=1e-3)

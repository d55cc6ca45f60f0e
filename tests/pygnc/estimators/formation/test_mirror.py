"""Images keep distances and change sides."""

from functools import cache

import numpy as np
import pytest

from pygnc.environment.arrays import Array
from pygnc.estimators.formation.mirror import (
    BOTH,
    IN_PLANE,
    NORMAL,
    elements_by_state,
    elements_of_state,
    images,
    states_of_elements,
    tilted,
)
from pygnc.estimators.formation.relative_frame import rtn_from_gcrf
from pygnc_ground.formation import relative as ground
from pygnc_ground.scenario.settings import Forces, Orbit, Spacecraft
from pygnc_ground.scenario.trajectory import Trajectory, initial_state_gcrf

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
APART: Array = np.asarray(np.linalg.solve(RTN, (400.0, 700.0, 300.0, 0.1, -0.9, 0.25)), dtype=np.float64)


def distances(apart: Array) -> Array:
    t_s = np.linspace(0.0, 6_000.0, 30)
    start_ms = 1_391_299_218_000
    own, other = (
        Trajectory(start_ms, 6_000.0, state, Spacecraft(), POINT_MASS).states_gcrf(t_s) for state in (OWN, OWN + apart)
    )
    result: Array = np.linalg.norm((other - own)[:, :3], axis=1)
    return result


@cache
def true_distances() -> Array:
    return distances(APART)


@pytest.mark.parametrize("image", [NORMAL, IN_PLANE, BOTH])
def test_an_image_has_the_same_distances_for_an_orbit_or_more(image: int) -> None:
    mirrored = images(OWN, APART[None])[image, 0]
    assert np.linalg.norm(mirrored - APART) > 100.0
    assert distances(mirrored) == pytest.approx(true_distances(), abs=2.0)


def test_images_have_the_signs_that_their_names_say() -> None:
    flipped = (images(OWN, APART[None])[:, 0] @ RTN.T)[:, :3]
    assert flipped[0] == pytest.approx((400.0, 700.0, 300.0))
    assert flipped[NORMAL] == pytest.approx((400.0, 700.0, -300.0), abs=0.5)
    assert flipped[IN_PLANE] == pytest.approx((-400.0, -700.0, 300.0), abs=0.5)
    assert flipped[BOTH] == pytest.approx((-400.0, -700.0, -300.0), abs=0.5)


def test_an_image_of_the_image_is_the_motion_itself_at_forty_kilometres() -> None:
    far = 40.0 * APART
    for image in (NORMAL, IN_PLANE, BOTH):
        there = images(OWN, far[None])[image, 0]
        assert images(OWN, there[None])[image, 0] == pytest.approx(far, abs=1e-4)


def test_axes_are_those_of_the_ground() -> None:
    assert pytest.approx(ground.rtn_from_gcrf(OWN), abs=1e-15) == RTN


def test_a_tilted_motion_stays_what_it_was_in_the_plane() -> None:
    tilts = tilted(OWN, APART, np.array(((1.0, 0.0), (0.0, -2.0)))) @ RTN.T
    assert tilts[:, [0, 1, 3, 4]] == pytest.approx(np.tile((RTN @ APART)[[0, 1, 3, 4]], (2, 1)), rel=1e-2)


def test_elements_move_a_partner_as_first_order_geometry_says() -> None:
    """D'Amico 2010, equation 2.17, at the node of the frame of the images."""
    by_elements = RTN @ states_of_elements(OWN)
    assert by_elements[:3, 0] == pytest.approx((1.0, 0.0, 0.0), abs=5e-3)
    assert by_elements[:3, 1] == pytest.approx((0.0, 1.0, 0.0), abs=5e-3)
    assert by_elements[:3, 2] == pytest.approx((-1.0, 0.0, 0.0), abs=5e-3)
    assert by_elements[:3, 3] == pytest.approx((0.0, -2.0, 0.0), abs=5e-3)
    assert by_elements[:3, 5] == pytest.approx((0.0, 0.0, -1.0), abs=5e-3)


def test_derivatives_of_elements_are_the_inverse_of_those_of_states() -> None:
    product = elements_by_state(OWN, np.zeros((1, 6)))[0] @ states_of_elements(OWN)
    assert product == pytest.approx(np.eye(6), abs=1e-5)


def test_images_have_elements_of_the_same_size() -> None:
    flipped = elements_of_state(OWN, images(OWN, APART[None])[:, 0])
    assert np.abs(flipped) == pytest.approx(np.abs(np.tile(flipped[0], (4, 1))), abs=1e-3)

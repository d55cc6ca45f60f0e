"""Collocation against motions that have a closed form."""

import numpy as np
import numpy.typing as npt
import pytest

from pygnc_ground.orbit.batch import collocation

FloatArray = npt.NDArray[np.float64]
SPAN_S = collocation.SEGMENT_S
NODE_S = SPAN_S * collocation.NODE


def linear_force(
    d_position: FloatArray, d_velocity: FloatArray, d_parameter: FloatArray, reference: FloatArray
) -> collocation.LinearForce:
    """One segment with constant derivatives (3, 3), (3, 3), (3, m); the force is linear throughout."""
    acceleration = reference[..., :3] @ d_position.T + reference[..., 3:] @ d_velocity.T
    nodes = (1, collocation.NODES, 1, 1)
    return collocation.LinearForce(
        acceleration, np.tile(d_position, nodes), np.tile(d_velocity, nodes), np.tile(d_parameter, nodes)
    )


def random_reference() -> FloatArray:
    return np.random.default_rng(1).normal(size=(1, collocation.NODES, 6))


@pytest.mark.parametrize("power", range(collocation.NODES))
def test_a_polynomial_acceleration_is_integrated_exactly(power: int) -> None:
    fraction = np.array([-0.01, 0.0, 0.3, 1.0])
    of_position, of_velocity = collocation.weights(fraction)
    acceleration = collocation.NODE**power
    velocity, position = fraction ** (power + 1) / (power + 1), fraction ** (power + 2) / ((power + 1) * (power + 2))
    np.testing.assert_allclose(of_velocity @ acceleration, velocity, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(of_position @ acceleration, position, rtol=1e-12, atol=1e-15)


def test_an_oscillator_under_a_constant_force_moves_as_in_closed_form_whatever_the_reference() -> None:
    rate, push = 2e-3, np.array([[1.0], [-2.0], [0.5]])
    force = linear_force(-(rate**2) * np.eye(3), np.zeros((3, 3)), push, random_reference())
    response = collocation.respond(force, random_reference())
    cosine, sine = np.cos(rate * SPAN_S), np.sin(rate * SPAN_S)
    expected = np.zeros((6, 8))
    expected[:3, 1:4] = expected[3:, 4:7] = cosine * np.eye(3)
    expected[:3, 4:7], expected[3:, 1:4] = sine / rate * np.eye(3), -rate * sine * np.eye(3)
    expected[:3, 7:], expected[3:, 7:] = push * (1.0 - cosine) / rate**2, push * sine / rate
    np.testing.assert_allclose(collocation.states_at(response, np.ones(1))[0], expected, rtol=1e-11, atol=1e-11)


def test_friction_slows_down_as_in_closed_form() -> None:
    friction = 1e-3
    force = linear_force(np.zeros((3, 3)), -friction * np.eye(3), np.zeros((3, 0)), random_reference())
    end = collocation.states_at(collocation.respond(force, random_reference()), np.ones(1))[0]
    left = np.exp(-friction * SPAN_S)
    np.testing.assert_allclose(end[3:, 4:7], left * np.eye(3), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(end[:3, 4:7], (1.0 - left) / friction * np.eye(3), rtol=1e-12, atol=1e-10)


def test_states_at_the_nodes_are_those_of_the_motion() -> None:
    rate = 2e-3
    force = linear_force(-(rate**2) * np.eye(3), np.zeros((3, 3)), np.zeros((3, 0)), random_reference())
    response = collocation.respond(force, random_reference())
    known = np.array([[1.0, 100.0, 0.0, -50.0, 0.0, 3.0, 1.0]])
    start_m, start_mps = known[0, 1:4], known[0, 4:7]
    cosine, sine = np.cos(rate * NODE_S)[:, None], np.sin(rate * NODE_S)[:, None]
    acceleration = np.einsum("kiac,kc->kia", response, known)
    nodes = collocation.integrate(known[:, 1:7], acceleration, collocation.NODE)[0]
    np.testing.assert_allclose(nodes[:, :3], cosine * start_m + sine / rate * start_mps, atol=1e-9)
    np.testing.assert_allclose(nodes[:, 3:], -rate * sine * start_m + cosine * start_mps, atol=1e-11)

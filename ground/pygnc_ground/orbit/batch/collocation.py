"""Motion over short segments by collocation at Gauss nodes, for all segments of an arc at once.

Within a segment the acceleration is the polynomial through its values at the nodes, so position and velocity at any
time are sums of those values (Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, section II.7). With
a linear force the values follow from one system of equations per segment, and the segments are independent of each
other.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.polynomial import legendre

from pygnc_ground.orbit.solution import FloatArray

SEGMENT_S: Final = 300.0
NODES: Final = 12
"""Twice as many nodes change 12 h of an orbit at 500 km, degree 70, by 0.01 mm."""

STATE: Final = slice(1, 7)
LOCAL: Final = slice(7, None)
"""Columns of a segment's response: 1, the state at the segment's start, the parameters that act in the segment."""


class Weights(NamedTuple):
    """Position and velocity gained from the accelerations at the nodes, in segments squared and segments, (n, s)."""

    position: FloatArray
    velocity: FloatArray


class LinearForce(NamedTuple):
    """Accelerations linearised about a reference at the s nodes of k segments; m parameters act in each."""

    acceleration_mps2: FloatArray
    """(k, s, 3)."""
    d_position: FloatArray
    """(k, s, 3, 3)."""
    d_velocity: FloatArray
    """(k, s, 3, 3)."""
    d_parameter: FloatArray
    """(k, s, 3, m)."""


class _Rule(NamedTuple):
    """Gauss nodes in 0..1, and Legendre coefficients of the integrals of the cardinal polynomials."""

    nodes: FloatArray
    once: FloatArray
    twice: FloatArray


def _gauss_rule() -> _Rule:
    places, quadrature = legendre.leggauss(NODES)
    cardinal = legendre.legvander(places, NODES - 1).T * np.arange(0.5, NODES)[:, None] * quadrature
    once = np.asarray(legendre.legint(cardinal, lbnd=-1.0, scl=0.5), dtype=np.float64)
    twice = np.asarray(legendre.legint(once, lbnd=-1.0, scl=0.5), dtype=np.float64)
    return _Rule(0.5 * (places + 1.0), once, twice)


_RULE: Final = _gauss_rule()
NODE: Final = _RULE.nodes


def weights(fraction: FloatArray) -> Weights:
    """Return the weights of the nodes' accelerations at fractions of a segment, shape (n,)."""
    vander = legendre.legvander(2.0 * fraction - 1.0, NODES + 1)
    return Weights(vander.dot(_RULE.twice), vander[:, :-1].dot(_RULE.once))


AT_NODES: Final = weights(NODE)
_AT_END: Final = weights(np.ones(1))


def respond(force: LinearForce, reference: FloatArray) -> FloatArray:
    """Return the accelerations at the nodes as linear functions of the columns `STATE` and `LOCAL`.

    Args:
        force: Accelerations linearised about the reference.
        reference: Positions and velocities at the nodes, shape (k, s, 6).

    Returns:
        Shape (k, s, 3, 7 + m), columns as in `STATE` and `LOCAL`.
    """
    count = len(reference)
    position, velocity = force.d_position, force.d_velocity
    constant = force.acceleration_mps2[..., None] - position @ reference[..., :3, None]
    constant -= velocity @ reference[..., 3:, None]
    drifted = SEGMENT_S * NODE[:, None, None] * position + velocity
    right = np.concatenate((constant, position, drifted, force.d_parameter), axis=3)
    left = -np.einsum("ij,kiab->kiajb", SEGMENT_S**2 * AT_NODES.position, position)
    left -= np.einsum("ij,kiab->kiajb", SEGMENT_S * AT_NODES.velocity, velocity)
    left = left.reshape(count, 3 * NODES, 3 * NODES)
    left += np.eye(3 * NODES)
    solved: FloatArray = np.linalg.solve(left, right.reshape(count, 3 * NODES, -1))
    return solved.reshape(right.shape)


def states_at(response: FloatArray, fraction: FloatArray) -> FloatArray:
    """Return the states as linear functions of the same columns, shape (n, 6, 7 + m).

    Args:
        response: Response of the segment of each of n epochs, shape (n, s, 3, 7 + m).
        fraction: Position of each epoch in its segment, 0 to 1, shape (n,).
    """
    return _states(response, fraction, weights(fraction))


def ends(response: FloatArray) -> FloatArray:
    """Return the states at the ends of k segments as linear functions of the same columns, shape (k, 6, 7 + m)."""
    return _states(response, np.ones(len(response)), _AT_END)


def at_nodes(response: FloatArray, known: FloatArray) -> FloatArray:
    """Return the states at the nodes of k segments for values `known` (k, 7 + m) of the columns, (k, s, 6)."""
    acceleration = np.einsum("kiac,kc->kia", response, known)
    start_m, start_mps = known[:, None, 1:4], known[:, None, 4:7]
    position_m = start_m + SEGMENT_S * NODE[:, None] * start_mps
    position_m += SEGMENT_S**2 * (AT_NODES.position @ acceleration)
    return np.concatenate((position_m, start_mps + SEGMENT_S * (AT_NODES.velocity @ acceleration)), axis=2)


def _states(response: FloatArray, fraction: FloatArray, weight: Weights) -> FloatArray:
    count, _, _, columns = response.shape
    flat = response.reshape(count, NODES, 3 * columns)
    states = np.empty((count, 6, columns))
    states[:, :3] = (SEGMENT_S**2 * weight.position[:, None] @ flat).reshape(count, 3, columns)
    states[:, 3:] = (SEGMENT_S * weight.velocity[:, None] @ flat).reshape(count, 3, columns)
    states[:, :, STATE] += np.eye(6)
    states[:, :3, 4:7] += (SEGMENT_S * fraction)[:, None, None] * np.eye(3)
    return states

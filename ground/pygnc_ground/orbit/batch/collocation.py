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
"""Nodes per segment; twice as many change 12 h of an orbit at 500 km, degree 70, by 0.01 mm."""

STATE: Final = slice(1, 7)
LOCAL: Final = slice(7, None)
"""Columns of a segment's response: 1, the state at the segment's start, the parameters that act in the segment."""


class LinearForce(NamedTuple):
    """Accelerations in GCRF at nodes of any shape (..., ), linearised about a reference, for m parameters."""

    acceleration_mps2: FloatArray
    """Acceleration along the reference, shape (..., 3)."""
    d_position: FloatArray
    """Derivative by the position in 1/s2, shape (..., 3, 3)."""
    d_velocity: FloatArray
    """Derivative by the velocity in 1/s, shape (..., 3, 3)."""
    d_parameter: FloatArray
    """Derivative by the parameters, shape (..., 3, m)."""


_places, _quadrature = legendre.leggauss(NODES)
NODE: Final[FloatArray] = 0.5 * (_places + 1.0)
"""Gauss nodes as fractions of a segment, 0 to 1, shape (s,)."""
_CARDINAL: Final = legendre.legvander(_places, NODES - 1).T * np.arange(0.5, NODES)[:, None] * _quadrature
_ONCE: Final = np.asarray(legendre.legint(_CARDINAL, lbnd=-1.0, scl=0.5), dtype=np.float64)
_TWICE: Final = np.asarray(legendre.legint(_ONCE, lbnd=-1.0, scl=0.5), dtype=np.float64)
"""Legendre coefficients of the cardinal polynomials and of their first and second integrals."""


def weights(fraction: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the weights of the nodes' accelerations at fractions of a segment, shape (n,).

    Returns:
        Weights for the gained position in segments squared, and for the gained velocity in segments, each (n, s).
    """
    return _AT_NODES if fraction is NODE else _weights(fraction)


def _weights(fraction: FloatArray) -> tuple[FloatArray, FloatArray]:
    vander = legendre.legvander(2.0 * fraction - 1.0, NODES + 1)
    return vander.dot(_TWICE), vander[:, :-1].dot(_ONCE)


_AT_NODES: Final = _weights(NODE)


def integrate(
    start: FloatArray, acceleration_mps2: FloatArray, fraction: FloatArray, step_s: FloatArray | float = SEGMENT_S
) -> FloatArray:
    """Return positions and velocities at fractions (n,) of a step, shape (k, n, 6).

    Args:
        start: Position in m and velocity in m/s at the start of each of k steps, shape (k, 6).
        acceleration_mps2: Accelerations at the nodes of each step, shape (k, s, 3).
        fraction: Fractions of the steps, shape (n,).
        step_s: Duration of the steps, a number or shape (k, 1, 1).
    """
    start_m, start_mps = start[:, None, :3], start[:, None, 3:]
    position, velocity = weights(fraction)
    position_m = start_m + step_s * fraction[:, None] * start_mps
    position_m += step_s**2 * (position @ acceleration_mps2)
    return np.concatenate((position_m, start_mps + step_s * (velocity @ acceleration_mps2)), axis=2)


def respond(force: LinearForce, reference: FloatArray) -> FloatArray:
    """Return the accelerations at the nodes as linear functions of the columns `STATE` and `LOCAL`, (k, s, 3, 7 + m).

    `force` is linearised about the states at the s nodes of k segments, (k, s, 6), in m and m/s.
    """
    count = len(reference)
    acceleration, position, velocity, parameter = force
    constant = acceleration[..., None] - position @ reference[..., :3, None]
    constant -= velocity @ reference[..., 3:, None]
    drifted = SEGMENT_S * NODE[:, None, None] * position + velocity
    right = np.concatenate((constant, position, drifted, parameter), axis=3)
    to_position, to_velocity = weights(NODE)
    left = -np.einsum("ij,kiab->kiajb", SEGMENT_S**2 * to_position, position)
    left -= np.einsum("ij,kiab->kiajb", SEGMENT_S * to_velocity, velocity)
    left = left.reshape(count, 3 * NODES, 3 * NODES)
    left += np.eye(3 * NODES)
    solved: FloatArray = np.linalg.solve(left, right.reshape(count, 3 * NODES, -1))
    return solved.reshape(right.shape)


def states_at(response: FloatArray, fraction: FloatArray) -> FloatArray:
    """Return the states as linear functions of the columns `STATE` and `LOCAL`, shape (n, 6, 7 + m).

    Args:
        response: Response of the segment of each of n epochs, shape (n, s, 3, 7 + m).
        fraction: Position of each epoch in its segment, 0 to 1, shape (n,); shape (1,) for equal fractions.
    """
    count, _, _, columns = response.shape
    flat = response.reshape(count, NODES, 3 * columns)
    position, velocity = weights(fraction)
    states = np.empty((count, 6, columns))
    states[:, :3] = (SEGMENT_S**2 * position[:, None] @ flat).reshape(count, 3, columns)
    states[:, 3:] = (SEGMENT_S * velocity[:, None] @ flat).reshape(count, 3, columns)
    states[:, :, STATE] += np.eye(6)
    states[:, :3, 4:7] += (SEGMENT_S * fraction)[:, None, None] * np.eye(3)
    return states

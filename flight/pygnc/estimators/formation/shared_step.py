"""One step for many satellites near each other: one of them with all forces, the others by their deviations from it.

Deviations move by the first one's transition matrix. What in gravity is not linear, N = F(r + d) - F(r) - G d with
central body and J2 in F, kicks their velocities for half of the step at either end (Strang, SIAM J. Numer. Anal. 5,
1968): kicks at equal intervals are the trapezoidal rule, which is all but exact for what repeats with the orbit.
"""

from typing import NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.formation.reference import UNKNOWNS
from pygnc.estimators.formation.relative_motion import _acceleration, _gradient
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.state import DRAG, POSITION, SIZE, VELOCITY


class SharedStep(NamedTuple):
    """The end of a step.

    Attributes:
        x: The first satellite, (10,).
        deviations: Of the others in position, velocity and logarithm of the drag factor, (k, 7).
        transition: Of deviations, (7, 7).
        directions: Acceleration per unit of each of the orbit's Gauss-Markov processes, (3, 4).
    """

    x: Array
    deviations: Array
    transition: Array
    directions: Array


def shared_step(dynamics: OrbitDynamics, gps_ms: int, x: Array, deviations: Array, step_s: float) -> SharedStep:
    """Carry the first satellite `x` (10,) and deviations (k, 7) from it; no empirical acceleration is passed on."""
    kicked = _kicked(x[POSITION], deviations, 0.5 * step_s)
    end, transition, directions = dynamics.step(gps_ms, x, step_s)
    transition = transition[:UNKNOWNS, :UNKNOWNS]
    moved = _kicked(end[POSITION], kicked @ transition.T, 0.5 * step_s)
    # What the logarithm leaves out when factors differ by a tenth is a metre in three hours.
    drag = (np.expm1(moved[:, DRAG]) - moved[:, DRAG])[:, None] * directions[:, 0]
    moved[:, POSITION] += 0.5 * step_s**2 * drag
    moved[:, VELOCITY] += step_s * drag
    return SharedStep(end, moved, transition, directions)


def orbit_vector(state: Array) -> Array:
    """Orbit state (10,) of position, velocity and drag (7,), without empirical accelerations."""
    x = np.zeros(SIZE)
    x[: DRAG + 1] = state
    return x


def _kicked(position_m: Array, deviations: Array, duration_s: float) -> Array:
    """Deviations whose velocities have been changed for some time by gravity that is not linear."""
    apart_m = deviations[:, POSITION]
    curved = _acceleration(position_m + apart_m) - _acceleration(position_m) - apart_m @ _gradient(position_m)
    result = deviations.copy()
    result[:, VELOCITY] += duration_s * curved
    return result

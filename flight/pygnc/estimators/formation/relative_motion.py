"""How a satellite moves relative to the reference, however far apart: variation of constants.

The deviation is d(t) = A(t) y(t): the reference's transition matrix times the deviation at the epoch that would, by
linear motion, lead to d(t). Only what is not linear in gravity moves y, N = F(r + d) - F(r) - G d with central body and
J2 in F, by y' = A^-1 (0, N): 1e-3 of the motion for satellites 10 km apart, so that steps of two minutes of
Runge-Kutta's fourth order lose a millimetre. The higher harmonics, drag and all else are in A.
Many satellites, and many guesses of each, move together, forwards and backwards from the epoch at once.

One step for many satellites near each other: one of them with all forces, the others by their deviations from it.

Deviations move by the first one's transition matrix. What in gravity is not linear, N = F(r + d) - F(r) - G d with
central body and J2 in F, kicks their velocities for half of the step at either end (Strang, SIAM J. Numer. Anal. 5,
1968): kicks at equal intervals are the trapezoidal rule, which is all but exact for what repeats with the orbit.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.environment.arrays import Array
from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2
from pygnc.estimators.formation.reference import NODE_S, STATE_SIZE, Reference
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.state import DRAG, POSITION, SIZE, VELOCITY

_J2: Final = 1.082_626_2e-3
_FLATTENING: Final = 0.5 * _J2 * GM_EARTH_M3_S2 * EARTH_RADIUS_M**2
_STEP_NODES: Final = 2
_STEP_S: Final = _STEP_NODES * NODE_S


class Motion(NamedTuple):
    """Motion of k deviations over the arc, in steps of two nodes.

    Attributes:
        constants: y, shape (steps + 1, k, 7).
        rates: dy/dt, shape (steps + 1, k, 7).
        by_start: Derivative of y by y at the epoch, shape (steps + 1, k, 7, 7); None when motion was asked for alone.
    """

    constants: Array
    rates: Array
    by_start: Array | None

    def chosen(self, rows: slice) -> "Motion":
        """Of some of them."""
        by_start = None if self.by_start is None else self.by_start[:, rows]
        return Motion(self.constants[:, rows], self.rates[:, rows], by_start)

    def at(self, rows: int | slice | Array, places: Array) -> Array:
        """Y of some deviations at moments given in nodes, (m,): shape (m, rows, 7)."""
        before, t = _step_and_fraction(places, len(self.constants) - 1)
        t = t[:, None, None]
        first, last = self.constants[before, rows], self.constants[before + 1, rows]
        r0, r1 = self.rates[before, rows], self.rates[before + 1, rows]
        bump = t * (1.0 - t)
        rise = last - first
        result: Array = first + t * rise + bump * ((1.0 - t) * (_STEP_S * r0 - rise) - t * (_STEP_S * r1 - rise))
        return result

    def partials_at(self, rows: int | slice | Array, places: Array) -> Array | None:
        """Derivative of `at` by y at the epoch, (m, rows, 7, 7), between the steps by straight lines."""
        if self.by_start is None:
            return None
        before, t = _step_and_fraction(places, len(self.constants) - 1)
        t = t[:, None, None, None]
        partials: Array = self.by_start[before, rows]
        partials += t * (self.by_start[before + 1, rows] - partials)
        return partials


class RelativeDynamics:
    """Propagation of deviations from one reference.

    Cost: 25 us per node of the reference for a few deviations, and as much again with derivatives; 1 us per node for
    each of many.
    """

    def __init__(self, reference: Reference) -> None:
        middle = reference.middle
        self._steps = middle // _STEP_NODES
        # Where both sides' steps from the epoch outwards are in order of time, (n, 2).
        self._outwards = self._steps + np.arange(self._steps + 1)[:, None] * np.array((1, -1))
        # Nodes from the epoch outwards: forwards first, backwards second, (2, n, ...).
        out = np.stack((np.arange(middle, 2 * middle + 1), np.arange(middle, -1, -1)))
        transition = reference.nodes.by_epoch[out]
        self._place = np.ascontiguousarray(transition[..., POSITION, :].swapaxes(-1, -2))  # (2, n, 7, 3)
        self._kick = np.zeros((*out.shape, 3, STATE_SIZE))
        self._kick[..., :6] = np.linalg.inv(transition[..., :6])[..., 3:].swapaxes(-1, -2)
        self._reference_m = reference.nodes.state[out][..., POSITION]
        self._pull = _oblate_acceleration(self._reference_m)
        self._gradient = _oblate_gradient(self._reference_m)

    def linear(self, start: Array) -> Motion:
        """Motion of `start` (k, 7) without what is not linear."""
        constants = np.broadcast_to(start, (2 * self._steps + 1, *start.shape))
        return Motion(constants, np.zeros_like(constants), None)

    def propagate(self, start: Array, *, partials: bool = True) -> Motion:
        """Motion of deviations `start` (k, 7) at the epoch."""
        step_s = np.array((_STEP_S, -_STEP_S))[:, None, None]
        y = np.stack((start, start))
        constants, rates = np.empty((2, 2 * self._steps + 1, *start.shape))
        for step, places in enumerate(self._outwards):
            node = _STEP_NODES * step
            first = self._rate(node, y)
            constants[places], rates[places] = y, first
            if step == self._steps:
                break
            second = self._rate(node + 1, y + 0.5 * step_s * first)
            third = self._rate(node + 1, y + 0.5 * step_s * second)
            fourth = self._rate(node + 2, y + step_s * third)
            y = y + step_s / 6.0 * (first + 2.0 * (second + third) + fourth)
        motion = Motion(constants, rates, None)
        return self.with_partials(motion) if partials else motion

    def _rate(self, node: int, y: Array) -> Array:
        """dy/dt at a node on either side, (2, k, 7)."""
        deviation = y @ self._place[:, node]
        pull = _oblate_acceleration(self._reference_m[:, node, None] + deviation) - self._pull[:, node, None]
        rate: Array = (pull - deviation @ self._gradient[:, node]) @ self._kick[:, node]
        return rate

    def with_partials(self, motion: Motion) -> Motion:
        """Motion that was asked for alone, with its derivatives by the trapezoidal rule.

        They differ from the unit matrix by as little as the motion from a linear one, and need no more accuracy.
        """
        path = motion.constants[self._outwards]  # (steps + 1, 2, k, 7)
        at_steps = slice(None, None, _STEP_NODES)
        place, kick = (part[:, at_steps].swapaxes(0, 1) for part in (self._place, self._kick))
        reference_m = self._reference_m[:, at_steps].swapaxes(0, 1)[:, :, None]
        change = _oblate_gradient(reference_m + path @ place) - _oblate_gradient(reference_m)
        rates = (kick.swapaxes(-1, -2)[:, :, None] @ change) @ place.swapaxes(-1, -2)[:, :, None]
        halves = np.array((0.5 * _STEP_S, -0.5 * _STEP_S))[:, None, None, None]
        by_start = np.empty((*motion.constants.shape, STATE_SIZE))
        last = np.broadcast_to(np.eye(STATE_SIZE), rates.shape[1:])
        by_start[self._steps] = last[0]
        for step in range(1, len(rates)):
            slope = rates[step - 1] @ last
            predicted = last + 2.0 * halves * slope
            last = last + halves * (slope + rates[step] @ predicted)
            by_start[self._outwards[step]] = last
        return motion._replace(by_start=by_start)


def _step_and_fraction(places: Array, count: int) -> tuple[npt.NDArray[np.int64], Array]:
    """The step in which moments given in nodes lie, and the fraction of it that has passed."""
    steps = places / _STEP_NODES
    before = np.clip(steps.astype(np.int64), 0, count - 1)
    return before, steps - before


def _oblate_acceleration(position_m: Array) -> Array:
    """By central body and J2 about the z axis of GCRF, (..., 3)."""
    z = position_m[..., 2]
    inverse2 = 1.0 / np.einsum("...i,...i", position_m, position_m)
    inverse3 = inverse2 * np.sqrt(inverse2)
    inverse5 = _FLATTENING * inverse3 * inverse2
    radial = -GM_EARTH_M3_S2 * inverse3 + inverse5 * (15.0 * inverse2 * z * z - 3.0)
    acceleration: Array = radial[..., None] * position_m
    acceleration[..., 2] -= 6.0 * inverse5 * z
    return acceleration


def _oblate_gradient(position_m: Array) -> Array:
    """Derivative of `_acceleration`, (..., 3, 3)."""
    z = position_m[..., 2]
    inverse2 = 1.0 / np.einsum("...i,...i", position_m, position_m)
    inverse3 = inverse2 * np.sqrt(inverse2)
    inverse5 = _FLATTENING * inverse3 * inverse2
    radial = -GM_EARTH_M3_S2 * inverse3 + inverse5 * (15.0 * inverse2 * z * z - 3.0)
    both = 3.0 * GM_EARTH_M3_S2 * inverse3 * inverse2 + inverse5 * inverse2 * (15.0 - 105.0 * inverse2 * z * z)
    gradient: Array = both[..., None, None] * (position_m[..., :, None] * position_m[..., None, :])
    mixed = (30.0 * inverse5 * inverse2 * z)[..., None] * position_m
    gradient[..., 2] += mixed
    gradient[..., 2, :] += mixed
    for axis in range(3):
        gradient[..., axis, axis] += radial
    gradient[..., 2, 2] -= 6.0 * inverse5
    return gradient


class JointStep(NamedTuple):
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


def joint_step(dynamics: OrbitDynamics, gps_ms: int, x: Array, deviations: Array, step_s: float) -> JointStep:
    """Carry the first satellite `x` (10,) and deviations (k, 7) from it; no empirical acceleration is passed on."""
    kicked = _with_kick(x[POSITION], deviations, 0.5 * step_s)
    end, transition, directions = dynamics.step(gps_ms, x, step_s)
    transition = transition[:STATE_SIZE, :STATE_SIZE]
    moved = _with_kick(end[POSITION], kicked @ transition.T, 0.5 * step_s)
    # What the logarithm leaves out when factors differ by a tenth is a metre in three hours.
    drag = (np.expm1(moved[:, DRAG]) - moved[:, DRAG])[:, None] * directions[:, 0]
    moved[:, POSITION] += 0.5 * step_s**2 * drag
    moved[:, VELOCITY] += step_s * drag
    return JointStep(end, moved, transition, directions)


def orbit_vector(state: Array) -> Array:
    """Orbit state (10,) of position, velocity and drag (7,), without empirical accelerations."""
    x = np.zeros(SIZE)
    x[: DRAG + 1] = state
    return x


def _with_kick(position_m: Array, deviations: Array, duration_s: float) -> Array:
    """Deviations whose velocities have been changed for some time by gravity that is not linear."""
    apart_m = deviations[:, POSITION]
    curved = (
        _oblate_acceleration(position_m + apart_m)
        - _oblate_acceleration(position_m)
        - apart_m @ _oblate_gradient(position_m)
    )
    result = deviations.copy()
    result[:, VELOCITY] += duration_s * curved
    return result

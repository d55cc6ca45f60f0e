"""The orbit around which the formation is linearised: ours, with all forces, and its transition matrices.

It is integrated once, by the orbit's dynamics, to nodes a minute apart on either side of an epoch. Between nodes a
quintic Hermite polynomial through positions, velocities and accelerations is good to a centimetre.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.environment.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.environment.gravity import gravity_and_gradient
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.state import DRAG, EMPIRICAL, POSITION, SIZE, VELOCITY, OrbitState

NODE_MS: Final = 60_000
NODE_S: Final = NODE_MS * 1e-3
STATE_SIZE: Final = DRAG + 1
"""Of one satellite: position, velocity and logarithm of its drag factor, as deviations from the reference."""
_INTERPOLATION_DEGREE: Final = 36
"""Of the gravity in the accelerations at the nodes; terms beyond change the polynomial by millimetres."""


class ReferenceStates(NamedTuple):
    """The reference at k moments.

    Attributes:
        state: Position and velocity in GCRF, shape (k, 6).
        by_epoch: Their derivatives by position, velocity and drag at the epoch, shape (k, 6, 7).
    """

    state: Array
    by_epoch: Array


class Reference:
    """A reference trajectory over an arc.

    Args:
        orbit: Our satellite's orbit, in the arc or near it. Its empirical accelerations are left out: they fade within
            a quarter of an hour, and would grow as fast backwards.
        span_ms: First and last moment needed.
        dynamics: The orbit's.
        step_max_ms: Longest step of `dynamics`.
        frames: Those of `dynamics`.

    Attributes:
        epoch_ms: A node in the middle of the arc.
        middle: Index of the epoch among the nodes; as many lie before it as after it, an even number.
        drag: Logarithm of the reference's drag factor at the epoch.
        from_orbit: Transition matrix from `orbit` to the epoch, (7, 7).
        nodes: The reference there.
    """

    def __init__(
        self,
        orbit: OrbitState,
        span_ms: tuple[int, int],
        dynamics: OrbitDynamics,
        step_max_ms: int,
        frames: EarthFrames,
    ) -> None:
        self._dynamics = dynamics
        self._pieces = math.ceil(NODE_MS / step_max_ms)
        self.epoch_ms = (span_ms[0] + span_ms[1]) // 2
        half_ms = self.epoch_ms - span_ms[0] + 1
        self.middle = 2 * math.ceil(max(half_ms, 1) / (2 * NODE_MS))
        x = orbit.x.copy()
        x[EMPIRICAL] = 0.0
        x, transition = self._carried(orbit.gps_ms, x, self.epoch_ms, step_max_ms)
        self.from_orbit: Array = transition[:STATE_SIZE, :STATE_SIZE]
        self.drag = float(x[DRAG])
        halves = [self._nodes(x, sign * NODE_MS) for sign in (-1, 1)]
        states = np.array([*reversed(halves[0][0]), x, *halves[1][0]])
        by_epoch = np.array([*reversed(halves[0][1]), np.eye(SIZE), *halves[1][1]])[:, :6, :STATE_SIZE]
        self.nodes = ReferenceStates(states[:, :6], by_epoch)
        self._accelerations = self._second_derivatives(frames)

    @property
    def node_times_ms(self) -> list[int]:
        """GPS milliseconds of the nodes."""
        return [self.epoch_ms + NODE_MS * number for number in range(-self.middle, self.middle + 1)]

    def covers(self, gps_ms: int) -> bool:
        """Whether a moment lies on it."""
        return abs(gps_ms - self.epoch_ms) <= NODE_MS * self.middle

    def places(self, gps_ms: Array) -> Array:
        """Moments (k,) in nodes from the first one, (k,)."""
        return (gps_ms - float(self.epoch_ms)) / NODE_MS + self.middle

    def at(self, gps_ms: Array) -> ReferenceStates:
        """The reference at k moments, (k,), on it."""
        places = self.places(gps_ms)
        before = np.clip(places.astype(np.int64), 0, 2 * self.middle - 1)
        values = self._columns(POSITION)
        rates, seconds = self._columns(VELOCITY), self._accelerations
        ends = np.stack(
            [part[before + end] for part in (values, rates, seconds) for end in (0, 1)], axis=1
        )  # (k, 6, 3, 8)
        shape, slope = _quintic_weights(places - before)
        place = np.einsum("ke,keij->kij", shape, ends)
        rate = np.einsum("ke,keij->kij", slope, ends)
        state = np.concatenate((place[..., 0], rate[..., 0]), axis=1)
        return ReferenceStates(state, np.concatenate((place[..., 1:], rate[..., 1:]), axis=1))

    def _columns(self, rows: slice) -> Array:
        """Position or velocity of the nodes beside their derivatives, (n, 3, 8)."""
        return np.concatenate((self.nodes.state[:, rows, None], self.nodes.by_epoch[:, rows]), axis=2)

    def _second_derivatives(self, frames: EarthFrames) -> Array:
        """Of `_columns(POSITION)`, by gravity alone, (n, 3, 8)."""
        columns = self._columns(POSITION)
        for gps_ms, column in zip(self.node_times_ms, columns, strict=True):
            rotation = frames.at(gps_ms, np.zeros(1)).ecef_from_gcrf[0]
            acceleration, gradient = gravity_and_gradient(rotation.dot(column[:, 0]), _INTERPOLATION_DEGREE)
            column[:, 1:] = rotation.T.dot(gradient).dot(rotation).dot(column[:, 1:])
            column[:, 0] = rotation.T.dot(acceleration)
        return columns

    def _nodes(self, x: Array, step_ms: int) -> tuple[list[Array], list[Array]]:
        """States (10,) and transition matrices (10, 10) at the nodes from the epoch to one end."""
        gps_ms, transition = self.epoch_ms, np.eye(SIZE)
        states, transitions = [], []
        for _ in range(self.middle):
            x, step = self._carried(gps_ms, x, gps_ms + step_ms, NODE_MS // self._pieces)
            gps_ms += step_ms
            transition = step.dot(transition)
            states.append(x)
            transitions.append(transition)
        return states, transitions

    def _carried(self, gps_ms: int, x: Array, to_gps_ms: int, longest_ms: int) -> tuple[Array, Array]:
        """State and transition matrix from one moment to another."""
        transition = np.eye(SIZE)
        while gps_ms != to_gps_ms:
            step_ms = max(-longest_ms, min(longest_ms, to_gps_ms - gps_ms))
            x, step, _ = self._dynamics.step(gps_ms, x, step_ms * 1e-3)
            transition = step.dot(transition)
            gps_ms += step_ms
        return x, transition


def state_indices(satellite: int) -> npt.NDArray[np.int64]:
    """Where a satellite's unknowns are among those of all, (7,)."""
    return STATE_SIZE * satellite + np.arange(STATE_SIZE)


def _quintic_weights(t: Array) -> tuple[Array, Array]:
    """Weights of (f0, f1, f0', f1', f0'', f1'') for value and rate at fractions `t` (k,) of a node, (k, 6) each."""
    h = NODE_S
    powers = np.stack([t**k for k in range(6)], axis=1)
    # Rows: powers 0 to 5; columns: the six functions, for a node of unit length.
    basis = np.array(
        [
            [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 0.5, 0.0],
            [-10.0, 10.0, -6.0, -4.0, -1.5, 0.5],
            [15.0, -15.0, 8.0, 7.0, 1.5, -1.0],
            [-6.0, 6.0, -3.0, -3.0, -0.5, 0.5],
        ]
    ) * np.array([1.0, 1.0, h, h, h * h, h * h])
    slopes = np.zeros_like(powers)
    slopes[:, 1:] = powers[:, :-1] * np.arange(1.0, 6.0) / h
    return powers @ basis, slopes @ basis

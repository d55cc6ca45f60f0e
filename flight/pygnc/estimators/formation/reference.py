"""Reference orbit of the linearisation: our own orbit with all forces, and its transition matrices.

The orbit filter's dynamics integrate an orbit to nodes one minute apart (`OrbitPath`). Successive solutions share it
and integrate only its new part. The reference of a solution has its epoch at the node in the middle of the arc. Between
nodes, position and velocity follow from the quintic Hermite polynomial through positions, velocities and accelerations
at both ends; its error is below a centimetre. The transition matrices Phi(t, t0) are interpolated in the same way, with
accelerations d2(Phi_r)/dt2 = G Phi_r from the gravity gradient G.
"""

import math
from collections import deque
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.environment.gravity import gravity_and_gradient
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.state import DRAG, EMPIRICAL, POSITION, SIZE, VELOCITY, OrbitState

_NODE_MS: Final = 60_000
NODE_S: Final = _NODE_MS * 1e-3
_STEPS: Final = 2
"""Longest integration step in steps of the force model. In arcs of 3 h, 60 s instead of 30 s displace an orbit by 1 to
5 cm, and neighbouring orbits alike.
"""
NODES_MULTIPLE: Final = 4
"""The numbers of nodes before and after the epoch are multiples of this, the longest step of `relative_motion`."""
STATE_SIZE: Final = DRAG + 1
"""Estimated parameters of one satellite: position, velocity and logarithm of the drag factor, as deviations from the
reference."""
COINCIDENT_M: Final = 1e-3
"""Distance in m that replaces smaller ones in directions of lines of sight, which a distance of 0 does not have."""
DRAG_MODES: Final = 6
"""Number of drag modes, which are relative variations of drag over the arc: cosine and sine of the argument of latitude
and of twice that, and the Legendre polynomials of degree 1 and 2."""


class ReferenceStates(NamedTuple):
    """Reference states at k times.

    Attributes:
        state: Position in m and velocity in m/s, GCRF, shape (k, 6).
        d_state_d_epoch: Derivatives with respect to position, velocity and log drag factor at the epoch, (k, 6, 7).
        d_state_d_modes: Derivatives with respect to the drag modes, shape (k, 6, `DRAG_MODES`).
    """

    state: Array
    d_state_d_epoch: Array
    d_state_d_modes: Array


class PathStart(NamedTuple):
    """Initial state of an orbit path: GPS milliseconds and the state vector of the orbit filter, (10,)."""

    gps_ms: int
    x: Array


class PathNodes(NamedTuple):
    """Successive nodes of an orbit path.

    Attributes:
        states: State vectors, (n, 10).
        steps: Transition matrices of position, velocity and log drag factor from each node to the next, (n - 1, 7, 7).
        drag_mps2: Acceleration per unit of the log drag factor between the nodes, GCRF, (n - 1, 3).
    """

    states: Array
    steps: Array
    drag_mps2: Array


class OrbitPath:
    """Orbit from one initial state, at nodes of equal distance; integrated once and extended when more is needed.

    A path that is made of the same start gives the same nodes bit by bit.

    Args:
        start: Initial state; its empirical accelerations must be zero, because their correlation time is a quarter of
            an hour, and backwards in time they would grow exponentially.
        dynamics: Dynamics of the orbit filter.
        node_ms: Distance of the nodes in ms.
        step_ms: Length of an integration step in ms; by default `_STEPS` times that of the force model.

    Attributes:
        start: Initial state; moves to the first node in use when that is later.
        d_start_d_orbit: Transition matrix (7, 7) from the orbit of which `of_orbit` made the path.
    """

    d_start_d_orbit: Array = np.eye(STATE_SIZE)

    def __init__(
        self, start: PathStart, dynamics: OrbitDynamics, *, node_ms: int = _NODE_MS, step_ms: int | None = None
    ) -> None:
        self.start = start
        self._dynamics, self._node_ms, self._step_ms = dynamics, node_ms, step_ms
        self._first_ms = start.gps_ms
        self._states = deque((start.x,))
        self._steps: deque[tuple[Array, Array]] = deque()
        self._gravity: dict[int, Array] = {}

    @classmethod
    def of_orbit(cls, orbit: OrbitState, gps_ms: int, dynamics: OrbitDynamics) -> "OrbitPath":
        """Return the path of an orbit with its start at `gps_ms`."""
        x = orbit.x.copy()
        x[EMPIRICAL] = 0.0
        x, transition = dynamics.propagate_vector(orbit.gps_ms, x, gps_ms)
        path = cls(PathStart(gps_ms, x), dynamics)
        path.d_start_d_orbit = transition[:STATE_SIZE, :STATE_SIZE]
        return path

    @property
    def last_ms(self) -> int:
        """GPS milliseconds of the last node so far."""
        return self._first_ms + self._node_ms * (len(self._states) - 1)

    def nodes(self, first_ms: int, last_ms: int) -> PathNodes:
        """Return the nodes from `first_ms` to `last_ms`, which are times of nodes; forget earlier ones."""
        while self._first_ms > first_ms:
            x, backwards, drag = self._advanced(self._first_ms, self._states[0], -self._node_ms)
            self._states.appendleft(x)
            forwards = np.asarray(np.linalg.inv(backwards), dtype=np.float64)
            self._steps.appendleft((forwards, drag))
            self._first_ms -= self._node_ms
        while self.last_ms < last_ms:
            x, step, drag = self._advanced(self.last_ms, self._states[-1], self._node_ms)
            self._states.append(x)
            self._steps.append((step, drag))
        while self._first_ms < first_ms:
            self._states.popleft()
            self._steps.popleft()
            self._gravity.pop(self._first_ms, None)
            self._first_ms += self._node_ms
        if first_ms > self.start.gps_ms:
            self.start = PathStart(first_ms, self._states[0])
        count = (last_ms - first_ms) // self._node_ms
        states, steps = [*islice(self._states, count + 1)], [*islice(self._steps, count)]
        return PathNodes(
            np.stack(states),
            np.array([step for step, _ in steps]).reshape(-1, STATE_SIZE, STATE_SIZE),
            np.array([drag for _, drag in steps]).reshape(-1, 3),
        )

    def gravity(self, gps_ms: int, position_m: Array) -> Array:
        """Return gravity (column 0) and its gradient, GCRF, (3, 4), at the node at `gps_ms`, where the position is."""
        if gps_ms not in self._gravity:
            rotation = self._dynamics.frames.at(gps_ms, np.zeros(1)).ecef_from_gcrf[0]
            # Degree 36 suffices: higher degrees change the interpolation by millimetres.
            acceleration, gradient = gravity_and_gradient(rotation.dot(position_m), 36)
            ecef = np.concatenate((acceleration[:, None], gradient.dot(rotation)), axis=1)
            self._gravity[gps_ms] = rotation.T.dot(ecef)
        return self._gravity[gps_ms]

    def _advanced(self, gps_ms: int, x: Array, duration_ms: int) -> tuple[Array, Array, Array]:
        """Return state, transition matrix (7, 7) and acceleration per log drag factor after `duration_ms`."""
        transition, end_ms, drag_mps2 = np.eye(SIZE), gps_ms + duration_ms, np.zeros(3)
        while gps_ms != end_ms:
            longest_ms = self._step_ms or _STEPS * self._dynamics.step_max_ms(x)
            step_ms = max(-longest_ms, min(longest_ms, end_ms - gps_ms))
            x, step, directions = self._dynamics.step(gps_ms, x, step_ms * 1e-3)
            transition, gps_ms, drag_mps2 = step.dot(transition), gps_ms + step_ms, directions[:, 0]
        return x, transition[:STATE_SIZE, :STATE_SIZE], drag_mps2


class Reference:
    """Reference trajectory over an arc.

    Args:
        path: Orbit near ours, with nodes at whole minutes.
        span_ms: GPS milliseconds of the first and the last time needed.

    Attributes:
        epoch_ms: GPS milliseconds of the epoch, a node in the middle of the arc.
        epoch_node: Index of the epoch among the nodes, a multiple of `NODES_MULTIPLE`; as many nodes lie after it.
        log_drag: Logarithm of the reference's drag factor at the epoch.
        d_epoch_d_orbit: Transition matrix (7, 7) to the epoch from the orbit of which a new path was made.
        nodes: Reference states at the nodes.
    """

    def __init__(self, path: OrbitPath, span_ms: tuple[int, int]) -> None:
        self.epoch_ms = epoch_of(span_ms)
        half_ms = max(self.epoch_ms - span_ms[0], span_ms[1] - self.epoch_ms, 1)
        self.epoch_node = NODES_MULTIPLE * math.ceil(half_ms / (NODES_MULTIPLE * _NODE_MS))
        states, steps, _ = path.nodes(*self.span_ms)
        self.d_epoch_d_orbit = path.d_start_d_orbit
        self.log_drag = float(states[self.epoch_node, DRAG])
        transitions = np.empty((len(states), STATE_SIZE, STATE_SIZE))
        transitions[self.epoch_node] = np.eye(STATE_SIZE)
        for node in range(self.epoch_node, len(steps)):
            transitions[node + 1] = steps[node].dot(transitions[node])
        backwards = np.linalg.inv(steps[: self.epoch_node])
        for node in range(self.epoch_node - 1, -1, -1):
            transitions[node] = backwards[node].dot(transitions[node + 1])
        d_state_d_epoch = np.ascontiguousarray(transitions[:, :6])
        self._mode_constants = _drag_mode_constants(states, d_state_d_epoch, self.epoch_node)
        modes = d_state_d_epoch[..., :6] @ self._mode_constants
        self.nodes = ReferenceStates(states[:, :6], d_state_d_epoch, modes)
        times = range(self.span_ms[0], self.span_ms[1] + 1, _NODE_MS)
        gravity = np.stack([path.gravity(*each) for each in zip(times, states[:, POSITION], strict=True)])
        # Second time derivatives of `_columns(POSITION)` by gravity alone, (n, 3, 8).
        self._accelerations = np.concatenate((gravity[..., :1], gravity[..., 1:] @ d_state_d_epoch[:, :3]), axis=2)

    @property
    def span_ms(self) -> tuple[int, int]:
        """GPS milliseconds of the first and the last node."""
        return self.epoch_ms - _NODE_MS * self.epoch_node, self.epoch_ms + _NODE_MS * self.epoch_node

    def covers(self, gps_ms: int) -> bool:
        """Return True if `gps_ms` lies between the first and the last node, ends included."""
        return self.span_ms[0] <= gps_ms <= self.span_ms[1]

    def largest_deviation_m(self, change: Array) -> float:
        """Return the largest deviation from the reference on an axis at the nodes, in m, for one (7,) at the epoch.

        It is that of linear motion, and that of position alone.
        """
        return float(np.abs(self.nodes.d_state_d_epoch[:, :3].dot(change)).max())

    def node_time(self, gps_ms: Array) -> Array:
        """Convert GPS milliseconds (k,) to node intervals (minutes) since the first node, (k,)."""
        return (gps_ms - float(self.epoch_ms)) / _NODE_MS + self.epoch_node

    def at(self, gps_ms: Array) -> ReferenceStates:
        """Return the reference at the times `gps_ms` (k,), which must be inside the span."""
        node_time = self.node_time(gps_ms)
        before = np.clip(node_time.astype(np.int64), 0, 2 * self.epoch_node - 1)
        values = self._columns(POSITION)
        rates, accelerations = self._columns(VELOCITY), self._accelerations
        ends = np.stack(
            [part[before + end] for part in (values, rates, accelerations) for end in (0, 1)], axis=1
        )  # k times; value, rate and acceleration at both nodes; 3 axes; state and its 7 derivatives
        value_weights, rate_weights = _quintic_weights(node_time - before)
        value = np.einsum("ke,keij->kij", value_weights, ends)
        rate = np.einsum("ke,keij->kij", rate_weights, ends)
        state = np.concatenate((value[..., 0], rate[..., 0]), axis=1)
        d_state_d_epoch = np.concatenate((value[..., 1:], rate[..., 1:]), axis=1)
        fraction = (node_time - before)[:, None, None]
        first, last = self._mode_constants[before], self._mode_constants[before + 1]
        return ReferenceStates(state, d_state_d_epoch, d_state_d_epoch[..., :6] @ (first + fraction * (last - first)))

    def _columns(self, rows: slice) -> Array:
        """Return positions or velocities at the nodes (column 0) and their `d_state_d_epoch`, (n, 3, 8)."""
        return np.concatenate((self.nodes.state[:, rows, None], self.nodes.d_state_d_epoch[:, rows]), axis=2)


def epoch_of(span_ms: tuple[int, int]) -> int:
    """Return the epoch of the reference over an arc: GPS milliseconds of the node in its middle."""
    return _NODE_MS * round((span_ms[0] + span_ms[1]) / (2 * _NODE_MS))


class Track(NamedTuple):
    """Path of one satellite near a reference.

    Attributes:
        reference: The satellite's own reference if its orbit is known, otherwise ours.
        offset: State of that reference minus ours at the epoch, (7,).
        is_linear: True if the satellite is so close to the reference that its relative motion is taken as linear.
    """

    reference: Reference
    offset: Array
    is_linear: bool


def log_factor(change: float) -> float:
    """Return the logarithm of the ratio of a drag factor to that of a reference, from their relative difference."""
    # A linear solution may be less than -1, which has no logarithm.
    return math.log1p(max(change, -0.9))


def log_drag(track: Track, parameters: Array, satellite: int) -> float:
    """Return the log drag factor of a satellite, by index, from parameters (p,), in which its drag is linear."""
    change = parameters[STATE_SIZE * satellite + DRAG] - track.offset[DRAG]
    return track.reference.log_drag + log_factor(float(change))


def _drag_mode_constants(states: Array, d_state_d_epoch: Array, epoch: int) -> Array:
    """Return the changes of the constants of motion per unit of each drag mode at the nodes, (n, 6, `DRAG_MODES`).

    The response to a constant change of drag grows by some amount per interval; a mode multiplies each of these
    amounts by its value in the middle of the interval.
    """
    response = np.linalg.solve(d_state_d_epoch[..., :6], d_state_d_epoch[..., 6:])
    before, after = states[:-1, POSITION], states[1:, POSITION]
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    angles = np.arccos(np.einsum("ni,ni->n", before, after) / lengths)
    argument = np.cumsum(angles) - 0.5 * angles
    time = (np.arange(len(angles)) + 0.5 - epoch) / epoch
    modes = (
        *(function(order * argument) for order in (1.0, 2.0) for function in (np.cos, np.sin)),
        time,
        1.5 * time**2 - 0.5,
    )
    grown = np.cumsum(np.diff(response, axis=0) * np.stack(modes, axis=1)[:, None], axis=0)
    constants = np.concatenate((np.zeros((1, 6, DRAG_MODES)), grown))
    result: Array = constants - constants[epoch]
    return result


def state_indices(satellite: int) -> npt.NDArray[np.int64]:
    """Return the indices (7,) of a satellite's state in the parameter vector."""
    return STATE_SIZE * satellite + np.arange(STATE_SIZE)


def _quintic_weights(t: Array) -> tuple[Array, Array]:
    """Return the weights of (f0, f1, f0', f1', f0'', f1'') for value and rate at fractions `t` (k,) of a node interval.

    Returns:
        Two arrays of shape (k, 6).
    """
    h = NODE_S
    powers = np.stack([t**k for k in range(6)], axis=1)
    # Rows: powers 0 to 5 of t. Columns: f0, f1, f0', f1', f0'', f1'' for an interval of unit length.
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
    derivatives = np.zeros_like(powers)
    derivatives[:, 1:] = powers[:, :-1] * np.arange(1.0, 6.0) / h
    return powers @ basis, derivatives @ basis

"""Motion of the partners relative to the reference orbit, for the solver and for the filter.

Solver: variation of constants. The deviation from the reference is d(t) = Phi(t) y(t), with the transition matrix Phi
of the reference and constants y that equal the deviation at the epoch. Only the nonlinear part of gravity changes y:

    y' = Phi^-1 (0, N),  N = F(r + d) - F(r) - G d,

with F the acceleration by central body and J2 and G its gradient. For satellites 10 km apart N is 1e-3 of the motion.
Higher harmonics, drag and all other forces act through Phi. Many parameter vectors are propagated at once, by Picard
iteration: the integral of y' along the last path, by a quadrature of sixth order, is the next path.

Filter: one step of all satellites near each other (`joint_step`). The first satellite moves with all forces,
deviations from it by its transition matrix; N changes their velocities for half of the step at either end (operator
splitting after Strang, SIAM J. Numer. Anal. 5, 1968). Such kicks at equal intervals are the trapezoidal rule, which
is nearly exact for a function that is periodic with the orbit.

Process noise of a step (`process_noise_root`). An empirical acceleration with standard deviation s and correlation time
T acts as white noise of density 2 s^2 T along radial, transverse and normal. The variation of the air density
(transverse) and the gravity field beyond the degree in use add to it. All three act nearly alike on satellites some
kilometres apart. Relative motion is disturbed by:

- a share of the empirical accelerations: sunlight and drag differ between satellites of one design like their areas;
- the variation of the air density times the difference of the drag factors, but at least the same share of it;
- the gradient of the omitted gravity field: degree l changes by the share (l + 2) d / r over a distance d.

Logarithms of drag factors are Gauss-Markov processes, one common to all satellites and one of each. Range biases are
constant.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2
from pygnc.estimators.formation.reference import NODE_S, STATE_SIZE, Reference
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.j2_propagator import J2
from pygnc.estimators.orbit.process_noise import omitted_gravity_density, sqrt_white_noise
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, POSITION, SIZE, VELOCITY

GRADIENT_DEGREE: Final = 40
"""Degree of the gravity gradient of relative motion. With degree 8, relative positions change by 1e-4 of the distance
in an orbit: two metres at 20 km."""
_FLATTENING: Final = 0.5 * J2 * GM_EARTH_M3_S2 * EARTH_RADIUS_M**2
_STEP_NODES: Final = 2
_STEP_S: Final = _STEP_NODES * NODE_S
_PARTIAL_STEPS: Final = 2
"""Steps of the motion per step of its derivatives, which change more slowly."""
_TOLERANCE: Final = np.repeat((1e-3, 1e-6), 3)
"""The Picard iteration ends if no position (m) or velocity (m/s) constant changes by more than this."""


class Motion(NamedTuple):
    """Motion of k deviations from the reference over the arc.

    Attributes:
        constants: Constants y: deviations referred to the epoch (m, m/s, log drag factor), in steps of two nodes, shape
            (steps + 1, k, 7).
        rates: dy/dt, per s, shape (steps + 1, k, 7).
        d_constants_d_epoch: Derivatives of y with respect to y at the epoch in steps of four nodes, (n, k, 7, 7); None
            if not computed.
    """

    constants: Array
    rates: Array
    d_constants_d_epoch: Array | None

    def at(self, rows: slice, node_time: Array) -> Array:
        """Return the constants y of the deviations `rows` at m times, (m, rows, 7), by cubic Hermite interpolation.

        `node_time` (m,) counts node intervals of the reference since its first node.
        """
        return cubic_hermite(self.constants[:, rows], self.rates[:, rows], node_time / _STEP_NODES, _STEP_S)

    def d_epoch(self, rows: slice, node_time: Array, d_constants: Array) -> Array:
        """Convert derivatives with respect to y at m ascending times to those with respect to y at the epoch.

        Both have shape (m, rows, ..., 7). `d_constants_d_epoch` is interpolated linearly; without it, y is constant.
        """
        if self.d_constants_d_epoch is None:
            return d_constants
        partials = self.d_constants_d_epoch[:, rows]
        steps = len(partials) - 1
        before, t = _step_and_fraction(node_time / (_STEP_NODES * _PARTIAL_STEPS), steps)
        # The times of each step fill blocks of equal size, which one product multiplies by both ends of their steps.
        size, counts = -(-len(before) // steps), np.bincount(before, minlength=steps)
        blocks = -(-counts // size)
        place = np.arange(len(before)) - (np.cumsum(counts) - counts)[before]
        at = (np.cumsum(blocks) - blocks)[before] + place // size, place % size
        weight = t.reshape(-1, *(1,) * (d_constants.ndim - 1))
        both = np.zeros((int(blocks.sum()), size, *d_constants.shape[1:-1], 2 * STATE_SIZE))
        both[at] = np.concatenate(((1.0 - weight) * d_constants, weight * d_constants), axis=-1)
        ends = np.concatenate((partials[:-1], partials[1:]), axis=2)[np.repeat(np.arange(steps), blocks)]
        by_row = both.swapaxes(1, 2)  # (blocks, rows, size, ..., 14)
        product = by_row.reshape(*ends.shape[:2], -1, 2 * STATE_SIZE) @ ends
        result: Array = product.reshape(*by_row.shape[:-1], STATE_SIZE).swapaxes(1, 2)[at]
        return result


class RelativeDynamics:
    """Propagator of deviations from one reference orbit, by Picard iteration over the whole arc at once.

    Cost on a desktop core: 0.3 us per node and deviation.
    """

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        at_steps = slice(None, None, _STEP_NODES)
        transition = reference.nodes.d_state_d_epoch[at_steps]
        self._position_map = np.ascontiguousarray(transition[:, POSITION].swapaxes(1, 2))  # (n, 7, 3)
        self._velocity_map = np.zeros((len(transition), 3, STATE_SIZE))
        self._velocity_map[..., :6] = np.linalg.inv(transition[..., :6])[..., 3:].swapaxes(1, 2)
        self._reference_m = reference.nodes.state[at_steps, None, POSITION]
        self._acceleration = _oblate_acceleration(self._reference_m)
        self._gradient = _oblate_gradient(self._reference_m)
        self._epoch = reference.epoch_node // _STEP_NODES
        self._integral = _Integral(len(transition), self._epoch)

    def propagate(self, deviations: Array, *, partials: bool = True) -> Motion:
        """Return the motion over the arc from deviations (k, 7) at the epoch; its derivatives only if `partials`."""
        constants = np.broadcast_to(deviations, (len(self._reference_m), *deviations.shape))
        for _ in range(40):
            rates = self._rates(constants)
            previous, constants = constants, deviations + _STEP_S * self._integral.of(rates)
            change = np.abs(constants - previous).max(axis=(0, 1))[:6]
            if (change <= _TOLERANCE).all():
                break
        motion = Motion(constants, rates, None)
        return self.with_partials(motion) if partials else motion

    def _rates(self, constants: Array) -> Array:
        """Return dy/dt for `constants` (n, k, 7), in the same shape."""
        deviation = constants @ self._position_map
        nonlinear = _oblate_acceleration(self._reference_m + deviation) - self._acceleration
        rates: Array = (nonlinear - deviation @ self._gradient[:, 0]) @ self._velocity_map
        return rates

    def with_partials(self, motion: Motion) -> Motion:
        """Return `motion` with `d_constants_d_epoch`, integrated by the trapezoidal rule (Heun's method).

        The derivatives differ as little from the unit matrix as the motion from linear motion, so this accuracy is
        sufficient.
        """
        steps = slice(None, None, _PARTIAL_STEPS)
        position_map, velocity_map = self._position_map[steps], self._velocity_map[steps]
        position_m = self._reference_m[steps] + motion.constants[steps] @ position_map
        gradient_change = _oblate_gradient(position_m) - self._gradient[steps]
        rates = (velocity_map.swapaxes(1, 2)[:, None] @ gradient_change) @ position_map.swapaxes(1, 2)[:, None]
        result, middle = np.empty((*rates.shape[:2], STATE_SIZE, STATE_SIZE)), self._epoch // _PARTIAL_STEPS
        # The epoch is in the middle: both directions at once, as rows of (steps, 2, k, 7, 7).
        outwards = np.stack((rates[middle:], rates[middle::-1]), axis=1)
        half_s = 0.5 * _PARTIAL_STEPS * _STEP_S * np.array((1.0, -1.0))[:, None, None, None]
        before, after = outwards[:-1], outwards[1:]
        maps = np.eye(STATE_SIZE) + half_s * (before + after + 2.0 * half_s * (after @ before))
        path = np.empty((middle + 1, *maps.shape[1:]))
        path[0] = np.eye(STATE_SIZE)
        for step, each in enumerate(maps):
            np.matmul(each, path[step], out=path[step + 1])
        result[middle:], result[middle::-1] = path[:, 0], path[:, 1]
        return motion._replace(d_constants_d_epoch=result)


class _Integral:
    """Quadrature from point `origin` to each of `count` points at unit distances.

    Each interval is integrated by the polynomial through the nearest six points.
    """

    def __init__(self, count: int, origin: int) -> None:
        self._origin, self._order = origin, min(6, count)
        # A polynomial through six points integrates its middle interval only; at the two ends of the grid, where no
        # further points follow, it also integrates the intervals before and after the middle one.
        before = self._order // 2 - 1
        weights = _interval_weights(self._order)
        self._first, self._middle, self._last = weights[:before], weights[before], weights[before + 1 :]
        # For at most 96 points, one product with a matrix of all weights is faster than sums over six points each.
        self._matrix = self._of_columns(np.eye(count)) if count <= 96 else None

    def of(self, values: Array) -> Array:
        """Return the integrals of `values` (count, ...) from the origin to each point, in the same shape."""
        flat = values.reshape(len(values), -1)
        integral = self._of_columns(flat) if self._matrix is None else self._matrix @ flat
        return integral.reshape(values.shape)

    def _of_columns(self, flat: Array) -> Array:
        integral, order = np.zeros(flat.shape), self._order
        before, after = len(self._first), len(flat) - len(self._last)
        integral[1 : before + 1] = self._first @ flat[:order]
        integral[after:] = self._last @ flat[-order:]
        middle = integral[before + 1 : after]
        for point, weight in enumerate(self._middle.tolist()):
            middle += weight * flat[point : point + len(middle)]
        np.cumsum(integral, axis=0, out=integral)
        integral -= integral[self._origin].copy()
        return integral


def _interval_weights(order: int) -> Array:
    """Return weights of equidistant values that integrate the polynomial through them, (order - 1, order).

    Row k gives the integral from point k to point k + 1, in units of the spacing.
    """
    powers = np.arange(order)
    points = powers - np.arange(order - 1.0)[:, None]
    moments = np.broadcast_to(1.0 / (powers + 1.0), points.shape)
    weights: Array = np.linalg.solve(points[:, None, :] ** powers[:, None], moments[..., None])[..., 0]
    return weights


def cubic_hermite(values: Array, rates: Array, steps: Array, step_s: float) -> Array:
    """Return cubic Hermite interpolations, (m, ...), of values and rates (n, ...) at equal steps.

    Args:
        values: Values at the ends of the steps.
        rates: Their time derivatives, per s.
        steps: Times of the result, in steps since the first value, (m,).
        step_s: Length of a step in s.
    """
    before, t = _step_and_fraction(steps, len(values) - 1)
    t = t.reshape(-1, *(1,) * (values.ndim - 1))
    rest = 1.0 - t
    result: Array = (rest * rest * (1.0 + 2.0 * t)) * values[before]
    result += (t * t * (1.0 + 2.0 * rest)) * values[before + 1]
    result += (step_s * t * rest * rest) * rates[before]
    result -= (step_s * t * t * rest) * rates[before + 1]
    return result


def _step_and_fraction(steps: Array, count: int) -> tuple[npt.NDArray[np.int64], Array]:
    """Return, for each time, the index (below `count`) of the step that contains it and the elapsed fraction, (m,)."""
    before = np.clip(steps.astype(np.int64), 0, count - 1)
    return before, steps - before


def _oblate_terms(position_m: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Return z, 1 / r^2, 1 / r^3, the flattening term over r^5, and the radial acceleration over r."""
    z = position_m[..., 2]
    inverse2 = 1.0 / np.einsum("...i,...i", position_m, position_m)
    inverse3 = inverse2 * np.sqrt(inverse2)
    inverse5 = _FLATTENING * inverse3 * inverse2
    radial = -GM_EARTH_M3_S2 * inverse3 + inverse5 * (15.0 * inverse2 * z * z - 3.0)
    return z, inverse2, inverse3, inverse5, radial


def _oblate_acceleration(position_m: Array) -> Array:
    """Return the acceleration by central body and J2 about the z axis of GCRF, (..., 3) -> (..., 3)."""
    z, _, _, inverse5, radial = _oblate_terms(position_m)
    acceleration: Array = radial[..., None] * position_m
    acceleration[..., 2] -= 6.0 * inverse5 * z
    return acceleration


def _oblate_gradient(position_m: Array) -> Array:
    """Return the derivative of `_oblate_acceleration` with respect to position, (..., 3) -> (..., 3, 3)."""
    z, inverse2, inverse3, inverse5, radial = _oblate_terms(position_m)
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
    """State of all satellites at the end of a step, and quantities of the step.

    Attributes:
        x: Orbit state of the first satellite, (10,).
        deviations: Deviations of k satellites from the first satellite in position (m), velocity (m/s) and log drag
            factor, (k, 7).
        transition: Transition matrix of deviations, (7, 7).
        directions: Acceleration per unit of each of the orbit's Gauss-Markov processes (drag, radial, transverse,
            normal), (3, 4).
    """

    x: Array
    deviations: Array
    transition: Array
    directions: Array


def joint_step(dynamics: OrbitDynamics, gps_ms: int, x: Array, deviations: Array, step_s: float) -> JointStep:
    """Propagate the first satellite `x` (10,) and deviations (k, 7) by `step_s` seconds.

    The empirical accelerations in `x` must be zero, because deviations have none.
    """
    end, transition, directions = dynamics.step(gps_ms, x, step_s)
    transition = transition[:STATE_SIZE, :STATE_SIZE]
    kick, moved = VelocityKick(np.stack((x[POSITION], end[POSITION]))), deviations.copy()
    moved[:, VELOCITY] += 0.5 * step_s * kick.at(0, moved)
    moved = moved @ transition.T
    moved[:, VELOCITY] += 0.5 * step_s * kick.at(1, moved)
    add_drag(moved, directions[:, 0], step_s)
    return JointStep(end, moved, transition, directions)


def add_drag(deviations: Array, drag_mps2: Array, step_s: float) -> None:
    """Add the second-order effect of the log drag factors over a step to deviations (k, 7) at its end.

    It is one metre in three hours if the factors differ by a tenth. `drag_mps2` (3,) is the acceleration per unit.
    """
    drag = (np.expm1(deviations[:, DRAG]) - deviations[:, DRAG])[:, None] * drag_mps2
    deviations[:, POSITION] += 0.5 * step_s**2 * drag
    deviations[:, VELOCITY] += step_s * drag


def orbit_vector(state: Array) -> Array:
    """Return the orbit state (10,) of position, velocity and log drag factor (7,), without empirical accelerations."""
    x = np.zeros(SIZE)
    x[: DRAG + 1] = state
    return x


class VelocityKick:
    """Acceleration of deviations from positions (n, 3) by the nonlinear part of gravity."""

    def __init__(self, position_m: Array) -> None:
        self._position_m = position_m
        self._acceleration, self._gradient = _oblate_acceleration(position_m), _oblate_gradient(position_m)

    def at(self, row: int, deviations: Array) -> Array:
        """Return the acceleration in m/s^2, (k, 3), of deviations (k, 7) from the position with this index."""
        relative_position_m = deviations[:, POSITION]
        total = _oblate_acceleration(self._position_m[row] + relative_position_m) - self._acceleration[row]
        acceleration: Array = total - relative_position_m @ self._gradient[row]
        return acceleration


def process_noise_root(
    settings: FormationSettings,
    orbit: OrbitSettings,
    step: JointStep,
    *,
    step_s: float,
    deviations: Array,
    biases: int,
) -> Array:
    """Return a square root W of the process noise covariance W W' of a step, for s satellites and b range biases.

    Args:
        settings: Variation of the drag factors, and share of the accelerations that differs between satellites.
        orbit: Force model and process noise of one satellite.
        step: The step; only the state of its first satellite and the directions of the accelerations are used.
        step_s: Length of the step in s, positive.
        deviations: Deviation of each satellite from the first satellite of the step, (s, 7).
        biases: Number b of range biases.

    Returns:
        Shape (7 s + b, 7 s + 7).
    """
    satellites = len(deviations)
    shared, own = _acceleration_noise(settings.differential_share, orbit, step, deviations)
    response = sqrt_white_noise(step_s)
    drag_factor = math.sqrt(-math.expm1(-2.0 * step_s / orbit.process_noise.drag_log_time_s))
    root = np.zeros((STATE_SIZE * satellites + biases, STATE_SIZE * (satellites + 1)))
    own_block = root[: STATE_SIZE * satellites, STATE_SIZE:]
    for satellite in range(satellites):
        rows = slice(STATE_SIZE * satellite, STATE_SIZE * satellite + DRAG)
        root[rows, :DRAG] = _kron(response, shared)
        own_block[rows, rows] = _kron(response, own[satellite])
        root[rows.stop, DRAG] = drag_factor * settings.log_drag_sigma
        own_block[rows.stop, rows.stop] = drag_factor * settings.differential_log_drag_sigma
    return root


def _kron(one: Array, other: Array) -> Array:
    """Return the Kronecker product of two matrices; `np.kron` takes ten times as long for small ones."""
    product: Array = one[:, None, :, None] * other[None, :, None, :]
    return product.reshape(len(one) * len(other), -1)


def _acceleration_noise(share: float, orbit: OrbitSettings, step: JointStep, deviations: Array) -> tuple[Array, Array]:
    """Return roots of the acceleration noise densities: common part, (3, 3), and parts of each satellite, (s, 3, 3)."""
    noise, drag = orbit.process_noise, step.directions[:, 0]
    degree = orbit.force_model.at(step.x[POSITION], step.x[VELOCITY]).gravity_degree
    sigma, time_s = np.array(noise.empirical_sigma_mps2), 2.0 * noise.empirical_time_s
    along_track = np.array((0.0, noise.density_variation * math.sqrt(drag.dot(drag)), 0.0))
    radius_m = math.sqrt(step.x[:3].dot(step.x[:3]))
    omitted = omitted_gravity_density(degree, radius_m)
    relative_change = (degree + 3.0) / radius_m * np.sqrt((deviations[:, :3] ** 2).sum(axis=1))
    # A density change acts on relative motion by the difference of two drags.
    drag_share = np.hypot(share, np.expm1(np.minimum(deviations[:, DRAG], 3.0)))
    empirical = time_s * ((share * sigma) ** 2 + (drag_share[:, None] * along_track) ** 2)
    own = np.sqrt(empirical + omitted * relative_change[:, None] ** 2)
    axes = step.directions[:, 1:]
    return axes * np.sqrt(time_s * (sigma**2 + along_track**2) + omitted), axes * own[:, None, :]

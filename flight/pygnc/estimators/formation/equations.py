"""Observation equations of an arc: residuals, cost, normal equations and prior.

The parameter vector (p,) holds seven numbers per satellite (position, velocity and log drag factor at the epoch, as
deviations from the reference) followed by one range bias per pair. With v = observed - predicted, the cost is

    J(x) = (m - x)' P (m - x) + sum over fixes of rho(|v|^2 / s^2) + sum over ranges of rho(v^2 / s^2),

with prior mean m, prior information P, noise s and the loss rho of `Loss`. A range is |d_j - d_i| + b_ij, with d the
positions and b the bias of the pair. The normal equations are N = P + A' W A and g = P (m - x) + A' W v. All functions
treat k parameter vectors (k, p) at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.observations import Arc, Pair
from pygnc.estimators.formation.reference import STATE_SIZE, Reference, parameter_indices
from pygnc.estimators.formation.relative_motion import Motion
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.measurement import linearise_fix
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import DRAG, SIZE, OrbitState

_COINCIDENT_M: Final = 1e-3
"""Minimum distance for the direction of the line of sight."""


class FixEquations(NamedTuple):
    """Linearised fixes of one satellite, in units of the receiver's standard deviations.

    Attributes:
        node_time: Times in node intervals of the reference, shape (m,).
        design: Derivatives of position and velocity by the satellite's state, shape (m, 6, 7).
        residual: Residuals of the reference, shape (m, 6).
        available: Whether the fix has a position and a velocity, shape (m, 2).
    """

    node_time: Array
    design: Array
    residual: Array
    available: npt.NDArray[np.bool_]


class RangeEquations(NamedTuple):
    """Linearised ranges of one pair.

    Attributes:
        pair: Indices of the two satellites.
        node_time: Times in node intervals of the reference, shape (n,).
        design: Derivatives of the relative position by the relative state, shape (n, 3, 7).
        range_m: Measured ranges, shape (n,).
    """

    pair: tuple[int, int]
    node_time: Array
    design: Array
    range_m: Array


class Prior(NamedTuple):
    """Prior distribution of all parameters: mean (p,) and information matrix (p, p)."""

    mean: Array
    information: Array


class Noise(NamedTuple):
    """Measurement noise.

    Attributes:
        range_sigma_m: Standard deviation of a range, by pair.
        fix_scale: Factor on the receiver's standard deviations, by satellite.
    """

    range_sigma_m: Array
    fix_scale: Array

    def subset(self, satellites: Sequence[int], pairs: Sequence[int]) -> "Noise":
        """Return the noise of some satellites and pairs, by index."""
        return Noise(self.range_sigma_m[list(pairs)], self.fix_scale[list(satellites)])


class Loss(NamedTuple):
    """Loss function of a residual of u standard deviations: u^2 up to a limit.

    Attributes:
        limit: Limit of ranges.
        limit_fix: Limit of the three components of a position or velocity together.
        hard: If true, a residual beyond the limit costs as much as at the limit and has no weight. Otherwise its
            cost grows linearly (Huber, Annals of Mathematical Statistics 35, 1964).
    """

    limit: float
    limit_fix: float
    hard: bool

    def cost_and_weight(self, square: Array, limit: float) -> tuple[Array, Array]:
        """Return costs and weights of squared residuals."""
        if self.hard:
            inside = square <= limit * limit
            return np.minimum(square, limit * limit), inside.astype(np.float64)
        size = np.sqrt(np.maximum(square, limit * limit))
        return np.where(size > limit, 2.0 * limit * size - limit * limit, square), limit / size


SEARCH_LOSS: Final = Loss(3.0, 4.6, hard=False)
"""Loss during the search: outliers have little influence, but gradients remain."""


class Fit(NamedTuple):
    """Cost and normal equations of k parameter vectors.

    Attributes:
        cost: Cost J, shape (k,).
        information: Normal matrices N, shape (k, p, p).
        gradient: Right-hand sides g = -dJ/dx / 2, shape (k, p).
    """

    cost: Array
    information: Array
    gradient: Array


@dataclass(frozen=True, slots=True, eq=False)
class Equations:
    """Observation equations of some satellites, our own first."""

    satellites: tuple[int, ...]
    """Radio ids, our own first."""
    pairs: tuple[Pair, ...]
    """Radio ids of the pairs with ranges."""
    fixes: tuple[FixEquations, ...]
    """Fixes by satellite."""
    ranges: tuple[RangeEquations, ...]
    """Ranges by pair."""
    prior: Prior

    @property
    def parameter_count(self) -> int:
        """Length p of the parameter vector."""
        return STATE_SIZE * len(self.satellites) + len(self.pairs)

    @property
    def index_pairs(self) -> list[tuple[int, int]]:
        """Indices of the satellites of each pair."""
        return [rows.pair for rows in self.ranges]

    def subset(self, chosen: Sequence[int], prior: Prior, fixes_of: Sequence[int], ranges_max: int) -> "Equations":
        """Return the equations of some satellites and of the ranges among them.

        Args:
            chosen: Indices of the satellites.
            prior: Prior of the smaller parameter vector.
            fixes_of: Indices, among all, of the satellites whose fixes are used.
            ranges_max: Maximum number of ranges of a pair; more are thinned evenly.
        """
        new_index = {satellite: number for number, satellite in enumerate(chosen)}
        pairs = self.pairs_among(chosen)
        fixes = []
        for satellite in chosen:
            used, rows = slice(None if satellite in fixes_of else 0), self.fixes[satellite]
            fixes.append(
                FixEquations(rows.node_time[used], rows.design[used], rows.residual[used], rows.available[used])
            )
        ranges = []
        for number in pairs:
            (one, other), *parts = self.ranges[number]
            thinned = slice(None, None, -(-len(parts[0]) // ranges_max))
            ranges.append(RangeEquations((new_index[one], new_index[other]), *(part[thinned] for part in parts)))
        satellites = tuple(self.satellites[satellite] for satellite in chosen)
        return Equations(satellites, tuple(self.pairs[number] for number in pairs), tuple(fixes), tuple(ranges), prior)

    def pairs_among(self, satellites: Sequence[int]) -> list[int]:
        """Return the indices of the pairs among some satellites, given by index."""
        return [number for number, rows in enumerate(self.ranges) if set(satellites) >= set(rows.pair)]

    def parameter_indices(self, satellites: Sequence[int]) -> npt.NDArray[np.int64]:
        """Return the indices of the parameters of some satellites and of the pairs among them."""
        return parameter_indices(satellites, self.pairs_among(satellites), len(self.satellites))

    def states(self, parameters: Array) -> Array:
        """Return the states of all satellites in the parameter vectors, (k, p) -> (k s, 7)."""
        return parameters[:, : STATE_SIZE * len(self.satellites)].reshape(-1, STATE_SIZE)

    def fit(self, parameters: Array, motion: Motion, noise: Noise, loss: Loss) -> Fit:
        """Return cost and normal equations of parameters (k, p), whose `states` move as in `motion`."""
        deviation = self.prior.mean - parameters
        gradient = deviation @ self.prior.information
        cost = np.einsum("kp,kp->k", deviation, gradient)
        information = np.tile(self.prior.information, (len(parameters), 1, 1))
        result = Fit(cost, information, gradient)
        for satellite in range(len(self.satellites)):
            self._add_fixes(result, satellite, motion, noise=noise, loss=loss)
        for pair in range(len(self.pairs)):
            self._add_ranges(result, parameters, pair, motion, noise=noise, loss=loss)
        return result

    def fix_residuals(self, satellite: int, motion: Motion, count: int) -> tuple[Array, Array]:
        """Return a satellite's fix residuals (k, m, 6) and the derivatives of its fixes by its state (k, m, 6, 7)."""
        rows = self.fixes[satellite]
        rows_of_satellite = slice(satellite, None, len(self.satellites))
        constants = motion.at(rows_of_satellite, rows.node_time).swapaxes(0, 1)
        residual = rows.residual - (rows.design @ constants[..., None])[..., 0]
        partials = motion.partials_at(rows_of_satellite, rows.node_time)
        if partials is None:
            return residual, np.broadcast_to(rows.design, (count, *rows.design.shape))
        return residual, rows.design @ partials.swapaxes(0, 1)

    def relative_positions(self, pair: int, motion: Motion) -> tuple[Array, Array]:
        """Return the relative positions of a pair at its ranges, (k, n, 3), and the distances, (k, n), in m."""
        rows, count = self.ranges[pair], len(self.satellites)
        one, other = rows.pair
        constants = motion.at(slice(other, None, count), rows.node_time) - motion.at(
            slice(one, None, count), rows.node_time
        )
        relative_position_m = (rows.design @ constants.swapaxes(0, 1)[..., None])[..., 0]
        return relative_position_m, np.sqrt(np.einsum("kni,kni->kn", relative_position_m, relative_position_m))

    def range_residuals(self, parameters: Array, pair: int, motion: Motion) -> Array:
        """Return measured minus predicted ranges in m, (k, n)."""
        _, distance_m = self.relative_positions(pair, motion)
        residual: Array = self.ranges[pair].range_m - distance_m - self._bias(parameters, pair)
        return residual

    def range_partials(self, pair: int, motion: Motion, relative_position_m: Array, distance_m: Array) -> Array:
        """Return the derivatives of ranges by the states of both satellites and the bias, (k, n, 15)."""
        rows, count = self.ranges[pair], len(self.satellites)
        line_of_sight = relative_position_m / np.maximum(distance_m, _COINCIDENT_M)[..., None]
        d_range_d_constants = (line_of_sight[..., None, :] @ rows.design)[..., 0, :]
        result = np.ones((*distance_m.shape, 2 * STATE_SIZE + 1))
        for end, column, sign in ((rows.pair[0], 0, -1.0), (rows.pair[1], STATE_SIZE, 1.0)):
            partials = motion.partials_at(slice(end, None, count), rows.node_time)
            d_range_d_state = d_range_d_constants
            if partials is not None:
                d_range_d_state = (d_range_d_constants[..., None, :] @ partials.swapaxes(0, 1))[..., 0, :]
            result[..., column : column + STATE_SIZE] = sign * d_range_d_state
        return result

    def pair_parameter_indices(self, pair: int) -> npt.NDArray[np.int64]:
        """Return the indices of the parameters of `range_partials`, (15,)."""
        return parameter_indices(self.ranges[pair].pair, [pair], len(self.satellites))

    def _bias(self, parameters: Array, pair: int) -> Array:
        return parameters[:, STATE_SIZE * len(self.satellites) + pair, None]

    def _add_fixes(self, fit: Fit, satellite: int, motion: Motion, *, noise: Noise, loss: Loss) -> None:
        rows = self.fixes[satellite]
        if not len(rows.node_time):
            return
        count, scale = len(fit.cost), noise.fix_scale[satellite]
        residual, design = self.fix_residuals(satellite, motion, count)
        square = (residual**2).reshape(count, -1, 2, 3).sum(axis=-1) / scale**2
        cost, weight = loss.cost_and_weight(square, loss.limit_fix)
        fit.cost[:] += (cost * rows.available).sum(axis=(1, 2))
        weight = np.repeat(weight * rows.available / scale**2, 3, axis=-1).reshape(count, -1)
        columns = slice(STATE_SIZE * satellite, STATE_SIZE * (satellite + 1))
        _accumulate(fit, columns, design.reshape(count, -1, STATE_SIZE), residual.reshape(count, -1), weight)

    def _add_ranges(self, fit: Fit, parameters: Array, pair: int, motion: Motion, *, noise: Noise, loss: Loss) -> None:
        sigma_m = noise.range_sigma_m[pair]
        relative_position_m, distance_m = self.relative_positions(pair, motion)
        residual = self.ranges[pair].range_m - distance_m - self._bias(parameters, pair)
        cost, weight = loss.cost_and_weight((residual / sigma_m) ** 2, loss.limit)
        fit.cost[:] += cost.sum(axis=1)
        partials = self.range_partials(pair, motion, relative_position_m, distance_m)
        _accumulate(fit, self.pair_parameter_indices(pair), partials, residual, weight / sigma_m**2)


def _accumulate(
    fit: Fit, columns: slice | npt.NDArray[np.int64], partials: Array, residual: Array, weight: Array
) -> None:
    """Add k sets of m equations with partial derivatives (k, m, j) to the normal equations."""
    weighted = (partials * weight[..., None]).swapaxes(-1, -2)
    block = (slice(None), columns, columns) if isinstance(columns, slice) else (slice(None), columns[:, None], columns)
    fit.information[block] += weighted @ partials
    fit.gradient[:, columns] += (weighted @ residual[..., None])[..., 0]


def linearise_observations(
    arc: Arc, own_id: int, reference: Reference, prior: Prior, *, frames: EarthFrames, receiver: MeasurementSettings
) -> Equations:
    """Return the observation equations, linearised at the reference.

    Args:
        arc: The observations.
        own_id: Radio id of our satellite, which becomes the first.
        reference: Reference orbit that covers the arc.
        prior: Prior of all parameters, in the order of `Equations`.
        frames: Earth orientation.
        receiver: Measurement model of the GPS receivers.
    """
    satellites = (own_id, *(satellite for satellite in arc.satellites if satellite != own_id))
    fixes = tuple(_fix_equations(arc, satellite, reference, frames, receiver) for satellite in satellites)
    ranges = tuple(_range_equations(arc, pair, satellites, reference) for pair in arc.ranges)
    return Equations(satellites, tuple(arc.ranges), fixes, ranges, prior)


def _fix_equations(
    arc: Arc, satellite: int, reference: Reference, frames: EarthFrames, receiver: MeasurementSettings
) -> FixEquations:
    """Compare fixes with the reference. They are linear in a deviation up to micrometres per second."""
    fixes = arc.fixes.get(satellite, ())
    times = np.array([float(fix.gps_ms) for fix in fixes])
    points = reference.at(times)
    design, residual = np.zeros((len(fixes), 6, 6)), np.zeros((len(fixes), 6))
    available = np.ones((len(fixes), 2), dtype=np.bool_)
    x = np.zeros(SIZE)
    for row, fix in enumerate(fixes):
        x[:6] = points.state[row]
        for part, observation in enumerate(linearise_fix(fix, x, frames, receiver)):
            available[row, part] = observation is not None
            if observation is not None:
                rows = slice(3 * part, 3 * part + 3)
                design[row, rows] = observation.partials[:, :6] / observation.sigma[:, None]
                residual[row, rows] = observation.residual / observation.sigma
    return FixEquations(reference.node_time(times), design @ points.d_state_d_epoch, residual, available)


def _range_equations(arc: Arc, pair: Pair, satellites: tuple[int, ...], reference: Reference) -> RangeEquations:
    ranges = arc.ranges[pair]
    times = np.array([float(each.gps_ms) for each in ranges])
    indices = (satellites.index(pair[0]), satellites.index(pair[1]))
    return RangeEquations(
        indices,
        reference.node_time(times),
        reference.at(times).d_state_d_epoch[:, :3],
        np.array([each.range_m for each in ranges]),
    )


_UNINFORMATIVE_SIGMA: Final = np.repeat((1e5, 1e3), 3)
"""Standard deviation of an unknown position (m) and velocity (m/s)."""


def initial_prior(
    satellites: int, pairs: int, reference: Reference, own: OrbitState | None, settings: FormationSettings
) -> Prior:
    """Return the prior of all parameters.

    Args:
        satellites: Number of satellites, our own first.
        pairs: Number of pairs.
        reference: Reference orbit, relative to which states are deviations.
        own: Orbit from which the reference was made, if it is the prior of our state; None if our fixes determine it.
        settings: Expected biases and drag factors.
    """
    size = STATE_SIZE * satellites + pairs
    mean, information = np.zeros(size), np.zeros((size, size))
    mean[STATE_SIZE * satellites :] = settings.range_bias_m
    biases = np.arange(STATE_SIZE * satellites, size)
    information[biases, biases] = settings.range_bias_sigma_m**-2.0
    for satellite in range(satellites):
        state = STATE_SIZE * satellite + np.arange(6)
        information[state, state] = _UNINFORMATIVE_SIGMA**-2.0
    # Log drag factor of a satellite: common part plus its own part.
    drag = STATE_SIZE * np.arange(satellites) + DRAG
    mean[drag] = -reference.log_drag
    shared, own_part = settings.log_drag_sigma**2, settings.differential_log_drag_sigma**2
    information[drag[:, None], drag] = np.linalg.inv(shared + own_part * np.eye(satellites))
    if own is not None:
        # Our orbit estimate includes our drag factor, which is correlated with those of the others.
        mean[drag] = 0.0
        information[drag[:, None], drag] = _conditional_drag_information(satellites, shared, own_part)
        information[:STATE_SIZE, :STATE_SIZE] -= np.diag(np.append(_UNINFORMATIVE_SIGMA**-2.0, 0.0))
        information[:STATE_SIZE, :STATE_SIZE] += _own_orbit_information(own, reference)
    return Prior(mean, information)


def _own_orbit_information(own: OrbitState, reference: Reference) -> Array:
    """Return the information matrix of our own state at the epoch, (7, 7)."""
    covariance = own.covariance[:STATE_SIZE, :STATE_SIZE]
    at_epoch = reference.d_epoch_d_orbit.dot(covariance).dot(reference.d_epoch_d_orbit.T)
    unit = 1.0 / np.sqrt(np.diagonal(at_epoch))
    information: Array = unit[:, None] * np.linalg.inv(unit[:, None] * at_epoch * unit) * unit
    return information


def _conditional_drag_information(satellites: int, shared: float, own_part: float) -> Array:
    """Return the information of all log drag factors without that of the first one's own distribution."""
    joint = np.asarray(np.linalg.inv(shared + own_part * np.eye(satellites)), dtype=np.float64)
    joint[0, 0] -= 1.0 / (shared + own_part)
    return joint

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
from pygnc.estimators.formation.relative_motion import Motion, RelativeDynamics
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.measurement import linearise_fix
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import DRAG, SIZE, OrbitState

_COINCIDENT_M: Final = 1e-3
"""Minimum distance for the direction of the line of sight."""
_VARIANCE_MIN: Final = 1e-20
"""Lower limit of a variance; rounding may leave less of the difference of two large numbers."""
_PARTIALS_MAX: Final = 8_000
"""Maximum number of 7 x 7 derivative matrices in memory; they take three megabytes."""


def scaled_inverse(matrices: Array) -> Array:
    """Return the inverse of symmetric positive matrices (..., p, p) whose parameters have different units.

    Rows and columns are divided by the roots of the diagonal before the inversion. The inverse of a normal matrix is
    the covariance, and vice versa.
    """
    unit = 1.0 / np.sqrt(np.maximum(np.diagonal(matrices, axis1=-2, axis2=-1), _VARIANCE_MIN))
    scaled = unit[..., :, None] * matrices * unit[..., None, :]
    inverse: Array = unit[..., :, None] * np.linalg.inv(scaled) * unit[..., None, :]
    return inverse


class FixEquations(NamedTuple):
    """Linearised fixes of one satellite, in units of the receiver's standard deviations.

    Attributes:
        node_time: Times in node intervals of the reference, shape (m,).
        design: Derivatives of position and velocity by the satellite's state, shape (m, 6, 7).
        residual: Residuals of the reference, shape (m, 6).
        available: True if the fix has a position and a velocity, shape (m, 2).
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
        range_sigma_m: Standard deviation of the ranges of each pair, in m.
        fix_scale: Factor on the receiver's standard deviations of each satellite.
    """

    range_sigma_m: Array
    fix_scale: Array


class Loss(NamedTuple):
    """Loss function of a residual of u standard deviations: u^2 up to a limit.

    Attributes:
        limit: Limit of ranges, in standard deviations.
        limit_fix: Limit of the three components of a position or velocity together, in standard deviations.
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
    """Weighted observation equations of s satellites, our own first."""

    satellites: tuple[int, ...]
    """Radio ids, our own first."""
    pairs: tuple[Pair, ...]
    """Radio ids of the pairs with ranges."""
    fixes: tuple[FixEquations, ...]
    """Fixes of each satellite."""
    ranges: tuple[RangeEquations, ...]
    """Ranges of each pair."""
    prior: Prior
    dynamics: RelativeDynamics
    noise: Noise
    loss: Loss

    @property
    def parameter_count(self) -> int:
        """Length p of the parameter vector."""
        return STATE_SIZE * len(self.satellites) + len(self.pairs)

    @property
    def index_pairs(self) -> list[tuple[int, int]]:
        """Indices of the satellites of each pair."""
        return [rows.pair for rows in self.ranges]

    @property
    def range_count(self) -> int:
        """Number of ranges."""
        return sum(len(rows.node_time) for rows in self.ranges)

    def subset(
        self,
        chosen: Sequence[int],
        *,
        prior: Prior | None = None,
        fixes_of: Sequence[int] | None = None,
        ranges_max: int | None = None,
    ) -> "Equations":
        """Return the equations of some satellites and of the ranges among them.

        Args:
            chosen: Indices of the satellites.
            prior: Prior of the smaller parameter vector; None for the present prior, with all other parameters
                marginalised.
            fixes_of: Indices, in these equations, of the satellites whose fixes are used; all chosen if None.
            ranges_max: Maximum number of ranges of a pair; more are thinned evenly. No limit if None.
        """
        if prior is None:
            columns = self.parameter_indices(chosen)
            covariance = scaled_inverse(self.prior.information)[columns[:, None], columns]
            prior = Prior(self.prior.mean[columns], scaled_inverse(covariance))
        pairs = self.pairs_among(chosen)
        fixes = []
        for satellite in chosen:
            used, rows = slice(None if fixes_of is None or satellite in fixes_of else 0), self.fixes[satellite]
            fixes.append(
                FixEquations(rows.node_time[used], rows.design[used], rows.residual[used], rows.available[used])
            )
        ranges = []
        for number in pairs:
            (one, other), *parts = self.ranges[number]
            thinned = slice(None, None, 1 if ranges_max is None else -(-len(parts[0]) // ranges_max))
            ranges.append(RangeEquations((chosen.index(one), chosen.index(other)), *(part[thinned] for part in parts)))
        return Equations(
            tuple(self.satellites[satellite] for satellite in chosen),
            tuple(self.pairs[number] for number in pairs),
            tuple(fixes),
            tuple(ranges),
            prior,
            self.dynamics,
            Noise(self.noise.range_sigma_m[pairs], self.noise.fix_scale[list(chosen)]),
            self.loss,
        )

    def pairs_among(self, satellites: Sequence[int]) -> list[int]:
        """Return the indices of the pairs among some satellites, which are given by index."""
        return [number for number, rows in enumerate(self.ranges) if set(satellites) >= set(rows.pair)]

    def parameter_indices(self, satellites: Sequence[int]) -> npt.NDArray[np.int64]:
        """Return the indices of the parameters of some satellites and of the pairs among them."""
        return parameter_indices(satellites, self.pairs_among(satellites), len(self.satellites))

    def motion(self, parameters: Array, *, partials: bool = True) -> Motion:
        """Return the motion of all satellites for parameters (k, p): k s deviations, satellite by satellite."""
        return self.dynamics.propagate(self._states(parameters), partials=partials)

    def _states(self, parameters: Array) -> Array:
        """Return the states of all satellites in the parameter vectors, (k, p) -> (k s, 7)."""
        return parameters[:, : STATE_SIZE * len(self.satellites)].reshape(-1, STATE_SIZE)

    def fit(self, parameters: Array, *, linear: bool = False) -> Fit:
        """Return cost and normal equations of parameters (k, p).

        The motion of all vectors is propagated at once, its derivatives in chunks: they take megabytes.

        Args:
            parameters: Parameter vectors, shape (k, p).
            linear: If true, the motion is taken as linear.
        """
        states, satellites = self._states(parameters), len(self.satellites)
        motion = self.dynamics.linear(states) if linear else self.dynamics.propagate(states, partials=False)
        # At once there are three such matrices per step and satellite, and six per observation of one kind.
        longest = max([len(rows.node_time) for rows in self.fixes] + [len(rows.node_time) for rows in self.ranges])
        chunk = max(1, _PARTIALS_MAX // (3 * satellites * len(motion.constants) + 6 * longest))
        parts = []
        for first in range(0, len(parameters), chunk):
            chunk_motion = motion.select(slice(satellites * first, satellites * (first + chunk)))
            if not linear:
                chunk_motion = self.dynamics.with_partials(chunk_motion)
            parts.append(self._fit_motion(parameters[first : first + chunk], chunk_motion))
        return Fit(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _fit_motion(self, parameters: Array, motion: Motion) -> Fit:
        deviation = self.prior.mean - parameters
        gradient = deviation @ self.prior.information
        cost = np.einsum("kp,kp->k", deviation, gradient)
        fit = Fit(cost, np.tile(self.prior.information, (len(parameters), 1, 1)), gradient)
        for satellite, rows in enumerate(self.fixes):
            if len(rows.node_time):
                self._add_fixes(fit, satellite, motion)
        for pair in range(len(self.pairs)):
            self._add_ranges(fit, parameters, pair, motion)
        return fit

    def fix_residuals(self, satellite: int, motion: Motion, count: int) -> tuple[Array, Array]:
        """Return residuals and derivatives of a satellite's fixes for k parameter vectors.

        Args:
            satellite: Index of the satellite.
            motion: Motion for the parameter vectors.
            count: Number k of parameter vectors.

        Returns:
            Residuals in units of the receiver's standard deviations, shape (k, m, 6), and derivatives of the fixes
            by the satellite's state, shape (k, m, 6, 7).
        """
        rows = self.fixes[satellite]
        rows_of_satellite = slice(satellite, None, len(self.satellites))
        constants = motion.at(rows_of_satellite, rows.node_time).swapaxes(0, 1)
        residual = rows.residual - (rows.design @ constants[..., None])[..., 0]
        partials = motion.partials_at(rows_of_satellite, rows.node_time)
        if partials is None:
            return residual, np.broadcast_to(rows.design, (count, *rows.design.shape))
        return residual, rows.design @ partials.swapaxes(0, 1)

    def relative_positions(self, pair: int, motion: Motion) -> tuple[Array, Array]:
        """Return the relative positions of a pair at its ranges, GCRF, m, (k, n, 3), and the distances, m, (k, n)."""
        rows, count = self.ranges[pair], len(self.satellites)
        one, other = (motion.at(slice(end, None, count), rows.node_time) for end in rows.pair)
        relative_position_m = (rows.design @ (other - one).swapaxes(0, 1)[..., None])[..., 0]
        return relative_position_m, np.sqrt(np.einsum("kni,kni->kn", relative_position_m, relative_position_m))

    def range_residuals(self, parameters: Array, pair: int, distance_m: Array) -> Array:
        """Return measured minus predicted ranges for parameters (k, p) and distances (k, n), in m, (k, n)."""
        bias_m = parameters[:, STATE_SIZE * len(self.satellites) + pair, None]
        residual_m: Array = self.ranges[pair].range_m - distance_m - bias_m
        return residual_m

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

    def _add_fixes(self, fit: Fit, satellite: int, motion: Motion) -> None:
        count, scale = len(fit.cost), self.noise.fix_scale[satellite]
        available = self.fixes[satellite].available
        residual, design = self.fix_residuals(satellite, motion, count)
        square = (residual**2).reshape(count, -1, 2, 3).sum(axis=-1) / scale**2
        cost, weight = self.loss.cost_and_weight(square, self.loss.limit_fix)
        fit.cost[:] += (cost * available).sum(axis=(1, 2))
        weight = np.repeat(weight * available / scale**2, 3, axis=-1).reshape(count, -1)
        columns = slice(STATE_SIZE * satellite, STATE_SIZE * (satellite + 1))
        _accumulate(fit, columns, design.reshape(count, -1, STATE_SIZE), residual.reshape(count, -1), weight)

    def _add_ranges(self, fit: Fit, parameters: Array, pair: int, motion: Motion) -> None:
        sigma_m = self.noise.range_sigma_m[pair]
        relative_position_m, distance_m = self.relative_positions(pair, motion)
        residual_m = self.range_residuals(parameters, pair, distance_m)
        cost, weight = self.loss.cost_and_weight((residual_m / sigma_m) ** 2, self.loss.limit)
        fit.cost[:] += cost.sum(axis=1)
        partials = self.range_partials(pair, motion, relative_position_m, distance_m)
        _accumulate(fit, self.pair_parameter_indices(pair), partials, residual_m, weight / sigma_m**2)


def _accumulate(
    fit: Fit, columns: slice | npt.NDArray[np.int64], partials: Array, residual: Array, weight: Array
) -> None:
    """Add k sets of m equations with partial derivatives (k, m, j) to the normal equations."""
    weighted = (partials * weight[..., None]).swapaxes(-1, -2)
    block = (slice(None), columns, columns) if isinstance(columns, slice) else (slice(None), columns[:, None], columns)
    fit.information[block] += weighted @ partials
    fit.gradient[:, columns] += (weighted @ residual[..., None])[..., 0]


def linearise_observations(
    arc: Arc,
    reference: Reference,
    own: OrbitState | None,
    settings: FormationSettings,
    *,
    frames: EarthFrames,
    receiver: MeasurementSettings,
) -> Equations:
    """Return the observation equations, linearised at the reference, with the noise of the settings.

    Args:
        arc: Observations.
        reference: Reference orbit that covers the arc.
        own: Orbit from which the reference was made, if it is the prior of our state; None if our fixes determine it.
        settings: Expected noise, biases and drag factors.
        frames: Earth orientation.
        receiver: Measurement model of the GPS receivers.
    """
    own_id = settings.own_id
    satellites = (own_id, *(satellite for satellite in arc.satellites if satellite != own_id))
    fixes = tuple(_fix_equations(arc, satellite, reference, frames, receiver) for satellite in satellites)
    ranges = tuple(_range_equations(arc, pair, satellites, reference) for pair in arc.ranges)
    return Equations(
        satellites,
        tuple(arc.ranges),
        fixes,
        ranges,
        initial_prior(len(satellites), len(ranges), reference, own, settings),
        RelativeDynamics(reference),
        Noise(np.full(len(ranges), settings.range_noise_m), np.ones(len(satellites))),
        SEARCH_LOSS,
    )


def _fix_equations(
    arc: Arc, satellite: int, reference: Reference, frames: EarthFrames, receiver: MeasurementSettings
) -> FixEquations:
    """Return the fixes of a satellite, linearised at the reference; neglected terms are micrometres per second."""
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
        information[DRAG, DRAG] -= 1.0 / (shared + own_part)
        information[:STATE_SIZE, :STATE_SIZE] -= np.diag(np.append(_UNINFORMATIVE_SIGMA**-2.0, 0.0))
        covariance = own.covariance[:STATE_SIZE, :STATE_SIZE]
        at_epoch = reference.d_epoch_d_orbit.dot(covariance).dot(reference.d_epoch_d_orbit.T)
        information[:STATE_SIZE, :STATE_SIZE] += scaled_inverse(at_epoch)
    return Prior(mean, information)

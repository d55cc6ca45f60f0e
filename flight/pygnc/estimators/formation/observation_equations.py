"""Observation equations of an arc: residuals, cost, normal equations and prior.

The parameter vector (p,) holds seven numbers per satellite (position, velocity and log drag factor at the epoch, as
deviations from our reference), one range bias per pair and, in the last fits, the drag modes of each satellite. With
v = observed - predicted, the cost is

    J(x) = (m - x)' P (m - x) + sum over fixes of rho(|v|^2 / s^2) + sum over ranges of rho(v^2 / s^2),

with prior mean m, prior information P, noise s and the loss rho of `Loss`. A range is |d_j - d_i| + b_ij, with d the
positions and b the bias of the pair. The normal equations are N = P + A' W A and g = P (m - x) + A' W v, with the
partial derivatives A and the weights W. All functions treat k parameter vectors (k, p) at once.

A satellite with a known orbit has a reference of its own with all forces and moves linearly relative to it. The cost of
its fixes is quadratic in the parameters, so they can become part of the prior (`Equations.folded`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array, unique
from pygnc.estimators.formation.fix_errors import WHITE_ERRORS, FixErrors, FixRows, whitened_squares
from pygnc.estimators.formation.observations import FixEquations, Pair, Prior, RangeEquations, with_shared_times
from pygnc.estimators.formation.reference import COINCIDENT_M, NODE_S, STATE_SIZE, Track, state_indices
from pygnc.estimators.formation.relative_motion import Motion, RelativeDynamics
from pygnc.estimators.kalman import scaled_inverse

_BLOCK: Final = 64
"""Number of times whose fixes are whitened at once, to limit memory; those of four satellites take a megabyte."""


class Noise(NamedTuple):
    """Measurement noise.

    Attributes:
        range_sigma_m: Standard deviation of the ranges of each pair, in m, model error included.
        fix_scale: Factor on the standard deviations by the receiver of each satellite.
        white_sigma_m: Standard deviation of the ranges without model error, in m.
    """

    range_sigma_m: Array
    fix_scale: Array
    white_sigma_m: Array


def white_noise(range_sigma_m: Array, fix_scale: Array) -> Noise:
    """Return noise without model error, from sigmas of the pairs in m and factors of the satellites."""
    return Noise(range_sigma_m, fix_scale, range_sigma_m)


class Loss(NamedTuple):
    """Loss function of a residual of u standard deviations: u^2 up to a limit.

    Attributes:
        limit: Limit for ranges, in standard deviations.
        limit_fix: Limit for the three components of a position or velocity together, in standard deviations.
        hard: If true, a residual beyond the limit costs as much as at the limit and has no weight. Otherwise its
            cost grows linearly (Huber, Annals of Mathematical Statistics 35, 1964).
    """

    limit: float
    limit_fix: float
    hard: bool

    def cost_and_weight(self, square: Array, limit: float) -> tuple[Array, Array]:
        """Return costs and weights (0 to 1) of squared normalised residuals; `limit` is in standard deviations."""
        if self.hard:
            inside = square <= limit * limit
            return np.minimum(square, limit * limit), inside.astype(np.float64)
        size = np.sqrt(np.maximum(square, limit * limit))
        return np.where(size > limit, 2.0 * limit * size - limit * limit, square), limit / size


SEARCH_LOSS: Final = Loss(3.0, 4.6, hard=False)
"""Loss during the search: outliers have little influence, but gradients remain. 1e-4 of all good fixes exceed it."""


class Fit(NamedTuple):
    """Cost and normal equations of k parameter vectors.

    Attributes:
        parameters: Parameter vectors, shape (k, p).
        cost: Cost J, shape (k,).
        information: Normal matrices N, shape (k, p, p).
        gradient: Right-hand sides g = -dJ/dx / 2, shape (k, p).
    """

    parameters: Array
    cost: Array
    information: Array
    gradient: Array

    def select(self, rows: list[int] | npt.NDArray[np.int64]) -> "Fit":
        """Return the fit of the parameter vectors with the indices `rows`."""
        return Fit(*(part[rows] for part in self))


@dataclass(frozen=True, slots=True, eq=False)
class Equations:
    """Observation equations of an arc.

    Attributes:
        satellites: Radio ids, our own first.
        pairs: Pairs of radio ids with ranges.
        tracks: Reference and offset of each satellite.
        fixes: Fixes of each satellite.
        ranges: Ranges of each pair.
        prior: Prior of all parameters.
        dynamics: Motion of deviations from our reference.
        noise: Noise of the observations.
        loss: Loss function.
        modes: Number of drag modes of each satellite among the parameters.
        errors: Error model of the fixes of satellites that move linearly; used when they become part of the prior.
    """

    satellites: tuple[int, ...]
    pairs: tuple[Pair, ...]
    tracks: tuple[Track, ...]
    fixes: tuple[FixEquations, ...]
    ranges: tuple[RangeEquations, ...]
    prior: Prior
    dynamics: RelativeDynamics
    noise: Noise
    loss: Loss
    modes: int = 0
    errors: FixErrors = WHITE_ERRORS

    @property
    def parameter_count(self) -> int:
        """Number of parameters p."""
        return len(self.prior.mean)

    @property
    def range_count(self) -> int:
        """Number of ranges."""
        return sum(len(rows.range_m) for rows in self.ranges)

    @property
    def index_pairs(self) -> list[tuple[int, int]]:
        """Indices of the two satellites of each pair, in the order of `pairs`."""
        return [rows.pair for rows in self.ranges]

    @property
    def nonlinear(self) -> list[int]:
        """Indices of the satellites that do not move linearly, in the order of `motion`."""
        return [satellite for satellite, track in enumerate(self.tracks) if not track.is_linear]

    def subset(self, chosen: Sequence[int], *, ranges_max: int | None = None) -> "Equations":
        """Return the equations of some satellites and the ranges among them; other parameters are marginalised.

        Args:
            chosen: Indices of the satellites.
            ranges_max: Maximum number of ranges of a pair; more are thinned evenly. No limit if None.
        """
        columns = self.parameter_indices(chosen)
        covariance = scaled_inverse(self.prior.information)[columns[:, None], columns]
        pairs = self.pairs_among(chosen)
        ranges = []
        for number in pairs:
            rows, (one, other) = self.ranges[number], self.ranges[number].pair
            step = 1 if ranges_max is None else max(1, -(-len(rows.range_m) // ranges_max))
            ranges.append(rows.select((chosen.index(one), chosen.index(other)), slice(None, None, step)))
        noise = self.noise
        return replace(
            self,
            satellites=tuple(self.satellites[satellite] for satellite in chosen),
            pairs=tuple(self.pairs[number] for number in pairs),
            tracks=tuple(self.tracks[satellite] for satellite in chosen),
            fixes=tuple(self.fixes[satellite] for satellite in chosen),
            ranges=with_shared_times(ranges),
            prior=Prior(self.prior.mean[columns], scaled_inverse(covariance), self.prior.cost),
            noise=Noise(noise.range_sigma_m[pairs], noise.fix_scale[[*chosen]], noise.white_sigma_m[pairs]),
        )

    def pairs_among(self, satellites: Sequence[int]) -> list[int]:
        """Return the indices of the pairs of which both satellites are among `satellites`, which are indices."""
        return [number for number, rows in enumerate(self.ranges) if set(satellites) >= set(rows.pair)]

    def parameter_indices(self, satellites: Sequence[int]) -> npt.NDArray[np.int64]:
        """Return the indices of the states of `satellites` (indices), the biases among them, and their drag modes."""
        states = [state_indices(satellite) for satellite in satellites]
        biases = STATE_SIZE * len(self.satellites) + np.array(self.pairs_among(satellites), dtype=np.int64)
        return np.concatenate((*states, biases, *(self.mode_indices(satellite) for satellite in satellites)))

    def mode_indices(self, satellite: int) -> npt.NDArray[np.int64]:
        """Return the indices of a satellite's drag modes."""
        first = STATE_SIZE * len(self.satellites) + len(self.pairs) + self.modes * satellite
        return first + np.arange(self.modes)

    def _satellite_indices(self, satellite: int) -> npt.NDArray[np.int64]:
        """Return the indices of a satellite's state and drag modes, which are the columns of its design matrices."""
        return np.append(state_indices(satellite), self.mode_indices(satellite))

    def motion(self, parameters: Array, *, partials: bool = True) -> Motion | None:
        """Return the motion of the satellites that do not move linearly, for parameters (k, p); None if all do.

        The motion has k times n deviations: those of the n satellites `nonlinear` for the first vector, then for the
        second, and so on.
        """
        nonlinear = self.nonlinear
        if not nonlinear:
            return None
        states = self._states(parameters)[:, nonlinear].reshape(-1, STATE_SIZE)
        return self.dynamics.propagate(states, partials=partials)

    def _states(self, parameters: Array) -> Array:
        """Return the states of all satellites in the parameter vectors, (k, p) -> (k, s, 7)."""
        return parameters[:, : STATE_SIZE * len(self.satellites)].reshape(len(parameters), -1, STATE_SIZE)

    def _rows(self, satellite: int) -> slice:
        """Return the slice of a satellite's deviations, one per parameter vector, in the result of `motion`."""
        nonlinear = self.nonlinear
        return slice(nonlinear.index(satellite), None, len(nonlinear))

    def _changes(
        self, satellite: int, design: Array, node_time: Array, parameters: Array, motion: Motion | None
    ) -> Array:
        """Return designs (n, r, 7 + modes) times the constants of motion and drag modes of a satellite, (n, k, r)."""
        constants: Array = self._states(parameters)[None, :, satellite]
        if motion is not None and not self.tracks[satellite].is_linear:
            constants = motion.at(self._rows(satellite), node_time)
        result: Array = constants @ design[..., :STATE_SIZE].swapaxes(1, 2)
        if self.modes:
            result += parameters[:, self.mode_indices(satellite)] @ design[..., STATE_SIZE:].swapaxes(1, 2)
        return result

    def _partials(self, satellite: int, d_constants: Array, node_time: Array, motion: Motion | None) -> Array:
        """Convert derivatives with respect to constants of motion (and drag modes) to those with respect to the state.

        Both have the shape (n, k, ..., 7 + modes).
        """
        if motion is None or self.tracks[satellite].is_linear:
            return d_constants
        by_state = motion.d_epoch(self._rows(satellite), node_time, d_constants[..., :STATE_SIZE])
        return np.concatenate((by_state, d_constants[..., STATE_SIZE:]), axis=-1)

    def fit(self, parameters: Array) -> Fit:
        """Return cost and normal equations of parameters (k, p), computed in chunks to limit memory."""
        chunk = max(1, 6_000 // len(self.dynamics.reference.nodes.state))
        parts = [
            part for first in range(0, len(parameters), chunk) for part in self._fits(parameters[first : first + chunk])
        ]
        return Fit(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _fits(self, parameters: Array) -> Iterator[Fit]:
        """Yield the fits of parts of the parameters, whose motion is iterated together.

        The derivatives need most memory: a megabyte and a half for 3000 parameter vectors times nodes.
        """
        motion = self.motion(parameters, partials=False)
        if motion is None:
            yield self._fit_motion(parameters, None)
            return
        size = 3_000 // len(self.dynamics.reference.nodes.state)
        # A single vector would be multiplied by another function, with other rounding errors.
        begins = range(0, max(1, len(parameters) - 1), max(2, size))
        for begin, end in pairwise([*begins, len(parameters)]):
            rows = slice(begin * len(self.nonlinear), end * len(self.nonlinear))
            some = Motion(motion.constants[:, rows], motion.rates[:, rows], None)
            yield self._fit_motion(parameters[begin:end], self.dynamics.with_partials(some))

    def _fit_motion(self, parameters: Array, motion: Motion | None) -> Fit:
        deviation = self.prior.mean - parameters
        gradient = deviation @ self.prior.information
        cost = self.prior.cost + np.einsum("kp,kp->k", deviation, gradient)
        fit = Fit(parameters, cost, np.tile(self.prior.information, (len(parameters), 1, 1)), gradient)
        for satellite, rows in enumerate(self.fixes):
            if len(rows.node_time):
                self._add_fixes(fit, satellite, parameters, motion)
        self._add_ranges(fit, parameters, motion)
        return fit

    def folded(self, parameters: Array) -> "Equations":
        """Return equations in which the fixes of all satellites with linear motion are part of the prior.

        Args:
            parameters: Parameters (p,) near the solution; fixes that are outliers there lose weight.
        """
        prior, fixes, added = self.prior, list(self.fixes), self.prior.information @ (self.prior.mean - parameters)
        if self.errors == WHITE_ERRORS:
            size = self.parameter_count
            fit = Fit(parameters[None], np.zeros(1), np.zeros((1, size, size)), np.zeros((1, size)))
            for satellite in self.known:
                self._add_fixes(fit, satellite, parameters[None], None)
            cost, normal, gradient = fit.cost[0], fit.information[0], fit.gradient[0]
        else:
            blocks, rejected = self.known_fixes(parameters)
            squares = whitened_squares(blocks, (self.errors,))[0][0]
            normal, gradient, cost = squares[:-1, :-1], squares[:-1, -1], squares[-1, -1]
            cost += rejected * self.loss.limit_fix**2
        for satellite in self.known:
            node_time, design, residual, available = self.fixes[satellite]
            fixes[satellite] = FixEquations(node_time[:0], design[:0], residual[:0], available[:0])
        information = prior.information + normal
        deviation = prior.mean - parameters
        gradient = gradient + added
        step = scaled_inverse(information) @ gradient
        cost += prior.cost + deviation @ added - step @ information @ step
        return replace(self, fixes=tuple(fixes), prior=Prior(parameters + step, information, float(cost)))

    @property
    def known(self) -> list[int]:
        """Indices of the satellites that have fixes and whose position is a linear function of the parameters."""
        return [
            number for number, rows in enumerate(self.fixes) if len(rows.node_time) and self.tracks[number].is_linear
        ]

    def known_fixes(self, parameters: Array, *, times_max: int | None = None) -> tuple[Iterator[FixRows], int]:
        """Return the fixes of all satellites that move linearly, without outliers at parameters (p,).

        Returns:
            The fixes in blocks, at evenly chosen times if there are more than `times_max`; and the number of positions
            and velocities, at all times, that are outliers.
        """
        times, _ = unique(np.concatenate([self.fixes[satellite].node_time for satellite in self.known]))
        chosen = times if times_max is None else times[:: -(-len(times) // times_max)]
        parts, rejected = [], 0
        for satellite in self.known:
            rows, scale = self.fixes[satellite], self.noise.fix_scale[satellite]
            residual, design = self.fix_residuals(satellite, parameters[None], None)
            inside = self.fixes_inside(satellite, parameters[None])
            rejected += int((rows.available & ~inside).sum())
            used = (rows.available & inside)[..., None, None]
            scaled = np.concatenate((design[0], residual[0][..., None]), axis=-1).reshape(len(used), 2, 3, -1)
            columns = np.append(self._satellite_indices(satellite), self.parameter_count)
            parts.append((rows.node_time, scaled * used / scale, used[..., 0, 0], columns))
        return self._blocks(chosen, parts), rejected

    def fixes_inside(self, satellite: int, parameters: Array) -> npt.NDArray[np.bool_]:
        """Return which positions and velocities are no outliers at parameters (1, p), (m, 2); linear motion only."""
        residual, _ = self.fix_residuals(satellite, parameters, None)
        limit = self.loss.limit_fix * self.noise.fix_scale[satellite]
        inside: npt.NDArray[np.bool_] = (residual[0] ** 2).reshape(-1, 2, 3).sum(axis=-1) <= limit**2
        return inside

    def _blocks(
        self, times: Array, parts: Sequence[tuple[Array, Array, npt.NDArray[np.bool_], npt.NDArray[np.int64]]]
    ) -> Iterator[FixRows]:
        """Yield the equations at `times`; `parts` holds times, values, use and columns of each satellite's fixes."""
        for first in range(0, len(times), _BLOCK):
            block = times[first : first + _BLOCK]
            shape = len(block), 2, len(parts)
            values, used = np.zeros((*shape, 3, self.parameter_count + 1)), np.zeros(shape, dtype=np.bool_)
            for place, (node_time, scaled, is_used, columns) in enumerate(parts):
                at = np.minimum(np.searchsorted(block, node_time), len(block) - 1)
                rows = np.flatnonzero(block[at] == node_time)
                at = at[rows]
                values[at[:, None, None, None], [[[0]], [[1]]], place, [[[0], [1], [2]]], columns] = scaled[rows]
                used[at, :, place] = is_used[rows]
            yield FixRows(NODE_S * block, values, used)

    def with_drag_modes(self, covariance: Array, sigma: Sequence[float]) -> "Equations":
        """Return equations with the drag modes of all satellites as last parameters.

        Args:
            covariance: Prior covariance of one mode of all satellites for a density variation of 1, (s, s).
            sigma: Standard deviations of the density variation in the modes.
        """
        size, prior = self.parameter_count - self.modes * len(self.satellites), self.prior
        of_modes = np.kron(scaled_inverse(covariance), np.diag(np.array(sigma) ** -2.0))
        mean, information = np.zeros(size + len(of_modes)), np.zeros((size + len(of_modes),) * 2)
        mean[:size], information[:size, :size] = prior.mean[:size], prior.information[:size, :size]
        information[size:, size:] = of_modes
        return replace(self, prior=Prior(mean, information, prior.cost), modes=len(sigma))

    def fix_residuals(self, satellite: int, parameters: Array, motion: Motion | None) -> tuple[Array, Array]:
        """Return residuals and derivatives of a satellite's fixes for parameters (k, p).

        Returns:
            Residuals in units of the receiver's standard deviations, shape (k, m, 6), and derivatives of the fixes
            with respect to the satellite's state and drag modes, shape (k, m, 6, 7 + modes).
        """
        rows = self.fixes[satellite]
        residual = rows.residual[:, None] - self._changes(satellite, rows.design, rows.node_time, parameters, motion)
        partials = self._design_partials(satellite, rows.design, rows.node_time, len(parameters), motion)
        return residual.swapaxes(0, 1), partials.swapaxes(0, 1)

    def states_at(self, gps_ms: Array, parameters: Array, motion: Motion | None) -> tuple[Array, Array]:
        """Return the states of all satellites at m GPS times, and their derivatives with respect to the parameters.

        Args:
            gps_ms: GPS milliseconds within the arc, (m,).
            parameters: One parameter vector, (p,).
            motion: Motion for this vector.

        Returns:
            Position and velocity, GCRF, (s, m, 6), and derivatives, (s, m, 6, p).
        """
        shape = len(self.satellites), len(gps_ms), 6
        states, partials = np.empty(shape), np.zeros((*shape, self.parameter_count))
        for satellite, track in enumerate(self.tracks):
            points, node_time = track.reference.at(gps_ms), track.reference.node_time(gps_ms)
            design = np.concatenate((points.d_state_d_epoch, points.d_state_d_modes), axis=-1)
            change = self._changes(satellite, design, node_time, parameters[None], motion)[:, 0]
            states[satellite] = points.state - points.d_state_d_epoch @ track.offset + change
            d_state = self._design_partials(satellite, design, node_time, 1, motion)[:, 0]
            partials[satellite][..., self._satellite_indices(satellite)] = d_state
        return states, partials

    def _design_partials(
        self, satellite: int, design: Array, node_time: Array, count: int, motion: Motion | None
    ) -> Array:
        """Return derivatives with respect to state and modes, (n, k, r, j), from designs (n, r, j); k is `count`."""
        used = design[:, None, :, : STATE_SIZE + self.modes]
        repeated = np.broadcast_to(used, (len(used), count, *used.shape[2:]))
        return self._partials(satellite, repeated, node_time, motion)

    def range_residuals(
        self, pair: int, parameters: Array, motion: Motion | None, known: dict[tuple[int, int], Array] | None = None
    ) -> tuple[Array, Array, Array]:
        """Return measured minus predicted ranges of a pair for parameters (k, p), with positions and distances.

        Args:
            pair: Index of the pair.
            parameters: Parameter vectors.
            motion: Motion for these parameters.
            known: Changes of the positions of satellites that were computed before, which is extended.

        Returns:
            Residuals in m, (n, k); relative positions at the u times, GCRF, m, (u, k, 3); and distances in m, (u, k).
        """
        rows, known = self.ranges[pair], {} if known is None else known
        for end, design in zip(rows.pair, rows.designs, strict=True):
            key = end, id(rows.node_time)
            if key not in known:
                known[key] = self._changes(end, design, rows.node_time, parameters, motion)
        one, other = (known[end, id(rows.node_time)] for end in rows.pair)
        relative_position_m = rows.offset_m[:, None] + other - one
        distance_m = np.sqrt(np.einsum("nki,nki->nk", relative_position_m, relative_position_m))
        bias_m = parameters[:, STATE_SIZE * len(self.satellites) + pair]
        return rows.range_m[:, None] - (distance_m + bias_m)[rows.at], relative_position_m, distance_m

    def range_partials(
        self, pair: int, motion: Motion | None, relative_position_m: Array, distance_m: Array
    ) -> tuple[Array, npt.NDArray[np.int64]]:
        """Return the derivatives of a pair's ranges by j parameters at u times, (u, k, j), and their indices."""
        rows = self.ranges[pair]
        line_of_sight = relative_position_m / np.maximum(distance_m, COINCIDENT_M)[..., None]
        partials, columns = [], []
        for end, design, sign in zip(rows.pair, rows.designs, (-1.0, 1.0), strict=True):
            used = design[..., : STATE_SIZE + self.modes]
            partials.append(self._partials(end, (sign * line_of_sight) @ used, rows.node_time, motion))
            columns.append(self._satellite_indices(end))
        partials.append(np.ones((*distance_m.shape, 1)))
        columns.append(np.array([STATE_SIZE * len(self.satellites) + pair]))
        return np.concatenate(partials, axis=-1), np.concatenate(columns)

    def _add_fixes(self, fit: Fit, satellite: int, parameters: Array, motion: Motion | None) -> None:
        count, scale = len(fit.cost), self.noise.fix_scale[satellite]
        available = self.fixes[satellite].available
        residual, design = self.fix_residuals(satellite, parameters, motion)
        square = (residual**2).reshape(count, -1, 2, 3).sum(axis=-1) / scale**2
        cost, weight = self.loss.cost_and_weight(square, self.loss.limit_fix)
        fit.cost[:] += (cost * available).sum(axis=(1, 2))
        weight = np.repeat(weight * available / scale**2, 3, axis=-1).reshape(count, -1)
        columns, rows = self._satellite_indices(satellite), weight.shape[1]
        _accumulate(fit, columns, design.reshape(count, rows, -1), weight * residual.reshape(count, -1), weight)

    def _add_ranges(self, fit: Fit, parameters: Array, motion: Motion | None) -> None:
        known: dict[tuple[int, int], Array] = {}
        for pair, (rows, sigma_m) in enumerate(zip(self.ranges, self.noise.range_sigma_m.tolist(), strict=True)):
            residual_m, *positions = self.range_residuals(pair, parameters, motion, known)
            cost, weight = self.loss.cost_and_weight((residual_m.T / sigma_m) ** 2, self.loss.limit)
            fit.cost[:] += cost.sum(axis=1)
            weight /= sigma_m**2
            weighted_m = rows.sum_by_time(weight * residual_m.T)
            partials, columns = self.range_partials(pair, motion, *positions)
            _accumulate(fit, columns, partials.swapaxes(0, 1), weighted_m, rows.sum_by_time(weight))


def _accumulate(
    fit: Fit, columns: npt.NDArray[np.int64], partials: Array, weighted_residual: Array, weight: Array
) -> None:
    """Add m equations with partials (k, m, j) by the parameters `columns` (j,) to each of k normal equations."""
    weighted = (partials * weight[..., None]).swapaxes(-1, -2)
    fit.information[:, columns[:, None], columns] += weighted @ partials
    fit.gradient[:, columns] += (partials.swapaxes(-1, -2) @ weighted_residual[..., None])[..., 0]

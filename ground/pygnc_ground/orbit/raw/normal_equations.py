"""Normal equations of codes and phases for the orbit, with clocks and ambiguities eliminated.

Epochs are grouped by the interval between two samples of the satellites' clocks. Within an interval the error of an
interpolated clock is a Brownian bridge: a random walk that is zero at both samples. The errors of different intervals
are independent. Each interval is thus a small generalised least-squares problem with a full covariance, in which the
receiver's clock of each epoch is eliminated. The ambiguities of the passes are eliminated from the sum of all intervals
(Schur complement). Passes are taken in order of time: only those of one interval act together, so that their normal
equations are banded.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from pygnc_ground.gnss.measurements import SatelliteArray
from pygnc_ground.gnss.ranges import Links
from pygnc_ground.orbit.batch.trajectory import LinearMotion, LocalDerivatives
from pygnc_ground.orbit.raw.combinations import Combined
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray

_AMBIGUITY_SIGMA_M: Final = 30.0
"""A-priori standard deviation of the ambiguity that remains after alignment with the code: ionosphere and noise."""
_CLOCK_INFORMATION: Final = 1e-12
"""A-priori information of a receiver's clock in 1/m2; it keeps an epoch with only excluded measurements solvable."""
_INTERVAL_MS: Final = 900_000
"""Length of the intervals with continuous clocks, whose errors are taken as linear within an interval."""
_SHARED: Final = 2.0
"""Factor on the variance of clock samples: two intervals share each sample, but are treated as independent."""
_PATTERN_S: Final = 300.0
_MS_PER_S: Final = 1e3


class Noise(NamedTuple):
    """Standard deviations of the receiver's errors."""

    code_m: float
    """White error of the code for a satellite at the zenith, m."""
    phase_m: float
    """White error of the phase for a satellite at the zenith, m."""
    pattern_m: float
    """Error of the phase that depends on the direction: patterns of both antennas, and multipath, m."""


@dataclass(frozen=True, slots=True, eq=False)
class Linearised:
    """Residuals of n rows of combined measurements against an orbit, in order of time."""

    combined: Combined
    links: Links
    offset_s: FloatArray
    """Time of reception minus the time tags' milliseconds, shape (n,)."""
    code_m: FloatArray
    """Code minus prediction without ambiguity, NaN where not used, shape (n,)."""
    phase_m: FloatArray
    """Phase minus prediction, aligned with the code of its pass, NaN where not used, shape (n,)."""
    partials: FloatArray
    """Derivatives of the range by the position in GCRF, shape (n, 3)."""
    code_variance_m2: FloatArray
    phase_variance_m2: FloatArray
    """Variances of white errors with the robust weights, shape (n,)."""


class Fitted(NamedTuple):
    """Residuals after a fit, and their sum of squares."""

    code_m: FloatArray
    phase_m: FloatArray
    chi_square: float
    degrees_of_freedom: int


@dataclass(frozen=True, slots=True, eq=False)
class Clocked:
    """Weights of m observations with free clocks. Only observations of one satellite are correlated."""

    clock: IntArray
    """Index of the clock of each observation."""
    weights: list[tuple[IntArray, npt.NDArray[np.floating]]]
    """Observations of each satellite, and the inverse of their covariance."""
    clock_covariance: FloatArray
    """Covariance of the clocks in m2, without the orbit's errors."""

    @classmethod
    def of(
        cls,
        clock: IntArray,
        covariances: Iterable[tuple[IntArray, FloatArray]],
        kind: type[np.floating] = np.float64,
    ) -> Self:
        """Return the weights of observations with clocks (m,); `covariances` are those of each satellite's.

        With `kind` the weights are rounded, and the clocks' covariance is that of the rounded ones.
        """
        weights = [(own, np.asarray(np.linalg.inv(covariance), dtype=kind)) for own, covariance in covariances]
        count = int(clock.max()) + 1
        information = np.diag(np.full(count, _CLOCK_INFORMATION))
        for own, inverse in weights:
            places = count * clock[own][:, None] + clock[own]
            information += np.bincount(places.ravel(), inverse.ravel(), count**2).reshape(count, count)
        return cls(clock, weights, np.linalg.inv(information))

    def weighted(self, values: FloatArray) -> FloatArray:
        """Return the inverse of the covariance times values (m, k)."""
        product = np.empty_like(values)
        for own, inverse in self.weights:
            product[own] = inverse @ values[own]
        return product

    def rest(self, values: FloatArray) -> FloatArray:
        """Return values (m, k) without their clocks, by least squares."""
        weighted = self.weighted(values)
        sums = np.stack([np.bincount(self.clock, column) for column in weighted.T], axis=1)
        rest: FloatArray = values - (self.clock_covariance @ sums)[self.clock]
        return rest

    def chi_square(self, rest: FloatArray) -> tuple[float, int]:
        """Return the weighted sum of squares of residuals (m, 1) without clocks, and its degrees of freedom."""
        return float((rest * self.weighted(rest)).sum()), len(rest) - len(self.clock_covariance)


@dataclass(frozen=True, slots=True, eq=False)
class _Interval:
    """Measurements of an interval: codes first, then phases."""

    code_rows: IntArray
    phase_rows: IntArray
    passes: IntArray
    """Passes of the phases, ascending places in order of time."""
    column: IntArray
    """Index in `passes` of each phase."""
    clocked: Clocked
    """Weights of the measurements, with a clock for each epoch"""


class Elimination:
    """Intervals of linearised measurements, with normal equations for an orbit.

    Args:
        seen: Linearised measurements.
        clock_interval_ms: Time between the samples of the satellites' clocks; 0 for continuous clocks.
        shift: Derivatives of the ranges by parameters that are considered, not estimated, shape (n, k).
        pattern_m: Standard deviation of the phase's error that depends on the direction.
    """

    def __init__(self, seen: Linearised, clock_interval_ms: int, shift: FloatArray, pattern_m: float) -> None:
        self._seen = seen
        self._pattern_m = pattern_m
        self._step_ms = clock_interval_ms
        self._shift = shift
        self._place = _in_time(seen.combined)
        self._intervals = list(self._split())
        passes = seen.combined.pass_count
        self._cross = np.zeros((0, passes))
        self._ambiguity = np.ones((1, passes))
        self._of_ambiguity = np.zeros((passes, 1))

    def normal(self, motion: LinearMotion, count: int) -> tuple[FloatArray, FloatArray]:
        """Return the normal equations for corrections of the orbit's `count` parameters.

        Returns:
            Matrix (p, p), and right sides of the residuals and of the considered parameters, shape (p, 1 + k).
        """
        from scipy.linalg import cholesky_banded  # noqa: PLC0415 - takes a third of the time of a command's help

        passes = self._seen.combined.pass_count
        matrix, right = np.zeros((count, count)), np.zeros((count, 1 + self._shift.shape[1]))
        widest = max((int(np.ptp(one.passes)) for one in self._intervals if len(one.passes)), default=0)
        cross, ambiguity = np.zeros((count, passes)), np.zeros((widest + 1, passes))
        of_ambiguity = np.zeros((passes, right.shape[1]))
        for one in self._intervals:
            local, design, residuals = self._design(one, motion)
            both = np.concatenate((design, residuals), axis=1)
            cleared = one.clocked.weighted(one.clocked.rest(both))
            products = design.T @ cleared
            places, acting = local.carried.shape
            right_of = design.shape[1]
            matrix[:acting, :acting] += local.carried.T @ products[:places, :places] @ local.carried
            right[:acting] += local.carried.T @ products[:places, right_of:]
            cross[:acting, one.passes] += local.carried.T @ products[:places, places:right_of]
            later, earlier = np.tril_indices(len(one.passes))
            band = one.passes[later] - one.passes[earlier], one.passes[earlier]
            ambiguity[band] += products[places:, places:right_of][later, earlier]
            of_ambiguity[one.passes] += products[places:, right_of:]
        if not passes:
            return matrix, right
        ambiguity[0] += _AMBIGUITY_SIGMA_M**-2
        self._ambiguity = cholesky_banded(ambiguity, lower=True, overwrite_ab=True, check_finite=False)
        self._cross, self._of_ambiguity = cross, of_ambiguity
        carried = self._solved(cross.T).T
        return matrix - carried @ cross.T, right - carried @ of_ambiguity

    def _solved(self, values: FloatArray) -> FloatArray:
        """Return the ambiguities with right sides (passes, k)."""
        from scipy.linalg import cho_solve_banded  # noqa: PLC0415 - takes a third of the time of a command's help

        return np.asarray(cho_solve_banded((self._ambiguity, True), values, check_finite=False), dtype=np.float64)

    def fitted(self, motion: LinearMotion, correction: FloatArray) -> Fitted:
        """Return the residuals after a correction (p,) of the parameters, once `normal` was called."""
        seen = self._seen
        passes = seen.combined.pass_count
        ambiguity_m = np.zeros(passes)
        if passes:
            ambiguity_m = self._solved(self._of_ambiguity[:, :1] - self._cross.T @ correction[:, None])[:, 0]
        moved_m = motion.changes(seen.combined.measurements.gps_ms, seen.offset_s, correction)[:, :3]
        change_m = np.einsum("ni,ni->n", seen.partials, moved_m)
        code_m, phase_m = seen.code_m - change_m, seen.phase_m - change_m
        with_pass = seen.combined.passes >= 0
        phase_m[with_pass] -= ambiguity_m[self._place[seen.combined.passes[with_pass]]]
        chi_square, degrees = 0.0, -len(ambiguity_m) - len(correction)
        for one in self._intervals:
            residual = np.concatenate((code_m[one.code_rows], phase_m[one.phase_rows]))[:, None]
            rest = one.clocked.rest(residual)
            of_one, degrees_of_one = one.clocked.chi_square(rest)
            chi_square, degrees = chi_square + of_one, degrees + degrees_of_one
            code_m[one.code_rows] = rest[: len(one.code_rows), 0]
            phase_m[one.phase_rows] = rest[len(one.code_rows) :, 0]
        return Fitted(code_m, phase_m, chi_square, max(degrees, 1))

    def _design(self, one: _Interval, motion: LinearMotion) -> tuple[LocalDerivatives, FloatArray, FloatArray]:
        """Return the orbit's derivatives, those by its segments and ambiguities, and the right sides (m, 1 + k)."""
        seen, epoch = self._seen, one.clocked.clock
        rows = np.concatenate((one.code_rows, one.phase_rows))
        first = np.zeros(len(one.clocked.clock_covariance), dtype=np.int64)
        first[epoch] = rows
        local = motion.local_derivatives(seen.combined.measurements.gps_ms[first], seen.offset_s[first])
        by_ambiguity = np.zeros((len(rows), len(one.passes)))
        by_ambiguity[len(one.code_rows) + np.arange(len(one.phase_rows)), one.column] = 1.0
        design = np.concatenate((local.rows(epoch, seen.partials[rows]), by_ambiguity), axis=1)
        residual = np.concatenate((seen.code_m[one.code_rows], seen.phase_m[one.phase_rows]))
        return local, design, np.column_stack((residual, self._shift[rows]))

    def _split(self) -> Iterator[_Interval]:
        """Yield the intervals with measurements."""
        seen = self._seen
        times_ms = seen.combined.measurements.gps_ms
        step_ms = self._step_ms or _INTERVAL_MS
        number = times_ms // step_ms
        code_used, phase_used = np.isfinite(seen.code_m), np.isfinite(seen.phase_m)
        for rows in np.split(np.arange(len(times_ms)), np.flatnonzero(np.diff(number)) + 1):
            code_rows, phase_rows = rows[code_used[rows]], rows[phase_used[rows]]
            both = np.concatenate((code_rows, phase_rows))
            if not len(both):
                continue
            _, epoch = np.unique(times_ms[both], return_inverse=True)
            passes, column = np.unique(self._place[seen.combined.passes[phase_rows]], return_inverse=True)
            variance = np.concatenate((seen.code_variance_m2[code_rows], seen.phase_variance_m2[phase_rows]))
            covariances = (
                (own, np.diag(variance[own]) + self._covariance(both[own], own >= len(code_rows), step_ms))
                for own in by_satellite(seen.combined.measurements.satellite[both])
            )
            # The weights are the largest table. Errors of an interval have variances within a factor of some thousands.
            clocked = Clocked.of(epoch, covariances, np.float32)
            yield _Interval(code_rows, phase_rows, passes, column, clocked)

    def _covariance(self, rows: IntArray, is_phase: BoolArray, step_ms: int) -> FloatArray:
        """Return the covariance of the correlated errors of a satellite in an interval, shape (m, m).

        The clock is a walk between two samples, which have errors of their own. Errors of the antennas' patterns change
        with the direction, which turns by a third of a radian in 5 min.
        """
        links, at_ms = self._seen.links, self._seen.combined.measurements.gps_ms[rows]
        part = at_ms % step_ms / step_ms
        covariance = np.outer(1.0 - part, 1.0 - part) + np.outer(part, part)
        covariance *= _SHARED * links.sigma_m[rows[0]] ** 2
        bridge = np.maximum(np.minimum(part[:, None], part) - np.outer(part, part), 0.0)
        covariance += links.clock_walk_m2_s[rows[0]] * step_ms / _MS_PER_S * bridge
        apart_s = np.abs(at_ms[:, None] - at_ms) / _MS_PER_S
        pattern_m2 = self._pattern_m**2 * np.exp(-apart_s / _PATTERN_S)
        covariance += np.where(np.outer(is_phase, is_phase), pattern_m2, 0.0)
        return covariance


def _in_time(combined: Combined) -> IntArray:
    """Return the place of each pass in the order of their first rows, shape (passes,)."""
    rows = np.flatnonzero(combined.passes >= 0)
    numbers, first = np.unique(combined.passes[rows], return_index=True)
    place = np.empty(len(numbers), dtype=np.int64)
    place[np.argsort(first, kind="stable")] = np.arange(len(numbers))
    return place


def by_satellite(satellite: SatelliteArray) -> list[IntArray]:
    """Return the indices of each satellite's observations."""
    return [np.flatnonzero(satellite == name) for name in np.unique(satellite)]


def huber_variance(residual_m: FloatArray, variance_m2: FloatArray, limit: float) -> FloatArray:
    """Return the variances (n,) increased by Huber's weights, where residuals exceed `limit` standard deviations."""
    size = np.nan_to_num(np.abs(residual_m)) / np.sqrt(variance_m2)
    return np.asarray(variance_m2 * np.maximum(size / limit, 1.0))

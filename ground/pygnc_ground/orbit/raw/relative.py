"""Position of a partner relative to a satellite, from differences of carrier phases with integer ambiguities.

The own orbit is held: its error of decimetres changes a difference by that times the distance over 20 000 km. The
partner's orbit has the forces of `pygnc_ground.orbit.batch`, and its expected empirical accelerations and drag are
those of the own orbit. The evidence chooses by how much they differ.

Clocks of codes and of the phases of each frequency are free at each epoch. Thus only double differences count, their
ambiguities are integers, and biases of the receivers may drift.

Source: R. Kroes, O. Montenbruck, W. Bertiger & P. Visser, Precise GRACE baseline determination using GPS, GPS Solutions
9, 2005.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.gnss.antennas import L1_SHARE
from pygnc_ground.gnss.integers import resolve
from pygnc_ground.orbit.batch.arc import choose_factors, solve
from pygnc_ground.orbit.batch.collocation import NODE, SEGMENT_S
from pygnc_ground.orbit.batch.forces import FIRST_NODE, PER_NODE, RADIATION, STATE, Factors
from pygnc_ground.orbit.batch.trajectory import SEGMENT_MS, ArcDynamics, Grid, LinearMotion, LocalDerivatives
from pygnc_ground.orbit.raw.determination import RawOrbit
from pygnc_ground.orbit.raw.differences import DELAY_FACTORS, WAVELENGTHS_M, Differences, Pairs
from pygnc_ground.orbit.raw.normal_equations import Clocked, by_satellite
from pygnc_ground.orbit.raw.screening import RawOrbitError
from pygnc_ground.orbit.solution import FloatArray, IntArray

_CODE_M: Final = 0.5
_CODE_MULTIPATH_M: Final = 0.4
_CODE_MULTIPATH_S: Final = 100.0
_PHASE_M: Final = 0.002
_PATTERN_M: Final = 0.002
"""Error of the phase that depends on the direction: patterns of the antennas, and multipath."""
_PATTERN_S: Final = 300.0
_IONOSPHERE_LEAST_M: Final = 0.001
_IONOSPHERE_SLOPE: Final = 1e-6
"""Standard deviation of the difference of the ionosphere's delays at the zenith on L1, by the distance. Two frequencies
show it; then 0.3 of this is the least.
"""
_LEAST_SHARE: Final = 0.3
_SHOWN: Final = 2.0
"""Factor on what two frequencies show, since the mean of each pass is unknown."""
_IONOSPHERE_S: Final = 600.0
_GPS_DISTANCE_M: Final = 2.2e7
_ACROSS: Final = 3.0
"""Error of a GPS orbit across the line of sight relative to that along it."""
_INTERVAL_MS: Final = 1_800_000
_AMBIGUITY_SIGMA_M: Final = 30.0
_DATUM_SIGMA_M: Final = 1e-3
"""Standard deviation of the ambiguity of one pass of a group, to which the others refer; the clocks absorb its value.
"""
_HUBER: Final = 3.0
_ITERATIONS: Final = 4
_GROUP: Final = 40
"""Number of ambiguities that are fixed together."""
_SWEEPS: Final = 2
_FACTOR_STEP: Final = 10.0**0.5
_MS_PER_S: Final = 1e3
_NORMAL_MEDIAN: Final = 0.6745
"""Median of the size of a normal variable of unit variance."""


@dataclass(frozen=True, slots=True, eq=False)
class RelativeOrbit:
    """Orbit of a partner that is consistent with the own one."""

    differences: Differences
    motion: LinearMotion
    float_correction: FloatArray
    float_covariance: FloatArray
    correction: FloatArray
    covariance: FloatArray
    """Correction and covariance of the orbit's parameters before and after integers were fixed."""
    combinations: IntArray
    """Integer combinations of ambiguities that are known, shape (k, a). An ambiguity is that of a pass minus that of
    the longest pass with which it is connected by common epochs; its number is that of the pass plus the number of
    passes times the band.
    """
    integers: IntArray
    """Values of the combinations, shape (k,)."""
    references: IntArray
    """Longest pass that is connected with each pass, shape (passes,)."""
    ambiguities: int
    """Number of ambiguities that could be integers."""
    factors: Factors
    phase_m: FloatArray
    """Residuals of the phases with fixed integers, shape (bands, n)."""

    def states(self, gps_ms: IntArray, *, fixed: bool = True) -> tuple[FloatArray, FloatArray]:
        """Return states in GCRF (n, 6), and the covariances relative to the own orbit (n, 6, 6)."""
        correction = self.correction if fixed else self.float_correction
        covariance = self.covariance if fixed else self.float_covariance
        on_time = np.zeros(len(gps_ms))
        states = self.motion.states(gps_ms, on_time) + self.motion.changes(gps_ms, on_time, correction)
        return states, self.motion.covariances(gps_ms, covariance)


class _Normal(NamedTuple):
    """Normal equations of p orbit parameters and a ambiguities."""

    matrix: FloatArray
    """Shape (p + a, p + a)."""
    right: FloatArray
    """Right sides for the residuals and for the three components of the antenna's offset, shape (p + a, 4)."""


def solve_relative(  # noqa: PLR0917 - both orbits, and what they are predicted with
    own: RawOrbit,
    partner: RawOrbit,
    settings: OrbitSettings,
    frames: EarthFrames,
    partner_offset_m: tuple[float, float, float],
    offset_sigma_m: float,
) -> RelativeOrbit:
    """Fit the partner's orbit to the differences of its measurements and the own ones.

    `offset_sigma_m` is the standard deviation of each component of the difference of both antennas' offsets.

    Raises:
        RawOrbitError: The receivers have too few common measurements.
    """
    pairs = Pairs(own, partner, frames, np.array(partner_offset_m))
    dynamics, reference, values, expected = _beginning(own, partner, pairs, settings, frames)
    parameters = dynamics.parameters
    # Slips are sought against the partner's orbit: in a day, the first motion leaves it by metres.
    passes = pairs.differences(partner.at(pairs.gps_ms, pairs.offset_s)).passes
    count, factors, residuals = parameters.count, Factors(), None
    mean = parameters.prior(settings, factors).mean
    for iteration in range(_ITERATIONS):
        motion = dynamics.linearise(reference, values)
        seen = pairs.differences(motion.states(pairs.gps_ms, pairs.offset_s), passes)
        passes = seen.passes
        fit = _Fit(seen, motion, residuals)
        normal = fit.normal(count)
        orbit = _without_ambiguities(normal, count)
        relative = values - expected + mean
        if iteration:
            factors, _ = choose_factors(orbit, parameters, settings, relative, factors if iteration > 1 else None)
        solution = solve(orbit, parameters.prior(settings, factors), relative)
        both = np.concatenate((solution.correction, _ambiguities(normal, solution.correction)))
        residuals = fit.residuals(both)
        if iteration < _ITERATIONS - 1:
            reference, values = motion.nodes(solution.correction), values + solution.correction
            seen = seen.split(seen.jumps(seen.without_ionosphere(residuals[seen.bands :]))) if iteration else seen
            passes = seen.passes
            residuals = None if iteration == 0 else residuals
            # Its weights are the largest table: those of the next iteration shall not be made beside them.
            del fit
    cautious = parameters.prior(settings, factors._replace(empirical=_FACTOR_STEP * factors.empirical))
    information = normal.matrix.copy()
    information[:count, :count] += cautious.information
    covariance = _inverse(information)
    pull = np.zeros(len(both))
    pull[:count] = cautious.information @ (relative - mean)
    estimate = covariance @ (normal.right[:, 0] - pull)
    covariance *= max(fit.variance_factor(estimate), 1.0)
    by_offset = covariance @ normal.right[:, 1:]
    floating, float_covariance = estimate.copy(), covariance[:count, :count].copy()
    float_covariance += offset_sigma_m**2 * by_offset[:count] @ by_offset[:count].T
    combinations, integers = _fix(fit, estimate, covariance)
    # The offset's error moves the orbit, with the integers held.
    by_offset = covariance @ normal.right[:, 1:]
    known = covariance[:count, :count] + offset_sigma_m**2 * by_offset[:count] @ by_offset[:count].T
    return RelativeOrbit(
        seen,
        motion,
        floating[:count],
        float_covariance,
        estimate[:count],
        known,
        combinations,
        integers,
        fit.references,
        len(fit.free),
        factors,
        fit.residuals(estimate)[seen.bands :],
    )


def _beginning(
    own: RawOrbit, partner: RawOrbit, pairs: Pairs, settings: OrbitSettings, frames: EarthFrames
) -> tuple[ArcDynamics, FloatArray, FloatArray, FloatArray]:
    """Return dynamics of the common arc, the partner's states at its nodes, its parameters, and their expectation."""
    first = max(one.dynamics.grid.begin_gps_ms for one in (own, partner))
    grid = Grid(first, int(pairs.gps_ms.max()))
    dynamics = ArcDynamics(grid, frames, settings.spacecraft)
    starts_ms = np.repeat(grid.begin_gps_ms + SEGMENT_MS * np.arange(grid.segments), len(NODE))
    after_s = np.tile(SEGMENT_S * NODE, grid.segments)
    reference = partner.at(starts_ms, after_s).reshape(grid.segments, len(NODE), 6)
    values = np.zeros(dynamics.parameters.count)
    values[STATE] = partner.at(np.array([first]), np.zeros(1))[0]
    values[RADIATION] = own.values[RADIATION]
    times_ms = first + _MS_PER_S * dynamics.parameters.interval_s * np.arange(dynamics.parameters.nodes)
    of_own = own.dynamics.parameters
    own_ms = own.dynamics.grid.begin_gps_ms + _MS_PER_S * of_own.interval_s * np.arange(of_own.nodes)
    for process in range(PER_NODE):
        column = slice(FIRST_NODE + process, None, PER_NODE)
        values[column] = np.interp(times_ms, own_ms, own.values[column])
    return dynamics, reference, values, values.copy()


def _without_ambiguities(normal: _Normal, count: int) -> tuple[FloatArray, FloatArray]:
    """Return the normal equations of the orbit alone."""
    cross, ambiguity = normal.matrix[:count, count:], normal.matrix[count:, count:]
    carried = cross @ _inverse(ambiguity)
    return normal.matrix[:count, :count] - carried @ cross.T, normal.right[:count, 0] - carried @ normal.right[
        count:, 0
    ]


def _ambiguities(normal: _Normal, correction: FloatArray) -> FloatArray:
    """Return the ambiguities after a correction of the orbit."""
    count = len(correction)
    right = normal.right[count:, 0] - normal.matrix[count:, :count] @ correction
    return np.asarray(np.linalg.solve(normal.matrix[count:, count:], right))


def _inverse(information: FloatArray) -> FloatArray:
    unit = 1.0 / np.sqrt(np.diagonal(information))
    inverse: FloatArray = unit[:, None] * np.linalg.inv(unit[:, None] * information * unit) * unit
    return 0.5 * (inverse + inverse.T)


class _Block(NamedTuple):
    """Differences of some minutes: observation number `band` n + row, codes of all bands before phases."""

    row: IntArray
    kind: IntArray
    clocked: Clocked
    """Weights of the differences, with a clock for each epoch and kind"""


class _Fit:
    """Linearised differences about a motion.

    Args:
        seen: Differences.
        motion: Motion of the partner, about which they are linearised.
        residuals: Residuals of codes and phases of all bands after a fit, shape (2 bands, n), for robust weights.
    """

    def __init__(self, seen: Differences, motion: LinearMotion, residuals: FloatArray | None) -> None:
        self._seen, self._motion = seen, motion
        white = np.repeat([_CODE_M, _PHASE_M], seen.bands)[:, None] ** 2 * seen.noise_factor
        if residuals is not None:
            size = np.nan_to_num(np.abs(residuals)) / np.sqrt(4.0 * white)
            white = white * np.maximum(size / _HUBER, 1.0) ** 2
        self._white_m2 = white
        self._observed_m = np.concatenate((seen.code_m, seen.phase_m))
        self.references = _references(seen)
        total = seen.bands * seen.pass_count
        is_datum = np.zeros(total, dtype=np.bool_)
        for band in range(seen.bands):
            is_datum[band * seen.pass_count + self.references] = True
        self.free = np.flatnonzero(~is_datum)
        self.wavelengths_m = np.repeat(WAVELENGTHS_M[: seen.bands], seen.pass_count)
        self._sigma_m = np.where(is_datum, _DATUM_SIGMA_M, _AMBIGUITY_SIGMA_M)
        self._ionosphere_m = _ionosphere_m(seen, residuals)
        self._blocks = list(self._split())

    def normal(self, count: int) -> _Normal:
        """Return the normal equations for corrections of the orbit's `count` parameters and ambiguities in m."""
        seen, total = self._seen, count + len(self._sigma_m)
        matrix, right = np.diag(np.concatenate((np.zeros(count), self._sigma_m**-2))), np.zeros((total, 4))
        for block in self._blocks:
            local, used, design = self._design(block)
            observed = self._observed_m[block.kind, block.row]
            values = np.column_stack((design, observed, seen.by_offset[block.row]))
            cleared = block.clocked.weighted(block.clocked.rest(values))
            products, places = design.T @ cleared, len(local.carried)
            of_orbit = local.carried.T @ products[:places]
            acting, right_of = len(of_orbit), design.shape[1]
            matrix[:acting, :acting] += of_orbit[:, :places] @ local.carried
            cross = of_orbit[:, places:right_of]
            matrix[:acting, count + used] += cross
            matrix[count + used, :acting] += cross.T
            matrix[np.ix_(count + used, count + used)] += products[places:, places:right_of]
            right[:acting] += of_orbit[:, right_of:]
            right[count + used] += products[places:, right_of:]
        return _Normal(0.5 * (matrix + matrix.T), right)

    def residuals(self, both: FloatArray) -> FloatArray:
        """Return the residuals (2 bands, n) after corrections of orbit and ambiguities; NaN where not used."""
        found = np.full_like(self._observed_m, np.nan)
        for block in self._blocks:
            residual = self._residual(block, both)
            found[block.kind, block.row] = block.clocked.rest(residual)[:, 0]
        return found

    def variance_factor(self, both: FloatArray) -> float:
        """Return chi-square per degree of freedom."""
        chi_square, degrees = 0.0, -len(both)
        for block in self._blocks:
            residual = self._residual(block, both)
            of_block, degrees_of_block = block.clocked.chi_square(block.clocked.rest(residual))
            chi_square, degrees = chi_square + of_block, degrees + degrees_of_block
        return chi_square / max(degrees, 1)

    def first_epochs(self) -> IntArray:
        """Return the first epoch of each pass, shape (passes,)."""
        rows = np.flatnonzero(self._seen.passes >= 0)[::-1]
        first = np.zeros(self._seen.pass_count, dtype=np.int64)
        first[self._seen.passes[rows]] = self._seen.epoch[rows]
        return first

    def _residual(self, block: _Block, both: FloatArray) -> FloatArray:
        """Return the differences (m, 1) after corrections of orbit and ambiguities."""
        local, used, design = self._design(block)
        count = len(both) - len(self._sigma_m)
        corrections = np.concatenate((local.carried @ both[: local.carried.shape[1]], both[count + used]))
        return np.asarray((self._observed_m[block.kind, block.row] - design @ corrections)[:, None])

    def _design(self, block: _Block) -> tuple[LocalDerivatives, IntArray, FloatArray]:
        """Return the orbit's derivatives, the ambiguities that act, and the derivatives by its segments and by them."""
        seen, bands = self._seen, self._seen.bands
        rows, which = np.unique(block.row, return_inverse=True)
        local = self._motion.local_derivatives(seen.gps_ms[rows], seen.offset_s[rows])
        is_phase = block.kind >= bands
        number = (block.kind - bands) * seen.pass_count + seen.passes[block.row]
        used, column = np.unique(number[is_phase], return_inverse=True)
        by_ambiguity = np.zeros((len(block.row), len(used)))
        by_ambiguity[np.flatnonzero(is_phase), column] = 1.0
        return local, used, np.concatenate((local.rows(which, seen.partials[block.row]), by_ambiguity), axis=1)

    def _split(self) -> Iterator[_Block]:
        """Yield the blocks of half an hour."""
        seen = self._seen
        number = seen.gps_ms // _INTERVAL_MS
        usable = np.isfinite(self._observed_m) & (seen.passes >= 0)
        for rows in np.split(np.arange(len(number)), np.flatnonzero(np.diff(number)) + 1):
            kind, place = np.nonzero(usable[:, rows])
            if not len(kind):
                continue
            row = rows[place]
            _, clock = np.unique(kind * (seen.epoch.max() + 1) + seen.epoch[row], return_inverse=True)
            covariances = ((own, self._covariance(row[own], kind[own])) for own in by_satellite(seen.satellite[row]))
            yield _Block(row, kind, Clocked.of(clock, covariances))

    def _covariance(self, row: IntArray, kind: IntArray) -> FloatArray:
        """Return the covariance of observations of one satellite, shape (m, m)."""
        seen = self._seen
        is_phase = kind >= seen.bands
        apart_s = np.abs(seen.gps_ms[row][:, None] - seen.gps_ms[row]) / _MS_PER_S
        same = kind[:, None] == kind
        covariance = np.diag(self._white_m2[kind, row])
        size = np.where(is_phase, _PATTERN_M, _CODE_MULTIPATH_M) * np.sqrt(seen.noise_factor[row])
        time_s = np.where(is_phase, _PATTERN_S, _CODE_MULTIPATH_S)
        covariance += np.where(same, np.outer(size, size) * np.exp(-apart_s / time_s), 0.0)
        delay = np.where(is_phase, -1.0, 1.0) * np.array(DELAY_FACTORS)[kind % seen.bands] * seen.mapping[row]
        covariance += self._ionosphere_m**2 * np.outer(delay, delay) * np.exp(-apart_s / _IONOSPHERE_S)
        covariance += (_ACROSS * seen.sigma_m[row[0]] * seen.baseline_m / _GPS_DISTANCE_M) ** 2
        return covariance


def _ionosphere_m(seen: Differences, residuals: FloatArray | None) -> float:
    """Return the standard deviation of the difference of delays on L1 at the zenith.

    Residuals (2 bands, n) of both frequencies show it: their difference contains the ionosphere and errors of receivers
    and antennas, their ionosphere-free combination the latter alone.
    """
    usual_m = _IONOSPHERE_LEAST_M + _IONOSPHERE_SLOPE * seen.baseline_m
    if seen.bands == 1 or residuals is None:
        return usual_m
    phase_m = residuals[seen.bands :]
    delay_m = (phase_m[0] - phase_m[1]) / (DELAY_FACTORS[1] - 1.0)
    noise_m = seen.without_ionosphere(phase_m) / math.hypot(L1_SHARE, 1.0 - L1_SHARE)
    noise_m *= math.sqrt(2.0) / (DELAY_FACTORS[1] - 1.0)
    both_m, of_noise_m = (
        float(np.nanmedian(np.abs(values) / seen.mapping)) / _NORMAL_MEDIAN for values in (delay_m, noise_m)
    )
    return max(_LEAST_SHARE * usual_m, _SHOWN * math.sqrt(max(both_m**2 - of_noise_m**2, 0.0)))


def _references(seen: Differences) -> IntArray:
    """Return the longest pass that is connected with each pass by common epochs."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - takes a third of the time of a command's help
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    rows = np.flatnonzero(seen.passes >= 0)
    if not len(rows):
        raise RawOrbitError("no pass of a GPS satellite is long enough for differences of phases")
    passes, count = seen.passes[rows], seen.pass_count
    shape = (count, int(seen.epoch.max()) + 1)
    table = coo_array((np.ones(len(rows)), (passes, seen.epoch[rows])), shape=shape).tocsr()
    _, group = connected_components(table @ table.T, directed=False)
    lengths = np.bincount(passes, minlength=count)
    longest = [int(np.flatnonzero(group == one)[lengths[group == one].argmax()]) for one in range(group.max() + 1)]
    return np.asarray(np.array(longest)[group])


def _fix(fit: _Fit, estimate: FloatArray, covariance: FloatArray) -> tuple[IntArray, IntArray]:
    """Fix integers, group by group in order of time; change estimate and covariance accordingly.

    Returns:
        Integer combinations of all ambiguities that are known, shape (k, a), and their values, shape (k,).
    """
    passes = len(fit.references)
    total = len(fit.wavelengths_m)
    count = len(estimate) - total
    in_order = fit.free[np.argsort(fit.first_epochs()[fit.free % passes], kind="stable")]
    pending = np.eye(total, dtype=np.int64)[in_order]
    known, integers = [pending[:0]], [np.zeros(0, dtype=np.int64)]
    for _ in range(_SWEEPS):
        left = [pending[:0]]
        for first in range(0, len(pending), _GROUP):
            group = pending[first : first + _GROUP]
            rows = np.zeros((len(group), len(estimate)))
            rows[:, count:] = group / fit.wavelengths_m
            carried = covariance @ rows.T
            fixed = resolve(rows @ estimate, rows @ carried)
            left.append(fixed.rest.T @ group)
            known.append(fixed.combinations.T @ group)
            integers.append(fixed.integers)
            if len(fixed.integers):
                rows, carried = fixed.combinations.T @ rows, carried @ fixed.combinations
                gain = np.linalg.solve(rows @ carried, carried.T).T
                estimate += gain @ (fixed.integers - rows @ estimate)
                covariance -= gain @ carried.T
        pending = np.concatenate(left)
    return np.concatenate(known), np.concatenate(integers)

"""Orbit from codes and phases: the reduced-dynamic batch with measurements of a receiver in place of its fixes.

Forces, parameters, motion and the choice of the a-priori sigmas are those of `pygnc_ground.orbit.batch`. Point
solutions give the first orbit; codes alone improve it to metres, codes and phases together to decimetres.

The offset of the receiver's antenna is a considered parameter: it is not estimated, but its uncertainty adds to the
covariance (Montenbruck & Gill, Satellite Orbits, section 8.1.4).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.gnss.antennas import SatelliteAntennas
from pygnc_ground.gnss.measurements import L1_WAVELENGTH_M, SPEED_OF_LIGHT_M_S, GnssMeasurements, GnssOrbits
from pygnc_ground.gnss.ranges import Links
from pygnc_ground.orbit.batch.arc import choose_factors, solve
from pygnc_ground.orbit.batch.first_orbit import first_orbit
from pygnc_ground.orbit.batch.forces import STATE, Factors
from pygnc_ground.orbit.batch.trajectory import ArcDynamics, Grid, LinearMotion
from pygnc_ground.orbit.raw.combinations import Combined, combine, has_two_frequencies, previous, without_short
from pygnc_ground.orbit.raw.normal_equations import Elimination, Fitted, Linearised, Noise, huber_variance
from pygnc_ground.orbit.raw.point_solutions import PointSolutions, point_solutions
from pygnc_ground.orbit.raw.prediction import predict
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray

_POINT_LIMIT_M: Final = {True: 15.0, False: 60.0}
"""Largest residual of a point solution with two frequencies and with one, by the ionosphere."""
_STEP_MS: Final = {True: 30_000, False: 10_000}
"""Interval of the epochs used. With two frequencies the errors of interpolated clocks are common to 30 s; with one
frequency the white noise of the codes is averaged over more epochs.
"""
_NOISE: Final = {True: Noise(0.5, 0.01, 0.015), False: Noise(0.5, 0.1, 0.0)}
"""White errors. The code's is that of a P code on two frequencies (0.17 m each); a mean of code and phase has half the
noise of a C/A code (0.2 m). They are increased if the residuals are larger, but not reduced: multipath changes
slowly, and residuals of short arcs do not show all of it.
"""
_PAIRS_S: Final = 60_000
_LOW: Final = 0.3
"""Sine of the elevation below which noise no longer increases; above, it is inversely proportional."""
_HUBER: Final = 3.0
_JUMP_SIGMAS: Final = 5.0
_JUMP_LEAST_M: Final = 0.06
_CARRIER_JUMP_M: Final = (0.08, 0.003, 0.17)
"""Least change of a phase on L1 against the others that is a slip, m: at once, by the ionosphere in a second, at most.

A slip of a cycle changes it by 0.19 m.
"""
_FACTOR_STEP: Final = 10.0**0.5
"""Step of the search for the sigma of the empirical accelerations."""
_CODE_LIMIT_M: Final = 30.0
"""Code residual from which a code is not used once the orbit is accurate to metres."""
_ITERATIONS_MAX: Final = 20
_SETTLED_M: Final = 5.0
_ACCURATE_M: Final = 0.3
"""Change of the orbit in an iteration below which its residuals show slips."""
_CONVERGED_M: Final = 1e-3
_CHOICES: Final = 3
_SPLITS: Final = 6
"""Number of iterations in which residuals may end passes; without a limit, weights and passes could alternate."""
_POINTS_FEWEST: Final = 4
_RADIUS_M: Final = (6.2e6, 1e9)
_GAP_MS: Final = 3_600_000
_UNKNOWN_OFFSET_M: Final = 0.5


class RawOrbitError(ValueError):
    """Error raised when measurements give no orbit; the message names the reason."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Antenna of the receiver on an Earth-pointing satellite: x forwards, y against the orbit normal, z down."""

    offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Phase centre of the antenna, relative to the centre of mass; the antenna looks up."""
    sigma_m: float = 0.03
    """Standard deviation of each component; phase centres of uncalibrated antennas vary by centimetres."""
    dual: bool | None = None
    """True to use two frequencies, False for one; None to decide by the measurements."""

    @classmethod
    def of(cls, offset_m: tuple[float, float, float] | None, sigma_m: float | None, *, dual: bool | None) -> Self:
        """Return the receiver; an offset that is not given is anywhere within the size of a small satellite."""
        default_m = 0.03 if offset_m else _UNKNOWN_OFFSET_M
        return cls(offset_m or (0.0, 0.0, 0.0), default_m if sigma_m is None else sigma_m, dual=dual)


@dataclass(frozen=True, slots=True, eq=False)
class RawOrbit:
    """Orbit fitted to raw measurements."""

    points: PointSolutions
    point_gps_ms: IntArray
    """Times of the point solutions' epochs, shape (m,)."""
    combined: Combined
    fitted: Fitted
    noise: Noise
    factors: Factors
    iterations: int
    converged: bool
    motion: LinearMotion
    correction: FloatArray
    covariance: FloatArray
    dynamics: ArcDynamics
    values: FloatArray
    """Parameters with the correction, shape (p,)."""
    links: Links
    clock_s: FloatArray
    """Clock of the receiver at each row of `combined`, shape (n,)."""
    receiver: Receiver

    def at(self, gps_ms: IntArray, offset_s: FloatArray) -> FloatArray:
        """Return states in GCRF at times `gps_ms` plus `offset_s` within the arc, each (n,); shape (n, 6)."""
        return self.motion.states(gps_ms, offset_s) + self.motion.changes(gps_ms, offset_s, self.correction)

    def states(self, gps_ms: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return states in GCRF (n, 6) and their covariances (n, 6, 6) at times within the arc, shape (n,)."""
        return self.at(gps_ms, np.zeros(len(gps_ms))), self.motion.covariances(gps_ms, self.covariance)


def solve_raw_orbit(  # noqa: PLR0917 - measurements and what they are predicted with
    seen: GnssMeasurements,
    orbits: GnssOrbits,
    antennas: SatelliteAntennas | None,
    receiver: Receiver,
    settings: OrbitSettings,
    frames: EarthFrames,
) -> RawOrbit:
    """Fit the orbit of a satellite in an Earth-pointing attitude to the measurements of its receiver.

    Cost: 6 s for half a day at 10 s, 12 s for a day.

    Raises:
        RawOrbitError: The measurements give no orbit.
    """
    _require_one_receiver(seen)
    dual = has_two_frequencies(seen) if receiver.dual is None else receiver.dual
    seen = seen if dual else seen.without_l2()
    links = Links.of(seen, orbits, antennas, frames)
    if not links.known.any():
        raise RawOrbitError("no satellite that was tracked has an orbit and a clock at the time of the measurements")
    combined = combine(seen, dual=dual)
    times_ms, epoch = np.unique(seen.gps_ms, return_inverse=True)
    points = point_solutions(links, combined.code_m, epoch, _POINT_LIMIT_M[dual])
    grid = Grid(int(times_ms[0]), int(times_ms[-1]))
    clock_s = np.nan_to_num(points.clock_s)[epoch]
    kept = _thinned(seen.gps_ms, _STEP_MS[dual]) & links.known & points.known[epoch]
    begin = _first(times_ms, points, grid, frames)
    fit = _Fit(combined.selected(kept), links.selected(kept), clock_s[kept], receiver, frames)
    dynamics = ArcDynamics(grid, frames, settings.spacecraft)
    return fit.run(dynamics, begin, settings, orbits.clock_interval_ms, points, times_ms)


def _require_one_receiver(seen: GnssMeasurements) -> None:
    """Raise RawOrbitError if a satellite was measured twice at one time."""
    order = np.lexsort((seen.satellite, seen.fraction_s, seen.gps_ms))
    same = np.diff(seen.gps_ms[order]) == 0
    same &= (np.diff(seen.fraction_s[order]) == 0) & (seen.satellite[order][1:] == seen.satellite[order][:-1])
    if same.any():
        raise RawOrbitError(
            f"{int(same.sum())} measurements exist twice, so the files are of several satellites or overlap; give the"
            " files of one receiver"
        )


def _thinned(gps_ms: IntArray, step_ms: int) -> BoolArray:
    """Return flags of the first epoch in each step, shape (n,)."""
    times_ms, epoch = np.unique(gps_ms, return_inverse=True)
    first = np.diff(times_ms // step_ms, prepend=-1) > 0
    return np.asarray(first[epoch])


def _first(
    times_ms: IntArray, points: PointSolutions, grid: Grid, frames: EarthFrames
) -> tuple[FloatArray, FloatArray]:
    """Return the first orbit, through point solutions: state at the start (6,), states at the nodes."""
    used = np.flatnonzero(points.known & _thinned(times_ms, _PAIRS_S))
    if len(used) < _POINTS_FEWEST:
        raise RawOrbitError(
            f"only {len(used)} minutes have a position from at least 5 satellites; {_POINTS_FEWEST} are required"
        )
    attitude = frames.at_each(times_ms[used], np.zeros(len(used)))
    position_m = np.einsum("nji,nj->ni", attitude.ecef_from_gcrf, points.position_ecef_m[used])
    pole = attitude.rotation_gcrf_rad_s[0] / np.linalg.norm(attitude.rotation_gcrf_rad_s[0])
    found = first_orbit(times_ms[used], position_m, np.full_like(position_m, np.nan), grid, pole)
    if found is None:
        raise RawOrbitError("no two positions are close enough in time to give a first orbit")
    return found


class _Fit:
    """Iterations of motion, residuals and weights, about an orbit that improves."""

    def __init__(
        self, combined: Combined, links: Links, clock_s: FloatArray, receiver: Receiver, frames: EarthFrames
    ) -> None:
        self._combined = without_short(combined)
        self._links = links
        self._clock_s = clock_s
        self._receiver = receiver
        self._offset_m = np.array(receiver.offset_m)
        self._noise = _NOISE[combined.dual]
        seen = combined.measurements
        times_ms, first, self._epoch = np.unique(seen.gps_ms, return_index=True, return_inverse=True)
        # In 10 ms, the Earth turns by 5 m in a low orbit.
        attitude = frames.at_each(times_ms, (seen.fraction_s - clock_s)[first])
        self._ecef_from_gcrf = attitude.ecef_from_gcrf[self._epoch]
        self._fitted: Fitted | None = None
        self._carrier_m = np.full(len(seen), np.nan)
        self._splits = 0

    def run(  # noqa: PLR0917 - state of the search
        self,
        dynamics: ArcDynamics,
        first: tuple[FloatArray, FloatArray],
        settings: OrbitSettings,
        clock_interval_ms: int,
        points: PointSolutions,
        times_ms: IntArray,
    ) -> RawOrbit:
        """Iterate until the orbit converges."""
        parameters, factors, choices = dynamics.parameters, Factors(), 0
        begin, reference = first
        values = parameters.prior(settings, factors).mean
        values[STATE] = begin
        with_phase, converged, iteration = False, False, 0
        while not converged and iteration < _ITERATIONS_MAX:
            iteration += 1
            radius_m = np.linalg.norm(reference[..., :3], axis=2)
            if not (radius_m.min() > _RADIUS_M[0] and radius_m.max() < _RADIUS_M[1]):
                raise RawOrbitError("the measurements contradict each other: no orbit fits most of them")
            motion = dynamics.linearise(reference, values)
            linearised, shift = self._linearised(motion, with_phase=with_phase)
            elimination = Elimination(linearised, clock_interval_ms, shift, self._noise.pattern_m)
            matrix, right = elimination.normal(motion, parameters.count)
            normal = matrix, right[:, 0]
            if with_phase and choices < _CHOICES:
                factors, _ = choose_factors(normal, parameters, settings, values, factors if choices else None)
                choices += 1
            solution = solve(normal, parameters.prior(settings, factors), values)
            moved = motion.nodes(solution.correction)
            change_m = float(np.abs(moved - reference)[..., :3].max())
            reference, values = moved, values + solution.correction
            self._fitted = fitted = elimination.fitted(motion, solution.correction)
            moved_m = motion.changes(self._combined.measurements.gps_ms, linearised.offset_s, solution.correction)
            self._carrier_m -= np.einsum("ni,ni->n", linearised.partials, moved_m[:, :3])
            is_changed = with_phase and change_m < _ACCURATE_M and self._improve(fitted)
            converged = with_phase and choices == _CHOICES and change_m < _CONVERGED_M and not is_changed
            with_phase |= change_m < _SETTLED_M
        # The sigma of the forces is known to a step of the search only, and the larger one is not refuted by it.
        cautious = factors._replace(empirical=_FACTOR_STEP * factors.empirical)
        covariance = solve(normal, parameters.prior(settings, cautious), values).covariance()
        by_offset = covariance @ right[:, 1:]
        covariance = covariance * max(fitted.chi_square / fitted.degrees_of_freedom, 1.0)
        covariance += self._receiver.sigma_m**2 * by_offset @ by_offset.T
        return RawOrbit(
            points,
            times_ms,
            linearised.combined,
            fitted,
            self._noise,
            factors,
            iteration,
            converged,
            motion,
            solution.correction,
            covariance,
            dynamics,
            values,
            self._links,
            self._clock_s,
            self._receiver,
        )

    def _linearised(self, motion: LinearMotion, *, with_phase: bool) -> tuple[Linearised, FloatArray]:
        """Return the residuals against a motion, and the derivatives of the ranges by the antenna's offset (n, 3)."""
        combined, links, seen = self._combined, self._links, self._combined.measurements
        offset_s = seen.fraction_s - self._clock_s
        states = motion.states(seen.gps_ms, offset_s)
        predicted = predict(combined, links, states, self._ecef_from_gcrf, self._offset_m, self._clock_s)
        code_m = combined.code_m - predicted.range_m
        clock_m = _medians(self._epoch, code_m)[self._epoch]
        self._clock_s = clock_m / SPEED_OF_LIGHT_M_S
        code_m -= clock_m
        phase_m = combined.phase_m - predicted.range_m - clock_m
        phase_m -= combined.wind_up_m * predicted.wind_up_cycles
        self._carrier_m = seen.phase_l1_m - predicted.range_m - L1_WAVELENGTH_M * predicted.wind_up_cycles
        phase_m = np.where(combined.passes >= 0, phase_m, np.nan)
        phase_m -= _pass_medians(combined, phase_m - code_m)
        factor = 1.0 / np.maximum(predicted.sine, _LOW) ** 2
        code_variance, phase_variance = self._noise.code_m**2 * factor, self._noise.phase_m**2 * factor
        if self._fitted is not None:
            code_variance = huber_variance(self._fitted.code_m, code_variance, _HUBER)
            of_clock = 0.25 * links.clock_walk_m2_s * 900.0 + links.sigma_m**2
            phase_variance = huber_variance(self._fitted.phase_m, phase_variance + of_clock, _HUBER) - of_clock
        if not with_phase:
            phase_m = np.full_like(phase_m, np.nan)
            combined = replace(combined, passes=np.full(len(seen), -1))
        else:
            is_usable = (np.abs(code_m) < _CODE_LIMIT_M) & combined.dual
            code_m = np.where(is_usable, code_m, np.nan)
        partials = np.einsum("ni,nij->nj", predicted.direction, self._ecef_from_gcrf)
        shift = np.einsum("ni,nki->nk", predicted.direction, predicted.axes)
        return Linearised(combined, links, offset_s, code_m, phase_m, partials, code_variance, phase_variance), shift

    def _improve(self, fitted: Fitted) -> bool:
        """End passes where phases jump; return True if there were any."""
        self._splits += 1
        if self._splits > _SPLITS:
            return False
        before = previous(self._combined.measurements, self._combined.passes)
        jump = self._jumps(fitted.phase_m, before) if self._combined.dual else self._carrier_jumps(before)
        jump &= before >= 0
        if not jump.any():
            return False
        self._combined = without_short(self._combined.split(jump))
        return True

    def _jumps(self, residual_m: FloatArray, before: IntArray) -> BoolArray:
        """Return flags of rows at which residuals differ from those `before` by more than clocks and noise, (n,)."""
        seen = self._combined.measurements
        walk_m2 = self._links.clock_walk_m2_s * 1e-3 * (seen.gps_ms - seen.gps_ms[before])
        limit_m = _JUMP_SIGMAS * np.sqrt(2.0 * self._noise.phase_m**2 + np.maximum(walk_m2, 0.0))
        return np.asarray(np.nan_to_num(np.abs(residual_m - residual_m[before])) > np.maximum(limit_m, _JUMP_LEAST_M))

    def _carrier_jumps(self, before: IntArray) -> BoolArray:
        """Return flags of rows at which the L1 phase jumps against those of the other satellites, shape (n,).

        The mean of code and phase is too noisy for that.
        """
        gps_ms = self._combined.measurements.gps_ms
        change_m = np.where(before >= 0, self._carrier_m - self._carrier_m[before], np.nan)
        is_next = self._epoch - self._epoch[before] == 1
        clock_m = np.cumsum(_medians(self._epoch, np.where(is_next, change_m, np.nan)))
        change_m -= clock_m[self._epoch] - clock_m[self._epoch[before]]
        at_once_m, by_ionosphere_mps, most_m = _CARRIER_JUMP_M
        limit_m = np.minimum(at_once_m + by_ionosphere_mps * 1e-3 * (gps_ms - gps_ms[before]), most_m)
        return np.asarray(np.nan_to_num(np.abs(change_m)) > limit_m)


def _medians(group: IntArray, values: FloatArray) -> FloatArray:
    """Return the lower median of the finite values of each group, 0 for none; groups are numbered from 0."""
    order = np.lexsort((values, group))
    count = np.bincount(group, np.isfinite(values)).astype(np.int64)
    first = np.searchsorted(group[order], np.arange(len(count)))
    found: FloatArray = values[order][np.minimum(first + np.maximum((count - 1) // 2, 0), len(values) - 1)]
    return np.where(count > 0, found, 0.0)


def _pass_medians(combined: Combined, values: FloatArray) -> FloatArray:
    """Return for each row the median of the values in its pass, 0 without a pass, shape (n,)."""
    medians = np.zeros(len(values))
    rows = combined.passes >= 0
    if rows.any():
        medians[rows] = _medians(combined.passes[rows], values[rows])[combined.passes[rows]]
    return medians


def jumps_of_clock(points: PointSolutions) -> int:
    """Return the number of jumps of the receiver's clock by at least half a millisecond."""
    clock_s = points.clock_s[points.known]
    return int((np.abs(np.diff(clock_s)) > 5e-4).sum())


def gaps(gps_ms: IntArray) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each gap of more than an hour between epochs, GPS ms."""
    times_ms = np.unique(gps_ms)
    for row in np.flatnonzero(np.diff(times_ms) > _GAP_MS).tolist():
        yield int(times_ms[row]), int(times_ms[row + 1])

"""Orbit from codes and phases: the reduced-dynamic batch with measurements of a receiver in place of its fixes.

Forces, parameters, motion and the choice of the a-priori sigmas are those of `pygnc_ground.orbit.batch`. Point
solutions give the first orbit; codes alone improve it to metres, codes and phases together to decimetres.

The offset of the receiver's antenna is a considered parameter: it is not estimated, but its uncertainty adds to the
covariance (Montenbruck & Gill, Satellite Orbits, section 8.1.4).
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, EMPIRICAL, SIZE, OrbitState
from pygnc_ground.gnss.antennas import L1_SHARE, SatelliteAntennas
from pygnc_ground.gnss.measurements import L1_WAVELENGTH_M, SPEED_OF_LIGHT_M_S, GnssMeasurements, GnssOrbits
from pygnc_ground.gnss.ranges import Links
from pygnc_ground.orbit.batch.arc import choose_factors, solve
from pygnc_ground.orbit.batch.forces import FIRST_NODE, PER_NODE, STATE, Factors
from pygnc_ground.orbit.batch.trajectory import SEGMENT_MS, ArcDynamics, Grid, LinearMotion
from pygnc_ground.orbit.raw.combinations import Combined, combine, previous, without_short
from pygnc_ground.orbit.raw.normal_equations import Elimination, Fitted, Linearised, Noise, huber_variance
from pygnc_ground.orbit.raw.point_solutions import PointSolutions, point_solutions
from pygnc_ground.orbit.raw.prediction import predict
from pygnc_ground.orbit.raw.screening import (
    SATELLITES_FEWEST,
    Foreign,
    Positions,
    RawOrbitError,
    gps_days,
    one_frequency,
    thinned,
    without_orbits,
)
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray

_POINT_LIMITS_M: Final = (15.0, 60.0)
"""Largest residual of a point solution with two frequencies and with one, by the ionosphere."""
_STEP_MS: Final = {True: 30_000, False: 10_000}
"""Interval of the epochs used. With two frequencies the errors of interpolated clocks are common to 30 s; with one
frequency the white noise of the codes is averaged over more epochs.
"""
_NOISE: Final = (Noise(0.5, 0.01, 0.015), Noise(0.5, 0.1, 0.0))
"""White errors with two frequencies and with one.

The code's is that of a P code on two frequencies (0.17 m each); a mean of code and phase has half the noise of a C/A
code (0.2 m). They are increased if the residuals are larger, but not reduced: multipath changes slowly, and residuals
of short arcs do not show all of it.
"""
_BIAS_M: Final = 0.35
"""Bias of a satellite between the codes C1 and P1 on L1, standard deviation; clocks are those of P1.

In January 2005 they were 0.28 m (standard deviation), 0.68 m at most: J. Ray, updated P1-C1 bias values, IGS Mail 5078.
"""
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
_RESIDUAL_LIMIT_M: Final = 30.0
"""Residual from which a measurement is not used once the orbit is accurate to metres."""
_ITERATIONS_MAX: Final = 20
_SCREENINGS: Final = 4
_SETTLED_M: Final = 5.0
_ACCURATE_M: Final = 0.3
"""Change of the orbit in an iteration below which its residuals show slips."""
_CONVERGED_M: Final = 1e-3
_CHOICES: Final = 3
_SPLITS: Final = 6
"""Number of iterations in which residuals may end passes; without a limit, weights and passes could alternate."""
_CONTRADICTION: Final = (
    "the measurements contradict each other: no orbit fits most of them; check that they are of one satellite, and that"
    " the orbits of the GPS satellites are of the same day"
)
_RADIUS_M: Final = (6.2e6, 1e9)
_FAR_M: Final = (5_000.0, 50.0)
"""Least distance of positions from the first orbit, and from one accurate to metres, that are not of the satellite."""
_BEYOND_MS: Final = 3_600_000
"""Time before the first and after the last usable measurement for which the orbit is extrapolated."""
_UNKNOWN_OFFSET_M: Final = 0.5


@dataclass(frozen=True, slots=True)
class Receiver:
    """Antenna of the receiver on an Earth-pointing satellite: x forwards, y against the orbit normal, z down."""

    offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Phase centre of the antenna, relative to the centre of mass; the antenna looks up."""
    sigma_m: float = 0.03
    """Standard deviation of each component; phase centres of uncalibrated antennas vary by centimetres."""
    dual: bool = True
    """False to use the C/A code and the L1 phase alone, also if there are more."""

    @classmethod
    def of(cls, offset_m: tuple[float, float, float] | None, sigma_m: float | None, *, dual: bool) -> Self:
        """Return the receiver; an offset that is not given is anywhere within the size of a small satellite."""
        default_m = 0.03 if offset_m else _UNKNOWN_OFFSET_M
        return cls(offset_m or (0.0, 0.0, 0.0), default_m if sigma_m is None else sigma_m, dual=dual)


@dataclass(frozen=True, slots=True, eq=False)
class RawOrbit:
    """Orbit fitted to raw measurements."""

    points: PointSolutions
    combined: Combined
    fitted: Fitted
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
    remarks: tuple[str, ...]
    """Measurements that were not used, with the reasons, as sentences."""

    @property
    def span_gps_ms(self) -> tuple[int, int]:
        """First and last time at which the orbit is known."""
        grid = self.dynamics.grid
        return grid.begin_gps_ms, grid.begin_gps_ms + SEGMENT_MS * grid.segments

    def at(self, gps_ms: IntArray, offset_s: FloatArray) -> FloatArray:
        """Return states in GCRF at times `gps_ms` plus `offset_s` within the arc, each (n,); shape (n, 6)."""
        return self.motion.states(gps_ms, offset_s) + self.motion.changes(gps_ms, offset_s, self.correction)

    def states(self, gps_ms: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return states in GCRF (n, 6) and their covariances (n, 6, 6) at times within the arc, shape (n,)."""
        return self.at(gps_ms, np.zeros(len(gps_ms))), self.motion.covariances(gps_ms, self.covariance)

    def newest(self, settings: OrbitSettings) -> OrbitState:
        """Return the state at the last measurement, with the lasting part of the drag, and empirical accelerations."""
        gps_ms, on_time = self.combined.measurements.gps_ms[-1:], np.zeros(1)
        parameters = self.dynamics.parameters
        since_s = 1e-3 * (int(gps_ms[0]) - self.dynamics.grid.begin_gps_ms)
        weights, variance = parameters.lasting_drag(settings, self.factors, since_s)
        by_parameters = np.zeros((SIZE, parameters.count))
        by_state = self.motion.derivatives(gps_ms, on_time)[0]
        by_parameters[:6, : by_state.shape[1]] = by_state
        by_parameters[DRAG, FIRST_NODE::PER_NODE] = weights
        node_s = parameters.interval_s * np.arange(parameters.nodes)
        shares = np.maximum(1.0 - np.abs(since_s - node_s) / parameters.interval_s, 0.0)
        for component in range(3):
            by_parameters[EMPIRICAL.start + component, FIRST_NODE + 1 + component :: PER_NODE] = shares
        x = np.concatenate((self.at(gps_ms, on_time)[0], by_parameters[6:] @ self.values))
        covariance = by_parameters @ self.covariance @ by_parameters.T
        covariance[DRAG, DRAG] += variance
        root = np.linalg.cholesky(covariance)
        return OrbitState(int(gps_ms[0]), x, np.asarray(root, dtype=np.float64))


def solve_raw_orbit(  # noqa: PLR0917 - measurements and what they are predicted with
    seen: GnssMeasurements,
    orbits: GnssOrbits,
    antennas: SatelliteAntennas | None,
    receiver: Receiver,
    settings: OrbitSettings,
    frames: EarthFrames,
) -> RawOrbit:
    """Fit the orbit of a satellite in an Earth-pointing attitude to the measurements of its receiver.

    Epochs that are not of the satellite are left out. Cost: 6 s for half a day at 10 s, 12 s for a day.

    Raises:
        RawOrbitError: The measurements give no orbit.
    """
    remarks = list[str]()
    for _ in range(_SCREENINGS):
        found = _solved(seen, orbits, antennas, receiver, settings, frames)
        if isinstance(found, RawOrbit):
            return replace(found, remarks=(*remarks, *found.remarks))
        remarks.append(found.note)
        seen = seen.selected(~np.isin(seen.gps_ms, found.gps_ms))
    raise RawOrbitError(_CONTRADICTION)


def _solved(  # noqa: PLR0917 - measurements and what they are predicted with
    seen: GnssMeasurements,
    orbits: GnssOrbits,
    antennas: SatelliteAntennas | None,
    receiver: Receiver,
    settings: OrbitSettings,
    frames: EarthFrames,
) -> RawOrbit | Foreign:
    """Return the orbit, or the epochs that are not of the satellite."""
    seen = seen if receiver.dual else seen.without_l2()
    fit, grid, points, remarks = _prepared(seen, orbits, antennas, receiver, frames)
    dynamics = ArcDynamics(grid, frames, settings.spacecraft)
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = fit.run(dynamics, settings, orbits.clock_interval_ms, points)
    except np.linalg.LinAlgError as error:
        raise RawOrbitError(_CONTRADICTION) from error
    return replace(found, remarks=tuple(remarks)) if isinstance(found, RawOrbit) else found


def _prepared(
    seen: GnssMeasurements,
    orbits: GnssOrbits,
    antennas: SatelliteAntennas | None,
    receiver: Receiver,
    frames: EarthFrames,
) -> tuple["_Fit", Grid, PointSolutions, list[str]]:
    """Return the fit of the epochs used, its grid, the positions of all epochs, and remarks on what is not used."""
    links = Links.of(seen, orbits, antennas, frames)
    remarks = without_orbits(seen, links.known, orbits.span_gps_ms or (0, 0))
    _require_satellites(seen, links)
    combined = combine(seen)
    if not combined.pass_count:
        raise RawOrbitError(
            "no satellite has a phase on L1 with its code in four epochs in a row; log them, or give the fixes of the"
            " receiver to pygnc orbit without --gnss-orbits"
        )
    remarks += one_frequency(combined, links.known)
    times_ms, epoch = np.unique(seen.gps_ms, return_inverse=True)
    limits_m = np.where(combined.dual, *_POINT_LIMITS_M)
    points = point_solutions(links, combined.code_m, epoch, limits_m)
    clock_s = np.nan_to_num(points.clock_s)[epoch]
    is_dual = bool(combined.dual[links.known].mean() >= 0.5)
    combined = replace(combined, code_m=np.where(np.isfinite(points.residual_m), combined.code_m, np.nan))
    kept = thinned(seen.gps_ms, _STEP_MS[is_dual]) & links.known & points.known[epoch]
    used_ms = seen.gps_ms[kept] if kept.any() else times_ms
    near = times_ms[(times_ms >= used_ms[0] - _BEYOND_MS) & (times_ms <= used_ms[-1] + _BEYOND_MS)]
    grid = Grid(int(near[0]), int(near[-1]))
    positions = Positions.of(points, times_ms, frames)
    # A slice of all rows is no copy; the measurements of a day are with the caller, too.
    rows = slice(None) if kept.all() else kept
    fit = _Fit(combined.selected(rows), links.selected(rows), clock_s[rows], receiver, frames, positions)
    return fit, grid, points, remarks


def _require_satellites(seen: GnssMeasurements, links: Links) -> None:
    """Raise RawOrbitError if too few satellites have orbits for a position."""
    if not links.known.any():
        raise RawOrbitError(
            "no satellite that was tracked has an orbit and a clock at the time of the measurements; give orbits with"
            f" clocks of {gps_days(seen.gps_ms)} GPS time"
        )
    tracked, known = (
        float(np.unique(seen.gps_ms[rows], return_counts=True)[1].max()) for rows in (slice(None), links.known)
    )
    if known < SATELLITES_FEWEST:
        orbits = "" if known == tracked else f", but {tracked:.0f} were tracked; give orbits of the others"
        raise RawOrbitError(
            f"at most {known:.0f} satellites have measurements, orbits and clocks at one time{orbits};"
            f" {SATELLITES_FEWEST} are required"
        )


class _Fit:
    """Iterations of motion, residuals and weights, about an orbit that improves."""

    def __init__(  # noqa: PLR0917 - measurements and what they are predicted with
        self,
        combined: Combined,
        links: Links,
        clock_s: FloatArray,
        receiver: Receiver,
        frames: EarthFrames,
        positions: Positions,
    ) -> None:
        self._combined, self._links, self._clock_s = without_short(combined), links, clock_s
        self._receiver = receiver
        self._offset_m = np.array(receiver.offset_m)
        self._positions = positions
        self._splits = 0
        seen, dual = combined.measurements, combined.dual
        self._code_m = np.where(dual, *(one.code_m for one in _NOISE))
        # A constant error of the codes of a pass has the weight of white errors that are as large as their mean.
        is_biased = dual & ~np.isfinite(seen.code_p1_m)
        count = np.bincount(self._combined.passes + 1)[self._combined.passes + 1]
        self._code_m = np.hypot(self._code_m, np.where(is_biased, L1_SHARE * _BIAS_M * np.sqrt(count), 0.0))
        self._phase_m = np.where(dual, *(one.phase_m for one in _NOISE))
        self._pattern_m = _NOISE[0].pattern_m if dual.any() else _NOISE[1].pattern_m
        times_ms, first, self._epoch = np.unique(seen.gps_ms, return_index=True, return_inverse=True)
        # In 10 ms, the Earth turns by 5 m in a low orbit.
        attitude = frames.at_each(times_ms, (seen.fraction_s - clock_s)[first])
        self._ecef_from_gcrf = attitude.ecef_from_gcrf[self._epoch]
        self._fitted: Fitted | None = None
        self._carrier_m = np.full(len(seen), np.nan)

    def run(
        self,
        dynamics: ArcDynamics,
        settings: OrbitSettings,
        clock_interval_ms: int,
        points: PointSolutions,
    ) -> RawOrbit | Foreign:
        """Iterate until the orbit converges, or until it shows epochs that are not of the satellite."""
        parameters, factors, choices = dynamics.parameters, Factors(), 0
        begin, reference = self._positions.first_orbit(dynamics.grid)
        values = parameters.prior(settings, factors).mean
        values[STATE] = begin
        with_phase, converged, iteration = False, False, 0
        while not converged and iteration < _ITERATIONS_MAX:
            iteration += 1
            radius_m = np.linalg.norm(reference[..., :3], axis=2)
            if not (radius_m.min() > _RADIUS_M[0] and radius_m.max() < _RADIUS_M[1]):
                raise RawOrbitError(_CONTRADICTION)
            motion = dynamics.linearise(reference, values)
            if iteration == 1:
                others = self._positions.foreign(motion, np.zeros(parameters.count), _FAR_M[0])
                if others is not None:
                    return others
            linearised, shift = self._linearised(motion, with_phase=with_phase)
            elimination = Elimination(linearised, clock_interval_ms, shift, self._pattern_m)
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
            # Its weights are the largest table: those of the next iteration shall not be made beside them.
            del elimination
            moved_m = motion.changes(self._combined.measurements.gps_ms, linearised.offset_s, solution.correction)
            self._carrier_m -= np.einsum("ni,ni->n", linearised.partials, moved_m[:, :3])
            is_changed = with_phase and change_m < _ACCURATE_M and self._improve(fitted)
            converged = with_phase and choices == _CHOICES and change_m < _CONVERGED_M and not is_changed
            if not with_phase and change_m < _SETTLED_M:
                others = self._positions.foreign(motion, solution.correction, _FAR_M[1])
                if others is not None:
                    return others
                with_phase = True
        # The sigma of the forces is known to a step of the search only, and the larger one is not refuted by it.
        cautious = factors._replace(empirical=_FACTOR_STEP * factors.empirical)
        covariance = solve(normal, parameters.prior(settings, cautious), values).covariance()
        by_offset = covariance @ right[:, 1:]
        covariance = covariance * max(fitted.chi_square / fitted.degrees_of_freedom, 1.0)
        covariance += self._receiver.sigma_m**2 * by_offset @ by_offset.T
        return RawOrbit(
            points,
            linearised.combined,
            fitted,
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
            (),
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
        code_variance, phase_variance = self._code_m**2 * factor, self._phase_m**2 * factor
        if self._fitted is not None:
            code_variance = huber_variance(self._fitted.code_m, code_variance, _HUBER)
            of_clock = 0.25 * links.clock_walk_m2_s * 900.0 + links.sigma_m**2
            phase_variance = huber_variance(self._fitted.phase_m, phase_variance + of_clock, _HUBER) - of_clock
        if not with_phase:
            phase_m = np.full_like(phase_m, np.nan)
            combined = replace(combined, passes=np.full(len(seen), -1))
        else:
            is_usable = (np.abs(code_m) < _RESIDUAL_LIMIT_M) & combined.dual
            code_m = np.where(is_usable, code_m, np.nan)
            phase_m = np.where(np.abs(phase_m) < _RESIDUAL_LIMIT_M, phase_m, np.nan)
        partials = np.einsum("ni,nij->nj", predicted.direction, self._ecef_from_gcrf)
        shift = np.einsum("ni,nki->nk", predicted.direction, predicted.axes)
        return Linearised(combined, links, offset_s, code_m, phase_m, partials, code_variance, phase_variance), shift

    def _improve(self, fitted: Fitted) -> bool:
        """End passes where phases jump; return True if there were any."""
        self._splits += 1
        if self._splits > _SPLITS:
            return False
        before = previous(self._combined.measurements, self._combined.passes)
        jump = np.where(self._combined.dual, self._jumps(fitted.phase_m, before), self._carrier_jumps(before))
        jump &= before >= 0
        if not jump.any():
            return False
        self._combined = without_short(self._combined.split(jump))
        return True

    def _jumps(self, residual_m: FloatArray, before: IntArray) -> BoolArray:
        """Return flags of rows at which residuals jump by more than clocks of satellites and noise, shape (n,)."""
        seen = self._combined.measurements
        walk_m2 = self._links.clock_walk_m2_s * 1e-3 * (seen.gps_ms - seen.gps_ms[before])
        limit_m = _JUMP_SIGMAS * np.sqrt(2.0 * self._phase_m**2 + np.maximum(walk_m2, 0.0))
        # Means of code and phase are too noisy to show the steps of the clock.
        of_dual_m = np.where(self._combined.dual, residual_m, np.nan)
        return np.asarray(self._against_others(of_dual_m, before) > np.maximum(limit_m, _JUMP_LEAST_M))

    def _carrier_jumps(self, before: IntArray) -> BoolArray:
        """Return flags of rows at which the L1 phase jumps, shape (n,).

        The mean of code and phase is too noisy for that.
        """
        gps_ms = self._combined.measurements.gps_ms
        at_once_m, by_ionosphere_mps, most_m = _CARRIER_JUMP_M
        limit_m = np.minimum(at_once_m + by_ionosphere_mps * 1e-3 * (gps_ms - gps_ms[before]), most_m)
        return np.asarray(self._against_others(self._carrier_m, before) > limit_m)

    def _against_others(self, values_m: FloatArray, before: IntArray) -> FloatArray:
        """Return the size of changes since the rows `before`, relative to those of most satellites, 0 for none, (n,).

        What is common to all satellites is the receiver's clock, also where it steps between two intervals of the fit.
        """
        change_m = np.where(before >= 0, values_m - values_m[before], np.nan)
        is_next = self._epoch - self._epoch[before] == 1
        clock_m = np.cumsum(_medians(self._epoch, np.where(is_next, change_m, np.nan)))
        change_m -= clock_m[self._epoch] - clock_m[self._epoch[before]]
        return np.asarray(np.nan_to_num(np.abs(change_m)), dtype=np.float64)


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

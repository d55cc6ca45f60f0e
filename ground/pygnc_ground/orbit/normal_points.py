"""Normal points: one mean instead of all fixes within a minute, while these agree with the orbit.

A receiver's log of weeks has ten or more fixes in the time of an integration step, and each costs the flight's filter
as much as a step. Residuals against the predicted orbit hardly change within a minute. The filter therefore uses their
mean as one fix at the time of the middle one (normal points of satellite laser ranging). White errors become smaller in
the mean, correlated ones do not.

All else is processed fix by fix, as in flight: the initialisation, fixes of which one exceeds a gate, fixes that a
receiver gave at unequal intervals to an orbit that is not yet known, and whatever follows a suspected manoeuvre or step
of the times until it is decided.
"""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, Self

import msgspec
import numpy as np

from pygnc.common.arrays import Array, cross_matrix
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from pygnc.environment.gravity import GM_EARTH_M3_S2, gravity
from pygnc.estimators.orbit.dynamics import OrbitDynamics, nystroem_step
from pygnc.estimators.orbit.filter import FilterMemory, OrbitFilter
from pygnc.estimators.orbit.hypotheses import Hypotheses
from pygnc.estimators.orbit.manoeuvre import DISTRUST_DECIDED, Candidate, Change
from pygnc.estimators.orbit.manoeuvre_detector import Observations
from pygnc.estimators.orbit.measurement import Fix, RejectCause, linearise_fix
from pygnc.estimators.orbit.settings import MeasurementSettings, OrbitSettings
from pygnc.estimators.orbit.state import POSITION, VELOCITY, OrbitState
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc_ground.orbit.batch.first_orbit import oblate_earth
from pygnc_ground.orbit.point_results import NormalPoint, PointFixes, PointMember, PointResult, PointUpdate
from pygnc_ground.orbit.solution import FloatArray, IntArray, OrbitSolution, set_states

_SPAN_MS: Final = 60_000
"""Time in which fixes form a normal point: longer ones would cost as many integration steps."""
_FEWEST: Final = 3
_POSITIONS_MIN: Final = 60
"""Positions since the initialisation from which on normal points are formed."""
_SHIFT_MAX: Final = 0.1
"""Largest effect of unequal intervals on the mean, over its standard deviation."""
_LEAD_MAX: Final = 3.0
"""Logarithm of the likelihood ratio of a manoeuvre, or of a step of the times, from which on fixes are taken one by
one. From 15 on, a manoeuvre is confirmed.
"""
_DISTRUST_DOUBTFUL: Final = 1e-4
"""Probability of slow errors of the velocities from which on fixes are taken one by one. With good velocities it is
below this in 96 % of the time after the first 20 minutes.
"""
_GRAVITY_DEGREE: Final = 70
_AROUND_S: Final = np.array((-25.0, 0.0, 25.0))
_NO_INNOVATIONS: Final = np.zeros((2, 0, 3))
_BLOCK: Final = 1000
"""Number of normal points, or of fixes, that are evaluated at once."""


def point_dynamics(settings: OrbitSettings, frames: EarthFrames) -> OrbitDynamics:
    """Return the dynamics between normal points, in steps of a minute; each causes an error of a tenth of a mm."""
    return OrbitDynamics(settings, frames, model=replace(settings.force_model, step_max_ms=_SPAN_MS))


class _Agreement(NamedTuple):
    """Residuals of n fixes against the predicted orbit, shape (n, 3), and their variances, shape (n, 3, 3)."""

    residual: FloatArray
    covariance: FloatArray

    @property
    def chi_square(self) -> FloatArray:
        """Normalised squares, shape (n,)."""
        weighted = np.linalg.solve(self.covariance, self.residual[:, :, None])[:, :, 0]
        squares: FloatArray = (self.residual * weighted).sum(axis=1)
        return squares

    @property
    def columns(self) -> FloatArray:
        """Residuals, their standard deviations and normalised squares, shape (n, 7)."""
        sigma = np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))
        return np.concatenate((self.residual, sigma, self.chi_square[:, None]), axis=1)


class _Measured(NamedTuple):
    """Positions and, unless there are none, velocities of n fixes, with their standard deviations, (n, 3) each."""

    values: list[FloatArray]
    sigma: list[FloatArray]
    latency_s: FloatArray

    @classmethod
    def of(cls, fixes: Sequence[Fix], settings: MeasurementSettings) -> Self:
        """Return the measured vectors of fixes of which all or none have a velocity."""
        kinds = [("position", "m"), ("velocity", "mps")][: 1 if fixes[0].velocity_ecef_mps is None else 2]
        values = [np.array([getattr(fix, f"{kind}_ecef_{unit}") for fix in fixes]) for kind, unit in kinds]
        sigma = []
        for kind, unit in kinds:
            stated = np.array([getattr(fix, f"{kind}_sigma_{unit}") for fix in fixes])
            default, floor = (getattr(settings, f"{kind}_sigma_{value}_{unit}") for value in ("default", "floor"))
            sigma.append(np.maximum(np.where(stated > 0.0, stated, default), floor))
        return cls(values, sigma, np.array([fix.velocity_latency_s for fix in fixes]))


class NormalPointFilter(OrbitFilter):
    """Filter of the flight that takes fixes within a minute together as long as all of them agree with the orbit.

    The result of a fix comes when its minute has ended. The arguments are those of `OrbitFilter`.
    """

    def __init__(
        self, settings: OrbitSettings, orientation: EarthOrientationTable, memory: FilterMemory | None = None
    ) -> None:
        super().__init__(settings, orientation, memory)
        self._dynamics = point_dynamics(settings, self.frames)
        self._waiting: tuple[Fix, ...] = ()
        self._repeated: tuple[Fix, ...] = ()
        """Fixes at the times of waiting ones, by another receiver."""
        self._late: tuple[OrbitUpdate, ...] = ()
        self._used_until_ms = 0
        self._predicted_from: tuple[object, ...] = ()
        self._prediction: tuple[Array, list[Hypotheses]]

    def process(self, fix: Fix) -> tuple[OrbitUpdate, ...]:
        """Process one fix; return the results of fixes whose minute has ended, in order of time."""
        done, self._late = self._late, ()
        if any(fix.gps_ms == other.gps_ms for other in self._waiting):
            self._repeated = *self._repeated, fix
            return done
        if self._waiting and fix.gps_ms < self._waiting[-1].gps_ms:
            return *done, *self._flushed(), *self._one(fix)
        if self._waiting and fix.gps_ms >= self._waiting[0].gps_ms + _SPAN_MS:
            done = *done, *self._flushed()
        is_known = self.memory.state is not None and fix.gps_ms <= max(self.memory.state.gps_ms, self._used_until_ms)
        # While fixes wait, nothing changes.
        if is_known or not (self._waiting or self._is_quiet):
            return *done, *self._flushed(), *self._one(fix)
        self._waiting = *self._waiting, fix
        return done

    def initialise_from_buffered(self) -> tuple[OrbitUpdate, ...]:
        """Process the waiting fixes one by one at the end of the input; initialise if the filter has no orbit yet."""
        done, self._late = self._late, ()
        return *done, *self._one_by_one(), *super().initialise_from_buffered()

    def discard(self) -> None:
        """Discard the state and begin anew; the results of waiting fixes come with the next fix."""
        self._late += self._one_by_one()
        super().discard()

    @property
    def _is_quiet(self) -> bool:
        """True if nothing is under suspicion."""
        memory = self.memory
        suspected = (
            self._is_probable(memory.candidates)
            or memory.buffered
            or memory.doubtful
            or memory.in_thrust
            or memory.time_error_s
        )
        is_doubtful = _DISTRUST_DOUBTFUL < self.velocity_distrust < 1.0 - DISTRUST_DECIDED
        return not suspected and not is_doubtful and memory.state is not None and memory.positions > _POSITIONS_MIN

    @staticmethod
    def _is_probable(candidates: Sequence[Candidate]) -> bool:
        return any(candidate.lead >= _LEAD_MAX for candidate in candidates)

    def _one(self, fix: Fix) -> tuple[OrbitUpdate, ...]:
        """Process one fix as in flight."""
        if self.memory.state is not None and self.memory.state.gps_ms < fix.gps_ms <= self._used_until_ms:
            return (OrbitUpdate.rejected(fix, RejectCause.NOT_LATER),)
        return super().process(fix)

    def _one_by_one(self) -> tuple[OrbitUpdate, ...]:
        fixes, self._waiting, self._repeated = (*self._waiting, *self._repeated), (), ()
        return tuple(update for fix in fixes for update in self._one(fix))

    def _flushed(self) -> tuple[OrbitUpdate, ...]:
        """Process the waiting fixes: as a normal point if it leaves the filter without suspicion, else one by one."""
        if len(self._waiting) >= _FEWEST and self._is_quiet:
            before = self.memory
            self.memory = msgspec.structs.replace(before)
            if updates := self._as_point(self._waiting):
                self._waiting = ()
                return *updates, *self._one_by_one()
            self.memory = before
        return self._one_by_one()

    def _as_point(self, fixes: Sequence[Fix]) -> tuple[OrbitUpdate, ...]:
        """Return the results of fixes after an update with their mean; none if they do not agree with the orbit."""
        memory, middle, limits = self.memory, fixes[len(fixes) // 2], self.settings.measurement
        state, with_velocity = memory.state, middle.velocity_ecef_mps is not None
        gap_ms = 1e3 * self.settings.manoeuvre.gap_max_s
        if state is None or not 0 < middle.gps_ms - state.gps_ms <= gap_ms:
            return ()
        if any((fix.velocity_ecef_mps is not None) != with_velocity for fix in fixes):
            return ()
        candidates = memory.candidates if self.settings.manoeuvre_detection else []
        banks = [memory.hypotheses, *(bank for candidate in candidates for bank in candidate.banks)]
        x, (hypotheses, *_) = self._predicted(state, banks, middle.gps_ms)
        arcs, seen = ShortArcs([hypotheses.mixture(middle.gps_ms, x)], self.frames), _Measured.of(fixes, limits)
        offsets_s = np.array([1e-3 * (fix.gps_ms - middle.gps_ms) for fix in fixes])
        kinds = self._agreement(seen, offsets_s, arcs, hypotheses)
        if any((kind.chi_square > limits.gate).any() for kind in kinds):
            return ()
        point = self._mean(fixes, x, seen, kinds)
        velocity_sigma_mps = math.sqrt(float(np.trace(arcs.covariance[0, VELOCITY, VELOCITY])))
        sigma_m = float(point.position_sigma_m.min()) / math.sqrt(len(fixes))
        if abs(float(offsets_s.mean())) * velocity_sigma_mps > _SHIFT_MAX * sigma_m:
            return ()
        update = self._process_in_flight(state, point)
        is_used = update.position_accepted and (update.velocity_accepted or not with_velocity)
        is_changed = update.restarted_from_ms is not None or update.time_error_s or self._is_probable(memory.candidates)
        # When an impulse happened shows fix by fix only.
        is_new = Change.IMPULSE in {each.change for each in memory.candidates} - {each.change for each in candidates}
        if update.state is None or update.hypotheses is None or not is_used or is_changed or is_new:
            return ()
        memory.positions += len(fixes) - 1
        self._used_until_ms = fixes[-1].gps_ms
        # Single precision suffices for roots, which are never subtracted, and a week of them must be kept.
        kept = replace(
            update.hypotheses,
            root=update.hypotheses.root.astype(np.float32),
            residual=_NO_INNOVATIONS,
            variance=_NO_INNOVATIONS,
        )
        packed, of_point = PointFixes(point, fixes, [kind.columns for kind in kinds]), len(fixes) // 2
        result = PointUpdate(packed, of_point, update.state, kept, update.empirical_factor)
        return tuple(result if row == of_point else PointMember(packed, row) for row in range(len(fixes)))

    def _agreement(
        self, seen: _Measured, offsets_s: FloatArray, arcs: "ShortArcs", hypotheses: Hypotheses
    ) -> list[_Agreement]:
        """Return the agreement of the positions and, if there are any, of the velocities with the predicted orbit."""
        factors, count = hypotheses.noise_factor @ hypotheses.weight, len(offsets_s)
        times_s = np.concatenate((offsets_s, offsets_s - seen.latency_s))
        states, covariance = arcs.at(np.zeros(len(times_s), dtype=np.int64), times_s)
        attitude = self.frames.at(int(arcs.gps_ms[0]), times_s)
        turn = attitude.ecef_from_gcrf
        of_position = np.concatenate((turn[:count], np.zeros((count, 3, 3))), axis=2)
        of_velocity = np.concatenate((-turn[count:] @ cross_matrix(attitude.rotation_gcrf_rad_s), turn[count:]), axis=2)
        kinds = []
        for kind, from_gcrf in enumerate((of_position, of_velocity)[: len(seen.values)]):
            rows = slice(kind * count, (kind + 1) * count)
            residual = seen.values[kind] - (from_gcrf @ states[rows, :, None])[:, :, 0]
            noise = np.square(factors[kind] * seen.sigma[kind])[:, :, None] * np.eye(3)
            kinds.append(_Agreement(residual, from_gcrf @ covariance[rows] @ from_gcrf.transpose(0, 2, 1) + noise))
        return kinds

    def _mean(self, fixes: Sequence[Fix], x: Array, seen: _Measured, kinds: Sequence[_Agreement]) -> NormalPoint:
        """Return the normal point: the orbit `x` (10,) at the middle fix, plus the mean residuals."""
        middle = fixes[len(fixes) // 2]
        parts = linearise_fix(middle, x, self.frames, self.settings.measurement)
        change = [
            kind.residual.mean(axis=0) - part.residual
            for kind, part in zip(kinds, parts, strict=False)
            if part is not None
        ]
        sigma = [np.sqrt(np.square(rows).mean(axis=0)) for rows in seen.sigma]
        velocity = middle.velocity_ecef_mps
        return NormalPoint(
            gps_ms=middle.gps_ms,
            position_ecef_m=middle.position_ecef_m + change[0],
            position_sigma_m=sigma[0],
            velocity_ecef_mps=None if velocity is None else velocity + change[1],
            velocity_sigma_mps=None if velocity is None else sigma[1],
            velocity_latency_s=middle.velocity_latency_s,
            seq=middle.seq,
            time_sigma_s=float(np.mean([fix.time_sigma_s for fix in fixes])),
            count=len(fixes),
        )

    def _predicted(self, state: OrbitState, banks: Sequence[Hypotheses], gps_ms: int) -> tuple[Array, list[Hypotheses]]:
        """Return a prediction; that for a normal point is also that of its update."""
        arguments = (state, gps_ms, *banks)
        if self._predicted_from != arguments:
            self._predicted_from, self._prediction = arguments, super()._predicted(state, banks, gps_ms)
        x, found = self._prediction
        return x, [*found]

    def _linearise(self, x: Array, fix: Fix) -> Observations:
        position, velocity, of_clock, _ = super()._linearise(x, fix)
        return position, velocity, of_clock, fix.count if isinstance(fix, NormalPoint) else 1


class ShortArcs:
    """Motion about k states: two-body gravity with J2; other gravity changes evenly. In 30 s the error is below 1 mm.

    Attributes:
        gps_ms: Times of the states, GPS ms, shape (k,).
        covariance: Covariances of position and velocity, shape (k, 6, 6).
    """

    def __init__(self, states: Sequence[OrbitState], frames: EarthFrames) -> None:
        self.gps_ms: IntArray = np.array([state.gps_ms for state in states], dtype=np.int64)
        self.covariance = np.array([root.dot(root.T) for root in (state.sqrt_covariance[:6] for state in states)])
        self._x = np.array([state.x[:6] for state in states])
        turns, spins_rad_s = frames.at_each(np.repeat(self.gps_ms, len(_AROUND_S)), np.tile(_AROUND_S, len(states)))
        # The pole moves by 1e-6 rad in a day.
        self._pole = spins_rad_s[0] / np.linalg.norm(spins_rad_s[0])
        position_m, velocity_mps, since_s = self._x[:, None, POSITION], self._x[:, None, VELOCITY], _AROUND_S[:, None]
        places_m = position_m + since_s * velocity_mps + 0.5 * since_s**2 * oblate_earth(position_m, self._pole)
        places_ecef_m = np.einsum("nij,nj->ni", turns, places_m.reshape(-1, 3))
        full_ecef_mps2 = np.array([gravity(place_m, _GRAVITY_DEGREE) for place_m in places_ecef_m])
        full_mps2 = np.einsum("nji,nj->ni", turns, full_ecef_mps2).reshape(places_m.shape)
        before, now, after = np.moveaxis(full_mps2 - oblate_earth(places_m, self._pole), 1, 0)
        self._other_mps2, self._other_mps3 = now, (after - before) / (_AROUND_S[2] - _AROUND_S[0])
        radius_m = np.linalg.norm(self._x[:, POSITION], axis=1)[:, None, None]
        up = self._x[:, POSITION, None] / radius_m
        self._gradient = GM_EARTH_M3_S2 / radius_m**3 * (3.0 * up * up.swapaxes(1, 2) - np.eye(3))

    def at(self, which: IntArray, offsets_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return states (n, 6) in GCRF and their covariances (n, 6, 6) at times relative to those of states `which`."""
        transition = self._transitions(which, offsets_s[:, None, None])
        covariance: FloatArray = transition @ self.covariance[which] @ transition.transpose(0, 2, 1)
        return self._moved(which, offsets_s[:, None]), covariance

    def _moved(self, which: IntArray, step_s: FloatArray) -> FloatArray:
        other_mps2, other_mps3 = self._other_mps2[which], self._other_mps3[which]

        def second_derivative(stage: int, position_m: Array) -> Array:
            other = other_mps2 + 0.25 * stage * step_s * other_mps3
            curvature: Array = step_s**2 * (oblate_earth(position_m, self._pole) + other)
            return curvature

        position_m, velocity_mps = self._x[which, POSITION], self._x[which, VELOCITY]
        # Time counts in steps, of which each state has its own.
        after_m, after_m_per_step = nystroem_step(position_m, velocity_mps * step_s, 1.0, second_derivative)
        after_mps = np.divide(after_m_per_step, step_s, out=velocity_mps, where=step_s != 0.0)
        return np.concatenate((after_m, after_mps), axis=1)

    def _transitions(self, which: IntArray, step_s: FloatArray) -> FloatArray:
        gradient = self._gradient[which]
        change = 0.5 * step_s**2 * gradient
        transition = np.tile(np.eye(6), (len(which), 1, 1))
        transition[:, :3, :3] += change
        transition[:, 3:, 3:] += change
        transition[:, :3, 3:] = step_s * (np.eye(3) + change / 3.0)
        transition[:, 3:, :3] = step_s * gradient
        return transition


def set_members(
    solution: OrbitSolution, updates: Iterable[OrbitUpdate], states: Mapping[int, OrbitState], frames: EarthFrames
) -> None:
    """Write states to the rows of a solution that have none and are at the times of fixes of normal points.

    `updates` are those of all fixes, `states` those at the normal points by GPS time in ms.
    """
    point_ms = {one.fix.gps_ms: one.fixes.point_ms for one in updates if isinstance(one, PointResult)}
    rows_of: dict[int, list[int]] = {}
    for row, (gps_ms, is_known) in enumerate(zip(solution.gps_ms.tolist(), solution.known.tolist(), strict=True)):
        if not is_known and point_ms.get(gps_ms) in states:
            rows_of.setdefault(point_ms[gps_ms], []).append(row)
    for first in range(0, len(rows_of), _BLOCK):
        block = [*rows_of.items()][first : first + _BLOCK]
        arcs = ShortArcs([states[ms] for ms, _ in block], frames)
        which = np.repeat(np.arange(len(block)), [len(rows) for _, rows in block])
        rows = np.concatenate([rows for _, rows in block])
        times_ms = solution.gps_ms[rows]
        set_states(solution, rows, times_ms, *arcs.at(which, 1e-3 * (times_ms - arcs.gps_ms[which])), frames)


def with_points_used(
    solution: OrbitSolution,
    updates: Sequence[OrbitUpdate | None],
    settings: MeasurementSettings,
    refused_ms: Container[int] = (),
) -> OrbitSolution:
    """Return a solution, with `updates` by row, that states the residuals of each fix of the normal points.

    The fixes of a normal point at one of the times `refused_ms` count as not used.
    """
    nis, dof, accepted = solution.nis.copy(), solution.dof.copy(), solution.accepted.copy()
    rows_of: dict[bool, list[int]] = {False: [], True: []}
    for row, (update, is_known) in enumerate(zip(updates, solution.known.tolist(), strict=True)):
        if isinstance(update, PointResult) and is_known and update.fixes.point_ms not in refused_ms:
            rows_of[update.fixes.with_velocity].append(row)
    for rows in (found[first : first + _BLOCK] for found in rows_of.values() for first in range(0, len(found), _BLOCK)):
        seen = _Measured.of([update.fix for row in rows if (update := updates[row]) is not None], settings)
        there = solution.position_ecef_m[rows], _earlier(solution, rows, seen.latency_s)
        residuals = [
            (value - place) / sigma for value, sigma, place in zip(seen.values, seen.sigma, there, strict=False)
        ]
        nis[rows], accepted[rows] = sum(np.square(residual).sum(axis=1) for residual in residuals), True
        dof[rows] = 3 * len(residuals)
    return replace(solution, nis=nis, dof=dof, accepted=accepted)


def _earlier(solution: OrbitSolution, rows: list[int], latency_s: FloatArray) -> FloatArray:
    """Return the velocities in ITRF at some rows, as they were earlier by the latencies, m/s, shape (n, 3)."""
    position_m, velocity_mps = solution.position_ecef_m[rows], solution.velocity_ecef_mps[rows]
    spin = cross_matrix(np.array((0.0, 0.0, EARTH_ROTATION_RAD_S)))
    acceleration = oblate_earth(position_m, np.array((0.0, 0.0, 1.0)))
    acceleration -= 2.0 * velocity_mps @ spin.T + position_m @ (spin @ spin).T
    earlier: FloatArray = velocity_mps - latency_s[:, None] * acceleration
    return earlier

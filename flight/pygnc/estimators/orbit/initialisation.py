"""Robust initialisation: one orbit from a few fixes, a minority of which may be outliers.

Every fix gives a candidate orbit. The candidates are propagated to one epoch, and the component-wise median of their
state vectors, which a minority of outliers cannot shift, is the initial orbit. Fixes near this orbit agree with it.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pygnc.common.arrays import Array, median
from pygnc.estimators.kalman import Observation
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import Fix, linearise_fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import POSITION, SIZE, VELOCITY


class InitialFix(NamedTuple):
    """Fix with flags that are True if its position or its velocity agrees with the initial orbit."""

    fix: Fix
    position_agrees: bool
    velocity_agrees: bool


@dataclass(frozen=True, slots=True, eq=False)
class InitialOrbit:
    """Initial orbit of the filter, and its agreement with the fixes.

    Attributes:
        x: State vector at the first of the fixes, shape (10,).
        fixes: The fixes in order of time.
        agreeing: Number of positions that agree.
        position_spread: Median distance of the positions from the orbit in standard deviations; about 1 if the
            receiver's standard deviations are right.
        velocity_spread: Median distance of the velocities from the orbit in standard deviations; 1 without velocities.
    """

    x: Array
    fixes: tuple[InitialFix, ...]
    agreeing: int
    position_spread: float
    velocity_spread: float


class _Candidate(NamedTuple):
    """Orbit from one or two fixes: GPS time in ms, state vector (10,), and size of its velocity error in m/s."""

    gps_ms: int
    x: Array
    velocity_sigma_mps: float


class OrbitInitialiser:
    """Search for an initial orbit in a few fixes."""

    def __init__(self, dynamics: OrbitDynamics, settings: OrbitSettings) -> None:
        self._dynamics = dynamics
        self._settings = settings

    def find(self, fixes: Sequence[Fix]) -> InitialOrbit | None:
        """Return the median orbit of the fixes; None without a velocity or two positions within ten minutes.

        Args:
            fixes: Fixes in any order. Of fixes at equal times only the first is used, and fixes further than
                `span_max_s` from the median time are left out.
        """
        usable = _within_span(fixes, round(self._settings.start.span_max_s * 1e3))
        candidates = self._candidates(usable)
        if not candidates:
            return None
        middle_ms = statistics.median_low(fix.gps_ms for fix in usable)
        x = median(np.array([self._moved(candidate.gps_ms, candidate.x, middle_ms) for candidate in candidates]))
        # A velocity error displaces an orbit along its track at three times its size (Clohessy-Wiltshire).
        drift_mps = 3.0 * statistics.median(candidate.velocity_sigma_mps for candidate in candidates)

        # Columns: deviations of positions and of velocities in standard deviations; NaN marks a missing velocity.
        deviations = np.empty((len(usable), 2))
        for row, fix in enumerate(usable):
            position, velocity = self._linearise(fix, self._moved(middle_ms, x, fix.gps_ms))
            drift_m = drift_mps * abs(fix.gps_ms - middle_ms) * 1e-3
            deviations[row, 0] = _norm(position.residual) / math.hypot(_norm(position.sigma), drift_m)
            deviations[row, 1] = _norm(velocity.residual) / _norm(velocity.sigma) if velocity else math.nan
        known = [column[~np.isnan(column)] for column in deviations.T]
        spread = [statistics.median(column.tolist()) if len(column) else 1.0 for column in known]
        limit = self._settings.start.agreement_sigma
        agrees = deviations <= limit * np.clip(spread, 1.0, self._settings.measurement.noise_scale_max)
        initial = tuple(InitialFix(fix, bool(row[0]), bool(row[1])) for fix, row in zip(usable, agrees, strict=True))
        x_first = self._moved(middle_ms, x, usable[0].gps_ms)
        return InitialOrbit(x_first, initial, int(agrees[:, 0].sum()), *spread)

    def _candidates(self, fixes: list[Fix]) -> list[_Candidate]:
        """Return one orbit per fix with a velocity or, if there is none, per pair of neighbouring positions."""
        alone = [candidate for candidate in map(self._from_fix, fixes) if candidate is not None]
        if alone:
            return alone
        # The iteration for the velocity converges for positions up to ten minutes apart.
        pairs = [(first, second) for first, second in pairwise(fixes) if second.gps_ms - first.gps_ms <= 600_000]
        return [self._from_pair(first, second) for first, second in pairs]

    def _from_fix(self, fix: Fix) -> _Candidate | None:
        x = self._at_rest(fix)
        _, velocity = self._linearise(fix, x)
        if velocity is None:
            return None
        # The predicted velocity is affine in the velocity, even with latency, so one Newton step from zero is exact.
        x[VELOCITY] = np.linalg.solve(velocity.partials[:, VELOCITY], velocity.residual)
        return _Candidate(fix.gps_ms, x, _norm(velocity.sigma))

    def _from_pair(self, first: Fix, second: Fix) -> _Candidate:
        """Return the orbit through two positions by the shooting method."""
        x, target = self._at_rest(first), self._at_rest(second)
        seconds = (second.gps_ms - first.gps_ms) * 1e-3
        x[VELOCITY] = (target[POSITION] - x[POSITION]) / seconds
        for _ in range(5):
            reached = self._moved(first.gps_ms, x, second.gps_ms)
            x[VELOCITY] += (target[POSITION] - reached[POSITION]) / seconds
        return _Candidate(first.gps_ms, x, math.sqrt(2.0) * _norm(self._linearise(second, x)[0].sigma) / seconds)

    def _at_rest(self, fix: Fix) -> Array:
        """Return the state vector (10,) at the fix's position with all other elements zero."""
        x = np.zeros(SIZE)
        x[POSITION] = self._dynamics.frames.at(fix.gps_ms, np.zeros(1)).ecef_from_gcrf[0].T.dot(fix.position_ecef_m)
        return x

    def _moved(self, gps_ms: int, x: Array, to_gps_ms: int) -> Array:
        return self._dynamics.propagate_vector(gps_ms, x, to_gps_ms)[0]

    def _linearise(self, fix: Fix, x: Array) -> tuple[Observation, Observation | None]:
        return linearise_fix(fix, x, self._dynamics.frames, self._settings.measurement)


def _within_span(fixes: Sequence[Fix], span_max_ms: int) -> list[Fix]:
    """Return the fixes by time, the first of equal times, without those beyond `span_max_ms` from the median time."""
    median_ms = statistics.median_low(fix.gps_ms for fix in fixes)
    by_time = {fix.gps_ms: fix for fix in reversed(fixes) if abs(fix.gps_ms - median_ms) <= span_max_ms}
    return [by_time[gps_ms] for gps_ms in sorted(by_time)]


def _norm(vector: Array) -> float:
    return math.sqrt(vector.dot(vector))

"""A robust start: one orbit out of a handful of fixes, some of which may be wild.

Every fix gives an orbit of its own. Carried to one moment by the model, the median of these orbits, component by
component, is not moved by a minority of wrong ones, and tells which fixes agree with it.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array, median
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.gps_fix import Fix
from pygnc.estimators.orbit.measurement import Comparison, compare
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import POSITION, SIZE, VELOCITY

_AGREEMENT_SIGMA: Final = 5.0
"""A fix agrees when it lies within this many (three-dimensional) standard deviations of the median orbit."""
_DRIFT_PER_VELOCITY: Final = 3.0
"""A velocity error displaces an orbit along its track three times as fast (Clohessy-Wiltshire)."""
_PAIR_MAX_MS: Final = 600_000
"""Two positions farther apart give no velocity by simple iteration."""
_SHOTS: Final = 5


class Verdict(NamedTuple):
    """Which parts of a fix agree with the start."""

    fix: Fix
    position: bool
    velocity: bool


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """An orbit to begin with.

    Attributes:
        x: State at the first of the fixes, shape (10,).
        verdicts: The fixes in order of time, judged.
        agreeing: How many positions agree.
        position_spread: Median distance of the positions from the orbit in standard deviations; about 1 when the
            receiver's sigmas are right.
        velocity_spread: The same for the velocities; 1 when there is none.
    """

    x: Array
    verdicts: tuple[Verdict, ...]
    agreeing: int
    position_spread: float
    velocity_spread: float


class _Candidate(NamedTuple):
    """The orbit of one fix: state (10,) at its time, and the size of its velocity error."""

    gps_ms: int
    x: Array
    velocity_sigma_mps: float


class StartFinder:
    """Finds starts with one set of models and settings."""

    def __init__(self, dynamics: OrbitDynamics, frames: EarthFrames, settings: OrbitSettings) -> None:
        self._dynamics = dynamics
        self._frames = frames
        self._settings = settings

    def find(self, fixes: Sequence[Fix]) -> Start | None:
        """Median orbit of the fixes, in any order, and who agrees with it; None when no velocity can be had.

        Fixes at equal times, and those farther than `span_max_s` from the median time, get no verdict.
        """
        usable = _together(fixes, round(self._settings.start.span_max_s * 1e3))
        candidates = self._candidates(usable)
        if not candidates:
            return None
        middle_ms = statistics.median_low(fix.gps_ms for fix in usable)
        trace = self._dynamics.trace
        traced = np.array([trace(candidate.gps_ms, candidate.x, middle_ms) for candidate in candidates])
        x = median(traced)
        drift_mps = _DRIFT_PER_VELOCITY * statistics.median(candidate.velocity_sigma_mps for candidate in candidates)

        deviations = np.empty((len(usable), 2))
        for row, fix in enumerate(usable):
            position, velocity = self._compare(fix, trace(middle_ms, x, fix.gps_ms))
            drift_m = drift_mps * abs(fix.gps_ms - middle_ms) * 1e-3
            deviations[row, 0] = _norm(position.residual) / math.hypot(_norm(position.sigma), drift_m)
            deviations[row, 1] = _norm(velocity.residual) / _norm(velocity.sigma) if velocity else math.nan
        noise_scale_max = self._settings.measurement.noise_scale_max
        return _judge(trace(middle_ms, x, usable[0].gps_ms), usable, deviations, noise_scale_max)

    def _candidates(self, fixes: list[Fix]) -> list[_Candidate]:
        """One orbit per fix with a velocity or, if there is none, per pair of neighbouring positions."""
        alone = [candidate for candidate in map(self._from_fix, fixes) if candidate is not None]
        if alone:
            return alone
        pairs = [(first, second) for first, second in pairwise(fixes) if second.gps_ms - first.gps_ms <= _PAIR_MAX_MS]
        return [self._from_pair(first, second) for first, second in pairs]

    def _from_fix(self, fix: Fix) -> _Candidate | None:
        """The fix's own orbit, None without a velocity."""
        x = self._at_rest(fix)
        _, velocity = self._compare(fix, x)
        if velocity is None:
            return None
        # The prediction is affine in the velocity, latency included, so one step from rest is exact.
        x[VELOCITY] = np.linalg.solve(velocity.partials[:, VELOCITY], velocity.residual)
        return _Candidate(fix.gps_ms, x, _norm(velocity.sigma))

    def _from_pair(self, first: Fix, second: Fix) -> _Candidate:
        """The orbit through two positions, by shooting from the first and correcting the miss at the second."""
        x, target = self._at_rest(first), self._at_rest(second)
        seconds = (second.gps_ms - first.gps_ms) * 1e-3
        x[VELOCITY] = (target[POSITION] - x[POSITION]) / seconds
        for _ in range(_SHOTS):
            reached = self._dynamics.trace(first.gps_ms, x, second.gps_ms)
            x[VELOCITY] += (target[POSITION] - reached[POSITION]) / seconds
        return _Candidate(first.gps_ms, x, math.sqrt(2.0) * _norm(self._compare(second, x).position.sigma) / seconds)

    def _at_rest(self, fix: Fix) -> Array:
        """State (10,) at the fix's position, everything else zero."""
        x = np.zeros(SIZE)
        x[POSITION] = self._frames.at(fix.gps_ms, np.zeros(1)).ecef_from_gcrf[0].T.dot(fix.position_ecef_m)
        return x

    def _compare(self, fix: Fix, x: Array) -> Comparison:
        return compare(fix, x, self._frames, self._settings.measurement)


def _together(fixes: Sequence[Fix], span_max_ms: int) -> list[Fix]:
    """The fixes in order of time, one per time, without those far from the median time."""
    median_ms = statistics.median_low(fix.gps_ms for fix in fixes)
    by_time = {fix.gps_ms: fix for fix in reversed(fixes) if abs(fix.gps_ms - median_ms) <= span_max_ms}
    return [by_time[gps_ms] for gps_ms in sorted(by_time)]


def _judge(x: Array, fixes: list[Fix], deviations: Array, noise_scale_max: float) -> Start:
    """Verdicts from the deviations of positions and velocities in standard deviations, shape (n, 2), NaN for none."""
    known = [column[~np.isnan(column)] for column in deviations.T]
    spread = [statistics.median(column.tolist()) if len(column) else 1.0 for column in known]
    agrees = deviations <= _AGREEMENT_SIGMA * np.clip(spread, 1.0, noise_scale_max)
    verdicts = tuple(Verdict(fix, bool(row[0]), bool(row[1])) for fix, row in zip(fixes, agrees, strict=True))
    return Start(x, verdicts, int(agrees[:, 0].sum()), *spread)


def _norm(vector: Array) -> float:
    return math.sqrt(vector.dot(vector))

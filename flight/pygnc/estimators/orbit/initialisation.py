"""Robust initialisation: one orbit from a few fixes, a minority of which may be outliers.

Every fix gives a candidate orbit. The candidates are propagated to one epoch, and the component-wise median of their
state vectors, which a minority of outliers cannot shift, is the initial orbit. Fixes near this orbit agree with it.

The same error of all positions keeps their differences and the velocities in agreement. Yet the velocities change by
gravity, which depends on the position, so they locate the orbit, too.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array, median
from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2
from pygnc.estimators.kalman import Observation, chi_square, scaled_inverse
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import Fix, linearise_fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, POSITION, SIZE, UNKNOWN_SIGMA, VELOCITY

_CONTRADICTION: Final = 25.0
"""Square of the distance between the positions and the orbit of the velocities, in variances per axis, from which they
contradict each other. That of five good fixes has at most an F distribution with 3 and 9 degrees of freedom, which
exceeds this once in 10 000 times.
"""
_VELOCITIES_MIN: Final = 4
"""Least number of velocities that locate an orbit, with a remainder that shows their errors."""
_LOG_DRAG_MAX: Final = 50.0
"""Limit of the logarithm of the drag factor, beyond any drag; the exponential overflows at 709."""


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
        displacement: Distance of the positions from the orbit of the velocities, in standard deviations of a position,
            if they contradict each other because all positions are displaced alike; else 0.
        position_spread: Median distance of the positions from the orbit in standard deviations; about 1 if the
            receiver's standard deviations are right.
        velocity_spread: Median distance of the velocities from the orbit in standard deviations; 1 without velocities.
        position_rms: Root mean square of the distances of the positions from the orbit, in standard deviations.
    """

    x: Array
    fixes: tuple[InitialFix, ...]
    agreeing: int
    displacement: float
    position_spread: float
    velocity_spread: float
    position_rms: float


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
        sigma_m = np.empty((len(usable), 3))
        velocities: list[tuple[int, Array, Array]] = []
        for row, fix in enumerate(usable):
            there, transition = self._dynamics.propagate_vector(middle_ms, x, fix.gps_ms)
            position, velocity = self._linearise(fix, there)
            drift_m = drift_mps * abs(fix.gps_ms - middle_ms) * 1e-3
            deviations[row, 0] = _norm(position.residual) / math.hypot(_norm(position.sigma), drift_m)
            deviations[row, 1] = _norm(velocity.residual) / _norm(velocity.sigma) if velocity else math.nan
            sigma_m[row] = position.sigma
            if velocity:
                partials = velocity.partials.dot(transition)[:, :DRAG] / velocity.sigma[:, None]
                velocities.append((row, velocity.residual / velocity.sigma, partials))
        known = [column[~np.isnan(column)] for column in deviations.T]
        spread = [statistics.median(column.tolist()) if len(column) else 1.0 for column in known]
        limit = self._settings.start.agreement_sigma
        agrees = deviations <= limit * np.clip(spread, 1.0, self._settings.measurement.noise_scale_max)
        consistent = deviations[:, 1] <= limit * max(spread[1], 1.0)
        return InitialOrbit(
            x=self._moved(middle_ms, x, usable[0].gps_ms),
            fixes=tuple(InitialFix(fix, bool(row[0]), bool(row[1])) for fix, row in zip(usable, agrees, strict=True)),
            agreeing=int(agrees[:, 0].sum()),
            displacement=_displacement([seen for row, *seen in velocities if consistent[row]], sigma_m),
            position_spread=spread[0],
            velocity_spread=spread[1],
            position_rms=math.sqrt(float(np.square(deviations[:, 0]).mean())),
        )

    def _candidates(self, fixes: list[Fix]) -> list[_Candidate]:
        """Return one orbit per fix with a velocity or, if there is none, per pair of neighbouring positions."""
        alone = [candidate for candidate in map(self._from_fix, fixes) if candidate is not None]
        if alone:
            return alone
        # The iteration for the velocity converges for positions up to ten minutes apart.
        pairs = [(first, second) for first, second in pairwise(fixes) if second.gps_ms - first.gps_ms <= 600_000]
        return [candidate for pair in pairs if (candidate := self._from_pair(*pair)) is not None]

    def _from_fix(self, fix: Fix) -> _Candidate | None:
        x = self._at_rest(fix)
        _, velocity = self._linearise(fix, x)
        if velocity is None:
            return None
        # The predicted velocity is affine in the velocity, even with latency, so one Newton step from zero is exact.
        x[VELOCITY] = np.linalg.solve(velocity.partials[:, VELOCITY], velocity.residual)
        if not is_orbit(x):
            return None
        return _Candidate(fix.gps_ms, x, _norm(velocity.sigma))

    def _from_pair(self, first: Fix, second: Fix) -> _Candidate | None:
        """Return the orbit through two positions by the shooting method; None if a position is too far away for one."""
        x, target = self._at_rest(first), self._at_rest(second)
        seconds = (second.gps_ms - first.gps_ms) * 1e-3
        x[VELOCITY] = (target[POSITION] - x[POSITION]) / seconds
        if not is_orbit(x):  # the chord is shorter than the path
            return None
        for _ in range(5):
            reached = self._moved(first.gps_ms, x, second.gps_ms)
            x[VELOCITY] += (target[POSITION] - reached[POSITION]) / seconds
        if not is_orbit(x):
            return None
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


def is_orbit(x: Array) -> bool:
    """Return True if a state vector (10,) is above the ground on an ellipse, so that it can be propagated."""
    if not np.isfinite(x).all():
        return False
    radius_m, speed_mps = _norm(x[POSITION]), _norm(x[VELOCITY])
    is_bound = speed_mps * speed_mps * radius_m < 2.0 * GM_EARTH_M3_S2
    return radius_m > EARTH_RADIUS_M and is_bound and abs(float(x[DRAG])) < _LOG_DRAG_MAX


def _displacement(velocities: Sequence[Sequence[Array]], sigma_m: Array) -> float:
    """Return the distance of the positions from the orbit that fits the velocities alone, 0 if they may agree.

    Args:
        velocities: Residuals (3,) of the velocities except outliers, and their derivatives with respect to position and
            velocity of the orbit, (3, 6), both divided by the standard deviations.
        sigma_m: Standard deviations of the positions, m, shape (n, 3).

    Returns:
        The distance in standard deviations of a position.
    """
    if len(velocities) < _VELOCITIES_MIN:
        return 0.0
    residual, partials = (np.concatenate(part) for part in zip(*velocities, strict=True))
    # Velocities of almost the same time determine no position; the prior keeps the inverse positive definite.
    covariance = scaled_inverse(partials.T.dot(partials) + np.diag(UNKNOWN_SIGMA**-2.0))
    change = covariance.dot(partials.T.dot(residual))
    remaining = residual - partials.dot(change)
    variance = max(float(remaining.dot(remaining)) / (len(remaining) - len(change)), 1.0)
    of_position = np.square(sigma_m).mean(axis=0)
    of_change = variance * covariance[POSITION, POSITION] + np.diag(of_position)
    is_significant = chi_square(change[POSITION], of_change) > 3.0 * _CONTRADICTION
    return _norm(change[POSITION]) / math.sqrt(of_position.sum()) if is_significant else 0.0


def _within_span(fixes: Sequence[Fix], span_max_ms: int) -> list[Fix]:
    """Return the fixes by time, the first of equal times, without those beyond `span_max_ms` from the median time."""
    median_ms = statistics.median_low(fix.gps_ms for fix in fixes)
    by_time = {fix.gps_ms: fix for fix in reversed(fixes) if abs(fix.gps_ms - median_ms) <= span_max_ms}
    return [by_time[gps_ms] for gps_ms in sorted(by_time)]


def _norm(vector: Array) -> float:
    return math.sqrt(vector.dot(vector))

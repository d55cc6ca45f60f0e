"""Independent batch least squares: a check of the flight filter, and the best available orbit of an arc.

It shares only the environment models and the settings with the filter. Propagation (collocation), linearisation, first
orbit, weights and normal equations are its own; it ignores the filter's rejections and always uses the full force
model.

Fixes are divided into arcs at gaps longer than the settings' `gap_max_s` and at known restarts; arcs longer than a
day are divided evenly. Each arc is solved on its own.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch.arc import ArcError, ArcFit, solve_arc
from pygnc_ground.orbit.batch.observations import usable
from pygnc_ground.orbit.solution import Filled, IntArray, OrbitSolution, set_states, unknown_solution

ARC_MAX_MS: Final = 86_400_000
"""Maximum length of an arc; the time for its equations grows with the cube of the length."""


def cut_fixes(fixes: Sequence[Fix], settings: OrbitSettings, restarts_gps_ms: Sequence[int]) -> list[Sequence[Fix]]:
    """Return the arcs of the fixes, which are in order of time."""
    gap_ms = settings.start.gap_max_s * 1e3
    restarts = sorted(restarts_gps_ms)
    cuts = [
        number
        for number, (before, after) in enumerate(pairwise(fixes), start=1)
        if after.gps_ms - before.gps_ms > gap_ms
        or bisect_right(restarts, before.gps_ms) < bisect_right(restarts, after.gps_ms)
    ]
    arcs = [fixes[begin:end] for begin, end in pairwise((0, *cuts, len(fixes))) if begin < end]
    return [part for arc in arcs for part in _evenly(arc)]


def nearest_arcs(times_gps_ms: IntArray, arcs: Sequence[Sequence[Fix]], settings: OrbitSettings) -> IntArray:
    """Return the index of the arc nearest to each time, -1 if none is near enough, shape (n,)."""
    if not arcs:
        return np.full(len(times_gps_ms), -1)
    away_ms = np.array(
        [np.maximum(np.maximum(arc[0].gps_ms - times_gps_ms, times_gps_ms - arc[-1].gps_ms), 0) for arc in arcs]
    )
    nearest = away_ms.argmin(axis=0)
    return np.where(away_ms.min(axis=0) <= settings.start.gap_max_s * 1e3, nearest, -1)


def _evenly(arc: Sequence[Fix]) -> list[Sequence[Fix]]:
    """Return the arc in the fewest parts of equal duration that are short enough."""
    begin_ms, length_ms = arc[0].gps_ms, arc[-1].gps_ms - arc[0].gps_ms
    parts = max(-(-length_ms // ARC_MAX_MS), 1)
    times = [fix.gps_ms for fix in arc]
    ends = [bisect_right(times, begin_ms + length_ms * part // parts) for part in range(1, parts)]
    return [arc[begin:end] for begin, end in pairwise((0, *ends, len(arc))) if begin < end]


class BatchError(ValueError):
    """Error raised when no arc of the fixes gives an orbit; the message names the reason."""


@dataclass(frozen=True, slots=True)
class SkippedArc:
    """Fixes that give no orbit: an arc with too few of them, or with nothing but outliers."""

    first_gps_ms: int
    last_gps_ms: int
    """Times of the first and the last fix, GPS milliseconds."""
    fixes: int
    """Number of fixes."""
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class BatchResult:
    """Result of the batch: states at the requested times, and statistics of all arcs."""

    solution: OrbitSolution
    """States, one row per requested time; `nis` is the sum of the squared normalised residuals."""
    arcs: tuple[ArcFit, ...]
    """Arcs with an orbit, at least one, in order of time."""
    left_out: tuple[SkippedArc, ...]
    """Arcs without an orbit."""

    @property
    def converged(self) -> bool:
        """True if all arcs converged."""
        return all(arc.converged for arc in self.arcs)

    @property
    def iterations(self) -> int:
        """Largest number of iterations of any arc."""
        return max(arc.iterations for arc in self.arcs)


def solve_batch(
    fixes: Sequence[Fix],
    times_gps_ms: IntArray,
    settings: OrbitSettings,
    orientation: EarthOrientationTable,
    restarts_gps_ms: Sequence[int] = (),
    *,
    filled: Filled = np.full,
) -> BatchResult:
    """Return the orbits from all fixes.

    Cost: with fixes every 25 s and one thread, 0.25 s for 3 h, 1.2 s for 12 h, and 3.5 s for a day. Forces
    and first orbit grow with the length of the arc, the normal equations with its cube.

    Args:
        fixes: Plausible fixes in any order, outliers included.
        times_gps_ms: Requested times in any order, shape (n,). Each state comes from the nearest arc if that is at most
            `gap_max_s` away, and is NaN otherwise. A fix is counted in the first free row of its time.
        settings: Spacecraft, noise and a-priori sigmas, gate, gap. The filter's force model in them is ignored.
        orientation: Earth orientation.
        restarts_gps_ms: Times at which a new orbit begins, for example after a manoeuvre.
        filled: Function that returns the arrays of the solution.

    Raises:
        BatchError: No arc gives an orbit.
    """
    frames = EarthFrames(orientation)
    arcs: list[ArcFit] = []
    left_out: list[SkippedArc] = []
    ordered = usable(fixes, settings.screening)
    solution = unknown_solution(times_gps_ms, filled)
    cuts = cut_fixes(ordered, settings, restarts_gps_ms)
    nearest = nearest_arcs(times_gps_ms, cuts, settings)
    for number, of_arc in enumerate(cuts):
        rows = np.flatnonzero(nearest == number)
        gps_ms = times_gps_ms[rows]
        try:
            fit, states, covariance = solve_arc(of_arc, gps_ms, settings, frames)
        except ArcError as failure:
            left_out.append(SkippedArc(of_arc[0].gps_ms, of_arc[-1].gps_ms, len(of_arc), str(failure)))
            continue
        arcs.append(fit)
        set_states(solution, rows, gps_ms, states, covariance, frames)
        row_of_fix = _row_of_fix(rows, gps_ms, of_arc)
        for residuals in (fit.positions, fit.velocities):
            row = row_of_fix[residuals.observations.fix]
            counted = residuals.accepted & (row >= 0)
            used = row[counted]
            solution.nis[used] = np.nan_to_num(solution.nis[used]) + residuals.chi_square[counted]
            solution.dof[used] += 3
            solution.accepted[used] = True
    if not arcs:
        if not left_out:
            raise BatchError(f"no orbit: none of {len(fixes)} fixes has a plausible position")
        largest = max(left_out, key=lambda arc: arc.fixes)
        where = f" in {len(left_out)} arcs; the largest one" if len(left_out) > 1 else ""
        raise BatchError(f"no orbit from {len(fixes)} fixes{where}: {largest.reason}")
    return BatchResult(solution, tuple(arcs), tuple(left_out))


def _row_of_fix(rows: IntArray, gps_ms: IntArray, fixes: Sequence[Fix]) -> IntArray:
    """Return, for each fix, the first row of its time that no earlier fix occupies; -1 if there is none."""
    free: dict[int, list[int]] = {}
    for row, time_ms in zip(rows[::-1].tolist(), gps_ms[::-1].tolist(), strict=True):
        free.setdefault(time_ms, []).append(row)
    return np.array([free[fix.gps_ms].pop() if free.get(fix.gps_ms) else -1 for fix in fixes], dtype=np.int64)

"""Independent batch least squares: a second opinion on the flight filter, and the best orbit there is of an arc.

Nothing is shared with the filter but the environment's models and the settings: own propagation (collocation), own
linearisation, own start, weights and normal equations, no filter's verdict on any fix, and always the full forces.

Fixes are cut into arcs where there is none for longer than the settings' `gap_max_s`, at restarts that the caller knows
of, and evenly where an arc would be longer than two days. Each arc is solved for alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch.arc import ArcFailed, BatchArc, solve_arc
from pygnc_ground.orbit.batch.cut import cut_fixes, nearest_arcs
from pygnc_ground.orbit.batch.observations import usable
from pygnc_ground.orbit.batch.table import OrbitTable
from pygnc_ground.orbit.solution import IntArray, OrbitSolution


class BatchFailed(ValueError):  # noqa: N818 - what happened, as in the report
    """No arc of the fixes gives an orbit; the message says why."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Fixes that give no orbit: an arc with too few of them, or with nothing but wild ones."""

    first_gps_ms: int
    last_gps_ms: int
    fixes: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class BatchResult:
    """Orbits of all arcs."""

    solution: OrbitSolution
    """One row per time asked for; `nis` is of the residuals"""
    arcs: tuple[BatchArc, ...]
    """In order of time, with parameters and residuals of each; at least one"""
    left_out: tuple[LeftOut, ...]

    @property
    def converged(self) -> bool:
        """Whether all arcs did."""
        return all(arc.converged for arc in self.arcs)

    @property
    def iterations(self) -> int:
        """Most that an arc took."""
        return max(arc.iterations for arc in self.arcs)


def solve_batch(
    fixes: Sequence[Fix],
    times_gps_ms: IntArray,
    settings: OrbitSettings,
    orientation: EarthOrientationTable,
    restarts_gps_ms: Sequence[int] = (),
) -> BatchResult:
    """Orbits from all fixes.

    Args:
        fixes: Plausible fixes in any order, wild ones included.
        times_gps_ms: When states are wanted, in any order, shape (n,): each is from the nearest arc if that is no
            farther than `gap_max_s`, and NaN otherwise. A fix is booked with the first free row of its time.
        settings: Spacecraft, noise and a-priori sigmas, gate, gap. The force model in them is the filter's affair.
        orientation: Earth orientation.
        restarts_gps_ms: Times at which a new orbit begins, after a manoeuvre for example.

    Raises:
        BatchFailed: No arc gives an orbit.

    Cost: with fixes every 25 s and one thread, 0.25 s for 3 h, 1.2 s for 12 h, 3.5 s for a day and 15 s for two. Forces
    and start grow with the length of the arc, the normal equations with its cube.
    """
    frames = EarthFrames(orientation)
    arcs: list[BatchArc] = []
    left_out: list[LeftOut] = []
    ordered = usable(fixes, settings.screening)
    table = OrbitTable(times_gps_ms, frames)
    cuts = cut_fixes(ordered, settings, restarts_gps_ms)
    nearest = nearest_arcs(times_gps_ms, cuts, settings)
    for number, of_arc in enumerate(cuts):
        rows = np.flatnonzero(nearest == number)
        try:
            arc, fit = solve_arc(of_arc, times_gps_ms[rows], settings, frames)
        except ArcFailed as failure:
            left_out.append(LeftOut(of_arc[0].gps_ms, of_arc[-1].gps_ms, len(of_arc), str(failure)))
            continue
        arcs.append(arc)
        table.fill(rows, fit)
    if not arcs:
        raise BatchFailed(_why(fixes, left_out))
    return BatchResult(table.solution, tuple(arcs), tuple(left_out))


def _why(fixes: Sequence[Fix], left_out: Sequence[LeftOut]) -> str:
    if not left_out:
        return f"no orbit: none of {len(fixes)} fixes has a position that an orbit can have"
    largest = max(left_out, key=lambda one: one.fixes)
    where = f" in {len(left_out)} arcs; the largest one" if len(left_out) > 1 else ""
    return f"no orbit from {len(fixes)} fixes{where}: {largest.reason}"

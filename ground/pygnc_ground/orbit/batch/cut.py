"""Which fixes belong together: arcs that one orbit describes, and which arc answers for which time."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.solution import IntArray

ARC_MAX_MS: Final = 172_800_000
"""The equations of a longer arc would take tens of seconds."""


def cut_fixes(fixes: Sequence[Fix], settings: OrbitSettings, restarts_gps_ms: Sequence[int]) -> list[Sequence[Fix]]:
    """Arcs of the fixes, which are in order of time: cut at gaps and restarts, long ones evenly in addition."""
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
    """Index of the arc nearest to each time, -1 where none is near enough, shape (n,)."""
    if not arcs:
        return np.full(len(times_gps_ms), -1)
    away_ms = np.array(
        [np.maximum(np.maximum(arc[0].gps_ms - times_gps_ms, times_gps_ms - arc[-1].gps_ms), 0) for arc in arcs]
    )
    nearest = away_ms.argmin(axis=0)
    return np.where(away_ms.min(axis=0) <= settings.start.gap_max_s * 1e3, nearest, -1)


def _evenly(arc: Sequence[Fix]) -> list[Sequence[Fix]]:
    """The arc in the fewest parts of equal duration that are short enough."""
    begin_ms, length_ms = arc[0].gps_ms, arc[-1].gps_ms - arc[0].gps_ms
    parts = max(-(-length_ms // ARC_MAX_MS), 1)
    times = [fix.gps_ms for fix in arc]
    ends = [bisect_right(times, begin_ms + length_ms * part // parts) for part in range(1, parts)]
    return [arc[begin:end] for begin, end in pairwise((0, *ends, len(arc))) if begin < end]

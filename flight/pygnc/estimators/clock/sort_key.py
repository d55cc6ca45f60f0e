"""Chronological order of the records of one file.

A file may be a ring (its newest records come first) and may hold several boots, records without GPS time, and damage.
Each record gets a GPS time as sort key. Unlike `ClockMap`, this module has the whole file at once, so the map of a
record may use later records. Cost: O(n log n) in the number of records, below 1 us each.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import unique
from pygnc.common.clock import SPACECRAFT_RESTART_S
from pygnc.estimators.clock.clock_map import CONFIRMATIONS, CONTINUED_S, RESTART_WINDOW_S, TOLERANCE_MS

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_UNKNOWN: Final = np.iinfo(np.int64).min
_MEDIAN_REACH: Final = 2
"""Neighbours on each side in a running median; two make it immune to two successive corrupt observations."""


def sort_key_gps_ms(t_spacecraft_s: npt.ArrayLike, gps_ms: npt.ArrayLike) -> Int64Array:
    """Return the GPS time by which a stable sort puts the records of a file into chronological order.

    The key of a record is its GPS time if that agrees with the map of its boot; its spacecraft time through that map if
    the GPS time is unknown or contradicts it; and the key of its predecessor if its boot has no map or its spacecraft
    time is damaged. A file without any GPS time keeps its order.

    Args:
        t_spacecraft_s: Spacecraft time of each record, in file order, shape (n,).
        gps_ms: GPS time of each record in milliseconds since 1980-01-06, negative if unknown, shape (n,).

    Returns:
        Keys in milliseconds, shape (n,).

    Raises:
        ValueError: The shapes differ or are not one-dimensional.
    """
    t_ms = 1000 * np.asarray(t_spacecraft_s, dtype=np.int64)
    gps = np.asarray(gps_ms, dtype=np.int64)
    if t_ms.ndim != 1 or t_ms.shape != gps.shape:
        raise ValueError(
            f"t_spacecraft_s {t_ms.shape} and gps_ms {gps.shape} must be one-dimensional and of equal length"
        )
    if t_ms.size == 0:
        return np.zeros(0, dtype=np.int64)

    damaged = _lone_readings(t_ms)
    fell_back = np.diff(t_ms, prepend=t_ms[0]) < -TOLERANCE_MS  # by more than jitter
    offset_ms = np.full(t_ms.size, _UNKNOWN)
    for boot in _boots(t_ms, damaged):
        offset_ms[boot] = _offsets_of_boot(t_ms[boot], gps[boot], damaged[boot])

    mapped = offset_ms != _UNKNOWN
    by_map = t_ms + np.where(mapped, offset_ms, 0)
    trusted = mapped & (gps >= 0) & (np.abs(gps - by_map) <= TOLERANCE_MS)
    key = np.where(trusted, gps, np.where(mapped & ~damaged, by_map, _UNKNOWN))
    key = _filled_from_neighbours(key)
    return np.where(trusted, key, _never_falling(key, fell_back))


def _lone_readings(t_ms: Int64Array) -> BoolArray:
    """Return True for readings outside the range of their two neighbours on each side, if these are in order, (n,)."""
    before2, before1, _, after1, after2 = _windows(t_ms, _MEDIAN_REACH, _MEDIAN_REACH)
    lowest = np.minimum(np.minimum(before2, before1), np.minimum(after1, after2)) - TOLERANCE_MS
    highest = np.maximum(np.maximum(before2, before1), np.maximum(after1, after2)) + TOLERANCE_MS
    runs_on = before1 - TOLERANCE_MS <= after1
    alone: BoolArray = runs_on & ((t_ms < lowest) | (t_ms > highest))
    return alone


def _windows(values: Int64Array, before: int, after: int) -> Int64Array:
    """Return each element with its neighbours, the ends repeated, shape (before + 1 + after, n)."""
    padded = np.pad(values, (before, after), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, before + 1 + after).T


def _boots(t_ms: Int64Array, damaged: BoolArray) -> list[slice]:
    """Return the slices of the file between restarts of the spacecraft clock."""
    # Compare with the median of the three readings before, because one of these may be damaged.
    before: Int64Array = np.sort(_windows(t_ms, 3, 0)[:-1], axis=0)[1]
    since_start_ms = t_ms - 1000 * SPACECRAFT_RESTART_S
    near_start = (since_start_ms >= 0) & (since_start_ms < 1000 * RESTART_WINDOW_S)
    restarted = (t_ms < before - TOLERANCE_MS) & near_start & ~damaged
    starts = np.flatnonzero(restarted & ~np.concatenate(([False], restarted[:-1]))).tolist()
    return [slice(start, end) for start, end in zip([0, *starts], [*starts, t_ms.size], strict=True)]


def _offsets_of_boot(t_ms: Int64Array, gps: Int64Array, damaged: BoolArray) -> Int64Array:
    """Return GPS time minus spacecraft time of each record in ms; `_UNKNOWN` if no record has a reliable one.

    It is the running median of the offsets at the closest record whose own offset agrees with that median.
    """
    known = np.flatnonzero((gps >= 0) & ~damaged)
    if known.size == 0:
        return np.full(t_ms.size, _UNKNOWN)
    observed_ms = gps[known] - t_ms[known]
    median_ms: Int64Array = np.sort(_windows(observed_ms, _MEDIAN_REACH, _MEDIAN_REACH), axis=0)[_MEDIAN_REACH]
    agrees = np.abs(observed_ms - median_ms) <= TOLERANCE_MS
    # The clock may also have been set within a boot, so every stretch of one offset needs its own confirmation.
    stretch: npt.NDArray[np.intp] = np.cumsum(np.abs(np.diff(median_ms, prepend=median_ms[0])) > TOLERANCE_MS)
    counts = np.bincount(stretch[agrees], minlength=int(stretch[-1]) + 1)
    confirmed = counts >= min(CONFIRMATIONS, known.size)
    confirmed[_contradicted(stretch, counts, t_ms[known], median_ms)] = False
    anchors = np.flatnonzero(agrees & confirmed[stretch])
    if anchors.size == 0:
        return np.full(t_ms.size, _UNKNOWN)
    return median_ms[anchors][_closer_neighbour(known[anchors], t_ms)]


def _contradicted(
    stretch: npt.NDArray[np.intp], counts: npt.NDArray[np.intp], t_ms: Int64Array, offset_ms: Int64Array
) -> npt.NDArray[np.intp]:
    """Return the stretches at an end of which GPS time jumps while the clock runs on, into a longer stretch."""
    last = np.flatnonzero(np.diff(stretch))
    step_ms = t_ms[last + 1] - t_ms[last]
    gps_step_ms = step_ms + offset_ms[last + 1] - offset_ms[last]
    ran_on, may_follow = ((step >= -TOLERANCE_MS) & (step <= 1000 * CONTINUED_S) for step in (step_ms, gps_step_ms))
    before = stretch[last[ran_on & ~may_follow]]
    return np.where(counts[before] < counts[before + 1], before, before + 1)


def _closer_neighbour(anchors: npt.NDArray[np.intp], t_ms: Int64Array) -> npt.NDArray[np.intp]:
    """Return, per record, the index in `anchors` (record numbers) of the neighbour with the closer reading, (n,)."""
    after = np.minimum(np.searchsorted(anchors, np.arange(t_ms.size)), anchors.size - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(t_ms - t_ms[anchors[before]]) < np.abs(t_ms - t_ms[anchors[after]]), before, after)


def _filled_from_neighbours(key: Int64Array) -> Int64Array:
    """Replace unknown keys by the last known key, at the start by the first known key, and by 0 without any."""
    known = np.flatnonzero(key != _UNKNOWN)
    if known.size == 0:
        return np.zeros_like(key)
    before = np.searchsorted(known, np.arange(key.size), side="right") - 1
    return key[known[np.maximum(before, 0)]]


def _never_falling(key: Int64Array, fell_back: BoolArray) -> Int64Array:
    """Return the running maximum of the keys, restarted wherever the spacecraft clock fell back.

    This prevents jitter from swapping two records that are seconds apart.
    """
    values, rank = unique(key)
    base = np.cumsum(fell_back) * values.size
    highest_so_far: npt.NDArray[np.intp] = np.maximum.accumulate(rank + base) - base
    return values[highest_so_far]

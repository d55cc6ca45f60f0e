"""Combinations of measurements without the first-order delay of the ionosphere, and passes of continuous phase.

With two frequencies the ionosphere cancels in the usual combination. With one, it cancels in the mean of code and phase
(GRAPHIC; T. P. Yunck, Coping with the atmosphere and ionosphere in precise satellite and ground positioning, AGU
Geophysical Monograph 73, 1993), whose noise is half of the code's and which has an ambiguity like a phase.

Lock is lost where the receiver reports it, after a gap, and where a combination jumps. The Melbourne-Wuebbena
combination shows slips of different numbers of cycles on both frequencies, and the geometry-free one almost all others.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from pygnc_ground.gnss.antennas import L1_SHARE
from pygnc_ground.gnss.measurements import (
    HALF_CYCLE,
    L1_HZ,
    L1_WAVELENGTH_M,
    L2_HZ,
    LOST_LOCK,
    SPEED_OF_LIGHT_M_S,
    GnssMeasurements,
)
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray

_NARROW_M: Final = SPEED_OF_LIGHT_M_S / (L1_HZ + L2_HZ)
_WIDE_M: Final = SPEED_OF_LIGHT_M_S / (L1_HZ - L2_HZ)
_L1_IN_WIDE: Final = L1_HZ / (L1_HZ - L2_HZ)
_L1_IN_NARROW: Final = L1_HZ / (L1_HZ + L2_HZ)
_GAP_INTERVALS: Final = 6.5
"""Number of missing epochs, in intervals, after which a pass ends."""
_WIDE_JUMP_M: Final = 4.0 * _WIDE_M
"""Change of the Melbourne-Wuebbena combination that noise of the codes does not explain; smaller slips show in the
geometry-free combination.
"""
_IONOSPHERE_JUMP_M: Final = 0.08
"""Unexpected change of the ionosphere between epochs that no motion through it explains: a slip of a cycle on one
frequency changes it by 0.19 or 0.24 m.
"""
_STEP_OF_CODE_M: Final = 20.0
"""Change of code minus phase between epochs that neither noise nor ionosphere explain."""
_SHORT: Final = 4
"""Passes of fewer epochs are not used: they hardly determine their own ambiguity."""
_MS_PER_S: Final = 1e3


@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """Combined measurements, one row per epoch and satellite."""

    measurements: GnssMeasurements
    code_m: FloatArray
    """Pseudoranges, shape (n,): free of the ionosphere with two frequencies, C/A otherwise."""
    phase_m: FloatArray
    """Ionosphere-free phase or, with one frequency, mean of code and phase, shape (n,); NaN where not usable."""
    passes: IntArray
    """Index of the pass of each row, -1 for none, shape (n,)."""
    wind_up_m: FloatArray
    """Length that a turn of the antenna adds to the phase, shape (n,)."""
    dual: BoolArray
    """True for rows of two frequencies, shape (n,)."""
    slips: int
    """Number of jumps that the receiver did not report."""

    @property
    def pass_count(self) -> int:
        """Number of passes."""
        return int(self.passes.max(initial=-1)) + 1

    def split(self, starts: BoolArray) -> Self:
        """Return the rows with passes that also start at the flagged rows, shape (n,)."""
        return replace(
            self,
            passes=_numbered(self.measurements, self.passes, starts),
            slips=self.slips + int(starts.sum()),
        )

    def selected(self, rows: BoolArray | IntArray | slice) -> Self:
        """Return some rows."""
        return replace(
            self,
            measurements=self.measurements.selected(rows),
            code_m=self.code_m[rows],
            phase_m=self.phase_m[rows],
            passes=self.passes[rows],
            wind_up_m=self.wind_up_m[rows],
            dual=self.dual[rows],
        )

    def without(self, rows: BoolArray) -> Self:
        """Return the rows without the phases of the flagged ones, shape (n,)."""
        return replace(self, phase_m=np.where(rows, np.nan, self.phase_m), passes=np.where(rows, -1, self.passes))


def has_two_frequencies(seen: GnssMeasurements) -> BoolArray:
    """Return True for measurements with codes and phases on both frequencies, shape (n,)."""
    first = np.isfinite(seen.code_p1_m) | np.isfinite(seen.code_l1_m)
    both = np.isfinite(seen.code_p2_m) & np.isfinite(seen.phase_l1_m) & np.isfinite(seen.phase_l2_m)
    return np.asarray(first & both)


def combine(seen: GnssMeasurements) -> Combined:
    """Return combinations of measurements without the ionosphere, and their passes.

    Measurements without a second frequency are combined to the mean of code and phase.
    """
    dual = has_two_frequencies(seen)
    first_m = np.where(np.isfinite(seen.code_p1_m), seen.code_p1_m, seen.code_l1_m)
    single_m = np.where(np.isfinite(seen.code_l1_m), seen.code_l1_m, first_m)
    code_m = np.where(dual, L1_SHARE * first_m + (1.0 - L1_SHARE) * seen.code_p2_m, single_m)
    phase_m = np.where(
        dual, L1_SHARE * seen.phase_l1_m + (1.0 - L1_SHARE) * seen.phase_l2_m, 0.5 * (single_m + seen.phase_l1_m)
    )
    locks = np.where(dual, seen.loss_of_lock_l1 | seen.loss_of_lock_l2, seen.loss_of_lock_l1)
    phase_m = np.where(locks & HALF_CYCLE != 0, np.nan, phase_m)
    whole = _numbered(seen, np.where(np.isfinite(phase_m), dual.astype(np.int64), -1), locks & LOST_LOCK != 0)
    jumps = _steps_of_code(seen, code_m, whole) | _jumps(seen, first_m, whole)
    wind_up_m = np.where(dual, _NARROW_M, 0.5 * L1_WAVELENGTH_M)
    return without_short(Combined(seen, code_m, phase_m, whole, wind_up_m, dual, 0).split(jumps))


def without_short(combined: Combined) -> Combined:
    """Return the rows without passes of a few epochs."""
    lengths = np.bincount(combined.passes[combined.passes >= 0], minlength=max(combined.pass_count, 1))
    short = (combined.passes >= 0) & (lengths[combined.passes] < _SHORT)
    kept = combined.without(short)
    return replace(kept, passes=_numbered(kept.measurements, kept.passes, np.zeros(len(short), dtype=np.bool_)))


def previous(seen: GnssMeasurements, passes: IntArray) -> IntArray:
    """Return the row before each one in its pass, shape (n,); -1 for the first row of a pass."""
    order = np.lexsort((seen.gps_ms, passes))
    before = np.full(len(passes), -1)
    follows = (np.diff(passes[order]) == 0) & (passes[order][1:] >= 0)
    before[order[1:][follows]] = order[:-1][follows]
    return before


def _numbered(seen: GnssMeasurements, passes: IntArray, starts: BoolArray) -> IntArray:
    """Return passes numbered anew: one ends where satellite or pass change, after gaps, and before `starts`."""
    usable = np.flatnonzero(passes >= 0)
    order = usable[np.lexsort((seen.gps_ms[usable], seen.satellite[usable]))]
    if not len(order):
        return np.full(len(passes), -1)
    times_ms = seen.gps_ms[order]
    interval_ms = _MS_PER_S * interval_s(seen)
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = seen.satellite[order][1:] != seen.satellite[order][:-1]
    new[1:] |= passes[order][1:] != passes[order][:-1]
    new[1:] |= np.diff(times_ms) > _GAP_INTERVALS * interval_ms
    new |= starts[order]
    numbered = np.full(len(passes), -1)
    numbered[order] = np.cumsum(new) - 1
    return numbered


def interval_s(seen: GnssMeasurements) -> float:
    """Return the usual interval between epochs."""
    steps_ms = np.diff(np.unique(seen.gps_ms))
    return float(np.median(steps_ms)) / _MS_PER_S if len(steps_ms) else 1.0


def _steps_of_code(seen: GnssMeasurements, code_m: FloatArray, passes: IntArray) -> BoolArray:
    """Return flags of rows where code and phase move apart, as when a receiver sets its clock, shape (n,)."""
    before = previous(seen, passes)
    apart_m = code_m - seen.phase_l1_m
    return np.asarray((before >= 0) & (np.nan_to_num(np.abs(apart_m - apart_m[before])) > _STEP_OF_CODE_M))


def _jumps(seen: GnssMeasurements, code_m: FloatArray, passes: IntArray) -> BoolArray:
    """Return flags of rows at which the difference of the two phases jumps, shape (n,)."""
    wide_m = _L1_IN_WIDE * seen.phase_l1_m + (1.0 - _L1_IN_WIDE) * seen.phase_l2_m
    wide_m -= _L1_IN_NARROW * code_m + (1.0 - _L1_IN_NARROW) * seen.code_p2_m
    ionosphere_m = seen.phase_l1_m - seen.phase_l2_m
    before = previous(seen, passes)
    earlier = np.where(before >= 0, before[before], -1)
    step_s = np.maximum(seen.gps_ms - seen.gps_ms[before], 1) / _MS_PER_S
    rate = (ionosphere_m - ionosphere_m[before]) / step_s
    change_m = np.abs(rate - np.where(earlier >= 0, rate[before], np.nan)) * step_s
    jump = np.nan_to_num(change_m) > _IONOSPHERE_JUMP_M
    # The second difference jumps at a slip and once more after it.
    jump &= ~jump[before]
    jump |= np.nan_to_num(np.abs(wide_m - wide_m[before])) > _WIDE_JUMP_M
    return np.asarray(jump & (before >= 0))

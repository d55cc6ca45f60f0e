"""What the records say of the spacecraft clock: boots, and how far each record is from the clock map."""

from dataclasses import dataclass

import numpy as np

from pygnc.estimators.clock.clock_map import TOLERANCE_MS
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.result import FixRecords


@dataclass(frozen=True, slots=True)
class ClockSegment:
    """Records between two jumps of the clock map."""

    number: int
    """From 1"""
    first_row: int
    last_row: int
    records: int
    offset_ms: float
    """GPS time minus spacecraft time, by the map after its last record"""
    residual_median_ms: float
    """Of the records against the map"""
    residual_spread_ms: float
    """Between the 5th and the 95th percentile"""


@dataclass(frozen=True, slots=True, eq=False)
class ClockRecords:
    """The spacecraft clock at the records that have both times and a map."""

    row: IntArray
    """(k,), number of the record"""
    offset_ms: FloatArray
    """(k,), of the map after the record"""
    residual_ms: FloatArray
    """(k,), GPS time of the record minus what the map makes of its spacecraft time"""
    segments: tuple[ClockSegment, ...]


def clock_records(fixes: FixRecords) -> ClockRecords:
    """Compare both clocks. A jump of the map by more than what one boot allows begins a segment."""
    row = np.flatnonzero((fixes.t_spacecraft_s >= 0) & np.isfinite(fixes.spacecraft_to_gps_ms))
    offset = fixes.spacecraft_to_gps_ms[row]
    residual = fixes.gps_ms[row] - 1000.0 * fixes.t_spacecraft_s[row] - offset
    jumps = np.flatnonzero(np.abs(np.diff(offset)) > TOLERANCE_MS) + 1
    parts = np.split(np.arange(len(row)), jumps) if len(row) else []
    segments = tuple(_segment(number, part, row, offset, residual) for number, part in enumerate(parts, start=1))
    return ClockRecords(row, offset, residual, segments)


def _segment(number: int, part: IntArray, row: IntArray, offset: FloatArray, residual: FloatArray) -> ClockSegment:
    least, middle, most = np.quantile(residual[part], (0.05, 0.5, 0.95)).tolist()
    return ClockSegment(
        number, int(row[part[0]]), int(row[part[-1]]), len(part), float(offset[part[-1]]), middle, most - least
    )

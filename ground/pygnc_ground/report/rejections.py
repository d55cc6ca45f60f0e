"""What was not used of the GPS records, and why."""

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from pygnc.estimators.orbit.gps_fix import RejectCause
from pygnc.tasks.orbit.tracker import TIME_INCONSISTENT
from pygnc_cli.text import printable
from pygnc_ground.orbit.solution import IntArray
from pygnc_ground.replay.result import ReplayResult

_UNKNOWN_SHOWN: Final = 60
_MEANINGS: Final = MappingProxyType(
    {
        RejectCause.NO_TIME: "the receiver does not know the time",
        RejectCause.TIME_STATUS: "the receiver's time is too coarse",
        RejectCause.POSITION_STATUS: "the receiver has no computed position",
        RejectCause.NO_SATELLITES: "no satellite was used",
        RejectCause.NOT_FINITE: "a number of the position is none",
        RejectCause.ZERO_POSITION: "the position is all zero",
        RejectCause.RADIUS: "too near to the Earth's centre, or too far",
        RejectCause.VELOCITY_STATUS: "the receiver has no computed velocity",
        RejectCause.VELOCITY_NOT_FINITE: "a number of the velocity is none",
        RejectCause.SPEED: "too slow or too fast for an orbit",
        RejectCause.LATENCY: "the velocity's latency makes no sense",
        RejectCause.NO_VELOCITY: "it came without a usable velocity",
        RejectCause.NOT_LATER: "not later than the one before",
        RejectCause.GAP: "too long after the last one to carry the orbit on",
        RejectCause.GATE: "too far from the prediction (chi-square gate)",
        RejectCause.START: "disagrees with the others of the start",
        TIME_INCONSISTENT: "GPS time contradicts the spacecraft clock",
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class CauseBooks:
    """What one cause did."""

    cause: str
    positions: IntArray
    """Records, by number, whose position it kept out"""
    velocities: IntArray
    untimed: int
    """Records without a time"""

    @property
    def total(self) -> int:
        """Positions and velocities together, records without a time as one."""
        return len(self.positions) + len(self.velocities) + self.untimed


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A line of the table."""

    seq: int
    source: str
    offset: int
    gps_ms: int
    t_spacecraft_s: int | None
    part: str
    """position, velocity, or both"""
    cause: str


def meaning(cause: str) -> str:
    """A cause in plain words; unknown ones as they are, as far as they can be printed."""
    return _MEANINGS.get(cause, printable(cause.replace("_", " "))[:_UNKNOWN_SHOWN])


def books_by_cause(result: ReplayResult) -> tuple[CauseBooks, ...]:
    """The causes that occur, the most frequent one first."""
    positions, velocities = np.array(result.fixes.position_cause), np.array(result.fixes.velocity_cause)
    untimed = Counter(record.cause for record in result.untimed)
    causes = {*result.fixes.position_cause, *result.fixes.velocity_cause, *untimed} - {""}
    books = [
        CauseBooks(cause, np.flatnonzero(positions == cause), np.flatnonzero(velocities == cause), untimed[cause])
        for cause in sorted(causes)
    ]
    return tuple(sorted(books, key=lambda book: -book.total))


def rejected_rows(result: ReplayResult) -> list[int]:
    """Records, by number, of which position or velocity was not used."""
    causes = zip(result.fixes.position_cause, result.fixes.velocity_cause, strict=True)
    return [row for row, (position, velocity) in enumerate(causes) if position or velocity]


def rejected_records(result: ReplayResult, most: int) -> list[RejectedRecord]:
    """The first `most` of them, in the order of the input."""
    fixes = result.fixes
    records = []
    for row in rejected_rows(result)[:most]:
        position, velocity = fixes.position_cause[row], fixes.velocity_cause[row]
        if position == velocity:
            part, causes = "both", [position]
        else:
            part = "both" if position and velocity else "position" if position else "velocity"
            causes = [cause for cause in (position, velocity) if cause]
        t_spacecraft_s = int(fixes.t_spacecraft_s[row])
        records.append(
            RejectedRecord(
                seq=int(fixes.seq[row]),
                source=fixes.source[row],
                offset=int(fixes.offset[row]),
                gps_ms=int(fixes.gps_ms[row]),
                t_spacecraft_s=t_spacecraft_s if t_spacecraft_s >= 0 else None,
                part=part,
                cause="; ".join(map(meaning, causes)),
            )
        )
    return records

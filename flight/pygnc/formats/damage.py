"""Reports of a parser: bytes that it could not use, and records that it delivered with a warning.

Every byte of an input belongs either to exactly one delivered record or to exactly one `Damage` range. An `Anomaly` is
not damage: its record was delivered, and the estimators decide what to do with it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from typing import Final

import numpy as np
from numpy.typing import NDArray

FILL_BLOCK: Final = 128
"""Number of equal bytes in a row that indicates an erased page. A GPS packet without a fix has at most 50."""
FILL_SEARCH_BYTES: Final = 8192
"""Number of bytes at the beginning of a gap that are searched for fill."""
DUPLICATE_REACH: Final = 1024
"""Number of preceding records compared to find duplicates: seven hours of the controller's sense records."""


@unique
class DamageReason(StrEnum):
    """Reason why a range of bytes was not delivered."""

    FILL = "fill"
    """Zeroed or erased page: contains a long run of one byte value."""
    LENGTH = "length"
    """Not a whole number of records: bytes were inserted or lost."""
    CONTENT = "content"
    """No record in it passes the checks, although its length may be right."""
    FOREIGN = "foreign"
    """Text or other data around the records."""
    CUT_TAIL = "cut_tail"
    """The input ends inside a record."""
    UNREADABLE = "unreadable"
    """The disk does not deliver these bytes, or they are beyond the maximum size of the input."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes `start` to `stop` (exclusive) of the input, which were not delivered; `detail` names line and fault."""

    start: int
    stop: int
    reason: DamageReason
    detail: str = ""


@unique
class AnomalyReason(StrEnum):
    """Reason for a warning about a delivered record."""

    DUPLICATE = "duplicate"
    """Identical to a record delivered shortly before."""
    OUT_OF_ORDER = "out_of_order"
    """Earlier in spacecraft time than the record before it in the file."""
    CLOCK_STEP = "clock_step"
    """The spacecraft clock was set while the record was written."""
    IMPLAUSIBLE_LIGHT = "implausible_light"
    """Light sensor word that the sensor cannot produce."""
    IMPLAUSIBLE_FIX = "implausible_fix"
    """GPS packet whose values contradict each other or physics."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Warning about record number `record` (from 0, of the whole input), delivered from bytes `start` to `stop`."""

    record: int
    start: int
    stop: int
    reason: AnomalyReason


class Gap:
    """Bytes since the last good record, added piece by piece.

    Memory is bounded: only the length and the first bytes are kept. The result does not depend on the pieces.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.stop = start
        self._head = b""

    @property
    def length(self) -> int:
        """Number of bytes in the gap."""
        return self.stop - self.start

    def extend(self, piece: bytes | memoryview) -> None:
        """Append bytes that belong to no record."""
        self.stop += len(piece)
        if len(self._head) < FILL_SEARCH_BYTES:
            self._head += piece[: FILL_SEARCH_BYTES - len(self._head)]

    def as_damage(self, otherwise: DamageReason) -> Damage:
        """Return the gap as damage: fill if its beginning contains a block of equal bytes, else `otherwise`."""
        blocks = (self._head[at : at + FILL_BLOCK] for at in range(0, len(self._head), FILL_BLOCK))
        is_fill = any(len(block) == FILL_BLOCK and block.count(block[0]) == FILL_BLOCK for block in blocks)
        return Damage(self.start, self.stop, DamageReason.FILL if is_fill else otherwise)

    def as_tail(self, cut: int) -> list[Damage]:
        """Return a gap at the end of the input as damage; from byte `cut` on, it is a record cut off by the end."""
        parts = [replace(self.as_damage(DamageReason.CONTENT), stop=cut), Damage(cut, self.stop, DamageReason.CUT_TAIL)]
        return [part for part in parts if part.start < part.stop]


class AnomalyDetector:
    """Detector of duplicates and of steps of the spacecraft time in a stream of records."""

    def __init__(self) -> None:
        self._count = 0
        self._last_time_s: int | None = None
        self._newest_s = -1
        self._recent: list[bytes] = []

    def time_steps_s(self, first_s: NDArray[np.uint32], last_s: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return the step of the spacecraft time from the end of the previous record to the start of each record, s.

        `first_s` and `last_s`, (M,), are the first and last times in M further records. The first step ever is 0.
        """
        first, last = first_s.astype(np.int64), last_s.astype(np.int64)
        start_s = first[:1] if self._last_time_s is None else [self._last_time_s]
        self._last_time_s = int(last[-1]) if len(last) else self._last_time_s
        steps_s: NDArray[np.int64] = first - np.append(start_s, last[:-1])[: len(first)]
        return steps_s

    def inspect(
        self,
        records: NDArray[np.void] | NDArray[np.object_],
        offsets: NDArray[np.int64],
        flags: Mapping[AnomalyReason, NDArray[np.bool_]],
        times_s: NDArray[np.uint32] | None = None,
    ) -> tuple[Anomaly, ...]:
        """Return the anomalies of M further records: duplicates and flagged records. Duplicates are not out of order.

        Args:
            records: Bytes of the records, (M,).
            offsets: Their absolute offsets, (M,).
            flags: True for the records to warn about, (M,), by reason.
            times_s: Times in the records, (M,). While they ascend, no record is compared, which saves most of the time.
        """
        duplicate = np.zeros(len(records), bool) if self._ascends(times_s) else self._repeated(records.tolist())
        found = [(index, AnomalyReason.DUPLICATE) for index in np.flatnonzero(duplicate).tolist()]
        for reason, flag in flags.items():
            marked = flag & ~duplicate if reason is AnomalyReason.OUT_OF_ORDER else flag
            found += [(index, reason) for index in np.flatnonzero(marked).tolist()]
        found.sort(key=lambda entry: entry[0])
        anomalies = []
        for index, reason in found:
            start = int(offsets[index])
            anomalies.append(Anomaly(self._count + index, start, start + len(records.item(index)), reason))
        self._count += len(records)
        self._recent = [*self._recent, *records[-DUPLICATE_REACH:].tolist()][-DUPLICATE_REACH:]
        return tuple(anomalies)

    def _ascends(self, times_s: NDArray[np.uint32] | None) -> bool:
        """Return True if each time is later than all times before it."""
        if times_s is None or len(times_s) == 0:
            return False
        times = np.append(self._newest_s, times_s.astype(np.int64))
        self._newest_s = int(times.max())
        return bool((times[1:] > times[:-1]).all())

    def _repeated(self, records: Sequence[bytes]) -> NDArray[np.bool_]:
        """Return True for the records that are identical to one of the `DUPLICATE_REACH` records before them, (M,)."""
        latest = {record: number - len(self._recent) for number, record in enumerate(self._recent)}
        repeated = np.zeros(len(records), bool)
        for number, record in enumerate(records):
            repeated[number] = number - latest.get(record, -math.inf) <= DUPLICATE_REACH
            latest[record] = number
        return repeated

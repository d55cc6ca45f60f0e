"""What a parser says about bytes it could not use, and about records it delivered with a warning.

Every byte of an input is either part of exactly one delivered record or part of exactly one `Damage` range. An
`Anomaly` is not damage: the record it names was delivered, and the estimators decide what to do with it.
"""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

FILL_BLOCK: Final = 128
"""No record holds this many equal bytes in a row (a GPS packet without a fix: 50), an erased page holds 512 or more."""
FILL_SEARCH_BYTES: Final = 8192
"""How much of a gap's beginning is searched for fill."""


@unique
class DamageReason(StrEnum):
    """Why a range of bytes was not delivered."""

    FILL = "fill"
    """A zeroed or erased page: holds a long run of one byte value."""
    LENGTH = "length"
    """No whole number of records: bytes were inserted or lost."""
    CONTENT = "content"
    """Nothing in it passes the checks of a record, though its length may be right."""
    CUT_TAIL = "cut_tail"
    """The input ends inside a record."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes `start` up to, not including, `stop` of the input were not delivered."""

    start: int
    stop: int
    reason: DamageReason


@unique
class AnomalyReason(StrEnum):
    """Why a delivered record deserves a second look."""

    DUPLICATE = "duplicate"
    """Byte for byte equal to a record delivered shortly before."""
    OUT_OF_ORDER = "out_of_order"
    """Earlier in spacecraft time than the record before it in the file."""
    CLOCK_STEP = "clock_step"
    """The spacecraft clock was set while the record was being made."""
    IMPLAUSIBLE_LIGHT = "implausible_light"
    """A light sensor word that the sensor cannot produce."""
    IMPLAUSIBLE_FIX = "implausible_fix"
    """A GPS packet whose numbers contradict each other or physics."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Bytes `start` to `stop` were delivered as record number `record` (from 0, of the whole input), but look odd."""

    record: int
    start: int
    stop: int
    reason: AnomalyReason


class Gap:
    """The bytes since the last good record, added piece by piece.

    Only their number and a bounded head are kept, and neither depends on how the input was cut into pieces.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.stop = start
        self._head = b""

    @property
    def length(self) -> int:
        """Number of bytes in the gap."""
        return self.stop - self.start

    @property
    def is_fill(self) -> bool:
        """Whether a block of equal bytes, such as no record holds, stands in the gap's head."""
        blocks = (self._head[at : at + FILL_BLOCK] for at in range(0, len(self._head), FILL_BLOCK))
        return any(len(block) == FILL_BLOCK and block.count(block[0]) == FILL_BLOCK for block in blocks)

    def extend(self, piece: bytes | memoryview) -> None:
        """Add the bytes that follow."""
        self.stop += len(piece)
        if len(self._head) < FILL_SEARCH_BYTES:
            self._head += piece[: FILL_SEARCH_BYTES - len(self._head)]

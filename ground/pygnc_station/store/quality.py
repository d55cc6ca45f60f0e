"""Quality flags of stored readings: a doubtful reading is kept and marked, never dropped."""

from enum import IntFlag
from typing import Final

_EARLIEST_SANE_MS: Final = 1_704_067_200_000
"""2024-01-01. A Raspberry Pi without a clock starts before it."""


class Quality(IntFlag):
    """What is doubtful about a reading; 0: nothing known."""

    GAP = 1
    """The device says that readings are missing before this one."""
    CLOCK = 2
    """This computer's clock was not set when it came."""
    PARTIAL = 4
    """Some of its declared values are missing."""
    DEVICE = 8
    """The driver or the device itself doubts it."""
    IMPORTED = 16
    """It comes from another program's database: as that one rounded it, without raw bytes."""


def quality_of(t_utc_ms: int, lost_before: int, *, is_partial: bool = False, is_doubtful: bool = False) -> Quality:
    """Return the flags of a reading.

    Args:
        t_utc_ms: its time.
        lost_before: how many are missing before it.
        is_partial: whether values are missing.
        is_doubtful: what the driver thinks of it.
    """
    flags = Quality(0)
    if lost_before:
        flags |= Quality.GAP
    if t_utc_ms < _EARLIEST_SANE_MS:
        flags |= Quality.CLOCK
    if is_partial:
        flags |= Quality.PARTIAL
    if is_doubtful:
        flags |= Quality.DEVICE
    return flags

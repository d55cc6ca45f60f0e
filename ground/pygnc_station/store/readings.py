"""Quality flags of stored readings: a doubtful reading is kept and marked, never dropped.

What goes into a store and comes out of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntFlag
from typing import Final, NamedTuple, Self

from pygnc_devices.reading import Reading
from pygnc_station.store.layout import Column, Layout, PlainValue, from_text, plain, to_text

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


TIMES_MS: Final = range(253_402_300_800_000)
"""Times that a calendar can tell, 1970 to 9999, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class NewReading:
    """A reading that is to be stored.

    Attributes:
        t_utc_ms: when it came, milliseconds since 1970 (UTC).
        quality: `Quality` flags.
        lost_before: readings that the device says are missing before it.
        flags: what its driver finds doubtful, words with commas between.
        content: its values, JSON, in the order of its layout.
        raw: the bytes as they came; None if they are not known.
    """

    t_utc_ms: int
    quality: int
    lost_before: int
    flags: str
    content: str
    raw: bytes | None

    @classmethod
    def of(cls, reading: Reading) -> Self:
        """Return what is stored of a device's reading; values that its declaration does not name are not."""
        t_utc_ms = reading.t_wall_ns // 1_000_000
        values = {field.name: plain(reading.values.get(field.name)) for field in reading.packet.fields}
        missing = {name for name, value in values.items() if value is None}
        is_partial, is_doubtful = reading.packet.is_partial(missing), bool(reading.flags)
        quality = quality_of(t_utc_ms, reading.lost_before, is_partial=is_partial, is_doubtful=is_doubtful)
        flags = ",".join(reading.flags)
        return cls(t_utc_ms, int(quality), reading.lost_before, flags, to_text(values.values()), reading.raw)


class StoredReading(NamedTuple):
    """A reading of a store.

    Attributes:
        stream_id: where it is.
        number: its place in the stream; with the stream's device, origin and layout its identity everywhere.
        t_utc_ms: see `NewReading`, as what follows.
    """

    stream_id: int
    number: int
    t_utc_ms: int
    quality: int
    lost_before: int
    flags: str
    content: str
    raw: bytes | None

    @property
    def values(self) -> list[PlainValue]:
        """Its values, in the order of its layout; read anew at each call."""
        return from_text(self.content)

    @property
    def time(self) -> str:
        """When it came: ISO 8601, UTC, milliseconds."""
        return iso_time(self.t_utc_ms)

    def row(self, columns: Sequence[Column]) -> list[PlainValue]:
        """Return its values in the units of CSV columns."""
        return [
            value * column.csv_per_unit
            if column.csv_per_unit != 1.0 and isinstance(value, int | float) and not isinstance(value, bool)
            else value
            for value, column in zip(self.values, columns, strict=False)
        ]


@dataclass(frozen=True, slots=True)
class Stream:
    """Readings of one kind of one device, as one store took them."""

    id: int
    gadget_id: str
    family: str
    origin: str
    layout: Layout
    next_number: int


def iso_time(t_utc_ms: int) -> str:
    """Return a time as ISO 8601 with milliseconds: 2026-11-21T17:22:28.000Z."""
    second, millisecond = divmod(t_utc_ms, 1000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{millisecond:03d}Z"


def parse_time(text: str) -> int:
    """Return the milliseconds since 1970 of an ISO 8601 time; one without a zone is UTC.

    Raises:
        ValueError: it is none, or not of 1970 to 9999.
    """
    time = datetime.fromisoformat(text.strip())
    time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    whole = time.replace(microsecond=0)
    t_utc_ms = int(whole.timestamp()) * 1000 + time.microsecond // 1000
    if t_utc_ms not in TIMES_MS:
        raise ValueError(f"{text}: not a time of 1970 to 9999")
    return t_utc_ms

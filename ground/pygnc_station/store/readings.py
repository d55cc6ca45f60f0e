"""Readings as they are stored, their quality flags, and their streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntFlag
from typing import Final, NamedTuple, Self

from pygnc_devices.reading import Reading
from pygnc_station.store.layout import Column, Layout, PlainValue, from_text, plain, to_text

TIMES_MS: Final = range(253_402_300_800_000)
"""Times that can be stored, years 1970 to 9999, in milliseconds since 1970 (UTC)."""
_EARLIEST_PLAUSIBLE_MS: Final = 1_704_067_200_000
"""2024-01-01. A Raspberry Pi without a clock battery starts with an earlier time."""


class Quality(IntFlag):
    """Quality flags of a reading. A doubtful reading is stored and flagged, never dropped."""

    GAP = 1
    """The device reports that readings are missing before this one."""
    CLOCK = 2
    """The clock of this computer had not been set when the reading arrived."""
    PARTIAL = 4
    """Some of the declared values are missing."""
    DEVICE = 8
    """The driver or the device has flagged the reading."""
    IMPORTED = 16
    """The reading was imported from another program's database: rounded by that program and without raw bytes."""


@dataclass(frozen=True, slots=True)
class NewReading:
    """Reading to be stored.

    Attributes:
        t_utc_ms: time of arrival, milliseconds since 1970 (UTC).
        quality: `Quality` flags.
        lost_before: number of readings that the device reports as missing before this one.
        flags: the driver's own flags, separated by commas.
        content: JSON list of the values in the order of the layout.
        raw: received bytes; None if they are unknown.
    """

    t_utc_ms: int
    quality: int
    lost_before: int
    flags: str
    content: str
    raw: bytes | None

    @classmethod
    def of(cls, reading: Reading) -> Self:
        """Return the stored form of a device's reading: the values that its packet declares, and quality flags."""
        t_utc_ms = reading.t_wall_ns // 1_000_000
        values = {field.name: plain(reading.values.get(field.name)) for field in reading.packet.fields}
        missing = {name for name, value in values.items() if value is None}
        causes = {
            Quality.GAP: reading.lost_before > 0,
            Quality.CLOCK: t_utc_ms < _EARLIEST_PLAUSIBLE_MS,
            Quality.PARTIAL: reading.packet.is_partial(missing),
            Quality.DEVICE: bool(reading.flags),
        }
        quality = sum(flag for flag, is_set in causes.items() if is_set)
        flags = ",".join(reading.flags)
        return cls(t_utc_ms, quality, reading.lost_before, flags, to_text(values.values()), reading.raw)


class StoredReading(NamedTuple):
    """Reading of a store.

    Attributes:
        stream_id: id of its stream in this store.
        number: number within the stream; with the stream's device, origin and layout it identifies the reading in
            every store.
        t_utc_ms: this and the following attributes as in `NewReading`.
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
        """Values in the order of the layout; decoded at each access."""
        return from_text(self.content)

    @property
    def time(self) -> str:
        """Time of arrival in ISO 8601, UTC, with milliseconds."""
        return iso_time(self.t_utc_ms)

    def row(self, columns: Sequence[Column]) -> list[PlainValue]:
        """Return the values in the units of CSV columns."""
        return [
            value * column.csv_per_unit
            if column.csv_per_unit != 1.0 and isinstance(value, int | float) and not isinstance(value, bool)
            else value
            for value, column in zip(self.values, columns, strict=False)
        ]


@dataclass(frozen=True, slots=True)
class Stream:
    """Readings of one kind of one device that one store has numbered.

    Attributes:
        id: id in this store.
        gadget_id: name of the device.
        family: kind of device.
        origin: identifier of the store that numbered the readings.
        layout: names and units of the values.
        next_number: number of the next reading.
    """

    id: int
    gadget_id: str
    family: str
    origin: str
    layout: Layout
    next_number: int


def iso_time(t_utc_ms: int) -> str:
    """Return a time in ISO 8601, such as 2026-11-21T17:22:28.000Z."""
    second, millisecond = divmod(t_utc_ms, 1000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{millisecond:03d}Z"


def parse_time(text: str) -> int:
    """Return the milliseconds since 1970 of an ISO 8601 time; a time without a zone is in UTC.

    Raises:
        ValueError: the text is not a time between 1970 and 9999.
    """
    time = datetime.fromisoformat(text.strip())
    time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    whole = time.replace(microsecond=0)
    t_utc_ms = int(whole.timestamp()) * 1000 + time.microsecond // 1000
    if t_utc_ms not in TIMES_MS:
        raise ValueError(f"{text}: the time must be between 1970 and 9999")
    return t_utc_ms

"""Readings as they are stored: layouts (names and units of values), encoding of values, quality flags, streams."""

import hashlib
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntFlag
from typing import Any, Final, NamedTuple, Self, TypeAlias

import msgspec

from pygnc_devices.declaration import Labels, Record
from pygnc_devices.reading import Reading

PlainValue: TypeAlias = int | float | str | bool | list["PlainValue"] | dict[str, "PlainValue"] | None
"""Value that JSON can express."""
_ENCODER: Final = msgspec.json.Encoder()
CONTENT_DECODER: Final = msgspec.json.Decoder(list[Any])
"""Decoder of the values of a reading."""


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value of each reading.

    Attributes:
        name: name of the stored value; ends in its unit.
        unit: unit of the stored value.
        csv_name: column name in CSV files.
        csv_unit: unit in CSV files.
        csv_per_unit: factor from the stored value to the value in CSV files.
        meaning: short description.
        words: codes, or bits, with their labels.
        of_bits: true if `words` labels bits, false if it labels codes.
    """

    name: str
    unit: str = ""
    csv_name: str = ""
    csv_unit: str = ""
    csv_per_unit: float = 1.0
    meaning: str = ""
    words: tuple[tuple[int, str], ...] = ()
    of_bits: bool = False

    def label_of(self, value: object) -> str:
        """Return the label of a code or of bits; "" for a quantity or an unknown code."""
        return Labels(dict(self.words), self.of_bits).describe(value) if self.words else ""

    @property
    def title(self) -> str:
        """CSV header: name and unit."""
        name = self.csv_name or self.name
        return f"{name} [{self.csv_unit}]" if self.csv_unit else name


class Layout(msgspec.Struct, frozen=True):
    """Values of one kind of reading, in the order in which they are stored."""

    kind: str
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, packet: Record) -> Self:
        """Return the layout of a declared packet."""
        return cls(
            packet.name,
            tuple(
                Column(
                    name=field.name,
                    unit=field.unit.name,
                    csv_name=field.column,
                    csv_unit=field.unit.column,
                    csv_per_unit=field.unit.column_per_unit,
                    meaning=field.meaning,
                    words=tuple(field.labels.names.items()) if field.labels else (),
                    of_bits=field.labels is not None and field.labels.is_bit_field,
                )
                for field in packet.fields
            ),
        )

    @property
    def names(self) -> list[str]:
        """Names of the values."""
        return [column.name for column in self.columns]

    def labels_of(self, values: Sequence[object]) -> dict[str, str]:
        """Return the labels of codes and bits among the values, by name."""
        labels = {column.name: column.label_of(value) for column, value in zip(self.columns, values, strict=False)}
        return {name: label for name, label in labels.items() if label}

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the JSON text; a different layout starts a new stream."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return the JSON text that is stored with the readings."""
        return msgspec.json.encode(self).decode()


def plain(value: object) -> PlainValue:
    """Return a value as JSON can express it: bytes in hexadecimal; NaN and infinity become None."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return str(value)


def number_of(value: object) -> float | None:
    """Return a value if it is a number, else None; a Boolean value is none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def to_text(values: Iterable[PlainValue]) -> str:
    """Return the JSON list that a reading's values are stored as."""
    return _ENCODER.encode(list(values)).decode()


def to_cell(value: PlainValue) -> str:
    """Return a value as a CSV cell that `from_cell` converts back.

    None is an empty cell. Text is quoted as JSON if `from_cell` would read it as another value.
    """
    if value is None:
        return ""
    if isinstance(value, str) and value and not value.startswith('"') and from_cell(value) is value:
        return value
    return msgspec.json.encode(value).decode()


def from_cell(cell: str) -> PlainValue:
    """Return the value of a CSV cell."""
    if not cell:
        return None
    try:
        value: PlainValue = msgspec.json.decode(cell)
    except (msgspec.DecodeError, UnicodeError):
        return cell
    return value


TIMES_MS: Final = range(253_402_300_800_000)
"""Times that can be stored, years 1970 to 9999, in milliseconds since 1970 (UTC)."""
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
EARLIEST_PLAUSIBLE_MS: Final = 1_704_067_200_000
"""2024-01-01. A Raspberry Pi without a clock battery starts with an earlier time."""


class Quality(IntFlag):
    """Quality flags of a reading. A doubtful reading is stored and flagged, never dropped."""

    GAP = 1
    """Readings before this reading are missing: by the device's count, or the logger or connection was down."""
    CLOCK = 2
    """The clock of this computer was wrong when the reading arrived, or was set just before."""
    PARTIAL = 4
    """Some of the declared values are missing."""
    DEVICE = 8
    """The driver or the device has flagged the reading."""
    IMPORTED = 16
    """The reading was imported from another program's database: rounded by that program and without raw bytes."""
    FUTURE = 32
    """The reading was dated in the future when it was received, or when the clock was confirmed; never the newest."""
    UNCONFIRMED = 64
    """CLOCK is provisional: neither this reading's time nor that of the newest one before was confirmed yet."""


class NewReading(NamedTuple):
    """Reading to be stored.

    Attributes:
        t_utc_ms: time of arrival, milliseconds since 1970 (UTC).
        quality: `Quality` flags.
        lost_before: number of readings before this reading that the device reports as missing.
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
            Quality.GAP: reading.lost_before > 0 or reading.gap_ns > 0,
            Quality.CLOCK: t_utc_ms < EARLIEST_PLAUSIBLE_MS,
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
        return CONTENT_DECODER.decode(self.content)

    @property
    def time(self) -> str:
        """Time of arrival in ISO 8601, UTC, with milliseconds."""
        return iso_time(self.t_utc_ms)

    def row(self, columns: Sequence[Column]) -> list[PlainValue]:
        """Return the values in the units of CSV columns."""
        return [
            number * column.csv_per_unit
            if column.csv_per_unit != 1.0 and (number := number_of(value)) is not None
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
    return f"{datetime.fromtimestamp(second, UTC).isoformat()[:19]}.{millisecond:03d}Z"


def parse_time(text: str) -> int:
    """Return the milliseconds since 1970 of an ISO 8601 time; a time without a zone is in UTC.

    Raises:
        ValueError: the text is not a time between 1970 and 9999.
    """
    moment = datetime.fromisoformat(text.strip())
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    t_utc_ms = (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
    if t_utc_ms not in TIMES_MS:
        raise ValueError(f"{text}: the time must be between 1970 and 9999")
    return t_utc_ms


def clock_ms() -> int:
    """Return the current time, milliseconds since 1970 (UTC)."""
    return int(time.time() * 1000)

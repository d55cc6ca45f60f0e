"""What the values of a stream are: names, units, CSV columns, taken from a device's declaration and kept with them.

Values as they are stored: JSON, exact both ways. A value that no number can express is None.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Final, Self, TypeAlias

import msgspec

from pygnc_devices.declaration import Labels, Record


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value of each reading.

    Attributes:
        name: of the kept value; ends in the unit.
        unit: of the kept value.
        csv_name: its column in CSV files.
        csv_unit: its unit there.
        csv_per_unit: a kept value times this is the value there.
        meaning: half a sentence.
        words: numbers, or bits, and what they mean.
        of_bits: whether they are bits.
    """

    name: str
    unit: str = ""
    csv_name: str = ""
    csv_unit: str = ""
    csv_per_unit: float = 1.0
    meaning: str = ""
    words: tuple[tuple[int, str], ...] = ()
    of_bits: bool = False

    def text_of(self, value: object) -> str:
        """Return what a value means in words, "" if it is a quantity or has no name."""
        return Labels(dict(self.words), self.of_bits).describe(value) if self.words else ""

    @property
    def title(self) -> str:
        """The CSV header: name and unit."""
        name = self.csv_name or self.name
        return f"{name} [{self.csv_unit}]" if self.csv_unit else name


class Layout(msgspec.Struct, frozen=True):
    """The values of one kind of reading, in the order in which they are stored."""

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

    def texts_of(self, values: Sequence[object]) -> dict[str, str]:
        """Return what codes and flags among the values mean, by name."""
        texts = {column.name: column.text_of(value) for column, value in zip(self.columns, values, strict=False)}
        return {name: text for name, text in texts.items() if text}

    @property
    def digest(self) -> str:
        """Sixteen characters that differ when the layout does: a device that says more begins another stream."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return its text, to be stored with the readings."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the layout of a text.

        Raises:
            msgspec.DecodeError: it is none.
        """
        return msgspec.json.decode(text, type=cls)


PlainValue: TypeAlias = int | float | str | bool | list["PlainValue"] | dict[str, "PlainValue"] | None

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(list)


def plain(value: object) -> PlainValue:
    """Return a value as JSON has it: bytes in hex; what is not finite is None."""
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


def to_text(values: Iterable[PlainValue]) -> str:
    """Return the values of a reading as one text."""
    return _ENCODER.encode(list(values)).decode()


def from_text(text: str | bytes) -> list[PlainValue]:
    """Return the values of a text.

    Raises:
        msgspec.DecodeError: it holds no list.
    """
    values: list[PlainValue] = _DECODER.decode(text)
    return values


def to_cell(value: PlainValue) -> str:
    """Return a value as a CSV cell. None is empty; text that could be taken for something else is in quotes."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value if not _is_json(value) and value and not value.startswith('"') else _json(value)
    return _json(value)


def from_cell(cell: str) -> PlainValue:
    """Return the value of a CSV cell."""
    if not cell:
        return None
    try:
        value: PlainValue = msgspec.json.decode(cell)
    except msgspec.DecodeError:
        return cell
    return value


def _json(value: PlainValue) -> str:
    return msgspec.json.encode(value).decode()


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return False
    return True

"""Layout of a stream: names, units and CSV columns of its values, and how values are encoded.

A layout is taken from the device's declaration and stored with the readings.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Final, Self, TypeAlias

import msgspec

from pygnc_devices.declaration import Labels, Record

PlainValue: TypeAlias = int | float | str | bool | list["PlainValue"] | dict[str, "PlainValue"] | None
"""Value that JSON can express."""
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(list)


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
        of_bits: whether `words` labels bits.
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
        """First 16 hexadecimal digits of the SHA-256 of the JSON text; another layout starts another stream."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Return the JSON text that is stored with the readings."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the layout of a JSON text.

        Raises:
            msgspec.DecodeError: the text is not a layout.
        """
        return msgspec.json.decode(text, type=cls)


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


def to_text(values: Iterable[PlainValue]) -> str:
    """Return the JSON list that a reading's values are stored as."""
    return _ENCODER.encode(list(values)).decode()


def from_text(text: str | bytes) -> list[PlainValue]:
    """Return the values of a JSON list.

    Raises:
        msgspec.DecodeError: the text is not a list.
    """
    values: list[PlainValue] = _DECODER.decode(text)
    return values


def to_cell(value: PlainValue) -> str:
    """Return a value as a CSV cell that `from_cell` converts back.

    None is an empty cell. Text is quoted as JSON if `from_cell` would read it as another value.
    """
    if value is None:
        return ""
    if isinstance(value, str) and value and not value.startswith('"') and not _is_json(value):
        return value
    return msgspec.json.encode(value).decode()


def from_cell(cell: str) -> PlainValue:
    """Return the value of a CSV cell."""
    if not cell:
        return None
    try:
        value: PlainValue = msgspec.json.decode(cell)
    except msgspec.DecodeError:
        return cell
    return value


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return False
    return True

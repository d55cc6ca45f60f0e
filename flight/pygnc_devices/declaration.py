"""Declarations of packets: words, names, scales, units. They define decoder, encoder, CSV columns and tables."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cached_property
from typing import ClassVar, Final, Literal, TypeAlias, TypeVar

from pygnc_devices.errors import SettingError
from pygnc_devices.units import NONE, Unit

D = TypeVar("D")

Value: TypeAlias = int | float | str | bytes
Place: TypeAlias = tuple[int, str]
"""Offset of a word, and its code with byte order in the notation of `struct`."""
ValueKind: TypeAlias = Literal["number", "text", "bytes"]

TEXT: Final = "text"
"""Code of a last field that holds the rest of the payload: text that ends at a NUL or with the payload."""

_INTEGER_LIMITS: Final = {
    code: (-(1 << (8 * size - 1)) if code.islower() else 0, (1 << (8 * size - (1 if code.islower() else 0))) - 1)
    for code, size in (("b", 1), ("B", 1), ("h", 2), ("H", 2), ("i", 4), ("I", 4), ("q", 8), ("Q", 8))
}


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of the values of a code, or of the bits of a bit field.

    Attributes:
        names: labels by value, or by bit, where bit 0 is the least significant; values may lack a label.
        is_bit_field: True if each bit has a meaning of its own.
    """

    names: Mapping[int, str] = attribute(hash=False)
    is_bit_field: bool = False

    def describe(self, value: object) -> str:
        """Return the label of a value, "" without a label. For a bit field: the labels of all set bits, or `none`."""
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return ""
        if not self.is_bit_field:
            return self.names.get(value, "")
        return ", ".join(self.bit_names(value)) or "none"

    def bit_names(self, value: int) -> tuple[str, ...]:
        """Return the labels of the bits set, the lowest first; `bit 10` for a bit without a label."""
        bits = (bit for bit in range(value.bit_length()) if value >> bit & 1)
        return tuple(self.names.get(bit, f"bit {bit}") for bit in bits)


@dataclass(frozen=True, slots=True)
class Field:
    """Field of a packet: value = word on the wire * scale + offset.

    Attributes:
        name: name of the value; ends in the unit, if the value has a unit (`accel_x_mps2`).
        code: struct code of the word; a count and `s` for bytes; `text` for the rest of the payload.
        unit: unit of the value.
        scale: value per bit; None: the value is the word.
        offset: value for a word of 0.
        meaning: description, without the name.
        column: name in CSV files; "": `name`.
        labels: labels of the values of a code or bit field.
    """

    name: str
    code: str
    unit: Unit = NONE
    scale: float | None = None
    offset: float = 0.0
    meaning: str = ""
    column: str = ""
    labels: Labels | None = None

    def to_value(self, word: Value) -> Value:
        """Return the value of a word."""
        if self.scale is None or not isinstance(word, int | float):
            return word
        return word * self.scale + self.offset

    def to_word(self, value: Value) -> Value:
        """Return the word nearest to a value, limited to the range of the word."""
        if not isinstance(value, int | float):
            return value
        word = value if self.scale is None else (value - self.offset) / self.scale
        limits = _INTEGER_LIMITS.get(self.code)
        return word if limits is None else min(max(round(word), limits[0]), limits[1])


def word(  # noqa: PLR0917 - a table's columns
    name: str, code: str, meaning: str, unit: Unit = NONE, scale: float | None = None, labels: Labels | None = None
) -> Field:
    """Return a field; in tables of fields the meaning is often the last column."""
    return Field(name, code, unit, scale, meaning=meaning, labels=labels)


def axes(  # noqa: PLR0917 - a table's columns
    name: str, unit: Unit, suffix: str, scale: float | None, meaning: str, column: str, code: str = "f"
) -> tuple[Field, ...]:
    """Return the fields of a vector: `name_x_suffix`, with the CSV column `xColumn`, and so on."""
    end = f"_{suffix}" if suffix else ""
    return tuple(
        Field(f"{name}_{axis}{end}", code, unit, scale, 0.0, f"{meaning}, {axis}", f"{axis}{column}") for axis in "xyz"
    )


def matrix(name: str, meaning: str) -> tuple[Field, ...]:
    """Return the fields of a 3x3 matrix of floats, row by row: `name11`, `name12`, and so on."""
    places = [(row, column) for row in (1, 2, 3) for column in (1, 2, 3)]
    return tuple(Field(f"{name}{row}{k}", "f", meaning=f"{meaning}, row {row}, column {k}") for row, k in places)


@dataclass(frozen=True)
class Record(ABC):
    """Declaration of the values that a device sends together.

    Attributes:
        name: name in the manual of the device.
        fields: fields in the order of the wire.
        meaning: description, without the name.
        clock: name of the field with the device's clock; "" if the packet has no clock.
        is_reading: True for a measurement, which subscribers receive; False for a response to a command.
        slow_s: the values change slowly: one reading per this time is enough while no labelled value changes; 0 if each
            reading counts.
    """

    PLACE: ClassVar[str] = "field"
    """Heading of the first column of `table`."""

    name: str
    fields: tuple[Field, ...] = attribute(repr=False)
    meaning: str = attribute(default="", kw_only=True)
    clock: str = attribute(default="", kw_only=True)
    is_reading: bool = attribute(default=True, kw_only=True)
    slow_s: float = attribute(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"packet {self.name}: field names are not unique")
        if self.clock and self.clock not in names:
            raise ValueError(f"packet {self.name}: the clock {self.clock!r} is not one of its fields")

    @abstractmethod
    def decode(self, payload: bytes) -> Mapping[str, Value | None]:
        """Return the values of a payload by name.

        Raises:
            ValueError: the payload does not match the declaration.
        """

    @abstractmethod
    def encode(self, values: Mapping[str, Value | None]) -> bytes:
        """Return the payload with the given values; missing values are zero or empty."""

    def kind_of(self, field: Field) -> ValueKind:
        """Return the kind of a field's values."""
        if field.code == TEXT:
            return "text"
        return "bytes" if field.code.endswith("s") else "number"

    @abstractmethod
    def places(self) -> Iterable[tuple[int, Field]]:
        """Return the fields with their places in the payload, for `table`."""

    def table(self) -> str:
        """Return the fields as a Markdown table."""
        lines = [f"| {self.PLACE} | code | name | unit | value of one bit | meaning |", "|---|---|---|---|---|---|"]
        for place, field in self.places():
            scale = "" if field.scale is None else f"{field.scale:.9g}"
            cells = (str(place), f"`{field.code}`", f"`{field.name}`", field.unit.name, scale, field.meaning)
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)

    @property
    def labelled(self) -> list[str]:
        """Names of the codes and bit fields."""
        return [field.name for field in self.fields if field.labels is not None]

    def is_partial(self, missing: Collection[str]) -> bool:
        """Return True if a reading is incomplete when the values named in `missing` are None."""
        return bool(missing)

    def columns(self) -> list[tuple[str, str]]:
        """Return name and unit of each CSV column."""
        return [(field.column or field.name, field.unit.column) for field in self.fields]

    def row(self, values: Mapping[str, Value | None]) -> list[Value | None]:
        """Return the values of the CSV columns, in the columns' units; None stays None."""
        return [_in_column_unit(field, values[field.name]) for field in self.fields]


@dataclass(frozen=True)
class Packet(Record):
    """Declaration of a binary payload: words without padding.

    Attributes:
        byte_order: byte order in the notation of `struct`.
    """

    PLACE: ClassVar[str] = "offset"

    byte_order: Literal[">", "<"] = ">"

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(field.code == TEXT for field in self.fields[:-1]):
            raise ValueError(f"packet {self.name}: only the last field can have the code {TEXT!r}")

    @cached_property
    def layout(self) -> struct.Struct:
        """Layout of the fields of fixed length."""
        return struct.Struct(self.byte_order + "".join(f.code for f in self.fields if f.code != TEXT))

    @cached_property
    def has_text(self) -> bool:
        """True if the last field holds the rest of the payload."""
        return bool(self.fields) and self.fields[-1].code == TEXT

    def fits(self, length: int) -> bool:
        """Return True if a payload of `length` bytes matches the declaration."""
        return length >= self.layout.size if self.has_text else length == self.layout.size

    def decode(self, payload: bytes) -> dict[str, Value]:
        """Return the values of a payload by name.

        Raises:
            ValueError: the length of the payload does not match the declaration.
        """
        if not self.fits(len(payload)):
            raise ValueError(f"packet {self.name}: {len(payload)} bytes of payload instead of {self.layout.size}")
        words: tuple[Value, ...] = self.layout.unpack_from(payload)
        if self.has_text:
            text, _, _ = payload[self.layout.size :].partition(b"\0")
            words = (*words, text.decode("latin-1"))
        return {
            # Field.to_value inline: this loop limits the rate of streaming devices.
            name: word if scale is None else word * scale + offset  # type: ignore[operator]
            for (name, scale, offset), word in zip(self._conversions, words, strict=True)
        }

    def encode(self, values: Mapping[str, Value | None]) -> bytes:
        """Return the payload with the given values; missing values are zero."""
        words = []
        for field in self.fields:
            value = values.get(field.name)
            if value is None:
                value = "" if field.code == TEXT else b"" if field.code.endswith("s") else 0
            words.append(field.to_word(value))
        if not self.has_text:
            return self.layout.pack(*words)
        return self.layout.pack(*words[:-1]) + str(words[-1]).encode("latin-1") + b"\0"

    def places(self) -> Iterable[tuple[int, Field]]:
        """Return the fields with their offsets in bytes."""
        offset = 0
        for field in self.fields:
            yield offset, field
            offset += 0 if field.code == TEXT else struct.calcsize(self.byte_order + field.code)

    def place(self, name: str, start: int = 0) -> Place:
        """Return the place of the word of a field, if the packet begins at an offset."""
        return next((start + at, self.byte_order + field.code) for at, field in self.places() if field.name == name)

    @cached_property
    def _conversions(self) -> list[tuple[str, float | None, float]]:
        return [(field.name, field.scale, field.offset) for field in self.fields]


def _in_column_unit(field: Field, value: Value | None) -> Value | None:
    if isinstance(value, int | float) and field.unit.column_per_unit != 1.0:
        return value * field.unit.column_per_unit
    return value


def declared(declarations: Mapping[str, D], name: str, what: str) -> D:
    """Return the declaration of a setting or of another thing that `what` names.

    Raises:
        SettingError: it does not exist.
    """
    try:
        return declarations[name]
    except KeyError:
        raise SettingError(f"unknown {what} {name!r}; choose from {', '.join(declarations)}") from None

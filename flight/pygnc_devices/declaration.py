"""One declaration per packet: layout, names, scales, units. Decoder, encoder, CSV columns and tables follow from it."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cached_property
from typing import Final, Literal, TypeAlias

from pygnc_devices.units import NONE, Unit

Value: TypeAlias = int | float | str | bytes

TEXT: Final = "text"
"""Struct code of a last field that takes the rest of the payload: text, ended by a NUL or by the payload."""

_INTEGER_LIMITS: Final = {
    code: (-(1 << (8 * size - 1)) if code.islower() else 0, (1 << (8 * size - (1 if code.islower() else 0))) - 1)
    for code, size in (("b", 1), ("B", 1), ("h", 2), ("H", 2), ("i", 4), ("I", 4), ("q", 8), ("Q", 8))
}


@dataclass(frozen=True, slots=True)
class Words:
    """What whole numbers mean.

    Attributes:
        names: of the numbers, or of the bits, 0 the least significant; not all need have one.
        of_bits: whether each bit means something, and not each number.
    """

    names: Mapping[int, str] = attribute(hash=False)
    of_bits: bool = False

    def of(self, value: object) -> str:
        """Return what a value means, "" if it has no name; of bits all that are set, or `none`."""
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return ""
        if not self.of_bits:
            return self.names.get(value, "")
        return ", ".join(self.of_each_bit(value)) or "none"

    def of_each_bit(self, value: int) -> tuple[str, ...]:
        """Return what the bits of a value mean, the lowest first; `bit 10` for one without a name."""
        bits = (bit for bit in range(value.bit_length()) if value >> bit & 1)
        return tuple(self.names.get(bit, f"bit {bit}") for bit in bits)


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a packet: kept value = word on the wire * scale + offset.

    Attributes:
        name: ends in the unit, unless it has none (`accel_x_mps2`).
        code: struct code of the word; a count and `s` for bytes; `text` for the rest of the payload.
        unit: of the kept value.
        scale: kept value per bit; None leaves an integer word the integer it is.
        offset: kept value of a zero word.
        meaning: half a sentence.
        column: its name in CSV files, "" to use `name`.
        words: what its values mean, where they are codes or flags.
    """

    name: str
    code: str
    unit: Unit = NONE
    scale: float | None = None
    offset: float = 0.0
    meaning: str = ""
    column: str = ""
    words: Words | None = None

    def to_value(self, word: Value) -> Value:
        """Return the kept value of a word."""
        if self.scale is None or not isinstance(word, int | float):
            return word
        return word * self.scale + self.offset

    def to_word(self, value: Value) -> Value:
        """Return the word of a kept value: the nearest, at the end of the range if it lies beyond."""
        if not isinstance(value, int | float):
            return value
        word = value if self.scale is None else (value - self.offset) / self.scale
        limits = _INTEGER_LIMITS.get(self.code)
        return word if limits is None else min(max(round(word), limits[0]), limits[1])


@dataclass(frozen=True)
class Record(ABC):
    """Named values that a device can give.

    Attributes:
        name: as the device's manual calls it.
        fields: in the order of the wire.
        meaning: half a sentence.
        clock: name of the field that tells the device's time, "" if none does.
        is_reading: whether it is a measurement, for subscribers, and not an answer only.
    """

    name: str
    fields: tuple[Field, ...] = attribute(repr=False)
    meaning: str = attribute(default="", kw_only=True)
    clock: str = attribute(default="", kw_only=True)
    is_reading: bool = attribute(default=True, kw_only=True)

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"packet {self.name}: two fields have the same name")
        if self.clock and self.clock not in names:
            raise ValueError(f"packet {self.name}: its clock {self.clock} is none of its fields")

    @abstractmethod
    def decode(self, payload: bytes) -> Mapping[str, Value | None]:
        """Return the kept values by name.

        Raises:
            ValueError: the payload is not this record.
        """

    @abstractmethod
    def encode(self, values: Mapping[str, Value | None]) -> bytes:
        """Return the payload of these kept values; not all need be given."""

    @abstractmethod
    def table(self) -> str:
        """Return the layout as a Markdown table."""

    def is_partial(self, missing: Collection[str]) -> bool:
        """Tell whether a reading without the values of these names lacks any that should be there."""
        return bool(missing)

    def columns(self) -> list[tuple[str, str]]:
        """Return name and unit of each CSV column."""
        return [(field.column or field.name, field.unit.column) for field in self.fields]

    def row(self, values: Mapping[str, Value | None]) -> list[Value | None]:
        """Return the values of the CSV columns, in the columns' units; None stays None."""
        return [_in_column_unit(field, values[field.name]) for field in self.fields]


@dataclass(frozen=True)
class Packet(Record):
    """The payload of one kind of packet: words without padding.

    Attributes:
        byte_order: struct's sign for it.
    """

    byte_order: Literal[">", "<"] = ">"

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(field.code == TEXT for field in self.fields[:-1]):
            raise ValueError(f"packet {self.name}: only the last field can take the rest of the payload")

    @cached_property
    def layout(self) -> struct.Struct:
        """The part of fixed length."""
        return struct.Struct(self.byte_order + "".join(f.code for f in self.fields if f.code != TEXT))

    @property
    def has_text(self) -> bool:
        """Whether the last field takes the rest of the payload."""
        return bool(self.fields) and self.fields[-1].code == TEXT

    def fits(self, length: int) -> bool:
        """Tell whether a payload of this many bytes can be this packet."""
        return length >= self.layout.size if self.has_text else length == self.layout.size

    def decode(self, payload: bytes) -> dict[str, Value]:
        """Return the kept values by name.

        Raises:
            ValueError: the payload's length is not this packet's.
        """
        if not self.fits(len(payload)):
            raise ValueError(f"packet {self.name} has {self.layout.size} bytes of payload, not {len(payload)}")
        words: tuple[Value, ...] = self.layout.unpack_from(payload)
        if self.has_text:
            text, _, _ = payload[self.layout.size :].partition(b"\0")
            words = (*words, text.decode("latin-1"))
        return {
            # The common case inline: this loop bounds the rate of the streaming path.
            name: word if scale is None else word * scale + offset  # type: ignore[operator]
            for (name, scale, offset), word in zip(self._conversions, words, strict=True)
        }

    def encode(self, values: Mapping[str, Value | None]) -> bytes:
        """Return the payload of these kept values; values that are not given are zero."""
        words = []
        for field in self.fields:
            value = values.get(field.name)
            if value is None:
                value = "" if field.code == TEXT else b"" if field.code.endswith("s") else 0
            words.append(field.to_word(value))
        if not self.has_text:
            return self.layout.pack(*words)
        return self.layout.pack(*words[:-1]) + str(words[-1]).encode("latin-1") + b"\0"

    def table(self) -> str:
        """Return the layout as a Markdown table."""
        lines = ["| offset | code | name | unit | value of one bit | meaning |", "|---|---|---|---|---|---|"]
        offset = 0
        for field in self.fields:
            scale = "" if field.scale is None else f"{field.scale:.9g}"
            lines.append(
                f"| {offset} | `{field.code}` | `{field.name}` | {field.unit.name} | {scale} | {field.meaning} |"
            )
            offset += 0 if field.code == TEXT else struct.calcsize(self.byte_order + field.code)
        return "\n".join(lines)

    @cached_property
    def _conversions(self) -> list[tuple[str, float | None, float]]:
        return [(field.name, field.scale, field.offset) for field in self.fields]


def _in_column_unit(field: Field, value: Value | None) -> Value | None:
    if isinstance(value, int | float) and field.unit.column_per_unit != 1.0:
        return value * field.unit.column_per_unit
    return value

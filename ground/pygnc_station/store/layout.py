"""What the values of a stream are: names, units, CSV columns, taken from a device's declaration and kept with them."""

import hashlib
from collections.abc import Sequence
from typing import Self

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

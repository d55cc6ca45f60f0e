"""Values of commands as texts and as bytes.

A layout is declared by a text: `enable:on_off cutoff_hz:f offset_m:3f`, each value with its name, which ends in the
unit, and a struct code or the name of labels. People write the values in this order, separated by commas:
`on,25,0,0,0.1`. The values of an entry of a list are separated by colons: `scaled_accel:5,scaled_gyro:5`.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple, Self

from pygnc_devices.declaration import Labels
from pygnc_devices.errors import SettingError

EMPTY: Final = "none"
"""Text of a bit field without set bits, and of a list without entries."""


class LabelledCode(NamedTuple):
    """Struct code of a value, and its labels by value or by bit."""

    code: str
    labels: Labels


@dataclass(frozen=True)
class Word:
    """Value of a command, or a vector of them.

    Attributes:
        name: name, which ends in the unit.
        code: struct code, with the number of values.
        labels: labels of the values or bits.
    """

    name: str
    code: str
    labels: Labels | None = None

    @cached_property
    def layout(self) -> struct.Struct:
        """Layout of the value."""
        return struct.Struct(">" + self.code)

    @cached_property
    def count(self) -> int:
        """Number of values; 0 for reserved bytes."""
        return len(self.layout.unpack(bytes(self.layout.size)))

    @property
    def usage(self) -> str:
        """Labels that a text may have, or the name of the value."""
        if self.labels is not None:
            names = [name for name in self.labels.names.values() if not name.startswith("0x")]
            return ("+" if self.labels.is_bit_field else "|").join(names)
        return self.name if self.count == 1 else f"{self.name} ({self.count} numbers)"

    def to_text(self, value: float) -> str:
        """Return the text of a value."""
        if self.labels is None or not isinstance(value, int):
            return _shortest(value, self.code[-1])
        if not self.labels.is_bit_field:
            return self.labels.names.get(value) or str(value)
        is_known = all(value >> bit & 1 == 0 or bit in self.labels.names for bit in range(value.bit_length()))
        return "+".join(self.labels.bit_names(value)) or EMPTY if is_known else str(value)

    def to_number(self, text: str) -> int | float:
        """Return the value of a text; raise ValueError if it has none."""
        names = {} if self.labels is None else {label: value for value, label in self.labels.names.items()}
        if self.labels is not None and self.labels.is_bit_field:
            words = text.split("+")
            if text == EMPTY or all(word in names for word in words):
                return sum({1 << names[word] for word in words if word in names})
        elif text in names:
            return names[text]
        return float(text) if self.code[-1] in "fd" else int(text, 0)


@dataclass(frozen=True)
class Values:
    """Layout of the values of a command.

    Attributes:
        words: values in their order.
        entry: layout of the entries of a list after them, whose number the command contains; None: no list.
        variants: layouts of the values that follow, by the last of `words`.
    """

    words: tuple[Word, ...] = ()
    entry: "Values | None" = None
    variants: Mapping[int, "Values"] = field(default_factory=dict)

    @property
    def usage(self) -> str:
        """Form of a text of all values, such as enable,rate_hz."""
        parts = [word.usage for word in self.words if word.count]
        if self.entry is not None:
            parts.append(":".join(word.usage for word in self.entry.words) + ",...")
        return ",".join([*parts, "..."] if self.variants else parts)

    def to_texts(self, data: bytes) -> list[str]:
        """Return the texts of values; raise ValueError or struct.error if the data have another layout."""
        texts: list[str] = []
        numbers: tuple[int | float, ...] = ()
        for word in self.words:
            numbers = word.layout.unpack(data[: word.layout.size])
            data = data[word.layout.size :]
            texts += [word.to_text(number) for number in numbers]
        if self.variants:
            return texts + self.variants.get(int(numbers[-1]), Values()).to_texts(data)
        if self.entry is not None:
            size = sum(word.layout.size for word in self.entry.words)
            if len(data) != 1 + (data[0] * size if data else 0):
                raise ValueError("the list has another length")
            return texts + [":".join(self.entry.to_texts(data[at : at + size])) for at in range(1, len(data), size)]
        if data:
            raise ValueError(f"{len(data)} bytes are left over")
        return texts

    def to_bytes(self, texts: Sequence[str]) -> bytes:
        """Return the data of values; raise ValueError or struct.error if the texts are not values."""
        data, rest = b"", list(texts)
        numbers: list[int | float] = []
        for word in self.words:
            numbers = [word.to_number(text) for text in rest[: word.count]]
            data += word.layout.pack(*numbers)
            rest = rest[word.count :]
        if self.variants:
            return data + self.variants.get(int(numbers[-1]), Values()).to_bytes(rest)
        if self.entry is not None:
            return data + bytes([len(rest)]) + b"".join(_entry_to_bytes(self.entry, text) for text in rest)
        if rest:
            raise ValueError(f"{len(rest)} values too many")
        return data

    def read(self, name: str, data: bytes) -> str:
        """Return the text of the data of a command that is named `name` in errors.

        Raises:
            SettingError: the data have another layout.
        """
        try:
            return ",".join(self.to_texts(data)) or EMPTY
        except (ValueError, struct.error):
            raise SettingError(f"{name}: the unit sends {data.hex()}, which is not {self.usage}") from None

    def write(self, name: str, text: str) -> bytes:
        """Return the data of a text for a command that is named `name` in errors.

        Raises:
            SettingError: the text has another layout.
        """
        words = [word.strip().lower() for word in text.split(",")]
        if words in ([""], [EMPTY]) and not any(word.count for word in self.words):
            words = []
        try:
            return self.to_bytes(words)
        except (ValueError, OverflowError, struct.error):
            expected = self.usage or "no value"
            raise SettingError(f"{name}: {text!r} is not a value; expected {expected}") from None

    def zero(self) -> bytes:
        """Return the data in which all values are zero and all lists empty."""
        following = self.variants[0].zero() if 0 in self.variants else b""
        return bytes(sum(word.layout.size for word in self.words) + (self.entry is not None)) + following

    @classmethod
    def of(
        cls,
        text: str,
        labels: Mapping[str, LabelledCode],
        *,
        entry: str = "",
        variants: Mapping[int, str] | None = None,
    ) -> Self:
        """Return the layout that a text declares; see the module."""

        def words(declared: str) -> tuple[Word, ...]:
            pairs = (part.split(":") for part in declared.split())
            return tuple(Word(name, *labels[code]) if code in labels else Word(name, code) for name, code in pairs)

        return cls(
            words(text),
            Values(words(entry)) if entry else None,
            {value: Values(words(following)) for value, following in (variants or {}).items()},
        )


def _entry_to_bytes(entry: Values, text: str) -> bytes:
    """Return the data of an entry of a list; a missing last number is 1."""
    texts = [part.strip() for part in text.split(":")]
    is_short = len(texts) == sum(word.count for word in entry.words) - 1
    return entry.to_bytes([*texts, "1"] if is_short else texts)


def _shortest(value: float, code: str) -> str:
    """Return the shortest text of a number; of a float, the shortest that gives the same 32 bits."""
    if isinstance(value, int) or code == "d":
        return repr(value).removesuffix(".0")
    texts = (f"{value:.{digits}g}" for digits in range(6, 10))
    return next((text for text in texts if struct.pack(">f", float(text)) == struct.pack(">f", value)), str(value))

"""Declarations of sentences of text: fields between commas. They define decoder, encoder, CSV columns and tables.

Codes of fields, with the number of digits that the encoder writes (the decoder accepts any):

- `u4`: hexadecimal, unsigned
- `i4`: hexadecimal, two's complement over the received digits
- `b`: element of an array of bytes, two hexadecimal digits without separator; adjacent elements share a field of text
- `h`: bytes in hexadecimal
- `d2`: decimal integer
- `g`: decimal number
- `t`: text

An empty field is None, as is a field that an older device does not send; additional fields are ignored.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from typing import Final

from pygnc_devices.declaration import Field, Record, Value, ValueKind

PATTERNS: Final = {
    "u": re.compile(r"[0-9A-Fa-f]{1,16}"),
    "i": re.compile(r"[0-9A-Fa-f]{1,16}"),
    "b": re.compile(r"(?:[0-9A-Fa-f]{2})+"),
    "h": re.compile(r"(?:[0-9A-Fa-f]{2})+"),
    "d": re.compile(r"[+-]?[0-9]{1,18}"),
    "g": re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?"),
    "t": re.compile(r"[ -~]*"),
}
"""Patterns of words by the first letter of their code."""
_MOST_DIGITS: Final = 6


@dataclass(frozen=True)
class Sentence(Record):
    """Declaration of a sentence of text: fields between commas.

    Attributes:
        reserved: positions of fields without a meaning, counted from 1.
    """

    reserved: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in self.fields:
            if field.code[:1] not in PATTERNS:
                raise ValueError(f"sentence {self.name}: field {field.name} has the unknown code {field.code!r}")

    def fits(self, payload: bytes) -> bool:
        """Return True if a text matches the declaration."""
        try:
            self.decode(payload)
        except ValueError:
            return False
        return True

    def decode(self, payload: bytes) -> dict[str, Value | None]:
        """Return the values by name; None for empty fields.

        Raises:
            ValueError: a field does not match its code.
        """
        texts = payload.decode("ascii").split(",")
        values: dict[str, Value | None] = {}
        for number, slot in enumerate(self.slots):
            text = texts[number] if number < len(texts) else ""
            values.update(zip((field.name for field in slot), self._words(slot, text), strict=True))
        return values

    def encode(self, values: Mapping[str, Value | None]) -> bytes:
        """Return the text with the given values; missing values are empty."""
        texts = ("".join(_to_text(field, values.get(field.name)) for field in slot) for slot in self.slots)
        return ",".join(texts).encode("ascii")

    def is_partial(self, missing: Collection[str]) -> bool:
        """Return True if declared values are missing; an array may have fewer elements than declared."""
        return any(slot[0].name in missing for slot in self.slots if slot)

    def kind_of(self, field: Field) -> ValueKind:
        """Return the kind of a field's values."""
        kinds: dict[str, ValueKind] = {"t": "text", "h": "bytes"}
        return kinds.get(field.code[0], "number")

    def places(self) -> Iterable[tuple[int, Field]]:
        """Return the fields with their positions in the text, counted from 1."""
        return ((number, field) for number, slot in enumerate(self.slots, 1) for field in slot)

    @cached_property
    def slots(self) -> list[tuple[Field, ...]]:
        """Declared fields, grouped by field of the text; none for a reserved one."""
        runs = groupby(enumerate(self.fields), lambda entry: -1 if entry[1].code == "b" else entry[0])
        slots = [tuple(field for _, field in run) for _, run in runs]
        for place in sorted(self.reserved):
            slots.insert(place - 1, ())
        return slots

    def _words(self, slot: tuple[Field, ...], text: str) -> list[Value | None]:
        if not text or not slot:
            return [None] * len(slot)
        kind = slot[0].code[0]
        if not PATTERNS[kind].fullmatch(text):
            raise ValueError(f"sentence {self.name}: field {slot[0].name} does not match code {slot[0].code}: {text!r}")
        if kind != "b":
            return [from_text(slot[0], text)]
        octets = bytes.fromhex(text)
        if len(octets) > len(slot):
            raise ValueError(f"sentence {self.name}: array of {len(octets)} bytes; at most {len(slot)} are declared")
        elements = [_to_value(field, octet) for field, octet in zip(slot, octets, strict=False)]
        return [*elements, *[None] * (len(slot) - len(octets))]


def from_text(field: Field, text: str) -> Value:
    """Return the value of a word that matches its code."""
    match field.code[0]:
        case "t":
            return text
        case "h":
            return bytes.fromhex(text)
        case "d":
            return _to_value(field, int(text))
        case "g":
            return _to_value(field, float(text))
        case "i":
            word, bits = int(text, 16), 4 * len(text)
            return _to_value(field, word - (1 << bits) if word >> (bits - 1) else word)
        case _:
            return _to_value(field, int(text, 16))


def _to_value(field: Field, word: float) -> Value:
    """Return the value of a word, rounded to the decimals of the scale: 3 * 0.1 is 0.3, not 0.30000000000000004."""
    value = word if field.scale is None else word * field.scale + field.offset
    if field.code == "g" or not isinstance(field.scale, float):
        return value
    exponent = Decimal(repr(field.scale)).as_tuple().exponent
    return round(value, -exponent) if isinstance(exponent, int) and -exponent <= _MOST_DIGITS else value


def _to_text(field: Field, value: Value | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bytes):
        return value.hex().upper()
    kind, digits = field.code[0], int(field.code[1:] or 2)
    word = value if field.scale is None else (value - field.offset) / field.scale
    if kind == "g":
        return f"{word:.12g}"
    whole = round(word)
    if kind == "d":
        return f"{whole:0{digits}d}"
    span = 16**digits
    low = -span // 2 if kind == "i" else 0
    return f"{min(max(whole, low), low + span - 1) % span:0{digits}X}"

"""Declarations of readings by their items, and the layout of the messages that contain them."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from pygnc_devices.declaration import Field, Place, Record, Value
from pygnc_devices.xsens.framing import ITEM_HEADER_BYTES, Header, item_headers, make_item
from pygnc_devices.xsens.items import FORMATS, SAMPLE_TIME, DataItem, encode_items, item_of

_FIXED_POINT: Final = 2
"""Number of the format fp1632, which has no struct code."""
_HALF: Final = 4
_GROUP: Final = 0xF800
TIME, ORIENTATION, GNSS, STATE = 0x1000, 0x2000, 0x7000, 0xE000
"""Groups of items."""
_RECEIVER: Final = {TIME, GNSS, STATE}


def group(identifier: int) -> int:
    """Return the group of an item."""
    return identifier & _GROUP


def is_receivers(identifier: int) -> bool:
    """Return True for an item that messages of the receiver may have."""
    return group(identifier) in _RECEIVER


@dataclass(frozen=True)
class ItemSet(Record):
    """Declaration of the readings of a unit.

    Attributes:
        parts: identifiers of the items, in the order of their first appearance.
    """

    parts: tuple[int, ...] = attribute(default=(), kw_only=True)

    def decode(self, payload: bytes) -> Mapping[str, Value | None]:
        """Return the values by name, None for items that are not in the payload."""
        return self.empty | decode(layout_of(item_headers(payload)), payload)

    def encode(self, values: Mapping[str, Value | None]) -> bytes:
        """Return the payload with the items of which `values` has a value."""
        given = [part for part in self.parts if any(values.get(field.name) is not None for field in _fields(part))]
        return b"".join(make_item(*item) for item in encode_items(given, values))

    def places(self) -> Iterable[tuple[int, Field]]:
        """Return the fields, each with the identifier of the item that contains it."""
        return ((part, field) for part in self.parts for field in _fields(part))

    def is_partial(self, missing: object) -> bool:  # noqa: ARG002 - items have rates of their own
        """Return False: not every message has all items."""
        return False

    @cached_property
    def empty(self) -> dict[str, Value | None]:
        """Values of a message without items."""
        return {field.name: None for field in self.fields}


def _fields(identifier: int) -> tuple[Field, ...]:
    item = item_of(identifier)
    return () if item is None else item.fields


def item_set(name: str, parts: tuple[int, ...]) -> ItemSet:
    """Return the declaration of readings with the given items."""
    fields = tuple(field for part in parts for field in _fields(part))
    clock = SAMPLE_TIME if any(field.name == SAMPLE_TIME for field in fields) else ""
    return ItemSet(name, fields, meaning="MTData2", clock=clock, parts=parts)


class Layout(NamedTuple):
    """Layout of a payload, made from the headers of its items.

    Attributes:
        struct: words of the declared items; headers and other items are padding.
        conversions: name, scale and offset of each word.
        fixed: scales by the names of words in the format fp1632.
        parts: identifiers of the declared items.
        kinds: names of the declared items.
        unknown: identifiers of the other items.
        is_gnss: True for a message of the receiver, which has no inertial items.
    """

    struct: struct.Struct
    conversions: tuple[tuple[str, float | None, float], ...]
    fixed: Mapping[str, float]
    parts: tuple[int, ...]
    kinds: frozenset[str]
    unknown: tuple[int, ...]
    is_gnss: bool


@lru_cache(256)
def layout_of(headers: tuple[Header, ...]) -> Layout:
    """Return the layout of a payload; a declared item of another length, or a second one of its kind, is unknown."""
    codes, conversions, fixed, known, unknown = [">"], [], {}, {}, []
    for identifier, length in headers:
        item = item_of(identifier)
        words = None if item is None or item.name in known else item.codes(identifier, length)
        if item is None or words is None:
            codes.append(f"{length + 3}x")
            unknown.append(identifier)
            continue
        codes.append("3x" + words)
        known[item.name] = identifier
        for field in item.fields:
            scale = _scale(item, field, identifier)
            is_fixed = item.is_real and identifier & 3 == _FIXED_POINT
            conversions.append((field.name, None if is_fixed else scale, field.offset))
            if is_fixed:
                fixed[field.name] = scale or 1.0
    groups = {group(identifier) for identifier in known.values()}
    return Layout(
        struct.Struct("".join(codes)),
        tuple(conversions),
        fixed,
        tuple(known.values()),
        frozenset(known),
        tuple(unknown),
        GNSS in groups and groups <= _RECEIVER,
    )


def _scale(item: DataItem, field: Field, identifier: int) -> float | None:
    if not item.is_real or FORMATS[identifier & 3].scale == 1.0:
        return field.scale
    return FORMATS[identifier & 3].scale * (field.scale or 1.0)


def places_of(payload: bytes, names: Iterable[str]) -> dict[str, Place]:
    """Return the places in a payload of those of the named values that are the only value of an item, by name."""
    wanted, places, at = set(names), dict[str, Place](), 0
    for identifier, length in item_headers(payload):
        at += ITEM_HEADER_BYTES
        item = item_of(identifier)
        if item is not None and item.fields[0].name in wanted and item.codes(identifier, length) is not None:
            wanted.remove(item.fields[0].name)
            places[item.fields[0].name] = (at, ">" + item.fields[0].code)
        at += length
    return places


def decode(layout: Layout, payload: bytes) -> dict[str, Value | None]:
    """Return the values of the declared items of a payload; None for NaN."""
    words: tuple[Value, ...] = layout.struct.unpack(payload)
    values: dict[str, Value | None] = {
        # NaN is the only value that differs from itself.
        name: None if word != word else word if scale is None else word * scale + offset  # type: ignore[operator] # noqa: PLR0124
        for (name, scale, offset), word in zip(layout.conversions, words, strict=True)
    }
    for name, scale in layout.fixed.items():
        octets = values[name]
        if isinstance(octets, bytes):
            values[name] = int.from_bytes(octets[_HALF:] + octets[:_HALF], "big", signed=True) * scale
    return values

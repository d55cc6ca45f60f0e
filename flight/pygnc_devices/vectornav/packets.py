"""Binary packets: their header, and the record of the readings that follows from it.

The header consists of group bytes and of words of 16 bits for each group, lowest bit first. The highest bit of a group
byte or a word announces another one. The fields of the bits follow in the same order, without padding.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from pygnc_devices.declaration import Field, Record, Value
from pygnc_devices.declaration import Place as WordPlace
from pygnc_devices.vectornav.fields import GROUPS, OutputField

_RECORDS_KEPT: Final = 256
_MOST_GROUP_BYTES: Final = 3
_GROUPS: Final = re.compile(rb"[\x80-\xff]{0,2}[\0-\x7f]")
_MOST_WORDS: Final = 10
_EXTENSION: Final = 0x80
_NO_FIELDS: Final = b"\0\0"
_CLOCKS: Final = ("time_startup_ns", "time_gps_ns", "tow_ns", "gnss1_tow_ns", "gnss2_tow_ns", "gnss3_tow_ns")
"""Names of clocks, the best first."""

Place = tuple[int, int]
"""Numbers of a group and of a field."""
_BY_PLACE: Final = {(group, field.bit): field for group, (_, fields) in GROUPS.items() for field in fields}
_BY_NAME: Final = {
    f"{name}.{field.name}": (group, field.bit) for group, (name, fields) in GROUPS.items() for field in fields
}
_NAMES: Final = {place: name for name, place in _BY_NAME.items()}


def header_at(octets: bytes, at: int) -> bytes | None:
    """Return the header at an offset; None if more bytes are needed, b"" if there is no header."""
    groups = _GROUPS.match(octets, at)
    if groups is None:
        return None if len(octets) - at < _MOST_GROUP_BYTES else b""
    end, words = groups.end(), sum((octet & ~_EXTENSION).bit_count() for octet in groups[0])
    for _ in range(_MOST_WORDS if words else 0):
        if end + 2 > len(octets):
            return None
        end += 2
        if octets[end - 2 : end] == _NO_FIELDS:
            return b""
        words -= not octets[end - 1] & _EXTENSION
        if not words:
            return octets[at:end]
    return b""


def split_header(header: bytes) -> tuple[bytes, list[int]]:
    """Return the group bytes and the words of a header."""
    size = next((size for size, octet in enumerate(header, 1) if not octet & _EXTENSION), len(header))
    return header[:size], [int.from_bytes(header[at : at + 2], "little") for at in range(size, len(header), 2)]


def places_of(header: bytes) -> list[Place]:
    """Return the places of the fields that a header selects."""
    octets, words = split_header(header)
    groups = (8 * at + bit for at, octet in enumerate(octets) for bit in range(7) if octet >> bit & 1)
    places, rest = [], iter(words)
    for group in groups:
        first, is_extended = 0, True
        while is_extended:
            word = next(rest)
            places += [(group, first + bit) for bit in range(15) if word >> bit & 1]
            first, is_extended = first + 16, bool(word >> 15)
    return places


def header_of(places: Iterable[Place]) -> bytes:
    """Return the header that selects fields."""
    words: dict[Place, int] = {}
    for group, number in places:
        for k in range(number // 16):
            words[group, k] = words.get((group, k), 0) | 1 << 15
        words[group, number // 16] = words.get((group, number // 16), 0) | 1 << number % 16
    groups = {group for group, _ in words}
    octets = bytearray(max(groups, default=0) // 8 + 1)
    for group in groups:
        octets[group // 8] |= 1 << group % 8
    for at in range(len(octets) - 1):
        octets[at] |= _EXTENSION
    return bytes(octets) + b"".join(words[key].to_bytes(2, "little") for key in sorted(words))


def name_of(place: Place) -> str:
    """Return the name of a field, such as imu.accel, or imu.bit14 if it is unknown."""
    group = GROUPS.get(place[0])
    return _NAMES.get(place) or f"{f'group{place[0]}' if group is None else group[0]}.bit{place[1]}"


def place_of(name: str) -> Place:
    """Return the place of the field with a name.

    Raises:
        KeyError: there is no such field.
    """
    return _BY_NAME[name]


def field_names() -> list[str]:
    """Return the names of all fields with a meaning."""
    return [name for name, place in _BY_NAME.items() if not is_reserved(_BY_PLACE[place])]


def unknown_names(header: bytes) -> list[str]:
    """Return the names of the fields that a header selects and that have no meaning."""
    return [name_of(place) for place in places_of(header) if place not in _BY_PLACE or is_reserved(_BY_PLACE[place])]


def is_reserved(field: OutputField) -> bool:
    """Return True if only the length of a field is known."""
    return field.name.startswith("bit")


class _Layout(NamedTuple):
    struct: struct.Struct
    conversions: tuple[tuple[str, float | None, float], ...]


@dataclass(frozen=True)
class BinaryOutput(Record):
    """Declaration of the readings of the packets with a header.

    Attributes:
        header: header of the packets.
        parts: fields in the order of the wire; a value that two groups contain is read once.
    """

    header: bytes = attribute(default=b"", kw_only=True)
    parts: tuple[OutputField, ...] = attribute(default=(), kw_only=True, repr=False)

    def length(self, octets: bytes, at: int) -> int | None:
        """Return the length of header and fields at an offset; None if more bytes are needed."""
        end = at + len(self.header) + self._fixed_bytes
        if not self._has_lists:
            return end - at
        end = at + len(self.header)
        for part in self.parts:
            if part.item_bytes:
                if end + part.count_at >= len(octets):
                    return None
                end += part.item_bytes * octets[end + part.count_at]
            end += _fixed_bytes(part)
        return end - at

    def word_place(self, name: str, payload: bytes) -> WordPlace | None:
        """Return the place of a word in a payload; None if it does not contain the word."""
        for at, part in self._parts_of(payload):
            if not is_reserved(part) and any(field.name == name for field in part.fields):
                return part.place(name, at)
        return None

    def counts_at(self, payload: bytes) -> list[int]:
        """Return the offsets in a payload of the numbers of elements of its lists."""
        return [at + part.count_at for at, part in self._parts_of(payload) if part.item_bytes]

    def _parts_of(self, payload: bytes) -> Iterator[tuple[int, OutputField]]:
        at = len(self.header)
        for part in self.parts:
            yield at, part
            at += _fixed_bytes(part) + (part.item_bytes and part.item_bytes * payload[at + part.count_at])

    def decode(self, payload: bytes) -> Mapping[str, Value | None]:
        """Return the values by name; None for NaN.

        Raises:
            ValueError: the length of the payload does not match the declaration.
        """
        layout = self._layout(payload)
        if len(payload) != len(self.header) + layout.struct.size:
            raise ValueError(f"packet {self.name}: {len(payload)} bytes of payload instead of {layout.struct.size}")
        words: tuple[Value, ...] = layout.struct.unpack_from(payload, len(self.header))
        return {
            # NaN is the only value that differs from itself.
            name: None if word != word else word if scale is None else word * scale + offset  # type: ignore[operator] # noqa: PLR0124
            for (name, scale, offset), word in zip(layout.conversions, words, strict=True)
        }

    def encode(self, values: Mapping[str, Value | None]) -> bytes:
        """Return the payload with the given values; missing values are zero or empty."""
        return self.header + b"".join(_encode(part, values) for part in self.parts)

    def places(self) -> Iterable[tuple[int, Field]]:
        """Return the fields, each with the number of its group."""
        owners = {
            field.name: place[0] for place in reversed(places_of(self.header)) for field in _BY_PLACE[place].fields
        }
        return ((owners[field.name], field) for field in self.fields)

    @cached_property
    def unknown(self) -> list[str]:
        """Names of the fields that are skipped."""
        return unknown_names(self.header)

    @cached_property
    def _has_lists(self) -> bool:
        return any(part.item_bytes for part in self.parts)

    @cached_property
    def _fixed_bytes(self) -> int:
        return sum(map(_fixed_bytes, self.parts))

    @cached_property
    def _fixed_layout(self) -> _Layout:
        return _layout_of(self.parts, [])

    def _layout(self, payload: bytes) -> _Layout:
        if not self._has_lists:
            return self._fixed_layout
        counts, at = [], len(self.header)
        for part in self.parts:
            if part.item_bytes:
                counts.append(int.from_bytes(payload[at + part.count_at : at + part.count_at + 1], "little"))
                at += part.item_bytes * counts[-1]
            at += _fixed_bytes(part)
        return _layout_of(self.parts, counts)


def _fixed_bytes(part: OutputField) -> int:
    return part.layout.size - bool(part.item_bytes)


def _layout_of(parts: Iterable[OutputField], counts: list[int]) -> _Layout:
    codes, conversions, seen = ["<"], [], set[str]()
    sizes = iter(counts)
    for part in parts:
        length = part.item_bytes * next(sizes) if part.item_bytes else 0
        if is_reserved(part) or part.fields[0].name in seen:
            codes.append(f"{part.layout.size}x")
            continue
        for field in part.fields:
            codes.append(f"{length}s" if part.item_bytes and field.code == "s" else field.code)
            conversions.append((field.name, field.scale, field.offset))
            seen.add(field.name)
    return _Layout(struct.Struct("".join(codes)), tuple(conversions))


def _encode(part: OutputField, values: Mapping[str, Value | None]) -> bytes:
    if not part.item_bytes:
        return part.encode(values)
    *_, last = part.fields
    items = values.get(last.name)
    octets = items if isinstance(items, bytes) else b""
    counted = {part.fields[-3].name: len(octets) // part.item_bytes}
    return part.encode({**values, **counted})[: _fixed_bytes(part)] + octets


@lru_cache(_RECORDS_KEPT)
def record_of(header: bytes) -> BinaryOutput | None:
    """Return the record of the packets with a header; None if the length of a field is unknown, or without fields."""
    parts = [_BY_PLACE.get(place) for place in places_of(header)]
    known = tuple(part for part in parts if part is not None)
    if len(known) < len(parts) or not known:
        return None
    fields: dict[str, Field] = {}
    for part in known:
        if not is_reserved(part) and part.fields[0].name not in fields:
            fields |= {field.name: field for field in part.fields}
    clock = next((name for name in _CLOCKS if name in fields), "")
    names = dict.fromkeys(GROUPS[group][0] for group, _ in places_of(header))
    groups, words = split_header(header)
    name = "-".join(("binary", groups.hex().upper(), *(f"{word:04X}" for word in words)))
    return BinaryOutput(name, tuple(fields.values()), meaning=", ".join(names), clock=clock, header=header, parts=known)


class Satellite(NamedTuple):
    """Satellite in view: system, number, flags, C/N0 in dB Hz, quality, elevation and azimuth in degrees."""

    system: int
    number: int
    flags: int
    cn0: int
    quality: int
    elevation_deg: int
    azimuth_deg: int


class RawMeasurement(NamedTuple):
    """Measurement of a satellite: pseudorange in m, carrier phase in cycles, Doppler in Hz."""

    system: int
    number: int
    band: int
    channel: int
    frequency: int
    cn0: int
    flags: int
    pseudorange_m: float
    carrier_cycles: float
    doppler_hz: float


def satellites(octets: bytes) -> list[Satellite]:
    """Return the elements of a list of satellites."""
    return [Satellite(*words) for words in struct.iter_unpack("<5Bbh", octets)]


def raw_measurements(octets: bytes) -> list[RawMeasurement]:
    """Return the elements of a list of raw measurements."""
    return [RawMeasurement(*words) for words in struct.iter_unpack("<4BbBHddf", octets)]

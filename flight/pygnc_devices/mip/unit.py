"""State of a unit: the fields of its data packets, its clock, the settings of this session.

A packet contains the fields that are due. The readings of a descriptor set have the values of all fields that the
set has contained so far; a value that is not in a packet is None. A new field makes a new kind of reading: `sensor`,
`sensor-2`, and so on, so that each table has one set of columns. Each occurrence of a field that a packet contains
repeatedly, such as that of a satellite, makes a reading.
"""

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from msgspec.structs import replace

from pygnc_devices.cadence import Cadence
from pygnc_devices.continuity import UnitClock
from pygnc_devices.declaration import Field, Place, Record, Value
from pygnc_devices.framing import Frame
from pygnc_devices.mip.commands import refusal
from pygnc_devices.mip.data_field import DataField
from pygnc_devices.mip.fields import DATA_SETS, FIELDS, FIRST_DATA_SET
from pygnc_devices.mip.framing import (
    FIELD_HEADER_BYTES,
    HEADER_BYTES,
    are_intact,
    field_headers,
    fixed_bytes,
    make_field,
)
from pygnc_devices.reading import NS_PER_S, Counters, Reading, Stamp
from pygnc_devices.scheduler import Operation
from pygnc_devices.series import Followed, Series, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pygnc_devices.continuity import Counts

Header: TypeAlias = tuple[int, int]
_LAYOUTS_KEPT: Final = 256
_WEEK_NS: Final = 604_800 * NS_PER_S
_CLOCKS: Final = {
    "reference_time_ns": (1, 1 << 64),
    "gps_tow_s": (NS_PER_S, _WEEK_NS),
    "tow_s": (NS_PER_S, _WEEK_NS),
    "internal_ticks": (NS_PER_S // 62_500, NS_PER_S // 62_500 << 32),
}
"""Clocks, the best first: nanoseconds per count, and nanoseconds after which they wrap.

The SDK does not state the tick of the internal time stamp, a field of old models. 62.5 kHz is that of a 3DM-GX3."""

_TAKEN: Final = -1
"""Stands for the descriptor of a field that another layout of the payload contains."""


@dataclass(frozen=True)
class FieldSet(Record):
    """Declaration of the readings of a descriptor set.

    Attributes:
        parts: fields of the packets, in the order of their first appearance.
    """

    parts: tuple[DataField, ...] = attribute(default=(), kw_only=True)

    def decode(self, payload: bytes) -> Mapping[str, Value | None]:
        """Return the values by name, None for fields that are not in the payload."""
        return self.empty | decode(layout_of(self._by_descriptor, field_headers(payload)), payload)

    def encode(self, values: Mapping[str, Value | None]) -> bytes:
        """Return the payload with the fields of which `values` has a value."""
        given = (part for part in self.parts if any(values.get(field.name) is not None for field in part.fields))
        return b"".join(make_field(part.descriptor, part.encode(values)) for part in given)

    def places(self) -> Iterable[tuple[int, Field]]:
        """Return the fields, each with the descriptor of the field that contains it."""
        return ((part.descriptor, field) for part in self.parts for field in part.fields)

    def is_partial(self, missing: object) -> bool:  # noqa: ARG002 - fields have rates of their own
        """Return False: not every packet has all fields."""
        return False

    @cached_property
    def _by_descriptor(self) -> dict[int, DataField]:
        return {part.descriptor: part for part in self.parts}

    @cached_property
    def empty(self) -> dict[str, Value | None]:
        """Values of a packet without fields."""
        return {field.name: None for field in self.fields}


def field_set(name: str, parts: tuple[DataField, ...]) -> FieldSet:
    """Return the declaration of readings with the given fields."""
    fields = tuple(field for part in parts for field in part.fields)
    names = {field.name for field in fields}
    clock = next((name for name in _CLOCKS if name in names), "")
    return FieldSet(name, fields, meaning=f"data set {name.partition('-')[0]}", clock=clock, parts=parts)


class Layout(NamedTuple):
    """Layout of a payload, made from the headers of its fields.

    Attributes:
        struct: words of the declared fields; headers and other fields are padding.
        conversions: name, scale and offset of each word.
        descriptors: descriptors of the declared fields.
        validity: name of the word with the valid bits, and the flag of a reading without one.
        unknown: descriptors of the other fields.
        again: layout of the fields whose descriptor has occurred before in the payload; None if there are none.
    """

    struct: struct.Struct
    conversions: tuple[tuple[str, float | None, float], ...]
    descriptors: frozenset[int]
    validity: tuple[tuple[str, str], ...]
    unknown: tuple[int, ...]
    again: "Layout | None" = None

    def flags(self, values: Mapping[str, Value | None]) -> tuple[str, ...]:
        """Return the flags of the fields that the unit marks as invalid."""
        return tuple(flag for name, flag in self.validity if not values[name])


def layout_of(known: Mapping[int, DataField], headers: Iterable[Header]) -> Layout:
    """Return the layout of a payload; a declared field of another length is unknown."""
    codes = [">"]
    parts: dict[int, DataField] = {}
    unknown: list[int] = []
    again: list[Header] = []
    for descriptor, length in headers:
        part = known.get(descriptor)
        is_repeated = descriptor in parts
        if part is None or part.layout.size != length:
            codes.append(f"{length + 2}x")
            unknown += [descriptor] * (descriptor != _TAKEN)
            is_repeated = False
        elif is_repeated:
            codes.append(f"{length + 2}x")
        else:
            codes.append("2x" + part.layout.format.removeprefix(">"))
            parts[descriptor] = part
        again.append((descriptor if is_repeated else _TAKEN, length))
    conversions = tuple((field.name, field.scale, field.offset) for part in parts.values() for field in part.fields)
    validity = tuple((part.validity, f"{part.name} invalid") for part in parts.values() if part.validity)
    rest = layout_of(known, again) if any(descriptor != _TAKEN for descriptor, _ in again) else None
    return Layout(struct.Struct("".join(codes)), conversions, frozenset(parts), validity, tuple(unknown), rest)


def decode(layout: Layout, payload: bytes) -> dict[str, Value | None]:
    """Return the values of the declared fields of a payload; None for NaN."""
    words: tuple[Value, ...] = layout.struct.unpack(payload)
    return {
        # NaN is the only value that differs from itself.
        name: None if word != word else word if scale is None else word * scale + offset  # type: ignore[operator] # noqa: PLR0124
        for (name, scale, offset), word in zip(layout.conversions, words, strict=True)
    }


class DataStream:
    """Readings of a descriptor set.

    Args:
        name: name of the set.
        known: declared fields by descriptor.
        origins: value of each clock at the origin of the unit's time, and the newest time, ns; the sets of a unit share
            them.

    Attributes:
        record: declaration of the readings so far.
    """

    def __init__(self, name: str, known: Mapping[int, DataField], origins: dict[str, int]) -> None:
        self.record: FieldSet = field_set(name, ())
        self._name = name
        self._known = known
        self._origins = origins
        self._layout_of = lru_cache(_LAYOUTS_KEPT)(partial(layout_of, known))
        self._expected: set[int] = set()
        self._generation = 0
        self._is_used = False
        self._regular: frozenset[int] | None = None
        """Descriptors in every packet so far; if there is none, the packets have no regular interval."""
        self._restart_clock()

    def expect(self, descriptors: Iterable[int]) -> None:
        """Add fields to the declaration."""
        new = [key for key in dict.fromkeys(descriptors) if key in self._known and key not in self._expected]
        if new:
            self._expected |= set(new)
            self._generation += self._is_used
            self._is_used = False
            name = f"{self._name}-{self._generation + 1}" if self._generation else self._name
            clock = self.record.clock
            self.record = field_set(name, (*self.record.parts, *(self._known[key] for key in new)))
            if self.record.clock != clock:
                self._restart_clock()

    def interrupt(self) -> None:
        """Mark an interruption, after which the unit may have restarted or been replaced."""
        self._clock.interrupt()
        self._cadence.interrupt()
        self._regular = None

    def reset_rate(self) -> None:
        """Discard the usual interval of the packets."""
        self._regular = None
        self._cadence = Cadence()

    def layout(self, payload: bytes) -> Layout:
        """Return the layout of a payload."""
        return self._layout_of(field_headers(payload))

    def reading(self, frame: Frame, layout: Layout, stamp: Stamp) -> Reading:
        """Return the reading of a packet with at least one declared field."""
        if not layout.descriptors <= self._expected:
            self.expect(descriptor for descriptor, _ in field_headers(frame.payload))
        values = self.record.empty | decode(layout, frame.payload)
        t_device_ns, lost = self.time(layout, values.get(self.record.clock), stamp.host_ns)
        is_estimate = t_device_ns is not None and self._clock.is_estimate
        flags = layout.flags(values)
        return Reading(self.record, frame.raw, values, *stamp, t_device_ns, lost, flags, is_estimate=is_estimate)

    def time(self, layout: Layout, count: object, host_ns: int | None) -> tuple[int | None, int]:
        """Return time, ns, and number of missing packets of the next packet; `count` is the value of its clock."""
        self._is_used = True
        self._regular = layout.descriptors if self._regular is None else self._regular & layout.descriptors
        t_device_ns = self._clock.time_ns(count, host_ns)
        return t_device_ns, self._cadence.missing(t_device_ns) if self._regular else 0

    def steady_times(self, layout: Layout, counts: "NDArray[Any]") -> "Counts | None":
        """Process successive packets of a recording; return their times, ns.

        None, with nothing processed, if a packet may be missing or the packets have no regular interval.
        """
        regular = layout.descriptors if self._regular is None else self._regular & layout.descriptors
        times_ns = self._clock.steady_times_ns(counts) if regular else None
        if times_ns is None or not self._cadence.is_steady(times_ns):
            return None
        self._is_used, self._regular = True, regular
        self._clock.go_to(int(times_ns[-1]))
        return times_ns

    def clocks(self, payload: bytes) -> dict[str, Place]:
        """Return the places of the clocks in a payload, by name."""
        places, at = dict[str, Place](), 0
        for descriptor, length in field_headers(payload):
            at += FIELD_HEADER_BYTES
            part = self._known.get(descriptor)
            if part is not None and part.layout.size == length:
                names = [field.name for field in part.fields if field.name in _CLOCKS]
                places |= {name: part.place(name, at) for name in names}
            at += length
        return places

    def repeated(self, frame: Frame, layout: Layout, first: Reading) -> tuple[Reading, ...]:
        """Return the first reading of a packet, and one for each further occurrence of its fields."""
        readings, rest = [first], layout.again
        while rest is not None:
            values = self.record.empty | decode(rest, frame.payload)
            readings.append(replace(first, raw=b"", values=values, lost_before=0, flags=rest.flags(values)))
            rest = rest.again
        return tuple(readings)

    def _restart_clock(self) -> None:
        count_ns, modulus_ns = _CLOCKS.get(self.record.clock, (1, 1))
        self._clock = UnitClock(self.record.clock, count_ns, modulus_ns, self._origins)
        self._cadence = Cadence()


class MipUnit:
    """Interpreter of the packets of a unit, and state that its operations share.

    Args:
        baud: baud rate of the line.
        recover: operation that restores the settings of this session after a reconnection.

    Attributes:
        baud: baud rate of the line.
        volatile: settings of this session by name, which are restored after a reconnection.
        unknown_fields: number of skipped fields by set and descriptor, such as "82:2A".
        legacy: names of the settings that need the commands of older models.
        is_ready: False while the formats of the data sets are read; no readings are made meanwhile.
    """

    head_bytes = HEADER_BYTES

    def __init__(self, baud: int = 115200, *, recover: Callable[["MipUnit"], Operation[None]] | None = None) -> None:
        self.baud = baud
        self.volatile: dict[str, str] = {}
        self.unknown_fields: Counter[str] = Counter()
        self.legacy: set[str] = set()
        self.is_ready = True
        self._recover = recover
        origins: dict[str, int] = {}
        self.streams = {key: DataStream(name, FIELDS[key], origins) for key, (name, _) in DATA_SETS.items()}

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | tuple[Reading, ...] | None:
        """Return the reading in a packet, or several if fields occur repeatedly; see `engine.Interpreter`."""
        descriptor_set = int(frame.kind, 16)
        if descriptor_set < FIRST_DATA_SET:
            counters.refusals += refusal(frame) is not None
            return None
        stream = self.streams.get(descriptor_set)
        if stream is None:
            self._count(frame.kind, (descriptor for descriptor, _ in field_headers(frame.payload)))
            return None
        layout = stream.layout(frame.payload)
        if layout.unknown:
            self._count(frame.kind, layout.unknown)
        if not layout.descriptors or not self.is_ready:
            return None
        reading = stream.reading(frame, layout, stamp)
        return reading if layout.again is None else stream.repeated(frame, layout, reading)

    def series(self, frame: Frame) -> Series | None:
        """Return the series of a packet whose fields do not occur repeatedly; see `SeriesInterpreter`."""
        stream = self.streams.get(int(frame.kind, 16))
        layout = None if stream is None else stream.layout(frame.payload)
        if stream is None or layout is None or not layout.descriptors or layout.again is not None:
            return None
        clocks = stream.clocks(frame.payload)

        def follow(*counts: object) -> Followed:
            if layout.unknown:
                self._count(frame.kind, layout.unknown)
            count = dict(zip(clocks, counts, strict=True)).get(stream.record.clock)
            return stream.record, *stream.time(layout, count, None)

        def follow_steady(*counts: "NDArray[Any]") -> Span | None:
            count = dict(zip(clocks, counts, strict=True)).get(stream.record.clock)
            times_ns = None if count is None else stream.steady_times(layout, count)
            if times_ns is None:
                return None
            self._count(frame.kind, layout.unknown, len(times_ns))
            return Span(stream.record, int(times_ns[0]), int(times_ns[-1]))

        words = tuple((HEADER_BYTES + at, code) for at, code in clocks.values())
        return Series(fixed_bytes(frame), words, are_intact, follow, follow_steady, stream)

    def reconnected(self) -> Operation[None] | None:
        """Return the operation that restores the settings of this session; see `engine.Interpreter`."""
        for stream in self.streams.values():
            stream.interrupt()
        return None if self._recover is None or not self.volatile else self._recover(self)

    def reset_rate(self) -> None:
        """Discard the usual intervals of the packets; the rate may have changed."""
        for stream in self.streams.values():
            stream.reset_rate()

    def _count(self, kind: str, descriptors: Iterable[int], packets: int = 1) -> None:
        for descriptor in descriptors:
            self.unknown_fields[f"{kind}:{descriptor:02X}"] += packets

"""State of a unit: the items of its messages, its clock and its count of messages.

A message contains the items that are due. Readings have the values of all items that the unit has sent so far; a value
that is not in a message is None. A new item makes a new kind of reading: `data`, `data-2`, and so on, so that each
table has one set of columns.
"""

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from pygnc_devices.continuity import Cadence, DeviceClock
from pygnc_devices.declaration import Field, Record, Value
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_devices.scheduler import Operation
from pygnc_devices.xsens import messages
from pygnc_devices.xsens.framing import MTDATA2, Header, item_headers, make_item
from pygnc_devices.xsens.items import (
    CLIPPED,
    FORMATS,
    ORIENTATION_VALID,
    PACKET_COUNTER,
    SAMPLE_TIME,
    STATUS,
    DataItem,
    encode_items,
    item_of,
)

_FIXED_POINT: Final = 2
"""Number of the format fp1632, which has no struct code."""
_HALF: Final = 4
_TICK_NS: Final = 100_000
_TICKS: Final = 1 << 32
_DAY_TICKS: Final = 864_000_000
"""Ticks after which the clock of the MTi 10 and 100 series wraps; that of other units wraps at 2^32."""
_LATEST_TICKS: Final = 600_000
"""Ticks before the end of the day from which a smaller count is that of the next day."""
_COUNTS: Final = 1 << 16
_ORIENTATION: Final = 0x2000
_GROUP: Final = 0xF800


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
    """

    struct: struct.Struct
    conversions: tuple[tuple[str, float | None, float], ...]
    fixed: Mapping[str, float]
    parts: tuple[int, ...]
    kinds: frozenset[str]
    unknown: tuple[int, ...]


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
    words_of = struct.Struct("".join(codes))
    return Layout(words_of, tuple(conversions), fixed, tuple(known.values()), frozenset(known), tuple(unknown))


def _scale(item: DataItem, field: Field, identifier: int) -> float | None:
    if not item.is_real or FORMATS[identifier & 3].scale == 1.0:
        return field.scale
    return FORMATS[identifier & 3].scale * (field.scale or 1.0)


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


class UnitClock:
    """Time of a unit's messages and number of missing ones, by the sample time and the packet counter.

    Attributes:
        period_ns: time between messages, ns, for units that send no sample time; None while it is unknown.
        is_estimate: True if the newest step comes from the host's clock.
    """

    def __init__(self) -> None:
        self.period_ns: int | None = None
        self.is_estimate = False
        self._clock = DeviceClock(_TICKS)
        self._counter = DeviceClock(_COUNTS)
        self._packets_ns = 0
        self._cadence = Cadence()
        self._days_ticks = 0
        self._ticks: int | None = None
        self._count: int | None = None
        self._last_ns = 0

    def interrupt(self) -> None:
        """Mark an interruption, after which the unit may have restarted or been replaced."""
        self._clock.interrupt()
        self._counter.interrupt()
        self._cadence.interrupt()

    def restart(self) -> None:
        """Mark that the unit begins to measure: clock and counter may begin again, and no message is missing."""
        self._clock.interrupt()
        self._counter = DeviceClock(_COUNTS)
        self._cadence = Cadence()
        self._ticks = self._count = None

    def advance(
        self, ticks: Value | None, count: Value | None, host_ns: int | None, *, is_regular: bool
    ) -> tuple[int | None, int]:
        """Process the next message; return its time since the first one, ns, and the number of missing messages.

        Args:
            ticks: sample time; None: the message has none.
            count: packet counter; None: the message has none.
            host_ns: arrival time on the host's monotonic clock, ns; None in a recording.
            is_regular: True if all messages have an item in common, so that their steps tell which are missing.
        """
        count = count if isinstance(count, int) else None
        if isinstance(ticks, int):
            return self._by_ticks(ticks, count, host_ns, is_regular=is_regular)
        return (None, 0) if count is None else self._by_count(count, host_ns)

    def _by_ticks(self, ticks: int, count: int | None, host_ns: int | None, *, is_regular: bool) -> tuple[int, int]:
        if self._ticks is not None and ticks < self._ticks < _DAY_TICKS:
            self._days_ticks += _DAY_TICKS * (ticks - self._ticks < _LATEST_TICKS - _DAY_TICKS)
        self._ticks = ticks
        self._clock.advance((ticks + self._days_ticks) % _TICKS, _TICK_NS, host_ns)
        self.is_estimate = self._clock.is_estimate
        now_ns = _TICK_NS * self._clock.total
        last_ns, self._last_ns = self._last_ns, now_ns
        last, self._count = self._count, count
        estimated = self._cadence.missing(now_ns) if is_regular else 0
        if count is None or last is None or self.is_estimate:
            return now_ns, estimated if last is not None or count is None else 0
        step = (count - last) % _COUNTS
        if self._cadence.usual:
            step += _COUNTS * max(0, round(((now_ns - last_ns) / self._cadence.usual - step) / _COUNTS))
        return now_ns, max(0, step - 1)

    def _by_count(self, count: int, host_ns: int | None) -> tuple[int | None, int]:
        step = self._counter.advance(count, self.period_ns or 0.0, host_ns)
        self.is_estimate = self._counter.is_estimate
        self._packets_ns += step * (self.period_ns or 0)
        return None if self.period_ns is None else self._packets_ns, max(0, step - 1)


class MtUnit:
    """Interpreter of the messages of a unit, and state that its operations share.

    Args:
        baud: baud rate of the line.
        recover: operation that returns the unit to its measurements after a reconnection.

    Attributes:
        baud: baud rate of the line.
        record: declaration of the readings so far.
        clock: time of the messages.
        skipped: number of skipped items and messages, such as "C830" or "message 32".
        errors: number of errors that the unit has reported, by meaning.
        is_configuring: True while the unit waits for settings instead of measuring.
        configurations: number of operations that need the unit to wait for settings.
    """

    def __init__(self, baud: int = 115200, *, recover: Callable[[], Operation[None]] | None = None) -> None:
        self.baud = baud
        self.record: ItemSet = item_set("data", ())
        self.clock = UnitClock()
        self.skipped: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.is_configuring = False
        self.configurations = 0
        self._recover = recover
        self._kinds: set[str] = set()
        self._generation = 1
        self._is_used = False
        self._regular: frozenset[str] | None = None
        """Names of the items in every message so far."""

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:
        """Return the reading in a message; see `engine.Interpreter`."""
        if frame.kind == MTDATA2:
            return self._reading(frame, stamp)
        match frame.kind:
            case messages.ERROR:
                counters.refusals += messages.is_refusal(frame)
                self.errors[messages.meaning(frame.payload)] += 1
            case messages.CONFIGURING:
                self.is_configuring = True
            case messages.MEASURING | messages.WAKE_UP:
                self.is_configuring = False
                self._regular = None
                self.clock.restart()
            case messages.OLD_DATA:
                self.skipped[f"message {frame.kind}"] += 1
        return None

    def reconnected(self) -> Operation[None] | None:
        """Return the operation that returns the unit to its measurements; see `engine.Interpreter`."""
        self.clock.interrupt()
        self._regular = None
        return self._recover() if self.is_configuring and self._recover is not None else None

    def declare(self, identifiers: Iterable[int]) -> None:
        """Begin a new kind of reading with exactly these items, unless the readings have them already."""
        parts = {item.name: part for part in identifiers if (item := item_of(part))}
        if parts.keys() != self._kinds:
            self._kinds = set(parts)
            self._generation += self._is_used
            self._is_used = False
            name = f"data-{self._generation}" if self._generation > 1 else "data"
            self.record = item_set(name, tuple(parts.values()))

    def _reading(self, frame: Frame, stamp: Stamp) -> Reading | None:
        layout = layout_of(item_headers(frame.payload))
        self.skipped.update(f"{identifier:04X}" for identifier in layout.unknown)
        if not layout.parts:
            return None
        if not layout.kinds <= self._kinds:
            self.declare((*self.record.parts, *layout.parts))
        self._is_used = True
        self._regular = layout.kinds if self._regular is None else self._regular & layout.kinds
        values = self.record.empty | decode(layout, frame.payload)
        t_device_ns, lost = self.clock.advance(
            values.get(SAMPLE_TIME), values.get(PACKET_COUNTER), stamp.host_ns, is_regular=bool(self._regular)
        )
        is_estimate = t_device_ns is not None and self.clock.is_estimate
        flags = _flags(values.get(STATUS), layout)
        return Reading(self.record, frame.raw, values, *stamp, t_device_ns, lost, flags, is_estimate=is_estimate)


def _flags(status: Value | None, layout: Layout) -> tuple[str, ...]:
    """Return the reasons to doubt the values that the status word gives."""
    if not isinstance(status, int):
        return ()
    flags = [f"{sensor} clipped" for sensor, bits in CLIPPED.items() if status & bits]
    if not status & ORIENTATION_VALID and any(part & _GROUP == _ORIENTATION for part in layout.parts):
        flags.append("orientation invalid")
    return tuple(flags)

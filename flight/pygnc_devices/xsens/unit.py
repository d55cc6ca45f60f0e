"""State of a unit: the items of its messages, its clock and its count of messages.

A message contains the items that are due. Readings have the values of all items that the unit has sent so far; a value
that is not in a message is None. A new item makes a new kind of reading: `data`, `data-2`, and so on, so that each
table has one set of columns. Messages with values of the receiver, but without inertial ones, are readings `gnss`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pygnc_devices.cadence import Cadence
from pygnc_devices.continuity import DeviceClock
from pygnc_devices.declaration import Value
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_devices.scheduler import Operation
from pygnc_devices.series import Followed, Series, Span
from pygnc_devices.xsens import messages
from pygnc_devices.xsens.framing import HEADER_BYTES, MTDATA2, are_intact, fixed_bytes, item_headers, payload_start
from pygnc_devices.xsens.items import CLIPPED, ORIENTATION_VALID, PACKET_COUNTER, SAMPLE_TIME, STATUS, item_of
from pygnc_devices.xsens.layout import (
    GNSS,
    ORIENTATION,
    ItemSet,
    Layout,
    decode,
    group,
    item_set,
    layout_of,
    places_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pygnc_devices.continuity import Counts

_TICK_NS: Final = 100_000
_TICKS: Final = 1 << 32
_DAY_TICKS: Final = 864_000_000
"""Ticks after which the clock of the MTi 10 and 100 series wraps; that of other units wraps at 2^32."""
_LATEST_TICKS: Final = 600_000
"""Ticks before the end of the day from which a smaller count is that of the next day."""
_COUNTS: Final = 1 << 16
_MOST_MESSAGES: Final = 2.0
_MOST_DOUBTS: Final = 4
"""Counts that cannot be right after which the counter has begun again."""
_SPARE_MESSAGES: Final = 16
"""More messages than these per usual step, and these in addition, cannot be missing: the checksum has 8 bits only."""


class Stream:
    """Readings of the inertial messages, or of the receiver's messages, whose sample times may be older.

    Args:
        name: name of the readings.

    Attributes:
        record: declaration of the readings so far.
        kinds: names of their items.
        usual_ns: usual time between messages, ns; 0 while it is unknown.
        is_estimate: True if the newest step of the time comes from the host's clock.
    """

    def __init__(self, name: str) -> None:
        self.record: ItemSet = item_set(name, ())
        self.kinds: set[str] = set()
        self._name = name
        self._generation = 1
        self._is_used = False
        self._regular: frozenset[str] | None = None
        """Names of the items in every message so far; if there is none, the messages have no regular interval."""
        self._clock = DeviceClock(_TICKS)
        self._cadence = Cadence()
        self._is_timed = False
        self._start_ns = 0
        self._ticks: int | None = None
        self._days_ticks = 0

    @property
    def usual_ns(self) -> float:
        """See the class."""
        return self._cadence.usual

    @property
    def is_regular(self) -> bool:
        """True if the sample times of the messages tell how many are missing."""
        return self._is_timed and bool(self._regular)

    @property
    def is_estimate(self) -> bool:
        """See the class."""
        return self._clock.is_estimate

    @property
    def is_doubtful(self) -> bool:
        """True if the newest sample time may be damaged."""
        return self._clock.is_doubtful

    def declare(self, identifiers: Iterable[int]) -> None:
        """Begin a new kind of reading with exactly these items, unless the readings have them already."""
        parts = {item.name: part for part in identifiers if (item := item_of(part))}
        if parts.keys() != self.kinds:
            self.kinds = set(parts)
            self._generation += self._is_used
            self._is_used = False
            name = f"{self._name}-{self._generation}" if self._generation > 1 else self._name
            self.record = item_set(name, tuple(parts.values()))

    def begin(self, layout: Layout) -> None:
        """Process the items of the next message."""
        if not layout.kinds <= self.kinds:
            self.declare((*self.record.parts, *layout.parts))
        self._is_used = True
        self._regular = layout.kinds if self._regular is None else self._regular & layout.kinds

    def interrupt(self) -> None:
        """Mark an interruption, after which the unit may have restarted or been replaced."""
        self._clock.interrupt()
        self._cadence.interrupt()
        self._regular = None

    def restart(self) -> None:
        """Mark that the unit begins to measure, so that its clock may begin again."""
        self._clock.interrupt(is_pause=True)
        self._cadence = Cadence()
        self._regular = self._ticks = None

    def advance(self, ticks: int, newest: tuple[int, int], host_ns: int | None) -> tuple[int, int]:
        """Return the time of the next message, ns, and the number of messages missing by the usual step.

        Args:
            ticks: sample time of the message.
            newest: sample time and time, ns, of the unit's previous message, which a clock that begins continues.
            host_ns: arrival time on the host's monotonic clock, ns; None in a recording.
        """
        if not self._is_timed:
            self._is_timed = True
            behind = (newest[0] - ticks) % _TICKS
            self._start_ns = newest[1] - min(_TICK_NS * behind, newest[1]) * (behind < _LATEST_TICKS)
        elif self._ticks is not None and ticks < self._ticks < _DAY_TICKS:
            self._days_ticks += _DAY_TICKS * (ticks - self._ticks < _LATEST_TICKS - _DAY_TICKS)
        self._ticks = ticks
        self._clock.advance((ticks + self._days_ticks) % _TICKS, _TICK_NS, host_ns)
        now_ns = self._start_ns + _TICK_NS * self._clock.total
        return now_ns, self._cadence.missing(now_ns) if self._regular else 0

    def steady_times(self, layout: Layout, ticks: "Counts") -> "Counts | None":
        """Process the next messages of a recording, which all have declared items; return their times, ns.

        None, with nothing processed, if a message may be missing or the messages have no regular interval.
        """
        regular = layout.kinds if self._regular is None else self._regular & layout.kinds
        if not regular or not self._is_timed or self._days_ticks:
            return None
        totals = self._clock.steady_totals(ticks, _TICK_NS)
        times_ns = None if totals is None else self._start_ns + _TICK_NS * totals
        if totals is None or times_ns is None or not self._cadence.is_steady(times_ns):
            return None
        self._is_used, self._regular, self._ticks = True, regular, int(ticks[-1])
        self._clock.go_to(int(totals[-1]))
        return times_ns


class MessageCounter:
    """Number of missing messages by the packet counter, which counts all messages.

    Attributes:
        period_ns: time between messages, ns, which gives the time if there is no sample time; None while it is unknown.
    """

    def __init__(self) -> None:
        self.period_ns: int | None = None
        self.restart()
        self._packets_ns = 0

    def restart(self) -> None:
        """Mark that the counter may begin again, and that no message is missing."""
        self.clock = DeviceClock(_COUNTS)
        self._timed: tuple[int, int] | None = None
        """Count and time of the newest inertial message, ns."""
        self._others = 0
        """Number of other messages since."""
        self._doubts = 0
        """Number of successive counts that cannot be right."""

    @property
    def is_timed(self) -> bool:
        """True if messages have a sample time."""
        return self._timed is not None

    def missing(self, count: int, now_ns: int | None, usual_ns: float, estimated: int) -> int:
        """Return the number of messages missing before the one with this count.

        Those before a message of the receiver are counted at the next inertial message, whose time tells the wraps of
        the counter.

        Args:
            count: packet counter.
            now_ns: time of an inertial message, ns; None for another message.
            usual_ns: usual time between inertial messages, ns; 0: unknown.
            estimated: number by the usual time, for a count that cannot be right.
        """
        if now_ns is None:
            self._others += 1
            return estimated if self._timed is None else 0
        timed, self._timed = self._timed, (count, now_ns)
        others, self._others = self._others, 0
        if timed is None:
            return 0
        counted = (count - timed[0]) % _COUNTS
        if usual_ns:
            due = (now_ns - timed[1]) / usual_ns
            counted += _COUNTS * max(0, round((due - counted) / _COUNTS))
            if counted > _MOST_MESSAGES * due + _SPARE_MESSAGES:
                self._doubts += 1
                if self._doubts > _MOST_DOUBTS:
                    self._doubts = 0
                    return estimated
                self._timed, self._others = timed, others + 1  # the next count tells what is missing
                return 0
        self._doubts = 0
        return max(0, counted - 1 - others)

    def is_steady(self, counts: "Counts") -> bool:
        """Return True if counts follow each other and the newest inertial message, without another message between."""
        if self._timed is None or self._others:
            return False
        return bool(((counts - range(1, 1 + len(counts)) - self._timed[0]) % _COUNTS == 0).all())

    def go_to(self, count: int, now_ns: int) -> None:
        """Process inertial messages of which none is missing; the last one has this count and time."""
        self._timed = count, now_ns

    def advance(self, count: int, host_ns: int | None) -> tuple[int | None, int]:
        """Return the time of the next message by its count, ns, and the number of missing messages."""
        step = self.clock.advance(count, self.period_ns or 0.0, host_ns)
        self._packets_ns += step * (self.period_ns or 0)
        return None if self.period_ns is None else self._packets_ns, max(0, step - 1)


class MtUnit:
    """Interpreter of the messages of a unit, and state that its operations share.

    Args:
        baud: baud rate of the line.
        recover: operation that returns the unit to its measurements after a reconnection.

    Attributes:
        baud: baud rate of the line.
        data: readings of the inertial messages.
        gnss: readings of the receiver's messages.
        counter: count of the messages.
        unknown_fields: number of skipped items and messages, such as "C830" or "message 32".
        errors: number of errors that the unit has reported, by meaning.
        is_configuring: True while the unit waits for settings instead of measuring.
        configurations: number of operations that need the unit to wait for settings.
    """

    head_bytes = HEADER_BYTES

    def __init__(self, baud: int = 115200, *, recover: Callable[[], Operation[None]] | None = None) -> None:
        self.baud = baud
        self.data, self.gnss = Stream("data"), Stream("gnss")
        self.counter = MessageCounter()
        self.unknown_fields: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.is_configuring = False
        self.configurations = 0
        self._recover = recover
        self._newest = (0, 0)
        """Sample time, and time in ns, of the newest message."""

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
                for part in (self.data, self.gnss, self.counter):
                    part.restart()
            case messages.OLD_DATA:
                self.unknown_fields[f"message {frame.kind}"] += 1
        return None

    def series(self, frame: Frame) -> Series | None:
        """Return the series of a message with measurements; see `SeriesInterpreter`."""
        layout = layout_of(item_headers(frame.payload)) if frame.kind == MTDATA2 else None
        if layout is None or not layout.parts:
            return None
        clocks = places_of(frame.payload, (SAMPLE_TIME, PACKET_COUNTER))

        def follow(*words: Value) -> Followed | None:
            stream = self._begin(layout)
            if stream is None:
                return None
            t_device_ns, lost, _ = self._time(stream, dict(zip(clocks, words, strict=True)), None)
            return stream.record, t_device_ns, lost

        def follow_steady(*words: "NDArray[Any]") -> Span | None:
            times_ns = None
            if set(clocks) == {SAMPLE_TIME, PACKET_COUNTER} and not layout.is_gnss and not layout.unknown:
                named = dict(zip(clocks, words, strict=True))
                times_ns = self._steady_times(layout, named[SAMPLE_TIME], named[PACKET_COUNTER])
            return None if times_ns is None else Span(self.data.record, int(times_ns[0]), int(times_ns[-1]))

        start = payload_start(frame)
        words = tuple((start + at, code) for at, code in clocks.values())
        return Series(fixed_bytes(frame), words, are_intact, follow, follow_steady, self)

    def reconnected(self) -> Operation[None] | None:
        """Return the operation that returns the unit to its measurements; see `engine.Interpreter`."""
        for part in (self.data, self.gnss, self.counter.clock):
            part.interrupt()
        return self._recover() if self.is_configuring and self._recover is not None else None

    def declare(self, identifiers: Iterable[int]) -> None:
        """Declare the readings by the unit's outputs, which do not tell the other items of the receiver's messages."""
        parts = list(identifiers)
        self.data.declare(part for part in parts if group(part) != GNSS)
        self.gnss.declare((*self.gnss.record.parts, *(part for part in parts if group(part) == GNSS)))

    def _reading(self, frame: Frame, stamp: Stamp) -> Reading | None:
        layout = layout_of(item_headers(frame.payload))
        stream = self._begin(layout)
        if stream is None:
            return None
        values = stream.record.empty | decode(layout, frame.payload)
        t_device_ns, lost, is_estimate = self._time(stream, values, stamp.host_ns)
        flags = _flags(values.get(STATUS), layout)
        return Reading(stream.record, frame.raw, values, *stamp, t_device_ns, lost, flags, is_estimate=is_estimate)

    def _steady_times(self, layout: Layout, ticks: "Counts", counts: "Counts") -> "Counts | None":
        """Process successive inertial messages of a recording; return their times, ns.

        None, with nothing processed, if a message may be missing.
        """
        if not layout.kinds <= self.data.kinds or not self.counter.is_steady(counts):
            return None
        times_ns = self.data.steady_times(layout, ticks)
        if times_ns is not None:
            self.is_configuring = False
            self.counter.go_to(int(counts[-1]), int(times_ns[-1]))
            if times_ns[-1] >= self._newest[1]:
                self._newest = int(ticks[-1]), int(times_ns[-1])
        return times_ns

    def _begin(self, layout: Layout) -> Stream | None:
        """Return the stream of the next message, which has this layout; None if it has no declared item."""
        self.is_configuring = False
        if layout.unknown:
            self.unknown_fields.update(f"{identifier:04X}" for identifier in layout.unknown)
        if not layout.parts:
            return None
        stream = self.gnss if layout.is_gnss else self.data
        stream.begin(layout)
        return stream

    def _time(
        self, stream: Stream, values: Mapping[str, Value | None], host_ns: int | None
    ) -> tuple[int | None, int, bool]:
        """Return time and number of missing messages, and True if the step of the time is an estimate."""
        ticks, count = values.get(SAMPLE_TIME), values.get(PACKET_COUNTER)
        if not isinstance(ticks, int):
            return self._untimed(count, host_ns)
        t_device_ns, estimated = stream.advance(ticks, self._newest, host_ns)
        if t_device_ns >= self._newest[1]:
            self._newest = ticks, t_device_ns
        if not isinstance(count, int):
            return t_device_ns, estimated, stream.is_estimate
        if stream is self.data and stream.is_doubtful:
            return t_device_ns, self.counter.missing(count, None, 0.0, 0), True
        if stream is self.data and stream.is_estimate:
            self.counter.restart()
            self.counter.missing(count, t_device_ns, stream.usual_ns, 0)
            return t_device_ns, estimated, True
        timed_ns = t_device_ns if stream is self.data else None
        lost = self.counter.missing(count, timed_ns, stream.usual_ns, estimated)
        if self.data.is_regular and self.gnss.is_regular:
            lost = estimated  # the counter does not tell which of both kinds is missing
        return t_device_ns, lost, stream.is_estimate

    def _untimed(self, count: Value | None, host_ns: int | None) -> tuple[int | None, int, bool]:
        """Return what `_time` returns, for a message without a sample time."""
        if not isinstance(count, int):
            return None, 0, False
        if self.counter.is_timed:  # the head of the item is damaged
            return None, self.counter.missing(count, None, 0.0, 0), False
        t_device_ns, lost = self.counter.advance(count, host_ns)
        return t_device_ns, lost, t_device_ns is not None and self.counter.clock.is_estimate


def _flags(status: Value | None, layout: Layout) -> tuple[str, ...]:
    """Return the reasons to doubt the values that the status word gives."""
    if not isinstance(status, int):
        return ()
    flags = [f"{sensor} clipped" for sensor, bits in CLIPPED.items() if status & bits]
    if not status & ORIENTATION_VALID and any(group(part) == ORIENTATION for part in layout.parts):
        flags.append("orientation invalid")
    return tuple(flags)

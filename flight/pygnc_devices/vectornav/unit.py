"""State of a unit: the readings of its lines and packets, their clocks, the settings of this session."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pygnc_devices.cadence import Cadence
from pygnc_devices.continuity import UnitClock
from pygnc_devices.declaration import Record, Value
from pygnc_devices.framing import DamageReason, Frame
from pygnc_devices.reading import NS_PER_S, Counters, Reading, Stamp
from pygnc_devices.scheduler import Operation
from pygnc_devices.series import Followed, LineSeries, Series, Span
from pygnc_devices.vectornav.fields import SATURATION, AsyncLine, line_of
from pygnc_devices.vectornav.framing import (
    LONGEST_LINE,
    UNCHECKED,
    UNKNOWN,
    are_intact,
    line_pattern,
    lines_are_intact,
)
from pygnc_devices.vectornav.packets import BinaryOutput, header_at, record_of, unknown_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)
_WEEK_NS: Final = 604_800 * NS_PER_S
_TIME_OF_WEEK: Final = "tow"
_SYNC_IN: Final = "sync_in_count"
PROTOCOL_REGISTER: Final = 30
_CHECKSUM_WORD: Final = 5
_BINARY: Final = "binary"
_HEAD_BYTES: Final = 4
"""Bytes of the sync, of the shortest group and of its first word."""
_INS_MODE: Final = 0b11
_INS_ERRORS: Final = {0x10: "IMU error", 0x20: "magnetometer or pressure error", 0x40: "GNSS error"}


def bare_kind(frame: Frame) -> str:
    """Return the name of a line, also of one without a checksum."""
    return frame.kind.removesuffix(UNCHECKED)


class _Stream:
    """Readings of one kind of line or packet.

    A packet without time but with the number of SyncIn events is taken as sent at regular numbers of them.
    """

    def __init__(self, record: Record, origins: dict[str, int]) -> None:
        self._record = record
        self._clock: UnitClock | None = None
        self._cadence = Cadence()
        if record.clock.endswith((f"{_TIME_OF_WEEK}_ns", f"{_TIME_OF_WEEK}_s")):
            count_ns = NS_PER_S if record.clock.endswith(f"{_TIME_OF_WEEK}_s") else 1
            self._clock = UnitClock(_TIME_OF_WEEK, count_ns, _WEEK_NS, origins)
        elif record.clock:
            self._clock = UnitClock(record.clock, 1, 1 << 64, origins)

    def interrupt(self) -> None:
        """Mark an interruption, after which the unit may have restarted or been replaced."""
        if self._clock is not None:
            self._clock.interrupt()
        self._cadence.interrupt()

    def reset_rate(self) -> None:
        """Discard the usual interval of the packets."""
        self._cadence = Cadence()

    @property
    def counted_by(self) -> str:
        """Name of the value that gives the time or the number of missing readings."""
        return self._record.clock or _SYNC_IN

    def time(self, count: object, host_ns: int | None) -> tuple[int | None, int]:
        """Return time, ns, and number of missing readings of the next reading; `count` is the value `counted_by`."""
        if self._clock is not None:
            t_device_ns = self._clock.time_ns(count, host_ns)
            return t_device_ns, self._cadence.missing(t_device_ns)
        return None, self._cadence.missing(count) if isinstance(count, int) else 0

    def steady_span(self, *counts: "NDArray[Any]") -> Span | None:
        """Process successive readings of a recording, given the values `counted_by`.

        None, with nothing processed, if a reading may be missing.
        """
        if not counts:
            return Span(self._record, None, None)
        if self._clock is None:
            return Span(self._record, None, None) if self._cadence.is_steady(counts[0].astype("i8")) else None
        times_ns = self._clock.steady_times_ns(counts[0])
        if times_ns is None or not self._cadence.is_steady(times_ns):
            return None
        self._clock.go_to(int(times_ns[-1]))
        return Span(self._record, int(times_ns[0]), int(times_ns[-1]))

    def reading(self, frame: Frame, stamp: Stamp) -> Reading:
        """Return the reading of a frame."""
        values = self._record.decode(frame.payload)
        t_device_ns, lost = self.time(values.get(self.counted_by), stamp.host_ns)
        is_estimate = t_device_ns is not None and self._clock is not None and self._clock.is_estimate
        flags = tuple(_doubts(values))
        return Reading(self._record, frame.raw, values, *stamp, t_device_ns, lost, flags, is_estimate=is_estimate)


def _doubts(values: Mapping[str, Value | None]) -> list[str]:
    """Return the reasons to doubt the values of a reading."""
    doubts = [f"{name} without fix" for name in ("gnss1", "gnss2", "gnss3") if values.get(f"{name}_fix") == 0]
    status = values.get("ins_status")
    if isinstance(status, int):
        doubts += ["INS not tracking"] * (status & _INS_MODE == 0)
        doubts += [text for mask, text in _INS_ERRORS.items() if status & mask]
    if values.get("saturation"):
        doubts.append(f"saturated: {SATURATION.describe(values['saturation'])}")
    return doubts


class VectorNavUnit:
    """Interpreter of the lines and packets of a unit, and state that its operations share.

    Args:
        baud: baud rate of the line.
        recover: operation that restores the settings of this session after a reconnection.

    Attributes:
        baud: baud rate of the line.
        volatile: settings of this session by name, which are restored after a reconnection.
        unknown_fields: number of skipped fields by name, such as imu.bit14.
        accepts_unchecked: True if the unit's settings say that its lines have no checksum.
    """

    head_bytes = _HEAD_BYTES

    def __init__(
        self, baud: int = 115200, *, recover: Callable[["VectorNavUnit"], Operation[None]] | None = None
    ) -> None:
        self.baud = baud
        self.volatile: dict[str, str] = {}
        self.unknown_fields: Counter[str] = Counter()
        self.accepts_unchecked = False
        self._recover = recover
        self._streams: dict[str, _Stream] = {}
        self._origins: dict[str, int] = {}

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:
        """Return the reading in a frame; see `engine.Interpreter`."""
        name = bare_kind(frame)
        if name in {"RRG", "WRG"}:
            words = frame.payload.decode("ascii").split(",")
            if words[0].isdecimal() and int(words[0]) == PROTOCOL_REGISTER and len(words) > _CHECKSUM_WORD:
                self.accepts_unchecked = words[_CHECKSUM_WORD].strip() == "0"
            return None
        if name != frame.kind and not self.accepts_unchecked:
            counters.reject(len(frame.raw), DamageReason.CHECKSUM)
            return None
        if name == UNKNOWN:
            counters.reject(len(frame.raw), DamageReason.CONTENT)
            self._skip(unknown_names(frame.payload))
            return None
        counters.refusals += name == "ERR"
        record = _record_of(name, frame)
        if record is None:
            return None
        if isinstance(record, BinaryOutput) and record.unknown:
            self._skip(record.unknown)
        stream = self._streams.get(record.name)
        if stream is None:
            stream = self._streams[record.name] = _Stream(record, self._origins)
        return stream.reading(frame, stamp)

    def series(self, frame: Frame) -> Series | LineSeries | None:
        """Return the series of a line, or of a packet with lists of the same lengths; see `SeriesInterpreter`."""
        record = _record_of(frame.kind, frame)
        stream = None if record is None else self._streams.get(record.name)
        if record is None or stream is None:
            return None
        if isinstance(record, AsyncLine):
            return _line_series(record, stream, frame)
        return self._packet_series(record, stream, frame) if isinstance(record, BinaryOutput) else None

    def _packet_series(self, record: BinaryOutput, stream: _Stream, frame: Frame) -> Series:
        def follow(count: object = None) -> Followed:
            if record.unknown:
                self._skip(record.unknown)
            return record, *stream.time(count, None)

        def follow_steady(*counts: "NDArray[Any]") -> Span | None:
            return None if record.unknown else stream.steady_span(*counts)

        found = record.word_place(stream.counted_by, frame.payload)
        words = () if found is None else ((1 + found[0], found[1]),)
        counts = (1 + at for at in record.counts_at(frame.payload))
        return Series((*range(1 + len(record.header)), *counts), words, are_intact, follow, follow_steady, stream)

    def reconnected(self) -> Operation[None] | None:
        """Return the operation that restores the settings of this session; see `engine.Interpreter`."""
        for stream in self._streams.values():
            stream.interrupt()
        return None if self._recover is None or not self.volatile else self._recover(self)

    def _skip(self, names: list[str]) -> None:
        for name in names:
            if name not in self.unknown_fields:
                _log.warning("the field %s has no declaration and is skipped", name)
        self.unknown_fields.update(names)

    def reset_rate(self) -> None:
        """Discard the usual intervals of the readings; the rate may have changed."""
        for stream in self._streams.values():
            stream.reset_rate()


def _line_series(record: AsyncLine, stream: _Stream, frame: Frame) -> LineSeries:
    def follow(count: object = None) -> Followed:
        return record, *stream.time(count, None)

    digits = len(frame.raw.rstrip().rpartition(b"*")[2])
    words = (("clock", float),) if record.clock else ()
    return LineSeries(
        LONGEST_LINE,
        line_pattern(record, frame.kind, digits, record.clock),
        lines_are_intact(digits),
        words,
        follow,
        stream.steady_span,
        stream,
    )


def _record_of(name: str, frame: Frame) -> Record | None:
    if name.startswith(_BINARY):
        header = header_at(frame.payload, 0)
        return record_of(header) if header else None
    return line_of(name, frame.payload)

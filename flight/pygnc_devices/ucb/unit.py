"""State of a DMU38x or OpenIMU unit: its packets, its clock, the settings of this session.

The tick of a packet's time word is determined from its steps. Words of 16 bits (S0, S1, N0 ...) are, depending on the
model, a packet count, the low word of GPS milliseconds, or a timer of 65536 ticks per second. The 32-bit word of z1 is
in milliseconds by its documentation and in microseconds in recordings.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import Enum, unique
from typing import TYPE_CHECKING, Final

from pygnc_devices.cadence import Cadence
from pygnc_devices.continuity import DeviceClock
from pygnc_devices.declaration import Packet
from pygnc_devices.framing import DamageReason, Frame
from pygnc_devices.reading import NS_PER_S, Counters, Reading, Stamp
from pygnc_devices.scheduler import Operation
from pygnc_devices.series import Followed, Series, Span
from pygnc_devices.ucb import commands, framing
from pygnc_devices.ucb.fields import HZ_OF_DIVIDER, RATE
from pygnc_devices.ucb.packets import ANSWER_PACKETS, MAGNETIC_SCALE, OUTPUT_PACKETS, USER_PACKETS

if TYPE_CHECKING:
    from pygnc_devices.continuity import Counts

_RATES_HZ: Final = (200, 100, 50, 25, 20, 10, 5, 4, 2)
_TIMER_HZ: Final = 1 << 16
_MS_PER_WEEK: Final = 604_800_000
_TOLERANCE: Final = 0.03
_LEAST_STEP_US: Final = 1000
"""Largest step between packets in milliseconds: a packet per second; larger steps are microseconds."""


@unique
class Tick(Enum):
    """Tick of a time word."""

    UNKNOWN = "unknown"
    PACKET = "packet"
    MILLISECOND = "ms"
    MICROSECOND = "us"
    TIMER = "1/65536 s"


_TICKS_PER_S: Final = {Tick.MILLISECOND: 1000, Tick.MICROSECOND: 1_000_000, Tick.TIMER: _TIMER_HZ}


class PacketClock:
    """Clock of the packets of a kind.

    Attributes:
        tick: tick of the time word, as far as it is known.
    """

    def __init__(self, packet: Packet) -> None:
        self.packet = packet
        self.tick = Tick.UNKNOWN
        self._ticks_per_s: int | None = None
        code = next(field.code for field in packet.fields if field.name == packet.clock)
        self._is_short = code == "H"
        bits = 8 * struct.calcsize(f"<{code}")
        self._is_week = packet.clock == "itow_ms"
        self._modulus = _MS_PER_WEEK if self._is_week else 1 << bits
        self._clock = DeviceClock(self._modulus)
        self._cadence = Cadence()
        self._packets_ns = 0
        self._is_identified = False

    def reset_rate(self) -> None:
        """Discard the learned sample interval; the packet rate may have changed."""
        self._cadence = Cadence()

    @property
    def is_estimate(self) -> bool:
        """True if the newest step comes from the host's clock."""
        return self._clock.is_estimate

    def resume(self) -> None:
        """Continue after a pause of any length, in which the unit may have restarted or been replaced."""
        self._cadence.interrupt()
        self._clock.interrupt()
        self._is_identified = False

    def advance(self, word: int, period_ns: int | None, host_ns: int | None) -> tuple[int | None, int]:
        """Process the time word of the next packet.

        Args:
            word: time word of the packet.
            period_ns: time between packets, ns; None: unknown.
            host_ns: arrival time on the host's monotonic clock, ns, to bridge gaps longer than a wrap; None in a
                recording.

        Returns:
            Device time in ns since the first packet, None while the tick is unknown; and the number of packets missing
            before the packet.
        """
        if self._is_week and word >= _MS_PER_WEEK:  # time since the unit's start, not a time of week
            self._is_week, self._modulus, self._clock = False, 1 << 32, DeviceClock(1 << 32)
        step = self._clock.advance(word, self._tick_ns(period_ns), host_ns)
        self._packets_ns += step * (period_ns or 0)
        lost = self._cadence.missing(self._clock.total)
        if not self._is_identified and self._cadence.usual:
            self._identify(word)
        return self._time_ns(period_ns, self._clock.total), lost

    def advance_steadily(self, words: "Counts", period_ns: int | None) -> tuple[int | None, int | None] | None:
        """Process the time words of successive packets of a recording; return the first and the last device time.

        None, with nothing processed, if a packet may be missing or the tick is not known yet.
        """
        if period_ns or not self._is_identified:
            return None
        totals = self._clock.steady_totals(words, self._tick_ns(period_ns))
        if totals is None or not self._cadence.is_steady(totals):
            return None
        self._clock.go_to(int(totals[-1]))
        return self._time_ns(period_ns, int(totals[0])), self._time_ns(period_ns, int(totals[-1]))

    def _identify(self, word: int) -> None:
        tick = self._decide(self._cadence.usual)
        if tick is Tick.UNKNOWN:
            return
        if self.tick not in {Tick.UNKNOWN, tick}:  # another unit was connected; its time begins
            self._clock, self._packets_ns = DeviceClock(self._modulus), 0
            self._clock.advance(word)
        self.tick, self._is_identified = tick, True
        self._ticks_per_s = _TICKS_PER_S.get(tick)

    def _decide(self, step: float) -> Tick:
        if self._is_week or self.packet.clock == "time_ms":
            return Tick.MILLISECOND
        if not self._is_short:
            return Tick.MICROSECOND if step > _LEAST_STEP_US else Tick.MILLISECOND
        if step == 1:
            return Tick.PACKET
        for tick in (Tick.TIMER, Tick.MILLISECOND):
            if any(abs(step - _TICKS_PER_S[tick] / hz) <= max(1.0, _TOLERANCE * step) for hz in _RATES_HZ):
                return tick
        return Tick.UNKNOWN

    def _tick_ns(self, period_ns: int | None) -> float:
        """Return the length of a tick, ns; 0 if it is unknown."""
        if self.tick is Tick.PACKET:
            return period_ns or 0
        return NS_PER_S / self._ticks_per_s if self._ticks_per_s else 0.0

    def _time_ns(self, period_ns: int | None, total: int) -> int | None:
        if self.tick is Tick.PACKET:
            return None if period_ns is None else self._packets_ns
        return None if self._ticks_per_s is None else round(total * NS_PER_S / self._ticks_per_s)


PACKETS: Final = {packet.name: packet for packet in (*OUTPUT_PACKETS, *ANSWER_PACKETS, *USER_PACKETS)}
_RESTARTS: Final = ("SR", "PR")
_CHANGES_RATE: Final = ("SF", "AR", "SR", "PR", "uP", "rS")


class UcbUnit:
    """Interpreter of the packets of a unit, and state that its operations share.

    Args:
        baud: see `Ucb.open`.
        user_packets: see `Ucb.open`.
        magnetic_range: see `Ucb.open`.
        recover: operation that restores the settings of this session after a reconnection.

    Attributes:
        packets: declarations of all packets, by type.
        volatile: fields set in this session, to be restored after a reconnection.
        baud: baud rate of the unit at this moment.
        first_baud: baud rate before any change in this session.
        period_ns: time between packets by field 1, ns; None while it is unknown.
        is_upgrading: True if the firmware is being written, so that no other operation may use the line.
    """

    head_bytes = framing.HEADER_BYTES

    def __init__(
        self,
        baud: int,
        user_packets: Iterable[Packet] = (),
        magnetic_range: float = 20.0,
        *,
        recover: Callable[["UcbUnit"], Operation[None]] | None = None,
    ) -> None:
        self.baud = self.first_baud = baud
        self._recover = recover
        own = {packet.name: packet for packet in user_packets}
        self.packets = {**_with_magnetic_range(PACKETS, magnetic_range), **own}
        self.volatile: dict[int, int] = {}
        self.period_ns: int | None = None
        self.is_upgrading = False
        self._clocks: dict[str, PacketClock] = {}
        self._clock: PacketClock | None = None
        """Clock of the newest packet."""

    @property
    def counts_packets(self) -> bool:
        """True if the time word of the newest packet is a packet count."""
        return self._clock is not None and self._clock.tick is Tick.PACKET

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:
        """Return the reading in a frame; see `engine.Interpreter`."""
        packet = self.packets.get(frame.kind)
        if packet is None or not packet.is_reading:
            counters.refusals += frame.kind in commands.NAK_KINDS
            self._learn(frame)
            return None
        try:
            values = packet.decode(frame.payload)
        except ValueError:  # of another length
            counters.damaged[DamageReason.CONTENT] += 1
            return None
        t_device_ns, lost = self._time(packet, values.get(packet.clock), stamp.host_ns)
        is_estimate = t_device_ns is not None and self._clock is not None and self._clock.is_estimate
        return Reading(packet, frame.raw, values, *stamp, t_device_ns, lost, is_estimate=is_estimate)

    def series(self, frame: Frame) -> Series | None:
        """Return the series of a reading; see `SeriesInterpreter`."""
        packet = self.packets.get(frame.kind)
        if packet is None or not packet.is_reading or not packet.fits(len(frame.payload)):
            return None

        def follow(word: object = None) -> Followed:
            return packet, *self._time(packet, word, None)

        def follow_steady(*words: "Counts") -> Span | None:
            if not words or self._clock is None or self._clock.packet is not packet:
                return None
            times = self._clock.advance_steadily(words[0], self.period_ns)
            return None if times is None else Span(packet, *times)

        words = (packet.place(packet.clock, framing.HEADER_BYTES),) if packet.clock else ()
        return Series(range(framing.HEADER_BYTES), words, framing.are_intact, follow, follow_steady, self)

    def reconnected(self) -> Operation[None] | None:
        """Return the operation that restores the settings; see `engine.Interpreter`."""
        self._clock = None  # the clock of the next packet resumes
        return None if self._recover is None or self.is_upgrading else self._recover(self)

    def _learn(self, frame: Frame) -> None:
        if frame.kind in _CHANGES_RATE and self._clock is not None:
            self._clock.reset_rate()
        if frame.kind in _RESTARTS:
            self.period_ns = None  # the rate in EEPROM takes effect
        if frame.kind == "GF" and commands.parse_ids(frame.payload, 2) is not None:
            hz = HZ_OF_DIVIDER.get(commands.parse_values(frame.payload).get(RATE, -1), 0)
            self.period_ns = NS_PER_S // hz if hz else self.period_ns

    def _time(self, packet: Packet, word: object, host_ns: int | None) -> tuple[int | None, int]:
        if not isinstance(word, int):
            return None, 0
        if self._clock is None or self._clock.packet is not packet:
            self._clock = self._clocks.setdefault(packet.name, PacketClock(packet))
            self._clock.resume()
        return self._clock.advance(word, self.period_ns, host_ns)


def _with_magnetic_range(packets: dict[str, Packet], gauss: float) -> dict[str, Packet]:
    """Return the packets for a full scale of the magnetometer; the full scale of the NAV440 is 2 gauss."""
    scale = MAGNETIC_SCALE * gauss / 20.0
    return {
        name: replace(
            packet,
            fields=tuple(
                replace(field, scale=scale) if field.scale == MAGNETIC_SCALE else field for field in packet.fields
            ),
        )
        for name, packet in packets.items()
    }

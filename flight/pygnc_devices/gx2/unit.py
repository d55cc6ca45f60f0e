"""State of a unit: its timer, the packet that it streams, its radio link."""

import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from pygnc_devices.cadence import Cadence
from pygnc_devices.continuity import DeviceClock
from pygnc_devices.declaration import Packet, Value
from pygnc_devices.framing import Frame
from pygnc_devices.gx2 import framing
from pygnc_devices.gx2.packets import PACKETS, STREAMABLE
from pygnc_devices.reading import NS_PER_S, Counters, Reading, Stamp
from pygnc_devices.scheduler import Operation, Request
from pygnc_devices.series import Followed, Series, Span

if TYPE_CHECKING:
    from pygnc_devices.continuity import Counts

GX2_HZ: Final = 19_660_800
"""Timer of 3DM-GX2 and Inertia-Link; wraps after 218.45 s. It advances in 51200 counts/s of 384 ticks."""
GX3_HZ: Final = 62_500
"""Timer of the 3DM-GX3-25; wraps after 19.1 h."""
_MODULUS: Final = 1 << 32
_TICKS_PER_COUNT: Final = 384
_SHORTEST_GX2_STEP: Final = 170 * _TICKS_PER_COUNT
"""Ticks at the fastest rate; a 3DM-GX3-25 has fewer at its slowest rate, so that the steps identify the model."""
_STEPS_TO_DECIDE: Final = 3


class Timer:
    """Timer of the unit, which most packets contain.

    Attributes:
        hz: ticks per second; None while the frequency is unknown.
        clock: continuous count of the ticks.
    """

    def __init__(self, hz: int | None = None) -> None:
        self.hz = hz
        self.clock = DeviceClock(_MODULUS)
        self._steps: deque[int] = deque(maxlen=_STEPS_TO_DECIDE)

    def advance(self, ticks: int, host_ns: int | None) -> int | None:
        """Return the time since the first packet, ns; None while the frequency is unknown.

        Args:
            ticks: timer in the packet.
            host_ns: arrival time on the host's monotonic clock, ns, to bridge gaps longer than a wrap; None in a
                recording.
        """
        tick_ns = NS_PER_S / self.hz if self.hz else 0.0
        step = self.clock.advance(ticks, tick_ns, host_ns)
        if step and self.hz is None:
            self._steps.append(step)
            self.hz = self._identify_frequency()
        return self.time_ns(self.clock.total)

    def time_ns(self, total: int) -> int | None:
        """Return the time at a count since the first packet, ns; None while the frequency is unknown."""
        return round(total * NS_PER_S / self.hz) if self.hz else None

    def restart(self) -> None:
        """Prepare for a timer that begins at zero: the unit may have lost its power."""
        self.clock.interrupt()
        self._steps.clear()

    def _identify_frequency(self) -> int | None:
        if len(self._steps) < _STEPS_TO_DECIDE:
            return None
        if all(step % _TICKS_PER_COUNT == 0 and step >= _SHORTEST_GX2_STEP for step in self._steps):
            return GX2_HZ
        return GX3_HZ if all(step < _SHORTEST_GX2_STEP for step in self._steps) else None


Values: TypeAlias = dict[str, Value | None]


class Gx2Unit:
    """Interpreter of the packets of a unit, and state that its operations share.

    Args:
        timer_hz: see `Gx2.open`.
        node: see `Gx2.open`.
        recover: operation that restores continuous mode after a reconnection.

    Attributes:
        timer: timer of the unit.
        stream: packet that the unit streams, restored after a reconnection; None: the unit does not stream.
        polled: kinds of packets that are requested singly, so that a pause means no loss.
        is_waking: True while C2 is polled only so that the unit starts streaming; the responses are no readings. In a
            recording, those between the confirmation of a stream and its first packet are none.
        radio: link quality (LQI) and signal strength (RSSI) of the newest packet; None with a cable.
    """

    head_bytes = 1

    def __init__(
        self,
        timer_hz: int | None = None,
        node: int | None = None,
        *,
        recover: Callable[["Gx2Unit"], Operation[None]] | None = None,
    ) -> None:
        self.timer = Timer(timer_hz)
        self.stream: str | None = None
        self.polled: set[str] = set()
        self.is_waking = False
        self.radio: tuple[int, int] | None = None
        self.node = node
        self._recover = recover
        self._confirmed = ""
        """Packet whose stream the unit has confirmed but not begun; "": none."""
        self._cadences: defaultdict[str, Cadence] = defaultdict(Cadence)

    @property
    def is_gx3(self) -> bool:
        """True if the unit is known to be a 3DM-GX3-25."""
        return self.timer.hz == GX3_HZ

    def wrap(self, request: Request) -> Request:
        """Return a request, wrapped for the base station if the unit is a wireless node."""
        return request if self.node is None else replace(request, octets=framing.wrap(self.node, request.octets))

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:
        """Return the reading in a packet; see `engine.Interpreter`."""
        counters.refusals += frame.kind == framing.NACK
        packet = PACKETS.get(frame.kind)
        if packet is None:
            return None
        if self.node is not None:
            self.radio = framing.link_quality(frame.raw)
        if frame.kind == "C4":
            self._confirmed = f"{frame.payload[0]:02X}" if frame.payload[0] else ""
        if not self._is_wanted(frame.kind) or not packet.is_reading:
            return None
        values = decode(packet, frame.payload)
        t_device_ns, lost = self._time(frame.kind, values[packet.clock], stamp.host_ns)
        is_estimate = t_device_ns is not None and self.timer.clock.is_estimate
        return Reading(packet, frame.raw, values, *stamp, t_device_ns, lost, is_estimate=is_estimate)

    def series(self, frame: Frame) -> Series | None:
        """Return the series of a reading; see `SeriesInterpreter`."""
        if self.node is not None or frame.kind not in STREAMABLE:
            return None
        packet = PACKETS[frame.kind]

        def follow(ticks: object) -> Followed | None:
            if (self._confirmed or self.is_waking) and not self._is_wanted(packet.name):
                return None
            return packet, *self._time(packet.name, ticks, None)

        def follow_steady(ticks: "Counts") -> Span | None:
            timer = self.timer
            if self._confirmed or self.is_waking or packet.name in self.polled or timer.hz is None:
                return None
            totals = timer.clock.steady_totals(ticks, NS_PER_S / timer.hz)
            if totals is None or not self._cadences[packet.name].is_steady(totals):
                return None
            timer.clock.go_to(int(totals[-1]))
            return Span(packet, timer.time_ns(int(totals[0])), timer.time_ns(int(totals[-1])))

        words = (packet.place(packet.clock, 1),)
        return Series((0,), words, framing.check_of(packet), follow, follow_steady, self)

    def reconnected(self) -> Operation[None] | None:
        """Return the operation that restores continuous mode; see `engine.Interpreter`."""
        self.timer.restart()
        for cadence in self._cadences.values():
            cadence.interrupt()
        return None if self._recover is None or self.stream is None else self._recover(self)

    def reset_rate(self) -> None:
        """Discard the usual times between packets; the rate has changed."""
        self._cadences.clear()

    def _is_wanted(self, kind: str) -> bool:
        """Return False for a C2 that only wakes the unit; see `is_waking`."""
        if kind == self._confirmed:
            self._confirmed = ""
        return kind != "C2" or not (self.is_waking or (self._confirmed and kind not in self.polled))

    def _time(self, kind: str, ticks: object, host_ns: int | None) -> tuple[int | None, int]:
        """Return time, ns, and number of missing packets of the next packet of a kind."""
        t_device_ns = self.timer.advance(ticks, host_ns) if isinstance(ticks, int) else None
        return t_device_ns, 0 if kind in self.polled else self._cadences[kind].missing(self.timer.clock.total)


def decode(packet: Packet, payload: bytes) -> Values:
    """Return the values of a packet; None for NaN, which a unit sends for values that it does not have."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in packet.decode(payload).items()
    }

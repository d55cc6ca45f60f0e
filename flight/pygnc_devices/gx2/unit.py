"""State of a unit: its timer, the packet that it streams, its radio link."""

import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from pygnc_devices.continuity import Cadence, DeviceClock
from pygnc_devices.declaration import Packet, Value
from pygnc_devices.framing import Frame
from pygnc_devices.gx2 import framing
from pygnc_devices.gx2.packets import PACKETS
from pygnc_devices.reading import NS_PER_S, Counters, Reading, Stamp
from pygnc_devices.scheduler import Operation, Request

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
        return round(self.clock.total * NS_PER_S / self.hz) if self.hz else None

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
        elif frame.kind == self._confirmed:
            self._confirmed = ""
        is_waking = self.is_waking or (self._confirmed and frame.kind not in self.polled)
        if not packet.is_reading or (is_waking and frame.kind == "C2"):
            return None
        values = decode(packet, frame.payload)
        ticks = values[packet.clock]
        t_device_ns = self.timer.advance(ticks, stamp.host_ns) if isinstance(ticks, int) else None
        lost = 0 if frame.kind in self.polled else self._cadences[frame.kind].missing(self.timer.clock.total)
        is_estimate = t_device_ns is not None and self.timer.clock.is_estimate
        return Reading(packet, frame.raw, values, *stamp, t_device_ns, lost, is_estimate=is_estimate)

    def reconnected(self) -> Operation[None] | None:
        """Return the operation that restores continuous mode; see `engine.Interpreter`."""
        self.timer.restart()
        for cadence in self._cadences.values():
            cadence.interrupt()
        return None if self._recover is None or self.stream is None else self._recover(self)

    def reset_rate(self) -> None:
        """Discard the usual times between packets; the rate has changed."""
        self._cadences.clear()


def decode(packet: Packet, payload: bytes) -> Values:
    """Return the values of a packet; None for NaN, which a unit sends for values that it does not have."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in packet.decode(payload).items()
    }

"""What a driver knows of one unit: the meaning of its timer, what it streams, whether it is reached by radio.

The unit's timer: which clock drives it, its wraps, and what is missing between two replies of a kind.
"""

import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Final, TypeAlias

from pygnc_devices.declaration import Packet, Value
from pygnc_devices.device_time import NS_PER_S, CounterUnwrapper
from pygnc_devices.framing import Frame
from pygnc_devices.gx2 import framing
from pygnc_devices.gx2.packets import PACKETS
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_devices.scheduler import Operation, Request

GX2_HZ: Final = 19_660_800
"""3DM-GX2 and Inertia-Link; wraps after 218.45 s. The unit counts 51200 per second, 384 ticks each."""
GX3_HZ: Final = 62_500
"""3DM-GX3-25; wraps after 19.1 h."""
_MODULUS: Final = 1 << 32
_TICKS_PER_COUNT: Final = 384
_SHORTEST_GX2_STEP: Final = 170 * _TICKS_PER_COUNT
"""Of the fastest rate; the slowest of a 3DM-GX3-25 gives fewer ticks, so that the steps tell the models apart."""
_STEPS_TO_DECIDE: Final = 3
_STEPS_KEPT: Final = 9


class Timer:
    """Time of the unit, in all replies that carry it.

    Attributes:
        hz: ticks per second; None while it is not known.
    """

    def __init__(self, hz: int | None = None) -> None:
        self.hz = hz
        self._unwrapper = CounterUnwrapper(_MODULUS)
        self._steps: deque[int] = deque(maxlen=_STEPS_TO_DECIDE)

    def take(self, ticks: int, host_ns: int | None) -> int | None:
        """Return the time in ns since the first reply; None while the clock is not known.

        Args:
            ticks: as they came.
            host_ns: arrival, to bridge gaps longer than a wrap; None in a recording.
        """
        tick_ns = NS_PER_S / self.hz if self.hz else 0.0
        step = self._unwrapper.advance(ticks, tick_ns, host_ns)
        if step and self.hz is None:
            self._steps.append(step)
            self.hz = self._recognise()
        return round(self._unwrapper.total * NS_PER_S / self.hz) if self.hz else None

    def restart(self) -> None:
        """Bear with a timer that begins at zero: the unit has lost its power."""
        self._steps.clear()

    def _recognise(self) -> int | None:
        if len(self._steps) < _STEPS_TO_DECIDE:
            return None
        if all(step % _TICKS_PER_COUNT == 0 and step >= _SHORTEST_GX2_STEP for step in self._steps):
            return GX2_HZ
        return GX3_HZ if all(step < _SHORTEST_GX2_STEP for step in self._steps) else None


class Cadence:
    """The usual step between replies of one kind."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._steps: deque[int] = deque(maxlen=_STEPS_KEPT)

    def missing(self, t_device_ns: int | None) -> int:
        """Return how many replies are missing before this one."""
        last_ns, self._last_ns = self._last_ns, t_device_ns
        if t_device_ns is None or last_ns is None or t_device_ns <= last_ns:
            return 0
        usual = median(self._steps) if len(self._steps) >= _STEPS_TO_DECIDE else 0
        self._steps.append(t_device_ns - last_ns)
        return max(0, round((t_device_ns - last_ns) / usual) - 1) if usual else 0


Values: TypeAlias = dict[str, Value | None]


class Gx2Unit:
    """The engine's interpreter for this family.

    Args:
        timer_hz: of the unit's timer; None: found out from its steps or its name.
        node: address of a wireless node; None for a cable.
        recover: what brings continuous mode back after the port was gone.
        is_recording: whether arrival times say nothing.

    Attributes:
        timer: the unit's time.
        stream: reply that was set to come continuously; it is set again when the port is back.
        polled: replies that are asked for one by one, so that a pause between two of them means no loss.
        radio: LQI and RSSI of the newest reply; None on a cable.
    """

    def __init__(
        self,
        timer_hz: int | None = None,
        node: int | None = None,
        *,
        recover: Callable[["Gx2Unit"], Operation[None]] | None = None,
        is_recording: bool = False,
    ) -> None:
        self.timer = Timer(timer_hz)
        self.stream: str | None = None
        self.polled: set[str] = set()
        self.radio: tuple[int, int] | None = None
        self.node = node
        self._recover = recover
        self._is_recording = is_recording
        self._cadences: defaultdict[str, Cadence] = defaultdict(Cadence)

    @property
    def is_gx3(self) -> bool:
        """Whether it is a 3DM-GX3-25, as far as is known."""
        return self.timer.hz == GX3_HZ

    def wrap(self, request: Request) -> Request:
        """Return a request as this unit wants to get it."""
        return request if self.node is None else replace(request, octets=framing.wrap(self.node, request.octets))

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:
        """Return the reading of a frame; see `engine.Interpreter`."""
        counters.refusals += frame.kind == framing.NACK
        packet = PACKETS.get(frame.kind)
        if packet is None:
            return None
        if self.node is not None:
            self.radio = framing.link_quality(frame.raw)
        if not packet.is_reading:
            return None
        values = decode(packet, frame.payload)
        ticks = values[packet.clock]
        host_ns = None if self._is_recording else stamp.t_mono_ns
        t_device_ns = self.timer.take(ticks, host_ns) if isinstance(ticks, int) else None
        lost = 0 if frame.kind in self.polled else self._cadences[frame.kind].missing(t_device_ns)
        return Reading(packet, frame.raw, values, stamp.t_mono_ns, stamp.t_wall_ns, t_device_ns, lost)

    def reconnected(self) -> Operation[None] | None:
        """Bring continuous mode back; see `engine.Interpreter`."""
        self.timer.restart()
        self._cadences.clear()
        return None if self._recover is None or self.stream is None else self._recover(self)

    def relearn(self) -> None:
        """Forget the usual steps: the rate has changed."""
        self._cadences.clear()


def decode(packet: Packet, payload: bytes) -> Values:
    """Return the values of a reply. What is not a number there is a value that the unit does not have: None."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in packet.decode(payload).items()
    }

"""What a driver knows of one unit: the meaning of its timer, what it streams, whether it is reached by radio."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from pygnc_devices.declaration import Packet, Value
from pygnc_devices.frames import Frame
from pygnc_devices.gx2 import aspp
from pygnc_devices.gx2.packets import PACKETS
from pygnc_devices.gx2.timer import GX3_HZ, Cadence, Timer
from pygnc_devices.procedure import Procedure
from pygnc_devices.reading import Reading, Stamp
from pygnc_devices.requests import Request
from pygnc_devices.statistics import Counts

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
        recover: Callable[["Gx2Unit"], Procedure[None]] | None = None,
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
        return request if self.node is None else replace(request, octets=aspp.wrap(self.node, request.octets))

    def take(self, frame: Frame, stamp: Stamp, counts: Counts) -> Reading | None:
        """Return the reading of a frame; see `engine.Interpreter`."""
        counts.refusals += frame.kind == aspp.NACK
        packet = PACKETS.get(frame.kind)
        if packet is None:
            return None
        if self.node is not None:
            self.radio = aspp.link_quality(frame.raw)
        if not packet.is_reading:
            return None
        values = decode(packet, frame.payload)
        ticks = values[packet.clock]
        host_ns = None if self._is_recording else stamp.t_mono_ns
        t_device_ns = self.timer.take(ticks, host_ns) if isinstance(ticks, int) else None
        lost = 0 if frame.kind in self.polled else self._cadences[frame.kind].missing(t_device_ns)
        return Reading(packet, frame.raw, values, stamp.t_mono_ns, stamp.t_wall_ns, t_device_ns, lost)

    def reconnected(self) -> Procedure[None] | None:
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

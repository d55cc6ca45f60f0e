"""The driver of monoDrive's IMU: `MonoDrive` for plain scripts, `AsyncMonoDrive`. The seed's API is in `sensor`.

What a driver knows of one simulated IMU: byte order, timer, unit of acceleration.
"""

import asyncio
import logging
import math
import struct
from typing import Final, Self
from urllib.parse import urlsplit

from pygnc_devices.device import AsyncDevice, BlockingDevice, UnitDevice
from pygnc_devices.device_time import NS_PER_S, CounterUnwrapper
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.family import Family, Found
from pygnc_devices.framing import DamageReason, Frame
from pygnc_devices.monodrive.framing import KIND, Order, header_order, likely_order, scanner, sums_right, unpack
from pygnc_devices.monodrive.packets import HEADERS, IMU, LONGEST, MPS2_PER_UNIT, TIMER_HZ, Layout, imu_packet
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_devices.scheduler import Claim, Operation, Request
from pygnc_devices.units import STANDARD_GRAVITY_MPS2

_TICK_NS: Final = NS_PER_S / TIMER_HZ
_WRAP: Final = 1 << 32
_REST: Final = 0.2
_LISTENING: Final = 10

_log = logging.getLogger(__name__)


class MonoDriveUnit:
    """The engine's interpreter for this family.

    Args:
        layout: what the simulator does not say of itself.
        is_recording: whether arrival times say nothing.

    Attributes:
        order: byte order of the newest frame.
    """

    def __init__(self, layout: Layout | None = None, *, is_recording: bool = False) -> None:
        self.layout = layout or Layout()
        self.order: Order = ">" if self.layout.byte_order == "auto" else self.layout.byte_order
        self._packet = imu_packet(self.layout.accel_unit)
        self._is_recording = is_recording
        self._unwrapper = CounterUnwrapper(_WRAP)
        self._last_count: int | None = None
        self._heard = 0

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading:
        """Return the reading of a frame; see `engine.Interpreter`."""
        header, order = header_order(frame.raw)
        body = frame.raw[header:]
        if self.layout.byte_order == "auto":
            self.order = likely_order(body, self.order)
        right = sums_right(body)
        if self.layout.checksum == "warn" and right is not None and self.order not in right:
            counters.damaged[DamageReason.CHECKSUM] += 1
            _log.warning("a frame of the IMU has a wrong sum; it is used all the same")
        _, time_stamp, game_time, *sample_count = struct.unpack(order + HEADERS[header], frame.raw[:header])
        words = struct.pack(">IfI6fIHi", time_stamp, game_time, *(sample_count or [0]), *unpack(body, self.order))
        values = dict(self._packet.decode(words)) | ({} if sample_count else {"sample_count": None})
        t_device_ns = self._time(int(unpack(body, self.order)[6]), None if self._is_recording else stamp.t_mono_ns)
        self._look_at_unit(body)
        lost = self._missing(sample_count)
        return Reading(self._packet, frame.raw, values, stamp.t_mono_ns, stamp.t_wall_ns, t_device_ns, lost)

    def reconnected(self) -> Operation[None] | None:
        """Return None: the simulator streams by itself; see `engine.Interpreter`."""
        self._last_count = None
        return None

    def _time(self, ticks: int, host_ns: int | None) -> int:
        self._unwrapper.advance(ticks, _TICK_NS, host_ns)
        return round(self._unwrapper.total * _TICK_NS)

    def _missing(self, sample_count: list[int]) -> int:
        if not sample_count:
            return 0
        last, self._last_count = self._last_count, sample_count[0]
        return 0 if last is None else max(0, sample_count[0] - last - 1)

    def _look_at_unit(self, body: bytes) -> None:
        """Say it if the first frames look like gravity in another unit than was set; no document tells the unit."""
        self._heard += 1
        if self._heard != _LISTENING:
            return
        length = math.hypot(*unpack(body, self.order)[:3])
        for unit, mps2 in MPS2_PER_UNIT.items():
            if abs(length * mps2 / STANDARD_GRAVITY_MPS2 - 1) < _REST and unit != self.layout.accel_unit:
                _log.warning(
                    "acceleration of %.3g looks like gravity in %s, and accel_unit is %s",
                    length,
                    unit,
                    self.layout.accel_unit,
                )


_BAUD: Final = 115200
"""Networks have none; a recording played on a serial line has."""
_PROBE_S: Final = 0.5


def wire(layout: Layout) -> Wire:
    """Return how a simulator of this layout talks."""
    return Wire(scanner(layout), LONGEST)


def _open(url: str, baud: int, layout: Layout | None) -> tuple[Engine, MonoDriveUnit]:
    unit = MonoDriveUnit(layout, is_recording=urlsplit(url).scheme == "file")
    return Engine(url, baud, wire(unit.layout), unit), unit


class MonoDrive(UnitDevice[MonoDriveUnit], BlockingDevice):
    """A simulated IMU for plain scripts."""

    @classmethod
    def open(cls, url: str, baud: int = _BAUD, *, layout: Layout | None = None) -> Self:
        """Connect to a simulator, or listen for one.

        Args:
            url: `socket://host:8083`, `udp://:8083`, `file://recording.raw`.
            baud: means nothing on a network.
            layout: what the simulator does not say of itself.

        Raises:
            PortError: nobody listens there, or somebody else does.
        """
        return cls(*_open(url, baud, layout))


class AsyncMonoDrive(UnitDevice[MonoDriveUnit], AsyncDevice):
    """A simulated IMU for asyncio."""

    @classmethod
    async def open(cls, url: str, baud: int = _BAUD, *, layout: Layout | None = None) -> Self:
        """Connect to a simulator; see `MonoDrive.open`."""
        return cls(*await asyncio.to_thread(_open, url, baud, layout))


async def probe() -> Found:
    """Find out whether a simulator sends; it cannot be asked.

    Raises:
        NoAnswerError: it does not.
    """
    await Request(b"", _is_frame, "stream", _PROBE_S, tries=1, what="listening")
    return Found("", "monoDrive IMU")


def _is_frame(frame: Frame) -> Claim:
    return Claim.LAST if frame.kind == KIND else Claim.NO


FAMILY: Final = Family(
    name="monodrive",
    title="IMU of the monoDrive simulator",
    bauds=(_BAUD,),
    wire=wire(Layout()),
    packets=(IMU,),
    device=MonoDrive,
    async_device=AsyncMonoDrive,
    interpreter=lambda _: MonoDriveUnit(),
    probe=probe,
    is_networked=True,
)

"""Driver of the IMU of the monoDrive simulator: `MonoDrive`, `AsyncMonoDrive` and their family.

`sensor` has the API of monoDrive's own client.
"""

import logging
import math
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pygnc_devices.cadence import Cadence
from pygnc_devices.continuity import DeviceClock
from pygnc_devices.device import AsyncDevice, BlockingDevice, Opener, UnitDevice
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.family import Family, Found
from pygnc_devices.framing import DamageReason, Frame
from pygnc_devices.monodrive.framing import (
    COUNT_AT,
    KIND,
    LENGTH_BYTES,
    TIMER_AT,
    Order,
    check_of,
    header_order,
    likely_order,
    orders_by_checksum,
    scanner,
    unpack,
)
from pygnc_devices.monodrive.packets import HEADERS, IMU, LONGEST, MPS2_PER_UNIT, TIMER_HZ, Layout, imu_packet
from pygnc_devices.reading import NS_PER_S, Counters, Reading, Stamp
from pygnc_devices.scheduler import wait_for
from pygnc_devices.series import Followed, Series, Span
from pygnc_devices.units import STANDARD_GRAVITY_MPS2

if TYPE_CHECKING:
    from pygnc_devices.continuity import Counts

_TICK_NS: Final = NS_PER_S / TIMER_HZ
_WRAP: Final = 1 << 32
_REST: Final = 0.2
_SPARE_SAMPLES: Final = 3
"""Difference of count and timer of a frame whose count is right."""
_LISTENING: Final = 10

_log = logging.getLogger(__name__)


class MonoDriveUnit:
    """Interpreter of the frames of a simulated IMU: byte order, timer, unit of acceleration.

    Args:
        layout: properties that the simulator does not report.

    Attributes:
        order: byte order of the newest frame.
    """

    head_bytes = LENGTH_BYTES

    def __init__(self, layout: Layout | None = None) -> None:
        self.layout = layout or Layout()
        self.order: Order = ">" if self.layout.byte_order == "auto" else self.layout.byte_order
        self._packet = imu_packet(self.layout.accel_unit)
        self._clock = DeviceClock(_WRAP)
        self._cadence = Cadence()
        self._last_count: int | None = None
        self._heard = 0

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading:
        """Return the reading in a frame; see `engine.Interpreter`."""
        header, order = header_order(frame.raw)
        body = frame.raw[header:]
        if self.layout.byte_order == "auto":
            self.order = likely_order(body, self.order)
        right = orders_by_checksum(body)
        if self.layout.checksum == "warn" and right is not None and self.order not in right:
            counters.damaged[DamageReason.CHECKSUM] += 1
            _log.warning("the checksum of a frame of the IMU is wrong; the frame is used all the same")
        _, time_stamp, game_time, *sample_count = struct.unpack(order + HEADERS[header], frame.raw[:header])
        words = struct.pack(">IfI6fIHi", time_stamp, game_time, *(sample_count or [0]), *unpack(body, self.order))
        values = dict(self._packet.decode(words)) | ({} if sample_count else {"sample_count": None})
        t_device_ns, lost = self._time(int(unpack(body, self.order)[6]), sample_count, stamp.host_ns)
        self._check_gravity(body)
        return Reading(self._packet, frame.raw, values, *stamp, t_device_ns, lost, is_estimate=self._clock.is_estimate)

    def series(self, frame: Frame) -> Series | None:
        """Return the series of a frame whose checksum tells the byte order; see `SeriesInterpreter`."""
        header, order = header_order(frame.raw)
        if orders_by_checksum(frame.raw[header:]) != (self.order,) or self._heard < _LISTENING:
            return None
        body_order = self.order

        def follow(ticks: int, *sample_count: int) -> Followed:
            self.order = body_order
            return self._packet, *self._time(ticks, sample_count, None)

        def follow_steady(ticks: "Counts", *sample_count: "Counts") -> Span | None:
            totals = self._clock.steady_totals(ticks, _TICK_NS)
            if totals is None or not self._is_steady(totals, *sample_count):
                return None
            self.order = body_order
            self._clock.go_to(int(totals[-1]))
            return Span(self._packet, round(int(totals[0]) * _TICK_NS), round(int(totals[-1]) * _TICK_NS))

        words = [(header + TIMER_AT, f"{body_order}I")]
        words += [(COUNT_AT, f"{order}I")] * (header > COUNT_AT)
        fixed = (*range(LENGTH_BYTES), header)
        return Series(fixed, tuple(words), check_of(header, body_order), follow, follow_steady, self)

    def reconnected(self) -> None:
        """Discard the sample count, which may restart; see `engine.Interpreter`."""
        self._clock.interrupt()
        self._cadence.interrupt()
        self._last_count = None

    def _time(self, ticks: int, sample_count: Sequence[int], host_ns: int | None) -> tuple[int, int]:
        """Return time, ns, and number of missing samples of the next frame."""
        self._clock.advance(ticks, _TICK_NS, host_ns)
        t_device_ns = round(self._clock.total * _TICK_NS)
        return t_device_ns, self._missing(sample_count, t_device_ns)

    def _missing(self, sample_count: Sequence[int], t_device_ns: int) -> int:
        """Return the number of missing samples by their count, by the timer without a count or with a damaged one."""
        estimated = self._cadence.missing(t_device_ns)
        if not sample_count:
            return estimated
        last, self._last_count = self._last_count, sample_count[0]
        if last is None:
            return 0
        counted = sample_count[0] - last - 1
        # No checksum covers the header.
        is_damaged = bool(self._cadence.usual) and not estimated // 2 <= counted <= 2 * estimated + _SPARE_SAMPLES
        return estimated if is_damaged else max(0, counted)

    def _is_steady(self, totals: "Counts", *sample_count: "Counts") -> bool:
        """Process successive frames of a recording; do nothing and return False if a sample may be missing."""
        if not sample_count:
            return False
        counts = sample_count[0].astype("i8")
        if self._last_count is None or counts[0] > self._last_count + 1 or (counts[1:] > counts[:-1] + 1).any():
            return False
        if not self._cadence.is_steady((totals * _TICK_NS).round().astype("i8")):
            return False
        self._last_count = int(counts[-1])
        return True

    def _check_gravity(self, body: bytes) -> None:
        """Log a warning if the acceleration looks like gravity in another unit than `accel_unit`."""
        self._heard += 1
        if self._heard != _LISTENING:
            return
        length = math.hypot(*unpack(body, self.order)[:3])
        for unit, mps2 in MPS2_PER_UNIT.items():
            if abs(length * mps2 / STANDARD_GRAVITY_MPS2 - 1) < _REST and unit != self.layout.accel_unit:
                _log.warning(
                    "acceleration of %.3g looks like gravity in %s, but accel_unit is %s; correct accel_unit",
                    length,
                    unit,
                    self.layout.accel_unit,
                )


_BAUD: Final = 115200
"""For recordings played on a serial line; networks have no baud rate."""
_PROBE_S: Final = 0.9


def _open(url: str, baud: int = _BAUD, *, layout: Layout | None = None) -> tuple[Engine, MonoDriveUnit]:
    """Connect to a simulator, or receive its datagrams.

    Args:
        url: `socket://host:8083`, `udp://:8083`, `file://recording.raw`.
        baud: without effect on a network.
        layout: properties that the simulator does not report.

    Raises:
        PortError: the simulator does not run, or another program uses the address.
    """
    unit = MonoDriveUnit(layout)
    return Engine(url, baud, Wire(scanner(unit.layout), LONGEST), unit), unit


class MonoDrive(UnitDevice[MonoDriveUnit], BlockingDevice):
    """Synchronous driver."""

    open = Opener(_open)


class AsyncMonoDrive(UnitDevice[MonoDriveUnit], AsyncDevice):
    """Driver for asyncio."""

    open = Opener(_open)


async def probe() -> Found:
    """Detect a simulator by its frames, for a search."""
    await wait_for(lambda frame: frame.kind == KIND, "stream", _PROBE_S, "the stream")
    return Found("", "monoDrive IMU")


FAMILY: Final = Family(
    name="monodrive",
    title="IMU of the monoDrive simulator",
    bauds=(_BAUD,),
    wire=Wire(scanner(Layout()), LONGEST),
    packets=(IMU,),
    device=MonoDrive,
    async_device=AsyncMonoDrive,
    interpreter=lambda _: MonoDriveUnit(),
    probe=probe,
    is_networked=True,
)

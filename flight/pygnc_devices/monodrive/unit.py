"""What a driver knows of one simulated IMU: byte order, timer, unit of acceleration."""

import logging
import math
import struct
from typing import Final

from pygnc_devices.device_time import NS_PER_S, Unwrapper
from pygnc_devices.frames import DamageReason, Frame
from pygnc_devices.monodrive.framing import Order, header_order, likely_order, sums_right, unpack
from pygnc_devices.monodrive.packets import HEADERS, MPS2_PER_UNIT, TIMER_HZ, Layout, imu_packet
from pygnc_devices.procedure import Procedure
from pygnc_devices.reading import Reading, Stamp
from pygnc_devices.statistics import Counts
from pygnc_devices.units import STANDARD_GRAVITY_MPS2

_TICK_NS: Final = NS_PER_S / TIMER_HZ
_WRAP: Final = 1 << 32
_RESTART_NS: Final = 2 * NS_PER_S
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
        self._unwrapper = Unwrapper(_WRAP)
        self._host_ns: int | None = None
        self._last_count: int | None = None
        self._heard = 0

    def take(self, frame: Frame, stamp: Stamp, counts: Counts) -> Reading:
        """Return the reading of a frame; see `engine.Interpreter`."""
        header, order = header_order(frame.raw)
        body = frame.raw[header:]
        if self.layout.byte_order == "auto":
            self.order = likely_order(body, self.order)
        right = sums_right(body)
        if self.layout.checksum == "warn" and right is not None and self.order not in right:
            counts.damaged[DamageReason.CHECKSUM] += 1
            _log.warning("a frame of the IMU has a wrong sum; it is used all the same")
        _, time_stamp, game_time, *sample_count = struct.unpack(order + HEADERS[header], frame.raw[:header])
        words = struct.pack(">IfI6fIHi", time_stamp, game_time, *(sample_count or [0]), *unpack(body, self.order))
        values = dict(self._packet.decode(words)) | ({} if sample_count else {"sample_count": None})
        t_device_ns = self._time(int(unpack(body, self.order)[6]), None if self._is_recording else stamp.t_mono_ns)
        self._look_at_unit(body)
        lost = self._missing(sample_count)
        return Reading(self._packet, frame.raw, values, stamp.t_mono_ns, stamp.t_wall_ns, t_device_ns, lost)

    def reconnected(self) -> Procedure[None] | None:
        """Return None: the simulator streams by itself; see `engine.Interpreter`."""
        self._last_count = None
        return None

    def _time(self, ticks: int, host_ns: int | None) -> int:
        step = self._unwrapper.take(ticks, _TICK_NS, host_ns)
        elapsed_ns = None if host_ns is None or self._host_ns is None else host_ns - self._host_ns
        self._host_ns = host_ns
        if elapsed_ns is not None and step * _TICK_NS > elapsed_ns + _RESTART_NS:  # the game has begun anew
            self._unwrapper.total += max(1, round(elapsed_ns / _TICK_NS)) - step
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

"""Simulated IMU of monoDrive's simulator: frames with any of its headers and byte orders."""

import struct
from typing import Literal

from pygnc_instruments.simulators.unit import SimulatedUnit, motion

_TIMER_HZ = 19_660_800
_G = 9.80665
_FRAME_BYTES = 35


class MonoDriveSimulator(SimulatedUnit):
    """Simulated IMU of monoDrive's simulator; it ignores all input.

    Args:
        header: length of the header in bytes: 12 or 16, or 8 in datagrams.
        header_order: byte order of the header, as in `struct`.
        order: byte order of the frame, as in `struct`.
        fps: frames per second.
        has_checksum: True if frames contain their checksum; the real simulator writes 0.
        time_of_week_ms: GPS time of week of the first frame, ms.
    """

    def __init__(
        self,
        *,
        header: Literal[8, 12, 16] = 12,
        header_order: Literal["<", ">"] = "<",
        order: Literal["<", ">"] = ">",
        fps: float = 100.0,
        has_checksum: bool = True,
        time_of_week_ms: int = 345_600_000,
    ) -> None:
        super().__init__()
        self.datagram_bytes = header + _FRAME_BYTES
        self._header = header
        self._header_order = header_order
        self._order = order
        self._period_s = 1.0 / fps
        self._has_checksum = has_checksum
        self._time_of_week_ms = time_of_week_ms
        self._start_s = 0.0
        self._count = 0

    def _tick_s(self) -> float:
        return self._start_s + self._count * self._period_s

    def _tick(self) -> bytes:
        self._count += 1
        return self.frame((self._count - 1) * self._period_s)

    def _restart(self, now_s: float) -> None:
        self._start_s, self._count = now_s, 0

    def frame(self, t_s: float) -> bytes:
        """Return header and frame `t_s` seconds after the start of the game."""
        measured = motion(t_s)
        accel = [float(measured[f"accel_{axis}_mps2"]) / _G for axis in ("x", "y", "z")]
        rates = [float(measured[f"rate_{axis}_rad_s"]) for axis in ("x", "y", "z")]
        body = struct.pack(f"{self._order}B6fI", 0xC2, *accel, *rates, round(t_s * _TIMER_HZ) & 0xFFFFFFFF)
        total = sum(body) & 0xFFFF if self._has_checksum else 0
        tow_ms = self._time_of_week_ms + round(t_s * 1000)
        body += struct.pack(f"{self._order}Hi", total, tow_ms)
        words = (self._header + _FRAME_BYTES, tow_ms, t_s * 1000.0, self._count)
        header = struct.pack(f"{self._header_order}IIfI", *words)
        return (header[4:12] if self._header == 8 else header[: self._header]) + body

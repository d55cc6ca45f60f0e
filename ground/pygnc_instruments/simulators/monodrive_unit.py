"""Simulated IMU of monoDrive's simulator: frames with any of its headers and byte orders."""

import struct
from typing import Literal

from pygnc_instruments.simulators.unit import motion

_TIMER_HZ = 19_660_800
_G = 9.80665
_FRAME_BYTES = 35


class MonoDriveSimulator:
    """Simulated IMU of monoDrive's simulator; see `SimulatedUnit`. It ignores all input.

    Args:
        header: length of the header in bytes: 12 or 16, or 8 in datagrams.
        header_order: byte order of the header.
        order: byte order of the frame.
        fps: frames per second.
        has_checksum: whether frames contain their checksum; the real simulator writes 0.
        time_of_week_ms: time of week of the first frame.
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
        self.baud = 115200
        self.datagram_bytes = header + _FRAME_BYTES
        self._header = header
        self._header_order = header_order
        self._order = order
        self._period_s = 1.0 / fps
        self._has_checksum = has_checksum
        self._time_of_week_ms = time_of_week_ms
        self._start_s = 0.0
        self._count = 0

    def receive(self, octets: bytes, now_s: float) -> None:
        """Ignore the bytes."""

    def run(self, now_s: float) -> bytes:
        """Return the bytes sent up to now."""
        sent = []
        while self.next_s() <= now_s:
            sent.append(self.frame(self._count * self._period_s))
            self._count += 1
        return b"".join(sent)

    def next_s(self) -> float:
        """Return the time of the next frame."""
        return self._start_s + self._count * self._period_s

    def power_cycle(self, now_s: float) -> None:
        """Restart the game."""
        self._start_s, self._count = now_s, 0

    def frame(self, t_s: float) -> bytes:
        """Return header and frame at this time of the game."""
        measured = motion(t_s)
        accel = [float(measured[f"accel_{axis}_mps2"]) / _G for axis in ("x", "y", "z")]
        rates = [float(measured[f"rate_{axis}_rad_s"]) for axis in ("x", "y", "z")]
        body = struct.pack(f"{self._order}B6fI", 0xC2, *accel, *rates, round(t_s * _TIMER_HZ) & 0xFFFFFFFF)
        total = sum(body) & 0xFFFF if self._has_checksum else 0
        tow_ms = self._time_of_week_ms + round(t_s * 1000)
        body += struct.pack(f"{self._order}Hi", total, tow_ms)
        words: list[int | float] = [tow_ms, t_s * 1000.0]
        if self._header == 16:
            words.append(self._count)
        if self._header != 8:
            words.insert(0, self._header + _FRAME_BYTES)
        codes = {8: "If", 12: "IIf", 16: "IIfI"}[self._header]
        return struct.pack(self._header_order + codes, *words) + body

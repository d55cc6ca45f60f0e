"""Readings of devices, the device's continuous time, and statistics of a connection."""

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple, Self

import msgspec

from pygnc_devices.declaration import Record, Value
from pygnc_devices.framing import DamageReason, Scan

_RATE_WINDOW: Final = 64
"""Number of readings over which the rate is measured."""


class Stamp(NamedTuple):
    """Arrival time of bytes, ns: on this computer's monotonic clock, and on its wall clock since 1970 (UTC)."""

    t_mono_ns: int
    t_wall_ns: int

    @classmethod
    def now(cls) -> Self:
        """Return the current time."""
        return cls(time.monotonic_ns(), time.time_ns())

    @property
    def host_ns(self) -> int | None:
        """Time on the host's monotonic clock to compare a device's clock with, ns; None in a recording."""
        return self.t_mono_ns


class RecordedStamp(Stamp):
    """Time at which recorded bytes were read, which is not that of the measurement."""

    __slots__ = ()

    @property
    def host_ns(self) -> None:
        """See `Stamp`."""


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One measurement of a device.

    Attributes:
        packet: declaration of the packet: names, units, meaning, CSV columns.
        raw: frame as received; b"" for a further reading of the same frame.
        values: values by the names of `packet.fields`, in the units of the fields; None where the device has no value.
        t_mono_ns: arrival time on the monotonic clock of this computer, ns.
        t_wall_ns: arrival time on the wall clock of this computer, ns since 1970 (UTC). May jump.
        t_device_ns: time of the device's own clock since its first reading, ns, unwrapped; None if the device has no
            clock or the driver has not determined the tick of the clock yet. It continues over interruptions, see
            `continuity`.
        lost_before: number of readings missing before this reading.
        flags: reasons to doubt the values, named by the family; the values are published nevertheless.
        gap_ns: time since the previous reading of this kind of packet, ns, if the connection was interrupted in
            between; else 0.
        is_estimate: True if the step of `t_device_ns` to this reading, or `lost_before`, comes from the host's clock
            instead of the device's own count or clock.
    """

    packet: Record
    raw: bytes
    values: Mapping[str, Value | None]
    t_mono_ns: int
    t_wall_ns: int
    t_device_ns: int | None = None
    lost_before: int = 0
    flags: tuple[str, ...] = ()
    gap_ns: int = 0
    is_estimate: bool = False


@dataclass(slots=True)
class Statistics:
    """Statistics of a connection at one moment.

    Attributes:
        bytes_received: number of bytes received.
        frames: number of intact frames by kind.
        frame_bytes: bytes in intact frames; all other bytes are skipped, or still in the receive buffer.
        damaged: number of damaged ranges by reason; `checksum` is the number of wrong checksums.
        skipped_bytes: bytes outside intact frames.
        readings: number of readings published to subscribers.
        lost_readings: number of missing readings, by the device's own count or clock.
        refusals: number of requests that the device refused (NAK).
        timeouts: number of attempts without a response in time.
        reconnects: number of times that the port was reopened.
        queue_drops: number of readings that slow subscribers did not take in time.
        rate_hz: rate of the newest readings, Hz; None with fewer than two readings.
        age_s: age of the newest reading, s; None without a reading since the port was opened.
    """

    bytes_received: int = 0
    frames: dict[str, int] = field(default_factory=Counter)
    frame_bytes: int = 0
    damaged: dict[str, int] = field(default_factory=Counter)
    skipped_bytes: int = 0
    readings: int = 0
    lost_readings: int = 0
    refusals: int = 0
    timeouts: int = 0
    reconnects: int = 0
    queue_drops: int = 0
    rate_hz: float | None = None
    age_s: float | None = None


@dataclass(slots=True)
class Counters(Statistics):
    """Counters of an open connection; one thread writes them, `snapshot` may be called in any thread."""

    _times_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW))
    _newest_ns: int | None = None

    def add_scan(self, scan: Scan) -> None:
        """Count frames and damage."""
        for frame in scan.frames:
            self.frames[frame.kind] += 1
            self.frame_bytes += len(frame.raw)
        for damage in scan.damage:
            self.skipped_bytes += damage.stop - damage.start
            # The range of a wrong checksum is one byte; noise is counted once for each piece that the port returned.
            self.damaged[damage.reason] += 1

    def reject(self, octets: int, reason: DamageReason) -> None:
        """Count bytes as damaged that `add_scan` has counted as intact."""
        self.frame_bytes -= octets
        self.skipped_bytes += octets
        self.damaged[reason] += 1

    def add_reading(self, t_mono_ns: int, lost_before: int, time_ns: int | None) -> None:
        """Count a reading; `time_ns`, for the rate, is its arrival, or in a recording its device time."""
        self.readings += 1
        self.lost_readings += lost_before
        self._newest_ns = t_mono_ns
        if time_ns is not None:
            self._times_ns.append(time_ns)

    def add_reconnect(self) -> None:
        """Count a reconnection; the measurement of the rate starts again."""
        self.reconnects += 1
        self._times_ns.clear()
        self._newest_ns = None

    def snapshot(self) -> Statistics:
        """Return a copy of the counters, with the rate and the age of the readings."""
        times_ns, newest_ns = tuple(self._times_ns.copy()), self._newest_ns
        span_ns = times_ns[-1] - times_ns[0] if times_ns else 0
        copied: dict[str, Any] = {entry.name: getattr(self, entry.name) for entry in fields(Statistics)}
        copied |= {
            "frames": dict(self.frames.copy()),
            "damaged": {str(reason): count for reason, count in self.damaged.copy().items()},
            "rate_hz": (len(times_ns) - 1) * 1e9 / span_ns if span_ns > 0 else None,
            "age_s": None if newest_ns is None else (time.monotonic_ns() - newest_ns) / 1e9,
        }
        return Statistics(**copied)


NS_PER_S: Final = 1_000_000_000

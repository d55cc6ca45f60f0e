"""Readings of devices, and statistics of a connection."""

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from pygnc_devices.declaration import Record, Value
from pygnc_devices.framing import DamageReason, Scan

_RATE_WINDOW: Final = 64
"""Readings over which the rate is measured."""


class Stamp(NamedTuple):
    """Arrival of bytes, ns: on this computer's monotonic clock, and on its wall clock since 1970 (UTC)."""

    t_mono_ns: int
    t_wall_ns: int

    @classmethod
    def now(cls) -> Self:
        """Return the present time."""
        return cls(time.monotonic_ns(), time.time_ns())


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement.

    Attributes:
        packet: declaration of the packet: names, units, meaning, CSV columns.
        raw: the frame as received.
        values: by the names of `packet.fields`, in their units; None where the device has no value.
        t_mono_ns: arrival on the monotonic clock of this computer.
        t_wall_ns: arrival on the wall clock of this computer, since 1970 (UTC). May jump.
        t_device_ns: the device's own clock, unwrapped, since its first reading; None if the device has no clock or the
            driver does not know its tick yet.
        lost_before: readings missing before this one, by the device's own count or clock.
        flags: reasons to doubt the values, named by the family; the values are passed on all the same.
    """

    packet: Record
    raw: bytes
    values: Mapping[str, Value | None]
    t_mono_ns: int
    t_wall_ns: int
    t_device_ns: int | None = None
    lost_before: int = 0
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of a connection at one moment.

    Attributes:
        bytes_received: all bytes.
        frames: good frames by kind.
        frame_bytes: bytes in good frames. With the skipped bytes and the few in the receive buffer, these are all.
        damaged: damaged ranges by reason; `checksum` is the number of wrong checksums.
        skipped_bytes: bytes in no good frame.
        readings: readings published to subscribers.
        lost_readings: readings missing by the device's own count or clock.
        refusals: requests that the device refused (NAK).
        timeouts: attempts without an answer in time.
        reconnects: number of times that the port was reopened.
        queue_drops: readings that slow subscribers did not take in time.
        rate_hz: rate of the newest readings; None with fewer than two.
        age_s: age of the newest reading; None without one since the port was opened.
    """

    bytes_received: int
    frames: dict[str, int]
    frame_bytes: int
    damaged: dict[str, int]
    skipped_bytes: int
    readings: int
    lost_readings: int
    refusals: int
    timeouts: int
    reconnects: int
    queue_drops: int
    rate_hz: float | None
    age_s: float | None


@dataclass(slots=True)
class Counters:
    """Counters from which `Statistics` are made; one thread writes them."""

    bytes_received: int = 0
    frames: Counter[str] = field(default_factory=Counter)
    frame_bytes: int = 0
    damaged: Counter[str] = field(default_factory=Counter)
    skipped_bytes: int = 0
    readings: int = 0
    lost_readings: int = 0
    refusals: int = 0
    timeouts: int = 0
    reconnects: int = 0
    queue_drops: int = 0
    _arrivals_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW))

    def add_scan(self, scan: Scan) -> None:
        """Count frames and damage."""
        for frame in scan.frames:
            self.frames[frame.kind] += 1
            self.frame_bytes += len(frame.raw)
        for damage in scan.damage:
            self.skipped_bytes += damage.stop - damage.start
            # The range of a wrong checksum is one byte; noise is counted once for each piece that the port returned.
            self.damaged[damage.reason] += 1

    def add_unframed(self, octets: int, *, is_answer: bool) -> None:
        """Count bytes of a device without framing; those that no operation waits for are noise."""
        if is_answer:
            self.frames["answer"] += 1
            self.frame_bytes += octets
        else:
            self.skipped_bytes += octets
            self.damaged[DamageReason.NOISE] += 1

    def reject(self, octets: int, reason: DamageReason) -> None:
        """Count bytes as damaged that were counted as good frames one by one."""
        self.frame_bytes -= octets
        self.skipped_bytes += octets
        self.damaged[reason] += 1

    def add_reading(self, t_mono_ns: int, lost_before: int) -> None:
        """Count a reading."""
        self.readings += 1
        self.lost_readings += lost_before
        self._arrivals_ns.append(t_mono_ns)

    def add_reconnect(self) -> None:
        """Count a reconnection; the measurement of the rate starts again."""
        self.reconnects += 1
        self._arrivals_ns.clear()

    def snapshot(self) -> Statistics:
        """Return the present statistics."""
        arrivals = tuple(self._arrivals_ns.copy())
        span_ns = arrivals[-1] - arrivals[0] if arrivals else 0
        return Statistics(
            bytes_received=self.bytes_received,
            frames=dict(self.frames.copy()),
            frame_bytes=self.frame_bytes,
            damaged={str(DamageReason(reason)): count for reason, count in self.damaged.copy().items()},
            skipped_bytes=self.skipped_bytes,
            readings=self.readings,
            lost_readings=self.lost_readings,
            refusals=self.refusals,
            timeouts=self.timeouts,
            reconnects=self.reconnects,
            queue_drops=self.queue_drops,
            rate_hz=(len(arrivals) - 1) * 1e9 / span_ns if span_ns else None,
            age_s=(time.monotonic_ns() - arrivals[-1]) / 1e9 if arrivals else None,
        )

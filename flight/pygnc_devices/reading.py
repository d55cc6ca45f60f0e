"""A reading: what a device said, when, and what it means.

What a connection has seen so far.
"""

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pygnc_devices.declaration import Record, Value
from pygnc_devices.framing import DamageReason, Scan


class Stamp(NamedTuple):
    """When bytes arrived: of this computer's monotonic clock, and of its wall clock since 1970 (UTC)."""

    t_mono_ns: int
    t_wall_ns: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement.

    Attributes:
        packet: the declaration: names, units, meaning, CSV columns.
        raw: the frame as it came.
        values: by the names of `packet.fields`, in their units; None where the device says that it has none.
        t_mono_ns: arrival, monotonic clock of this computer.
        t_wall_ns: arrival, wall clock of this computer, since 1970 (UTC). May jump.
        t_device_ns: the device's own clock, unwrapped, since its first reading; None if it has none or the driver
            cannot tell its tick yet.
        lost_before: readings that the device's own count or clock says are missing before this one.
        flags: what makes it doubtful, in words of its family; the values are kept all the same.
    """

    packet: Record
    raw: bytes
    values: Mapping[str, Value | None]
    t_mono_ns: int
    t_wall_ns: int
    t_device_ns: int | None = None
    lost_before: int = 0
    flags: tuple[str, ...] = ()


_RATE_WINDOW: Final = 64


@dataclass(frozen=True, slots=True)
class Statistics:
    """A snapshot.

    Attributes:
        bytes_received: all of them.
        frames: good frames by kind.
        frame_bytes: bytes in them; with the skipped ones and the few that are still being looked at, all that came.
        damaged: damaged stretches by reason; `checksum` counts bad checksums.
        skipped_bytes: bytes in no good frame.
        readings: given to subscribers.
        lost_readings: missing by the device's own count or clock.
        refusals: requests that the device refused (NAK).
        timeouts: answers that did not come in time, each try counted.
        reconnects: how often the port was opened again.
        queue_drops: readings that slow subscribers did not fetch in time.
        rate_hz: of the newest readings; None with fewer than two.
        age_s: of the newest reading; None without one since the port was opened.
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
class Counts:
    """The books behind `Statistics`; one thread writes them."""

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

    def take_scan(self, scan: Scan) -> None:
        """Count frames and damage."""
        for frame in scan.frames:
            self.frames[frame.kind] += 1
            self.frame_bytes += len(frame.raw)
        for damage in scan.damage:
            self.skipped_bytes += damage.stop - damage.start
            # A checksum's range is one byte; noise may come in pieces, as the port gave it.
            self.damaged[damage.reason] += 1

    def take_back(self, octets: int, reason: DamageReason) -> None:
        """Count bytes as damaged that had passed as frames of their own, and are no good together."""
        self.frame_bytes -= octets
        self.skipped_bytes += octets
        self.damaged[reason] += 1

    def take_reading(self, t_mono_ns: int, lost_before: int) -> None:
        """Count a reading."""
        self.readings += 1
        self.lost_readings += lost_before
        self._arrivals_ns.append(t_mono_ns)

    def take_reconnect(self) -> None:
        """Count a return of the port; the rate is measured anew."""
        self.reconnects += 1
        self._arrivals_ns.clear()

    def snapshot(self) -> Statistics:
        """Return the state of now."""
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

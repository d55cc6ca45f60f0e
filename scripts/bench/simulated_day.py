"""Log of a simulated unit over simulated hours, with a cable that is unplugged at random.

Driver, engine and log are the real ones; their clock and the port are simulated, so that a day takes minutes. The clock
advances when the driver waits: for bytes, or before it tries to open the port again.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, NamedTuple, TypeAlias
from unittest.mock import patch

import polars as pl

from pygnc_devices.errors import PortError, PortGoneError
from pygnc_devices.family import Family
from pygnc_devices.subscriptions import Subscription
from pygnc_instruments.device.csv_log import CsvLog
from pygnc_instruments.simulators.unit import SimulatedUnit
from pygnc_system.wake_event import WakeEvent

Outages: TypeAlias = list[tuple[float, float]]
"""Beginning and end of each outage, s."""

_START_UTC_NS: Final = 1_772_366_400_000_000_000
_SHORTEST_S: Final = 0.3
_LONGEST_S: Final = 600.0
_MARGIN_S: Final = 30.0
_JITTER_S: Final = 0.008
"""Largest delay of the delivery of bytes."""
_WAITING: Final = 512
"""Readings that may wait for the log before the simulated time stops."""
_REAL_PAUSE_S: Final = 0.0005
_sleep: Final = time.sleep


class DayLog(NamedTuple):
    """Content of a log.

    Attributes:
        rows: number of rows.
        missing: sum of the column `lost_before`.
        sent: number of packets that the unit sent from the first to the last row.
        gaps: number of rows after an interruption.
        backward: number of rows whose time is before that of the previous row.
        files: number of files.
    """

    rows: int
    missing: int
    sent: int
    gaps: int
    backward: int
    files: int


def random_outages(count: int, duration_s: float, seed: int) -> Outages:
    """Return outages of 0.3 s to 10 min that do not overlap; their durations are log-uniform."""
    random = Random(seed)  # noqa: S311 - repeatable outages, no secrets
    slot_s = duration_s / count
    longest_s = min(_LONGEST_S, slot_s - 2.0 * _MARGIN_S)
    outages = []
    for number in range(count):
        length_s = _SHORTEST_S * (longest_s / _SHORTEST_S) ** random.random()
        start_s = number * slot_s + random.uniform(_MARGIN_S, slot_s - _MARGIN_S - length_s)
        outages.append((start_s, start_s + length_s))
    return outages


def log_day(  # noqa: PLR0917 - the conditions of a run
    unit: SimulatedUnit, family: Family, rate_hz: float, duration_s: float, outages: Outages, folder: Path, seed: int
) -> DayLog:
    """Log a unit whose cable is unplugged; it runs on meanwhile.

    Args:
        unit: the unit; it streams by itself.
        family: family of its driver.
        rate_hz: rate of its packets, Hz.
        duration_s: simulated duration, s.
        outages: times without a cable.
        folder: empty folder for the log.
        seed: seed of delays and cut frames.
    """
    line = _Line(unit, outages, Random(seed), duration_s)  # noqa: S311 - repeatable delays, no secrets
    arrivals_ns: list[int] = []
    with line.patched():
        device = family.device.open("simulated", family.bauds[0])  # type: ignore[attr-defined]
        log = CsvLog(folder, "day")
        line.reader = subscription = device.subscribe()
        while line.clock.now_s < duration_s or subscription.queue:
            reading = subscription.take(0.1)
            if reading is not None:
                log.write(reading)
                arrivals_ns = [*arrivals_ns[:1], reading.t_mono_ns]
        line.is_closing = True
        device.close()
        log.close()
    files = list(folder.iterdir())
    frame = pl.read_csv(
        files[0], comment_prefix="#", columns=["time", "lost_before", "gap"], schema_overrides={"gap": pl.Float64}
    )
    return DayLog(
        rows=frame.height,
        missing=int(frame["lost_before"].sum()),
        sent=1 + round((arrivals_ns[-1] - arrivals_ns[0]) * 1e-9 * rate_hz),
        gaps=int((frame["gap"] > 0).sum()),
        backward=int((frame["time"].diff() < 0.0).sum()),
        files=len(files),
    )


@dataclass(slots=True)
class _Clock:
    """Simulated clock; only the thread of the driver advances it."""

    now_s: float = 0.0

    def advance_to(self, at_s: float) -> None:
        self.now_s = max(self.now_s, at_s)

    def monotonic_ns(self) -> int:
        return round(self.now_s * 1e9)

    def time_ns(self) -> int:
        return _START_UTC_NS + self.monotonic_ns()


@dataclass
class _Line:
    """Port at whose other end is the unit."""

    unit: SimulatedUnit
    outages: Outages
    random: Random
    ends_s: float
    """Time at which the clock stops until all readings are in the log."""
    clock: _Clock = field(default_factory=_Clock)
    reader: Subscription | None = None
    is_closing: bool = False
    url: str = "simulated"
    is_recording: bool = False
    _rest: bytes = b""
    """Bytes that arrive before the next packet: the end of one that was cut."""

    @contextlib.contextmanager
    def patched(self) -> Iterator[None]:
        """Let all devices use this port and its clock."""
        clock = self.clock

        class Wakening(WakeEvent):
            def wait(self, timeout_s: float | None) -> bool:
                if super().wait(0.0):
                    return True
                clock.advance_to(clock.now_s + (timeout_s or 0.0))
                return False

        with (
            patch("pygnc_devices.engine.open_port", self.open),
            patch("pygnc_devices.engine.WakeEvent", Wakening),
            patch("time.monotonic", lambda: clock.now_s),
            patch("time.monotonic_ns", clock.monotonic_ns),
            patch("time.time_ns", clock.time_ns),
        ):
            yield

    def open(self, _: str, __: int) -> "_Line":
        """Open the port, unless the cable is unplugged."""
        now_s = self.clock.now_s
        if self.outages and now_s >= self.outages[0][0]:
            if now_s < self.outages[0][1]:
                raise PortError("unplugged")
            self.outages = self.outages[1:]
            lost = self.unit.run(now_s)
            self._rest = lost[-self.random.randrange(1, 20) :] if self.random.random() < 0.5 and lost else b""
        return self

    def read(self, timeout_s: float) -> bytes:
        while self._must_wait():
            _sleep(_REAL_PAUSE_S)
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        due_s = self.unit.next_s() + self.random.uniform(0.0, _JITTER_S)
        end_s = min(self.clock.now_s + timeout_s, max(due_s, self.clock.now_s))
        if self.outages and end_s >= self.outages[0][0]:
            self.clock.advance_to(self.outages[0][0])
            raise PortGoneError("unplugged")
        self.clock.advance_to(end_s)
        octets = self.unit.run(end_s)
        if self.outages and octets and self.outages[0][0] < self.unit.next_s():  # the last packet may be cut
            octets = octets[: self.random.randrange(1, len(octets) + 1)]
        return octets

    def _must_wait(self) -> bool:
        if self.is_closing:
            return False
        return self.reader is None or self.clock.now_s >= self.ends_s or len(self.reader.queue) > _WAITING

    def write(self, octets: bytes) -> None:
        self.unit.receive(octets, self.clock.now_s)

    def set_baud(self, _: int) -> None:
        """Do nothing: the line is simulated."""

    def wake(self) -> None:
        """Do nothing: `read` never waits in real time."""

    def close(self) -> None:
        """Do nothing: the unit runs on."""

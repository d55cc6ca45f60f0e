"""Faults of disks: full, without inodes, failing, read-only, cut off from power."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

from pygnc.formats.status import Phase, Value
from tests.e2e.conftest import Flight
from tests.e2e.linked_flight import RECORDS, LinkedFlight, stream, time_of
from tests.fakes.small_disk import DyingDisk, disk_of, dying_disk_of, fill, fill_inodes
from tests.faults.fault import LONGEST_S, SETTLING_S, Fault, Flown, kill_all

LIVE_RECORDS: Final = 6
_FULL_MAX_S: Final = 0.3
"""Latest moment at which a disk becomes full, s: a fast computer has nothing left to write after 0.5 s."""


class FullDisk(Fault):
    """A disk that becomes full during the batch, and that is freed again in one of two cases."""

    name = "enospc"
    reported_by = frozenset({"DISK", "not_recorded", "batch_not_written"})
    codes = frozenset({0, 5})
    limits_recording = True

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with disk_of(folder / "home", "4m") as home:
            yield home, ()

    def start(self, flight: Flight) -> None:
        with (flight.home / "pygnc.toml").open("a") as settings:
            settings.write("[logs]\nreserve_bytes = 0\n")
        self._free = self.dice.randint(50_000, 500_000)
        (flight.home / "ballast").write_bytes(bytes(4_000_000 - len(self.produced.sense) - self._free))
        super().start(flight)

    def inject(self, flight: Flight) -> str:
        at = self.moment(flight, _FULL_MAX_S)
        fill(flight.home / "filler")
        injected = f"disk full after {at}"
        if self.dice.random() < 0.5:
            return injected
        flight.until_phase(Phase.IDLE, LONGEST_S)
        flight.until(lambda: int(flight.status()["not_recorded"]) > 0, LONGEST_S)
        (flight.home / "filler").unlink()
        (flight.home / "ballast").unlink()
        flight.until(lambda: flight.status()["not_recorded"] == 0, LONGEST_S)
        return f"{injected}, freed after the batch"


class Inodes(Fault):
    """A file system without inodes."""

    name = "inodes"
    codes = frozenset({0, 5})
    limits_recording = True

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with disk_of(folder / "home", f"40m,nr_inodes={self.dice.randint(30, 50)}") as home:
            yield home, ()

    def inject(self, flight: Flight) -> str:
        at = self.moment(flight)
        fill_inodes(flight.home)
        flight.until_phase(Phase.IDLE, LONGEST_S)
        newest = int(flight.status()["generation"])
        flight.until(lambda: int(flight.status()["generation"]) > newest + 1, LONGEST_S)
        self.noticed = "status current"
        return f"no inode after {at}"


class DyingCard(Fault):
    """A card that fails while live packets arrive, and that is read after the run."""

    reported_by = frozenset({"DISK"})
    codes = frozenset({5})
    limits_recording = True
    exact = ()
    live_records = LIVE_RECORDS
    failing: ClassVar[str]

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        self.produced = self.produced.without_last(LIVE_RECORDS)
        self._first = RECORDS - LIVE_RECORDS

    @contextmanager
    def flight(self, folder: Path) -> Iterator[Flight]:
        with dying_disk_of(folder / "card", "8M") as self._disk:
            self.produced.write(self._disk.folder)
            with (self._disk.folder / "pygnc.toml").open("a") as settings:
                settings.write("[logs]\nreserve_bytes = 0\n")
            self._disk.sync()
            flight = LinkedFlight(self._disk.folder)
            try:
                yield flight
            finally:
                flight.stop_hard()
                flight.host.close()

    def fly(self, flight: Flight) -> Flown:
        assert isinstance(flight, LinkedFlight)
        host = flight.connect("10", str(time_of(self._first)))
        flight.until_phase(Phase.IDLE, LONGEST_S)
        before = self.dice.randrange(LIVE_RECORDS)
        stream(host, range(self._first, self._first + before))
        pause_s = self.dice.choice((0.0, 0.5, SETTLING_S))
        go_on_s = time.monotonic() + pause_s
        host.run(lambda: time.monotonic() > go_on_s)
        synced = len(flight.inputs()) if pause_s == SETTLING_S else 0
        getattr(self._disk, self.failing)()
        stream(host, range(self._first + before, RECORDS))
        newest: dict[str, Value] = {}

        def has_used_all() -> bool:
            newest.update(flight.status_over_line())
            fixes = self.produced.records["fixes"] + LIVE_RECORDS
            return newest["fixes_received"] == fixes and int(newest["not_recorded"]) > 0

        host.run(has_used_all, LONGEST_S)
        settled_s = time.monotonic() + SETTLING_S
        host.run(lambda: time.monotonic() > settled_s)
        newest = flight.status_over_line()
        began_s = time.monotonic()
        flight.signal(signal.SIGINT)
        code = flight.until_ended()
        stop_s = time.monotonic() - began_s
        self._disk.remount()
        assert len(flight.inputs()) >= synced, "records older than a second are lost"
        injected = f"{self.name.upper()} after {before} of {LIVE_RECORDS} live records and {pause_s:g} s"
        return Flown(injected, code, newest, stop_s, host.heard.decode(errors="replace"))


class Eio(DyingCard):
    """Every access to the card fails with EIO; what was not yet written by the system is gone."""

    name = "eio"
    failing = DyingDisk.fail.__name__


class Erofs(DyingCard):
    """The file system of the card turns read-only."""

    name = "erofs"
    failing = DyingDisk.turn_read_only.__name__


class PowerCut(Fault):
    """A power cut during the batch, or after it; the card keeps what it has synced. Then a second run."""

    name = "power_cut"

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with dying_disk_of(folder / "card", "8M") as self._disk:
            yield self._disk.folder, ()

    def start(self, flight: Flight) -> None:
        self._disk.sync()
        super().start(flight)

    def inject(self, flight: Flight) -> str:
        is_idle = self.dice.random() < 0.5
        if is_idle:
            flight.until_phase(Phase.IDLE, LONGEST_S)
            flight.until_elapsed(SETTLING_S)
            at = "in the phase idle"
        else:
            at = f"after {self.moment(flight)}"
        before = flight.inputs()
        self._disk.fail()
        kill_all(flight)
        self._disk.remount()
        kept = flight.inputs() if (flight.home / "pygnc_logs").exists() else []
        assert kept == before[: len(kept)], "the journal is damaged"
        assert not is_idle or kept == before, "records older than a second are lost"
        if kept != before:
            raw = sum(len(getattr(message, "raw", b"")) for message in before[len(kept) :])
            self.lost["records of the first run's last second"] = (raw, len(before) - len(kept))
        self.start_again(flight)
        return f"power cut {at}, second run"

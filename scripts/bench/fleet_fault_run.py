"""Fleet fault run: stations and a server through a day of copied cards, restored backups, kills and full disks.

Time is simulated: each station stores a quarter of an hour of readings and uploads them in a process that may be
killed. Every reading contains the rank and the sequence number of its origin, so that each acknowledged reading is
found exactly once on the server, or is accounted for: on no card and not on the server after one of them was restored,
or in the list of refused readings.
"""

import contextlib
import errno
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from pygnc_station.backup.archive import found_backup, restore_database, write_backup
from pygnc_station.errors import StationError, StoreError, TransferError
from pygnc_station.server.access import new_pin, register, visit
from pygnc_station.server_settings import Serve
from pygnc_station.settings import Batches, StationSettings, Upload
from pygnc_station.store.batches import BatchState, batches, retry_rejected
from pygnc_station.store.readings import Column, Layout, NewReading, clock_ms, to_text
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.station_server import writing_key
from pygnc_station.upload.uploader import sender_of, upload_all
from scripts.bench.table import Row

DAY_S: Final = 86_400
LAYOUT: Final = Layout("S1", (Column("origin"), Column("sequence")))
_MARGIN_ROUNDS: Final = 4
"""Rounds without faults at the begin and at the end."""
_PATIENCE_S: Final = 30.0
_LEFT_BYTES: Final = 65_536
"""Room that is left on a full disk."""
Identity: TypeAlias = tuple[int, int]
"""Rank of the card that a reading was first stored on, and its sequence number there."""


class Plan(NamedTuple):
    """Size and faults of a run.

    Attributes:
        stations: stations at the begin.
        days: simulated time.
        round_s: simulated time between uploads.
        interval_s: interval of the readings of a station.
        faults: number of faults by kind.
        clock_jump_s: longest change of a station's clock.
        saved: probability that a station makes a backup in a round.
        uploads: probability that a station uploads in a round.
        disk_bytes: size of the disk of all files.
    """

    stations: int
    days: int
    round_s: int
    interval_s: int
    faults: Mapping[str, int]
    clock_jump_s: int
    saved: float
    disk_bytes: int
    uploads: float = 1.0

    @property
    def rounds(self) -> int:
        """Number of rounds."""
        return self.days * DAY_S // self.round_s


DAY: Final = Plan(
    stations=6,
    days=1,
    round_s=900,
    interval_s=5,
    faults={
        "cards cloned with their keys": 3,
        "cards cloned and registered anew": 3,
        "backups restored": 8,
        "registrations with the old key": 6,
        "registrations after the key was lost": 6,
        "kill -9 of an upload": 40,
        "kill -9 of the server": 12,
        "full disks": 8,
        "clock jumps": 24,
    },
    clock_jump_s=3600,
    saved=0.1,
    disk_bytes=400_000_000,
)


class Station:
    """A station: its folder with store, key and batches, and the readings that its store has acknowledged."""

    def __init__(self, folder: Path, rank: int, name: str, url: str) -> None:
        self.folder, self.rank, self.name, self.url = folder, rank, name, url
        self.waiting: list[Identity] = []
        """Readings that the store has not acknowledged, as in the memory of a logger."""
        self.acknowledged: list[Identity] = []
        self.clock_offset_ms = 0
        self.backup: int | None = None
        """Number of acknowledged readings at the last backup."""
        self._logged = 0
        self._store: Store | None = None

    @property
    def settings(self) -> StationSettings:
        """Settings of the station."""
        upload = Upload(url=self.url, timeout_s=5.0)
        return StationSettings(name=self.name, folder=str(self.folder), batches=Batches(type="S1"), upload=upload)

    @property
    def store(self) -> Store:
        """The store of the station, which stays open as that of a logger."""
        if self._store is None:
            self._store = Store.open(str(self.folder / "readings.db"))
        return self._store

    def close(self) -> None:
        """Close the store, before the card is copied or exchanged."""
        if self._store is not None:
            self._store.close()
        self._store = None

    def log(self, count: int, start_ms: int, interval_s: int) -> None:
        """Store readings that are waiting, and new ones, as one transaction."""
        self.waiting += [(self.rank, self._logged + each) for each in range(count)]
        self._logged += count
        start_ms += self.clock_offset_ms
        new = [
            NewReading(start_ms + rank * interval_s * 1000, 0, 0, "", to_text(identity), None)
            for rank, identity in enumerate(self.waiting)
        ]
        with contextlib.suppress(StoreError):
            self.store.append(self.store.stream("imu", LAYOUT, family="ucb"), new)
            self.acknowledged += self.waiting
            self.waiting = []

    def save(self, now_ms: int | None = None) -> None:
        """Make a backup of the card: an image of it, or at a time as `pygnc station backup` does."""
        image, zips = (self.folder.with_suffix(suffix) for suffix in (".image", ".backups"))
        for old in (image, zips):
            shutil.rmtree(old, ignore_errors=True)
        if now_ms is None:
            self.close()
            shutil.copytree(self.folder, image)
        else:
            write_backup(self.settings, self.folder / "station.toml", str(zips), now_ms)
        self.backup = len(self.acknowledged)

    def restore(self) -> list[Identity]:
        """Put the backup on the card; return the readings that were stored since.

        An image replaces the card. A backup of the command is restored while programs use the store.
        """
        image, zips = (self.folder.with_suffix(suffix) for suffix in (".image", ".backups"))
        if zips.exists():
            with found_backup(self.settings, str(zips), clock_ms()) as path:
                restore_database(self.settings, path)
        else:
            key = (self.folder / "gateway_key.txt").read_bytes()  # a key does not grow old on the card
            self.close()
            shutil.rmtree(self.folder)
            shutil.copytree(image, self.folder)
            (self.folder / "gateway_key.txt").write_bytes(key)
        return self.acknowledged[self.backup :]


class FleetFaultRun:
    """Fleet with faults; by default a day, with processes that are killed.

    Args:
        folder: folder of all files.
        plan: size and faults.
        seed: seed of the faults and their times.
    """

    def __init__(self, folder: Path, plan: Plan = DAY, seed: int = 1) -> None:
        self.folder = folder
        self.plan = plan
        self.dice = random.Random(seed)  # noqa: S311 - repeatable faults
        self.done: Counter[str] = Counter()
        self.stations: list[Station] = []
        self.server: subprocess.Popen[bytes] | None = None
        self.start_ms = clock_ms() - (plan.days + 1) * DAY_S * 1000
        self.lost: set[Identity] = set()
        """Acknowledged readings that were nowhere after a restoration."""
        self.filler = folder / "filler"

    def run(self) -> Iterator[Row]:
        """Simulate the time, and yield the results."""
        started_s = time.monotonic()
        with _small_disk(self.folder, self.plan.disk_bytes) as is_small:
            yield from self._simulate(started_s, is_small=is_small)

    def _simulate(self, started_s: float, *, is_small: bool) -> Iterator[Row]:
        plan = self.plan
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.central().close()
        self.start_server()
        for rank in range(plan.stations):
            self._add(f"station {rank}")
        timetable: dict[int, list[str]] = {}
        for fault, count in plan.faults.items():
            for _ in range(count if fault != "full disks" or is_small else 0):
                at = self.dice.randrange(_MARGIN_ROUNDS, plan.rounds - _MARGIN_ROUNDS)
                timetable.setdefault(at, []).append(fault)
        for number in range(plan.rounds):
            self.round(number, timetable.get(number, []))
        refused = self._send_the_rest()
        self.stop_server(signal.SIGTERM)
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.done.items()))
        what = f"{plan.days} days of {plan.stations} stations, {len(self.stations)} at the end; {faults}"
        yield Row(what, f"{time.monotonic() - started_s:.0f} s")
        yield from self.results(refused)
        for station in self.stations:
            station.close()

    def round(self, number: int, faults: list[str]) -> None:
        """Simulate the time between two uploads: readings, faults, uploads."""
        plan = self.plan
        start_ms = self.start_ms + number * plan.round_s * 1000
        for station in self.stations:
            station.log(plan.round_s // plan.interval_s, start_ms, plan.interval_s)
        for fault in faults:
            self.fault(fault)
        is_full = "full disks" in faults
        if is_full:
            self._fill_disk()
            for station in self.stations:
                station.log(1, start_ms + (plan.round_s - plan.interval_s) * 1000, plan.interval_s)
        self._upload_all(faults)
        if is_full:
            self.filler.unlink()
        for station in self.stations:
            if self.dice.random() < plan.saved:
                self.save(station)

    def _upload_all(self, faults: list[str]) -> None:
        victims = self.dice.sample(self.stations, min(faults.count("kill -9 of an upload"), len(self.stations)))
        for station in self.stations:
            if self.dice.random() < self.plan.uploads:
                self.upload(station, is_killed=station in victims)
            if "kill -9 of the server" in faults and station is self.stations[0]:
                self.stop_server(signal.SIGKILL)
                self.start_server()

    def fault(self, fault: str) -> None:
        """Cause a fault; those of uploads, servers and disks happen during the uploads of the round."""
        station = self.dice.choice(self.stations)
        if fault == "backups restored":
            saved = [one for one in self.stations if one.backup is not None]
            if not saved:
                return
            self.note_lost(self.dice.choice(saved).restore())
        elif fault.startswith("cards cloned"):
            clone = self._clone(station)
            if "anew" in fault:
                clone.name = f"clone {clone.rank}"
                self.register(clone, "")
        elif fault == "registrations with the old key":
            self.register(station, "")
        elif fault == "registrations after the key was lost":
            self._lose_key(station)
        elif fault == "clock jumps":
            jump_s = self.dice.choice((-1, 1)) * self.dice.randrange(10, self.plan.clock_jump_s)
            station.clock_offset_ms += jump_s * 1000
        self.done[fault] += 1

    def save(self, station: Station) -> None:
        """Make a backup of a station's card."""
        station.save()

    def note_lost(self, doubtful: Iterable[Identity]) -> None:
        """Record which of the readings are neither on the server nor on any card, after one of them was restored."""
        lost = set(doubtful)
        for path in (self.folder / "central.db", *(each.folder / "readings.db" for each in self.stations)):
            if not lost:
                return
            lost -= set(identities(path))
        self.lost |= lost

    def _lose_key(self, station: Station) -> None:
        lost = (station.folder / "gateway_key.txt").read_bytes()
        with self.central() as central:
            gateway = self.gateway_of(station, central)
        (station.folder / "gateway_key.txt").unlink()
        self.register(station, str(gateway))
        self.give_key(station, lost)

    def give_key(self, station: Station, lost: bytes) -> None:
        """Copy the new key of a station to the copies of its card, as the operator does."""
        for copy in self.stations:
            if (copy.folder / "gateway_key.txt").read_bytes() == lost:
                shutil.copy(station.folder / "gateway_key.txt", copy.folder)

    def _add(self, name: str) -> None:
        rank = len(self.stations)
        station = Station(self.folder / name.replace(" ", "_"), rank, name, f"http://127.0.0.1:{self.port}")
        station.folder.mkdir()
        self.register(station, "")
        self.stations.append(station)

    def _clone(self, station: Station) -> Station:
        rank = len(self.stations)
        clone = Station(self.folder / f"clone_{rank}", rank, station.name, station.url)
        station.close()
        shutil.copytree(station.folder, clone.folder)
        clone.clock_offset_ms = station.clock_offset_ms
        self.stations.append(clone)
        return clone

    def register(self, station: Station, gateway: str) -> None:
        """Register in the server's store, because the operation of the server limits the attempts per minute."""
        file = station.folder / "gateway_key.txt"
        old_key = file.read_text().strip() if file.exists() else ""
        with self.central() as central:
            pin = new_pin(central, clock_ms(), 5, gateway)
            key = register(central, pin, "0", station.name, clock_ms(), old_key=old_key)
        with writing_key(file) as write:
            write(str(key))

    def gateway_of(self, station: Station, central: Store) -> int:
        """Return the id of the gateway whose key a station has, 0 if there is none."""
        key = (station.folder / "gateway_key.txt").read_text().strip()
        return visit(central, key, clock_ms()) or 0

    def upload(self, station: Station, *, is_killed: bool = False) -> None:
        """Upload in another process, which is killed after a random time if `is_killed`."""
        station.close()  # SQLite forbids the use of a database that was opened before a fork
        process = multiprocessing.get_context("fork").Process(target=send, args=(station.settings, clock_ms()))
        process.start()
        if is_killed:
            process.join(self.dice.uniform(0.0, 0.15))
            process.kill()
        process.join()

    def _send_the_rest(self) -> dict[str, str]:
        """Upload until nothing waits; return what is refused at the end, with reasons."""
        end_s = time.monotonic() + 6 * _PATIENCE_S
        while time.monotonic() < end_s:
            is_waiting = False
            for station in self.stations:
                station.log(0, self.start_ms + self.plan.days * DAY_S * 1000, self.plan.interval_s)
                self.upload(station)
                is_waiting |= any(one.state is not BatchState.ACCEPTED for one in batches(station.store, *BatchState))
                for batch in batches(station.store, BatchState.REJECTED):
                    retry_rejected(station.store, batch.name)
            if not is_waiting:
                break
        return {
            f"{station.name}: {one.name}": one.reason
            for station in self.stations
            for one in batches(station.store, BatchState.REJECTED)
        }

    def results(self, refused: dict[str, str]) -> Iterator[Row]:
        """Compare what the stores have acknowledged with what the server has, by origin and sequence number."""
        arrived = Counter(identities(self.folder / "central.db"))
        acknowledged = set(chain.from_iterable(station.acknowledged for station in self.stations))
        lost = acknowledged - arrived.keys()
        missing = sorted(lost - self.lost)
        doubled = sum(count - 1 for count in arrived.values())
        yield Row("readings acknowledged by the stores", str(len(acknowledged)))
        yield Row("of these neither on the server nor on a card after a restoration", str(len(lost & self.lost)))
        yield Row("refused at the end", "; ".join(refused.values()) or "0")
        first = f", the first is {missing[0]}" if missing else ""
        counts = f"{len(arrived)}; missing {len(missing)}{first}, duplicated {doubled}"
        yield Row("readings on the server", counts, "each once", not (missing or doubled))

    def central(self) -> Store:
        """Open the store of the server."""
        return Store.open(str(self.folder / "central.db"))

    def start_server(self) -> None:
        """Start the server in a process of its own."""
        words = [sys.executable, "-m", "scripts.bench.fleet_fault_run", str(self.folder), str(self.port)]
        self.server = subprocess.Popen(words)
        end_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            time.sleep(0.02)
        raise TimeoutError("the server does not start")

    def stop_server(self, number: signal.Signals) -> None:
        """Stop the server by a signal."""
        if self.server is not None:
            self.server.send_signal(number)
            self.server.wait()

    def _fill_disk(self) -> None:
        left = _LEFT_BYTES
        with self.filler.open("wb") as file:
            while True:
                free = shutil.disk_usage(self.folder).free
                try:
                    os.posix_fallocate(file.fileno(), 0, max(1, free - left))
                except OSError as error:  # the server has written meanwhile
                    if error.errno != errno.ENOSPC:
                        raise
                    left *= 2
                else:
                    return


def identities(path: Path) -> Iterator[Identity]:
    """Yield the identities of all readings in a database, by SQL, because there are many."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for (content,) in connection.execute("SELECT content FROM readings"):
            rank, sequence = json.loads(content)
            yield rank, sequence


@contextlib.contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mount a small file system in memory over the folder, if this user may; yield whether it is there."""
    mount = ["/bin/mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


def send(settings: StationSettings, now_ms: int) -> None:
    """Make a batch and upload what waits, as the timers of a station do; failures are left to the next time."""
    with (
        contextlib.suppress(StationError, StoreError, TransferError, OSError),
        Store.open(settings.store_url) as store,
    ):
        make_batch(store, settings, now_ms)
        with contextlib.closing(sender_of(settings)) as sender:
            upload_all(store, settings, sender, now_ms)


def main() -> None:
    """Run the server; arguments are the folder of the run and the port."""
    from pygnc_station.server.application import serve  # noqa: PLC0415 - only the server needs it

    folder, port = sys.argv[1:]
    settings = StationSettings(folder=folder, serve=Serve(port=int(port), folder="server"))
    with Store.open(f"{folder}/central.db") as store:
        serve(settings, store, lambda _: None)


if __name__ == "__main__":
    main()

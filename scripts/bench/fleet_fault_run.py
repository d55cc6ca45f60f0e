"""Fleet fault run: stations and a server through a day of copied cards, restored backups, kills and full disks.

Time is simulated: each station stores a quarter of an hour of readings and uploads them in a process that may be
killed. Every value is unique, so that each acknowledged reading is found exactly once on the server, or is accounted
for: lost with the card before it was uploaded, or in the list of refused readings.
"""

import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pygnc_station.errors import StationError, StoreError, TransferError
from pygnc_station.server.access import gateway_of, list_gateways, new_pin, register
from pygnc_station.server_settings import Serve
from pygnc_station.settings import Batches, StationSettings, Upload
from pygnc_station.store import query
from pygnc_station.store.batches import BatchState, batches, retry_rejected
from pygnc_station.store.readings import Column, Layout, NewReading, clock_ms, to_text
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.station_server import writing_key
from pygnc_station.upload.uploader import sender_of, upload_all
from scripts.bench.table import Row

STATIONS: Final = 6
ROUND_S: Final = 900
DAY_S: Final = 86_400
INTERVAL_S: Final = 5
FAULTS: Final = {
    "cards cloned with their keys": 3,
    "cards cloned and registered anew": 3,
    "backups restored": 8,
    "registrations with the old key": 6,
    "registrations after the key was lost": 6,
    "kill -9 of an upload": 40,
    "kill -9 of the server": 12,
    "full disks": 8,
    "clock jumps": 24,
}
LAYOUT: Final = Layout("S1", (Column("value"),))
_DAY_START_MS: Final = clock_ms() - 2 * DAY_S * 1000
_DISK_BYTES: Final = 400_000_000
_PATIENCE_S: Final = 30.0


class Station:
    """A station: its folder with store, key and batches, and the values that its store has acknowledged."""

    def __init__(self, folder: Path, name: str, url: str) -> None:
        self.folder, self.name, self.url = folder, name, url
        self.waiting: list[int] = []
        """Values that the store has not acknowledged, as in the memory of a logger."""
        self.acknowledged: set[int] = set()
        self.clock_offset_ms = 0
        self.backup: set[int] | None = None

    @property
    def settings(self) -> StationSettings:
        """Settings of the station."""
        upload = Upload(url=self.url, timeout_s=5.0)
        return StationSettings(name=self.name, folder=str(self.folder), batches=Batches(type="S1"), upload=upload)

    def open(self) -> Store:
        """Open the store of the station."""
        return Store.open(str(self.folder / "readings.db"))

    def log(self, values: list[int], second: int) -> None:
        """Store values that are waiting, and new ones, as one transaction."""
        self.waiting += values
        start_ms = _DAY_START_MS + second * 1000 + self.clock_offset_ms
        new = [
            NewReading(start_ms + rank * INTERVAL_S * 1000, 0, 0, "", to_text([value]), None)
            for rank, value in enumerate(self.waiting)
        ]
        with contextlib.suppress(StoreError), self.open() as store:
            store.append(store.stream("imu", LAYOUT, family="ucb"), new)
            self.acknowledged |= set(self.waiting)
            self.waiting = []

    def save(self) -> None:
        """Make a backup of the card."""
        shutil.rmtree(self.folder.with_suffix(".backup"), ignore_errors=True)
        shutil.copytree(self.folder, self.folder.with_suffix(".backup"))
        self.backup = set(self.acknowledged)


class FleetFaultRun:
    """Day of a fleet with faults.

    Args:
        folder: folder of all files.
        seed: seed of the faults and their times.
    """

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.folder = folder
        self.dice = random.Random(seed)  # noqa: S311 - repeatable faults
        self.done: Counter[str] = Counter()
        self.stations: list[Station] = []
        self.server: subprocess.Popen[bytes] | None = None
        self.logged = 0
        self.lost_with_card: set[int] = set()
        self.filler = folder / "filler"

    def run(self) -> Iterator[Row]:
        """Simulate the day, and yield its results."""
        started_s = time.monotonic()
        with _small_disk(self.folder) as is_small:
            yield from self._day(started_s, is_small=is_small)

    def _day(self, started_s: float, *, is_small: bool) -> Iterator[Row]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self._central().close()
        self._start_server()
        for rank in range(STATIONS):
            self._add(f"station {rank}")
        rounds = DAY_S // ROUND_S
        timetable: dict[int, list[str]] = {}
        for fault, count in FAULTS.items():
            for _ in range(count if fault != "full disks" or is_small else 0):
                timetable.setdefault(self.dice.randrange(4, rounds - 4), []).append(fault)
        for number in range(rounds):
            self._round(number, timetable.get(number, []))
        refused = self._send_the_rest()
        self._stop_server(signal.SIGTERM)
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.done.items()))
        what = f"24 h of {STATIONS} stations, {len(self.stations)} at the end; {faults}"
        yield Row(what, f"{time.monotonic() - started_s:.0f} s")
        yield from self._results(refused)

    def _round(self, number: int, faults: list[str]) -> None:
        """Simulate a quarter of an hour: readings, faults, uploads."""
        second = number * ROUND_S
        for station in self.stations:
            count = ROUND_S // INTERVAL_S
            station.log(list(range(self.logged, self.logged + count)), second)
            self.logged += count
        kills = faults.count("kill -9 of an upload")
        for fault in faults:
            self._fault(fault)
        if "full disks" in faults:
            self._fill_disk()
            for station in self.stations:
                station.log([self.logged], second + ROUND_S - INTERVAL_S)
                self.logged += 1
        victims = self.dice.sample(self.stations, min(kills, len(self.stations)))
        for station in self.stations:
            self._upload(station, is_killed=station in victims)
            if "kill -9 of the server" in faults and station is self.stations[0]:
                self._stop_server(signal.SIGKILL)
                self._start_server()
        if "full disks" in faults:
            self.filler.unlink()
        for station in self.stations:
            if self.dice.random() < 0.1:
                station.save()

    def _fault(self, fault: str) -> None:
        station = self.dice.choice(self.stations)
        if fault == "backups restored":
            saved = [one for one in self.stations if one.backup is not None]
            if not saved:
                return
            station = self.dice.choice(saved)
            self._restore(station)
        elif fault.startswith("cards cloned"):
            clone = self._clone(station)
            if "anew" in fault:
                clone.name = f"clone {len(self.stations)}"
                self._register(clone, "")
        elif fault == "registrations with the old key":
            self._register(station, "")
        elif fault == "registrations after the key was lost":
            with self._central() as central:
                (found,) = [one for one in list_gateways(central) if one.id == self._gateway_of(station, central)]
            lost = (station.folder / "gateway_key.txt").read_bytes()
            (station.folder / "gateway_key.txt").unlink()
            self._register(station, str(found.id))
            for copy in self.stations:  # the operator gives the new key to copies of the card too
                if (copy.folder / "gateway_key.txt").read_bytes() == lost:
                    shutil.copy(station.folder / "gateway_key.txt", copy.folder)
        elif fault == "clock jumps":
            station.clock_offset_ms += self.dice.choice((-1, 1)) * self.dice.randrange(10, 3600) * 1000
        self.done[fault] += 1

    def _add(self, name: str) -> Station:
        station = Station(self.folder / name.replace(" ", "_"), name, f"http://127.0.0.1:{self.port}")
        station.folder.mkdir()
        self._register(station, "")
        self.stations.append(station)
        return station

    def _clone(self, station: Station) -> Station:
        clone = Station(self.folder / f"clone_{len(self.stations)}", station.name, station.url)
        shutil.copytree(station.folder, clone.folder)
        clone.clock_offset_ms = station.clock_offset_ms
        self.stations.append(clone)
        return clone

    def _restore(self, station: Station) -> None:
        """Put the backup on the card; what was logged since and not uploaded is lost with the old card."""
        backup = station.backup or set()
        key = (station.folder / "gateway_key.txt").read_bytes()  # a key does not grow old on the card
        self.lost_with_card |= station.acknowledged - backup
        shutil.rmtree(station.folder)
        shutil.copytree(station.folder.with_suffix(".backup"), station.folder)
        (station.folder / "gateway_key.txt").write_bytes(key)

    def _register(self, station: Station, gateway: str) -> None:
        """Register in the server's store, because the operation of the server limits the attempts per minute."""
        file = station.folder / "gateway_key.txt"
        old_key = file.read_text().strip() if file.exists() else ""
        with self._central() as central:
            pin = new_pin(central, clock_ms(), 5, gateway)
            key = register(central, pin, "0", station.name, clock_ms(), old_key=old_key)
        with writing_key(file) as write:
            write(str(key))

    def _gateway_of(self, station: Station, central: Store) -> int:
        key = (station.folder / "gateway_key.txt").read_text().strip()
        with central.writes() as connection:
            return gateway_of(connection, key, clock_ms()) or 0

    def _upload(self, station: Station, *, is_killed: bool = False) -> None:
        process = multiprocessing.get_context("fork").Process(target=_upload, args=(station.settings,))
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
                station.log([], DAY_S)
                self._upload(station)
                with station.open() as store:
                    is_waiting |= any(one.state is not BatchState.ACCEPTED for one in batches(store, *BatchState))
                    for batch in batches(store, BatchState.REJECTED):
                        retry_rejected(store, batch.name)
            if not is_waiting:
                break
        found: dict[str, str] = {}
        for station in self.stations:
            with station.open() as store:
                found |= {f"{station.name}: {one.name}": one.reason for one in batches(store, BatchState.REJECTED)}
        return found

    def _results(self, refused: dict[str, str]) -> Iterator[Row]:
        with self._central() as central:
            arrived = Counter(
                int(json.loads(reading.content)[0])
                for stream in query.streams(central)
                for page in query.walk(central, stream)
                for reading in page
            )
            names = {stream.gadget_id for stream in query.streams(central)}
        acknowledged = set().union(*(station.acknowledged for station in self.stations))
        lost = acknowledged - set(arrived)
        with_card = len(lost & self.lost_with_card)
        unexplained = len(lost - self.lost_with_card)
        doubled = sum(count - 1 for count in arrived.values())
        yield Row("readings acknowledged by the stores", f"{len(acknowledged)}; gadgets on the server {len(names)}")
        yield Row("lost with a card that was not uploaded when its backup was restored", str(with_card))
        yield Row("refused at the end", "; ".join(refused.values()) or "0")
        counts = f"{len(arrived)}; missing {unexplained}, duplicated {doubled}"
        yield Row("readings on the server", counts, "each once", not (unexplained or doubled))

    def _central(self) -> Store:
        return Store.open(str(self.folder / "central.db"))

    def _start_server(self) -> None:
        words = [sys.executable, "-m", "scripts.bench.fleet_fault_run", str(self.folder), str(self.port)]
        self.server = subprocess.Popen(words)
        end_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            time.sleep(0.02)
        raise TimeoutError("the server does not start")

    def _stop_server(self, number: signal.Signals) -> None:
        if self.server is not None:
            self.server.send_signal(number)
            self.server.wait()

    def _fill_disk(self) -> None:
        free = shutil.disk_usage(self.folder).free
        with self.filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free - 65_536))


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[bool]:
    """Mount a small file system in memory over the folder, if this user may; yield whether it is there."""
    mount = ["/bin/mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "none", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


def _upload(settings: StationSettings) -> None:
    with contextlib.suppress(StationError, StoreError, TransferError, OSError), _opened(settings) as store:
        make_batch(store, settings, clock_ms())
        with contextlib.closing(sender_of(settings)) as sender:
            upload_all(store, settings, sender, clock_ms())


def _opened(settings: StationSettings) -> Store:
    return Store.open(str(Path(settings.folder) / "readings.db"))


def main() -> None:
    """Run the server; arguments are the folder of the run and the port."""
    from pygnc_station.server.application import serve  # noqa: PLC0415 - only the server needs it

    folder, port = sys.argv[1:]
    settings = StationSettings(folder=folder, serve=Serve(port=int(port), folder="server"))
    with Store.open(f"{folder}/central.db") as store:
        serve(settings, store, lambda _: None)


if __name__ == "__main__":
    main()

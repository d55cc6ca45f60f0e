"""Benchmarks of stations in docs/benchmarks: recorded vectors, store, batches, server, logger, a day of faults.

Usage: python -m scripts.bench.bench_station [--speed N]
           [--part vectors|store|batch|server|load|logger|writes|publish|page|init|flood|faults|fleet]

--speed: simulated seconds per second of the fault run; at 60 it takes 25 minutes and reads the counter every 83 ms.
Prints Markdown tables.
"""

import argparse
import contextlib
import json
import logging
import math
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import httpx
from selenium.webdriver import Chrome

from pygnc_devices.emus import framing as emus_framing
from pygnc_devices.emus.sentences import SENTENCES
from pygnc_devices.opc_n3 import framing as opc_framing
from pygnc_devices.opc_n3.packets import HISTOGRAM
from pygnc_instruments.simulators.emus_unit import EmusSimulator
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.opc_n3_unit import OpcN3Simulator
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator
from pygnc_station.server.access import new_pin, register
from pygnc_station.server.ingest import ingest
from pygnc_station.server.uploads import Uploads, UploadState
from pygnc_station.server_settings import GadgetSettings, Limits, Serve
from pygnc_station.settings import StationSettings
from pygnc_station.settings import Store as StoreSettings
from pygnc_station.settings_types import Location
from pygnc_station.store import query
from pygnc_station.store.batches import Batch, BatchState, batches, note_acceptance
from pygnc_station.store.hourly import update_hours
from pygnc_station.store.query import Span
from pygnc_station.store.readings import Layout, NewReading, StoredReading, clock_ms, iso_time, to_text
from pygnc_station.store.store import Store, append
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.station_server import StationSender
from scripts.bench.fleet_fault_run import FleetFaultRun
from scripts.bench.processes import ROOT, cpu_s, memory_mb, running
from scripts.bench.station_fault_run import FaultRun
from scripts.bench.table import Row, print_rows, select_parts
from tests.fakes.browser import chromium
from tests.fakes.mariadb import MariaDb
from tests.pygnc_devices.emus.vectors import SENTENCES as SHEET
from tests.pygnc_devices.opc_n3.vectors import HISTOGRAMS, INTACT
from tests.pygnc_station.server.samples import batch_of, server, station

READINGS: Final = 1_000_000
IN_A_BATCH: Final = 2_000
EVERY_MS: Final = 5_000
DAY_MS: Final = 86_400_000
START_MS: Final = 1_790_000_000_000
REPETITIONS: Final = 9
BATCH_READINGS: Final = 100_000
BINS: Final = 24
HISTOGRAM_BYTES: Final = 86
GATEWAYS: Final = 20
READINGS_PER_GATEWAY: Final = 2_000
LOADED: Final = 200
READINGS_PER_LOADED: Final = 360
"""An hour of a counter that is read every 10 s."""
READINGS_BEFORE: Final = 2
LOG_S: Final = 60.0
WARM_UP_S: Final = 20.0
WRITES_S: Final = 120.0
REPLAY_S: Final = 7200.0
WRITE_S: Final = int(StoreSettings().write_s)
DAY_S: Final = 86_400
GADGETS: Final = 200
YEAR_MS: Final = 365 * DAY_MS
PM_EVERY_MS: Final = 1_800_000
PM_LAYOUT: Final = Layout.of(HISTOGRAM)
IDLE_STREAMS: Final = 36
IDLE_S: Final = 30.0
LAYOUT: Final = Layout.of(SENTENCES["BV2"])
CONTENT: Final = "[0,0,8,3.39,3.33,3.33,3.33,3.33,3.34,3.33,3.35]"
DESCRIPTORS: Final = 1024
HALF_OPEN: Final = 900
RAW: Final = b"BV2,00,0000,08,8B85858585868587,93\r\n"


_PORT: Final = 18321
_URL: Final = f"http://127.0.0.1:{_PORT}"
_PYGNC: Final = str(Path(sys.executable).with_name("pygnc"))


class Taken(NamedTuple):
    """Wall-clock time and processor time of this process, in seconds."""

    wall_s: float
    own_s: float

    def __str__(self) -> str:
        return f"{1e3 * self.wall_s:.4g} ms; {1e3 * self.own_s:.3g} ms of processor time"


def main() -> None:
    """Run the selected measurements and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--speed", type=float, default=60.0, help="Simulated seconds per second of the fault run (default: 60)."
    )
    parts = {
        "vectors": vectors, "store": store, "batch": opc_batch, "server": gateways, "load": load, "logger": logger,
        "writes": writes, "publish": publish, "page": page, "init": first_reading, "flood": flood, "faults": faults,
        "fleet": fleet,
    }  # fmt: skip
    options, chosen = select_parts(parser, parts)
    logging.getLogger("pygnc_devices").setLevel(logging.CRITICAL)
    print_rows(chain.from_iterable(part(options.speed) for part in chosen))


def vectors(_: float) -> Iterator[Row]:
    """Check recorded histograms and sentences, and every single flipped bit."""
    right = sum(opc_framing.is_intact(octets) == (number in INTACT) for number, octets in HISTOGRAMS.items())
    yield Row("OPC-N3 vectors decoded or rejected correctly", f"{right} of {len(HISTOGRAMS)}", "5", right == 5)
    flips = rejected = 0
    for number in INTACT:
        for bit in range(8 * len(HISTOGRAMS[number])):
            octets = bytearray(HISTOGRAMS[number])
            octets[bit // 8] ^= 1 << bit % 8
            flips += 1
            rejected += (
                not opc_framing.is_intact(bytes(octets)) and not opc_framing.scan_histograms(bytes(octets)).frames
            )
    yield Row("single flipped bits in a histogram, rejected", f"{rejected} of {flips}", "all", rejected == flips)
    decoded = sum(_is_decoded(text) for text in SHEET)
    yield Row("EMUS sentences decoded", f"{decoded} of {len(SHEET)}", "30", decoded == len(SHEET) >= 30)


def _is_decoded(text: str) -> bool:
    (frame, *_) = emus_framing.scan(text.encode() + b"\r\n").frames
    values = SENTENCES[frame.kind].decode(frame.payload)
    return all(
        value == values[name] or (isinstance(value, float) and abs(value - float(values[name] or 0)) < 1e-9)
        for name, value in SHEET[text].items()
    )


def store(_: float) -> Iterator[Row]:
    """Measure inserts and queries with a million readings in SQLite and in MariaDB."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _measure_store("SQLite", str(Path(folder) / "readings.db"))
        yield _batch(Path(folder))
    with MariaDb() as database:
        yield from _measure_store("MariaDB", database.new_database())


def _measure_store(name: str, where: str) -> Iterator[Row]:
    with Store.open(where) as opened:
        stream = opened.stream("pack", LAYOUT)
        taken = _time(partial(_fill, opened, READINGS))
        rates = f"{READINGS / taken.wall_s:.0f}/s; {READINGS / taken.own_s:.0f}/s of processor time"
        yield Row(f"{name}: 1 million readings inserted", rates, "20000/s", READINGS / taken.wall_s >= 20_000)
        newest = _time(lambda: query.recent(opened, [stream], 10), REPETITIONS)
        yield Row(f"{name}: the 10 newest", str(newest), "50 ms", newest.wall_s <= 0.05)
        middle_ms = START_MS + READINGS // 2 * EVERY_MS
        day = Span(middle_ms, middle_ms + DAY_MS)
        whole = _time(lambda: query.between(opened, [stream], day), REPETITIONS)
        yield Row(f"{name}: a day, 17280 readings", str(whole), "50 ms", whole.wall_s <= 0.05)


def _batch(folder: Path) -> Row:
    with Store.open(str(folder / "batch.db")) as opened:
        _fill(opened, 100_000)
        taken = _time(lambda: make_batch(opened, StationSettings(folder=str(folder)), START_MS))
        (made,) = batches(opened)
    what = f"batch of {made.readings} readings, {made.bytes / 1e6:.1f} MB"
    return Row(what, str(taken), "3 s", taken.wall_s <= 3)


def opc_batch(_: float) -> Iterator[Row]:
    """Build a batch of a particle counter's readings, and accept it; then accept one of the same readings again."""
    layout = Layout.of(HISTOGRAM)
    dice = random.Random(1)  # noqa: S311 - repeatable values
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = StationSettings(folder=name)
        with Store.open(settings.store_url) as opened:
            stream = opened.stream("OPC_7", layout, family="opc_n3")
            for first in range(0, BATCH_READINGS, IN_A_BATCH):
                opened.append(stream, [_histogram(layout, rank, dice) for rank in range(first, first + IN_A_BATCH)])
            built = _time(lambda: make_batch(opened, settings, START_MS))
            (made,) = batches(opened)
        what = f"{made.readings} readings of an OPC-N3 with {len(layout.columns)} values each"
        yield Row(f"{what}: batch of {made.bytes / 1e6:.1f} MB built", str(built), "3 s", built.wall_s <= 3)
        path = settings.path(settings.batches.pending) / made.file_name
        with Store.open(str(folder / "central.db")) as central:
            register(central, new_pin(central, clock_ms(), 5), "0", "roof", clock_ms())
            for times in ("accepted by the server", "accepted again, all compared"):
                taken = _time(partial(_ingest, central, path, folder / "files"))
                yield Row(f"{what}: {times}", str(taken), "3 s", taken.wall_s <= 3)


def _histogram(layout: Layout, rank: int, dice: random.Random) -> NewReading:
    values = [
        dice.randrange(100) if place < BINS else round(dice.uniform(0, 50), 4) for place in range(len(layout.columns))
    ]
    return NewReading(START_MS + rank * EVERY_MS, 0, 0, "", to_text(values), dice.randbytes(HISTOGRAM_BYTES))


def _ingest(central: Store, path: Path, files: Path) -> None:
    with central.writes() as connection:
        ingest(connection, 1, path, files, limits=Limits())


def _fill(opened: Store, count: int, gadget: str = "pack") -> None:
    stream = opened.stream(gadget, LAYOUT)
    for first in range(0, count, IN_A_BATCH):
        times_ms = (START_MS + rank * EVERY_MS for rank in range(first, first + IN_A_BATCH))
        opened.append(stream, [NewReading(t_utc_ms, 0, 0, "", CONTENT, RAW) for t_utc_ms in times_ms])


def _time(work: Callable[[], object], repetitions: int = 1) -> Taken:
    """Return the times of the run with the shortest wall-clock time."""
    times = []
    for _ in range(repetitions):
        started_s, used_s = time.perf_counter(), time.process_time()
        work()
        times.append(Taken(time.perf_counter() - started_s, time.process_time() - used_s))
    return min(times)


def gateways(_: float) -> Iterator[Row]:
    """Upload from twenty gateways at once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(folder / "server") as there, ThreadPoolExecutor(GATEWAYS) as pool:
            places = [station(folder / str(rank), there.url, there.new_key(str(rank))) for rank in range(GATEWAYS)]
            for place in places:
                with Store.open(place.store_url) as opened:
                    batch_of(opened, place, range(READINGS_PER_GATEWAY), f"imu {Path(place.folder).name}")
            started_s = time.perf_counter()
            list(pool.map(_upload, places))
            taken_s = time.perf_counter() - started_s
            arrived = sum(query.count(there.store, stream) for stream in query.streams(there.store))
    expected = GATEWAYS * READINGS_PER_GATEWAY
    what = f"{GATEWAYS} gateways at once, {expected} readings"
    yield Row(what, f"{arrived} arrived in {taken_s:.1f} s", "all", arrived == expected)


def _upload(place: StationSettings) -> None:
    from pygnc_station.upload.uploader import sender_of, upload_all  # noqa: PLC0415 - imports an HTTP client

    with Store.open(place.store_url) as opened, closing(sender_of(place)) as sender:
        upload_all(opened, place, sender, START_MS)


def load(_: float) -> Iterator[Row]:
    """Upload from 200 stations at once to the process of `pygnc station serve`, and ask for its health meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = folder / "station.toml"
        settings.write_text(f"[serve]\nport = {_PORT}\n[store]\nurl = '{folder / 'central.db'}'\n")
        with Store.open(str(folder / "central.db")) as central:
            uploads = Uploads(central, folder / Serve().folder, Serve(), ())
            loaded = [_loaded(central, uploads, folder, rank) for rank in range(LOADED)]
        words = [_PYGNC, "station", "serve", "--settings", str(settings)]
        with running(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            if process.stdout:
                process.stdout.readline()
            begin = threading.Barrier(LOADED)
            with ThreadPoolExecutor(LOADED) as pool, _watched_health() as health:
                used_s, began_s = cpu_s(process.pid), time.perf_counter()
                times = list(pool.map(partial(_send_at_once, begin), loaded))
                taken_s, used_s = time.perf_counter() - began_s, cpu_s(process.pid) - used_s
            megabytes = memory_mb("Rss", process.pid)
        with Store.open(str(folder / "central.db")) as central:
            arrived = sum(query.count(central, stream) for stream in query.streams(central))
    expected = LOADED * READINGS_PER_LOADED
    arrived -= LOADED * READINGS_BEFORE
    result = f"{arrived} arrived in {taken_s:.1f} s, with {used_s:.1f} s of the server's processor time"
    yield Row(f"load: {LOADED} stations at once, {expected} readings", result, "all", arrived == expected)
    median_s = statistics.median(times)
    yield Row("load: upload, median; longest", f"{median_s:.1f} s; {max(times):.1f} s", "5 s", median_s <= 5)
    p99_s = sorted(health)[math.ceil(0.99 * len(health)) - 1]
    what = f"load: response to `/health`, 99 % of {len(health)}; longest"
    yield Row(what, f"{1e3 * p99_s:.0f} ms; {1e3 * max(health):.0f} ms", "1 s", p99_s <= 1)
    yield Row("load: memory of the server after it", f"{megabytes:.0f} MB", "120 MB", megabytes <= 120)


class _Loaded(NamedTuple):
    """Station of the load: its settings, the batch that it sends, and the id of the one that was accepted before."""

    settings: StationSettings
    batch: Batch
    known: str


def _loaded(central: Store, uploads: Uploads, folder: Path, rank: int) -> _Loaded:
    """Return a station whose first batch the server has accepted, as that of any station but a new one."""
    key = str(register(central, new_pin(central, clock_ms(), 5), "0", f"station {rank}", clock_ms()))
    place = station(folder / str(rank), _URL, key, name=f"station {rank}", timeout_s=60.0)
    with Store.open(place.store_url) as opened:
        first = batch_of(opened, place, range(READINGS_BEFORE), f"imu {rank}")
        path = place.path(place.batches.pending) / first.file_name
        uploads.announce(rank + 1, first.id, first.name, first.bytes, f"sha256:{first.sha256}")
        if uploads.append(rank + 1, first.id, 0, path.read_bytes()).state is not UploadState.ACCEPTED:
            raise ValueError(f"{path}: not accepted")
        note_acceptance(opened, first, clock_ms())
        rows = range(READINGS_BEFORE, READINGS_BEFORE + READINGS_PER_LOADED)
        batch = batch_of(opened, place, rows, f"imu {rank}")
    return _Loaded(place, batch, first.id)


def _send_at_once(begin: threading.Barrier, loaded: _Loaded) -> float:
    """Send the requests of an upload when all stations are ready; return the time that they take, s.

    A station's own work is left out, because these stations would do that of 200 computers on one.
    """
    with closing(StationSender(loaded.settings)) as sender:
        begin.wait()
        return _time(partial(_send, sender, loaded)).wall_s


def _send(sender: StationSender, loaded: _Loaded) -> None:
    path = loaded.settings.path(loaded.settings.batches.pending) / loaded.batch.file_name
    sender.identify()
    if sender.unknown_of([loaded.known]) or sender.send(loaded.batch, path).state is not BatchState.ACCEPTED:
        raise ValueError(f"{path}: not accepted")


@contextlib.contextmanager
def _watched_health() -> Iterator[list[float]]:
    """Ask for the health of the server in another process; yield the durations, which are complete at the end."""
    times: list[float] = []
    code = "from scripts.bench import bench_station; bench_station.watch_health()"
    with running([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            raise RuntimeError("no pipe")
        process.stdout.readline()
        yield times
        process.terminate()
        times += map(float, process.stdout.read().split()[:-1])  # the last line may be incomplete


def watch_health() -> None:
    """Print the duration of each request for the server's health, ten times a second, until a signal arrives."""
    while True:
        print(_time(_ask_health).wall_s, flush=True)
        time.sleep(0.1)


def logger(_: float) -> Iterator[Row]:
    """Measure processor time and memory of a logger with both devices at their default intervals."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = folder / "station.toml"
        settings.write_text(
            f'[[device]]\ngadget = "opc"\nfamily = "opc_n3"\nport = "{folder / "opc"}"\ninterval_s = 5\n'
            f'[[device]]\ngadget = "pack"\nfamily = "emus"\nport = "{folder / "emus"}"\n'
        )
        Store.open(str(folder / "readings.db")).close()
        opc, emus = UsbIssSimulator(OpcN3Simulator()), EmusSimulator(broadcast_s=1.0)
        words = [sys.executable, "-m", "pygnc_station.logger", "--settings", str(settings), "--quiet"]
        with (
            PtyEndpoint(opc, folder / "opc"),
            PtyEndpoint(emus, folder / "emus"),
            running(words, stdout=subprocess.DEVNULL) as process,
        ):
            time.sleep(WARM_UP_S)
            before_s = cpu_s(process.pid)
            time.sleep(LOG_S)
            share = (cpu_s(process.pid) - before_s) / LOG_S
            megabytes = memory_mb("Rss", process.pid)
        with Store.open(str(folder / "readings.db")) as opened:
            counts = {item.layout.kind: query.count(opened, item) for item in query.streams(opened)}
    logged = f"{counts.pop('histogram', 0)} histograms, {sum(counts.values())} sentences in {WARM_UP_S + LOG_S:.0f} s"
    what = f"logger, OPC-N3 at 5 s and EMUS broadcast at 1 s ({logged}): processor"
    yield Row(what, f"{share:.1%} of a core", "3 %", share < 0.03)
    yield Row("logger: memory", f"{megabytes:.0f} MB", "60 MB", megabytes < 60)


def writes(_: float) -> Iterator[Row]:
    """Measure the bytes that loggers write, for a day: two minutes of a logger, repeated in the times of two hours."""
    asked = 'options = { ask = ["BV2", "BT2"] }\n'
    pack = "EMUS, 16 cells, broadcast at 1 s"
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as name:  # a tmpfs would count no bytes
        folder = Path(name)
        for what, family, more, waits_s in (
            (f"{pack}, every reading", "emus", f"{asked}thin = false\n", (1,)),
            (pack, "emus", asked, (1, WRITE_S)),
            ("OPC-N3 at 10 s", "opc_n3", "interval_s = 10\n", (1, WRITE_S)),
        ):
            logged = _logged(folder, family, more)
            for write_s in waits_s:
                written, grown, count = _written(folder, logged, write_s)
                label = f"{what}, {'default' if write_s == WRITE_S else 'at once'}: written per day"
                limit = 0.0 if write_s != WRITE_S else 1e9 if family == "emus" else 0.1e9
                result = f"{written / 1e6:.0f} MB; the database grows by {grown / 1e6:.1f} MB, {count:.0f} readings"
                yield Row(label, result, f"{limit / 1e6:.0f} MB" if limit else "", not limit or written <= limit)


def _logged(folder: Path, family: str, more: str) -> Path:
    """Run a logger for two minutes after its start; return its database."""
    settings, database = folder / "station.toml", folder / f"{len(list(folder.iterdir()))}.db"
    device = f'[[device]]\ngadget = "it"\nfamily = "{family}"\nport = "{folder / "port"}"\n{more}'
    settings.write_text(f'{device}[store]\nurl = "{database}"\n')
    simulator = UsbIssSimulator(OpcN3Simulator()) if family == "opc_n3" else EmusSimulator(broadcast_s=1.0)
    words = [sys.executable, "-m", "pygnc_station.logger", "--settings", str(settings), "--quiet"]
    with PtyEndpoint(simulator, folder / "port"), running(words, stdout=subprocess.DEVNULL):
        time.sleep(WARM_UP_S + WRITES_S)
    return database


def _written(folder: Path, logged: Path, write_s: int) -> tuple[float, float, float]:
    """Write what a logger has logged again and again, at the times of two hours, into a new database.

    The pages that a write changes are fewer in a database that is almost empty, so minutes of a logger tell too little.

    Returns:
        Bytes written, growth of the database in bytes, and number of readings, each per day.
    """
    with Store.open(str(logged)) as opened:
        streams = query.streams(opened)
        readings = query.between(opened, streams)
    start_ms = readings[-1].t_utc_ms - int(WRITES_S * 1000)
    window: dict[int, list[StoredReading]] = {}
    for reading in readings:
        if reading.t_utc_ms >= start_ms:
            window.setdefault((reading.t_utc_ms - start_ms) // (1000 * write_s), []).append(reading)
    repetitions = int(REPLAY_S / WRITES_S)
    with tempfile.TemporaryDirectory(dir=folder) as name, Store.open(str(Path(name) / "readings.db")) as opened:
        ids = {each.id: opened.stream(each.gadget_id, each.layout, family=each.family).id for each in streams}
        before, size = _io_bytes(os.getpid()), opened.used_bytes()
        for rank in range(repetitions):
            later_ms = rank * int(WRITES_S * 1000)
            for part in window.values():
                new: dict[int, list[NewReading]] = {}
                for each in part:
                    new.setdefault(ids[each.stream_id], []).append(NewReading(each.t_utc_ms + later_ms, *each[3:]))
                with opened.writes() as connection:
                    for stream_id, some in new.items():
                        append(connection, stream_id, some)
        grown = opened.used_bytes() - size
        written = _io_bytes(os.getpid()) - before
    per_day = DAY_S / REPLAY_S
    return written * per_day, grown * per_day, sum(map(len, window.values())) * repetitions * per_day


def _io_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def publish(_: float) -> Iterator[Row]:
    """Measure the processor time of `pygnc station publish` without new readings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = folder / "station.toml"
        settings.write_text("[sinks.prometheus]\nport = 19321\n[sinks.mqtt]\nhost = '127.0.0.1'\nport = 9\n")
        with Store.open(str(folder / "readings.db")) as opened:
            for rank in range(IDLE_STREAMS):
                _fill(opened, IN_A_BATCH, f"pack {rank}")
        words = [_PYGNC, "station", "publish", "--settings", str(settings)]
        with running(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(WARM_UP_S)
            before_s = cpu_s(process.pid)
            time.sleep(IDLE_S)
            share = (cpu_s(process.pid) - before_s) / IDLE_S
    yield Row(f"publisher without new readings, {IDLE_STREAMS} kinds: processor", f"{share:.2%}", "1 %", share < 0.01)


def page(_: float) -> Iterator[Row]:
    """Measure hourly statistics of a year, and the time until the page shows 200 particle counters, in Chromium."""
    gadgets = {f"OPC {rank}": GadgetSettings(_place(rank)) for rank in range(GADGETS)}
    with tempfile.TemporaryDirectory() as name:
        database = str(Path(name) / "central.db")
        with Store.open(database) as opened:
            for rank in range(GADGETS):
                _fill_year(opened, f"OPC {rank}", rank)
            taken = _time(lambda: update_hours(opened))
        count = GADGETS * YEAR_MS // PM_EVERY_MS
        what = f"page: hourly statistics of {count / 1e6:.1f} million stored readings, once"
        yield Row(what, f"{taken.wall_s:.0f} s, {count / taken.wall_s:.0f} readings/s")
        with server(Path(name), database, gadgets=gadgets) as there:
            yield from _page_times(Path(name), there.url)


def _page_times(folder: Path, url: str) -> Iterator[Row]:
    yield from _requests(url)
    with chromium(folder / "profile") as browser:
        times = [_open(browser, url) for _ in range(5)]
        year = [_open(browser, f"{url}/?{rank}#gadget=OPC+{rank}&range=year") for rank in range(5)]
    what = f"page with {GADGETS} particle counters and a year of readings: first load; later ones"
    yield Row(what, f"{times[0]:.2f} s; {min(times[1:]):.2f} to {max(times[1:]):.2f} s", "2 s", max(times) <= 2)
    yield Row("the same with a plot of the year", f"{min(year):.2f} to {max(year):.2f} s", "2 s", max(year) <= 2)


def _requests(url: str) -> Iterator[Row]:
    now_ms = clock_ms()
    query: dict[str, str | bool] = {"gadget": "OPC 1", "name": "pm_2_5_ug_m3", "corrected": True}
    query |= {"timestamp__gte": iso_time(now_ms - YEAR_MS), "timestamp__lte": iso_time(now_ms)}
    with httpx.Client(base_url=url, timeout=60.0) as client:
        requests: tuple[tuple[str, str, dict[str, str | bool]], ...] = (
            ("overview of all gadgets", "/api/v1/overview/", {}),
            ("means of a year, corrected", "/api/v1/series/", query | {"form": "mean"}),
            ("readings of a year, corrected and reduced", "/api/v1/series/", query | {"form": "raw"}),
        )
        for title, path, arguments in requests:
            get = partial(client.get, path, params=arguments)
            taken = _time(get, REPETITIONS)
            answer = get().raise_for_status()
            yield Row(f"page: {title}", f"{1e3 * taken.wall_s:.0f} ms, {len(answer.content) / 1e3:.0f} kB")


def _place(rank: int) -> Location:
    return Location(53.2 + rank % 15 / 30, -6.5 + rank // 15 / 20)


def _fill_year(opened: Store, gadget: str, phase: int) -> None:
    stream = opened.stream(gadget, PM_LAYOUT, family="opc_n3")
    first_ms = clock_ms() - YEAR_MS
    for start_ms in range(first_ms, first_ms + YEAR_MS, IN_A_BATCH * PM_EVERY_MS):
        stop_ms = min(start_ms + IN_A_BATCH * PM_EVERY_MS, first_ms + YEAR_MS)
        new = []
        for t_utc_ms in range(start_ms, stop_ms, PM_EVERY_MS):
            wave = math.sin(t_utc_ms / DAY_MS * math.tau + phase)
            numbers = {"pm_2_5_ug_m3": 12 + 9 * wave, "pm_10_ug_m3": 20 + 15 * wave, "humidity_percent": 60 - 25 * wave}
            values = [round(numbers.get(each, 3.0), 3) for each in PM_LAYOUT.names]
            new.append(NewReading(t_utc_ms, 0, 0, "", json.dumps(values), RAW))
        opened.append(stream, new)


def _open(browser: Chrome, url: str) -> float:
    started_s = time.perf_counter()
    browser.get(url)
    while not browser.execute_script("return document.body.dataset.ready"):
        time.sleep(0.02)
    return time.perf_counter() - started_s


def first_reading(_: float) -> Iterator[Row]:
    """Count the commands of docs/station.md to the first reading on a server, and measure `pygnc station init`."""
    text = (ROOT / "docs/station.md").read_text(encoding="utf-8")
    commands = text.partition("```\n")[2].partition("```")[0].splitlines()
    needed = next(rank for rank, words in enumerate(commands, 1) if "station init" in words)
    with tempfile.TemporaryDirectory() as name, server(Path(name) / "server") as there:
        port = Path(name) / "port"
        options = ["--folder", f"{name}/pi", "--port", str(port), "--server", there.url]
        environment = os.environ | {"PYGNC_PIN": new_pin(there.store, clock_ms(), 5)}
        with PtyEndpoint(UsbIssSimulator(OpcN3Simulator()), port):
            started_s = time.perf_counter()
            subprocess.run(
                [_PYGNC, "station", "init", *options], env=environment, check=True, stdout=subprocess.DEVNULL
            )
            taken_s = time.perf_counter() - started_s
        (stream,) = query.streams(there.store)
        arrived = query.count(there.store, stream)
    counts = f"{needed} to {arrived} reading on the server, {len(commands)} to services that start at boot"
    yield Row("commands from a new computer", counts, "3", arrived == 1 and len(commands) <= 3)
    yield Row("`pygnc station init` with options, OPC-N3: first reading on the server", f"{taken_s:.0f} s")


def flood(_: float) -> Iterator[Row]:
    """Measure the server under half-open connections, in its usual limits and 1024 descriptors."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = folder / "station.toml"
        settings.write_text(f"[serve]\nport = {_PORT}\n")
        words = ["prlimit", f"--nofile={DESCRIPTORS}", _PYGNC, "station", "serve", "--settings", str(settings)]
        with running(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process, ExitStack() as stack:
            if process.stdout:
                process.stdout.readline()
            started_s = time.perf_counter()
            clients = []
            for _rank in range(HALF_OPEN):
                clients.append(stack.enter_context(socket.create_connection(("127.0.0.1", _PORT), timeout=60)))
                clients[-1].sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n")
            times = [_time(_ask_health).wall_s for _ in range(20)]
            for client in clients:
                with contextlib.suppress(ConnectionResetError):
                    client.recv(1)
            held_s = time.perf_counter() - started_s
            lines = sum(len(path.read_text().splitlines()) for path in (folder / "server_log").glob("failures.log*"))
    what = f"{HALF_OPEN} half-open connections, {DESCRIPTORS} descriptors"
    yield Row(f"{what}: response to `/health`, maximum of 20", f"{1e3 * max(times):.0f} ms")
    yield Row(f"{what}: the last one ends after; lines in the log", f"{held_s:.0f} s; {lines}", "60 s", held_s < 60)


def _ask_health() -> None:
    with closing(HTTPConnection("127.0.0.1", _PORT, timeout=60)) as connection:
        connection.request("GET", "/health")
        if connection.getresponse().status != HTTPStatus.OK:
            raise ConnectionError("/health does not report a healthy server")


def fleet(_: float) -> Iterator[Row]:
    """Simulate a day of a fleet with copied and restored cards, new keys, kills and full disks."""
    with tempfile.TemporaryDirectory() as folder:
        yield from FleetFaultRun(Path(folder)).run()


def faults(speed: float) -> Iterator[Row]:
    """Simulate a day with faults."""
    with tempfile.TemporaryDirectory() as folder:
        yield from FaultRun(Path(folder), speed).run()


if __name__ == "__main__":
    main()

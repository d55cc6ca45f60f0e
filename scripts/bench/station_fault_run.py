"""Fault run: a station through a day of faults in accelerated time, used by scripts/bench/bench_station.py.

A particle counter and a battery are simulated. Logger, sender and server are processes that are killed (-9), cables are
pulled, and the server is down from time to time. The readings that the logger has acknowledged must reach the server.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from pygnc_cli.signals import stopped_by_signals
from pygnc_devices.opc_n3.command_channel import STANDARD, Timing
from pygnc_devices.reading import Reading
from pygnc_instruments.simulators.emus_unit import EmusSimulator
from pygnc_instruments.simulators.endpoints import FaultRates, PtyEndpoint
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator
from pygnc_station.errors import StationError, StoreError
from pygnc_station.logger.logger import Logger
from pygnc_station.server.access import new_pin, register
from pygnc_station.server_settings import Serve
from pygnc_station.settings import Device, StationSettings, Upload
from pygnc_station.settings import Store as StoreSettings
from pygnc_station.store import query
from pygnc_station.store.batches import BatchState, batches
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.station_server import writing_key
from pygnc_station.upload.uploader import sender_of, upload_all
from scripts.bench.station_fault_statistics import (
    KILLED,
    UNEXPLAINED,
    UNPLUGGED,
    Answer,
    Fault,
    WatchedCounter,
    missing_by_cause,
    outcomes,
)
from scripts.bench.table import Row

SIMULATED_S: Final = 86_400
OPC_EVERY_S: Final = 5.0
EMUS_EVERY_S: Final = 10.0
BAD_HISTOGRAMS: Final = 100
"""One of this many histograms has a wrong checksum."""
LINE_ERRORS: Final = FaultRates(lost=0.004, flipped=0.004, doubled=0.002)
"""Error rates that affect 1 % of the battery's bytes."""
KILLS: Final = {"logger": 12, "sender": 8}
UNPLUGS: Final = 5
OUTAGES: Final = 3
OUTAGE_S: Final = 1800.0
"""Duration of an outage in simulated time, as all constants above; those below are real time."""
_REST_S: Final = 0.12
"""Pause after which the counter takes a byte for a new command; not accelerated, because a busy computer would then cut
responses in two. The driver's pause below is longer."""
_DRIVER_REST_S: Final = 0.16
_LAST_TRIES_S: Final = 120.0
_BETWEEN_TRIES_S: Final = 0.2
Event: TypeAlias = tuple[float, Callable[[], None]]


class FaultRun:
    """Day with faults.

    Args:
        folder: folder of all files.
        speed: simulated seconds per second.
        seed: seed of the faults and their times.
    """

    def __init__(self, folder: Path, speed: float, seed: int = 1) -> None:
        self.folder = folder
        self.speed = speed
        self.dice = random.Random(seed)  # noqa: S311 - repeatable faults
        self.done: Counter[str] = Counter()
        self.roles: dict[str, subprocess.Popen[bytes]] = {}
        self.faults: list[Fault] = []

    def run(self) -> Iterator[Row]:
        """Simulate the day, and yield its results."""
        started_s = time.monotonic()
        self._prepare()
        opc = WatchedCounter(rest_s=_REST_S)
        battery = EmusSimulator(broadcast_s=EMUS_EVERY_S)
        with (
            PtyEndpoint(UsbIssSimulator(opc), self.folder / "opc") as opc_line,
            PtyEndpoint(battery, self.folder / "emus", faults=LINE_ERRORS, seed=1, speed=self.speed) as emus_line,
        ):
            for role in ("server", "logger", "sender"):
                self._start(role)
            begin_s = time.monotonic()
            end_s = begin_s + SIMULATED_S / self.speed
            for at_s, event in self._timetable(begin_s, end_s, [opc_line, emus_line], opc):
                time.sleep(max(0.0, at_s - time.monotonic()))
                event()
            time.sleep(max(0.0, end_s - time.monotonic()))
            self._stop("logger", signal.SIGTERM)
        self._stop("sender", signal.SIGKILL)
        sent = self._send_the_rest()
        self._stop("server", signal.SIGTERM)
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.done.items()))
        what = f"24 h at {self.speed:g} times the speed, 1 % line errors, {faults}"
        yield Row(what, f"{time.monotonic() - started_s:.0f} s, {sent} batches")
        yield from self._results(begin_s, end_s, [answer for answer in opc.answers if answer.at_s <= end_s])

    def _prepare(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        (self.folder / "port").write_text(str(port))
        with Store.open(str(self.folder / "central.db")) as store:
            now_ms = clock_ms()
            key = register(store, new_pin(store, now_ms, 5), "0", "station", now_ms)
        with writing_key(self.folder / "gateway_key.txt") as write:
            write(str(key))
        Store.open(str(self.folder / "local.db")).close()
        (self.folder / "acknowledged").touch()

    def _timetable(self, begin_s: float, end_s: float, lines: list[PtyEndpoint], opc: WatchedCounter) -> list[Event]:
        """Return the faults with their times; the first and last twentieth of the run has none."""
        margin_s = (end_s - begin_s) / 20
        events: list[Callable[[], None]] = [
            partial(self._kill, role) for role, count in KILLS.items() for _ in range(count)
        ]
        events += [partial(self._unplug, lines[rank % len(lines)]) for rank in range(UNPLUGS)]
        events += [self._end_server] * OUTAGES
        events += [partial(self._spoil, lines[0], opc)] * int(SIMULATED_S / OPC_EVERY_S / BAD_HISTOGRAMS)
        times = [self.dice.uniform(begin_s + margin_s, end_s - margin_s) for _ in events]
        timetable = list(zip(times, events, strict=True))
        outage_s = OUTAGE_S / self.speed
        timetable += [(at_s + outage_s, self._begin_server) for at_s, event in timetable if event == self._end_server]
        return sorted(timetable, key=lambda entry: entry[0])

    def _kill(self, role: str) -> None:
        if role == "logger":
            self.faults.append(Fault(time.monotonic(), KILLED))
        self._stop(role, signal.SIGKILL)
        self.done[f"kill -9 of the {role}"] += 1
        self._start(role)

    def _end_server(self) -> None:
        self._stop("server", signal.SIGKILL)
        self.done["outages of the server"] += 1

    def _begin_server(self) -> None:
        if self.roles["server"].poll() is not None:  # outages may overlap
            self._start("server")

    def _unplug(self, line: PtyEndpoint) -> None:
        if isinstance(line.unit, UsbIssSimulator):
            self.faults.append(Fault(time.monotonic(), UNPLUGGED))
        line.unplug()
        self.done["disconnected cables"] += 1
        time.sleep(self.dice.uniform(0.2, 2.0))
        line.plug_in()

    def _spoil(self, line: PtyEndpoint, opc: WatchedCounter) -> None:
        with line.hold():
            opc.faults.bad_checksums += 1
        self.done["histograms with a wrong checksum"] += 1

    def _start(self, role: str) -> None:
        words = [sys.executable, "-m", "scripts.bench.station_fault_run", role, str(self.folder), str(self.speed)]
        # A raised priority is for simulators and logger only; other processes would delay the counter's bytes.
        usual = [] if role == "logger" else ["chrt", "--other", "0"]
        self.roles[role] = subprocess.Popen([*usual, *words])

    def _stop(self, role: str, number: signal.Signals) -> None:
        process = self.roles[role]
        process.send_signal(number)
        process.wait()

    def _send_the_rest(self) -> int:
        """Send the batches that the sender has not sent, and return the number of all accepted batches."""
        settings = _settings(self.folder, self.speed)
        with Store.open(str(self.folder / "local.db")) as store:
            end_s = time.monotonic() + _LAST_TRIES_S
            while time.monotonic() < end_s:
                made = make_batch(store, settings, clock_ms())
                _upload(store, settings)
                if not made and not batches(store, BatchState.READY, BatchState.SENT):
                    break
                time.sleep(_BETWEEN_TRIES_S)
            return len(batches(store, BatchState.ACCEPTED))

    def _results(self, begin_s: float, end_s: float, answers: list[Answer]) -> Iterator[Row]:
        """Compare acknowledged readings with both stores, and determine the outcome of each histogram that was due."""
        acknowledged = Counter((self.folder / "acknowledged").read_text().split())
        local, central = _all(self.folder / "local.db"), _all(self.folder / "central.db")
        stored = Counter(raw for _, raw in local.values())
        arrived = Counter(raw for _, raw in central.values())
        yield Row("readings acknowledged by the logger", f"{acknowledged.total()}, in its store {len(local)}")
        missing = (acknowledged - arrived).total() + len(local.keys() - central.keys())
        doubled = (arrived - stored).total()
        different = sum(central.get(key) != value for key, value in local.items())
        counts = f"{len(central)}; missing {missing}, duplicated {doubled}, different {different}"
        yield Row("acknowledged readings on the server", counts, "each once", not (missing or doubled or different))
        every_s = OPC_EVERY_S / self.speed
        due = round((end_s - begin_s) / every_s)
        causes = _listed(missing_by_cause(begin_s, end_s, every_s, answers, self.faults))
        measured = f"{len(answers)} of {due}; {due - len(answers)} not requested ({causes})"
        yield Row("histograms sent by the counter", measured)
        on_server = [bytes.fromhex(raw) for (gadget, *_), (_, raw) in central.items() if gadget == "opc"]
        found = outcomes(answers, self.faults, on_server)
        yield Row("outcomes of the histograms that were sent", _listed(found), "0 unexplained", found[UNEXPLAINED] == 0)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common() if count)


def _all(path: Path) -> dict[tuple[str, str, str, int], tuple[str, str]]:
    """Return content and raw bytes of all readings by their identity."""
    found = {}
    with Store.open(str(path)) as store:
        for stream in query.streams(store):
            for page in query.walk(store, stream):
                for reading in page:
                    key = (stream.gadget_id, stream.origin, stream.layout.kind, reading.number)
                    found[key] = (reading.content, "" if reading.raw is None else reading.raw.hex())
    return found


def _settings(folder: Path, speed: float) -> StationSettings:
    port = (folder / "port").read_text()
    timing = Timing(
        poll_s=STANDARD.poll_s / speed,
        rest_s=_DRIVER_REST_S,
        laser_s=STANDARD.laser_s / speed,
        fan_s=STANDARD.fan_s / speed,
        restart_s=STANDARD.restart_s / speed,
    )
    opc = Device("opc", "opc_n3", str(folder / "opc"), options={"sample_s": OPC_EVERY_S / speed, "timing": timing})
    emus = Device("pack", "emus", str(folder / "emus"))
    upload = Upload(f"http://127.0.0.1:{port}", timeout_s=10.0)
    return StationSettings(folder=str(folder), device=[opc, emus], store=StoreSettings("local.db"), upload=upload)


def _upload(store: Store, settings: StationSettings) -> None:
    with contextlib.closing(sender_of(settings)) as sender:
        upload_all(store, settings, sender, clock_ms())


def _log(folder: Path, speed: float) -> None:
    """Log, and acknowledge each reading when it is stored."""
    settings = _settings(folder, speed)
    descriptor = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(_: str, reading: Reading) -> None:
        os.write(descriptor, f"{reading.raw.hex()}\n".encode())

    with Store.open(str(folder / "local.db")) as store:
        logger = Logger(store, settings.device, note)
        with stopped_by_signals(logger.stop):
            logger.run()


def _send(folder: Path, speed: float) -> None:
    settings = _settings(folder, speed)
    with Store.open(str(folder / "local.db")) as store:
        while True:
            with contextlib.suppress(StationError, StoreError, OSError):
                make_batch(store, settings, clock_ms())
                _upload(store, settings)
            time.sleep(1.0)


def _serve(folder: Path, _: float) -> None:
    from pygnc_station.server.application import serve  # noqa: PLC0415 - only the server needs it

    port = int((folder / "port").read_text())
    settings = StationSettings(folder=str(folder), serve=Serve(port=port, folder="server"))
    with Store.open(str(folder / "central.db")) as store:
        serve(settings, store, lambda _: None)


def main() -> None:
    """Run as one of the processes of the station; arguments are the role, the folder of the run and its speed."""
    role, folder, speed = sys.argv[1:]
    {"logger": _log, "sender": _send, "server": _serve}[role](Path(folder), float(speed))


if __name__ == "__main__":
    main()

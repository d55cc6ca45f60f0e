"""Measure the device layer for docs/benchmarks: parsing, load, responses, upgrades, discovery, unplugged cables.

Usage: python scripts/bench/bench_devices.py [--part parse|load|answers|upgrade|discovery|unplugs] [--peers FOLDER]

PYGNC_REFERENCE_DATA names the folder of the reference recordings. FOLDER, by default PYGNC_PEERS, contains checkouts
`python-imu380` and `python-openimu`, whose parsers are measured too. Simulated units run in separate processes. Prints
a Markdown table.
"""

import argparse
import contextlib
import logging
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc_devices.discovery import search
from pygnc_devices.family import Family, family
from pygnc_devices.framing import scan_to_end
from pygnc_devices.gx2.eeprom import RATE_ADDRESS, STARTUP_ADDRESS
from pygnc_devices.scheduler import Request
from pygnc_devices.ucb import commands, framing
from pygnc_devices.ucb.driver import FAMILY, Ucb
from pygnc_devices.ucb.fields import BAUD, PACKET_TYPE, RATE, type_value
from pygnc_devices.ucb.firmware import UpgradeProgress, UpgradeSettings
from pygnc_devices.ucb.recording import scan_recording
from pygnc_devices.ucb.unit import PACKETS
from pygnc_instruments.device.simulate_command import SIMULATORS
from pygnc_instruments.simulators.endpoints import FaultRates, PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.ucb_bootloader import make_image
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_instruments.simulators.unit import SimulatedUnit
from scripts.bench.simulated_day import log_day, random_outages
from scripts.bench.table import Row, print_rows, select_parts

RECORDINGS: Final = (("dmu380_s1.raw", "S1", 1002), ("openimu_z1.raw", "z1", 2127))
ROUNDS: Final = 20
DEVICES: Final = 8
LOAD_S: Final = 10.0
REQUESTS: Final = 1000
PERIOD_S: Final = 0.01
IMAGE_BYTES: Final = 160_000
"""Size of the published images for the OpenIMU300."""
ONE_PERCENT: Final = FaultRates(lost=0.0033, flipped=0.0034, doubled=0.0033)
PYTHON_IMU380: Final = """
import sys, time, types
for name in ("serial", "quat", "file_storage", "glob"):
    sys.modules[name] = types.ModuleType(name)
sys.path.insert(0, sys.argv[1])
import imu380
data = open(sys.argv[2], "rb").read()
imu = imu380.GrabIMU380Data()
imu.packet_type = "S1"
frames = [data[at : at + 31] for at in range(0, len(data) - 30, 31)]
start = time.perf_counter()
for frame in frames:
    if imu.calc_crc(frame[2:-2]) == 256 * frame[-2] + frame[-1]:
        imu.data = imu.parse_packet(frame[5:-2])
print(len(frames) / (time.perf_counter() - start))
"""
PYTHON_OPENIMU: Final = """
import importlib.abc, importlib.machinery, json, sys, time
from unittest.mock import MagicMock
ABSENT = {"azure", "can", "dateutil", "psutil", "requests", "scapy", "serial", "six", "tornado"}
class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        is_absent = name.partition(".")[0] in ABSENT
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if is_absent else None
    def create_module(self, spec):
        return MagicMock(name=spec.name, __path__=[])
    def exec_module(self, module):
        pass
sys.meta_path.insert(0, Finder())
sys.path.insert(0, sys.argv[1] + "/src")
from aceinna.devices.parsers.dmu_message_parser import UartMessageParser
parser = UartMessageParser(json.load(open(sys.argv[1] + "/src/aceinna/setting/dmu/dmu.json")))
data = open(sys.argv[2], "rb").read()
messages = []
parser.on("continuous_message", lambda **message: messages.append(message["data"]))
start = time.perf_counter()
for at in range(0, len(data), 4096):
    parser.analyse(data[at : at + 4096])
print(len(messages) / (time.perf_counter() - start))
"""
PEERS: Final = {"python-imu380": PYTHON_IMU380, "python-openimu": PYTHON_OPENIMU}
HOURS: Final = 24.0
UNPLUGS: Final = 200
DAY_HZ: Final = 25.0
STREAMING_MODELS: Final = ("dmu380", "openimu", "3dm-gx2", "monodrive", "emus")
"""Models that stream by themselves, so that they can be found without a response."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--peers",
        type=Path,
        metavar="FOLDER",
        default=os.environ.get("PYGNC_PEERS"),
        help="Folder with checkouts of python-imu380 and python-openimu, whose parsers are measured too.",
    )
    parts = {part.__name__: part for part in (parse, load, answers, upgrade, discovery, unplugs)}
    options, chosen = select_parts(parser, parts)
    print_rows(chain.from_iterable(part(options) for part in chosen))


def parse(options: argparse.Namespace) -> Iterator[Row]:
    """Count packets of recordings; measure both parsers and the driver, and the parsers of the peers."""
    folder = os.environ.get("PYGNC_REFERENCE_DATA")
    if folder is None:
        sys.exit("PYGNC_REFERENCE_DATA is not set; set it to the folder of the reference recordings")
    for name, kind, count in RECORDINGS:
        octets = (Path(folder) / "aceinna" / name).read_bytes()
        found = scan_recording(octets).count(kind)
        streamed = sum(frame.kind == kind for frame in scan_to_end(framing.scan, octets).frames)
        yield Row(
            f"`{name}`: {kind} packets, both parsers", f"{found}, {streamed}", f"{count}", found == streamed == count
        )
    path = Path(folder) / "aceinna" / RECORDINGS[0][0]
    octets = path.read_bytes() * 20
    packet = PACKETS["S1"]

    def streaming() -> int:
        frames = scan_to_end(framing.scan, octets).frames
        return sum(len(packet.decode(frame.payload)) > 0 for frame in frames)

    with tempfile.TemporaryDirectory() as scratch:
        recording = Path(scratch) / "s1.raw"
        recording.write_bytes(octets)

        def driver() -> int:
            with Ucb.open(recording.as_uri()) as device:
                return sum(len(reading.values) > 0 for reading in device)

        whole = _per_s(lambda: len(scan_recording(octets).values(packet)))
        yield Row(
            "S1 with CRC and typed values, whole recordings, packets/s", f"{whole:,.0f}", "300 000", whole >= 300_000
        )
        single = _per_s(driver)
        what = "the same, one by one, as readings of the driver with time and losses, packets/s"
        yield Row(what, f"{single:,.0f}", "100 000", single >= 100_000)
        yield Row("the same, one by one, frames and values only, packets/s", f"{_per_s(streaming):,.0f}")
    for name, program in PEERS.items() if options.peers is not None else ():
        command = [sys.executable, "-c", program, str(Path(options.peers) / name), str(path)]
        rates = [
            float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
            for _ in range(ROUNDS)
        ]
        yield Row(f"{name}'s parser, one by one, packets/s", f"{max(rates):,.0f}")


def load(_: argparse.Namespace) -> Iterator[Row]:
    """Read eight units at 200 Hz on one core."""
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(_unit({0x01: 200})) for _ in range(DEVICES)]
        all_cores = os.sched_getaffinity(0)
        stack.callback(os.sched_setaffinity, 0, all_cores)
        with contextlib.ExitStack() as opened:
            os.sched_setaffinity(0, {min(all_cores)})
            devices = [opened.enter_context(Ucb.open(url)) for url in urls]
            feeds = [device.subscribe() for device in devices]
            start_s, used_s = time.monotonic(), time.process_time()
            while time.monotonic() - start_s < LOAD_S:
                for feed in feeds:
                    while feed.take(0.0) is not None:
                        pass
                time.sleep(0.02)
            elapsed_s, used_s = time.monotonic() - start_s, time.process_time() - used_s
        readings = sum(device.statistics.readings for device in devices)
        lost = sum(device.statistics.lost_readings + device.statistics.queue_drops for device in devices)
    what = f"{DEVICES} devices at 200 Hz, load of one core"
    measured = f"{used_s / elapsed_s:.0%} ({readings / elapsed_s:.0f} readings/s, {lost} lost)"
    yield Row(what, measured, "< 50 %", used_s / elapsed_s < 0.5)


def answers(_: argparse.Namespace) -> Iterator[Row]:
    """Get and set fields while the unit streams at 100 Hz."""
    with _unit({}) as url, Ucb.open(url) as device:
        device.read()
        for name in ("GF", "RF", "SF"):
            times_s, packets = _response_times_s(device, name)
            by_packets = sum(count <= 2 for count in packets)
            by_time = sum(took_s <= 2 * PERIOD_S for took_s in times_s)
            found = f"{by_packets} after at most 2 packets, {by_time} within 20 ms; {_spread(times_s)}"
            yield Row(f"{name} response within 2 packet periods", found, f"{REQUESTS}", by_packets == REQUESTS)
        start_s = time.monotonic()
        device.write_fields({8: 1})
        took_s = time.monotonic() - start_s
        yield Row("WF, written and read back", f"{took_s:.2f} s", "1.5 s", took_s <= 1.5)
    with _unit({}, ONE_PERCENT) as url, Ucb.open(url) as device:
        device.read()
        for name in ("GF", "RF", "SF"):
            times_s = _response_times_s(device, name)[0]
            found = f"{len(times_s)} of {REQUESTS}; {_spread(times_s)}"
            yield Row(f"{name} with 1 % of bytes damaged, after retries", found, f"{REQUESTS}")


def upgrade(_: argparse.Namespace) -> Iterator[Row]:
    """Upgrade firmware with line errors and one disconnection."""
    unit = UcbSimulator()
    image = make_image("IMU381ZA-400 5020-1383-01 11.00.00", IMAGE_BYTES)
    faults = FaultRates(lost=0.0003, flipped=0.0004, doubled=0.0003)
    pulled = threading.Event()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        line = stack.enter_context(PtyEndpoint(unit, folder / "port", faults=faults, seed=4))
        device = stack.enter_context(Ucb.open(line.url))

        def unplug() -> None:
            line.unplug()
            line.plug_in()

        def pull(progress: UpgradeProgress) -> None:
            if progress.written_bytes > IMAGE_BYTES // 2 and not pulled.is_set():
                pulled.set()
                threading.Thread(target=unplug).start()

        result = device.upgrade(image, write_firmware=True, on_progress=pull, settings=UpgradeSettings())
    found = (
        f"{result.seconds:.0f} s: {result.retries} blocks repeated, {result.interruptions} disconnections, "
        f"{result.restarts} restarts from the first block"
    )
    yield Row(f"upgrade, {IMAGE_BYTES // 1000} kB, 0.1 % of bytes damaged, unplugged once", found, "completes")


def discovery(_options: argparse.Namespace) -> Iterator[Row]:
    """Find a quiet unit among eight ports, at the baud rate that is tried last; find each model at its own port."""
    with _served(lambda: UcbSimulator(eeprom={RATE: 0, BAUD: 2})) as url, contextlib.ExitStack() as stack:
        dead = []
        for _ in range(7):
            master, slave = os.openpty()
            stack.callback(os.close, master)
            stack.callback(os.close, slave)
            dead.append(os.ttyname(slave))
        for what, families, limit_s in (("its family", [FAMILY], 3), ("all families", None, 5)):
            is_found, took_s = _time_search([*dead[:4], url, *dead[4:]], url, families)
            found = f"{took_s:.2f} s" if is_found else "not found"
            is_in_time = is_found and took_s <= limit_s
            yield Row(f"discovery of one unit among 8 ports, {what}", found, f"{limit_s} s", is_in_time)
    for model, make in SIMULATORS.items():
        makes = [make, _deaf(make)] if model in STREAMING_MODELS else [make]
        times = []
        for each in makes:
            with _served(each, is_networked=model == "monodrive") as url:
                is_found, took_s = _time_search([url], url, None)
            times.append(f"{took_s:.2f} s" if is_found else f"not found ({took_s:.2f} s)")
        yield Row(f"discovery, all families: {model}" + "; without responses" * (len(times) > 1), "; ".join(times))


def _time_search(urls: list[str], url: str, families: list[Family] | None) -> tuple[bool, float]:
    """Search ports; return True if only the unit at `url` was found, and the duration in s."""
    start_s = time.monotonic()
    outcome = search(urls, families)
    return [entry.url for entry in outcome.found] == [url], time.monotonic() - start_s


def unplugs(_options: argparse.Namespace) -> Iterator[Row]:
    """Log a simulated day in which the cable is unplugged at random while the unit runs on."""
    units: dict[str, tuple[SimulatedUnit, Family]] = {
        "DMU380, packet count": (UcbSimulator(eeprom={RATE: 4}), FAMILY),
        "OpenIMU, clock": (UcbSimulator(nak=b"\0\0", eeprom={RATE: 4, PACKET_TYPE: type_value("z1")}), FAMILY),
        "3DM-GX2, clock": (Gx2Simulator(eeprom={STARTUP_ADDRESS: 0xCC, RATE_ADDRESS: 2048}), family("gx2")),
    }
    logging.getLogger("pygnc_devices").setLevel(logging.ERROR)  # each disconnection is a warning
    outages = random_outages(UNPLUGS, HOURS * 3600.0, seed=1)
    for name, (unit, kind) in units.items():
        with tempfile.TemporaryDirectory() as folder:
            day = log_day(unit, kind, DAY_HZ, HOURS * 3600.0, outages, Path(folder), seed=2)
        measured = (
            f"{day.rows} rows, {day.missing} reported missing of {day.sent} sent, {day.gaps} gaps, "
            f"{day.backward} steps back, {day.files} file"
        )
        holds = day.rows + day.missing == day.sent and day.gaps == UNPLUGS and not day.backward and day.files == 1
        yield Row(f"{HOURS:.0f} h log, {UNPLUGS} unplugs: {name}", measured, "complete, no step back", holds)


def _response_times_s(device: Ucb, name: str) -> tuple[list[float], list[int]]:
    """Get fields 1 and 3, or set field 8, repeatedly; return response times, s, and numbers of packets before them."""
    times_s, packets = [], []
    for number in range(REQUESTS):
        request = commands.put_fields("SF", {8: number % 2}) if name == "SF" else commands.ask_fields(name, [1, 3])
        start_s = time.monotonic()
        packets.append(device.run(_packets_before_response(device, request)))
        times_s.append(time.monotonic() - start_s)
    return times_s, packets


async def _packets_before_response(device: Ucb, request: Request) -> int:
    before = device.engine.counters.readings
    await request
    return device.engine.counters.readings - before


def _spread(times_s: list[float]) -> str:
    return f"median {1e3 * statistics.median(times_s):.1f} ms, worst {1e3 * max(times_s):.1f} ms"


def _per_s(parse_all: Callable[[], int]) -> float:
    """Return the highest rate of several rounds, packets/s; `parse_all` returns the number of packets of a round."""
    rates = []
    for _ in range(ROUNDS):
        start_s = time.perf_counter()
        count = parse_all()
        rates.append(count / (time.perf_counter() - start_s))
    return max(rates)


def _unit(eeprom: dict[int, int], faults: FaultRates | None = None) -> contextlib.AbstractContextManager[str]:
    """Run a simulated DMU380 in a separate process and yield its port."""
    return _served(lambda: UcbSimulator(eeprom=eeprom), faults)


def _deaf(make: Callable[[], SimulatedUnit]) -> Callable[[], SimulatedUnit]:
    """Return a function that makes a unit whose receiving wire is not connected."""

    def make_deaf() -> SimulatedUnit:
        unit = make()
        unit.receive = lambda *_: None  # type: ignore[method-assign]
        return unit

    return make_deaf


@contextlib.contextmanager
def _served(
    make: Callable[[], SimulatedUnit], faults: FaultRates | None = None, *, is_networked: bool = False
) -> Iterator[str]:
    """Run a simulated unit in a separate process and yield its port."""
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        link = None if is_networked else Path(folder) / "port"
        process = multiprocessing.Process(target=_serve, args=(theirs, link, make, faults))
        process.start()
        try:
            url: str = ours.recv()
            yield url
        finally:
            ours.send(None)
            process.join()


def _serve(
    channel: Connection, link: Path | None, make: Callable[[], SimulatedUnit], faults: FaultRates | None
) -> None:
    endpoint = (
        TcpEndpoint(make(), faults=faults, seed=6) if link is None else PtyEndpoint(make(), link, faults=faults, seed=6)
    )
    with endpoint as line:
        channel.send(line.url)
        channel.recv()


if __name__ == "__main__":
    main()

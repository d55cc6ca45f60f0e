"""Measure the device layer for docs/benchmarks.md: parsing, load, responses, upgrades, discovery.

Usage: python scripts/bench/bench_devices.py [--part parse|load|answers|upgrade|discovery] [--python-imu380 FOLDER]

PYGNC_REFERENCE_DATA names the folder of the reference recordings. Simulated units run in separate processes. Prints a
Markdown table.
"""

import argparse
import contextlib
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc_devices.discovery import search
from pygnc_devices.framing import scan_to_end
from pygnc_devices.scheduler import Request
from pygnc_devices.ucb import commands, framing
from pygnc_devices.ucb.driver import FAMILY, Ucb
from pygnc_devices.ucb.firmware import UpgradeProgress, UpgradeSettings
from pygnc_devices.ucb.recording import scan_recording
from pygnc_devices.ucb.unit import PACKETS
from pygnc_instruments.simulators.emus_unit import EmusSimulator
from pygnc_instruments.simulators.endpoints import Endpoint, FaultRates, PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.opc_n3_unit import OpcN3Simulator
from pygnc_instruments.simulators.ucb_bootloader import make_image
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_instruments.simulators.unit import SimulatedUnit
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator
from scripts.bench.table import Row, print_rows, select_parts

RECORDINGS: Final = (("dmu380_s1.raw", "S1", 1002), ("openimu_z1.raw", "z1", 2127))
ROUNDS: Final = 5
DEVICES: Final = 8
LOAD_S: Final = 10.0
REQUESTS: Final = 1000
PERIOD_S: Final = 0.01
IMAGE_BYTES: Final = 160_000
"""Size of the published images for the OpenIMU300."""
LONE_UNITS: Final[Mapping[str, Callable[[], SimulatedUnit]]] = {
    "DMU380": UcbSimulator,
    "3DM-GX2": lambda: Gx2Simulator(eeprom={0xFCA6: 0xCC}),
    "monoDrive": MonoDriveSimulator,
    "EMUS": EmusSimulator,
    "OPC-N3": lambda: UsbIssSimulator(OpcN3Simulator()),
}
TRANSMITTERS: Final = ("DMU380", "3DM-GX2")
"""Units that stream from power-up on, also if their receive line is not connected."""
ONE_PERCENT: Final = FaultRates(lost=0.0033, flipped=0.0034, doubled=0.0033)
PYTHON_IMU380: Final = """
import collections, math, sys, time, types
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


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--python-imu380", type=Path, metavar="FOLDER", help="Checkout of python-imu380, whose parser is measured too."
    )
    parts = {part.__name__: part for part in (parse, load, answers, upgrade, discovery)}
    options, chosen = select_parts(parser, parts)
    print_rows(chain.from_iterable(part(options) for part in chosen))


def parse(options: argparse.Namespace) -> Iterator[Row]:
    """Count packets of recordings; measure both parsers and the parser of python-imu380."""
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

    whole = _per_s(lambda: len(scan_recording(octets).values(packet)))
    yield Row("S1 with CRC and typed values, whole recordings, packets/s", f"{whole:,.0f}", "300 000", whole >= 300_000)
    yield Row("the same, as a stream of readings, packets/s", f"{_per_s(streaming):,.0f}")
    if options.python_imu380 is not None:
        command = [sys.executable, "-c", PYTHON_IMU380, str(options.python_imu380), str(path)]
        rates = [
            float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
            for _ in range(ROUNDS)
        ]
        yield Row("python-imu380's parser, packets/s", f"{max(rates):,.0f}")


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
    """Find a quiet unit among eight ports; the unit uses the baud rate that is tried last."""
    with _unit({0x01: 0, 0x02: 2}) as url, contextlib.ExitStack() as stack:
        dead = []
        for _ in range(7):
            master, slave = os.openpty()
            stack.callback(os.close, master)
            stack.callback(os.close, slave)
            dead.append(os.ttyname(slave))
        for what, families in (("its family", [FAMILY]), ("all families", None)):
            start_s = time.monotonic()
            outcome = search([*dead[:4], url, *dead[4:]], families)
            took_s = time.monotonic() - start_s
            is_found = [entry.url for entry in outcome.found] == [url]
            found = f"{took_s:.2f} s" if is_found else "not found"
            yield Row(f"discovery of one unit among 8 ports, {what}", found, "3 s", is_found and took_s <= 3)
    with tempfile.TemporaryDirectory() as folder:
        for what, make in LONE_UNITS.items():
            unit = make()
            is_networked = isinstance(unit, MonoDriveSimulator)
            with TcpEndpoint(unit) if is_networked else PtyEndpoint(unit, Path(folder) / "port") as endpoint:
                yield _lone_discovery(what, endpoint)
                if what in TRANSMITTERS:
                    endpoint.unit.receive = lambda *_: None  # type: ignore[method-assign]
                    yield _lone_discovery(f"{what}, transmit-only", endpoint)


def _lone_discovery(what: str, endpoint: Endpoint) -> Row:
    start_s = time.monotonic()
    outcome = search([endpoint.url])
    found = f"{time.monotonic() - start_s:.2f} s" if outcome.found else "not found"
    return Row(f"discovery at one port, all families: {what}", found)


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


@contextlib.contextmanager
def _unit(eeprom: dict[int, int], faults: FaultRates | None = None) -> Iterator[str]:
    """Run a simulated unit in a separate process and yield its port."""
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        process = multiprocessing.Process(target=_serve, args=(theirs, folder, eeprom, faults))
        process.start()
        try:
            url: str = ours.recv()
            yield url
        finally:
            ours.send(None)
            process.join()


def _serve(channel: Connection, folder: str, eeprom: dict[int, int], faults: FaultRates | None) -> None:
    with PtyEndpoint(UcbSimulator(eeprom=eeprom), Path(folder) / "port", faults=faults, seed=6) as line:
        channel.send(line.url)
        channel.recv()


if __name__ == "__main__":
    main()

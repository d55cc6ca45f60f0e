"""Log simulated units over lines that hold, overflow, drop, garble, flap and restart them, for docs/benchmarks.

Usage: python scripts/bench/bench_lines.py [--models NAME...] [--faults NAME...] [--stall-s 4] [--seeds 3] [--at-once 8]

Lines are TCP ports and pseudo-terminals, logs are CSV and MCAP files; clocks are real. A row of the table is a model
and a fault. Readings that were due from the first to the last row are compared with rows plus counted losses, and the
log's time with the unit's from the row after which the tick of every clock is known. Prints a Markdown table.
"""

import argparse
import csv
import itertools
import logging
import math
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import msgspec
from mcap.reader import make_reader

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc_devices.family import family
from pygnc_instruments.device.csv_log import CsvLog
from pygnc_instruments.device.log_files import ReadingsLog
from pygnc_instruments.device.mcap_log import McapLog
from pygnc_instruments.device.simulate_command import SIMULATORS
from pygnc_instruments.simulators.endpoints import Endpoint, PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.mip_unit import MipSimulator
from pygnc_instruments.simulators.unit import SimulatedUnit
from scripts.bench.table import print_table


class Model(NamedTuple):
    """Simulated unit.

    Attributes:
        family: name of its family.
        rate_hz: rate of its readings, Hz.
        make: makes the unit.
    """

    family: str
    rate_hz: float
    make: Callable[[], SimulatedUnit]


MODELS: Final = {
    "dmu380": Model("ucb", 100.0, SIMULATORS["dmu380"]),
    "imu383": Model("ucb", 100.0, SIMULATORS["imu383"]),
    "3dm-gx2": Model("gx2", 100.0, SIMULATORS["3dm-gx2"]),
    "3dm-cv7": Model("mip", 100.0, SIMULATORS["3dm-cv7"]),
    "3dm-cv7-500": Model("mip", 500.0, lambda: MipSimulator(formats={0x80: [(0x04, 1), (0xD5, 1)]})),
    "mti-30": Model("xsens", 100.0, SIMULATORS["mti-30"]),
    "vn-100-binary": Model("vectornav", 100.0, SIMULATORS["vn-100-binary"]),
    "monodrive": Model("monodrive", 100.0, SIMULATORS["monodrive"]),
    "oem719": Model("novatel", 5.0, SIMULATORS["oem719"]),
    "zed-f9p": Model("ublox", 5.0, SIMULATORS["zed-f9p"]),
    "venus8": Model("skytraq", 5.0, SIMULATORS["venus8"]),
}
FAULTS: Final = ("hold", "overflow", "drop", "garble", "flap", "restart", "disk")
"""A disk stalls as long as a line does."""
FORMATS: Final[Mapping[str, type[ReadingsLog]]] = {"csv": CsvLog, "mcap": McapLog}
FAULT_S: Final = 3.0
"""Time at which the fault begins, s."""
SETTLED_S: Final = 5.0
"""Time that is logged after the end of the fault, s."""
BUFFER_BYTES: Final = 4096
"""Bytes that the buffer of an overflowing line holds; a pseudo-terminal holds as many."""
LOST_PACKETS: Final = 0.2
FLIPPED_BYTES: Final = 0.002
TIMED_FROM: Final = 0.2
"""Fraction of the rows after which all units have a device time; the rows before have the time of arrival."""
_PIECE_BYTES: Final = 1024
_PIECE_S: Final = 0.002
"""A line delivers what it has held in pieces, which a pseudo-terminal can take."""


class Result(NamedTuple):
    """Content of a log against what the unit has sent in the same time.

    Attributes:
        rows: number of rows.
        counted: sum of `lost_before` after the first row: readings may be missing before it.
        sent: number of readings that were due from the first to the last row.
        time_error_s: error of the time from the first row after `TIMED_FROM` to the last row, s.
        estimates: number of rows marked as estimates.
    """

    rows: int
    counted: int
    sent: int
    time_error_s: float
    estimates: int


class Line(SimulatedUnit):
    """Unit behind a line with a fault.

    Attributes:
        sent: packets that the unit has sent, with their times, s.
    """

    def __init__(self, unit: SimulatedUnit, fault: str, stall_s: float, seed: int) -> None:
        super().__init__()
        self.sent: list[tuple[float, bytes]] = []
        self._unit = unit
        self.baud = unit.baud
        self._fault = fault
        self._stall_s = stall_s
        self._stalls_s = math.inf
        self._random = Random(seed)  # noqa: S311 - repeatable faults, no secrets
        self._waiting = b""
        self._next_piece_s = 0.0

    def begin(self, now_s: float) -> None:
        """Set the begin of the log, by which the time of a stall is determined."""
        self._stalls_s = now_s + FAULT_S

    def receive(self, octets: bytes, now_s: float) -> None:
        """See `SimulatedUnit`."""
        self._unit.receive(octets, now_s)
        self.baud = self._unit.baud

    def power_cycle(self, now_s: float) -> None:
        """See `SimulatedUnit`."""
        self._unit.power_cycle(now_s)

    def next_s(self) -> float:
        """See `SimulatedUnit`."""
        return min(self._unit.next_s(), self._next_piece_s) if self._waiting else self._unit.next_s()

    def run(self, now_s: float) -> bytes:
        """See `SimulatedUnit`."""
        while (at_s := self._unit.next_s()) <= now_s:
            octets = self._unit.run(at_s)
            if octets:
                self.sent.append((at_s, octets))
                self._put(octets)
        ends_s = self._stalls_s + self._stall_s
        is_held = self._fault in {"hold", "overflow"} and self._stalls_s <= now_s < ends_s
        if is_held or now_s < self._next_piece_s:
            if is_held:
                self._next_piece_s = ends_s
            return b""
        piece, self._waiting = self._waiting[:_PIECE_BYTES], self._waiting[_PIECE_BYTES:]
        self._next_piece_s = now_s + _PIECE_S if self._waiting else 0.0
        return piece

    def discard(self, now_s: float) -> None:
        """Let the unit run on without a cable."""
        self.run(now_s)
        self._waiting, self._next_piece_s = b"", 0.0

    def _restart(self, now_s: float) -> None: ...

    def _put(self, octets: bytes) -> None:
        if self._fault == "drop" and self._random.random() < LOST_PACKETS:
            return
        if self._fault == "garble":
            octets = bytes(
                octet ^ 1 << self._random.randrange(8) if self._random.random() < FLIPPED_BYTES else octet
                for octet in octets
            )
        if self._fault == "overflow" and len(self._waiting) + len(octets) > BUFFER_BYTES:
            return
        self._waiting += octets


def main() -> None:
    """Run the trials and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--models",
        nargs="+",
        choices=MODELS,
        default=[name for name in MODELS if name != "3dm-cv7-500"],
        help="Models.",
    )
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=FAULTS[:-1], help="Faults.")
    parser.add_argument("--stall-s", type=float, default=4.0, help="Duration of a stall, s.")
    parser.add_argument("--seeds", type=int, default=3, help="Number of seeds of each trial.")
    parser.add_argument("--at-once", type=int, default=8, help="Number of trials at the same time.")
    options = parser.parse_args()
    logging.getLogger("pygnc_devices").setLevel(logging.ERROR)  # each disconnection is a warning
    trials = list(
        itertools.product(
            options.models, options.faults, ("tcp", "pty"), FORMATS, range(1, options.seeds + 1), [options.stall_s]
        )
    )
    header = ("model", "fault", "trials", "rows", "counted", "rows + counted - sent", "time error", "estimates")
    with ThreadPoolExecutor(options.at_once) as pool:
        results = zip(trials, pool.map(lambda trial: run_trial(*trial), trials), strict=True)
        groups = itertools.groupby(results, lambda entry: entry[0][:2])
        print_table(header, (_row(key[0], key[1], [result for _, result in entries]) for key, entries in groups))


def run_trial(name: str, fault: str, kind: str, file_format: str, seed: int, stall_s: float) -> Result:  # noqa: PLR0917 - the conditions of a trial
    """Log a unit over a line; return the content of the log."""
    model = MODELS[name]
    line = Line(model.make(), fault, stall_s, seed)
    with tempfile.TemporaryDirectory() as folder:
        endpoint = TcpEndpoint(line) if kind == "tcp" else PtyEndpoint(line, Path(folder) / "port")
        with endpoint:
            log = FORMATS[file_format](Path(folder) / "logs", "x", {"family": model.family})
            rows = _log(endpoint, line, log, stall_s, fault)
        if not rows:
            return Result(0, 0, round(model.rate_hz * (FAULT_S + stall_s + SETTLED_S)), 0.0, 0)
        (path,) = (Path(folder) / "logs").iterdir()
        times_s, lost, estimates = _read_csv(path) if file_format == "csv" else _read_mcap(path)
    sent_s = partial(_sent_s, line.sent)
    # A damaged frame can have a right checksum; then the row before it is the last one.
    end = next(end for end in range(len(rows), 0, -1) if sent_s(*rows[end - 1]) is not None)
    timed = next(row for row in range(round(TIMED_FROM * end), end) if sent_s(*rows[row]) is not None)
    first_s, timed_s, last_s = (sent_s(*rows[row]) or 0.0 for row in (0, timed, end - 1))
    time_error_s = times_s[end - 1] - times_s[timed] - (last_s - timed_s)
    sent = round((last_s - first_s) * model.rate_hz) + 1
    return Result(end, sum(lost[1:end]), sent, time_error_s, sum(estimates))


def _sent_s(sent: Sequence[tuple[float, bytes]], arrival_s: float, raw: bytes) -> float | None:
    """Return the time of the newest packet with a frame, s; None if the frame was damaged.

    A unit may send the same frame before and after a restart.
    """
    return next((at_s for at_s, octets in reversed(sent) if at_s <= arrival_s and raw in octets), None)


def _unplug(endpoint: Endpoint, line: Line, fault: str) -> None:
    if fault not in {"flap", "restart"}:
        return
    start_s = endpoint.now_s()
    for begin_s, length_s in ((FAULT_S, 1.5), (FAULT_S + 4.0, 0.7)) if fault == "flap" else ((FAULT_S, 2.5),):
        time.sleep(max(0.0, start_s + begin_s - endpoint.now_s()))
        endpoint.unplug()
        time.sleep(length_s)
        with endpoint.hold():
            line.discard(endpoint.now_s())
        endpoint.plug_in(power_cycled=fault == "restart")


def _log(endpoint: Endpoint, line: Line, log: ReadingsLog, stall_s: float, fault: str) -> list[tuple[float, bytes]]:
    """Log the readings of the first kind over the fault; return the times, s, at which they were taken, and frames."""
    device: Any = family(log.head["family"]).device
    packet, is_slow = "", fault == "disk"
    rows: list[tuple[float, bytes]] = []
    with device.open(endpoint.url, line.baud) as opened, closing(opened.subscribe()) as subscription:
        start_s = time.monotonic()
        line.begin(endpoint.now_s())
        operator = threading.Thread(target=_unplug, args=(endpoint, line, fault))
        operator.start()
        while (now_s := time.monotonic() - start_s) < FAULT_S + stall_s + SETTLED_S:
            if is_slow and now_s >= FAULT_S:
                time.sleep(stall_s)
                is_slow = False
            reading = subscription.take(0.1)
            packet = packet or (reading.packet.name if reading is not None else "")
            if reading is not None and reading.packet.name == packet:
                log.write(reading)
                rows.append((endpoint.now_s(), reading.raw))
        log.close()
        operator.join()
    return rows


def _read_csv(path: Path) -> tuple[list[float], list[int], list[bool]]:
    with path.open() as file:
        rows = list(csv.DictReader(line for line in file if line[0] != "#"))
    times_s = [float(row["time"]) for row in rows]
    return times_s, [int(row["lost_before"]) for row in rows], [row["estimate"] == "1" for row in rows]


def _read_mcap(path: Path) -> tuple[list[float], list[int], list[bool]]:
    decode: Callable[[bytes], dict[str, Any]] = partial(msgspec.json.decode, type=dict[str, Any])
    with path.open("rb") as file:
        messages = [message for _, _, message in make_reader(file).iter_messages(log_time_order=False)]
    values = [decode(message.data) for message in messages]
    times_s = [message.publish_time / 1e9 for message in messages]
    start_s = messages[0].publish_time / 1e9
    return (
        [at_s - start_s for at_s in times_s],
        [entry["lost_before"] for entry in values],
        [entry.get("is_estimate", False) for entry in values],
    )


def _row(model: str, fault: str, entries: list[Result]) -> tuple[str, ...]:
    differences = [entry.rows + entry.counted - entry.sent for entry in entries]
    worst = max(differences, key=abs)
    exact = sum(difference == 0 for difference in differences)
    is_marked = all(entry.estimates for entry, difference in zip(entries, differences, strict=True) if difference)
    mark = ", all marked as estimates" if is_marked else ", **not marked**"
    return (
        model,
        fault,
        str(len(entries)),
        str(sum(entry.rows for entry in entries)),
        str(sum(entry.counted for entry in entries)),
        f"0 in {exact}" + (f", worst {worst:+d}{mark}" if worst else ""),
        f"{1e3 * max(abs(entry.time_error_s) for entry in entries):.1f} ms",
        str(sum(entry.estimates for entry in entries)),
    )


if __name__ == "__main__":
    main()

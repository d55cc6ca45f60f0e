"""Benchmarks of the flight software in docs/benchmarks, against limits and alternatives in the same run.

Usage: python scripts/bench/bench_flight.py [--runs N]

Prints a Markdown table. Each figure is the median of N runs.
"""

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import OrbitEstimate, OrbitMessage
from pygnc.formats import status
from pygnc.formats.gps_packet import decode_gps_packets
from pygnc.formats.sense import SenseLayout, decode_sensors
from pygnc.formats.sense_scan import scan
from pygnc.formats.status import Phase, Value
from pygnc.supervisor.process import ExitCode
from pygnc_ground.truth.load import load_truth
from scripts.bench.processes import ROOT, cpu_s, resident_mb, running
from scripts.bench.table import Row, print_rows, timed

DEMO: Final = ROOT / "data" / "demo" / "sense.bin"
LAYOUT: Final = SenseLayout()
HOUR_RECORDS: Final = 144
RECORD_PERIOD_S: Final = 25
SETTLE_S: Final = 5.0
"""Time from the end of a batch to a measurement of the idle run, s."""
IDLE_S: Final = 60.0
"""Time over which the processor time of an idle run is measured, s."""


def main() -> int:
    """Run every measurement and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="Number of runs per measured value (default: 5).")
    runs = parser.parse_args().runs
    measures = [
        decode_clean(runs),
        decode_damaged(runs),
        first_status(runs),
        batch(runs, length=1, limit_s=1.0),
        batch(runs, length=3, limit_s=1.5),
        idle(),
        formation(),
        hopeless(),
        stop(runs, Phase.IDLE, hours(1), "idle"),
        stop(runs, Phase.BATCH, hours(3), "during a batch"),
        outlier(),
        no_fix(),
    ]
    return print_rows(chain.from_iterable(measures))


# --- Decoding -----------------------------------------------------------------------------------------------------


def decode_clean(runs: int) -> Iterator[Row]:
    """Time validation and decoding of clean files, next to a loop over struct."""
    peer = len(demo := long_file(432)) / 1e6 / timed(partial(decode_by_struct, demo), runs)
    for count in (432, 4_000, 120_000):
        content = long_file(count)
        mb, times = len(content) / 1e6, runs * (1 + 4_000 // count)
        to_records = mb / timed(partial(scan, content), times)
        to_si = mb / timed(partial(decoded, content, count), times)
        what = f"scan and validate to record arrays, {mb:.1f} MB"
        yield Row(what, f"{to_records:.0f} MB/s", "300 MB/s", to_records >= 300)
        yield Row("the same, converted to SI arrays", f"{to_si:.0f} MB/s, {to_si / peer:.0f} times the peer")
    yield Row("peer: a loop over struct.unpack", f"{peer:.1f} MB/s")


def decoded(content: bytes, count: int) -> None:
    """Decode a whole file of `count` records."""
    records = scan(content).records
    if not len(decode_sensors(records).lux) == len(decode_gps_packets(records["gps"])) == count:
        raise ValueError(f"the file has {count} records; {len(records)} were found")


def decode_damaged(runs: int) -> Iterator[Row]:
    """Time validation of files with 1 % and with 20 % damaged records."""
    for percent in (1, 20):
        content = damaged(long_file(40_000), percent / 100)
        kept = len(scan(content).records) / 40_000
        if not 0.98 * (1 - percent / 100) <= kept <= 1.02 * (1 - percent / 100):
            raise ValueError(f"{percent} % of the records are damaged, but {kept:.1%} are delivered")
        speed = len(content) / 1e6 / timed(partial(scan, content), runs)
        yield Row(f"scan, {percent} % of the records damaged", f"{speed:.0f} MB/s", "30 MB/s", speed >= 30)


def long_file(count: int) -> bytes:
    """Return a file of `count` records with consecutive times."""
    demo = DEMO.read_bytes()
    records = np.frombuffer(demo * (count * LAYOUT.size // len(demo) + 1), LAYOUT.record)[:count].copy()
    times = 1_000_000_000 + RECORD_PERIOD_S * np.arange(count)
    step = RECORD_PERIOD_S // LAYOUT.sensors_per_record
    records["sensors"]["t_spacecraft_s"] = times[:, None] + step * np.arange(LAYOUT.sensors_per_record)
    records["gps"]["t_spacecraft_s"] = records["sensors"]["t_spacecraft_s"][:, -1]
    return records.tobytes()


def damaged(content: bytes, share: float) -> bytes:
    """Return `content` with bytes lost, inserted, zeroed or flipped in a share (0 to 1) of its records."""
    rng = np.random.default_rng(1)
    size = LAYOUT.size
    parts = []
    for start in range(0, len(content), size):
        record = content[start : start + size]
        if rng.random() < share:
            at = int(rng.integers(4, size - 4))
            record = (
                record[:at] + record[at + 3 :],
                record[:at] + b"\x55\xaa" + record[at:],
                bytes(size),
                record[:-2] + bytes([record[-2] ^ 16]) + record[-1:],
            )[int(rng.integers(4))]
        parts.append(record)
    return b"".join(parts)


def decode_by_struct(content: bytes) -> list[tuple[float, ...]]:
    """Decode record by record with struct."""
    sensor = struct.Struct("<3hH3h")
    light = struct.Struct(">6H")
    fix = struct.Struct("<BHIB3d3fB3d3f3fBB")
    decoded = []
    for start in range(0, len(content), LAYOUT.size):
        values: list[float] = []
        for k in range(LAYOUT.sensors_per_record):
            at = start + 30 * k
            values.append(int.from_bytes(content[at : at + 4], "big"))
            words = sensor.unpack_from(content, at + 4)
            values += [word / 16 for word in words[:3]] + [word / 65.6 for word in words[4:]]
            values += [0.01 * (word & 0xFFF) * 2 ** (word >> 12) for word in light.unpack_from(content, at + 18)]
        values += fix.unpack_from(content, start + 30 * LAYOUT.sensors_per_record + 4)
        if content[start + LAYOUT.size - 2 : start + LAYOUT.size] != b"\r\n":
            raise ValueError(f"no CR LF at the end of the record at offset {start}")
        decoded.append(tuple(values))
    return decoded


# --- Runs of main.py ------------------------------------------------------------------------------------------------


class Run(NamedTuple):
    """Run of main.py in a temporary home, and the time of its start, s."""

    home: Path
    process: subprocess.Popen[str]
    began: float

    def status(self) -> dict[str, Value] | None:
        """Return the decoded status, or None before the first one."""
        with contextlib.suppress(FileNotFoundError):
            return status.decode((self.home / "pygnc_status.bin").read_bytes())
        return None

    def until(self, condition: Callable[[dict[str, Value]], bool], limit_s: float = 60.0) -> float:
        """Return the time from the start until the status fulfils a condition, s."""
        while time.perf_counter() - self.began < limit_s:
            found = self.status()
            if found and condition(found):
                return time.perf_counter() - self.began
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.001)
        raise TimeoutError(f"{self.home}: the status did not fulfil the condition within {limit_s:g} s")

    def processes(self) -> list[int]:
        """Return the process ids of main and its tasks."""
        return [self.process.pid, *children(self.process.pid)]

    def memory_mb(self) -> tuple[float, float]:
        """Return the memory of main and its tasks, and the same with the second looks of the tasks, MB."""
        tasks = self.processes()
        try:
            return resident_mb(*tasks), resident_mb(*tasks, *(look for task in tasks[1:] for look in children(task)))
        except (FileNotFoundError, ProcessLookupError):  # a second look has ended meanwhile
            return self.memory_mb()


def children(pid: int) -> list[int]:
    """Return the process ids of the children of a process."""
    return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


@contextlib.contextmanager
def flight(*options: str, records: bytes, ranges: Path | None = None) -> Iterator[Run]:
    """Start main.py, kill it at the end, and remove its home."""
    last = int.from_bytes(records[-101:-97], "big")
    command = [sys.executable, str(ROOT / "flight" / "main.py"), "10", str(last + 60), *options]
    # Compiled modules are cached, as on the satellite after the first run.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory(prefix="pygnc-bench-") as folder:
        home = Path(folder)
        (home / "sense.bin").write_bytes(records)
        if ranges is not None:
            shutil.copytree(ranges, home / "range")
        began = time.perf_counter()
        with running(command, environment | {"HOME": folder}, stderr=subprocess.DEVNULL) as process:
            yield Run(home, process, began)
            process.terminate()  # tasks that are killed would still write while the home is removed
            process.wait()


def hours(count: int) -> bytes:
    """Return the first hours of the demonstration batch."""
    return DEMO.read_bytes()[: count * HOUR_RECORDS * LAYOUT.size]


def seconds_until(is_reached: Callable[[dict[str, Value]], bool], runs: int, *options: str, records: bytes) -> float:
    """Return the median time from the start until the status fulfils a condition, s."""
    times = []
    for _ in range(runs + 1):
        with flight(*options, records=records) as run:
            times.append(run.until(is_reached))
    return statistics.median(times[1:])


def first_status(runs: int) -> Iterator[Row]:
    """Measure the time from the start until the status reports that all tasks are up."""
    seconds = seconds_until(lambda s: s["phase"] != Phase.STARTING, runs, records=hours(1))
    libraries = [sys.executable, "-c", "import numpy, erfa, zmq, msgspec, satkit"]
    bare = timed(lambda: subprocess.run(libraries, check=True), runs)
    yield Row("start to first status, all tasks up", f"{seconds:.2f} s", "0.35 s", seconds <= 0.35)
    yield Row("peer: Python importing the flight libraries", f"{bare:.2f} s")


def batch(runs: int, length: int, limit_s: float) -> Iterator[Row]:
    """Measure the time from the start to the final status of a batch of `length` hours."""
    seconds = seconds_until(lambda s: s["phase"] == Phase.STOPPED, runs, "--exit-when-done", records=hours(length))
    yield Row(f"{length} h of batch, start to final status", f"{seconds:.2f} s", f"{limit_s} s", seconds <= limit_s)


def stop(runs: int, phase: Phase, records: bytes, when: str) -> Iterator[Row]:
    """Measure the time from SIGINT in a phase to the end of the process."""
    times = []
    for _ in range(runs):
        with flight(records=records) as run:
            run.until(lambda s: s["phase"] == phase)
            began = time.perf_counter()
            run.process.send_signal(signal.SIGINT)
            run.process.wait(20)
            times.append(time.perf_counter() - began)
    yield Row(f"Ctrl-C to exit, {when}", f"{max(times):.2f} s (worst)", "1 s", max(times) <= 1.0)


# --- Memory and processor time --------------------------------------------------------------------------------------


def idle() -> Iterator[Row]:
    """Measure memory and processor time of an idle run."""
    with flight(records=hours(3)) as run:
        run.until(lambda s: s["phase"] == Phase.IDLE, limit_s=600.0)
        time.sleep(SETTLE_S)
        processes = run.processes()
        before, began = cpu_s(*processes), time.perf_counter()
        time.sleep(IDLE_S)
        share = (cpu_s(*processes) - before) / (time.perf_counter() - began)
        mb = resident_mb(*processes)
    yield Row(f"memory of all {len(processes)} processes, idle", f"{mb:.0f} MB", "85 MB", mb <= 85)
    yield Row("processor, idle", f"{100 * share:.1f} % of a core", "2 %", share < 0.02)


def formation() -> Iterator[Row]:
    """Measure memory with three partners: the maximum during the batch, and afterwards."""
    with (
        scenario("formation4") as files,
        flight(records=(files / "sense.bin").read_bytes(), ranges=files / "range") as run,
    ):
        run.until(lambda s: s["phase"] == Phase.BATCH)
        measured = []

        def is_at_rest(found: dict[str, Value]) -> bool:
            measured.append(run.memory_mb())
            return found["phase"] == Phase.IDLE and bool(found["partner2_id"])

        run.until(is_at_rest, limit_s=600.0)
        time.sleep(SETTLE_S)
        idle_mb = run.memory_mb()[0]
    most_mb, with_looks_mb = map(max, *measured)
    for when, mb in (("idle", idle_mb), ("maximum during the batch", most_mb)):
        yield Row(f"memory with three partners, {when}", f"{mb:.0f} MB", "100 MB", mb <= 100)
    yield Row("the same with second looks, which last a second", f"{with_looks_mb:.0f} MB")


def hopeless() -> Iterator[Row]:
    """Measure the processor time of a day whose attitude cannot be found: the magnetometer's direction is random."""
    with scenario("nominal", 24) as files:
        records = np.frombuffer((files / "sense.bin").read_bytes(), LAYOUT.record).copy()
    rng = np.random.default_rng(1)
    mag = records["sensors"]["mag"]
    directions = rng.normal(size=mag.shape)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    records["sensors"]["mag"] = np.linalg.norm(mag, axis=-1, keepdims=True) * directions
    with flight(records=records.tobytes()) as run:
        run.until(lambda s: s["phase"] == Phase.IDLE, limit_s=300.0)
        names = {Path(f"/proc/{pid}/comm").read_text().strip(): pid for pid in run.processes()}
        used_s = cpu_s(names["pygnc-attitude"])
        found = run.status() or {}
    searched = int(found["samples_searching"]) / int(found["samples_received"])
    what = f"24 h without an attitude ({searched:.0%} of the samples in searches): processor time of the attitude task"
    yield Row(what, f"{used_s:.0f} s", "60 s", used_s <= 60.0)


@contextlib.contextmanager
def scenario(preset: str, length: int = 3) -> Iterator[Path]:
    """Generate the files of a scenario of so many hours; return the folder of the first satellite."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "hours.toml")
        settings.write_text(f"duration_s = {3600 * length}\n")
        words = ["scenario", "make", "--preset", preset, "--config", str(settings), "--out", f"{folder}/files"]
        subprocess.run([str(Path(sys.executable).with_name("pygnc")), *words], check=True, stdout=subprocess.DEVNULL)
        made = Path(folder, "files")
        yield made if (made / "sense.bin").exists() else min(path for path in made.iterdir() if path.is_dir())


# --- Wrong and missing fixes ----------------------------------------------------------------------------------------


def outlier() -> Iterator[Row]:
    """Compare the errors of a batch that has a fix with an error of 10 km with those of the batch without that fix."""
    worst = max(extra_error_m(k) for k in (0, 2, HOUR_RECORDS // 2, HOUR_RECORDS - 1))
    yield Row("one fix with an error of 10 km, largest increase of any error", f"{worst:.2f} m", "1 m", worst < 1.0)


def extra_error_m(k: int) -> float:
    """Return the largest increase of an error by an outlier in fix `k`, compared with a batch without that fix."""
    spoilt, without = (np.frombuffer(hours(1), LAYOUT.record).copy() for _ in range(2))
    spoilt["gps"]["position_ecef_m"][k, k % 3] += 10_000.0
    without["gps"]["position_status"][k] = 1
    errors, errors_without = errors_m(spoilt.tobytes()), errors_m(without.tobytes())
    return max(errors[t] - errors_without[t] for t in errors.keys() & errors_without.keys())


def errors_m(records: bytes) -> dict[int, float]:
    """Return the distance of each estimated position from the truth, by GPS time in ms."""
    with flight("--exit-when-done", records=records) as run:
        run.process.wait(60)
        (folder,) = (run.home / "pygnc_logs").iterdir()
        decode = msgspec.msgpack.Decoder(OrbitMessage).decode
        messages = [decode(record.payload) for record in JournalReader([folder], "orbit").read(10**6)]
    found = {message.gps_ms: message.position_ecef_m for message in messages if isinstance(message, OrbitEstimate)}
    true = load_truth(DEMO.with_name("truth.parquet")).at(np.array(list(found))).position_ecef_m
    errors = np.linalg.norm(np.array(list(found.values())) - true, axis=1)
    return {gps_ms: error for gps_ms, error in zip(found, errors.tolist(), strict=True) if np.isfinite(error)}


def no_fix() -> Iterator[Row]:
    """Process the recording without usable fixes, if it is available."""
    what, limit = "recorded_sense.bin (no usable fix)", "runs, reports the cause"
    folder = os.environ.get("PYGNC_REFERENCE_DATA")
    if folder is None:
        yield Row(what, "not run: PYGNC_REFERENCE_DATA is not set", limit)
        return
    records = (Path(folder) / "pygnc" / "recorded_sense.bin").read_bytes()
    with flight("--exit-when-done", records=records) as run:
        code = run.process.wait(60)
        final = run.status() or {}
    causes = ", ".join(f"{int(final[f'rejected_{c}'])} {c}" for c in status.REJECT_CAUSES if final.get(f"rejected_{c}"))
    yield Row(what, f"exit code {code}; {causes}", limit, code == ExitCode.LIMITED and bool(causes))


if __name__ == "__main__":
    sys.exit(main())

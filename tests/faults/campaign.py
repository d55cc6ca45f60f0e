"""Fault campaign: runs of main.py with one fault each, judged by their reports, losses and estimates.

Usage: python -m tests.faults.campaign [--kind KIND] [--seed N] [--minutes N]
       python -m tests.faults.campaign --every PART [--tries N] [--seed N]

Prints a row for each run and a summary; a row is repeated by its kind and its seed. Exits with code 1 if a run did not
survive, lost something without a report, or has counters that do not add up. With --every, it tries an error at every
operation, or a power cut after every step, and prints the runs that did not survive and a summary.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec
import pytest

from pygnc.bus.messages import GnssFix, RangeMeasurement, SensorSample
from pygnc.formats.causes import find_causes
from scripts.bench.table import print_table
from tests.e2e.conftest import SENSE, Estimates, Flight, all_estimates, minute_after
from tests.faults.accounting import Recorded, balance
from tests.faults.clock_faults import SpacecraftClock, WallClock
from tests.faults.disk_faults import Eio, Erofs, FullDisk, Inodes, PowerCut
from tests.faults.fault import Fault, Flown
from tests.faults.lost_writes import can_trace
from tests.faults.operations import Share, ShortFlights, Sweeps
from tests.faults.power_cuts import cut_run, cut_uploads
from tests.faults.process_faults import (
    Descriptors,
    Freeze,
    Kill,
    KillMain,
    OldRuns,
    Pids,
    RunMemory,
    SlowComputer,
    TaskMemory,
)
from tests.faults.produced import damaged_hour
from tests.faults.updates import cut_updates, fail_updates, kill_updates

KINDS: Final[tuple[type[Fault], ...]] = (
    Kill,
    Freeze,
    KillMain,
    TaskMemory,
    RunMemory,
    Pids,
    Descriptors,
    SlowComputer,
    OldRuns,
    FullDisk,
    Inodes,
    Eio,
    Erofs,
    PowerCut,
    WallClock,
    SpacecraftClock,
)
PARTS: Final[Mapping[str, Sweeps]] = {
    "errors": ShortFlights.errors,
    "mappings": ShortFlights.mappings,
    "run_cuts": cut_run,
    "upload_cuts": cut_uploads,
    "update_cuts": cut_updates,
    "update_errors": fail_updates,
    "update_kills": kill_updates,
}
POWER_OFF_S: Final = 10.0
"""Time from Ctrl-C until the power goes."""
REASON_MAX: Final = 300
"""Length of an error in the table, characters."""
UNRELATED: Final = frozenset({"mounting", "damage", "anomaly"})
"""Events that the input and the settings cause in an undisturbed run, too."""


class Trial(NamedTuple):
    """Run with one fault. `verdict` is `yes`, `NO` with reasons, or `skipped` with the reason."""

    kind: str
    seed: int
    injected: str = ""
    noticed: str = ""
    verdict: str = "yes"
    lost: Mapping[str, tuple[int, int]] = MappingProxyType({})
    stop_s: float = 0.0

    @property
    def cells(self) -> tuple[str, ...]:
        """Cells of the row of the table."""
        lost = "; ".join(f"{size} B in {number} {what}" for what, (size, number) in self.lost.items())
        stop = f"{self.stop_s:.2f}" if self.stop_s else "-"
        return self.kind, str(self.seed), self.injected, self.noticed, self.verdict, lost or "0", stop


def main() -> int:
    """Run the campaign; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {kind.name: kind for kind in KINDS}
    parser.add_argument("--kind", choices=list(kinds), action="append", help="Inject only this kind; repeatable.")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="First seed (default: 1).")
    parser.add_argument(
        "--minutes",
        type=float,
        default=0.0,
        metavar="N",
        help="Continue with further seeds for N minutes (default: one).",
    )
    parser.add_argument(
        "--every", choices=list(PARTS), action="append", help="Try every case of this part; repeatable."
    )
    parser.add_argument("--tries", type=int, metavar="N", help="With --every, try N cases of each part (default: all).")
    options = parser.parse_args()
    if options.every:
        if set(options.every) - {"errors"} and not can_trace():
            parser.error("only the part errors works without strace and the right to trace")
        return sweep([PARTS[name] for name in options.every], Share(options.tries, options.seed))
    chosen = [kinds[name] for name in options.kind or kinds]
    trials: list[Trial] = []

    def rows() -> Iterator[tuple[str, ...]]:
        for trial in campaign(chosen, options.seed, options.minutes * 60.0):
            trials.append(trial)
            yield trial.cells

    print_table(("fault", "seed", "injected", "noticed", "survived", "lost", "stop, s"), rows())
    sys.stdout.write("\n")
    print_table(("fault", "runs", "survived", "largest loss", "longest stop, s"), summary(trials))
    return int(any(trial.verdict.startswith("NO") for trial in trials))


def sweep(parts: Iterable[Sweeps], share: Share) -> int:
    """Try the cases of some parts; return the exit code."""
    failed = 0

    def rows() -> Iterator[tuple[str, ...]]:
        nonlocal failed
        for part in parts:
            began_s = time.monotonic()
            for name, cases, runs in part(flights, share):
                tried = list(runs)
                wrong = [run for run in tried if run.reasons]
                for run in wrong:
                    sys.stderr.write(f"{name}: {run.what}: {'; '.join(run.reasons)}\n")
                failed += len(wrong)
                now_s = time.monotonic()
                yield name, str(cases), str(len(tried)), str(len(tried) - len(wrong)), f"{now_s - began_s:.0f}"
                began_s = now_s

    with tempfile.TemporaryDirectory(prefix="pygnc-faults-") as folder:
        flights = ShortFlights(Path(folder))
        print_table(("fault", "cases", "tried", "survived", "time, s"), rows())
    return int(failed > 0)


def campaign(kinds: Iterable[type[Fault]], first_seed: int, duration_s: float) -> Iterator[Trial]:
    """Fly each kind with one seed after another until the time has passed; yield the trials."""
    kinds = list(kinds)
    end_s = time.monotonic() + duration_s
    with tempfile.TemporaryDirectory(prefix="pygnc-faults-") as folder:
        undisturbed = fly_undisturbed(Path(folder))
        for seed in count(first_seed):
            for kind in kinds:
                yield fly(kind, seed, undisturbed)
                if seed > first_seed and time.monotonic() > end_s:
                    return
            if time.monotonic() > end_s:
                return


def fly_undisturbed(home: Path) -> Estimates:
    """Return the estimates of a run without a fault."""
    damaged_hour().write(home)
    flight = Flight(home)
    if flight.run("10", str(minute_after(SENSE)), "--exit-when-done"):
        raise RuntimeError(f"the undisturbed run failed: {flight.stderr}")
    return all_estimates(flight)


def fly(kind: type[Fault], seed: int, undisturbed: Estimates) -> Trial:
    """Fly one fault, and judge the run."""
    fault = kind(random.Random(f"{kind.name} {seed}"))  # noqa: S311 - repeatable faults
    begun = Trial(kind.name, seed)
    with tempfile.TemporaryDirectory(prefix="pygnc-fault-") as folder:
        try:
            with fault.flight(Path(folder)) as flight:
                return judge(begun, fault, flight, fault.fly(flight), undisturbed)
        except pytest.skip.Exception as reason:
            return begun._replace(verdict=f"skipped: {reason}")
        except (AssertionError, OSError, ValueError, RuntimeError) as error:
            return begun._replace(verdict=f"NO: {type(error).__name__}: {str(error)[:REASON_MAX]!r}")


def judge(begun: Trial, fault: Fault, flight: Flight, flown: Flown, undisturbed: Estimates) -> Trial:
    """Compare a run with what its fault may cost."""
    events = [event for event in flight.events() if event.severity != "info" and event.name not in UNRELATED]
    names = {event.name for event in events}
    causes = sorted({*find_causes(flown.status, {}), *words_of_info(flight.home)})
    records = sum(isinstance(message, SensorSample | GnssFix | RangeMeasurement) for message in flight.inputs())
    written = sum(file.stat().st_size for file in (flight.home / "pygnc_batch").rglob("*") if file.is_file())
    result = balance(flown.status, fault.produced, fault.live_records, Recorded(records, written))
    reasons = list(result.faults)
    if flown.code not in fault.codes:
        reasons.append(f"exit code {flown.code}")
    if "Traceback" in flown.printed:
        reasons.append("traceback")
    if fault.reported_by and not {*names, *causes} & fault.reported_by:
        reasons.append(f"not reported by {', '.join(sorted(fault.reported_by))}")
    if names & fault.excluded:
        reasons.append(f"events {', '.join(sorted(names & fault.excluded))}")
    if flown.stop_s > POWER_OFF_S:
        reasons.append("slow stop")
    if result.lost and not fault.limits_recording and flown.code == 0:
        reasons.append("loss without a report")
    different, missing = compare(fault, flight, undisturbed)
    reasons += different
    bit_for_bit = f", {', '.join(fault.exact)} bit for bit" if fault.exact else ""
    if fault.exact and fault.limits_recording:
        bit_for_bit += " as far as recorded"
    noticed = sorted({f"{event.name} {event.task}" for event in events})
    noticed += causes
    noticed += [fault.noticed] * bool(fault.noticed) + [f"exit {flown.code}"]
    return begun._replace(
        injected=flown.injected,
        noticed=", ".join(noticed),
        verdict=f"NO: {'; '.join(reasons)}" if reasons else f"yes{bit_for_bit}",
        lost=result.lost | fault.lost | missing,
        stop_s=flown.stop_s,
    )


def words_of_info(home: Path) -> list[str]:
    """Return the causes that the info line names."""
    file = home / "pygnc_info.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    return [word for line in lines if line.startswith("WARN ") for word in line.split()[1:]]


def compare(fault: Fault, flight: Flight, undisturbed: Estimates) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """Compare the estimates with those of the undisturbed run; return the differences and what is not recorded."""
    different, lost = [], {}
    for name in fault.exact:
        expected, found = (encoded(getattr(run, name)) for run in (undisturbed, all_estimates(flight)))
        missing = [message for message in expected if message not in found] if fault.limits_recording else []
        if found != [message for message in expected if message not in missing]:
            different.append(f"other {name}")
        elif missing:
            lost[f"{name} not on the disk"] = (sum(map(len, missing)), len(missing))
    return different, lost


def encoded(messages: bytes) -> list[bytes]:
    """Return the messages of a stream one by one, encoded."""
    return [msgspec.msgpack.encode(message) for message in msgspec.msgpack.decode(messages)]


def summary(trials: Iterable[Trial]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each kind."""
    by_kind: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        by_kind[trial.kind].append(trial)
    for kind, of_kind in by_kind.items():
        survived = sum(trial.verdict.startswith("yes") for trial in of_kind)
        flown = sum(not trial.verdict.startswith("skipped") for trial in of_kind)
        losses = [loss for trial in of_kind for loss in trial.lost.values()]
        size, number = max(losses, default=(0, 0), key=lambda loss: loss[1])
        stop_s = max(trial.stop_s for trial in of_kind)
        yield kind, str(flown), str(survived), f"{size} B, {number} records", f"{stop_s:.2f}"


if __name__ == "__main__":
    sys.exit(main())

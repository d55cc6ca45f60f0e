"""Radiation: flipped bits in the memory of every process, in the fields of each task's state, and in files.

Usage: python -m tests.faults.radiation [--kind KIND] [--trials N] [--out FILE]

Each trial is a line of FILE (CSV): kind, target, seed, number of flips, outcome, number of wrong messages, what was
flipped, what was reported. The program continues a FILE that exists, and prints a table in the end.

- `field`: a field of the state of a task, while the task waits; `step`: the same within a step; `constant`: a constant
  of a module; `instruction`: an instruction of a function that has often run. The task's own loop runs in a process of
  the harness (`task_bench.py`), with recorded inputs.
- `supervisor`: a field of the supervisor's state while it waits; its tasks are played (`supervisor_bench.py`).
- `file`: a checkpoint or journal, between the end of a task and its restart.
- `table`: a table or the settings, between two runs.
- `memory`: the writable memory of the processes of a whole run, uniformly (/proc/PID/mem).

Exits with code 1 if an outcome was `WRONG`, for wrong and not reported, or `STOPPED`, for stopped without a report.
"""

import argparse
import contextlib
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from pygnc.bus.control import ESTIMATES_WRONG
from pygnc.configuration.data_files import (
    EARTH_ORIENTATION_TABLE,
    EARTH_ORIENTATION_UPLOAD,
    MAIN_FIELD_TABLE,
    DataFileError,
    load_earth_orientation,
    read_main_field,
)
from pygnc.configuration.load import SETTINGS_FILE, ConfigurationError, load, write_checksum
from pygnc.formats.causes import find_causes
from pygnc.formats.status import OrbitMode, Phase, Value
from pygnc.host.sentence_types import SENS
from pygnc.tasks.seal import checksum
from pygnc.tasks.second_look import INTERVAL_S
from pygnc_system.files import data_file
from scripts.bench.table import print_table
from tests.e2e.conftest import SENSE, Flight, minute_after
from tests.e2e.linked_flight import RECORDS, LinkedFlight, stream, time_of
from tests.faults.bit_flips import flip_in_file, flip_in_memory, writable_pages
from tests.faults.campaign import UNRELATED
from tests.faults.fault import LONGEST_S, MOMENT_MAX_S
from tests.faults.produced import SENSORS, damaged_hour
from tests.faults.supervisor_bench import Play, Supervised
from tests.faults.task_bench import GROUP, Flip, Flown, Recording, TaskBench

OUTCOMES: Final = ("no effect", "recovered", "flagged", "one step", "WRONG", "STOPPED")
TASKS: Final = ("orbit", "attitude", "formation", "status")
FILE_PLACES: Final = ("checkpoint", "input", "output")
NOTE_MAX: Final = 160
HARMLESS: Final = ("restart", "state_changed")
"""Begin of the reports after which the estimates are the same as without a flip."""
OF_PROCESSES: Final = (
    *HARMLESS,
    *("exit", "crash", "killed", "limited", "silent", "TASK", "not_started"),
    *("failed batch_writer", "failed status", "failed host_link"),
)
"""Begin of the reports that name no wrong estimate."""
FLIPS: Final = 40
"""Number of bits flipped in the memory of a run, most of which have no effect."""
LIVE_RECORDS: Final = 3
PART: Final = {"orbit": 540, "attitude": 540}
"""Number of inputs that a task processes in each trial, if not all: trials of these would take twice as long."""
SETTLE_S: Final = 60.0
END_S: Final = 120.0
"""Maximum time from a stop to the end of main.py, s: beside other programs, 5 s of processor time take a minute."""
LOOKS_S: Final = 8.0 * INTERVAL_S
"""Maximum time until a second look has found wrong estimates, s: it has the lowest priority, and is repeated once."""
SETTINGS: Final = "[formation]\narc_max_s = 900.0\n"
"""Maximum arc of the formation, s: long enough for a solution, which then takes a second."""


class Trial(NamedTuple):
    """Row of the CSV file."""

    kind: str
    target: str
    seed: int
    flips: int
    outcome: str
    wrong: int
    flipped: str
    reported: str


def judge(begun: tuple[str, str, int], flown: Flown, reference: Flown) -> Trial:
    """Compare a run of a task with the run without a flip."""
    expected, found = reference.messages, flown.messages
    missing = len(expected.keys() - found.keys())
    differing = [seq for seq, payload in found.items() if expected.get(seq) != payload]
    wrong = len(differing)
    reports = [event for event in flown.events if event not in reference.events]
    if flown.counts.get("lost_messages") != reference.counts.get("lost_messages"):
        reports.append("LOST")
    others = [name for name in ("last", "counts") if getattr(flown, name) != getattr(reference, name)]
    if not wrong and not missing and not others:
        outcome = "recovered" if reports else "no effect"
    elif any(not report.startswith(OF_PROCESSES if wrong else HARMLESS) for report in reports):
        outcome = "flagged"
    elif wrong > GROUP or others:
        outcome = "WRONG"
    else:
        outcome = "one step" if wrong else "STOPPED"
    counts = [f"{count} {what}" for count, what in ((wrong, "wrong"), (missing, "missing")) if count]
    counts += [f"the first is {differing[0]}"] if differing else []
    notes = "; ".join([*counts, *reports, *(f"other {name}: {getattr(flown, name)}" for name in others)])[:NOTE_MAX]
    return Trial(*begun, 1, outcome, wrong + missing, flown.flipped, notes)


class Campaign:
    """Trials of all kinds with the recording of an undisturbed run, in a folder in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._now_s = minute_after(SENSE)
        self._linked: Flown | None = None
        self._benches: dict[str, TaskBench] = {}

    @cached_property
    def _recording(self) -> Recording:
        home = self._folder / "reference"
        home.mkdir()
        damaged_hour().write(home)
        (home / SETTINGS_FILE).write_text(SETTINGS)
        flight = Flight(home)
        if flight.run("10", str(self._now_s), "--exit-when-done"):
            raise RuntimeError(f"the undisturbed run failed: {flight.stderr}")
        return Recording.of(flight.newest_run())

    def bench(self, task: str) -> TaskBench:
        """Return the harness of a task; its first use runs the task once without a flip."""
        if task not in self._benches:
            recording = self._recording
            folder = self._folder / task
            folder.mkdir()
            settings = load(None, self._folder / "reference")
            part = recording.until(PART[task]) if task in PART else recording
            self._benches[task] = TaskBench(task, part, folder, settings, self._now_s)
        return self._benches[task]

    def fly(self, kind: str, seed: int) -> Trial:
        """Return the trial of a kind with a seed."""
        if kind == "table":
            return self.fly_table(seed)
        if kind == "supervisor":
            return fly_supervisor(seed)
        if kind == "memory":
            return self.fly_memory(seed)
        dice = random.Random(f"{kind} {seed}")  # noqa: S311 - repeatable faults
        task = TASKS[seed % len(TASKS)] if kind != "file" else TASKS[seed % (len(TASKS) - 1)]
        where = dice.choice(FILE_PLACES) if kind == "file" else kind
        bench = self.bench(task)
        last_seq = bench.recording.last_seq
        # Most of the time of a flight, all inputs have been processed.
        seq = (
            dice.choice((dice.randint(2 * GROUP, last_seq), last_seq))
            if where != "step"
            else dice.randint(50, last_seq)
        )
        return judge((kind, f"{task} {where}", seed), bench.fly(Flip(where, seq, dice)), bench.reference)

    def fly_table(self, seed: int) -> Trial:
        """Return the trial of a table or a settings file in which a bit has flipped between two runs."""
        dice = random.Random(f"table {seed}")  # noqa: S311 - repeatable faults
        name = (EARTH_ORIENTATION_UPLOAD, MAIN_FIELD_TABLE, SETTINGS_FILE)[seed % 3]
        home = self._folder / "tables"
        home.mkdir(exist_ok=True)
        place = home / Path(name).name
        if name == SETTINGS_FILE:
            place.write_text(SETTINGS)
            write_checksum(place)
        else:
            place.write_bytes(data_file(EARTH_ORIENTATION_TABLE if name != MAIN_FIELD_TABLE else name).read_bytes())
        expected, _ = _loaded(home, name)
        flipped = flip_in_file(place, dice)
        try:
            found, fault = _loaded(home, name)
        except (DataFileError, ConfigurationError) as error:
            found, fault = None, str(error)
        outcome = "flagged" if fault else "no effect" if found == expected else "WRONG"
        return Trial("table", name, seed, 1, outcome, 0, flipped, fault[:NOTE_MAX])

    def fly_memory(self, seed: int) -> Trial:
        """Return the trial of a whole run with `FLIPS` flipped bits in the memory of its processes."""
        dice = random.Random(f"memory {seed}")  # noqa: S311 - repeatable faults
        if self._linked is None:
            self._linked = self._fly_linked(None)
        return judge(("memory", "all processes", seed), self._fly_linked(dice), self._linked)._replace(flips=FLIPS)

    def _fly_linked(self, dice: random.Random | None) -> Flown:
        """Fly the hour; the last records are live packets that arrive after the flips."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            damaged_hour().without_last(LIVE_RECORDS).write(Path(folder))
            flight = LinkedFlight(Path(folder))
            flipped, ending = "", ""
            try:
                flight.connect("10", str(time_of(RECORDS - LIVE_RECORDS)))
                if dice is not None and dice.random() < 0.5:
                    flight.host.run(lambda: "status" in flight.tasks())
                    ends_s = time.monotonic() + dice.uniform(0.0, MOMENT_MAX_S)
                    flight.host.run(lambda: time.monotonic() > ends_s)
                    flipped = _flip_processes(flight, dice)
                flight.until_phase(Phase.IDLE, LONGEST_S)
                if dice is not None and not flipped:
                    flipped = _flip_processes(flight, dice)
                stream(flight.host, range(RECORDS - LIVE_RECORDS, RECORDS))
                _settle(flight)
                differs = self._linked is not None and _estimates(flight).items() - self._linked.messages.items()
                if differs and not flight.host.lost():
                    _await_second_look(flight)
                flight.signal(signal.SIGINT)
            except (AssertionError, OSError) as error:
                ending = f"{type(error).__name__} {error}"[:NOTE_MAX]
            try:
                code = flight.process.wait(END_S)
            except subprocess.TimeoutExpired:
                code, ending = 0, ending or f"main.py did not end within {END_S:g} s"
                flight.stop_hard()
            finally:
                flight.host.close()
            return _outcome(flight, code, flipped, ending)


@cache
def undisturbed_supervisor() -> tuple[Supervised, int]:
    """Return what the supervisor does without a flip, and its number of waits."""
    play = Play()
    return play.supervise(), play.waits


def fly_supervisor(seed: int) -> Trial:
    """Return the trial of a supervisor in whose state a bit flips while it waits."""
    expected, waits = undisturbed_supervisor()
    dice = random.Random(f"supervisor {seed}")  # noqa: S311 - repeatable faults
    found = Play(dice.randint(1, waits), dice).supervise()
    reports = [name for name in found.reports if name not in expected.reports]
    others = [event for event in found.events if event[2] not in reports]
    is_same = found._replace(flipped="", events=others) == expected
    outcome = ("recovered" if is_same else "flagged") if reports else "no effect" if is_same else "WRONG"
    return Trial("supervisor", "", seed, 1, outcome, 0, found.flipped, "; ".join(reports))


def _loaded(home: Path, name: str) -> tuple[int, str]:
    """Return the checksum of a table or of the settings in a home, and the fault that is reported."""
    if name == SETTINGS_FILE:
        return checksum(load(None, home))[0], ""
    if name == MAIN_FIELD_TABLE:
        return checksum(read_main_field(home / Path(name).name))[0], ""
    table, fault = load_earth_orientation(home)
    return checksum(table)[0], fault


def _settle(flight: LinkedFlight) -> None:
    """Wait until the live packets that the host does not know lost have been processed, at most `SETTLE_S`."""
    expected = SENSORS * (RECORDS - 1) - sum(lost.kind is SENS for lost in flight.host.lost())
    deadline_s = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline_s and len(flight.attitudes()) < expected:
        pause_s = time.monotonic() + 0.5
        flight.host.run(lambda pause_s=pause_s: time.monotonic() > pause_s)  # type: ignore[misc]


def _await_second_look(flight: LinkedFlight) -> None:
    """Fly on until a second look reports wrong estimates, at most until each task has had two after the last packet."""
    ends_s = time.monotonic() + LOOKS_S
    flight.host.run(
        lambda: time.monotonic() > ends_s or any(event.name == ESTIMATES_WRONG for event in flight.events()),
        LOOKS_S + 10.0,
    )


def _estimates(flight: LinkedFlight) -> dict[object, bytes]:
    """Return the encoded estimates of a run."""
    names = ("orbit_messages", "attitudes", "partners")
    return {(name, one.seq): msgspec.msgpack.encode(one) for name in names for one in getattr(flight, name)()}


def _flip_processes(flight: LinkedFlight, dice: random.Random) -> str:
    """Flip `FLIPS` bits in the writable pages of all processes; return what was flipped."""
    processes = {"main": flight.process.pid} | flight.tasks()
    pages = {name: writable_pages(pid) for name, pid in processes.items()}
    done: Counter[str] = Counter()
    for name in dice.choices([*pages], [len(found) for found in pages.values()], k=FLIPS):
        with contextlib.suppress(OSError, IndexError):  # the process may have ended by an earlier flip
            flip_in_memory(processes[name], pages[name], dice)
            done[name] += 1
    return ", ".join(f"{name} {count}" for name, count in sorted(done.items()))


def _outcome(flight: LinkedFlight, code: int, flipped: str, ending: str) -> Flown:
    """Return what a whole run has left: its estimates, its last status, and its reports, also those to the host."""
    messages: dict[object, bytes] = {}
    last, events = "", [f"exit {code}"] if code else []
    with contextlib.suppress(OSError, ValueError):
        messages = _estimates(flight)
        found = [event for event in flight.events() if event.severity != "info" and event.name not in UNRELATED]
        events += sorted({f"{event.name} {event.task}" for event in found})
        final = flight.status()
        events += find_causes(final, {})
        if lost := Counter(lost.kind.name for lost in flight.host.lost()):
            packets = ", ".join(f"{count} {name}" for name, count in sorted(lost.items()))
            events.append(f"reported lost to the host: {packets}")
        last = last_values(final)
    if ending and not events:
        last = ending
    return Flown(messages, last, {}, events, flipped)


def last_values(final: Mapping[str, Value]) -> str:
    """Return what the last status must report; whether the orbit is predicted depends on the time of the stop."""
    values: dict[str, object] = {name: final[name] for name in ("phase", "fixes_accepted", "samples_used")}
    is_from_fixes = final["orbit_mode"] in {OrbitMode.AT_FIX, OrbitMode.PREDICTED}
    return str(values | {"orbit": "from fixes" if is_from_fixes else final["orbit_mode"]})


KINDS: Final = ("field", "step", "constant", "instruction", "supervisor", "file", "table", "memory")


def main() -> int:
    """Run the trials that the file lacks, and print the table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, action="append", help="Only this kind; repeatable.")
    parser.add_argument("--trials", type=int, default=20, help="Number of trials of each kind (default: 20).")
    parser.add_argument("--first", type=int, default=1, help="First seed (default: 1).")
    parser.add_argument("--out", type=Path, default=Path("build/radiation.csv"), help="File of the trials.")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    done = read(options.out)
    known = {(trial.kind, trial.seed) for trial in done}
    seeds = range(options.first, options.first + options.trials)
    due = [(kind, seed) for seed in seeds for kind in options.kind or KINDS if (kind, seed) not in known]
    with tempfile.TemporaryDirectory(prefix="pygnc-radiation-", dir=memory_folder()) as folder:
        campaign = Campaign(Path(folder)) if due else None
        with options.out.open("a", newline="") as file:
            for kind, seed in due:
                trial = campaign.fly(kind, seed)  # type: ignore[union-attr]
                csv.writer(file).writerow(trial)
                file.flush()
                done.append(trial)
    print_table(("kind", "target", "flips", *OUTCOMES), summary(done))
    return int(any(trial.outcome in OUTCOMES[4:] for trial in done))


def memory_folder() -> str | None:
    """Return a folder in memory, or None for the default."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a private folder is made in it


def read(path: Path) -> list[Trial]:
    """Return the trials in a file; a last line that was cut is dropped."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == len(Trial._fields)]
    return [Trial(a, b, int(c), int(d), e, int(f), g, h) for a, b, c, d, e, f, g, h in rows]


def summary(trials: Iterable[Trial]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each kind and target, and the sum."""
    rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for trial in trials:
        for key in ((trial.kind, trial.target), ("all", "")):
            rows[key][trial.outcome] += trial.flips if trial.outcome == "no effect" else 1
            rows[key]["flips"] += trial.flips
    for key in sorted(rows, key=lambda key: (key[0] == "all", key)):
        yield *key, str(rows[key]["flips"]), *(str(rows[key][name]) for name in OUTCOMES)


if __name__ == "__main__":
    sys.exit(main())

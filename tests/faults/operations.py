"""An error at each operation: runs in which one system call fails, or all of its kind from it on, as in SQLite's tests.

A run is main.py in a fork of this process, which has imported its modules already. It begins in a home with the
journals of an interrupted run, a complete batch and new settings.
"""

import errno
import gc
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, TypeVar

from pygnc.bus.messages import GnssFix, RangeMeasurement, SensorSample
from pygnc.formats.status import Phase, StatusError, Value
from pygnc.launch.workspace import runtime_folder
from pygnc.supervisor.process import ExitCode
from pygnc.tasks.table import SHARED, TASKS
from tests.e2e.conftest import RANGE_EPOCH_BYTES, RANGES, SENSE, SENSE_RECORD_BYTES, Estimates, Flight, all_estimates
from tests.e2e.conftest import minute_after as time_of_start
from tests.fakes.failing_calls import (
    ALLOCATIONS,
    CHANGES,
    FORKS,
    READS,
    WRITES,
    Call,
    FailingCalls,
    Failure,
    read_calls,
)
from tests.faults.accounting import Recorded, balance
from tests.faults.produced import Produced

T = TypeVar("T")

GOOD: Final = frozenset({int(ExitCode.OK)})
LIMITED: Final = GOOD | {ExitCode.NOT_RECORDED, ExitCode.LIMITED}
RECORDS: Final = 6
LONGEST_S: Final = 170.0
MAPPINGS_MAX: Final = 8
"""Number of memory mappings that are tried; a process of so short a run makes fewer."""


class Tried(NamedTuple):
    """One run: what was done, and what is wrong with the outcome."""

    what: str
    reasons: list[str]


class Sweep(NamedTuple):
    """Runs of one kind: number of all cases, and the runs of those that are tried."""

    name: str
    cases: int
    runs: Iterator[Tried]


class Share(NamedTuple):
    """Share of the cases of a sweep that is tried: at most `tries` of them, chosen by `seed`; all if it is None."""

    tries: int | None = None
    seed: int = 1

    def of(self, name: str, cases: Sequence[T]) -> list[T]:
        """Return the cases to try."""
        if self.tries is None:
            return list(cases)
        dice = random.Random(f"{name} {self.seed}")  # noqa: S311 - repeatable choice
        return dice.sample(cases, min(self.tries, len(cases)))


class Kind(NamedTuple):
    """Kind of a failure, see `Failure`; `memory` is true for files of the private folder in memory."""

    names: frozenset[str]
    error: int = errno.EIO
    is_lasting: bool = False
    memory: bool = False


KINDS: Final = {
    "EIO once": Kind(READS | CHANGES),
    "EIO from then on": Kind(READS | CHANGES, is_lasting=True),
    "ENOMEM once": Kind(READS | CHANGES, errno.ENOMEM),
    "ENOSPC once": Kind(ALLOCATIONS, errno.ENOSPC),
    "ENOSPC from then on": Kind(ALLOCATIONS, errno.ENOSPC, is_lasting=True),
    "EROFS from then on": Kind(CHANGES, errno.EROFS, is_lasting=True),
    "half a write": Kind(WRITES, 0),
    "ENOSPC in memory once": Kind(ALLOCATIONS, errno.ENOSPC, memory=True),
    "ENOSPC in memory from then on": Kind(ALLOCATIONS, errno.ENOSPC, is_lasting=True, memory=True),
    "no process or thread once": Kind(FORKS),
    "no process or thread from then on": Kind(FORKS, is_lasting=True),
}


class ForkedFlight(Flight):
    """main.py in a fork of this process."""

    def fly(self, produced: Produced, calls: FailingCalls | None = None, trace: Sequence[str] = ()) -> int:
        """Fly the batch until it is done, and return the exit code; `trace` is a command that traces a process."""
        output = self.home.parent / "output"
        pid = os.fork()
        if pid == 0:
            self._become_main(produced, calls, output, waits=bool(trace))
        if trace:
            os.waitpid(pid, os.WUNTRACED)
            with subprocess.Popen([*trace, str(pid)], stderr=subprocess.PIPE, text=True) as tracer:
                assert tracer.stderr is not None
                assert "attached" in tracer.stderr.readline()
                os.kill(pid, signal.SIGCONT)
                code = self._code_of(pid)
        else:
            code = self._code_of(pid)
        self.stderr = output.read_text(errors="replace")
        return code

    @staticmethod
    def _code_of(pid: int) -> int:
        deadline_s = time.monotonic() + LONGEST_S
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            if time.monotonic() > deadline_s:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        return os.waitstatus_to_exitcode(ended[1])

    def _become_main(self, produced: Produced, calls: FailingCalls | None, output: Path, *, waits: bool) -> NoReturn:
        gc.freeze()  # garbage of earlier tests may wait for threads, which do not exist here
        try:
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            os.environ["HOME"] = str(self.home)
            sys.argv = ["main.py", "10", str(time_of_start(produced.intact)), "--exit-when-done"]
            main = importlib.import_module("main")
            if waits:
                os.kill(os.getpid(), signal.SIGSTOP)
            if calls:
                calls.install()
            main.start()
        except BaseException:  # noqa: BLE001 - the parent finds the traceback in the output
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(1)


class ShortFlights:
    """Flights of a short batch in copies of one home, judged by the promises of the documentation.

    Attributes:
        folder: Folder for the homes.
        produced: The input.
    """

    def __init__(self, folder: Path) -> None:
        flown = ("main", "pygnc.launch.run", *SHARED, *(f"pygnc.tasks.{task.name}.task" for task in TASKS))
        for module in flown:
            importlib.import_module(module)
        sense = SENSE[: RECORDS * SENSE_RECORD_BYTES]
        self.folder = folder
        self.produced = Produced(sense, RANGES[: RECORDS // 2 * RANGE_EPOCH_BYTES], sense)
        self._base = folder / "base"
        self._make_base()
        self._log = folder / "calls"
        flight = self.fresh()
        self._folders = (str(flight.home), str(runtime_folder(flight.home)))
        code = flight.fly(self.produced, FailingCalls(self._folders, Failure(), str(self._log)))
        self.calls = read_calls(str(self._log))
        self._usual_output = flight.stderr
        self._undisturbed = all_estimates(flight)
        if reasons := self.judge(flight, code):
            raise RuntimeError(f"the undisturbed run failed: {reasons}")
        self._next_starts: dict[object, list[str]] = {}

    def _make_base(self) -> None:
        self._base.mkdir()
        self.produced.write(self._base)
        flight = ForkedFlight(self._base)
        if flight.fly(self.produced):
            raise RuntimeError(f"the first run failed: {flight.stderr!r}")
        for path in list(flight.newest_run().iterdir()):
            part = path.rename(f"{path}.part")
            os.truncate(part, part.stat().st_size - 20)
        (self._base / "pygnc.toml").write_text("[formation]\narc_max_s = 120.0\n[logs]\nreserve_bytes = 0\n")
        for name in ("pygnc_status.bin", "pygnc_info.txt"):
            (self._base / name).unlink()

    def fresh(self) -> ForkedFlight:
        """Return a flight in a new copy of the home."""
        home = self.folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self._base, home)
        return ForkedFlight(home)

    def inject(self, kind: Kind, call: Call) -> Tried:
        """Let a call fail, then start again without an error."""
        flight = self.fresh()
        self._log.unlink(missing_ok=True)
        failure = Failure(
            call.process, call.number, kind.names, self._folder_of(kind), kind.error, is_lasting=kind.is_lasting
        )
        code = flight.fly(self.produced, FailingCalls(self._folders, failure, str(self._log)))
        reached = read_calls(str(self._log)) if self._log.exists() else [call]
        what = f"{call.process} {call.number}: {reached[0].name} {reached[0].path}".replace(str(flight.home), "~")
        codes = LIMITED | {ExitCode.TASK_FAILED} if kind.names == FORKS else LIMITED
        return Tried(f"{what}: exit code {code}", self.judge(flight, code, codes) + self._next_start(flight))

    def fail_mapping(self, number: str) -> Tried:
        """Let the mapping of memory with this number fail in each process; `N+` stands for all from N on."""
        flight = self.fresh()
        words = ["strace", "-f", "-o", os.devnull, "-e", "signal=none", "-e", "trace=mmap,mremap"]
        words += ["-e", f"inject=mmap,mremap:error=ENOMEM:when={number}", "-p"]
        code = flight.fly(self.produced, trace=words)
        reasons = self.judge(flight, code, LIMITED | {ExitCode.TASK_FAILED, ExitCode.OUT_OF_MEMORY}) + self._next_start(
            flight
        )
        return Tried(f"mapping {number}: exit code {code}", reasons)

    def judge(self, flight: ForkedFlight, code: int, codes: frozenset[int] = GOOD) -> list[str]:
        """Return what is wrong with a run."""
        reasons = []
        if code not in codes:
            reasons.append(f"exit code {code}: {flight.stderr[-300:]!r}")
        if "Traceback" in flight.stderr:
            reasons.append(f"traceback: {flight.stderr[-600:]!r}")
        status: dict[str, Value] = {}
        try:
            status = flight.status()
        except (OSError, StatusError) as error:
            if "it is: PyGNC run" not in flight.stderr:
                reasons.append(f"no status: {error}")
        is_final = status.get("phase") == (Phase.FAILED if code == ExitCode.TASK_FAILED else Phase.STOPPED)
        if not is_final and code != ExitCode.NOT_RECORDED:
            reasons.append(f"the last status is of the phase {status.get('phase')!r}")
        info = flight.home / "pygnc_info.txt"
        if code and flight.stderr in self._usual_output and not (info.exists() and "\nWARN " in info.read_text()):
            reasons.append("the cause is named nowhere")
        estimates, records = self._recorded(flight)
        if code == 0 and estimates != self._undisturbed:
            reasons.append("other estimates")
        if is_final and code in {ExitCode.OK, ExitCode.NOT_RECORDED}:
            written = sum(file.stat().st_size for file in (flight.home / "pygnc_batch").rglob("*") if file.is_file())
            result = balance(status, self.produced, 0, Recorded(records, written))
            reasons += result.faults
            reasons += [f"exit code 0, but lost: {lost}" for lost in result.lost if code == 0]
        return reasons

    @staticmethod
    def _recorded(flight: Flight) -> tuple[Estimates | None, int]:
        """Return the estimates and the number of inputs on the disk."""
        try:
            records = sum(isinstance(one, SensorSample | GnssFix | RangeMeasurement) for one in flight.inputs())
            return all_estimates(flight), records
        except (OSError, ValueError):  # the run has left no folder
            return None, 0

    def _next_start(self, flight: ForkedFlight) -> list[str]:
        """Start again without an error, unless a home with the same files has been tried; return what is wrong."""
        paths = sorted(flight.home.rglob("*"))
        shape = tuple((str(path.relative_to(flight.home)), path.is_dir() or path.stat().st_size > 0) for path in paths)
        if shape not in self._next_starts:
            (flight.home / "pygnc_status.bin").unlink(missing_ok=True)
            reasons = self.judge(flight, flight.fly(self.produced))
            self._next_starts[shape] = [f"next start: {reason}" for reason in reasons]
        return self._next_starts[shape]

    def errors(self, share: Share) -> Iterator[Sweep]:
        """Yield the sweeps over all calls of a run; `share` is that of all kinds together."""
        cases = {name: [call for call in self.calls if self._is_of(kind, call)] for name, kind in KINDS.items()}
        chosen = share.of("errors", [(name, call) for name, calls in cases.items() for call in calls])
        for name, calls in cases.items():
            runs = (self.inject(KINDS[name], call) for of, call in chosen if of == name)
            yield Sweep(name, len(calls), runs)

    def _is_of(self, kind: Kind, call: Call) -> bool:
        return call.name in kind.names and call.path.startswith(self._folder_of(kind))

    def _folder_of(self, kind: Kind) -> str:
        return "" if kind.names == FORKS else self._folders[kind.memory]

    def mappings(self, share: Share) -> Iterator[Sweep]:
        """Yield the sweep over the mappings of memory."""
        numbers = [f"{number}{suffix}" for suffix in ("", "+") for number in range(1, MAPPINGS_MAX + 1)]
        runs = map(self.fail_mapping, share.of("mappings", numbers))
        yield Sweep("no memory mapped, once or from then on", len(numbers), runs)


Sweeps = Callable[[ShortFlights, Share], Iterator[Sweep]]

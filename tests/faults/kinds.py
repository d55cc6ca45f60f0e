"""Kinds of faults: where the home is, how the fault is injected, how the run reports it, and what it may cost."""

import contextlib
import os
import random
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from pygnc.formats.status import OrbitMode, Phase, Value
from tests.e2e.conftest import Flight, minute_after, runs_in, write_old_runs
from tests.e2e.linked_flight import RECORDS, LinkedFlight, stream, time_of
from tests.fakes.cgroup import group_of
from tests.fakes.small_disk import DyingDisk, disk_of, dying_disk_of, fill, fill_inodes
from tests.faults.produced import damaged_hour, rebooted_hour

LONGEST_S: Final = 170.0
"""Limit of a wait, for a computer that is slow and busy."""
SETTLING_S: Final = 2.0
"""Time after which counters in the status and journals on the disk are current, s: twice what is promised."""
MOMENT_MAX_S: Final = 0.8
"""Latest moment of a fault after the start of the tasks; the batch takes about as long."""
TASKS: Final = ("ingest", "orbit", "attitude", "formation", "batch_writer", "status")
RESTARTS: Final = frozenset({"silent", "restart", "not_started", "killed", "failed"})
LIVE_RECORDS: Final = 6


class Flown(NamedTuple):
    """Outcome of a run with a fault.

    Attributes:
        injected: what was done.
        code: exit code.
        status: fields of the last status record.
        stop_s: time from SIGINT to the end of main.py, s.
        printed: output for people.
    """

    injected: str
    code: int
    status: dict[str, Value]
    stop_s: float
    printed: str


class Fault:
    """Fault that a run survives without loss and with the estimates of an undisturbed run, unless a subclass differs.

    Attributes:
        name: name on the command line.
        reported_by: events and words of the info line, one of which must occur; empty if no report is due.
        excluded: events that must not occur.
        codes: exit codes that are correct.
        exact: streams whose estimates must equal those of the undisturbed run bit for bit.
        limits_recording: true if records may be missing on the disk, which the run must then report.
        live_records: number of records of `sense.bin` that are sent over the streaming interface.
        produced: input files.
        injected: what is done, if it does not depend on the run.
        noticed: reaction of the run that is neither an event nor in the status.
        lost: bytes and records that are lost by the nature of the fault, by cause.
    """

    name: ClassVar[str]
    reported_by: ClassVar[frozenset[str]] = frozenset()
    excluded: ClassVar[frozenset[str]] = frozenset()
    codes: ClassVar[frozenset[int]] = frozenset({0})
    exact: ClassVar[tuple[str, ...]] = ("orbits", "attitudes", "partners")
    limits_recording: ClassVar[bool] = False
    live_records: ClassVar[int] = 0

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.produced = damaged_hour()
        self.injected = ""
        self.noticed = ""
        self.lost: dict[str, tuple[int, int]] = {}

    @contextmanager
    def flight(self, folder: Path) -> Iterator[Flight]:
        """Prepare the home in an empty folder; end all processes afterwards."""
        with self.home(folder) as (home, prefix):
            self.produced.write(home)
            flight = Flight(home, prefix)
            try:
                yield flight
            finally:
                flight.stop_hard()

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        """Make the home; return it and the beginning of the command that starts main.py."""
        yield folder, ()

    def fly(self, flight: Flight) -> Flown:
        """Fly the batch with the fault, and stop."""
        self.start(flight)
        injected = self.inject(flight)
        flight.until_phase(Phase.IDLE, LONGEST_S)
        flight.until(lambda: flight.status()["orbit_mode"] == OrbitMode.PREDICTED, LONGEST_S)
        began_s = time.monotonic()
        flight.signal(signal.SIGINT)
        code = flight.wait(LONGEST_S)
        return Flown(injected, code, flight.status(), time.monotonic() - began_s, flight.stderr)

    def start(self, flight: Flight) -> None:
        """Start main.py."""
        flight.start("10", str(minute_after(self.produced.intact)))

    def start_again(self, flight: Flight) -> None:
        """Start main.py without the first run's status, so that nobody takes it for that of the second run."""
        (flight.home / "pygnc_status.bin").unlink(missing_ok=True)
        self.start(flight)

    def inject(self, flight: Flight) -> str:
        """Inject the fault, unless home or input contain it; return what was done."""
        flight.until(lambda: bool(flight.tasks()), LONGEST_S)
        return self.injected

    def moment(self, flight: Flight) -> str:
        """Wait for a random moment of the batch; return it."""
        after_s = self.dice.uniform(0.0, MOMENT_MAX_S)
        flight.until(lambda: "status" in flight.tasks())
        flight.until_elapsed(after_s)
        return f"{after_s:.2f} s"


# --- Processes ----------------------------------------------------------------------------------------------------


class Kill(Fault):
    """SIGKILL to two or three tasks at random moments."""

    name = "kill"
    reported_by = frozenset({"restart"})
    number: ClassVar[signal.Signals] = signal.SIGKILL

    def inject(self, flight: Flight) -> str:
        done = []
        for task in self.dice.sample(TASKS, self.dice.randint(2, 3)):
            at = self.moment(flight)
            flight.until(lambda task=task: task in flight.tasks(), LONGEST_S)  # type: ignore[misc]
            hit = flight.tasks()[task]
            os.kill(hit, self.number)
            done.append((task, hit, at))
        for task, hit, _ in done:
            flight.until(lambda task=task, hit=hit: flight.tasks().get(task, hit) != hit, LONGEST_S)  # type: ignore[misc]
        return f"{self.number.name} to " + ", ".join(f"{task} after {at}" for task, _, at in done)


class Freeze(Kill):
    """SIGSTOP to two or three tasks at random moments."""

    name = "freeze"
    reported_by = frozenset({"silent"})
    number = signal.SIGSTOP


class KillMain(Fault):
    """SIGKILL to main.py at a random moment, then a second run."""

    name = "kill_main"
    reported_by = frozenset({"recovered"})

    def inject(self, flight: Flight) -> str:
        at = self.moment(flight)
        kill_all(flight)
        self.start_again(flight)
        return f"SIGKILL to main.py after {at}, second run"


def kill_all(flight: Flight) -> None:
    """Kill main.py, and wait until the kernel has ended its tasks."""
    tasks = flight.tasks().values()
    flight.stop_hard()
    deadline_s = time.monotonic() + LONGEST_S
    while any(Path(f"/proc/{pid}").exists() for pid in tasks):
        assert time.monotonic() < deadline_s, "a task outlives main.py"
        time.sleep(0.01)


# --- Resources ----------------------------------------------------------------------------------------------------


class TaskMemory(Fault):
    """Memory limit at which any allocation of one task ends it."""

    name = "memory_task"
    reported_by = frozenset({"restart"})

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with group_of("memory") as self._group:
            self._group.limit(1 << 12)
            yield folder, ()

    def inject(self, flight: Flight) -> str:
        at = self.moment(flight)
        task = self.dice.choice(TASKS)
        hit = flight.tasks()[task]
        self._group.add(hit)
        with contextlib.suppress(ProcessLookupError):
            os.kill(hit, signal.SIGCONT)
        flight.until_replaced(task, hit)
        return f"no memory for {task} after {at}"


class RunMemory(Fault):
    """Memory limit of the whole run."""

    name = "memory_run"
    codes = frozenset({0, 8})
    exact = ("orbits",)

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with group_of("memory") as group:
            size_mb = self.dice.randint(56, 72)
            group.limit(size_mb << 20)
            self.injected = f"{size_mb} MB for the run"
            yield folder, group.prefix


class Pids(Fault):
    """No new process for a few seconds while a task must be restarted."""

    name = "pids"
    reported_by = frozenset({"not_started"})

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with group_of("pids") as self._group:
            try:
                yield folder, self._group.prefix
            finally:
                self._group.limit("max")

    def inject(self, flight: Flight) -> str:
        at = self.moment(flight)
        task = self.dice.choice(TASKS)
        lasts_s = self.dice.uniform(1.0, 5.0)
        hit = flight.tasks()[task]
        self._group.limit(1)
        os.kill(hit, signal.SIGKILL)
        flight.until_elapsed(lasts_s)
        self._group.limit("max")
        flight.until_replaced(task, hit)
        return f"no process for {lasts_s:.1f} s, SIGKILL to {task} after {at}"


class Descriptors(Fault):
    """No new file descriptor in main.py for a few seconds while a task must be restarted."""

    name = "descriptors"
    reported_by = frozenset({"not_started"})

    def inject(self, flight: Flight) -> str:
        at = self.moment(flight)
        task = self.dice.choice(TASKS)
        lasts_s = self.dice.uniform(1.0, 5.0)
        hit = flight.tasks()[task]
        main = flight.process.pid
        before = resource.prlimit(main, resource.RLIMIT_NOFILE)
        # With a much lower limit poll(2) would fail, which no lack of descriptors causes.
        limit = len(list(Path(f"/proc/{main}/fd").iterdir())) - self.dice.randint(0, 2)
        resource.prlimit(main, resource.RLIMIT_NOFILE, (limit, before[1]))
        os.kill(hit, signal.SIGKILL)
        flight.until_elapsed(lasts_s)
        resource.prlimit(main, resource.RLIMIT_NOFILE, before)
        flight.until_replaced(task, hit)
        return f"no descriptor for {lasts_s:.1f} s, SIGKILL to {task} after {at}"


class SlowComputer(Fault):
    """A part of one core."""

    name = "slow_computer"
    excluded = RESTARTS

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with group_of("cpu") as group:
            part = self.dice.choice((8, 5, 4))
            group.limit(100_000 // part)
            self.injected = f"1/{part} of a core"
            yield folder, group.prefix


class OldRuns(Fault):
    """Many old runs beyond the ceiling of the logs."""

    name = "old_runs"
    excluded = RESTARTS

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        self._count = self.dice.randint(400, 1200)
        with disk_of(folder / "home", "100m") as home:
            write_old_runs(home, self._count)
            yield home, ()

    def start(self, flight: Flight) -> None:
        with (flight.home / "pygnc.toml").open("a") as settings:
            settings.write("[logs]\nceiling_bytes = 4000000\n")
        super().start(flight)

    def inject(self, flight: Flight) -> str:
        flight.until(lambda: len(runs_in(flight.home)) < self._count, LONGEST_S)
        self.noticed = "old runs removed"
        return f"{self._count} old runs"


# --- Disks --------------------------------------------------------------------------------------------------------


class FullDisk(Fault):
    """A disk that becomes full during the batch, and that is freed again in one of two cases."""

    name = "enospc"
    reported_by = frozenset({"DISK", "not_recorded", "batch_not_written"})
    codes = frozenset({0, 5})
    limits_recording = True

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with disk_of(folder / "home", "4m") as home:
            yield home, ()

    def start(self, flight: Flight) -> None:
        with (flight.home / "pygnc.toml").open("a") as settings:
            settings.write("[logs]\nreserve_bytes = 0\n")
        self._free = self.dice.randint(50_000, 500_000)
        (flight.home / "ballast").write_bytes(bytes(4_000_000 - len(self.produced.sense) - self._free))
        super().start(flight)

    def inject(self, flight: Flight) -> str:
        at = self.moment(flight)
        fill(flight.home / "filler")
        injected = f"disk full after {at}"
        if self.dice.random() < 0.5:
            return injected
        flight.until_phase(Phase.IDLE, LONGEST_S)
        flight.until(lambda: int(flight.status()["not_recorded"]) > 0, LONGEST_S)
        (flight.home / "filler").unlink()
        (flight.home / "ballast").unlink()
        flight.until(lambda: flight.status()["not_recorded"] == 0, LONGEST_S)
        return f"{injected}, freed after the batch"


class Inodes(Fault):
    """A file system without inodes."""

    name = "inodes"
    codes = frozenset({0, 5})
    limits_recording = True

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with disk_of(folder / "home", f"40m,nr_inodes={self.dice.randint(30, 50)}") as home:
            yield home, ()

    def inject(self, flight: Flight) -> str:
        at = self.moment(flight)
        fill_inodes(flight.home)
        flight.until_phase(Phase.IDLE, LONGEST_S)
        newest = int(flight.status()["generation"])
        flight.until(lambda: int(flight.status()["generation"]) > newest + 1, LONGEST_S)
        self.noticed = "status current"
        return f"no inode after {at}"


class DyingCard(Fault):
    """A card that fails while live packets arrive, and that is read after the run."""

    reported_by = frozenset({"DISK"})
    codes = frozenset({5})
    limits_recording = True
    exact = ()
    live_records = LIVE_RECORDS
    failing: ClassVar[str]

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        self.produced = self.produced.without_last(LIVE_RECORDS)
        self._first = RECORDS - LIVE_RECORDS

    @contextmanager
    def flight(self, folder: Path) -> Iterator[Flight]:
        with dying_disk_of(folder / "card", "8M") as self._disk:
            self.produced.write(self._disk.folder)
            with (self._disk.folder / "pygnc.toml").open("a") as settings:
                settings.write("[logs]\nreserve_bytes = 0\n")
            os.sync()
            flight = LinkedFlight(self._disk.folder)
            try:
                yield flight
            finally:
                flight.stop_hard()
                flight.host.close()

    def fly(self, flight: Flight) -> Flown:
        assert isinstance(flight, LinkedFlight)
        host = flight.connect("10", str(time_of(self._first)))
        flight.until_phase(Phase.IDLE, LONGEST_S)
        before = self.dice.randrange(LIVE_RECORDS)
        stream(host, range(self._first, self._first + before))
        pause_s = self.dice.choice((0.0, 0.5, SETTLING_S))
        go_on_s = time.monotonic() + pause_s
        host.run(lambda: time.monotonic() > go_on_s)
        synced = len(flight.inputs()) if pause_s == SETTLING_S else 0
        getattr(self._disk, self.failing)()
        stream(host, range(self._first + before, RECORDS))
        newest: dict[str, Value] = {}

        def has_used_all() -> bool:
            newest.update(flight.status_over_line())
            fixes = self.produced.records["fixes"] + LIVE_RECORDS
            return newest["fixes_received"] == fixes and int(newest["not_recorded"]) > 0

        host.run(has_used_all, LONGEST_S)
        settled_s = time.monotonic() + SETTLING_S
        host.run(lambda: time.monotonic() > settled_s)
        newest = flight.status_over_line()
        began_s = time.monotonic()
        flight.signal(signal.SIGINT)
        code = flight.until_ended()
        stop_s = time.monotonic() - began_s
        self._disk.remount()
        assert len(flight.inputs()) >= synced, "records older than a second are lost"
        injected = f"{self.name.upper()} after {before} of {LIVE_RECORDS} live records and {pause_s:g} s"
        return Flown(injected, code, newest, stop_s, host.heard.decode(errors="replace"))


class Eio(DyingCard):
    """Every access to the card fails with EIO; what was not yet written by the system is gone."""

    name = "eio"
    failing = DyingDisk.fail.__name__


class Erofs(DyingCard):
    """The file system of the card turns read-only."""

    name = "erofs"
    failing = DyingDisk.turn_read_only.__name__


class PowerCut(Fault):
    """A power cut during the batch, or after it; the card keeps what it has synced. Then a second run."""

    name = "power_cut"

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with dying_disk_of(folder / "card", "8M") as self._disk:
            yield self._disk.folder, ()

    def start(self, flight: Flight) -> None:
        os.sync()
        super().start(flight)

    def inject(self, flight: Flight) -> str:
        is_idle = self.dice.random() < 0.5
        if is_idle:
            flight.until_phase(Phase.IDLE, LONGEST_S)
            flight.until_elapsed(SETTLING_S)
            at = "in the phase idle"
        else:
            at = f"after {self.moment(flight)}"
        before = flight.inputs()
        self._disk.fail()
        kill_all(flight)
        self._disk.remount()
        kept = flight.inputs() if (flight.home / "pygnc_logs").exists() else []
        assert kept == before[: len(kept)], "the journal is damaged"
        assert not is_idle or kept == before, "records older than a second are lost"
        if kept != before:
            raw = sum(len(getattr(message, "raw", b"")) for message in before[len(kept) :])
            self.lost["records of the first run's last second"] = (raw, len(before) - len(kept))
        self.start_again(flight)
        return f"power cut {at}, second run"


# --- Clocks -------------------------------------------------------------------------------------------------------

STEP: Final = """\
import time

begin, clock, clock_ns = time.monotonic(), time.time, time.time_ns


def step_s():
    return {step_s} if time.monotonic() > begin + {after_s} else 0


time.time = lambda: clock() + step_s()
time.time_ns = lambda: clock_ns() + step_s() * 10**9
"""


class WallClock(Fault):
    """A step of the computer's clock, as Python reads it, by up to ten years."""

    name = "clock_wall"
    excluded = RESTARTS

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        step_s = self.dice.choice((-1, 1)) * self.dice.randint(3600, 315_360_000)
        after_s = self.dice.uniform(0.0, MOMENT_MAX_S)
        self.injected = f"clock step of {step_s} s after {after_s:.2f} s"
        site, home = folder / "site", folder / "home"
        site.mkdir()
        home.mkdir()
        (site / "sitecustomize.py").write_text(STEP.format(step_s=step_s, after_s=after_s))
        path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
        yield home, ("env", f"PYTHONPATH={path}")


class SpacecraftClock(Fault):
    """A spacecraft clock that begins anew in the middle of the batch, as after a reboot of the controller."""

    name = "clock_spacecraft"
    reported_by = frozenset({"new_boot"})
    excluded = RESTARTS
    exact = ()

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        record = dice.randrange(10, RECORDS - 10)
        self.produced = rebooted_hour(self.produced, record)
        self.injected = f"new spacecraft time from record {record} on"


KINDS: Final = (
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

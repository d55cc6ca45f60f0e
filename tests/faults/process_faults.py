"""Faults of processes and their resources: kills, freezes, memory, processes, descriptors, processor time, old runs."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.e2e.conftest import Flight, runs_in, write_old_runs
from tests.fakes.cgroup import group_of
from tests.fakes.small_disk import disk_of
from tests.faults.fault import LONGEST_S, RESTARTS, TASKS, Fault, kill_all


class Kill(Fault):
    """SIGKILL to two or three tasks at random moments."""

    name = "kill"
    reported_by = frozenset({"restart"})
    number: ClassVar[signal.Signals] = signal.SIGKILL

    def inject(self, flight: Flight) -> str:
        done = []
        for task in self.dice.sample(TASKS, self.dice.randint(2, 3)):
            at = self.moment(flight)
            hit = self.process_of(flight, task)
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


class TaskMemory(Fault):
    """Memory limit at which any allocation of one task ends it."""

    name = "memory_task"
    reported_by = frozenset({"MEMORY"})
    codes = frozenset({9})

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with group_of("memory") as self._group:
            self._group.limit(1 << 12)
            yield folder, ()

    def inject(self, flight: Flight) -> str:
        at = self.moment(flight)
        task = self.dice.choice(TASKS)
        if task == "formation":  # it comes back with shorter arcs
            self.exact = ("orbits", "attitudes")
        hit = self.process_of(flight, task)
        self._group.add(hit)
        flight.until_replaced(task, hit)
        return f"no memory for {task} after {at}"


class RunMemory(Fault):
    """Memory limit of the whole run."""

    name = "memory_run"
    codes = frozenset({0, 8, 9})
    exact = ("orbits",)

    @contextmanager
    def home(self, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with group_of("memory") as group:
            size_mb = self.dice.randint(62, 78)
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
        hit = self.process_of(flight, task)
        self._group.limit(1)
        os.kill(hit, signal.SIGKILL)
        flight.until_elapsed(lasts_s)
        self._group.limit("max")
        flight.until_replaced(task, hit)
        return f"no process for {lasts_s:.1f} s, SIGKILL to {task} after {at}"


class Descriptors(Fault):
    """No new file descriptor in main.py for a few seconds while a task must be restarted."""

    name = "descriptors"
    reported_by = frozenset({"not_started", "restart"})

    def inject(self, flight: Flight) -> str:
        at = self.moment(flight)
        task = self.dice.choice(TASKS)
        lasts_s = self.dice.uniform(1.0, 5.0)
        hit = self.process_of(flight, task)
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

"""Runs of main.py as real processes, each in a temporary home."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import pytest

from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import AttitudeEstimate, Event, FormationMessage, InputMessage, OrbitEstimate, OrbitMessage
from pygnc.formats.status import Phase, Value
from pygnc.formats.status import decode as decode_status
from pygnc.tasks.table import TASKS
from tests.shared import made_once

M = TypeVar("M")
ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "data" / "demo"
_WHOLE_SENSE = (DEMO / "sense.bin").read_bytes()
_WHOLE_RANGES = b"".join(file.read_bytes() for file in sorted((DEMO / "range").iterdir()))
SENSE_RECORD_BYTES = 251
RANGE_EPOCH_BYTES = 102 + 2 * 12
SENSE = _WHOLE_SENSE[: 144 * SENSE_RECORD_BYTES]
"""Sense file of the first hour of the demonstration batch."""
RANGES = _WHOLE_RANGES[: 72 * RANGE_EPOCH_BYTES]
"""Range packets of the first hour: per epoch a GPS packet and two ranges."""
_TASK_OF = {f"pygnc-{task.name}"[:15]: task.name for task in TASKS}
"""The kernel stores 15 characters of a process name."""


class Flight:
    """One main.py in one home."""

    def __init__(self, home: Path, prefix: tuple[str, ...] = ()) -> None:
        self.home = home
        self._prefix = prefix
        self._process: subprocess.Popen[str] | None = None

    def start(self, *words: str, main: str = "main.py", new_group: bool = False) -> None:
        """Start main.py with these arguments."""
        command = [*self._prefix, sys.executable, str(ROOT / "flight" / main), *words]
        environment = os.environ | {"HOME": str(self.home)}
        self._process = subprocess.Popen(
            command,
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0 if new_group else None,
        )

    def run(self, *words: str, timeout_s: float = 90.0) -> int:
        """Start main.py and wait for its end."""
        self.start(*words)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 90.0) -> int:
        """Return the exit code."""
        self.stdout, self.stderr = self.process.communicate(timeout=timeout_s)
        return self.process.returncode

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to main only."""
        os.kill(self.process.pid, number)

    def tasks(self) -> dict[str, int]:
        """Return the process ids of the running tasks by name."""
        found = {}
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with contextlib.suppress(OSError):  # a process may end meanwhile
            for pid in children.read_text().split():
                name = _TASK_OF.get(Path(f"/proc/{pid}/comm").read_text().strip())
                if name:
                    found[name] = int(pid)
        return found

    def status(self) -> dict[str, Value]:
        """Return the decoded status file."""
        return decode_status((self.home / "pygnc_status.bin").read_bytes())

    def until(self, condition: Callable[[], bool], timeout_s: float = 45.0) -> None:
        """Wait until a condition is true."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_s} s"
            assert self.process.poll() is None, f"main.py has ended: {self.process.communicate()}"
            self.process_pause()

    def until_phase(self, phase: Phase, timeout_s: float = 45.0) -> None:
        """Wait until the status file contains this phase."""
        self.until(lambda: (self.home / "pygnc_status.bin").exists() and self.status()["phase"] == phase, timeout_s)

    def process_pause(self) -> None:
        """Let 5 ms pass, less if main.py ends."""
        try:
            self.process.wait(0.005)
        except subprocess.TimeoutExpired:
            return

    def until_elapsed(self, duration_s: float) -> None:
        """Let some time pass while main.py runs."""
        deadline = time.monotonic() + duration_s
        self.until(lambda: time.monotonic() >= deadline)

    def until_replaced(self, task: str, pid: int) -> None:
        """Wait until a task runs in another process than `pid`."""
        self.until(lambda: self.tasks().get(task, pid) != pid)

    def newest_run(self) -> Path:
        """Return the newest run's folder."""
        return max((self.home / "pygnc_logs").iterdir())

    def events(self) -> list[Event]:
        """Return the newest run's events."""
        return self._journaled("events", msgspec.msgpack.Decoder(Event).decode)

    def inputs(self) -> list[InputMessage]:
        """Return the newest run's inputs."""
        return self._journaled("input", msgspec.msgpack.Decoder(InputMessage).decode)

    def estimates(self) -> list[OrbitEstimate]:
        """Return the newest run's orbit estimates."""
        return [message for message in self.orbit_messages() if isinstance(message, OrbitEstimate)]

    def orbit_messages(self) -> list[OrbitMessage]:
        """Return the newest run's orbit stream."""
        return self._journaled("orbit", msgspec.msgpack.Decoder(OrbitMessage).decode)

    def attitudes(self) -> list[AttitudeEstimate]:
        """Return the newest run's attitude estimates."""
        return self._journaled("attitude", msgspec.msgpack.Decoder(AttitudeEstimate).decode)

    def partners(self) -> list[FormationMessage]:
        """Return the newest run's formation stream."""
        return self._journaled("formation", msgspec.msgpack.Decoder(FormationMessage).decode)

    def _journaled(self, name: str, decode: Callable[[bytes], M]) -> list[M]:
        reader = JournalReader([self.newest_run()], name)
        try:
            return [decode(record.payload) for record in reader.read(1_000_000)]
        finally:
            reader.close()

    def stop_hard(self) -> None:
        """Kill main.py if it is still running."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def copy_first_hour(home: Path) -> None:
    """Put the first hour of the demonstration batch into a home."""
    (home / "sense.bin").write_bytes(SENSE)
    write_ranges(home / "range")
    shorten_formation(home)


def write_ranges(folder: Path) -> None:
    """Write the range packets of the first hour into two files; a GPS packet continues in the second."""
    folder.mkdir()
    cut = 50 * RANGE_EPOCH_BYTES + 22
    (folder / "rng00000.bin").write_bytes(RANGES[:cut])
    (folder / "rng00001.bin").write_bytes(RANGES[cut:])


def shorten_formation(home: Path) -> None:
    """Limit the formation to two minutes of ranges: three hours take seconds to solve and have their own tests."""
    (home / "pygnc.toml").write_text("[formation]\narc_max_s = 120.0\n")


class Estimates(NamedTuple):
    """All estimates of a run, encoded."""

    orbits: bytes
    attitudes: bytes
    partners: bytes


def all_estimates(flight: Flight) -> Estimates:
    streams = (flight.orbit_messages(), flight.attitudes(), flight.partners())
    return Estimates(*(msgspec.msgpack.encode(messages) for messages in streams))


def write_old_runs(home: Path, count: int) -> None:
    """Write the logs of earlier runs into a home: four files of one page each."""
    for number in range(1, count + 1):
        folder = home / "pygnc_logs" / f"run-{number:05d}"
        folder.mkdir(parents=True)
        for name in ("attitude", "events", "input", "orbit"):
            (folder / f"{name}-00000.pgj").write_bytes(bytes(4000))


def runs_in(home: Path) -> list[str]:
    """Return the names of the runs whose logs are in a home."""
    return sorted(path.name for path in (home / "pygnc_logs").iterdir())


@pytest.fixture
def flight(tmp_path: Path) -> Iterator[Flight]:
    flight = Flight(tmp_path)
    yield flight
    flight.stop_hard()


@pytest.fixture
def demo(flight: Flight) -> Flight:
    """Return a home that holds the first hour of the demonstration batch."""
    copy_first_hour(flight.home)
    return flight


@pytest.fixture(scope="session")
def flown_demo(tmp_path_factory: pytest.TempPathFactory) -> Flight:
    """Return the finished run of the whole demonstration batch, made once per session; tests only read it."""
    flight = Flight(tmp_path_factory.mktemp("flown_demo"))
    shutil.copy(DEMO / "sense.bin", flight.home)
    shutil.copytree(DEMO / "range", flight.home / "range")
    shorten_formation(flight.home)
    assert flight.run("10", str(minute_after(_WHOLE_SENSE)), "--exit-when-done") == 0
    return flight


@pytest.fixture(scope="session")
def flown_hour(tmp_path_factory: pytest.TempPathFactory, demo_time_s: int) -> Flight:
    """Return the finished run of the first hour, made once for all workers; tests only read it."""

    def fly(home: Path) -> None:
        copy_first_hour(home)
        assert Flight(home).run("10", str(demo_time_s), "--exit-when-done") == 0

    return Flight(made_once(tmp_path_factory, "flown_hour", fly))


@pytest.fixture(scope="session")
def demo_time_s() -> int:
    """Spacecraft time one minute after the end of the first hour."""
    return minute_after(SENSE)


def minute_after(sense: bytes) -> int:
    """Return the spacecraft time one minute after the last record, s."""
    return int.from_bytes(sense[-101:-97], "big") + 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give whole runs a longer timeout than unit tests, because several of them may share two cores."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(180))

"""Base of all faults: where the home is, how a fault is injected, how the run reports it, and what it may cost."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from pygnc.formats.status import OrbitMode, Phase, Value
from tests.e2e.conftest import Flight, minute_after
from tests.faults.produced import damaged_hour

LONGEST_S: Final = 170.0
"""Limit of a wait, for a computer that is slow and busy."""
SETTLING_S: Final = 2.0
"""Time after which counters in the status and journals on the disk are current, s: twice what is promised."""
MOMENT_MAX_S: Final = 0.8
"""Latest moment of a fault after the start of the tasks; the batch takes about as long."""
TASKS: Final = ("ingest", "orbit", "attitude", "formation", "batch_writer", "status")
RESTARTS: Final = frozenset({"silent", "restart", "not_started", "killed", "failed"})


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
    exact: tuple[str, ...] = ("orbits", "attitudes", "partners")
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

    def process_of(self, flight: Flight, task: str) -> int:
        """Wait until a task runs, which the formation does from its first input on; return its process id."""
        flight.until(lambda: task in flight.tasks(), LONGEST_S)
        return flight.tasks()[task]

    def moment(self, flight: Flight, latest_s: float = MOMENT_MAX_S) -> str:
        """Wait for a random moment of the batch; return it."""
        after_s = self.dice.uniform(0.0, latest_s)
        flight.until(lambda: "status" in flight.tasks())
        flight.until_elapsed(after_s)
        return f"{after_s:.2f} s"


def kill_all(flight: Flight) -> None:
    """Kill main.py, and wait until the kernel has ended its tasks."""
    tasks = flight.tasks().values()
    flight.stop_hard()
    deadline_s = time.monotonic() + LONGEST_S
    while any(Path(f"/proc/{pid}").exists() for pid in tasks):
        assert time.monotonic() < deadline_s, "a task outlives main.py"
        time.sleep(0.01)

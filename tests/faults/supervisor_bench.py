"""The supervisor with a fake clock and played tasks, with one bit of its state flipped during a wait.

The tasks come up, two end with an error, one freezes, and the batch is processed. Then the host stops the run, and one
task ignores the stop.
"""

import copy
import random
import signal
from collections.abc import Iterator
from typing import Final, NamedTuple
from unittest.mock import patch

from pygnc.supervisor import supervisor
from pygnc.supervisor.process import _CHILD_STATE, ExitCode
from pygnc.supervisor.supervisor import PING_INTERVAL_S
from tests.faults.bit_flips import Field, choose, fields, flip_field, ignore
from tests.pygnc.supervisor.harness import SPECS, FakeChild, Harness, close_all

BEGINS_S: Final = 1000.0
STOPS_S: Final = 24.0
LONGEST_S: Final = 40.0
FakeChild.__module__ = "pygnc.test"  # its fields are those of the project


class Supervised(NamedTuple):
    """Record of a supervised run: exit code, started tasks, signals to each, and events in order."""

    code: ExitCode
    started: list[str]
    signals: list[list[signal.Signals]]
    events: list[tuple[str, str, str]]
    flipped: str = ""

    @property
    def reports(self) -> list[str]:
        """Warnings and errors of the supervisor about itself."""
        return [name for task, severity, name in self.events if task == "supervisor" and severity != "info"]


class Play(Harness):
    """Harness whose waits play the tasks; a bit is flipped before the wait number `flip_at`."""

    def __init__(self, flip_at: int = 0, dice: random.Random | None = None) -> None:
        super().__init__(specs=copy.deepcopy(SPECS))
        self.flip_at, self.dice = flip_at, dice
        self.waits = 0
        self.flipped = ""
        self._due = self._script()
        self._next_s = 0.0

    def supervise(self) -> Supervised:
        """Return what the supervisor does from its start to its end."""
        with (
            patch.object(supervisor.Supervisor, "_wait", lambda _: self._play()),
            patch.object(supervisor, "arm_hard_exit", lambda *_: None),
        ):
            while not self.supervisor.is_over:
                self.supervisor._wait_unchanged()
                self.supervisor.step()
        close_all(self)
        signals = [child.signals for child in self.all_children]
        return Supervised(self.supervisor.exit_code, self.started, signals, self.events.seen, self.flipped)

    def _script(self) -> Iterator[float]:
        """Play one thing after the other; yield the time of each next one, s after the start."""
        for child in [*self.children.values()]:
            yield 0.1
            child.report()
        for name in ("estimator", "writer"):
            yield 2.0
            self.children[name].exit_code = -signal.SIGSEGV
        yield 6.0
        for child in self.children.values():
            child.report(3)
        self.children["line"].answers_pings = False  # is killed after its silence limit
        yield 14.0
        self.children["source"].report(9, idle=True, delivered_bytes=7)
        for name in ("estimator", "writer"):
            self.children[name].report(9)
        yield STOPS_S
        self.inbox.pending.append(signal.SIGINT)
        yield LONGEST_S

    def _play(self) -> None:
        """Take the supervisor's place at its poll, until its next deadline or the next event."""
        self.waits += 1
        if self.waits == self.flip_at and self.dice is not None:
            found = [field for field in fields(self.supervisor, "supervisor", ignore, set()) if _is_state(field)]
            self.flipped = flip_field(choose(iter(found), self.dice), self.dice)
        if self.now_s > BEGINS_S + LONGEST_S:
            raise TimeoutError("the supervisor never ends")
        self.now_s += PING_INTERVAL_S / 2.0
        while self._next_s <= self.now_s - BEGINS_S:
            self._next_s = next(self._due)
        for child in self.all_children:
            child.received()
            for number in child.signals:
                if number is signal.SIGKILL and child.exit_code is None:
                    child.exit_code = -number
        if self.now_s - BEGINS_S > STOPS_S:
            for name, child in self.children.items():
                if name != "writer" and child.exit_code is None:
                    child.exit_code = 0


def _is_state(field: Field) -> bool:
    """Return True for what the supervisor itself keeps; the rest is of the played tasks."""
    _, _, name = field.path.partition("._children.")
    return not name or name.split(".")[1] in _CHILD_STATE

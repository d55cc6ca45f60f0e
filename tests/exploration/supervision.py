"""Explicit-state search of the supervisor: tasks end, freeze, starve, start slowly or ignore a stop at any time."""

import os
import pickle
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any
from unittest.mock import patch

from pygnc.supervisor import restart_budget, supervisor
from pygnc.supervisor.process import ExitCode
from tests.exploration.canonical import Frozen, freeze, packed
from tests.exploration.search import Search
from tests.exploration.world import STATIC, Task, World, arm


@dataclass(frozen=True)
class Tasks:
    """Bounds of a search.

    Attributes:
        tasks: Tasks of the table.
        faults: Faults that may happen.
        signals: Stop signals of the host.
        restarts_max: Restarts until a task is given up.
        kinds: Kinds of faults by their first letter: ends, freezes, starves, loops, hangs, ignores the stop; the
            computer may be full, and the supervisor held up, with each of them.
    """

    tasks: tuple[str, ...] = ("source", "reader", "status")
    faults: int = 2
    signals: int = 2
    restarts_max: int = 1
    kinds: str = "efslhi"

    def __str__(self) -> str:
        faults = f"{self.faults} faults {self.kinds}, {self.signals} signals, {self.restarts_max} restarts"
        return f"supervisor: {', '.join(self.tasks)}; {faults}"

    @contextmanager
    def limits(self) -> Iterator[None]:
        with ExitStack() as stack:
            for module, name, value in (
                (restart_budget, "RESTARTS_MAX", self.restarts_max),
                (supervisor, "START_PATIENCE_S", 2.0),
                (supervisor, "arm_hard_exit", arm),
                (supervisor, "memory_kills", lambda: 0),
            ):
                stack.enter_context(patch.object(module, name, value))
            yield


class SupervisorSearch(Search[tuple[int, int]]):
    """Search of one scenario."""

    def __init__(self, scenario: Tasks) -> None:
        self.scenario = scenario
        self._ids: dict[Frozen, int] = {}
        self._packed: list[bytes] = []
        self._choices: list[tuple[list[tuple[str, str]], list[tuple[str, str]], bool, int]] = []
        STATIC.clear()
        with scenario.limits():
            super().__init__((self._add(World(scenario.tasks)), scenario.faults))

    def limits(self) -> Any:  # noqa: ANN401 - context manager
        return self.scenario.limits()

    def key(self, state: tuple[int, int]) -> int:
        return state[0] << 4 | state[1]

    def normal(self, state: tuple[int, int]) -> Iterator[tuple[str, tuple[int, int], int]]:
        normal, _, _, wakeup_ms = self._choices[state[0]]
        for action, name in normal:
            duration_ms = wakeup_ms if action == "wait" else 0
            yield f"{name} {action}".strip(), (self._after(state[0], action, name), state[1]), duration_ms

    def faulty(self, state: tuple[int, int]) -> Iterator[tuple[str, tuple[int, int], int]]:
        if state[1]:
            for action, name in self._choices[state[0]][1]:
                yield f"{name} {action}".strip(), (self._after(state[0], action, name), state[1] - 1), 0

    def is_end(self, state: tuple[int, int]) -> bool:
        return self._choices[state[0]][2]

    def _after(self, number: int, action: str, name: str) -> int:
        world: World = pickle.loads(self._packed[number])  # noqa: S301 - made by this program
        world.act(action, name)
        return self._add(world)

    def _add(self, world: World) -> int:
        world.shift(0.0)
        key = freeze(world)
        number = self._ids.get(key)
        if number is None:
            number = self._ids[key] = len(self._packed)
            self._packed.append(packed(world))
            self._choices.append((*self._actions(world), world.is_over, ceil(world.wakeup_s * 1000.0)))
        return number

    def _actions(self, world: World) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Return the normal actions in a world, the usual one first, and the faults."""
        if world.is_over:
            return [], []
        is_stopped = world.supervisor._stop is not None
        normal: list[tuple[str, str]] = []
        faults = [("full", ""), ("delay", "")]
        if not is_stopped and not world.inbox.count:
            normal.append(("signal", ""))
        for name, task in world.processes.items():
            if task.code is None:
                normal += [(action, name) for action in self._own_actions(task, is_stopped=is_stopped)]
                faults += [(fault, name) for fault in _faults(task) if fault[0] in self.scenario.kinds]
        if world.has_news:
            normal.append(("step", ""))
        elif not any(action in {"ends 0", "reports"} for action, _ in normal):
            normal.append(("wait", ""))
        if is_stopped and world.signals < self.scenario.signals:
            normal.append(("signal", ""))
        return normal, faults

    def _own_actions(self, task: Task, *, is_stopped: bool) -> Iterator[str]:
        if task.is_stopping and task.hears:
            yield "ends 0"
        if task.does == "start":
            yield "reports"
        if task.does in {"freeze", "starve"}:
            yield "recovers"
        if task.does == "answer" and not is_stopped:
            if task.spec.name == "line" and not task.to_send:
                yield "requests the stop"
            if task.spec.name == "source" and "demand" in self.scenario.tasks and not task.progress.needed:
                yield "needs"


def _faults(task: Task) -> Iterator[str]:
    if task.does in {"start", "answer"}:
        yield from (f"ends {code}" for code in (1, -signal.SIGKILL, ExitCode.OUT_OF_MEMORY))
        yield from ("freeze", "starve", "loop", "hang")
    if task.does == "start":
        yield f"ends {os.EX_TEMPFAIL}"
    elif not task.is_deaf:
        yield "ignores"

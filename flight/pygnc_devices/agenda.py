"""Procedures on their way: which step each one waits for. No port, no thread, no clock of its own."""

import heapq
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from pygnc_devices.errors import AbortedError, PortGoneError
from pygnc_devices.frames import Frame
from pygnc_devices.procedure import Deliver, Pause, SetBaud, Step, Task, WaitForPort
from pygnc_devices.requests import Outcome, Request, RequestBook
from pygnc_devices.statistics import Counts

_PORT_CHECK_S: Final = 0.05
"""Before a port that is not known to be lost counts as open: its reader must have had the time to notice."""


class Agenda:
    """Takes the steps of all procedures.

    Args:
        counts: where time-outs are counted.
        set_baud: changes the speed of the line.
        deliver: takes frames that procedures have put together.
    """

    def __init__(
        self, counts: Counts, set_baud: Callable[[int], None], deliver: Callable[[Frame], None] = lambda _: None
    ) -> None:
        self._book = RequestBook(counts)
        self._set_baud = set_baud
        self._deliver = deliver
        self._tasks: set[Task[Any]] = set()
        self._timers: list[tuple[float, int, Task[Any]]] = []
        self._parked: set[Task[Any]] = set()
        self._is_connected = True
        self._order = itertools.count()
        self._now_s = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether no procedure is on its way."""
        return not self._tasks

    def start(self, task: Task[Any], now_s: float) -> None:
        """Begin a procedure."""
        self._now_s = now_s
        self._tasks.add(task)
        task.start(partial(self._begin, task))
        self._drop_finished(task)

    def abort(self, task: Task[Any], now_s: float) -> None:
        """Raise AbortedError where the procedure stands; the steps of its clean-up are still taken."""
        self._now_s = now_s
        if task in self._tasks:
            self._forget_step(task)
            self._advance(task, AbortedError("given up from outside"))

    def take(self, frame: Frame, now_s: float) -> bool:
        """Give a frame to the request that claims it, if one does."""
        self._now_s = now_s
        return self._book.take(frame, now_s)

    def due(self, now_s: float) -> list[bytes]:
        """Return what must be sent now."""
        self._now_s = now_s
        while self._timers and self._timers[0][0] <= now_s:
            _, _, task = heapq.heappop(self._timers)
            self._advance(task, PortGoneError("the port has not come back in time") if task in self._parked else ())
        return self._book.due(now_s)

    def deadline_s(self) -> float | None:
        """Return when `due` must be called next."""
        times = [self._book.deadline_s(), self._timers[0][0] if self._timers else None]
        return min((time for time in times if time is not None), default=None)

    def port_lost(self, error: Exception) -> None:
        """End all procedures but those that wait for the port; steps that their clean-up asks for fail too."""
        self._is_connected = False
        while moving := self._tasks - self._parked:
            self._fail(next(iter(moving)), error)

    def port_opened(self, now_s: float) -> None:
        """Let those that wait for the port go on."""
        self._now_s, self._is_connected = now_s, True
        for task in tuple(self._parked):
            self._forget_step(task)
            self._advance(task, ())

    def fail_all(self, error: Exception) -> None:
        """End all procedures; steps that their clean-up asks for fail too, waiting for the port included."""
        self._is_connected = False
        while self._tasks:
            self._fail(next(iter(self._tasks)), error)

    def _fail(self, task: Task[Any], error: Exception) -> None:
        self._forget_step(task)
        self._advance(task, error)

    def _forget_step(self, task: Task[Any]) -> None:
        self._book.cancel(task)
        self._parked.discard(task)
        self._timers = [entry for entry in self._timers if entry[2] is not task]
        heapq.heapify(self._timers)

    def _begin(self, task: Task[Any], step: Step) -> None:
        match step:
            case Request():
                self._book.submit(step, task, partial(self._advance, task))
            case Pause():
                heapq.heappush(self._timers, (self._now_s + step.seconds, next(self._order), task))
            case SetBaud():
                self._do(task, partial(self._set_baud, step.baud))
            case Deliver():
                self._do(task, partial(self._deliver, step.frame))
            case WaitForPort():
                self._wait_for_port(task, step)

    def _do(self, task: Task[Any], action: Callable[[], None]) -> None:
        """Take a step that is done at once; the procedure goes on in the next turn."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - it belongs to the procedure that asked
            self._advance(task, error)
        else:
            heapq.heappush(self._timers, (self._now_s, next(self._order), task))

    def _wait_for_port(self, task: Task[Any], step: WaitForPort) -> None:
        limit_s = _PORT_CHECK_S if self._is_connected else step.limit_s
        if not self._is_connected:
            self._parked.add(task)
        heapq.heappush(self._timers, (self._now_s + limit_s, next(self._order), task))

    def _advance(self, task: Task[Any], outcome: Outcome) -> None:
        self._parked.discard(task)
        task.advance(outcome, partial(self._begin, task))
        self._drop_finished(task)

    def _drop_finished(self, task: Task[Any]) -> None:
        if task.future.done():
            self._tasks.discard(task)

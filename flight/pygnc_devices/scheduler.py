"""Questions that wait for their answers, while everything else goes on. No port, no thread, no clock of its own.

What drivers do in several steps, written once for the blocking and the asyncio face.

A procedure is a generator: it yields a step, gets its outcome, and returns a result. It does no I/O itself; the
engine takes the steps. A step that fails raises inside the generator, so `try` and `finally` work as usual.

Procedures on their way: which step each one waits for. No port, no thread, no clock of its own.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum, unique
from functools import partial
from typing import Any, Final, Generic, TypeAlias, TypeVar

from pygnc_devices.errors import AbortedError, NoAnswerError, PortGoneError
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counts
from pygnc_devices.wake_event import Bell

ANSWER_TIMEOUT_S: Final = 0.2
ANSWER_TRIES: Final = 10
"""With one byte in a hundred damaged, three tries of four pass: ten in a row fail once in a million questions."""
GRACE_S: Final = 0.05


@unique
class Claim(Enum):
    """What a frame is to a request."""

    NO = "not its answer"
    PART = "a part of it: the rest may follow within the grace time"
    LAST = "the end of it"


@dataclass(frozen=True, slots=True)
class Request:
    """A question.

    Attributes:
        octets: what to send; may be empty, to wait only.
        accept: tells what a frame is to this request; the late answer to an earlier question is not its own.
        queue: requests of the same queue are asked one after the other, because their answers look alike.
        timeout_s: for the first frame of the answer, each try.
        tries: how often it is asked at most.
        grace_s: after a part, for the next one.
        what: names the question in error messages.
        again: what to send in place of `octets` when asking again; empty: the same.
    """

    octets: bytes
    accept: Callable[[Frame], Claim]
    queue: str
    timeout_s: float = ANSWER_TIMEOUT_S
    tries: int = ANSWER_TRIES
    grace_s: float = GRACE_S
    what: str = ""
    again: bytes = b""


Outcome: TypeAlias = tuple[Frame, ...] | Exception
Done: TypeAlias = Callable[[Outcome], None]


@dataclass(slots=True)
class _Open:
    request: Request
    owner: object
    done: Done
    tries: int = 0
    deadline_s: float | None = None
    parts: list[Frame] = field(default_factory=list)


class RequestBook:
    """All open requests, a queue for each kind; the head of a queue has been asked, the others wait."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._queues: dict[str, deque[_Open]] = {}

    def submit(self, request: Request, owner: object, done: Done) -> None:
        """Put a request at the end of its queue; `done` gets the frames of the answer, or why there is none."""
        self._queues.setdefault(request.queue, deque()).append(_Open(request, owner, done))

    def take(self, frame: Frame, now_s: float) -> bool:
        """Give a frame to the request that claims it, if one does."""
        for queue in list(self._queues.values()):
            entry = queue[0] if queue else None
            # A question that has not been sent has no answer yet; one that only waits hears all that comes from now on.
            if entry is None or (entry.deadline_s is None and entry.request.octets):
                continue
            claim = entry.request.accept(frame)
            if claim is Claim.NO:
                continue
            entry.parts.append(frame)
            entry.deadline_s = now_s + entry.request.grace_s
            if claim is Claim.LAST:
                queue.popleft()
                entry.done(tuple(entry.parts))
            return True
        return False

    def due(self, now_s: float) -> list[bytes]:
        """Return what must be sent now: first questions and repetitions. Ends requests whose time is up."""
        octets: list[bytes] = []
        for queue in list(self._queues.values()):
            while queue:
                entry = queue[0]
                if entry.deadline_s is not None and now_s < entry.deadline_s:
                    break
                if entry.parts:
                    queue.popleft()
                    entry.done(tuple(entry.parts))
                    continue
                if entry.deadline_s is not None:
                    self._counts.timeouts += bool(entry.request.octets)
                if entry.tries == entry.request.tries:
                    queue.popleft()
                    entry.done(NoAnswerError(_no_answer(entry.request)))
                    continue
                entry.tries += 1
                entry.deadline_s = now_s + entry.request.timeout_s
                question = (entry.tries > 1 and entry.request.again) or entry.request.octets
                if question:
                    octets.append(question)
        return octets

    def deadline_s(self) -> float | None:
        """Return when `due` must be called next; None if nothing is open."""
        heads = [queue[0].deadline_s for queue in self._queues.values() if queue]
        return min((-1.0 if deadline is None else deadline for deadline in heads), default=None)

    def cancel(self, owner: object) -> None:
        """Forget the requests of one owner without a word to it."""
        for queue in self._queues.values():
            for entry in [entry for entry in queue if entry.owner is owner]:
                queue.remove(entry)

    def fail_all(self, error: Exception) -> None:
        """End all requests."""
        queues, self._queues = self._queues, {}
        for queue in queues.values():
            for entry in queue:
                entry.done(error)


def _no_answer(request: Request) -> str:
    spent_s = request.timeout_s * request.tries
    times = "once" if request.tries == 1 else f"{request.tries} times"
    return f"no answer to {request.what or request.queue}, asked {times} within {spent_s:.1f} s"


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SetBaud:
    """Change the speed of this end of the line."""

    baud: int


@dataclass(frozen=True, slots=True)
class WaitForPort:
    """Wait until the port is open: at once if it is, else until it is back; PortGoneError when the time is up.

    The one step that is not ended by the loss of the port.
    """

    limit_s: float


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give the interpreter a frame that was put together from several answers, as if it had come whole."""

    frame: Frame


Step: TypeAlias = Request | Pause | SetBaud | WaitForPort | Deliver
Procedure: TypeAlias = Generator[Step, tuple[Frame, ...], T]


class Task(Generic[T]):
    """A procedure on its way.

    Attributes:
        future: what becomes of it. It cannot be cancelled, only aborted by the engine: whatever stops waiting for a
            procedure, its own clean-up takes place.
    """

    def __init__(self, procedure: Procedure[T]) -> None:
        self._procedure = procedure
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()
        self._done = Bell()
        self.future.add_done_callback(lambda _: self._done.ring())

    def result(self, timeout_s: float | None = None) -> T:
        """Wait for the end, and return the result or raise its error. None: however long.

        To wait by the future itself could, when a signal ends that, keep the engine from ever ending the procedure.

        Raises:
            TimeoutError: it goes on.
        """
        if not self._done.wait(timeout_s):
            raise TimeoutError
        self._done.ring()  # for others who wait
        return self.future.result()

    def start(self, begin: Callable[[Step], None]) -> None:
        """Run to the first step, which goes to `begin`."""
        self._run(lambda: next(self._procedure), begin)

    def advance(self, outcome: Outcome, begin: Callable[[Step], None]) -> None:
        """Give the outcome of the step before; the next step goes to `begin`, the result into `future`."""
        if isinstance(outcome, Exception):
            self._run(lambda: self._procedure.throw(outcome), begin)
        else:
            self._run(lambda: self._procedure.send(outcome), begin)

    def _run(self, go_on: Callable[[], Any], begin: Callable[[Step], None]) -> None:
        if self.future.done():
            return
        try:
            step = go_on()
        except StopIteration as end:
            self.future.set_result(end.value)
        except Exception as error:  # noqa: BLE001 - whoever waits for the result gets it
            self.future.set_exception(error)
        else:
            begin(step)


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

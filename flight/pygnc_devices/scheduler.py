"""Scheduler of the operations of drivers.

An operation is a coroutine (`async def`) that awaits steps: `Request`, `Sleep`, `SetBaud`, `WaitForPort` and `Publish`.
The engine's thread carries the steps out, so that one operation serves the synchronous and the asyncio API; steps
cannot be awaited in asyncio itself. A step that fails raises inside the operation, so that `try` and `finally` work as
usual. The scheduler has no port, no thread and no clock: its caller passes the time.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum, unique
from functools import partial
from itertools import count
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from pygnc_devices.errors import AbortedError, NoAnswerError, PortGoneError, RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counters, Reading
from pygnc_system.wake_event import WakeEvent

T = TypeVar("T")

ANSWER_TIMEOUT_S: Final = 0.2
ANSWER_TRIES: Final = 10
"""Attempts per request. With 1 % of the bytes damaged, 75 % of the attempts succeed, and ten in a row fail in 1e-6."""
GRACE_S: Final = 0.05
LONGEST_RESPONSE_S: Final = 30.0
"""Time limit for a response after its first frame, s: a device that streams the same frames never pauses."""
_PORT_CHECK_S: Final = 0.05
"""Wait of `WaitForPort` on a port that seems open: its reader needs this time to notice that the port was lost."""


class Step(Generic[T]):
    """Base class of the steps that an operation awaits; T is the type of the result."""

    __slots__ = ()

    def __await__(self) -> Generator["Step[Any]", Any, T]:
        result: T = yield self
        return result


Operation: TypeAlias = Coroutine[Step[Any], Any, T]
"""Coroutine that awaits steps and returns a T."""


@unique
class Claim(Enum):
    """Meaning of a frame for a request."""

    NO = "not its response"
    PART = "part of its response; more may follow within the grace time"
    LAST = "the end of its response"


@dataclass(frozen=True, slots=True)
class Request(Step[tuple[Frame, ...]]):
    """Step that sends bytes and waits for the frames of the response.

    Attributes:
        octets: bytes to send; may be empty, to wait only.
        accept: classifies a frame; it must not accept the late response to an earlier request.
        queue: name of a queue; requests of a queue are sent one after the other, because their responses look alike.
        timeout_s: time limit for the first frame of the response, for each attempt, s.
        tries: largest number of attempts.
        grace_s: time limit for the next frame after a part of the response, s.
        what: name of the request in error messages.
        again: bytes to send from the second attempt on; empty: `octets`.
        may_be_equal: True if the device may respond with the bytes of the request; otherwise such a frame is an echo of
            the line and no response.

    Raises:
        NoAnswerError: no response arrived, in all attempts.
    """

    octets: bytes
    accept: Callable[[Frame], Claim]
    queue: str
    timeout_s: float = ANSWER_TIMEOUT_S
    tries: int = ANSWER_TRIES
    grace_s: float = GRACE_S
    what: str = ""
    again: bytes = b""
    may_be_equal: bool = False


def accept_if(is_response: Callable[[Frame], bool]) -> Callable[[Frame], Claim]:
    """Return the `accept` of a request whose response is one frame, the first for which a condition is true."""
    return lambda frame: Claim.LAST if is_response(frame) else Claim.NO


def wait_for(is_wanted: Callable[[Frame], bool], queue: str, timeout_s: float, what: str = "") -> Request:
    """Return a request that sends nothing and waits for the first frame for which a condition is true."""
    return Request(b"", accept_if(is_wanted), queue, timeout_s, tries=1, what=what)


async def responds(request: Request, kind: str = "") -> bool:
    """Return True if the device responds to a request, with a frame whose kind begins with `kind`."""
    try:
        return (await request)[-1].kind.startswith(kind)
    except NoAnswerError:
        return False


@dataclass(frozen=True, slots=True)
class Sleep(Step[None]):
    """Step that waits for a time."""

    seconds: float


class HasBaud(Protocol):
    """State of a device in its driver.

    Attributes:
        baud: baud rate of the line.
    """

    baud: int


async def agree_on_baud(unit: HasBaud, baud: int, answers_at: Callable[[int], Operation[bool]]) -> None:
    """Continue at a new baud rate, or at the previous one if the device does not respond at the new one.

    Args:
        unit: state of the device, to which the new rate is written.
        baud: baud rate that the device was told.
        answers_at: changes the port to a baud rate, and returns True if the device responds at it.

    Raises:
        RefusedError: the device responds at the previous rate only.
        NoAnswerError: the device responds at neither rate.
    """
    if await answers_at(baud):
        unit.baud = baud
    elif await answers_at(unit.baud):
        raise RefusedError(f"the unit does not respond at {baud} baud; the line is at {unit.baud} baud again")
    else:
        raise NoAnswerError(
            f"the unit responds neither at {baud} nor at {unit.baud} baud; switch it off and on: "
            "its non-volatile memory has the old rate"
        )


async def retry(operation: Callable[[], Operation[T]], attempts: int, pause_s: float) -> T:
    """Carry out an operation, with a pause before each attempt, until a response arrives.

    Raises:
        NoAnswerError: no response arrived, in all attempts.
    """
    for _ in range(attempts - 1):
        await Sleep(pause_s)
        with contextlib.suppress(NoAnswerError):
            return await operation()
    await Sleep(pause_s)
    return await operation()


@dataclass(frozen=True, slots=True)
class SetBaud(Step[None]):
    """Step that changes the baud rate of this end of the line."""

    baud: int


@dataclass(frozen=True, slots=True)
class Publish(Step[None]):
    """Step that passes a reading to all subscribers."""

    reading: Reading


@dataclass(frozen=True, slots=True)
class WaitForPort(Step[None]):
    """Step that waits until the port is open. It is the only step that the loss of the port does not end.

    Raises:
        PortGoneError: the port was not reopened within `limit_s` seconds.
    """

    limit_s: float


class Procedure(Generic[T]):
    """Operation in progress.

    Attributes:
        future: result or error of the operation. The future cannot be cancelled; only the engine can abort the
            operation, so that its clean-up always runs.
        wake_s: time at which the scheduler resumes the operation; None: no time.
        port_limit_s: limit of the `WaitForPort` that the operation awaits, s; None if it awaits another step.
    """

    def __init__(self, operation: Operation[T]) -> None:
        self._operation = operation
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()
        self._done = WakeEvent()
        self.future.add_done_callback(lambda _: self._done.set())
        self.wake_s: float | None = None
        self.port_limit_s: float | None = None

    def result(self, timeout_s: float | None = None) -> T:
        """Wait for the end, `timeout_s` seconds at most; return the result or raise the error (None: no limit).

        Waiting on the future itself is not safe: a signal that ends the wait can leave the future's lock held, and the
        engine could never complete the operation.

        Raises:
            TimeoutError: the operation is still in progress.
        """
        if not self._done.wait(timeout_s):
            raise TimeoutError
        self._done.set()  # for other waiting threads
        return self.future.result()

    def resume(self, outcome: object) -> Step[Any] | None:
        """Resume with the result or the error of the last step; return the next step, None at the end."""
        if self.future.done():
            return None
        self.wake_s = self.port_limit_s = None
        try:
            if isinstance(outcome, Exception):
                return self._operation.throw(outcome)
            return self._operation.send(outcome)
        except StopIteration as end:
            self.future.set_result(end.value)
        except Exception as error:  # noqa: BLE001 - `result` raises it
            self.future.set_exception(error)
        return None


@dataclass(slots=True)
class _Pending:
    """Request without a complete response.

    `deadline_s` is None until the request is sent, `end_s` until the first frame of the response arrives.
    """

    request: Request
    procedure: Procedure[Any]
    tries: int = 0
    deadline_s: float | None = None
    end_s: float | None = None
    frames: list[Frame] = field(default_factory=list)


class Scheduler:
    """Scheduler of the steps of all operations of a port.

    Args:
        counters: counts requests without a response.
        set_baud: changes the baud rate of the port.
        publish: passes a reading to the subscribers.
    """

    def __init__(
        self,
        counters: Counters,
        set_baud: Callable[[int], None],
        publish: Callable[[Reading], None] = lambda _: None,
    ) -> None:
        self._counters = counters
        self._set_baud = set_baud
        self._publish = publish
        self._procedures: dict[Procedure[Any], int] = {}
        self._order = count()
        self._queues: dict[str, deque[_Pending]] = {}
        self._is_connected = True
        self._now_s = 0.0

    @property
    def is_idle(self) -> bool:
        """True if no operation is in progress."""
        return not self._procedures

    def start(self, procedure: Procedure[Any], now_s: float) -> None:
        """Run an operation to its first step."""
        self._now_s = now_s
        self._resume(procedure, None)

    def abort(self, procedure: Procedure[Any], now_s: float) -> None:
        """Raise AbortedError inside an operation; the steps of its clean-up are still carried out."""
        self._now_s = now_s
        if procedure in self._procedures:
            self._fail(procedure, AbortedError("the operation was aborted"))

    def take(self, frame: Frame, now_s: float) -> bool:
        """Pass a frame to the first request that accepts it; return True if a request accepted it."""
        self._now_s = now_s
        if not self._procedures:
            return False
        for queue in list(self._queues.values()):
            pending = queue[0] if queue else None
            # A request that is not sent has no response yet; a request that only waits accepts frames from now on.
            if pending is None or (pending.deadline_s is None and pending.request.octets):
                continue
            if _is_echo(frame, pending.request):
                continue
            claim = pending.request.accept(frame)
            if claim is Claim.NO:
                continue
            pending.frames.append(frame)
            pending.end_s = pending.end_s or now_s + LONGEST_RESPONSE_S
            pending.deadline_s = min(now_s + pending.request.grace_s, pending.end_s)
            if claim is Claim.LAST:
                queue.popleft()
                self._resume(pending.procedure, tuple(pending.frames))
            return True
        return False

    def due(self, now_s: float) -> list[bytes]:
        """Resume operations whose time has come; return the bytes to send now."""
        self._now_s = now_s
        while (procedure := self._next_procedure()) is not None and (procedure.wake_s or 0.0) <= now_s:
            lost = procedure.port_limit_s is not None and not self._is_connected
            self._resume(
                procedure, PortGoneError("the port was not reopened in time; check the cable") if lost else None
            )
        octets: list[bytes] = []
        for queue in list(self._queues.values()):
            while queue and (queue[0].deadline_s is None or now_s >= queue[0].deadline_s):
                octets.append(self._send(queue, queue[0]))
        return [piece for piece in octets if piece]

    def deadline_s(self) -> float | None:
        """Return the time at which `due` must be called next; None if no operation is in progress."""
        heads = [queue[0].deadline_s for queue in self._queues.values() if queue]
        times = [-1.0 if deadline_s is None else deadline_s for deadline_s in heads]
        procedure = self._next_procedure()
        return min([*times, *([] if procedure is None else [procedure.wake_s or 0.0])], default=None)

    def port_lost(self, error: Exception) -> None:
        """End all operations that do not wait for the port; the steps of their clean-up fail, too."""
        for procedure in self._procedures if self._is_connected else ():
            if procedure.port_limit_s is not None:  # it waits for a port that only seemed open
                procedure.wake_s = self._now_s + procedure.port_limit_s
        self._is_connected = False
        while (
            ended := next((procedure for procedure in self._procedures if procedure.port_limit_s is None), None)
        ) is not None:
            self._fail(ended, error)

    def port_opened(self, now_s: float) -> None:
        """Resume operations that wait for the port."""
        self._now_s, self._is_connected = now_s, True
        for procedure in [procedure for procedure in self._procedures if procedure.port_limit_s is not None]:
            self._resume(procedure, None)

    def fail_all(self, error: Exception) -> None:
        """End all operations; the steps of their clean-up fail, too."""
        self._is_connected = False
        while self._procedures:
            self._fail(next(iter(self._procedures)), error)

    def _next_procedure(self) -> Procedure[Any] | None:
        """Return the procedure that is resumed next by time."""
        timed = (procedure for procedure in self._procedures if procedure.wake_s is not None)
        return min(timed, key=lambda procedure: (procedure.wake_s or 0.0, self._procedures[procedure]), default=None)

    def _send(self, queue: deque[_Pending], pending: _Pending) -> bytes:
        """Return the bytes to send for the head of a queue whose time is up; b"" if the request has ended."""
        request = pending.request
        if pending.frames:
            queue.popleft()
            self._resume(pending.procedure, tuple(pending.frames))
            return b""
        if pending.deadline_s is not None:
            self._counters.timeouts += bool(request.octets)
        if pending.tries == request.tries:
            queue.popleft()
            self._resume(pending.procedure, NoAnswerError(_no_answer(request)))
            return b""
        pending.tries += 1
        pending.deadline_s = self._now_s + request.timeout_s
        return (pending.tries > 1 and request.again) or request.octets

    def _fail(self, procedure: Procedure[Any], error: Exception) -> None:
        for queue in self._queues.values():
            for pending in [pending for pending in queue if pending.procedure is procedure]:
                queue.remove(pending)
        self._resume(procedure, error)

    def _resume(self, procedure: Procedure[Any], outcome: object) -> None:
        step = procedure.resume(outcome)
        if step is None:
            self._procedures.pop(procedure, None)
            return
        self._procedures[procedure] = next(self._order)
        match step:
            case Request():
                self._queues.setdefault(step.queue, deque()).append(_Pending(step, procedure))
            case Sleep():
                procedure.wake_s = self._now_s + step.seconds
            case WaitForPort():
                procedure.port_limit_s = step.limit_s
                procedure.wake_s = self._now_s + (_PORT_CHECK_S if self._is_connected else step.limit_s)
            case SetBaud():
                self._do(procedure, partial(self._set_baud, step.baud))
            case Publish():
                self._do(procedure, partial(self._publish, step.reading))

    def _do(self, procedure: Procedure[Any], action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - it belongs to the operation
            self._resume(procedure, error)
        else:
            procedure.wake_s = self._now_s


def _is_echo(frame: Frame, request: Request) -> bool:
    """Return True if the line returned a part of the request; one byte, such as an acknowledgement, is no proof."""
    return not request.may_be_equal and len(frame.raw) > 1 and frame.raw in request.octets


def _no_answer(request: Request) -> str:
    attempts = "1 attempt" if request.tries == 1 else f"{request.tries} attempts"
    return f"no response to {request.what or request.queue} ({attempts}, {request.timeout_s * request.tries:.1f} s)"

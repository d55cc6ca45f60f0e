"""What drivers do in several steps, written once for the blocking and the asyncio face.

A procedure is a generator: it yields a step, gets its outcome, and returns a result. It does no I/O itself; the
engine takes the steps. A step that fails raises inside the generator, so `try` and `finally` work as usual.
"""

from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from pygnc_devices.bell import Bell
from pygnc_devices.frames import Frame
from pygnc_devices.requests import Outcome, Request

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

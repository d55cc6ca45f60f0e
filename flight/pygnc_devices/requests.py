"""Questions that wait for their answers, while everything else goes on. No port, no thread, no clock of its own."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final, TypeAlias

from pygnc_devices.errors import NoAnswerError
from pygnc_devices.frames import Frame
from pygnc_devices.statistics import Counts

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

"""Sentences on their way out, of one kind of delivery: what waits, what is in flight, what is due again."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

from pygnc.host.numbers import BITS, MODULUS, ahead
from pygnc.host.sentence_types import SentenceType

TIMEOUT_MAX_S: Final = 2.0
QUEUE_MAX: Final = 64
"""Sentences that may wait."""


@dataclass(slots=True)
class Outgoing:
    """One sentence on its way. `order` numbers the transmissions of both outboxes; `due_s` is when to send it again."""

    ticket: int
    kind: SentenceType
    body: bytes
    queued_s: float
    number: int = 0
    tries: int = 0
    order: int = 0
    sent_s: float = 0.0
    due_s: float = inf

    def wait(self, now_s: float, timeout_s: float) -> None:
        """Be due again after the timeout, doubled with each try."""
        self.due_s = now_s + min(timeout_s * 2 ** (self.tries - 1), TIMEOUT_MAX_S)


class Outbox:
    """Numbers sentences when they are first sent, and keeps them until they are settled."""

    def __init__(self) -> None:
        self._queued: deque[Outgoing] = deque()
        self._in_flight: dict[int, Outgoing] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._queued) + len(self._in_flight)

    @property
    def room(self) -> int:
        """How many more sentences may be put."""
        return QUEUE_MAX - len(self._queued)

    @property
    def first_number(self) -> int:
        """The oldest number that is not settled, or the next one."""
        return next(iter(self._in_flight), self._next)

    def put(self, outgoing: Outgoing) -> None:
        """Let a sentence wait for its turn."""
        self._queued.append(outgoing)

    def take(self, now_s: float, order: int, timeout_s: float, window: int) -> Outgoing | None:
        """Return what is to be sent now: a retry that is due, or the next new one if the window allows."""
        outgoing = next((item for item in self._in_flight.values() if item.due_s <= now_s), None)
        if outgoing is None:
            if not self._queued or ahead(self._next, self.first_number) >= min(window, BITS):
                return None
            outgoing = self._queued.popleft()
            outgoing.number = self._next
            self._in_flight[self._next] = outgoing
            self._next = (self._next + 1) % MODULUS
        outgoing.tries += 1
        outgoing.order = order
        outgoing.sent_s = now_s
        outgoing.wait(now_s, timeout_s)
        return outgoing

    def settle(self, has_arrived: Callable[[int], bool]) -> list[Outgoing]:
        """Remove and return what has arrived."""
        arrived = [item for number, item in self._in_flight.items() if has_arrived(number)]
        for item in arrived:
            del self._in_flight[item.number]
        return arrived

    def overtaken(self, order: int, now_s: float) -> None:
        """Retry at once what was sent before transmission `order`: that one has arrived, and the line is FIFO."""
        for item in self._in_flight.values():
            if item.order < order:
                item.due_s = now_s

    def give_up(self, is_hopeless: Callable[[Outgoing], bool]) -> list[Outgoing]:
        """Remove and return what is not worth another try."""
        lost = [item for item in self if is_hopeless(item)]
        for item in lost:
            if item.tries:
                del self._in_flight[item.number]
            else:
                self._queued.remove(item)
        return lost

    def __iter__(self) -> Iterator[Outgoing]:
        yield from self._in_flight.values()
        yield from self._queued

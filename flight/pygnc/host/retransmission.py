"""How long to wait for an acknowledgement (the estimator of RFC 6298, with limits for a serial line).

Sentences on their way out, of one kind of delivery: what waits, what is in flight, what is due again.

Numbered sentences on their way out, until they are acknowledged or given up.

A line is FIFO: a sentence that was sent before one that has arrived, and has not arrived itself, is lost and sent again
at once; the rest is found by timeout.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

from pygnc.host.channel_events import Acknowledged, ChannelEvent, LossCause, Lost
from pygnc.host.sentence import Delivery
from pygnc.host.sentence_types import LOST, SentenceType
from pygnc.host.sequence_numbers import BITS, MODULUS, Acknowledgement, ahead

_TIMEOUT_START_S: Final = 1.0
_TIMEOUT_MIN_S: Final = 0.2
_TIMEOUT_MAX_S: Final = 2.0


class RoundTrip:
    """Smoothed round trip time and its deviation."""

    def __init__(self) -> None:
        self._mean_s: float | None = None
        self._deviation_s = 0.0

    @property
    def timeout_s(self) -> float:
        """After this long without an acknowledgement, a sentence is taken for lost."""
        if self._mean_s is None:
            return _TIMEOUT_START_S
        return min(max(self._mean_s + 4.0 * self._deviation_s, _TIMEOUT_MIN_S), _TIMEOUT_MAX_S)

    def measured(self, duration_s: float) -> None:
        """Take the round trip of a sentence that was sent once."""
        if self._mean_s is None:
            self._mean_s, self._deviation_s = duration_s, duration_s / 2.0
            return
        self._deviation_s += (abs(duration_s - self._mean_s) - self._deviation_s) / 4.0
        self._mean_s += (duration_s - self._mean_s) / 8.0


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


WINDOW: Final = 16
"""Sentences in order under way at a time: 1.4 s of the line at 115200 baud."""
TRIES_MAX: Final = 10
"""Of a sentence in order, over some 16 s; then the line is down."""
LIFE_S: Final = 5.0
"""A sentence delivered at once is retried for so long."""


class Sending:
    """Both outboxes.

    Args:
        outcomes: takes what becomes of sentences.
    """

    def __init__(self, outcomes: list[ChannelEvent]) -> None:
        self._outcomes = outcomes
        self._tickets = 0
        self._order = 0
        self._in_order = Outbox()
        self._at_once = Outbox()
        self._round_trip = RoundTrip()

    @property
    def room(self) -> int:
        """How many more sentences in order may be sent now."""
        return self._in_order.room

    @property
    def first_numbers(self) -> tuple[int, int]:
        """The oldest numbers that are not settled: in order, at once."""
        return self._in_order.first_number, self._at_once.first_number

    def put(self, kind: SentenceType, body: bytes, now_s: float) -> int:
        """Let a sentence go out; return its ticket.

        Raises:
            ValueError: there is no `room` for a sentence in order, or the type is not numbered.
        """
        if kind.delivery is Delivery.UNNUMBERED:
            raise ValueError(f"{kind.name} is sent by the channel itself")
        box = self._in_order if kind.delivery is Delivery.IN_ORDER else self._at_once
        if box.room <= 0:
            if box is self._in_order:
                raise ValueError("the channel is full: wait for acknowledgements (room)")
            oldest = next(iter(box)).ticket
            self._lose(box.give_up(lambda item: item.ticket == oldest), LossCause.CROWDED_OUT)
        self._tickets += 1
        box.put(Outgoing(self._tickets, kind, body, now_s))
        return self._tickets

    def settle(self, said: Acknowledgement, now_s: float) -> None:
        """Take the other end's word on what has arrived."""
        settled = self._in_order.settle(said.covers_in_order) + self._at_once.settle(said.covers_at_once)
        sent_once = [item for item in settled if item.tries == 1]
        if sent_once:
            newest = max(sent_once, key=lambda item: item.order)
            self._round_trip.measured(now_s - newest.sent_s)
            for box in (self._in_order, self._at_once):
                box.overtaken(newest.order, now_s)
        self._outcomes += [Acknowledged(item.ticket, item.kind) for item in settled]

    def expire(self, now_s: float) -> bool:
        """Give up what is too old to be delivered at once; return whether the line is down."""
        self._lose(self._at_once.give_up(lambda item: now_s - item.queued_s >= LIFE_S), LossCause.EXPIRED)
        return any(item.tries >= TRIES_MAX and item.due_s <= now_s for item in self._in_order)

    def next_at_once(self, now_s: float) -> Outgoing | None:
        """Return the sentence delivered at once that is to be sent now, or None."""
        return self._next(self._at_once, now_s, QUEUE_MAX)

    def next_in_order(self, now_s: float, peer_window: int) -> Outgoing | None:
        """Return the sentence delivered in order that is to be sent now, or None."""
        return self._next(self._in_order, now_s, min(peer_window, WINDOW))

    def note_sending(self, outgoing: Outgoing, now_s: float) -> None:
        """Count a sentence as sent now: a portion of it goes out behind what has come into its midst."""
        self._order += 1
        outgoing.order = self._order
        outgoing.sent_s = now_s
        outgoing.wait(now_s, self._round_trip.timeout_s)

    def end_of_life_s(self) -> float:
        """When the next sentence will be given up."""
        return min((item.queued_s + LIFE_S for item in self._at_once), default=inf)

    def retry_s(self) -> float:
        """When the next sentence will be sent again."""
        return min((item.due_s for box in (self._in_order, self._at_once) for item in box), default=inf)

    def fail(self, cause: LossCause) -> None:
        """What was for the other end's present session is lost; packets that never were sent may go to the next."""
        lost = self._in_order.give_up(lambda _: True) + self._at_once.give_up(lambda item: item.tries > 0)
        self._outcomes += [Lost(item.ticket, item.kind, cause) for item in lost]

    def meet(self) -> None:
        """Forget how long the way to the other end was: it is another one."""
        self._round_trip = RoundTrip()

    def _next(self, box: Outbox, now_s: float, window: int) -> Outgoing | None:
        self._order += 1
        return box.take(now_s, self._order, self._round_trip.timeout_s, window)

    def _lose(self, items: list[Outgoing], cause: LossCause) -> None:
        """Report sentences that were given up, to the other end too if they had a number."""
        for item in items:
            self._outcomes.append(Lost(item.ticket, item.kind, cause))
            if item.tries and self.room > 0:
                self._tickets += 1
                body = LOST.pack(item.number, tail=item.kind.name.encode())
                self._in_order.put(Outgoing(self._tickets, LOST, body, item.queued_s))

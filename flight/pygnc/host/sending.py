"""Numbered sentences on their way out, until they are acknowledged or given up.

A line is FIFO: a sentence that was sent before one that has arrived, and has not arrived itself, is lost and sent again
at once; the rest is found by timeout.
"""

from math import inf
from typing import Final

from pygnc.host.numbers import Acknowledgement
from pygnc.host.outbox import QUEUE_MAX, Outbox, Outgoing
from pygnc.host.outcomes import Acknowledged, LossCause, Lost, Outcome
from pygnc.host.round_trip import RoundTrip
from pygnc.host.sentence import Delivery
from pygnc.host.sentence_types import LOST, SentenceType

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

    def __init__(self, outcomes: list[Outcome]) -> None:
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

"""Reliable delivery on a line: sequence numbers, acknowledgements, receivers, and send queues with retransmission.

The line delivers bytes in the order of sending. A sentence that was sent before an acknowledged one, but is not
acknowledged itself, is therefore lost and sent again at once. A timeout, derived from the round trip time, detects all
other losses.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto, unique
from math import inf
from typing import Final, Generic, NamedTuple, TypeVar

from pygnc.host.channel_events import Acknowledged, ChannelEvent, LossCause, Lost
from pygnc.host.sentence import Delivery
from pygnc.host.sentence_types import LOST, SentenceType

MODULUS: Final = 1 << 16
_HALF: Final = MODULUS >> 1
BITMAP_BITS: Final = 32
"""Number of sequence numbers in the bit map of an acknowledgement."""
WINDOW: Final = 16
"""Maximum number of ordered sentences in flight; they take 1.4 s at 115200 baud."""
TRIES_MAX: Final = 10
"""Number of transmissions of an ordered sentence, in about 16 s, after which the line counts as down."""
UNORDERED_LIFETIME_S: Final = 5.0
"""Time from queueing, s, for which an unordered sentence is retried."""
QUEUE_MAX: Final = 64
"""Maximum number of sentences that wait for their first transmission in one queue."""
_TIMEOUT_INITIAL_S: Final = 1.0
_TIMEOUT_MIN_S: Final = 0.2
_TIMEOUT_MAX_S: Final = 2.0

T = TypeVar("T")


def sequence_difference(number: int, base: int) -> int:
    """Return `number` minus `base` modulo 2**16, between -32768 and 32767."""
    return (number - base + _HALF) % MODULUS - _HALF


class Acknowledgement(NamedTuple):
    """Fields of an ACKN sentence: the numbers received by its sender (`ReorderBuffer`, `UnorderedReceiver`)."""

    next_ordered: int
    later_ordered: int
    newest_unordered: int
    earlier_unordered: int

    def is_delivered(self, number: int) -> bool:
        """Return True if the ordered sentence with this number and all before it have arrived."""
        return sequence_difference(number, self.next_ordered) < 0

    def covers_ordered(self, number: int) -> bool:
        """Return True if the ordered sentence with this number has arrived."""
        distance = sequence_difference(number, self.next_ordered)
        return distance < 0 or (0 < distance <= BITMAP_BITS and bool(self.later_ordered >> (distance - 1) & 1))

    def covers_unordered(self, number: int) -> bool:
        """Return True if the unordered sentence with this number has arrived; False may also mean unknown."""
        distance = sequence_difference(self.newest_unordered, number)
        return distance == 0 or (0 < distance <= BITMAP_BITS and bool(self.earlier_unordered >> (distance - 1) & 1))


class ReorderBuffer(Generic[T]):
    """Receiver of ordered sentences: releases items in the order of their numbers.

    Args:
        window: Number of sequence numbers accepted, counted from the first missing one.
        next_number: First number to release.
    """

    def __init__(self, window: int, next_number: int) -> None:
        self.next_number = next_number
        self._window = window
        self._held: dict[int, T] = {}

    def accept(self, number: int, item: T) -> list[T]:
        """Add an item and return the items now in order; ignore repeated numbers and those beyond the window."""
        if not 0 <= sequence_difference(number, self.next_number) < self._window:
            return []
        self._held.setdefault(number, item)
        released = []
        while self.next_number in self._held:
            released.append(self._held.pop(self.next_number))
            self.next_number = (self.next_number + 1) % MODULUS
        return released

    @property
    def later(self) -> int:
        """Bit map of held items; bit k is number `next_number` + 1 + k."""
        return sum(1 << (sequence_difference(number, self.next_number) - 1) for number in self._held)


@unique
class Arrival(Enum):
    """Classification of an unordered sentence by its number."""

    NEW = auto()
    LATE = auto()
    """A newer number arrived before it."""
    REPEATED = auto()
    """Received before, or so old that the bit map no longer contains its number."""


class UnorderedReceiver:
    """Receiver of unordered sentences: detects repetitions.

    Attributes:
        newest: Newest number received.
        earlier: Bit map of received numbers; bit k is number `newest` - 1 - k.
    """

    def __init__(self, next_number: int) -> None:
        self.newest = (next_number - 1) % MODULUS
        self.earlier = (1 << BITMAP_BITS) - 1

    def accept(self, number: int) -> Arrival:
        """Record a sequence number and return whether it is new, late or repeated."""
        distance = sequence_difference(number, self.newest)
        if distance > 0:
            history = ((self.earlier << 1 | 1) << (distance - 1)) if distance <= BITMAP_BITS else 0
            self.earlier = history & ((1 << BITMAP_BITS) - 1)
            self.newest = number
            return Arrival.NEW
        bit = 1 << (-distance - 1) if distance else 0
        if not bit or -distance > BITMAP_BITS or self.earlier & bit:
            return Arrival.REPEATED
        self.earlier |= bit
        return Arrival.LATE


class RoundTripEstimator:
    """Retransmission timeout from the smoothed round trip time and its mean deviation.

    It is the estimator of RFC 6298 with a timeout between 0.2 s and 2 s.
    """

    def __init__(self) -> None:
        self._mean_s: float | None = None
        self._deviation_s = 0.0

    @property
    def timeout_s(self) -> float:
        """Time without an acknowledgement after which a sentence counts as lost, s; 1 s before the first `update`."""
        if self._mean_s is None:
            return _TIMEOUT_INITIAL_S
        return min(max(self._mean_s + 4.0 * self._deviation_s, _TIMEOUT_MIN_S), _TIMEOUT_MAX_S)

    def update(self, duration_s: float) -> None:
        """Update the estimate with the round trip time, s, of a sentence that was not retried."""
        if self._mean_s is None:
            self._mean_s, self._deviation_s = duration_s, duration_s / 2.0
            return
        self._deviation_s += (abs(duration_s - self._mean_s) - self._deviation_s) / 4.0
        self._mean_s += (duration_s - self._mean_s) / 8.0


@dataclass(slots=True)
class QueuedSentence:
    """A sentence in a send queue, from the call of `add` until it is acknowledged or given up.

    Attributes:
        ticket: Number of the sentence in `Acknowledged` and `Lost` events.
        body: Encoded body.
        queued_s: Time of the call of `Retransmitter.add`, s.
        number: Sequence number, assigned at the first transmission.
        tries: Transmissions so far.
        order: Position of the newest transmission among the transmissions of both queues.
        sent_s: Time of the newest transmission, s.
        due_s: Time of the next retry, s; infinite if it waits or the other end holds it.
    """

    ticket: int
    kind: SentenceType
    body: bytes
    queued_s: float
    number: int = 0
    tries: int = 0
    order: int = 0
    sent_s: float = 0.0
    due_s: float = inf

    def mark_sent(self, order: int, now_s: float, timeout_s: float) -> None:
        """Record a transmission and schedule the retry; the timeout doubles with each try, up to 2 s."""
        self.order, self.sent_s = order, now_s
        self.due_s = now_s + min(timeout_s * 2 ** (self.tries - 1), _TIMEOUT_MAX_S)


class SendQueue:
    """Queue of either ordered or unordered sentences. Iteration yields those in flight before waiting ones."""

    def __init__(self) -> None:
        self._waiting: deque[QueuedSentence] = deque()
        self._in_flight: dict[int, QueuedSentence] = {}
        self._next = 1

    def __iter__(self) -> Iterator[QueuedSentence]:
        yield from self._in_flight.values()
        yield from self._waiting

    @property
    def room(self) -> int:
        """Number of sentences that the queue still accepts."""
        return QUEUE_MAX - len(self._waiting)

    @property
    def first_number(self) -> int:
        """Oldest sequence number in flight, or the next number to assign if nothing is in flight."""
        return next(iter(self._in_flight), self._next)

    def restart(self) -> None:
        """Assign sequence numbers from 1 again, in a new session; the caller has removed the transmitted sentences."""
        self._next = 1

    def add(self, item: QueuedSentence) -> None:
        """Append a sentence, which waits for its first transmission; the caller checks `room`."""
        self._waiting.append(item)

    def next_due(self, now_s: float, order: int, timeout_s: float, window: int) -> QueuedSentence | None:
        """Return the sentence to transmit now: a retry that is due, a new one if the window allows it, or None."""
        item = next((item for item in self._in_flight.values() if item.due_s <= now_s), None)
        if item is None:
            in_flight = sequence_difference(self._next, self.first_number)
            if not self._waiting or in_flight >= min(window, BITMAP_BITS):
                return None
            item = self._waiting.popleft()
            item.number = self._next
            self._in_flight[self._next] = item
            self._next = (self._next + 1) % MODULUS
        item.tries += 1
        item.mark_sent(order, now_s, timeout_s)
        return item

    def retry_sent_before(self, order: int, now_s: float) -> None:
        """Make all sentences sent before transmission `order` due now, because a later transmission has arrived."""
        for item in self._in_flight.values():
            if item.order < order and item.due_s < inf:
                item.due_s = now_s

    def remove(self, condition: Callable[[QueuedSentence], bool]) -> list[QueuedSentence]:
        """Remove and return the sentences, in flight or waiting, for which `condition` returns True."""
        removed = [item for item in self if condition(item)]
        for item in removed:
            if item.tries:
                del self._in_flight[item.number]
            else:
                self._waiting.remove(item)
        return removed


class Retransmitter:
    """Queues of ordered and unordered sentences, which are sent again until acknowledged or given up.

    It appends `Acknowledged` and `Lost` events to `events`.
    """

    def __init__(self, events: list[ChannelEvent]) -> None:
        self._events = events
        self._tickets = 0
        self._order = 0
        self._ordered = SendQueue()
        self._unordered = SendQueue()
        self._round_trip = RoundTripEstimator()

    @property
    def room(self) -> int:
        """Number of ordered sentences that the queue still accepts."""
        return self._ordered.room

    @property
    def first_numbers(self) -> tuple[int, int]:
        """Oldest ordered and unordered number in flight, or the next number to assign if none is in flight."""
        return self._ordered.first_number, self._unordered.first_number

    def add(self, kind: SentenceType, body: bytes, now_s: float) -> int:
        """Queue a sentence and return its ticket; a full unordered queue drops its oldest sentence.

        Raises:
            ValueError: The ordered queue is full, or the type is not numbered.
        """
        if kind.delivery is Delivery.UNNUMBERED:
            raise ValueError(f"{kind.name} has no number; only the channel itself sends it")
        queue = self._ordered if kind.delivery is Delivery.ORDERED else self._unordered
        if queue.room <= 0:
            if queue is self._ordered:
                raise ValueError(f"{kind.name}: {QUEUE_MAX} ordered sentences wait already; send while `room` > 0")
            oldest = next(iter(queue)).ticket
            self._lose(queue.remove(lambda item: item.ticket == oldest), LossCause.CROWDED_OUT)
        self._tickets += 1
        queue.add(QueuedSentence(self._tickets, kind, body, now_s))
        return self._tickets

    def acknowledge(self, acknowledgement: Acknowledgement, now_s: float) -> None:
        """Remove the acknowledged sentences; make sentences due again that were sent before an arrived one.

        An ordered sentence that the other end holds, because an earlier one is missing, is not delivered yet: it stays
        without being sent again, and is lost if the session ends.
        """
        ordered = [item for item in self._ordered if item.due_s < inf and acknowledgement.covers_ordered(item.number)]
        for item in ordered:
            item.due_s = inf
        arrived = self._unordered.remove(lambda item: item.tries > 0 and acknowledgement.covers_unordered(item.number))
        sent_once = [item for item in ordered + arrived if item.tries == 1]
        if sent_once:
            newest = max(sent_once, key=lambda item: item.order)
            self._round_trip.update(now_s - newest.sent_s)
            self._ordered.retry_sent_before(newest.order, now_s)
            self._unordered.retry_sent_before(newest.order, now_s)
        delivered = self._ordered.remove(lambda item: item.tries > 0 and acknowledgement.is_delivered(item.number))
        self._events += [Acknowledged(item.ticket, item.kind) for item in delivered + arrived]

    def expire(self, now_s: float) -> bool:
        """Give up unordered sentences past their lifetime; return True if an ordered one was sent `TRIES_MAX` times."""
        expired = self._unordered.remove(lambda item: now_s - item.queued_s >= UNORDERED_LIFETIME_S)
        self._lose(expired, LossCause.EXPIRED)
        return any(item.tries >= TRIES_MAX and item.due_s <= now_s for item in self._ordered)

    def next_unordered(self, now_s: float) -> QueuedSentence | None:
        """Return the unordered sentence to transmit now, or None."""
        return self._next(self._unordered, now_s, QUEUE_MAX)

    def next_ordered(self, now_s: float, peer_window: int) -> QueuedSentence | None:
        """Return the ordered sentence to transmit now, or None; `peer_window` limits the sentences in flight."""
        return self._next(self._ordered, now_s, min(peer_window, WINDOW))

    def mark_sent(self, item: QueuedSentence, now_s: float) -> None:
        """Record the transmission of a further fragment of a sentence, which restarts its timeout."""
        self._order += 1
        item.mark_sent(self._order, now_s, self._round_trip.timeout_s)

    def next_expiry_s(self) -> float:
        """Return the time (s) at which the next unordered sentence expires; infinity if there is none."""
        return min((item.queued_s + UNORDERED_LIFETIME_S for item in self._unordered), default=inf)

    def next_retry_s(self) -> float:
        """Return the time (s) of the next retry; infinity if there is none."""
        return min((item.due_s for queue in (self._ordered, self._unordered) for item in queue), default=inf)

    def abandon(self, cause: LossCause) -> None:
        """End the session: remove all ordered and all transmitted unordered sentences and report them as lost.

        The others are kept for the next session, in which numbers begin at 1 and the round trip time is unknown. So are
        notices of earlier losses (LOST), which may therefore arrive twice.
        """
        ordered = self._ordered.remove(lambda _: True)
        unordered = self._unordered.remove(lambda item: item.tries > 0)
        self._ordered.restart()
        self._unordered.restart()
        self._round_trip = RoundTripEstimator()
        for item in ordered:
            if item.kind is LOST:
                self._ordered.add(QueuedSentence(item.ticket, LOST, item.body, item.queued_s))
        self._lose([item for item in ordered if item.kind is not LOST] + unordered, cause)

    def _next(self, queue: SendQueue, now_s: float, window: int) -> QueuedSentence | None:
        self._order += 1
        return queue.next_due(now_s, self._order, self._round_trip.timeout_s, window)

    def _lose(self, items: list[QueuedSentence], cause: LossCause) -> None:
        """Add `Lost` events; also notify the other end (LOST) of the unordered sentences already transmitted."""
        for item in items:
            self._events.append(Lost(item.ticket, item.kind, cause))
            if item.tries and item.kind.delivery is Delivery.UNORDERED and self.room > 0:
                self._tickets += 1
                body = LOST.pack(item.number, tail=item.kind.name.encode())
                self._ordered.add(QueuedSentence(self._tickets, LOST, body, item.queued_s))

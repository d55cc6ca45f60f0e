"""One end of the streaming interface: sessions, acknowledgement, retry. No port and no clock: both ends use it.

Whoever owns the port gives sentences to `receive`, fetches the next line from `next_line` whenever the port has sent
most of the one before, and takes what happened from `take_outcomes`. A line is FIFO: a sentence that was sent before
one that has arrived, and has not arrived itself, is lost and sent again at once; the rest is found by timeout.

A session begins with HELO from both ends. A new session number of the other end means that it has restarted: what was
on its way to the old one is reported lost, and nothing of it reaches the new one.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

from pygnc.host.numbers import MODULUS, Acknowledgement, Arrival, AtOnce, InOrder
from pygnc.host.outbox import QUEUE_MAX, Outbox, Outgoing
from pygnc.host.outcomes import (
    Acknowledged,
    Connected,
    Incompatible,
    LineDown,
    LossCause,
    Lost,
    Outcome,
    Received,
)
from pygnc.host.round_trip import RoundTrip
from pygnc.host.sentence import Delivery, Direction, Sentence, encode
from pygnc.host.sentence_types import (
    ACKN,
    HELO,
    LOST,
    NAKN,
    NAME_MAX,
    TYPES,
    VERSION,
    VERSION_MIN,
    BodyError,
    Capability,
    NakCause,
    Sender,
    SentenceType,
)

WINDOW: Final = 16
"""Sentences in order under way at a time: 1.4 s of the line at 115200 baud."""
TRIES_MAX: Final = 10
"""Of a sentence in order, over some 16 s; then the line is down."""
LIFE_S: Final = 5.0
"""A sentence delivered at once is retried for so long."""
HELLO_INTERVAL_S: Final = 0.5
HELLO_INTERVAL_MAX_S: Final = 5.0
SILENCE_S: Final = 10.0
"""The host says HELO again when it has heard nothing for so long."""
_NOTHING: Final = Capability(0)


@dataclass(slots=True)
class LineCounts:
    """What passed, for reports."""

    sent: int = 0
    retried: int = 0
    received: int = 0
    repeated: int = 0
    late: int = 0
    echoes: int = 0
    foreign: int = 0
    """Sentences of a session that is not the present one."""


class Channel:
    """One end.

    Args:
        sends: the direction in which this end speaks; the host opens sessions, the Pi answers.
        session: number of this session, 1 to 65535, another one at each start.
        software: name and version, for the other end's log.
        capabilities: what this end can do.
        window: sentences in order that this end can hold while one is missing.
    """

    def __init__(
        self,
        sends: Direction,
        session: int,
        software: str,
        capabilities: Capability = _NOTHING,
        window: int = WINDOW,
    ) -> None:
        self.counts = LineCounts()
        self.is_ready = False
        self._sends = sends
        self._others = Sender.PI if sends is Direction.TO_PI else Sender.HOST
        self._session = session
        self._software = software.encode()[:NAME_MAX]
        self._capabilities = capabilities
        self._window = window
        self._outcomes: list[Outcome] = []
        self._tickets = 0
        self._order = 0
        self._hello_due_s = -inf
        self._hello_sent_s = -inf
        self._hello_interval_s = HELLO_INTERVAL_S
        self._heard_s = -inf
        self._peer = 0
        self._peer_window = 1
        self._in_order = Outbox()
        self._at_once = Outbox()
        self._round_trip = RoundTrip()
        self._ack_due = False
        self._ordered = InOrder[Sentence](self._window, 1)
        self._arrivals = AtOnce(1)

    @property
    def room(self) -> int:
        """How many more sentences in order may be sent now."""
        return self._in_order.room

    def send(self, kind: SentenceType, body: bytes, now_s: float) -> int:
        """Let a sentence go out; return its ticket, under which it will be reported acknowledged or lost.

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

    def refuse(self, number: int, kind_name: str, cause: NakCause, words: str, now_s: float) -> None:
        """Say that a sentence is not obeyed. When there is no room for that, it is left out."""
        if self.room > 0:
            tail = (kind_name.encode() + words.encode())[: NAKN.tail_max]
            self.send(NAKN, NAKN.pack(number, cause, tail=tail), now_s)

    def take_outcomes(self) -> list[Outcome]:
        """Return what happened since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    # What comes in.

    def receive(self, sentence: Sentence, now_s: float) -> None:
        """Take a sentence from the line."""
        if sentence.direction is self._sends:
            self.counts.echoes += 1
            return
        self.counts.received += 1
        self._heard_s = now_s
        if sentence.kind == HELO.name:
            self._on_hello(sentence, now_s)
        elif sentence.session != self._peer or not self.is_ready:
            self.counts.foreign += 1
            self._hello_due_s = min(self._hello_due_s, max(now_s, self._hello_sent_s + HELLO_INTERVAL_S / 2.0))
        elif sentence.kind == ACKN.name:
            self._on_acknowledgement(sentence.body, now_s)
        elif sentence.delivery is Delivery.IN_ORDER:
            self._ack_due = True
            released = self._ordered.accept(sentence.number, sentence)
            self.counts.repeated += not released and sentence.is_retry
            for item in released:
                self._deliver(item, now_s, is_late=False)
        elif sentence.delivery is Delivery.AT_ONCE:
            self._ack_due = True
            arrival = self._arrivals.accept(sentence.number)
            self.counts.late += arrival is Arrival.LATE
            self.counts.repeated += arrival is Arrival.REPEATED
            if arrival is not Arrival.REPEATED:
                self._deliver(sentence, now_s, is_late=arrival is Arrival.LATE)

    @property
    def missing(self) -> int:
        """Sentences delivered at once that never came, of the other end's present session."""
        return self._arrivals.missing

    def _on_hello(self, sentence: Sentence, now_s: float) -> None:
        try:
            hello, software = HELO.unpack(sentence.body)
        except BodyError:
            return  # a version so different that not even this can be read
        if not max(VERSION_MIN, hello["version_min"]) <= min(VERSION, hello["version_max"]):
            self._outcomes.append(Incompatible(hello["version_min"], hello["version_max"]))
            return
        is_new = sentence.session != self._peer
        if is_new:
            if self._peer:
                self._fail(LossCause.RESTARTED)
            self.is_ready = False
            self._peer = sentence.session
            self._round_trip = RoundTrip()
        if not self.is_ready:  # and so nothing numbered has been taken from this session
            self._ordered = InOrder[Sentence](self._window, hello["next_in_order"])
            self._arrivals = AtOnce(hello["next_at_once"])
            self._peer_window = max(hello["window"], 1)
            if hello["heard"] == self._session:
                self.is_ready = True
                self._hello_interval_s = HELLO_INTERVAL_S
                version = min(VERSION, hello["version_max"])
                about = software.decode(errors="replace")
                self._outcomes.append(Connected(version, Capability(hello["capabilities"]), about))
        if self.is_ready and hello["ready"]:
            self._ack_due = True
        else:
            self._hello_due_s = now_s

    def _on_acknowledgement(self, body: bytes, now_s: float) -> None:
        try:
            fields, _ = ACKN.unpack(body)
        except BodyError:
            return
        said = Acknowledgement(**fields)
        settled = self._in_order.settle(said.covers_in_order) + self._at_once.settle(said.covers_at_once)
        sent_once = [item for item in settled if item.tries == 1]
        if sent_once:
            newest = max(sent_once, key=lambda item: item.order)
            self._round_trip.measured(now_s - newest.sent_s)
            for box in (self._in_order, self._at_once):
                box.overtaken(newest.order, now_s)
        self._outcomes += [Acknowledged(item.ticket, item.kind) for item in settled]

    def _deliver(self, sentence: Sentence, now_s: float, *, is_late: bool) -> None:
        kind = TYPES.get(sentence.kind)
        if kind is None or kind.sender not in {self._others, Sender.BOTH} or kind.delivery is not sentence.delivery:
            words = ": this type is not known here; the versions' common types are in the interface document"
            self.refuse(sentence.number, sentence.kind, NakCause.UNKNOWN_TYPE, words, now_s)
            return
        try:
            body = kind.unpack(sentence.body)
        except BodyError as error:
            if kind is not NAKN:  # two ends that do not understand each other's refusals would refuse for ever
                self.refuse(sentence.number, sentence.kind, NakCause.BODY, f": {error}", now_s)
            return
        self._outcomes.append(Received(kind, sentence.number, body, is_late, sentence.is_retry))

    # What goes out.

    def next_line(self, now_s: float) -> bytes | None:
        """Return the line to be sent now, or None: then there is none before `wakeup_s`, or before something comes."""
        self._lose(self._at_once.give_up(lambda item: now_s - item.queued_s >= LIFE_S), LossCause.EXPIRED)
        if any(item.tries >= TRIES_MAX and item.due_s <= now_s for item in self._in_order):
            self._line_down()
        if self._hello_time_s() <= now_s:
            return self._hello(now_s)
        if not self.is_ready:
            return None
        if self._ack_due:
            self._ack_due = False
            return self._acknowledgement()
        self._order += 1
        for box, window in ((self._at_once, QUEUE_MAX), (self._in_order, min(self._peer_window, WINDOW))):
            outgoing = box.take(now_s, self._order, self._round_trip.timeout_s, window)
            if outgoing is not None:
                self.counts.retried += outgoing.tries > 1
                return self._line(outgoing.kind, outgoing.body, outgoing.number, is_retry=outgoing.tries > 1)
        return None

    def wakeup_s(self) -> float:
        """When `next_line` is to be asked again, if nothing comes before that; infinity: never."""
        ends = (item.queued_s + LIFE_S for item in self._at_once)
        retries = (item.due_s for box in (self._in_order, self._at_once) for item in box) if self.is_ready else ()
        return min(self._hello_time_s(), *ends, *retries, inf)

    def _hello_time_s(self) -> float:
        if self.is_ready and self._sends is Direction.TO_PI:
            return min(self._hello_due_s, max(self._heard_s, self._hello_sent_s) + SILENCE_S)
        return self._hello_due_s

    def _hello(self, now_s: float) -> bytes:
        self._hello_sent_s = now_s
        self._hello_due_s = inf
        if self._sends is Direction.TO_PI and not self.is_ready:
            self._hello_due_s = now_s + self._hello_interval_s
            self._hello_interval_s = min(2.0 * self._hello_interval_s, HELLO_INTERVAL_MAX_S)
        body = HELO.pack(
            VERSION_MIN,
            VERSION,
            self._window,
            self._capabilities,
            self._peer,
            self.is_ready,
            self._in_order.first_number,
            self._at_once.first_number,
            tail=self._software,
        )
        return self._line(HELO, body)

    def _acknowledgement(self) -> bytes:
        ordered, arrivals = self._ordered, self._arrivals
        return self._line(ACKN, ACKN.pack(ordered.next_number, ordered.later, arrivals.newest, arrivals.earlier))

    def _line(self, kind: SentenceType, body: bytes, number: int = 0, *, is_retry: bool = False) -> bytes:
        self.counts.sent += 1
        return encode(Sentence(self._sends, kind.name, self._session, kind.delivery, number, body, is_retry))

    def _line_down(self) -> None:
        """Give the other end up, and whatever was for it; begin anew when it is heard."""
        self._fail(LossCause.LINE_DOWN)
        self._outcomes.append(LineDown())
        self._session = self._session % (MODULUS - 1) + 1
        self._peer = 0
        self.is_ready = False
        self._hello_due_s = -inf

    def _fail(self, cause: LossCause) -> None:
        """What was for the other end's present session is lost; packets that never were sent may go to the next."""
        lost = self._in_order.give_up(lambda _: True) + self._at_once.give_up(lambda item: item.tries > 0)
        self._outcomes += [Lost(item.ticket, item.kind, cause) for item in lost]

    def _lose(self, items: list[Outgoing], cause: LossCause) -> None:
        """Report sentences that were given up, to the other end too if they had a number."""
        for item in items:
            self._outcomes.append(Lost(item.ticket, item.kind, cause))
            if item.tries and self.room > 0:
                self._tickets += 1
                body = LOST.pack(item.number, tail=item.kind.name.encode())
                self._in_order.put(Outgoing(self._tickets, LOST, body, item.queued_s))

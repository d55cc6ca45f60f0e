"""One end of the streaming interface: sessions, acknowledgements and retries. The host and the Pi both use it.

The channel performs no I/O. The owner of the port passes sentences to `receive` and reads events from `pop_events`.
Whenever the port has sent most of the previous output, the owner sends the bytes that `next_output` returns. Times are
arguments, in seconds of any monotonic clock.

A session begins with HELO from both ends. A HELO that does not belong to the session may come from an end that has
restarted, or be an old one that arrives late. It is therefore answered with the session number that this end would use
next; only a HELO that returns this number begins a new session. Sentences sent in the old session, and all queued
ordered ones, are then reported as lost and never sent again.

A long ordered sentence is sent in fragments. Unordered sentences are sent between them, so no request waits for a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from pygnc.host.channel_events import ChannelEvent, Connected, Incompatible, LineDown, LossCause, Received
from pygnc.host.retransmission import (
    MODULUS,
    WINDOW,
    Acknowledgement,
    Arrival,
    QueuedSentence,
    ReorderBuffer,
    Retransmitter,
    UnorderedReceiver,
)
from pygnc.host.sentence import Delivery, Direction, Sentence, encode
from pygnc.host.sentence_types import (
    ACKN,
    HELO,
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

FRAGMENT_BYTES: Final = 48
"""Bytes of an ordered sentence that are sent without interruption: 4 ms at 115200 baud."""
_LAST_FRAGMENT_MIN_BYTES: Final = FRAGMENT_BYTES // 2
HELLO_INTERVAL_S: Final = 0.5
HELLO_INTERVAL_MAX_S: Final = 5.0
SILENCE_S: Final = 10.0
"""Time without a sentence from the Pi after which the host sends HELO again, s."""
SESSION_STEP: Final = 257
"""Difference of the numbers of successive sessions of one end; it divides 65535."""
_NOTHING: Final = Capability(0)


@dataclass(slots=True)
class ChannelCounters:
    """Counters of sentences.

    Attributes:
        sent: Transmitted sentences, retries included.
        retried: Retries among them.
        unsent_rejections: Rejections for which there was no room.
        last_unsent: Type of the sentence of the last such rejection, and its text.
    """

    sent: int = 0
    retried: int = 0
    unsent_rejections: int = 0
    last_unsent: str = ""


class Channel:
    """One end of the streaming interface.

    Args:
        sends: Direction of this end's sentences; the host opens sessions, the Pi responds.
        session: Number of this session, 1 to 65535, different at each start.
        software: Name and version, for the other end's log.
        capabilities: Capabilities of this end, in addition to NESTING.
        window: Number of ordered sentences that this end can hold while an earlier sentence is missing.
    """

    def __init__(
        self,
        sends: Direction,
        session: int,
        software: str,
        capabilities: Capability = _NOTHING,
        window: int = WINDOW,
    ) -> None:
        self.counts = ChannelCounters()
        self._sends = sends
        self._peer_kind = Sender.PI if sends is Direction.TO_PI else Sender.HOST
        self._window = window
        self._session = Session(sends, session, software, capabilities | Capability.NESTING, window)
        self._events: list[ChannelEvent] = []
        self._retransmitter = Retransmitter(self._events)
        self._ack_due = False
        self._ordered = ReorderBuffer[Sentence](window, 1)
        self._unordered = UnorderedReceiver(1)
        self._fragmented: QueuedSentence | None = None
        self._rest = b""

    @property
    def is_ready(self) -> bool:
        """True while a session is established; numbered sentences are transmitted only then."""
        return self._session.is_ready

    @property
    def room(self) -> int:
        """Number of ordered sentences that `send` still accepts; `send` raises ValueError at 0."""
        return self._retransmitter.room

    def send(self, kind: SentenceType, body: bytes, now_s: float) -> int:
        """Queue a sentence with an encoded body; return its ticket, the number in its `Acknowledged` or `Lost` event.

        Raises:
            ValueError: There is no `room` for an ordered sentence, or the type is not numbered.
        """
        return self._retransmitter.add(kind, body, now_s)

    def send_nak(self, number: int, kind_name: str, cause: NakCause, text: str, now_s: float) -> None:
        """Queue a rejection (NAKN) of the received sentence with this number and type; only count it without `room`."""
        if self.room > 0:
            tail = (kind_name.encode() + text.encode())[: NAKN.tail_max]
            self.send(NAKN, NAKN.pack(number, cause, tail=tail), now_s)
        else:
            self.counts.unsent_rejections += 1
            self.counts.last_unsent = f"{kind_name}{text}"

    def pop_events(self) -> list[ChannelEvent]:
        """Return and remove the events since the last call."""
        events = self._events.copy()
        self._events.clear()
        return events

    def receive(self, sentence: Sentence, now_s: float) -> None:
        """Process a valid sentence from the line; `pop_events` returns the resulting events."""
        if sentence.direction is self._sends:
            return  # the line has echoed a sentence of this end
        self._session.note_received(now_s)
        if sentence.kind == HELO.name:
            self._process_hello(sentence, now_s)
        elif sentence.session != self._session.peer or not self.is_ready:
            self._session.request_hello(now_s)
        elif sentence.kind == ACKN.name:
            self._process_acknowledgement(sentence.body, now_s)
        elif sentence.delivery is Delivery.ORDERED:
            self._ack_due = True
            for item in self._ordered.accept(sentence.number, sentence):
                self._deliver(item, now_s, is_late=False)
        elif sentence.delivery is Delivery.UNORDERED:
            self._ack_due = True
            arrival = self._unordered.accept(sentence.number)
            if arrival is not Arrival.REPEATED:
                self._deliver(sentence, now_s, is_late=arrival is Arrival.LATE)

    def _process_hello(self, sentence: Sentence, now_s: float) -> None:
        try:
            fields, software = HELO.unpack(sentence.body)
        except BodyError:
            return  # the HELO of an incompatible protocol version may have another body
        version = min(VERSION, fields["version_max"])
        if version < max(VERSION_MIN, fields["version_min"]):
            self._events.append(Incompatible(fields["version_min"], fields["version_max"]))
            return
        was_ready = self.is_ready
        if self._session.process_hello(sentence.session, fields, now_s):
            if was_ready:
                self._fragmented = None
                self._retransmitter.abandon(LossCause.RESTARTED)
            self._ordered = ReorderBuffer[Sentence](self._window, fields["next_ordered"])
            self._unordered = UnorderedReceiver(fields["next_unordered"])
            name = software.decode(errors="replace")
            self._events.append(Connected(version, self._session.peer_capabilities, name))
        self._ack_due |= self.is_ready and bool(fields["ready"]) and sentence.session == self._session.peer

    def _process_acknowledgement(self, body: bytes, now_s: float) -> None:
        try:
            fields, _ = ACKN.unpack(body)
        except BodyError:
            return
        self._retransmitter.acknowledge(Acknowledgement(**fields), now_s)

    def _deliver(self, sentence: Sentence, now_s: float, *, is_late: bool) -> None:
        kind = TYPES.get(sentence.kind)
        if kind is None or kind.sender not in {self._peer_kind, Sender.BOTH} or kind.delivery is not sentence.delivery:
            text = ": unknown type; docs/interface.md lists the types of each protocol version"
            self.send_nak(sentence.number, sentence.kind, NakCause.UNKNOWN_TYPE, text, now_s)
            return
        try:
            body = kind.unpack(sentence.body)
        except BodyError as error:
            if kind is not NAKN:  # two ends that reject each other's NAKNs would do so for ever
                self.send_nak(sentence.number, sentence.kind, NakCause.BODY, f": {error}", now_s)
            return
        self._events.append(Received(kind, sentence.number, body, is_late, sentence.is_retry))

    def next_output(self, now_s: float) -> bytes | None:
        """Return the bytes to send now, or None if nothing is due before `wakeup_s` or the next `receive` or `send`.

        Unordered sentences, such as responses to requests, have priority over acknowledgements. Ordered sentences
        are sent last.
        """
        if self._retransmitter.expire(now_s):
            self._declare_line_down()
        if self._fragmented is not None:
            return self._continue(self._fragmented, now_s)
        if self._session.hello_due_s() <= now_s:
            session, body = self._session.make_hello(*self._retransmitter.first_numbers, now_s)
            self.counts.sent += 1
            return encode(Sentence(self._sends, HELO.name, session, HELO.delivery, 0, body))
        if not self.is_ready:
            return None
        if item := self._retransmitter.next_unordered(now_s):
            return self._numbered_line(item)
        if self._ack_due:
            self._ack_due = False
            ordered, unordered = self._ordered, self._unordered
            return self._line(ACKN, ACKN.pack(ordered.next_number, ordered.later, unordered.newest, unordered.earlier))
        item = self._retransmitter.next_ordered(now_s, self._session.peer_window)
        return None if item is None else self._begin(item, now_s)

    def wakeup_s(self) -> float:
        """Return the time, s, to call `next_output` unless a sentence arrives before; -inf: at once, inf: never."""
        if self._fragmented is not None:
            return -inf
        times_s = [self._session.hello_due_s(), self._retransmitter.next_expiry_s()]
        return min([*times_s, self._retransmitter.next_retry_s()] if self.is_ready else times_s)

    def _begin(self, item: QueuedSentence, now_s: float) -> bytes:
        self._rest = self._numbered_line(item)
        return self._next_fragment(item, now_s) if Capability.NESTING in self._session.peer_capabilities else self._rest

    def _continue(self, item: QueuedSentence, now_s: float) -> bytes:
        """Return a waiting unordered sentence, nested in the fragmented one, or the next fragment if none waits."""
        urgent = self._retransmitter.next_unordered(now_s) if self.is_ready else None
        if urgent is None:
            return self._next_fragment(item, now_s)
        self._retransmitter.mark_sent(item, now_s)
        return self._numbered_line(urgent)

    def _next_fragment(self, item: QueuedSentence, now_s: float) -> bytes:
        self._retransmitter.mark_sent(item, now_s)
        is_last = len(self._rest) < FRAGMENT_BYTES + _LAST_FRAGMENT_MIN_BYTES
        size = len(self._rest) if is_last else FRAGMENT_BYTES
        fragment, self._rest = self._rest[:size], self._rest[size:]
        self._fragmented = None if is_last else item
        return fragment

    def _numbered_line(self, item: QueuedSentence) -> bytes:
        is_retry = item.tries > 1
        self.counts.retried += is_retry
        return self._line(item.kind, item.body, item.number, is_retry=is_retry)

    def _line(self, kind: SentenceType, body: bytes, number: int = 0, *, is_retry: bool = False) -> bytes:
        self.counts.sent += 1
        return encode(Sentence(self._sends, kind.name, self._session.number, kind.delivery, number, body, is_retry))

    def _declare_line_down(self) -> None:
        self._fragmented = None
        self._retransmitter.abandon(LossCause.LINE_DOWN)
        self._events.append(LineDown())
        self._session.restart()


class Session:
    """Session numbers of both ends and the schedule of HELO sentences. The arguments are those of `Channel`.

    Attributes:
        number: This end's session.
        is_ready: True once both ends have received each other's HELO.
        peer: The other end's session, 0 before the first HELO.
        peer_window: Number of ordered sentences that the other end can hold.
        peer_capabilities: Capabilities of the other end.
    """

    def __init__(self, sends: Direction, number: int, software: str, capabilities: Capability, window: int) -> None:
        self.number = number
        self.is_ready = False
        self.peer = 0
        self.peer_window = 1
        self.peer_capabilities = _NOTHING
        self._is_host = sends is Direction.TO_PI
        self._software = software.encode()[:NAME_MAX]
        self._capabilities = capabilities
        self._window = window
        self._hello_due_s = -inf
        self._hello_sent_s = -inf
        self._hello_interval_s = HELLO_INTERVAL_S
        self._received_s = -inf
        self._unknown = 0  # session of another HELO; the answer offers the following session

    def note_received(self, now_s: float) -> None:
        """Record that a sentence arrived from the other end, which postpones the next HELO of the host."""
        self._received_s = now_s

    def process_hello(self, peer: int, fields: Mapping[str, int], now_s: float) -> bool:
        """Process a HELO with these fields from an end whose session is `peer`; return True if it begins a session."""
        heard, is_peer_ready = fields["heard"], bool(fields["ready"])
        if self.is_ready and peer == self.peer and (heard == self.number or not is_peer_ready):
            if not is_peer_ready:
                self._hello_due_s = now_s
            return False
        if self.is_ready and heard != _following(self.number):
            self._unknown = peer
            return False
        if self.is_ready:
            self.number, self._unknown = heard, 0
        self.peer = peer
        self.peer_window = max(fields["window"], 1)
        self.peer_capabilities = Capability(fields["capabilities"])
        self.is_ready = heard == self.number
        if self.is_ready:
            self._hello_interval_s = HELLO_INTERVAL_S
        if not (self.is_ready and is_peer_ready):
            self._hello_due_s = now_s
        return self.is_ready

    def request_hello(self, now_s: float) -> None:
        """Schedule a HELO, at most every 0.25 s, because a sentence of an unknown session arrived."""
        self._hello_due_s = min(self._hello_due_s, max(now_s, self._hello_sent_s + HELLO_INTERVAL_S / 2.0))

    def restart(self) -> None:
        """Begin a session with another number; it becomes ready when the other end responds to its HELO."""
        self.number = _following(_following(self.number))  # the following one may have been offered
        self.peer = self._unknown = 0
        self.is_ready = False
        self._hello_due_s = -inf

    def hello_due_s(self) -> float:
        """Return the time of the next HELO, s; infinite if none is scheduled."""
        if self._unknown:
            return -inf
        if self.is_ready and self._is_host:
            return min(self._hello_due_s, max(self._received_s, self._hello_sent_s) + SILENCE_S)
        return self._hello_due_s

    def make_hello(self, next_ordered: int, next_unordered: int, now_s: float) -> tuple[int, bytes]:
        """Return the session and the body of a HELO sent now and schedule the next.

        The numbers are those of `Retransmitter.first_numbers`.
        """
        common = VERSION_MIN, VERSION, self._window, self._capabilities
        if self._unknown:
            heard, self._unknown = self._unknown, 0
            return _following(self.number), HELO.pack(*common, heard, 0, 1, 1, tail=self._software)
        self._hello_sent_s = now_s
        self._hello_due_s = inf
        if self._is_host and not self.is_ready:
            self._hello_due_s = now_s + self._hello_interval_s
            self._hello_interval_s = min(2.0 * self._hello_interval_s, HELLO_INTERVAL_MAX_S)
        numbers = next_ordered, next_unordered
        return self.number, HELO.pack(*common, self.peer, self.is_ready, *numbers, tail=self._software)


def _following(session: int) -> int:
    """Return the number of the next session of this end.

    A counter of starts does not reach it at the next start, however many sessions there were.
    """
    return (session + SESSION_STEP - 1) % (MODULUS - 1) + 1

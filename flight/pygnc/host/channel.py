"""One end of the streaming interface: sessions, acknowledgement, retry. No port and no clock: both ends use it.

Whoever owns the port gives sentences to `receive`, fetches what is to be sent from `next_portion` whenever the port has
sent most of the portion before, and takes what happened from `take_outcomes`. `session` says who speaks with whom,
`sending` sees to what goes out; what comes in is put in order, acknowledged and checked here. What was on its way to an
end that has restarted is reported lost, and nothing of it reaches the new one.

A sentence in order goes out in portions, and what is delivered at once goes in between: a request waits for no file.

A long line goes out in portions, so that what cannot wait comes between them.

Who speaks with whom: the session of either end, opened by HELO, and when to say that.

A session begins with HELO from both ends. A new session number of the other end means that it has restarted.
"""

from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

from pygnc.host.channel_events import ChannelEvent, Connected, Incompatible, LineDown, LossCause, Received
from pygnc.host.retransmission import WINDOW, Outgoing, Sending
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
from pygnc.host.sequence_numbers import MODULUS, Acknowledgement, Arrival, AtOnce, InOrder

PORTION: Final = 48
"""Characters that nothing comes between: 4 ms at 115200 baud."""
_REST_MIN: Final = PORTION // 2
"""No shorter portion is left for the end."""


class Portions:
    """A line on its way out.

    Args:
        outgoing: the sentence that it is.
        line: all of it.

    Attributes:
        has_begun: whether a portion has been taken.
    """

    def __init__(self, outgoing: Outgoing, line: bytes) -> None:
        self.outgoing = outgoing
        self.has_begun = False
        self._rest = line

    @property
    def are_all_taken(self) -> bool:
        """Whether nothing is left."""
        return not self._rest

    def take(self) -> bytes:
        """Return the next portion."""
        size = PORTION if len(self._rest) >= PORTION + _REST_MIN else len(self._rest)
        portion, self._rest = self._rest[:size], self._rest[size:]
        self.has_begun = True
        return portion


HELLO_INTERVAL_S: Final = 0.5
HELLO_INTERVAL_MAX_S: Final = 5.0
SILENCE_S: Final = 10.0
"""The host says HELO again when it has heard nothing for so long."""


class Greeting(NamedTuple):
    """The body of a HELO that we can speak with."""

    session: int
    version: int
    window: int
    capabilities: Capability
    heard: int
    ready: bool
    next_in_order: int
    next_at_once: int
    software: str


def read_greeting(sentence: Sentence) -> Greeting | Incompatible | None:
    """Return what a HELO says; None if its version is so different that not even this can be read."""
    try:
        hello, software = HELO.unpack(sentence.body)
    except BodyError:
        return None
    version = min(VERSION, hello["version_max"])
    if not max(VERSION_MIN, hello["version_min"]) <= version:
        return Incompatible(hello["version_min"], hello["version_max"])
    return Greeting(
        session=sentence.session,
        version=version,
        window=hello["window"],
        capabilities=Capability(hello["capabilities"]),
        heard=hello["heard"],
        ready=bool(hello["ready"]),
        next_in_order=hello["next_in_order"],
        next_at_once=hello["next_at_once"],
        software=software.decode(errors="replace"),
    )


class Session:
    """Both session numbers, and the greetings that are due.

    Args:
        sends: the direction in which this end speaks.
        number: of our own session.
        software: name and version, for the other end's log.
        capabilities: what this end can do.
        window: sentences in order that this end can hold while one is missing.

    Attributes:
        is_ready: whether both ends have heard each other.
        peer: the other end's session, 0 before the first.
        peer_window: sentences in order that the other end can hold.
        peer_capabilities: what the other end can do.
    """

    def __init__(self, sends: Direction, number: int, software: str, capabilities: Capability, window: int) -> None:
        self.number = number
        self.is_ready = False
        self.peer = 0
        self.peer_window = 1
        self.peer_capabilities = Capability(0)
        self._is_host = sends is Direction.TO_PI
        self._software = software.encode()[:NAME_MAX]
        self._capabilities = capabilities
        self._window = window
        self._due_s = -inf
        self._said_s = -inf
        self._interval_s = HELLO_INTERVAL_S
        self._heard_s = -inf

    def heard(self, now_s: float) -> None:
        """Note that the other end is there."""
        self._heard_s = now_s

    def take(self, greeting: Greeting, now_s: float) -> bool:
        """Follow a greeting; return whether the other end is new."""
        is_new = greeting.session != self.peer
        if is_new:
            self.is_ready = False
            self.peer = greeting.session
        if not self.is_ready:
            self.peer_window = max(greeting.window, 1)
            self.peer_capabilities = greeting.capabilities
            if greeting.heard == self.number:
                self.is_ready = True
                self._interval_s = HELLO_INTERVAL_S
        if not (self.is_ready and greeting.ready):
            self._due_s = now_s
        return is_new

    def doubt(self, now_s: float) -> None:
        """Greet anew, but not too often: somebody speaks in a session that is not the present one."""
        self._due_s = min(self._due_s, max(now_s, self._said_s + HELLO_INTERVAL_S / 2.0))

    def begin_anew(self) -> None:
        """Give the other end up, and greet whoever is there in a new session."""
        self.number = self.number % (MODULUS - 1) + 1
        self.peer = 0
        self.is_ready = False
        self._due_s = -inf

    def due_s(self) -> float:
        """When the next greeting is due."""
        if self.is_ready and self._is_host:
            return min(self._due_s, max(self._heard_s, self._said_s) + SILENCE_S)
        return self._due_s

    def greet(self, next_in_order: int, next_at_once: int, now_s: float) -> bytes:
        """Return the body of our HELO, which goes out now."""
        self._said_s = now_s
        self._due_s = inf
        if self._is_host and not self.is_ready:
            self._due_s = now_s + self._interval_s
            self._interval_s = min(2.0 * self._interval_s, HELLO_INTERVAL_MAX_S)
        return HELO.pack(
            VERSION_MIN,
            VERSION,
            self._window,
            self._capabilities,
            self.peer,
            self.is_ready,
            next_in_order,
            next_at_once,
            tail=self._software,
        )


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
        capabilities: what this end can do, beside reading a sentence in the midst of another.
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
        self._sends = sends
        self._others = Sender.PI if sends is Direction.TO_PI else Sender.HOST
        self._window = window
        self._session = Session(sends, session, software, capabilities | Capability.NESTING, window)
        self._outcomes: list[ChannelEvent] = []
        self._sending = Sending(self._outcomes)
        self._ack_due = False
        self._ordered = InOrder[Sentence](window, 1)
        self._arrivals = AtOnce(1)
        self._portions: Portions | None = None

    @property
    def is_ready(self) -> bool:
        """Whether both ends have heard each other, so that numbered sentences pass."""
        return self._session.is_ready

    @property
    def room(self) -> int:
        """How many more sentences in order may be sent now."""
        return self._sending.room

    @property
    def missing(self) -> int:
        """Sentences delivered at once that never came, of the other end's present session."""
        return self._arrivals.missing

    def send(self, kind: SentenceType, body: bytes, now_s: float) -> int:
        """Let a sentence go out; return its ticket, under which it will be reported acknowledged or lost.

        Raises:
            ValueError: there is no `room` for a sentence in order, or the type is not numbered.
        """
        return self._sending.put(kind, body, now_s)

    def refuse(self, number: int, kind_name: str, cause: NakCause, words: str, now_s: float) -> None:
        """Say that a sentence is not obeyed. When there is no room for that, it is left out."""
        if self.room > 0:
            tail = (kind_name.encode() + words.encode())[: NAKN.tail_max]
            self.send(NAKN, NAKN.pack(number, cause, tail=tail), now_s)

    def take_outcomes(self) -> list[ChannelEvent]:
        """Return what happened since the last call."""
        outcomes = self._outcomes.copy()
        self._outcomes.clear()
        return outcomes

    # What comes in.

    def receive(self, sentence: Sentence, now_s: float) -> None:
        """Take a sentence from the line."""
        if sentence.direction is self._sends:
            self.counts.echoes += 1
            return
        self.counts.received += 1
        self._session.heard(now_s)
        if sentence.kind == HELO.name:
            self._on_hello(sentence, now_s)
        elif sentence.session != self._session.peer or not self.is_ready:
            self.counts.foreign += 1
            self._session.doubt(now_s)
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

    def _on_hello(self, sentence: Sentence, now_s: float) -> None:
        greeting = read_greeting(sentence)
        if greeting is None or isinstance(greeting, Incompatible):
            self._outcomes += [greeting] if greeting else []
            return
        was_ready, had_peer = self.is_ready, bool(self._session.peer)
        if self._session.take(greeting, now_s):
            was_ready = False
            self._sending.meet()
            if had_peer:
                self._portions = None
                self._sending.fail(LossCause.RESTARTED)
        if not was_ready:  # and so nothing numbered has been taken from this session
            self._ordered = InOrder[Sentence](self._window, greeting.next_in_order)
            self._arrivals = AtOnce(greeting.next_at_once)
            if self.is_ready:
                self._outcomes.append(Connected(greeting.version, greeting.capabilities, greeting.software))
        self._ack_due |= self.is_ready and greeting.ready

    def _on_acknowledgement(self, body: bytes, now_s: float) -> None:
        try:
            fields, _ = ACKN.unpack(body)
        except BodyError:
            return
        self._sending.settle(Acknowledgement(**fields), now_s)

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

    def next_portion(self, now_s: float) -> bytes | None:
        """Return what is to be sent now, or None: then there is nothing before `wakeup_s`, or before something comes.

        What is delivered at once, such as an answer that is waited for, comes before acknowledgements, and these before
        files.
        """
        if self._sending.expire(now_s):
            self._line_down()
        if self._portions is not None:
            return self._within(self._portions, now_s)
        if self._session.due_s() <= now_s:
            return self._line(HELO, self._session.greet(*self._sending.first_numbers, now_s))
        if not self.is_ready:
            return None
        if outgoing := self._sending.next_at_once(now_s):
            return self._line_of(outgoing)
        if self._ack_due:
            self._ack_due = False
            return self._acknowledgement()
        outgoing = self._sending.next_in_order(now_s, self._session.peer_window)
        return None if outgoing is None else self._begin(outgoing, now_s)

    def _begin(self, outgoing: Outgoing, now_s: float) -> bytes:
        """Return a sentence in order: all of it if the other end can read nothing in the midst of it."""
        line = self._line_of(outgoing)
        if Capability.NESTING not in self._session.peer_capabilities:
            return line
        self._portions = Portions(outgoing, line)
        return self._within(self._portions, now_s)

    def _within(self, portions: Portions, now_s: float) -> bytes:
        """Return what is delivered at once and comes into the midst of a line, else the line's next portion."""
        urgent = self._sending.next_at_once(now_s) if self.is_ready and portions.has_begun else None
        self._sending.note_sending(portions.outgoing, now_s)
        if urgent is not None:
            return self._line_of(urgent)
        portion = portions.take()
        if portions.are_all_taken:
            self._portions = None
        return portion

    def wakeup_s(self) -> float:
        """When `next_portion` is to be asked again, if nothing comes before that; infinity: never."""
        if self._portions is not None:
            return -inf
        times_s = [self._session.due_s(), self._sending.end_of_life_s()]
        return min([*times_s, self._sending.retry_s()] if self.is_ready else times_s)

    def _acknowledgement(self) -> bytes:
        ordered, arrivals = self._ordered, self._arrivals
        return self._line(ACKN, ACKN.pack(ordered.next_number, ordered.later, arrivals.newest, arrivals.earlier))

    def _line_of(self, outgoing: Outgoing) -> bytes:
        is_retry = outgoing.tries > 1
        self.counts.retried += is_retry
        return self._line(outgoing.kind, outgoing.body, outgoing.number, is_retry=is_retry)

    def _line(self, kind: SentenceType, body: bytes, number: int = 0, *, is_retry: bool = False) -> bytes:
        self.counts.sent += 1
        return encode(Sentence(self._sends, kind.name, self._session.number, kind.delivery, number, body, is_retry))

    def _line_down(self) -> None:
        """Give the other end up, and whatever was for it; begin anew when it is heard."""
        self._portions = None
        self._sending.fail(LossCause.LINE_DOWN)
        self._outcomes.append(LineDown())
        self._session.begin_anew()

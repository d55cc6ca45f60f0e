"""The controller's side of the streaming interface: transfers, live packets, status requests. No port and no clock.

What became of every sentence that the controller sent: sent = acknowledged + reported lost + under way.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from math import inf
from typing import Final, TypeAlias, TypeVar

from pygnc.host.channel import Channel
from pygnc.host.channel_events import Acknowledged, ChannelEvent, Connected, Incompatible, LineDown, Lost, Received
from pygnc.host.host_transfer import DownloadReceiver, TransferState, UploadSender
from pygnc.host.sentence import Direction, SentenceParser
from pygnc.host.sentence_types import DNLE, DNLS, EVNT, INFO, STAT, STRQ, ReportKind, SentenceType
from pygnc.host.transfer import PAGE_ENTRIES, ListedFile, OutgoingSentence
from pygnc_controller.emulator.scenario import LIVE_TYPES, TimedPacket

UNSETTLED: Final = "not settled at the end"


class SentenceCounters:
    """Counts by type of sentence.

    Attributes:
        sent: handed to the channel.
        acknowledged: the Pi has them.
        lost: by (type, cause).
        lost_tickets: which ones, since the controller was last restarted.
    """

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()
        self.lost: Counter[tuple[str, str]] = Counter()
        self.lost_tickets: set[int] = set()
        self._open: dict[int, str] = {}

    @property
    def under_way(self) -> int:
        """Sentences whose fate is not known yet."""
        return len(self._open)

    @property
    def is_balanced(self) -> bool:
        """Whether every sentence of every type is accounted for."""
        open_now = Counter(self._open.values())
        return all(
            count == self.acknowledged[kind] + self.lost_of(kind) + open_now[kind] for kind, count in self.sent.items()
        )

    def lost_of(self, kind: str) -> int:
        """How many of a type were reported lost."""
        return sum(count for (lost_kind, _), count in self.lost.items() if lost_kind == kind)

    def under_way_of(self, kinds: frozenset[str]) -> int:
        """How many sentences of some types are under way."""
        return sum(kind in kinds for kind in self._open.values())

    def note_sent(self, ticket: int, kind: str) -> None:
        """Enter a sentence."""
        self.sent[kind] += 1
        self._open[ticket] = kind

    def settle(self, outcome: Acknowledged | Lost) -> None:
        """Enter what became of one; what the channel sent by itself is not in the books."""
        kind = self._open.pop(outcome.ticket, None)
        if kind is None:
            return
        if isinstance(outcome, Lost):
            self.lost[kind, str(outcome.cause)] += 1
            self.lost_tickets.add(outcome.ticket)
        else:
            self.acknowledged[kind] += 1

    def close(self) -> None:
        """Report what is still under way as lost: nobody will answer any more."""
        for ticket, kind in self._open.items():
            self.lost[kind, UNSETTLED] += 1
            self.lost_tickets.add(ticket)
        self._open.clear()


Transfer: TypeAlias = UploadSender | DownloadReceiver
T = TypeVar("T", UploadSender, DownloadReceiver)
ROOM: Final = 48
"""Kept free of chunks, so that other requests find room."""
LIVE_UNDER_WAY_MAX: Final = 24
"""More live packets wait here than in the channel, which would crowd out the oldest."""
NAME: Final = "PyCubed emulator"
_ENDED: Final = frozenset({TransferState.DONE, TransferState.REFUSED})


@dataclass
class PiReports:
    """What the Pi has said.

    Attributes:
        software: name and version in its newest HELO.
        status: newest record; empty before the first one.
        info: newest info line.
        events: (severity, text).
        answers_s: from the moment when each status request was due to the end of its answer.
        connections: sessions that began.
        lines_down: times the line was given up.
        incompatible: the versions of a Pi that speaks none of ours.
    """

    software: str = ""
    status: bytes = b""
    info: str = ""
    events: list[tuple[int, str]] = field(default_factory=list)
    answers_s: list[float] = field(default_factory=list)
    connections: int = 0
    lines_down: int = 0
    incompatible: Incompatible | None = None


class Controller:
    """Speaks to a Pi.

    Args:
        session: number of the first session, 1 to 65535.

    Attributes:
        streamed: tickets of the live packets of the present session, in the order of the stream.
    """

    def __init__(self, session: int) -> None:
        self.channel = Channel(Direction.TO_PI, session, NAME)
        self.books = SentenceCounters()
        self.heard = PiReports()
        self.skipped_bytes = 0
        self.streamed: list[int] = []
        self.heard_s = -inf
        self.transfer: Transfer | None = None
        self._parser = SentenceParser()
        self._packets: Iterator[TimedPacket] = iter(())
        self._next_packet: TimedPacket | None = None
        self._stream_from_s = 0.0
        self._speed = 1.0
        self._numbers = count(1)
        self._watch_s = inf
        self._ask_at_s = inf
        self._asked_s: float | None = None
        self._listed: dict[int, ListedFile] = {}
        self._list_total: int | None = None
        self._is_listing = False

    # Orders.

    def upload(self, name: str, content: bytes, now_s: float) -> UploadSender:
        """Begin an upload."""
        return self._begin(UploadSender(name, content, next(self._numbers)), now_s)

    def download(self, name: str, now_s: float) -> DownloadReceiver:
        """Begin a download."""
        return self._begin(DownloadReceiver(name, next(self._numbers)), now_s)

    def list_files(self, now_s: float) -> None:
        """Ask for the names of what can be fetched; `listing` has them when they are all here."""
        self._listed, self._list_total, self._is_listing = {}, None, True
        self.send(DNLS, 0, now_s=now_s)

    def stream(self, packets: Iterator[TimedPacket], speed: float, now_s: float) -> None:
        """Begin to send live packets, `speed` seconds of theirs per second; infinity: as fast as they are taken."""
        self._packets, self._stream_from_s, self._speed = packets, now_s, speed
        self._next_packet = next(packets, None)

    def watch(self, interval_s: float, now_s: float) -> None:
        """Ask for status and info line at intervals."""
        self._watch_s, self._ask_at_s = interval_s, now_s

    def send(self, kind: SentenceType, *values: int, now_s: float, tail: bytes = b"") -> int:
        """Let a sentence go out; return its ticket."""
        ticket = self.channel.send(kind, kind.pack(*values, tail=tail), now_s)
        self.books.note_sent(ticket, kind.name)
        return ticket

    def fall_silent(self) -> None:
        """Forget transfer, stream and watch: the Pi is about to go, or has gone."""
        self.transfer, self._next_packet, self._ask_at_s = None, None, inf

    def restart(self, session: int) -> None:
        """Begin anew, as after a reset; what is under way is lost."""
        self.books.close()
        self.books.lost_tickets.clear()
        self.streamed = []
        self.channel = Channel(Direction.TO_PI, session, NAME)
        self._parser = SentenceParser()
        self._asked_s = None
        self.heard.status = b""

    # How it stands.

    @property
    def is_transferred(self) -> bool:
        """Whether no transfer is under way."""
        return self.transfer is None or self.transfer.state in _ENDED

    @property
    def is_streamed(self) -> bool:
        """Whether every live packet has been sent and settled."""
        return self._next_packet is None and self.books.under_way_of(LIVE_TYPES) == 0

    @property
    def listing(self) -> list[ListedFile] | None:
        """The names asked for, None while some are missing."""
        if self._list_total is None or len(self._listed) < self._list_total:
            return None
        return [self._listed[index] for index in sorted(self._listed)]

    # The line.

    def take(self, data: bytes, now_s: float) -> None:
        """Take bytes from the line."""
        parsed = self._parser.feed(data)
        self.skipped_bytes += sum(skipped.stop - skipped.start for skipped in parsed.skipped)
        for sentence in parsed.sentences:
            self.heard_s = now_s
            self.channel.receive(sentence, now_s)
            self._follow(now_s)

    def next_output(self, now_s: float) -> bytes | None:
        """Return what is to be sent now, or None."""
        if self.channel.is_ready:
            self._pump(now_s)
        portion = self.channel.next_output(now_s)
        self._follow(now_s)
        return portion

    def wakeup_s(self) -> float:
        """When `next_output` is to be asked again if nothing comes before that."""
        own = min(self._packet_due_s(), self._ask_at_s) if self.channel.is_ready else inf
        return min(self.channel.wakeup_s(), own)

    def _pump(self, now_s: float) -> None:
        while self._packet_due_s() <= now_s:
            packet = self._next_packet
            if packet is None:
                break
            self.streamed.append(self.send(packet.kind, *packet.values, now_s=now_s, tail=packet.body))
            self._next_packet = next(self._packets, None)
        if self._ask_at_s <= now_s:
            self._asked_s = self._ask_at_s  # what is still on its way before the request counts too
            self._ask_at_s = now_s + self._watch_s
            self.send(STRQ, ReportKind.STATUS, now_s=now_s)
            self.send(STRQ, ReportKind.INFO, now_s=now_s)
        while (
            isinstance(self.transfer, UploadSender)
            and self.channel.room > ROOM
            and (saying := self.transfer.next_sentence()) is not None
        ):
            self._say([saying], now_s)

    def _packet_due_s(self) -> float:
        if self._next_packet is None or self.books.under_way_of(LIVE_TYPES) >= LIVE_UNDER_WAY_MAX:
            return inf
        return self._stream_from_s + self._next_packet.after_s / self._speed

    def _begin(self, transfer: T, now_s: float) -> T:
        self.transfer = transfer
        if self.channel.is_ready:
            self._say([transfer.open()], now_s)
        return transfer

    def _say(self, sayings: list[OutgoingSentence], now_s: float) -> None:
        for kind, body in sayings:
            self.books.note_sent(self.channel.send(kind, body, now_s), kind.name)

    def _follow(self, now_s: float) -> None:
        for outcome in self.channel.pop_events():
            if isinstance(outcome, Acknowledged | Lost):
                self.books.settle(outcome)
            elif isinstance(outcome, Received):
                self._hear(outcome, now_s)
            else:
                self._note_session(outcome, now_s)

    def _note_session(self, outcome: ChannelEvent, now_s: float) -> None:
        if isinstance(outcome, Connected):
            self.heard.connections += 1
            self.heard.software = outcome.software
            self._asked_s = None
            self._ask_at_s = max(self._ask_at_s, now_s)
            if self.transfer is not None and not self.is_transferred:
                self._say([self.transfer.open()], now_s)
            if self._is_listing:
                self.list_files(now_s)
        elif isinstance(outcome, LineDown):
            self.heard.lines_down += 1
            if isinstance(self.transfer, UploadSender) and not self.is_transferred:
                self.transfer.line_down()
        elif isinstance(outcome, Incompatible):
            self.heard.incompatible = outcome

    def _hear(self, received: Received, now_s: float) -> None:
        fields, tail = received.body
        if received.kind is STAT:
            self.heard.status = tail
            if self._asked_s is not None:
                self.heard.answers_s.append(now_s - self._asked_s)
                self._asked_s = None
        elif received.kind is INFO:
            self.heard.info = tail.decode("ascii", errors="replace")
        elif received.kind is EVNT:
            self.heard.events.append((fields["severity"], tail.decode(errors="replace")))
        elif received.kind is DNLE:
            self._take_name(fields["index"], fields["total"], ListedFile(tail.decode(errors="replace"), fields["size"]))
            self._ask_for_more(now_s)
        elif self.transfer is not None and not self.is_transferred:
            self._say(self.transfer.handle(received), now_s)

    def _take_name(self, index: int, total: int, listed: ListedFile) -> None:
        self._list_total = total
        if listed.name and index < total:
            self._listed[index] = listed
        self._is_listing = self.listing is None

    def _ask_for_more(self, now_s: float) -> None:
        """Ask for the next page once the page before is here."""
        if self.listing is None and len(self._listed) % PAGE_ENTRIES == 0:
            self.send(DNLS, len(self._listed), now_s=now_s)

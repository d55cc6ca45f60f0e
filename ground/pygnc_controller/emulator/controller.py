"""The controller's side of the streaming interface: transfers, live packets, status requests. No I/O, no clock."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import count
from math import inf
from typing import Final, TypeAlias, TypeVar

from pygnc.host.channel import Channel
from pygnc.host.channel_events import Acknowledged, Connected, Incompatible, LineDown, Lost, Received
from pygnc.host.sentence import Direction, SentenceParser
from pygnc.host.sentence_types import DNLE, DNLS, INFO, LIVE_TYPES, STAT, STRQ, ReportKind, SentenceType
from pygnc.host.transfer import PAGE_ENTRIES, ListedFile, OutgoingSentence
from pygnc_controller.emulator.host_transfer import DownloadReceiver, TransferState, UploadSender
from pygnc_controller.emulator.scenario import TimedPacket

UNSETTLED: Final = "unresolved at the end"


class SentenceCounters:
    """Counters of sentences by type; sent = acknowledged + lost + in flight.

    Attributes:
        sent: Sentences passed to the channel.
        acknowledged: Sentences acknowledged by the Pi.
        lost: Lost sentences by (type, cause).
        lost_tickets: Tickets of the lost sentences since the last restart of the controller.
    """

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()
        self.lost: Counter[tuple[str, str]] = Counter()
        self.lost_tickets: set[int] = set()
        self._open: dict[int, str] = {}

    @property
    def in_flight(self) -> int:
        """Number of sentences that are neither acknowledged nor lost yet."""
        return len(self._open)

    @property
    def is_balanced(self) -> bool:
        """True if the counters of every sentence type add up."""
        open_now = Counter(self._open.values())
        return all(
            count == self.acknowledged[kind] + self.lost_of(kind) + open_now[kind] for kind, count in self.sent.items()
        )

    def lost_of(self, kind: str) -> int:
        """Return the number of lost sentences of a type."""
        return sum(count for (lost_kind, _), count in self.lost.items() if lost_kind == kind)

    def in_flight_of(self, kinds: Collection[str]) -> int:
        """Return the number of sentences in flight whose type is one of `kinds`."""
        return sum(kind in kinds for kind in self._open.values())

    def note_sent(self, ticket: int, kind: str) -> None:
        """Count a sentence that was passed to the channel."""
        self.sent[kind] += 1
        self._open[ticket] = kind

    def settle(self, event: Acknowledged | Lost) -> None:
        """Count an acknowledgement or a loss; sentences that the channel sent by itself are ignored."""
        kind = self._open.pop(event.ticket, None)
        if kind is None:
            return
        if isinstance(event, Lost):
            self.lost[kind, str(event.cause)] += 1
            self.lost_tickets.add(event.ticket)
        else:
            self.acknowledged[kind] += 1

    def close(self) -> None:
        """Count the sentences in flight as lost at the end of a session."""
        for ticket, kind in self._open.items():
            self.lost[kind, UNSETTLED] += 1
            self.lost_tickets.add(ticket)
        self._open.clear()


Transfer: TypeAlias = UploadSender | DownloadReceiver
T = TypeVar("T", UploadSender, DownloadReceiver)
RESERVED_ROOM: Final = 48
"""Room of the channel kept free of chunks for other requests."""
LIVE_IN_FLIGHT_MAX: Final = 24
"""Live packets in the channel; a full channel would drop the oldest, so further packets wait here."""
NAME: Final = "PyCubed emulator"
_ENDED: Final = frozenset({TransferState.DONE, TransferState.REFUSED})


@dataclass
class PiReports:
    """Reports received from the Pi.

    Attributes:
        software: Name and version in the newest HELO.
        status: Newest status record; b"" before the first record.
        info: Newest info text.
        response_times_s: Time from the due time of each status request to the end of its response, s.
        connections: Number of sessions.
        lines_down: Number of interruptions of the line.
        incompatible: Protocol versions of the Pi if none of them is supported; None otherwise.
    """

    software: str = ""
    status: bytes = b""
    info: str = ""
    response_times_s: list[float] = field(default_factory=list)
    connections: int = 0
    lines_down: int = 0
    incompatible: Incompatible | None = None


class Controller:
    """The controller's end of the streaming interface.

    Args:
        session: Number of the first session, 1 to 65535.

    Attributes:
        counters: Counters of the sentences to the Pi.
        reports: Reports received from the Pi.
        streamed: Tickets of the live packets of the current session, in order.
        received_s: Monotonic time of the newest sentence from the Pi, s.
        transfer: Current or last upload or download; None before the first.
    """

    def __init__(self, session: int) -> None:
        self.channel = Channel(Direction.TO_PI, session, NAME)
        self.counters = SentenceCounters()
        self.reports = PiReports()
        self.streamed: list[int] = []
        self.received_s = -inf
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
        self._listed: dict[int, ListedFile] | None = None
        """Requested list of files by index; None before the first request."""
        self._list_total = inf

    # Requests

    def upload(self, name: str, content: bytes, now_s: float) -> UploadSender:
        """Start the upload of a file; `name` is its path in the home folder of the Pi."""
        return self._begin(UploadSender(name, content, next(self._numbers)), now_s)

    def download(self, name: str, now_s: float) -> DownloadReceiver:
        """Start the download of a file; `name` is its path in the home folder of the Pi."""
        return self._begin(DownloadReceiver(name, next(self._numbers)), now_s)

    def list_files(self, now_s: float) -> None:
        """Request the list of files; `listing` returns it once it is complete."""
        self._listed, self._list_total = {}, inf
        self.send(DNLS, 0, now_s=now_s)

    def stream(self, packets: Iterator[TimedPacket], speed: float, now_s: float) -> None:
        """Start to send live packets at `speed` times their original rate; infinity: as fast as possible."""
        self._packets, self._stream_from_s, self._speed = packets, now_s, speed
        self._next_packet = next(packets, None)

    def watch(self, interval_s: float, now_s: float) -> None:
        """Request status and info text now and every `interval_s` seconds."""
        self._watch_s, self._ask_at_s = interval_s, now_s

    def send(self, kind: SentenceType, *values: int, now_s: float, tail: bytes = b"") -> int:
        """Queue a sentence and return its ticket."""
        ticket = self.channel.send(kind, kind.pack(*values, tail=tail), now_s)
        self.counters.note_sent(ticket, kind.name)
        return ticket

    def cancel_all(self) -> None:
        """Cancel transfer, stream and status requests."""
        self.transfer, self._next_packet, self._ask_at_s = None, None, inf

    def restart(self, session: int) -> None:
        """Start a new session, as after a reset; sentences in flight are lost."""
        self.counters.close()
        self.counters.lost_tickets.clear()
        self.streamed = []
        self.channel = Channel(Direction.TO_PI, session, NAME)
        self._parser = SentenceParser()
        self._asked_s = None
        self.reports.status = b""

    # State

    @property
    def is_transferred(self) -> bool:
        """True if no transfer is active."""
        return self.transfer is None or self.transfer.state in _ENDED

    @property
    def is_streamed(self) -> bool:
        """True if every live packet has been sent and acknowledged or lost."""
        return self._next_packet is None and self.counters.in_flight_of(LIVE_TYPES) == 0

    @property
    def listing(self) -> list[ListedFile] | None:
        """The requested list of files, or None while it is incomplete."""
        if self._listed is None or len(self._listed) < self._list_total:
            return None
        return [self._listed[index] for index in sorted(self._listed)]

    # Line

    def receive(self, data: bytes, now_s: float) -> None:
        """Process bytes from the line."""
        for sentence in self._parser.feed(data).sentences:
            self.received_s = now_s
            self.channel.receive(sentence, now_s)
            self._process_events(now_s)

    def next_output(self, now_s: float) -> bytes | None:
        """Return the bytes to send now; None if there is nothing to send."""
        if self.channel.is_ready:
            self._queue_due(now_s)
        output = self.channel.next_output(now_s)
        self._process_events(now_s)
        return output

    def wakeup_s(self) -> float:
        """Return the time at which `next_output` must be called if nothing arrives before, s."""
        own = min(self._packet_due_s(), self._ask_at_s) if self.channel.is_ready else inf
        return min(self.channel.wakeup_s(), own)

    def _queue_due(self, now_s: float) -> None:
        while self._packet_due_s() <= now_s:
            packet = self._next_packet
            if packet is None:
                break
            self.streamed.append(self.send(packet.kind, *packet.values, now_s=now_s, tail=packet.body))
            self._next_packet = next(self._packets, None)
        if self._ask_at_s <= now_s:
            self._asked_s = self._ask_at_s  # the response time includes the wait behind other output
            self._ask_at_s = now_s + self._watch_s
            self.send(STRQ, ReportKind.STATUS, now_s=now_s)
            self.send(STRQ, ReportKind.INFO, now_s=now_s)
        while (
            isinstance(self.transfer, UploadSender)
            and self.channel.room > RESERVED_ROOM
            and (sentence := self.transfer.next_sentence()) is not None
        ):
            self._send_all([sentence], now_s)

    def _packet_due_s(self) -> float:
        if self._next_packet is None or self.counters.in_flight_of(LIVE_TYPES) >= LIVE_IN_FLIGHT_MAX:
            return inf
        return self._stream_from_s + self._next_packet.after_s / self._speed

    def _begin(self, transfer: T, now_s: float) -> T:
        self.transfer = transfer
        if self.channel.is_ready:
            self._send_all([transfer.open()], now_s)
        return transfer

    def _send_all(self, sentences: list[OutgoingSentence], now_s: float) -> None:
        for kind, body in sentences:
            self.counters.note_sent(self.channel.send(kind, body, now_s), kind.name)

    def _process_events(self, now_s: float) -> None:
        for event in self.channel.pop_events():
            match event:
                case Acknowledged() | Lost():
                    self.counters.settle(event)
                case Received():
                    self._process_sentence(event, now_s)
                case Connected():
                    self._begin_session(event.software, now_s)
                case LineDown():
                    self.reports.lines_down += 1
                    if isinstance(self.transfer, UploadSender) and not self.is_transferred:
                        self.transfer.line_down()
                case Incompatible():
                    self.reports.incompatible = event

    def _begin_session(self, software: str, now_s: float) -> None:
        self.reports.connections += 1
        self.reports.software = software
        self._asked_s = None
        self._ask_at_s = max(self._ask_at_s, now_s)
        if self.transfer is not None and not self.is_transferred:
            self._send_all([self.transfer.open()], now_s)
        if self._listed is not None and self.listing is None:
            self.list_files(now_s)

    def _process_sentence(self, received: Received, now_s: float) -> None:
        fields, tail = received.body
        if received.kind is STAT:
            self.reports.status = tail
            if self._asked_s is not None:
                self.reports.response_times_s.append(now_s - self._asked_s)
                self._asked_s = None
        elif received.kind is INFO:
            self.reports.info = tail.decode("ascii", errors="replace")
        elif received.kind is DNLE and self._listed is not None:
            self._list_total = fields["total"]
            if tail and fields["index"] < self._list_total:
                self._listed[fields["index"]] = ListedFile(tail.decode(errors="replace"), fields["size"])
            if self.listing is None and len(self._listed) % PAGE_ENTRIES == 0:
                self.send(DNLS, len(self._listed), now_s=now_s)
        elif self.transfer is not None and not self.is_transferred:
            self._send_all(self.transfer.handle(received), now_s)

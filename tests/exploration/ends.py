"""Both ends of the streaming interface as the exploration drives them: the real objects at time zero.

After each step the times in the objects are moved so that now is zero again, and numbers that only identify something
are renamed. Equal situations are then equal objects.
"""

import zlib
from abc import ABC, abstractmethod
from functools import partial
from math import ceil, inf
from typing import Any, Final, NamedTuple

from pygnc.host.channel import HELLO_INTERVAL_S, SILENCE_S, Channel
from pygnc.host.channel_events import Acknowledged, ChannelEvent, Lost, Received
from pygnc.host.connection import HostConnection
from pygnc.host.parameters import Parameters
from pygnc.host.sentence import Direction, SentenceParser
from pygnc.host.sentence_types import NAKN, PONG, TYPES, Capability, SentenceType
from pygnc.host.transfer import OpenedFile
from pygnc_controller.emulator.controller import Controller, PiReports, SentenceCounters
from pygnc_controller.emulator.host_transfer import DownloadReceiver, TransferState, UploadSender
from scripts.controller import pygnc_controller as controller
from tests.exploration.canonical import declare, shifted
from tests.fakes.memory_storage import MemoryStorage

HOST_SESSION: Final = 0x100
PI_SESSION: Final = 0x200
CHUNK: Final = 4
CONTENT: Final = b"0123456789"
UPLOADED, DOWNLOADED = "sense.bin", "pygnc_status.bin"
_MESSAGE: Final = b"TEST"
_LONG: Final = bytes(60)
_SPAN_S: Final = 30.0


class Event(NamedTuple):
    """Event of a message: `what` is received, acknowledged or lost; the message has the number `message`."""

    what: str
    message: int


LOG: Final[list[ChannelEvent]] = []
"""Events that channels have reported during the present step."""
_pop_events: Final = Channel.pop_events


def watched_pop_events(channel: Channel) -> list[ChannelEvent]:
    """Replace `Channel.pop_events` and copy the events to LOG."""
    events = _pop_events(channel)
    LOG.extend(events)
    return events


class Card(MemoryStorage):
    """Storage whose open files can be copied."""

    def open(self, name: str) -> OpenedFile:
        content = self.files[name]
        return OpenedFile(len(content), zlib.crc32(content), partial(_read, content), _close)


def _close() -> None: ...


def _read(content: bytes, size: int, start: int) -> bytes:
    return content[start : start + size]


class End(ABC):
    """One end of the line; `messages` are the letters of delivery of the messages that it sends, capital: long ones."""

    def __init__(self, messages: str, transfer: str) -> None:
        self.messages = messages
        self.transfer = transfer
        self.sent = 0
        self.restarts = 0
        self.tickets: dict[int, int] = {}
        self.begin()

    @abstractmethod
    def begin(self) -> None:
        """Start like a new process; only what is on the disk is kept."""

    @abstractmethod
    def receive(self, data: bytes) -> None: ...

    @abstractmethod
    def output(self) -> bytes | None: ...

    @abstractmethod
    def queue(self, kind: SentenceType, body: bytes) -> int: ...

    @abstractmethod
    def events(self) -> list[Event]: ...

    @abstractmethod
    def wakeup_ms(self) -> float:
        """Return the time until the next output is due, ms."""

    @abstractmethod
    def shift(self, by_s: float) -> None:
        """Move all times into the past and normalise what does not change the behaviour."""

    @property
    @abstractmethod
    def is_settled(self) -> bool:
        """True if a session is established and nothing is in a queue or being transferred."""

    def fault(self) -> str:
        """Return a description of a wrong state, or an empty text."""
        return ""

    def send(self) -> None:
        """Queue the next message."""
        letter = self.messages[self.sent]
        tail = _MESSAGE + (_LONG if letter == "R" else b"")
        kind = NAKN if letter in "rR" else PONG
        body = NAKN.pack(self.sent, 1, tail=tail) if kind is NAKN else PONG.pack(self.sent)
        self.tickets[self.queue(kind, body)] = self.sent
        self.sent += 1

    def restart(self) -> None:
        """Restart the process; its messages in the queue are forgotten."""
        self.restarts += 1
        self.tickets = {}
        self.begin()


class ChannelEnd(End):
    """End whose transport is the flight software's channel."""

    channel: Channel

    def queue(self, kind: SentenceType, body: bytes) -> int:
        return self.channel.send(kind, body, 0.0)

    def events(self) -> list[Event]:
        self.channel.pop_events()
        found = []
        for event in LOG:
            if isinstance(event, Received) and event.kind is NAKN and event.body.tail[:4] == _MESSAGE:
                found.append(Event("received", event.body.fields["number"]))
            elif isinstance(event, Received) and event.kind is PONG:
                found.append(Event("received", event.body.fields["key"]))
            elif isinstance(event, Acknowledged) and event.ticket in self.tickets:
                found.append(Event("acknowledged", self.tickets.pop(event.ticket)))
            elif isinstance(event, Lost) and event.ticket in self.tickets:
                found.append(Event("lost", self.tickets.pop(event.ticket)))
        return found

    def wakeup_ms(self) -> float:
        at_s = self.channel.wakeup_s()
        return max(0, ceil(round(at_s * 1e3, 3))) if abs(at_s) < inf else max(0.0, at_s)

    @property
    def is_settled(self) -> bool:
        retransmitter = self.channel._retransmitter
        return self.channel.is_ready and not list(retransmitter._ordered) + list(retransmitter._unordered)

    def shift(self, by_s: float) -> None:
        self.tickets = shift_channel(self.channel, by_s, self.tickets)


def shift_channel(channel: Channel, by_s: float, tickets: dict[int, int]) -> dict[int, int]:
    """Shift the times of a channel and rename tickets and positions; return the renamed `tickets`."""
    channel.counts.sent = channel.counts.retried = 0
    session = channel._session
    session._hello_due_s = shifted(session._hello_due_s, by_s)
    received_s, sent_s = (shifted(at, by_s, -SILENCE_S) for at in (session._received_s, session._hello_sent_s))
    throttle_s = max(sent_s, -HELLO_INTERVAL_S / 2.0)
    if not session._is_host:
        received_s, sent_s = 0.0, throttle_s
    elif sent_s <= received_s:
        sent_s = min(received_s, throttle_s)
    else:
        received_s = -SILENCE_S
    session._received_s, session._hello_sent_s = received_s, sent_s
    retransmitter = channel._retransmitter
    queues = (retransmitter._ordered, retransmitter._unordered)
    items = [item for queue in queues for item in queue]
    orders = {order: rank for rank, order in enumerate(sorted({item.order for item in items if item.tries}), 1)}
    retransmitter._order, retransmitter._tickets = len(orders), len(items)
    renamed = {}
    for ticket, item in enumerate(items, 1):
        if item.ticket in tickets:
            renamed[ticket] = tickets[item.ticket]
        item.ticket = ticket
        item.order = orders[item.order] if item.tries else 0
        item.due_s = shifted(item.due_s, by_s)
        item.sent_s = shifted(item.sent_s, by_s, -_SPAN_S) if item.tries == 1 else 0.0
    for item in retransmitter._ordered:
        item.queued_s = 0.0
    for item in retransmitter._unordered:
        item.queued_s = shifted(item.queued_s, by_s, -_SPAN_S)
    trip = retransmitter._round_trip
    if trip._mean_s is not None:
        trip._mean_s, trip._deviation_s = round(trip._mean_s, 3), round(trip._deviation_s, 3)
    return renamed


def shift_parser(parser: SentenceParser) -> None:
    """Discard the positions of the bytes, which are for reports only."""
    parser._pending_at = 0
    if parser._interrupted is not None:
        parser._interrupted = parser._interrupted._replace(ranges=())


class PiEnd(ChannelEnd):
    """The Pi: the connection that serves the host, with a storage that survives restarts."""

    def __init__(self, messages: str, transfer: str) -> None:
        self.card = Card({DOWNLOADED: CONTENT} if transfer == "download" else {})
        super().__init__(messages, transfer)

    def begin(self) -> None:
        channel = Channel(Direction.TO_HOST, PI_SESSION + self.restarts, "p", Capability(31))
        self.connection = HostConnection(channel, self.card, PARAMETERS, SERVICES)
        self.connection._downloads._chunk_bytes = CHUNK

    @property
    def channel(self) -> Channel:  # type: ignore[override]
        return self.connection.channel

    def receive(self, data: bytes) -> None:
        self.connection.take(data, 0.0)

    def output(self) -> bytes | None:
        return self.connection.next_output(0.0)

    def shift(self, by_s: float) -> None:
        super().shift(by_s)
        shift_parser(self.connection._parser)
        self.connection._downloads._chunk_bytes = CHUNK

    @property
    def is_settled(self) -> bool:
        return super().is_settled and self.connection._downloads._opened is None

    def fault(self) -> str:
        contents = [*self.card.parts.values(), *(self.card.files[name] for name in self.card.files)]
        return "" if all(CONTENT.startswith(content) for content in contents) else f"stored {contents}"


class Services:
    """Operations that the exploration does not request."""

    def take_packet(self, received: Received) -> None: ...

    def report(self, kind: SentenceType) -> bytes:
        raise AssertionError(f"{kind.name} is never requested")

    def stop(self) -> None: ...


SERVICES: Final = Services()
PARAMETERS: Final = Parameters({}, lambda _: {}, (b"", b""), lambda *_: None)


class NoCounters(SentenceCounters):
    """Counters of nothing: they would make every state a new one."""

    def note_sent(self, ticket: int, kind: str) -> None: ...

    def settle(self, event: Acknowledged | Lost) -> None: ...


class HostEnd(ChannelEnd):
    """The host as the emulator implements it, with the flight software's channel."""

    def __init__(self, messages: str, transfer: str) -> None:
        self.controller = Controller(HOST_SESSION)
        self.controller.counters = NoCounters()
        super().__init__(messages, transfer)
        if transfer == "upload":
            self.controller.upload(UPLOADED, CONTENT, 0.0)
        elif transfer == "download":
            self.controller.download(DOWNLOADED, 0.0)
        self.controller._numbers = self.controller._packets = None  # type: ignore[assignment]

    def begin(self) -> None:
        self.controller.restart(HOST_SESSION + self.restarts)

    @property
    def channel(self) -> Channel:  # type: ignore[override]
        return self.controller.channel

    def receive(self, data: bytes) -> None:
        self.controller.receive(data, 0.0)

    def output(self) -> bytes | None:
        return self.controller.next_output(0.0)

    def shift(self, by_s: float) -> None:
        super().shift(by_s)
        shift_parser(self.controller._parser)
        self.controller.reports = PiReports()
        self.controller.received_s = 0.0
        if isinstance(self.controller.transfer, UploadSender):
            self.controller.transfer.chunk_bytes = CHUNK

    @property
    def is_settled(self) -> bool:
        return super().is_settled and self.controller.is_transferred

    def fault(self) -> str:
        transfer = self.controller.transfer
        if transfer is not None and transfer.state is TransferState.REFUSED:
            return f"refused: {transfer.cause}"
        if isinstance(transfer, DownloadReceiver) and not CONTENT.startswith(transfer.content):
            return f"received {bytes(transfer.content)!r}"
        return ""


class ControllerEnd(End):
    """The host as the module for controllers implements it."""

    def begin(self) -> None:
        self.link = controller.Link(HOST_SESSION + self.restarts, "c")
        self.upload = (
            controller.Upload(
                self.link, UPLOADED, len(CONTENT), zlib.crc32(CONTENT), partial(_read_at, CONTENT), transfer=1
            )
            if self.transfer == "upload"
            else None
        )
        self.found: list[tuple[Any, ...]] = []

    def receive(self, data: bytes) -> None:
        for event in self.link.feed(data, 0):
            self.found.append(event)
            if self.upload is not None:
                self.upload.take(event, 0)

    def output(self) -> bytes | None:
        if self.upload is not None:
            self.upload.pump(0)
        portion = self.link.next_portion(0)
        self.receive(b"")
        return portion

    def queue(self, kind: SentenceType, body: bytes) -> int:
        return self.link.send(kind.name, body, 0)

    def events(self) -> list[Event]:
        found = []
        for event in self.found:
            if event[0] == "sentence" and event[1] in {"NAKN", "PONG"}:
                kind = TYPES[event[1]]
                body = kind.unpack(event[3])
                if kind is PONG or body.tail[:4] == _MESSAGE:
                    found.append(Event("received", body.fields["key" if kind is PONG else "number"]))
            elif event[0] in {"acknowledged", "lost"} and event[1] in self.tickets:
                found.append(Event(event[0], self.tickets.pop(event[1])))
        self.found = []
        return found

    def wakeup_ms(self) -> float:
        link = self.link
        if link._line or link._unknown:
            return 0
        unordered = link._in_flight["i"] + link._queued["i"]
        times = [link._hello_due_ms, *(item[7] for item in unordered)]
        if link.ready:
            times += [item[6] for items in link._in_flight.values() for item in items]
        return float(max(0, min(times)))

    @property
    def is_settled(self) -> bool:
        link = self.link
        waiting = [*link._queued.values(), *link._in_flight.values()]
        return link.ready and not any(waiting) and (self.upload is None or self.upload.state == "done")

    def fault(self) -> str:
        if self.upload is not None and self.upload.state == "refused":
            return f"refused: {self.upload.cause}"
        return ""

    def shift(self, by_s: float) -> None:
        link, by_ms = self.link, round(by_s * 1000)
        if self.upload is not None:
            self.upload._chunk = CHUNK
        link._heard_ms = 0
        link._hello_due_ms = max(0, link._hello_due_ms - by_ms)
        flying = [item for items in link._in_flight.values() for item in items]
        items = [*flying, *(item for items in link._queued.values() for item in items)]
        orders = {order: rank for rank, order in enumerate(sorted({item[5] for item in flying}), 1)}
        link._order, link._tickets = len(orders), len(items)
        renamed = {}
        for ticket, item in enumerate(items, 1):
            if item[0] in self.tickets:
                renamed[ticket] = self.tickets[item[0]]
            item[0] = ticket
            item[5] = orders.get(item[5], 0)
            item[6] = max(0, item[6] - by_ms)
            item[7] -= by_ms
        for item in [*link._queued["r"], *link._in_flight["r"]]:
            item[7] = 0
        self.tickets = renamed
        if not link._line:
            link._line_item = None


def _read_at(content: bytes, offset: int, count: int) -> bytes:
    return content[offset : offset + count]


# Copies.


def _kind(name: str) -> SentenceType:
    return TYPES[name]


def _connection_parts(connection: HostConnection) -> tuple[Any, ...]:
    own = {"_parser": connection._parser, "_waiting": connection._waiting}
    uploads = connection._handlers["UPOP"].__self__  # type: ignore[attr-defined]
    return connection.channel, uploads._storage, own, vars(connection._downloads), vars(uploads)


def _connection(
    channel: Channel, storage: Card, own: dict[str, Any], downloads: dict[str, Any], uploads: dict[str, Any]
) -> HostConnection:
    connection = HostConnection(channel, storage, PARAMETERS, SERVICES)
    vars(connection).update(own)
    vars(connection._downloads).update(downloads)
    vars(connection._handlers["UPOP"].__self__).update(uploads)  # type: ignore[attr-defined]
    return connection


declare(HostConnection, _connection_parts, _connection)
declare(SentenceType, lambda kind: (kind.name,), _kind)
declare(partial, lambda call: call.args)
declare(type, lambda kind: kind.__name__)

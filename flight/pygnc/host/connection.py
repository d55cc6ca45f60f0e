"""One connection to the host: parses its sentences and responds to them.

It performs no I/O and reads no clock; received bytes and the time are arguments.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from pygnc.host.channel import Channel
from pygnc.host.channel_events import LineDown, Received
from pygnc.host.parameters import Parameters
from pygnc.host.sentence import Delivery, SentenceParser
from pygnc.host.sentence_types import EVNT, INFO, LIVE_TYPES, PONG, STAT, NakCause, ReportKind, SentenceType
from pygnc.host.transfer import PAGE_ENTRIES, DownloadSender, OutgoingSentence, Refusal, Storage, UploadReceiver

ROOM_FOR_RESPONSES: Final = 48
"""Number of places in the send queue that download chunks leave free for responses to requests."""


class HostServices(Protocol):
    """Operations on the run that a connection performs when the host requests them."""

    def take_packet(self, received: Received) -> None:
        """Store a live packet so that it survives the loss of any task.

        Raises:
            Refusal: The packet is invalid or cannot be stored.
        """

    def report(self, kind: SentenceType) -> bytes:
        """Return the content of the status record (STAT) or of the info text (INFO).

        Raises:
            Refusal: The file does not exist yet.
        """

    def stop(self) -> None:
        """Request the stop of the run, like Ctrl-C."""


class HostConnection:
    """One connection to the host, which executes the host's requests; `channel` is the Pi's end.

    Attributes:
        packets_lost: Number of live packets that the host has given up, as it reports.
    """

    packets_lost = 0

    def __init__(self, channel: Channel, storage: Storage, parameters: Parameters, services: HostServices) -> None:
        self.channel = channel
        self._services = services
        self._downloads = DownloadSender(storage)
        self._parser = SentenceParser()
        self._waiting: deque[Received] = deque()
        self._handlers: dict[str, Callable[[Received], list[OutgoingSentence] | None]] = {
            **dict.fromkeys(("UPOP", "UPCH", "UPCL"), UploadReceiver(storage).handle),
            **dict.fromkeys(("DNLS", "DNOP", "DNCL"), self._downloads.handle),
            **dict.fromkeys(("PGET", "PSET", "PLST"), parameters.handle),
            **dict.fromkeys(LIVE_TYPES, services.take_packet),
            "PING": lambda received: [OutgoingSentence(PONG, PONG.pack(received.body.fields["key"]))],
            "STRQ": self._report,
            "STOP": lambda _: services.stop(),
            "LOST": self._count_lost,
        }

    def take(self, data: bytes, now_s: float) -> None:
        """Parse received bytes, execute the requests in them and queue the responses.

        While requests wait for room for their responses, further ones are not acknowledged, so the host sends them
        again.
        """
        for sentence in self._parser.feed(data).sentences:
            if self._waiting and sentence.delivery is Delivery.ORDERED:
                continue
            self.channel.receive(sentence, now_s)
            self._process_events(now_s)

    def send_event(self, severity: int, text: str, now_s: float) -> None:
        """Queue an event for the host; severity 0 is info, 1 warning, 2 error. Longer texts are cut to 512 bytes."""
        self.channel.send(EVNT, EVNT.pack(severity, tail=text.encode()[: EVNT.tail_max]), now_s)

    def next_output(self, now_s: float) -> bytes | None:
        """Return the next bytes to send, download chunks included, or None if nothing is due now."""
        if self.channel.is_ready:
            self._queue_chunks(now_s)
        portion = self.channel.next_output(now_s)
        self._process_events(now_s)
        return portion

    def _process_events(self, now_s: float) -> None:
        for event in self.channel.pop_events():
            if isinstance(event, LineDown):
                self._downloads.line_down()
            elif isinstance(event, Received) and event.kind.name in self._handlers:
                if event.kind.delivery is Delivery.ORDERED:
                    self._waiting.append(event)
                else:
                    self._execute(event, now_s)
        while self._waiting and self.channel.room >= PAGE_ENTRIES:
            self._execute(self._waiting.popleft(), now_s)

    def _execute(self, received: Received, now_s: float) -> None:
        try:
            responses = self._handlers[received.kind.name](received)
        except Refusal as refusal:
            self.channel.send_nak(received.number, received.kind.name, refusal.cause, str(refusal), now_s)
            return
        for kind, body in responses or ():
            self.channel.send(kind, body, now_s)

    def _count_lost(self, received: Received) -> None:
        self.packets_lost += received.body.tail.decode(errors="replace") in LIVE_TYPES

    def _report(self, received: Received) -> list[OutgoingSentence]:
        what = received.body.fields["what"]
        if what not in set(ReportKind):
            raise Refusal(NakCause.VALUE, f": {what} is not a report; 0 requests the status record, 1 the info line")
        kind = STAT if what == ReportKind.STATUS else INFO
        return [OutgoingSentence(kind, kind.pack(tail=self._services.report(kind)[: kind.tail_max]))]

    def _queue_chunks(self, now_s: float) -> None:
        while self.channel.room > ROOM_FOR_RESPONSES:
            try:
                chunk = self._downloads.next_chunk()
            except OSError:
                return  # the transfer has ended; the host opens the file again and then receives the reason
            if chunk is None:
                return
            self.channel.send(chunk.kind, chunk.body, now_s)

"""One connection to the host: parses its sentences and answers them.

It performs no I/O and reads no clock; received bytes and the time are arguments.
"""

from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

from pygnc.host.channel import Channel
from pygnc.host.channel_events import LineDown, Received
from pygnc.host.parameters import Parameters
from pygnc.host.sentence import SentenceParser
from pygnc.host.sentence_types import EVNT, INFO, PING, PONG, STAT, STOP, STRQ, NakCause, ReportKind, SentenceType
from pygnc.host.transfer import DownloadSender, OutgoingSentence, Refusal, UploadReceiver

ROOM_FOR_ANSWERS: Final = 48
"""Queue space that download chunks leave free for answers to requests."""
_UPLOADS: Final = frozenset({"UPOP", "UPCH", "UPCL"})
_DOWNLOADS: Final = frozenset({"DNLS", "DNOP", "DNCL"})
_SETTINGS: Final = frozenset({"PGET", "PSET", "PLST"})
_PACKETS: Final = frozenset({"SENS", "GPSS", "GPSR", "RANG", "PGPS", "PRNG", "TIME"})


class HostServices(Protocol):
    """Operations on the run that a connection requests."""

    def take_packet(self, received: Received) -> None:
        """Store a live packet so that it survives the loss of any task.

        Raises:
            Refusal: the packet is invalid or cannot be stored.
        """

    def report(self, kind: SentenceType) -> bytes:
        """Return the status record (STAT) or the info line (INFO).

        Raises:
            Refusal: the file does not exist yet.
        """

    def stop(self) -> None:
        """Stop the run."""


@dataclass(slots=True)
class Engines:
    """Handlers of file transfers and settings."""

    uploads: UploadReceiver
    downloads: DownloadSender
    parameters: Parameters


class HostConnection:
    """Protocol state of one line to the host.

    Args:
        channel: our end of the reliable channel.
        engines: handlers of file transfers and settings.
        services: operations on the run.

    Attributes:
        skipped_bytes: received bytes that belong to no sentence.
    """

    def __init__(self, channel: Channel, engines: Engines, services: HostServices) -> None:
        self.channel = channel
        self.skipped_bytes = 0
        self._engines = engines
        self._services = services
        self._parser = SentenceParser()

    def take(self, data: bytes, now_s: float) -> None:
        """Parse received bytes and execute the requests in them."""
        parsed = self._parser.feed(data)
        self.skipped_bytes += sum(skipped.stop - skipped.start for skipped in parsed.skipped)
        for sentence in parsed.sentences:
            self.channel.receive(sentence, now_s)
            self._process_events(now_s)

    def send_event(self, severity: int, text: str, now_s: float) -> None:
        """Send an event to the host."""
        self.channel.send(EVNT, EVNT.pack(severity, tail=text.encode()[: EVNT.tail_max]), now_s)

    def next_output(self, now_s: float) -> bytes | None:
        """Return the next bytes to send, or None."""
        if self.channel.is_ready:
            self._queue_chunks(now_s)
        portion = self.channel.next_output(now_s)
        self._process_events(now_s)
        return portion

    def wakeup_s(self) -> float:
        """Return the time at which `next_output` must be called again if no bytes arrive before."""
        return self.channel.wakeup_s()

    def _process_events(self, now_s: float) -> None:
        """Process the events of the channel."""
        for event in self.channel.pop_events():
            if isinstance(event, LineDown):
                self._engines.downloads.line_down()
            elif isinstance(event, Received):
                self._execute(event, now_s)

    def _execute(self, received: Received, now_s: float) -> None:
        try:
            answers = self._answer(received)
        except Refusal as refusal:
            self.channel.send_nak(received.number, received.kind.name, refusal.cause, str(refusal), now_s)
            return
        for kind, body in answers:
            if self.channel.room <= 0:
                return  # the host repeats its request
            self.channel.send(kind, body, now_s)

    def _answer(self, received: Received) -> list[OutgoingSentence]:
        name = received.kind.name
        if name in _UPLOADS:
            return self._engines.uploads.handle(received)
        if name in _DOWNLOADS:
            return self._engines.downloads.handle(received)
        if name in _SETTINGS:
            return self._engines.parameters.handle(received)
        if name in _PACKETS:
            self._services.take_packet(received)
        elif received.kind is PING:
            return [OutgoingSentence(PONG, PONG.pack(received.body.fields["key"]))]
        elif received.kind is STRQ:
            return [self._report(received.body.fields["what"])]
        elif received.kind is STOP:
            self._services.stop()
        return []

    def _report(self, what: int) -> OutgoingSentence:
        if what not in set(ReportKind):
            raise Refusal(NakCause.VALUE, ": 0 asks for the status record, 1 for the info line")
        kind = STAT if what == ReportKind.STATUS else INFO
        return OutgoingSentence(kind, kind.pack(tail=self._services.report(kind)[: kind.tail_max]))

    def _queue_chunks(self, now_s: float) -> None:
        while self.channel.room > ROOM_FOR_ANSWERS:
            try:
                chunk = self._engines.downloads.next_chunk()
            except OSError:
                return  # the host opens the file again and then gets the reason
            if chunk is None:
                return
            self.channel.send(chunk.kind, chunk.body, now_s)


def due_in_s(wakeup_s: float, now_s: float) -> float:
    """Return the time until `wakeup_s`, at least 0; infinity if there is none."""
    return inf if wakeup_s == inf else max(0.0, wakeup_s - now_s)

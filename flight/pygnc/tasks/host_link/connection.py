"""One line to the host: its sentences in, ours out. No port and no clock: these enter as arguments."""

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
"""Kept free of chunks of a download, so that requests find room for their answers."""
_UPLOADS: Final = frozenset({"UPOP", "UPCH", "UPCL"})
_DOWNLOADS: Final = frozenset({"DNLS", "DNOP", "DNCL"})
_SETTINGS: Final = frozenset({"PGET", "PSET", "PLST"})
_PACKETS: Final = frozenset({"SENS", "GPSS", "GPSR", "RANG", "PGPS", "PRNG", "TIME"})


class HostServices(Protocol):
    """What the conversation cannot do itself."""

    def take_packet(self, received: Received) -> None:
        """Keep a live packet, so that nothing can lose it any more.

        Raises:
            Refusal: it is none.
        """

    def report(self, kind: SentenceType) -> bytes:
        """Return the status record (STAT) or the info line (INFO).

        Raises:
            Refusal: there is none yet.
        """

    def stop(self) -> None:
        """Stop the run."""


@dataclass(slots=True)
class Engines:
    """What serves files and settings."""

    uploads: UploadReceiver
    downloads: DownloadSender
    parameters: Parameters


class HostConnection:
    """Understands the host and answers it.

    Args:
        channel: our end of the reliable channel.
        engines: serve files and settings.
        desk: does the rest.

    Attributes:
        skipped_bytes: of the line, in no sentence.
    """

    def __init__(self, channel: Channel, engines: Engines, desk: HostServices) -> None:
        self.channel = channel
        self.skipped_bytes = 0
        self._engines = engines
        self._desk = desk
        self._parser = SentenceParser()

    def take(self, data: bytes, now_s: float) -> None:
        """Take bytes from the line and obey the sentences in them."""
        parsed = self._parser.feed(data)
        self.skipped_bytes += sum(skipped.stop - skipped.start for skipped in parsed.skipped)
        for sentence in parsed.sentences:
            self.channel.receive(sentence, now_s)
            self._follow(now_s)

    def tell(self, severity: int, text: str, now_s: float) -> None:
        """Let the host know of an event."""
        self.channel.send(EVNT, EVNT.pack(severity, tail=text.encode()[: EVNT.tail_max]), now_s)

    def next_output(self, now_s: float) -> bytes | None:
        """Return what is to be sent now, or None."""
        if self.channel.is_ready:
            self._pump(now_s)
        portion = self.channel.next_output(now_s)
        self._follow(now_s)
        return portion

    def wakeup_s(self) -> float:
        """When `next_output` is to be asked again if nothing comes before that."""
        return self.channel.wakeup_s()

    def _follow(self, now_s: float) -> None:
        """Deal with what has happened on the channel."""
        for outcome in self.channel.pop_events():
            if isinstance(outcome, LineDown):
                self._engines.downloads.line_down()
            elif isinstance(outcome, Received):
                self._obey(outcome, now_s)

    def _obey(self, received: Received, now_s: float) -> None:
        try:
            sayings = self._answer(received)
        except Refusal as refusal:
            self.channel.send_nak(received.number, received.kind.name, refusal.cause, str(refusal), now_s)
            return
        for kind, body in sayings:
            if self.channel.room <= 0:
                return  # the host asks again for what it misses
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
            self._desk.take_packet(received)
        elif received.kind is PING:
            return [OutgoingSentence(PONG, PONG.pack(received.body.fields["key"]))]
        elif received.kind is STRQ:
            return [self._report(received.body.fields["what"])]
        elif received.kind is STOP:
            self._desk.stop()
        return []

    def _report(self, what: int) -> OutgoingSentence:
        if what not in set(ReportKind):
            raise Refusal(NakCause.VALUE, ": 0 asks for the status record, 1 for the info line")
        kind = STAT if what == ReportKind.STATUS else INFO
        return OutgoingSentence(kind, kind.pack(tail=self._desk.report(kind)[: kind.tail_max]))

    def _pump(self, now_s: float) -> None:
        while self.channel.room > ROOM_FOR_ANSWERS:
            try:
                chunk = self._engines.downloads.next_chunk()
            except OSError:
                return  # the host opens it again, and is told why it cannot be read
            if chunk is None:
                return
            self.channel.send(chunk.kind, chunk.body, now_s)


def due_in_s(wakeup_s: float, now_s: float) -> float:
    """Time until a wake-up, not negative; infinity stays what it is."""
    return inf if wakeup_s == inf else max(0.0, wakeup_s - now_s)

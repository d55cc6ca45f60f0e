"""Host and Pi with file transfers on a simulated line."""

import random

from pygnc.host.channel import Channel
from pygnc.host.channel_events import ChannelEvent, Connected, LineDown, Received
from pygnc.host.sentence import Direction
from pygnc.host.transfer import DownloadSender, OutgoingSentence, Refusal, UploadReceiver
from pygnc_controller.emulator.host_transfer import DownloadReceiver, TransferState, UploadSender
from pygnc_controller.emulator.serial_line import LineFaults, SerialLine
from scripts.bench.virtual_link import LineEnd, VirtualLink
from tests.fakes.channel_line import ChannelEnd
from tests.fakes.memory_storage import MemoryStorage


def batch(size: int, seed: int = 0) -> bytes:
    """Return random bytes."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - repeatable test input


class PiEnd(ChannelEnd):
    """The Pi: uploads and downloads with a storage."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.storage = storage
        self.sessions = 0
        super().__init__(self._new())
        self.react = self._react
        self.pump = self._pump

    def start_again(self) -> None:
        """Restart like a killed process: only the storage is kept."""
        self.restart(self._new())

    def _new(self) -> Channel:
        self.sessions += 1
        self.uploads = UploadReceiver(self.storage)
        self.downloads = DownloadSender(self.storage)
        return Channel(Direction.TO_HOST, self.sessions, "pygnc")

    def _react(self, outcome: ChannelEvent, now_s: float) -> None:
        if isinstance(outcome, LineDown):
            self.downloads.line_down()
        if not isinstance(outcome, Received) or not outcome.kind.name.startswith(("UP", "DN")):
            return
        engine = self.uploads if outcome.kind.name.startswith("UP") else self.downloads
        try:
            say(self.channel, engine.handle(outcome), now_s)
        except Refusal as refusal:
            self.channel.send_nak(outcome.number, outcome.kind.name, refusal.cause, str(refusal), now_s)

    def _pump(self, now_s: float) -> None:
        while self.channel.room > 48 and (chunk := self.downloads.next_chunk()) is not None:
            say(self.channel, [chunk], now_s)


class HostEnd(ChannelEnd):
    """The host: one transfer, opened again after each new session."""

    def __init__(self, transfer: UploadSender | DownloadReceiver) -> None:
        super().__init__(Channel(Direction.TO_PI, 0x1F03, "emulator"))
        self.transfer = transfer
        self.react = self._react
        self.pump = self._pump

    @property
    def is_done(self) -> bool:
        return self.transfer.state in {TransferState.DONE, TransferState.REFUSED}

    def _react(self, outcome: ChannelEvent, now_s: float) -> None:
        if isinstance(outcome, Connected) and not self.is_done:
            say(self.channel, [self.transfer.open()], now_s)
        elif isinstance(outcome, LineDown) and isinstance(self.transfer, UploadSender) and not self.is_done:
            self.transfer.line_down()
        elif isinstance(outcome, Received):
            say(self.channel, self.transfer.handle(outcome), now_s)

    def _pump(self, now_s: float) -> None:
        if not isinstance(self.transfer, UploadSender):
            return
        while (
            self.channel.is_ready and self.channel.room > 48 and (saying := self.transfer.next_sentence()) is not None
        ):
            say(self.channel, [saying], now_s)


def say(channel: Channel, sayings: list[OutgoingSentence], now_s: float) -> None:
    for kind, body in sayings:
        channel.send(kind, body, now_s)


def joined(host: "HostEnd | LineEnd", pi: PiEnd, faults: LineFaults | None = None, seed: int = 0) -> VirtualLink:
    """Join both ends by a line with the same faults in both directions."""
    lines = [SerialLine(2 * seed + k, faults or LineFaults()) for k in range(2)]
    return VirtualLink([host.end() if isinstance(host, HostEnd) else host, pi.end()], lines)

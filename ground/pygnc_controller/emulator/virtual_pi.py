"""The flight software's end of the line in virtual time: what the task host_link does, without its process."""

from pathlib import Path
from typing import Final

from pygnc.host.channel import Channel, LineCounts
from pygnc.host.files import HomeFiles
from pygnc.host.outcomes import Received
from pygnc.host.parameters import Parameters
from pygnc.host.sentence import Direction
from pygnc.host.sentence_types import STAT, SentenceType
from pygnc.host.transfer import DownloadSender, UploadReceiver
from pygnc.tasks.host_link.connection import Conversation, Engines
from pygnc.tasks.host_link.settings import FileSlots
from pygnc_controller.emulator.virtual_time import End

RESTART_S: Final = 1.5
"""From a Ctrl-C that a flipped bit has made until main.py has been started again."""
CTRL_C: Final = b"\x03"


class VirtualPi:
    """A Pi on a simulated line.

    Args:
        home: its home folder, real files.
        status: the record that it answers with.
        info: the info line that it answers with.

    Attributes:
        packets: live packets in the order in which they came, with their types.
        interrupts: Ctrl-C characters that came out of the line; main.py was started again after each.
    """

    def __init__(self, home: Path, status: bytes = b"", info: bytes = b"") -> None:
        self.packets: list[tuple[str, bytes]] = []
        self.interrupts = 0
        self._home = home
        self._reports = (status, info)
        self._starts = 0
        self._down_until_s = 0.0
        self._conversation: Conversation | None = None

    def end(self) -> End:
        """Return what drives it."""
        return End(self._read, self._line, self._wakeup_s)

    @property
    def counts(self) -> LineCounts:
        """What has passed at its end since it was last started."""
        return self._talk().channel.counts

    def take_packet(self, received: Received) -> None:
        """See `Desk`."""
        self.packets.append((received.kind.name, received.body.tail))

    def report(self, kind: SentenceType) -> bytes:
        """See `Desk`."""
        return self._reports[0] if kind is STAT else self._reports[1]

    def stop(self) -> None:
        """See `Desk`."""

    def _read(self, data: bytes, now_s: float) -> None:
        if now_s < self._down_until_s:
            return
        before, interrupt, _ = data.partition(CTRL_C)
        self._talk().take(before, now_s)
        if interrupt:
            self.interrupts += 1
            self._conversation = None
            self._down_until_s = now_s + RESTART_S

    def _line(self, now_s: float) -> bytes | None:
        return None if now_s < self._down_until_s else self._talk().next_portion(now_s)

    def _wakeup_s(self) -> float:
        return self._down_until_s if self._conversation is None else self._conversation.wakeup_s()

    def _talk(self) -> Conversation:
        if self._conversation is None:
            self._starts += 1
            files = HomeFiles(self._home, 0)
            parameters = Parameters({}, lambda _: None, FileSlots(self._home))
            channel = Channel(Direction.TO_HOST, self._starts, "PyGNC")
            engines = Engines(UploadReceiver(files), DownloadSender(files), parameters)
            self._conversation = Conversation(channel, engines, self)
        return self._conversation

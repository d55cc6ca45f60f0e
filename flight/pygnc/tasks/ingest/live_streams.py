"""What comes into a run by itself: packets from the host, readings of the computer's own sensors."""

from collections.abc import Mapping
from typing import Final

import msgspec
import zmq

from pygnc.bus.messages import DEVICES, LIVE, DeviceReading, LivePacket
from pygnc.bus.wire import StreamReader
from pygnc.tasks.runtime import Run

MESSAGES_A_TURN: Final = 64


class LiveStreams:
    """Reads both streams, as far as this run has them.

    Args:
        context: the task's ZeroMQ context.
        run: what all tasks know.
        after: number of the last message that is known, by stream.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", run: Run, after: Mapping[str, int]) -> None:
        kinds = [(LIVE, LivePacket)] if run.has_host else []
        names: list[tuple[str, type]] = [*kinds, *([(DEVICES, DeviceReading)] if run.settings.devices else [])]
        self._readers = [
            StreamReader(
                context,
                run.runtime,
                name,
                run.journal_folders,
                msgspec.msgpack.Decoder(kind).decode,
                after_seq=after.get(name, 0),
            )
            for name, kind in names
        ]

    @property
    def sockets(self) -> list["zmq.Socket[bytes]"]:
        """To be polled."""
        return [reader.socket for reader in self._readers]

    @property
    def behind(self) -> bool:
        """Whether messages are known to wait."""
        return any(reader.behind for reader in self._readers)

    def look_again(self) -> None:
        """Read the journals, in case announcements were lost."""
        for reader in self._readers:
            reader.behind = True

    def take(self) -> tuple[list[LivePacket | DeviceReading], bool]:
        """Return what has come, and whether more waits."""
        taken: list[LivePacket | DeviceReading] = []
        more = False
        for reader in self._readers:
            messages = reader.receive(MESSAGES_A_TURN)
            more = more or reader.behind or len(messages) == MESSAGES_A_TURN
            taken += [message for message in messages if isinstance(message, LivePacket | DeviceReading)]
        return taken, more

    def close(self) -> None:
        """Let go of the streams."""
        for reader in self._readers:
            reader.close()

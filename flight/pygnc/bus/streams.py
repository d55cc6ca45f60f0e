"""How messages travel: numbered and journaled first, then announced over ZeroMQ; gaps are read from the journal.

The announcement is the fast path and may lose messages: queues are small, so that a stopped reader costs nobody
anything. The journal is the truth, where a reader that was late, slow or restarted finds what it missed: it is told
through which number the stream goes when it joins, it sees gaps, and it looks by itself every other second, and behind
as many announcements as a full queue holds, for the next ones may not have fitted in.
"""

import contextlib
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import zmq

from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.journal_writer import JournalWriter
from pygnc.bus.messages import Message

QUEUE_MESSAGES: Final = 256
FULL_MESSAGES: Final = QUEUE_MESSAGES // 2
"""From so many on a queue may be taken for full, for it learns of its reader's progress by halves."""
LINGER_MS: Final = 100
LOOK_INTERVAL_S: Final = 2.0
"""Nobody waits longer than this for what an announcement has not told, for whatever reason."""
RECONNECT_MS: Final = 2
RECONNECT_MAX_MS: Final = 200
"""Tasks start side by side, so the writer is there within milliseconds; one that has failed is not coming back."""
_NUMBER: Final = struct.Struct("<Q")
_MARK: Final = b""
_LIVE: Final = b"live"
_JOINED: Final = b"\x01"

encode: Final = msgspec.msgpack.Encoder().encode


def endpoint(runtime: Path, stream: str) -> str:
    """Return the address of a stream's socket in the run's private folder."""
    return f"ipc://{runtime}/{stream}.sock"


class StreamWriter:
    """The one writer of a stream: numbers, journals and only then announces its messages.

    A frame is [stream, number, payload]; an empty payload is a mark that says through which number the stream goes.
    Several messages at once are announced by a mark: readers take them from the journal, in one go.

    Attributes:
        socket: to be polled; when it is readable, `greet` has something to do.

    Args:
        context: the task's ZeroMQ context.
        runtime: the run's private folder.
        stream: the stream's name.
        journal: where the messages are kept.
    """

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", runtime: Path, stream: str, journal: JournalWriter
    ) -> None:
        self.journal = journal
        self._stream = stream.encode()
        self.socket = context.socket(zmq.XPUB)
        self.socket.set(zmq.XPUB_VERBOSE, 1)
        self.socket.set(zmq.LINGER, LINGER_MS)
        self.socket.set(zmq.SNDHWM, QUEUE_MESSAGES)
        self.socket.bind(endpoint(runtime, stream))

    @property
    def next_seq(self) -> int:
        """The number that the next message gets."""
        return self.journal.last_seq + 1

    def write(self, messages: Sequence[Message]) -> None:
        """Journal and announce `messages`, which carry the numbers from `next_seq` on.

        Raises:
            OSError: the journal takes no more records, on disk or in memory.
        """
        payloads = [encode(message) for message in messages]
        self.journal.append(payloads)
        self._announce(payloads[0] if len(payloads) == 1 else _MARK)

    def greet(self) -> None:
        """Tell readers that have joined through which number the stream goes: they have missed what was announced."""
        joined = False
        with contextlib.suppress(zmq.Again):
            while True:
                joined |= self.socket.recv(zmq.NOBLOCK).startswith(_JOINED)
        if joined:
            self._announce(_MARK)

    def show(self, message: Message) -> None:
        """Announce a message that belongs to the present moment only: neither numbered nor journaled."""
        self.socket.send_multipart([self._stream, _LIVE, encode(message)])

    def close(self) -> None:
        """Close the journal in order, then the socket."""
        self.journal.close()
        self.socket.close()

    def _announce(self, payload: bytes) -> None:
        self.socket.send_multipart([self._stream, _NUMBER.pack(self.journal.last_seq), payload])


class StreamReader:
    """Reads one stream from after `after_seq` on: every message once and in order.

    Attributes:
        socket: to be polled; when it is readable, or `behind` is set, `receive` has something to do.
        behind: whether messages are known to wait in the journal.
        through: number of the last message returned.
        lost: messages that neither the bus nor the journal could give.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        runtime: Path,
        stream: str,
        folders: Sequence[Path],
        decode: Callable[[bytes], Message],
        *,
        after_seq: int = 0,
    ) -> None:
        self.through = after_seq
        self.behind = True
        self.lost = 0
        self._announced = after_seq
        self._taken, self._look_at_s = 0, 0.0
        self._shown: Message | None = None
        self._decode = decode
        self._journal = JournalReader(folders, stream, after_seq)
        self.socket = context.socket(zmq.SUB)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RCVHWM, QUEUE_MESSAGES)
        self.socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
        self.socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        self.socket.subscribe(stream.encode())
        self.socket.connect(endpoint(runtime, stream))

    def receive(self, limit: int) -> list[Message]:
        """Return up to `limit` next messages without waiting."""
        messages = self._from_journal(limit) if self.behind else []
        while len(messages) < limit and not self.behind:
            try:
                _, number, payload = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                self.behind = self._taken >= FULL_MESSAGES or time.monotonic() >= self._look_at_s
                break
            self._taken += 1
            if number == _LIVE:
                self._shown = self._decode(payload)
                continue
            (seq,) = _NUMBER.unpack(number)
            if payload != _MARK and seq == self.through + 1:
                messages.append(self._decode(payload))
                self.through = seq
            elif seq > self.through:
                self._announced = seq
                self.behind = True
        return messages

    def take_shown(self) -> Message | None:
        """Return the newest message of the moment, once."""
        shown, self._shown = self._shown, None
        return shown

    def close(self) -> None:
        """Let go of the socket and the journal."""
        self.socket.close()
        self._journal.close()

    def _from_journal(self, limit: int) -> list[Message]:
        self._taken, self._look_at_s = 0, time.monotonic() + LOOK_INTERVAL_S
        self._journal.skip_through(self.through)
        records = self._journal.read(limit)
        self.behind = len(records) == limit
        for record in records:
            self.lost += record.seq - self.through - 1
            self.through = record.seq
        if not self.behind and self.through < self._announced:
            # Announced, so it was written; gone from the journal, so it was removed to save memory.
            self.lost += self._announced - self.through
            self.through = self._announced
        return [self._decode(record.payload) for record in records]

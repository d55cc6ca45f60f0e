"""Numbered message streams: journaled first, then announced over ZeroMQ.

Announcements are fast but may be lost: their queues are small, so that a stopped reader costs little memory. The
journal contains all messages; a reader that was late, slow or restarted reads missing ones from it. A reader reads the
journal

- when it joins and the writer announces the number of the last message,
- when it sees a gap in the numbers,
- every `LOOK_INTERVAL_S`,
- after as many announcements as a full queue holds, because later announcements may have been dropped.
"""

import contextlib
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import zmq

from pygnc.bus.journal_files import last_number
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.journal_writer import JournalWriter
from pygnc.bus.messages import Message

MESSAGES_PER_STEP: Final = 64
"""Maximum number of messages that a task reads at once. Python would keep the memory that larger numbers need."""
QUEUE_MESSAGES: Final = 256
FULL_MESSAGES: Final = QUEUE_MESSAGES // 2
"""Number of announcements after which a queue may be full; ZeroMQ notes a reader's progress in half queues."""
LINGER_MS: Final = 100
LOOK_INTERVAL_S: Final = 1.5
"""Interval at which a reader reads the journal, because an announcement may have been lost, s."""
RECONNECT_MS: Final = 2
RECONNECT_MAX_MS: Final = 200
"""Longest pause between attempts to connect, ms. Tasks start concurrently, so the writer exists within milliseconds."""
_NUMBER: Final = struct.Struct("<Q")
_NUMBER_ONLY: Final = b""
_TRANSIENT: Final = b"live"
_JOINED: Final = b"\x01"

encode: Final = msgspec.msgpack.Encoder().encode


def socket_file(runtime: Path, stream: str) -> Path:
    """Return the path of a stream's socket in the run's private folder."""
    return runtime / f"{stream}.sock"


class StreamWriter:
    """The only writer of a stream: numbers, journals and then announces its messages.

    A frame is [stream, number, payload]. A frame with an empty payload only announces the number of the last message.
    Several messages at once are announced in this way, and readers take them from the journal in one read. The
    socket is in the run's private folder `runtime`.

    Attributes:
        socket: Socket for the poller; call `answer_subscriptions` when it is readable.
    """

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", runtime: Path, stream: str, journal: JournalWriter
    ) -> None:
        self.journal = journal
        self._last_seq = journal.last_seq
        self._stream = stream.encode()
        self.socket = context.socket(zmq.XPUB)
        self.socket.set(zmq.XPUB_VERBOSE, 1)
        self.socket.set(zmq.LINGER, LINGER_MS)
        self.socket.set(zmq.SNDHWM, QUEUE_MESSAGES)
        self._file = socket_file(runtime, stream)
        self._look_at_s = 0.0
        self._bind()

    @property
    def next_seq(self) -> int:
        """Sequence number that the next message must have."""
        return self.journal.last_seq + 1

    def write(self, messages: Sequence[Message]) -> None:
        """Journal and announce `messages`, which are numbered from `next_seq` on.

        Raises:
            OSError: Neither disk nor memory takes more records.
            RuntimeError: The number of the last message has changed; readers would ignore numbers that they have read.
        """
        if self.journal.last_seq != self._last_seq:
            raise RuntimeError(f"stream {self._stream.decode()}: the number of the last message has changed")
        payloads = [encode(message) for message in messages]
        self.journal.append(payloads)
        self._last_seq = self.journal.last_seq
        self._announce(payloads[0] if len(payloads) == 1 else _NUMBER_ONLY)

    def answer_subscriptions(self) -> None:
        """Announce the last number to new readers, which missed earlier announcements; restore removed files."""
        joined = False
        with contextlib.suppress(zmq.Again):
            while True:
                joined |= self.socket.recv(zmq.NOBLOCK).startswith(_JOINED)
        if joined:
            self._announce(_NUMBER_ONLY)
        if time.monotonic() >= self._look_at_s:
            if self._file.exists():
                self._look_at_s = time.monotonic() + LOOK_INTERVAL_S
            else:
                self._bind()
                self.journal.restore_file()

    def publish_transient(self, message: Message) -> None:
        """Send a message without number and journal record, because it is of no use later; it may be lost."""
        self.socket.send_multipart([self._stream, _TRANSIENT, encode(message)])

    def close(self) -> None:
        """Close the journal, which syncs its records, then the socket."""
        self.journal.close()
        self.socket.close()

    def _bind(self) -> None:
        """Create the socket's file, and its folder, which the system may remove at a logout."""
        self._look_at_s = time.monotonic() + LOOK_INTERVAL_S
        self._file.parent.mkdir(mode=0o700, exist_ok=True)
        self.socket.bind(f"ipc://{self._file}")

    def _announce(self, payload: bytes) -> None:
        self.socket.send_multipart([self._stream, _NUMBER.pack(self.journal.last_seq), payload])


class StreamReader:
    """Reader of one stream from the message after `after_seq` on: every message once and in order.

    The journal may be in any of `folders`. The decoder returns None for a message to drop.

    Attributes:
        socket: Socket for the poller; call `receive` when it is readable or `has_backlog` is set.
        has_backlog: True if messages wait in the journal.
        is_behind: True if more messages may wait than the last call of `receive` has returned.
        last_seq: Number of the last message returned.
        lost: Number of messages that are in neither the queue nor the journal, or that the decoder dropped.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        runtime: Path,
        stream: str,
        folders: Sequence[Path],
        decode: Callable[[bytes], Message | None],
        *,
        after_seq: int = 0,
    ) -> None:
        self.last_seq = after_seq
        self.has_backlog = True
        self.is_behind = True
        self.lost = 0
        self._announced_seq = after_seq
        self._received_since_look, self._next_look_s = 0, 0.0
        self._transient: Message | None = None
        self._decode = decode
        self._folders, self._stream = folders, stream
        self._journal = JournalReader(folders, stream, after_seq)
        self.socket = context.socket(zmq.SUB)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RCVHWM, QUEUE_MESSAGES)
        self.socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
        self.socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        self.socket.subscribe(stream.encode())
        self.socket.connect(f"ipc://{socket_file(runtime, stream)}")

    def receive(self, limit: int = MESSAGES_PER_STEP) -> list[Message]:
        """Return up to `limit` next messages without waiting."""
        messages = self._read_journal(limit) if self.has_backlog else []
        while len(messages) < limit and not self.has_backlog:
            try:
                _, number, payload = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                is_due = time.monotonic() >= self._next_look_s
                self.has_backlog = is_due or self._received_since_look >= FULL_MESSAGES
                break
            self._received_since_look += 1
            if number == _TRANSIENT:
                self._transient = self._decode(payload)
                continue
            (seq,) = _NUMBER.unpack(number)
            self._announced_seq = max(self._announced_seq, seq)
            if payload != _NUMBER_ONLY and seq == self.last_seq + 1:
                messages += self._decoded([payload])
                self.last_seq = seq
            elif seq > self.last_seq:
                self.has_backlog = True
        self.is_behind = self.has_backlog or len(messages) == limit
        return messages

    def is_beyond_end(self) -> bool:
        """Return True if `last_seq` is the number of no message, which only a flipped bit can cause."""
        end = last_number(self._folders, self._stream)
        return end is not None and self.last_seq > max(end, self._announced_seq)

    def take_transient(self) -> Message | None:
        """Return the newest transient message since the last call, or None."""
        transient, self._transient = self._transient, None
        return transient

    def close(self) -> None:
        """Close the socket and the journal's open file."""
        self.socket.close()
        self._journal.close()

    def _read_journal(self, limit: int) -> list[Message]:
        self._received_since_look, self._next_look_s = 0, time.monotonic() + LOOK_INTERVAL_S
        self._journal.skip_to(self.last_seq)
        records = self._journal.read(limit)
        self.has_backlog = len(records) == limit
        for record in records:
            self.lost += record.seq - self.last_seq - 1
            self.last_seq = record.seq
        if not self.has_backlog and self.last_seq < self._announced_seq:
            # Each announced message was journaled before. If it is missing, its segment was removed to save memory.
            self.lost += self._announced_seq - self.last_seq
            self.last_seq = self._announced_seq
        return self._decoded([record.payload for record in records])

    def _decoded(self, payloads: Sequence[bytes]) -> list[Message]:
        messages = [message for payload in payloads if (message := self._decode(payload)) is not None]
        self.lost += len(payloads) - len(messages)
        return messages

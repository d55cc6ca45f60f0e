"""Files in acknowledged chunks: the host's side of uploads and downloads, for the ground's emulator and for tests."""

import zlib
from dataclasses import dataclass
from enum import Enum, auto, unique

from pygnc.host.channel_events import Received
from pygnc.host.sentence_types import (
    CHUNK_BYTES,
    DNCH,
    DNCL,
    DNOP,
    DNST,
    NAKN,
    UPCH,
    UPCL,
    UPOP,
    UPST,
    NakCause,
    UploadState,
)
from pygnc.host.transfer import CHUNK_BYTES_MIN, Saying


@unique
class TransferState(Enum):
    """How a transfer stands on the host's side."""

    OPENING = auto()
    MOVING = auto()
    CLOSING = auto()
    DONE = auto()
    REFUSED = auto()


@dataclass
class UploadSender:
    """The host's side of an upload. `cause` says in words why it was refused."""

    name: str
    content: bytes
    transfer: int
    state: TransferState = TransferState.OPENING
    cause: str = ""
    offset: int = 0
    chunk_bytes: int = CHUNK_BYTES

    def line_down(self) -> None:
        """Wait for the next Connected, and go on with shorter chunks."""
        self.state = TransferState.OPENING
        self.chunk_bytes = max(self.chunk_bytes // 2, CHUNK_BYTES_MIN)

    def open(self) -> Saying:
        """Return what opens the transfer: at first, and again after each Connected."""
        self.state = TransferState.OPENING
        crc = zlib.crc32(self.content)
        return Saying(UPOP, UPOP.pack(self.transfer, len(self.content), crc, tail=self.name.encode()))

    def next_saying(self) -> Saying | None:
        """Return the next chunk, or the close behind the last one; None while there is nothing to say."""
        if self.state is not TransferState.MOVING:
            return None
        if self.offset >= len(self.content):
            self.state = TransferState.CLOSING
            return Saying(UPCL, UPCL.pack(self.transfer))
        data = self.content[self.offset : self.offset + self.chunk_bytes]
        chunk = Saying(UPCH, UPCH.pack(self.transfer, self.offset, tail=data))
        self.offset += len(data)
        return chunk

    def take(self, received: Received) -> list[Saying]:
        """Take an UPST or a NAKN; return what is to be said at once."""
        fields, tail = received.body
        if received.kind is NAKN and tail[:2] == b"UP" and fields["cause"] == NakCause.ORDER:
            # Once for all the chunks that were under way: their refusals come before the answer to this.
            return [] if self.state is TransferState.OPENING else [self.open()]
        if received.kind is NAKN and tail[:2] == b"UP":
            self.state, self.cause = TransferState.REFUSED, tail.decode(errors="replace")
        elif received.kind is UPST and fields["transfer"] == self.transfer and self.state is not TransferState.MOVING:
            if fields["state"] == UploadState.COMPLETE:
                self.state = TransferState.DONE
            elif fields["state"] == UploadState.DAMAGED:
                return [self.open()]
            else:
                self.state, self.offset = TransferState.MOVING, fields["offset"]
        return []


@dataclass
class DownloadReceiver:
    """The host's side of a download. `cause` says in words why it was refused."""

    name: str
    transfer: int
    state: TransferState = TransferState.OPENING
    cause: str = ""
    size: int = 0
    crc: int = 0

    def __post_init__(self) -> None:
        self.content = bytearray()

    def open(self) -> Saying:
        """Return what opens the transfer: at first, and again after each Connected."""
        self.state = TransferState.OPENING
        return Saying(DNOP, DNOP.pack(self.transfer, len(self.content), tail=self.name.encode()))

    def take(self, received: Received) -> list[Saying]:
        """Take a DNST, DNCH or NAKN; return what is to be said at once."""
        fields, tail = received.body
        if received.kind is NAKN and tail[:2] == b"DN":
            self.state, self.cause = TransferState.REFUSED, tail.decode(errors="replace")
        elif received.kind is DNST and fields["transfer"] == self.transfer:
            return self._begin(fields["offset"], fields["size"], fields["crc"])
        elif received.kind is DNCH and self.state is TransferState.MOVING and fields["offset"] == len(self.content):
            self.content += tail
        if self.state is TransferState.MOVING and len(self.content) >= self.size:
            return self._finish()
        return []

    def _begin(self, offset: int, size: int, crc: int) -> list[Saying]:
        is_other_file = bool(self.content) and (size, crc) != (self.size, self.crc)
        self.size, self.crc = size, crc
        if is_other_file or offset != len(self.content):
            self.content.clear()
            if offset:
                return [self.open()]
        self.state = TransferState.MOVING
        return self._finish() if len(self.content) >= size else []

    def _finish(self) -> list[Saying]:
        if zlib.crc32(self.content) != self.crc:
            self.content.clear()
            return [self.open()]
        self.state = TransferState.DONE
        return [Saying(DNCL, DNCL.pack(self.transfer))]

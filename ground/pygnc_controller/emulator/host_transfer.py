"""File transfers, the host's side. `pygnc.host.transfer` is the Pi's side."""

import zlib
from dataclasses import dataclass, field
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
from pygnc.host.transfer import CHUNK_BYTES_MIN, OutgoingSentence


@unique
class TransferState(Enum):
    """State of a transfer on the host's side."""

    OPENING = auto()
    TRANSFERRING = auto()
    CLOSING = auto()
    DONE = auto()
    REFUSED = auto()


@dataclass
class UploadSender:
    """The host's side of an upload; `cause` is the text of a rejection, `offset` the number of bytes sent."""

    name: str
    content: bytes
    transfer: int
    state: TransferState = TransferState.OPENING
    cause: str = ""
    offset: int = 0
    chunk_bytes: int = CHUNK_BYTES

    def line_down(self) -> None:
        """Wait for the next `Connected` event and use shorter chunks."""
        self.state = TransferState.OPENING
        self.chunk_bytes = max(self.chunk_bytes // 2, CHUNK_BYTES_MIN)

    def open(self) -> OutgoingSentence:
        """Return the sentence that opens the transfer, to be sent at first and after each `Connected` event."""
        self.state = TransferState.OPENING
        crc = zlib.crc32(self.content)
        return OutgoingSentence(UPOP, UPOP.pack(self.transfer, len(self.content), crc, tail=self.name.encode()))

    def next_sentence(self) -> OutgoingSentence | None:
        """Return the next chunk, or UPCL after the last chunk; None while there is nothing to send."""
        if self.state is not TransferState.TRANSFERRING:
            return None
        if self.offset >= len(self.content):
            self.state = TransferState.CLOSING
            return OutgoingSentence(UPCL, UPCL.pack(self.transfer))
        data = self.content[self.offset : self.offset + self.chunk_bytes]
        chunk = OutgoingSentence(UPCH, UPCH.pack(self.transfer, self.offset, tail=data))
        self.offset += len(data)
        return chunk

    def handle(self, received: Received) -> list[OutgoingSentence]:
        """Process UPST or NAKN and return the sentences to send."""
        fields, tail = received.body
        if received.kind is NAKN and tail[:2] == b"UP" and fields["cause"] == NakCause.ORDER:
            # Open it once: the NAKNs of all chunks in flight arrive before the response.
            return [] if self.state is TransferState.OPENING else [self.open()]
        if received.kind is NAKN and tail[:2] == b"UP":
            self.state, self.cause = TransferState.REFUSED, tail.decode(errors="replace")
        elif (
            received.kind is UPST
            and fields["transfer"] == self.transfer
            and self.state is not TransferState.TRANSFERRING
        ):
            if fields["state"] == UploadState.COMPLETE:
                self.state = TransferState.DONE
            elif fields["state"] == UploadState.DAMAGED:
                return [self.open()]
            else:
                self.state, self.offset = TransferState.TRANSFERRING, fields["offset"]
        return []


@dataclass
class DownloadReceiver:
    """The host's side of a download; `cause` is the text of a rejection."""

    name: str
    transfer: int
    state: TransferState = TransferState.OPENING
    cause: str = ""
    size: int = 0
    crc: int = 0
    content: bytearray = field(default_factory=bytearray)

    def open(self) -> OutgoingSentence:
        """Return the sentence that opens the transfer, to be sent at first and after each `Connected` event."""
        self.state = TransferState.OPENING
        return OutgoingSentence(DNOP, DNOP.pack(self.transfer, len(self.content), tail=self.name.encode()))

    def handle(self, received: Received) -> list[OutgoingSentence]:
        """Process DNST, DNCH or NAKN and return the sentences to send."""
        fields, tail = received.body
        if received.kind is NAKN and tail[:2] == b"DN":
            self.state, self.cause = TransferState.REFUSED, tail.decode(errors="replace")
        elif received.kind is DNST and fields["transfer"] == self.transfer:
            return self._begin(fields["offset"], fields["size"], fields["crc"])
        elif (
            received.kind is DNCH and self.state is TransferState.TRANSFERRING and fields["offset"] == len(self.content)
        ):
            self.content += tail
        if self.state is TransferState.TRANSFERRING and len(self.content) >= self.size:
            return self._finish()
        return []

    def _begin(self, offset: int, size: int, crc: int) -> list[OutgoingSentence]:
        is_other_file = bool(self.content) and (size, crc) != (self.size, self.crc)
        self.size, self.crc = size, crc
        if is_other_file or offset != len(self.content):
            self.content.clear()
            if offset:
                return [self.open()]
        self.state = TransferState.TRANSFERRING
        return self._finish() if len(self.content) >= size else []

    def _finish(self) -> list[OutgoingSentence]:
        if zlib.crc32(self.content) != self.crc:
            self.content.clear()
            return [self.open()]
        self.state = TransferState.DONE
        return [OutgoingSentence(DNCL, DNCL.pack(self.transfer))]

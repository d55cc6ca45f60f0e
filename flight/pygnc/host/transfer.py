"""Files in acknowledged chunks: the Pi's side of uploads and downloads. `host_transfer` is the other one.

Chunks travel in order, so a file only ever grows at its end, and what is there of an upload is what to resume from.
A side that was restarted, or a host that has lost the line, opens the same transfer again and hears where to go on.
Nothing here touches a port or a file: answers are returned as `Saying`, bytes go through `Storage`.

The names under which the host may write and read files, below the home folder. All others are refused.

What the transfers need of a file system; `files.py` has one.
"""

import re
from typing import Final, NamedTuple, Protocol

from pygnc.common.constants import PARTNER_IDS
from pygnc.formats.ranges import range_file_number
from pygnc.host.channel_events import Received
from pygnc.host.sentence_types import (
    CHUNK_BYTES,
    DNCH,
    DNLE,
    DNLS,
    DNOP,
    DNST,
    UPCH,
    UPOP,
    UPST,
    NakCause,
    SentenceType,
    UploadState,
)

_FIXED_WRITABLE: Final = frozenset({"sense.bin", "pygnc.toml", "pygnc_earth_orientation.csv", "flight.zip"})
_FIXED_READABLE: Final = frozenset({"pygnc_status.bin", "pygnc_info.txt", "pygnc_batch/sense.bin"})
_RANGE_FOLDERS: Final = frozenset({"range/", *(f"range/partner_{radio_id}/" for radio_id in PARTNER_IDS)})
_LETTER_FOLDERS: Final = frozenset(f"range/partner_{chr(radio_id)}/" for radio_id in PARTNER_IDS)
"""People may name a partner's folder so; the host names it by the number, lest a partner has two."""
_BATCH: Final = "pygnc_batch/"
_LOG: Final = re.compile(r"pygnc_logs/run-[0-9]{5}/[a-z_]{1,24}-[0-9]{5}\.pgj(\.part)?")


def is_writable(name: str) -> bool:
    """Whether the host may upload a file of this name."""
    return name in _FIXED_WRITABLE or _is_range_file(name, _RANGE_FOLDERS)


def is_readable(name: str) -> bool:
    """Whether the host may download a file of this name."""
    return name in _FIXED_READABLE or _LOG.fullmatch(name) is not None or _is_batch_range_file(name)


def _is_batch_range_file(name: str) -> bool:
    rest = name.removeprefix(_BATCH)
    return rest != name and (rest == "range.bin" or _is_range_file(rest, _RANGE_FOLDERS | _LETTER_FOLDERS | {""}))


def _is_range_file(name: str, folders: frozenset[str]) -> bool:
    folder, slash, file = name.rpartition("/")
    return folder + slash in folders and range_file_number(file) is not None


class Upload(NamedTuple):
    """A file on its way in; what is there of it belongs to exactly this size and CRC-32."""

    name: str
    size: int
    crc: int


class Listed(NamedTuple):
    """A file that the host may fetch."""

    name: str
    size: int


class Source(Protocol):
    """A file being read, as it was when it was opened."""

    @property
    def size(self) -> int:
        """Of the whole file, B."""
        ...

    @property
    def crc(self) -> int:
        """CRC-32 of the whole file."""
        ...

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from a place on, fewer at the end.

        Raises:
            OSError: the disk does not give them.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Storage(Protocol):
    """Files by their names below the home folder. Names have been checked before they come here."""

    def has(self, upload: Upload) -> bool:
        """Whether this very file is in place already."""
        ...

    def stored(self, upload: Upload) -> int:
        """Return how many bytes of an upload are there; its folder exists then, and other uploads of its name do not.

        Raises:
            OSError: the disk refuses, or has no room for the rest.
        """
        ...

    def append(self, upload: Upload, data: bytes) -> None:
        """Add bytes at the end of what is there.

        Raises:
            OSError: the disk refuses; a part of `data` may be there.
        """
        ...

    def complete(self, upload: Upload) -> bool:
        """Put the whole file in place of the old one, atomically; False, and nothing kept, if its CRC-32 is wrong.

        Raises:
            OSError: the disk refuses; the old file is still there.
        """
        ...

    def listing(self) -> list[Listed]:
        """Return what can be fetched, newest first."""
        ...

    def open(self, name: str) -> Source:
        """Open a file for reading.

        Raises:
            OSError: there is none, or it cannot be read.
        """
        ...


PAGE: Final = 16
"""Names that answer one request."""
CHUNK_BYTES_MIN: Final = 93
"""Down to here chunks are halved each time the line was down: on a line that bad, short ones come through."""


class Saying(NamedTuple):
    """A sentence to be sent."""

    kind: SentenceType
    body: bytes


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault of this program
    """The request is not obeyed; the other end is told the cause and the words."""

    def __init__(self, cause: NakCause, words: str) -> None:
        super().__init__(words)
        self.cause = cause


class UploadReceiver:
    """The Pi's side of uploads; one at a time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._transfer = 0
        self._upload: Upload | None = None
        self._offset = 0

    def take(self, received: Received) -> list[Saying]:
        """Obey one of UPOP, UPCH, UPCL; return the answers.

        Raises:
            Refusal: it cannot be obeyed.
        """
        fields, tail = received.body
        try:
            if received.kind is UPOP:
                return self._open(fields["transfer"], Upload(text_of(tail), fields["size"], fields["crc"]))
            if self._upload is None or fields["transfer"] != self._transfer:
                raise Refusal(NakCause.ORDER, ": no such transfer is open; open it with UPOP")
            if received.kind is UPCH:
                return self._chunk(self._upload, fields["offset"], tail)
            return self._close(self._upload)
        except OSError as error:
            self._upload = None
            raise Refusal(NakCause.STORAGE, f": {error.strerror}; open the transfer again when there is room") from None

    def _open(self, transfer: int, upload: Upload) -> list[Saying]:
        self._upload = None
        if not is_writable(upload.name):
            raise Refusal(NakCause.NAME, f": {upload.name} may not be written; the interface document has the names")
        self._transfer = transfer
        if self._storage.has(upload):  # the answer to an earlier UPCL was lost, or there is nothing to do
            self._offset = upload.size
            return [self._state(UploadState.COMPLETE)]
        self._offset = self._storage.stored(upload)
        self._upload = upload
        return [self._state(UploadState.GO_ON)]

    def _chunk(self, upload: Upload, offset: int, data: bytes) -> list[Saying]:
        if offset != self._offset or offset + len(data) > upload.size:
            self._upload = None
            raise Refusal(NakCause.ORDER, f": {self._offset} of {upload.size} bytes are here; open the transfer again")
        self._storage.append(upload, data)
        self._offset += len(data)
        return []

    def _close(self, upload: Upload) -> list[Saying]:
        if self._offset < upload.size:
            return [self._state(UploadState.GO_ON)]
        is_good = self._storage.complete(upload)
        self._upload = None
        if not is_good:
            self._offset = 0
        return [self._state(UploadState.COMPLETE if is_good else UploadState.DAMAGED)]

    def _state(self, state: UploadState) -> Saying:
        return Saying(UPST, UPST.pack(self._transfer, state, self._offset))


class DownloadSender:
    """The Pi's side of downloads; one at a time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._transfer = 0
        self._source: Source | None = None
        self._offset = 0
        self._chunk_bytes = CHUNK_BYTES

    def line_down(self) -> None:
        """Let go of the file; the host will open it again, and get shorter chunks."""
        self._close()
        self._chunk_bytes = max(self._chunk_bytes // 2, CHUNK_BYTES_MIN)

    def take(self, received: Received) -> list[Saying]:
        """Obey one of DNLS, DNOP, DNCL; return the answers.

        Raises:
            Refusal: it cannot be obeyed.
        """
        fields, tail = received.body
        try:
            if received.kind is DNLS:
                return self._list(fields["first"])
            if received.kind is DNOP:
                return self._open(fields["transfer"], fields["offset"], text_of(tail))
        except OSError as error:
            raise Refusal(NakCause.STORAGE, f": {error.strerror}") from None
        if fields["transfer"] == self._transfer:
            self._close()
        return []

    def next_chunk(self) -> Saying | None:
        """Return the next chunk of the file under way, None when there is none.

        Raises:
            OSError: the file cannot be read any more; the transfer has ended.
        """
        if self._source is None:
            return None
        try:
            data = self._source.read(self._offset, min(self._chunk_bytes, self._source.size - self._offset))
        except OSError:
            self._close()
            raise
        if not data:
            self._close()
            return None
        chunk = Saying(DNCH, DNCH.pack(self._transfer, self._offset, tail=data))
        self._offset += len(data)
        return chunk

    def _list(self, first: int) -> list[Saying]:
        listing = self._storage.listing()[: 1 << 15]
        entries = list(enumerate(listing))[first : first + PAGE]
        if not entries:
            return [Saying(DNLE, DNLE.pack(first, len(listing), 0))]
        return [
            Saying(DNLE, DNLE.pack(index, len(listing), entry.size, tail=entry.name.encode()))
            for index, entry in entries
        ]

    def _open(self, transfer: int, offset: int, name: str) -> list[Saying]:
        self._close()
        if not is_readable(name):
            raise Refusal(NakCause.NAME, f": {name} may not be read; the interface document has the names")
        source = self._storage.open(name)
        self._source, self._transfer, self._offset = source, transfer, min(offset, source.size)
        return [Saying(DNST, DNST.pack(transfer, self._offset, source.size, source.crc))]

    def _close(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = None


def text_of(octets: bytes) -> str:
    """Return the text in a tail; what is no ASCII becomes a mark that no name has."""
    return octets.decode("ascii", errors="replace")

"""File transfers, the Pi's side: permitted names, uploads and downloads.

Chunks are ordered sentences, so a file only grows at its end, and an upload resumes after the bytes stored so far.
After a restart of the Pi or a loss of the line, the host opens the same transfer again and receives the offset at which
to continue. No I/O here: responses are returned as `OutgoingSentence`, files are accessed through `Storage`.
The host's side is `pygnc_controller.emulator.host_transfer`.
"""

import re
from collections.abc import Callable
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

PAGE_ENTRIES: Final = 16
"""Maximum number of entries in the response to one list request."""
CHUNK_BYTES_MIN: Final = 93
"""Chunks are halved down to this size each time the line goes down: short chunks pass a bad line more often."""
_WRITABLE: Final = frozenset(
    {
        "sense.bin",
        "pygnc.toml",
        "pygnc.toml.sha256",
        "pygnc_earth_orientation.csv",
        "pygnc_elements.txt",
        "flight.zip",
        "flight.zip.minisig",
    }
)
_READABLE: Final = frozenset(
    {
        "pygnc_status.bin",
        "pygnc_info.txt",
        "pygnc_omm.bin",
        "pygnc_settings_trial.json",
        "pygnc_batch/sense.bin",
        "pygnc_batch/range.bin",
    }
)
_RANGE_FOLDERS: Final = frozenset({"range/", *(f"range/partner_{radio_id}/" for radio_id in PARTNER_IDS)})
_LETTER_FOLDERS: Final = frozenset(f"range/partner_{chr(radio_id)}/" for radio_id in PARTNER_IDS)
"""Partner folders that people named by a letter. The host can only read them; it writes to the numbered folder."""
_BATCH: Final = "pygnc_batch/"
_JOURNAL: Final = re.compile(r"pygnc_logs/run-[0-9]{5}/[a-z_]{1,24}-[0-9]{5}\.pgj(\.part)?")


def is_writable(name: str) -> bool:
    """Return True if the host may upload a file of this name, relative to the home folder."""
    return name in _WRITABLE or _is_range_file(name, _RANGE_FOLDERS)


def is_readable(name: str) -> bool:
    """Return True if the host may download a file of this name, relative to the home folder."""
    if name in _READABLE or _JOURNAL.fullmatch(name):
        return True
    rest = name.removeprefix(_BATCH)
    return rest != name and _is_range_file(rest, _RANGE_FOLDERS | _LETTER_FOLDERS | {""})


def _is_range_file(name: str, folders: frozenset[str]) -> bool:
    folder, slash, file = name.rpartition("/")
    return folder + slash in folders and range_file_number(file) is not None


class Upload(NamedTuple):
    """Identity of an upload: name, size in bytes and CRC-32 of the whole file."""

    name: str
    size: int
    crc: int


class ListedFile(NamedTuple):
    """A file that the host may download, with its size in bytes."""

    name: str
    size: int


class OpenedFile(NamedTuple):
    """A file opened for reading, with its size in bytes and its CRC-32 at the time of opening.

    Attributes:
        read: Function that returns a number of bytes (first argument) from an offset (second argument).
        close: Function that closes the file.
    """

    size: int
    crc: int
    read: Callable[[int, int], bytes]
    close: Callable[[], None]


class Storage(Protocol):
    """Files by name, relative to the home folder. The caller has checked the names.

    The methods raise OSError if a file cannot be read or written, or if there is no space.
    """

    def is_complete(self, upload: Upload) -> bool:
        """Return True if the file in place has the name, size and CRC-32 of `upload`."""

    def prepare(self, upload: Upload) -> int:
        """Return the number of bytes of an upload that are stored already, at which the host continues.

        Creates its folder and deletes partial uploads of other files of this name.
        """

    def append(self, upload: Upload, data: bytes) -> None:
        """Append bytes to a partial upload."""

    def complete(self, upload: Upload) -> bool:
        """Replace the old file atomically by the upload; if size or CRC-32 is wrong, delete it and return False."""

    def listing(self) -> list[ListedFile]:
        """Return the files that the host may download, newest first."""

    def open(self, name: str) -> OpenedFile:
        """Open a file for reading; the caller closes it."""


class OutgoingSentence(NamedTuple):
    """A sentence that the owner of the channel is to send: its type and encoded body."""

    kind: SentenceType
    body: bytes


class Refusal(Exception):  # noqa: N818 - a response to the host, not an error of this program
    """Rejection of a request; the host receives the cause and the text as a NAKN."""

    def __init__(self, cause: NakCause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


class UploadReceiver:
    """The Pi's side of uploads, one at a time: UPOP closes a transfer that is still open."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._transfer = 0
        self._upload: Upload | None = None
        self._offset = 0

    def handle(self, received: Received) -> list[OutgoingSentence]:
        """Process UPOP, UPCH or UPCL and return the responses.

        Raises:
            Refusal: The request is rejected.
        """
        fields, tail = received.body
        try:
            if received.kind is UPOP:
                return self._open(fields["transfer"], Upload(decode_text(tail), fields["size"], fields["crc"]))
            if self._upload is None or fields["transfer"] != self._transfer:
                raise Refusal(NakCause.ORDER, f": transfer {fields['transfer']} is not open; open it with UPOP")
            if received.kind is UPCH:
                return self._chunk(self._upload, fields["offset"], tail)
            return self._close(self._upload)
        except OSError as error:
            self._upload = None
            raise Refusal(NakCause.STORAGE, f": {error.strerror}; free space and open the transfer again") from None

    def _open(self, transfer: int, upload: Upload) -> list[OutgoingSentence]:
        self._upload = None
        if not is_writable(upload.name):
            raise Refusal(NakCause.NAME, f": {upload.name} may not be written; docs/interface.md lists the names")
        self._transfer = transfer
        if self._storage.is_complete(upload):  # the host may ask again, for example if the response to UPCL was lost
            self._offset = upload.size
            return [self._state(UploadState.COMPLETE)]
        self._offset = self._storage.prepare(upload)
        self._upload = upload
        return [self._state(UploadState.CONTINUE)]

    def _chunk(self, upload: Upload, offset: int, data: bytes) -> list[OutgoingSentence]:
        if offset != self._offset or offset + len(data) > upload.size:
            self._upload = None
            text = f": chunk at offset {offset}, but {self._offset} of {upload.size} bytes are stored"
            raise Refusal(NakCause.ORDER, f"{text}; open the transfer again")
        self._storage.append(upload, data)
        self._offset += len(data)
        return []

    def _close(self, upload: Upload) -> list[OutgoingSentence]:
        if self._offset < upload.size:
            return [self._state(UploadState.CONTINUE)]
        is_good = self._storage.complete(upload)
        self._upload = None
        if not is_good:
            self._offset = 0
        return [self._state(UploadState.COMPLETE if is_good else UploadState.DAMAGED)]

    def _state(self, state: UploadState) -> OutgoingSentence:
        return OutgoingSentence(UPST, UPST.pack(self._transfer, state, self._offset))


class DownloadSender:
    """The Pi's side of downloads, one at a time: DNOP closes a file that is still open."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._transfer = 0
        self._opened: OpenedFile | None = None
        self._offset = 0
        self._chunk_bytes = CHUNK_BYTES

    def line_down(self) -> None:
        """Close the file and use shorter chunks; the host will open the file again."""
        self._close()
        self._chunk_bytes = max(self._chunk_bytes // 2, CHUNK_BYTES_MIN)

    def handle(self, received: Received) -> list[OutgoingSentence]:
        """Process DNLS, DNOP or DNCL and return the responses.

        Raises:
            Refusal: The request is rejected.
        """
        fields, tail = received.body
        try:
            if received.kind is DNLS:
                return self._list(fields["first"])
            if received.kind is DNOP:
                return self._open(fields["transfer"], fields["offset"], decode_text(tail))
        except OSError as error:
            raise Refusal(NakCause.STORAGE, f": {error.strerror}; list the files again") from None
        if fields["transfer"] == self._transfer:
            self._close()
        return []

    def next_chunk(self) -> OutgoingSentence | None:
        """Return the next chunk of the open file, or None at its end or without an open file.

        Raises:
            OSError: Reading failed; the transfer has ended.
        """
        if self._opened is None:
            return None
        try:
            data = self._opened.read(min(self._chunk_bytes, self._opened.size - self._offset), self._offset)
        except OSError:
            self._close()
            raise
        if not data:
            self._close()
            return None
        chunk = OutgoingSentence(DNCH, DNCH.pack(self._transfer, self._offset, tail=data))
        self._offset += len(data)
        return chunk

    def _list(self, first: int) -> list[OutgoingSentence]:
        listing = self._storage.listing()[: 1 << 15]
        page = list(enumerate(listing))[first : first + PAGE_ENTRIES]
        return [
            OutgoingSentence(DNLE, DNLE.pack(index, len(listing), file.size, tail=file.name.encode()))
            for index, file in page
        ] or [OutgoingSentence(DNLE, DNLE.pack(first, len(listing), 0))]

    def _open(self, transfer: int, offset: int, name: str) -> list[OutgoingSentence]:
        self._close()
        if not is_readable(name):
            raise Refusal(NakCause.NAME, f": {name} may not be read; docs/interface.md lists the names")
        self._opened = opened = self._storage.open(name)
        self._transfer, self._offset = transfer, min(offset, opened.size)
        return [OutgoingSentence(DNST, DNST.pack(transfer, self._offset, opened.size, opened.crc))]

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        self._opened = None


def decode_text(octets: bytes) -> str:
    """Decode ASCII text; other bytes become a replacement character, which no valid name contains."""
    return octets.decode("ascii", errors="replace")

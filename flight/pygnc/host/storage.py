"""What the transfers need of a file system; `files.py` has one."""

from typing import NamedTuple, Protocol


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

"""A recording in place of a port: `file://x.raw`, or at a pace: `file://x.raw?bytes_per_s=620`."""

import time
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from pygnc_devices.bell import Bell
from pygnc_devices.errors import EndOfRecordingError, PortError, PortGoneError

_PIECE_BYTES: Final = 4096
_PACED_PIECES_PER_S: Final = 50


class RecordedPort:
    """Gives the bytes of a file, and takes none."""

    is_recording = True

    def __init__(self, url: str) -> None:
        self.url = url
        self.baud = 0
        parts = urlsplit(url)
        path = Path(unquote(parts.netloc + parts.path))
        query = parse_qs(parts.query)
        try:
            self._pace_bytes_per_s = float(query.pop("bytes_per_s", ["0"])[0])
        except ValueError:
            raise PortError(f"{url}: bytes_per_s is no number") from None
        if query or self._pace_bytes_per_s < 0:
            raise PortError(f"{url}: a recording takes one option, bytes_per_s, and no negative one")
        try:
            self._octets = path.read_bytes()
        except OSError as error:
            raise PortError(f"{path}: {error.strerror}") from None
        self._at = 0
        self._t_start = time.monotonic()
        self._woken = Bell()

    def read(self, timeout_s: float) -> bytes:
        """Return the next piece; see `Port`."""
        if self._at >= len(self._octets):
            raise EndOfRecordingError(f"{self.url} has been read to its end")
        size = _PIECE_BYTES
        if self._pace_bytes_per_s:
            due = int((time.monotonic() - self._t_start) * self._pace_bytes_per_s)
            size = min(size, due - self._at)
            if size <= 0:
                self._woken.wait(min(timeout_s, 1 / _PACED_PIECES_PER_S))
                return b""
        piece = self._octets[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def write(self, octets: bytes) -> None:
        """Refuse; see `Port`."""
        raise PortGoneError(f"{self.url} is a recording and cannot be asked ({len(octets)} bytes not sent)")

    def set_baud(self, baud: int) -> None:
        """Do nothing: a recording has no line."""

    def wake(self) -> None:
        """End a `read` that waits."""
        self._woken.ring()

    def close(self) -> None:
        """Do nothing: the file has been read."""

"""Ports by URL.

A serial path, `usb://0403:6015/SERIAL`, `socket://host:port`, `rfc2217://host:port`, `udp://:port` to listen,
`spi:///dev/spidev0.0`, `file://recording.raw`, or at a limited rate `file://recording.raw?bytes_per_s=620`.
"""

import os
import time
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from pygnc_devices.errors import EndOfRecordingError, PortError, PortGoneError
from pygnc_devices.network_port import TcpPort, UdpPort
from pygnc_devices.port import Port
from pygnc_devices.serial_port import SerialPort, find_usb_port
from pygnc_devices.spi_port import SpiPort
from pygnc_system.files import open_input

_RECORDED_PIECE_BYTES: Final = 1 << 16
_PACED_READS_PER_S: Final = 50


def open_port(url: str, baud: int) -> Port:
    """Open a port for this program alone.

    Raises:
        PortBusyError: another program uses the port; the message names the program if it is known.
        PortError: the port cannot be opened; the message names the cause and the remedy.
    """
    scheme = urlsplit(url).scheme
    if scheme == "file":
        return RecordedPort(url)
    if scheme == "socket":
        return TcpPort(url)
    if scheme == "udp":
        return UdpPort(url)
    if scheme == "spi":
        return SpiPort(url)
    if scheme == "usb":
        url = find_usb_port(url)
    return SerialPort(url, baud)


class RecordedPort(Port):
    """Port that returns the bytes of a file and cannot be written; see `Port`."""

    is_recording = True

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        path = Path(unquote(parts.netloc + parts.path))
        query = parse_qs(parts.query)
        try:
            self._bytes_per_s = float(query.pop("bytes_per_s", ["0"])[0])
        except ValueError:
            raise PortError(f"{url}: bytes_per_s is not a number; write it as ?bytes_per_s=620") from None
        if query or self._bytes_per_s < 0:
            raise PortError(f"{url}: the only option of a recording is bytes_per_s, which must not be negative")
        try:
            self._file = os.fdopen(open_input(path), "rb")
        except OSError as error:
            raise PortError(f"{path}: {error.strerror}") from None
        super().__init__(url)
        self._at = 0
        self._size = os.fstat(self._file.fileno()).st_size
        self._t_start = time.monotonic()

    def read(self, timeout_s: float) -> bytes:
        """Return the next bytes of the file."""
        size = _RECORDED_PIECE_BYTES
        if self._bytes_per_s:
            due = int((time.monotonic() - self._t_start) * self._bytes_per_s)
            size = min(size, due - self._at)
            if size <= 0:
                self._wait(min(timeout_s, 1 / _PACED_READS_PER_S))
                return b""
        try:
            piece = self._file.read(size)
        except OSError as error:
            raise PortGoneError(f"{self.url}: {error.strerror}") from None
        if not piece:
            raise EndOfRecordingError(f"{self.url}: end of the recording")
        self._at += len(piece)
        self.progress = self._at / max(self._at, self._size)
        return piece

    def write(self, octets: bytes) -> None:
        """Raise PortGoneError."""
        raise PortGoneError(f"{self.url} is a recording, which accepts no commands ({len(octets)} bytes not sent)")

    def close(self) -> None:
        """Close the file."""
        super().close()
        self._file.close()

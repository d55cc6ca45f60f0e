"""Ports by URL.

A serial path, `usb://0403:6015/SERIAL`, `socket://host:port`, `rfc2217://host:port`, `udp://:port` to listen,
`spi:///dev/spidev0.0`, or `file://recording.raw`.

A recording in place of a port: `file://x.raw`, or at a pace: `file://x.raw?bytes_per_s=620`.

Datagrams as a port: `udp://:8083` or `udp://192.168.0.2:8083`, the address to listen at.

A stream has no edges, so each datagram comes behind its length in bytes, itself included: 32 bits, little-endian.
"""

import contextlib
import errno
import selectors
import socket
import struct
import time
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from pygnc_devices.errors import EndOfRecordingError, PortBusyError, PortError, PortGoneError
from pygnc_devices.serial_port import HAS_TERMIOS, SerialPort, TtyState, find_usb_port
from pygnc_devices.spi_port import SpiPort
from pygnc_devices.wake_event import Bell

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


PREFIX: Final = struct.Struct("<I")
_LARGEST: Final = 65536
_BUFFER_BYTES: Final = 1 << 20


class UdpPort:
    """Hears whoever sends to an address of this computer; sends nothing."""

    is_recording = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.baud = 0
        self._socket = _bound(url)
        self._wake_out, self._wake_in = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for end in (self._socket, self._wake_out):
            end.setblocking(False)  # noqa: FBT003 - the library's signature
            self._selector.register(end, selectors.EVENT_READ)

    def read(self, timeout_s: float) -> bytes:
        """Return the datagrams that have come; see `port.Port`."""
        self._selector.select(timeout_s)
        with contextlib.suppress(BlockingIOError):
            self._wake_out.recv(_LARGEST)
        octets = bytearray()
        with contextlib.suppress(BlockingIOError):
            while len(octets) < _LARGEST:
                datagram = self._socket.recv(_LARGEST)
                octets += PREFIX.pack(PREFIX.size + len(datagram)) + datagram
        return bytes(octets)

    def write(self, octets: bytes) -> None:
        """Refuse; see `port.Port`."""
        raise PortGoneError(f"{self.url} only listens ({len(octets)} bytes not sent)")

    def set_baud(self, baud: int) -> None:
        """Do nothing: datagrams have no speed of a line."""

    def wake(self) -> None:
        """End a `read` that waits."""
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: nobody reads
            self._wake_in.send(b"\0")

    def close(self) -> None:
        """Give the address back; see `port.Port`."""
        self._selector.close()
        for end in (self._socket, self._wake_out, self._wake_in):
            end.close()


def _bound(url: str) -> socket.socket:
    parts = urlsplit(url)
    try:
        address = (parts.hostname or "", parts.port or 0)
    except ValueError:
        raise PortError(f"{url}: the port of a UDP address is a number below 65536") from None
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        opened.bind(address)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise PortBusyError(f"{url} is in use; end the program that listens there or name another port") from None
        raise PortError(f"{url}: {error.strerror or error}") from None
    return opened


class Port(Protocol):
    """An open port. One thread reads and writes it; `wake` may come from any."""

    url: str
    baud: int

    @property
    def is_recording(self) -> bool:
        """Whether it gives what was recorded, and takes nothing."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, b"" after the time or a `wake`.

        Raises:
            PortGoneError: nothing can come any more.
            EndOfRecordingError: the recording has been read to its end.
        """
        ...

    def write(self, octets: bytes) -> None:
        """Send all of it.

        Raises:
            PortGoneError: the other end is not there, or takes nothing.
        """
        ...

    def set_baud(self, baud: int) -> None:
        """Change the speed of the line; what is on its way in is lost."""
        ...

    def wake(self) -> None:
        """End a `read` that waits."""
        ...

    def close(self) -> None:
        """Give the port back; may be called twice."""
        ...


def open_port(url: str, baud: int) -> Port:
    """Open a port for this program alone.

    Raises:
        PortBusyError: another program has it; the message names it where that can be found out.
        PortError: it cannot be opened; the message says why and what helps.
    """
    scheme = urlsplit(url).scheme
    if scheme == "file":
        return RecordedPort(url)
    if scheme == "udp":
        return UdpPort(url)
    if scheme == "spi":
        return SpiPort(url)
    if scheme == "usb":
        url = find_usb_port(url)
    if "://" in url or not HAS_TERMIOS:
        return SerialPort(url, baud, None)
    tty = TtyState(url)
    tty.remember()
    try:
        return SerialPort(url, baud, tty)
    finally:
        tty.forget()

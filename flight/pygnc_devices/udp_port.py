"""Datagrams as a port: `udp://:8083` or `udp://192.168.0.2:8083`, the address to listen at.

A stream has no edges, so each datagram comes behind its length in bytes, itself included: 32 bits, little-endian.
"""

import contextlib
import errno
import selectors
import socket
import struct
from typing import Final
from urllib.parse import urlsplit

from pygnc_devices.errors import PortBusyError, PortError, PortGoneError

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

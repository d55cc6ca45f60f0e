"""Ports on a network: TCP connections to serial servers, `socket://host:4000`, and UDP datagrams, `udp://:8083`."""

import contextlib
import errno
import selectors
import socket
import struct
from typing import Final
from urllib.parse import urlsplit

from pygnc_devices.errors import PortBusyError, PortError, PortGoneError
from pygnc_devices.port import Port

_READ_BYTES: Final = 65536
_CONNECT_LIMIT_S: Final = 5.0
_WRITE_LIMIT_S: Final = 1.0
_LENGTH: Final = struct.Struct("<I")
_LARGEST_DATAGRAM: Final = 65536
_UDP_BUFFER_BYTES: Final = 1 << 20


class TcpPort(Port):
    """Connection to a serial server; see `Port`. The server sets the baud rate of its line."""

    def __init__(self, url: str) -> None:
        self._socket = _connected_socket(url)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(url)
        self._selector.register(self._socket, selectors.EVENT_READ)

    def read(self, timeout_s: float) -> bytes:
        """Return the bytes received."""
        try:
            if self._socket.fileno() not in self._wait(timeout_s):
                return b""
            octets = self._socket.recv(_READ_BYTES)
        except OSError as error:
            raise PortGoneError(f"{self.url}: {error.strerror or error}") from None
        if not octets:
            raise PortGoneError(f"{self.url}: closed by the other end")
        return octets

    def write(self, octets: bytes) -> None:
        """Send all bytes."""
        try:
            self._socket.settimeout(_WRITE_LIMIT_S)
            self._socket.sendall(octets)
        except TimeoutError:
            raise PortGoneError(f"{self.url}: the other end accepts no bytes; check that the device is on") from None
        except OSError as error:
            raise PortGoneError(f"{self.url}: {error.strerror or error}") from None

    def close(self) -> None:
        """Close the connection."""
        super().close()
        self._socket.close()


def _connected_socket(url: str) -> socket.socket:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        raise PortError(f"{url}: write the URL as socket://host:4000")
    try:
        return socket.create_connection((host, port), _CONNECT_LIMIT_S)
    except ConnectionRefusedError:
        raise PortError(f"{url}: connection refused; start the serial server") from None
    except OSError as error:
        raise PortError(f"{url}: {error.strerror or error}; check the address of the serial server") from None


class UdpPort(Port):
    """Port that receives datagrams at an address of this computer and cannot be written; see `Port`.

    The URL is `udp://:8083` or `udp://192.168.0.2:8083`. `read` puts four bytes before each datagram: its length,
    these four bytes included, little-endian.
    """

    def __init__(self, url: str) -> None:
        self._socket = _bound_socket(url)
        self._socket.setblocking(False)  # noqa: FBT003 - the library's signature
        super().__init__(url)
        self._selector.register(self._socket, selectors.EVENT_READ)

    def read(self, timeout_s: float) -> bytes:
        """Return the datagrams received."""
        self._wait(timeout_s)
        octets = bytearray()
        with contextlib.suppress(BlockingIOError):
            while len(octets) < _LARGEST_DATAGRAM:
                datagram = self._socket.recv(_LARGEST_DATAGRAM)
                octets += _LENGTH.pack(_LENGTH.size + len(datagram)) + datagram
        return bytes(octets)

    def write(self, octets: bytes) -> None:
        """Raise PortGoneError."""
        raise PortGoneError(f"{self.url} only receives and accepts no commands ({len(octets)} bytes not sent)")

    def close(self) -> None:
        """Release the address."""
        super().close()
        self._socket.close()


def _bound_socket(url: str) -> socket.socket:
    parts = urlsplit(url)
    try:
        address = (parts.hostname or "", parts.port or 0)
    except ValueError:
        raise PortError(f"{url}: the port of a UDP address must be a number below 65536") from None
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_BUFFER_BYTES)
        opened.bind(address)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise PortBusyError(f"{url} is in use; end the program that listens there or name another port") from None
        raise PortError(f"{url}: {error.strerror or error}") from None
    return opened

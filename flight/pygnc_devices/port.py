"""Ports by URL.

A serial path, `usb://0403:6015/SERIAL`, `socket://host:port`, `rfc2217://host:port`, `udp://:port` to listen,
`spi:///dev/spidev0.0`, or `file://recording.raw`.
"""

import contextlib
import errno
import os
import selectors
import socket
import sys
import time
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import serial

from pygnc_devices.errors import PortBusyError, PortError, PortGoneError
from pygnc_devices.recorded_port import RecordedPort
from pygnc_devices.spi_port import SpiPort
from pygnc_devices.tty import HAS_TERMIOS, TtyState, find_holder
from pygnc_devices.udp_port import UdpPort
from pygnc_devices.usb import find_usb_port

_READ_BYTES: Final = 65536
_WRITE_LIMIT_S: Final = 1.0
_LOOK_S: Final = 0.01
"""A port without a descriptor (rfc2217, Windows) is looked at this often."""
_SCHEMES: Final = ("usb://", "socket://", "rfc2217://", "udp://", "spi://", "file://")
_CAUSES: Final = {
    errno.ENOENT: "no such port; is the cable in?",
    errno.ENOTTY: "is no serial port",
    errno.EISDIR: "is no serial port",
    errno.ECONNREFUSED: "nobody listens there; is the serial server running?",
}
_BUSY: Final = (errno.EAGAIN, errno.EBUSY, errno.EACCES)


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


class SerialPort:
    """What pyserial opens; read and written through its descriptor where it has one that can be waited for."""

    is_recording = False

    def __init__(self, url: str, baud: int, tty: TtyState | None) -> None:
        self.url = url
        self.baud = baud
        self._serial = _open_serial(url, baud)
        self._tty = tty
        self._descriptor = _descriptor(self._serial)
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)  # noqa: FBT003 - the library's signature
        self._wake_in.setblocking(False)  # noqa: FBT003 - the library's signature
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        if self._descriptor is not None:
            self._selector.register(self._descriptor, selectors.EVENT_READ)
            if tty is not None:
                tty.close_for_others(self._descriptor)

    def read(self, timeout_s: float) -> bytes:
        """Return what has come; see `Port`."""
        try:
            return self._read_by_looking(timeout_s) if self._descriptor is None else self._read(timeout_s)
        except OSError as error:
            raise PortGoneError(f"{self.url}: {error.strerror or error}") from None

    def _read(self, timeout_s: float) -> bytes:
        ready = {key.fd for key, _ in self._selector.select(timeout_s)}
        if self._wake_out.fileno() in ready:
            self._wake_out.recv(_READ_BYTES)
        if self._descriptor not in ready or self._descriptor is None:
            return b""
        try:
            octets = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return b""
        if not octets:
            raise PortGoneError(f"{self.url}: the other end has hung up")
        return octets

    def _read_by_looking(self, timeout_s: float) -> bytes:
        end = time.monotonic() + timeout_s
        while True:
            waiting = self._serial.in_waiting
            if waiting:
                octets: bytes = self._serial.read(waiting)
                return octets
            left = end - time.monotonic()
            if left <= 0:
                return b""
            if self._selector.select(min(left, _LOOK_S)):
                self._wake_out.recv(_READ_BYTES)
                return b""

    def write(self, octets: bytes) -> None:
        """Send all of it; see `Port`."""
        try:
            if self._descriptor is None:
                self._serial.write(octets)
                return
            end = time.monotonic() + _WRITE_LIMIT_S
            while octets:
                with contextlib.suppress(BlockingIOError):
                    octets = octets[os.write(self._descriptor, octets) :]
                if octets and not self._wait_until_it_takes(end - time.monotonic()):
                    raise PortGoneError(f"{self.url}: the other end takes no bytes")
        except OSError as error:
            raise PortGoneError(f"{self.url}: {error.strerror or error}") from None

    def _wait_until_it_takes(self, limit_s: float) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._descriptor or 0, selectors.EVENT_WRITE)
            return limit_s > 0 and bool(selector.select(limit_s))

    def set_baud(self, baud: int) -> None:
        """Change the speed of the line; see `Port`."""
        try:
            self._serial.baudrate = baud
        except (OSError, ValueError) as error:
            raise PortGoneError(f"{self.url}: {baud} baud: {error}") from None
        self.baud = baud

    def wake(self) -> None:
        """End a `read` that waits."""
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: nobody reads
            self._wake_in.send(b"\0")

    def close(self) -> None:
        """Give the port back; see `Port`."""
        if not self._serial.is_open:
            return
        self._selector.close()
        if self._tty is not None and self._descriptor is not None:
            self._tty.put_back(self._descriptor)
        connection = getattr(self._serial, "_socket", None)
        with contextlib.suppress(OSError):
            self._serial.close()
        if connection is not None:  # pyserial leaves one open that the other end has reset
            connection.close()
        self._wake_out.close()
        self._wake_in.close()


def _open_serial(url: str, baud: int) -> Any:  # noqa: ANN401 - pyserial has no common type for its ports
    callers = sys.exception()
    try:
        port = serial.serial_for_url(url, baudrate=baud, timeout=0, exclusive=True, do_not_open=True)
        port.open()
    except (OSError, ValueError) as error:  # pyserial's own errors are OSErrors
        cause = error.__context__
        raise _why_not(url, error, None if cause is callers else cause) from None
    return port


def _descriptor(port: Any) -> int | None:  # noqa: ANN401 - likewise
    if os.name != "posix":
        return None
    try:
        number: int = port.fileno()
    except (AttributeError, OSError):  # rfc2217 reads its socket in a thread of its own
        return None
    return number


def _number(error: BaseException | None) -> int | None:
    """Return the system's number of an error; termios has it in its arguments only."""
    found = getattr(error, "errno", None) or (error.args[0] if error and error.args else None)
    return found if isinstance(found, int) else None


def _why_not(url: str, error: Exception, cause: BaseException | None) -> PortError:
    number = _number(error) or _number(cause)
    if number == errno.EACCES and not os.access(url, os.R_OK | os.W_OK):
        return PortError(f"{url}: no permission. On Linux: `sudo adduser $USER dialout`, then log in again")
    if number in _BUSY:
        return PortBusyError(f"{url} is in use{find_holder(url)}; end that program or name another port")
    told = _CAUSES.get(number or 0, str(error))
    if "://" in url and cause is not None and not isinstance(cause, OSError):
        told = f"is written {urlsplit(url).scheme}://host:4000"
    elif "protocol" in told:
        told = f"no such kind of port; there are {', '.join(_SCHEMES)}"
    return PortError(f"{url}: {told}")

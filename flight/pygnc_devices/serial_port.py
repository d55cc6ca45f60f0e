"""Serial ports: of this computer, found by USB id, and of serial servers.

`usb://0403:6015` or `usb://0403:6015/SERIALNUMBER` name a port by USB vendor, product and serial number.
"""

import contextlib
import errno
import os
import re
import selectors
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import serial
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from pygnc_devices.errors import PortBusyError, PortError, PortGoneError
from pygnc_devices.port import Port

try:
    import fcntl
    import termios
except ImportError:  # Windows opens ports exclusively by itself
    HAS_TERMIOS = False
else:
    HAS_TERMIOS = True

SERIAL_ADAPTERS: Final = frozenset({0x0403, 0x10C4, 0x067B, 0x1A86, 0x04D8, 0x04E2, 0x0557, 0x110A})
"""USB vendors of serial cables and boards: FTDI, Silicon Labs, Prolific, WCH, Microchip, Exar, ATEN, Moxa."""
_USB_URL: Final = re.compile(r"usb://([0-9a-fA-F]{4}):([0-9a-fA-F]{4})(?:/(.+))?")
_READ_BYTES: Final = 65536
_WRITE_LIMIT_S: Final = 1.0
_POLL_S: Final = 0.01
"""Interval at which a port without a descriptor (rfc2217, Windows) is polled."""
_SCHEMES: Final = ("usb://", "socket://", "rfc2217://", "udp://", "spi://", "file://")
_CAUSES: Final = {
    errno.ENOENT: "no such port; check the cable",
    errno.ENOTTY: "not a serial port; name another port",
    errno.EISDIR: "not a serial port; name another port",
    errno.ECONNREFUSED: "connection refused; start the serial server",
}
_BUSY: Final = (errno.EAGAIN, errno.EBUSY, errno.EACCES)


@contextlib.contextmanager
def _tty_settings(path: str) -> Iterator[list[Any] | None]:
    """Yield the settings of a terminal line; the line stays open meanwhile, so that DTR does not toggle."""
    descriptor, settings = None, None
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        if descriptor is not None:
            with contextlib.suppress(OSError, termios.error):
                settings = termios.tcgetattr(descriptor)
        yield settings
    finally:
        if descriptor is not None:
            os.close(descriptor)


class SerialPort(Port):
    """Port that pyserial opens. It waits for the file descriptor of the port, if there is one.

    A terminal line is locked against other programs, and its settings are restored afterwards.
    """

    def __init__(self, url: str, baud: int) -> None:
        self._is_tty = HAS_TERMIOS and "://" not in url
        with _tty_settings(url) if self._is_tty else contextlib.nullcontext() as self._settings:
            self._serial = _open_serial(url, baud)
        self._descriptor = _descriptor(self._serial)
        super().__init__(url)
        if self._descriptor is not None:
            self._selector.register(self._descriptor, selectors.EVENT_READ)
            if self._is_tty:  # also against programs that ignore pyserial's advisory lock
                with contextlib.suppress(OSError):
                    fcntl.ioctl(self._descriptor, termios.TIOCEXCL)

    def read(self, timeout_s: float) -> bytes:
        """Return the bytes received."""
        try:
            return self._read_by_polling(timeout_s) if self._descriptor is None else self._read(timeout_s)
        except OSError as error:
            raise PortGoneError(f"{self.url}: {error.strerror or error}") from None

    def _read(self, timeout_s: float) -> bytes:
        if self._descriptor not in self._wait(timeout_s) or self._descriptor is None:
            return b""
        try:
            octets = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return b""
        if not octets:
            raise PortGoneError(f"{self.url}: closed by the other end")
        return octets

    def _read_by_polling(self, timeout_s: float) -> bytes:
        end = time.monotonic() + timeout_s
        while True:
            waiting = self._serial.in_waiting
            if waiting:
                octets: bytes = self._serial.read(waiting)
                return octets
            left = end - time.monotonic()
            if left <= 0:
                return b""
            if self._wait(min(left, _POLL_S)):
                return b""

    def write(self, octets: bytes) -> None:
        """Send all bytes."""
        try:
            if self._descriptor is None:
                self._serial.write(octets)
                return
            end = time.monotonic() + _WRITE_LIMIT_S
            while octets:
                with contextlib.suppress(BlockingIOError):
                    octets = octets[os.write(self._descriptor, octets) :]
                if octets and not self._wait_until_writable(end - time.monotonic()):
                    raise PortGoneError(f"{self.url}: the other end accepts no bytes; check that the device is on")
        except OSError as error:
            raise PortGoneError(f"{self.url}: {error.strerror or error}") from None

    def _wait_until_writable(self, limit_s: float) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._descriptor or 0, selectors.EVENT_WRITE)
            return limit_s > 0 and bool(selector.select(limit_s))

    def set_baud(self, baud: int) -> None:
        """Change the baud rate of the line."""
        try:
            self._serial.baudrate = baud
        except (OSError, ValueError) as error:
            raise PortGoneError(f"{self.url}: {baud} baud: {error}") from None

    def close(self) -> None:
        """Close the port."""
        if not self._serial.is_open:
            return
        super().close()
        if self._is_tty and self._descriptor is not None:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._descriptor, termios.TIOCNXCL)
            if self._settings is not None:
                with contextlib.suppress(OSError, termios.error):
                    termios.tcsetattr(self._descriptor, termios.TCSANOW, self._settings)
        connection = getattr(self._serial, "_socket", None)
        with contextlib.suppress(OSError):
            self._serial.close()
        if connection is not None:  # pyserial leaves a connection open that the other end has reset
            connection.close()


def find_usb_port(url: str) -> str:
    """Return the path of a port by USB id and serial number.

    Raises:
        PortError: no port or several ports match; the message lists the ports on the USB.
    """
    match = _USB_URL.fullmatch(url)
    if match is None:
        raise PortError(f"{url}: write a USB port as usb://VENDOR:PRODUCT or usb://VENDOR:PRODUCT/SERIAL, ids in hex")
    vendor, product, serial_number = int(match[1], 16), int(match[2], 16), match[3]
    ports = _usb_ports()
    matching = [
        port
        for port in ports
        if (port.vid, port.pid) == (vendor, product) and serial_number in (None, port.serial_number)
    ]
    if len(matching) == 1:
        return str(matching[0].device)
    seen = ", ".join(f"{usb_url(port)} at {port.device}" for port in ports) or "none"
    raise PortError(f"{url}: {'several ports match' if matching else 'no port matches'}; ports on the USB: {seen}")


def candidate_ports() -> list[str]:
    """Return the paths of serial adapters. Other ports must not be probed: they may belong to other programs."""
    return [str(port.device) for port in _usb_ports() if port.vid in SERIAL_ADAPTERS]


def usb_url(port: ListPortInfo) -> str:
    """Return the URL of a port by its USB id."""
    return f"usb://{port.vid:04x}:{port.pid:04x}" + (f"/{port.serial_number}" if port.serial_number else "")


def find_holder(path: str) -> str:
    """Return the process that has a port open, as " by python3 (process 4711)"; "" if it is unknown."""
    wanted = os.path.realpath(path)
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) != os.getpid() and _has_open(folder, wanted):
            return f" by {_process_name(folder)} (process {folder.name})"
    if _has_open(Path("/proc/self"), wanted):
        return " by this very program"
    return ""


def _usb_ports() -> list[ListPortInfo]:
    return sorted((port for port in list_ports.comports() if port.vid is not None), key=lambda port: str(port.device))


def _has_open(process: Path, wanted: str) -> bool:
    try:
        return any(str(link.readlink()) == wanted for link in (process / "fd").iterdir())
    except OSError:  # the process has ended, or belongs to another user
        return False


def _process_name(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return (folder / "comm").read_text().strip()
    return "a program"


def _open_serial(url: str, baud: int) -> Any:  # noqa: ANN401 - pyserial has no common type for its ports
    callers = sys.exception()
    try:
        port = serial.serial_for_url(url, baudrate=baud, timeout=0, exclusive=True, do_not_open=True)
        port.open()
    except (OSError, ValueError) as error:  # pyserial's own errors are OSErrors
        cause = error.__context__
        raise _open_error(url, error, None if cause is callers else cause) from None
    return port


def _descriptor(port: Any) -> int | None:  # noqa: ANN401 - as above
    if os.name != "posix":
        return None
    try:
        number: int = port.fileno()
    except (AttributeError, OSError):  # rfc2217 reads its socket in a thread of its own
        return None
    return number


def _error_number(error: BaseException | None) -> int | None:
    """Return the `errno` of an error; errors of termios have it in their arguments only."""
    found = getattr(error, "errno", None) or (error.args[0] if error and error.args else None)
    return found if isinstance(found, int) else None


def _open_error(url: str, error: Exception, cause: BaseException | None) -> PortError:
    number = _error_number(error) or _error_number(cause)
    if number == errno.EACCES and not os.access(url, os.R_OK | os.W_OK):
        return PortError(f"{url}: no permission. On Linux: `sudo adduser $USER dialout`, then log in again")
    if number in _BUSY:
        return PortBusyError(f"{url} is in use{find_holder(url)}; end that program or name another port")
    text = _CAUSES.get(number or 0, str(error))
    if "://" in url and cause is not None and not isinstance(cause, OSError):
        text = f"write the URL as {urlsplit(url).scheme}://host:4000"
    elif "protocol" in text:
        text = f"unknown kind of port; choose from {', '.join(_SCHEMES)}"
    return PortError(f"{url}: {text}")

"""An SPI bus of Linux: `spi:///dev/spidev0.0`."""

import errno
import os
import struct
from collections.abc import Callable
from ctypes import addressof, create_string_buffer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from pygnc_devices.errors import PortBusyError, PortError, PortGoneError
from pygnc_devices.port import Port
from pygnc_devices.serial_port import find_holder

try:
    import fcntl
except ImportError:  # Windows has no such bus
    fcntl = None  # type: ignore[assignment]

MODE: Final = 1
SPEED_HZ: Final = 500_000
BYTE_PAUSE_US: Final = 20
_WR_MODE: Final = 0x40016B01
_WR_BITS_PER_WORD: Final = 0x40016B03
_WR_MAX_SPEED_HZ: Final = 0x40046B04
_MESSAGE_OF_ONE: Final = 0x40206B00
_TRANSFER: Final = struct.Struct("=QQIIHBBBBBB")
"""spi_ioc_transfer of linux/spi/spidev.h: buffers, length, speed, pause, bits, chip select, lines, word pause, pad."""

Ioctl = Callable[[int, int, Any], Any]


class SpiPort(Port):
    """Device file of the kernel's spidev driver.

    `write` exchanges bytes singly, with chip select active for each byte; `read` returns the received bytes.

    Args:
        url: `spi:///dev/spidev0.0`; defaults are `?mode=1&hz=500000`.

    Raises:
        PortBusyError: another program uses the bus.
        PortError: the bus cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self._ioctl = _system_ioctl()
        parts = urlsplit(url)
        self._path = parts.path
        mode, self._hz = _mode_and_speed(url, parts.query)
        self._received = b""
        self._descriptor: int | None = _open(url, self._path)
        super().__init__(url)
        try:
            self._ioctl(self._descriptor, _WR_MODE, struct.pack("=B", mode))
            self._ioctl(self._descriptor, _WR_BITS_PER_WORD, struct.pack("=B", 8))
            self._ioctl(self._descriptor, _WR_MAX_SPEED_HZ, struct.pack("=I", self._hz))
        except OSError as error:
            self.close()
            raise PortError(f"{url}: not an SPI bus: {error.strerror}") from None

    def read(self, timeout_s: float) -> bytes:
        """Return the received bytes."""
        if not self._received:
            self._wait(max(timeout_s, 1e-3))
        received, self._received = self._received, b""
        return received

    def write(self, octets: bytes) -> None:
        """Exchange bytes."""
        if self._descriptor is None:
            raise PortGoneError(f"{self.url} is closed; open it again")
        for octet in octets:
            out, back = create_string_buffer(bytes([octet]), 1), create_string_buffer(1)
            transfer = _TRANSFER.pack(addressof(out), addressof(back), 1, self._hz, BYTE_PAUSE_US, 8, 0, 0, 0, 0, 0)
            try:
                self._ioctl(self._descriptor, _MESSAGE_OF_ONE, transfer)
            except OSError as error:
                raise PortGoneError(f"{self.url}: {error.strerror}") from None
            self._received += back.raw

    def close(self) -> None:
        """Close the bus."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
            super().close()


def _system_ioctl() -> Ioctl:
    if fcntl is None:
        raise PortError("this system has no SPI bus; use the USB adapter")
    return fcntl.ioctl


def _mode_and_speed(url: str, query: str) -> tuple[int, int]:
    values = {name: texts[-1] for name, texts in parse_qs(query).items()}
    try:
        mode, speed_hz = int(values.pop("mode", MODE)), int(values.pop("hz", SPEED_HZ))
    except ValueError:
        raise PortError(f"{url}: mode and hz must be whole numbers, as in ?mode=1&hz=500000") from None
    if values or not 0 <= mode <= 3 or speed_hz <= 0:
        raise PortError(f"{url}: write the URL of an SPI bus as spi:///dev/spidev0.0?mode=1&hz=500000")
    return mode, speed_hz


def _open(url: str, path: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _open_error(url, error) from None
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise PortBusyError(f"{url} is in use{find_holder(path)}; end that program or name another port") from None
    return descriptor


def _open_error(url: str, error: OSError) -> PortError:
    if error.errno == errno.ENOENT:
        return PortError(
            f"{url}: the bus does not exist. Enable SPI; on a Raspberry Pi: `sudo raspi-config`, Interface Options"
        )
    if error.errno == errno.EACCES:
        return PortError(f"{url}: no permission. On Linux: `sudo adduser $USER spi`, then log in again")
    return PortError(f"{url}: {error.strerror}")

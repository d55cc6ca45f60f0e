"""Non-blocking serial port or terminal that reports the transmission time of its unsent bytes."""

import contextlib
import errno
import fcntl
import os
import struct
import termios
import time
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final

from pygnc.configuration.settings import BAUDS

STANDARD: Final = "/proc/self/fd/0"
"""Path of the terminal that started main.py. Opening it again allows non-blocking reads; on the inherited descriptor,
they would also make the reads of the shell non-blocking."""
READ_BYTES: Final = 16_384
LEFT_S: Final = 0.01
"""Transmission time of the unsent bytes below which the port accepts the next output, s."""
BLOCKED_S: Final = 0.05
"""Polling interval while the driver accepts no bytes, s."""
PTY_BAUD: Final = 115_200
"""Assumed speed of a pseudo-terminal, bit/s. Its driver does not report unsent bytes, so `Port` computes them."""
_PTY_MAJORS: Final = range(136, 144)
"""Major device numbers by which Linux identifies pseudo-terminals (devices.txt of the kernel)."""
_BITS_PER_BYTE: Final = 10
_SPEEDS: Final = {getattr(termios, f"B{baud}"): baud for baud in BAUDS}


class Port:
    """An open serial port or terminal.

    Args:
        descriptor: Non-blocking file descriptor; the port closes it.

    Attributes:
        descriptor: File descriptor to poll for reading while the port is open.
        is_open: False once the other end has hung up or the device has disappeared.
    """

    def __init__(self, descriptor: int) -> None:
        self.is_open = True
        self.descriptor = descriptor
        self._rest = b""
        self._close: Callable[[], None] = partial(os.close, descriptor)
        self._is_pty = os.major(os.fstat(descriptor).st_rdev) in _PTY_MAJORS
        self._bytes_per_s = PTY_BAUD / _BITS_PER_BYTE if self._is_pty else _bytes_per_s(descriptor)
        self._sent_s = -inf

    @classmethod
    def open_terminal(cls, path: str = STANDARD) -> "Port":
        """Open a terminal without changing its settings.

        Raises:
            OSError: The terminal cannot be opened.
        """
        return cls(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))

    @classmethod
    def open_serial(cls, path: str, baud: int) -> "Port":
        """Open a serial port for exclusive use; `baud` is its speed in bit/s.

        Raises:
            OSError: The port cannot be opened or does not support the speed.
        """
        import serial  # noqa: PLC0415 - few runs have a second port, and the import delays the start

        try:
            device = serial.Serial(path, baud, timeout=0, write_timeout=0, exclusive=True)
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error), path) from None
        port = cls(device.fileno())
        port._close = device.close  # also keeps pyserial's object, which closes the descriptor when it is freed
        port._bytes_per_s = baud / _BITS_PER_BYTE
        _let_empty_reads_fail(port.descriptor)
        return port

    def read(self) -> bytes:
        """Return the bytes received, without waiting; at end of file or on an error, set `is_open` to False."""
        try:
            data = os.read(self.descriptor, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            self.is_open = False
            return b""
        if not data:
            self.is_open = False
        return data

    def write(self, data: bytes) -> None:
        """Send bytes; those that the driver does not accept now are kept for `flush`."""
        self._rest += data
        self.flush()

    def flush(self) -> None:
        """Send the bytes that `write` could not send; on an error, set `is_open` to False."""
        try:
            while self._rest:
                count = os.write(self.descriptor, self._rest)
                self._rest = self._rest[count:]
                self._sent_s = max(self._sent_s, time.monotonic()) + count / self._bytes_per_s
        except BlockingIOError:
            return
        except OSError:
            self.is_open = False

    def ready_in_s(self) -> float:
        """Return the time until most of the output is sent, s; 0: write the next output now, infinite: closed."""
        if not self.is_open:
            return inf
        if self._rest:
            return BLOCKED_S
        if self._is_pty:
            return max(0.0, self._sent_s - time.monotonic() - LEFT_S)
        return max(0.0, self._queued_bytes() / self._bytes_per_s - LEFT_S)

    def close(self) -> None:
        """Close the descriptor, once; bytes not accepted by the driver are discarded."""
        self.is_open = False
        close, self._close = self._close, lambda: None
        with contextlib.suppress(OSError):
            close()

    def _queued_bytes(self) -> int:
        try:
            (queued,) = struct.unpack("i", fcntl.ioctl(self.descriptor, termios.TIOCOUTQ, b"\0\0\0\0"))
        except OSError:
            return 0
        return int(queued)


def _let_empty_reads_fail(descriptor: int) -> None:
    """Let a read without input fail, since pyserial's setting lets it return nothing, as after a hang-up."""
    attributes = termios.tcgetattr(descriptor)
    attributes[6][termios.VMIN] = 1
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


def _bytes_per_s(descriptor: int) -> float:
    try:
        speed = termios.tcgetattr(descriptor)[5]
    except termios.error:
        speed = None
    return _SPEEDS.get(speed, 115_200) / _BITS_PER_BYTE

"""Base class of ports; `ports` opens them by their URLs."""

import selectors
from abc import ABC, abstractmethod

from pygnc_system.wake_event import WakeSocket


class Port(ABC):
    """Open port. One thread reads and writes it; any thread may call `wake`.

    Attributes:
        url: URL or path of the port.
        is_recording: True if the port returns recorded bytes and cannot be written.
        progress: share of a recording that has been read, 0 to 1; None for a device.
    """

    is_recording = False
    progress: float | None = None

    def __init__(self, url: str) -> None:
        self.url = url
        self._wake = WakeSocket()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ)

    @abstractmethod
    def read(self, timeout_s: float) -> bytes:
        """Return the bytes received; b"" after the timeout or a `wake`.

        Raises:
            PortGoneError: the port was lost.
            EndOfRecordingError: the recording has been read to its end.
        """

    @abstractmethod
    def write(self, octets: bytes) -> None:
        """Send all bytes.

        Raises:
            PortGoneError: the port was lost, or the other end accepts no bytes.
        """

    def set_baud(self, baud: int) -> None:  # noqa: B027 - ports without a line have nothing to do
        """Change the baud rate of the line; bytes in transit are lost. Without effect if the port has no line."""

    def wake(self) -> None:
        """End a `read` that waits."""
        self._wake.set()

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._selector.close()
        self._wake.close()

    def _wait(self, timeout_s: float) -> set[int]:
        """Wait until a registered descriptor can be read, for a `wake` or the timeout; return the descriptors."""
        ready = {key.fd for key, _ in self._selector.select(timeout_s)}
        self._wake.clear()
        return ready

"""What has come from a port and is not judged yet: the beginning of a frame, or of none."""

import time
from typing import Final

from pygnc_devices.frames import Scan, Scanner, scan_to_end

_SLACK_S: Final = 0.05
_NETWORK_SLACK_S: Final = 0.25
_BITS_PER_BYTE: Final = 10


class Tail:
    """The end of what was scanned. A head that does not become whole, however much comes behind it, stalls.

    Args:
        scanner: the parser.
        longest_frame: bytes; a frame that takes longer than that on the line stalls.
        is_network: whether bytes come by a network, with pauses of its own.
    """

    def __init__(self, scanner: Scanner, longest_frame: int, *, is_network: bool) -> None:
        self._scanner = scanner
        self._longest_bits = longest_frame * _BITS_PER_BYTE
        self._slack_s = _NETWORK_SLACK_S if is_network else _SLACK_S
        self._octets = b""
        self._since_s = 0.0

    def stalls_at_s(self, baud: int) -> float | None:
        """Return until when its head may become whole, on the monotonic clock; None if there is nothing."""
        return self._since_s + self._longest_bits / max(baud, 1) + self._slack_s if self._octets else None

    def is_stalled(self, baud: int) -> bool:
        """Tell whether its head has had the time to become whole."""
        stalls_at_s = self.stalls_at_s(baud)
        return stalls_at_s is not None and time.monotonic() >= stalls_at_s

    def scan(self, piece: bytes, *, stalled: bool) -> Scan:
        """Scan it with what follows; with `stalled` its head is given up if it is cut."""
        is_new = not self._octets
        self._octets += piece
        scan = self._scanner(self._octets, stalled)
        self._octets = self._octets[scan.used :]
        if is_new or scan.used:
            self._since_s = time.monotonic()
        return scan

    def scan_to_end(self) -> Scan:
        """Scan it when nothing follows."""
        octets, self._octets = self._octets, b""
        return scan_to_end(self._scanner, octets)

    def drop(self) -> int:
        """Forget it; return how many bytes it had."""
        dropped, self._octets = len(self._octets), b""
        return dropped

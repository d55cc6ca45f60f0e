"""One byte for one byte: the same exchange over the USB adapter and over an SPI bus of the computer.

The adapter is Alphasense's, which is Devantech's USB-ISS: frames of its own on a serial line. Each byte for the counter
goes in a frame of its own, because the counter wants a rest of 10 µs between bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from pygnc_devices.errors import NoAnswerError, RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.opc_n3.framing import BYTE
from pygnc_devices.scheduler import Claim, Procedure, Request

MODE_1: Final = 0x92
"""SPI mode 1, which the adapter calls 2, with frames of one byte."""
DIVIDER_500_KHZ: Final = 11
_MODULE_ID: Final = 0x07
_ACK: Final = 0xFF
_TIMEOUT_S: Final = 1.0
_PROBE_S: Final = 0.2
_REASONS: Final = {5: "unknown command", 6: "internal error 1", 7: "internal error 2"}


class Link(Protocol):
    """What carries bytes to a counter and back."""

    def set_up(self) -> Procedure[str]:
        """Make it ready; returns its serial number, "" if it has none.

        Raises:
            NoAnswerError: it is not there.
            RefusedError: it is something else.
        """
        ...

    def exchange(self, octet: int) -> Procedure[int]:
        """Send a byte and return the one that came for it.

        Raises:
            NoAnswerError: none came.
            RefusedError: the adapter did not send it.
        """
        ...


def link_of(url: str, adapter_s: float) -> Link:
    """Return what hangs at a port; an adapter has that long to answer."""
    return Bus() if urlsplit(url).scheme == "spi" else UsbIss(adapter_s)


@dataclass(frozen=True, slots=True)
class UsbIss:
    """The adapter.

    Attributes:
        timeout_s: how long it may take to answer.
    """

    timeout_s: float = _TIMEOUT_S

    def set_up(self) -> Procedure[str]:
        """See `Link`."""
        module = yield from _ask(b"\x5a\x01", 3, _PROBE_S)
        if module[0] != _MODULE_ID:
            raise RefusedError(f"what answers is no USB-ISS adapter (module {module[0]})")
        serial_number = yield from _ask(b"\x5a\x03", 8, self.timeout_s)
        answer = yield from _ask(bytes([0x5A, 0x02, MODE_1, DIVIDER_500_KHZ]), 2, self.timeout_s)
        if answer[0] != _ACK:
            raise RefusedError(f"the USB-ISS adapter refuses SPI: {_REASONS.get(answer[1], answer[1])}")
        return serial_number.decode("latin-1").strip("\0 ")

    def exchange(self, octet: int) -> Procedure[int]:
        """See `Link`."""
        answer = yield from _ask(bytes([0x61, octet]), 2, self.timeout_s)
        if answer[0] != _ACK:
            raise RefusedError("the USB-ISS adapter did not send a byte")
        return answer[1]


@dataclass(frozen=True, slots=True)
class Bus:
    """An SPI bus of the computer itself."""

    def set_up(self) -> Procedure[str]:
        """See `Link`."""
        yield from ()
        return ""

    def exchange(self, octet: int) -> Procedure[int]:
        """See `Link`."""
        return (yield from _ask(bytes([octet]), 1, _TIMEOUT_S))[0]


def _ask(octets: bytes, length: int, timeout_s: float) -> Procedure[bytes]:
    request = Request(octets, _collector(length), "link", timeout_s, tries=1, grace_s=timeout_s, what="the adapter")
    answer = b"".join(frame.payload for frame in (yield request))
    if len(answer) < length:
        raise NoAnswerError(f"the adapter answered {len(answer)} of {length} bytes")
    return answer


def _collector(length: int) -> Callable[[Frame], Claim]:
    """Claim that many bytes; a single 0 in place of an answer that begins with FF is a refusal in full."""
    missing = length

    def accept(frame: Frame) -> Claim:
        nonlocal missing
        if frame.kind != BYTE:
            return Claim.NO
        missing -= 1
        return Claim.PART if missing else Claim.LAST

    return accept

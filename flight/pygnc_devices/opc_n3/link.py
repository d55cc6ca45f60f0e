"""Exchange of single bytes with a counter: over the USB adapter, or over an SPI bus of this computer.

The adapter is Alphasense's, a Devantech USB-ISS, with frames of its own on a serial line. Each byte for the counter
goes in a frame of its own, because the counter needs a pause of 10 µs between bytes.
"""

from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from pygnc_devices.errors import NoAnswerError, RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import Claim, Request

MODE_1: Final = 0x92
"""SPI mode 1, which the adapter calls 2, with frames of one byte."""
DIVIDER_500_KHZ: Final = 11
_MODULE_ID: Final = 0x07
_ACK: Final = 0xFF
_TIMEOUT_S: Final = 1.0
_PROBE_S: Final = 0.2
_REASONS: Final = {5: "unknown command", 6: "internal error 1", 7: "internal error 2"}


class Link(Protocol):
    """Carries bytes to a counter and back."""

    async def set_up(self) -> str:
        """Initialise the link; return its serial number, "" if it has none.

        Raises:
            NoAnswerError: the adapter does not answer.
            RefusedError: another device answers.
        """
        ...

    async def exchange(self, octet: int) -> int:
        """Send a byte and return the byte received for it.

        Raises:
            NoAnswerError: no byte came.
            RefusedError: the adapter did not send the byte.
        """
        ...


def link_for(url: str, adapter_s: float) -> Link:
    """Return the link for a port; `adapter_s` is the adapter's time limit."""
    return SpiBus() if urlsplit(url).scheme == "spi" else UsbIss(adapter_s)


@dataclass(frozen=True, slots=True)
class UsbIss:
    """The USB adapter.

    Attributes:
        timeout_s: time limit for its answers.
    """

    timeout_s: float = _TIMEOUT_S

    async def set_up(self) -> str:
        """Identify the adapter and set it to SPI; see `Link`."""
        module = await _transact(b"\x5a\x01", 3, _PROBE_S)
        if module[0] != _MODULE_ID:
            raise RefusedError(f"the device that answers is not a USB-ISS adapter (module {module[0]})")
        serial_number = await _transact(b"\x5a\x03", 8, self.timeout_s)
        answer = await _transact(bytes([0x5A, 0x02, MODE_1, DIVIDER_500_KHZ]), 2, self.timeout_s)
        if answer[0] != _ACK:
            raise RefusedError(f"the USB-ISS adapter refuses SPI: {_REASONS.get(answer[1], answer[1])}")
        return serial_number.decode("latin-1").strip("\0 ")

    async def exchange(self, octet: int) -> int:
        """Exchange a byte; see `Link`."""
        answer = await _transact(bytes([0x61, octet]), 2, self.timeout_s)
        if answer[0] != _ACK:
            raise RefusedError("the USB-ISS adapter did not send a byte")
        return answer[1]


@dataclass(frozen=True, slots=True)
class SpiBus:
    """An SPI bus of this computer."""

    async def set_up(self) -> str:
        """Do nothing; see `Link`."""
        return ""

    async def exchange(self, octet: int) -> int:
        """Exchange a byte; see `Link`."""
        return (await _transact(bytes([octet]), 1, _TIMEOUT_S))[0]


async def _transact(octets: bytes, length: int, timeout_s: float) -> bytes:
    """Send bytes and return the `length` bytes of the answer."""
    missing = length

    def accept(frame: Frame) -> Claim:
        nonlocal missing
        missing -= len(frame.payload)
        return Claim.LAST if missing <= 0 else Claim.PART

    request = Request(octets, accept, "link", timeout_s, tries=1, grace_s=timeout_s, what="the adapter")
    answer = b"".join(frame.payload for frame in await request)
    if len(answer) < length:
        raise NoAnswerError(f"the adapter answered {len(answer)} of {length} bytes")
    return answer[:length]

"""Commands of an OPC-N3, and the SPI link that carries them byte by byte.

The link is an SPI bus of this computer, or Alphasense's USB adapter, a Devantech USB-ISS with frames of its own on a
serial line. Each byte for the counter goes in a frame of its own, because the counter needs a pause of 10 µs between
bytes. A command begins with a handshake: the counter sends 31 while it is busy and F3 when it is ready, and the command
byte is repeated until then. The commands 30 and 32 reset the histogram: if their response is broken, the histogram is
lost, and they are not repeated.
"""

from dataclasses import dataclass
from typing import Final

from pygnc_devices.errors import AbortedError, DeviceError, NoAnswerError, RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import Claim, Request, Sleep

POWER: Final = 0x03
WEIGHTING_INDEX: Final = 0x05
RESET: Final = 0x06
READ_SERIAL: Final = 0x10
WRITE_SERIAL: Final = 0x11
READ_FIRMWARE: Final = 0x12
READ_STATUS: Final = 0x13
READ_HISTOGRAM: Final = 0x30
READ_PM: Final = 0x32
WRITE_CONFIGURATION: Final = 0x3A
READ_CONFIGURATION: Final = 0x3C
READ_INFORMATION: Final = 0x3F
BOOTLOADER: Final = 0x41
SET_POT: Final = 0x42
SAVE: Final = 0x43
CHECK: Final = 0xCF
SAVE_KEY: Final = bytes([0x3F, 0x3C, 0x3F, 0x3C, 0x43])

_BUSY: Final = 0x31
_READY: Final = 0xF3
_DRAIN_S: Final = 0.05
_LOCK_POLL_S: Final = 0.005

_SPI_MODE_1: Final = 0x92
"""Code of SPI mode 1 in the adapter's protocol, with frames of one byte."""
_DIVIDER_500_KHZ: Final = 11
_MODULE_ID: Final = 0x07
_ACK: Final = 0xFF
_TIMEOUT_S: Final = 1.0
_PROBE_S: Final = 0.2
_REASONS: Final = {5: "unknown command", 6: "internal error 1", 7: "internal error 2"}


class HandshakeError(DeviceError):
    """Error raised when the counter did not become ready; send nothing to it for `Timing.rest_s`."""


class BrokenAnswerError(DeviceError):
    """Error raised when a response is incomplete or contradicts itself.

    Attributes:
        octets: bytes received.
    """

    def __init__(self, message: str, octets: bytes = b"") -> None:
        super().__init__(message)
        self.octets = octets


@dataclass(frozen=True, slots=True)
class Timing:
    """Pauses that the counter needs; the defaults follow the guidelines in its manual.

    Attributes:
        poll_s: pause between two bytes of a handshake and before each command, s (0.01 to 0.1).
        polls: number of polls of one handshake; 20 are too few with a long cable.
        rest_s: silence after a failed handshake, s (2 to 10).
        handshakes: maximum number of handshakes, with a rest between them.
        laser_s: pause between switching on laser and fan, s, for weak supplies.
        fan_s: time that the fan needs to reach its speed, s.
        restart_s: pause after a reset or a write of the configuration, s; meanwhile the counter does not respond.
        keep_alive_s: interval between two checks, s. After 65 s without a command the counter records autonomously and
            no longer responds.
        adapter_s: time limit for responses of the USB adapter, s.
    """

    poll_s: float = 0.012
    polls: int = 60
    rest_s: float = 2.5
    handshakes: int = 3
    laser_s: float = 1.0
    fan_s: float = 5.0
    restart_s: float = 2.0
    keep_alive_s: float = 10.0
    adapter_s: float = 1.0


STANDARD: Final = Timing()


class Link:
    """Link to a counter on an SPI bus of this computer."""

    async def set_up(self) -> str:
        """Initialise the link; return the serial number of the adapter, "" without an adapter.

        Raises:
            NoAnswerError: the adapter does not respond.
            RefusedError: another device responds.
        """
        return ""

    async def exchange(self, octet: int) -> int:
        """Send a byte and return the byte received for it.

        Raises:
            NoAnswerError: no byte was received.
            RefusedError: the adapter did not send the byte.
        """
        return (await _transact(bytes([octet]), 1, _TIMEOUT_S))[0]


class UsbIss(Link):
    """Link to a counter behind the USB adapter; `timeout_s` is the time limit for its responses in seconds."""

    def __init__(self, timeout_s: float = _TIMEOUT_S) -> None:
        self._timeout_s = timeout_s

    async def set_up(self) -> str:
        """Identify the adapter, set it to SPI, and return its serial number; see `Link`."""
        module = await _transact(b"\x5a\x01", 3, _PROBE_S)
        if module[0] != _MODULE_ID:
            raise RefusedError(f"the device is not a USB-ISS adapter (module {module[0]}); check the port")
        serial_number = await _transact(b"\x5a\x03", 8, self._timeout_s)
        response = await _transact(bytes([0x5A, 0x02, _SPI_MODE_1, _DIVIDER_500_KHZ]), 2, self._timeout_s)
        if response[0] != _ACK:
            raise RefusedError(f"the USB-ISS adapter refuses SPI: {_REASONS.get(response[1], response[1])}")
        return serial_number.decode("latin-1").strip("\0 ")

    async def exchange(self, octet: int) -> int:
        """Exchange a byte; see `Link`."""
        response = await _transact(bytes([0x61, octet]), 2, self._timeout_s)
        if response[0] != _ACK:
            raise RefusedError(f"the USB-ISS adapter did not send byte {octet:02X}; check its cable")
        return response[1]


async def _transact(octets: bytes, length: int, timeout_s: float) -> bytes:
    """Send bytes and return the `length` bytes of the response."""
    missing = length

    def accept(frame: Frame) -> Claim:
        nonlocal missing
        missing -= len(frame.payload)
        return Claim.LAST if missing <= 0 else Claim.PART

    request = Request(
        octets, accept, "link", timeout_s, tries=1, grace_s=timeout_s, what="the adapter", may_be_equal=True
    )
    response = b"".join(frame.payload for frame in await request)
    if len(response) < length:
        raise NoAnswerError(f"the adapter sent {len(response)} of {length} bytes; check its cable")
    return response[:length]


class Channel:
    """Channel for the commands of all operations on a counter, one command at a time.

    Attributes:
        adapter: serial number of the adapter; "" without an adapter, and before the first command.
        is_set_up: True if the link is initialised; set it to False to repeat that before the next command.
    """

    def __init__(self, link: Link, timing: Timing) -> None:
        self.adapter = ""
        self.is_set_up = False
        self._link = link
        self._timing = timing
        self._is_busy = False

    async def read(self, command: int, length: int, rest_s: float = 0.0) -> bytes:
        """Return the response to a command. A command that changes nothing is repeated once after a broken response.

        Args:
            command: command byte.
            length: number of bytes of the response.
            rest_s: pause in seconds after the command, during which no other command is sent.

        Raises:
            HandshakeError: the counter did not become ready.
            BrokenAnswerError: the response is incomplete.
        """
        async with self:
            try:
                answer = await self._transfer(command, bytes([command]) * length)
            except BrokenAnswerError:
                if command in {READ_HISTOGRAM, READ_PM}:
                    raise
                await Sleep(self._timing.rest_s)
                answer = await self._transfer(command, bytes([command]) * length)
            await Sleep(rest_s)
        return answer

    async def write(self, command: int, payload: bytes, rest_s: float = 0.0) -> None:
        """Carry out a command with a payload; the counter sends back each byte during the next exchange.

        Raises:
            HandshakeError: the counter did not become ready.
            BrokenAnswerError: the bytes did not arrive as they were sent.
        """
        async with self:
            answer = await self._transfer(command, payload)
            if answer != (bytes([command]) + payload)[: len(payload)]:
                raise BrokenAnswerError(f"command {command:02X}: the echo differs from the bytes sent", answer)
            await Sleep(rest_s)

    async def __aenter__(self) -> None:
        while self._is_busy:
            await Sleep(_LOCK_POLL_S)
        self._is_busy = True

    async def __aexit__(self, *_: object) -> None:
        self._is_busy = False

    async def _transfer(self, command: int, payload: bytes) -> bytes:
        if not self.is_set_up:
            self.adapter = await self._link.set_up()
            self.is_set_up = True
        await self._shake_hands(command)
        answer = bytearray()
        try:
            for octet in payload:
                answer.append(await self._link.exchange(octet))
        except AbortedError:
            # Read the response to its end: the counter would take the next command for a part of this command.
            await Sleep(_DRAIN_S)
            for octet in payload[len(answer) + 1 :]:
                await self._link.exchange(octet)
            raise
        except NoAnswerError:
            message = f"command {command:02X}: the response ended after {len(answer)} of {len(payload)} bytes"
            raise BrokenAnswerError(message, bytes(answer)) from None
        return bytes(answer)

    async def _shake_hands(self, command: int) -> None:
        seen: set[int] = set()
        for attempt in range(self._timing.handshakes):
            await Sleep(self._timing.rest_s if attempt else self._timing.poll_s)
            try:
                if await self._poll(command, seen):
                    return
            except NoAnswerError:
                continue
        raise HandshakeError(f"command {command:02X}: {_diagnosis(seen)}")

    async def _poll(self, command: int, seen: set[int]) -> bool:
        """Repeat the command byte until the counter is ready; return False if it sends other bytes or stays busy."""
        for poll in range(self._timing.polls):
            if poll:
                await Sleep(self._timing.poll_s)
            reply = await self._link.exchange(command)
            seen.add(reply)
            if reply == _READY and poll:
                return True
            if reply != _BUSY:
                return False
        return False


def _diagnosis(seen: set[int]) -> str:
    """Return the probable cause of a failed handshake, by all bytes received."""
    if not seen:
        return "the adapter does not respond; check its cable"
    if seen == {_BUSY}:
        return "the counter stays busy; if that persists, switch its power off and on"
    if seen <= {0x00, 0xFF}:
        return (
            "the counter does not respond; check its cable and its power. A counter without a command in the first "
            "minute after power-up records autonomously and no longer responds: switch its power off and on"
        )
    return (
        f"unexpected bytes {', '.join(f'{reply:02X}' for reply in sorted(seen))}; use the counter in one program only"
    )

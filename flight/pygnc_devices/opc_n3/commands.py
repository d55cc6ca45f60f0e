"""Commands of an OPC-N3: handshake, then the bytes of the answer or of what is written, one by one.

The counter answers 31 while it is busy and F3 when it is ready; the command byte is repeated until then. 30 and 32
reset the histogram, so that an answer that went wrong is lost and never asked for again.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from pygnc_devices.errors import AbortedError, DeviceError, NoAnswerError
from pygnc_devices.opc_n3.link import Link
from pygnc_devices.scheduler import Pause, Procedure

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


class HandshakeError(DeviceError):
    """The counter did not become ready; it must be left alone for a while."""


class BrokenAnswerError(DeviceError):
    """An answer broke off or contradicts itself.

    Attributes:
        octets: as far as it came.
    """

    def __init__(self, message: str, octets: bytes = b"") -> None:
        super().__init__(message)
        self.octets = octets


@dataclass(frozen=True, slots=True)
class Timing:
    """Rests that the counter wants. Its document calls them guidelines.

    Attributes:
        poll_s: between two bytes of a handshake, and before each command: 10 to 100 ms.
        polls: of one handshake. 20 are too few with a long cable.
        rest_s: with nothing said, after a handshake that failed: 2 to 10 s.
        handshakes: tries, with rests between.
        laser_s: between switching on laser and fan, for weak supplies.
        fan_s: for the fan to reach its speed.
        restart_s: after a reset, and after a write of the configuration, which leaves it mute for a second.
        keep_alive_s: left alone for 65 s, it records by itself and answers no more.
        adapter_s: what the USB adapter has to answer.
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


def read(link: Link, timing: Timing, command: int, length: int) -> Procedure[bytes]:
    """Return the answer to a command. One that changes nothing is asked for once more if its answer breaks off.

    Raises:
        HandshakeError: the counter did not become ready.
        BrokenAnswerError: the answer broke off.
    """
    try:
        return (yield from _carry_out(link, timing, command, bytes([command]) * length))
    except BrokenAnswerError:
        if command in {READ_HISTOGRAM, READ_PM}:
            raise
    yield Pause(timing.rest_s)
    return (yield from _carry_out(link, timing, command, bytes([command]) * length))


def write(link: Link, timing: Timing, command: int, payload: bytes) -> Procedure[None]:
    """Carry out a command with these bytes; each is answered by the one before it.

    Raises:
        HandshakeError: the counter did not become ready.
        BrokenAnswerError: the bytes did not arrive as they were sent.
    """
    answer = yield from _carry_out(link, timing, command, payload)
    if answer != (bytes([command]) + payload)[: len(payload)]:
        raise BrokenAnswerError(f"command {command:02X}: the counter did not get what was sent", answer)


def _carry_out(link: Link, timing: Timing, command: int, payload: bytes) -> Procedure[bytes]:
    yield from _shake_hands(link, timing, command)
    answer = bytearray()
    try:
        for octet in payload:
            answer.append((yield from link.exchange(octet)))
    except AbortedError:
        # In the midst of an answer the counter takes the next command for a part of this one.
        yield Pause(_DRAIN_S)
        yield from _finish(link, payload[len(answer) + 1 :])
        raise
    except DeviceError as error:
        raise _broken(error, command, bytes(answer)) from None
    return bytes(answer)


def _finish(link: Link, payload: bytes) -> Procedure[None]:
    for octet in payload:
        yield from link.exchange(octet)


def _broken(error: DeviceError, command: int, answer: bytes) -> DeviceError:
    if isinstance(error, NoAnswerError):
        return BrokenAnswerError(f"command {command:02X}: its answer broke off after {len(answer)} bytes", answer)
    return error


def _shake_hands(link: Link, timing: Timing, command: int) -> Procedure[None]:
    seen: set[int] = set()
    for attempt in range(timing.handshakes):
        yield Pause(timing.rest_s if attempt else timing.poll_s)
        try:
            is_ready = yield from _poll(link, timing, command, seen)
        except NoAnswerError:
            continue
        if is_ready:
            return
    raise HandshakeError(f"command {command:02X}: {_diagnosis(seen)}")


def _poll(link: Link, timing: Timing, command: int, seen: set[int]) -> Generator[Any, Any, bool]:
    """Repeat the command byte until the counter is ready; False if it says anything else, or is busy too long."""
    for poll in range(timing.polls):
        if poll:
            yield Pause(timing.poll_s)
        reply = yield from link.exchange(command)
        seen.add(reply)
        if reply == _READY and poll:
            return True
        if reply != _BUSY:
            return False
    return False


def _diagnosis(seen: set[int]) -> str:
    """Say what may be wrong, by all replies that came."""
    if not seen:
        return "the adapter does not answer"
    if seen == {_BUSY}:
        return "the counter stays busy; if that goes on, switch its power off and on"
    if seen <= {0x00, 0xFF}:
        return (
            "the counter does not answer: is its cable in and its power on? Left alone for a minute after power-up it "
            "records by itself and answers no more: switch its power off and on"
        )
    return f"the counter answers {', '.join(f'{reply:02X}' for reply in sorted(seen))}; do two programs talk to it?"

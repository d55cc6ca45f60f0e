"""Declaration of a receiver's protocol and of its messages."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from pygnc.inputs.receivers import novatel, skytraq, ublox
from pygnc.inputs.receivers.parts import Part, Values
from pygnc_devices.declaration import Packet
from pygnc_devices.framing import DamageReason, Frame
from pygnc_devices.receivers import framing
from pygnc_ground.receivers.epochs import GPS_WEEKS, TimeScale


class Protocol(NamedTuple):
    """Protocol of a receiver.

    Attributes:
        name: Name in the `kind` of fixes.
        beginning: Pattern of the first bytes of a frame, also of an incomplete beginning at the end of the buffer.
        frame_at: Function that returns the frame at an offset, as `FrameFormat.frame_at`; its kind names the message.
        part: Function that returns what a frame tells about an epoch; None for a message that tells nothing.
        scale: Time scale of the messages.
        preferred: Names of the messages with positions and velocities, the most complete first.
        title: Name for people.
    """

    name: str
    title: str
    beginning: bytes
    frame_at: Callable[[bytes, int], Frame | DamageReason | None]
    part: Callable[[Frame], Part | None]
    scale: TimeScale
    preferred: tuple[str, ...]


class Message(NamedTuple):
    """Message of a binary protocol.

    Attributes:
        number: Number of the message, as the frame contains it.
        part: Function that returns what a payload tells about an epoch.
        size: Least length of a payload.
    """

    number: Any
    part: Callable[[bytes], Part]
    size: int


def names_of(messages: Mapping[str, Message]) -> dict[Any, str]:
    """Return the names of messages by number."""
    return {message.number: name for name, message in messages.items()}


def part_of(messages: Mapping[str, Message], frame: Frame) -> Part | None:
    """Return what a frame tells about an epoch; None for another message, or one whose time is not a number."""
    message = messages.get(frame.kind)
    if message is None or len(frame.payload) < message.size:
        return None
    try:
        return message.part(frame.payload)
    except (ValueError, OverflowError):
        return None


_Decoder: TypeAlias = Callable[[Frame], tuple[Packet, Values] | None]


def _declared_part(decode: _Decoder, parts: Mapping[str, Callable[[Values], Part]], frame: Frame) -> Part | None:
    """Return what a frame tells about an epoch, by the values of its declaration."""
    found = decode(frame)
    try:
        return None if found is None else parts[found[0].name](found[1])
    except (ValueError, OverflowError):
        return None  # a time that is not a number


NOVATEL: Final = Protocol(
    "novatel",
    "NovAtel OEM",
    framing.NOVATEL_BEGINNING,
    framing.novatel,
    partial(_declared_part, framing.novatel_values, novatel.PARTS),
    GPS_WEEKS,
    tuple(f"{name}{form}" for name in novatel.PARTS for form in "AB"),
)
UBLOX: Final = Protocol(
    "ublox",
    "UBX of u-blox",
    framing.UBLOX_BEGINNING,
    framing.ublox,
    partial(_declared_part, framing.ublox_values, ublox.PARTS),
    GPS_WEEKS,
    tuple(ublox.PARTS),
)
SKYTRAQ: Final = Protocol(
    "skytraq",
    "SkyTraq binary",
    framing.SKYTRAQ_BEGINNING,
    framing.skytraq,
    partial(_declared_part, framing.skytraq_values, skytraq.PARTS),
    GPS_WEEKS,
    tuple(skytraq.PARTS),
)

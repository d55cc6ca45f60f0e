"""What the modules of the protocols declare."""

from collections.abc import Callable
from typing import NamedTuple

from pygnc_devices.framing import DamageReason, Frame
from pygnc_ground.receivers.epochs import Part, TimeScale


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

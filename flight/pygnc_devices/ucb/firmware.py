"""Firmware images: what is checked before a unit is told to give up the firmware it has.

The units' processors are ARM Cortex-M. An image is what lies in flash from the application's first address on, and
begins with the vector table: initial stack pointer (in RAM) and address of the reset handler (in flash, odd), little-
endian. So do the images that Aceinna and others have published for the OpenIMU300.

What an upgrade of firmware tells while it runs, and when it ends.
"""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, TypeAlias

from pygnc_devices.errors import DeviceError
from pygnc_devices.ucb.commands import BOOTLOADER_BAUD

LONGEST_IMAGE: Final = 1 << 20
"""Bytes: the largest flash of these processors."""
_SHORTEST_IMAGE: Final = 1024
_WORD_BYTES: Final = 4
_RAM: Final = range(0x2000_0000, 0x2010_0001)
_FLASH: Final = range(0x0800_0000, 0x0820_0000)
_KNOWN_AS_SOMETHING_ELSE: Final = {
    b"\x7fELF": "an ELF file: objcopy -O binary makes an image of it",
    b":1": "an Intel HEX file: objcopy -I ihex -O binary makes an image of it",
    b":0": "an Intel HEX file: objcopy -I ihex -O binary makes an image of it",
    b"S0": "an S-record file: objcopy -I srec -O binary makes an image of it",
    b"PK\x03\x04": "a ZIP archive: the image is inside",
    b"<": "a web page: the download went wrong",
    b"{": "JSON text",
}


class ImageError(DeviceError):
    """This is no firmware image; nothing was sent to the unit."""


def check_image(image: bytes, *, any_content: bool = False, sha256: str = "") -> None:
    """Accept an image.

    Args:
        image: all bytes of it.
        any_content: do without the look at the vector table, for a processor of another kind.
        sha256: what its maker says that it has; "" to do without.

    Raises:
        ImageError: it is none; the message says why.
    """
    if sha256 and hashlib.sha256(image).hexdigest() != sha256.lower():
        raise ImageError(f"the image's SHA-256 is {hashlib.sha256(image).hexdigest()}, not {sha256.lower()}")
    if not image:
        raise ImageError("the image is empty")
    if len(image) > LONGEST_IMAGE:
        raise ImageError(f"the image has {len(image)} bytes; no unit takes more than {LONGEST_IMAGE}")
    if any_content:
        return
    for beginning, what in _KNOWN_AS_SOMETHING_ELSE.items():
        if image.startswith(beginning):
            raise ImageError(f"this is {what}")
    if len(image) < _SHORTEST_IMAGE or len(image) % _WORD_BYTES:
        raise ImageError(f"{len(image)} bytes are no image: at least {_SHORTEST_IMAGE}, in words of four; is it whole?")
    stack, reset = struct.unpack_from("<II", image)
    if stack not in _RAM or reset not in _FLASH or not reset & 1:
        raise ImageError(
            f"the image does not begin with a vector table: stack pointer {stack:#010x}, reset handler {reset:#010x}"
        )


HOW_TO_RECOVER: Final = (
    "The unit waits in its bootloader for a whole image: until it has one it is mute, and switching it off and on does "
    "no harm. Write the image again with recover=True (pygnc device upgrade PORT IMAGE --recover --write-firmware)"
)


@unique
class Phase(StrEnum):
    """What an upgrade is doing."""

    ENTER = "enter the bootloader"
    SWITCH = "switch the unit off and on now"
    ERASE = "erase"
    WRITE = "write"
    WAIT = "wait for the port to come back"
    START = "start the application"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class UpgradeProgress:
    """How far it is.

    Attributes:
        phase: what it is doing.
        written_bytes: of the image, confirmed by the unit; goes back to 0 when it must begin anew.
        total_bytes: of the image.
        retries: blocks that had to be sent again, so far.
    """

    phase: Phase
    written_bytes: int
    total_bytes: int
    retries: int


OnProgress: TypeAlias = Callable[[UpgradeProgress], None]
"""Called in the thread that owns the port; whatever it raises is logged, and harms nothing."""


@dataclass(frozen=True, slots=True)
class UpgradeSettings:
    """What may be another way with other bootloaders.

    Attributes:
        bootloader_baud: the speed that it speaks.
        enter_s: how long it may take until it listens, after JI.
        erase_s: how long it may erase, after the first block.
        block_s: how long it may take to write another block, until it has shown how long it does take.
        block_tries: how often a block is sent at most.
        port_s: how long a lost port is waited for.
        start_s: how long the application may take to answer, after JA.
        at_power_up: catch the unit in the tenth of a second after it is switched on, for bootloaders that listen only
            then; somebody must switch it off and on.
        power_up_s: how long to wait for that.
        any_content: see `firmware_image.check_image`.
        sha256: see `firmware_image.check_image`.
    """

    bootloader_baud: int = BOOTLOADER_BAUD
    enter_s: float = 3.0
    erase_s: float = 12.0
    block_s: float = 1.0
    block_tries: int = 10
    port_s: float = 120.0
    start_s: float = 8.0
    at_power_up: bool = False
    power_up_s: float = 60.0
    any_content: bool = False
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class UpgradeResult:
    """What an upgrade did.

    Attributes:
        before: what the unit said that it was; "" if it was not asked, in its bootloader.
        after: what it says now.
        written_bytes: of the image.
        retries: blocks that had to be sent again.
        interruptions: how often the port was lost.
        restarts: how often writing began anew.
        seconds: it took.
    """

    before: str
    after: str
    written_bytes: int
    retries: int
    interruptions: int
    restarts: int
    seconds: float


class NotConfirmedError(DeviceError):
    """Nobody has said that the firmware is really to be replaced; nothing was sent to the unit."""


class UpgradeError(DeviceError):
    """An upgrade that broke off. The message says what state the unit is in and how to go on.

    Attributes:
        is_in_bootloader: whether the unit has no application now and must be recovered; else it is as it was.
        written_bytes: confirmed by the unit.
    """

    def __init__(self, message: str, *, is_in_bootloader: bool, written_bytes: int = 0) -> None:
        super().__init__(message)
        self.is_in_bootloader = is_in_bootloader
        self.written_bytes = written_bytes

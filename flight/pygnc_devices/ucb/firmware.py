"""Firmware images and their checks; settings, progress, result and errors of an upgrade.

The units' processors are ARM Cortex-M. An image is the content of the flash from the first address of the application
on. It begins with the vector table: initial stack pointer (in RAM) and address of the reset handler (in flash, odd),
little-endian. The images published for the OpenIMU300 by Aceinna and others begin in this way.
"""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, TypeAlias

from pygnc_devices.errors import DeviceError

BOOTLOADER_BAUD: Final = 57600
LONGEST_IMAGE: Final = 1 << 20
"""Bytes of the largest flash of these processors."""
_SHORTEST_IMAGE: Final = 1024
_WORD_BYTES: Final = 4
_RAM: Final = range(0x2000_0000, 0x2010_0001)
_FLASH: Final = range(0x0800_0000, 0x0820_0000)
_OTHER_FORMATS: Final = {
    b"\x7fELF": "an ELF file; convert it with objcopy -O binary",
    b":1": "an Intel HEX file; convert it with objcopy -I ihex -O binary",
    b":0": "an Intel HEX file; convert it with objcopy -I ihex -O binary",
    b"S0": "an S-record file; convert it with objcopy -I srec -O binary",
    b"PK\x03\x04": "a ZIP archive; extract the image",
    b"<": "a web page; download the image again",
    b"{": "JSON text; choose the .bin file of the maker",
}


class ImageError(DeviceError):
    """Error raised when a file is not a firmware image; nothing was sent to the unit."""


def check_image(image: bytes, *, any_content: bool = False, sha256: str = "") -> None:
    """Check an image.

    Args:
        image: content of the file.
        any_content: skip the check of the vector table, for processors other than ARM Cortex-M.
        sha256: SHA-256 that the maker states, hexadecimal; "": not checked.

    Raises:
        ImageError: the file is not an image; the message names the reason.
    """
    if sha256 and hashlib.sha256(image).hexdigest() != sha256.lower():
        raise ImageError(
            f"the image's SHA-256 is {hashlib.sha256(image).hexdigest()}, not {sha256.lower()}; download it again"
        )
    if not image:
        raise ImageError("the image is empty; download it again")
    if len(image) > LONGEST_IMAGE:
        raise ImageError(f"the image has {len(image)} bytes; units accept up to {LONGEST_IMAGE}")
    if any_content:
        return
    for beginning, what in _OTHER_FORMATS.items():
        if image.startswith(beginning):
            raise ImageError(f"the file is {what}")
    if len(image) < _SHORTEST_IMAGE or len(image) % _WORD_BYTES:
        raise ImageError(f"the file has {len(image)} bytes; an image has at least {_SHORTEST_IMAGE}, in words of 4")
    stack, reset = struct.unpack_from("<II", image)
    if stack not in _RAM or reset not in _FLASH or not reset & 1:
        raise ImageError(
            f"the image does not begin with a vector table: stack pointer {stack:#010x}, reset handler {reset:#010x}"
        )


HOW_TO_RECOVER: Final = (
    "The unit waits in its bootloader for a complete image; until then it sends nothing, and switching it off and on "
    "does no harm. Write the image again with recover=True (pygnc device upgrade PORT IMAGE --recover --write-firmware)"
)


@unique
class Phase(StrEnum):
    """Phase of an upgrade."""

    ENTER = "enter the bootloader"
    SWITCH = "switch the unit off and on now"
    ERASE = "erase"
    WRITE = "write"
    WAIT = "wait for the port to come back"
    START = "start the application"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class UpgradeProgress:
    """Progress of an upgrade.

    Attributes:
        phase: phase of the upgrade.
        written_bytes: bytes of the image that the unit confirmed; 0 again when writing restarts.
        total_bytes: length of the image.
        retries: number of repeated blocks so far.
    """

    phase: Phase
    written_bytes: int
    total_bytes: int
    retries: int


OnProgress: TypeAlias = Callable[[UpgradeProgress], None]
"""Callback in the thread that owns the port; exceptions that it raises are logged."""


@dataclass(frozen=True, slots=True)
class UpgradeSettings:
    """Settings of an upgrade, for bootloaders that differ.

    Attributes:
        bootloader_baud: baud rate of the bootloader.
        enter_s: time limit for the bootloader's start after JI, s.
        erase_s: time limit for erasing after the first block, s.
        block_s: time limit for writing a block, s, until the first blocks show how long it takes.
        block_tries: largest number of attempts for a block.
        port_s: time limit for the reconnection of a lost port, s.
        start_s: time limit for the application's first response after JA, s.
        at_power_up: catch the unit in the tenth of a second after power-up, for bootloaders that listen only then; the
            user must switch the unit off and on.
        power_up_s: time limit for the user to switch the unit off and on, s.
        any_content: see `check_image`.
        sha256: see `check_image`.
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
    """Result of an upgrade.

    Attributes:
        before: identity of the unit before the upgrade; "" if it was in its bootloader.
        after: identity of the unit after the upgrade.
        written_bytes: length of the image.
        retries: number of repeated blocks.
        interruptions: number of times that the port was lost.
        restarts: number of times that writing began again.
        seconds: duration of the upgrade, s.
    """

    before: str
    after: str
    written_bytes: int
    retries: int
    interruptions: int
    restarts: int
    seconds: float


class NotConfirmedError(DeviceError):
    """Error raised when the replacement of the firmware was not confirmed; nothing was sent to the unit."""


class UpgradeError(DeviceError):
    """Error raised when an upgrade failed. The message states the state of the unit and the next step.

    Attributes:
        is_in_bootloader: True if the unit has no application and must be recovered; otherwise it is unchanged.
        written_bytes: bytes of the image that the unit confirmed.
    """

    def __init__(self, message: str, *, is_in_bootloader: bool, written_bytes: int = 0) -> None:
        super().__init__(message)
        self.is_in_bootloader = is_in_bootloader
        self.written_bytes = written_bytes

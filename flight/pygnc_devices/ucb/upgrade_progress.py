"""What an upgrade of firmware tells while it runs, and when it ends."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, TypeAlias

from pygnc_devices.errors import DeviceError
from pygnc_devices.ucb.firmware_commands import BOOTLOADER_BAUD

HOW_TO_GO_ON: Final = (
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


class NotMeantError(DeviceError):
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

"""Commands of the bootloader and the way into and out of it: JI, WA, JA, and the ping that tells where a unit is."""

import struct
from dataclasses import replace
from typing import Final

from pygnc_devices.frames import Frame
from pygnc_devices.requests import Claim, Request
from pygnc_devices.ucb import commands

BLOCK_BYTES: Final = 240
"""Data in a WA command: the most that all firmware takes."""
BOOTLOADER_BAUD: Final = 57600
_CATCH_S: Final = 0.01
"""Between JI commands to a unit that listens for a tenth of a second after power-up."""


def enter_bootloader() -> Request:
    """JI, once: the answer may be lost, and then the unit is elsewhere already."""
    return replace(commands.command("JI"), timeout_s=0.5, tries=1)


def catch_at_power_up(limit_s: float) -> Request:
    """JI, again and again, in both byte orders of the CRC: some bootloaders want it swapped."""
    request = commands.command("JI")
    octets = request.octets + swap_crc(request.octets)
    return replace(
        request,
        octets=octets,
        again=octets,
        timeout_s=_CATCH_S,
        tries=max(1, round(limit_s / _CATCH_S)),
        what="JI command, while the unit was to be switched off and on",
    )


def start_application(*, swapped_crc: bool) -> Request:
    """JA, once: many bootloaders go without an answer."""
    request = commands.command("JA")
    return replace(request, octets=swap_crc(request.octets) if swapped_crc else request.octets, timeout_s=0.5, tries=1)


def where_are_you() -> Request:
    """PG: an application tells its name, a bootloader says that it is one."""
    return replace(commands.command("pG"), timeout_s=0.2, tries=1)


def is_bootloader(frame: Frame) -> bool:
    """Tell whether an answer to `where_are_you` is a bootloader's."""
    return frame.kind == "pG" and b"bootloader" in frame.payload.lower()


def write_block(address: int, data: bytes, timeout_s: float) -> Request:
    """WA, once: a block of the image at its address; the answer names both, or nothing."""
    head = struct.pack(">IB", address, len(data))

    def accept(frame: Frame) -> Claim:
        is_mine = frame.kind == "WA" and frame.payload[:5] in (head, b"")
        return Claim.LAST if is_mine or commands.is_nak(frame, "WA") else Claim.NO

    request = commands.command("WA", head + data)
    return replace(request, accept=accept, timeout_s=timeout_s, tries=1, what=f"WA command at {address:#x}")


def swap_crc(frame: bytes) -> bytes:
    """Return a frame with the bytes of its CRC exchanged."""
    return frame[:-2] + frame[:-3:-1]

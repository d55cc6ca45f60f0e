"""Frames and bootloader of a simulated DMU38x or OpenIMU."""

import binascii
import math
import struct
import zlib
from abc import abstractmethod
from random import Random
from typing import Final

from pygnc_instruments.simulators.unit import SimulatedUnit

BAUD: Final = 57600
ERASE_S: Final = 8.0
ANSWER_S: Final = 0.002
"""Response time of application and bootloader, s."""
CRC_INITIAL: Final = 0x1D0F
_MARK: Final = b"PyGNC simulated firmware"
_HEADER: Final = struct.Struct("<II24sII64s")
"""Stack pointer, reset handler, mark, length, CRC-32 of the content after the header, identification text."""
_STACK, _RESET = 0x2001FF00, 0x0801E481
_MAX_IMAGE_BYTES: Final = 1 << 20


def make_image(text: str, size: int = 24_000, seed: int = 0) -> bytes:
    """Return a firmware image for a simulated unit, which then identifies itself as `text`."""
    content = Random(seed).randbytes(size - _HEADER.size)  # noqa: S311 - arbitrary content, no secrets
    return _HEADER.pack(_STACK, _RESET, _MARK, size, zlib.crc32(content), text.encode("latin-1")) + content


class FramedUnit(SimulatedUnit):
    """Simulated unit that sends frames, with an application that the bootloader starts.

    Args:
        text: identification text.
        nak: packet type of refusals.
    """

    def __init__(self, text: str, nak: bytes) -> None:
        super().__init__()
        self.text = text
        self._nak = nak
        self._ignoring_until_s = 0.0

    def send(self, kind: bytes, payload: bytes, at_s: float) -> None:
        """Queue a frame for sending at a time in seconds."""
        self._send(frame(kind, payload), at_s)

    def refuse(self, kind: bytes, now_s: float) -> None:
        """Queue a NAK for a command."""
        self.send(self._nak, kind, now_s + ANSWER_S)

    def ignore_until(self, until_s: float) -> None:
        """Ignore commands until a time in seconds; queued frames are still sent."""
        self._ignoring_until_s, self._input = until_s, b""

    @abstractmethod
    def start_application(self, now_s: float) -> None:
        """Start the application in flash, which responds to commands after the restart time."""


def frame(kind: bytes, payload: bytes) -> bytes:
    """Return the frame of a packet."""
    body = kind + bytes([len(payload)]) + payload
    return b"UU" + body + binascii.crc_hqx(body, CRC_INITIAL).to_bytes(2, "big")


class Bootloader:
    """Bootloader, active from JI, or from power-up without a valid image, until JA.

    Attributes:
        enter_s: time from JI until the bootloader accepts commands, s.
        erase_s: time in which the bootloader erases the flash, at the block with address 0, s.
        answers_ping: True if the bootloader responds to pG.
        names_blocks: True if the responses to WA contain address and length.
        swapped_crc: True if the bootloader expects the CRC of JI and JA with its bytes swapped.
        catch_s: time after power-up in which the bootloader accepts JI, s; None if the application accepts JI.
        is_active: True while the bootloader runs instead of the application.
        blocks: addresses of the accepted WA commands.
        erasures: number of times that the flash was erased.
    """

    def __init__(self, unit: FramedUnit, erase_s: float = ERASE_S) -> None:
        self._unit = unit
        self.enter_s = 0.2
        self.erase_s = erase_s
        self.answers_ping = True
        self.names_blocks = True
        self.swapped_crc = False
        self.catch_s: float | None = None
        self.is_active = False
        self.blocks: list[int] = []
        self.erasures = 0
        self._flash: bytearray | None = None
        """None for the factory image."""
        self._is_erased = False
        self._enters_s = self._leaves_s = math.inf

    def enter(self, _: bytes, now_s: float) -> bytes | None:
        """Handle JI sent to the application: respond at the application's baud rate, then start the bootloader."""
        if self.catch_s is not None:
            self._unit.refuse(b"JI", now_s)
            return None
        self._enters_s = now_s + self.enter_s
        return b""

    def run(self, now_s: float) -> None:
        """Enter or leave the bootloader if `next_s` has passed."""
        if now_s >= self._enters_s:
            self._activate(now_s)
        if now_s >= self._leaves_s:
            self._leave(now_s)

    def next_s(self) -> float:
        """Return the time of the next entry or exit, s."""
        return min(self._enters_s, self._leaves_s)

    def power_up(self, now_s: float) -> None:
        """Start after power-up: for `catch_s`, or permanently without a valid application."""
        self._is_erased = self.is_active = False
        self._enters_s = self._leaves_s = math.inf
        is_valid = self._has_valid_image()
        if not is_valid or self.catch_s is not None:
            self._activate(now_s)
            self._leaves_s = now_s + (self.catch_s or 0.0) if is_valid else math.inf

    def wants_swapped(self, kind: bytes) -> bool:
        """Return True if the CRC of a command must have its bytes swapped."""
        return self.is_active and self.swapped_crc and kind in (b"JI", b"JA")

    def obey(self, kind: bytes, payload: bytes, now_s: float) -> None:
        """Carry out a command."""
        if kind == b"pG" and self.answers_ping:
            self._unit.send(b"pG", b"OpenIMU_Bootloader 5020-3020-01 1.1.1\0", now_s + ANSWER_S)
        elif kind == b"JI":
            self._leaves_s = math.inf
            self._unit.send(b"JI", b"", now_s + ANSWER_S)
        elif kind == b"WA":
            self._write(payload, now_s)
        elif kind == b"JA":
            self._jump(now_s)
        elif kind != b"pG":
            self._unit.refuse(kind, now_s)

    def _write(self, payload: bytes, now_s: float) -> None:
        address, length = struct.unpack_from(">IB", payload)
        data = payload[5:]
        if len(data) != length or address + length > _MAX_IMAGE_BYTES or (address and not self._is_erased):
            self._unit.refuse(b"WA", now_s)
            return
        ready_s = now_s + ANSWER_S
        if address == 0:
            self._flash, self._is_erased = bytearray(), True
            self.erasures += 1
            ready_s = now_s + self.erase_s
            self._unit.ignore_until(ready_s)
        flash = self._flash if self._flash is not None else bytearray()
        flash.extend(b"\xff" * (address + length - len(flash)))
        flash[address : address + length] = data
        self._flash = flash
        self.blocks.append(address)
        self._unit.send(b"WA", payload[:5] if self.names_blocks else b"", ready_s)

    def _jump(self, now_s: float) -> None:
        if not self._has_valid_image():
            self._unit.refuse(b"JA", now_s)
            return
        self._unit.send(b"JA", b"", now_s + ANSWER_S)
        self._leaves_s = now_s + 2 * ANSWER_S

    def _activate(self, now_s: float) -> None:
        self.is_active, self._enters_s = True, math.inf
        self._unit.baud = BAUD
        self._unit.ignore_until(now_s)

    def _leave(self, now_s: float) -> None:
        self.is_active, self._leaves_s = False, math.inf
        if self._flash is not None and _MARK in self._flash[: _HEADER.size]:
            self._unit.text = _HEADER.unpack_from(self._flash)[5].rstrip(b"\0").decode("latin-1")
        self._unit.start_application(now_s)

    def _has_valid_image(self) -> bool:
        if self._flash is None:
            return True
        if len(self._flash) < _HEADER.size:
            return False
        _, _, mark, size, crc, _ = _HEADER.unpack_from(self._flash)
        if mark != _MARK:  # an image of another maker, assumed to be complete
            return self._is_erased
        return (len(self._flash), zlib.crc32(self._flash[_HEADER.size :])) == (size, crc)

"""The bootloader of a simulated unit: what it has in flash, how it is entered, written and left."""

import math
import struct
import zlib
from random import Random
from typing import Final, Protocol

BAUD: Final = 57600
ERASE_S: Final = 8.0
_ANSWER_S: Final = 0.002
_MARK: Final = b"PyGNC simulated firmware"
_HEADER: Final = struct.Struct("<II24sII64s")
"""Stack pointer, reset handler, mark, length, CRC-32 of what follows the header, what the unit then says that it is."""
_STACK, _RESET = 0x2001FF00, 0x0801E481
_LONGEST: Final = 1 << 20


class _Unit(Protocol):
    baud: int
    text: str

    def send(self, kind: bytes, payload: bytes, at_s: float) -> None: ...

    def refuse(self, kind: bytes, now_s: float) -> None: ...

    def be_mute_until(self, until_s: float) -> None: ...

    def start_application(self, now_s: float) -> None: ...


def make_image(text: str, size: int = 24_000, seed: int = 0) -> bytes:
    """Return an image that a simulated unit takes, and calls itself `text` then."""
    content = Random(seed).randbytes(size - _HEADER.size)  # noqa: S311 - filling, no secrets
    return _HEADER.pack(_STACK, _RESET, _MARK, size, zlib.crc32(content), text.encode("latin-1")) + content


class Bootloader:
    """Takes a unit over: from JI, or from power-up without a whole image, until JA.

    Attributes:
        enter_s: from JI until it listens.
        erase_s: of all flash, at the block with address 0.
        answers_ping: whether it answers pG.
        names_blocks: whether its WA answers tell address and length.
        swapped_crc: whether it wants the CRC of JI and JA swapped.
        catch_s: how long after power-up it takes JI, for those that do not take it from the application; None: they do.
        is_active: whether it runs, and not the application.
        blocks: WA commands that it has taken, by address.
        erasures: how often flash was erased.
    """

    def __init__(self, unit: _Unit, erase_s: float = ERASE_S) -> None:
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
        """None: the image it came with."""
        self._is_erased = False
        self._enters_s = self._leaves_s = math.inf

    def enter(self, _: bytes, now_s: float) -> bytes | None:
        """Obey JI, told to the application: the answer goes out at its speed, then the bootloader begins."""
        if self.catch_s is not None:
            self._unit.refuse(b"JI", now_s)
            return None
        self._enters_s = now_s + self.enter_s
        return b""

    def run(self, now_s: float) -> None:
        """Begin or end, if the time has come."""
        if now_s >= self._enters_s:
            self._activate(now_s)
        if now_s >= self._leaves_s:
            self._leave(now_s)

    def next_s(self) -> float:
        """Return when it will begin or end."""
        return min(self._enters_s, self._leaves_s)

    def power_up(self, now_s: float) -> None:
        """Begin with power, for a moment or, without a whole application, to stay."""
        self._is_erased = self.is_active = False
        self._enters_s = self._leaves_s = math.inf
        is_whole = self._is_whole()
        if not is_whole or self.catch_s is not None:
            self._activate(now_s)
            self._leaves_s = now_s + (self.catch_s or 0.0) if is_whole else math.inf

    def wants_swapped(self, kind: bytes) -> bool:
        """Tell whether the CRC of a command must come with its bytes exchanged."""
        return self.is_active and self.swapped_crc and kind in (b"JI", b"JA")

    def obey(self, kind: bytes, payload: bytes, now_s: float) -> None:
        """Carry a command out."""
        if kind == b"pG" and self.answers_ping:
            self._unit.send(b"pG", b"OpenIMU_Bootloader 5020-3020-01 1.1.1\0", now_s + _ANSWER_S)
        elif kind == b"JI":
            self._leaves_s = math.inf
            self._unit.send(b"JI", b"", now_s + _ANSWER_S)
        elif kind == b"WA":
            self._write(payload, now_s)
        elif kind == b"JA":
            self._jump(now_s)
        elif kind != b"pG":
            self._unit.refuse(kind, now_s)

    def _write(self, payload: bytes, now_s: float) -> None:
        address, length = struct.unpack_from(">IB", payload)
        data = payload[5:]
        if len(data) != length or address + length > _LONGEST or (address and not self._is_erased):
            self._unit.refuse(b"WA", now_s)
            return
        ready_s = now_s + _ANSWER_S
        if address == 0:
            self._flash, self._is_erased = bytearray(), True
            self.erasures += 1
            ready_s = now_s + self.erase_s
            self._unit.be_mute_until(ready_s)
        flash = self._flash if self._flash is not None else bytearray()
        flash.extend(b"\xff" * (address + length - len(flash)))
        flash[address : address + length] = data
        self._flash = flash
        self.blocks.append(address)
        self._unit.send(b"WA", payload[:5] if self.names_blocks else b"", ready_s)

    def _jump(self, now_s: float) -> None:
        if not self._is_whole():
            self._unit.refuse(b"JA", now_s)
            return
        self._unit.send(b"JA", b"", now_s + _ANSWER_S)
        self._leaves_s = now_s + 2 * _ANSWER_S

    def _activate(self, now_s: float) -> None:
        self.is_active, self._enters_s = True, math.inf
        self._unit.baud = BAUD
        self._unit.be_mute_until(now_s)

    def _leave(self, now_s: float) -> None:
        self.is_active, self._leaves_s = False, math.inf
        if self._flash is not None and _MARK in self._flash[: _HEADER.size]:
            self._unit.text = _HEADER.unpack_from(self._flash)[5].rstrip(b"\0").decode("latin-1")
        self._unit.start_application(now_s)

    def _is_whole(self) -> bool:
        if self._flash is None:
            return True
        if len(self._flash) < _HEADER.size:
            return False
        _, _, mark, size, crc, _ = _HEADER.unpack_from(self._flash)
        if mark != _MARK:  # somebody's own image: what was written is believed to be all
            return self._is_erased
        return (len(self._flash), zlib.crc32(self._flash[_HEADER.size :])) == (size, crc)

"""EEPROM of a unit: words, rate, packet streamed from power-up on. A 3DM-GX3-25 has its rate in its sampling settings.

Each operation raises NoAnswerError if the unit does not respond.
"""

import contextlib
import struct
from dataclasses import astuple, dataclass, replace
from typing import Final

from pygnc_devices.errors import DeviceError, NoAnswerError
from pygnc_devices.gx2.operations import CYCLE_S, ask, check_kind, command, identify
from pygnc_devices.gx2.packets import PACKETS
from pygnc_devices.gx2.unit import Gx2Unit
from pygnc_devices.scheduler import Request, wait_for

RATE_ADDRESS: Final = 0xFCA2
STARTUP_ADDRESS: Final = 0xFCA6
COUNTS_PER_S: Final = 51_200
DIVIDERS: Final = range(170, COUNTS_PER_S + 1)
"""Dividers of the rate: about 300 Hz to 1 Hz."""
_WIRELESS: Final = 0x8000
_WRITES: Final = 2
_GX3_HZ: Final = 1000
_READ, _SET, _STORE = 0, 1, 2
_QUEUE: Final = "eeprom"
_LATE_S: Final = 0.3


class EepromError(DeviceError):
    """Error raised when a word or setting reads back with another value."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling settings of a 3DM-GX3-25 (DB): rate 1000 Hz / decimation, filters in samples, compensation in s."""

    decimation: int
    flags: int
    inertial_filter_size: int
    magnetic_filter_size: int
    up_compensation_s: int
    north_compensation_s: int
    magnetic_power: int

    @property
    def rate_hz(self) -> float:
        """Rate of continuous mode, Hz."""
        return _GX3_HZ / self.decimation


async def read_word(unit: Gx2Unit, address: int) -> int:
    """Return the 16-bit word at an address (E5)."""
    request = _command("E5", b"\x00" + struct.pack(">H", address))
    try:
        octets = await ask(unit, request)
    except NoAnswerError:
        await _wait_for_late_words()
        octets = await ask(unit, request)
    return int.from_bytes(octets, "big")


async def write_word(unit: Gx2Unit, address: int, word: int) -> None:
    """Write a word unless it has that value, read it back, and write it once more if necessary (E4, E5).

    Raises:
        EepromError: the word reads back with another value.
    """
    if (await read_word(unit, address)) == word:
        return
    for _ in range(_WRITES):
        try:
            await ask(unit, _command("E4", b"\xc1\x29\x00" + struct.pack(">HH", address, word)))
        except NoAnswerError:
            await _wait_for_late_words()
        found = await read_word(unit, address)
        if found == word:
            return
    raise EepromError(
        f"word {address:#06x}: wrote {word:#06x} twice, read back {found:#06x}; the unit does not take this value: see"
        " its manual for the values of the word"
    )


async def get_rate(unit: Gx2Unit) -> float:
    """Return the rate of continuous mode, Hz."""
    if await _is_gx3(unit):
        return (await get_sampling(unit)).rate_hz
    return COUNTS_PER_S / (await read_word(unit, RATE_ADDRESS))


async def set_rate(unit: Gx2Unit, rate_hz: float, *, keep: bool = True) -> float:
    """Write the nearest possible rate to EEPROM and return it. A 3DM-GX2 uses it from the next power-up on.

    Args:
        unit: state of the unit.
        rate_hz: rate of the calculation cycle, Hz.
        keep: False sets the rate until power-off, which only a 3DM-GX3-25 can do.

    Raises:
        DeviceError: `keep` is False for a 3DM-GX2, or the rate is not from 1 to 301 Hz; a 3DM-GX3-25 uses the nearest
            rate from 1 to 1000 Hz instead.
        EepromError: the rate reads back with another value.
    """
    if await _is_gx3(unit):
        sampling = await get_sampling(unit)
        decimation = min(1000, max(1, round(_GX3_HZ / rate_hz))) if rate_hz > 0 else 1000
        await set_sampling(unit, replace(sampling, decimation=decimation), keep=keep)
        return _GX3_HZ / decimation
    if not keep:
        raise DeviceError(
            "a 3DM-GX2 changes its rate at power-up only; write it to the EEPROM (`pygnc device write PORT "
            f"rate={rate_hz:g}Hz`), then switch the unit off and on"
        )
    divider = round(COUNTS_PER_S / rate_hz) if rate_hz > 0 else 0
    if divider not in DIVIDERS:
        raise DeviceError(f"rate {rate_hz} Hz is not from 1 to {COUNTS_PER_S / DIVIDERS[0]:.0f} Hz")
    await write_word(unit, RATE_ADDRESS, divider)
    return COUNTS_PER_S / divider


async def set_startup(unit: Gx2Unit, kind: str | None) -> None:
    """Set the packet that is streamed from the next power-up on, such as CC; None: wait for commands.

    Raises:
        DeviceError: `kind` is not a measurement.
        EepromError: the word reads back with another value.
    """
    word = 0
    if kind is not None:
        check_kind(kind)
        word = int(kind, 16) | (0 if unit.node is None else _WIRELESS)
    await write_word(unit, STARTUP_ADDRESS, word)


async def get_startup(unit: Gx2Unit) -> str | None:
    """Return the packet that is streamed from power-up on; None if the unit waits for commands."""
    word = await read_word(unit, STARTUP_ADDRESS)
    return f"{word & 0xFF:02X}" if word & 0xFF else None


async def get_sampling(unit: Gx2Unit) -> Sampling:
    """Return the sampling settings of a 3DM-GX3-25 (DB)."""
    return await _sampling(unit, _READ, Sampling(0, 0, 0, 0, 0, 0, 0))


async def set_sampling(unit: Gx2Unit, sampling: Sampling, *, keep: bool = False) -> None:
    """Set the sampling settings of a 3DM-GX3-25 (DB), until power-off or in non-volatile memory (`keep`).

    Raises:
        EepromError: the settings read back with other values.
    """
    found = await _sampling(unit, _STORE if keep else _SET, sampling)
    unit.reset_rate()
    if found != sampling:
        raise EepromError(f"sampling settings: wrote {sampling}, read back {found}; repeat the write")


async def _is_gx3(unit: Gx2Unit) -> bool:
    if unit.timer.hz is None:
        await identify(unit)
    return unit.is_gx3


async def _sampling(unit: Gx2Unit, function: int, wanted: Sampling) -> Sampling:
    data = bytes([0xA8, 0xB9, function]) + struct.pack(">HHBBHHB5x", *astuple(wanted))
    values = PACKETS["DB"].decode(await ask(unit, command("DB", data))).values()
    return Sampling(*(value for value in values if isinstance(value, int)))


def _command(kind: str, data: bytes) -> Request:
    """Return E4 or E5, sent once: responses do not name the address, so a late response could pass for the next."""
    return command(kind, data, timeout_s=CYCLE_S, tries=1, queue=_QUEUE)


async def _wait_for_late_words() -> None:
    with contextlib.suppress(NoAnswerError):
        while True:
            await wait_for(lambda frame: frame.kind in {"E4", "E5"}, _QUEUE, _LATE_S)

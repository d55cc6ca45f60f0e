"""Checksum of responses, and scanner of recorded histograms. A live line has no marks between responses."""

import math
import struct
from typing import Final

from pygnc_devices.framing import Damage, DamageReason, Frame, ReflectedCrc, Scan, scan_by
from pygnc_devices.opc_n3.packets import HISTOGRAM_BYTES

KIND: Final = "histogram"
"""Kind of the frames of recorded histograms."""
crc16: Final = ReflectedCrc(0xA001, seed=0xFFFF)
"""CRC-16/MODBUS"""
_CHECKED: Final = struct.Struct("<48x4xHH4x3f8x2xH2x")
_LARGEST_FLOW: Final = 2000
_LARGEST_PM: Final = 1e7
_LARGEST_LASER: Final = 4096
_LIKELY_LASER: Final = (300, 1000)


def is_intact(octets: bytes) -> bool:
    """Return True if the last two bytes are the checksum of the bytes before them."""
    return crc16(octets[:-2]) == int.from_bytes(octets[-2:], "little")


def scan_histograms(octets: bytes, stalled: bool = False) -> Scan:  # noqa: FBT001, FBT002 - every scanner's signature
    """Find the histograms of a recording: 86 bytes each, recognised by their checksum and by plausible values."""
    return scan_by(_find, octets, stalled=stalled)


def _find(octets: bytes, at: int, stalled: bool) -> Frame | Damage | None:  # noqa: FBT001 - see `scan_by`
    raw = octets[at : at + HISTOGRAM_BYTES]
    if len(raw) < HISTOGRAM_BYTES:
        return Damage(at, at + 1, DamageReason.CUT) if stalled else None
    if not is_plausible(raw) or not is_intact(raw):
        return Damage(at, at + 1, DamageReason.CHECKSUM)
    return Frame(KIND, raw, raw, at)


def is_plausible(raw: bytes) -> bool:
    """Return True if flow, mass and laser are plausible: one of 65536 damaged histograms has a right checksum."""
    period, flow, *masses, laser = _CHECKED.unpack(raw)
    if flow > _LARGEST_FLOW or laser > _LARGEST_LASER:
        return False
    if period and flow:
        return all(math.isfinite(mass) and 0 <= mass < _LARGEST_PM for mass in masses)
    return bool(_LIKELY_LASER[0] <= laser <= _LIKELY_LASER[1])

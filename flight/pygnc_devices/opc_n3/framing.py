"""Checksum of responses, and scanner of recorded histograms. Responses on a live line have no framing."""

import math
import re
import struct
from typing import TYPE_CHECKING, Final

from pygnc_devices.framing import DamageReason, Frame, FrameFormat, reflected_crc
from pygnc_devices.opc_n3.packets import HISTOGRAM_BYTES
from pygnc_devices.series import crc_rows

if TYPE_CHECKING:
    from pygnc_devices.series import Mask, Rows

KIND: Final = "histogram"
"""Kind of the frames of recorded histograms."""
crc16: Final = reflected_crc(0xA001, seed=0xFFFF)
"""CRC-16/MODBUS"""
_crc16_rows: Final = crc_rows(crc16)
_CHECKED: Final = struct.Struct("<48x4xHH4x3f8x2xH2x")
_LARGEST_FLOW: Final = 2000
_LARGEST_PM: Final = 1e7
_LARGEST_LASER: Final = 4096
_LIKELY_LASER: Final = (300, 1000)


def is_intact(octets: bytes) -> bool:
    """Return True if the last two bytes are the checksum of the bytes before them."""
    return crc16(octets[:-2]) == int.from_bytes(octets[-2:], "little")


def is_plausible(raw: bytes) -> bool:
    """Return True if flow, mass and laser are plausible: one of 65536 damaged histograms has a right checksum."""
    period, flow, *masses, laser = _CHECKED.unpack(raw)
    if flow > _LARGEST_FLOW or laser > _LARGEST_LASER:
        return False
    if period and flow:
        return all(math.isfinite(mass) and 0 <= mass < _LARGEST_PM for mass in masses)
    return bool(_LIKELY_LASER[0] <= laser <= _LIKELY_LASER[1])


def are_intact(rows: "Rows") -> "Mask":
    """Return True for each histogram with a sampled volume that the scanner accepts, see `Series`."""
    period, flow = rows[:, 52:56].copy().view("<u2").T
    masses = rows[:, 60:72].copy().view("<f4")
    laser = rows[:, 82:84].copy().view("<u2")[:, 0]
    has_volume = (period > 0) & (flow > 0) & (flow <= _LARGEST_FLOW) & (laser <= _LARGEST_LASER)
    has_masses = ((masses >= 0) & (masses < _LARGEST_PM)).all(axis=1)
    intact: Mask = has_volume & has_masses & (_crc16_rows(rows) == 0)
    return intact


def _histogram_at(octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: ARG001, FBT001 - see `FrameFormat`
    raw = octets[at : at + HISTOGRAM_BYTES]
    if len(raw) < HISTOGRAM_BYTES:
        return None
    return Frame(KIND, raw, raw, at) if is_plausible(raw) and is_intact(raw) else DamageReason.CHECKSUM


scan_histograms: Final = FrameFormat(re.compile(b""), _histogram_at).scan
"""Scanner of recordings: histograms of 86 bytes each, recognised by their checksum and by plausible values."""

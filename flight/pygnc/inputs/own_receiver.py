"""Conversion of readings of a satellite navigation receiver at the computer to fixes.

Only the package `receivers` uses both the value names of receiver drivers and the fields of `GnssFix`.
"""

from typing import Final

from pygnc.bus.messages import DeviceReading, GnssFix
from pygnc.common.clock import gps_ms_from_week
from pygnc.inputs.receivers import mip, novatel, skytraq, ublox
from pygnc.inputs.receivers.parts import Part, Place, fix_of

_PARTS: Final = {"novatel": novatel.PARTS, "ublox": ublox.PARTS, "skytraq": skytraq.PARTS}


def own_fix(reading: DeviceReading, seq: int, t_spacecraft_ms: int) -> GnssFix | None:
    """Return the fix of a reading that arrived at a spacecraft time; None for a packet without a fix.

    Only packets with both position and velocity become fixes, each by itself, because further packets may not come.
    """
    try:
        part = _part(reading)
    except (ValueError, OverflowError):  # a time that is not a number
        return None
    if part is None or part.position is None or part.velocity is None:
        return None
    place = Place(
        seq,
        reading.source,
        reading.offset,
        f"{reading.family} {reading.packet}",
        t_spacecraft_ms // 1000,
        reading.raw,
        t_spacecraft_ms % 1000,
    )
    return fix_of([part], None if part.period is None else gps_ms_from_week(part.period, part.key_ms), place)


def _part(reading: DeviceReading) -> Part | None:
    parts = _PARTS.get(reading.family)
    if parts is None:
        return mip.gnss(reading.values, reading.flags)
    meaning = parts.get(reading.packet)
    return None if meaning is None else meaning(reading.values)

"""Conversion of readings of a satellite navigation receiver at the computer to fixes.

Only the package `receivers` uses both the value names of receiver drivers and the fields of `GnssFix`.
"""

from typing import Final

from pygnc.bus.messages import DeviceReading, GnssFix
from pygnc.common.clock import gps_ms_from_week, rolled_over_weeks
from pygnc.inputs.receivers import mip, novatel, skytraq, ublox
from pygnc.inputs.receivers.parts import Part, Place, fix_of

_PARTS: Final = {"novatel": novatel.PARTS, "ublox": ublox.PARTS, "skytraq": skytraq.PARTS}


def own_fix(reading: DeviceReading, seq: int, t_spacecraft_ms: int, earliest_week: int = 0) -> GnssFix | None:
    """Return the fix of a reading that arrived at a spacecraft time; None for a packet without a fix.

    Only packets with both position and velocity become fixes, each by itself, because further packets may not come.
    Weeks before `earliest_week` are corrected for a rollover of the receiver's count.
    """
    part = _part(reading)
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
    week = None if part.period is None else part.period + rolled_over_weeks(part.period, earliest_week)
    return fix_of([part], None if week is None else gps_ms_from_week(week, part.key_ms), place)


def own_week(reading: DeviceReading) -> int | None:
    """Return the GPS week that a reading states, without correction of a rollover; None if it states none."""
    part = _part(reading)
    return None if part is None else part.period


def _part(reading: DeviceReading) -> Part | None:
    parts = _PARTS.get(reading.family)
    if parts is None:
        return mip.gnss(reading.values, reading.flags)
    meaning = parts.get(reading.packet)
    try:
        return None if meaning is None else meaning(reading.values)
    except (ValueError, OverflowError):  # a time that is not a number
        return None

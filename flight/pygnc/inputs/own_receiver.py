"""Conversion of readings of a satellite navigation receiver at the computer to fixes.

Only the package `receivers` uses both the value names of receiver drivers and the fields of `GnssFix`.
"""

from typing import Final

from pygnc.bus.messages import DEVICES, DeviceReading, GnssFix, Message
from pygnc.common.clock import gps_ms_from_week, rolled_over_weeks
from pygnc.inputs.receivers import mip, novatel, skytraq, ublox
from pygnc.inputs.receivers.parts import Part, Place, fix_of

_PARTS: Final = {"novatel": novatel.PARTS, "ublox": ublox.PARTS, "skytraq": skytraq.PARTS}


class OwnEpoch:
    """Epoch of the receiver at the computer whose covariances come in a message of their own, after its position.

    The state follows from the messages of the input journal, so that a restarted process continues the epoch.

    Args:
        device: Name of the receiver in the settings; empty for none.

    Attributes:
        waiting: Reading that becomes a fix with the next reading of the receiver; None if there is none.
        has_covariances: True if the covariances of the epoch before have come.
    """

    def __init__(self, device: str = "") -> None:
        self._device = device
        self.waiting: DeviceReading | None = None
        self.has_covariances = False

    def count(self, message: Message) -> None:
        """Update the epoch with a message of the input journal."""
        if isinstance(message, GnssFix) and message.source == DEVICES:
            self.has_covariances = self.waiting is not None and message.raw != self.waiting.raw
            self.waiting = None
        elif isinstance(message, DeviceReading) and message.device == self._device:
            if is_covariance(message):
                self.has_covariances = True
            elif own_fix(message, 0, 0) is not None:
                self.waiting = message


def is_covariance(reading: DeviceReading) -> bool:
    """Return True if a reading has the covariances of the epoch that other readings with its time belong to."""
    return (reading.family, reading.packet) == ("ublox", ublox.COVARIANCES)


def is_same_epoch(one: DeviceReading, other: DeviceReading) -> bool:
    """Return True if two readings of a receiver have the same time of the week."""
    return one.values["tow_s"] == other.values["tow_s"]


def own_fix(
    reading: DeviceReading,
    seq: int,
    t_spacecraft_ms: int,
    earliest_week: int = 0,
    covariances: DeviceReading | None = None,
) -> GnssFix | None:
    """Return the fix of a reading that arrived at a spacecraft time; None for a packet without a fix.

    Only packets with both position and velocity become fixes, because further packets may not come. `covariances`, a
    reading of the same epoch, replace the accuracies of the packet. Weeks before `earliest_week` are corrected for a
    rollover of the receiver's count.
    """
    part = _part(reading)
    if part is None or part.position is None or part.velocity is None:
        return None
    newest = covariances or reading
    place = Place(
        seq,
        reading.source,
        newest.offset,
        f"{reading.family} {reading.packet}",
        t_spacecraft_ms // 1000,
        reading.raw if newest is reading else reading.raw + newest.raw,
        t_spacecraft_ms % 1000,
    )
    parts = [part, *filter(None, (_part(one) for one in (covariances,) if one is not None))]
    week = None if part.period is None else part.period + rolled_over_weeks(part.period, earliest_week)
    return fix_of(parts, None if week is None else gps_ms_from_week(week, part.key_ms), place)


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

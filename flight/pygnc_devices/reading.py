"""A reading: what a device said, when, and what it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pygnc_devices.declaration import Record, Value


class Stamp(NamedTuple):
    """When bytes arrived: of this computer's monotonic clock, and of its wall clock since 1970 (UTC)."""

    t_mono_ns: int
    t_wall_ns: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement.

    Attributes:
        packet: the declaration: names, units, meaning, CSV columns.
        raw: the frame as it came.
        values: by the names of `packet.fields`, in their units; None where the device says that it has none.
        t_mono_ns: arrival, monotonic clock of this computer.
        t_wall_ns: arrival, wall clock of this computer, since 1970 (UTC). May jump.
        t_device_ns: the device's own clock, unwrapped, since its first reading; None if it has none or the driver
            cannot tell its tick yet.
        lost_before: readings that the device's own count or clock says are missing before this one.
        flags: what makes it doubtful, in words of its family; the values are kept all the same.
    """

    packet: Record
    raw: bytes
    values: Mapping[str, Value | None]
    t_mono_ns: int
    t_wall_ns: int
    t_device_ns: int | None = None
    lost_before: int = 0
    flags: tuple[str, ...] = ()

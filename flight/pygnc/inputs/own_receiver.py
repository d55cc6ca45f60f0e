"""Conversion of readings of a satellite navigation receiver at the computer to fixes.

Only this module uses both the value names of receiver drivers and the fields of `GnssFix`.
"""

import math
from typing import Final

import numpy as np

from pygnc.bus.messages import DeviceReading, GnssFix, Vector3, vector3
from pygnc.common.arrays import Array
from pygnc.common.clock import gps_ms_from_week
from pygnc.common.constants import SolutionStatus
from pygnc.formats.gps_packet import solution_name

_POSITION: Final = ("ecef_x_m", "ecef_y_m", "ecef_z_m", "ecef_accuracy_m")
_VELOCITY: Final = ("velocity_north_mps", "velocity_east_mps", "velocity_down_mps", "speed_accuracy_mps")
_FIX_TYPES: Final = {1: "2d", 2: "time_only", 3: "none", 4: "invalid"}
"""Names of the values of `fix_type` other than a 3D fix; MIP data sets 0x81 and 0x91, field 0x0B."""
_TIME_VALID: Final = 0b11
"""Mask of `time_flags` with the bits of a valid time of week and a valid week."""
_COMPUTED: Final = solution_name(SolutionStatus.COMPUTED)
_AXES: Final = math.sqrt(3.0)


def own_fix(reading: DeviceReading, seq: int, t_spacecraft_ms: int) -> GnssFix | None:
    """Return the fix of a reading that arrived at a spacecraft time; None for a packet without a fix.

    A receiver gives the accuracy as root sum square over three axes; each sigma is this accuracy divided by sqrt(3).
    """
    values = reading.values
    satellites = values.get("satellites")
    if not isinstance(satellites, int) or "tow_s" not in values or _POSITION[0] not in values:
        return None
    gps_ms, remainder_s = _time(reading)
    position = _numbers(reading, _POSITION, "position_ecef")
    velocity = _velocity_ecef(reading)
    # The time of a fix is in whole ms, so the position is moved along the velocity to that time.
    at_ms = position[:3] - np.nan_to_num(velocity[:3]) * remainder_s
    fix_type = values.get("fix_type")
    solution = _FIX_TYPES.get(fix_type, _COMPUTED) if isinstance(fix_type, int) else _COMPUTED
    return GnssFix(
        seq=seq,
        source=reading.source,
        offset=reading.offset,
        kind=f"{reading.family} {reading.packet}",
        t_spacecraft_s=t_spacecraft_ms // 1000,
        t_spacecraft_ms=t_spacecraft_ms % 1000,
        gps_ms=gps_ms,
        time_sigma_s=None,
        position_solution=solution if np.isfinite(position).all() else "invalid",
        position_ecef_m=vector3(at_ms),
        position_sigma_m=_shared(position[3]),
        velocity_solution=solution if np.isfinite(velocity).all() else "invalid",
        velocity_ecef_mps=vector3(velocity[:3]),
        velocity_sigma_mps=_shared(velocity[3]),
        velocity_latency_s=0.0,
        differential_age_s=0.0,
        solution_age_s=0.0,
        satellites_tracked=satellites,
        satellites_used=satellites,
        raw=reading.raw,
    )


def _time(reading: DeviceReading) -> tuple[int | None, float]:
    """Return the GPS time in whole ms, None if it is unknown, and the remaining fraction of a millisecond in s."""
    flags, week = (reading.values.get(name) for name in ("time_flags", "week"))
    (tow_s,) = _numbers(reading, ("tow_s",), "gps_time")
    is_valid = isinstance(flags, int) and flags & _TIME_VALID == _TIME_VALID
    if not is_valid or not isinstance(week, int) or not math.isfinite(tow_s):
        return None, 0.0
    tow_ms = round(1e3 * tow_s)
    return gps_ms_from_week(week, tow_ms), tow_s - 1e-3 * tow_ms


def _numbers(reading: DeviceReading, names: tuple[str, ...], part: str) -> Array:
    """Return the named values as an array; NaN where one is missing, and everywhere if `part` is flagged invalid."""
    found = (reading.values.get(name) for name in names)
    numbers = np.array([value if isinstance(value, int | float) else math.nan for value in found])
    return np.full(len(names), math.nan) if f"{part} invalid" in reading.flags else numbers


def _velocity_ecef(reading: DeviceReading) -> Array:
    """Return the velocity in ECEF axes and its accuracy, m/s, shape (4,), from components north, east and down."""
    north, east, down, accuracy = _numbers(reading, _VELOCITY, "velocity")
    latitude, longitude = _numbers(reading, ("latitude_rad", "longitude_rad"), "position")
    outward = north * -math.sin(latitude) - down * math.cos(latitude)
    return np.array(
        [
            outward * math.cos(longitude) - east * math.sin(longitude),
            outward * math.sin(longitude) + east * math.cos(longitude),
            north * math.cos(latitude) - down * math.sin(latitude),
            accuracy,
        ]
    )


def _shared(accuracy: float) -> Vector3:
    sigma = float(accuracy) / _AXES
    return sigma, sigma, sigma

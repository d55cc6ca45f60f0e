"""Epochs of units with the MIP protocol, and of other families whose readings have values of the same names."""

import math
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.common.constants import SolutionStatus
from pygnc.formats.gps_packet import solution_name
from pygnc.inputs.receivers.parts import Part, Position, Values, Velocity, shared

_FIX_TYPES: Final = {1: "2d", 2: "time_only", 3: "none", 4: "invalid"}
"""Names of the values of `fix_type` other than a 3D fix; MIP data sets 0x81 and 0x91, field 0x0B."""
_TIME_VALID: Final = 0b11
"""Mask of `time_flags` with the bits of a valid time of week and a valid week."""
_COMPUTED: Final = solution_name(SolutionStatus.COMPUTED)


def gnss(values: Values, flags: tuple[str, ...]) -> Part | None:
    """Return what a reading tells about an epoch; None for a reading without a position.

    Args:
        values: Values of the reading.
        flags: Warnings of the driver, such as `velocity invalid`.
    """
    satellites = values.get("satellites")
    if not isinstance(satellites, int) or "tow_s" not in values or "ecef_x_m" not in values:
        return None
    position = _numbers(values, ("ecef_x_m", "ecef_y_m", "ecef_z_m", "ecef_accuracy_m"))
    north, east, down, accuracy_mps = _numbers(
        values, ("velocity_north_mps", "velocity_east_mps", "velocity_down_mps", "speed_accuracy_mps")
    )
    (tow_s,) = _numbers(values, ("tow_s",))
    has_time = "gps_time invalid" not in flags and math.isfinite(tow_s)
    tow_ms = round(1e3 * tow_s) if has_time else 0
    return Part(
        tow_ms,
        _week(values) if has_time else None,
        late_s=tow_s - 1e-3 * tow_ms if has_time else 0.0,
        position=Position(_solution(values, flags, "position_ecef"), position[:3], shared(position[3])),
        velocity=Velocity(
            _solution(values, flags, "velocity"), np.array((east, north, -down)), shared(accuracy_mps), is_local=True
        ),
        satellites=(satellites, satellites),
    )


def _solution(values: Values, flags: tuple[str, ...], part: str) -> str:
    if f"{part} invalid" in flags:
        return "invalid"
    fix_type = values.get("fix_type")
    return _FIX_TYPES.get(fix_type, _COMPUTED) if isinstance(fix_type, int) else _COMPUTED


def _week(values: Values) -> int | None:
    flags, week = values.get("time_flags"), values.get("week")
    is_valid = isinstance(flags, int) and flags & _TIME_VALID == _TIME_VALID
    return week if is_valid and isinstance(week, int) else None


def _numbers(values: Values, names: tuple[str, ...]) -> Array:
    """Return the named values as an array; NaN where one is missing."""
    found = (values.get(name) for name in names)
    return np.array([value if isinstance(value, int | float) else math.nan for value in found])

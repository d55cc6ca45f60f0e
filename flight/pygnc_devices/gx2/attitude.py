"""Euler angles from the rotation matrix in the packets C5, C8 and CC."""

import math
from collections.abc import Mapping

from pygnc_devices.declaration import Value


def euler_angles(values: Mapping[str, Value | None]) -> tuple[float, float, float]:
    """Return roll, pitch and yaw in rad. The matrix rotates vectors from north-east-down to the axes of the unit.

    Raises:
        KeyError: `values` does not contain the matrix.
    """
    m11, m12, m13, m23, m33 = (_number(values[name]) for name in ("m11", "m12", "m13", "m23", "m33"))
    return math.atan2(m23, m33), math.asin(min(1.0, max(-1.0, -m13))), math.atan2(m12, m11)


def _number(value: Value | None) -> float:
    return float(value) if isinstance(value, int | float) else math.nan

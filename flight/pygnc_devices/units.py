"""Units of values, in readings (SI) and in CSV files."""

import math
from dataclasses import dataclass
from typing import Final

STANDARD_GRAVITY_MPS2: Final = 9.80665
GAUSS_T: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Unit:
    """Unit of a value in readings: SI and radians, degrees Celsius for temperatures.

    Attributes:
        name: name of the unit in documentation; "" for dimensionless values.
        column: unit of the same quantity in CSV files.
        column_per_unit: value in the CSV file per value in a reading.
    """

    name: str
    column: str
    column_per_unit: float = 1.0


NONE: Final = Unit("", "")
ACCELERATION: Final = Unit("m/s²", "m/s^2")
RATE: Final = Unit("rad/s", "deg/s", math.degrees(1.0))
ANGLE: Final = Unit("rad", "deg", math.degrees(1.0))
MAGNETIC: Final = Unit("T", "G", 1e4)
TEMPERATURE: Final = Unit("°C", "degC")
VELOCITY: Final = Unit("m/s", "m/s")
LENGTH: Final = Unit("m", "m")
TIME: Final = Unit("s", "s")
TICKS: Final = Unit("ticks", "")
"""Ticks of the device's own clock, from which `Reading.t_device_ns` is computed."""
VOLTAGE: Final = Unit("V", "V")
CURRENT: Final = Unit("A", "A")
CHARGE: Final = Unit("C", "Ah", 1 / 3600)
PERCENT: Final = Unit("%", "%")
ENERGY: Final = Unit("Wh", "Wh")
PRESSURE: Final = Unit("Pa", "hPa", 0.01)
NANOSECONDS: Final = Unit("ns", "ns")

"""Packets of a PMS5003, big-endian. Source: Plantower, PMS5003 series data manual, version 2.3, 2016."""

from typing import Final

from pygnc_devices.declaration import Packet, word
from pygnc_devices.units import Unit

_MASS: Final = Unit("µg/m³", "ug/m^3")
_NUMBER: Final = Unit("1/cm³", "1/cm^3")
_PER_CM3: Final = 0.01
"""The sensor counts in 0.1 l."""
PM_NAMES: Final = ("pm_1_ug_m3", "pm_2_5_ug_m3", "pm_10_ug_m3")
_SIZES: Final = ("1", "2.5", "10")
FACTORY_PM_NAMES: Final = tuple(f"factory_{name}" for name in PM_NAMES)
_LOWER_SIZES: Final = ("0.3", "0.5", "1", "2.5", "5", "10")
COUNT_NAMES: Final = tuple(f"particles_above_{size.replace('.', '_')}_um_per_cm3" for size in _LOWER_SIZES)

MEASUREMENT: Final = Packet(
    "measurement",
    (
        *(
            word(name, "H", f"PM{size}, of the factory's standard particles (CF=1)", _MASS)
            for name, size in zip(FACTORY_PM_NAMES, _SIZES, strict=True)
        ),
        *(word(name, "H", f"PM{size}, in the atmosphere", _MASS) for name, size in zip(PM_NAMES, _SIZES, strict=True)),
        *(
            word(name, "H", f"particles larger than {size} µm", _NUMBER, _PER_CM3)
            for name, size in zip(COUNT_NAMES, _LOWER_SIZES, strict=True)
        ),
        word("version", "B", "version of the firmware"),
        word("error_code", "B", "0: no error"),
    ),
    meaning="mass and number concentrations",
)

REPLY: Final = Packet(
    "reply",
    (word("command", "B", "command that the sensor has carried out"), word("data", "B", "data of the command")),
    meaning="acknowledgement of a command",
    is_reading=False,
)

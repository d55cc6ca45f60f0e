"""Packets of an SPS30, big-endian. Source: Sensirion, Datasheet SPS30, version 1.0, 2020, chapter 5."""

from typing import Final

from pygnc_devices.declaration import Field, Labels, Packet, word
from pygnc_devices.units import TIME, Unit

_MASS: Final = Unit("µg/m³", "ug/m^3")
_NUMBER: Final = Unit("1/cm³", "1/cm^3")
_SIZE: Final = Unit("µm", "um")
_NM_UM: Final = 0.001

DEVICE_ERROR: Final = 0x80
"""Bit of the state: the status register contains an error."""
STATES: Final = {
    0x00: "no error",
    0x01: "wrong length of the data",
    0x02: "unknown command",
    0x03: "no access right",
    0x04: "illegal parameter",
    0x28: "internal function argument out of range",
    0x43: "not allowed in the present state",
}
_STATE: Final = word(
    "state",
    "B",
    "state of the sensor",
    labels=Labels(STATES | {DEVICE_ERROR | code: f"{text}; status register set" for code, text in STATES.items()}),
)

PM_NAMES: Final = ("pm_1_ug_m3", "pm_2_5_ug_m3", "pm_4_ug_m3", "pm_10_ug_m3")
_UPPER_SIZES: Final = ("0.5", "1", "2.5", "4", "10")
COUNT_NAMES: Final = tuple(f"particles_below_{size.replace('.', '_')}_um_per_cm3" for size in _UPPER_SIZES)
TYPICAL_SIZE: Final = "typical_size_um"


def _measurement(name: str, code: str, size_scale: float | None, what: str) -> Packet:
    return Packet(
        name,
        (
            _STATE,
            *(
                word(pm, code, f"mass of particles of 0.3 µm to {size} µm", _MASS)
                for pm, size in zip(PM_NAMES, _UPPER_SIZES[1:], strict=True)
            ),
            *(
                word(count, code, f"particles of 0.3 µm to {size} µm", _NUMBER)
                for count, size in zip(COUNT_NAMES, _UPPER_SIZES, strict=True)
            ),
            word(TYPICAL_SIZE, code, "typical diameter of the particles", _SIZE, size_scale),
        ),
        meaning=f"mass and number concentrations, {what}",
    )


MEASUREMENT: Final = _measurement("measurement", "f", None, "as floating-point numbers")
INTEGER_MEASUREMENT: Final = _measurement("integer_measurement", "H", _NM_UM, "as whole numbers")


def _reply(name: str, meaning: str, *fields: Field) -> Packet:
    return Packet(name, (_STATE, *fields), meaning=meaning, is_reading=False)


CLEANING_INTERVAL: Final = _reply(
    "cleaning_interval",
    "interval of the automatic fan cleaning",
    word("auto_cleaning_interval_s", "I", "measuring time between two fan cleanings; 0: never", TIME),
)
VERSION: Final = _reply(
    "version",
    "versions",
    word("firmware_major", "B", "major version of the firmware"),
    word("firmware_minor", "B", "minor version of the firmware"),
    word("reserved_1", "B", "reserved"),
    word("hardware", "B", "revision of the hardware"),
    word("reserved_2", "B", "reserved"),
    word("protocol_major", "B", "major version of the protocol"),
    word("protocol_minor", "B", "minor version of the protocol"),
)
STATUS_BITS: Final = Labels({4: "fan failure", 5: "laser failure", 21: "fan speed out of range"}, is_bit_field=True)
STATUS: Final = _reply(
    "status",
    "status register, firmware 2.2 and later",
    word("status", "I", "status register", labels=STATUS_BITS),
    word("reserved", "B", "reserved"),
)

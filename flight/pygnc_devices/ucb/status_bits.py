"""Bits of the built-in test (BIT) and status words. DMU380ZA manual 7430-3810; names added by OpenIMU firmware."""

from collections.abc import Mapping
from typing import Final

_SERIAL: Final = {0: "transmit overflow", 1: "receive overflow", 2: "framing", 3: "break", 4: "parity"}

BITS: Final[Mapping[str, Mapping[int, str]]] = {
    "bit_status": {
        0: "master fail", 1: "hardware error", 2: "communication error", 3: "software error", 8: "master status",
        9: "hardware status", 10: "communication status", 11: "software status", 12: "sensor status",
    },
    "hardware": {
        0: "power", 1: "environment", 2: "sensor", 3: "magnetometer", 4: "accelerometer", 5: "gyro",
        6: "pulse per second", 7: "nss",
    },
    "hardware_power": {
        0: "input power", 1: "input current", 2: "input voltage", 3: "5 V", 4: "3 V", 5: "2 V", 6: "2.5 V reference",
        7: "6 V", 8: "ground reference", 9: "4 V",
    },
    "hardware_environment": {0: "board temperature"},
    "com": {0: "serial port A", 1: "serial port B", 2: "I2C", 3: "SPI"},
    "serial_a": _SERIAL,
    "serial_b": _SERIAL,
    "software": {0: "algorithm", 1: "data"},
    "software_algorithm": {0: "initialisation", 1: "over range", 2: "missed navigation step"},
    "software_data": {0: "calibration CRC", 1: "magnetic alignment out of bounds"},
    "hardware_status": {
        0: "1PPS not locked", 1: "internal GPS not locked", 2: "no differential GPS", 3: "EEPROM unlocked",
    },
    "com_status": {0: "no external GPS", 1: "no external magnetometer"},
    "software_status": {
        0: "algorithm initialising", 1: "high gain", 2: "attitude only", 3: "turn switch",
    },
    "sensor_status": {0: "over range"},
}  # fmt: skip

HARD_FAILURES: Final = frozenset({0, 1, 2, 3})
"""Bits of `bit_status` that mean a failure; the others are states, raised as the enable masks (fields 16 to 19) say."""


def decode(word_name: str, word: int) -> tuple[str, ...]:
    """Return the names of the bits set; a bit without a name is called by its number."""
    names = BITS.get(word_name, {})
    return tuple(names.get(bit, f"bit {bit}") for bit in range(16) if word >> bit & 1)


def has_failed(bit_status: int) -> bool:
    """Tell whether the unit reports a failure, not merely a state."""
    return any(bit_status >> bit & 1 for bit in HARD_FAILURES)

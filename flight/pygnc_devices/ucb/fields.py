"""Configuration fields (all u16), volatile (GF, SF) and in EEPROM (RF, WF): names, legal values, meaning."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from pygnc_devices.errors import DeviceError
from pygnc_devices.ucb.packets import OVERHEAD_BYTES

ORIENTATION_TEXTS: Final[Mapping[int, str]] = {
    0x000: "+x+y+z", 0x009: "-x-y+z", 0x023: "-y+x+z", 0x02A: "+y-x+z", 0x041: "-x+y-z", 0x048: "+x-y-z",
    0x062: "+y+x-z", 0x06B: "-y-x-z", 0x085: "-z+y+x", 0x08C: "+z-y+x", 0x092: "+y+z+x", 0x09B: "-y-z+x",
    0x0C4: "+z+y-x", 0x0CD: "-z-y-x", 0x0D3: "-y+z-x", 0x0DA: "+y-z-x", 0x111: "-x+z+y", 0x118: "+x-z+y",
    0x124: "+z+x+y", 0x12D: "-z-x+y", 0x150: "+x+z-y", 0x159: "-x-z-y", 0x165: "-z+x-y", 0x16C: "+z-x-y",
}  # fmt: skip
"""Axes of the unit along the outputs X, Y, Z, by code. DMU380ZA manual 7430-3810, table of orientations.

Bit 0 of a code is the sign of X (1: negative), bits 1 and 2 are its source; bits 3 to 5 are the same for Y, bits 6 to 8
for Z. The sources 0, 1, 2 mean x, y, z for X; y, z, x for Y; z, x, y for Z. The 24 right-handed triples are legal.
"""
ORIENTATION_CODES: Final = {text: code for code, text in ORIENTATION_TEXTS.items()}

RATE: Final = 0x0001
BAUD: Final = 0x0002
PACKET_TYPE: Final = 0x0003
ORIENTATION: Final = 0x0007
PRODUCT_CONFIGURATION: Final = 0x071C
HARD_IRON: Final = frozenset({0x0009, 0x000A, 0x001C, 0x001D})
"""Fields whose unit depends on the model."""

HZ_OF_DIVIDER: Final = {0: 0, 1: 100, 2: 50, 4: 25, 5: 20, 10: 10, 20: 5, 25: 4, 50: 2, 100: 1, 200: 200}
"""Rate by value of field 1, from recordings and the maker's tests; the table in the manual is off by one line."""
DIVIDER_OF_HZ: Final = {hz: divider for divider, hz in HZ_OF_DIVIDER.items()}
BAUD_OF_CODE: Final = {0: 9600, 1: 19200, 2: 38400, 3: 57600, 4: 4800, 5: 115200, 6: 230400, 7: 460800}
CODE_OF_BAUD: Final = {baud: code for code, baud in BAUD_OF_CODE.items()}

_LINE_SHARE: Final = 0.81
"""Fraction of the line's capacity that the firmware allows for packets."""


class FieldError(DeviceError):
    """Error raised when a field does not exist or cannot have a value; the message lists the legal values."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """Configuration field.

    Attributes:
        id: number in commands.
        name: name in this driver.
        meaning: description, without the name.
        legal: legal values and their meanings; None: all 16-bit values.
        writable: True if SF and WF accept the field.
        alias: name of the field on a DMU380, if the models differ; "" for other fields.
        is_packet_type: True if the value is a packet type, two characters.
        full_scale: physical value of 65536 bits; 0 if the value has no unit.
        unit: unit of the physical value; "" for a ratio.
        is_signed: True if the value is signed.
    """

    id: int
    name: str
    meaning: str
    legal: Mapping[int, str] | None = None
    writable: bool = True
    alias: str = ""
    is_packet_type: bool = False
    full_scale: float = 0.0
    unit: str = ""
    is_signed: bool = True

    def check(self, value: int) -> None:
        """Check a value before it is written.

        Raises:
            FieldError: the field cannot have this value.
        """
        field = f"field {self.id} ({self.name})"
        if not self.writable:
            raise FieldError(f"{field} is read-only")
        if not 0 <= value <= 0xFFFF:
            raise FieldError(f"{field}: {value} does not fit into 16 bits")
        if self.is_packet_type and not _is_type(value):
            raise FieldError(f"{field}: {value} is not a packet type; encode two characters, such as 21297 for S1")
        if self.legal is not None and value not in self.legal:
            choices = ", ".join(f"{key} ({text})" if text else str(key) for key, text in self.legal.items())
            raise FieldError(f"{field}: unknown value {value}; choose from {choices}")

    def describe(self, value: int, model: str = "") -> str:
        """Return the meaning of a value; "" if it has none, or if its unit depends on the model and that is ""."""
        if self.is_packet_type and _is_type(value):
            return type_text(value)
        if step := self.step(model):
            bits = value - 0x10000 if self.is_signed and value > 0x7FFF else value
            return f"{bits * step:.5f} {self.unit}".strip()
        return (self.legal or {}).get(value, "")

    def step(self, model: str = "") -> float:
        """Return the physical value of one bit; 0 if it has none, or if it depends on the model and that is ""."""
        if self.id not in HARD_IRON:
            return self.full_scale / 0x10000
        return self.full_scale / 0x10000 * (_WIDE if model.startswith(_WIDE_MODELS) else 1.0) if model else 0.0


def type_text(value: int) -> str:
    """Return the two characters of a packet type."""
    return value.to_bytes(2, "big").decode("latin-1")


def type_value(text: str) -> int:
    """Return the value of field 3 for a packet type."""
    return int.from_bytes(text.encode("latin-1"), "big")


def fits_line(payload_bytes: int, rate_hz: int, baud: int) -> bool:
    """Return True if the firmware accepts fields with this packet size, packet rate and baud rate."""
    return (payload_bytes + OVERHEAD_BYTES) * rate_hz < _LINE_SHARE * baud / 10


def _is_type(value: int) -> bool:
    return all(0x30 <= octet <= 0x7A and chr(octet).isalnum() for octet in value.to_bytes(2, "big"))


_RATES: Final = {divider: f"{hz} Hz" if hz else "quiet" for divider, hz in HZ_OF_DIVIDER.items()}
_BAUDS: Final = {code: f"{baud} baud" for code, baud in BAUD_OF_CODE.items()}
_ON_OFF: Final = {0: "off", 1: "on"}
_HARD_IRON_G: Final = 2.0
_WIDE_MODELS: Final = ("OpenIMU",)
_WIDE: Final = 10.0
"""Factor of the hard iron's unit in newer models."""
_TURN_RAD: Final = 2.0 * math.pi

FIELD_TABLE: Final[Mapping[int, FieldSpec]] = {
    spec.id: spec
    for spec in (
        FieldSpec(RATE, "packet_rate_divider", "of 100 Hz", _RATES),
        FieldSpec(BAUD, "baud_code", "of the user port", _BAUDS),
        FieldSpec(PACKET_TYPE, "packet_type", "sent continuously: two characters", is_packet_type=True),
        FieldSpec(0x0005, "filter_5", "low pass, DMU380: gyros, OpenIMU: accelerometers", alias="gyro_filter"),
        FieldSpec(0x0006, "filter_6", "low pass, DMU380: accelerometers, OpenIMU: gyros", alias="accel_filter"),
        FieldSpec(ORIENTATION, "orientation", "axes of the unit along X, Y, Z", ORIENTATION_TEXTS),
        FieldSpec(0x0008, "user_behaviour", "bits: 0 free integration, 1 magnetometer, 2 GPS, 3 stationary yaw lock, "
                  "4 restart on over range, 5 dynamic motion, 7 external magnetometer, 8 external GPS"),
        *(FieldSpec(0x0009 + k, f"hard_iron_{axis}", "signed, 2/65536 G per bit (OpenIMU 20/65536)",
                    full_scale=_HARD_IRON_G, unit="G") for k, axis in enumerate("xy")),
        FieldSpec(0x000B, "soft_iron_ratio", "2/65536 per bit", full_scale=2.0, is_signed=False),
        FieldSpec(0x000C, "heading_track_offset", "signed, 2 pi/65536 rad per bit", full_scale=_TURN_RAD, unit="rad"),
        FieldSpec(0x000D, "turn_switch_threshold", "rate above which the turn switch acts"),
        FieldSpec(0x000E, "soft_iron_angle", "signed, 2 pi/65536 rad per bit", full_scale=_TURN_RAD, unit="rad"),
        FieldSpec(0x0010, "hardware_status_enable", "mask: bits that raise the master status"),
        FieldSpec(0x0011, "com_status_enable", "mask: bits that raise the master status"),
        FieldSpec(0x0012, "software_status_enable", "mask: bits that raise the master status"),
        FieldSpec(0x0013, "sensor_status_enable", "mask: bits that raise the master status"),
        FieldSpec(0x0014, "gps_baud_code", "of the GPS port", _BAUDS),
        FieldSpec(0x0015, "gps_protocol", "of the GPS port"),
        FieldSpec(0x0016, "barometer", "of the altitude"),
        FieldSpec(0x0017, "external_mag_angle_1", "mounting of the external magnetometer"),
        FieldSpec(0x0018, "external_mag_angle_2", "mounting of the external magnetometer"),
        *(FieldSpec(0x0019 + k, f"align_{name}", "mounting angle") for k, name in enumerate(("roll", "pitch", "yaw"))),
        *(FieldSpec(0x001C + k, f"external_{name}", "of the external magnetometer", full_scale=full_scale, unit=unit,
                    is_signed=name != "soft_iron_ratio")
          for k, (name, full_scale, unit) in enumerate((
              ("hard_iron_x", _HARD_IRON_G, "G"), ("hard_iron_y", _HARD_IRON_G, "G"), ("soft_iron_ratio", 2.0, ""),
              ("soft_iron_angle", _TURN_RAD, "rad")))),
        FieldSpec(0x0020, "external_orientation", "of the external magnetometer", ORIENTATION_TEXTS),
        *(FieldSpec(0x0021 + k, f"port_{k}_use", "what the port is for") for k in range(4)),
        *(FieldSpec(0x0025 + k, f"port_{k}_baud_code", "of the port", _BAUDS) for k in range(4)),
        *(FieldSpec(0x0029 + k, f"tilt_alarm_{k}", "of the tilt alarms") for k in range(9)),
        FieldSpec(0x0032, "ecu_address", "on the CAN bus"),
        FieldSpec(0x0033, "ecu_baud", "of the CAN bus"),
        FieldSpec(0x003C, "can_rate", "of CAN packets"),
        FieldSpec(0x003D, "can_packet_type", "of CAN packets"),
        FieldSpec(0x0042, "sensor_enable", "IMU383: bit per chip", dict.fromkeys(range(8), "")),
        FieldSpec(0x0043, "output_select", "IMU383: bit per chip", dict.fromkeys(range(8), "")),
        *(FieldSpec(0x004C + k, f"fault_mask_{k + 1}", "IMU383: of the chip") for k in range(3)),
        FieldSpec(0x0061, "accel_consistency_check", "IMU383", _ON_OFF),
        FieldSpec(0x0062, "rate_consistency_check", "IMU383", _ON_OFF),
        FieldSpec(PRODUCT_CONFIGURATION, "product_configuration",
                  "bits: 0 magnetometer, 1 GPS, 2 algorithm, 3 external aiding, 4 to 7 architecture", writable=False),
    )
}  # fmt: skip

_FILTER_STEPS: Final = ((18749, 2), (8034, 5), (4017, 10), (2410, 20), (1740, 25), (1204, 40), (0, 50))
FILTER_CODE_OF_HZ: Final = {2: 26785, 5: 10713, 10: 5356, 20: 2678, 25: 2142, 40: 1338, 50: 1070, 0: 0}
"""Values of fields 5 and 6 by corner frequency in Hz; 0 is unfiltered on newer models and 50 Hz on a DMU380."""


def filter_hz(code: int) -> int:
    """Return the corner frequency in Hz of a filter code, by the finer scale of newer models; 0: unfiltered."""
    return next((hz for above, hz in _FILTER_STEPS if code > above), 0)


def field_id(name: str | int) -> int:
    """Return the number of a field, given its number, its name, or its alias on a DMU380.

    Raises:
        FieldError: no field has this name.
    """
    if isinstance(name, int):
        return name
    for spec in FIELD_TABLE.values():
        if name and name in (spec.name, spec.alias):
            return spec.id
    known = [spec.name for spec in FIELD_TABLE.values()]
    nearest = "".join(f"did you mean {match}? " for match in get_close_matches(name, known, n=1))
    raise FieldError(f"unknown field {name!r}; {nearest}choose from {', '.join(known)}")


def check_values(values: Mapping[int, int]) -> None:
    """Check values before they are written.

    Raises:
        FieldError: a value is illegal, or its field is unknown.
    """
    for number, value in values.items():
        spec = FIELD_TABLE.get(number)
        if spec is None:
            raise FieldError(f"unknown field {number:#06x}; its values cannot be checked")
        spec.check(value)

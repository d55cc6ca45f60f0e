"""Items of MTData2 messages. One line declares an item; decoder, encoder, CSV columns and tables follow from it.

An identifier consists of a type, the coordinate system in bits 2 and 3, and the number format in bits 0 and 1. Items
that are not declared here are skipped by their length and counted. Source: MT Low Level Communication Protocol
(MT0101P) of Xsens, and the maker's library xspublic (`xsdataidentifier.h`, `datapacket_p.h`, `xsrawgnsspvtdata.h`,
`xsrawgnsssatinfo.h`, `xsstatusflag.h`).
"""

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from functools import cache
from typing import Final, NamedTuple

from pygnc_devices.declaration import Field, Labels, Packet, Value, axes, word
from pygnc_devices.units import (
    ACCELERATION,
    ANGLE,
    LENGTH,
    PRESSURE,
    RATE,
    TEMPERATURE,
    TICKS,
    TIME,
    VELOCITY,
    Unit,
)

_DEGREE: Final = math.radians(1.0)
_FIELD_STRENGTH: Final = Unit("a.u.", "a.u.")
"""Magnetic field in units of the field at which the maker calibrated the unit."""
_FORMAT: Final = 0x3
_SYSTEM: Final = 0xC
_TYPE: Final = 0xFFF0


class NumberFormat(NamedTuple):
    """Format of the real numbers of an item: name, struct code, and value of one bit."""

    name: str
    code: str
    scale: float


FORMATS: Final = (
    NumberFormat("float", "f", 1.0),
    NumberFormat("fp1220", "i", 2.0**-20),
    NumberFormat("fp1632", "6s", 2.0**-32),
    NumberFormat("double", "d", 1.0),
)
"""Formats by bits 0 and 1 of the identifier. fp1632 has 32 fractional bits first, then 16 integer bits."""


@dataclass(frozen=True)
class DataItem(Packet):
    """Declaration of an item.

    Attributes:
        identifier: identifier, without the number format of real numbers.
        is_real: True if the fields are real numbers, whose format the identifier tells.
        tail: bytes of one of the equal parts that make up the last field; 0 if the length is fixed.
    """

    identifier: int = attribute(default=0, kw_only=True)
    is_real: bool = attribute(default=True, kw_only=True)
    tail: int = attribute(default=0, kw_only=True)

    def encode(self, values: Mapping[str, Value | None]) -> bytes:
        """Return the data with the given values; missing values are zero, a missing last part is empty."""
        if not self.tail:
            return super().encode(values)
        tail = values.get(self.fields[-1].name)
        return super().encode(values)[: self._head_bytes] + (tail if isinstance(tail, bytes) else b"")

    def codes(self, identifier: int, length: int) -> str | None:
        """Return the struct codes of data with this identifier and length; None if they do not fit together."""
        if self.tail:
            count, rest = divmod(length - self._head_bytes, self.tail)
            return None if count < 0 or rest else self._head_codes + f"{count * self.tail}s"
        codes = "".join(FORMATS[identifier & _FORMAT].code if self.is_real else field.code for field in self.fields)
        return codes if struct.calcsize(">" + codes) == length else None

    @property
    def _head_codes(self) -> str:
        return "".join(field.code for field in self.fields[:-1])

    @property
    def _head_bytes(self) -> int:
        return struct.calcsize(">" + self._head_codes)


def _real(identifier: int, name: str, *fields: Field, meaning: str = "") -> tuple[DataItem, ...]:
    return (DataItem(name, fields, meaning=meaning or fields[0].meaning, identifier=identifier),)


def _words(identifier: int, name: str, *fields: Field, meaning: str = "", tail: int = 0) -> tuple[DataItem, ...]:
    (item,) = _real(identifier, name, *fields, meaning=meaning)
    return (replace(item, is_real=False, tail=tail),)


def _number(  # noqa: PLR0917 - a table's columns
    name: str, unit: Unit, meaning: str, scale: float | None = None, column: str = "", code: str = "f"
) -> Field:
    return Field(name, code, unit, scale, 0.0, meaning, column)


_SYSTEMS: Final = {
    "enu": ("east", "north", "up"),
    "ned": ("north", "east", "down"),
    "nwu": ("north", "west", "up"),
}
"""Axes of the coordinate systems, in the order of bits 2 and 3."""


def _orientation(identifier: int, name: str, fields: Mapping[str, str], meaning: str) -> tuple[DataItem, ...]:
    """Return an item for each coordinate system; the names of the fields end in the system."""
    return tuple(
        _real(
            identifier | number << 2,
            f"{name}.{system}",
            *(word(f"{field}_{system}", "f", f"{text}, {'-'.join(names)}") for field, text in fields.items()),
            meaning=f"{meaning} {'-'.join(names)}",
        )[0]
        for number, (system, names) in enumerate(_SYSTEMS.items())
    )


def _euler(identifier: int) -> tuple[DataItem, ...]:
    """Return the Euler angles; those from north-east-down have the names of all families."""
    return tuple(
        _real(
            identifier | number << 2,
            f"euler.{system}",
            *(
                _number(
                    f"{angle}_rad" if system == "ned" else f"{angle}_{system}_rad",
                    ANGLE,
                    f"Euler angle from {'-'.join(names)}, {angle}",
                    _DEGREE,
                    f"{angle}Angle" if system == "ned" else f"{angle}Angle{system.capitalize()}",
                )
                for angle in ("roll", "pitch", "yaw")
            ),
            meaning=f"Euler angles from {'-'.join(names)}",
        )[0]
        for number, (system, names) in enumerate(_SYSTEMS.items())
    )


def _local(  # noqa: PLR0917 - a table's columns
    identifier: int, name: str, prefix: str, unit: Unit, suffix: str, meaning: str
) -> tuple[DataItem, ...]:
    """Return a vector for each coordinate system; that in north-east-down has the names of all families."""
    return tuple(
        _real(
            identifier | number << 2,
            f"{name}.{system}",
            *(
                _number(
                    f"{prefix}{'' if system == 'ned' else f'_{system}'}_{axis}_{suffix}", unit, f"{meaning}, {axis}"
                )
                for axis in names
            ),
            meaning=f"{meaning}, {'-'.join(names)}",
        )[0]
        for number, (system, names) in enumerate(_SYSTEMS.items())
    )


def _dop(name: str) -> Field:
    return word(f"gnss_{name}dop", "H", f"dilution of precision, {name.upper()}DOP", scale=0.01)


def _mm(name: str, unit: Unit, meaning: str, code: str = "i") -> Field:
    return _number(name, unit, meaning, 1e-3, code=code)


def _angle(name: str, meaning: str, scale: float, column: str, code: str = "i") -> Field:
    return _number(name, ANGLE, meaning, scale * _DEGREE, column, code)


_STATUS: Final = Labels(
    {
        0: "self-test passed",
        1: "orientation valid",
        2: "GNSS fix",
        3: "no rotation, bit 0",
        4: "no rotation, bit 1",
        5: "representative motion",
        6: "clock synchronised",
        8: "accel x clipped",
        9: "accel y clipped",
        10: "accel z clipped",
        11: "gyro x clipped",
        12: "gyro y clipped",
        13: "gyro z clipped",
        14: "mag x clipped",
        15: "mag y clipped",
        16: "mag z clipped",
        19: "clipping",
        21: "SyncIn",
        22: "SyncOut",
        23: "filter mode, bit 0",
        24: "filter mode, bit 1",
        25: "filter mode, bit 2",
        26: "GNSS time pulse",
        27: "RTK float",
        28: "RTK fixed",
    },
    is_bit_field=True,
)
STATUS_BYTE: Final = Labels({bit: _STATUS.names[bit] for bit in range(7)}, is_bit_field=True)
ORIENTATION_VALID: Final = 1 << 1
CLIPPED: Final = {"accel": 0x700, "gyro": 0x3800, "mag": 0x1C000}
"""Bits of the status word for axes that are beyond their range."""
_FIXES: Final = Labels(dict(enumerate(("none", "dead reckoning", "2D", "3D", "GNSS and dead reckoning", "time only"))))
_VALID: Final = Labels({0: "date", 1: "time", 2: "resolved"}, is_bit_field=True)
_FIX: Final = Labels({0: "valid fix", 1: "differential", 5: "heading of the vehicle valid"}, is_bit_field=True)

PACKET_COUNTER: Final = "packet_counter"
SAMPLE_TIME: Final = "sample_time_ticks"
STATUS: Final = "status_word"
_SATELLITE_BYTES: Final = 4

_DECLARED: Final = (
    _words(0x1020, "packet_counter", word(PACKET_COUNTER, "H", "count of messages", TICKS)),
    _words(0x1060, "sample_time_fine", word(SAMPLE_TIME, "I", "clock of the unit, 10 kHz", TICKS)),
    _words(0x1070, "sample_time_coarse", word("sample_time_coarse_s", "I", "clock of the unit", TIME)),
    _words(
        0x1010,
        "utc",
        word("utc_ns", "I", "nanoseconds"),
        word("utc_year", "H", "year"),
        *(word(f"utc_{name}", "B", name) for name in ("month", "day", "hour", "minute", "second")),
        word("utc_valid", "B", "bits of the valid parts of the time"),
        meaning="UTC",
    ),
    _words(0x1030, "itow", _mm("itow_s", TIME, "time of week of the receiver", "I")),
    _words(0x1040, "gnss_age", word("gnss_age", "B", "messages since the last GNSS data")),
    _words(0x1050, "pressure_age", word("pressure_age", "B", "messages since the pressure was measured")),
    _real(0x0810, "temperature", _number("temperature_degc", TEMPERATURE, "temperature of the unit")),
    _orientation(
        0x2010,
        "quaternion",
        {f"q{number}": f"quaternion, component {number}, from the unit's axes to" for number in range(4)},
        "rotation from the unit's axes to",
    ),
    _orientation(
        0x2020,
        "rotation_matrix",
        {
            f"m{row}{column}": f"rotation, row {row}, column {column}, from the unit's axes to"
            for column in (1, 2, 3)
            for row in (1, 2, 3)
        },
        "rotation from the unit's axes to",
    ),
    _euler(0x2030),
    _words(0x3010, "pressure", _number("pressure_pa", PRESSURE, "ambient pressure", None, "pressure", "I")),
    _real(0x4010, "delta_v", *axes("delta_velocity", VELOCITY, "mps", None, "change of velocity", "DeltaVelocity")),
    _real(0x4020, "acceleration", *axes("accel", ACCELERATION, "mps2", None, "specific force", "Accel")),
    _local(0x4030, "free_acceleration", "free_accel", ACCELERATION, "mps2", "acceleration without gravity"),
    _real(
        0x4040,
        "acceleration_hr",
        *axes("accel_hr", ACCELERATION, "mps2", None, "specific force at the high rate", "AccelHr"),
    ),
    *(
        _words(
            0x4800 | number << 4,
            f"trigger_in{number}",
            word(f"trigger{number}_line", "B", "number of the line"),
            word(f"trigger{number}_polarity", "B", "polarity of the edge"),
            word(f"trigger{number}_time_ticks", "I", "time of the edge", TICKS),
            word(f"trigger{number}_frame", "H", "count of the sample"),
            meaning=f"edge at trigger input {number}",
        )
        for number in (1, 2)
    ),
    _real(0x5010, "altitude_msl", _number("height_msl_m", LENGTH, "height above mean sea level")),
    _real(0x5020, "altitude_ellipsoid", _number("altitude_m", LENGTH, "height above the WGS 84 ellipsoid")),
    _real(0x5030, "position_ecef", *(_number(f"ecef_{axis}_m", LENGTH, f"position, ECEF {axis}") for axis in "xyz")),
    _real(
        0x5040,
        "latitude_longitude",
        _number("latitude_rad", ANGLE, "geodetic latitude, WGS 84", _DEGREE, "latitude"),
        _number("longitude_rad", ANGLE, "longitude, WGS 84", _DEGREE, "longitude"),
    ),
    _words(
        0x7010,
        "gnss_pvt",
        _mm("gnss_tow_s", TIME, "time of week", "I"),
        word("gnss_year", "H", "year, UTC"),
        *(word(f"gnss_{name}", "B", f"{name}, UTC") for name in ("month", "day", "hour", "minute", "second")),
        word("gnss_valid", "B", "valid parts of UTC", labels=_VALID),
        _number("gnss_time_accuracy_s", TIME, "accuracy of the time", 1e-9, code="I"),
        _number("gnss_fraction_s", TIME, "fraction of the second, UTC", 1e-9, code="i"),
        word("gnss_fix_type", "B", "kind of the fix", labels=_FIXES),
        word("gnss_flags", "B", "state of the fix", labels=_FIX),
        word("gnss_satellites_used", "B", "number of satellites used"),
        word("gnss_reserved", "B", "reserved"),
        _angle("gnss_longitude_rad", "longitude, WGS 84", 1e-7, "gnssLongitude"),
        _angle("gnss_latitude_rad", "geodetic latitude, WGS 84", 1e-7, "gnssLatitude"),
        _mm("gnss_altitude_m", LENGTH, "height above the WGS 84 ellipsoid"),
        _mm("gnss_height_msl_m", LENGTH, "height above mean sea level"),
        _mm("gnss_horizontal_accuracy_m", LENGTH, "horizontal accuracy", "I"),
        _mm("gnss_vertical_accuracy_m", LENGTH, "vertical accuracy", "I"),
        *(_mm(f"gnss_velocity_{axis}_mps", VELOCITY, f"velocity, {axis}") for axis in ("north", "east", "down")),
        _mm("gnss_ground_speed_mps", VELOCITY, "horizontal speed"),
        _angle("gnss_heading_rad", "direction of the velocity", 1e-5, "gnssHeading"),
        _mm("gnss_speed_accuracy_mps", VELOCITY, "accuracy of the speed", "I"),
        _angle("gnss_heading_accuracy_rad", "accuracy of the headings", 1e-5, "gnssHeadingAccuracy", "I"),
        _angle("gnss_vehicle_heading_rad", "heading of the vehicle", 1e-5, "gnssVehicleHeading"),
        *map(_dop, "gptvhne"),
        meaning="position, velocity and time of the receiver",
    ),
    _words(
        0x7020,
        "gnss_satellites",
        _mm("satellites_tow_s", TIME, "time of week of the list of satellites", "I"),
        word("satellites_count", "B", "number of satellites in the list"),
        word("satellites_reserved", "3s", "reserved"),
        word("satellites", "240s", "for each satellite: system, number, C/N0 in dB-Hz, flags"),
        meaning="satellites of the receiver",
        tail=_SATELLITE_BYTES,
    ),
    _words(0x7030, "gnss_pulse", word("gnss_pulse_ticks", "I", "time of the receiver's pulse", TICKS)),
    _real(0x8020, "rate_of_turn", *axes("rate", RATE, "rad_s", None, "angular rate", "Rate")),
    _real(
        0x8030,
        "delta_q",
        *(word(f"delta_q{number}", "f", f"rotation since the last, component {number}") for number in range(4)),
    ),
    _real(0x8040, "rate_of_turn_hr", *axes("rate_hr", RATE, "rad_s", None, "angular rate at the high rate", "RateHr")),
    *(
        _words(
            0xA010 | sign,
            "raw" if not sign else "raw_signed",
            *(
                word(f"{name}_{sensor}_{axis}", code, f"counts of the {title}, {axis}")
                for sensor, title in (("accel", "accelerometer"), ("rate", "gyro"), ("mag", "magnetometer"))
                for axis in "xyz"
            ),
            word(f"{name}_temperature", code, "counts of the temperature"),
            meaning="counts of all sensors",
        )
        for sign, name, code in ((0, "raw", "H"), (1, "raw_signed", "h"))
    ),
    _words(
        0xA020,
        "raw_gyro_temperature",
        *(word(f"raw_gyro_temperature_{axis}", "H", f"counts of the gyro's temperature, {axis}") for axis in "xyz"),
    ),
    *(
        _words(0xB000 | number << 4, f"analog_in{number}", word(f"analog_in{number}", "H", "counts of the input"))
        for number in (1, 2)
    ),
    _real(0xC020, "magnetic_field", *axes("mag", _FIELD_STRENGTH, "au", None, "magnetic field", "MagNormalised")),
    _real(
        0xC030,
        "magnetic_field_corrected",
        *axes("mag_corrected", _FIELD_STRENGTH, "au", None, "magnetic field, corrected", "MagCorrected"),
    ),
    _local(0xD010, "velocity", "velocity", VELOCITY, "mps", "velocity"),
    _words(0xE010, "status_byte", word("status_byte", "B", "status of the unit", labels=STATUS_BYTE)),
    _words(0xE020, "status_word", word(STATUS, "I", "status of the unit", labels=_STATUS)),
    _words(0xE080, "device_id", word("device_id", "I", "identifier of the unit")),
    _words(0xE090, "location_id", word("location_id", "H", "number of the place")),
)
ITEMS: Final = {item.identifier: item for items in _DECLARED for item in items}
"""Declarations by identifier, without the format of real numbers."""
BY_NAME: Final = {item.name: item for item in ITEMS.values()}
_HAS_SYSTEM: Final = {identifier & _TYPE for identifier in ITEMS if identifier & _SYSTEM}


@cache
def item_of(identifier: int) -> DataItem | None:
    """Return the declaration of an identifier with any number format; None for an unknown one.

    Only local vectors and orientations depend on the coordinate system.
    """
    kind, system = identifier & _TYPE, identifier & _SYSTEM
    real = ITEMS.get(kind | system if kind in _HAS_SYSTEM else kind)
    if real is not None and real.is_real:
        return real
    return ITEMS.get(identifier)


def identifier_of(text: str) -> int:
    """Return the identifier of an item: `quaternion.ned`, `acceleration.double`, or a number such as 0x4020.

    Raises:
        ValueError: the item is unknown.
    """
    name, _, ending = text.rpartition(".")
    formats = {entry.name: number for number, entry in enumerate(FORMATS)}
    item = BY_NAME.get(name) if ending in formats else None
    if item is not None and item.is_real:
        return item.identifier | formats[ending]
    return BY_NAME[text].identifier if text in BY_NAME else int(text, 16)


def identifier_text(identifier: int) -> str:
    """Return the text of an identifier; see `identifier_of`."""
    item = item_of(identifier)
    if item is None:
        return f"{identifier:#06x}"
    number = identifier & _FORMAT if item.is_real else 0
    return f"{item.name}.{FORMATS[number].name}" if number else item.name


class Satellite(NamedTuple):
    """Satellite of the receiver's list.

    Attributes:
        system: number of the navigation system, as in u-blox messages.
        number: number of the satellite in its system.
        cno_dbhz: ratio of carrier and noise density, dB-Hz.
        flags: bits 0 to 2 quality of the signal, 3 used, 4 and 5 health, 6 corrections available.
    """

    system: int
    number: int
    cno_dbhz: int
    flags: int


def satellites(octets: bytes) -> list[Satellite]:
    """Return the satellites in the value `satellites`."""
    return [Satellite(*entry) for entry in struct.iter_unpack("4B", octets)]


def encode_items(identifiers: Iterable[int], values: Mapping[str, Value | None]) -> list[tuple[int, bytes]]:
    """Return identifier and data of items with the given values; unknown identifiers are omitted."""
    known = ((identifier, item_of(identifier)) for identifier in identifiers)
    return [(identifier, _encode(identifier, item, values)) for identifier, item in known if item is not None]


def _encode(identifier: int, item: DataItem, values: Mapping[str, Value | None]) -> bytes:
    if not item.is_real:
        return item.encode(values)
    number = FORMATS[identifier & _FORMAT]
    reals = [field.to_word(values.get(field.name) or 0.0) for field in item.fields]
    if number.code in "fd":
        return struct.pack(f">{len(reals)}{number.code}", *reals)
    counts = [round(float(real) / number.scale) for real in reals]
    if number.code == "i":
        return struct.pack(f">{len(counts)}i", *counts)
    octets = (count.to_bytes(6, "big", signed=True) for count in counts)
    return b"".join(entry[2:] + entry[:2] for entry in octets)

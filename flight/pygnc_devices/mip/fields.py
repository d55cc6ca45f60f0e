"""Fields of data packets. One line declares a field; decoder, encoder, CSV columns and tables follow from it.

Fields that are not declared here are skipped by their length and counted. Source: MIP SDK of MicroStrain
(`definitions/data_sensor.h`, `data_shared.h`, `data_gnss.h`, `data_filter.h`, `data_system.h`).
"""

import math
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Final

from pygnc_devices.declaration import Field, Labels, Packet, axes, matrix, word
from pygnc_devices.units import (
    ACCELERATION,
    ANGLE,
    GAUSS_T,
    LENGTH,
    MAGNETIC,
    NANOSECONDS,
    NONE,
    PRESSURE,
    RATE,
    STANDARD_GRAVITY_MPS2,
    TEMPERATURE,
    TICKS,
    TIME,
    VELOCITY,
    Unit,
)

G: Final = STANDARD_GRAVITY_MPS2
_DEGREE: Final = math.radians(1.0)
_MBAR_PA: Final = 100.0
_VALID: Final = "_valid"


@dataclass(frozen=True)
class DataField(Packet):
    """Declaration of a field of data.

    Attributes:
        descriptor: descriptor of the field within its descriptor set.
        validity: name of the word whose bits are set for valid values; "" if there is none.
    """

    descriptor: int = attribute(default=0, kw_only=True)
    validity: str = attribute(default="", kw_only=True)


def _field(descriptor: int, name: str, *fields: Field, meaning: str = "") -> DataField:
    return DataField(name, fields, meaning=meaning or fields[0].meaning, descriptor=descriptor)


def _checked(descriptor: int, name: str, *fields: Field, meaning: str = "") -> DataField:
    validity = Field(f"{name}{_VALID}", "H", meaning=f"{name}: bits of the valid values, 0 if there are none")
    return DataField(
        name, (*fields, validity), meaning=meaning or fields[0].meaning, descriptor=descriptor, validity=validity.name
    )


def _number(  # noqa: PLR0917 - a table's columns
    name: str, unit: Unit, meaning: str, scale: float | None = None, column: str = "", code: str = "f"
) -> Field:
    return Field(name, code, unit, scale, 0.0, meaning, column)


def _ned(name: str, unit: Unit, suffix: str, meaning: str) -> tuple[Field, ...]:
    return tuple(_number(f"{name}_{axis}{suffix}", unit, f"{meaning}, {axis}") for axis in ("north", "east", "down"))


def _euler(suffix: str, meaning: str, column: str) -> tuple[Field, ...]:
    names = ("roll", "pitch", "yaw")
    return tuple(_number(f"{name}{suffix}_rad", ANGLE, f"{meaning}, {name}", None, name + column) for name in names)


_QUATERNION: Final = tuple(word(f"q{number}", "f", f"quaternion, component {number}") for number in range(4))
_EULER: Final = _euler("", "Euler angle from north-east-down", "Angle")
_TIME_FLAGS: Final = "bits of the valid parts of the time"


def _gps_time(descriptor: int, name: str, prefix: str = "") -> DataField:
    tow = word(f"{prefix}tow_s", "d", "time of week; without time synchronisation, time since the start", TIME)
    week = word(f"{prefix}week", "H", "GPS week since 1980")
    return _field(descriptor, name, tow, week, word(f"{prefix}time_flags", "H", _TIME_FLAGS), meaning="GPS time")


SHARED: Final = (
    _field(0xD0, "event_source", word("event_source", "B", "number of the trigger, 0 for periodic output")),
    _field(0xD1, "ticks", word("ticks", "I", "ticks since power-up", TICKS)),
    _field(0xD2, "delta_ticks", word("delta_ticks", "I", "ticks since the previous output", TICKS)),
    _gps_time(0xD3, "gps_timestamp", "gps_"),
    _field(0xD4, "delta_time", word("delta_time_s", "d", "time since the previous output", TIME)),
    _field(0xD5, "reference_time", word("reference_time_ns", "Q", "time since the start", NANOSECONDS)),
    _field(0xD6, "reference_delta", word("reference_delta_ns", "Q", "time since the previous output", NANOSECONDS)),
    _checked(0xD7, "external_time", word("external_time_ns", "Q", "time of an external clock", NANOSECONDS)),
    _checked(0xD8, "external_delta", word("external_delta_ns", "Q", "external time since the previous", NANOSECONDS)),
)
"""Fields that any data packet may contain."""

_OVERRANGE: Final = Labels(
    {
        bit: f"{name} {axis}"
        for at, name in ((0, "accel"), (4, "gyro"), (8, "mag"))
        for bit, axis in enumerate("xyz", at)
    }
    | {12: "pressure"},
    is_bit_field=True,
)
SENSOR: Final = (
    _field(0x01, "raw_accel", *axes("raw_accel", NONE, "", None, "counts of the accelerometer", "AccelCounts")),
    _field(0x02, "raw_gyro", *axes("raw_rate", NONE, "", None, "counts of the gyro", "RateCounts")),
    _field(0x03, "raw_mag", *axes("raw_mag", NONE, "", None, "counts of the magnetometer", "MagCounts")),
    _field(0x04, "scaled_accel", *axes("accel", ACCELERATION, "mps2", G, "specific force", "Accel")),
    _field(0x05, "scaled_gyro", *axes("rate", RATE, "rad_s", None, "angular rate", "Rate")),
    _field(0x06, "scaled_mag", *axes("mag", MAGNETIC, "t", GAUSS_T, "magnetic field", "Mag")),
    _field(0x07, "delta_theta", *axes("delta_angle", ANGLE, "rad", None, "rotation since the last", "DeltaAngle")),
    _field(0x08, "delta_velocity", *axes("delta_velocity", VELOCITY, "mps", G, "change of velocity", "DeltaVelocity")),
    _field(0x09, "cf_matrix", *matrix("m", "rotation from north-east-down to the unit's axes")),
    _field(0x0A, "cf_quaternion", *_QUATERNION, meaning="orientation by the complementary filter"),
    _field(0x0B, "cf_update_matrix", *matrix("update_m", "rotation of the last update")),
    _field(0x0C, "cf_euler", *_EULER, meaning="Euler angles by the complementary filter"),
    _field(0x0D, "raw_temperature", *(word(f"raw_temperature{k}", "H", f"counts, channel {k}") for k in range(4))),
    _field(0x0E, "internal_timestamp", word("internal_ticks", "I", "clock of the unit", TICKS)),
    _field(0x0F, "pps_timestamp", word("pps_s", "I", "seconds", TIME), word("pps_us", "I", "microseconds")),
    _field(0x10, "north", *axes("stabilized_mag", MAGNETIC, "t", GAUSS_T, "north by the filter", "MagStabilized")),
    _field(0x11, "up", *axes("stabilized_accel", ACCELERATION, "mps2", G, "up by the filter", "AccelStabilized")),
    _gps_time(0x12, "sensor_timestamp"),
    _field(
        0x14,
        "temperature",
        *(_number(f"temperature_{name}_degc", TEMPERATURE, f"temperature, {name}") for name in ("min", "max", "mean")),
    ),
    _field(0x16, "raw_pressure", word("raw_pressure", "f", "counts of the pressure sensor")),
    _field(0x17, "scaled_pressure", _number("pressure_pa", PRESSURE, "ambient pressure", _MBAR_PA, "pressure")),
    _field(0x18, "overrange", word("overrange", "H", "sensors beyond their range", labels=_OVERRANGE)),
    _checked(
        0x40,
        "odometer",
        _number("speed_mps", VELOCITY, "speed by the odometer"),
        _number("speed_uncertainty_mps", VELOCITY, "standard deviation of the speed"),
    ),
)

_FIX_TYPES: Final = Labels(
    dict(enumerate(("3D", "2D", "time only", "none", "invalid", "RTK float", "RTK fixed", "differential")))
)
_LATITUDE: Final = _number("latitude_rad", ANGLE, "geodetic latitude, WGS 84", _DEGREE, "latitude", "d")
_LONGITUDE: Final = _number("longitude_rad", ANGLE, "longitude, WGS 84", _DEGREE, "longitude", "d")
_ALTITUDE: Final = _number("altitude_m", LENGTH, "height above the WGS 84 ellipsoid", code="d")
GNSS: Final = (
    _checked(
        0x03,
        "position",
        _LATITUDE,
        _LONGITUDE,
        _ALTITUDE,
        _number("height_msl_m", LENGTH, "height above mean sea level", code="d"),
        _number("horizontal_accuracy_m", LENGTH, "horizontal accuracy"),
        _number("vertical_accuracy_m", LENGTH, "vertical accuracy"),
    ),
    _checked(
        0x04,
        "position_ecef",
        *(_number(f"ecef_{axis}_m", LENGTH, f"position in ECEF, {axis}", code="d") for axis in "xyz"),
        _number("ecef_accuracy_m", LENGTH, "accuracy of the position"),
    ),
    _checked(
        0x05,
        "velocity",
        *_ned("velocity", VELOCITY, "_mps", "velocity"),
        _number("speed_mps", VELOCITY, "speed"),
        _number("ground_speed_mps", VELOCITY, "horizontal speed"),
        _number("heading_rad", ANGLE, "direction of the velocity", _DEGREE, "heading"),
        _number("speed_accuracy_mps", VELOCITY, "accuracy of the speed"),
        _number("heading_accuracy_rad", ANGLE, "accuracy of the heading", _DEGREE, "headingAccuracy"),
    ),
    _checked(0x07, "dop", *(word(f"{k}dop", "f", f"dilution of precision, {k.upper()}DOP") for k in "gphvtne")),
    _checked(
        0x08,
        "utc",
        word("utc_year", "H", "year"),
        *(word(f"utc_{name}", "B", name) for name in ("month", "day", "hour", "minute", "second")),
        word("utc_ms", "I", "milliseconds"),
        meaning="UTC",
    ),
    _gps_time(0x09, "gps_time"),
    _checked(
        0x0B,
        "fix",
        word("fix_type", "B", "kind of the fix", labels=_FIX_TYPES),
        word("satellites", "B", "number of satellites used"),
        word("fix_flags", "H", "corrections used", labels=Labels({0: "SBAS", 1: "DGNSS"}, is_bit_field=True)),
    ),
)

_STATES: Final = "state of the filter; GX5: 1 initialising, 2 valid, 3 error; CV7, GQ7: 2 vertical gyro, 3 AHRS, 4 full"
FILTER: Final = (
    _checked(0x01, "position", _LATITUDE, _LONGITUDE, _ALTITUDE),
    _checked(0x02, "velocity", *_ned("velocity", VELOCITY, "_mps", "velocity")),
    _checked(0x03, "quaternion", *_QUATERNION, meaning="attitude"),
    _checked(0x04, "matrix", *matrix("m", "rotation from north-east-down to the unit's axes"), meaning="attitude"),
    _checked(0x05, "euler", *_EULER, meaning="attitude"),
    _checked(0x06, "gyro_bias", *axes("rate_bias", RATE, "rad_s", None, "bias of the gyro", "RateBias")),
    _checked(
        0x07, "accel_bias", *axes("accel_bias", ACCELERATION, "mps2", None, "bias of the accelerometer", "AccelBias")
    ),
    _checked(0x08, "position_uncertainty", *_ned("position_uncertainty", LENGTH, "_m", "standard deviation")),
    _checked(0x09, "velocity_uncertainty", *_ned("velocity_uncertainty", VELOCITY, "_mps", "standard deviation")),
    _checked(0x0A, "euler_uncertainty", *_euler("_uncertainty", "standard deviation", "Uncertainty")),
    _checked(
        0x0B, "gyro_bias_uncertainty", *axes("rate_bias_sd", RATE, "rad_s", None, "standard deviation", "RateBiasSd")
    ),
    _checked(
        0x0C,
        "accel_bias_uncertainty",
        *axes("accel_bias_sd", ACCELERATION, "mps2", None, "standard deviation", "AccelBiasSd"),
    ),
    _checked(
        0x0D,
        "linear_accel",
        *axes("linear_accel", ACCELERATION, "mps2", None, "acceleration without gravity", "LinearAccel"),
    ),
    _checked(0x0E, "compensated_rate", *axes("rate", RATE, "rad_s", None, "angular rate without bias", "Rate")),
    _checked(0x0F, "gravity_magnitude", _number("gravity_mps2", ACCELERATION, "gravity by WGS 84")),
    _field(
        0x10,
        "status",
        word("filter_state", "H", _STATES),
        word("dynamics_mode", "H", "dynamics mode; 1 portable, 2 automotive, 3 airborne"),
        word("status_flags", "H", "warnings of the filter; their meaning depends on the model and the state"),
    ),
    _gps_time(0x11, "filter_timestamp"),
    _checked(0x12, "quaternion_uncertainty", *(word(f"q{k}_sd", "f", f"standard deviation of q{k}") for k in range(4))),
    _checked(0x13, "gravity", *axes("gravity", ACCELERATION, "mps2", None, "gravity in the unit's axes", "Gravity")),
    _checked(
        0x14,
        "heading_update",
        _number("heading_rad", ANGLE, "heading of the last update", None, "heading"),
        _number("heading_sd_rad", ANGLE, "its standard deviation", None, "headingSd"),
        word("heading_source", "H", "source of the heading; 1 magnetometer, 2 GNSS velocity, 4 external"),
    ),
    _checked(0x16, "gyro_scale", *axes("rate_scale", NONE, "", None, "scale factor of the gyro", "RateScale")),
    _checked(
        0x17, "accel_scale", *axes("accel_scale", NONE, "", None, "scale factor of the accelerometer", "AccelScale")
    ),
    _checked(0x1A, "mag_bias", *axes("mag_bias", MAGNETIC, "t", GAUSS_T, "bias of the magnetometer", "MagBias")),
    _checked(0x1C, "compensated_accel", *axes("accel", ACCELERATION, "mps2", None, "specific force, no bias", "Accel")),
    _checked(0x21, "pressure_altitude", _number("pressure_altitude_m", LENGTH, "altitude by the pressure")),
    _checked(
        0x25, "mag_offset", *axes("mag_offset", MAGNETIC, "t", GAUSS_T, "hard iron offset by the filter", "MagOffset")
    ),
    _checked(0x26, "mag_matrix", *matrix("soft_iron", "soft iron matrix by the filter")),
    _checked(
        0x40, "position_ecef", *(_number(f"ecef_{k}_m", LENGTH, f"position in ECEF, {k}", code="d") for k in "xyz")
    ),
    _checked(0x41, "velocity_ecef", *(_number(f"ecef_v{k}_mps", VELOCITY, f"velocity in ECEF, {k}") for k in "xyz")),
)
SYSTEM: Final = (
    _field(0x01, "built_in_test", word("built_in_test", "16s", "results, the least significant byte first")),
    _field(
        0x02,
        "time_sync",
        word("is_synchronised", "B", "1 if the time is synchronised to the PPS"),
        word("pps_age_s", "B", "time since the last PPS, 255 at most", TIME),
    ),
    _field(0x03, "gpio", word("gpio_states", "B", "states of the pins, pin 1 in bit 0")),
)

DATA_SETS: Final = {
    0x80: ("sensor", SENSOR),
    0x81: ("gnss", GNSS),
    0x82: ("filter", FILTER),
    0x91: ("gnss1", GNSS),
    0x92: ("gnss2", GNSS),
    0xA0: ("system", SYSTEM),
}
"""Name and fields of each descriptor set of data; GX3 to GX5 send 0x81, GQ7 sends 0x91 and 0x92."""
FIRST_DATA_SET: Final = 0x80
FIELDS: Final = {
    descriptor_set: {field.descriptor: field for field in (*fields, *SHARED)}
    for descriptor_set, (_, fields) in DATA_SETS.items()
}
"""Declarations by descriptor set and descriptor."""

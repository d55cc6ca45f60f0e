"""Fields of data packets. One line declares a field; decoder, encoder, CSV columns and tables follow from it.

Fields that are not declared here are skipped by their length and counted. Source: MIP SDK of MicroStrain
(`definitions/data_sensor.h`, `data_shared.h`, `data_gnss.h`, `data_filter.h`, `data_system.h`).
"""

from typing import Final

from pygnc_devices.declaration import Field, Labels, axes, matrix, word
from pygnc_devices.mip.data_field import POSITION, DataField, bits, checked, choice, gps_time, ned, number, plain
from pygnc_devices.mip.gnss_fields import GNSS
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
    VOLTAGE,
)

G: Final = STANDARD_GRAVITY_MPS2
_MBAR_PA: Final = 100.0


def _euler(suffix: str, meaning: str, column: str) -> tuple[Field, ...]:
    names = ("roll", "pitch", "yaw")
    return tuple(number(f"{name}{suffix}_rad", ANGLE, f"{meaning}, {name}", None, name + column) for name in names)


_QUATERNION: Final = tuple(word(f"q{k}", "f", f"quaternion, component {k}") for k in range(4))
_EULER: Final = _euler("", "Euler angle from north-east-down", "Angle")


SHARED: Final = (
    plain(0xD0, "event_source", word("event_source", "B", "number of the trigger, 0 for periodic output")),
    plain(0xD1, "ticks", word("ticks", "I", "ticks since power-up", TICKS)),
    plain(0xD2, "delta_ticks", word("delta_ticks", "I", "ticks since the previous output", TICKS)),
    gps_time(0xD3, "gps_timestamp", "gps_"),
    plain(0xD4, "delta_time", word("delta_time_s", "d", "time since the previous output", TIME)),
    plain(0xD5, "reference_time", word("reference_time_ns", "Q", "time since the start", NANOSECONDS)),
    plain(0xD6, "reference_delta", word("reference_delta_ns", "Q", "time since the previous output", NANOSECONDS)),
    checked(0xD7, "external_time", word("external_time_ns", "Q", "time of an external clock", NANOSECONDS)),
    checked(0xD8, "external_delta", word("external_delta_ns", "Q", "external time since the previous", NANOSECONDS)),
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
    plain(0x01, "raw_accel", *axes("raw_accel", NONE, "", None, "counts of the accelerometer", "AccelCounts")),
    plain(0x02, "raw_gyro", *axes("raw_rate", NONE, "", None, "counts of the gyro", "RateCounts")),
    plain(0x03, "raw_mag", *axes("raw_mag", NONE, "", None, "counts of the magnetometer", "MagCounts")),
    plain(0x04, "scaled_accel", *axes("accel", ACCELERATION, "mps2", G, "specific force", "Accel")),
    plain(0x05, "scaled_gyro", *axes("rate", RATE, "rad_s", None, "angular rate", "Rate")),
    plain(0x06, "scaled_mag", *axes("mag", MAGNETIC, "t", GAUSS_T, "magnetic field", "Mag")),
    plain(0x07, "delta_theta", *axes("delta_angle", ANGLE, "rad", None, "rotation since the last", "DeltaAngle")),
    plain(0x08, "delta_velocity", *axes("delta_velocity", VELOCITY, "mps", G, "change of velocity", "DeltaVelocity")),
    plain(0x09, "cf_matrix", *matrix("m", "rotation from north-east-down to the unit's axes")),
    plain(0x0A, "cf_quaternion", *_QUATERNION, meaning="orientation by the complementary filter"),
    plain(0x0B, "cf_update_matrix", *matrix("update_m", "rotation of the last update")),
    plain(0x0C, "cf_euler", *_EULER, meaning="Euler angles by the complementary filter"),
    plain(0x0D, "raw_temperature", *(word(f"raw_temperature{k}", "H", f"counts, channel {k}") for k in range(4))),
    plain(0x0E, "internal_timestamp", word("internal_ticks", "I", "clock of the unit", TICKS)),
    plain(0x0F, "pps_timestamp", word("pps_s", "I", "seconds", TIME), word("pps_us", "I", "microseconds")),
    plain(0x10, "north", *axes("stabilized_mag", MAGNETIC, "t", GAUSS_T, "north by the filter", "MagStabilized")),
    plain(0x11, "up", *axes("stabilized_accel", ACCELERATION, "mps2", G, "up by the filter", "AccelStabilized")),
    gps_time(0x12, "sensor_timestamp"),
    plain(
        0x14,
        "temperature",
        *(number(f"temperature_{name}_degc", TEMPERATURE, f"temperature, {name}") for name in ("min", "max", "mean")),
    ),
    plain(0x16, "raw_pressure", word("raw_pressure", "f", "counts of the pressure sensor")),
    plain(0x17, "scaled_pressure", number("pressure_pa", PRESSURE, "ambient pressure", _MBAR_PA, "pressure")),
    plain(0x18, "overrange", word("overrange", "H", "sensors beyond their range", labels=_OVERRANGE)),
    checked(
        0x40,
        "odometer",
        number("speed_mps", VELOCITY, "speed by the odometer"),
        number("speed_uncertainty_mps", VELOCITY, "standard deviation of the speed"),
    ),
)

_STATES: Final = "state of the filter; GX5: 1 initialising, 2 valid, 3 error; CV7, GQ7: 2 vertical gyro, 3 AHRS, 4 full"
_SD: Final = "standard deviation"
_AIDING: Final = bits(
    "tight coupling",
    "differential",
    "integer fix",
    *("GPS L1", "GPS L2", "GPS L5", "GLONASS L1", "GLONASS L2"),
    *("Galileo E1", "Galileo E5", "Galileo E6", "BeiDou B1", "BeiDou B2", "BeiDou B3"),
    "no fix",
    "configuration error",
)
_AIDING_TYPES: Final = Labels(
    {
        **dict(enumerate(("GNSS", "dual antenna", "heading", "pressure", "magnetometer", "speed"), 1)),
        0x21: "position ECEF",
        0x22: "position",
        0x23: "height",
        0x28: "velocity ECEF",
        0x29: "velocity NED",
        0x2A: "velocity of the vehicle",
        0x31: "true heading",
        0x32: "magnetic field",
        0x33: "external pressure",
    }
)
_INDICATORS: Final = bits("enabled", "used", "residual high", "sample time", "configuration error", "too many")


def _clock(descriptor: int, name: str, meaning: str) -> DataField:
    receiver = word(f"{name}_receiver", "B", "number of the receiver")
    bias, drift = number(f"{name}_bias_s", TIME, meaning), word(f"{name}_drift", "f", f"{meaning}, drift, s/s")
    return checked(descriptor, name, receiver, bias, drift, meaning=meaning)


def _antenna(descriptor: int, name: str, meaning: str, column: str) -> DataField:
    receiver = word(f"{name}_receiver", "B", "number of the receiver")
    return checked(descriptor, name, receiver, *axes(name, LENGTH, "m", None, meaning, column), meaning=meaning)


FILTER: Final = (
    checked(0x01, "position", *POSITION),
    checked(0x02, "velocity", *ned("velocity", VELOCITY, "_mps", "velocity")),
    checked(0x03, "quaternion", *_QUATERNION, meaning="attitude"),
    checked(0x04, "matrix", *matrix("m", "rotation from north-east-down to the unit's axes"), meaning="attitude"),
    checked(0x05, "euler", *_EULER, meaning="attitude"),
    checked(0x06, "gyro_bias", *axes("rate_bias", RATE, "rad_s", None, "bias of the gyro", "RateBias")),
    checked(
        0x07, "accel_bias", *axes("accel_bias", ACCELERATION, "mps2", None, "bias of the accelerometer", "AccelBias")
    ),
    checked(0x08, "position_uncertainty", *ned("position_uncertainty", LENGTH, "_m", "standard deviation")),
    checked(0x09, "velocity_uncertainty", *ned("velocity_uncertainty", VELOCITY, "_mps", "standard deviation")),
    checked(0x0A, "euler_uncertainty", *_euler("_uncertainty", "standard deviation", "Uncertainty")),
    checked(
        0x0B, "gyro_bias_uncertainty", *axes("rate_bias_sd", RATE, "rad_s", None, "standard deviation", "RateBiasSd")
    ),
    checked(
        0x0C,
        "accel_bias_uncertainty",
        *axes("accel_bias_sd", ACCELERATION, "mps2", None, "standard deviation", "AccelBiasSd"),
    ),
    checked(
        0x0D,
        "linear_accel",
        *axes("linear_accel", ACCELERATION, "mps2", None, "acceleration without gravity", "LinearAccel"),
    ),
    checked(0x0E, "compensated_rate", *axes("rate", RATE, "rad_s", None, "angular rate without bias", "Rate")),
    checked(0x0F, "gravity_magnitude", number("gravity_mps2", ACCELERATION, "gravity by WGS 84")),
    plain(
        0x10,
        "status",
        word("filter_state", "H", _STATES),
        word("dynamics_mode", "H", "dynamics mode; 1 portable, 2 automotive, 3 airborne"),
        word("status_flags", "H", "warnings of the filter; their meaning depends on the model and the state"),
    ),
    gps_time(0x11, "filter_timestamp"),
    checked(0x12, "quaternion_uncertainty", *(word(f"q{k}_sd", "f", f"standard deviation of q{k}") for k in range(4))),
    checked(0x13, "gravity", *axes("gravity", ACCELERATION, "mps2", None, "gravity in the unit's axes", "Gravity")),
    checked(
        0x14,
        "heading_update",
        number("heading_rad", ANGLE, "heading of the last update", None, "heading"),
        number("heading_sd_rad", ANGLE, "its standard deviation", None, "headingSd"),
        word("heading_source", "H", "source of the heading; 1 magnetometer, 2 GNSS velocity, 4 external"),
    ),
    checked(
        0x15,
        "magnetic_model",
        *(number(f"mag_model_{k}_t", MAGNETIC, f"model, {k}", GAUSS_T) for k in ("north", "east", "down")),
        number("mag_inclination_rad", ANGLE, "inclination of the field"),
        number("mag_declination_rad", ANGLE, "declination of the field"),
        meaning="World Magnetic Model",
    ),
    checked(0x16, "gyro_scale", *axes("rate_scale", NONE, "", None, "scale factor of the gyro", "RateScale")),
    checked(
        0x17, "accel_scale", *axes("accel_scale", NONE, "", None, "scale factor of the accelerometer", "AccelScale")
    ),
    checked(0x18, "gyro_scale_uncertainty", *axes("rate_scale_sd", NONE, "", None, _SD, "RateScaleSd")),
    checked(0x19, "accel_scale_uncertainty", *axes("accel_scale_sd", NONE, "", None, _SD, "AccelScaleSd")),
    checked(0x1A, "mag_bias", *axes("mag_bias", MAGNETIC, "t", GAUSS_T, "bias of the magnetometer", "MagBias")),
    checked(0x1B, "mag_bias_uncertainty", *axes("mag_bias_sd", MAGNETIC, "t", GAUSS_T, _SD, "MagBiasSd")),
    checked(0x1C, "compensated_accel", *axes("accel", ACCELERATION, "mps2", None, "specific force, no bias", "Accel")),
    checked(
        0x20,
        "atmosphere",
        number("geometric_altitude_m", LENGTH, "altitude of the model"),
        number("geopotential_altitude_m", LENGTH, "geopotential altitude"),
        number("standard_temperature_degc", TEMPERATURE, "temperature"),
        number("standard_pressure_pa", PRESSURE, "pressure", _MBAR_PA),
        word("standard_density_kg_m3", "f", "density, kg/m³"),
        meaning="US Standard Atmosphere 1976",
    ),
    checked(0x21, "pressure_altitude", number("pressure_altitude_m", LENGTH, "altitude by the pressure")),
    checked(0x22, "density_altitude", number("density_altitude_m", LENGTH, "altitude by the density")),
    checked(
        0x25, "mag_offset", *axes("mag_offset", MAGNETIC, "t", GAUSS_T, "hard iron offset by the filter", "MagOffset")
    ),
    checked(0x26, "mag_matrix", *matrix("soft_iron", "soft iron matrix by the filter")),
    checked(0x28, "mag_offset_uncertainty", *axes("mag_offset_sd", MAGNETIC, "t", GAUSS_T, _SD, "MagOffsetSd")),
    checked(0x29, "mag_matrix_uncertainty", *matrix("soft_iron_sd", _SD)),
    checked(0x2A, "mag_covariance", *matrix("mag_covariance", "covariance of the magnetometer, no unit stated")),
    checked(0x2C, "mag_residual", *axes("mag_residual", MAGNETIC, "t", GAUSS_T, "residual", "MagResidual")),
    checked(0x30, "antenna_offset", *axes("antenna_offset", LENGTH, "m", None, "correction", "AntennaOffset")),
    checked(0x31, "antenna_offset_uncertainty", *axes("antenna_offset_sd", LENGTH, "m", None, _SD, "AntennaOffsetSd")),
    _clock(0x32, "clock", "correction of a receiver's clock"),
    _clock(0x33, "clock_sd", _SD),
    _antenna(0x34, "antenna", "correction of the offset of a receiver's antenna", "Antenna"),
    _antenna(0x35, "antenna_sd", _SD, "AntennaSd"),
    checked(0x36, "position_ecef_uncertainty", *(number(f"ecef_{k}_sd_m", LENGTH, f"{_SD}, {k}") for k in "xyz")),
    checked(0x37, "velocity_ecef_uncertainty", *(number(f"ecef_v{k}_sd_mps", VELOCITY, f"{_SD}, {k}") for k in "xyz")),
    checked(0x40, "position_ecef", *(number(f"ecef_{k}_m", LENGTH, f"position in ECEF, {k}", code="d") for k in "xyz")),
    checked(0x41, "velocity_ecef", *(number(f"ecef_v{k}_mps", VELOCITY, f"velocity in ECEF, {k}") for k in "xyz")),
    checked(
        0x42,
        "relative_position",
        *(
            number(f"relative_{k}_m", LENGTH, f"position from the reference, {k}", code="d")
            for k in ("north", "east", "down")
        ),
    ),
    plain(
        0x43,
        "position_aiding",
        word("position_aiding_receiver", "B", "number of the receiver"),
        number("position_aiding_tow_s", TIME, "time of week of the last measurement"),
        word("position_aiding_status", "H", "how the measurement was used", labels=_AIDING),
        meaning="aiding by the position of a receiver",
        reserved=8,
    ),
    plain(
        0x44,
        "attitude_aiding",
        number("attitude_aiding_tow_s", TIME, "time of week of the last measurement"),
        word("attitude_aiding_status", "H", "how the measurement was used", labels=_AIDING),
        meaning="aiding by the attitude of two antennas",
        reserved=8,
    ),
    plain(
        0x45,
        "heading_aiding",
        number("heading_aiding_tow_s", TIME, "time of week of the last measurement"),
        word("heading_aiding_type", "B", "source", labels=choice("dual antenna", "external", start=1)),
        meaning="aiding by a heading",
        reserved=8,
    ),
    plain(
        0x46,
        "aiding_summary",
        number("aiding_tow_s", TIME, "time of week of the measurement"),
        word("aiding_source", "B", "number of the source"),
        word("aiding_type", "B", "type of the measurement", labels=_AIDING_TYPES),
        word("aiding_indicator", "B", "use of the measurement", labels=_INDICATORS),
        meaning="aiding measurement, one field for each source",
    ),
    checked(0x47, "odometer_scale", word("odometer_scale_error", "f", "error of the odometer's scale factor")),
    checked(0x48, "odometer_scale_uncertainty", word("odometer_scale_sd", "f", _SD)),
    checked(
        0x49,
        "dual_antenna",
        number("dual_antenna_tow_s", TIME, "time of week of the last measurement"),
        number("dual_antenna_heading_rad", ANGLE, "heading"),
        number("dual_antenna_heading_sd_rad", ANGLE, _SD),
        word("dual_antenna_fix", "B", "fix", labels=choice("none", "float", "fixed")),
        word("dual_antenna_flags", "H", "valid data", labels=bits("receiver 1", "receiver 2", "antenna offsets")),
        meaning="heading by two antennas",
    ),
    plain(
        0x50,
        "frame_error",
        word("frame_id", "B", "number of the frame of an aiding source"),
        *axes("frame_error", LENGTH, "m", None, "error of the translation", "FrameError"),
        *(word(f"frame_error_q{k}", "f", f"error of the attitude, quaternion, component {k}") for k in range(4)),
    ),
    plain(
        0x51,
        "frame_error_uncertainty",
        word("frame_sd_id", "B", "number of the frame of an aiding source"),
        *axes("frame_error_sd", LENGTH, "m", None, _SD, "FrameErrorSd"),
        *axes("frame_attitude_sd", ANGLE, "rad", None, _SD, "FrameAttitudeSd"),
    ),
)
SYSTEM: Final = (
    plain(0x01, "built_in_test", word("built_in_test", "16s", "results, the least significant byte first")),
    plain(
        0x02,
        "time_sync",
        word("is_synchronised", "B", "1 if the time is synchronised to the PPS"),
        word("pps_age_s", "B", "time since the last PPS, 255 at most", TIME),
    ),
    plain(0x03, "gpio", word("gpio_states", "B", "states of the pins, pin 1 in bit 0")),
    plain(
        0x04,
        "gpio_analog",
        word("gpio_analog_pin", "B", "number of the pin"),
        number("gpio_analog_v", VOLTAGE, "voltage at a pin"),
    ),
)

DATA_SETS: Final = {
    0x80: ("sensor", SENSOR),
    0x81: ("gnss", GNSS),
    0x82: ("filter", FILTER),
    **{0x90 + receiver: (f"gnss{receiver}", GNSS) for receiver in range(1, 6)},
    0xA0: ("system", SYSTEM),
}
"""Name and fields of each descriptor set of data; GX3 to GX5 send 0x81, GQ7 sends 0x91 to 0x95."""
FIRST_DATA_SET: Final = 0x80
FIELDS: Final = {
    descriptor_set: {field.descriptor: field for field in (*fields, *SHARED)}
    for descriptor_set, (_, fields) in DATA_SETS.items()
}
"""Declarations by descriptor set and descriptor."""

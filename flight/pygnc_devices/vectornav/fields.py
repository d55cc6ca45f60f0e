"""Output fields of binary packets, and lines of text. One line declares a field of a group, its words and units.

Sources: VectorNav SDK 0.99 (`BinaryMeasurementDefinitions.hpp`, `FaPacketProtocol.hpp`, `MeasurementDatatypes.hpp`) and
programming library 1.2 (`packet.cpp`, `types.h`); units: VN-100 and VN-300 user manuals (UM001, UM005). The library
reads the time uncertainty of a receiver as nanoseconds in an integer, the newer SDK as a float; the SDK is followed.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from functools import cached_property
from typing import Final, Literal

from pygnc_devices.declaration import Field, Labels, Packet, Value, axes, word
from pygnc_devices.text_declaration import PATTERNS, Sentence, from_text
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
    TEMPERATURE,
    TIME,
    VELOCITY,
    Unit,
)

_DEGREE: Final = math.radians(1.0)
_KPA: Final = 1000.0


@dataclass(frozen=True)
class OutputField(Packet):
    """Declaration of a field of a binary output group.

    Attributes:
        bit: number of the field in its group: 16 k + i for bit i of the k-th word.
        item_bytes: bytes of an element of the list with which the field ends; 0: no list.
        count_at: offset of the number of elements.
    """

    byte_order: Literal[">", "<"] = "<"
    bit: int = attribute(default=0, kw_only=True)
    item_bytes: int = attribute(default=0, kw_only=True)
    count_at: int = attribute(default=0, kw_only=True)


def _field(bit: int, name: str, *fields: Field, meaning: str = "") -> OutputField:
    return OutputField(name, fields, meaning=meaning or fields[0].meaning, bit=bit)


def _reserved(bit: int, length: int) -> OutputField:
    return OutputField(f"bit{bit}", (word(f"bit{bit}", f"{length}s", ""),), meaning="reserved", bit=bit)


def _number(  # noqa: PLR0917 - a table's columns
    name: str, unit: Unit, meaning: str, scale: float | None = None, column: str = "", code: str = "f"
) -> Field:
    return Field(name, code, unit, scale, 0.0, meaning, column)


def _ned(name: str, unit: Unit, suffix: str, meaning: str, scale: float | None = None) -> tuple[Field, ...]:
    column = "" if unit.column_per_unit == 1.0 else "{}" + name.title().replace("_", "")
    return tuple(
        _number(f"{name}_{axis}_{suffix}", unit, f"{meaning}, {axis}", scale, column.format(axis))
        for axis in ("north", "east", "down")
    )


def _ypr(suffix: str, meaning: str, column: str) -> tuple[Field, ...]:
    names = ("yaw", "pitch", "roll")
    return tuple(_number(f"{name}{suffix}_rad", ANGLE, f"{meaning}, {name}", _DEGREE, name + column) for name in names)


def _position(prefix: str) -> tuple[Field, ...]:
    return (
        _number(f"{prefix}latitude_rad", ANGLE, "geodetic latitude, WGS 84", _DEGREE, f"{prefix}latitude", "d"),
        _number(f"{prefix}longitude_rad", ANGLE, "longitude, WGS 84", _DEGREE, f"{prefix}longitude", "d"),
        _number(f"{prefix}altitude_m", LENGTH, "height above the WGS 84 ellipsoid", code="d"),
    )


def _ecef(prefix: str) -> tuple[Field, ...]:
    return tuple(_number(f"{prefix}ecef_{axis}_m", LENGTH, f"position in ECEF, {axis}", code="d") for axis in "xyz")


def _ecef_velocity(prefix: str) -> tuple[Field, ...]:
    return tuple(_number(f"{prefix}ecef_v{axis}_mps", VELOCITY, f"velocity in ECEF, {axis}") for axis in "xyz")


def _utc(prefix: str) -> tuple[Field, ...]:
    return (
        Field(f"{prefix}utc_year", "b", NONE, 1, 2000, "year"),
        *(word(f"{prefix}utc_{name}", "B", name) for name in ("month", "day", "hour", "minute", "second")),
        word(f"{prefix}utc_ms", "H", "milliseconds"),
    )


_TIME_STATUS: Final = Labels({0: "time of week", 1: "date", 2: "UTC"}, is_bit_field=True)
_INS_STATUS: Final = Labels(
    {
        0: "mode bit 0",
        1: "mode bit 1",
        2: "GNSS fix",
        4: "IMU error",
        5: "magnetometer or pressure error",
        6: "GNSS error",
        8: "GNSS heading used",
        9: "GNSS compass",
    },
    is_bit_field=True,
)
SATURATION: Final = Labels(
    {
        bit: f"{name} {axis}"
        for at, name in ((0, "mag"), (3, "accel"), (6, "gyro"))
        for bit, axis in enumerate("xyz", at)
    }
    | {9: "pressure"},
    is_bit_field=True,
)
_FIX: Final = Labels({0: "none", 1: "time only", 2: "2D", 3: "3D", 4: "SBAS", 7: "RTK float", 8: "RTK fixed"})
_GNSS_STATUS: Final = Labels(
    {
        0: "enabled",
        1: "operational",
        2: "fix",
        3: "antenna error",
        4: "used for navigation",
        11: "used at present",
        12: "PPS used for the time",
    },
    is_bit_field=True,
)

_TIME_STARTUP: Final = word("time_startup_ns", "Q", "time since the start", NANOSECONDS)
_TIME_GPS: Final = word("time_gps_ns", "Q", "GPS time since 1980", NANOSECONDS)
_TIME_SYNC_IN: Final = word("time_sync_in_ns", "Q", "time since the last SyncIn event", NANOSECONDS)
_TIME_PPS: Final = word("time_gps_pps_ns", "Q", "time since the last PPS", NANOSECONDS)
_SYNC_IN: Final = word("sync_in_count", "I", "number of SyncIn events")
_WEEK: Final = word("week", "H", "GPS week since 1980")
_STATUS: Final = word("ins_status", "H", "mode of the INS (bits 0, 1) and errors", labels=_INS_STATUS)
_YPR: Final = _ypr("", "Euler angle from north-east-down", "Angle")
_QUATERNION: Final = tuple(word(f"q{k}", "f", f"attitude, component {k} of the quaternion") for k in (1, 2, 3, 0))
_ACCEL: Final = axes("accel", ACCELERATION, "mps2", None, "specific force", "Accel")
_RATE: Final = axes("rate", RATE, "rad_s", None, "angular rate", "Rate")
_MAG: Final = axes("mag", MAGNETIC, "t", GAUSS_T, "magnetic field", "Mag")
_RAW_ACCEL: Final = axes("raw_accel", ACCELERATION, "mps2", None, "specific force, no bias correction", "AccelRaw")
_RAW_RATE: Final = axes("raw_rate", RATE, "rad_s", None, "angular rate, no bias correction", "RateRaw")
_RAW_MAG: Final = axes("raw_mag", MAGNETIC, "t", GAUSS_T, "magnetic field, no estimated correction", "MagRaw")
_TEMPERATURE: Final = _number("temperature_degc", TEMPERATURE, "temperature of the IMU")
_PRESSURE: Final = _number("pressure_pa", PRESSURE, "ambient pressure", _KPA, "pressure")
_DELTA_TIME: Final = _number("delta_time_s", TIME, "interval of the integration")
_DELTA_ANGLE: Final = axes("delta_angle", ANGLE, "rad", _DEGREE, "rotation in the interval", "DeltaAngle")
_DELTA_VELOCITY: Final = axes("delta_velocity", VELOCITY, "mps", None, "velocity change", "DeltaVelocity")
_LINEAR_BODY: Final = axes("linear_accel", ACCELERATION, "mps2", None, "acceleration, no gravity", "LinearAccel")
_LINEAR_NED: Final = _ned("linear_accel", ACCELERATION, "mps2", "acceleration without gravity")
_VELOCITY: Final = _ned("velocity", VELOCITY, "mps", "velocity")
_HEAVE: Final = (
    _number("heave_m", LENGTH, "heave"),
    _number("heave_rate_mps", VELOCITY, "rate of the heave"),
    _number("delayed_heave_m", LENGTH, "delayed heave"),
)
_POSITION_SD: Final = _number("position_uncertainty_m", LENGTH, "standard deviation of the position")
_VELOCITY_SD: Final = _number("velocity_uncertainty_mps", VELOCITY, "standard deviation of the velocity")
_ATTITUDE_SD: Final = _number(
    "attitude_uncertainty_rad", ANGLE, "standard deviation of the attitude", _DEGREE, "attitudeUncertainty"
)

COMMON: Final = (
    _field(0, "time_startup", _TIME_STARTUP),
    _field(1, "time_gps", _TIME_GPS),
    _field(2, "time_sync_in", _TIME_SYNC_IN),
    _field(3, "ypr", *_YPR, meaning="attitude"),
    _field(4, "quaternion", *_QUATERNION, meaning="attitude"),
    _field(5, "angular_rate", *_RATE),
    _field(6, "position", *_position("")),
    _field(7, "velocity", *_VELOCITY),
    _field(8, "accel", *_ACCEL),
    _field(9, "imu", *_RAW_ACCEL, *_RAW_RATE),
    _field(10, "mag_pres", *_MAG, _TEMPERATURE, _PRESSURE),
    _field(11, "deltas", _DELTA_TIME, *_DELTA_ANGLE, *_DELTA_VELOCITY),
    _field(12, "ins_status", _STATUS),
    _field(13, "sync_in_count", _SYNC_IN),
    _field(14, "time_gps_pps", _TIME_PPS),
)
TIMES: Final = (
    _field(0, "time_startup", _TIME_STARTUP),
    _field(1, "time_gps", _TIME_GPS),
    _field(2, "gps_tow", word("tow_ns", "Q", "GPS time of week", NANOSECONDS)),
    _field(3, "gps_week", _WEEK),
    _field(4, "time_sync_in", _TIME_SYNC_IN),
    _field(5, "time_gps_pps", _TIME_PPS),
    _field(6, "utc", *_utc("")),
    _field(7, "sync_in_count", _SYNC_IN),
    _field(8, "sync_out_count", word("sync_out_count", "I", "number of SyncOut events")),
    _field(9, "time_status", word("time_status", "B", "valid parts of the time", labels=_TIME_STATUS)),
)
IMU: Final = (
    _field(0, "imu_status", word("imu_status", "H", "state of gyro, accel, mag, pressure, 2 bits each")),
    _field(1, "raw_mag", *_RAW_MAG),
    _field(2, "raw_accel", *_RAW_ACCEL),
    _field(3, "raw_rate", *_RAW_RATE),
    _field(4, "temperature", _TEMPERATURE),
    _field(5, "pressure", _PRESSURE),
    _field(6, "delta_theta", _DELTA_TIME, *_DELTA_ANGLE),
    _field(7, "delta_velocity", *_DELTA_VELOCITY),
    _field(8, "mag", *_MAG),
    _field(9, "accel", *_ACCEL),
    _field(10, "angular_rate", *_RATE),
    _field(11, "saturation", word("saturation", "H", "saturated sensors", labels=SATURATION)),
    _reserved(12, 40),
)


def _gnss(name: str) -> tuple[OutputField, ...]:
    start = f"{name}_"
    return (
        _field(0, "utc", *_utc(start)),
        _field(1, "tow", word(f"{start}tow_ns", "Q", "GPS time of week", NANOSECONDS)),
        _field(2, "week", word(f"{start}week", "H", "GPS week since 1980")),
        _field(3, "satellites", word(f"{start}satellites", "B", "number of satellites tracked")),
        _field(4, "fix", word(f"{start}fix", "B", "kind of the fix", labels=_FIX)),
        _field(5, "position", *_position(start)),
        _field(6, "position_ecef", *_ecef(start)),
        _field(7, "velocity", *_ned(f"{start}velocity", VELOCITY, "mps", "velocity")),
        _field(8, "velocity_ecef", *_ecef_velocity(start)),
        _field(9, "position_uncertainty", *_ned(f"{start}position_uncertainty", LENGTH, "m", "standard deviation")),
        _field(10, "velocity_uncertainty", _number(f"{start}velocity_uncertainty_mps", VELOCITY, "standard deviation")),
        _field(11, "time_uncertainty", _number(f"{start}time_uncertainty_s", TIME, "standard deviation of the time")),
        _field(
            12,
            "time_info",
            word(f"{start}time_status", "B", "valid parts of the time", labels=_TIME_STATUS),
            word(f"{start}leap_s", "b", "leap seconds", TIME),
        ),
        _field(13, "dop", *(word(f"{start}{k}dop", "f", f"dilution of precision, {k.upper()}DOP") for k in "gptvhne")),
        OutputField(
            "satellite_info",
            (
                word(f"{start}list_satellites", "B", "number of satellites in the list"),
                word(f"{start}list_reserved", "B", "reserved"),
                word(f"{start}satellite_list", "s", "8 bytes per satellite"),
            ),
            meaning="satellites in view: system, number, flags, C/N0, quality, elevation, azimuth (16 bits)",
            bit=14,
            item_bytes=8,
        ),
        OutputField(
            "raw_measurements",
            (
                word(f"{start}raw_tow_s", "d", "GPS time of week", TIME),
                word(f"{start}raw_week", "H", "GPS week since 1980"),
                word(f"{start}raw_count", "B", "number of measurements"),
                word(f"{start}raw_reserved", "B", "reserved"),
                word(f"{start}raw_list", "s", "28 bytes per measurement"),
            ),
            meaning="system, number, band, channel, frequency number, C/N0, flags, pseudorange, carrier phase, Doppler",
            bit=16,
            item_bytes=28,
            count_at=10,
        ),
        _field(17, "status", word(f"{start}status", "H", "state of the receiver", labels=_GNSS_STATUS)),
        _field(18, "height_msl", _number(f"{start}height_msl_m", LENGTH, "height above mean sea level", code="d")),
    )


_VPE_STATUS: Final = "quality (bits 0, 1), saturation and disturbances of gyro, magnetometer, accelerometer"
ATTITUDE: Final = (
    _field(0, "vpe_status", word("vpe_status", "H", _VPE_STATUS)),
    _field(1, "ypr", *_YPR, meaning="attitude"),
    _field(2, "quaternion", *_QUATERNION, meaning="attitude"),
    _field(
        3,
        "dcm",
        *(
            word(f"m{row}{k}", "f", f"rotation from north-east-down to the unit's axes, row {row}, column {k}")
            for k in (1, 2, 3)
            for row in (1, 2, 3)
        ),
    ),
    _field(4, "mag_ned", *_ned("mag", MAGNETIC, "t", "magnetic field", GAUSS_T)),
    _field(5, "accel_ned", *_ned("accel", ACCELERATION, "mps2", "specific force")),
    _field(6, "linear_accel_body", *_LINEAR_BODY),
    _field(7, "linear_accel_ned", *_LINEAR_NED),
    _field(8, "ypr_uncertainty", *_ypr("_uncertainty", "standard deviation", "Uncertainty")),
    _reserved(9, 12),
    _reserved(10, 28),
    _reserved(11, 24),
    _field(12, "heave", *_HEAVE),
    _field(13, "attitude_uncertainty", _ATTITUDE_SD),
)
INS: Final = (
    _field(0, "ins_status", _STATUS),
    _field(1, "position", *_position("")),
    _field(2, "position_ecef", *_ecef("")),
    _field(3, "velocity_body", *axes("velocity", VELOCITY, "mps", None, "velocity in the unit's axes", "Velocity")),
    _field(4, "velocity", *_VELOCITY),
    _field(5, "velocity_ecef", *_ecef_velocity("")),
    _field(6, "mag_ecef", *axes("ecef_mag", MAGNETIC, "t", GAUSS_T, "magnetic field in ECEF", "MagEcef")),
    _field(7, "accel_ecef", *axes("ecef_accel", ACCELERATION, "mps2", None, "specific force in ECEF", "AccelEcef")),
    _field(
        8,
        "linear_accel_ecef",
        *axes("ecef_linear_accel", ACCELERATION, "mps2", None, "acceleration in ECEF", "LinearAccelEcef"),
    ),
    _field(9, "position_uncertainty", _POSITION_SD),
    _field(10, "velocity_uncertainty", _VELOCITY_SD),
    _reserved(11, 68),
    _reserved(12, 64),
)

GROUPS: Final = {
    0: ("common", COMMON),
    1: ("time", TIMES),
    2: ("imu", IMU),
    3: ("gnss1", _gnss("gnss1")),
    4: ("attitude", ATTITUDE),
    5: ("ins", INS),
    6: ("gnss2", _gnss("gnss2")),
    12: ("gnss3", _gnss("gnss3")),
}
"""Name and fields of each group by its number: 8 k + i for bit i of the k-th group byte."""


@dataclass(frozen=True)
class AsyncLine(Sentence):
    """Declaration of a line that a unit sends periodically.

    Attributes:
        appended: letters of the appended fields: T for a count, S for a status.
    """

    appended: str = ""

    def fits(self, payload: bytes) -> bool:
        """Return True if a text has all fields and nothing else."""
        return self._whole.fullmatch(payload.decode("ascii")) is not None

    def decode(self, payload: bytes) -> dict[str, Value | None]:
        """Return the values by name; None for empty fields.

        Raises:
            ValueError: a field is missing or does not match its code.
        """
        whole = self._whole.fullmatch(payload.decode("ascii"))
        if whole is None:
            raise ValueError(f"line {self.name}: {payload!r} does not match the declaration")
        pairs = zip(self.fields, whole.groups(), strict=True)
        return {field.name: None if text is None else from_text(field, text) for field, text in pairs}

    def encode(self, values: Mapping[str, Value | None]) -> bytes:
        """Return the text with the given values; missing values are empty."""
        words = super().encode(values).decode("ascii").split(",")
        return ",".join(map("".join, zip(self._letters, words, strict=True))).encode("ascii")

    def pattern_of(self, clock: str) -> str:
        """Return the pattern of a text with all fields and nothing else; the word of the clock is the group `clock`."""
        return self._pattern(lambda field, word: f"(?P<clock>{word})" if field.name == clock else f"(?:{word})?+")

    def _pattern(self, of_word: Callable[[Field, str], str]) -> str:
        pairs = zip(self._letters, self.fields, strict=True)
        return ",".join(letter + of_word(field, PATTERNS[field.code[0]].pattern) for letter, field in pairs)

    @cached_property
    def _letters(self) -> list[str]:
        return [*[""] * (len(self.fields) - len(self.appended)), *self.appended]

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        return re.compile(self._pattern(lambda _, word: f"({word})?"))


def _line(name: str, *fields: Field, meaning: str, clock: str = "") -> AsyncLine:
    codes = {"f": "g", "d": "g", "H": "d", "B": "d"}
    texts = tuple(field if field.code not in codes else replace(field, code=codes[field.code]) for field in fields)
    return AsyncLine(name, texts, meaning=meaning, clock=clock)


def _tow(prefix: str) -> tuple[Field, ...]:
    return _number(f"{prefix}tow_s", TIME, "GPS time of week", code="d"), replace(_WEEK, name=f"{prefix}week")


def _ins(name: str, *motion: Field) -> AsyncLine:
    status = replace(_STATUS, code="u4")
    fields = (*_tow(""), status, *_YPR, *motion, _ATTITUDE_SD, _POSITION_SD, _VELOCITY_SD)
    return _line(name, *fields, meaning="solution of the INS", clock="tow_s")


def _receiver(name: str, start: str, *motion: Field) -> AsyncLine:
    return _line(
        name,
        *_tow(start),
        word(f"{start}fix", "B", "kind of the fix", labels=_FIX),
        word(f"{start}satellites", "B", "number of satellites tracked"),
        *motion,
        _number(f"{start}velocity_uncertainty_mps", VELOCITY, "standard deviation"),
        _number(f"{start}time_uncertainty_s", TIME, "standard deviation of the time"),
        meaning=f"solution of the receiver {start[:-1]}",
        clock=f"{start}tow_s",
    )


def _solutions(start: str) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    ned = (
        *_position(start),
        *_ned(f"{start}velocity", VELOCITY, "mps", "velocity"),
        *_ned(f"{start}position_uncertainty", LENGTH, "m", "standard deviation"),
    )
    deviations = (_number(f"{start}ecef_uncertainty_{k}_m", LENGTH, f"standard deviation, {k}") for k in "xyz")
    return ned, (*_ecef(start), *_ecef_velocity(start), *deviations)


LINES: Final = {
    line.name: line
    for line in (
        _line("YPR", *_YPR, meaning="attitude"),
        _line("QTN", *_QUATERNION, meaning="attitude"),
        _line("QMR", *_QUATERNION, *_MAG, *_ACCEL, *_RATE, meaning="attitude and IMU"),
        _line("MAG", *_MAG, meaning="magnetic field"),
        _line("ACC", *_ACCEL, meaning="specific force"),
        _line("GYR", *_RATE, meaning="angular rate"),
        _line("MAR", *_MAG, *_ACCEL, *_RATE, meaning="IMU"),
        _line("YMR", *_YPR, *_MAG, *_ACCEL, *_RATE, meaning="attitude and IMU"),
        _line("YBA", *_YPR, *_LINEAR_BODY, *_RATE, meaning="attitude, acceleration in the unit's axes, rate"),
        _line("YIA", *_YPR, *_LINEAR_NED, *_RATE, meaning="attitude, acceleration in north-east-down, rate"),
        _line("IMU", *_RAW_MAG, *_RAW_ACCEL, *_RAW_RATE, _TEMPERATURE, _PRESSURE, meaning="uncorrected IMU"),
        _receiver("GPS", "gnss1_", *_solutions("gnss1_")[0]),
        _receiver("GPE", "gnss1_", *_solutions("gnss1_")[1]),
        _receiver("G2S", "gnss2_", *_solutions("gnss2_")[0]),
        _receiver("G2E", "gnss2_", *_solutions("gnss2_")[1]),
        _ins("INS", *_position(""), *_VELOCITY),
        _ins("INE", *_ecef(""), *_ecef_velocity("")),
        _line("ISL", *_YPR, *_position(""), *_VELOCITY, *_ACCEL, *_RATE, meaning="state of the INS"),
        _line("ISE", *_YPR, *_ecef(""), *_ecef_velocity(""), *_ACCEL, *_RATE, meaning="state of the INS"),
        _line("DTV", _DELTA_TIME, *_DELTA_ANGLE, *_DELTA_VELOCITY, meaning="coning and sculling integrals"),
        _line("HVE", *_HEAVE, meaning="heave"),
    )
}
"""Lines by name, without appended fields."""
_APPENDED: Final = {
    "T": Field("appended_count", "d", meaning="count or time that the setting protocol appends"),
    "S": Field("appended_status", "u4", meaning="status that the setting protocol appends"),
}


def _with_appended(line: AsyncLine, letters: Iterable[str]) -> AsyncLine:
    text = "".join(letters)
    if not text:
        return line
    fields = (*line.fields, *(_APPENDED[letter] for letter in text))
    return replace(line, name=f"{line.name}-{text}", fields=fields, appended=text)


_VARIANTS: Final = {
    (name, letters): _with_appended(line, letters)
    for name, line in LINES.items()
    for letters in ("", "T", "S", "TS", "ST")
}


def line_of(name: str, payload: bytes) -> AsyncLine | None:
    """Return the declaration of a line with its appended fields; None if there is none."""
    line = LINES.get(name)
    if line is None:
        return None
    appended = payload.decode("ascii").split(",")[len(line.fields) :]
    return _VARIANTS.get((name, "".join(text[:1] for text in appended)))

"""Messages of satellite navigation receivers that tell about positions, velocities and times.

Sources: NovAtel, OEM7 Commands and Logs Reference Manual; u-blox M8 receiver description, UBX-13003221, and u-blox 6,
GPS.G6-SW-10018, for NAV-SOL; SkyTraq application notes AN0024 and AN0030, binary messages of Venus 8.
"""

from collections.abc import Iterable
from typing import Final, Literal

from pygnc_devices.declaration import Field, Labels, Packet, word
from pygnc_devices.units import ANGLE, LENGTH, NANOSECONDS, TIME, VELOCITY

_DEGREE: Final = 0.017453292519943295


def ecef(name: str, code: str, scale: float | None, meaning: str, suffix: str = "m") -> tuple[Field, ...]:
    """Return the fields of a vector in axes fixed to the Earth: `name_x_suffix` and so on."""
    unit = LENGTH if suffix == "m" else VELOCITY
    return tuple(word(f"{name}_{axis}_{suffix}", code, f"{meaning}, {axis}", unit, scale) for axis in "xyz")


def _angle(name: str, code: str, meaning: str, scale: float) -> Field:
    """Return the field of an angle, which CSV files have in degrees."""
    return Field(f"{name}_rad", code, ANGLE, scale, meaning=meaning, column=name)


def _packets(order: Literal[">", "<"], *packets: tuple[str, str, Iterable[Field]]) -> dict[str, Packet]:
    return {
        name: Packet(name, tuple(fields), meaning=meaning, clock="tow_s", byte_order=order)
        for name, meaning, fields in packets
    }


# --- NovAtel --------------------------------------------------------------------------------------------------------

TIME_STATUSES: Final = {
    20: "UNKNOWN", 60: "APPROXIMATE", 80: "COARSEADJUSTING", 100: "COARSE", 120: "COARSESTEERING",
    130: "FREEWHEELING", 140: "FINEADJUSTING", 160: "FINE", 170: "FINEBACKUPSTEERING", 180: "FINESTEERING",
    200: "SATTIME", 255: "not stated",
}  # fmt: skip
"""Names of the status of the receiver's time; short headers have none."""
SOLUTION_STATUSES: Final = {
    0: "SOL_COMPUTED", 1: "INSUFFICIENT_OBS", 2: "NO_CONVERGENCE", 3: "SINGULARITY", 4: "COV_TRACE", 5: "TEST_DIST",
    6: "COLD_START", 7: "V_H_LIMIT", 8: "VARIANCE", 9: "RESIDUALS", 13: "INTEGRITY_WARNING", 18: "PENDING",
    19: "INVALID_FIX", 20: "UNAUTHORIZED", 22: "INVALID_RATE",
}  # fmt: skip
SOLUTION_TYPES: Final = {
    0: "NONE", 1: "FIXEDPOS", 2: "FIXEDHEIGHT", 8: "DOPPLER_VELOCITY", 16: "SINGLE", 17: "PSRDIFF", 18: "WAAS",
    19: "PROPAGATED", 32: "L1_FLOAT", 34: "NARROW_FLOAT", 48: "L1_INT", 49: "WIDE_INT", 50: "NARROW_INT",
    51: "RTK_DIRECT_INS", 52: "INS_SBAS", 53: "INS_PSRSP", 54: "INS_PSRDIFF", 55: "INS_RTKFLOAT", 56: "INS_RTKFIXED",
    68: "PPP_CONVERGING", 69: "PPP", 70: "OPERATIONAL", 71: "WARNING", 72: "OUT_OF_BOUNDS",
    73: "INS_PPP_CONVERGING", 74: "INS_PPP", 77: "PPP_BASIC_CONVERGING", 78: "PPP_BASIC",
    79: "INS_PPP_BASIC_CONVERGING", 80: "INS_PPP_BASIC",
}  # fmt: skip
_STATUS: Final = Labels(SOLUTION_STATUSES)
_TYPE: Final = Labels(SOLUTION_TYPES)
_HEADER: Final = (
    word("time_status", "B", "status of the receiver's time", labels=Labels(TIME_STATUSES)),
    word("week", "H", "GPS week"),
    word("tow_s", "I", "time of the week", TIME, 1e-3),
)


def _solution(name: str, prefix: str) -> tuple[Field, Field]:
    return (
        word(f"{prefix}status", "I", f"status of the {name}", labels=_STATUS),
        word(f"{prefix}type", "I", f"type of the {name}", labels=_TYPE),
    )


_COUNTS: Final = (
    word("satellites_tracked", "B", "satellites tracked"),
    word("satellites", "B", "satellites in the solution"),
)
_AGES: Final = (
    word("station", "4s", "base station"),
    word("differential_age_s", "f", "age of the differential corrections", TIME),
    word("solution_age_s", "f", "age of the solution", TIME),
)
NOVATEL: Final = _packets(
    "<",
    (
        "TIME",
        "clock of the receiver",
        (
            *_HEADER,
            word("clock_status", "I", "model of the clock; 0: valid", labels=Labels({0: "VALID"})),
            word("clock_offset_s", "d", "receiver time minus GPS time", TIME),
            word("clock_sigma_s", "d", "standard deviation of the offset", TIME),
            word("utc_offset_s", "d", "UTC minus GPS time", TIME),
        ),
    ),
    (
        "BESTXYZ",
        "position and velocity in axes fixed to the Earth",
        (
            *_HEADER,
            *_solution("position", "position_"),
            *ecef("ecef", "d", None, "position"),
            *ecef("ecef_sigma", "f", None, "standard deviation of the position"),
            *_solution("velocity", "velocity_"),
            *ecef("velocity", "d", None, "velocity", "mps"),
            *ecef("velocity_sigma", "f", None, "standard deviation of the velocity", "mps"),
            _AGES[0],
            word("latency_s", "f", "age of the velocity", TIME),
            *_AGES[1:],
            *_COUNTS,
        ),
    ),
    (
        "BESTPOS",
        "geodetic position",
        (
            *_HEADER,
            *_solution("position", "position_"),
            _angle("latitude", "d", "latitude", _DEGREE),
            _angle("longitude", "d", "longitude", _DEGREE),
            word("height_msl_m", "d", "height above mean sea level", LENGTH),
            word("undulation_m", "f", "height of mean sea level above the ellipsoid", LENGTH),
            word("datum", "I", "datum", labels=Labels({61: "WGS84", 63: "USER"})),
            word("sigma_north_m", "f", "standard deviation, north", LENGTH),
            word("sigma_east_m", "f", "standard deviation, east", LENGTH),
            word("sigma_up_m", "f", "standard deviation, up", LENGTH),
            *_AGES,
            *_COUNTS,
        ),
    ),
    (
        "BESTVEL",
        "velocity over ground",
        (
            *_HEADER,
            *_solution("velocity", "velocity_"),
            word("latency_s", "f", "age of the velocity", TIME),
            word("differential_age_s", "f", "age of the differential corrections", TIME),
            word("speed_mps", "d", "horizontal speed", VELOCITY),
            _angle("track", "d", "direction of motion from north over east", _DEGREE),
            word("velocity_up_mps", "d", "velocity, up", VELOCITY),
        ),
    ),
)

# --- u-blox ---------------------------------------------------------------------------------------------------------

_PAIRS: Final = ("nn", "ne", "nd", "ee", "ed", "dd")
_TOW_MS: Final = word("tow_s", "I", "time of the week", TIME, 1e-3)
_FIX_TYPE: Final = word(
    "fix_type",
    "B",
    "type of the fix",
    labels=Labels({0: "none", 1: "dead reckoning", 2: "2D", 3: "3D", 4: "3D with dead reckoning", 5: "time only"}),
)
_SATELLITES: Final = word("satellites", "B", "satellites in the solution")
_VALID: Final = Labels({0: "date", 1: "time", 2: "resolved", 3: "magnetic declination"}, is_bit_field=True)
_FLAGS: Final = Labels({0: "fix ok", 1: "differential", 2: "week", 3: "time of week"}, is_bit_field=True)
_TIME_VALID: Final = Labels({0: "time of week", 1: "week", 2: "leap seconds"}, is_bit_field=True)
UBLOX: Final = _packets(
    "<",
    (
        "NAV-PVT",
        "position, velocity and time",
        (
            _TOW_MS,
            word("utc_year", "H", "year, UTC"),
            word("utc_month", "B", "month"),
            word("utc_day", "B", "day"),
            word("utc_hour", "B", "hour"),
            word("utc_minute", "B", "minute"),
            word("utc_second", "B", "second"),
            word("valid", "B", "valid parts of the time", labels=_VALID),
            word("time_accuracy_ns", "I", "accuracy of the time", NANOSECONDS),
            word("nano_ns", "i", "fraction of the second, UTC", NANOSECONDS),
            _FIX_TYPE,
            word("status_flags", "B", "status", labels=Labels({0: "fix ok", 1: "differential"}, is_bit_field=True)),
            word("status_flags2", "B", "further status"),
            _SATELLITES,
            _angle("longitude", "i", "longitude", 1e-7 * _DEGREE),
            _angle("latitude", "i", "latitude", 1e-7 * _DEGREE),
            word("height_m", "i", "height above the ellipsoid", LENGTH, 1e-3),
            word("height_msl_m", "i", "height above mean sea level", LENGTH, 1e-3),
            word("horizontal_accuracy_m", "I", "accuracy, horizontal", LENGTH, 1e-3),
            word("vertical_accuracy_m", "I", "accuracy, vertical", LENGTH, 1e-3),
            word("velocity_north_mps", "i", "velocity, north", VELOCITY, 1e-3),
            word("velocity_east_mps", "i", "velocity, east", VELOCITY, 1e-3),
            word("velocity_down_mps", "i", "velocity, down", VELOCITY, 1e-3),
            word("ground_speed_mps", "i", "horizontal speed", VELOCITY, 1e-3),
            _angle("track", "i", "direction of motion from north over east", 1e-5 * _DEGREE),
            word("speed_accuracy_mps", "I", "accuracy of the velocity, root sum square of three axes", VELOCITY, 1e-3),
            _angle("track_accuracy", "I", "accuracy of the direction of motion", 1e-5 * _DEGREE),
            word("pdop", "H", "position dilution of precision", scale=1e-2),
            word("reserved", "6s", "reserved"),
        ),
    ),
    (
        "NAV-SOL",
        "position and velocity of receivers up to generation 8",
        (
            _TOW_MS,
            word("nano_ns", "i", "fraction of the time of the week", NANOSECONDS),
            word("week", "h", "GPS week"),
            _FIX_TYPE,
            word("status_flags", "B", "status", labels=_FLAGS),
            *ecef("ecef", "i", 1e-2, "position"),
            word("ecef_accuracy_m", "I", "accuracy of the position, root sum square of three axes", LENGTH, 1e-2),
            *ecef("velocity", "i", 1e-2, "velocity", "mps"),
            word("speed_accuracy_mps", "I", "accuracy of the velocity, root sum square of three axes", VELOCITY, 1e-2),
            word("pdop", "H", "position dilution of precision", scale=1e-2),
            word("reserved", "B", "reserved"),
            _SATELLITES,
            word("reserved2", "4s", "reserved"),
        ),
    ),
    (
        "NAV-POSECEF",
        "position in axes fixed to the Earth",
        (
            _TOW_MS,
            *ecef("ecef", "i", 1e-2, "position"),
            word("ecef_accuracy_m", "I", "accuracy of the position, root sum square of three axes", LENGTH, 1e-2),
        ),
    ),
    (
        "NAV-VELECEF",
        "velocity in axes fixed to the Earth",
        (
            _TOW_MS,
            *ecef("velocity", "i", 1e-2, "velocity", "mps"),
            word("speed_accuracy_mps", "I", "accuracy of the velocity, root sum square of three axes", VELOCITY, 1e-2),
        ),
    ),
    (
        "NAV-COV",
        "covariances of position and velocity in axes north, east and down",
        (
            _TOW_MS,
            word("version", "B", "version of the message"),
            word("position_valid", "B", "1: the covariance of the position is valid"),
            word("velocity_valid", "B", "1: the covariance of the velocity is valid"),
            word("reserved", "9s", "reserved"),
            *(word(f"position_{pair}", "f", f"covariance of the position, {pair}, m²") for pair in _PAIRS),
            *(word(f"velocity_{pair}", "f", f"covariance of the velocity, {pair}, m²/s²") for pair in _PAIRS),
        ),
    ),
    (
        "NAV-TIMEGPS",
        "GPS time",
        (
            _TOW_MS,
            word("nano_ns", "i", "fraction of the time of the week", NANOSECONDS),
            word("week", "h", "GPS week"),
            word("leap_s", "b", "GPS time minus UTC", TIME),
            word("valid", "B", "valid parts of the time", labels=_TIME_VALID),
            word("time_accuracy_ns", "I", "accuracy of the time", NANOSECONDS),
        ),
    ),
)
UBX_NUMBERS: Final = {
    "NAV-PVT": b"\x01\x07",
    "NAV-SOL": b"\x01\x06",
    "NAV-POSECEF": b"\x01\x01",
    "NAV-VELECEF": b"\x01\x11",
    "NAV-COV": b"\x01\x36",
    "NAV-TIMEGPS": b"\x01\x20",
}
"""Class and number of the messages."""

# --- SkyTraq --------------------------------------------------------------------------------------------------------

_DILUTIONS: Final = ("gdop", "pdop", "hdop", "vdop", "tdop")
SKYTRAQ: Final = _packets(
    ">",
    (
        "receiver state",
        "position, velocity and clock",
        (
            word("issue", "B", "issue of data"),
            word(
                "state",
                "B",
                "state of the navigation",
                labels=Labels({0: "none", 1: "prediction", 2: "2D", 3: "3D", 4: "differential"}),
            ),
            word("week", "H", "GPS week"),
            word("tow_s", "d", "time of the week", TIME),
            *ecef("ecef", "d", None, "position"),
            *ecef("velocity", "f", None, "velocity", "mps"),
            word("clock_bias_m", "d", "error of the clock times the speed of light", LENGTH),
            word("clock_drift_mps", "f", "drift of the clock times the speed of light", VELOCITY),
            *(word(name, "f", "dilution of precision") for name in _DILUTIONS),
        ),
    ),
    (
        "navigation data",
        "position and velocity",
        (
            word(
                "fix_type",
                "B",
                "type of the fix",
                labels=Labels({0: "none", 1: "2D", 2: "3D", 3: "differential"}),
            ),
            _SATELLITES,
            word("week", "H", "GPS week"),
            word("tow_s", "I", "time of the week", TIME, 1e-2),
            _angle("latitude", "i", "latitude", 1e-7 * _DEGREE),
            _angle("longitude", "i", "longitude", 1e-7 * _DEGREE),
            word("height_m", "I", "height above the ellipsoid", LENGTH, 1e-2),
            word("height_msl_m", "I", "height above mean sea level", LENGTH, 1e-2),
            *(word(name, "H", "dilution of precision", scale=1e-2) for name in _DILUTIONS),
            *ecef("ecef", "i", 1e-2, "position"),
            *ecef("velocity", "i", 1e-2, "velocity", "mps"),
        ),
    ),
)
SKYTRAQ_NUMBERS: Final = {"receiver state": 0xDF, "navigation data": 0xA8}

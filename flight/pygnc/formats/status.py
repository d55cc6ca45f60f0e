"""`~/pygnc_status.bin`: state of the run in one fixed record of less than 1000 bytes.

`FIELDS` is the layout. The record begins with the magic `PGST` and ends with a CRC-32 (zlib) over all before it. A new
field or task is declared beside related fields, with the next version in `since`: the layout appends it before the CRC
all the same. `scripts/read_status.py` is generated from this layout and decodes the record without this package.
"""

import math
import struct
import sys
import zlib
from collections.abc import Iterable, Mapping
from enum import IntEnum, unique
from typing import Final, TypeAlias

from pygnc.formats.layout import XYZ, Field, format_of, scalars, valid_if, words_of

MAGIC: Final = b"PGST"
OLDEST_VERSION: Final = 4
"""Oldest version of the record that `decode` can read."""
PARTNERS: Final = 3
FACES: Final = ((1, "+X"), (2, "+Y"), (4, "+Z"), (8, "-X"), (16, "-Y"), (32, "-Z"))
"""Flags of the faces of the sun sensors."""
GYRO_AXES: Final = ((1, "x"), (2, "y"), (4, "z"))
MAGNETOMETER_REFUTED: Final = 1 << 6
GYRO_REFUTED: Final = 1 << 7
"""Bits of `mirrored_faces`. A longer record would not arrive within 100 ms beside a stream (decision 17)."""
UNDECLARED: Final = "it is not declared in pygnc.formats.status"
"""Reason for dropping a value whose name is not a field."""

Value: TypeAlias = int | float | bytes


@unique
class Phase(IntEnum):
    """Phase of the run, in the order of their usual sequence; IDLE and NO_DATA follow the end of the batch."""

    STARTING = 0
    BATCH = 1
    IDLE = 2
    NO_DATA = 3
    STOPPING = 4
    STOPPED = 5
    FAILED = 6


@unique
class OrbitMode(IntEnum):
    """Origin and time of the orbit in the orbit fields."""

    NONE = 0
    """No orbit: no usable fix yet."""
    AT_FIX = 1
    """State of the filter at the newest fix."""
    PREDICTED = 2
    """State predicted to the time of this record."""
    ELEMENTS = 3
    """Orbit by uploaded mean elements, because there is none from fixes."""


@unique
class AttitudeMode(IntEnum):
    """State of the attitude estimation, which determines the valid attitude fields."""

    NONE = 0
    """No attitude: no sample yet."""
    SEARCHING = 1
    """Body rate and magnetic field only; the attitude is unknown."""
    COARSE = 2
    """The attitude is known, with a standard deviation of `fine_sigma_rad` in the settings (3 degrees) or more."""
    FINE = 3
    """The standard deviation of the attitude is below `fine_sigma_rad`."""


@unique
class TaskState(IntEnum):
    """State of a task; NONE if it is not part of the run."""

    NONE = 0
    STARTING = 1
    UP = 2
    STOPPED = 3
    FAILED = 4


REJECT_CAUSES: Final = (
    "no_time",
    "time_status",
    "time_inconsistent",
    "position_status",
    "no_satellites",
    "not_finite",
    "zero_position",
    "radius",
    "not_later",
    "gap",
    "gate",
    "start",
)
"""Reasons why the position of a fix was not used, in the order of the counters."""

SAMPLE_CAUSES: Final = ("searching", "no_time", "not_later", "not_finite", "no_surroundings", "gate")
"""Reasons why a sensor sample was not used for the attitude, in the order of the counters."""

TASK_NAMES: Final = dict.fromkeys(
    ("ingest", "orbit", "attitude", "formation", "batch_writer", "status", "host_link", "devices"), OLDEST_VERSION
)
"""Names of the tasks that a run may have, with the version of the record that introduced the task's fields."""

_PARTNER: Final = (
    Field("id", "B", "", "radio id of the partner, 0: none"),
    *valid_if(
        "id",
        1,
        Field("ambiguous", "B", "", "1 while a mirror solution fits equally well"),
        Field("gps_week", "H", "", "epoch of the partner's relative state: GPS week, 0: unknown"),
        Field("gps_tow_ms", "I", "ms", "GPS time of week of that epoch"),
        Field("rtn_m", "f", "m", "position of the partner relative to this satellite, RTN axes", parts=XYZ),
        Field("rtn_mps", "f", "m/s", "relative velocity, RTN axes", parts=XYZ),
        Field("sigma_m", "f", "m", "standard deviation of the relative position", parts=XYZ),
        Field("bias_m", "f", "m", "range bias of the radio pair"),
        Field("residual_m", "f", "m", "residual (measured minus computed) of the newest own range to the partner"),
        Field("chi2_best", "f", "", "chi-square of the best solution for all partners"),
        Field("chi2_mirror", "f", "", "chi-square of the best solution with a different orbit of this partner"),
        Field("closest_m", "f", "m", "predicted minimum distance within one day"),
        Field("closest_sigma_m", "f", "m", "standard deviation of the minimum distance"),
        Field("closest_in_s", "f", "s", "time from the epoch of the relative state to the minimum distance"),
    ),
)


def _task(name: str, since: int) -> tuple[Field, ...]:
    title = name.replace("_", " ")
    return (
        Field(
            f"task_{name}_state",
            "B",
            "",
            f"{title}: state, none if the run has no such task",
            since,
            words_of(TaskState),
        ),
        Field(f"task_{name}_restarts", "B", "", f"{title}: restarts in this run (255: or more)", since),
        Field(f"task_{name}_through", "I", "", f"{title}: sequence number of the last input processed", since),
    )


_MEASURED: Final = ("attitude_mode", int(AttitudeMode.SEARCHING))
_KNOWN: Final = ("attitude_mode", int(AttitudeMode.COARSE))
"""Conditions for valid attitude fields: a sample has been used, and the attitude is known."""
_STATE: Final = (
    Field("magic", "4s", "", "magic, the letters PGST", fixed=MAGIC),
    Field("version", "B", "", "version of this layout"),
    Field("phase", "B", "", "phase of the run", words=words_of(Phase)),
    Field("size", "H", "B", "size of the whole record"),
    Field("generation", "I", "", "number of records written in this run"),
    Field("run_number", "I", "", "number of the run and of its folder in ~/pygnc_logs"),
    Field("uptime_s", "I", "s", "time since the start of main.py"),
    Field("spacecraft_time_s", "I", "s", "spacecraft time of this record: time given at the start plus elapsed time"),
    Field("gps_week", "H", "", "GPS week of this record, 0: unknown"),
    Field("gps_tow_ms", "I", "ms", "GPS time of week of this record", valid_if=("gps_week", 1)),
    Field(
        "orbit_mode",
        "B",
        "",
        "orbit at the newest fix, predicted to the time of this record, or by mean elements",
        words=words_of(OrbitMode),
    ),
    *valid_if(
        "orbit_mode",
        OrbitMode.AT_FIX,
        Field("orbit_gps_week", "H", "", "epoch of the orbit: GPS week"),
        Field("orbit_gps_tow_ms", "I", "ms", "GPS time of week of that epoch"),
        Field(
            "orbit_age_s",
            "f",
            "s",
            "time from the newest accepted fix, or from the epoch of the mean elements, to the epoch of the orbit",
        ),
        Field("position_ecef_m", "d", "m", "position, ITRF", parts=XYZ),
        Field("velocity_ecef_mps", "d", "m/s", "velocity, ITRF", parts=XYZ),
        Field("position_sigma_m", "f", "m", "standard deviation of the position, ITRF axes", parts=XYZ),
        Field("velocity_sigma_mps", "f", "m/s", "standard deviation of the velocity, ITRF axes", parts=XYZ),
        Field("nis_mean", "f", "", "mean normalised innovation squared per degree of freedom, 1 if consistent"),
        Field("nis_count", "I", "", "number of fixes in nis_mean"),
    ),
    Field("attitude_mode", "B", "", "state of the attitude estimation", words=words_of(AttitudeMode)),
    Field("attitude_gps_week", "H", "", "epoch of the attitude (newest sample): GPS week, 0: unknown"),
    Field("attitude_gps_tow_ms", "I", "ms", "GPS time of week of that epoch", valid_if=("attitude_gps_week", 1)),
    Field(
        "attitude_orbit_age_s",
        "f",
        "s",
        "time from the newest fix, or the epoch of the elements, in the orbit used to that epoch",
        valid_if=_MEASURED,
    ),
    Field("quaternion", "f", "", "attitude, body to GCRF, Hamilton quaternion", parts=("w", *XYZ), valid_if=_KNOWN),
    Field("rate_body_rad_s", "f", "rad/s", "angular rate of the body, body axes", parts=XYZ, valid_if=_MEASURED),
    Field(
        "attitude_sigma_rad",
        "f",
        "rad",
        "standard deviation of the attitude, body axes",
        parts=XYZ,
        valid_if=_KNOWN,
    ),
    Field("gyro_bias_rad_s", "f", "rad/s", "gyro bias, sensor axes", parts=XYZ, valid_if=_KNOWN),
    *valid_if(
        *_MEASURED,
        Field("mag_bias_ut", "f", "uT", "total magnetometer bias, sensor axes", parts=XYZ),
        Field(
            "mag_body_ut",
            "f",
            "uT",
            "magnetic field at the newest sample, estimated bias removed, body axes",
            parts=XYZ,
        ),
        Field("in_sun", "B", "", "newest sample in sunlight or eclipse", words=((0, "eclipse"), (1, "sunlight"))),
        Field(
            "dead_faces",
            "B",
            "",
            "sun sensors that are dark in sunlight; further sensors than these have no bit",
            flags=FACES,
        ),
        Field(
            "mirrored_faces",
            "B",
            "",
            "sun sensors that are bright with the Sun behind them, and sensors whose readings refute their axes",
            flags=(*FACES, (MAGNETOMETER_REFUTED, "magnetometer"), (GYRO_REFUTED, "gyro")),
        ),
        Field("stuck_gyro_axes", "B", "", "gyro axes with constant output, sensor axes", flags=GYRO_AXES),
        Field("gyro_axes_beyond_range", "B", "", "gyro axes in saturation, sensor axes", flags=GYRO_AXES),
    ),
    *(field.prefixed(f"partner{k}_") for k in range(PARTNERS) for field in _PARTNER),
    *(field for name, since in TASK_NAMES.items() for field in _task(name, since)),
    Field("events", "I", "", "events in the journal of the run"),
)
_COUNTED: Final = (
    Field("not_recorded", "B", "", "number of tasks that could not record everything on disk"),
    Field("lost_messages", "I", "", "inputs that did not reach a task"),
    Field("source_files", "H", "", "input files read"),
    Field("unreadable_files", "H", "", "input files that could not be read, or only in part"),
    Field("source_bytes", "I", "B", "size of the input files"),
    Field("delivered_bytes", "I", "B", "bytes in valid records"),
    Field("damaged_bytes", "I", "B", "damaged bytes; delivered + damaged = source bytes"),
    Field("damaged_ranges", "H", "", "damaged byte ranges"),
    Field("sensor_packets", "I", "", "sensor packets read"),
    Field("gps_packets", "I", "", "GPS packets read"),
    Field("range_packets", "I", "", "range packets read"),
    Field("batch_written_bytes", "I", "B", "bytes written to ~/pygnc_batch"),
    Field("fixes_received", "I", "", "GPS packets that reached the orbit task"),
    Field("fixes_accepted", "I", "", "fixes whose position was used by the filter"),
    Field("fixes_waiting", "H", "", "fixes waiting for the initialisation of the filter"),
    Field("velocities_rejected", "H", "", "accepted fixes whose velocity was rejected"),
    *(Field(f"rejected_{name}", "H", "", f"positions not used: {name.replace('_', ' ')}") for name in REJECT_CAUSES),
    Field("samples_received", "I", "", "sensor packets that reached the attitude task"),
    Field("samples_used", "I", "", "samples used by the filter"),
    Field("samples_held", "H", "", "samples waiting for time and orbit"),
    *(Field(f"samples_{cause}", "H", "", f"samples not used: {cause.replace('_', ' ')}") for cause in SAMPLE_CAUSES),
    Field("attitude_starts", "H", "", "number of attitude initialisations"),
    Field("mag_calibration_seen", "I", "", "samples received by the magnetometer calibration"),
    Field("mag_calibration_kept", "I", "", "samples used by the magnetometer calibration"),
    Field(
        "mag_calibration_sigma_ut",
        "f",
        "uT",
        "standard deviation of the calibrated bias, once it has converged",
        parts=XYZ,
    ),
    Field("ranges_received", "I", "", "range packets that reached the formation task"),
    Field("ranges_held", "H", "", "range packets waiting for their time"),
    Field("ranges_no_time", "H", "", "ranges not used: no time"),
    Field("ranges_used", "I", "", "ranges used in the newest solution"),
    Field("ranges_rejected", "H", "", "ranges rejected by the newest solution"),
    Field("fixes_of_partners", "I", "", "usable GPS packets of partners"),
    Field("manoeuvres", "H", "", "impulses, and begins and ends of thrusts, that the fixes showed; 0 in version 4", 5),
    Field("ranges_repeated", "H", "", "ranges not used: received before; 0 before version 6", 6),
    Field("ranges_old", "I", "", "ranges not used: older than the formation's arc; 0 before version 6", 6),
    Field("ranges_unsolved", "I", "", "ranges in no solution so far; 0 before version 6", 6),
    Field("readings_used", "H", "", "used readings of star tracker and fine Sun sensor; 0 before version 7", 7),
)


def in_order(declared: Iterable[Field]) -> tuple[Field, ...]:
    """Return fields in the order of the record: those of later versions follow those of earlier ones."""
    return tuple(sorted(scalars(declared), key=lambda field: max(field.since, OLDEST_VERSION)))


FIELDS: Final = in_order((*_STATE, *_COUNTED))
COUNTERS: Final = frozenset(field.name for field in _COUNTED if field.code in "BHI")
"""Names of the counters that tasks report; the record contains the sum over all tasks."""
VERSION: Final = FIELDS[-1].since
_CRC: Final = struct.Struct("<I")
_BODIES: Final = {
    version: struct.Struct(format_of(field for field in FIELDS if field.since <= version))
    for version in range(OLDEST_VERSION, VERSION + 1)
}
"""Layouts of the record, without the CRC, by readable version."""
_BODY: Final = _BODIES[VERSION]
SIZE: Final = _BODY.size + _CRC.size
_DEFAULTS: Final[dict[str, Value]] = {field.name: field.default for field in FIELDS}
_FIXED: Final[dict[str, Value]] = {"magic": MAGIC, "version": VERSION, "size": SIZE}
_FLOAT_MAX: Final = {"f": 3.4028234663852886e38, "d": sys.float_info.max}


class StatusError(ValueError):
    """Error raised when bytes are not a valid status record of a readable version."""


def fill(values: Mapping[str, object]) -> tuple[dict[str, Value], dict[str, str]]:
    """Return all fields of a record, with the valid ones of `values`, and the reason for each dropped value, by name.

    A field without a valid value has its default (NaN for quantities: unknown). A counter too large for its field is
    set to the maximum.
    """
    fields = _DEFAULTS | _FIXED
    dropped: dict[str, str] = {}
    known = {field.name: field for field in FIELDS}
    for name, value in values.items():
        if name not in known:
            dropped[name] = UNDECLARED
        elif name not in _FIXED:
            valid = _valid(known[name].code, value)
            if valid is None:
                dropped[name] = f"{value!r:.50} is not a value of this field"
            else:
                fields[name] = valid
    return fields, dropped


def encode(values: Mapping[str, Value]) -> bytes:
    """Encode a record of the fields in `values`, which must be valid (see `fill`); the others have their default.

    Raises:
        KeyError: `values` contains an unknown field.
        struct.error: A value does not fit its field.
    """
    if unknown := values.keys() - _DEFAULTS.keys():
        raise KeyError(f"unknown status fields: {', '.join(sorted(unknown))}; declare them in {__name__}")
    body = _BODY.pack(*{**_DEFAULTS, **values, **_FIXED}.values())
    return body + _CRC.pack(zlib.crc32(body))


def decode(record: bytes) -> dict[str, Value]:
    """Decode a record of this version or an earlier one from 4 on to its fields by name; missing counters are 0.

    Raises:
        StatusError: Wrong magic, version, length or CRC.
    """
    layout = _BODIES.get(record[4]) if len(record) > len(MAGIC) else None
    if record[:4] != MAGIC or layout is None or len(record) != layout.size + _CRC.size:
        raise StatusError(
            f"not a status record: {len(record)} bytes that begin with {record[:4]!r}; one of version {VERSION} has"
            f" {SIZE} bytes and begins with {MAGIC!r}; read the whole pygnc_status.bin"
        )
    body = record[: layout.size]
    if zlib.crc32(body) != _CRC.unpack_from(record, layout.size)[0]:
        raise StatusError(f"damaged status record of {len(record)} bytes: wrong CRC-32; read the file again")
    return _DEFAULTS | dict(zip(_DEFAULTS, layout.unpack(body), strict=False))


def _valid(code: str, value: object) -> Value | None:
    """Return the value for a field with this struct code, a counter limited to its maximum; None if it is invalid."""
    if not isinstance(value, int | float):
        return None
    if code in _FLOAT_MAX:
        return None if _FLOAT_MAX[code] < abs(value) < math.inf else value
    return min(int(value), 256 ** struct.calcsize(code) - 1) if 0 <= value < math.inf else None

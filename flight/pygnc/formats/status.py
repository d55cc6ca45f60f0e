"""`~/pygnc_status.bin`: the run in one fixed record of less than 1000 bytes.

`FIELDS` is the layout: name, struct code, unit and meaning of each field, in order, little-endian, without padding. The
record begins with the magic `PGST` and ends with a CRC-32 (zlib) over everything before it. A field may be appended
before the CRC together with a higher version; nothing else may change. `scripts/read_status.py` decodes it without
this package, on CircuitPython too.
"""

import math
import struct
import zlib
from enum import IntEnum, unique
from typing import Final, NamedTuple, TypeAlias

MAGIC: Final = b"PGST"
VERSION: Final = 4
PARTNERS: Final = 3
NAN: Final = math.nan

Value: TypeAlias = int | float | bytes


@unique
class Phase(IntEnum):
    """What the run is doing."""

    STARTING = 0
    BATCH = 1
    IDLE = 2
    NO_DATA = 3
    STOPPING = 4
    STOPPED = 5
    FAILED = 6


@unique
class OrbitMode(IntEnum):
    """What the orbit fields hold."""

    NONE = 0
    """Nothing: no usable fix yet."""
    AT_FIX = 1
    """The filter's state at the newest fix."""
    PREDICTED = 2
    """The same, predicted to the time of this record."""


@unique
class AttitudeMode(IntEnum):
    """What the attitude fields hold."""

    NONE = 0
    """Nothing: no sample yet."""
    SEARCHING = 1
    """Body rate and field; the attitude is not known."""
    COARSE = 2
    FINE = 3


@unique
class TaskState(IntEnum):
    """What a task is doing."""

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
"""Why a fix was not used, in the order of the counters."""

SAMPLE_CAUSES: Final = ("searching", "no_time", "not_later", "not_finite", "no_surroundings", "gate")
"""Why a sensor sample did nothing for the attitude, in the order of the counters."""

TASK_NAMES: Final = ("ingest", "orbit", "attitude", "formation", "batch_writer", "status", "host_link", "devices")
"""Tasks that a run may have, each with a place of its own."""


class Field(NamedTuple):
    """One field of the record."""

    name: str
    code: str
    unit: str
    meaning: str
    default: Value = 0


def _vector(name: str, code: str, unit: str, meaning: str) -> tuple[Field, ...]:
    return tuple(Field(f"{name}_{axis}", code, unit, f"{meaning}, {axis}", NAN) for axis in "xyz")


def _partner(k: int) -> tuple[Field, ...]:
    partner = f"partner{k}"
    return (
        Field(f"{partner}_id", "B", "", "radio id of the partner, 0: none"),
        Field(f"{partner}_ambiguous", "B", "", "1 while a mirror solution fits as well"),
        Field(f"{partner}_gps_week", "H", "", "time at which the partner's place is valid: GPS week, 0: unknown"),
        Field(f"{partner}_gps_tow_ms", "I", "ms", "and time of week"),
        *_vector(f"{partner}_rtn_m", "f", "m", "partner minus self, radial-transverse-normal"),
        *_vector(f"{partner}_rtn_mps", "f", "m/s", "its rate"),
        *_vector(f"{partner}_sigma_m", "f", "m", "standard deviation of the relative position"),
        Field(f"{partner}_bias_m", "f", "m", "range bias of the radio pair", NAN),
        Field(f"{partner}_residual_m", "f", "m", "measured minus computed of the newest own range to it", NAN),
        Field(f"{partner}_chi2_best", "f", "", "cost of the best orbits of all partners", NAN),
        Field(f"{partner}_chi2_mirror", "f", "", "and of the best ones in which this partner moves differently", NAN),
        Field(f"{partner}_closest_m", "f", "m", "least distance within a day from the newest solution", NAN),
        Field(f"{partner}_closest_sigma_m", "f", "m", "its standard deviation", NAN),
        Field(f"{partner}_closest_in_s", "f", "s", "from the time of the partner's place to it", NAN),
    )


def _task(name: str) -> tuple[Field, ...]:
    words = name.replace("_", " ")
    return (
        Field(f"task_{name}_state", "B", "", f"{words}: 0 not in this run, 1 starting, 2 up, 3 stopped, 4 failed"),
        Field(f"task_{name}_restarts", "B", "", "its restarts in this run (255: or more)"),
        Field(f"task_{name}_through", "I", "", "number of the last input it has dealt with"),
    )


FIELDS: Final[tuple[Field, ...]] = (
    Field("magic", "4s", "", "the letters PGST", MAGIC),
    Field("version", "B", "", "of this layout", VERSION),
    Field("phase", "B", "", "0 starting, 1 batch, 2 idle, 3 no data, 4 stopping, 5 stopped, 6 failed"),
    Field("size", "H", "B", "of the whole record"),
    Field("generation", "I", "", "counts the records written in this run"),
    Field("run_number", "I", "", "names the run's folder under ~/pygnc_logs"),
    Field("uptime_s", "I", "s", "since the start of main.py"),
    Field("spacecraft_time_s", "I", "s", "spacecraft time of this record, by the computer's clock since the start"),
    Field("gps_week", "H", "", "GPS week of this record, 0: unknown"),
    Field("gps_tow_ms", "I", "ms", "GPS time of week of this record"),
    Field("orbit_mode", "B", "", "0 none, 1 at the newest fix, 2 predicted to the time of this record"),
    Field("orbit_gps_week", "H", "", "time at which the orbit is valid, GPS week"),
    Field("orbit_gps_tow_ms", "I", "ms", "and time of week"),
    Field("orbit_age_s", "f", "s", "from the newest used fix to the orbit's time", NAN),
    *_vector("position_ecef_m", "d", "m", "position, ITRF"),
    *_vector("velocity_ecef_mps", "d", "m/s", "velocity, ITRF"),
    *_vector("position_sigma_m", "f", "m", "standard deviation of the position, ITRF axes"),
    *_vector("velocity_sigma_mps", "f", "m/s", "standard deviation of the velocity, ITRF axes"),
    Field(
        "nis_mean", "f", "", "mean normalised innovation squared per degree of freedom, 1 when sigmas are honest", NAN
    ),
    Field("nis_count", "I", "", "fixes in that mean"),
    Field("attitude_mode", "B", "", "0 none, 1 searching, 2 coarse, 3 fine"),
    Field(
        "attitude_gps_week", "H", "", "time of the newest sample, at which the attitude is valid: GPS week, 0: unknown"
    ),
    Field("attitude_gps_tow_ms", "I", "ms", "and time of week"),
    Field(
        "attitude_orbit_age_s", "f", "s", "from the newest fix in the orbit used for the attitude to the sample", NAN
    ),
    *(Field(f"quaternion_{part}", "f", "", f"attitude, body to GCRF, Hamilton, {part}", NAN) for part in "wxyz"),
    *_vector("rate_body_rad_s", "f", "rad/s", "body rate"),
    *_vector("attitude_sigma_rad", "f", "rad", "standard deviation of the attitude, body axes"),
    *_vector("gyro_bias_rad_s", "f", "rad/s", "gyro bias, sensor axes"),
    *_vector("mag_bias_ut", "f", "uT", "magnetometer bias, all of it, sensor axes"),
    *_vector("mag_body_ut", "f", "uT", "magnetic field at the newest sample, body axes, known bias removed"),
    Field("in_sun", "B", "", "at the newest sample: 1 the Sun shines, 0 it does not"),
    Field("dead_faces", "B", "", "sun sensors dark in sunlight, bits 0 to 5: +X, +Y, +Z, -X, -Y, -Z"),
    Field("mirrored_faces", "B", "", "sun sensors bright with the Sun behind them, the same bits"),
    Field("stuck_gyro_axes", "B", "", "gyro axes that repeat themselves, bits 0 to 2: x, y, z, sensor axes"),
    Field("gyro_axes_beyond_range", "B", "", "gyro axes at the end of their range, the same bits"),
    *(field for k in range(PARTNERS) for field in _partner(k)),
    *(field for name in TASK_NAMES for field in _task(name)),
    Field("events", "I", "", "events in the run's journal"),
    Field("not_recorded", "B", "", "tasks that could not record everything on disk"),
    Field("lost_messages", "I", "", "inputs that a task never saw"),
    Field("source_files", "H", "", "input files read"),
    Field("unreadable_files", "H", "", "input files that could not be read"),
    Field("source_bytes", "I", "B", "size of the input files"),
    Field("delivered_bytes", "I", "B", "of them in undamaged records"),
    Field("damaged_bytes", "I", "B", "of them damaged; delivered + damaged = size"),
    Field("damaged_ranges", "H", "", "stretches of damage"),
    Field("sensor_packets", "I", "", "produced"),
    Field("gps_packets", "I", "", "produced"),
    Field("range_packets", "I", "", "produced"),
    Field("batch_written_bytes", "I", "B", "written to ~/pygnc_batch"),
    Field("fixes_received", "I", "", "GPS packets that reached the orbit task"),
    Field("fixes_accepted", "I", "", "of them used"),
    Field("fixes_waiting", "H", "", "of them held until the filter can start"),
    Field("velocities_rejected", "H", "", "used fixes whose velocity was not used"),
    *(Field(f"rejected_{cause}", "H", "", f"fixes not used: {cause.replace('_', ' ')}") for cause in REJECT_CAUSES),
    Field("samples_received", "I", "", "sensor packets that reached the attitude task"),
    Field("samples_used", "I", "", "of them used"),
    Field("samples_held", "H", "", "of them held until time and orbit are known"),
    *(Field(f"samples_{cause}", "H", "", f"samples not used: {cause.replace('_', ' ')}") for cause in SAMPLE_CAUSES),
    Field("attitude_starts", "H", "", "how often the attitude was found"),
    Field("mag_calibration_seen", "I", "", "samples that the magnetometer's calibration has seen"),
    Field("mag_calibration_kept", "I", "", "of them kept to calibrate with"),
    *_vector(
        "mag_calibration_sigma_ut", "f", "uT", "standard deviation of the bias by the calibration, once it is good"
    ),
    Field("ranges_received", "I", "", "range packets that reached the formation task"),
    Field("ranges_held", "H", "", "of them held until their time is known"),
    Field("ranges_no_time", "H", "", "ranges not used: no time"),
    Field("ranges_used", "I", "", "ranges used in the newest solution"),
    Field("ranges_rejected", "H", "", "ranges that do not fit it"),
    Field("fixes_of_partners", "I", "", "usable GPS packets of partners"),
)
_BODY: Final = struct.Struct("<" + "".join(field.code for field in FIELDS))
_CRC: Final = struct.Struct("<I")
SIZE: Final = _BODY.size + _CRC.size
_NAMES: Final = frozenset(field.name for field in FIELDS)


class StatusError(ValueError):
    """These bytes are no undamaged status record of a known version."""


def encode(values: dict[str, Value]) -> bytes:
    """Return the record for `values`; fields not named hold their default (NaN for quantities: not known).

    Raises:
        KeyError: `values` names a field that does not exist.
    """
    if unknown := values.keys() - _NAMES:
        raise KeyError(f"no such status field: {', '.join(sorted(unknown))}")
    filled = {field.name: field.default for field in FIELDS} | values | {"size": SIZE}
    body = _BODY.pack(*(_clamped(field, filled[field.name]) for field in FIELDS))
    return body + _CRC.pack(zlib.crc32(body))


def decode(record: bytes) -> dict[str, Value]:
    """Return the fields of a status record by name.

    Raises:
        StatusError: wrong magic, version, length or CRC.
    """
    if len(record) != SIZE or record[:4] != MAGIC or record[4] != VERSION:
        raise StatusError(f"this is no status record of version {VERSION} ({SIZE} bytes beginning with PGST)")
    if zlib.crc32(record[: _BODY.size]) != _CRC.unpack_from(record, _BODY.size)[0]:
        raise StatusError("the status record is damaged: its CRC-32 does not agree")
    return dict(zip((field.name for field in FIELDS), _BODY.unpack_from(record), strict=True))


def _clamped(field: Field, value: Value) -> Value:
    """A counter that has outgrown its field stays at the largest value: it must not stop the status."""
    if field.code in {"B", "H", "I"}:
        largest: int = 256 ** struct.calcsize(field.code) - 1
        return max(0, min(int(value), largest))
    return value

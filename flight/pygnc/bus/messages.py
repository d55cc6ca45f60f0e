"""What the tasks say to each other: one typed, immutable message per kind.

Every message is MessagePack, an array whose first element is the message's name and whose other elements are the
fields in the order declared here. A field may be appended with a default; nothing else may change, so that old
journals stay readable.
"""

from typing import Final, TypeAlias

import msgspec

Vector3: TypeAlias = tuple[float, float, float]

LIVE: Final = "host"
"""The `source` of packets that come over the streaming interface; their `offset` is their number in its stream."""

DEVICES: Final = "devices"
"""The `source` of readings of the computer's own sensors; their `offset` is their number in that stream."""


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, kw_only=True):
    """Base of all messages: immutable, encoded as an array, named by its class."""


class SourceFile(Message, frozen=True):
    """One input file as it was found, and the books of its bytes: size = delivered + damaged.

    `damage` lists the first damaged byte ranges (start, stop, reason). `fault` says why the file cannot be read; then
    nothing else is known of it. A file that appears or grows after the batch is named then, with the books of
    `size_bytes` bytes from `from_byte` on; what was said of these before, which was damage, does not count any more.
    The last `carried_bytes`, damaged as yet, begin a packet that may go on in what comes.
    """

    seq: int
    name: str
    size_bytes: int = 0
    modified_ns: int = 0
    delivered_bytes: int = 0
    damaged_bytes: int = 0
    damaged_ranges: int = 0
    damage: tuple[tuple[int, int, str], ...] = ()
    fault: str = ""
    from_byte: int = 0
    carried_bytes: int = 0


class BatchBegin(Message, frozen=True):
    """The files of the batch have all been named, or behind its end those that came since: their packets follow."""

    seq: int
    sensors_per_record: int
    records_terminated: bool


class SensorSample(Message, frozen=True):
    """One 30-byte sensor packet, in sensor axes.

    `seq` is the global input number. `offset` is where the packet's bytes stand in the undamaged part of `source`.
    """

    seq: int
    source: str
    offset: int
    t_spacecraft_s: int
    mag_imu_ut: Vector3
    hall_raw: int
    gyro_imu_rad_s: Vector3
    lux: tuple[float, float, float, float, float, float]
    """Illuminance on the faces +X, +Y, +Z, -X, -Y, -Z."""
    raw: bytes


class GpsFix(Message, frozen=True):
    """One GPS packet: 99 bytes of a sense record, or 102 of a range file, without spacecraft time and time status.

    `satellite_id` is the radio id of the partner whose file it comes from, 0 for our own.
    """

    seq: int
    source: str
    offset: int
    t_spacecraft_s: int | None
    time_status: int | None
    gps_week: int
    gps_tow_ms: int
    position_status: int
    position_ecef_m: Vector3
    position_sigma_m: Vector3
    velocity_status: int
    velocity_ecef_mps: Vector3
    velocity_sigma_mps: Vector3
    velocity_latency_s: float
    differential_age_s: float
    solution_age_s: float
    satellites_tracked: int
    satellites_used: int
    raw: bytes
    satellite_id: int = 0

    @property
    def is_own(self) -> bool:
        """Whether our own receiver made it."""
        return self.satellite_id == 0


class RangeMeasurement(Message, frozen=True):
    """One 12-byte range packet. `range_m` still contains the radio pair's delay bias.

    `satellite_id` is the radio id of the partner that measured the range to `partner_id`, by its own clock; 0: we.
    """

    seq: int
    source: str
    offset: int
    partner_id: int
    rssi_dbm: float
    t_spacecraft_s: int
    frequency_error_hz: float
    range_m: float
    raw: bytes
    satellite_id: int = 0


class BatchEnd(Message, frozen=True):
    """The last input of the batch. `cause` is empty, or says why the batch ended early.

    What range files bring that appear or grow later stands behind it.
    """

    seq: int
    cause: str


class TimeMark(Message, frozen=True):
    """The host's word on the spacecraft time, at `t_mono_ns` of the computer's monotonic clock."""

    seq: int
    source: str
    offset: int
    t_spacecraft_s: int
    ms: int
    t_mono_ns: int


class LivePacket(Message, frozen=True):
    """A packet as it came over the streaming interface, on its way to ingest.

    `kind` is the sentence's type, `radio_id` the partner that made it or 0. `late` says that a newer one came before.
    """

    seq: int
    kind: str
    radio_id: int
    late: bool
    t_mono_ns: int
    raw: bytes


class DeviceReading(Message, frozen=True):
    """What a sensor of the Raspberry Pi's own said, `device` by its name in the settings.

    `source` is "devices"; `offset` is the reading's number in that stream. `packet` names the packet of the family, of
    which `raw` is the whole frame and `values` what the driver makes of it, by names that end in their units: None
    where the device says that it has none, bytes as hexadecimal digits. `t_mono_ns` and `t_wall_ns` are the arrival by
    the computer's clocks, `t_device_ns` is the device's own clock, unwrapped, since its first reading; None if it has
    none. `lost_before` readings are missing before this one, by the device's own count; those that settings thin out
    are not counted. `flags` are the driver's doubts, in words.
    """

    seq: int
    source: str
    offset: int
    device: str
    family: str
    packet: str
    t_mono_ns: int
    t_wall_ns: int
    t_device_ns: int | None
    lost_before: int
    raw: bytes
    values: dict[str, int | float | str | None]
    flags: tuple[str, ...] = ()


class OrbitEstimate(Message, frozen=True):
    """The orbit after one input, or (not journaled, `through` unchanged) its prediction to the present.

    Position and velocity are valid at `gps_ms`, milliseconds since 1980-01-06 in GPS time, in ITRF (ECEF) and in GCRF
    (ECI); sigmas are of the ECEF values. `fix_gps_ms` is the time of the newest used fix. `cause` names why the fix at
    hand was not used, or is empty. `nis` covers `nis_dof` measurements of this fix; `nis_mean` is per degree of freedom
    over the `nis_count` fixes so far. `spacecraft_to_gps_ms` maps spacecraft time: gps_ms = 1000 t + this, or None.
    `input_seq` is the number of the GPS packet at whose time the orbit is given, 0 for a prediction to the present.
    """

    seq: int
    through: int
    gps_ms: int
    fix_gps_ms: int
    position_ecef_m: Vector3
    velocity_ecef_mps: Vector3
    position_sigma_m: Vector3
    velocity_sigma_mps: Vector3
    position_gcrf_m: Vector3
    velocity_gcrf_mps: Vector3
    accepted: bool
    cause: str
    nis: float
    nis_dof: int
    nis_mean: float
    nis_count: int
    spacecraft_to_gps_ms: int | None
    input_seq: int = 0


class OrbitMark(Message, frozen=True):
    """The orbit task has dealt with the input `through`, and has no orbit at that input's own time (yet).

    Each of our own GPS packets is answered, and the end of the batch: by estimates, the last of which is the packet's
    own (`input_seq` = `through`), or else by a mark behind them.
    """

    seq: int
    through: int


OrbitMessage: TypeAlias = OrbitEstimate | OrbitMark
"""Everything that stands in the orbit journal."""


class AttitudeEstimate(Message, frozen=True):
    """The attitude after one sensor sample.

    `input_seq` is the sample's number, `through` that of the newest input when this was said. `gps_ms` is the sample's
    time by the clock map; None when that is not known. `mode` is searching, coarse or fine; while searching,
    `quaternion_gcrf_from_body` (Hamilton's, scalar first), `gyro_bias_imu_rad_s` and `sigma_rad` (of the attitude, body
    axes) are None. `mag_bias_imu_ut` is all of the magnetometer's bias in its own axes, that of the settings included;
    while searching, what is known from settings, calibration or before, or None. From the body rate and the field in
    body axes is removed what is known of the biases. `mag_calibration_sigma_ut` is of the bias by the calibration that
    needs no attitude; None before it has succeeded.
    `orbit_age_s` counts from the newest fix in the orbit that was used; None without an orbit. `orbit_late` says that
    the orbit task had not answered in time, so that another run may give other numbers. `nis` covers the `dof` numbers
    that were used; `cause` names why none was, or is empty. `found` says that the attitude does not follow from the one
    before. Faces count from 0 (+X, +Y, +Z, -X, -Y, -Z), gyro axes too (sensor axes).
    """

    seq: int
    through: int
    input_seq: int
    t_spacecraft_s: int
    gps_ms: int | None
    mode: str
    quaternion_gcrf_from_body: tuple[float, float, float, float] | None
    rate_body_rad_s: Vector3
    mag_body_ut: Vector3
    gyro_bias_imu_rad_s: Vector3 | None
    mag_bias_imu_ut: Vector3 | None
    sigma_rad: Vector3 | None
    in_sun: bool
    orbit_age_s: float | None
    orbit_late: bool
    nis: float
    dof: int
    cause: str
    found: bool
    dead_faces: tuple[int, ...] = ()
    mirrored_faces: tuple[int, ...] = ()
    stuck_gyro_axes: tuple[int, ...] = ()
    gyro_axes_beyond_range: tuple[int, ...] = ()
    mag_calibration_sigma_ut: Vector3 | None = None


class FormationEstimate(Message, frozen=True):
    """Where one partner is relative to us, at the time of a range or a fix that concerns it.

    `input_seq` is the number of that packet, `through` of the newest input when this was said. Relative means partner
    minus self; "rtn" are the radial, transverse and normal axes of our orbit, rates in these turning axes. With `cause`
    the partner's orbit is not known, and the numbers are None. `covariance_rtn` is the lower triangle, row by row, of
    that of relative position (m) and velocity (m/s). `range_residual_m` is measured minus computed for our own range
    to the partner at this time, None without one. While `ambiguous`, another orbit fits as well: `mirror_rtn_m` is
    where it is, and `chi2_mirror` its cost beside `chi2_best`, over `dof` degrees of freedom.
    """

    seq: int
    through: int
    input_seq: int
    gps_ms: int
    partner_id: int
    cause: str
    position_rtn_m: Vector3 | None = None
    velocity_rtn_mps: Vector3 | None = None
    position_gcrf_m: Vector3 | None = None
    velocity_gcrf_mps: Vector3 | None = None
    covariance_rtn: tuple[float, ...] | None = None
    range_bias_m: float | None = None
    range_bias_sigma_m: float | None = None
    range_noise_m: float | None = None
    range_residual_m: float | None = None
    ambiguous: bool = False
    chi2_best: float | None = None
    chi2_mirror: float | None = None
    dof: int = 0
    mirror_rtn_m: Vector3 | None = None


class ClosestApproach(Message, frozen=True):
    """The least distance to a partner within the next day, by one of the orbits that fit.

    `chi2` is that orbit's cost; the best one's comes first. `sigma_m` is of the distance at `gps_ms`, where it is
    least. `least_m` is the least value, at any time and first at `least_gps_ms`, of the distance less three standard
    deviations; 0 when contact cannot be excluded.
    """

    seq: int
    through: int
    partner_id: int
    chi2: float
    gps_ms: int
    distance_m: float
    sigma_m: float
    least_m: float = 0.0
    least_gps_ms: int = 0


FormationMessage: TypeAlias = FormationEstimate | ClosestApproach
"""Everything that stands in the formation journal."""


InputMessage: TypeAlias = (
    SourceFile | BatchBegin | SensorSample | GpsFix | RangeMeasurement | BatchEnd | TimeMark | DeviceReading
)
"""Everything that stands in the input journal."""


class Event(Message, frozen=True):
    """Something that a person should know of; it stands in the events journal.

    `severity` is info, warning or error; `t_wall_ns` is the computer's clock, which may be wrong.
    """

    seq: int
    task: str
    severity: str
    name: str
    text: str
    t_mono_ns: int
    t_wall_ns: int

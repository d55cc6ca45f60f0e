"""Messages of the streams and journals: one typed, immutable class per kind.

A message is encoded by MessagePack as an array. Its first element is the message's tag, the others are the fields in
the order declared here. Old journals stay readable as long as fields are only appended, with a default value.

`seq` is the message's number in its own stream. In estimates, `input_seq` is the number of the input packet that the
estimate belongs to, and `last_input_seq` is the number of the newest input when the estimate was made.
"""

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vector3: TypeAlias = tuple[float, float, float]


def vector3(values: "NDArray[np.float64]") -> Vector3:
    """Return an array of shape (3,) as a message field."""
    x, y, z = values.tolist()
    return x, y, z


LIVE: Final = "host"
"""`source` of packets received over the streaming interface; their `offset` is their number in that stream."""

DEVICES: Final = "devices"
"""`source` of readings of the computer's own sensors; their `offset` is their number in that stream."""


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages: immutable, encoded as an array with the class name as tag."""

    seq: int


class Packet(Message, frozen=True):
    """Base of the packets and readings. `source` names their file or stream, `offset` is their place in it.

    The offset in a file is that of the packet's bytes in the undamaged part of the file; in a stream it is the number
    of the packet.
    """

    source: str
    offset: int


class Estimate(Message, frozen=True):
    """Base of the estimates."""

    last_input_seq: int


class SourceFile(Message, frozen=True):
    """One input file and how many of its bytes were used: size = delivered + damaged.

    `damage` lists the first damaged byte ranges (start, stop, reason); `damaged_ranges` counts all. `fault` is the
    reason why the file cannot be read; all numbers are 0 then. A file that appears or grows after the batch is
    reported again, with counts for `size_bytes` bytes from `from_byte` on, which supersede earlier reports for the same
    bytes. The last `carried_bytes` begin a packet that may continue in later data; until then they count as damaged.
    """

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
    """End of the list of files of the batch, or of a group that arrived after the batch; their packets follow."""

    sensors_per_record: int
    records_terminated: bool


class SensorSample(Packet, frozen=True):
    """One 30-byte sensor packet, in sensor axes; `lux` is the illuminance of the faces +X, +Y, +Z, -X, -Y, -Z."""

    t_spacecraft_s: int
    mag_imu_ut: Vector3
    hall_raw: int
    gyro_imu_rad_s: Vector3
    lux: tuple[float, float, float, float, float, float]
    raw: bytes


class GpsFix(Packet, frozen=True):
    """One GPS packet: 99 bytes of a sense record, or 102 bytes of a range file.

    Packets of range files have no spacecraft time and no time status. Positions and velocities are in ITRF.
    `satellite_id` is the radio id of the partner whose file contains the packet, 0 for our own.
    """

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
        """True if the packet comes from our own receiver."""
        return self.satellite_id == 0


class RangeMeasurement(Packet, frozen=True):
    """One 12-byte range packet. `range_m` includes the delay bias of the radio pair.

    `satellite_id` is the radio id of the satellite that measured the range to `partner_id`, 0 for our own; the
    spacecraft time is that satellite's.
    """

    partner_id: int
    rssi_dbm: float
    t_spacecraft_s: int
    frequency_error_hz: float
    range_m: float
    raw: bytes
    satellite_id: int = 0


class BatchEnd(Message, frozen=True):
    """Last input of the batch. `cause` is the reason why the batch ended early, or empty.

    Range files that appear or grow later follow it.
    """

    cause: str


class TimeMark(Packet, frozen=True):
    """Spacecraft time reported by the host, and the computer's monotonic clock when it arrived."""

    t_spacecraft_s: int
    ms: int
    t_mono_ns: int


class LivePacket(Message, frozen=True):
    """A packet received over the streaming interface, on its way to ingest.

    `kind` is the sentence type. `radio_id` is the partner that made the packet, or 0. `late` is set if a newer packet
    arrived before.
    """

    kind: str
    radio_id: int
    late: bool
    t_mono_ns: int
    raw: bytes


class DeviceReading(Packet, frozen=True):
    """One reading of a sensor that is connected to the computer.

    `device` is the sensor's name in the settings and `source` is "devices". `packet` names the packet type of the
    driver family, `raw` is the whole frame and `values` has the decoded fields by name; the names end in the unit. A
    value is None if the device reports no value; bytes are given as hexadecimal digits. `t_mono_ns` and `t_wall_ns`
    are the time of arrival by the computer's clocks. `t_device_ns` is
    the device's own clock, unwrapped, since its first reading; None if the device has no clock. `lost_before` counts
    the readings that are missing before this one by the device's own counter; readings that the settings thin out are
    not counted. `flags` lists the driver's warnings about this reading.
    """

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


class OrbitEstimate(Estimate, frozen=True):
    """Orbit after one input, or its prediction to the present.

    Predictions are published but not journaled; their `input_seq` is 0. Position and velocity are valid at `gps_ms`,
    milliseconds since 1980-01-06 in GPS time, in ITRF (ECEF) and in GCRF (ECI). Sigmas are standard deviations of the
    ECEF values. `fix_gps_ms` is the time of the newest accepted fix. `cause` is the reason why this input's fix was
    rejected, or empty. `nis` is the normalised innovation squared of the `nis_dof` measurements of this fix; `nis_mean`
    is per degree of freedom over all `nis_count` fixes so far. `spacecraft_to_gps_ms` maps spacecraft time t: gps_ms =
    1000 t + spacecraft_to_gps_ms; None while unknown.
    """

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


class OrbitWatermark(Estimate, frozen=True, tag="OrbitMark"):
    """Mark that the orbit task has processed an input and has no orbit at the time of the input (yet).

    For each of our own GPS packets, and for the end of the batch, the orbit stream has estimates of which the last has
    `input_seq` equal to `last_input_seq`, or a watermark after the estimates.
    """


OrbitMessage: TypeAlias = OrbitEstimate | OrbitWatermark
"""All messages of the orbit journal."""


class AttitudeEstimate(Estimate, frozen=True):
    """Attitude after one sensor sample.

    `gps_ms` is the sample's time by the clock map, None if unknown. `mode` is searching, coarse or fine. While
    searching, `quaternion_gcrf_from_body` (Hamilton, scalar first), `gyro_bias_imu_rad_s` and `sigma_rad` (of the
    attitude, body axes) are None. `mag_bias_imu_ut` is the magnetometer's total bias in sensor axes, including the bias
    of the settings; while searching it is the newest known value, or None. `rate_body_rad_s` and `mag_body_ut` are
    corrected by the known biases. `mag_calibration_sigma_ut` is the standard deviation of the bias found by the
    calibration that needs no attitude; None until that has succeeded. `orbit_age_s` is the time since the newest fix in
    the orbit used; None without an orbit. `orbit_late` is set if the orbit of the sample's time arrived too late, so
    that another run may produce other numbers. `nis` is the normalised innovation squared of the `dof` measurements
    used; `cause` is the reason why no measurement was used, or empty. `found` is set if this attitude was newly
    acquired and does not follow from the attitude before. Faces are numbered 0 to 5 (+X, +Y, +Z, -X, -Y, -Z), gyro axes
    0 to 2 (sensor axes).
    """

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


class FormationEstimate(Estimate, frozen=True):
    """State of one partner relative to us, at the time of a range or fix that concerns it.

    Relative means partner minus own. RTN are the radial, transverse and normal axes of our orbit; rates are in these
    rotating axes. If `cause` is set, the partner's orbit is unknown and the numbers are None. `covariance_rtn` is the
    lower triangle, row by row, of the covariance of relative position (m) and velocity (m/s). `range_residual_m` is
    measured minus computed range, of our own range to the partner at this time; None without one. If `ambiguous`,
    another orbit fits equally well: `mirror_rtn_m` is the relative position in that orbit, `chi2_mirror` its chi-square
    and `chi2_best` the chi-square of the best orbit, with `dof` degrees of freedom.
    """

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


class ClosestApproach(Estimate, frozen=True):
    """Minimum distance to a partner within the next day, for one of the orbits that fit.

    `chi2` is the chi-square of that orbit; the best orbit comes first. `distance_m` is the minimum distance, at
    `gps_ms`, and `sigma_m` its standard deviation. `least_m` is the minimum of distance minus three standard
    deviations over the day, first reached at `least_gps_ms`; 0 if contact cannot be excluded.
    """

    partner_id: int
    chi2: float
    gps_ms: int
    distance_m: float
    sigma_m: float
    least_m: float = 0.0
    least_gps_ms: int = 0


FormationMessage: TypeAlias = FormationEstimate | ClosestApproach
"""All messages of the formation journal."""


InputMessage: TypeAlias = (
    SourceFile | BatchBegin | SensorSample | GpsFix | RangeMeasurement | BatchEnd | TimeMark | DeviceReading
)
"""All messages of the input journal."""


class Event(Message, frozen=True):
    """An event for operators, kept in the events journal.

    `severity` is info, warning or error. `t_wall_ns` is the computer's clock, which may be wrong.
    """

    task: str
    severity: str
    name: str
    text: str
    t_mono_ns: int
    t_wall_ns: int

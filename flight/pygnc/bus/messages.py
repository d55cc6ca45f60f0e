"""Messages of the streams and journals: one typed, immutable class per kind.

A message is encoded by MessagePack as an array. Its first element is the message's tag, the others are the fields in
the order declared here. Old journals stay readable as long as fields are only appended, with a default value.

`seq` is the message's number in its own stream. In estimates, `input_seq` is the number of the input packet that the
estimate belongs to, and `last_input_seq` is the number of the newest input when the estimate was made.
"""

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from pygnc.common.mean_elements import MeanElements

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vector3: TypeAlias = tuple[float, float, float]


def vector3(values: "NDArray[np.float64]") -> Vector3:
    """Return the components of an array of shape (3,) as a tuple, the type of message fields."""
    x, y, z = values.tolist()
    return x, y, z


LIVE: Final = "host"
"""`source` of packets received over the streaming interface; their `offset` is their number in that stream."""

DEVICES: Final = "devices"
"""`source` of readings of the computer's own sensors; their `offset` is their number in that stream."""

STREAMS: Final = frozenset({LIVE, DEVICES})
"""All sources that are no files."""


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
    """One input file and how many of its bytes were used: `size_bytes` = `delivered_bytes` + `damaged_bytes`.

    A file that appears or grows after the batch is reported again. A report counts `size_bytes` bytes from `from_byte`
    on and supersedes earlier reports on the same bytes.

    Attributes:
        damage: first damaged byte ranges (start, stop, reason); `damaged_ranges` counts all of them.
        fault: reason why the file cannot be read, with all numbers 0; empty if it can be read.
        carried_bytes: length of the beginning of a packet at the end of the file. The packet may continue in later
            data; until then these bytes count as damaged.
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
    """End of the list of files, of the batch or of a group that arrived after it; the packets of these files follow."""

    sensors_per_record: int
    records_terminated: bool


class SensorSample(Packet, frozen=True):
    """Magnetic field, body rate and light at one time, whatever measured them; vectors are in sensor axes.

    Attributes:
        kind: form of `raw`: "sense_sensors" for the host's 30-byte packets; empty if `raw` is.
        t_spacecraft_s: spacecraft time of the sample, whole seconds.
        t_spacecraft_ms: milliseconds after `t_spacecraft_s`, 0 if they are unknown.
        time_sigma_s: standard deviation of the sample's time; None if its source does not state it.
        mag_imu_ut: magnetic field.
        gyro_imu_rad_s: body rate.
        lux: illuminance of each sun sensor, in the order of the settings' normals.
        raw: the packet as received; empty if a reading of an own sensor began the sample.
        torquers_on: true if magnetorquers disturb the magnetic field.
        t_mono_ns: time of arrival by the computer's monotonic clock; None for packets of files.
        readings: what further sensors measured at that time, by the name of their measurement model.
    """

    kind: str
    t_spacecraft_s: int
    t_spacecraft_ms: int
    time_sigma_s: float | None
    mag_imu_ut: Vector3
    gyro_imu_rad_s: Vector3
    lux: tuple[float, ...]
    raw: bytes
    torquers_on: bool = False
    t_mono_ns: int | None = None
    readings: dict[str, tuple[float, ...]] = {}


class GnssFix(Packet, frozen=True):
    """Solution of a satellite navigation receiver of any make; position and velocity are in ITRF.

    Attributes:
        kind: form of `raw`, such as "sense_gps" or "range_gps" for the packets of the host's files, or family and
            packet of a receiver on a port of the computer.
        t_spacecraft_s: spacecraft time at which the host or the computer read the solution; None if that is unknown.
        gps_ms: time of the solution, milliseconds since 1980-01-06 in GPS time; None if the receiver does not know it.
        time_sigma_s: standard deviation of `gps_ms`; infinite if the receiver has not set its clock, None if the packet
            does not contain it.
        position_solution: "computed", or the maker's term for the reason why there is no position.
        position_sigma_m: standard deviations of `position_ecef_m`.
        velocity_solution: the same as `position_solution` for the velocity.
        velocity_sigma_mps: standard deviations of `velocity_ecef_mps`.
        velocity_latency_s: time from the epoch of the velocity to `gps_ms`.
        differential_age_s: age of the differential corrections; 0 without them.
        solution_age_s: age of the solution.
        satellites_tracked: number of satellites that are received.
        satellites_used: number of satellites in the solution.
        raw: the packet as received.
        satellite_id: radio id of the partner whose receiver made the fix, 0 for our own.
        t_spacecraft_ms: milliseconds after `t_spacecraft_s`.
    """

    kind: str
    t_spacecraft_s: int | None
    gps_ms: int | None
    time_sigma_s: float | None
    position_solution: str
    position_ecef_m: Vector3
    position_sigma_m: Vector3
    velocity_solution: str
    velocity_ecef_mps: Vector3
    velocity_sigma_mps: Vector3
    velocity_latency_s: float
    differential_age_s: float
    solution_age_s: float
    satellites_tracked: int
    satellites_used: int
    raw: bytes
    satellite_id: int = 0
    t_spacecraft_ms: int = 0

    @property
    def gps_ms_at_second(self) -> int | None:
        """GPS time at the spacecraft time `t_spacecraft_s`, ms; None if the receiver does not know the time."""
        return None if self.gps_ms is None else self.gps_ms - self.t_spacecraft_ms

    @property
    def is_own(self) -> bool:
        """True if the fix comes from our own receiver."""
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

    Messages of range files that appear or grow later follow it.
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

    Attributes:
        device: the sensor's name in the settings; `source` is "devices".
        packet: packet type, as the driver of the family names it.
        t_mono_ns: time of arrival by the computer's monotonic clock.
        t_wall_ns: time of arrival by the computer's wall clock.
        t_device_ns: time since the first reading by the device's own clock, unwrapped; None if it has no clock.
        lost_before: number of readings missing before this one, by the device's own counter; readings that the
            settings thin out are not counted.
        raw: the whole frame.
        values: decoded fields by name; a name ends in the unit. None means that the device reports no value; bytes are
            given as hexadecimal digits.
        flags: the driver's warnings about this reading.
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


class UploadedElements(Message, frozen=True):
    """Mean elements that were uploaded, or the reason why the file was refused.

    Attributes:
        elements: the elements; None if the file was refused.
        epoch_line: number of the line that holds the epoch.
        fault: line and reason if the file was refused, or empty.
    """

    name: str
    size_bytes: int
    modified_ns: int
    elements: MeanElements | None = None
    epoch_line: int = 0
    fault: str = ""


class OrbitEstimate(Estimate, frozen=True):
    """Orbit after one input, or its prediction to the present.

    Predictions are published but not journaled. Position and velocity are given in ITRF (ECEF) and in GCRF (ECI).

    Attributes:
        gps_ms: time of the orbit, milliseconds since 1980-01-06 in GPS time.
        fix_gps_ms: time of the newest accepted fix, or epoch of the mean elements, GPS milliseconds.
        position_sigma_m: standard deviations of `position_ecef_m`.
        velocity_sigma_mps: standard deviations of `velocity_ecef_mps`.
        cause: reason why this input's fix was rejected, or empty.
        nis: normalised innovation squared of the `nis_dof` measurements of this fix.
        nis_mean: mean of `nis` per degree of freedom over all `nis_count` fixes so far.
        spacecraft_to_gps_ms: GPS milliseconds minus 1000 times the spacecraft time in s; None while unknown.
        input_seq: number of the input; 0 for a prediction.
        from_elements: true if the orbit comes from uploaded mean elements, because there is none from fixes.
        manoeuvre: change of the motion that this fix confirms: `impulse`, `thrust_begin`, `thrust_end`, or empty.
        manoeuvre_gps_ms: time of the first fix after the change, in the same unit as `gps_ms`.
        delta_v_rtn_mps: velocity at this fix minus that without the change, along radial, transverse and normal.
        delta_v_sigma_rtn_mps: standard deviations of `delta_v_rtn_mps`.
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
    from_elements: bool = False
    manoeuvre: str = ""
    manoeuvre_gps_ms: int = 0
    delta_v_rtn_mps: Vector3 = (0.0, 0.0, 0.0)
    delta_v_sigma_rtn_mps: Vector3 = (0.0, 0.0, 0.0)


class OrbitWatermark(Estimate, frozen=True, tag="OrbitMark"):
    """Mark that the orbit task has processed an input and has no orbit at the time of the input (yet).

    The task responds to each of our own GPS packets and to the end of the batch. The last message of a response is
    either an estimate with the `input_seq` of the input, or a watermark with the input's number as `last_input_seq`.
    """


OrbitMessage: TypeAlias = OrbitEstimate | OrbitWatermark
"""All messages of the orbit journal."""


class AttitudeEstimate(Estimate, frozen=True):
    """Attitude after one sensor sample.

    While `mode` is searching, quaternion, gyro bias and `sigma_rad` are None. Faces are numbered 0 to 5 (+X, +Y, +Z,
    -X, -Y, -Z), gyro axes 0 to 2 (sensor axes).

    Attributes:
        gps_ms: time of the sample by the clock map; None if unknown.
        mode: searching, coarse or fine.
        quaternion_gcrf_from_body: attitude, Hamilton convention, scalar first.
        rate_body_rad_s: body rate, corrected by the known bias.
        mag_body_ut: measured field, corrected by the known bias.
        mag_bias_imu_ut: total bias of the magnetometer in sensor axes, including that of the settings; while searching,
            the newest known value or None.
        sigma_rad: standard deviations of the attitude about the body axes.
        orbit_age_s: time since the newest fix in the orbit used; None without an orbit.
        orbit_late: true if the orbit for the sample's time arrived too late; another run may then give other numbers.
        nis: normalised innovation squared of the `dof` measurements used.
        cause: reason why no measurement was used, or empty.
        found: true if a search found this attitude, so that it does not follow from the previous attitude.
        mag_calibration_sigma_ut: standard deviations of the bias by the calibration that needs no attitude; None until
            that calibration has succeeded.
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

    Positions and velocities are the partner's minus ours. RTN are the radial, transverse and normal axes of our orbit;
    velocities in RTN are relative to these rotating axes.

    Attributes:
        cause: reason why the partner's orbit is unknown, with None for the numbers; empty if it is known.
        covariance_rtn: covariance of position (m) and velocity (m/s) in RTN: lower triangle, row by row.
        range_residual_m: measured minus computed range from us to the partner at this time; None without a range.
        ambiguous: true if another orbit fits equally well.
        chi2_best: chi-square of the best orbit, with `dof` degrees of freedom.
        chi2_mirror: chi-square of the other orbit.
        mirror_rtn_m: relative position in the other orbit.
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

    The messages of a partner begin with the best orbit.

    Attributes:
        chi2: chi-square of the orbit.
        gps_ms: time of the minimum distance.
        distance_m: minimum distance.
        sigma_m: standard deviation of `distance_m`.
        least_m: minimum over the day of the distance minus three standard deviations; 0 if contact cannot be excluded.
        least_gps_ms: time at which `least_m` is first reached.
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
    SourceFile
    | BatchBegin
    | SensorSample
    | GnssFix
    | RangeMeasurement
    | BatchEnd
    | TimeMark
    | DeviceReading
    | UploadedElements
)
"""All messages of the input journal."""


def concerns_partner(message: Message) -> bool:
    """Return True for a range and for a fix of another satellite."""
    return isinstance(message, RangeMeasurement) or (isinstance(message, GnssFix) and not message.is_own)


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

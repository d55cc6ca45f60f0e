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
"""All values of `source` that do not name a file."""


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages: immutable, encoded as an array with the class name as tag."""

    seq: int


class Packet(Message, frozen=True):
    """Base of the packets and readings. `source` names their file or stream, `offset` is their position in it.

    In a file, `offset` counts the bytes of undamaged packets before this one; in a stream it is the packet's number.
    """

    source: str
    offset: int


class Estimate(Message, frozen=True):
    """Base of the estimates; `last_input_seq` is the number of the newest input when the estimate was made."""

    last_input_seq: int


class SourceFile(Message, frozen=True):
    """One input file and how many of its bytes were used: `size_bytes` = `delivered_bytes` + `damaged_bytes`.

    A file that appears or grows after the batch is reported again. A report counts `size_bytes` bytes from `from_byte`
    on and supersedes earlier reports on the same bytes.

    Attributes:
        damage: First damaged byte ranges (start, stop, reason); `damaged_ranges` counts all of them.
        fault: Reason why the file cannot be read, with all numbers 0; empty if it can be read.
        carried_bytes: Length of the beginning of a packet at the end of the file. The packet may continue in later
            data; until then these bytes count as damaged.
        unread_bytes: Damaged bytes that could not be read at all.
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
    unread_bytes: int = 0


class BatchBegin(Message, frozen=True):
    """End of the list of files of the batch, or of a group of files that arrived later; the files' packets follow."""

    sensors_per_record: int
    records_terminated: bool


class SensorSample(Packet, frozen=True):
    """Magnetic field, body rate and light at one time, from any sensors; vectors are in sensor axes.

    Attributes:
        kind: Form of `raw`: "sense_sensors" for the host's 30-byte packets; empty if `raw` is.
        t_spacecraft_s: Spacecraft time of the sample, whole seconds.
        t_spacecraft_ms: Milliseconds after `t_spacecraft_s`, 0 if they are unknown.
        time_sigma_s: Standard deviation of the sample's time; None if its source does not state it.
        mag_imu_ut: Magnetic field.
        gyro_imu_rad_s: Body rate.
        lux: Illuminance of each sun sensor, in the order of the settings' normals.
        raw: The packet as received; empty if a reading of an own sensor began the sample.
        torquers_on: True if magnetorquers disturb the magnetic field.
        t_mono_ns: Time of arrival by the computer's monotonic clock; None for packets of files.
        readings: Readings of further sensors at that time, by the name of their measurement model.
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
        kind: Form of `raw`, such as "sense_gps" or "range_gps" for the packets of the host's files, or family and
            packet of a receiver on a port of the computer.
        t_spacecraft_s: Spacecraft time at which the host or the computer read the solution; None if that is unknown.
        gps_ms: Time of the solution, milliseconds since 1980-01-06 in GPS time; None if the receiver does not know it.
        time_sigma_s: Standard deviation of `gps_ms`; infinite if the receiver has not set its clock, None if the packet
            does not contain it.
        position_solution: "computed", or the maker's term for the reason why there is no position.
        position_sigma_m: Standard deviations of `position_ecef_m`.
        velocity_solution: Solution kind of the velocity, as `position_solution`.
        velocity_sigma_mps: Standard deviations of `velocity_ecef_mps`.
        velocity_latency_s: Time from the epoch of the velocity to `gps_ms`, s.
        differential_age_s: Age of the differential corrections; 0 without them.
        solution_age_s: Age of the solution.
        satellites_tracked: Number of satellites that are received; -1 if the packet does not contain it.
        satellites_used: Number of satellites in the solution; -1 if the packet does not contain it.
        raw: The packet as received.
        satellite_id: Radio id of the partner whose receiver made the fix, 0 for our own.
        t_spacecraft_ms: Milliseconds after `t_spacecraft_s`.
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
        """GPS time at the whole second `t_spacecraft_s`, ms; None if the receiver does not know the time."""
        return None if self.gps_ms is None else self.gps_ms - self.t_spacecraft_ms

    def with_time(self, error_s: float) -> "GnssFix":
        """Return the fix with its time corrected by an error in s, stated minus true."""
        if self.gps_ms is None or not error_s:
            return self
        return msgspec.structs.replace(self, gps_ms=self.gps_ms - round(1000 * error_s))

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
    """End of the batch: its last input. `cause` is the reason why the batch ended early, or empty.

    Messages of range files that appear or grow later follow it.
    """

    cause: str


class TimeMark(Packet, frozen=True):
    """Spacecraft time reported by the host, in s and ms, and the computer's monotonic clock when it arrived, ns."""

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
        device: The sensor's name in the settings; `source` is "devices".
        packet: Packet type, as the driver of the family names it.
        t_mono_ns: Time of arrival by the computer's monotonic clock.
        t_wall_ns: Time of arrival by the computer's wall clock.
        t_device_ns: Time since the first reading by the device's own clock, unwrapped; None if it has no clock.
        lost_before: Number of readings missing before this one, by the device's own counter; readings dropped to
            reduce the rate, as the settings require, are not counted.
        raw: The whole frame.
        values: Decoded fields by name; a name ends in the unit. None means that the device reports no value; bytes are
            given as hexadecimal digits.
        flags: The driver's warnings about this reading.
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
        elements: The elements; None if the file was refused.
        epoch_line: Number of the line that contains the epoch, from 1.
        fault: Line and reason if the file was refused, or empty.
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
        gps_ms: Time of the orbit, milliseconds since 1980-01-06 in GPS time.
        fix_gps_ms: Time of the newest accepted fix, or epoch of the mean elements, GPS milliseconds.
        position_sigma_m: Standard deviations of `position_ecef_m`.
        velocity_sigma_mps: Standard deviations of `velocity_ecef_mps`.
        cause: Reason why this input's fix was rejected, or empty.
        nis: Normalised innovation squared of the `nis_dof` measurements of this fix.
        nis_mean: Mean of `nis` per degree of freedom over all `nis_count` fixes so far.
        spacecraft_to_gps_ms: GPS milliseconds minus 1000 times the spacecraft time in s; None while unknown.
        input_seq: Number of the input; 0 for a prediction.
        from_elements: True if the orbit comes from uploaded mean elements, because there is none from fixes.
        manoeuvre: Change of the motion that this fix confirms: `impulse`, `thrust_begin`, `thrust_end`, or empty.
        manoeuvre_gps_ms: Time of the first fix after the change, in the same unit as `gps_ms`.
        delta_v_rtn_mps: Velocity at this fix minus that without the change, along radial, transverse and normal.
        delta_v_sigma_rtn_mps: Standard deviations of `delta_v_rtn_mps`.
        time_error_s: Error of the stated time of the newest fix, if those of the first fixes are right; `gps_ms` is
            without this error.
        covariance_rtn: Covariance of position (m) and inertial velocity (m/s) along radial, transverse and normal:
            lower triangle, row by row; None for a prediction.
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
    time_error_s: float = 0.0
    covariance_rtn: tuple[float, ...] | None = None


class OrbitWatermark(Estimate, frozen=True, tag="OrbitMark"):
    """Message that the orbit task has processed an input, but has no orbit at the time of the input (yet).

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
        gps_ms: GPS time of the sample, derived from its spacecraft time; None if unknown.
        mode: "searching", "coarse" or "fine".
        quaternion_gcrf_from_body: Attitude, Hamilton convention, scalar first.
        rate_body_rad_s: Body rate, corrected by the known bias.
        mag_body_ut: Measured field, corrected by the known bias.
        mag_bias_imu_ut: Total bias of the magnetometer in sensor axes, including that of the settings; while searching,
            the newest known value or None.
        sigma_rad: Standard deviations of the attitude about the body axes.
        orbit_age_s: Time since the newest fix in the orbit used; None without an orbit.
        orbit_late: True if the orbit for the sample's time arrived too late; other runs may then give other results.
        nis: Normalised innovation squared of the `dof` measurements used.
        cause: Reason why no measurement was used, or empty.
        found: True if a search found this attitude, so that it does not follow from the previous attitude.
        mag_calibration_sigma_ut: Standard deviations of the bias by the calibration that needs no attitude; None until
            that calibration has succeeded.
        magnetometer_wiring: Verdict on the declared axes of the magnetometer: "unknown", "right", "wrong" or
            "not_observable".
        magnetometer_axes: Signed axes that fit its readings, such as "+y -x +z", with "?" for an axis that the motion
            does not determine; empty before the first data.
        gyro_wiring: Verdict on the declared axes of the gyro, as that of the magnetometer.
        gyro_axes: Signed axes that fit the readings of the gyro, as those of the magnetometer.
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
    magnetometer_wiring: str = "unknown"
    magnetometer_axes: str = ""
    gyro_wiring: str = "unknown"
    gyro_axes: str = ""


class FormationEstimate(Estimate, frozen=True):
    """State of one partner relative to us, at the time of a range or fix that concerns it.

    Positions and velocities are the partner's minus ours. RTN are the radial, transverse and normal axes of our orbit;
    velocities in RTN are relative to these rotating axes.

    Attributes:
        cause: Reason why the partner's orbit is unknown, with None for the numbers; empty if it is known.
        covariance_rtn: Covariance of position (m) and velocity (m/s) in RTN: lower triangle, row by row.
        range_residual_m: Measured minus computed range from us to the partner at this time; None without a range.
        ambiguous: True if another orbit fits equally well.
        chi2_best: Chi-square of the best orbit, with `dof` degrees of freedom.
        chi2_mirror: Chi-square of the other orbit.
        mirror_rtn_m: Relative position in the other orbit.
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
        chi2: Chi-square of the orbit.
        gps_ms: Time of the minimum distance.
        distance_m: Minimum distance.
        sigma_m: Standard deviation of `distance_m`.
        least_m: Minimum over the day of the distance minus three standard deviations; 0 if contact cannot be excluded.
        least_gps_ms: Time at which `least_m` is first reached.
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
    """Return True if the formation task needs a message: any range, or a fix of another satellite."""
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

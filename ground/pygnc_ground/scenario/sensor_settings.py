"""Settings of the controller's clock, the GPS receiver and the sensors, and the types of which all settings consist.

Angles are in degrees and illuminance in lux because people edit these files; each name ends with its unit.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
NonNegative = Annotated[float, msgspec.Meta(ge=0.0)]
Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Vector3 = tuple[float, float, float]
Matrix3 = tuple[Vector3, Vector3, Vector3]

SignedAxis = Literal[1, 2, 3, -1, -2, -3]
"""Axis x, y or z as a number, negative for the opposite direction."""
SignedAxes: TypeAlias = tuple[SignedAxis, SignedAxis, SignedAxis]

Drawn: TypeAlias = Literal["drawn"]
"""Draw each axis from the seed, uniformly between minus and plus the bound."""

FaceValues: TypeAlias = tuple[float, float, float, float, float, float]
"""Values for the faces +X, +Y, +Z, -X, -Y, -Z."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Table of the settings file."""


class SpacecraftClock(Section, frozen=True):
    """Settings of the main controller's clock, which starts at 2000-01-01 at boot and counts whole seconds."""

    boot_before_start_s: NonNegative = 5130.4
    """Time from the boot of the controller to the start."""
    drift_ppm: float = 0.0
    """Rate error; a positive drift runs fast."""
    jumps_s: tuple[tuple[NonNegative, Annotated[float, msgspec.Meta(ge=-9e8, le=3e9)]], ...] = ()
    """Clock steps as (seconds after the start, step in seconds); a negative step sets the clock back."""
    reboots_s: tuple[NonNegative, ...] = ()
    """Reboots in seconds after the start: the clock restarts at 2000-01-01 and earlier jumps have no effect any more.
    """
    jitter_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Maximum delay of late samples in whole seconds; must be less than `sample_interval_s`."""
    jitter_rate: Fraction = 0.02
    """Fraction of samples that are late; in the recorded data 3 of 165 were, by 2 and 3 s."""
    sub_second: Literal["none", "unknown", "declared"] = "none"
    """Instant of each sample. none: at the whole second. unknown: at any time within the following second, of which the
    packet contains the whole seconds of the clock only. declared: the same, with the milliseconds since the whole
    second in the packet's hall word.
    """


class RawGnss(Section, frozen=True):
    """Settings of raw measurements of the GPS receiver: codes and carrier phases of a simulated constellation.

    The antenna faces the zenith and is at the centre of mass. Noise of codes and phases follows from the
    carrier-to-noise density, which is 50 dB Hz at the zenith and 33 dB Hz at the horizon on L1, and 6 dB less on L2.
    """

    interval_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Interval between measurements; 0 writes none."""
    frequencies: Literal[1, 2] = 2
    """1: C/A code and L1 phase; 2: also P(Y) codes and the L2 phase."""
    elevation_mask_deg: Annotated[float, msgspec.Meta(ge=-20.0, lt=90.0)] = 5.0
    """Lowest elevation at which a satellite is tracked."""
    channels: Count = 12
    """Number of satellites tracked at a time; the highest are chosen."""
    ionosphere_tecu: NonNegative = 20.0
    """Vertical electron content of the whole ionosphere under the Sun; a fifth of it by night."""
    ionosphere_waves: Fraction = 0.0
    """Standard deviation of waves of the electron content, 150 to 1500 km long, relative to its mean."""
    antenna_pattern_m: NonNegative = 0.0
    """Standard deviation of each of six harmonics of the phase centre variations, drawn for each receiver."""
    multipath_m: NonNegative = 0.5
    """Standard deviation of the multipath of codes at the horizon; a hundredth of it on phases."""
    multipath_time_s: Positive = 60.0
    """Correlation time of the multipath."""
    signal_in_space_m: NonNegative = 0.6
    """RMS error of the broadcast orbits and clocks along the line of sight; it varies within hours."""
    clock_offset_s: float = 0.0
    """Receiver clock minus GPS time at the start."""
    clock_drift_ppm: float = 0.1
    """Constant part of the rate of the receiver clock."""
    clock_noise_m: NonNegative = 3.0
    """Standard deviation of the random walk of the receiver clock in a second, times the speed of light."""
    clock_jumps: bool = False
    """True: the receiver sets its clock by a millisecond whenever it is more than half a millisecond wrong."""
    slip_rate_per_h: NonNegative = 0.2
    """Mean number of cycle slips of a satellite in an hour, of 1 to 20 cycles on each frequency."""
    slip_flagged_fraction: Fraction = 0.9
    """Fraction of the slips that the receiver flags."""
    half_cycle_rate_per_h: NonNegative = 0.0
    """Mean number of flagged half-cycle errors of a satellite in an hour; each lasts 30 s."""


class Gps(Section, frozen=True):
    """Settings of the GPS receiver and of its position and velocity fixes; noise is per ECEF axis, 1 sigma.

    One receiver makes the fixes of the sense file and of the range files. Outages and coloured noise are common to both
    kinds of files, white noise and outliers are not.
    """

    position_noise_m: NonNegative = 10.0
    """Standard deviation of the white noise of the position."""
    velocity_noise_mps: NonNegative = 0.01
    """Standard deviation of the white noise of the velocity."""
    coloured_position_noise_m: NonNegative = 0.0
    """Standard deviation of a first-order Gauss-Markov process in addition to the white noise."""
    coloured_velocity_noise_mps: NonNegative = 0.0
    """Standard deviation of a Gauss-Markov process in addition to the white noise of the velocity."""
    coloured_noise_time_s: Positive = 600.0
    """Correlation time of the coloured noise."""
    position_bias_rtn_m: Vector3 = (0.0, 0.0, 0.0)
    """Constant error of the position along the radial, transverse and normal axes of the orbit."""
    velocity_bias_rtn_mps: Vector3 = (0.0, 0.0, 0.0)
    """Constant error of the velocity along the same axes."""
    ionosphere_m: NonNegative = 0.0
    """Radial error of the position by the delay in the ionosphere with the Sun at the zenith, upwards. It varies with
    the sine of the Sun's height above the satellite's horizon and is 0 below it. No reported standard deviation covers
    it. Order of magnitude: 1 to 10 m for single-frequency receivers in low orbit (Montenbruck & Gill, Ionospheric
    correction for GPS tracking of LEO satellites, J. Navigation 55, 2002); the course by day is nearly a half-cosine
    (Klobuchar, IEEE Trans. AES 23, 1987).
    """
    constellation_step_m: NonNegative = 0.0
    """RMS size of the steps of the position when the receiver uses other satellites. Between them, a further error has
    a random direction and a constant length, 0.71 of this. No reported standard deviation covers it. Order of
    magnitude: ranges by broadcast orbits and clocks are wrong by 0.7 m (Montenbruck, Steigenberger & Hauschild,
    Broadcast versus precise ephemerides, GPS Solutions 19, 2015), which the geometry and unequal delays in the
    ionosphere magnify.
    """
    constellation_change_s: tuple[Positive, Positive] = (180.0, 900.0)
    """Shortest and longest time between two changes of the satellites used. A GPS satellite is above the horizon of a
    low orbit for up to half an hour, so that one of 8 to 12 rises or sets every few minutes.
    """
    slow_velocity_error_mps: NonNegative = 0.0
    """Standard deviation of a further, slow error of the velocity alone. No reported standard deviation covers it."""
    slow_velocity_error_s: Positive = 600.0
    """Time between two independent values of this error."""
    slow_velocity_error_shape: Literal["steps", "drift"] = "steps"
    """Course of this error from one value to the next: constant with a step at the end, or linear."""
    time_tag_error_ms: Annotated[float, msgspec.Meta(ge=0.0, le=500.0)] = 0.0
    """Constant error of the time of the fixes, stated minus true; 1 ms is 7.6 m along the track of a low orbit."""
    time_tag_drift_ppm: NonNegative = 0.0
    """Rate error of a receiver clock that is not steered. The time error grows with it, and jumps back whenever it has
    changed by 1 ms; 0.5 ppm is 1 ms in 33 minutes.
    """
    time_steps_s: tuple[tuple[NonNegative, float], ...] = ()
    """Steps of the stated GPS time as (seconds after the start, step in s, to a millisecond); they add up. A step of
    -18 s states UTC instead of GPS time (18 leap seconds since 2017), 1 s is a leap second that is counted wrongly.
    """
    reported_errors: Literal["total", "white"] = "total"
    """Errors that the reported standard deviation covers: the root sum of squares of white and coloured noise, or the
    white noise only, as of a receiver that evaluates the scatter of its pseudoranges.
    """
    reported_sigma_factor: NonNegative = 1.0
    """Ratio of the reported standard deviation to that of `reported_errors`; 0 if the receiver reports none."""
    velocity_latency_s: Annotated[float, msgspec.Meta(ge=0.0, le=5.0)] = 0.15
    """Time from the validity of the velocity to the time of the fix."""
    time_status: Annotated[int, msgspec.Meta(ge=0, le=255)] = 180
    """Time status word with a fix; in the first minute after a cold start it is 160 instead."""

    cold_start_s: NonNegative = 0.0
    """Time after the start without a fix."""
    time_unknown_fraction: Fraction = 0.5
    """First part of the cold start in which the time is unknown too, as a fraction."""
    outages_s: tuple[tuple[NonNegative, Positive], ...] = ()
    """Outages without a fix, each as (seconds after the start, duration in seconds)."""
    outage_rate_per_h: Annotated[float, msgspec.Meta(ge=0.0, le=3600.0)] = 0.0
    """Rate of additional random outages."""
    outage_mean_s: Positive = 120.0
    """Mean duration of the random outages (exponential distribution)."""
    fix_every_records: Count = 1
    """The receiver is on during the first of every N records and has no fix during the others."""

    position_outlier_rate: Fraction = 0.0
    """Fraction of fixes with an error of `position_outlier_m` in a random direction."""
    position_outlier_m: NonNegative = 1000.0
    velocity_outlier_rate: Fraction = 0.0
    """Fraction of fixes with an error of `velocity_outlier_mps` in a random direction."""
    velocity_outlier_mps: NonNegative = 10.0
    velocity_missing_rate: Fraction = 0.0
    """Fraction of fixes without a velocity."""

    def __post_init__(self) -> None:
        shortest_s, longest_s = self.constellation_change_s
        if shortest_s > longest_s:
            raise ValueError("constellation_change_s: the first time must not be longer than the second")


class Imu(Section, frozen=True):
    """Settings of magnetometer and gyro, which are on one chip.

    All settings except the mounting are in sensor axes; noise is 1 sigma per axis.
    """

    imu_from_body: Matrix3 = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
    """Matrix from body to sensor components. The default is the map that the fleet's software inverts. Its determinant
    is -1 (a mirror), so it is a convention of that software and not a physical mounting.
    """
    mag_axes: SignedAxes = (1, 2, 3)
    """Wiring fault: axis that each axis of the magnetometer really measures; (2, -1, 3) is swapped and reversed."""
    gyro_axes: SignedAxes = (1, 2, 3)
    """Wiring fault: axis that each axis of the gyro really measures."""
    rounding: Literal["nearest", "floor"] = "nearest"
    """Quantisation to whole counts. The generator of the original PyGNC uses floor, which adds a bias of half a count:
    0.031 uT and 0.0076 deg/s.
    """

    field_error_gcrf_ut: Vector3 = (0.0, 0.0, 0.0)
    """Difference between the Earth's field and its model, constant in GCRF; part of the true field."""
    mag_bias_ut: Vector3 | Drawn = (20.0, 10.0, -25.0)
    """Bias without its thermal part, or `drawn`."""
    mag_bias_bound_ut: NonNegative = 40.0
    """Bound of a drawn bias."""
    mag_bias_thermal_ut: Vector3 = (0.0, 0.0, 0.0)
    """Part of the bias that follows the temperature, as an amplitude like that of the gyro. Order of magnitude: 0.2 uT
    per K, so that 8 K give 2 uT.
    """
    mag_noise_ut: NonNegative = 0.6
    mag_scale_error: Vector3 = (0.0, 0.0, 0.0)
    """Scale error per axis; 0.01 reads 1 % too high."""
    mag_nonorthogonality_deg: Vector3 = (0.0, 0.0, 0.0)
    """Tilt of the y axis towards x, of the z axis towards x, and of the z axis towards y."""
    panel_field_body_ut: Vector3 = (0.0, 0.0, 0.0)
    """Field of the currents of the solar panels in full sunlight, body axes; none in the umbra."""

    thermal_time_constant_s: Positive = 1560.0
    """Time constant of the temperature inside the satellite, which follows sunlight and attitude with a first-order
    lag. Order of magnitude: the interior of a CubeSat follows within tens of minutes.
    """

    gyro_bias_deg_s: Vector3 | Drawn = (-0.495, 0.051, 0.437)
    """Bias at the start without its thermal part, or `drawn`."""
    gyro_bias_bound_deg_s: NonNegative = 3.0
    """Bound of a drawn bias."""
    gyro_bias_stability_deg_h: NonNegative = 3.0
    """Random walk of the bias: 1 sigma after one hour, growing with the square root of time."""
    gyro_bias_thermal_deg_s: Vector3 = (0.0, 0.0, 0.0)
    """Part of the bias that follows the temperature: amplitude over a 500 km orbit with the longest shadow. A typical
    sensitivity is 0.05 deg/s per K (BMI160 data sheet), so that 0.05 and 0.4 deg/s are amplitudes of 1 and 8 K.
    """
    gyro_g_sensitivity_deg_s_per_g: NonNegative = 0.0
    """Change of the bias per specific force along each axis. Order of magnitude: 0.1 deg/s per g (MEMS gyros). In free
    fall only the rotation gives a force: 2e-4 g at 10 deg/s.
    """
    imu_place_body_m: Vector3 = (0.05, 0.0, 0.0)
    """Place of the chip relative to the centre of mass, body axes."""
    gyro_noise_deg_s: NonNegative = 0.025
    gyro_scale_error: Vector3 = (0.0, 0.0, 0.0)
    """Scale error per axis; 0.01 reads 1 % too high."""

    def __post_init__(self) -> None:
        for name in ("mag_axes", "gyro_axes"):
            if sorted(map(abs, getattr(self, name))) != [1, 2, 3]:
                raise ValueError(f"{name} must contain each of 1, 2 and 3 once, with any sign")


class Torquers(Section, frozen=True):
    """Magnetorquers: their field at the magnetometer has a constant, random direction in body axes for each minute."""

    field_ut: NonNegative = 0.0
    """Strength of their field while they are on."""
    duty: Fraction = 0.3
    """Fraction of minutes in which they are on."""
    decay_s: NonNegative = 0.0
    """Time constant with which the field decays after they are switched off. Order of magnitude: L/R of an air coil is
    below 0.01 s (the flight software of a CubeSat waits 20 ms before it measures: stanford-ssi/samwise-adcs-flight,
    magnetometer_task.h), eddy currents and the relaxation of a magnetised core take up to tens of seconds.
    """
    declared: bool = False
    """True if the hall word of each packet contains whether they are on; the decay is not declared."""


class Payload(Section, frozen=True):
    """Settings of a payload with a magnetic moment, on once in each period from a random time of it on."""

    field_body_ut: Vector3 = (0.0, 0.0, 0.0)
    """Field at the magnetometer while the payload is on, body axes. Order of magnitude: a moment of 0.01 A m2 at 9 cm
    gives 3 uT on its axis (field of a dipole, mu0 m / 2 pi r^3).
    """
    on_s: Positive = 900.0
    """Time for which it is on; the whole period at most."""
    period_s: Positive = 5676.0
    """Period; the default is an orbit at 500 km."""


class Storm(Section, frozen=True):
    """Settings of the magnetic field of currents in the ionosphere and above it; part of the true field."""

    field_ut: NonNegative = 0.0
    """Standard deviation of each component in the auroral ovals; a fifth of it elsewhere. Order of magnitude: 0.1 to
    1 uT in low orbit during storms (on auroral currents: Kivelson & Russell, Introduction to Space Physics, 1995).
    """
    time_s: Annotated[float, msgspec.Meta(ge=10.0)] = 240.0
    """Correlation time; the ovals themselves are crossed in about five minutes."""


class StarTracker(Section, frozen=True):
    """Star tracker. No file of the interface holds its readings: only campaigns fly with it.

    The boresight is the sensor's z axis; errors are about sensor axes, noise is 1 sigma.
    """

    fitted: bool = False
    """True if the satellite has a star tracker."""
    sensor_from_body: Matrix3 = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    """Rotation from body to sensor axes."""
    across_noise_arcsec: NonNegative = 15.0
    """Noise about the axes across the boresight."""
    boresight_noise_arcsec: NonNegative = 90.0
    """Noise about the boresight."""
    misalignment_arcsec: Vector3 = (10.0, -10.0, 30.0)
    """Constant error of the mounting, unknown to the flight software."""
    sun_exclusion_deg: NonNegative = 40.0
    """No reading with the Sun within this angle of the boresight."""
    rate_max_deg_s: NonNegative = 2.0
    """No reading at faster body rates."""
    lost_fraction: Fraction = 0.05
    """Fraction of readings that are missing for other reasons."""


class FineSunSensor(Section, frozen=True):
    """Fine Sun sensor, which measures the direction to the Sun. As with the star tracker, only campaigns fly with it.

    The boresight is the sensor's z axis; noise is 1 sigma about each axis across the direction.
    """

    fitted: bool = False
    """True if the satellite has a fine Sun sensor."""
    sensor_from_body: Matrix3 = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    """Rotation from body to sensor axes."""
    noise_deg: NonNegative = 0.1
    """Noise of the direction."""
    misalignment_deg: Vector3 = (0.1, -0.1, 0.1)
    """Constant error of the mounting, unknown to the flight software."""
    distortion: float = 0.003
    """Relative error of the angle between boresight and Sun."""
    field_of_view_deg: NonNegative = 60.0
    """No reading with the Sun farther than this from the boresight."""


class SunSensors(Section, frozen=True):
    """Settings of the sun sensors: one OPT3001 on each face."""

    full_sun_lux: NonNegative = 133_378.0
    """Illuminance at normal incidence and 1 au: 1361 W/m2 at 98 lm/W."""
    faces: tuple[SignedAxis, SignedAxis, SignedAxis, SignedAxis, SignedAxis, SignedAxis] = (1, 2, 3, -1, -2, -3)
    """Wiring fault: direction in which each of the sensors +X, +Y, +Z, -X, -Y, -Z really looks."""
    earth_reflectivity: Fraction = 0.3
    """Mean reflectivity of the sunlit Earth; 0 disables the albedo."""
    earth_reflectivity_variation: Fraction = 0.0
    """Largest deviation of the reflectivity by clouds, as a fraction of its mean; it varies over a few thousand km and
    some hours. A mean of 0.35 with 0.71 gives 0.1 to 0.6, the range of Bhanderi & Bak (AIAA 2005-6465).
    """
    gain_errors: FaceValues = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    """Gain error of each face; 0.01 reads 1 % too high."""
    atmosphere_optical_depth: NonNegative = 0.0
    """Optical depth of the clear atmosphere towards the zenith, which dims the Sun above the horizon for sensors and
    panels before the Earth hides it; about 0.1 at 550 nm by scattering of molecules, 0.3 with ozone and haze (Liou, An
    Introduction to Atmospheric Radiation, chapter 3).
    """
    gain_thermal: float = 0.0
    """Relative change of each gain when its face warms from darkness to full sunlight. The OPT3001 drifts by 0.01 % per
    K (data sheet SBOS681), that is 0.006 over 60 K; a filter or window in front of it drifts more.
    """
    face_time_constant_s: Positive = 400.0
    """Time constant of a face's temperature. Order of magnitude: a circuit board of 3 kg/m2 and 900 J/(kg K) that
    loses 7 W/(m2 K) by radiation on one side and conduction.
    """
    contamination_per_h: FaceValues = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    """Fraction of its response that each face loses per hour of full sunlight: the Sun fixes outgassed films (Tribble,
    Fundamentals of Contamination Control, 2000). Order of magnitude: percents within the first days.
    """
    cosine_error: Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)] = 0.0
    """Deviation from the cosine law: at the angle of incidence a, readings of sunlight are lower by this times the
    square of sin a.
    """
    noise_fraction: NonNegative = 0.01
    """Noise as a fraction of full sunlight, 1 sigma, on lit and dark faces alike; no reading is negative. It decreases
    with the sunlight in the Earth's shadow, where the noise of the sensor itself is below one count.
    """

"""Generation of the input files and true states of a scenario, on a propagated orbit or along an ephemeris."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from pygnc.common.clock import SPACECRAFT_RESTART_S, utc_iso_from_gps_ms
from pygnc.common.constants import batch_sensor_gps_packet_num_sensor_packets as samples_per_record
from pygnc.formats.sense import SensorSamples, encode_records, hall_words
from pygnc_ground.scenario import environment, imu, ranging, sun_sensors, temperature
from pygnc_ground.scenario.attitude import attitude_states, to_body
from pygnc_ground.scenario.clouds import Clouds
from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.faults import InjectedFaults, inject
from pygnc_ground.scenario.formation import Link, Satellite, links, satellites
from pygnc_ground.scenario.gps import CommonNoise, make_fixes
from pygnc_ground.scenario.imu import gyro_bias_rad_s, mag_bias_ut
from pygnc_ground.scenario.ranging import TrueRanges
from pygnc_ground.scenario.raw_gnss import RawFiles, raw_files
from pygnc_ground.scenario.sensor_settings import SpacecraftClock
from pygnc_ground.scenario.settings import Damage, Settings, Tables, noise_generator, settings_from_tables
from pygnc_ground.scenario.storm import storm_field_gcrf_ut
from pygnc_ground.scenario.trajectory import EphemerisTrajectory, SatellitePath
from pygnc_ground.truth.ephemeris import Ephemeris


@dataclass(frozen=True, slots=True, eq=False)
class TrueStates:
    """True states at n times; vectors have the shape (n, 3)."""

    gps_ms: npt.NDArray[np.int64]
    position_ecef_m: FloatArray
    """Position in ITRF."""
    velocity_ecef_mps: FloatArray
    """Velocity relative to the rotating Earth in ITRF."""
    position_gcrf_m: FloatArray
    velocity_gcrf_mps: FloatArray
    quaternion_gcrf_from_body: FloatArray
    """Attitude, scalar first, shape (n, 4)."""
    rate_body_rad_s: FloatArray
    """Body rate relative to GCRF in body axes."""
    field_body_ut: FloatArray
    """Magnetic field of the Earth in body axes, including its difference from the model."""
    sun_body_m: FloatArray
    """Vector from the satellite to the Sun in m, body axes."""
    sunlit_fraction: FloatArray
    """Visible fraction of the Sun's disc, dimmed by the air, shape (n,); 0 in the umbra."""
    gyro_bias_imu_rad_s: FloatArray
    """Gyro reading minus scaled rate in sensor axes, without noise and quantisation."""
    mag_bias_imu_ut: FloatArray
    """Magnetometer reading minus scaled field in sensor axes, without noise and quantisation."""

    @classmethod
    def at(cls, settings: Settings, trajectory: SatellitePath, t_s: FloatArray) -> Self:
        """Return the true states `t_s` seconds after the start, on whole milliseconds, shape (n,)."""
        conditions = trajectory.conditions(t_s)
        gcrf, ecef, sun_gcrf_m = conditions.states_gcrf, conditions.states_itrf, conditions.sun_gcrf_m
        air = environment.air_transmission(gcrf[:, :3], sun_gcrf_m, settings.sun_sensors.atmosphere_optical_depth)
        conditions = conditions._replace(sunlit_fraction=conditions.sunlit_fraction * air)
        attitude = attitude_states(settings.attitude, trajectory, settings.start_gps_ms, t_s)
        quaternion = attitude.quaternion_gcrf_from_body
        storm_ut = storm_field_gcrf_ut(settings.storm, conditions, settings.seed)
        field_gcrf_ut = conditions.field_gcrf_ut + settings.imu.field_error_gcrf_ut + storm_ut
        sun_body_m = to_body(quaternion, sun_gcrf_m - gcrf[:, :3])
        warmth = temperature.interior(conditions, sun_body_m, settings.imu.thermal_time_constant_s)
        change_rad_s = imu.gyro_bias_change_rad_s(settings.imu, warmth, attitude.rate_body_rad_s)
        change_ut = np.outer(warmth, settings.imu.mag_bias_thermal_ut)
        return cls(
            gps_ms=settings.start_gps_ms + np.rint(1000.0 * t_s).astype(np.int64),
            position_ecef_m=ecef[:, :3],
            velocity_ecef_mps=ecef[:, 3:],
            position_gcrf_m=gcrf[:, :3],
            velocity_gcrf_mps=gcrf[:, 3:],
            quaternion_gcrf_from_body=quaternion,
            rate_body_rad_s=attitude.rate_body_rad_s,
            field_body_ut=to_body(quaternion, field_gcrf_ut),
            sun_body_m=sun_body_m,
            sunlit_fraction=conditions.sunlit_fraction,
            gyro_bias_imu_rad_s=gyro_bias_rad_s(settings.imu, conditions, settings.seed) + change_rad_s,
            mag_bias_imu_ut=mag_bias_ut(settings.imu, conditions, settings.seed) + change_ut,
        )

    @property
    def position_body_m(self) -> FloatArray:
        """Geocentric position in body axes, shape (n, 3)."""
        return to_body(self.quaternion_gcrf_from_body, self.position_gcrf_m)

    @property
    def itrf_from_body(self) -> FloatArray:
        """Rotation matrices from body axes to ITRF, shape (n, 3, 3)."""
        instants = environment.epochs(int(self.gps_ms[0]), (self.gps_ms - self.gps_ms[0]) / 1000.0)
        gcrf_from_body = Rotation.from_quat(self.quaternion_gcrf_from_body, scalar_first=True).as_matrix()
        return np.asarray(environment.itrf_from_gcrf(instants) @ gcrf_from_body)


def clock_readings_s(clock: SpacecraftClock, t_s: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the spacecraft clock's whole seconds at `t_s` true seconds after the start, in the shape of `t_s`."""
    true_s = np.asarray(t_s, dtype=np.float64)
    boots_s = np.array([-clock.boot_before_start_s, *sorted(clock.reboots_s)])
    boot_s = boots_s[np.searchsorted(boots_s, true_s, side="right") - 1]
    since_boot_s = (true_s - boot_s) * (1.0 + 1e-6 * clock.drift_ppm)
    for at_s, by_s in clock.jumps_s:
        since_boot_s = since_boot_s + np.where((true_s >= at_s) & (boot_s <= at_s), by_s, 0.0)
    readings: npt.NDArray[np.int64] = SPACECRAFT_RESTART_S + np.floor(since_boot_s).astype(np.int64)
    return readings


def sample_delays_s(clock: SpacecraftClock, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the delay in whole seconds of each of `count` samples, shape (count,)."""
    if clock.jitter_s == 0:
        return np.zeros(count, np.int64)
    is_late = noise_generator(seed, "late samples").random(count) < clock.jitter_rate
    delay_s = noise_generator(seed, "lateness").integers(1, clock.jitter_s, count, endpoint=True)
    return np.where(is_late, delay_s, 0)


def sub_seconds_ms(clock: SpacecraftClock, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the time of each of `count` samples after its whole second in ms, shape (count,)."""
    if clock.sub_second == "none":
        return np.zeros(count, np.int64)
    return noise_generator(seed, "sub-second times").integers(0, 1000, count)


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """Files of one satellite and the true states that they follow from."""

    satellite_id: int
    sense: bytes
    """All sense records."""
    truth: TrueStates
    """True states at every sample of the sense records."""
    ranges: bytes
    """All packets of the range files as one stream; empty without partners."""
    true_ranges: TrueRanges | None
    """True values of the range packets; None without partners."""
    faults: dict[str, InjectedFaults]
    """Injected faults of `sense` and `ranges`, without files for which the settings demand no damage."""
    raw: RawFiles | None = None
    """Raw measurements of the GPS receiver; None if the settings demand none."""


SensorModel: TypeAlias = Callable[[TrueStates, SensorSamples], SensorSamples]
"""Model of sensors: it takes the true states at the n samples of a satellite and its simulated readings, and returns
the readings to write. Readings have the shape (r, 5, ...), with r records of five samples each: n is 5 r.
"""


def generate(settings: Settings, sensor_model: SensorModel | None = None) -> Scenario:
    """Generate the scenario of one satellite in about 0.3 s per hour of flight, and 0.15 s more per partner.

    Raises:
        ValueError: The scenario is shorter than one record, the Earth orientation is unknown at its time, or a value
            does not fit the file format.
    """
    require_generable(settings)
    everyone = satellites(settings)
    return scenario_of(settings, everyone[0], everyone, sensor_model)


def generate_all(settings: Settings, sensor_model: SensorModel | None = None) -> tuple[Scenario, ...]:
    """Generate the files of all satellites; the main satellite is first.

    Raises:
        ValueError: The scenario is shorter than one record, the Earth orientation is unknown at its time, or a value
            does not fit the file format.
    """
    require_generable(settings)
    everyone = satellites(settings)
    return tuple(scenario_of(settings, satellite, everyone, sensor_model) for satellite in everyone)


def require_generable(settings: Settings) -> None:
    """Check that a scenario has at least one record at a time at which the Earth orientation is known.

    Raises:
        ValueError: It does not.
    """
    if settings.duration_s < settings.record_s:
        raise ValueError(
            f"duration_s = {settings.duration_s} is shorter than one record of {settings.record_s} s; make it longer"
        )
    environment.require_coverage(settings.start_gps_ms, settings.start_gps_ms + 1000 * settings.duration_s)


def scenario_of(
    settings: Settings,
    satellite: Satellite,
    everyone: tuple[Satellite, ...],
    sensor_model: SensorModel | None = None,
) -> Scenario:
    """Generate the files of one satellite.

    Raises:
        ValueError: A value does not fit the file format.
    """
    own = satellite.settings
    count = own.duration_s // own.record_s * samples_per_record
    second_s = own.sample_interval_s * np.arange(count) + sample_delays_s(own.clock, count, own.seed)
    milliseconds = sub_seconds_ms(own.clock, count, own.seed)
    truth = TrueStates.at(own, satellite.path, second_s + 1e-3 * milliseconds)
    common = _common_noise(settings)
    packets, true_ranges = _ranges(satellite, links(settings, satellite, everyone), common)
    shape = (-1, samples_per_record)
    times = second_s.reshape(shape), milliseconds.reshape(shape)
    sense = _sense(own, satellite.path, truth, *times, common=common, sensor_model=sensor_model)
    streams, faults = {}, {}
    for file, records, damage in (("sense", sense, settings.faults.sense), ("ranges", packets, settings.faults.ranges)):
        streams[file], injected = inject(records, damage, seed=own.seed, file=file)
        if damage != Damage():
            faults[file] = injected
    raw = raw_files(own, satellite.path, settings.seed)
    return Scenario(satellite.id, streams["sense"], truth, streams["ranges"], true_ranges, faults, raw)


def ranges_of(settings: Settings, satellite: Satellite, everyone: tuple[Satellite, ...]) -> bytes:
    """Generate only the packets of one satellite's range files, equal to those of its `Scenario`."""
    packets, _ = _ranges(satellite, links(settings, satellite, everyone), _common_noise(settings))
    return inject(packets, settings.faults.ranges, seed=satellite.settings.seed, file="ranges")[0]


def _common_noise(settings: Settings) -> CommonNoise:
    return CommonNoise(settings.formation.common_coloured_fraction, settings.seed)


_HALL_RAW = 26_400
"""Typical of recorded data; the temperature is not modelled."""


def _sense(
    settings: Settings,
    own: SatellitePath,
    truth: TrueStates,
    second_s: npt.NDArray[np.int64],
    milliseconds: npt.NDArray[np.int64],
    *,
    common: CommonNoise,
    sensor_model: SensorModel | None,
) -> list[bytes]:
    """Return the sense records; the fix of each record is taken at the whole second of its last sample."""
    seed, shape, clock = settings.seed, second_s.shape, settings.clock
    t_s = second_s + 1e-3 * milliseconds
    fix_spacecraft_s = clock_readings_s(clock, second_s[:, -1])
    # Declared milliseconds count from the reading at the whole second, which is the time scale of the fixes.
    t_spacecraft_s = clock_readings_s(clock, second_s if clock.sub_second == "declared" else t_s)
    own_field_ut = imu.satellite_field_body_ut(
        settings.imu, settings.torquers, t_s.ravel(), truth.sunlit_fraction, seed
    ) + imu.payload_field_body_ut(settings.payload, t_s.ravel(), seed)
    mag_ut = imu.magnetometer_ut(settings.imu, truth.field_body_ut + own_field_ut, truth.mag_bias_imu_ut, seed)
    gyro_rad_s = imu.gyro_rad_s(settings.imu, truth.rate_body_rad_s, truth.gyro_bias_imu_rad_s, seed)
    clouds = None
    if settings.sun_sensors.earth_reflectivity_variation > 0.0:
        clouds = Clouds.over(settings.sun_sensors, t_s.ravel(), truth.itrf_from_body, seed)
    faces, sun_m, sunlit = settings.sun_sensors, truth.sun_body_m, truth.sunlit_fraction
    response = sun_sensors.face_response(faces, t_s.ravel(), sun_m, sunlit)
    lux = sun_sensors.face_lux(faces, sun_m, truth.position_body_m, sunlit, seed, response=response, clouds=clouds)
    hall_raw = np.full(shape, _HALL_RAW)
    if clock.sub_second == "declared" or settings.torquers.declared:
        shown_ms = milliseconds if clock.sub_second == "declared" else np.zeros(shape, np.int64)
        shown = settings.torquers.declared & imu.torquers_on(settings.torquers, t_s.ravel(), seed)
        hall_raw = hall_words(shown_ms, shown.reshape(shape))
    samples = SensorSamples(
        t_spacecraft_s=t_spacecraft_s,
        mag_imu_ut=mag_ut.reshape(*shape, 3),
        hall_raw=hall_raw,
        gyro_imu_rad_s=gyro_rad_s.reshape(*shape, 3),
        lux=lux.reshape(*shape, 6),
    )
    if sensor_model is not None:
        samples = sensor_model(truth, samples)
    fixes = make_fixes(settings, own, second_s[:, -1], "sense", common)
    records = encode_records(samples, replace(fixes, t_spacecraft_s=fix_spacecraft_s))
    return [record.tobytes() for record in records]


def _ranges(
    satellite: Satellite, partners: Sequence[Link], common: CommonNoise
) -> tuple[list[bytes], TrueRanges | None]:
    """Return the range packets; each fix is taken at the time of the ranges that follow it."""
    if not partners:
        return [], None
    settings, radio = satellite.settings, satellite.settings.ranging
    t_s = np.arange(radio.interval_s, settings.duration_s + 1, radio.interval_s)
    made = ranging.exchanges(radio, satellite.path, partners, t_s, settings.seed)
    t_spacecraft_s = clock_readings_s(settings.clock, t_s)
    measured = ranging.measured_ranges(radio, partners, made, t_spacecraft_s, settings.seed)
    fixes = make_fixes(settings, satellite.path, t_s, "range", common)
    truth = ranging.true_ranges(partners, made, settings.start_gps_ms + 1000 * t_s)
    return ranging.range_packets(fixes, measured, made), truth


def settings_along(tables: Tables, source: str, ephemeris: Ephemeris) -> Settings:
    """Return the settings of a scenario along an ephemeris.

    Args:
        tables: Settings as read from TOML. A missing start or duration is taken from the ephemeris. Orbit, spacecraft
            and forces have no effect.
        source: Name of the settings' origin for error messages.
        ephemeris: The trajectory.

    Raises:
        ValueError: A setting is unknown, of the wrong type or out of range, there are partners or manoeuvres, or the
            ephemeris does not cover the scenario.
    """
    first_gps_ms, last_gps_ms = ephemeris.span_gps_ms
    # Whole seconds of GPS time and of UTC coincide.
    own_span: Tables = {"start_utc": utc_iso_from_gps_ms(-(-first_gps_ms // 1000) * 1000)}
    start = settings_from_tables(own_span | tables, source).start_gps_ms
    own_span |= {"duration_s": max((last_gps_ms - start) // 1000, 1)}
    settings = settings_from_tables(own_span | tables, source)
    if settings.partners:
        raise ValueError(f"{source}: an ephemeris describes one satellite only; remove the partners from the settings")
    if settings.impulses or settings.thrusts:
        raise ValueError(f"{source}: manoeuvres do not change an ephemeris; remove impulses and thrusts")
    if start < first_gps_ms or start + 1000 * settings.duration_s > last_gps_ms:
        begin, end = (utc_iso_from_gps_ms(gps_ms) for gps_ms in (first_gps_ms, last_gps_ms))
        raise ValueError(
            f"{source}: the ephemeris covers {begin} to {end}, not the {settings.duration_s} s from"
            f" {settings.start_utc}; change begin or duration"
        )
    return settings


def generate_along(settings: Settings, ephemeris: Ephemeris, sensor_model: SensorModel | None = None) -> Scenario:
    """Generate a scenario of one satellite that moves along an ephemeris.

    Raises:
        ValueError: The scenario is shorter than one record, the Earth orientation is unknown at its time, the ephemeris
            has a gap, or a value does not fit the file format.
    """
    require_generable(settings)
    path = EphemerisTrajectory(ephemeris, settings.start_gps_ms)
    satellite = Satellite(settings.formation.own_id, settings, path, None)
    return scenario_of(settings, satellite, (satellite,), sensor_model)

"""Generation of a scenario from its settings: the flight's input files as bytes, and the true states."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pygnc.common.clock import SPACECRAFT_RESTART_S
from pygnc.common.constants import batch_sensor_gps_packet_num_sensor_packets as samples_per_record
from pygnc.formats.sense import SensorSamples, encode_records
from pygnc_ground.scenario import earth, imu, ranging, sun_sensors
from pygnc_ground.scenario.faults import InjectedFaults, inject
from pygnc_ground.scenario.formation import Link, Satellite, links, satellites
from pygnc_ground.scenario.gps import make_fixes
from pygnc_ground.scenario.ranging import TrueRanges
from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.settings import Damage, Settings, SpacecraftClock
from pygnc_ground.scenario.trajectory import SatellitePath
from pygnc_ground.scenario.true_states import TrueStates


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


HALL_RAW = 26_400
"""Hall resistance word, typical of recorded data; the magnetometer's temperature is not modelled."""


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """Files of one satellite and the true states they were made from."""

    satellite_id: int
    sense: bytes
    """All sense records"""
    truth: TrueStates
    """True states at every sample of the sense records"""
    ranges: bytes
    """All packets of the range files as one stream; empty without partners"""
    true_ranges: TrueRanges | None
    """None without partners"""
    faults: dict[str, InjectedFaults]
    """Injected faults of `sense` and `ranges`; files for which the settings demand no damage are missing"""


def generate(settings: Settings) -> Scenario:
    """Generate the scenario of one satellite in about 0.3 s per hour of flight, and 0.15 s more per partner.

    Raises:
        ValueError: The scenario is shorter than one record, the Earth orientation is unknown at its time, or a value
            does not fit the file format.
    """
    everyone = _checked_satellites(settings)
    return scenario_of(settings, everyone[0], everyone)


def generate_all(settings: Settings) -> tuple[Scenario, ...]:
    """Generate the files of all satellites; the main satellite is first.

    Raises:
        ValueError: As `generate`.
    """
    everyone = _checked_satellites(settings)
    return tuple(scenario_of(settings, satellite, everyone) for satellite in everyone)


def _checked_satellites(settings: Settings) -> tuple[Satellite, ...]:
    if settings.duration_s < settings.record_s:
        raise ValueError(
            f"duration_s = {settings.duration_s} is shorter than one record of {settings.record_s} s; make it longer"
        )
    earth.require_coverage(settings.start_gps_ms, settings.start_gps_ms + 1000 * settings.duration_s)
    return satellites(settings)


def scenario_of(settings: Settings, satellite: Satellite, everyone: tuple[Satellite, ...]) -> Scenario:
    """Generate the files of one satellite.

    Raises:
        ValueError: A value does not fit the file format.
    """
    samples_t_s = _sample_times(satellite.settings)
    truth = TrueStates.at(satellite.settings, satellite.path, samples_t_s.ravel())
    packets, true_ranges = _ranges(satellite, links(settings, satellite, everyone))
    files = {
        "sense": (_sense(satellite.settings, satellite.path, truth, samples_t_s), settings.faults.sense),
        "ranges": (packets, settings.faults.ranges),
    }
    faults = {
        file: inject(records, damage, seed=satellite.settings.seed, file=file)
        for file, (records, damage) in files.items()
        if damage != Damage()
    }
    whole = {file: b"".join(records) for file, (records, _) in files.items()}
    damaged = {file: stream for file, (stream, _) in faults.items()}
    return Scenario(
        satellite_id=satellite.id,
        **(whole | damaged),
        truth=truth,
        true_ranges=true_ranges,
        faults={file: done for file, (_, done) in faults.items()},
    )


def _sample_times(settings: Settings) -> npt.NDArray[np.int64]:
    """Return the sample times in whole seconds after the start, shape (records, samples per record)."""
    count = settings.duration_s // settings.record_s * samples_per_record
    turns_s = settings.sample_interval_s * np.arange(count)
    t_s = turns_s + sample_delays_s(settings.clock, count, settings.seed)
    return t_s.reshape(-1, samples_per_record)


def _sense(
    settings: Settings, own: SatellitePath, truth: TrueStates, samples_t_s: npt.NDArray[np.int64]
) -> list[bytes]:
    """Return the sense records; the fix of each record is taken with its last sample."""
    seed, shape = settings.seed, samples_t_s.shape
    t_spacecraft_s = clock_readings_s(settings.clock, samples_t_s)
    mag_ut = imu.magnetometer_ut(settings.imu, truth.field_body_ut, truth.mag_bias_imu_ut, seed)
    gyro_rad_s = imu.gyro_rad_s(settings.imu, truth.rate_body_rad_s, truth.gyro_bias_imu_rad_s, seed)
    lux = sun_sensors.face_lux(
        settings.sun_sensors, truth.sun_body_m, truth.position_body_m, truth.sunlit_fraction, seed
    )
    samples = SensorSamples(
        t_spacecraft_s=t_spacecraft_s,
        mag_imu_ut=mag_ut.reshape(*shape, 3),
        hall_raw=np.full(shape, HALL_RAW),
        gyro_imu_rad_s=gyro_rad_s.reshape(*shape, 3),
        lux=lux.reshape(*shape, 6),
    )
    fixes = make_fixes(settings, own, samples_t_s[:, -1], log="sense")
    records = encode_records(samples, replace(fixes, t_spacecraft_s=t_spacecraft_s[:, -1]))
    return [record.tobytes() for record in records]


def _ranges(satellite: Satellite, partners: Sequence[Link]) -> tuple[list[bytes], TrueRanges | None]:
    """Return the range packets; each fix is taken at the time of the ranges that follow it."""
    if not partners:
        return [], None
    settings, radio = satellite.settings, satellite.settings.ranging
    t_s = np.arange(radio.interval_s, settings.duration_s + 1, radio.interval_s)
    made = ranging.exchanges(radio, satellite.path, partners, t_s, settings.seed)
    t_spacecraft_s = clock_readings_s(settings.clock, t_s)
    measured = ranging.measured_ranges(radio, partners, made, t_spacecraft_s, settings.seed)
    fixes = make_fixes(settings, satellite.path, t_s, log="range")
    truth = ranging.true_ranges(partners, made, settings.start_gps_ms + 1000 * t_s)
    return ranging.range_packets(fixes, measured, made), truth

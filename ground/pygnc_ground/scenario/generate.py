"""A scenario from its settings: the bytes of the flight's input files, and what was true."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pygnc.common.constants import batch_sensor_gps_packet_num_sensor_packets as samples_per_record
from pygnc.formats.sense import SensorSamples, encode_records
from pygnc_ground.scenario import earth, imu, ranging, spacecraft_clock, sun_sensors
from pygnc_ground.scenario.gps import make_fixes
from pygnc_ground.scenario.settings import Settings
from pygnc_ground.scenario.true_states import TrueStates
from pygnc_ground.scenario.truth import Trajectory, initial_state_gcrf, partner_state_gcrf

HALL_RAW = 26_400
"""Hall resistance word, in the middle of what the fleet recorded; the magnetometer's temperature is not modelled."""


@dataclass(frozen=True, slots=True, eq=False)
class TrueRanges:
    """True distances at n times to p partners."""

    gps_ms: npt.NDArray[np.int64]
    """(n,)"""
    partner_id: npt.NDArray[np.int64]
    """(p,)"""
    distance_m: npt.NDArray[np.float64]
    """(n, p)"""


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """What the satellite would have handed over, and what was true."""

    settings: Settings
    sense: bytes
    """All sense records"""
    truth: TrueStates
    """At every sample of the sense records"""
    ranges: bytes
    """All packets of the range files, before they are cut into files; empty without partners"""
    true_ranges: TrueRanges | None
    """None without partners"""


def generate(settings: Settings) -> Scenario:
    """Make a scenario. An hour takes about 0.5 s, and 0.3 s more for every partner.

    Raises:
        ValueError: The scenario is too short for one record, or the Earth's orientation is not known for its time.
    """
    samples_t_s = _sample_times(settings)
    earth.require_known(settings.start_gps_ms, settings.start_gps_ms + 1000 * settings.duration_s)
    own = _trajectory(settings, initial_state_gcrf(settings.orbit))
    truth = TrueStates.at(settings, own, samples_t_s.ravel())
    ranges, true_ranges = _ranges(settings, own)
    return Scenario(settings, _sense(settings, own, truth, samples_t_s), truth, ranges, true_ranges)


def _sample_times(settings: Settings) -> npt.NDArray[np.int64]:
    """Whole seconds after the start, shape (records, samples per record)."""
    record_s = samples_per_record * settings.sample_interval_s
    records = settings.duration_s // record_s
    if records == 0:
        raise ValueError(f"duration_s = {settings.duration_s} is too short for one record of {record_s} s")
    return settings.sample_interval_s * np.arange(records * samples_per_record).reshape(records, samples_per_record)


def _trajectory(settings: Settings, state_gcrf: npt.NDArray[np.float64]) -> Trajectory:
    return Trajectory(settings.start_gps_ms, settings.duration_s, state_gcrf, settings.spacecraft, settings.forces)


def _sense(settings: Settings, own: Trajectory, truth: TrueStates, samples_t_s: npt.NDArray[np.int64]) -> bytes:
    """The sense file; each record's fix is taken with its last sample."""
    seed, shape = settings.seed, samples_t_s.shape
    t_spacecraft_s = spacecraft_clock.readings_s(settings.clock, samples_t_s)
    mag_ut = imu.magnetometer_ut(settings.imu, truth.field_body_ut, seed)
    gyro_rad_s = imu.gyro_rad_s(settings.imu, truth.rate_body_rad_s, seed)
    lux = sun_sensors.face_lux(settings.sun_sensors, truth.sun_body_m, truth.sunlit_fraction, seed)
    samples = SensorSamples(
        t_spacecraft_s=t_spacecraft_s,
        mag_imu_ut=mag_ut.reshape(*shape, 3),
        hall_raw=np.full(shape, HALL_RAW),
        gyro_imu_rad_s=gyro_rad_s.reshape(*shape, 3),
        lux=lux.reshape(*shape, 6),
    )
    fixes = make_fixes(settings.gps, own, settings.start_gps_ms, samples_t_s[:, -1], seed=seed, log="sense")
    return encode_records(samples, replace(fixes, t_spacecraft_s=t_spacecraft_s[:, -1])).tobytes()


def _ranges(settings: Settings, own: Trajectory) -> tuple[bytes, TrueRanges | None]:
    """The range packets, each fix taken at the same time as the ranges behind it."""
    partners = settings.partners
    if not partners:
        return b"", None
    t_s = np.arange(settings.ranging.interval_s, settings.duration_s + 1, settings.ranging.interval_s)
    partner_paths = [_trajectory(settings, partner_state_gcrf(own.initial_state_gcrf, partner)) for partner in partners]
    distance_m = ranging.distances_m(own, partner_paths, t_s)
    t_spacecraft_s = spacecraft_clock.readings_s(settings.clock, t_s)
    ranges = ranging.measured_ranges(settings.ranging, partners, distance_m, t_spacecraft_s, settings.seed)
    fixes = make_fixes(settings.gps, own, settings.start_gps_ms, t_s, seed=settings.seed, log="range")
    truth = TrueRanges(
        gps_ms=settings.start_gps_ms + 1000 * t_s,
        partner_id=np.array([partner.id for partner in partners]),
        distance_m=distance_m,
    )
    return ranging.range_stream(fixes, ranges), truth

"""One simulated flight: a scenario's files through ingest, orbit, attitude and formation of the flight software.

Nothing but the content of the files reaches the estimators. The truth serves the comparison only.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from pygnc.bus.messages import GnssFix, Message, SensorSample
from pygnc.common.constants import SENSE_FILE
from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc.configuration.settings import Settings as FlightSettings
from pygnc.formats.sense import STANDARD_LAYOUT
from pygnc.inputs.range_files import RangeSeries
from pygnc.inputs.sense_file import SenseFile
from pygnc.inputs.source import BatchSource
from pygnc_ground.attitude.accuracy import LIT
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.choices import FilterName
from pygnc_ground.replay.collect import Collected, collect, make_pipeline
from pygnc_ground.replay.inputs import inputs_of
from pygnc_ground.replay.run import orbit_filter
from pygnc_ground.scenario.environment import Conditions
from pygnc_ground.scenario.formation import Satellite, satellites
from pygnc_ground.scenario.generate import TrueStates, ranges_of, require_generable, scenario_of
from pygnc_ground.scenario.optical_sensors import measured_directions, measured_quaternions
from pygnc_ground.scenario.settings import Settings
from pygnc_ground.scenario.trajectory import DENSITY_STEP_S, SatellitePath, Trajectory
from pygnc_ground.scenario.writer import range_files
from pygnc_ground.truth.attitude_truth import AttitudeTruth, TrueAttitude
from pygnc_ground.truth.orbit_truth import TrueOrbit
from pygnc_system.files import data_file

ORIENTATION: Final = read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE))
_SETTINGS_OF_ORBIT: Final = ("start_utc", "duration_s", "orbit", "spacecraft", "forces", "impulses", "thrusts")
_PATHS: Final = 4
"""Propagated orbits that a process keeps; runs that differ in noise only share one."""
_TIMES_KEPT: Final = 4
"""Sets of times whose results are kept. A run asks for its samples, its fixes, and the times of the velocities."""


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedFlight:
    """Files of a scenario that the main satellite has, and its truth."""

    settings: Settings
    sense: bytes
    truth: TrueStates
    path: SatellitePath
    satellites: tuple[Satellite, ...]
    """All satellites, the main one first."""
    ranges: Mapping[int, bytes]
    """Range packets by radio id: those of the main satellite and, if the settings demand them, of its partners."""

    @classmethod
    def of(cls, settings: Settings, *, begin_in_sunlight: bool = False, beyond_s: float = 0.0) -> "SimulatedFlight":
        """Generate the flight of a scenario; with `begin_in_sunlight`, from the first record in sunlight on.

        The true orbit of a flight without partners is known until `beyond_s` after the scenario.

        Raises:
            ValueError: The scenario cannot be generated, or has no record in sunlight.
        """
        require_generable(settings)
        everyone = _satellites(settings, beyond_s)
        scenario = scenario_of(settings, everyone[0], everyone)
        ranges = {scenario.satellite_id: scenario.ranges} if settings.partners else {}
        if settings.formation.all_satellites:
            ranges |= {satellite.id: ranges_of(settings, satellite, everyone) for satellite in everyone[1:]}
        first = 0
        if begin_in_sunlight:
            lit = scenario.truth.sunlit_fraction.reshape(-1, STANDARD_LAYOUT.sensors_per_record) > LIT
            if not lit.all(axis=1).any():
                raise ValueError("no record is in sunlight; make the scenario longer, or let it begin at the start")
            first = int(np.argmax(lit.all(axis=1)))
        sense = scenario.sense[first * STANDARD_LAYOUT.size :]
        return cls(settings, sense, scenario.truth, everyone[0].path, everyone, ranges)

    def inputs(self, settings: FlightSettings) -> list[Message]:
        """Return the messages that the ingest task makes of the files."""
        sources: list[BatchSource] = [SenseFile(self.sense, SENSE_FILE, settings)]
        own_id = self.satellites[0].id
        for satellite in sorted(self.ranges, key=lambda radio_id: (radio_id != own_id, radio_id)):
            folder, owner = ("range", 0) if satellite == own_id else (f"range/partner_{satellite}", satellite)
            files = {f"{folder}/{name}": content for name, content in range_files(self.ranges[satellite])}
            sources.append(RangeSeries(files, list(files), settings, satellite_id=owner))
        messages = inputs_of(sources).messages
        measured = self._measured()
        return list(self._with_readings(messages, measured) if measured else messages)

    def _measured(self) -> dict[str, FloatArray]:
        """Return the readings that no file holds by measurement model, a row for each sample; NaN if there is none."""
        settings, true, measured = self.settings, self.truth, {}
        if settings.star_tracker.fitted:
            attitudes, rates, sun = true.quaternion_gcrf_from_body, true.rate_body_rad_s, true.sun_body_m
            measured["star_tracker"] = measured_quaternions(settings.star_tracker, attitudes, rates, sun, settings.seed)
        if settings.fine_sun_sensor.fitted:
            sun, lit = true.sun_body_m, true.sunlit_fraction
            measured["sun_direction"] = measured_directions(settings.fine_sun_sensor, sun, lit, settings.seed)
        return measured

    def _with_readings(self, messages: Iterable[Message], measured: Mapping[str, FloatArray]) -> Iterator[Message]:
        records = len(self.sense) // STANDARD_LAYOUT.size
        row = len(self.truth.gps_ms) - STANDARD_LAYOUT.sensors_per_record * records
        for message in messages:
            if isinstance(message, SensorSample):
                found = {
                    name: tuple(rows[row].tolist()) for name, rows in measured.items() if np.isfinite(rows[row]).all()
                }
                row += 1
                yield msgspec.structs.replace(message, readings=found)
            else:
                yield message

    def true_orbit(self, gps_ms: IntArray) -> TrueOrbit:
        """Return the true states in ITRF at times of shape (n,)."""
        states = self.path.states_itrf((gps_ms - self.settings.start_gps_ms) / 1000.0)
        return TrueOrbit(states[:, :3], states[:, 3:])

    def true_states_gcrf(self, gps_ms: IntArray) -> FloatArray:
        """Return the true states of all s satellites in GCRF at n times, shape (s, n, 6)."""
        t_s = (gps_ms - self.settings.start_gps_ms) / 1000.0
        return np.stack([satellite.path.states_gcrf(t_s) for satellite in self.satellites])

    def true_attitude(self, gps_ms: IntArray) -> TrueAttitude:
        """Return the true attitude at times of shape (n,)."""
        true = self.truth
        rows = TrueAttitude(
            true.quaternion_gcrf_from_body, true.rate_body_rad_s, true.gyro_bias_imu_rad_s, true.mag_bias_imu_ut
        )
        return AttitudeTruth(true.gps_ms, rows).at(gps_ms)


def _satellites(settings: Settings, beyond_s: float) -> tuple[Satellite, ...]:
    if settings.partners:
        return satellites(settings)
    # All settings that have no effect on the orbit are left at their defaults, so that flights share it.
    names = (*_SETTINGS_OF_ORBIT, "seed") if settings.forces.density_error else _SETTINGS_OF_ORBIT
    of_orbit = Settings(**{name: getattr(settings, name) for name in names})
    if beyond_s:
        # Flights of different length share the orbit of whole steps of the density.
        until_s = DENSITY_STEP_S * math.ceil((settings.duration_s + beyond_s) / DENSITY_STEP_S)
        of_orbit, beyond_s = msgspec.structs.replace(of_orbit, duration_s=1), until_s - 1.0
    path = _path(of_orbit, beyond_s)
    return (Satellite(settings.formation.own_id, settings, path, None),)


class SharedPath(SatellitePath):
    """Path that keeps its last results, for runs that ask for the same times.

    Each call returns copies, so that no run can change the results of another one.
    """

    def __init__(self, path: SatellitePath) -> None:
        self.start_gps_ms = path.start_gps_ms
        self._states_gcrf = lru_cache(_TIMES_KEPT)(lambda times: path.states_gcrf(np.frombuffer(times)))
        self._states_itrf = lru_cache(_TIMES_KEPT)(lambda times: path.states_itrf(np.frombuffer(times)))
        self._conditions = lru_cache(_TIMES_KEPT)(lambda times: path.conditions(np.frombuffer(times)))

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s in GCRF at `t_s` seconds after the start, shape (n, 6)."""
        return self._states_gcrf(_key(t_s)).copy()

    def states_itrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s relative to the rotating Earth, in ITRF, shape (n, 6)."""
        return self._states_itrf(_key(t_s)).copy()

    def conditions(self, t_s: npt.ArrayLike) -> Conditions:
        """Return states and environment at `t_s` seconds after the start, shape (n,)."""
        return Conditions(*(values.copy() for values in self._conditions(_key(t_s))))


def _key(t_s: npt.ArrayLike) -> bytes:
    return np.asarray(t_s, np.float64).tobytes()


@lru_cache(_PATHS)
def _path(settings: Settings, beyond_s: float) -> SharedPath:
    return SharedPath(Trajectory.of(settings, beyond_s=beyond_s))


def received_live(messages: Sequence[Message], begin_gps_ms: int) -> list[Message]:
    """Return messages as if our own fixes from a time on, and all that follows, had arrived live after the batch.

    The messages are in order of time, and the last one ends the batch; they are numbered anew.
    """
    *before, end = messages
    own = (
        (row, message.gps_ms) for row, message in enumerate(before) if isinstance(message, GnssFix) and message.is_own
    )
    first = next((row for row, gps_ms in own if gps_ms is not None and gps_ms >= begin_gps_ms), len(before))
    ordered = (*before[:first], end, *before[first:])
    return [msgspec.structs.replace(message, seq=seq) for seq, message in enumerate(ordered, 1)]


def fly(
    messages: Iterable[Message],
    settings: FlightSettings | None = None,
    *,
    attitude: bool = True,
    formation: bool = False,
    filter_name: FilterName = FilterName.EKF,
) -> Collected:
    """Run the messages of a flight through the orbit stage of the flight software and the selected others."""
    pipeline = make_pipeline(
        settings or FlightSettings(),
        ORIENTATION,
        orbit_filter=orbit_filter(filter_name),
        attitude=attitude,
        formation=formation,
    )
    return collect(messages, pipeline)

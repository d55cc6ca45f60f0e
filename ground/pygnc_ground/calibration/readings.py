"""Recorded magnetometer readings with the Earth's field at their times and places, by the flight's own code."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.bus.messages import GpsFix, OrbitEstimate, SensorSample, SourceFile
from pygnc.common.clock import gps_ms_from_week
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.geomagnetic import MainField
from pygnc.tasks.attitude.environment import EnvironmentModel, PropagatedOrbit
from pygnc.tasks.attitude.sample_clock import SampleClock
from pygnc.tasks.orbit.tracker import OrbitTracker
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.inputs import Inputs, ReplayError

_NEAR_S: Final = 3600
"""Samples that far from the reading that confirms their clock are not of its boot, or damaged."""
_CARRIED_MAX_MS: Final = 1_200_000
"""From the nearest orbit: some hundred metres by the flight's coarse motion, which the field does not feel."""


@dataclass(frozen=True, slots=True, eq=False)
class FieldReadings:
    """Readings in the order of the inputs.

    Attributes:
        gps_ms: Their times, shape (n,).
        mag_imu_ut: In sensor axes, shape (n, 3).
        field_gcrf_ut: The modelled field, shape (n, 3).
        samples: How many sensor samples there were.
        repeated: How many of those were there already, byte for byte.
        untimed: How many have no time.
        unplaced: How many are too far from any orbit.
        sources: Names of the files.
    """

    gps_ms: IntArray
    mag_imu_ut: FloatArray
    field_gcrf_ut: FloatArray
    samples: int
    repeated: int
    untimed: int
    unplaced: int
    sources: tuple[str, ...]


def field_readings(
    inputs: Inputs, settings: Settings, orientation: EarthOrientationTable, main_field: MainField
) -> FieldReadings:
    """Run the inputs through the flight's orbit and clock; 0.2 ms per sample.

    Raises:
        ReplayError: They give no orbit, or cannot be read.
    """
    tracker = OrbitTracker(settings.orbit, orientation)
    sources: list[str] = []
    noted: list[SensorSample | GpsFix] = []
    orbits: list[OrbitEstimate] = []
    seen: set[bytes] = set()
    samples = 0
    for message in inputs.messages:
        if isinstance(message, SourceFile):
            sources.append(message.name)
        elif isinstance(message, GpsFix):
            noted.append(message)
        elif isinstance(message, SensorSample):
            samples += 1
            if message.raw not in seen:
                seen.add(message.raw)
                noted.append(message)
        orbits += tracker.process(message, len(orbits) + 1)
    if not samples:
        raise ReplayError(f"{', '.join(sources)}: no sensor packets: no sense file, or wholly damaged")
    orbits.sort(key=lambda estimate: estimate.gps_ms)
    if not orbits:
        raise ReplayError(
            f"{', '.join(sources)}: no orbit: none of {len(noted) - len(seen)} GPS records led to one, and the field's"
            " strength is known along an orbit only; add files with fixes"
        )
    timed = list(_timed(noted))
    model = EnvironmentModel(orientation, main_field)
    rows = [
        (gps_ms, sample.mag_imu_ut, field)
        for gps_ms, sample in timed
        if (field := _field_gcrf_ut(model, gps_ms, orbits)) is not None
    ]
    return FieldReadings(
        np.array([gps_ms for gps_ms, _, _ in rows], dtype=np.int64),
        np.array([mag for _, mag, _ in rows], dtype=np.float64).reshape(-1, 3),
        np.array([field for _, _, field in rows], dtype=np.float64).reshape(-1, 3),
        samples,
        samples - len(seen),
        len(seen) - len(timed),
        len(timed) - len(rows),
        tuple(sources),
    )


def _timed(noted: list[SensorSample | GpsFix]) -> Iterator[tuple[int, SensorSample]]:
    """Samples with their GPS times.

    Unlike the flight this can wait: a sample takes its time by the map of the next GPS packet that is believed.
    """
    clock = SampleClock()
    waiting: list[SensorSample] = []
    for message in noted:
        if isinstance(message, SensorSample):
            waiting.append(message)
            if clock.goes_on(message.t_spacecraft_s):
                clock.advance(message.t_spacecraft_s)
            continue
        t_s = message.t_spacecraft_s
        if t_s is None or not clock.observe(t_s, gps_ms_from_week(message.gps_week, message.gps_tow_ms)):
            continue
        for sample in waiting:
            gps_ms = clock.gps_ms(sample.t_spacecraft_s)
            if gps_ms is not None and abs(sample.t_spacecraft_s - t_s) <= _NEAR_S:
                yield gps_ms, sample
        waiting = []


def _field_gcrf_ut(model: EnvironmentModel, gps_ms: int, orbits: list[OrbitEstimate]) -> FloatArray | None:
    """The field where the satellite is by the orbit nearest in time."""
    after = bisect_left(orbits, gps_ms, key=lambda estimate: estimate.gps_ms)
    nearest = min(orbits[max(after - 1, 0) : after + 1], key=lambda estimate: abs(estimate.gps_ms - gps_ms))
    if abs(nearest.gps_ms - gps_ms) > _CARRIED_MAX_MS:
        return None
    around, _ = model.at(gps_ms, PropagatedOrbit.of(nearest))
    return None if around.surroundings is None else around.surroundings.field_gcrf_ut

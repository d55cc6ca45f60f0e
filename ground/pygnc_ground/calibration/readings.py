"""Magnetometer readings of recorded files with the modelled field; orbit, field and clock are the flight's own code."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np

from pygnc.bus.messages import DeviceReading, GnssFix, Message, OrbitEstimate, SensorSample, SourceFile
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.geomagnetic import MainField
from pygnc.estimators.attitude.sample import AttitudeEnvironment
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.navigation.environment import EnvironmentModel, PropagatedOrbit
from pygnc.navigation.orbit import OrbitTracker
from pygnc.navigation.own_sensors import OwnSensors, device_values
from pygnc.navigation.pipeline import orbit_response
from pygnc.navigation.sample_clock import SampleClock
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.inputs import Inputs, ReplayError
from pygnc_ground.replay.result import column

_NEAR_S: Final = 3600
"""Largest time in s from a sample to the GPS reading that confirms its clock; samples farther away are of another
boot, or damaged.
"""
_CARRIED_MAX_MS: Final = 1_200_000
"""Largest time to the nearest orbit. The J2 propagator then errs by some hundred metres, irrelevant for the field."""


class FieldReadings(NamedTuple):
    """n magnetometer readings in the order of the inputs, with counts of sensor samples."""

    gps_ms: IntArray
    """Times in milliseconds since the GPS epoch, shape (n,)."""
    mag_imu_ut: FloatArray
    """Readings in sensor axes, shape (n, 3)."""
    field_gcrf_ut: FloatArray
    """Modelled field in GCRF, shape (n, 3)."""
    sunlit_fraction: FloatArray
    """Visible fraction of the Sun's disc, shape (n,)."""
    samples: int
    """Number of sensor samples with a magnetometer reading."""
    repeated: int
    """Number of samples that are byte-identical to earlier samples."""
    untimed: int
    """Number of samples without a time."""
    unplaced: int
    """Number of samples too far from any orbit."""
    sources: tuple[str, ...]
    """Names of the files."""


def field_readings(
    inputs: Inputs, settings: Settings, orientation: EarthOrientationTable, main_field: MainField
) -> FieldReadings:
    """Return the magnetometer readings with the modelled field on the flight filter's orbit; takes 0.2 ms per sample.

    If the settings name a sensor of the computer as magnetometer, the readings are its own.

    Raises:
        ReplayError: The inputs give no orbit, or cannot be read.
    """
    tracker = OrbitTracker(settings.orbit, orientation)
    sources: list[str] = []
    inputs_kept: list[SensorSample | GnssFix] = []
    orbits: list[OrbitEstimate] = []
    seen: set[bytes] = set()
    samples = 0
    for message in _with_own_readings(inputs.messages, settings.attitude):
        if isinstance(message, SourceFile):
            sources.append(message.name)
        elif isinstance(message, GnssFix):
            inputs_kept.append(message)
        elif isinstance(message, SensorSample):
            samples += 1
            # Samples of own sensors have no packet; none of them is repeated.
            packet = message.raw or message.seq.to_bytes(8, "little")
            if packet not in seen:
                seen.add(packet)
                inputs_kept.append(message)
        orbits += orbit_response(tracker, message, len(orbits) + 1).estimates
    if not samples:
        raise ReplayError(f"{', '.join(sources)}: no sensor packets; name sense files with undamaged records")
    orbits.sort(key=lambda estimate: estimate.gps_ms)
    if not orbits:
        raise ReplayError(
            f"{', '.join(sources)}: no orbit: none of {len(inputs_kept) - len(seen)} GPS records was usable, so the"
            " field strength is unknown; add files with fixes"
        )
    timed = list(_timed(inputs_kept))
    model = EnvironmentModel(orientation, main_field)
    placed = [
        (gps_ms, sample.mag_imu_ut, around)
        for gps_ms, sample in timed
        if (around := _environment(model, gps_ms, orbits)) is not None
    ]
    return FieldReadings(
        column((gps_ms for gps_ms, _, _ in placed), dtype=np.int64),
        column((mag_imu_ut for _, mag_imu_ut, _ in placed), 3),
        column((around.field_gcrf_ut for _, _, around in placed), 3),
        column(around.sunlit_fraction for _, _, around in placed),
        samples,
        samples - len(seen),
        len(seen) - len(timed),
        len(timed) - len(placed),
        tuple(sources),
    )


def _with_own_readings(messages: Iterable[Message], settings: AttitudeSettings) -> Iterator[Message]:
    """Yield the messages, the samples with the readings of own sensors and only those with a magnetometer reading."""
    own, values = OwnSensors(), device_values(settings)
    for message in messages:
        if isinstance(message, DeviceReading):
            own.take(message, settings.own_sensors, values)
        elif isinstance(message, SensorSample):
            sample = own.measured(message, settings.own_sensors, values)
            if np.isfinite(sample.mag_imu_ut).all():
                yield sample
        else:
            yield message


def _timed(inputs_kept: list[SensorSample | GnssFix]) -> Iterator[tuple[int, SensorSample]]:
    """Yield samples with their GPS times.

    Unlike in flight, a sample is dated with the clock map of the next consistent GPS packet.
    """
    clock = SampleClock()
    waiting: list[SensorSample] = []
    for message in inputs_kept:
        if isinstance(message, SensorSample):
            waiting.append(message)
            if clock.is_continuous(message.t_spacecraft_s):
                clock.reference_s = message.t_spacecraft_s
            continue
        t_s = message.t_spacecraft_s
        if t_s is None or not clock.observe(t_s, message.gps_ms_at_second):
            continue
        for sample in waiting:
            gps_ms = clock.gps_ms(sample.t_spacecraft_s)
            if gps_ms is not None and abs(sample.t_spacecraft_s - t_s) <= _NEAR_S:
                yield gps_ms + sample.t_spacecraft_ms, sample
        waiting = []


def _environment(model: EnvironmentModel, gps_ms: int, orbits: list[OrbitEstimate]) -> AttitudeEnvironment | None:
    """Return the environment by the orbit that is nearest in time; None if that orbit is too far."""
    after = bisect_left(orbits, gps_ms, key=lambda estimate: estimate.gps_ms)
    nearest = min(orbits[max(after - 1, 0) : after + 1], key=lambda estimate: abs(estimate.gps_ms - gps_ms))
    if abs(nearest.gps_ms - gps_ms) > _CARRIED_MAX_MS:
        return None
    return model.at(gps_ms, PropagatedOrbit.of(nearest))

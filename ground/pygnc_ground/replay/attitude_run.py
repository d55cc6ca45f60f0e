"""Attitude of a replay: smoother, truth and Cramér-Rao bound for the sensor samples."""

import ctypes
import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.bus.messages import AttitudeEstimate, Message, OrbitMessage
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.attitude.magnetometer import Magnetometer
from pygnc.estimators.attitude.measurement_model import Innovation, VectorInnovation
from pygnc.estimators.attitude.mekf import AttitudeRejectCause
from pygnc.estimators.attitude.sample import SampleCorrection
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import AttitudeState
from pygnc.estimators.attitude.sun_sensors import IlluminanceInnovation, SunSensors
from pygnc.estimators.attitude.wiring import SensorAxes
from pygnc.navigation.pipeline import AttitudeRecord
from pygnc_ground.attitude.bound import BoundSample, attitude_bound
from pygnc_ground.attitude.face_illuminance import face_illuminance
from pygnc_ground.attitude.smoother import Filtered, emptied, smoothed_backwards, without_model_errors
from pygnc_ground.attitude.solution import AttitudeSolution, GyroReadings, solution_from_states
from pygnc_ground.orbit.solution import BoolArray
from pygnc_ground.replay.array_file import ArrayFile
from pygnc_ground.replay.collect import attitude_stage
from pygnc_ground.replay.result import AttitudeResult, Innovations, SampleRecords, column, innovation_arrays
from pygnc_ground.truth.attitude_truth import AttitudeTruth

_NOT_TAKEN = {AttitudeRejectCause.NOT_LATER, AttitudeRejectCause.NOT_FINITE}
"""Samples that the filter rejected before using any measurement."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the search for cycles, of which the objects that a replay keeps have none; it took a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class AttitudeFound(NamedTuple):
    """Messages of the flight software for all samples, and filter, smoother and bound."""

    estimates: list[AttitudeEstimate]
    result: AttitudeResult


class AttitudeRun:
    """Attitude stage of a replay; it keeps of each sample what the smoother needs, in a temporary file, and the tables.

    Attributes:
        found: Results of all samples, after `end`.
        records: Records of all samples, after `end`; empty unless they are kept.
    """

    found: AttitudeFound

    def __init__(
        self,
        settings: Settings,
        orientation: EarthOrientationTable,
        truth: AttitudeTruth | None,
        *,
        keep_records: bool = False,
    ) -> None:
        self._stage = attitude_stage(settings, orientation)
        self._settings, self._truth = settings.attitude, truth
        self._keep_records = keep_records
        self._filtered: list[Filtered] = []
        self._arrays = ArrayFile()
        self.records: list[AttitudeRecord] = []

    def take(self, message: Message, orbits: list[OrbitMessage]) -> None:
        """Process an input and the orbit tracker's response to it."""
        for record in self._stage.results(message, orbits):
            self.records.append(_packed(record, self._filtered, self._arrays))

    def end(self) -> None:
        """Compute the results of all samples, and release what only they need."""
        result = attitude_result(self.records, self._filtered, self._settings, self._truth, self._arrays)
        self.found = AttitudeFound([record.estimate for record in self.records], result)
        if not self._keep_records:
            self.records = []
        return_free_memory()

    def close(self) -> None:
        """Do nothing; a run in this process holds no resources."""


def _packed(record: AttitudeRecord, filtered: list[Filtered], arrays: ArrayFile) -> AttitudeRecord:
    """Return a record with as much of its update as tables and reports need; append what the smoother needs."""
    update = record.outcome.update
    if update is None:
        filtered.append(Filtered(None, None))
        return record
    filtered.append(Filtered.of(update.state, update.step, arrays.stored))
    state = None if update.state is None else without_model_errors(update.state)
    return record._replace(outcome=record.outcome._replace(update=replace(update, state=state, step=None)))


def attitude_result(
    records: Sequence[AttitudeRecord],
    filtered: list[Filtered],
    settings: AttitudeSettings,
    truth: AttitudeTruth | None,
    arrays: ArrayFile,
) -> AttitudeResult:
    """Return filtered and smoothed attitudes of n samples and, with a truth, their Cramér-Rao bound.

    The records are those of `AttitudeRun`; `filtered`, with its arrays in `arrays`, is emptied to free its memory and
    its files. A sample takes 0.5 ms of computing time, and with a truth another 0.5 ms for the bound.
    """
    faces = settings.mounting.faces
    samples, correction = _samples(records, faces), SampleCorrection(settings)
    updates = [record.outcome.update for record in records]
    backwards = smoothed_backwards(emptied(filtered, arrays.release))
    smoothed = [state and without_model_errors(state) for state in backwards][::-1]
    arrays.renew()
    lux = np.array([correction.illuminance(record.outcome.sample.lux) for record in records]).reshape(-1, faces)
    environments = [record.outcome.environment for record in records]
    true = None if truth is None else truth.at(samples.gps_ms)
    smoothed_solution = attitude_solution(records, smoothed, settings)
    light = face_illuminance(lux, smoothed, environments, settings)
    del smoothed
    return_free_memory()
    return AttitudeResult(
        samples=samples,
        solution=attitude_solution(records, [of.state if of else None for of in updates], settings),
        smoothed=smoothed_solution,
        light=light,
        truth=true,
        bound=None
        if true is None
        else attitude_bound(bound_samples(records, correction), true, settings, arrays.stored, arrays.release),
        axes=records[-1].outcome.axes if records else SensorAxes(),
    )


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of glibc's `mallopt`."""
_LARGE_BYTES: Final = 131_072


def return_free_memory() -> None:
    """Return the memory of arrays that were deleted to the system: glibc keeps it, and larger arrays do not fit in."""
    getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)(0)


def keep_heap_small() -> None:
    """Let glibc return large arrays to the system when they are deleted, for the rest of the process.

    By default, it raises the size from which on it does so to that of the arrays; those that are deleted then leave
    holes in the heap, which grew by 10 MB with each day of fixes.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", lambda _option, _value: 0)
    for option in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
        set_option(option, _LARGE_BYTES)


def attitude_solution(
    records: Sequence[AttitudeRecord], states: Sequence[AttitudeState | None], settings: AttitudeSettings
) -> AttitudeSolution:
    """Return the table of a state per record; a state is None where the attitude is unknown."""
    gyro = column((record.outcome.sample.gyro_imu_rad_s for record in records), 3)
    updates = (record.outcome.update for record in records)
    readings = GyroReadings(
        gps_ms=column((record.outcome.gps_ms for record in records), missing=-1, dtype=np.int64),
        gyro_imu_rad_s=SampleCorrection(settings).gyro_scale * gyro,
        rate_body_rad_s=column((record.estimate.rate_body_rad_s for record in records), 3),
        mag_bias_imu_ut=column((record.estimate.mag_bias_imu_ut for record in records), 3),
        time_sigma_s=column((update.time_sigma_s if update else None for update in updates), missing=0.0),
    )
    return solution_from_states(states, readings, settings)


def bound_samples(records: Sequence[AttitudeRecord], correction: SampleCorrection) -> list[BoundSample]:
    """Return the samples that the filter used, in ascending time order."""
    seen: list[BoundSample] = []
    for row, (outcome, _) in enumerate(records):
        update, raw = outcome.update, outcome.sample
        if update is None or update.cause in _NOT_TAKEN or (seen and update.gps_ms <= seen[-1].sample.gps_ms):
            continue
        sample = correction.sample(raw.seq, update.gps_ms, raw.mag_imu_ut, raw.gyro_imu_rad_s, raw.lux)
        seen.append(BoundSample(row, sample, outcome.environment))
    return seen


def _samples(records: Sequence[AttitudeRecord], faces: int) -> SampleRecords:
    outcomes, estimates = [record.outcome for record in records], [record.estimate for record in records]
    updates = [outcome.update for outcome in outcomes]
    predicted = [update.innovations if update else {} for update in updates]
    light = [one if isinstance(one := of.get(SunSensors.name), IlluminanceInnovation) else None for of in predicted]
    places = [outcome.environment for outcome in outcomes]
    return SampleRecords(
        seq=column((outcome.sample.seq for outcome in outcomes), dtype=np.int64),
        gps_ms=column((outcome.gps_ms for outcome in outcomes), missing=-1, dtype=np.int64),
        mode=tuple(estimate.mode for estimate in estimates),
        cause=tuple(estimate.cause for estimate in estimates),
        found=column((estimate.found for estimate in estimates), dtype=np.bool_),
        in_sun=column((estimate.in_sun for estimate in estimates), dtype=np.bool_),
        sunlit_fraction=column(None if place is None else place.sunlit_fraction for place in places),
        nis=column(estimate.nis if estimate.dof else None for estimate in estimates),
        dof=column((estimate.dof for estimate in estimates), dtype=np.int64),
        innovations=_vector_innovations(predicted),
        faces_usable=_flags([one.usable if one else None for one in light], faces),
        faces_used=_flags([one.used if one else None for one in light], faces),
        faces_dead=_flags([update.faces.dead if update else None for update in updates], faces),
        faces_mirrored=_flags([update.faces.mirrored if update else None for update in updates], faces),
        gyro_stuck=_flags([update.gyro.stuck if update else None for update in updates], 3),
        gyro_imu_rad_s=column((outcome.sample.gyro_imu_rad_s for outcome in outcomes), 3),
        mag_imu_ut=column((outcome.sample.mag_imu_ut for outcome in outcomes), 3),
        field_gcrf_ut=column((None if place is None else place.field_gcrf_ut for place in places), 3),
    )


def _vector_innovations(predicted: Sequence[Mapping[str, Innovation]]) -> dict[str, Innovations]:
    found = {Magnetometer.name: 3}
    for of in predicted:
        found |= {name: len(one.residual) for name, one in of.items() if isinstance(one, VectorInnovation)}
    innovations = {}
    for name, width in found.items():
        rows = [one if isinstance(one := of.get(name), VectorInnovation) else None for of in predicted]
        innovations[name] = innovation_arrays(rows, (one is not None and one.is_used for one in rows), width)
    return innovations


def _flags(rows: Sequence[BoolArray | None], width: int) -> BoolArray:
    return column(rows, width, missing=False, dtype=np.bool_)

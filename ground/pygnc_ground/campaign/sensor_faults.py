"""Faults of sensors in the messages of a flight: dead or mirrored faces, a stuck gyro, lost samples, gaps."""

import math
from collections.abc import Iterable, Iterator
from typing import Final, Literal, get_args

import msgspec
import numpy as np

from pygnc.bus.messages import GnssFix, Message, SensorSample
from pygnc_ground.scenario.sensor_settings import Fraction, NonNegative, Positive, Section
from pygnc_ground.scenario.settings import noise_generator

Face = Literal["+X", "+Y", "+Z", "-X", "-Y", "-Z"]
FACES: Final = get_args(Face)


class SensorFault(Section, frozen=True):
    """Settings of a fault of a sensor."""

    kind: Literal["dead face", "mirrored face", "stuck gyro", "lost samples", "gap"]
    """dead face: its sun sensor reads 0. mirrored face: it reads the light of the opposite face. stuck gyro: one axis
    reads 0. lost samples: a fraction of the samples is missing. gap: all samples and fixes are missing.
    """
    face: Face = "+X"
    """Face of a dead or mirrored sun sensor."""
    axis: Literal["x", "y", "z"] = "y"
    """Axis of a stuck gyro."""
    fraction: Fraction = 0.3
    """Fraction of lost samples."""
    begin_s: NonNegative = 0.0
    """Time after the first sample at which the fault begins."""
    duration_s: Positive | None = None
    """Duration of the fault; to the end of the flight by default."""
    probability: Fraction = 1.0
    """Fraction of the runs with the fault; the seed of a run decides."""


def with_faults(messages: Iterable[Message], faults: Iterable[SensorFault], seed: int) -> Iterator[Message]:
    """Yield the messages with the faults of the run with this seed."""
    changed: Iterator[Message] = iter(messages)
    for number, fault in enumerate(faults):
        rng = noise_generator(seed, f"sensor fault {number}")
        if rng.random() < fault.probability:
            changed = _with_fault(changed, fault, rng)
    return changed


def _with_fault(messages: Iterator[Message], fault: SensorFault, rng: np.random.Generator) -> Iterator[Message]:
    first_s: int | None = None
    last_s = fault.begin_s + (math.inf if fault.duration_s is None else fault.duration_s)
    for message in messages:
        if not isinstance(message, SensorSample | GnssFix) or message.t_spacecraft_s is None:
            yield message
            continue
        first_s = message.t_spacecraft_s if first_s is None else first_s
        if not fault.begin_s <= message.t_spacecraft_s - first_s < last_s:
            yield message
        elif isinstance(message, GnssFix):
            if fault.kind != "gap":
                yield message
        elif fault.kind == "lost samples":
            if rng.random() >= fault.fraction:
                yield message
        elif fault.kind != "gap":
            yield _faulty(message, fault)


def _faulty(sample: SensorSample, fault: SensorFault) -> SensorSample:
    if fault.kind == "stuck gyro":
        gyro = list(sample.gyro_imu_rad_s)
        gyro["xyz".index(fault.axis)] = 0.0
        return msgspec.structs.replace(sample, gyro_imu_rad_s=tuple(gyro))
    lux, face = list(sample.lux), FACES.index(fault.face)
    lux[face] = 0.0 if fault.kind == "dead face" else lux[(face + 3) % len(FACES)]
    return msgspec.structs.replace(sample, lux=tuple(lux))

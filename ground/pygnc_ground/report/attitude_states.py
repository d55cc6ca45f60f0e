"""What held of the attitude and its sensors, as flags by sample in words that people read."""

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from pygnc.estimators.attitude.filter import Mode
from pygnc.estimators.attitude.mekf import AttitudeRejectCause
from pygnc.estimators.attitude.settings import MountingSettings
from pygnc.tasks.attitude.tracker import NO_TIME
from pygnc_cli.text import printable
from pygnc_ground.orbit.solution import BoolArray
from pygnc_ground.replay.attitude_result import SampleRecords
from pygnc_ground.report.palette import FILTER, LOOK, MUTED, REJECTED

_MODES: Final = MappingProxyType(
    {
        Mode.FINE: ("fine attitude", FILTER),
        Mode.COARSE: ("coarse attitude", LOOK),
        Mode.SEARCHING: ("attitude unknown", MUTED),
    }
)
_CAUSES: Final = MappingProxyType(
    {
        NO_TIME: "sample without a time",
        AttitudeRejectCause.NOT_LATER: "sample not later than the one before",
        AttitudeRejectCause.NOT_FINITE: "a number of the sample is none",
        AttitudeRejectCause.NO_SURROUNDINGS: "no orbit",
        AttitudeRejectCause.GATE: "all of the sample stopped by the gates",
    }
)
_UNKNOWN_SHOWN: Final = 40
_NAMES: Final = ("+X", "+Y", "+Z", "−X", "−Y", "−Z")


class Held(NamedTuple):
    """Something that held of samples.

    Attributes:
        label: What.
        flags: Of which samples, shape (n,).
        colour: Of its bars.
    """

    label: str
    flags: BoolArray
    colour: str


def face_names(mounting: MountingSettings) -> tuple[str, ...]:
    """Faces by the body axis that they look along, or by number where one looks elsewhere."""
    normals = np.array(mounting.face_normals_body)
    axes = np.concatenate((np.eye(3), -np.eye(3)))
    along = normals.dot(axes.T) > 1.0 - 1e-6
    if not along.any(axis=1).all():
        return tuple(f"no. {number}" for number in range(1, len(normals) + 1))
    return tuple(_NAMES[index] for index in along.argmax(axis=1))


def held(samples: SampleRecords, mounting: MountingSettings) -> list[Held]:
    """Modes, and what else occurred at all: causes, gates, sensors that fail."""
    return [one for one in _all(samples, mounting) if one.flags.any()]


def _all(samples: SampleRecords, mounting: MountingSettings) -> Iterator[Held]:
    modes, causes = np.array(samples.mode), np.array(samples.cause)
    for mode, (label, colour) in _MODES.items():
        yield Held(label, np.asarray(modes == mode.value), colour)
    for cause in sorted({*samples.cause} - {""}):
        label = _CAUSES.get(cause, printable(cause.replace("_", " "))[:_UNKNOWN_SHOWN])
        yield Held(label, np.asarray(causes == cause), REJECTED)
    judged = np.isfinite(samples.field_chi_square)
    yield Held("magnetometer stopped by its gate", judged & ~samples.field_used, REJECTED)
    stopped = samples.faces_usable & ~samples.faces_used
    yield Held("a face stopped by its gate", np.asarray(stopped.any(axis=1)), REJECTED)
    for number, name in enumerate(face_names(mounting)):
        yield Held(f"face {name} dead", samples.faces_dead[:, number], REJECTED)
        yield Held(f"face {name} mirrored", samples.faces_mirrored[:, number], REJECTED)
    for number, name in enumerate("xyz"):
        yield Held(f"gyro axis {name} stuck", samples.gyro_stuck[:, number], REJECTED)

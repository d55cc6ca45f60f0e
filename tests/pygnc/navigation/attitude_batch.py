"""The demonstration batch before the attitude task's tracker, and what the orbit task answers."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from pygnc.bus.messages import (
    AttitudeEstimate,
    BatchEnd,
    GnssFix,
    InputMessage,
    Message,
    OrbitMessage,
    SensorSample,
)
from pygnc.configuration.data_files import MAIN_FIELD_TABLE, read_main_field
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.inputs.sense_file import SenseFile
from pygnc.navigation.attitude import AttitudeTracker
from pygnc.navigation.environment import EnvironmentModel
from pygnc.navigation.orbit import OrbitTracker
from pygnc.navigation.pipeline import AttitudeStage, orbit_response
from pygnc_system.files import data_file

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo" / "sense.bin"
RECORDS = 24
NONE = EarthOrientationTable.none()
SETTINGS = AttitudeSettings()
MODEL = EnvironmentModel(NONE, read_main_field(data_file(MAIN_FIELD_TABLE)))


def tracker(checkpoint: bytes | None = None) -> AttitudeTracker:
    return AttitudeTracker(SETTINGS, MODEL, checkpoint)


def batch(demo: SenseFile, records: int) -> list[InputMessage]:
    """The first records, and the end of the batch."""
    messages = [m for m in demo.messages(np.arange(records), 1) if isinstance(m, SensorSample | GnssFix)]
    return [*messages, BatchEnd(seq=messages[-1].seq + 1, cause="")]


def orbits_of(inputs: Sequence[Message]) -> list[OrbitMessage]:
    """Return the answers of the orbit task to the inputs."""
    orbit_tracker = OrbitTracker(OrbitSettings(), NONE)
    messages: list[OrbitMessage] = []
    for message in inputs:
        messages += orbit_response(orbit_tracker, message, len(messages) + 1).messages
    return messages


def run(
    attitude: AttitudeTracker, inputs: Sequence[InputMessage], orbits: Sequence[OrbitMessage], first_seq: int = 1
) -> list[AttitudeEstimate]:
    """Take all inputs, and orbits when they are awaited."""
    stage = AttitudeStage(attitude)
    stage.last_output_seq = first_seq - 1
    stage.inputs += inputs
    stage.orbits += orbits
    estimates: list[AttitudeEstimate] = []
    while (records := stage.step(orbit_is_late=not stage.orbits)) is not None:
        estimates += [record.estimate for record in records]
    return estimates


def process(attitude: AttitudeTracker, message: Message, first_seq: int) -> list[AttitudeEstimate]:
    """The estimates by one input."""
    return [attitude.estimate(outcome, seq) for seq, outcome in enumerate(attitude.outcomes(message), first_seq)]


def samples_of(inputs: Sequence[InputMessage]) -> list[SensorSample]:
    return [message for message in inputs if isinstance(message, SensorSample)]


def with_time_shift(inputs: Sequence[InputMessage], seqs: set[int], by_s: int) -> list[InputMessage]:
    """The inputs with another spacecraft time in some of them."""
    return [
        msgspec.structs.replace(message, t_spacecraft_s=message.t_spacecraft_s + by_s)
        if message.seq in seqs and isinstance(message, SensorSample | GnssFix) and message.t_spacecraft_s is not None
        else message
        for message in inputs
    ]


def assert_books_balance(attitude: AttitudeTracker, inputs: Sequence[InputMessage]) -> None:
    unused = sum(n for name, n in attitude.counts.items() if name.startswith("samples_") and name not in BALANCE)
    received, used, held = (attitude.counts[name] for name in BALANCE)
    assert received == used + held + unused == len(samples_of(inputs))


BALANCE = ("samples_received", "samples_used", "samples_held")

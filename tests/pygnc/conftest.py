"""The demonstration batch, read once for all tests of a module."""

import pytest

from pygnc.bus.messages import (
    AttitudeEstimate,
    InputMessage,
    OrbitMessage,
)
from pygnc.configuration.settings import Settings
from pygnc.inputs.sense_file import SenseFile
from tests.pygnc.navigation.attitude_batch import DEMO, RECORDS, batch, orbits_of, run, tracker


@pytest.fixture(scope="module")
def demo() -> SenseFile:
    """The demonstration batch."""
    file = SenseFile(DEMO, "sense.bin", Settings())
    for _ in file.scan():
        pass
    return file


@pytest.fixture(scope="module")
def inputs(demo: SenseFile) -> list[InputMessage]:
    """The first ten minutes."""
    return batch(demo, RECORDS)


@pytest.fixture(scope="module")
def orbits(inputs: list[InputMessage]) -> list[OrbitMessage]:
    return orbits_of(inputs)


@pytest.fixture(scope="module")
def undisturbed(inputs: list[InputMessage], orbits: list[OrbitMessage]) -> list[AttitudeEstimate]:
    return run(tracker(), inputs, orbits)

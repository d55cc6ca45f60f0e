"""Inputs and orbits through the flight's attitude tracker, and everything that it said of each sample."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from pygnc.bus.messages import AttitudeEstimate, Message, OrbitMessage
from pygnc.configuration.data_files import data_file
from pygnc.configuration.geomagnetic_file import PACKAGED, read_main_field
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.tasks.attitude.environment import SurroundingsModel
from pygnc.tasks.attitude.report import Outcome as AttitudeOutcome
from pygnc.tasks.attitude.tracker import AttitudeTracker


class SampleRecord(NamedTuple):
    """A sensor sample and what the flight says of it."""

    outcome: AttitudeOutcome
    estimate: AttitudeEstimate


class AttitudeCollector:
    """Runs the tracker as the attitude task does: an orbit is taken when the tracker awaits one.

    Attributes:
        records: The samples, in the order in which the flight gives its estimates.
    """

    def __init__(self, settings: AttitudeSettings, orientation: EarthOrientationTable) -> None:
        main_field = read_main_field(data_file(PACKAGED))
        self._tracker = AttitudeTracker(settings, SurroundingsModel(orientation, main_field))
        self._orbits: deque[OrbitMessage] = deque()
        self.records: list[SampleRecord] = []

    def take(self, message: Message, answer: Sequence[OrbitMessage]) -> None:
        """Process an input; `answer` is what the orbit task makes of it."""
        for outcome in self._tracker.outcomes(message):
            self.records.append(SampleRecord(outcome, self._tracker.estimate(outcome, len(self.records) + 1)))
        self._orbits += answer
        while self._tracker.awaits_orbit and self._orbits:
            self._tracker.take_orbit(self._orbits.popleft())

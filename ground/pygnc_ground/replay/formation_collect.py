"""Inputs and orbits through the flight's formation tracker, and everything that it said of the partners."""

from collections import deque
from collections.abc import Sequence

from pygnc.bus.messages import FormationMessage, Message, OrbitMessage
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.tasks.formation.tracker import FormationTracker


class FormationCollector:
    """Runs the tracker as the formation task does: an orbit is taken when the tracker awaits one.

    Attributes:
        messages: What the tracker said, in its order.
    """

    def __init__(self, settings: Settings, orientation: EarthOrientationTable) -> None:
        self._tracker = FormationTracker(settings, orientation)
        self._orbits: deque[OrbitMessage] = deque()
        self.messages: list[FormationMessage] = []

    @property
    def solution(self) -> FormationSolution | None:
        """The newest."""
        return self._tracker.solution

    @property
    def counts(self) -> dict[str, int]:
        """Books of ranges and partners' fixes."""
        return self._tracker.counts

    def take(self, message: Message, answer: Sequence[OrbitMessage]) -> None:
        """Process an input; `answer` is what the orbit task makes of it."""
        self.messages += self._tracker.process(message)
        self._orbits += answer
        self._solve()
        while self._tracker.awaits_orbit and self._orbits:
            self._tracker.take_orbit(self._orbits.popleft())
            self._solve()

    def _solve(self) -> None:
        if self._tracker.problem is not None:
            self.messages += self._tracker.accept(self._tracker.problem())

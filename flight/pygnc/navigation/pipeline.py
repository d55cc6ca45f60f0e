"""Order in which the trackers process inputs and orbits.

    input --+--> orbit tracker --> orbit messages --+--> orbit
            |                                       |
            +--> attitude stage <-------------------+--> attitude
            |                                       |
            +--> formation stage <------------------+--> formation

1. The orbit tracker takes each input at once. It responds to each of our own fixes and to the end of the batch, with an
   estimate or, if there is none (yet), with a watermark.
2. The attitude stage takes the inputs in order. After one of our own fixes it waits for the orbit tracker's response to
   this fix, so that the next samples get the newest orbit.
3. The formation stage takes the inputs in order and collects ranges and fixes. When a solution is due, at the end of
   the batch and after the arc has grown, it waits for the response to the newest fix, and then for the solution.

`Pipeline` runs all three in one thread, for replay, gate and campaigns. In flight, each runs in a process of its own,
and the messages come over the bus. Pipeline and flight give the same estimates bit for bit, because the order in which
a stage takes its messages depends on the messages only, not on when they arrive.

This module imports trackers for type checks only, because a flight process has memory only for its own tracker.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from pygnc.bus.messages import (
    AttitudeEstimate,
    BatchEnd,
    FormationMessage,
    GnssFix,
    Message,
    OrbitEstimate,
    OrbitMessage,
    OrbitWatermark,
)

if TYPE_CHECKING:
    from pygnc.estimators.formation.solution import FormationSolution
    from pygnc.navigation.attitude import AttitudeTracker, SampleOutcome
    from pygnc.navigation.formation import FormationResult, FormationTracker, Problem
    from pygnc.navigation.orbit import FixOutcome, OrbitTracker

    Solve = Callable[[Problem], FormationResult | None]


# --- 1. Orbit ---------------------------------------------------------------------------------------------------------


class OrbitResponse(NamedTuple):
    """Response of the orbit tracker to an input.

    Attributes:
        outcomes: Result for each GPS packet, with its estimate if it has an orbit.
        messages: Messages of the orbit stream: the estimates, and a watermark unless an estimate is the response.
    """

    outcomes: "list[tuple[FixOutcome, OrbitEstimate | None]]"
    messages: list[OrbitMessage]

    @property
    def estimates(self) -> list[OrbitEstimate]:
        """Estimates of the packets that have an orbit, in order."""
        return [estimate for _, estimate in self.outcomes if estimate is not None]


def orbit_response(tracker: "OrbitTracker", message: Message, first_seq: int) -> OrbitResponse:
    """Process an input; return its results, with messages numbered from `first_seq`."""
    response = OrbitResponse([], [])
    for outcome in tracker.outcomes(message):
        estimate = None
        if outcome.state is not None:
            estimate = tracker.estimate(outcome, first_seq + len(response.messages))
            response.messages.append(estimate)
        response.outcomes.append((outcome, estimate))
    is_due = isinstance(message, BatchEnd) or (isinstance(message, GnssFix) and message.is_own)
    last = response.messages[-1] if response.messages else None
    if is_due and not (isinstance(last, OrbitEstimate) and last.input_seq == message.seq):
        response.messages.append(OrbitWatermark(first_seq + len(response.messages), last_input_seq=message.seq))
    return response


# --- 2. and 3. Attitude and formation ---------------------------------------------------------------------------------


_Tracker = TypeVar("_Tracker", "AttitudeTracker", "FormationTracker")
_Result = TypeVar("_Result")


class Stage(ABC, Generic[_Tracker, _Result]):
    """Tracker with its queues of inputs and orbit messages, taken in an order that depends on the messages only.

    Attributes:
        inputs: Inputs that have arrived and are not processed yet.
        orbits: Orbit messages that have arrived and are not processed yet.
        last_input_seq: Number of the last input whose results are complete.
        last_orbit_seq: Number of the last orbit message processed.
    """

    def __init__(self, tracker: _Tracker, last_input_seq: int = 0, last_orbit_seq: int = 0) -> None:
        self.tracker: _Tracker = tracker
        self.inputs: deque[Message] = deque()
        self.orbits: deque[Message] = deque()
        self.last_input_seq = last_input_seq
        self.last_orbit_seq = last_orbit_seq

    def step(self, *, orbit_is_late: bool = False) -> Iterator[_Result] | None:
        """Take the next message; return its results, or None if that message has not arrived.

        Iterate over the results to their end before the next step.

        Args:
            orbit_is_late: True to take an input although the tracker awaits an orbit message that has not arrived.
        """
        if self.tracker.awaits_orbit and (self.orbits or not orbit_is_late):
            if not self.orbits:
                return None
            orbit = self.orbits.popleft()
            self.last_orbit_seq = orbit.seq
            if isinstance(orbit, OrbitEstimate | OrbitWatermark):
                self.tracker.take_orbit(orbit)
            return iter(())
        return self._results(self.inputs.popleft()) if self.inputs else None

    def results(self, message: Message, orbits: list[OrbitMessage]) -> Iterator[_Result]:
        """Queue an input and the orbit tracker's response to it; yield the results of all that can be taken."""
        self.inputs.append(message)
        self.orbits += orbits
        while (results := self.step()) is not None:
            yield from results

    @abstractmethod
    def _results(self, message: Message) -> Iterator[_Result]:
        """Process an input, set `last_input_seq` and yield the results."""


class AttitudeRecord(NamedTuple):
    """Result of a sensor sample, with the estimate that is published for it."""

    outcome: "SampleOutcome"
    estimate: AttitudeEstimate


class AttitudeStage(Stage["AttitudeTracker", AttitudeRecord]):
    """Stage that turns sensor samples into attitude estimates.

    Attributes:
        last_output_seq: Sequence number of the last estimate.
    """

    last_output_seq = 0

    def _results(self, message: Message) -> Iterator[AttitudeRecord]:
        for outcome in self.tracker.outcomes(message):
            self.last_output_seq += 1
            yield AttitudeRecord(outcome, self.tracker.estimate(outcome, self.last_output_seq))
        self.last_input_seq = message.seq


class FormationStage(Stage["FormationTracker", list[FormationMessage]]):
    """Stage that turns ranges and fixes into formation estimates, and hands problems to a solver.

    Attributes:
        solution: Newest solution by `solve_now`; None before the first.
    """

    solution: "FormationSolution | None" = None

    def solve_now(self, problem: "Problem") -> "FormationResult":
        """Solve a problem in this thread; return the result and keep its solution in `solution`."""
        result = problem()
        self.solution = result.solution or self.solution
        return result

    def step(
        self, *, orbit_is_late: bool = False, solve: "Solve | None" = None
    ) -> Iterator[list[FormationMessage]] | None:
        """Take the next solution or message; return its results, or None if it has not arrived.

        Args:
            orbit_is_late: True to continue with the newest known orbit although a newer one is awaited.
            solve: Function that returns the result of a problem, or None while the solution is in progress; by default
                `solve_now`.
        """
        tracker = self.tracker
        if tracker.problem is not None:
            result = (solve or self.solve_now)(tracker.problem)
            return None if result is None else tracker.accept(result)
        if orbit_is_late and tracker.awaits_orbit and not self.orbits:
            tracker.give_up_orbit()
            return iter(())
        return super().step()

    def _results(self, message: Message) -> Iterator[list[FormationMessage]]:
        self.last_input_seq = message.seq
        yield self.tracker.process(message)


# --- All in one thread ------------------------------------------------------------------------------------------------


class PipelineResult(NamedTuple):
    """Results of one input, by tracker."""

    orbit: OrbitResponse
    attitude: list[AttitudeRecord]
    formation: list[FormationMessage]


class Pipeline:
    """The trackers of one satellite, run in one thread. A stage that is None is left out."""

    def __init__(self, orbit: "OrbitTracker", attitude: AttitudeStage | None, formation: FormationStage | None) -> None:
        self.orbit = orbit
        self.attitude = attitude
        self.formation = formation
        self._last_orbit_seq = 0

    def process(self, message: Message) -> PipelineResult:
        """Process an input with all trackers, including due solutions; return all results."""
        response = orbit_response(self.orbit, message, self._last_orbit_seq + 1)
        self._last_orbit_seq += len(response.messages)
        attitude = self.attitude.results(message, response.messages) if self.attitude else ()
        formation = self.formation.results(message, response.messages) if self.formation else ()
        return PipelineResult(response, [*attitude], [one for messages in formation for one in messages])

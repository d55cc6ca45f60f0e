"""From input messages and orbits to formation estimates: what is solved when, from what, and what is said of it.

Nothing here waits, reads a clock or a file, so that a replay on the ground runs this very code. The batch is solved
when it has come wholly. What comes behind its end goes into a filter; when there is a quarter more than at the last
solution, ten minutes at least, all of it is solved again. A solution may take seconds, so it is asked for (`problem`)
and given back (`accept`): until then nothing else is taken.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from pygnc.bus.messages import (
    BatchEnd,
    FormationMessage,
    GpsFix,
    Message,
    OrbitEstimate,
    OrbitMessage,
    RangeMeasurement,
)
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.approach import Approach, approaches
from pygnc.estimators.formation.batch import FormationSolver
from pygnc.estimators.formation.filter import FormationFilter
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, EMPIRICAL, POSITION, SIZE, VELOCITY, OrbitState
from pygnc.tasks.formation.arc import FormationArc, MeasurementTime, Observed
from pygnc.tasks.formation.report import SolutionPlaces, approach_messages, filtered_place, placed, solved_estimates

SOLVED_AGAIN_MS: Final = 600_000
SOLVED_AGAIN_SHARE: Final = 0.25
"""Of the time that the last solution spans."""


class Answer(NamedTuple):
    """What a problem led to.

    Attributes:
        solution: None when there is none.
        formation: The filter that goes on from it.
        approaches: Closest ones within a day from the solution's end.
    """

    solution: FormationSolution | None = None
    formation: FormationFilter | None = None
    approaches: tuple[Approach, ...] = ()


Problem: TypeAlias = Callable[[], Answer]


class FormationTracker:
    """Takes inputs and orbits one by one and gives estimates, numbered from 1.

    Attributes:
        problem: What is to be solved before anything else is taken; None when nothing is.
        solution: The newest.
    """

    def __init__(self, settings: Settings, orientation: EarthOrientationTable) -> None:
        self._settings = settings
        self._arc = FormationArc(settings.formation, settings.orbit.screening)
        self._frames = EarthFrames(orientation)
        self._solver = FormationSolver(settings.formation, settings.orbit, self._frames)
        self._orbit: OrbitEstimate | None = None
        self._expected, self._answered, self._through, self._given = 0, 0, 0, 0
        self._batch_ended = False
        self._told_gps_ms: dict[int, int] = {}
        self._due_gps_ms = 0
        self._formation: FormationFilter | None = None
        self.problem: Problem | None = None
        self.solution: FormationSolution | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Books of ranges and partners' fixes, named as in the status record; used and rejected in the newest arc."""
        used = 0 if self.solution is None else int(self.solution.used.sum())
        seen = 0 if self.solution is None else len(self.solution.used)
        return self._arc.counts | {"ranges_used": used, "ranges_rejected": seen - used}

    @property
    def awaits_orbit(self) -> bool:
        """Whether the orbit task's answer to the newest input is to be taken before anything else."""
        return self._is_due and self.problem is None and self._answered < self._expected

    def take_orbit(self, message: OrbitMessage) -> None:
        """Take the next message of the orbit stream; none more than is awaited."""
        if isinstance(message, OrbitEstimate):
            self._orbit = message
            if message.input_seq != message.last_input_seq:
                return
        self._answered = message.last_input_seq
        self._pose()

    def give_up_orbit(self) -> None:
        """Go on with the orbit as it is, for the orbit task does not answer."""
        self._answered = self._expected
        self._pose()

    def process(self, message: Message) -> list[FormationMessage]:
        """Process one input; return what there is to say."""
        if isinstance(message, GpsFix | RangeMeasurement | BatchEnd):
            self._through = message.seq
        told: list[FormationMessage] = []
        for observed in self._arc.take(message):
            told += self._filtered(observed)
        if isinstance(message, BatchEnd):
            self._batch_ended = True
        if isinstance(message, BatchEnd) or (isinstance(message, GpsFix) and message.is_own):
            self._expected = message.seq
        self._pose()
        return told

    def accept(self, answer: Answer) -> list[FormationMessage]:
        """Take the answer to `problem`; return what there is to say."""
        self.problem = None
        if answer.solution is not None:
            self.solution, self._formation = answer.solution, answer.formation
        places = None if answer.solution is None else SolutionPlaces(answer.solution, self._own_id)
        cause = "our own orbit is not known" if self._orbit is None else "not in the arc of our own orbit"
        occasions = [one for one in self._arc.occasions if one.gps_ms > self._told_gps_ms.get(one.partner, 0)]
        told: list[FormationMessage] = []
        told += solved_estimates(places, occasions, cause, self._through, self._given + 1)
        told += approach_messages(answer.approaches, self._through, self._given + len(told) + 1)
        self._told_gps_ms |= {one.partner: one.gps_ms for one in occasions}
        self._given += len(told)
        return told

    @property
    def _own_id(self) -> int:
        return self._settings.formation.own_id

    def _filtered(self, observed: Observed) -> list[FormationMessage]:
        """Give what comes behind a solution to the filter; say where those are whom it concerns."""
        formation, solution = self._formation, self.solution
        if formation is None or solution is None:
            return []
        what = observed.what
        if isinstance(what, RangeObservation):
            update = formation.process([what], [])
            is_own = what.one == self._own_id and update.ranges[0].cause is None
            residual_m = update.ranges[0].residual_m if is_own else None
        else:
            update, residual_m = formation.process([], [what]), None
        told: list[FormationMessage] = []
        for partner in observed.satellites if update.moved else ():
            place = None if partner == self._own_id else filtered_place(formation, solution, partner, residual_m)
            if place is not None:
                occasion = MeasurementTime(observed.gps_ms, partner, observed.input_seq)
                self._told_gps_ms[partner] = observed.gps_ms
                self._given += 1
                told.append(placed(occasion, place, self._through, self._given))
        return told

    @property
    def _is_due(self) -> bool:
        newest_ms = self._arc.newest_gps_ms
        return self._batch_ended and newest_ms is not None and newest_ms >= self._due_gps_ms

    def _pose(self) -> None:
        newest_ms = self._arc.newest_gps_ms
        if newest_ms is None or not self._is_due or self.problem is not None or self.awaits_orbit:
            return
        self._arc.forget()
        known, fixes, ranges = self._orbit, self._arc.fixes, tuple(self._arc.ranges)
        begin_ms = min((seen.gps_ms for seen in ranges), default=newest_ms)
        self._due_gps_ms = newest_ms + max(SOLVED_AGAIN_MS, round(SOLVED_AGAIN_SHARE * (newest_ms - begin_ms)))
        orbit = None if known is None else orbit_state(known, self._settings.orbit)
        self.problem = lambda: Answer() if orbit is None else self._solved(orbit, fixes, ranges)

    def _solved(self, orbit: OrbitState, fixes: Sequence[SatelliteFix], ranges: Sequence[RangeObservation]) -> Answer:
        solution = self._solver.solve(orbit, fixes, ranges)
        if solution is None:
            return Answer()
        settings = self._settings
        formation = FormationFilter(solution, settings.formation, settings.orbit, self._frames)
        slices = approaches(formation.groups, settings.formation, settings.orbit, self._frames)
        return Answer(solution, formation, _result(slices))


def _result(slices: Generator[None, None, tuple[Approach, ...]]) -> tuple[Approach, ...]:
    """What a computation in slices comes to."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            found: tuple[Approach, ...] = end.value
            return found


def orbit_state(estimate: OrbitEstimate, settings: OrbitSettings) -> OrbitState:
    """An estimate as the orbit filter's state; what the message leaves out is taken as unknown.

    Sigmas of the axes are taken as independent of each other.
    """
    x, sigma = np.zeros(SIZE), np.zeros(SIZE)
    x[POSITION], x[VELOCITY] = estimate.position_gcrf_m, estimate.velocity_gcrf_mps
    # The axes of the sigmas are those of ITRF: what is said of all three holds in any axes.
    sigma[POSITION] = np.sqrt(np.mean(np.square(estimate.position_sigma_m)))
    sigma[VELOCITY] = np.sqrt(np.mean(np.square(estimate.velocity_sigma_mps)))
    sigma[DRAG] = settings.process_noise.drag_log_sigma
    sigma[EMPIRICAL] = settings.process_noise.empirical_sigma_mps2
    return OrbitState(estimate.gps_ms, x, np.diag(sigma))

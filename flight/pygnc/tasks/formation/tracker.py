"""Formation tracker: estimates the formation from input messages and orbits, and decides when an arc is solved.

It performs no I/O and reads no clock. The replay on the ground runs it, too.

The batch is solved at its end; if it is long, its last hour is solved first, so that a slow computer soon has a result.
Later observations update a filter. When the arc has grown by a quarter since the last solution, and by at least ten
minutes, all of it is solved again. A solution may take seconds. Therefore the tracker only poses a `problem`; the
caller solves it and passes the result to `accept` before it continues with other inputs.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
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
from pygnc.estimators.formation.batch_solver import FormationSolver
from pygnc.estimators.formation.filter import FormationFilter
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, EMPIRICAL, POSITION, SIZE, VELOCITY, OrbitState
from pygnc.tasks.formation.arc import FormationArc, MeasurementTime
from pygnc.tasks.formation.report import approach_messages, filtered_estimate, solved_estimates

MESSAGES_PER_SLICE: Final = 64
LAST_HOUR_MS: Final = 3_600_000
LONG_ARC_MS: Final = 2 * LAST_HOUR_MS
"""Span of an arc from which its last hour is solved first."""
SOLVED_AGAIN_MS: Final = 600_000
"""Minimum growth of the arc in ms after which it is solved again."""
SOLVED_AGAIN_SHARE: Final = 0.25
"""Growth of the arc after which it is solved again, relative to the span of the last solution."""


class FormationResult(NamedTuple):
    """Result of `FormationTracker.problem`.

    Attributes:
        solution: Solution of the arc, if there is one.
        formation: Filter that continues the solution, if there is one.
        approaches: Closest approaches within a day after the end of the solution.
        is_preliminary: True for the last hour of a long arc, whose solution follows.
    """

    solution: FormationSolution | None = None
    formation: FormationFilter | None = None
    approaches: tuple[Approach, ...] = ()
    is_preliminary: bool = False


Problem: TypeAlias = Callable[[], FormationResult]


class FormationTracker:
    """Tracker that processes inputs and orbits one by one and returns estimates, numbered from 1.

    Attributes:
        problem: Computation to run before the next input; None if there is none.
    """

    def __init__(self, settings: Settings, orientation: EarthOrientationTable) -> None:
        self._settings = settings
        self._arc = FormationArc(settings.formation, settings.orbit.screening)
        self._frames = EarthFrames(orientation)
        self._solver = FormationSolver(settings.formation, settings.orbit, self._frames)
        self._orbit: OrbitEstimate | None = None
        self._expected, self._answered, self._last_input_seq, self._last_seq = 0, 0, 0, 0
        self._batch_ended = False
        self._reported_gps_ms: dict[int, int] = {}
        self._due_gps_ms = 0
        self._has_begun = False
        self._formation: FormationFilter | None = None
        self._ranges_used, self._ranges_rejected = 0, 0
        self.problem: Problem | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Range and fix counters, named as in the status record; used and rejected ranges are of the newest arc."""
        rejected = self._arc.counts["ranges_rejected"] + self._ranges_rejected
        return self._arc.counts | {"ranges_used": self._ranges_used, "ranges_rejected": rejected}

    @property
    def awaits_orbit(self) -> bool:
        """True if the orbit task's response to the newest input must be processed before anything else."""
        return self._is_due and self.problem is None and self._answered < self._expected

    @property
    def is_blocked(self) -> bool:
        """True if a problem must be solved, or an orbit processed, before the next input."""
        return self.problem is not None or self.awaits_orbit

    def take_orbit(self, message: OrbitMessage) -> None:
        """Process the next message of the orbit stream; call it only while `awaits_orbit`."""
        if isinstance(message, OrbitEstimate):
            # Mean elements are too inaccurate for the formation.
            self._orbit = self._orbit if message.from_elements else message
            if message.input_seq != message.last_input_seq:
                return
        self._answered = message.last_input_seq
        self._pose_problem_if_due()

    def give_up_orbit(self) -> None:
        """Continue with the newest known orbit instead of waiting for the orbit task."""
        self._answered = self._expected
        self._pose_problem_if_due()

    def process(self, message: Message) -> list[FormationMessage]:
        """Process one input; return the resulting messages."""
        if isinstance(message, GpsFix | RangeMeasurement | BatchEnd):
            self._last_input_seq = message.seq
        messages: list[FormationMessage] = []
        for observation, input_seq in self._arc.process(message):
            messages += self._filtered(observation, input_seq)
        if isinstance(message, BatchEnd):
            self._batch_ended = True
        if isinstance(message, BatchEnd) or (isinstance(message, GpsFix) and message.is_own):
            self._expected = message.seq
        self._pose_problem_if_due()
        return messages

    def accept(self, solved: FormationResult) -> Iterator[list[FormationMessage]]:
        """Process the result of `problem`; yield the resulting messages, of a preliminary one for the newest times.

        Iterate to the end before the next input. The messages of half a day at once would take megabytes.
        """
        self.problem, self._formation = None, solved.formation or self._formation
        if solved.solution is not None:
            self._ranges_used = int(solved.solution.used.sum())
            self._ranges_rejected = len(solved.solution.used) - self._ranges_used
        cause = "our own orbit is unknown" if self._orbit is None else "outside the arc of our own orbit"
        times = [time for time in self._arc.times if time.gps_ms > self._reported_gps_ms.get(time.partner, 0)]
        if solved.is_preliminary:
            times = sorted({time.partner: time for time in times if solved.solution is not None}.values())
        last_input_seq, first_seq = self._last_input_seq, self._last_seq + 1
        estimates: Iterator[FormationMessage] = solved_estimates(
            solved.solution, times, cause, last_input_seq=last_input_seq, first_seq=first_seq
        )
        while messages := [*islice(estimates, MESSAGES_PER_SLICE)]:
            self._last_seq += len(messages)
            yield messages
        if solved.is_preliminary:
            self._pose_problem_if_due()
            return
        approached: list[FormationMessage] = [*approach_messages(solved.approaches, last_input_seq, self._last_seq + 1)]
        self._reported_gps_ms |= {time.partner: time.gps_ms for time in times}
        self._last_seq += len(approached)
        yield approached

    def _filtered(self, observation: RangeObservation | SatelliteFix, input_seq: int) -> list[FormationMessage]:
        """Update the filter with an observation after a solution; return messages on the partners that it concerns."""
        formation = self._formation
        if formation is None:
            return []
        residual_m = None
        if isinstance(observation, RangeObservation):
            verdict = formation.process_range(observation)
            moved = verdict.moved
            if observation.one == self._settings.formation.own_id and verdict.cause is None:
                residual_m = verdict.residual_m
        else:
            moved = formation.process_fix(observation).moved
        messages: list[FormationMessage] = []
        for partner in observation.satellites if moved else ():
            time = MeasurementTime(observation.gps_ms, partner, input_seq)
            message = filtered_estimate(
                time,
                formation,
                residual_m=residual_m,
                last_input_seq=self._last_input_seq,
                seq=self._last_seq + 1,
            )
            if message is not None:
                self._reported_gps_ms[partner] = observation.gps_ms
                self._last_seq += 1
                messages.append(message)
        return messages

    @property
    def _is_due(self) -> bool:
        newest_ms = self._arc.newest_gps_ms
        return self._batch_ended and newest_ms is not None and newest_ms >= self._due_gps_ms

    def _pose_problem_if_due(self) -> None:
        newest_ms = self._arc.newest_gps_ms
        if newest_ms is None or not self._is_due or self.problem is not None or self.awaits_orbit:
            return
        self._arc.remove_old()
        known, fixes, ranges = self._orbit, self._arc.fixes, tuple(self._arc.ranges)
        begin_ms = min((seen.gps_ms for seen in ranges), default=newest_ms)
        is_preliminary = not self._has_begun and newest_ms - begin_ms > LONG_ARC_MS
        self._has_begun = True
        if is_preliminary:
            fixes = [fix for fix in fixes if fix.gps_ms > newest_ms - LAST_HOUR_MS]
            ranges = tuple(seen for seen in ranges if seen.gps_ms > newest_ms - LAST_HOUR_MS)
        else:
            self._due_gps_ms = newest_ms + max(SOLVED_AGAIN_MS, round(SOLVED_AGAIN_SHARE * (newest_ms - begin_ms)))
        orbit = None if known is None else orbit_state(known, self._settings.orbit)
        result = FormationResult(is_preliminary=is_preliminary)
        self.problem = lambda: result if orbit is None else self._solve(result, orbit, fixes, ranges)

    def _solve(
        self,
        result: FormationResult,
        orbit: OrbitState,
        fixes: Sequence[SatelliteFix],
        ranges: Sequence[RangeObservation],
    ) -> FormationResult:
        solution = self._solver.solve(orbit, fixes, ranges)
        if solution is None or result.is_preliminary:
            return result._replace(solution=solution)
        settings = self._settings
        formation = FormationFilter(solution, settings.formation, settings.orbit, self._frames)
        found = approaches(formation.groups, settings.formation, settings.orbit, self._frames)
        return result._replace(solution=solution, formation=formation, approaches=found)


def orbit_state(estimate: OrbitEstimate, settings: OrbitSettings) -> OrbitState:
    """Return an estimate as state of the orbit filter.

    Parameters that the message does not contain have their prior standard deviation. Correlations are neglected.
    """
    x, sigma = np.zeros(SIZE), np.zeros(SIZE)
    x[POSITION], x[VELOCITY] = estimate.position_gcrf_m, estimate.velocity_gcrf_mps
    # The sigmas refer to the axes of ITRF; their mean square is the same in any axes.
    sigma[POSITION] = np.sqrt(np.mean(np.square(estimate.position_sigma_m)))
    sigma[VELOCITY] = np.sqrt(np.mean(np.square(estimate.velocity_sigma_mps)))
    sigma[DRAG] = settings.process_noise.drag_log_sigma
    sigma[EMPIRICAL] = settings.process_noise.empirical_sigma_mps2
    return OrbitState(estimate.gps_ms, x, np.diag(sigma))

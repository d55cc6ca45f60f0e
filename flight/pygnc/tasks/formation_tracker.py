"""From input messages and orbits to formation estimates: what is solved when, from what, and what is said of it.

Nothing here waits, reads a clock or a file, so that a replay on the ground runs this very code. The batch is solved
when it has come wholly; behind its end, when there is a quarter more than at the last solution, ten minutes at least. A
solution may take seconds, so it is asked for (`problem`) and given back (`accept`): until then nothing else is taken.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

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
from pygnc.estimators.formation.batch import FormationSolver
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, EMPIRICAL, POSITION, SIZE, VELOCITY, OrbitState
from pygnc.tasks.formation_arc import FormationArc
from pygnc.tasks.formation_report import FormationReport

SOLVED_AGAIN_MS: Final = 600_000
SOLVED_AGAIN_SHARE: Final = 0.25
"""Of the time that the last solution spans."""

Problem: TypeAlias = Callable[[], FormationSolution | None]


class FormationTracker:
    """Takes inputs and orbits one by one and gives estimates.

    Attributes:
        problem: What is to be solved before anything else is taken; None when nothing is.
        solution: The newest.
    """

    def __init__(self, settings: Settings, orientation: EarthOrientationTable) -> None:
        self._own_id = settings.formation.own_id
        self._orbit_settings = settings.orbit
        self._arc = FormationArc(settings.formation, settings.orbit.screening)
        self._solver = FormationSolver(settings.formation, settings.orbit, EarthFrames(orientation))
        self._orbit: OrbitEstimate | None = None
        self._expected, self._answered, self._through = 0, 0, 0
        self._batch_ended = False
        self._told_gps_ms: int | None = None
        self._due_gps_ms = 0
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
            if message.input_seq != message.through:
                return
        self._answered = message.through
        self._pose()

    def give_up_orbit(self) -> None:
        """Go on with the orbit as it is, for the orbit task does not answer."""
        self._answered = self._expected
        self._pose()

    def take(self, message: Message) -> None:
        """Process one input."""
        if isinstance(message, GpsFix | RangeMeasurement | BatchEnd):
            self._through = message.seq
        self._arc.take(message)
        if isinstance(message, BatchEnd):
            self._batch_ended = True
        if isinstance(message, BatchEnd) or (isinstance(message, GpsFix) and message.is_own):
            self._expected = message.seq
        self._pose()

    def accept(self, solution: FormationSolution | None, first_seq: int) -> list[FormationMessage]:
        """Take the answer to `problem`; return what there is to say, numbered from `first_seq`."""
        self.problem = None
        if solution is not None:
            self.solution = solution
        cause = "our own orbit is not known" if self._orbit is None else "not in the arc of our own orbit"
        report = FormationReport(solution, self._own_id, cause)
        occasions = self._arc.occasions_after(self._told_gps_ms)
        self._told_gps_ms = self._arc.newest_gps_ms
        return list(report.estimates(occasions, self._through, first_seq))

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
        orbit = None if known is None else orbit_state(known, self._orbit_settings)
        self.problem = lambda: None if orbit is None else self._solver.solve(orbit, fixes, ranges)


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

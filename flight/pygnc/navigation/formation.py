"""Formation tracker: estimates the formation from input messages and orbits, and decides when an arc is solved.

It performs no I/O and reads no clock. The replay on the ground runs it, too.

The observations of the batch are solved at its end. If they span hours, the last hour is solved first, without awaiting
the orbit, so that a slow computer soon has a result.
Later observations update a filter. When the arc has grown by a quarter since the last solution, and by at least ten
minutes, the whole arc is solved again. A solution may take seconds. Therefore the tracker only provides a `problem`;
the caller solves it and passes the result to `accept` before it continues with other inputs.

A checkpoint contains all state but the arc, which `restore` collects again from the inputs before the checkpoint. An
interrupted solution continues after its last complete stage.
"""

import math
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from statistics import median_high
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np

from pygnc.bus.messages import (
    BatchEnd,
    ClosestApproach,
    FormationMessage,
    GnssFix,
    Message,
    OrbitEstimate,
    OrbitMessage,
    RangeMeasurement,
)
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.checkpoint import decode, encode
from pygnc.estimators.formation.approach import Approach, approaches, continued_path, day_path, relative_tracks
from pygnc.estimators.formation.arc_solver import FormationSolver
from pygnc.estimators.formation.filter import FilterMemory, FormationFilter, initial_memory
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix
from pygnc.estimators.formation.reference import OrbitPath, PathStart
from pygnc.estimators.formation.search import FoundOrbits
from pygnc.estimators.formation.solution import FormationSolution, StageResult
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, EMPIRICAL, POSITION, SIZE, VELOCITY, OrbitState
from pygnc.navigation.formation_arc import FormationArc, MeasurementTime
from pygnc.navigation.formation_messages import filtered_estimate, solved_estimates

MESSAGES_PER_SLICE: Final = 64
LAST_HOUR_MS: Final = 3_600_000
LONG_ARC_MS: Final = 2 * LAST_HOUR_MS
"""Span in ms above which the last hour of an arc is solved first."""
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
        is_preliminary: True for the last hour of a long arc; the solution of the whole arc follows.
        day: Orbit from which closest approaches were predicted, which the next prediction continues.
    """

    solution: FormationSolution | None = None
    formation: FormationFilter | None = None
    approaches: tuple[Approach, ...] = ()
    is_preliminary: bool = False
    day: OrbitPath | None = None


Problem: TypeAlias = Callable[[], FormationResult]


class _Memory(msgspec.Struct):
    """State of the tracker without the arc.

    Attributes:
        orbit: Newest orbit of our satellite.
        expected_seq: Number of the newest input to which the orbit task must respond.
        answered_seq: Number of the newest input to which the orbit task has responded.
        last_input_seq: Number of the newest input that may change the estimates.
        last_seq: Number of the newest message.
        batch_ended: True after the end of the batch.
        reported_gps_ms: GPS milliseconds of the newest final estimate of each partner.
        due_gps_ms: GPS milliseconds; the arc is solved again with the first observation at or after this time.
        has_begun: True once a first problem was posed.
        arc_begin_gps_ms: GPS milliseconds before which observations were removed from the arc.
        ranges_used: Number of ranges used in the newest solution.
        ranges_rejected: Number of ranges rejected in the newest solution.
        posed: Observations of the present problem: of the last hour or of the whole arc; empty without a problem.
        stages: Results of the complete stages of the present problem.
        filter: State of the filter that continues the newest solution.
        paths: Starts of the reference orbits of the newest solution, by radio id.
        day: Start of the orbit of the newest prediction of closest approaches.
        time_errors: Errors of the times of our fixes in s, as found by the orbit filter, each after the stated time of
            the first fix that has it, GPS milliseconds.
        found: Orbits of the newest solution with which the next one begins.
    """

    orbit: OrbitEstimate | None = None
    expected_seq: int = 0
    answered_seq: int = 0
    last_input_seq: int = 0
    last_seq: int = 0
    batch_ended: bool = False
    reported_gps_ms: dict[int, int] = {}
    due_gps_ms: int = 0
    has_begun: bool = False
    arc_begin_gps_ms: int = 0
    ranges_used: int = 0
    ranges_rejected: int = 0
    posed: Literal["", "last hour", "arc"] = ""
    stages: list[StageResult] = []
    filter: FilterMemory | None = None
    paths: dict[int, PathStart] = {}
    day: PathStart | None = None
    found: FoundOrbits | None = None
    time_errors: list[tuple[int, float]] = []


class FormationTracker:
    """Tracker that processes inputs and orbits one by one and returns estimates, numbered from 1.

    Args:
        settings: Settings of the run.
        orientation: Table of Earth orientation parameters.
        checkpoint: State of an earlier tracker; call `restore` before the next input.

    Attributes:
        problem: Computation to run before the next input; None if there is none.
    """

    def __init__(self, settings: Settings, orientation: EarthOrientationTable, checkpoint: bytes | None = None) -> None:
        self._settings = settings
        self._arc = FormationArc(settings.formation, settings.orbit.screening)
        self._frames = EarthFrames(orientation)
        self._solver = FormationSolver(settings.formation, settings.orbit, self._frames)
        self._memory = _Memory() if checkpoint is None else decode(checkpoint, _Memory)
        self._solver.resume(self._memory.paths, self._memory.found)
        day = self._memory.day
        self._day = None if day is None else continued_path(day, settings.orbit, self._frames)
        self._formation = None if self._memory.filter is None else self._filter(self._memory.filter)
        self.problem: Problem | None = None

    def checkpoint(self) -> bytes:
        """Return all state but the arc as bytes; do not call it while the messages of `accept` are being iterated."""
        # The list is copied, because the thread that solves the problem may append a stage during encoding.
        return encode(msgspec.structs.replace(self._memory, stages=[*self._memory.stages]))

    def digest(self) -> int:
        """Return the CRC-32 of the arc and of the counters, which the checkpoint does not contain."""
        fixes = [(fix.satellite, fix.gps_ms, fix.fix.position_ecef_m.tobytes()) for fix in self._arc.fixes]
        return zlib.crc32(repr((self.counts, [*self._arc.ranges], fixes)).encode())

    def restore(self, inputs: Iterable[Message]) -> None:
        """Collect the arc from all inputs before the checkpoint, and pose an interrupted problem again."""
        for message in inputs:
            self._arc.process(message)
        self._arc.remove_before(self._memory.arc_begin_gps_ms)
        if self._memory.posed:
            self._make_problem()

    @property
    def stage(self) -> tuple[str, int]:
        """Observations of the problem ("last hour" or "arc"; empty without one) and number of complete stages."""
        return self._memory.posed, len(self._memory.stages)

    @property
    def counts(self) -> dict[str, int]:
        """Range and fix counters, named as in the status record; used and rejected ranges are of the newest solution.

        While an arc is solved again, ranges of the former solution may also count as old.
        """
        used, rejected, counts = self._memory.ranges_used, self._memory.ranges_rejected, self._arc.counts
        return counts | {
            "ranges_used": used,
            "ranges_rejected": rejected + counts["ranges_rejected"],
            "ranges_unsolved": max(0, len(self._arc.ranges) - used - rejected),
        }

    @property
    def ranges(self) -> Collection[RangeObservation]:
        """Ranges in the arc."""
        return self._arc.ranges.keys()

    @property
    def awaits_orbit(self) -> bool:
        """True if the orbit task's response to the newest input must be processed before anything else."""
        return self._is_due and self.problem is None and self._memory.answered_seq < self._memory.expected_seq

    @property
    def is_blocked(self) -> bool:
        """True if a problem must be solved, or an orbit processed, before the next input."""
        return self.problem is not None or self.awaits_orbit

    def take_orbit(self, message: OrbitMessage) -> None:
        """Process the next message of the orbit stream; call it only while `awaits_orbit`."""
        if isinstance(message, OrbitEstimate):
            self._note_time_error(message)
            # Mean elements are too inaccurate for the formation.
            self._memory.orbit = self._memory.orbit if message.from_elements else message
            if message.input_seq != message.last_input_seq:
                return
        self._memory.answered_seq = message.last_input_seq
        self._pose_problem_if_due()

    def give_up_orbit(self) -> None:
        """Continue with the newest known orbit instead of waiting for the orbit task."""
        self._memory.answered_seq = self._memory.expected_seq
        self._pose_problem_if_due()

    def process(self, message: Message) -> list[FormationMessage]:
        """Process one input; return the estimates of the filter that follow from it."""
        if isinstance(message, GnssFix | RangeMeasurement | BatchEnd):
            self._memory.last_input_seq = message.seq
        messages: list[FormationMessage] = []
        for observation, input_seq in self._arc.process(message):
            messages += self._filtered(observation, input_seq)
        if isinstance(message, BatchEnd):
            self._memory.batch_ended = True
            self._pose_last_hour_if_long()
        if isinstance(message, BatchEnd) or (isinstance(message, GnssFix) and message.is_own):
            self._memory.expected_seq = message.seq
        self._pose_problem_if_due()
        return messages

    def accept(self, solved: FormationResult) -> Iterator[list[FormationMessage]]:
        """Process the result of `problem`; yield lists of messages, only for the newest times if it is preliminary.

        Iterate to the end before the next input. The messages of half a day at once would take megabytes.
        """
        memory = self._memory
        self.problem, memory.posed, memory.stages = None, "", []
        memory.paths = {identity: path.start for identity, path in self._solver.paths.items()}
        memory.found = self._solver.found
        if solved.day is not None:
            self._day, memory.day = solved.day, solved.day.start
        if solved.formation is not None:
            self._formation, memory.filter = solved.formation, solved.formation.memory
        if solved.solution is not None:
            memory.ranges_used = int(solved.solution.used.sum())
            memory.ranges_rejected = len(solved.solution.used) - memory.ranges_used
        cause = "our own orbit is unknown" if self._memory.orbit is None else "outside the arc of our own orbit"
        times = [time for time in self._arc.times if time.gps_ms > self._memory.reported_gps_ms.get(time.partner, 0)]
        if solved.is_preliminary:
            times = sorted({time.partner: time for time in times if solved.solution is not None}.values())
        estimates = solved_estimates(solved.solution, times, cause)
        while messages := self._numbered(islice(estimates, MESSAGES_PER_SLICE)):
            yield messages
        if solved.is_preliminary:
            self._pose_problem_if_due()
            return
        self._memory.reported_gps_ms |= {time.partner: time.gps_ms for time in times}
        yield self._numbered(ClosestApproach(0, 0, *approach) for approach in solved.approaches)

    def _numbered(self, messages: Iterable[FormationMessage]) -> list[FormationMessage]:
        """Return the messages with the next values of `seq` and with the number of the newest input."""
        first_seq, last_input_seq = self._memory.last_seq + 1, self._memory.last_input_seq
        numbered = [
            msgspec.structs.replace(message, seq=seq, last_input_seq=last_input_seq)
            for seq, message in enumerate(messages, first_seq)
        ]
        self._memory.last_seq += len(numbered)
        return numbered

    def _filtered(self, observation: RangeObservation | SatelliteFix, input_seq: int) -> list[FormationMessage]:
        """Update the filter with an observation; return estimates of its partners.

        There are none if all hypotheses rejected it, except for partners whose orbit such observations contradict.
        """
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
        for partner in observation.satellites:
            time = MeasurementTime(observation.gps_ms, partner, input_seq)
            estimate = filtered_estimate(time, formation, residual_m)
            if estimate is not None and estimate.cause:
                messages.append(estimate)  # it is not final, because the next solution may fit
            elif estimate is not None and moved:
                self._memory.reported_gps_ms[partner] = observation.gps_ms
                messages.append(estimate)
        return self._numbered(messages)

    @property
    def _is_due(self) -> bool:
        newest_ms = self._arc.newest_gps_ms
        return self._memory.batch_ended and newest_ms is not None and newest_ms >= self._memory.due_gps_ms

    def _pose_last_hour_if_long(self) -> None:
        """Pose the last hour of a long arc without awaiting the orbit, if it has enough of our own fixes."""
        self._memory.arc_begin_gps_ms = self._arc.remove_old()
        if self._span_ms() > LONG_ARC_MS and not self._memory.has_begun:
            own_id, begin_ms = self._settings.formation.own_id, (self._arc.newest_gps_ms or 0) - LAST_HOUR_MS
            own = [fix for fix in self._arc.fixes if fix.satellite == own_id and fix.gps_ms > begin_ms]
            if len(own) >= self._settings.formation.own_fixes_min:
                self._pose("last hour")

    def _span_ms(self) -> int:
        newest_ms = self._arc.newest_gps_ms or 0
        return newest_ms - min((seen.gps_ms for seen in self._arc.ranges), default=newest_ms)

    def _pose_problem_if_due(self) -> None:
        newest_ms = self._arc.newest_gps_ms
        if newest_ms is None or not self._is_due or self.problem is not None or self.awaits_orbit:
            return
        self._memory.arc_begin_gps_ms = self._arc.remove_old()
        span_ms = self._span_ms()
        if not self._memory.has_begun and span_ms > LONG_ARC_MS:
            self._pose("last hour")
        else:
            self._memory.due_gps_ms = newest_ms + max(SOLVED_AGAIN_MS, round(SOLVED_AGAIN_SHARE * span_ms))
            self._pose("arc")

    def _pose(self, observations: Literal["last hour", "arc"]) -> None:
        self._memory.posed, self._memory.has_begun = observations, True
        self._make_problem()

    def _make_problem(self) -> None:
        """Set `problem` to the computation for the posed observations, with the orbit known so far."""
        known, stages, settings = self._memory.orbit, self._memory.stages, self._settings
        is_preliminary = self._memory.posed == "last hour"
        begin_ms = (self._arc.newest_gps_ms or 0) - LAST_HOUR_MS if is_preliminary else -math.inf
        fixes = [self._at_right_time(fix) for fix in self._arc.fixes if fix.gps_ms > begin_ms]
        ranges = [seen for seen in self._arc.ranges if seen.gps_ms > begin_ms]

        # The result of the whole arc must not depend on the preliminary one, so that has reference orbits of its own.
        solver = FormationSolver(settings.formation, settings.orbit, self._frames) if is_preliminary else self._solver

        def problem() -> FormationResult:
            result = FormationResult(is_preliminary=is_preliminary)
            orbit = None if known is None else orbit_state(known, settings.orbit)
            if orbit is None and is_preliminary:
                ours = [fix.fix for fix in fixes if fix.satellite == settings.formation.own_id]
                # The median, because the time of a fix may be wrong.
                orbit = solver.orbit_of_fix(ours, median_high(fix.gps_ms for fix in ours)) if ours else None
            if orbit is None:
                return result
            solution = solver.solve(orbit, fixes, ranges, stages)
            if solution is None or is_preliminary:
                return result._replace(solution=solution)
            formation = self._filter(initial_memory(solution, settings.formation, settings.orbit.process_noise))
            groups = [(bank.satellites, bank.hypotheses) for bank in formation.memory.banks]
            day = None
            if groups:
                own = groups[0][1][0].states[0]
                day = day_path(self._day, formation.gps_ms, own, settings.orbit, self._frames)
            tracks = relative_tracks(
                formation.gps_ms, groups, settings.formation, settings.orbit, self._frames, path=day
            )
            nearest = approaches(tracks)
            # An orbit that observations contradict predicts nothing.
            fitting = {identity for identity, each in formation.partners.items() if each.fits or not each.unsolved}
            nearest = tuple(each for each in nearest if each.partner in fitting)
            return result._replace(solution=solution, formation=formation, approaches=nearest, day=day)

        self.problem = problem

    def _note_time_error(self, estimate: OrbitEstimate) -> None:
        errors = self._memory.time_errors
        if estimate.accepted and estimate.time_error_s != (errors[-1][1] if errors else 0.0):
            stated_ms = estimate.gps_ms + round(1e3 * estimate.time_error_s)
            self._memory.time_errors = [*errors, (stated_ms, estimate.time_error_s)]

    def _at_right_time(self, entry: SatelliteFix) -> SatelliteFix:
        """Return a fix with its time corrected if it is ours and the orbit filter found an error of its time."""
        fix, errors = entry.fix, self._memory.time_errors
        error_s = next((error_s for since_ms, error_s in reversed(errors) if since_ms <= fix.gps_ms), 0.0)
        if not error_s or entry.satellite != self._settings.formation.own_id:
            return entry
        return SatelliteFix(entry.satellite, replace(fix, gps_ms=fix.gps_ms - round(1e3 * error_s)))

    def _filter(self, memory: FilterMemory) -> FormationFilter:
        return FormationFilter(memory, self._settings.formation, self._settings.orbit, self._frames)


def orbit_state(estimate: OrbitEstimate, settings: OrbitSettings) -> OrbitState:
    """Return an orbit estimate as a state of the orbit filter.

    Parameters that the message does not contain have their prior standard deviation. Correlations are neglected.
    """
    x, sigma = np.zeros(SIZE), np.zeros(SIZE)
    x[POSITION], x[VELOCITY] = estimate.position_gcrf_m, estimate.velocity_gcrf_mps
    # The sigmas refer to the ITRF axes, but their mean square is the same in GCRF.
    sigma[POSITION] = np.sqrt(np.mean(np.square(estimate.position_sigma_m)))
    sigma[VELOCITY] = np.sqrt(np.mean(np.square(estimate.velocity_sigma_mps)))
    sigma[DRAG] = settings.process_noise.drag_log_sigma
    sigma[EMPIRICAL] = settings.process_noise.empirical_sigma_mps2
    return OrbitState(estimate.gps_ms, x, np.diag(sigma))

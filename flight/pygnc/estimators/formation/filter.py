"""The formation's filter: goes on from a batch solution with the packets that come after it.

One square-root filter per hypothesis that the batch could not exclude. Each goes on summing up its chi-square, and is
dropped once it is worse than the margin. A moment of which nothing is accepted leaves all states where they were, so
a wrong time tag cannot drag the filter into the future.

What the formation's filter says of each range and fix.

The observations of one moment against a group's hypotheses.

What counts for the gates' verdicts and for the noise of receivers is the best hypothesis; each takes what passes its
own gate, and pays for the rest as much as the gate allows. A worse one must not widen the noise until it fits.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.hypothesis_bank import Bank, Member, groups_of
from pygnc.estimators.formation.observations import Pair, RangeObservation, SatelliteFix
from pygnc.estimators.formation.process_noise import JointNoise
from pygnc.estimators.formation.reference import UNKNOWNS
from pygnc.estimators.formation.relative_motion import orbit_vector, shared_step
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution, JointState, Partner, RelativeState
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import Gate, GateResult, Innovation, Observation, linearise_fix
from pygnc.estimators.orbit.settings import MeasurementSettings, OrbitSettings
from pygnc.estimators.orbit.state import OrbitState


@unique
class FormationRejectCause(StrEnum):
    """Causes as they appear in logs and books."""

    NOT_FINITE = "not_finite"
    NOT_LATER = "not_later"
    """It is older than the state."""
    DUPLICATE = "duplicate"
    """The same one has been used already."""
    GAP = "gap"
    """It comes too long after the state to carry the state on."""
    SATELLITE = "satellite"
    """The solution has no such satellite, or no bias for such a pair; a later one may."""
    VAGUE = "vague"
    """The partner's place is so uncertain that a range does not depend on it linearly; a batch can use it."""
    GATE = "gate"
    """It is too far off."""
    NO_VELOCITY = "no_velocity"
    """The fix came without a usable velocity."""


class RangeVerdict(NamedTuple):
    """What became of a range, by the best hypothesis.

    Attributes:
        seen: The range.
        cause: Why it was rejected; None when it was accepted.
        residual_m: Measured minus predicted; NaN where there was no prediction to compare with, as are all others.
        sigma_m: Expected standard deviation of that.
        nis: Normalised innovation squared; chi-square of one degree of freedom if the filter is consistent.
    """

    seen: RangeObservation
    cause: FormationRejectCause | None
    residual_m: float
    sigma_m: float
    nis: float


class FixVerdict(NamedTuple):
    """What became of a fix, by the best hypothesis.

    Attributes:
        seen: The fix.
        position_cause: Why the position was rejected; None when it was accepted.
        velocity_cause: The same of the velocity.
        position: Innovation of the position; None where there was no prediction to compare with.
        velocity: The same of the velocity.
    """

    seen: SatelliteFix
    position_cause: FormationRejectCause | None
    velocity_cause: FormationRejectCause | None
    position: Innovation | None
    velocity: Innovation | None


@dataclass(frozen=True, slots=True)
class FormationUpdate:
    """What became of the observations of one moment, in the order in which they were given.

    Attributes:
        gps_ms: The moment.
        ranges: The ranges.
        fixes: The fixes.
        moved: Whether the state is now one of this moment; not when nothing was accepted.
    """

    gps_ms: int
    ranges: tuple[RangeVerdict, ...]
    fixes: tuple[FixVerdict, ...]
    moved: bool


Gates: TypeAlias = dict[int, tuple[Gate, Gate]]
"""Of position and velocity, by radio id."""
Key: TypeAlias = tuple[int, ...]
"""What two observations of one moment have in common only if they are the same: who measured, and what."""

_CURVATURE: Final = 1.0
"""A range is used when its not being linear in the state is no more than so much of its noise."""


class Sensors(NamedTuple):
    """How observations are compared with states.

    Attributes:
        satellites: Radio ids, our own first.
        pairs: Those with a bias.
        range_noise_m: By pair.
        range_gate: Limit of a range's normalised innovation squared.
        receiver: How far fixes are believed.
        frames: Earth orientation.
    """

    satellites: tuple[int, ...]
    pairs: tuple[Pair, ...]
    range_noise_m: list[float]
    range_gate: float
    receiver: MeasurementSettings
    frames: EarthFrames


class Turn:
    """One moment.

    Args:
        gps_ms: The moment.
        members: Hypotheses predicted for it, the best first.
        gates: Of position and velocity, by radio id.
        sensors: The rest.

    Attributes:
        members: Hypotheses with what has been taken.
        gates: For the next moment.
        ranges: How many the best hypothesis has accepted.
        accepted: Whether any hypothesis has accepted any observation.
    """

    def __init__(self, gps_ms: int, members: Sequence[Member], gates: Gates, sensors: Sensors) -> None:
        self.members = list(members)
        self.gates = dict(gates)
        self.ranges = 0
        self.accepted = False
        self._gps_ms = gps_ms
        self._sensors = sensors

    def knows(self, seen: RangeObservation | SatelliteFix) -> bool:
        """Whether the observation says anything of this group."""
        if isinstance(seen, RangeObservation):
            return seen.pair in self._sensors.pairs
        return seen.satellite in self._sensors.satellites

    def take_range(self, seen: RangeObservation) -> RangeVerdict:
        """Let all hypotheses have a range."""
        sensors = self._sensors
        one, other = (sensors.satellites.index(end) for end in seen.pair)
        pair = sensors.pairs.index(seen.pair)
        noise_m, limit = sensors.range_noise_m[pair], sensors.range_gate
        scalars = [member.expected_range(seen.range_m, one, other, pair, noise_m) for member in self.members]
        best = scalars[0]
        if best.curvature > _CURVATURE * noise_m:
            return RangeVerdict(seen, FormationRejectCause.VAGUE, best.residual, best.sigma, best.nis)
        self.members = [
            (member.with_range(scalar) if scalar.nis <= limit else member).costing(min(scalar.nis, limit))
            for member, scalar in zip(self.members, scalars, strict=True)
        ]
        self.accepted |= any(scalar.nis <= limit for scalar in scalars)
        self.ranges += best.nis <= limit
        cause = None if best.nis <= limit else FormationRejectCause.GATE
        return RangeVerdict(seen, cause, best.residual, best.sigma, best.nis)

    def take_fix(self, seen: SatelliteFix) -> FixVerdict:
        """Let all hypotheses have a fix: its position, and then its velocity."""
        place = self._sensors.satellites.index(seen.satellite)
        gates = list(self.gates[seen.satellite])
        told: list[GateResult | None] = [None, None]
        for part in (0, 1):
            observations = self._compared(seen, place, part)
            if observations:
                told[part] = judgement = self._judged(observations, gates[part], place)
                gates[part] = judgement.gate
        self.gates[seen.satellite] = (gates[0], gates[1])
        position, velocity = told
        return FixVerdict(
            seen,
            _cause(position),
            _cause(velocity),
            position.innovation if position else None,
            velocity.innovation if velocity else None,
        )

    def _compared(self, seen: SatelliteFix, place: int, part: int) -> list[Observation]:
        """Position (part 0) or velocity (1) against each hypothesis; empty if the fix has none."""
        sensors = self._sensors
        every = [
            linearise_fix(seen.fix, orbit_vector(member.states[place]), sensors.frames, sensors.receiver)[part]
            for member in self.members
        ]
        return [observation for observation in every if observation is not None]

    def _judged(self, observations: list[Observation], gate: Gate, place: int) -> GateResult:
        """Take what passes the gate; the verdict of the best hypothesis."""
        limits, members, told = self._sensors.receiver, [], []
        for member, observation in zip(self.members, observations, strict=True):
            predicted = OrbitState(self._gps_ms, orbit_vector(member.states[place]), member.orbit_root(place))
            judgement = gate.test(observation, predicted, limits)
            after = member if judgement.used is None else member.with_fix(judgement.used, place)
            members.append(after.costing(min(judgement.innovation.chi_square, limits.gate)))
            self.accepted |= judgement.used is not None
            told.append(judgement)
        self.members = members
        return told[0]


def key_of(seen: RangeObservation | SatelliteFix) -> Key:
    """See `Key`."""
    return (seen.one, seen.other) if isinstance(seen, RangeObservation) else (seen.satellite,)


def _cause(judgement: GateResult | None) -> FormationRejectCause | None:
    if judgement is None:
        return FormationRejectCause.NO_VELOCITY
    return None if judgement.used else FormationRejectCause.GATE


class JointGroup(NamedTuple):
    """Partners that are estimated together.

    Attributes:
        satellites: Radio ids, our own first.
        hypotheses: On all of them, the best first; drag factors are those of the moment.
        chi_squares: Their costs.
    """

    satellites: tuple[int, ...]
    hypotheses: tuple[JointState, ...]
    chi_squares: tuple[float, ...]


class FormationFilter:
    """Turns ranges and fixes into relative orbits.

    It begins at the solution's last range; fixes of the batch are not to be given again. A packet costs a step of the
    orbit's dynamics per started 30 or 60 s and group, and about a millisecond per hypothesis on a desktop core.

    Args:
        solution: To go on from.
        settings: Those of the solution.
        orbit: Forces, and how far receivers are believed.
        frames: Earth orientation.

    Attributes:
        satellites: Radio ids, our own first.
        pairs: Those with a bias.
    """

    def __init__(
        self, solution: FormationSolution, settings: FormationSettings, orbit: OrbitSettings, frames: EarthFrames
    ) -> None:
        self.satellites = solution.satellites
        self.pairs = solution.pairs
        self._orbit = orbit
        self._dynamics = OrbitDynamics(orbit, frames)
        self._noise = JointNoise(settings, orbit)
        self._lost = {
            identity: told for identity, told in solution.partners.items() if identity not in solution.satellites
        }
        self._gps_ms = max((seen.gps_ms for seen in solution.ranges), default=solution.reference.epoch_ms)
        self._used: set[Key] = {key_of(seen) for seen in solution.ranges if seen.gps_ms == self._gps_ms}
        self._banks = [
            Bank(solution, group, self._gps_ms, settings, orbit.process_noise) for group in groups_of(solution)
        ]
        self._sensors = [
            Sensors(
                tuple(solution.satellites[satellite] for satellite in bank.satellites),
                tuple(solution.pairs[pair] for pair in bank.pairs),
                solution.noise_m[list(bank.pairs)].tolist(),
                settings.range_gate_sigma**2,
                orbit.measurement,
                frames,
            )
            for bank in self._banks
        ]
        self._gates: list[Gates] = [
            {satellite: (Gate(), Gate()) for satellite in sensors.satellites} for sensors in self._sensors
        ]
        self._ahead_ms = self._gps_ms
        self._ahead = [bank.members for bank in self._banks]

    @property
    def gps_ms(self) -> int:
        """When the state holds."""
        return self._gps_ms

    @property
    def partners(self) -> dict[int, Partner]:
        """How well each partner's orbit is known."""
        told = dict(self._lost)
        for bank in self._banks:
            told |= bank.partners()
        return told

    @property
    def groups(self) -> list[JointGroup]:
        """All that is known, for predictions."""
        return [
            JointGroup(
                sensors.satellites,
                tuple(member.joint(self._gps_ms) for member in bank.members),
                tuple(member.chi_square for member in bank.members),
            )
            for sensors, bank in zip(self._sensors, self._banks, strict=True)
        ]

    def hypotheses(self, partner: int) -> int:
        """How many are left for a partner, by radio id, and those estimated together with it.

        Raises:
            ValueError: The partner was not solved.
        """
        return len(self._banks[self._group_of(partner)].members)

    def relative(self, partner: int, hypothesis: int = 0) -> RelativeState:
        """A partner, by radio id, relative to us.

        Raises:
            ValueError: The partner was not solved.
        """
        group = self._group_of(partner)
        return self._banks[group].members[hypothesis].relative(self._sensors[group].satellites.index(partner))

    def bias_of(self, pair: Pair, hypothesis: int = 0) -> tuple[float, float]:
        """Range bias of a pair and its standard deviation, in m."""
        group = self._group_of(max(pair, key=lambda end: end != self.satellites[0]))
        return self._banks[group].members[hypothesis].bias(self._sensors[group].pairs.index(pair))

    def carry(self, gps_ms: int) -> Iterator[None]:
        """Prepare for observations of a moment to come, one integration step a turn; `process` does it in one go."""
        if not self._gps_ms <= self._ahead_ms <= gps_ms:
            self._ahead_ms, self._ahead = self._gps_ms, [bank.members for bank in self._banks]
        while self._ahead_ms < gps_ms:
            end_ms = min(self._ahead_ms + self._orbit.force_model.step_max_ms, gps_ms)
            self._ahead = [self._stepped(self._ahead_ms, members, end_ms) for members in self._ahead]
            self._ahead_ms = end_ms
            yield

    def process(self, ranges: Sequence[RangeObservation], fixes: Sequence[SatelliteFix]) -> FormationUpdate:
        """Take in the observations of one moment.

        Raises:
            ValueError: There is none, or they are of several moments.
        """
        moments = {seen.gps_ms for seen in ranges} | {seen.fix.gps_ms for seen in fixes}
        if len(moments) != 1:
            raise ValueError(f"observations of one moment are expected, these are of {len(moments)}")
        (gps_ms,) = moments
        usable = [self._unusable_range(seen, ()) is None for seen in ranges]
        usable += [self._unusable_fix(seen, ()) is None for seen in fixes]
        if any(usable):
            for _ in self.carry(gps_ms):
                pass
        turns = [
            Turn(gps_ms, members, gates, sensors)
            for members, gates, sensors in zip(self._ahead, self._gates, self._sensors, strict=True)
        ]
        taken: set[Key] = set()
        told_fixes = tuple(self._take_fix(turns, seen, taken) for seen in fixes)
        told_ranges = tuple(self._take_range(turns, seen, taken) for seen in ranges)
        has_moved = any(turn.accepted for turn in turns)
        if has_moved:
            self._used = taken | (self._used if gps_ms == self._gps_ms else set())
            self._gps_ms = gps_ms
            self._gates = [turn.gates for turn in turns]
            for bank, turn in zip(self._banks, turns, strict=True):
                bank.judge(turn.members, turn.ranges)
            self._ahead = [bank.members for bank in self._banks]
        return FormationUpdate(gps_ms, told_ranges, told_fixes, has_moved)

    def _take_range(self, turns: list[Turn], seen: RangeObservation, taken: set[Key]) -> RangeVerdict:
        cause = self._unusable_range(seen, taken)
        if cause is not None:
            return RangeVerdict(seen, cause, math.nan, math.nan, math.nan)
        taken.add(key_of(seen))
        return next(turn for turn in turns if turn.knows(seen)).take_range(seen)

    def _take_fix(self, turns: list[Turn], seen: SatelliteFix, taken: set[Key]) -> FixVerdict:
        """A fix of ours goes to all groups; the first one's verdict is told."""
        cause = self._unusable_fix(seen, taken)
        if cause is not None:
            return FixVerdict(seen, cause, cause, None, None)
        taken.add(key_of(seen))
        told = [turn.take_fix(seen) for turn in turns if turn.knows(seen)]
        return told[0]

    def _unusable_range(self, seen: RangeObservation, taken: Collection[Key]) -> FormationRejectCause | None:
        """Why a range is not even compared with the states."""
        if not math.isfinite(seen.range_m):
            return FormationRejectCause.NOT_FINITE
        if seen.pair not in self.pairs:
            return FormationRejectCause.SATELLITE
        return self._untimely(seen.gps_ms, key_of(seen), taken)

    def _unusable_fix(self, seen: SatelliteFix, taken: Collection[Key]) -> FormationRejectCause | None:
        """Why a fix is not even compared with the states."""
        if not self._banks or seen.satellite not in self.satellites:
            return FormationRejectCause.SATELLITE
        return self._untimely(seen.fix.gps_ms, key_of(seen), taken)

    def _untimely(self, gps_ms: int, key: Key, taken: Collection[Key]) -> FormationRejectCause | None:
        if gps_ms < self._gps_ms:
            return FormationRejectCause.NOT_LATER
        if key in taken or (gps_ms == self._gps_ms and key in self._used):
            return FormationRejectCause.DUPLICATE
        return FormationRejectCause.GAP if gps_ms - self._gps_ms > 1e3 * self._orbit.start.gap_max_s else None

    def _group_of(self, partner: int) -> int:
        for group, sensors in enumerate(self._sensors):
            if partner in sensors.satellites[1:]:
                return group
        raise ValueError(f"there is no solution for satellite {partner}")

    def _stepped(self, gps_ms: int, members: list[Member], end_ms: int) -> list[Member]:
        """A group's hypotheses one step on, around our satellite in the best of them."""
        step_s, count = (end_ms - gps_ms) * 1e-3, members[0].satellites
        own = members[0].states[0]
        deviations = np.concatenate([member.states - own for member in members])
        apart_m = np.sqrt((deviations[:count, :3] ** 2).sum(axis=1))
        step = shared_step(self._dynamics, gps_ms, orbit_vector(own), deviations, step_s)
        noise = self._noise.root(step_s, step.x, apart_m, step.directions, len(members[0].x))
        states = (step.x[:UNKNOWNS] + step.deviations).reshape(len(members), count, UNKNOWNS)
        return [member.moved(state, step.transition, noise) for member, state in zip(members, states, strict=True)]

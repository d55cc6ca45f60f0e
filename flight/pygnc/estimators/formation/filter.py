"""Sequential filter: continues a batch solution with later ranges and fixes.

One square-root filter (`hypothesis_bank`) runs per hypothesis that the batch could not exclude. Prediction: one step of
the joint dynamics (`joint_step`) with common and differential process noise. Update: each hypothesis uses the
observations that pass its own gate; others add the gate to its chi-square. The best hypothesis decides on the verdicts
reported and on the scale of the receivers' noise, so that a worse one cannot enlarge the noise until it fits.

If no observation of an epoch is accepted, all states stay where they are: a wrong time tag cannot move the filter into
the future.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.hypothesis_bank import FilterHypothesis, HypothesisBank, partner_groups
from pygnc.estimators.formation.observations import Pair, RangeObservation, SatelliteFix
from pygnc.estimators.formation.process_noise import JointProcessNoise
from pygnc.estimators.formation.reference import STATE_SIZE
from pygnc.estimators.formation.relative_motion import joint_step, orbit_vector
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution, JointState, Partner, RelativeState
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import Gate, GateResult, Innovation, Observation, linearise_fix
from pygnc.estimators.orbit.settings import MeasurementSettings, OrbitSettings
from pygnc.estimators.orbit.state import OrbitState


@unique
class FormationRejectCause(StrEnum):
    """Causes of rejection, as they appear in logs and counters."""

    NOT_FINITE = "not_finite"
    NOT_LATER = "not_later"
    """Older than the state."""
    DUPLICATE = "duplicate"
    """Repetition of an observation that has already been used."""
    GAP = "gap"
    """Too long after the state to propagate it."""
    SATELLITE = "satellite"
    """The solution has no such satellite, or no bias of the pair; a later solution may have it."""
    VAGUE = "vague"
    """The partner's position is so uncertain that the range is not linear in it; a batch can use it."""
    GATE = "gate"
    """The residual exceeds the gate."""
    NO_VELOCITY = "no_velocity"
    """The fix has no usable velocity."""


class RangeVerdict(NamedTuple):
    """Result of a range, by the best hypothesis.

    Attributes:
        observation: The range.
        cause: Cause of its rejection; None if it was accepted.
        residual_m: Measured minus predicted. This and the following are NaN if there is no prediction.
        sigma_m: Standard deviation of the residual.
        nis: Normalised innovation squared; chi-square of one degree of freedom if the filter is consistent.
    """

    observation: RangeObservation
    cause: FormationRejectCause | None
    residual_m: float
    sigma_m: float
    nis: float


class FixVerdict(NamedTuple):
    """Result of a fix, by the best hypothesis.

    Attributes:
        observation: The fix.
        position_cause: Cause of the rejection of its position; None if it was accepted.
        velocity_cause: Cause of the rejection of its velocity; None if it was accepted.
        position: Innovation of the position; None if there is no prediction.
        velocity: Innovation of the velocity; None if there is no prediction.
    """

    observation: SatelliteFix
    position_cause: FormationRejectCause | None
    velocity_cause: FormationRejectCause | None
    position: Innovation | None
    velocity: Innovation | None


@dataclass(frozen=True, slots=True)
class FormationUpdate:
    """Results of the observations of one moment, in the order of the input.

    Attributes:
        gps_ms: GPS milliseconds of the moment.
        ranges: Results of the ranges.
        fixes: Results of the fixes.
        moved: Whether the state is now one of this moment; false if no observation was accepted.
    """

    gps_ms: int
    ranges: tuple[RangeVerdict, ...]
    fixes: tuple[FixVerdict, ...]
    moved: bool


Gates: TypeAlias = dict[int, tuple[Gate, Gate]]
"""Gates of position and velocity, by radio id."""
ObservationKey: TypeAlias = tuple[int, ...]
"""Identity of an observation among those of one moment: the radio ids involved."""

_CURVATURE_MAX: Final = 1.0
"""A range is used if the standard deviation of its second-order term is at most this times its noise."""


class _Group:
    """Hypotheses on the partners of one group, and how their observations are compared with states.

    Attributes:
        bank: Hypotheses.
        satellites: Radio ids, our own first.
        pairs: Pairs with a bias.
        range_noise_m: Standard deviation of a range, by pair.
        range_gate: Limit of a range's normalised innovation squared.
        receiver: Measurement model of the GPS receivers.
        frames: Earth orientation.
        gates: Gates of the fixes, by radio id.
        predicted: Hypotheses predicted for the next observations.
    """

    def __init__(
        self,
        bank: HypothesisBank,
        solution: FormationSolution,
        range_gate_sigma: float,
        receiver: MeasurementSettings,
        frames: EarthFrames,
    ) -> None:
        self.bank = bank
        self.satellites = tuple(solution.satellites[satellite] for satellite in bank.satellites)
        self.pairs = tuple(solution.pairs[pair] for pair in bank.pairs)
        self.range_noise_m: list[float] = solution.noise_m[list(bank.pairs)].tolist()
        self.range_gate = range_gate_sigma**2
        self.receiver, self.frames = receiver, frames
        self.gates: Gates = {satellite: (Gate(), Gate()) for satellite in self.satellites}
        self.predicted = bank.hypotheses


class _Epoch:
    """Update of a group's predicted hypotheses with the observations of one moment.

    Attributes:
        accepted: Whether any hypothesis accepted any observation.
    """

    def __init__(self, gps_ms: int, group: _Group) -> None:
        self.accepted = False
        self._gps_ms = gps_ms
        self._group = group
        self._hypotheses = list(group.predicted)
        self._gates = dict(group.gates)
        self._ranges = 0

    def commit(self) -> None:
        """Make the updated hypotheses and gates those of the group."""
        self._group.gates = self._gates
        self._group.bank.replace(self._hypotheses, self._ranges)
        self._group.predicted = self._group.bank.hypotheses

    def concerns(self, observation: RangeObservation | SatelliteFix) -> bool:
        """Return whether an observation is of this group."""
        if isinstance(observation, RangeObservation):
            return observation.pair in self._group.pairs
        return observation.satellite in self._group.satellites

    def update_with_range(self, observation: RangeObservation) -> RangeVerdict:
        """Update all hypotheses with a range."""
        group = self._group
        one, other = (group.satellites.index(end) for end in observation.pair)
        pair = group.pairs.index(observation.pair)
        noise_m, limit = group.range_noise_m[pair], group.range_gate
        innovations = [
            hypothesis.range_innovation(observation.range_m, one, other, pair, noise_m)
            for hypothesis in self._hypotheses
        ]
        best = innovations[0]
        if best.curvature > _CURVATURE_MAX * noise_m:
            return RangeVerdict(observation, FormationRejectCause.VAGUE, best.residual, best.sigma, best.nis)
        self._hypotheses = [
            (hypothesis.update_with_range(innovation) if innovation.nis <= limit else hypothesis).with_added_cost(
                min(innovation.nis, limit)
            )
            for hypothesis, innovation in zip(self._hypotheses, innovations, strict=True)
        ]
        self.accepted |= any(innovation.nis <= limit for innovation in innovations)
        self._ranges += best.nis <= limit
        cause = None if best.nis <= limit else FormationRejectCause.GATE
        return RangeVerdict(observation, cause, best.residual, best.sigma, best.nis)

    def update_with_fix(self, observation: SatelliteFix) -> FixVerdict:
        """Update all hypotheses with a fix: its position, then its velocity."""
        satellite = self._group.satellites.index(observation.satellite)
        gates = list(self._gates[observation.satellite])
        judgements: list[GateResult | None] = [None, None]
        for part in (0, 1):
            observations = self._observations(observation, satellite, part)
            if observations:
                judgements[part] = judgement = self._update(observations, gates[part], satellite)
                gates[part] = judgement.gate
        self._gates[observation.satellite] = (gates[0], gates[1])
        position, velocity = judgements
        return FixVerdict(
            observation,
            _cause(position),
            _cause(velocity),
            position.innovation if position else None,
            velocity.innovation if velocity else None,
        )

    def _observations(self, satellite_fix: SatelliteFix, satellite: int, part: int) -> list[Observation]:
        """Compare position (part 0) or velocity (part 1) with each hypothesis; empty if the fix has none."""
        group = self._group
        observations = [
            linearise_fix(satellite_fix.fix, orbit_vector(hypothesis.states[satellite]), group.frames, group.receiver)[
                part
            ]
            for hypothesis in self._hypotheses
        ]
        return [observation for observation in observations if observation is not None]

    def _update(self, observations: list[Observation], gate: Gate, satellite: int) -> GateResult:
        """Update each hypothesis if its observation passes the gate; return the judgement of the best one."""
        limits, hypotheses, judgements = self._group.receiver, [], []
        for hypothesis, observation in zip(self._hypotheses, observations, strict=True):
            predicted = OrbitState(
                self._gps_ms, orbit_vector(hypothesis.states[satellite]), hypothesis.orbit_root(satellite)
            )
            judgement = gate.test(observation, predicted, limits)
            updated = hypothesis if judgement.used is None else hypothesis.update_with_fix(judgement.used, satellite)
            hypotheses.append(updated.with_added_cost(min(judgement.innovation.chi_square, limits.gate)))
            self.accepted |= judgement.used is not None
            judgements.append(judgement)
        self._hypotheses = hypotheses
        return judgements[0]


def observation_key(observation: RangeObservation | SatelliteFix) -> ObservationKey:
    """Return the key of an observation."""
    return (
        (observation.one, observation.other) if isinstance(observation, RangeObservation) else (observation.satellite,)
    )


def _cause(judgement: GateResult | None) -> FormationRejectCause | None:
    if judgement is None:
        return FormationRejectCause.NO_VELOCITY
    return None if judgement.used else FormationRejectCause.GATE


class JointGroup(NamedTuple):
    """Partners that are estimated together.

    Attributes:
        satellites: Radio ids, our own first.
        hypotheses: Joint states, the best first; drag factors are those of the moment.
        chi_squares: Chi-square of each hypothesis.
    """

    satellites: tuple[int, ...]
    hypotheses: tuple[JointState, ...]
    chi_squares: tuple[float, ...]


class FormationFilter:
    """Estimates relative orbits from ranges and fixes, one epoch after the other.

    Starts at the last range of the solution; do not process the fixes of the batch again. Cost of an epoch: a step
    of the orbit dynamics per started 30 or 60 s and group, and about a millisecond per hypothesis on a desktop core.

    Args:
        solution: Batch solution to continue.
        settings: Settings of the solution.
        orbit: Force model and measurement model of the orbit filter.
        frames: Earth orientation.

    Attributes:
        satellites: Radio ids, our own first.
        pairs: Pairs with a bias.
    """

    def __init__(
        self, solution: FormationSolution, settings: FormationSettings, orbit: OrbitSettings, frames: EarthFrames
    ) -> None:
        self.satellites = solution.satellites
        self.pairs = solution.pairs
        self._orbit = orbit
        self._dynamics = OrbitDynamics(orbit, frames)
        self._noise = JointProcessNoise(settings, orbit)
        self._unsolved = {
            identity: partner for identity, partner in solution.partners.items() if identity not in solution.satellites
        }
        self._gps_ms = max((observation.gps_ms for observation in solution.ranges), default=solution.reference.epoch_ms)
        self._used_keys: set[ObservationKey] = {
            observation_key(observation) for observation in solution.ranges if observation.gps_ms == self._gps_ms
        }
        self._groups = []
        for partners in partner_groups(solution):
            bank = HypothesisBank(solution, partners, self._gps_ms, settings, orbit.process_noise)
            self._groups.append(_Group(bank, solution, settings.range_gate_sigma, orbit.measurement, frames))
        self._predicted_ms = self._gps_ms

    @property
    def gps_ms(self) -> int:
        """GPS milliseconds of the state."""
        return self._gps_ms

    @property
    def partners(self) -> dict[int, Partner]:
        """Knowledge of each partner's orbit, by radio id."""
        partners = dict(self._unsolved)
        for group in self._groups:
            partners |= group.bank.partners()
        return partners

    @property
    def groups(self) -> list[JointGroup]:
        """All groups with their hypotheses, the input of predictions."""
        return [
            JointGroup(
                group.satellites,
                tuple(hypothesis.joint_state(self._gps_ms) for hypothesis in group.bank.hypotheses),
                tuple(hypothesis.chi_square for hypothesis in group.bank.hypotheses),
            )
            for group in self._groups
        ]

    def hypotheses(self, partner: int) -> int:
        """Return the number of hypotheses left for a partner, by radio id, and those estimated together with it.

        Raises:
            ValueError: The partner is not solved.
        """
        return len(self._group_of(partner).bank.hypotheses)

    def relative(self, partner: int, hypothesis: int = 0) -> RelativeState:
        """Return the state of a partner, by radio id, relative to us.

        Raises:
            ValueError: The partner is not solved.
        """
        group = self._group_of(partner)
        return group.bank.hypotheses[hypothesis].relative(group.satellites.index(partner))

    def bias_of(self, pair: Pair, hypothesis: int = 0) -> tuple[float, float]:
        """Return the range bias of a pair and its standard deviation, in m."""
        group = self._group_of(max(pair, key=lambda end: end != self.satellites[0]))
        return group.bank.hypotheses[hypothesis].bias(group.pairs.index(pair))

    def propagate(self, gps_ms: int) -> Iterator[None]:
        """Prepare for observations of a later moment; yields after each integration step.

        Optional: `process` does it in one go. Lets a task divide the work into slices.
        """
        if not self._gps_ms <= self._predicted_ms <= gps_ms:
            self._predicted_ms = self._gps_ms
            for group in self._groups:
                group.predicted = group.bank.hypotheses
        while self._predicted_ms < gps_ms:
            end_ms = min(self._predicted_ms + self._orbit.force_model.step_max_ms, gps_ms)
            for group in self._groups:
                group.predicted = self._step(self._predicted_ms, group.predicted, end_ms)
            self._predicted_ms = end_ms
            yield

    def process(self, ranges: Sequence[RangeObservation], fixes: Sequence[SatelliteFix]) -> FormationUpdate:
        """Update with the observations of one moment.

        Raises:
            ValueError: There are no observations, or they are of several moments.
        """
        moments = {observation.gps_ms for observation in ranges} | {observation.fix.gps_ms for observation in fixes}
        if len(moments) != 1:
            raise ValueError(f"process() takes observations of one moment; these are of {len(moments)} moments")
        (gps_ms,) = moments
        usable = [self._range_fault(observation, ()) is None for observation in ranges]
        usable += [self._fix_fault(observation, ()) is None for observation in fixes]
        if any(usable):
            for _ in self.propagate(gps_ms):
                pass
        epochs = [_Epoch(gps_ms, group) for group in self._groups]
        processed: set[ObservationKey] = set()
        fix_verdicts = tuple(self._process_fix(epochs, observation, processed) for observation in fixes)
        range_verdicts = tuple(self._process_range(epochs, observation, processed) for observation in ranges)
        has_moved = any(epoch.accepted for epoch in epochs)
        if has_moved:
            self._used_keys = processed | (self._used_keys if gps_ms == self._gps_ms else set())
            self._gps_ms = gps_ms
            for epoch in epochs:
                epoch.commit()
        return FormationUpdate(gps_ms, range_verdicts, fix_verdicts, has_moved)

    def _process_range(
        self, epochs: list[_Epoch], observation: RangeObservation, processed: set[ObservationKey]
    ) -> RangeVerdict:
        cause = self._range_fault(observation, processed)
        if cause is not None:
            return RangeVerdict(observation, cause, math.nan, math.nan, math.nan)
        processed.add(observation_key(observation))
        return next(epoch for epoch in epochs if epoch.concerns(observation)).update_with_range(observation)

    def _process_fix(
        self, epochs: list[_Epoch], observation: SatelliteFix, processed: set[ObservationKey]
    ) -> FixVerdict:
        """Process a fix. One of our own satellite goes to all groups; the first one's verdict is returned."""
        cause = self._fix_fault(observation, processed)
        if cause is not None:
            return FixVerdict(observation, cause, cause, None, None)
        processed.add(observation_key(observation))
        verdicts = [epoch.update_with_fix(observation) for epoch in epochs if epoch.concerns(observation)]
        return verdicts[0]

    def _range_fault(
        self, observation: RangeObservation, processed: Collection[ObservationKey]
    ) -> FormationRejectCause | None:
        """Return why a range cannot be compared with the states; None if it can."""
        if not math.isfinite(observation.range_m):
            return FormationRejectCause.NOT_FINITE
        if observation.pair not in self.pairs:
            return FormationRejectCause.SATELLITE
        return self._time_fault(observation.gps_ms, observation_key(observation), processed)

    def _fix_fault(
        self, observation: SatelliteFix, processed: Collection[ObservationKey]
    ) -> FormationRejectCause | None:
        """Return why a fix cannot be compared with the states; None if it can."""
        if not self._groups or observation.satellite not in self.satellites:
            return FormationRejectCause.SATELLITE
        return self._time_fault(observation.fix.gps_ms, observation_key(observation), processed)

    def _time_fault(
        self, gps_ms: int, key: ObservationKey, processed: Collection[ObservationKey]
    ) -> FormationRejectCause | None:
        if gps_ms < self._gps_ms:
            return FormationRejectCause.NOT_LATER
        if key in processed or (gps_ms == self._gps_ms and key in self._used_keys):
            return FormationRejectCause.DUPLICATE
        return FormationRejectCause.GAP if gps_ms - self._gps_ms > 1e3 * self._orbit.start.gap_max_s else None

    def _group_of(self, partner: int) -> _Group:
        for group in self._groups:
            if partner in group.satellites[1:]:
                return group
        raise ValueError(f"no solution for satellite {partner}; solved are {self.satellites[1:]}")

    def _step(self, gps_ms: int, hypotheses: list[FilterHypothesis], end_ms: int) -> list[FilterHypothesis]:
        """Propagate a group's hypotheses by one step. Deviations are from our satellite in the best one."""
        step_s, count = (end_ms - gps_ms) * 1e-3, hypotheses[0].satellites
        own = hypotheses[0].states[0]
        deviations = np.concatenate([hypothesis.states - own for hypothesis in hypotheses])
        distances_m = np.sqrt((deviations[:count, :3] ** 2).sum(axis=1))
        step = joint_step(self._dynamics, gps_ms, orbit_vector(own), deviations, step_s)
        noise = self._noise.root(step_s, step.x, distances_m, step.directions, len(hypotheses[0].x))
        states = (step.x[:STATE_SIZE] + step.deviations).reshape(len(hypotheses), count, STATE_SIZE)
        return [
            hypothesis.propagated(state, step.transition, noise)
            for hypothesis, state in zip(hypotheses, states, strict=True)
        ]

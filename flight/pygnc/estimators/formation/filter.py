"""Sequential filter: continues a batch solution with later ranges and fixes.

One square-root filter (`hypothesis_bank`) runs per hypothesis that the batch could not exclude. Prediction: one step of
the joint dynamics (`joint_step`) with common and differential process noise. Update: each hypothesis uses the
observations that pass its own gate; others add the gate to its chi-square. The best hypothesis decides on the verdicts
reported and on the scale of the receivers' noise, so that a worse hypothesis cannot enlarge the noise until it fits.

If no observation of an epoch is accepted, all states stay where they are: a wrong time tag cannot move the filter into
the future.
"""

import math
from collections.abc import Collection, Sequence
from enum import StrEnum, unique
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.hypothesis_bank import FilterHypothesis, HypothesisBank, partner_groups
from pygnc.estimators.formation.observations import Pair, RangeObservation, SatelliteFix
from pygnc.estimators.formation.reference import STATE_SIZE
from pygnc.estimators.formation.relative_motion import joint_step, orbit_vector, process_noise_root
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution, Partner, RelativeState
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import Gate, GateResult, Observation, linearise_fix
from pygnc.estimators.orbit.settings import OrbitSettings
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
        cause: Cause of its rejection; None if it was accepted.
        residual_m: Measured minus predicted range in m; NaN without a prediction.
        sigma_m: Standard deviation of the residual in m; NaN without a prediction.
        nis: Normalised innovation squared; chi-square of one degree of freedom if the filter is consistent. NaN
            without a prediction.
    """

    cause: FormationRejectCause | None
    residual_m: float
    sigma_m: float
    nis: float


class FixVerdict(NamedTuple):
    """Result of a fix, by the best hypothesis.

    Attributes:
        position_cause: Cause of the rejection of its position; None if it was accepted.
        velocity_cause: Cause of the rejection of its velocity; None if it was accepted.
    """

    position_cause: FormationRejectCause | None
    velocity_cause: FormationRejectCause | None


class FormationUpdate(NamedTuple):
    """Results of the observations of one moment, in the order of the input.

    Attributes:
        ranges: Results of the ranges.
        fixes: Results of the fixes.
        moved: True if any observation was accepted, so that the state now is that of the moment.
    """

    ranges: tuple[RangeVerdict, ...]
    fixes: tuple[FixVerdict, ...]
    moved: bool


_CURVATURE_MAX: Final = 1.0
"""A range is used if the standard deviation of its second-order term is at most this times its noise."""


class _Epoch:
    """Update of a bank's predicted hypotheses with the observations of one moment.

    Attributes:
        bank: The hypothesis bank.
        accepted: True if any hypothesis accepted any observation.
    """

    def __init__(
        self, bank: HypothesisBank, gps_ms: int, settings: FormationSettings, orbit: OrbitSettings, frames: EarthFrames
    ) -> None:
        self.bank = bank
        self.accepted = False
        self._gps_ms = gps_ms
        self._range_gate = settings.range_gate_sigma**2
        self._receiver = orbit.measurement
        self._frames = frames
        self._hypotheses = list(bank.predicted)
        self._gates = dict(bank.gates)
        self._ranges = 0

    def commit(self) -> None:
        """Make the updated hypotheses and gates those of the bank."""
        self.bank.gates = self._gates
        self.bank.replace(self._hypotheses, self._ranges)

    def update_with_range(self, observation: RangeObservation) -> RangeVerdict:
        """Update all hypotheses with a range."""
        one, other = (self.bank.satellites.index(end) for end in observation.pair)
        pair = self.bank.pairs.index(observation.pair)
        noise_m, limit = self.bank.range_noise_m[pair], self._range_gate
        innovations = [
            hypothesis.range_innovation(observation.range_m, one, other, pair, noise_m)
            for hypothesis in self._hypotheses
        ]
        best = innovations[0]
        if best.curvature > _CURVATURE_MAX * noise_m:
            return RangeVerdict(FormationRejectCause.VAGUE, best.residual, best.sigma, best.nis)
        self._hypotheses = [
            (hypothesis.update_with_range(innovation) if innovation.nis <= limit else hypothesis).with_added_cost(
                min(innovation.nis, limit)
            )
            for hypothesis, innovation in zip(self._hypotheses, innovations, strict=True)
        ]
        self.accepted |= any(innovation.nis <= limit for innovation in innovations)
        self._ranges += best.nis <= limit
        cause = None if best.nis <= limit else FormationRejectCause.GATE
        return RangeVerdict(cause, best.residual, best.sigma, best.nis)

    def update_with_fix(self, observation: SatelliteFix) -> FixVerdict:
        """Update all hypotheses with a fix: its position, then its velocity."""
        satellite = self.bank.satellites.index(observation.satellite)
        gates = list(self._gates[observation.satellite])
        causes: list[FormationRejectCause | None] = [FormationRejectCause.NO_VELOCITY] * 2
        for part in (0, 1):
            linearised = [
                linearise_fix(observation.fix, orbit_vector(each.states[satellite]), self._frames, self._receiver)[part]
                for each in self._hypotheses
            ]
            observations = [each for each in linearised if each is not None]
            if observations:
                best = self._update(observations, gates[part], satellite)
                gates[part] = best.gate
                causes[part] = FormationRejectCause.GATE if best.used is None else None
        self._gates[observation.satellite] = (gates[0], gates[1])
        return FixVerdict(*causes)

    def _update(self, observations: list[Observation], gate: Gate, satellite: int) -> GateResult:
        """Update each hypothesis if its observation passes the gate; return the result of the best hypothesis."""
        hypotheses, results = [], []
        for hypothesis, observation in zip(self._hypotheses, observations, strict=True):
            predicted = OrbitState(
                self._gps_ms, orbit_vector(hypothesis.states[satellite]), hypothesis.orbit_root(satellite)
            )
            result = gate.test(observation, predicted, self._receiver)
            updated = hypothesis if result.used is None else hypothesis.update_with_fix(result.used, satellite)
            hypotheses.append(updated.with_added_cost(min(result.innovation.chi_square, self._receiver.gate)))
            self.accepted |= result.used is not None
            results.append(result)
        self._hypotheses = hypotheses
        return results[0]


class JointGroup(NamedTuple):
    """Partners that are estimated together.

    Attributes:
        gps_ms: GPS milliseconds of the states.
        satellites: Radio ids, our own first.
        hypotheses: Hypotheses, the best first.
    """

    gps_ms: int
    satellites: tuple[int, ...]
    hypotheses: tuple[FilterHypothesis, ...]


class FormationFilter:
    """Filter of relative orbits that takes ranges and fixes, epoch by epoch.

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
        gps_ms: GPS milliseconds of the state.
    """

    def __init__(
        self, solution: FormationSolution, settings: FormationSettings, orbit: OrbitSettings, frames: EarthFrames
    ) -> None:
        self.satellites = solution.satellites
        self.pairs = solution.pairs
        self._settings = settings
        self._orbit = orbit
        self._frames = frames
        self._dynamics = OrbitDynamics(orbit, frames)
        self._unsolved = {
            identity: partner for identity, partner in solution.partners.items() if identity not in solution.satellites
        }
        self.gps_ms = max((observation.gps_ms for observation in solution.ranges), default=solution.reference.epoch_ms)
        self._used = {observation.satellites for observation in solution.ranges if observation.gps_ms == self.gps_ms}
        self._banks = [
            HypothesisBank(solution, partners, self.gps_ms, settings, orbit.process_noise)
            for partners in partner_groups(solution)
        ]
        self._predicted_ms = self.gps_ms

    @property
    def partners(self) -> dict[int, Partner]:
        """Knowledge of each partner's orbit, by radio id."""
        partners = dict(self._unsolved)
        for bank in self._banks:
            partners |= bank.partners()
        return partners

    @property
    def groups(self) -> list[JointGroup]:
        """All groups with their hypotheses, the input of predictions."""
        return [JointGroup(self.gps_ms, bank.satellites, tuple(bank.hypotheses)) for bank in self._banks]

    def hypotheses(self, partner: int) -> int:
        """Return the number of hypotheses left for a partner, by radio id, and its group.

        Raises:
            ValueError: The partner is not solved.
        """
        return len(self._bank_of(partner).hypotheses)

    def relative(self, partner: int, hypothesis: int = 0) -> RelativeState:
        """Return the state of a partner, by radio id, relative to us.

        Raises:
            ValueError: The partner is not solved.
        """
        bank = self._bank_of(partner)
        return bank.hypotheses[hypothesis].relative(bank.satellites.index(partner))

    def bias_of(self, pair: Pair, hypothesis: int = 0) -> tuple[float, float]:
        """Return the range bias of a pair and its standard deviation, in m."""
        bank = self._bank_of(max(pair, key=lambda end: end != self.satellites[0]))
        return bank.hypotheses[hypothesis].bias(bank.pairs.index(pair))

    def process(self, ranges: Sequence[RangeObservation], fixes: Sequence[SatelliteFix]) -> FormationUpdate:
        """Update with the observations of one moment.

        Raises:
            ValueError: There are no observations, or they are of several moments.
        """
        observations: list[RangeObservation | SatelliteFix] = [*ranges, *fixes]
        moments = {observation.gps_ms for observation in observations}
        if len(moments) != 1:
            raise ValueError(f"process() takes observations of one moment; these are of {len(moments)} moments")
        (gps_ms,) = moments
        if any(self._fault(observation, ()) is None for observation in observations):
            self._propagate(gps_ms)
        epochs = [_Epoch(bank, gps_ms, self._settings, self._orbit, self._frames) for bank in self._banks]
        processed: set[tuple[int, ...]] = set()
        fix_verdicts = tuple(self._process_fix(epochs, observation, processed) for observation in fixes)
        range_verdicts = tuple(self._process_range(epochs, observation, processed) for observation in ranges)
        has_moved = any(epoch.accepted for epoch in epochs)
        if has_moved:
            self._used = processed | (self._used if gps_ms == self.gps_ms else set())
            self.gps_ms = gps_ms
            for epoch in epochs:
                epoch.commit()
        return FormationUpdate(range_verdicts, fix_verdicts, has_moved)

    def _propagate(self, gps_ms: int) -> None:
        """Predict all hypotheses, from the last prediction if no accepted observation followed it."""
        if not self.gps_ms <= self._predicted_ms <= gps_ms:
            self._predicted_ms = self.gps_ms
            for bank in self._banks:
                bank.predicted = bank.hypotheses
        while self._predicted_ms < gps_ms:
            end_ms = min(self._predicted_ms + self._orbit.force_model.step_max_ms, gps_ms)
            for bank in self._banks:
                bank.predicted = self._step(self._predicted_ms, bank.predicted, end_ms)
            self._predicted_ms = end_ms

    def _process_range(
        self, epochs: list[_Epoch], observation: RangeObservation, processed: set[tuple[int, ...]]
    ) -> RangeVerdict:
        cause = self._fault(observation, processed)
        if cause is not None:
            return RangeVerdict(cause, math.nan, math.nan, math.nan)
        processed.add(observation.satellites)
        return next(epoch for epoch in epochs if observation.pair in epoch.bank.pairs).update_with_range(observation)

    def _process_fix(
        self, epochs: list[_Epoch], observation: SatelliteFix, processed: set[tuple[int, ...]]
    ) -> FixVerdict:
        """Process a fix. A fix of our own satellite goes to all groups; the verdict of the first group is returned."""
        cause = self._fault(observation, processed)
        if cause is not None:
            return FixVerdict(cause, cause)
        processed.add(observation.satellites)
        concerned = [epoch for epoch in epochs if observation.satellite in epoch.bank.satellites]
        verdicts = [epoch.update_with_fix(observation) for epoch in concerned]
        return verdicts[0]

    def _fault(
        self, observation: RangeObservation | SatelliteFix, processed: Collection[tuple[int, ...]]
    ) -> FormationRejectCause | None:
        """Return the reason why an observation cannot be compared with the states; None if it can."""
        if isinstance(observation, RangeObservation):
            if not math.isfinite(observation.range_m):
                return FormationRejectCause.NOT_FINITE
            is_known = observation.pair in self.pairs
        else:
            is_known = bool(self._banks) and observation.satellite in self.satellites
        if not is_known:
            return FormationRejectCause.SATELLITE
        elapsed_ms = observation.gps_ms - self.gps_ms
        if elapsed_ms < 0:
            return FormationRejectCause.NOT_LATER
        if observation.satellites in processed or (elapsed_ms == 0 and observation.satellites in self._used):
            return FormationRejectCause.DUPLICATE
        return FormationRejectCause.GAP if elapsed_ms > 1e3 * self._orbit.start.gap_max_s else None

    def _bank_of(self, partner: int) -> HypothesisBank:
        for bank in self._banks:
            if partner in bank.satellites[1:]:
                return bank
        raise ValueError(f"no solution for satellite {partner}; solved are {self.satellites[1:]}")

    def _step(self, gps_ms: int, hypotheses: list[FilterHypothesis], end_ms: int) -> list[FilterHypothesis]:
        """Propagate a group's hypotheses by one step. Deviations are from our satellite in the best hypothesis."""
        step_s, count = (end_ms - gps_ms) * 1e-3, hypotheses[0].satellites
        own = hypotheses[0].states[0]
        deviations = np.concatenate([hypothesis.states - own for hypothesis in hypotheses])
        distances_m = np.sqrt((deviations[:count, :3] ** 2).sum(axis=1))
        step = joint_step(self._dynamics, gps_ms, orbit_vector(own), deviations, step_s)
        biases = len(hypotheses[0].x) - STATE_SIZE * count
        noise = process_noise_root(
            self._settings, self._orbit, step, step_s=step_s, distances_m=distances_m, biases=biases
        )
        states = (step.x[:STATE_SIZE] + step.deviations).reshape(len(hypotheses), count, STATE_SIZE)
        return [
            hypothesis.propagated(state, step.transition, noise)
            for hypothesis, state in zip(hypotheses, states, strict=True)
        ]

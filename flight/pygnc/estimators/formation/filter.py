"""Sequential filter: continues the solution of an arc with later ranges and fixes.

Each hypothesis that the solution left has a square-root filter of its own (`hypothesis_bank`). The joint dynamics
(`joint_step`) predict it with common and differential process noise. Each hypothesis is updated with the observations
that pass its own innovation gate; a rejected one adds the gate to its chi-square. The best hypothesis decides on the
reported verdicts and on the scale of the receivers' noise; a worse one could enlarge the noise until it fits.
Correlated errors of the receivers enlarge the standard deviations, so that many fixes weigh as much as in the solution.

If all hypotheses reject an observation, their states remain at their time: a wrong time tag cannot move the filter into
the future.
"""

import math
from enum import StrEnum, unique
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.fix_errors import FixErrors
from pygnc.estimators.formation.hypothesis_bank import (
    FilterHypothesis,
    HypothesisBank,
    fix_innovations,
    propagated,
    range_innovations,
    updated,
)
from pygnc.estimators.formation.observations import Pair, RangeObservation, SatelliteFix, connected_groups
from pygnc.estimators.formation.reference import STATE_SIZE
from pygnc.estimators.formation.relative_motion import GRADIENT_DEGREE, joint_step, orbit_vector, process_noise_root
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution, Partner, RelativeState
from pygnc.estimators.kalman import Observation
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import Gate, effect_of_clock, linearise_fix, with_clock_error
from pygnc.estimators.orbit.settings import OrbitSettings, ProcessNoiseSettings
from pygnc.estimators.orbit.state import DRAG

_FIXES_MAX: Final = 10_000
"""Number of fixes to which an error of a receiver's clock is common: more than come before the next solution."""


@unique
class FormationRejectCause(StrEnum):
    """Causes of rejection, as they appear in logs and counters."""

    NOT_FINITE = "not_finite"
    NOT_LATER = "not_later"
    """The observation is older than the state."""
    DUPLICATE = "duplicate"
    """The observation has been used already."""
    GAP = "gap"
    """The gap since the state is too long to propagate the state."""
    SATELLITE = "satellite"
    """The solution contains no orbit of the satellite or no bias of the pair; a later solution may."""
    VAGUE = "vague"
    """The partner's position is so uncertain that the range is not linear in it; a later solution can use the range."""
    GATE = "gate"
    """The normalised innovation squared exceeds the innovation gate."""


class Verdict(NamedTuple):
    """Result of processing a range or fix.

    Attributes:
        cause: Cause of rejection by the best hypothesis; None if it accepted the range or a part of the fix.
        moved: True if any hypothesis accepted the range or a part of the fix; the states are then at its time.
        residual_m: Measured minus predicted range in m; NaN without a prediction and for fixes.
        nis: Normalised innovation squared of a range; it has a chi-square distribution with one degree of freedom if
            the filter is consistent. NaN without a prediction and for fixes.
    """

    cause: FormationRejectCause | None
    moved: bool = False
    residual_m: float = math.nan
    nis: float = math.nan


class FilterMemory(msgspec.Struct):
    """State of a formation filter; a filter that continues from a decoded copy gives identical results.

    Attributes:
        satellites: Radio ids, our own first.
        freedom: Degrees of freedom of the solution.
        unsolved: Partners without an orbit in the solution, by radio id.
        errors: Error model of the fixes.
        gps_ms: GPS milliseconds of the state.
        used: Radio ids of each observation used at that time; they identify duplicates.
        banks: Hypothesis bank of each group of partners.
        predicted_ms: GPS milliseconds of the predicted hypotheses in the banks.
        fix_gps_ms: GPS milliseconds of the last fix used, by radio id.
    """

    satellites: tuple[int, ...]
    freedom: int
    unsolved: dict[int, Partner]
    errors: FixErrors
    gps_ms: int
    used: set[tuple[int, ...]]
    banks: list[HypothesisBank]
    predicted_ms: int
    fix_gps_ms: dict[int, int] = {}


def initial_memory(
    solution: FormationSolution, settings: FormationSettings, noise: ProcessNoiseSettings
) -> FilterMemory:
    """Return the memory of a filter that continues a solution from its last range, or from its epoch without ranges."""
    gps_ms = max((observation.gps_ms for observation in solution.ranges), default=solution.reference.epoch_ms)
    groups = connected_groups(range(1, len(solution.satellites)), solution.equations.index_pairs)
    return FilterMemory(
        satellites=solution.satellites,
        freedom=solution.freedom,
        unsolved={
            identity: partner for identity, partner in solution.partners.items() if identity not in solution.satellites
        },
        errors=solution.equations.errors,
        gps_ms=gps_ms,
        used={observation.satellites for observation in solution.ranges if observation.gps_ms == gps_ms},
        banks=[HypothesisBank.of_group(solution, group, gps_ms, settings, noise) for group in groups],
        predicted_ms=gps_ms,
    )


class FormationFilter:
    """Filter of relative orbits that processes ranges and fixes one by one.

    Do not process fixes that the solution has used: later ones than its last range are not recognised as duplicates. An
    observation costs a step of the orbit dynamics per started 30 or 60 s and group, and about a millisecond per
    hypothesis on a desktop core.

    Attributes:
        memory: State of the filter; another filter with the same settings continues from it.
    """

    def __init__(
        self, memory: FilterMemory, settings: FormationSettings, orbit: OrbitSettings, frames: EarthFrames
    ) -> None:
        self.memory = memory
        self._settings = settings
        self._orbit = orbit
        self._frames = frames
        self._dynamics = OrbitDynamics(orbit, frames, gradient_degree=GRADIENT_DEGREE)

    @property
    def satellites(self) -> tuple[int, ...]:
        """Radio ids, our own first."""
        return self.memory.satellites

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs of radio ids whose range bias is estimated."""
        return tuple(pair for bank in self.memory.banks for pair in bank.pairs)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the solution."""
        return self.memory.freedom

    @property
    def gps_ms(self) -> int:
        """GPS milliseconds of the state."""
        return self.memory.gps_ms

    @property
    def partners(self) -> dict[int, Partner]:
        """Knowledge of each partner's orbit, by radio id."""
        return self.memory.unsolved | {identity: self.partner(identity) for identity in self.satellites[1:]}

    def partner(self, identity: int) -> Partner:
        """Return the knowledge of the orbit of a partner, by radio id; raise ValueError if it is not solved."""
        bank = self._bank_of(identity)
        return bank.partner(bank.satellites.index(identity))

    def relative(self, partner: int, hypothesis: int = 0) -> RelativeState:
        """Return the state of a partner, by radio id, relative to us in a hypothesis; 0 is the best.

        Raises:
            ValueError: The partner is not solved.
        """
        bank = self._bank_of(partner)
        return bank.hypotheses[hypothesis].relative(bank.satellites.index(partner))

    def bias_of(self, pair: Pair) -> tuple[float, float]:
        """Return the range bias of a pair and its standard deviation in the best hypothesis, in m."""
        bank = self._bank_with(pair)
        return bank.hypotheses[0].bias(bank.pairs.index(pair))

    def noise_of(self, pair: Pair) -> float:
        """Return the standard deviation of the ranges of a pair without model error, in m."""
        bank = self._bank_with(pair)
        return bank.range_noise_m[bank.pairs.index(pair)]

    def process_range(self, observation: RangeObservation) -> Verdict:
        """Update the hypotheses of the pair's group with a range; return the verdict."""
        cause = self._fault(observation)
        if cause is not None:
            return Verdict(cause)
        self._propagate(observation.gps_ms)
        bank = self._bank_with(observation.pair)
        ends = bank.satellites.index(observation.pair[0]), bank.satellites.index(observation.pair[1])
        pair = bank.pairs.index(observation.pair)
        noise_m, gate = bank.range_noise_m[pair], self._settings.range_gate_sigma**2
        innovations = range_innovations(bank.predicted, observation.range_m, ends, pair, noise_m)
        verdict = Verdict(FormationRejectCause.VAGUE)
        if innovations.curvature_m[0] <= noise_m:
            verdict = self._commit(
                observation, {bank: updated(bank.predicted, innovations.observation, innovations.nis, gate)}
            )
            bank.monitor(pair, is_rejected=verdict.cause is not None)
        residual_m = float(innovations.observation.residual[0, 0])
        return verdict._replace(residual_m=residual_m, nis=float(innovations.nis[0]))

    def process_fix(self, observation: SatelliteFix) -> Verdict:
        """Update the hypotheses with the position, then the velocity of a fix.

        A fix of our own satellite updates all groups; the first group gives the `cause`.
        """
        cause = self._fault(observation)
        if cause is not None:
            return Verdict(cause)
        self._propagate(observation.gps_ms)
        banks = [bank for bank in self.memory.banks if observation.satellite in bank.satellites]
        own = banks[0].predicted[0].orbit(banks[0].satellites.index(observation.satellite), observation.gps_ms)
        position, velocity = linearise_fix(observation.fix, own.x, self._frames, self._orbit.measurement)
        clock = effect_of_clock(observation.fix, own.x, self._frames, self._orbit.measurement)
        linearised = (
            with_clock_error(position, clock[:3], _FIXES_MAX),
            velocity and with_clock_error(velocity, clock[3:], _FIXES_MAX),
        )
        results = [self._updated_with_fix(bank, observation, linearised, own.x[:DRAG]) for bank in banks]
        verdict = self._commit(
            observation, {bank: hypotheses for bank, (hypotheses, _) in zip(banks, results, strict=True)}
        )
        if verdict.moved:
            self.memory.fix_gps_ms[observation.satellite] = observation.gps_ms
            for bank, (_, gates) in zip(banks, results, strict=True):
                bank.gates[observation.satellite] = gates
        return verdict

    def _updated_with_fix(
        self,
        bank: HypothesisBank,
        observation: SatelliteFix,
        linearised: tuple[Observation, Observation | None],
        about: Array,
    ) -> tuple[list[FilterHypothesis], tuple[Gate, Gate]]:
        """Return the hypotheses of a bank, and its gates of position and velocity, after a fix.

        `linearised` are position and velocity, linearised about `about` (6,).
        """
        receiver, satellite = self._orbit.measurement, bank.satellites.index(observation.satellite)
        elapsed_ms = observation.gps_ms - self.memory.fix_gps_ms.get(observation.satellite, -math.inf)
        inflation = self.memory.errors.inflation(1e-3 * elapsed_ms)
        hypotheses, gates = bank.predicted, list(bank.gates[observation.satellite])
        for part, measured in enumerate(linearised):
            if measured is not None:
                scaled = measured.scaled(gates[part].factor)
                innovations, nis = fix_innovations(hypotheses, scaled, about, satellite)
                predicted = hypotheses[0].orbit(satellite, observation.gps_ms)
                tested = measured._replace(residual=innovations.residual[0])
                gates[part] = gates[part].test(tested, predicted, receiver).gate
                hypotheses = updated(hypotheses, innovations.scaled(inflation[part]), nis, receiver.gate)
        return hypotheses, (gates[0], gates[1])

    def _commit(
        self, observation: RangeObservation | SatelliteFix, changed: dict[HypothesisBank, list[FilterHypothesis]]
    ) -> Verdict:
        """Replace the hypotheses by the updated or, in other banks, the predicted ones if any of them accepted."""
        # A rejecting hypothesis keeps the array of its state, so a new array means acceptance.
        accepted = [
            new.x is not old.x
            for bank, hypotheses in changed.items()
            for new, old in zip(hypotheses, bank.predicted, strict=True)
        ]
        if any(accepted):
            is_same_time = observation.gps_ms == self.gps_ms
            self.memory.used = {observation.satellites} | (self.memory.used if is_same_time else set())
            self.memory.gps_ms = observation.gps_ms
            ranges = int(isinstance(observation, RangeObservation) and accepted[0])
            for bank in self.memory.banks:
                bank.hypotheses = bank.predicted
                if bank in changed:
                    # Once per time suffices, because each comparison costs as much as an update.
                    bank.replace(changed[bank], ranges, are_compared=not is_same_time)
        return Verdict(None if accepted[0] else FormationRejectCause.GATE, any(accepted))

    def _propagate(self, gps_ms: int) -> None:
        """Predict all hypotheses to `gps_ms`, from the last prediction if that lies between their time and `gps_ms`."""
        if not self.gps_ms <= self.memory.predicted_ms <= gps_ms:
            self.memory.predicted_ms = self.gps_ms
            for bank in self.memory.banks:
                bank.predicted = bank.hypotheses
        while self.memory.predicted_ms < gps_ms:
            end_ms = min(self.memory.predicted_ms + self._orbit.force_model.step_max_ms, gps_ms)
            self._predict(self.memory.predicted_ms, end_ms)
            self.memory.predicted_ms = end_ms

    def _fault(self, observation: RangeObservation | SatelliteFix) -> FormationRejectCause | None:
        """Return the reason why an observation cannot be compared with the states; None if it can."""
        if isinstance(observation, RangeObservation):
            if not math.isfinite(observation.range_m):
                return FormationRejectCause.NOT_FINITE
            is_known = observation.pair in self.pairs
        else:
            is_known = bool(self.memory.banks) and observation.satellite in self.satellites
        if not is_known:
            return FormationRejectCause.SATELLITE
        elapsed_ms = observation.gps_ms - self.gps_ms
        if elapsed_ms < 0:
            return FormationRejectCause.NOT_LATER
        if elapsed_ms == 0 and observation.satellites in self.memory.used:
            return FormationRejectCause.DUPLICATE
        return FormationRejectCause.GAP if elapsed_ms > 1e3 * self._orbit.start.gap_max_s else None

    def _bank_with(self, pair: Pair) -> HypothesisBank:
        return next(bank for bank in self.memory.banks if pair in bank.pairs)

    def _bank_of(self, partner: int) -> HypothesisBank:
        for bank in self.memory.banks:
            if partner in bank.satellites[1:]:
                return bank
        raise ValueError(f"satellite {partner} is not solved; choose from {self.satellites[1:]}")

    def _predict(self, gps_ms: int, end_ms: int) -> None:
        """Predict the hypotheses of all groups over one step, from `gps_ms` to `end_ms`.

        Our satellite in the best hypothesis of the first group moves with all forces; all other states, our own in the
        other hypotheses included, are deviations from it.
        """
        banks, step_s = self.memory.banks, (end_ms - gps_ms) * 1e-3
        states = np.concatenate([each.states for bank in banks for each in bank.predicted])
        deviations = states - states[0]
        step = joint_step(self._dynamics, gps_ms, orbit_vector(states[0]), deviations, step_s)
        moved = step.x[:STATE_SIZE] + step.deviations
        row = 0
        for bank in banks:
            hypotheses, count, biases = len(bank.predicted), len(bank.satellites), len(bank.pairs)
            noise = process_noise_root(
                self._settings,
                self._orbit,
                step,
                step_s=step_s,
                deviations=deviations[row : row + count],
                biases=biases,
            )
            ends = moved[row : row + hypotheses * count].reshape(hypotheses, count, STATE_SIZE)
            bank.predicted = propagated(bank.predicted, ends, step.transition, noise)
            row += hypotheses * count

"""Candidates of manoeuvres: their begin, and the test of each with the next fixes.

`manoeuvre.py` explains the method and decides which candidate is confirmed. A detector keeps no state: the filter has
the candidates, which move with its own hypotheses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.kalman import Observation
from pygnc.estimators.orbit.error_models import ErrorBank, InnovationTest
from pygnc.estimators.orbit.hypotheses import Hypotheses
from pygnc.estimators.orbit.manoeuvre import (
    FACTOR_SUSPICIOUS,
    THRUST_SHARE,
    Candidate,
    Change,
    impulse_root,
    impulse_size_mps,
    step_size_s,
    thrust_root,
)
from pygnc.estimators.orbit.measurement import Fix, rates_along_track
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import SIZE, OrbitState

Observations: TypeAlias = tuple[Observation, Observation | None, Array, int]
"""Position, velocity, the effect of one standard deviation of the receiver's clock on both, (6,), and the number of
fixes whose mean they are.
"""
Predict: TypeAlias = Callable[[OrbitState, Sequence[Hypotheses], int], tuple[Array, list[Hypotheses]]]
"""Function that returns the state vector (10,) and the banks of hypotheses relative to it at a later time, GPS ms."""
Linearise: TypeAlias = Callable[[Array, Fix], Observations]
"""Function that returns the observations of a fix, linearised about a state vector (10,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """Estimate before one of the last accepted fixes, and that fix."""

    state: OrbitState
    hypotheses: Hypotheses
    fix: Fix


class ManoeuvreDetector:
    """Source and test of candidates.

    Args:
        settings: Process noise and limits of manoeuvres.
        bank: Models of the receiver's errors.
        predict: Prediction of the filter.
        linearise: Linearisation of the filter.
    """

    def __init__(self, settings: OrbitSettings, bank: ErrorBank, predict: Predict, linearise: Linearise) -> None:
        self._settings = settings
        self._bank = bank
        self._predict = predict
        self._linearise = linearise

    def tested(
        self,
        candidates: Sequence[Candidate],
        hypotheses: Hypotheses,
        test: InnovationTest,
        observations: Observations,
    ) -> list[Candidate]:
        """Return the candidates updated with the fix, without those that assume a change just before it but reject it.

        `test` is the test of the fix by the `hypotheses` without a change; the leads count from it.
        """
        tested = []
        for candidate in candidates:
            result = self._bank.test(candidate.hypotheses, *observations)
            if candidate.fixes == 0 and not (result.accepted[0] and (result.accepted[1] or result.velocity is None)):
                continue
            position_lead = candidate.position_lead
            if candidate.change is Change.TIME_STEP:
                position_lead += self._bank.position_lead(candidate.hypotheses, result, hypotheses, test)
            updated, _ = self._bank.updated(candidate.hypotheses, result, result.accepted)
            tested.append(
                replace(
                    candidate,
                    hypotheses=self._bank.adapted(updated, result),
                    lead=candidate.lead + result.log_likelihood - test.log_likelihood,
                    fixes=candidate.fixes + 1,
                    position_lead=position_lead,
                )
            )
        return tested

    def _earlier_impulses(self, recent: Sequence[Moment], state: OrbitState, size_mps: float) -> list[Candidate]:
        """Return candidates of impulses of size `size_mps` before each of the recent fixes, relative to the state."""
        candidates: list[Candidate] = []
        states = [*(moment.state for moment in recent), state]
        for moment, after in zip(recent, states[1:], strict=True):
            gps_ms = moment.fix.gps_ms
            banks = [moment.hypotheses, *(candidate.hypotheses for candidate in candidates)]
            x, (hypotheses, *changed) = self._predict(moment.state, banks, gps_ms)
            candidates = moved(candidates, changed)
            candidates.append(self._impulse(moment.state, x, hypotheses, gps_ms, size_mps))
            observations = self._linearise(x, moment.fix)
            tested = self.tested(candidates, hypotheses, self._bank.test(hypotheses, *observations), observations)
            candidates = [replace(each, hypotheses=each.hypotheses.centred(x, after.x)) for each in tested]
        return candidates

    def _impulse(self, state: OrbitState, x: Array, hypotheses: Hypotheses, gps_ms: int, size_mps: float) -> Candidate:
        """Return the candidate of an impulse between `state` and the prediction `x`, `hypotheses` at `gps_ms`."""
        interval_s = (gps_ms - state.gps_ms) * 1e-3
        changed = self._bank.changed(hypotheses, impulse_root(size_mps, interval_s))
        return Candidate(Change.IMPULSE, gps_ms, changed, hypotheses.mixture(gps_ms, x))

    def with_suspected(  # noqa: PLR0917 - the fix, its prediction and its test
        self,
        candidates: list[Candidate],
        state: OrbitState,
        x: Array,
        hypotheses: Hypotheses,
        test: InnovationTest,
        gps_ms: int,
        *,
        recent: Sequence[Moment],
        in_thrust: bool,
    ) -> list[Candidate]:
        """Return the candidates with additional ones that the innovation test of a fix suggests.

        Args:
            candidates: Candidates at the time of the fix.
            state: Estimate after the last accepted fix.
            x: State vector predicted from it to the fix, shape (10,).
            hypotheses: Hypotheses without a manoeuvre, relative to `x`.
            test: Test of the fix with them.
            gps_ms: Time of the fix, GPS ms.
            recent: The last accepted fixes, before one of which an impulse may have happened.
            in_thrust: True between the confirmed begin and end of a thrust.
        """
        sigma_mps2 = np.array(self._settings.process_noise.empirical_sigma_mps2)
        interval_s = (gps_ms - state.gps_ms) * 1e-3
        known = {candidate.change for candidate in candidates}
        if in_thrust:
            if Change.THRUST_END not in known:
                quiet = self._bank.without_acceleration(hypotheses, x, sigma_mps2)
                candidates.append(Candidate(Change.THRUST_END, gps_ms, quiet, hypotheses.mixture(gps_ms, x)))
            return candidates
        if interval_s > self._settings.manoeuvre.gap_max_s:
            return candidates
        size_mps = impulse_size_mps(test, interval_s, self._settings.manoeuvre)
        is_suspected = size_mps is not None or self._bank.widening(hypotheses) > FACTOR_SUSPICIOUS
        if Change.THRUST_BEGIN not in known and is_suspected:
            force_mps2 = self._settings.process_noise.unknown_force_mps2
            factor = THRUST_SHARE * force_mps2 / float(sigma_mps2.min())
            thrust = self._bank.changed(hypotheses, thrust_root(force_mps2), factor)
            candidates.append(Candidate(Change.THRUST_BEGIN, gps_ms, thrust, hypotheses.mixture(gps_ms, x)))
        impulses = [candidate for candidate in candidates if candidate.change is Change.IMPULSE]
        if size_mps is not None and all(impulse.lead < 0.0 for impulse in impulses):
            candidates = [candidate for candidate in candidates if candidate.change is not Change.IMPULSE]
            earlier = self._earlier_impulses(recent, state, size_mps)
            if earlier:
                _, changed = self._predict(state, [candidate.hypotheses for candidate in earlier], gps_ms)
                candidates += moved(earlier, changed)
            candidates.append(self._impulse(state, x, hypotheses, gps_ms, size_mps))
        return candidates

    @staticmethod
    def with_time_step(
        candidates: list[Candidate], x: Array, hypotheses: Hypotheses, test: InnovationTest, fix: Fix
    ) -> list[Candidate]:
        """Return the candidates with a step of the time before a fix if its innovation test suggests one.

        The arguments are as in `with_suspected`. A step within the stated error of the clock is none.
        """
        if any(each.change is Change.TIME_STEP and each.lead >= 0.0 for each in candidates):
            return candidates
        along_track = rates_along_track(x[:6])
        size_s = step_size_s(test, test.partials[0, :, :6].dot(along_track))
        if size_s is None or size_s < fix.time_sigma_s:
            return candidates
        root = np.zeros((SIZE, 1))
        root[:6, 0] = size_s * along_track
        before = hypotheses.mixture(fix.gps_ms, x)
        step = Candidate(Change.TIME_STEP, fix.gps_ms, hypotheses.inflated(root), before, unchanged=hypotheses)
        return [*(each for each in candidates if each.change is not Change.TIME_STEP), step]


def moved(candidates: Sequence[Candidate], hypotheses: Sequence[Hypotheses]) -> list[Candidate]:
    """Return the candidates with their banks, in order, replaced by those at another time."""
    banks = iter(hypotheses)
    return [each.with_banks([next(banks) for _ in each.banks]) for each in candidates]

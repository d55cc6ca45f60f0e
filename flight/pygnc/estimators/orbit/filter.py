"""Square-root extended Kalman filter for the orbit.

The filter buffers the first fixes, initialises from them, then predicts, tests, and updates with each fix. The state is
the mean of hypotheses on the receiver's errors (`error_models`), which share one trajectory. The filter re-initialises
if successive rejected fixes agree with each other, and continues with the new orbit after a manoeuvre (`manoeuvre`). A
fix that is rejected entirely, and that no candidate manoeuvre explains, leaves the state at its old time, so a wrong
time tag cannot move the filter into the future.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.error_models import ErrorBank, InnovationTest
from pygnc.estimators.orbit.hypotheses import Hypotheses
from pygnc.estimators.orbit.initialisation import InitialFix, InitialOrbit, OrbitInitialiser, is_orbit
from pygnc.estimators.orbit.manoeuvre import (
    DISTRUST_DECIDED,
    Candidate,
    Change,
    Manoeuvre,
    confirmed,
    is_step_probable,
)
from pygnc.estimators.orbit.manoeuvre_detector import ManoeuvreDetector, Moment, Observations, moved
from pygnc.estimators.orbit.measurement import (
    Fix,
    RejectCause,
    effect_of_clock,
    linearise_fix,
    rates_along_track,
)
from pygnc.estimators.orbit.new_orbit import NewOrbits
from pygnc.estimators.orbit.process_noise import steady_sigma
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import UNKNOWN_SIGMA, OrbitState, to_ecef
from pygnc.estimators.orbit.time_errors import ROUNDING_SIGMA_S, time_error_s
from pygnc.estimators.orbit.update import OrbitUpdate

_STEP_MIN_S: Final = 2e-3
"""Least step of the times that is corrected: one of 1 ms is not told from white noise of 10 m and 1 cm/s."""
_LOCATING_POSITIONS: Final = 40
"""Number of positions from which the likelihood may show a step of the times. Before, velocities that are wrong by
slow errors looked like one in 5 of 156 flights.
"""


class FilterMemory(msgspec.Struct, forbid_unknown_fields=True):
    """State of an orbit filter that a restarted task needs.

    Attributes:
        earth_orientation: Identification of the Earth orientation table, which defines the filter's GCRF.
        hypotheses: Hypotheses on the receiver's errors, relative to the state.
        state: Estimate after the last accepted fix; None before the initialisation.
        buffered: Fixes before the initialisation; afterwards, the latest successive rejected fixes.
        candidates: Assumed changes of the motion that the next fixes confirm or refute.
        in_thrust: True between the confirmed begin and end of a thrust.
        recent: The last accepted fixes, before one of which a suspected impulse may have happened.
        time_error_s: Error of the times of the fixes, relative to those of the first ones.
        time_sigma_s: Standard deviation of that error, which is 0 for whole seconds.
        doubtful: Manoeuvres that the state covers, but that may be errors of the velocities instead; they are reported
            when the positions have decided.
        positions: Number of positions accepted since the initialisation.
        position_gps_ms: Time of the last of them, GPS ms.
        is_discarded: True after a state was discarded, until the next initialisation.
    """

    earth_orientation: str
    hypotheses: Hypotheses
    state: OrbitState | None = None
    buffered: list[Fix] = []
    candidates: list[Candidate] = []
    in_thrust: bool = False
    recent: list[Moment] = []
    time_error_s: float = 0.0
    time_sigma_s: float = 0.0
    doubtful: list[Manoeuvre] = []
    positions: int = 0
    position_gps_ms: int = 0
    is_discarded: bool = False


class OrbitFilter:
    """Filter that estimates orbit states from fixes.

    A fix costs a propagation step per started 30 s (or 60 s) since the last fix plus an update; memory is constant.

    Args:
        settings: Force model, noise, gates.
        orientation: Earth orientation for the life of the filter; without a table `EarthOrientationTable.none()`.
        memory: Memory of an earlier filter, from which this one continues bit for bit; None to begin.

    Attributes:
        frames: Rotations between GCRF and ITRF.
        memory: State that a restarted task needs.

    Raises:
        ValueError: The memory was made with another Earth orientation, and therefore in another GCRF.
    """

    def __init__(
        self, settings: OrbitSettings, orientation: EarthOrientationTable, memory: FilterMemory | None = None
    ) -> None:
        if memory is not None and memory.earth_orientation != orientation.identification:
            raise ValueError(
                f"orbit checkpoint was made with Earth orientation {memory.earth_orientation!r}, not"
                f" {orientation.identification!r}; begin without the checkpoint"
            )
        self.settings = settings
        self.frames = EarthFrames(orientation)
        self._dynamics = OrbitDynamics(settings, self.frames)
        self._initialiser = OrbitInitialiser(self._dynamics, settings)
        self._new_orbits = NewOrbits(settings, self._dynamics, self.frames)
        self._bank = ErrorBank(settings.measurement, settings.process_noise)
        self._detector = ManoeuvreDetector(settings, self._bank, self._predicted, self._linearise)
        self.memory = memory or FilterMemory(orientation.identification, self._bank.unknown())

    def discard(self) -> None:
        """Discard the state and all fixes, and begin anew."""
        self.memory = FilterMemory(self.memory.earth_orientation, self._bank.unknown(), is_discarded=True)

    @property
    def state(self) -> OrbitState | None:
        """Estimate after the last accepted fix; None before the initialisation."""
        return self.memory.state

    @property
    def velocity_distrust(self) -> float:
        """Probability that the receiver's velocities have a slow error, 0 to 1."""
        return self._bank.distrust(self.memory.hypotheses)

    def process(self, fix: Fix) -> tuple[OrbitUpdate, ...]:
        """Process one fix.

        Returns:
            The results of the fixes that are now accepted or rejected, in order of time: none while the filter buffers
            fixes (except for a repeated one), all buffered fixes when it initialises, only this fix afterwards.
        """
        state, buffered, fixes = self.memory.state, self.memory.buffered, self.settings.start.fixes
        if state is not None:
            return (self._process_in_flight(state, fix),)
        if any(fix.gps_ms == other.gps_ms for other in buffered):
            return (OrbitUpdate.rejected(fix, RejectCause.NOT_LATER),)
        buffered.append(fix)
        if len(buffered) >= fixes:
            # If the fixes disagree, the filter waits for up to twice their number, so that a majority can agree.
            return self._initialise(compulsory=len(buffered) >= 2 * fixes)
        if len(buffered) == fixes - 1:
            self._warm_up()
        return ()

    def initialise_from_buffered(self) -> tuple[OrbitUpdate, ...]:
        """Initialise from the buffered fixes at the end of the input, even from a single fix.

        If they contradict each other, all are used, with larger standard deviations that cover the contradiction.
        """
        waiting = self.memory.state is None and self.memory.buffered
        return self._initialise(compulsory=True) if waiting else ()

    def predict(self, gps_ms: int, start: OrbitState | None = None) -> OrbitState:
        """Return the orbit at a later time, predicted from `start` or the filter's state; the filter does not change.

        Raises:
            ValueError: There is no state yet, or `gps_ms` is before it.
        """
        state = start or self.memory.state
        if state is None:
            raise ValueError("the orbit filter is not initialised: process fixes before predicting")
        return self._propagated(state, gps_ms, self.empirical_factor)

    @property
    def empirical_factor(self) -> float:
        """Mean factor of the hypotheses on the standard deviations of the empirical accelerations."""
        hypotheses = self.memory.hypotheses
        return float(hypotheses.weight.dot(hypotheses.empirical_factor))

    # --- Initialisation --------------------------------------------------------------------------------------------

    def _initialise(self, *, compulsory: bool) -> tuple[OrbitUpdate, ...]:
        """Initialise if the buffered fixes agree; otherwise, if `compulsory`, use their majority, or all, or none.

        A minority of wrong fixes may be the majority of the first few, so several must agree and at most a third not.
        """
        buffered, fixes = self.memory.buffered, self.settings.start.fixes
        initial = self._initialiser.find(buffered)
        if initial is None:
            return self._reject_start() if compulsory else ()
        agreeing = 0 if initial.displacement else initial.agreeing
        is_clear = 3 * agreeing >= 2 * len(buffered)
        if is_clear and (compulsory or agreeing >= fixes):
            return self._begin(initial)
        if not compulsory:
            return ()
        if len(buffered) >= 2 * fixes and 2 * agreeing > len(buffered):
            return self._begin(initial)
        everything = tuple(InitialFix(fix, position_agrees=True, velocity_agrees=True) for fix, _, _ in initial.fixes)
        # Their errors may be equal, so they do not average out.
        widen = max(initial.position_rms, initial.displacement, 1.0) * math.sqrt(len(everything))
        return self._begin(replace(initial, fixes=everything), widen)

    def _reject_start(self) -> tuple[OrbitUpdate, ...]:
        """Discard the buffered fixes and return their results."""
        buffered, self.memory.buffered = self.memory.buffered, []
        return tuple(OrbitUpdate.rejected(fix, RejectCause.START) for fix in buffered)

    def _warm_up(self) -> None:
        """Run an initialisation before the last fix arrives and discard it, which halves the response time to that fix.

        The run fills the caches for the current time and loads code and memory pages that are unused since the fork.
        """
        memory, self.memory = self.memory, msgspec.structs.replace(self.memory)
        self._initialise(compulsory=True)
        if self.memory.state is not None:
            to_ecef(self.memory.state, self.frames)
        self.memory = memory

    def _begin(self, initial: InitialOrbit, widen: float = 1.0) -> tuple[OrbitUpdate, ...]:
        """Filter the parts that agree from an uninformative state, with `widen` or more times the receiver's sigmas."""
        memory = self.memory
        # A last fix of which nothing agrees may have a wrong time, which must not become that of the state.
        last = max(row for row, each in enumerate(initial.fixes) if each.position_agrees or each.velocity_agrees)
        usable = [each.fix for each in initial.fixes[: last + 1]]
        left_out = [fix for fix in memory.buffered if not any(fix is other for other in usable)]
        updates = [OrbitUpdate.rejected(fix, RejectCause.START) for fix in left_out]
        state = uninformative_state(usable[0].gps_ms, initial.x, self.settings)
        spreads = (initial.position_spread, initial.velocity_spread)
        start = self._bank.restarted(memory.hypotheses, state.sqrt_covariance, spreads)
        # Weights and empirical factors do not adapt: so few fixes show neither correlated errors nor unmodelled forces.
        hypotheses = replace(
            start,
            noise_factor=np.maximum(widen, start.noise_factor),
            empirical_factor=self._bank.unknown().empirical_factor[: len(start.log_weight)],
        )
        for fix, position_agrees, velocity_agrees in initial.fixes[: last + 1]:
            x, (hypotheses,) = self._predicted(state, [hypotheses], fix.gps_ms)
            test = self._bank.test(hypotheses, *self._linearise(x, fix))
            used = position_agrees, velocity_agrees and test.velocity is not None
            updated, hypotheses, _ = self._updated(x, hypotheses, fix, test, used)
            hypotheses = replace(hypotheses, log_weight=start.log_weight)
            state = hypotheses.mixture(fix.gps_ms, updated.x)
            hypotheses = hypotheses.centred(updated.x, state.x)
            if not is_orbit(state.x):
                return self._reject_start()
            updates.append(OrbitUpdate.tested(fix, state, used, RejectCause.START, hypotheses))
        memory.hypotheses = replace(
            hypotheses, noise_factor=start.noise_factor, empirical_factor=start.empirical_factor
        )
        memory.state, memory.buffered = state, []
        memory.candidates, memory.in_thrust, memory.recent, memory.doubtful = [], False, [], []
        updates = [self._new_orbits.with_time_error(update, state) for update in updates]
        used_ms = [update.fix.gps_ms for update in updates if update.position_accepted]
        memory.positions, memory.position_gps_ms = len(used_ms), max(used_ms, default=state.gps_ms)
        updates.sort(key=lambda update: update.fix.gps_ms)
        if memory.is_discarded:
            memory.is_discarded = False
            first = next(row for row, update in enumerate(updates) if update.state is not None)
            updates[first] = replace(updates[first], restarted_from_ms=updates[first].fix.gps_ms)
        return tuple(updates)

    # --- Flight (filters on the ground override some methods) ---------------------------------------------------------

    def _propagated(self, state: OrbitState, gps_ms: int, empirical_factor: float) -> OrbitState:
        return self._dynamics.propagate(state, gps_ms, empirical_factor)

    def _predicted(self, state: OrbitState, banks: Sequence[Hypotheses], gps_ms: int) -> tuple[Array, list[Hypotheses]]:
        """Return the common state vector (10,), and the banks of hypotheses relative to it, at a later time."""
        time_ms, x, banks = state.gps_ms, state.x, list(banks)
        ends = np.cumsum([len(bank.weight) for bank in banks])[:-1]
        while time_ms < gps_ms:
            factor = np.concatenate([bank.empirical_factor for bank in banks])
            step = self._dynamics.linear_step(time_ms, x, gps_ms, factor)
            step_s = (step.gps_ms - time_ms) * 1e-3
            noise = np.split(step.sqrt_noise, ends)
            banks = [
                self._bank.predicted(bank, step._replace(sqrt_noise=root), step_s)
                for bank, root in zip(banks, noise, strict=True)
            ]
            time_ms, x = step.gps_ms, step.x
        return x, banks

    def _updated(
        self,
        x: Array,
        hypotheses: Hypotheses,
        fix: Fix,
        test: InnovationTest,
        used: tuple[bool, bool],
    ) -> tuple[OrbitState, Hypotheses, float]:
        """Return state, hypotheses relative to it, and NIS after the `used` parts of a fix; `x` (10,) is predicted."""
        hypotheses, nis = self._bank.updated(hypotheses, test, used)
        state = hypotheses.mixture(fix.gps_ms, x)
        return state, hypotheses.centred(x, state.x), nis

    def _process_in_flight(self, state: OrbitState, stated: Fix) -> OrbitUpdate:
        """Process a fix at its stated time minus the known error or, if it fits there, minus another one."""
        memory = self.memory
        error_s = memory.time_error_s
        update = self._process_at(state, stated, error_s)
        if update.time_error_s:
            error_s = round(error_s + update.time_error_s, 3)
            update = self._process_at(memory.state or state, stated, error_s)
        if update.position_cause not in {None, RejectCause.NOT_LATER, RejectCause.TIME_INCONSISTENT}:
            update = self._try_restart(update)
            if not update.time_error_s:
                return replace(update, time_error_s=error_s) if error_s else update
            error_s = round(error_s + update.time_error_s, 3)
            memory.candidates = []
            update = self._process_at(state, stated, error_s)
        if update.position_accepted:
            memory.time_error_s, memory.buffered = error_s, []
            memory.positions, memory.position_gps_ms = memory.positions + 1, update.fix.gps_ms
        return replace(update, time_error_s=error_s) if error_s or update.time_error_s else update

    def _process_at(self, state: OrbitState, stated: Fix, error_s: float) -> OrbitUpdate:
        """Update with a fix whose stated time is wrong by `error_s`; a further error leaves the filter unchanged."""
        fix = stated
        if error_s:
            sigma_s = math.hypot(stated.time_sigma_s, self.memory.time_sigma_s)
            fix = replace(stated, gps_ms=stated.gps_ms - round(1000 * error_s), time_sigma_s=sigma_s)
        if fix.gps_ms <= state.gps_ms:
            return OrbitUpdate.rejected(fix, RejectCause.NOT_LATER)
        if fix.gps_ms - state.gps_ms > self.settings.start.gap_max_s * 1e3:
            return OrbitUpdate.rejected(fix, RejectCause.GAP)
        return self._update(state, fix)

    def _update(self, state: OrbitState, fix: Fix) -> OrbitUpdate:
        """Test position and velocity separately, then update with the parts that pass."""
        memory = self.memory
        if fix.gps_ms - state.gps_ms > 1e3 * self.settings.manoeuvre.gap_max_s:
            memory.candidates, memory.recent = [], []
        candidates = memory.candidates if self.settings.manoeuvre_detection else []
        banks = [memory.hypotheses, *(bank for candidate in candidates for bank in candidate.banks)]
        x, (hypotheses, *changed) = self._predicted(state, banks, fix.gps_ms)
        observations = self._linearise(x, fix)
        test = self._bank.test(hypotheses, *observations)
        wrong_s = 0 if test.accepted[0] else time_error_s(fix, x, test.position, self.frames)
        if wrong_s:
            return replace(OrbitUpdate.rejected(fix, RejectCause.TIME_INCONSISTENT), time_error_s=wrong_s)
        factor = hypotheses.empirical_factor
        if self.settings.manoeuvre_detection:
            candidates = self._detector.with_suspected(
                moved(candidates, changed),
                state,
                x,
                hypotheses,
                test,
                fix.gps_ms,
                recent=memory.recent,
                in_thrust=memory.in_thrust,
            )
            # The first positions do not determine where on its track the satellite is, if velocities are distrusted.
            if memory.positions > _LOCATING_POSITIONS and not memory.in_thrust:
                candidates = self._detector.with_time_step(candidates, x, hypotheses, test, fix)
            candidates = self._detector.tested(candidates, hypotheses, test, observations)
        certain = confirmed(candidates)
        if certain is not None and certain.change is Change.TIME_STEP:
            stepped = self._after_time_step(certain, state, x, fix)
            if stepped is not None:
                return stepped
        elif certain is not None:
            return self._after_manoeuvre(certain, x, fix, test, factor)
        # An impulse may have happened before one of the last two fixes.
        recent = [*memory.recent, Moment(state, memory.hypotheses, fix)][-2:]
        if any(test.accepted):
            memory.recent = recent
            updated, hypotheses, nis = self._updated(x, hypotheses, fix, test, test.accepted)
            memory.hypotheses = self._bank.adapted(hypotheses, test)
            memory.state = updated
            result = OrbitUpdate.tested(fix, updated, test.accepted, RejectCause.GATE, memory.hypotheses)
        else:
            nis = 0.0
            predicted = hypotheses.mixture(fix.gps_ms, x)
            result = OrbitUpdate.tested(fix, predicted, test.accepted, RejectCause.GATE, None)
            if not candidates:
                memory.hypotheses = self._bank.adapted(memory.hypotheses, test)
            else:
                # A candidate explains the fix, so its time tag is right and the state may move to it.
                memory.state, memory.recent = predicted, []
                memory.hypotheses = self._bank.adapted(hypotheses.centred(x, predicted.x), test)
        memory_x = memory.state.x if memory.state else x
        memory.candidates = [
            candidate.with_banks([bank.centred(x, memory_x) for bank in candidate.banks])
            for candidate in candidates
            if not candidate.is_refuted
        ]
        return replace(
            result,
            nis=nis,
            dof=3 * sum(test.accepted),
            position=test.position,
            velocity=test.velocity,
            empirical_factor=factor,
            manoeuvre=self._decided(),
        )

    def _after_manoeuvre(
        self, candidate: Candidate, x: Array, fix: Fix, test: InnovationTest, factor: Array
    ) -> OrbitUpdate:
        """Replace state and hypotheses by those of a confirmed candidate; return the result of the fix.

        An error of the velocities looks the same until the positions decide; `_decided` reports the manoeuvre then.
        """
        memory = self.memory
        hypotheses = candidate.hypotheses
        if candidate.change is not Change.THRUST_END:
            hypotheses = self._bank.doubted(hypotheses)
        state = hypotheses.mixture(fix.gps_ms, x)
        memory.state, memory.hypotheses = state, hypotheses.centred(x, state.x)
        memory.candidates, memory.in_thrust, memory.recent = [], candidate.change is Change.THRUST_BEGIN, []
        used = (True, test.velocity is not None)
        manoeuvre = candidate.manoeuvre(state, self._propagated(candidate.before, fix.gps_ms, 1.0))
        is_doubtful = self.velocity_distrust > 0.0
        if is_doubtful:
            memory.doubtful = [*memory.doubtful, manoeuvre]
        return replace(
            OrbitUpdate.tested(fix, state, used, RejectCause.GATE, memory.hypotheses),
            restarted_from_ms=candidate.first_gps_ms,
            position=test.position,
            velocity=test.velocity,
            empirical_factor=factor,
            manoeuvre=None if is_doubtful else manoeuvre,
        )

    def _after_time_step(self, candidate: Candidate, state: OrbitState, x: Array, fix: Fix) -> OrbitUpdate | None:
        """Return to the orbit without the fixes after a confirmed step of their times; None if it is too small.

        The result is a rejected fix with the step as `time_error_s`. `state` is the estimate before the fix, to which
        the vector `x` (10,) is predicted.
        """
        memory = self.memory
        (unchanged,) = (each.unchanged for each in memory.candidates if each.unchanged is not None)
        new, old = (bank.mixture(fix.gps_ms, x) for bank in candidate.banks)
        along_track = rates_along_track(old.x[:6])
        weighted = np.linalg.solve((new.covariance + old.covariance)[:6, :6], along_track)
        information = float(weighted.dot(along_track))
        step_s = -round(float(weighted.dot(new.x[:6] - old.x[:6])) / information, 3)
        if abs(step_s) < _STEP_MIN_S:
            return None
        memory.state = unchanged.mixture(state.gps_ms, state.x)
        memory.hypotheses = unchanged.centred(state.x, memory.state.x)
        memory.candidates, memory.recent = [], []
        memory.time_error_s = round(memory.time_error_s + step_s, 3)
        memory.time_sigma_s = math.hypot(memory.time_sigma_s, information**-0.5, ROUNDING_SIGMA_S)
        return replace(OrbitUpdate.rejected(fix, RejectCause.TIME_INCONSISTENT), time_error_s=step_s)

    def _decided(self) -> Manoeuvre | None:
        """Return the oldest doubtful manoeuvre once the positions confirm all; forget all once they refute them.

        A thrust that was reported is refuted like one that is doubtful.
        """
        memory, distrust = self.memory, self.velocity_distrust
        if distrust > 1.0 - DISTRUST_DECIDED and (memory.doubtful or memory.in_thrust):
            memory.doubtful, memory.in_thrust, memory.candidates = [], False, []
        if not memory.doubtful or distrust > DISTRUST_DECIDED:
            return None
        first, *memory.doubtful = memory.doubtful
        return first

    def _try_restart(self, rejected: OrbitUpdate) -> OrbitUpdate:
        """Re-initialise once enough successive rejected fixes agree; return the result of the last one.

        These are `restart_fixes` if a manoeuvre or a long gap explains the new orbit. Otherwise either orbit is wrong,
        and the new one needs as many fixes as the old one, at most twice those of an initialisation. An old orbit with
        more fixes than that stays if a step of the times explains the new one; the result has the step as
        `time_error_s`. If an orbit of fewer fixes is replaced, the result has it as `replaced_error_s`.
        """
        limits, positions = self.settings.start, self.memory.positions
        buffered = [*self.memory.buffered, rejected.fix][-2 * limits.fixes :]
        self.memory.buffered = buffered
        if len(buffered) < limits.restart_fixes or any(map(is_step_probable, self.memory.candidates)):
            return rejected
        used = buffered[-limits.fixes :]
        initial = self._initialiser.find(used)
        if initial is None or initial.agreeing < limits.restart_fixes:
            return rejected
        elapsed_s = (rejected.fix.gps_ms - self.memory.position_gps_ms) * 1e-3
        is_reachable = self._new_orbits.is_reachable(initial, rejected, elapsed_s)
        step_s, sigma_s = self._new_orbits.time_step(initial, rejected, elapsed_s)
        if step_s and positions > 2 * limits.fixes:
            self.memory.time_sigma_s = sigma_s
            # More fixes make the step more accurate, unless the next one could end the old orbit.
            is_due = is_reachable or len(used) == limits.fixes
            return replace(rejected, time_error_s=step_s) if is_due else rejected
        if not is_reachable:
            if len(buffered) < min(positions, 2 * limits.fixes):
                return rejected
            used = buffered
            initial = self._initialiser.find(used)
            if initial is None or 3 * initial.agreeing < 2 * len(used):
                return rejected
        self.memory.buffered = used
        updates = self._begin(initial)
        update = next(update for update in updates if update.fix is rejected.fix)
        restarted_ms = updates[0].fix.gps_ms
        return replace(update, restarted_from_ms=restarted_ms, replaced_error_s=-step_s) if update.state else rejected

    def _linearise(self, x: Array, fix: Fix) -> Observations:
        settings = self.settings.measurement
        return *linearise_fix(fix, x, self.frames, settings), effect_of_clock(fix, x, self.frames, settings), 1


def uninformative_state(gps_ms: int, x: Array, settings: OrbitSettings) -> OrbitState:
    """Return a state at `x` (10,) with a covariance so large that `x` only serves for the linearisation."""
    process_sigma = steady_sigma(settings.process_noise)
    sigma = np.concatenate((UNKNOWN_SIGMA, process_sigma))
    return OrbitState(gps_ms, x, np.diag(sigma))

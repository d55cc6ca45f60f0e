"""Square-root extended Kalman filter for the orbit.

The filter buffers the first fixes, initialises from them, then predicts, tests, and updates with each fix; it
re-initialises if successive rejected fixes agree with each other. A fix that is rejected entirely leaves the state at
its old time, so a wrong time tag cannot carry the filter into the future.
"""

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import msgspec
import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators import kalman
from pygnc.estimators.checkpoint import decode, encode
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.initialisation import InitialFix, InitialOrbit, OrbitInitialiser
from pygnc.estimators.orbit.measurement import (
    Fix,
    Gate,
    Innovation,
    Observation,
    RejectCause,
    empirical_factor,
    linearise_fix,
)
from pygnc.estimators.orbit.process_noise import steady_sigma
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import EcefOrbit, OrbitState, to_ecef

UsedObservations: TypeAlias = tuple[Observation | None, Observation | None]
"""Accepted observations of the position and the velocity of a fix, with adapted sigmas; None for a rejected part."""

_UNKNOWN_POSITION_M: Final = 1e5
_UNKNOWN_VELOCITY_MPS: Final = 1e3
"""Standard deviations before the first fix: uninformative, but small enough to keep the numbers well scaled."""


@dataclass(frozen=True, slots=True, eq=False)
class OrbitUpdate:
    """Result of one fix.

    Attributes:
        fix: The fix.
        state: Estimate at the fix's time: updated or, if the fix was rejected entirely, predicted; None if there is no
            estimate for that time.
        position_cause: Reason why the position was rejected; None if it was accepted.
        velocity_cause: Reason why the velocity was rejected; None if it was accepted.
        nis: Normalised innovation squared of the accepted parts; chi-square with `dof` degrees of freedom if the filter
            is consistent.
        dof: 3 or 6; 0 for a rejected fix and for fixes of the initialisation.
        restarted_from_ms: GPS ms of the first rejected fix if the state was re-initialised from rejected fixes; else
            None.
        position: Innovation of the position; None without a prediction.
        velocity: Innovation of the velocity; None without a prediction or velocity.
        empirical_factor: Factor on the empirical accelerations during the propagation to this fix.
    """

    fix: Fix
    state: OrbitState | None
    position_cause: RejectCause | None
    velocity_cause: RejectCause | None
    nis: float = 0.0
    dof: int = 0
    restarted_from_ms: int | None = None
    position: Innovation | None = None
    velocity: Innovation | None = None
    empirical_factor: float = 1.0

    @classmethod
    def rejected(cls, fix: Fix, cause: RejectCause) -> "OrbitUpdate":
        """Return the result of a fix that is rejected as a whole, without an estimate for its time."""
        return cls(fix, None, cause, cause)

    @property
    def position_accepted(self) -> bool:
        """True if the position was used."""
        return self.position_cause is None

    @property
    def velocity_accepted(self) -> bool:
        """True if the velocity was used."""
        return self.velocity_cause is None


class FilterMemory(msgspec.Struct, forbid_unknown_fields=True):
    """State of an orbit filter that a restarted task needs.

    Attributes:
        earth_orientation: Identification of the Earth orientation table.
        state: Estimate after the last accepted fix; None before the initialisation.
        position_gate: Gate for the next position.
        velocity_gate: Gate for the next velocity.
        empirical_factor: Factor on the empirical accelerations.
        buffered: Fixes before the initialisation; afterwards, the latest successive rejected fixes.
    """

    earth_orientation: str
    state: OrbitState | None = None
    position_gate: Gate = Gate()
    velocity_gate: Gate = Gate()
    empirical_factor: float = 1.0
    buffered: list[Fix] = []


class OrbitFilter:
    """Filter that estimates orbit states from fixes.

    A fix costs a propagation step per started 30 s (or 60 s) since the last fix plus an update; memory is constant.

    Args:
        settings: Force model, noise, gates.
        orientation: Earth orientation for the whole life of the filter; without a table `EarthOrientationTable.none()`.

    Attributes:
        settings: Force model, noise, gates.
        frames: Rotations between GCRF and ITRF.
        memory: State that a restarted task needs.
    """

    def __init__(self, settings: OrbitSettings, orientation: EarthOrientationTable) -> None:
        self.settings = settings
        self.frames = EarthFrames(orientation)
        self._dynamics = OrbitDynamics(settings, self.frames)
        self._initialiser = OrbitInitialiser(self._dynamics, self.frames, settings)
        self.memory = FilterMemory(orientation.identification)

    @property
    def state(self) -> OrbitState | None:
        """Estimate after the last accepted fix; None before the initialisation."""
        return self.memory.state

    def process(self, fix: Fix) -> tuple[OrbitUpdate, ...]:
        """Process one fix.

        Returns:
            The fixes that are now accepted or rejected, in order of time: none while the filter buffers fixes, all
            buffered fixes when it initialises, only this fix afterwards.
        """
        state, buffered, fixes = self.memory.state, self.memory.buffered, self.settings.start.fixes
        if state is not None:
            return (self._process_in_flight(state, fix),)
        buffered.append(fix)
        if len(buffered) >= fixes:
            # If the fixes disagree, the filter waits for up to twice their number.
            return self._initialise(compulsory=len(buffered) >= 2 * fixes)
        if len(buffered) == fixes - 1:
            self._warm_up()
        return ()

    def initialise_from_buffered(self) -> tuple[OrbitUpdate, ...]:
        """Initialise from the buffered fixes at the end of the input, even from a single fix.

        If the fixes contradict each other, all are used with standard deviations widened to cover the contradiction.
        """
        waiting = self.memory.state is None and self.memory.buffered
        return self._initialise(compulsory=True) if waiting else ()

    def predict(self, gps_ms: int, start: OrbitState | None = None) -> OrbitState:
        """Return the orbit at a later time; the filter does not change.

        Args:
            gps_ms: GPS milliseconds, not before the state that is propagated.
            start: State to propagate, such as an earlier prediction; None for the state of the filter.

        Raises:
            ValueError: There is no state yet, or `gps_ms` is before it.
        """
        state = start or self.memory.state
        if state is None:
            raise ValueError("the orbit filter is not initialised: process fixes before predicting")
        return self._propagated(state, gps_ms)

    def ecef(self, state: OrbitState) -> EcefOrbit:
        """Return a state in ITRF with its standard deviations."""
        return to_ecef(state, self.frames)

    def checkpoint(self) -> bytes:
        """Return the memory of the filter; `restore` continues from it bit for bit."""
        return encode(self.memory)

    @classmethod
    def restore(cls, settings: OrbitSettings, orientation: EarthOrientationTable, checkpoint: bytes) -> "OrbitFilter":
        """Return a filter that continues from a checkpoint.

        Raises:
            ValueError: The checkpoint is damaged, or was made with another Earth orientation (and therefore another
                GCRF).
        """
        restored = cls(settings, orientation)
        restored.memory = decode(checkpoint, FilterMemory)
        if restored.memory.earth_orientation != orientation.identification:
            raise ValueError(
                f"orbit checkpoint was made with Earth orientation {restored.memory.earth_orientation!r}, not"
                f" {orientation.identification!r}; begin without the checkpoint"
            )
        return restored

    # --- Initialisation --------------------------------------------------------------------------------------------

    def _initialise(self, *, compulsory: bool) -> tuple[OrbitUpdate, ...]:
        """Initialise if most of the buffered fixes agree, or from all of them if it is compulsory."""
        buffered = self.memory.buffered
        initial = self._initialiser.find(buffered)
        if initial is not None and initial.agreeing > len(buffered) / 2:
            return self._begin(initial)
        if not compulsory:
            return ()
        if initial is None:
            self.memory.buffered = []
            return tuple(OrbitUpdate.rejected(fix, RejectCause.START) for fix in buffered)
        everything = tuple(InitialFix(fix, position_agrees=True, velocity_agrees=True) for fix, _, _ in initial.fixes)
        return self._begin(replace(initial, fixes=everything), widen=max(initial.position_spread, 1.0))

    def _warm_up(self) -> None:
        """Run an initialisation before the last fix arrives and discard it, which halves the response time to the fix.

        This fills the tables for the current time and touches code and memory for the first time since the fork.
        """
        initial = self._initialiser.find(self.memory.buffered)
        if initial is None:
            return
        state = uninformative_state(initial.fixes[0].fix.gps_ms, initial.x, self.settings)
        for fix, _, _ in initial.fixes:
            state = self._dynamics.propagate(state, fix.gps_ms)
            state, _ = _updated(state, self._linearise(state, fix))
            to_ecef(state, self.frames)

    def _begin(self, initial: InitialOrbit, widen: float = 1.0) -> tuple[OrbitUpdate, ...]:
        """Filter the fixes from an uninformative state, using the parts that agree."""
        memory, limits = self.memory, self.settings.measurement
        usable = [each.fix for each in initial.fixes]
        left_out = [fix for fix in memory.buffered if not any(fix is other for other in usable)]
        updates = [OrbitUpdate.rejected(fix, RejectCause.START) for fix in left_out]
        memory.position_gate = memory.position_gate.restarted(initial.position_spread, limits)
        memory.velocity_gate = memory.velocity_gate.restarted(initial.velocity_spread, limits)
        state = uninformative_state(usable[0].gps_ms, initial.x, self.settings)
        for fix, position_agrees, velocity_agrees in initial.fixes:
            state = self._dynamics.propagate(state, fix.gps_ms)
            position, velocity = self._linearise(state, fix)
            used = (
                position.scaled(max(widen, memory.position_gate.factor)) if position_agrees else None,
                velocity.scaled(max(widen, memory.velocity_gate.factor)) if velocity and velocity_agrees else None,
            )
            state, _ = _updated(state, used)
            updates.append(_result(fix, state, used, RejectCause.START))
        memory.state, memory.buffered = state, []
        return tuple(sorted(updates, key=lambda update: update.fix.gps_ms))

    # --- Flight (reference filters on the ground override the first two methods) -------------------------------------

    def _propagated(self, state: OrbitState, gps_ms: int) -> OrbitState:
        return self._dynamics.propagate(state, gps_ms, self.memory.empirical_factor)

    def _updated(
        self,
        predicted: OrbitState,
        fix: Fix,  # noqa: ARG002 - the unscented filter observes it at its sigma points
        used: UsedObservations,
    ) -> tuple[OrbitState, float]:
        return _updated(predicted, used)

    def _process_in_flight(self, state: OrbitState, fix: Fix) -> OrbitUpdate:
        if fix.gps_ms <= state.gps_ms:
            return OrbitUpdate.rejected(fix, RejectCause.NOT_LATER)
        if fix.gps_ms - state.gps_ms > self.settings.start.gap_max_s * 1e3:
            return self._try_restart(OrbitUpdate.rejected(fix, RejectCause.GAP))
        update = self._update(self._propagated(state, fix.gps_ms), fix)
        if update.position_accepted or update.velocity_accepted:
            self.memory.state = update.state
        if not update.position_accepted:
            return self._try_restart(update)
        self.memory.buffered = []
        return update

    def _update(self, predicted: OrbitState, fix: Fix) -> OrbitUpdate:
        """Test position and velocity separately, then update with the parts that pass."""
        position, velocity = self._linearise(predicted, fix)
        memory, limits, factor = self.memory, self.settings.measurement, self.memory.empirical_factor
        position_test = memory.position_gate.test(position, predicted, limits)
        velocity_test = memory.velocity_gate.test(velocity, predicted, limits) if velocity else None
        tests = [position_test] if velocity_test is None else [position_test, velocity_test]
        memory.position_gate = position_test.gate
        memory.velocity_gate = velocity_test.gate if velocity_test else memory.velocity_gate
        factor_max = self.settings.process_noise.empirical_factor_max
        memory.empirical_factor = empirical_factor(factor, [test.gate for test in tests], factor_max)
        used = (position_test.used, velocity_test.used if velocity_test else None)
        state, nis = self._updated(predicted, fix, used)
        return replace(
            _result(fix, state, used, RejectCause.GATE),
            nis=nis,
            dof=3 * sum(observation is not None for observation in used),
            position=position_test.innovation,
            velocity=velocity_test.innovation if velocity_test else None,
            empirical_factor=factor,
        )

    def _try_restart(self, rejected: OrbitUpdate) -> OrbitUpdate:
        """Re-initialise the state once enough successive rejected fixes agree with each other."""
        limits = self.settings.start
        buffered = [*self.memory.buffered, rejected.fix][-limits.fixes :]
        self.memory.buffered = buffered
        if len(buffered) < limits.restart_fixes:
            return rejected
        initial = self._initialiser.find(buffered)
        if initial is None or initial.agreeing < limits.restart_fixes:
            return rejected
        updates = self._begin(initial)
        update = next(update for update in updates if update.fix is rejected.fix)
        return replace(update, restarted_from_ms=updates[0].fix.gps_ms)

    def _linearise(self, state: OrbitState, fix: Fix) -> tuple[Observation, Observation | None]:
        return linearise_fix(fix, state.x, self.frames, self.settings.measurement)


def uninformative_state(gps_ms: int, x: Array, settings: OrbitSettings) -> OrbitState:
    """Return a state with uninformative covariance for a linearisation about `x` (10,)."""
    process_sigma = steady_sigma(settings.process_noise)
    sigma = np.concatenate((np.full(3, _UNKNOWN_POSITION_M), np.full(3, _UNKNOWN_VELOCITY_MPS), process_sigma))
    return OrbitState(gps_ms, x, np.diag(sigma))


def _updated(state: OrbitState, used: UsedObservations) -> tuple[OrbitState, float]:
    """Return the state after the observations and their normalised innovation squared."""
    present = [observation for observation in used if observation is not None]
    if not present:
        return state, 0.0
    x, root, nis = kalman.update(state.x, state.sqrt_covariance, *Observation.stacked(present))
    return OrbitState(state.gps_ms, x, root), nis


def _result(fix: Fix, state: OrbitState, used: UsedObservations, cause: RejectCause) -> OrbitUpdate:
    """Return the result of a fix; `cause` applies to the parts that it has and that were not used."""
    velocity_cause = RejectCause.NO_VELOCITY if fix.velocity_ecef_mps is None else cause
    return OrbitUpdate(fix, state, None if used[0] else cause, None if used[1] else velocity_cause)

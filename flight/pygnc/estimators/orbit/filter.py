"""The orbit filter: start, prediction, gates, update, restart.

An extended Kalman filter in square-root form on the models of `dynamics` and `measurement`. A fix of which nothing is
accepted leaves the state where it was, so a wrong time tag cannot drag the filter into the future.

What the filter says of each fix.

The state after what of a fix is used.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators import kalman
from pygnc.estimators.checkpoint import Checkpoint, take
from pygnc.estimators.orbit import checkpoint as packing
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.gps_fix import Fix, RejectCause
from pygnc.estimators.orbit.initialisation import Start, StartFinder, Verdict
from pygnc.estimators.orbit.measurement import Comparison, Gate, Innovation, Observation, compare, empirical_factor
from pygnc.estimators.orbit.process_noise import steady_sigma
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import EcefOrbit, OrbitState, to_ecef


@dataclass(frozen=True, slots=True, eq=False)
class OrbitUpdate:
    """What became of one fix.

    Attributes:
        fix: The fix.
        state: Estimate at the fix's time: updated or, when nothing of the fix was accepted, predicted; None when there
            is no estimate for that time.
        position_cause: Why the position was rejected; None when it was accepted.
        velocity_cause: The same for the velocity.
        nis: Normalised innovation squared of what was accepted; chi-square with `dof` degrees of freedom if the filter
            is consistent.
        dof: 3 or 6; 0 for a fix that was rejected, or that the filter started from.
        restarted_from_ms: Set when the state was replaced by one made from this and earlier rejected fixes: the time of
            the first of those.
        position: Innovation of the position; None where there was no prediction to compare with.
        velocity: The same for the velocity.
        empirical_factor: By which the empirical accelerations were widened on the way to this fix.
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
    def unused(cls, fix: Fix, cause: RejectCause) -> "OrbitUpdate":
        """The fix was put aside as a whole, without an estimate for its time."""
        return cls(fix, None, cause, cause)

    @property
    def position_accepted(self) -> bool:
        """Whether the position was used."""
        return self.position_cause is None

    @property
    def velocity_accepted(self) -> bool:
        """Whether the velocity was used."""
        return self.velocity_cause is None


class Used(NamedTuple):
    """What of a fix goes into the state; None for what does not."""

    position: Observation | None
    velocity: Observation | None

    def present(self) -> list[Observation]:
        """What there is."""
        return [observation for observation in self if observation is not None]


def updated(state: OrbitState, used: Used) -> tuple[OrbitState, float]:
    """The state after the observations, and their normalised innovation squared."""
    present = used.present()
    if not present:
        return state, 0.0
    x, root, nis = kalman.update(state.x, state.sqrt_covariance, *Observation.stacked(present))
    return OrbitState(state.gps_ms, x, root), nis


_UNKNOWN_POSITION_M: Final = 1e5
_UNKNOWN_VELOCITY_MPS: Final = 1e3
"""Standard deviations before the first fix: nothing is known, yet the numbers stay well scaled."""


class OrbitFilter:
    """Turns fixes into orbit states.

    A fix costs one propagation step per started 30 s (or 60 s) since the last one plus an update; memory is constant.

    Args:
        settings: Force model, noise, gates.
        orientation: Earth orientation for all of this filter's life; `EarthOrientationTable.none()` without one.
    """

    def __init__(self, settings: OrbitSettings, orientation: EarthOrientationTable) -> None:
        self.settings = settings
        self.frames = EarthFrames(orientation)
        self._dynamics = OrbitDynamics(settings, self.frames)
        self._start_finder = StartFinder(self._dynamics, self.frames, settings)
        self._state: OrbitState | None = None
        self._position_gate = Gate()
        self._velocity_gate = Gate()
        self._waiting: list[Fix] = []
        self._empirical_factor = 1.0

    @property
    def state(self) -> OrbitState | None:
        """The estimate after the last accepted fix; None before the start."""
        return self._state

    def process(self, fix: Fix) -> tuple[OrbitUpdate, ...]:
        """Take in one fix.

        Returns:
            The fixes whose fate is now decided, in order of time: none while the filter gathers fixes for its start,
            all gathered ones when it starts, just this one afterwards.
        """
        if self._state is None:
            self._waiting.append(fix)
            if len(self._waiting) >= self.settings.start.fixes:
                return self._try_start()
            if len(self._waiting) == self.settings.start.fixes - 1:
                self._rehearse()
            return ()
        return (self._follow(self._state, fix),)

    def finish_start(self) -> tuple[OrbitUpdate, ...]:
        """Start with the fixes there are, be it one; for when no more will come.

        If they contradict each other, all are used with standard deviations widened to cover the contradiction.
        """
        return self._start_anyway() if self._state is None and self._waiting else ()

    def predict(self, gps_ms: int, start: OrbitState | None = None) -> OrbitState:
        """The orbit at a later time. Nothing of the filter changes.

        Args:
            gps_ms: GPS milliseconds, not before the state that is carried on.
            start: State to carry on, such as an earlier prediction; the filter's own if None.

        Raises:
            ValueError: There is no state yet, or `gps_ms` lies before it.
        """
        state = start or self._state
        if state is None:
            raise ValueError("the orbit filter has not started, there is nothing to predict from")
        return self._dynamics.propagate(state, gps_ms, self._empirical_factor)

    def ecef(self, state: OrbitState) -> EcefOrbit:
        """A state in the Earth-fixed frame, with standard deviations."""
        return to_ecef(state, self.frames)

    def checkpoint(self) -> Checkpoint:
        """All that the filter remembers; with `restore` it goes on bit for bit."""
        return {
            "version": packing.VERSION,
            "earth_orientation": self.frames.orientation.identification,
            "state": packing.pack_state(self._state),
            "position_gate": packing.pack_gate(self._position_gate),
            "velocity_gate": packing.pack_gate(self._velocity_gate),
            "empirical_factor": self._empirical_factor,
            "waiting": packing.pack_fixes(self._waiting),
        }

    @classmethod
    def restore(
        cls, settings: OrbitSettings, orientation: EarthOrientationTable, checkpoint: Checkpoint
    ) -> "OrbitFilter":
        """A filter that goes on from a checkpoint.

        Raises:
            ValueError: The checkpoint has another version, another Earth orientation (its state would be in another
                GCRF), or is damaged.
        """
        version, identification = checkpoint.get("version"), checkpoint.get("earth_orientation")
        if version != packing.VERSION:
            raise ValueError(f"orbit checkpoint of version {version!r}, expected {packing.VERSION}")
        if identification != orientation.identification:
            raise ValueError(f"orbit checkpoint made with Earth orientation {identification!r}")
        restored = cls(settings, orientation)
        restored._state = packing.unpack_state(take(checkpoint, "state", bytes))
        restored._position_gate = packing.unpack_gate(take(checkpoint, "position_gate", bytes))
        restored._velocity_gate = packing.unpack_gate(take(checkpoint, "velocity_gate", bytes))
        restored._empirical_factor = take(checkpoint, "empirical_factor", float)
        restored._waiting = packing.unpack_fixes(take(checkpoint, "waiting", bytes))
        return restored

    # --- Start -----------------------------------------------------------------------------------------------------

    def _try_start(self) -> tuple[OrbitUpdate, ...]:
        """Start if most of the fixes agree; wait for more if not, up to twice their number."""
        if len(self._waiting) >= 2 * self.settings.start.fixes:
            return self._start_anyway()
        start = self._start_finder.find(self._waiting)
        return self._begin(start) if start is not None and start.agreeing > len(self._waiting) / 2 else ()

    def _rehearse(self) -> None:
        """Do once for nothing what a start does, on all fixes but the last: then that one is answered in half the time.

        Tables for the time at hand are made, and code and memory have been touched since the process was forked.
        """
        start = self._start_finder.find(self._waiting)
        if start is None:
            return
        state = unknown_state(start.verdicts[0].fix.gps_ms, start.x, self.settings)
        for verdict in start.verdicts:
            state = self._dynamics.propagate(state, verdict.fix.gps_ms)
            position, velocity = self._compare(state, verdict.fix)
            state, _ = updated(state, Used(position, velocity))
            to_ecef(state, self.frames)

    def _start_anyway(self) -> tuple[OrbitUpdate, ...]:
        """Start with the fixes there are, whether they agree or not."""
        start = self._start_finder.find(self._waiting)
        if start is None:
            given_up, self._waiting = self._waiting, []
            return tuple(OrbitUpdate.unused(fix, RejectCause.START) for fix in given_up)
        if start.agreeing > len(self._waiting) / 2:
            return self._begin(start)
        everything = tuple(Verdict(verdict.fix, position=True, velocity=True) for verdict in start.verdicts)
        return self._begin(replace(start, verdicts=everything), widen=max(start.position_spread, 1.0))

    def _begin(self, start: Start, widen: float = 1.0) -> tuple[OrbitUpdate, ...]:
        """Run through the fixes from an unknown state, taking from each what agrees."""
        judged = [verdict.fix for verdict in start.verdicts]
        left_out = [fix for fix in self._waiting if not any(fix is other for other in judged)]
        updates = [OrbitUpdate.unused(fix, RejectCause.START) for fix in left_out]
        limits = self.settings.measurement
        self._position_gate = self._position_gate.restarted(start.position_spread, limits)
        self._velocity_gate = self._velocity_gate.restarted(start.velocity_spread, limits)
        state = unknown_state(judged[0].gps_ms, start.x, self.settings)
        for fix, position_agrees, velocity_agrees in start.verdicts:
            state = self._dynamics.propagate(state, fix.gps_ms)
            position, velocity = self._compare(state, fix)
            used = Used(
                position.widened(max(widen, self._position_gate.factor)) if position_agrees else None,
                velocity.widened(max(widen, self._velocity_gate.factor)) if velocity and velocity_agrees else None,
            )
            state, _ = updated(state, used)
            updates.append(_judged(fix, state, used, RejectCause.START))
        self._state = state
        self._waiting = []
        return tuple(sorted(updates, key=lambda update: update.fix.gps_ms))

    # --- Flight ----------------------------------------------------------------------------------------------------

    def _follow(self, state: OrbitState, fix: Fix) -> OrbitUpdate:
        if fix.gps_ms <= state.gps_ms:
            return OrbitUpdate.unused(fix, RejectCause.NOT_LATER)
        if fix.gps_ms - state.gps_ms > self.settings.start.gap_max_s * 1e3:
            return self._try_restart(OrbitUpdate.unused(fix, RejectCause.GAP))
        update = self._update(self._dynamics.propagate(state, fix.gps_ms, self._empirical_factor), fix)
        if update.position_accepted or update.velocity_accepted:
            self._state = update.state
        if not update.position_accepted:
            return self._try_restart(update)
        self._waiting = []
        return update

    def _update(self, predicted: OrbitState, fix: Fix) -> OrbitUpdate:
        """Gate position and velocity apart from each other, then update with what passes."""
        position, velocity = self._compare(predicted, fix)
        limits = self.settings.measurement
        factor = self._empirical_factor
        of_position = self._position_gate.judge(position, predicted, limits)
        of_velocity = self._velocity_gate.judge(velocity, predicted, limits) if velocity else None
        self._position_gate = of_position.gate
        self._velocity_gate = of_velocity.gate if of_velocity else self._velocity_gate
        gates = [of_position.gate] if of_velocity is None else [of_position.gate, of_velocity.gate]
        self._empirical_factor = empirical_factor(factor, gates, self.settings.process_noise.empirical_factor_max)
        used = Used(of_position.used, of_velocity.used if of_velocity else None)
        state, nis = updated(predicted, used)
        return replace(
            _judged(fix, state, used, RejectCause.GATE),
            nis=nis,
            dof=3 * len(used.present()),
            position=of_position.innovation,
            velocity=of_velocity.innovation if of_velocity else None,
            empirical_factor=factor,
        )

    def _try_restart(self, rejected: OrbitUpdate) -> OrbitUpdate:
        """Replace the state once enough fixes rejected in succession agree with each other."""
        limits = self.settings.start
        self._waiting = [*self._waiting, rejected.fix][-limits.fixes :]
        if len(self._waiting) < limits.restart_fixes:
            return rejected
        start = self._start_finder.find(self._waiting)
        if start is None or start.agreeing < limits.restart_fixes:
            return rejected
        updates = self._begin(start)
        update = next(update for update in updates if update.fix is rejected.fix)
        return replace(update, restarted_from_ms=updates[0].fix.gps_ms)

    def _compare(self, state: OrbitState, fix: Fix) -> Comparison:
        return compare(fix, state.x, self.frames, self.settings.measurement)


def unknown_state(gps_ms: int, x: Array, settings: OrbitSettings) -> OrbitState:
    """A state about which nothing is known but that the dynamics may be linearised at `x` (10,)."""
    process_sigma = steady_sigma(settings.process_noise)
    sigma = np.concatenate((np.full(3, _UNKNOWN_POSITION_M), np.full(3, _UNKNOWN_VELOCITY_MPS), process_sigma))
    return OrbitState(gps_ms, x, np.diag(sigma))


def _judged(fix: Fix, state: OrbitState, used: Used, cause: RejectCause) -> OrbitUpdate:
    """The verdict on a fix; `cause` for what it has and was not used."""
    velocity_cause = RejectCause.NO_VELOCITY if fix.velocity_ecef_mps is None else cause
    return OrbitUpdate(fix, state, None if used.position else cause, None if used.velocity else velocity_cause)

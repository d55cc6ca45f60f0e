"""Result of one fix, by which tracker, smoother and reports follow the orbit filter."""

from dataclasses import dataclass

from pygnc.common.arrays import Array
from pygnc.estimators.orbit.hypotheses import Hypotheses
from pygnc.estimators.orbit.manoeuvre import Manoeuvre
from pygnc.estimators.orbit.measurement import Fix, Innovation, RejectCause
from pygnc.estimators.orbit.state import OrbitState


@dataclass(frozen=True, slots=True, eq=False)
class OrbitUpdate:
    """Result of one fix.

    Attributes:
        fix: The fix.
        state: Estimate at the fix's time: updated or, if the fix was rejected entirely, predicted; None if there is no
            estimate for that time.
        position_cause: Reason why the position was rejected; None if it was accepted.
        velocity_cause: Reason why the velocity was rejected; None if it was accepted.
        nis: Normalised innovation squared of the accepted parts; it has a chi-square distribution with `dof` degrees of
            freedom if the filter is consistent.
        dof: 3 or 6; 0 for a rejected fix and for fixes of the initialisation.
        restarted_from_ms: GPS ms of the first fix of a new orbit, if the state was re-initialised from rejected fixes,
            after a manoeuvre, or after another state was discarded; else None.
        position: Innovation of the position; None without a prediction.
        velocity: Innovation of the velocity; None without a prediction or velocity.
        empirical_factor: Factors of the hypotheses on the empirical accelerations during the propagation to this fix,
            shape (k,); None in the initialisation.
        hypotheses: Hypotheses at the fix's time relative to `state`; None if the fix was rejected entirely.
        manoeuvre: Manoeuvre that this fix confirms. The state may have followed an earlier fix already.
        time_error_s: Error of the stated time, stated minus true; the time of `fix` is without it, unless the fix is
            rejected by the initialisation.
        replaced_error_s: Error of the times of the fixes of the former orbit, if this one replaces it and a step of the
            times explains both; else 0.
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
    empirical_factor: Array | None = None
    hypotheses: Hypotheses | None = None
    manoeuvre: Manoeuvre | None = None
    time_error_s: float = 0.0
    replaced_error_s: float = 0.0

    @classmethod
    def rejected(cls, fix: Fix, cause: RejectCause) -> "OrbitUpdate":
        """Return the result of a fix that is rejected as a whole, without an estimate for its time."""
        return cls(fix, None, cause, cause)

    @classmethod
    def tested(
        cls, fix: Fix, state: OrbitState, used: tuple[bool, bool], cause: RejectCause, hypotheses: Hypotheses | None
    ) -> "OrbitUpdate":
        """Return the result of a fix; `cause` applies to its parts, position and velocity, that were not used."""
        velocity_cause = RejectCause.NO_VELOCITY if fix.velocity_ecef_mps is None else cause
        return cls(fix, state, None if used[0] else cause, None if used[1] else velocity_cause, hypotheses=hypotheses)

    @property
    def position_accepted(self) -> bool:
        """True if the position was used."""
        return self.position_cause is None

    @property
    def velocity_accepted(self) -> bool:
        """True if the velocity was used."""
        return self.velocity_cause is None

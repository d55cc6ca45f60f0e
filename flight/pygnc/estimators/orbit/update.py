"""What the filter says of each fix."""

from dataclasses import dataclass
from typing import NamedTuple

from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.reject_cause import RejectCause
from pygnc.estimators.orbit.state import OrbitState


class Innovation(NamedTuple):
    """Measured minus predicted, in ITRF, in m or m/s.

    Attributes:
        residual: Its three components.
        sigma: Their expected standard deviations.
        chi_square: Its square over its covariance; what the gate judges.
    """

    residual: tuple[float, ...]
    sigma: tuple[float, ...]
    chi_square: float


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

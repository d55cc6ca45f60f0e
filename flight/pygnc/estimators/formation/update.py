"""What the formation's filter says of each range and fix."""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import NamedTuple

from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix
from pygnc.estimators.orbit.measurement import Innovation


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

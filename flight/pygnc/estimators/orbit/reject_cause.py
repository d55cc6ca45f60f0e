"""Why a fix, or its velocity, was not used."""

from enum import StrEnum, unique


@unique
class RejectCause(StrEnum):
    """Causes as they appear in logs and books; the first group by screening, the second by the filter."""

    NO_TIME = "no_time"
    TIME_STATUS = "time_status"
    POSITION_STATUS = "position_status"
    NO_SATELLITES = "no_satellites"
    NOT_FINITE = "not_finite"
    ZERO_POSITION = "zero_position"
    RADIUS = "radius"
    VELOCITY_STATUS = "velocity_status"
    VELOCITY_NOT_FINITE = "velocity_not_finite"
    SPEED = "speed"
    LATENCY = "latency"

    NO_VELOCITY = "no_velocity"
    """The fix came without a usable velocity."""
    NOT_LATER = "not_later"
    """The fix is not later than the state."""
    GAP = "gap"
    """The fix comes too long after the state to carry the state on."""
    GATE = "gate"
    """The innovation exceeds the chi-square limit."""
    START = "start"
    """The fix disagrees with the others that the filter started from."""

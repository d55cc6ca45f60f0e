"""GPS fixes and their screening for plausibility.

The files carry no checksum, so a damaged value is detected only if it is impossible. Damage to plausible values is left
to the gates of the filter.
"""

import math
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Protocol

import numpy as np

from pygnc.common.arrays import Array
from pygnc.common.clock import gps_ms_from_week
from pygnc.estimators.orbit.settings import ScreeningSettings


@unique
class RejectCause(StrEnum):
    """Why a fix or its velocity was rejected, as in logs and counters.

    The first group is set by screening, the second by the filter.
    """

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
    """The fix has no usable velocity."""
    NOT_LATER = "not_later"
    """The fix is not later than the state."""
    GAP = "gap"
    """The gap since the state exceeds `gap_max_s`."""
    GATE = "gate"
    """The innovation exceeds the chi-square limit."""
    START = "start"
    """The fix disagrees with the other fixes of the initialisation."""


@dataclass(frozen=True, slots=True, eq=False)
class Fix:
    """A plausible GPS fix in ITRF.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        position_ecef_m: Shape (3,), valid at `gps_ms`.
        position_sigma_m: Standard deviations reported by the receiver, shape (3,); zero means unknown.
        velocity_ecef_mps: Relative to the rotating Earth, shape (3,), valid `velocity_latency_s` earlier; None if
            unusable.
        velocity_sigma_mps: Standard deviations of the velocity, shape (3,); None if unusable.
        velocity_latency_s: Age of the velocity relative to the position.
        seq: The caller's sequence number of this input.
    """

    gps_ms: int
    position_ecef_m: Array
    position_sigma_m: Array
    velocity_ecef_mps: Array | None
    velocity_sigma_mps: Array | None
    velocity_latency_s: float
    seq: int = 0


class ReceiverFix(Protocol):
    """A GPS packet with the receiver's own fields, such as the GPS message of the bus."""

    @property
    def seq(self) -> int:
        """The caller's sequence number of this input."""

    @property
    def time_status(self) -> int | None:
        """NovAtel's GPS reference time status; None if the packet has none."""

    @property
    def gps_week(self) -> int:
        """Full GPS week number; 0 if unknown."""

    @property
    def gps_tow_ms(self) -> int:
        """Milliseconds of the week."""

    @property
    def position_status(self) -> int:
        """Solution status of the position."""

    @property
    def position_ecef_m(self) -> tuple[float, float, float]:
        """Position in ITRF, m."""

    @property
    def position_sigma_m(self) -> tuple[float, float, float]:
        """Standard deviations of the position, m; zero if unknown."""

    @property
    def velocity_status(self) -> int:
        """Solution status of the velocity."""

    @property
    def velocity_ecef_mps(self) -> tuple[float, float, float]:
        """Velocity in ITRF relative to the rotating Earth, m/s."""

    @property
    def velocity_sigma_mps(self) -> tuple[float, float, float]:
        """Standard deviations of the velocity, m/s; zero if unknown."""

    @property
    def velocity_latency_s(self) -> float:
        """Age of the velocity relative to the position."""

    @property
    def satellites_used(self) -> int:
        """Number of satellites in the solution."""


def screen(received: ReceiverFix, settings: ScreeningSettings) -> RejectCause | None:
    """Return why the packet holds no plausible position, or None if it does."""
    return _screen_status(received, settings) or _screen_position(received, settings)


def screen_velocity(received: ReceiverFix, settings: ScreeningSettings) -> RejectCause | None:
    """Return why the velocity of a packet is unusable, or None if it is plausible."""
    if received.velocity_status not in settings.accept_position_status:
        return RejectCause.VELOCITY_STATUS
    if not _finite(received.velocity_ecef_mps, received.velocity_sigma_mps):
        return RejectCause.VELOCITY_NOT_FINITE
    if not settings.speed_min_mps <= math.hypot(*received.velocity_ecef_mps) <= settings.speed_max_mps:
        return RejectCause.SPEED
    if not 0.0 <= received.velocity_latency_s <= settings.velocity_latency_max_s:
        return RejectCause.LATENCY
    return None


def _screen_status(received: ReceiverFix, settings: ScreeningSettings) -> RejectCause | None:
    if gps_ms_from_week(received.gps_week, received.gps_tow_ms) is None:
        return RejectCause.NO_TIME
    if received.time_status is not None and received.time_status < settings.time_status_min:
        return RejectCause.TIME_STATUS
    if received.position_status not in settings.accept_position_status:
        return RejectCause.POSITION_STATUS
    return RejectCause.NO_SATELLITES if received.satellites_used == 0 else None


def _screen_position(received: ReceiverFix, settings: ScreeningSettings) -> RejectCause | None:
    if not _finite(received.position_ecef_m, received.position_sigma_m):
        return RejectCause.NOT_FINITE
    radius_m = math.hypot(*received.position_ecef_m)
    if radius_m == 0.0:
        return RejectCause.ZERO_POSITION
    return None if settings.radius_min_m <= radius_m <= settings.radius_max_m else RejectCause.RADIUS


def fix_from(received: ReceiverFix, settings: ScreeningSettings) -> Fix:
    """Return the fix of a packet that passed `screen`, without velocity unless the packet passes `screen_velocity`.

    Raises:
        ValueError: The packet has no time.
    """
    gps_ms = gps_ms_from_week(received.gps_week, received.gps_tow_ms)
    if gps_ms is None:
        raise ValueError(f"GPS packet {received.seq} has no time: week {received.gps_week}, {received.gps_tow_ms} ms")
    with_velocity = screen_velocity(received, settings) is None
    return Fix(
        gps_ms=gps_ms,
        position_ecef_m=np.array(received.position_ecef_m),
        position_sigma_m=np.array(received.position_sigma_m),
        velocity_ecef_mps=np.array(received.velocity_ecef_mps) if with_velocity else None,
        velocity_sigma_mps=np.array(received.velocity_sigma_mps) if with_velocity else None,
        velocity_latency_s=received.velocity_latency_s if with_velocity else 0.0,
        seq=received.seq,
    )


def _finite(*vectors: tuple[float, float, float]) -> bool:
    return all(math.isfinite(component) for vector in vectors for component in vector)

"""Why a fix, or its velocity, was not used.

Whether what the receiver sent is a fix at all.

The files carry no checksum, so a damaged value is found only where it is impossible; the filter's gates do the rest.
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


@dataclass(frozen=True, slots=True, eq=False)
class Fix:
    """A plausible GPS fix in ITRF.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        position_ecef_m: Shape (3,), valid at `gps_ms`.
        position_sigma_m: Standard deviations as the receiver gives them, shape (3,); zero stands for unknown.
        velocity_ecef_mps: Relative to the rotating Earth, valid `velocity_latency_s` before; None when unusable.
        velocity_sigma_mps: Shape (3,), likewise; None when unusable.
        velocity_latency_s: How much older than the position the velocity is.
        seq: The caller's number of this input.
    """

    gps_ms: int
    position_ecef_m: Array
    position_sigma_m: Array
    velocity_ecef_mps: Array | None
    velocity_sigma_mps: Array | None
    velocity_latency_s: float
    seq: int = 0


class ReceiverFix(Protocol):
    """The fields of a receiver's packet, in its own words; the bus's GPS message is one."""

    @property
    def seq(self) -> int:
        """The caller's number of this input."""

    @property
    def time_status(self) -> int | None:
        """NovAtel's GPS reference time status; None where the packet has none."""

    @property
    def gps_week(self) -> int:
        """Full GPS week; 0 when unknown."""

    @property
    def gps_tow_ms(self) -> int:
        """Milliseconds of the week."""

    @property
    def position_status(self) -> int:
        """Solution status of the position."""

    @property
    def position_ecef_m(self) -> tuple[float, float, float]:
        """Position in ITRF."""

    @property
    def position_sigma_m(self) -> tuple[float, float, float]:
        """Its standard deviations; zero when unknown."""

    @property
    def velocity_status(self) -> int:
        """Solution status of the velocity."""

    @property
    def velocity_ecef_mps(self) -> tuple[float, float, float]:
        """Velocity relative to the rotating Earth."""

    @property
    def velocity_sigma_mps(self) -> tuple[float, float, float]:
        """Its standard deviations; zero when unknown."""

    @property
    def velocity_latency_s(self) -> float:
        """How much older than the position the velocity is."""

    @property
    def satellites_used(self) -> int:
        """Satellites in the solution."""


def screen(received: ReceiverFix, settings: ScreeningSettings) -> RejectCause | None:
    """Why the packet holds no fix; None when its position is plausible."""
    return _screen_status(received, settings) or _screen_position(received, settings)


def screen_velocity(received: ReceiverFix, settings: ScreeningSettings) -> RejectCause | None:
    """Why a fix's velocity is not usable; None when it is plausible."""
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
    """The fix in a packet that passed `screen`; position only unless it passes `screen_velocity` too.

    Raises:
        ValueError: The packet carries no time.
    """
    gps_ms = gps_ms_from_week(received.gps_week, received.gps_tow_ms)
    if gps_ms is None:
        raise ValueError(f"fix {received.seq} carries no time: week {received.gps_week}, {received.gps_tow_ms} ms")
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

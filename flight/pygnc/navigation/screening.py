"""Screening of GPS packets.

The files have no checksum, so screening detects a damaged value only if it is impossible. The innovation gates of the
filters reject other damage.
"""

import math

import numpy as np

from pygnc.bus.messages import GnssFix, Vector3
from pygnc.estimators.orbit.measurement import Fix, RejectCause
from pygnc.estimators.orbit.settings import ScreeningSettings
from pygnc.formats.gps_packet import solution_name, time_sigma_s


def screen(packet: GnssFix, settings: ScreeningSettings) -> RejectCause | None:
    """Return the reason why the packet holds no plausible position; None if it holds one."""
    if packet.gps_ms is None:
        return RejectCause.NO_TIME
    if _time_sigma_s(packet) > time_sigma_s(settings.time_status_min):
        return RejectCause.TIME_STATUS
    if packet.position_solution not in map(solution_name, settings.accept_position_status):
        return RejectCause.POSITION_STATUS
    if packet.satellites_used == 0:
        return RejectCause.NO_SATELLITES
    return _screen_position(packet, settings)


def _time_sigma_s(packet: GnssFix) -> float:
    """Return the standard deviation of the time of a position, which may be that of an old solution."""
    return math.hypot(packet.time_sigma_s or 0.0, max(0.0, packet.solution_age_s))


def _screen_position(packet: GnssFix, settings: ScreeningSettings) -> RejectCause | None:
    if not _finite(packet.position_ecef_m, packet.position_sigma_m):
        return RejectCause.NOT_FINITE
    radius_m = math.hypot(*packet.position_ecef_m)
    if radius_m == 0.0:
        return RejectCause.ZERO_POSITION
    return None if settings.radius_min_m <= radius_m <= settings.radius_max_m else RejectCause.RADIUS


def screen_velocity(packet: GnssFix, settings: ScreeningSettings) -> RejectCause | None:
    """Return the reason why the velocity of a packet is unusable; None if it is plausible."""
    if packet.velocity_solution not in map(solution_name, settings.accept_position_status):
        return RejectCause.VELOCITY_STATUS
    if not _finite(packet.velocity_ecef_mps, packet.velocity_sigma_mps):
        return RejectCause.VELOCITY_NOT_FINITE
    slowest_mps, fastest_mps = settings.speed_limits_mps
    if not slowest_mps <= math.hypot(*packet.velocity_ecef_mps) <= fastest_mps:
        return RejectCause.SPEED
    if not 0.0 <= packet.velocity_latency_s <= settings.velocity_latency_max_s:
        return RejectCause.LATENCY
    return None


def fix_from(packet: GnssFix, settings: ScreeningSettings) -> Fix:
    """Return the fix of a packet that passed `screen`, without velocity unless the packet passes `screen_velocity`.

    Raises:
        ValueError: The packet has no time.
    """
    if packet.gps_ms is None:
        raise ValueError(f"fix {packet.seq} has no time; `screen` rejects it")
    with_velocity = screen_velocity(packet, settings) is None
    return Fix(
        gps_ms=packet.gps_ms,
        position_ecef_m=np.array(packet.position_ecef_m),
        position_sigma_m=np.array(packet.position_sigma_m),
        velocity_ecef_mps=np.array(packet.velocity_ecef_mps) if with_velocity else None,
        velocity_sigma_mps=np.array(packet.velocity_sigma_mps) if with_velocity else None,
        velocity_latency_s=packet.velocity_latency_s if with_velocity else 0.0,
        seq=packet.seq,
        time_sigma_s=_time_sigma_s(packet),
    )


def _finite(*vectors: Vector3) -> bool:
    return all(math.isfinite(component) for vector in vectors for component in vector)

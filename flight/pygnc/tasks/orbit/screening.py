"""Screening of GPS packets for plausibility.

The files carry no checksum, so a damaged value is detected only if it is impossible. Damage to plausible values is left
to the gates of the filter.
"""

import math

import numpy as np

from pygnc.bus.messages import GpsFix, Vector3
from pygnc.common.clock import gps_ms_from_week
from pygnc.estimators.orbit.measurement import Fix, RejectCause
from pygnc.estimators.orbit.settings import ScreeningSettings


def screen(packet: GpsFix, settings: ScreeningSettings) -> RejectCause | None:
    """Return the reason why the packet holds no plausible position; None if it holds one."""
    if gps_ms_from_week(packet.gps_week, packet.gps_tow_ms) is None:
        return RejectCause.NO_TIME
    if packet.time_status is not None and packet.time_status < settings.time_status_min:
        return RejectCause.TIME_STATUS
    if packet.position_status not in settings.accept_position_status:
        return RejectCause.POSITION_STATUS
    if packet.satellites_used == 0:
        return RejectCause.NO_SATELLITES
    return _screen_position(packet, settings)


def _screen_position(packet: GpsFix, settings: ScreeningSettings) -> RejectCause | None:
    if not _finite(packet.position_ecef_m, packet.position_sigma_m):
        return RejectCause.NOT_FINITE
    radius_m = math.hypot(*packet.position_ecef_m)
    if radius_m == 0.0:
        return RejectCause.ZERO_POSITION
    return None if settings.radius_min_m <= radius_m <= settings.radius_max_m else RejectCause.RADIUS


def screen_velocity(packet: GpsFix, settings: ScreeningSettings) -> RejectCause | None:
    """Return the reason why the velocity of a packet is unusable; None if it is plausible."""
    if packet.velocity_status not in settings.accept_position_status:
        return RejectCause.VELOCITY_STATUS
    if not _finite(packet.velocity_ecef_mps, packet.velocity_sigma_mps):
        return RejectCause.VELOCITY_NOT_FINITE
    if not settings.speed_min_mps <= math.hypot(*packet.velocity_ecef_mps) <= settings.speed_max_mps:
        return RejectCause.SPEED
    if not 0.0 <= packet.velocity_latency_s <= settings.velocity_latency_max_s:
        return RejectCause.LATENCY
    return None


def fix_from(packet: GpsFix, settings: ScreeningSettings) -> Fix:
    """Return the fix of a packet that passed `screen`, without velocity unless the packet passes `screen_velocity`.

    Raises:
        ValueError: The packet has no time.
    """
    gps_ms = gps_ms_from_week(packet.gps_week, packet.gps_tow_ms)
    if gps_ms is None:
        raise ValueError(f"GPS packet {packet.seq} has no time: week {packet.gps_week}, {packet.gps_tow_ms} ms")
    with_velocity = screen_velocity(packet, settings) is None
    return Fix(
        gps_ms=gps_ms,
        position_ecef_m=np.array(packet.position_ecef_m),
        position_sigma_m=np.array(packet.position_sigma_m),
        velocity_ecef_mps=np.array(packet.velocity_ecef_mps) if with_velocity else None,
        velocity_sigma_mps=np.array(packet.velocity_sigma_mps) if with_velocity else None,
        velocity_latency_s=packet.velocity_latency_s if with_velocity else 0.0,
        seq=packet.seq,
    )


def _finite(*vectors: Vector3) -> bool:
    return all(math.isfinite(component) for vector in vectors for component in vector)

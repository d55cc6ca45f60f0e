"""The fixes of an arc as arrays: what was measured, when, and which part of the state it shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pygnc.environment.arrays import cross_matrix
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import MeasurementSettings, ScreeningSettings
from pygnc_ground.orbit.batch.start import InertialFixes, oblate_earth
from pygnc_ground.orbit.solution import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """n measured vectors of one kind, positions or velocities."""

    fix: IntArray
    """(n,), index into the fixes"""
    gps_ms: IntArray
    """(n,), time of the fix"""
    offset_s: FloatArray
    """(n,), from there to the time of validity"""
    measured: FloatArray
    """(n, 3), in ITRF, m or m/s"""
    sigma: FloatArray
    """(n, 3), as the receiver gives it, unknown and optimistic values replaced"""
    from_gcrf: FloatArray
    """(n, 3, 6), takes the state in GCRF at the time of validity to what is measured"""

    def __len__(self) -> int:
        return len(self.fix)


def usable(fixes: Sequence[Fix], limits: ScreeningSettings) -> list[Fix]:
    """The fixes in order of time, without repetitions, and without positions and velocities that no orbit has."""
    possible = (_possible(fix, limits) for fix in fixes)
    single = {(fix.gps_ms, fix.position_ecef_m.tobytes()): fix for fix in possible if fix is not None}
    return sorted(single.values(), key=lambda fix: fix.gps_ms)


def observe_positions(fixes: Sequence[Fix], frames: EarthFrames, settings: MeasurementSettings) -> Observations:
    """The positions of fixes."""
    from_gcrf = np.zeros((len(fixes), 3, 6))
    for row, fix in enumerate(fixes):
        from_gcrf[row, :, :3] = frames.at(fix.gps_ms, np.zeros(1)).ecef_from_gcrf[0]
    return Observations(
        fix=np.arange(len(fixes)),
        gps_ms=np.array([fix.gps_ms for fix in fixes], dtype=np.int64),
        offset_s=np.zeros(len(fixes)),
        measured=np.array([fix.position_ecef_m for fix in fixes]).reshape(-1, 3),
        sigma=_trusted(
            [fix.position_sigma_m for fix in fixes], settings.position_sigma_default_m, settings.position_sigma_floor_m
        ),
        from_gcrf=from_gcrf,
    )


def observe_velocities(fixes: Sequence[Fix], frames: EarthFrames, settings: MeasurementSettings) -> Observations:
    """The velocities, of those fixes that have one; valid earlier than the fix by its latency."""
    having = [(row, fix) for row, fix in enumerate(fixes) if fix.velocity_ecef_mps is not None]
    from_gcrf = np.zeros((len(having), 3, 6))
    for number, (_, fix) in enumerate(having):
        attitude = frames.at(fix.gps_ms, np.array((-fix.velocity_latency_s,)))
        rotation = attitude.ecef_from_gcrf[0]
        from_gcrf[number, :, 3:] = rotation
        from_gcrf[number, :, :3] = -rotation.dot(cross_matrix(attitude.rotation_gcrf_rad_s))
    return Observations(
        fix=np.array([row for row, _ in having], dtype=np.int64),
        gps_ms=np.array([fix.gps_ms for _, fix in having], dtype=np.int64),
        offset_s=np.array([-fix.velocity_latency_s for _, fix in having]),
        measured=np.array([fix.velocity_ecef_mps for _, fix in having]).reshape(-1, 3),
        sigma=_trusted(
            [fix.velocity_sigma_mps for _, fix in having],
            settings.velocity_sigma_default_mps,
            settings.velocity_sigma_floor_mps,
        ),
        from_gcrf=from_gcrf,
    )


def inertial(positions: Observations, velocities: Observations, pole: FloatArray) -> InertialFixes:
    """The fixes in GCRF, good enough to start from; velocities are brought to the position's time by free fall."""
    rotation = positions.from_gcrf[:, :, :3]
    position_m = np.einsum("nji,nj->ni", rotation, positions.measured)
    velocity_mps = np.full_like(position_m, np.nan)
    if len(velocities):
        turned, rotation = np.split(velocities.from_gcrf, 2, axis=2)
        earlier_s = velocities.offset_s[:, None]
        then_m = position_m[velocities.fix]
        rough_mps = np.einsum("nji,nj->ni", rotation, velocities.measured)
        then_m = then_m + earlier_s * rough_mps
        relative = velocities.measured - np.einsum("nij,nj->ni", turned, then_m)
        then_mps = np.einsum("nji,nj->ni", rotation, relative)
        velocity_mps[velocities.fix] = then_mps - earlier_s * oblate_earth(then_m, pole)
    return InertialFixes(positions.gps_ms, position_m, velocity_mps)


def _possible(fix: Fix, limits: ScreeningSettings) -> Fix | None:
    """The fix, without its velocity if that is impossible; None if the position is."""
    if not limits.radius_min_m <= math.hypot(*fix.position_ecef_m) <= limits.radius_max_m:
        return None
    if not np.isfinite(fix.position_sigma_m).all():
        return None
    if _has_possible_velocity(fix, limits):
        return fix
    return replace(fix, velocity_ecef_mps=None, velocity_sigma_mps=None, velocity_latency_s=0.0)


def _has_possible_velocity(fix: Fix, limits: ScreeningSettings) -> bool:
    if fix.velocity_ecef_mps is None or fix.velocity_sigma_mps is None:
        return False
    possible = limits.speed_min_mps <= math.hypot(*fix.velocity_ecef_mps) <= limits.speed_max_mps
    possible &= 0.0 <= fix.velocity_latency_s <= limits.velocity_latency_max_s
    return possible and bool(np.isfinite(fix.velocity_sigma_mps).all())


def _trusted(sigma: Sequence[FloatArray | None], default: float, floor: float) -> FloatArray:
    """Standard deviations (n, 3) with unknown ones replaced and optimistic ones raised."""
    given = np.array(sigma, dtype=np.float64).reshape(-1, 3)
    return np.maximum(np.where(given > 0.0, given, default), floor)

"""Recognition of wrong times of fixes from the predicted orbit: whole seconds, such as leap seconds, and other steps.

A single fix shows whole seconds (`time_error_s`). A step by another time needs an orbit of several fixes, because an
outlier may lie anywhere on the track (`time_step_s`).
"""

import math
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.j2_propagator import propagate
from pygnc.estimators.orbit.measurement import Fix, Innovation

ERROR_MAX_S: Final = 30
"""Largest error that is recognised; leap seconds are 18."""
ROUNDING_SIGMA_S: Final = 3e-4
"""Standard deviation of a time that is rounded to a millisecond."""
_SIGMAS: Final = 5.0
"""Number of standard deviations within which position and velocity must agree with the orbit at another second."""
_VELOCITY_MARGIN_MPS: Final = 1.0
"""Additional tolerance of the velocity; a second changes the velocity in a low orbit by 8 m/s."""


def time_error_s(fix: Fix, x: Array, position: Innovation, frames: EarthFrames) -> int:
    """Return the error of a fix's time in whole seconds, stated minus true, that explains its position; 0 if none.

    The position must be where the predicted orbit is at another whole second, and the velocity that of this second.

    Args:
        fix: The fix.
        x: Predicted state vector at the stated time, shape (10,).
        position: Innovation of the position at the stated time.
        frames: Earth orientation.
    """
    tolerance_m = _SIGMAS * math.hypot(*position.sigma)
    velocity_mps = _ecef_after(0.0, fix.gps_ms, x, frames)[3:]
    square = float(velocity_mps.dot(velocity_mps))
    ahead_s = round(float(velocity_mps.dot(position.residual)) / square)
    if not 0 < abs(ahead_s) <= ERROR_MAX_S or tolerance_m > 0.5 * math.sqrt(square):
        return 0
    if math.dist(fix.position_ecef_m, _ecef_after(ahead_s, fix.gps_ms, x, frames)[:3]) > tolerance_m:
        return 0
    if fix.velocity_ecef_mps is not None and fix.velocity_sigma_mps is not None:
        tolerance_mps = _SIGMAS * math.hypot(*fix.velocity_sigma_mps) + _VELOCITY_MARGIN_MPS
        expected_mps = _ecef_after(ahead_s - fix.velocity_latency_s, fix.gps_ms, x, frames)[3:]
        if math.dist(fix.velocity_ecef_mps, expected_mps) > tolerance_mps:
            return 0
    return -ahead_s


def time_step_s(gps_ms: int, x: Array, new: Array, tolerance: tuple[float, float], frames: EarthFrames) -> float:
    """Return the step of the times of fixes, stated minus true, that explains their orbit, to a millisecond; 0 if none.

    Args:
        gps_ms: Stated time in GPS milliseconds.
        x: Predicted state vector at this time, shape (10,).
        new: State vector at this time by the fixes after the step, shape (10,).
        tolerance: Largest difference of positions in m and of velocities in m/s.
        frames: Earth orientation.
    """
    target, ahead_s = frames.ecef_state_from_gcrf(gps_ms).dot(new[:6]), 0.0
    for _ in range(3):  # Newton's method, from a step of zero
        there = _ecef_after(ahead_s, gps_ms, x, frames)
        ahead_s += float(there[3:].dot(target[:3] - there[:3]) / there[3:].dot(there[3:]))
        if abs(ahead_s) > ERROR_MAX_S:
            return 0.0
    there = _ecef_after(ahead_s, gps_ms, x, frames)
    is_moved = abs(ahead_s) * math.hypot(*there[3:]) > tolerance[0]
    agrees = math.dist(target[:3], there[:3]) <= tolerance[0] and math.dist(target[3:], there[3:]) <= tolerance[1]
    return -round(ahead_s, 3) if is_moved and agrees else 0.0


def _ecef_after(offset_s: float, gps_ms: int, x: Array, frames: EarthFrames) -> Array:
    """Return position and velocity of the orbit in ITRF, shape (6,), `offset_s` after `gps_ms`."""
    moved = np.array(propagate(tuple(x[:6].tolist()), offset_s))
    state: Array = frames.ecef_state_from_gcrf(gps_ms + round(1e3 * offset_s)).dot(moved)
    return state

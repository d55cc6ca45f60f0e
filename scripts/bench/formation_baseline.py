"""Baseline for comparison: least squares on the ranges to one partner, from one initial guess.

SciPy's Levenberg-Marquardt with numeric derivatives, and the attraction of the oblate Earth on both satellites. It
has advantages over PyGNC's first ranging estimator, whose parameters were the partner's states at all moments:
deterministic dynamics, a bias with a prior, and our own state from the truth.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from pygnc_ground.formation.relative import rtn_from_gcrf
from pygnc_ground.orbit.batch.first_orbit import oblate_earth
from pygnc_ground.orbit.solution import FloatArray, IntArray

_STEP_S: Final = 20.0
_POLE: Final = np.array((0.0, 0.0, 1.0))


class PairRanges(NamedTuple):
    """The m ranges to one partner."""

    gps_ms: IntArray
    """Times in ms since the GPS epoch, ascending, shape (m,)"""
    range_m: FloatArray
    """Measured ranges including the bias of the pair, shape (m,)"""
    sigma_m: float
    bias_m: float
    """Expected bias of the pair"""
    bias_sigma_m: float


def solve_pair(ranges: PairRanges, own_gcrf: FloatArray, guess_rtn: FloatArray, gps_ms: IntArray) -> FloatArray:
    """Return partner minus own at n moments in GCRF, m and m/s, shape (n, 6).

    Args:
        ranges: Measured ranges.
        own_gcrf: Our own true state at the first of the moments, (6,).
        guess_rtn: Initial guess of the relative state at the first moment, RTN, (6,); velocities relative to the
            rotating axes.
        gps_ms: Moments (n,) in order, including those of all ranges.
    """
    t_s = 1e-3 * (gps_ms - gps_ms[0])
    row = np.searchsorted(gps_ms, ranges.gps_ms)
    own = _propagate(own_gcrf, t_s)
    to_gcrf = np.linalg.inv(rtn_from_gcrf(own_gcrf))
    rate_rad_s = np.linalg.norm(np.cross(own_gcrf[:3], own_gcrf[3:])) / (own_gcrf[:3] @ own_gcrf[:3])
    unit = np.array([1.0] * 3 + [float(rate_rad_s)] * 3 + [1.0])

    def relative(x: FloatArray) -> FloatArray:
        return _propagate(own_gcrf + to_gcrf @ (unit * x)[:6], t_s) - own

    def residuals(x: FloatArray) -> FloatArray:
        expected_m = np.linalg.norm(relative(x)[row, :3], axis=1) + ranges.bias_m + x[6]
        return np.append((ranges.range_m - expected_m) / ranges.sigma_m, x[6] / ranges.bias_sigma_m)

    found = least_squares(residuals, np.append(guess_rtn, 0.0) / unit, method="lm", diff_step=1e-6, x_scale=100.0)
    return relative(found.x)


def guess_on_track(distance_m: float, own_gcrf: FloatArray) -> FloatArray:
    """Return the RTN state (6,), m and m/s, of a satellite ahead on the same circle, at rest in the rotating axes."""
    radius_m = float(np.linalg.norm(own_gcrf[:3]))
    angle = distance_m / radius_m
    return np.array((radius_m * (np.cos(angle) - 1.0), radius_m * np.sin(angle), 0.0, 0.0, 0.0, 0.0))


def _propagate(state: FloatArray, t_s: FloatArray) -> FloatArray:
    """Return GCRF states (n, 6) at ascending times after that of `state`, by Runge-Kutta steps of order 4."""
    states = np.empty((len(t_s), 6))
    elapsed_s = 0.0
    for row, target_s in enumerate(t_s.tolist()):
        steps = max(round(np.ceil((target_s - elapsed_s) / _STEP_S)), 1)
        step_s = (target_s - elapsed_s) / steps
        for _ in range(steps):
            first = _rate(state)
            second = _rate(state + 0.5 * step_s * first)
            third = _rate(state + 0.5 * step_s * second)
            fourth = _rate(state + step_s * third)
            state = state + step_s / 6.0 * (first + 2.0 * second + 2.0 * third + fourth)
        states[row], elapsed_s = state, target_s
    return states


def _rate(state: FloatArray) -> FloatArray:
    return np.concatenate((state[3:], oblate_earth(state[:3], _POLE)))

"""Temperatures of the satellite's interior and faces: first-order lags of the sunlight that they absorb.

A body that exchanges heat in proportion to its temperature approaches its equilibrium exponentially (lumped
capacitance; Incropera & DeWitt, Fundamentals of Heat and Mass Transfer, chapter 5). Sunlight varies with shadow and
attitude; the heat of the Earth and of the electronics is constant. A temperature is 0 at the equilibrium in darkness
and 1 at that in full sunlight.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from pygnc_ground.scenario import environment
from pygnc_ground.scenario.environment import Conditions, FloatArray

_SUNLIT_S: Final = 3530.0
_SHADOW_S: Final = 2146.0
"""Parts of the period of a circular orbit at 500 km with the longest shadow, that is a half-angle of asin(R / r)."""
_TIME_CONSTANTS_BEFORE: Final = 5
_STEP_BEFORE_S: Final = 30.0


def lagged(drive: FloatArray, t_s: FloatArray, time_constant_s: float, first: npt.ArrayLike) -> FloatArray:
    """Return the first-order lag of a signal with `first` at the first of n ascending times; shapes (n, ...) -> same.

    Between two times, the drive is constant at their mean.
    """
    response = np.empty_like(drive)
    value = np.asarray(first, dtype=np.float64)
    gains = -np.expm1(-np.diff(t_s, prepend=t_s[:1]) / time_constant_s)
    means = 0.5 * (drive + np.concatenate((drive[:1], drive[:-1])))
    for row, (gain, mean) in enumerate(zip(gains.tolist(), means, strict=True)):
        value = value + gain * (mean - value)
        response[row] = value
    return response


def interior(conditions: Conditions, sun_body_m: FloatArray, time_constant_s: float) -> FloatArray:
    """Return the temperature inside the satellite under n conditions as a multiple of its usual amplitude, shape (n,).

    It is -1 at the end of the longest shadow of a 500 km orbit and 1 at its beginning, for a body that turns. The
    absorbing area is that of a cube, relative to its mean over all attitudes. The orbit before the start is circular.

    Args:
        conditions: States and environment at ascending times.
        sun_body_m: Directions to the Sun in body axes, of any length, shape (n, 3).
        time_constant_s: Time in which 63 % of a change of the equilibrium is reached.
    """
    cosines = np.abs(sun_body_m / np.linalg.norm(sun_body_m, axis=1, keepdims=True))
    drive = conditions.sunlit_fraction * cosines.sum(axis=1) / 1.5
    before_s = np.arange(-_TIME_CONSTANTS_BEFORE * time_constant_s, 0.0, _STEP_BEFORE_S)
    sunlit = _sunlit_before(conditions, before_s)
    first = lagged(sunlit, before_s, time_constant_s, sunlit.mean())[-1]
    sunset = math.expm1(-_SUNLIT_S / time_constant_s) / math.expm1(-(_SUNLIT_S + _SHADOW_S) / time_constant_s)
    sunrise = sunset * math.exp(-_SHADOW_S / time_constant_s)
    temperature = lagged(drive, conditions.t_s, time_constant_s, first)
    return np.asarray((2.0 * temperature - sunset - sunrise) / (sunset - sunrise))


def _sunlit_before(conditions: Conditions, before_s: FloatArray) -> FloatArray:
    """Return the visible fraction of the Sun's disc at times before the start, on a circular orbit, shape (m,)."""
    position_m, velocity_mps = np.hsplit(conditions.states_gcrf[0], 2)
    radius_m = np.linalg.norm(position_m)
    transverse = np.cross(np.cross(position_m, velocity_mps), position_m)
    ahead_m = transverse * radius_m / np.linalg.norm(transverse)
    angle = before_s * (velocity_mps @ ahead_m) / radius_m**2
    path_m = np.outer(np.cos(angle), position_m) + np.outer(np.sin(angle), ahead_m)
    return environment.sunlit_fraction(path_m, np.tile(conditions.sun_gcrf_m[0], (len(path_m), 1)))

"""Fast propagation with two-body gravity and J2, accurate to about 100 m over minutes.

All other forces are neglected, which causes an error of some 50 m in ten minutes and of a kilometre per revolution.
Sources: Montenbruck & Gill, Satellite Orbits, sections 3.2 (J2) and 4.1.1 (Runge-Kutta).
"""

import math
from typing import Final, TypeAlias

from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2

StateVector: TypeAlias = tuple[float, ...]
"""Position in m and velocity in m/s in GCRF, six numbers; the z axis is taken as the Earth's axis."""

_J2: Final = 1.082_626_2e-3
_STEP_MAX_S: Final = 60.0
"""Longest integration step; it causes an error of some metres per revolution."""


def propagate(state: StateVector, duration_s: float) -> StateVector:
    """Return the state after `duration_s`, which may be negative; about 5 us per started minute."""
    steps = math.ceil(abs(duration_s) / _STEP_MAX_S)
    for _ in range(steps):
        state = _step(state, duration_s / steps)
    return state


def _step(state: StateVector, step_s: float) -> StateVector:
    first = _rate(state)
    second = _rate(_along(state, first, 0.5 * step_s))
    third = _rate(_along(state, second, 0.5 * step_s))
    fourth = _rate(_along(state, third, step_s))
    rates = zip(first, second, third, fourth, strict=True)
    return _along(state, tuple(a + 2.0 * (b + c) + d for a, b, c, d in rates), step_s / 6.0)


def _along(state: StateVector, rate: StateVector, step_s: float) -> StateVector:
    return tuple(value + step_s * change for value, change in zip(state, rate, strict=True))


def _rate(state: StateVector) -> StateVector:
    """Return velocity and acceleration."""
    x, y, z, vx, vy, vz = state
    squared = x * x + y * y + z * z
    central = -GM_EARTH_M3_S2 / (squared * math.sqrt(squared))
    flattening = 1.5 * _J2 * EARTH_RADIUS_M**2 / squared
    polar = 5.0 * z * z / squared
    equatorial = central * (1.0 + flattening * (1.0 - polar))
    return vx, vy, vz, x * equatorial, y * equatorial, z * central * (1.0 + flattening * (3.0 - polar))

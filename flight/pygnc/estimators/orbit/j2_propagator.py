"""Where a satellite is some time before or after a known state, to a hundred metres over minutes, in microseconds.

The Earth's centre pulls, and so does its flattening (J2); all else is left out, which costs some fifty metres in
ten minutes and a kilometre in a revolution. Source: Montenbruck & Gill, Satellite Orbits, section 3.2 (J2) and 4.1.1
(Runge-Kutta).
"""

import math
from typing import Final, TypeAlias

from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2

Coarse: TypeAlias = tuple[float, float, float, float, float, float]
"""Position in m and velocity in m/s, GCRF, whose z axis is taken for the Earth's."""

_J2: Final = 1.082_626_2e-3
_STEP_MAX_S: Final = 60.0
"""The integration's own error is some metres in a revolution."""


def carried(state: Coarse, duration_s: float) -> Coarse:
    """The state after some time, or before when the time is negative. Cost: some 5 us for each started minute."""
    steps = math.ceil(abs(duration_s) / _STEP_MAX_S)
    for _ in range(steps):
        state = _step(state, duration_s / steps)
    return state


def _step(state: Coarse, step_s: float) -> Coarse:
    first = _rate(state)
    second = _rate(_along(state, first, 0.5 * step_s))
    third = _rate(_along(state, second, 0.5 * step_s))
    fourth = _rate(_along(state, third, step_s))
    sixth_s = step_s / 6.0
    x, y, z, vx, vy, vz = (
        value + sixth_s * (a + 2.0 * (b + c) + d)
        for value, a, b, c, d in zip(state, first, second, third, fourth, strict=True)
    )
    return x, y, z, vx, vy, vz


def _along(state: Coarse, rate: Coarse, step_s: float) -> Coarse:
    x, y, z, vx, vy, vz = state
    dx, dy, dz, dvx, dvy, dvz = rate
    return (
        x + step_s * dx,
        y + step_s * dy,
        z + step_s * dz,
        vx + step_s * dvx,
        vy + step_s * dvy,
        vz + step_s * dvz,
    )


def _rate(state: Coarse) -> Coarse:
    """Velocity and acceleration."""
    x, y, z, vx, vy, vz = state
    squared = x * x + y * y + z * z
    central = -GM_EARTH_M3_S2 / (squared * math.sqrt(squared))
    flattening = 1.5 * _J2 * EARTH_RADIUS_M**2 / squared
    polar = 5.0 * z * z / squared
    equatorial = central * (1.0 + flattening * (1.0 - polar))
    return vx, vy, vz, x * equatorial, y * equatorial, z * central * (1.0 + flattening * (3.0 - polar))

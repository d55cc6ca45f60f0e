"""Fast propagation with two-body gravity and J2, accurate to about 100 m over minutes.

All other forces are neglected, which causes an error of some 50 m in ten minutes and of a kilometre per revolution.
Sources: Montenbruck & Gill, Satellite Orbits, sections 3.2 (J2) and 4.1.1 (Runge-Kutta).
"""

import math
from typing import Final, TypeAlias

from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2

StateVector: TypeAlias = tuple[float, ...]
"""Position in m and velocity in m/s in GCRF, six numbers; the z axis is taken as the Earth's axis."""

J2: Final = 1.082_626_2e-3


def propagate(state: StateVector, duration_s: float) -> StateVector:
    """Return the state after `duration_s` seconds, which may be negative; takes about 5 us per started minute."""
    # Steps of at most a minute suffice: they cause an error of some metres per revolution.
    steps = math.ceil(abs(duration_s) / 60.0)
    for _ in range(steps):
        state = _step(state, duration_s / steps)
    return state


def _step(state: StateVector, step_s: float) -> StateVector:
    """Return the state after one classical Runge-Kutta step, written out because loops and arrays are slower."""
    x, y, z, vx, vy, vz = state
    half_s, sixth_s = 0.5 * step_s, step_s / 6.0
    ax1, ay1, az1 = _acceleration(x, y, z)
    vx2, vy2, vz2 = vx + half_s * ax1, vy + half_s * ay1, vz + half_s * az1
    ax2, ay2, az2 = _acceleration(x + half_s * vx, y + half_s * vy, z + half_s * vz)
    vx3, vy3, vz3 = vx + half_s * ax2, vy + half_s * ay2, vz + half_s * az2
    ax3, ay3, az3 = _acceleration(x + half_s * vx2, y + half_s * vy2, z + half_s * vz2)
    vx4, vy4, vz4 = vx + step_s * ax3, vy + step_s * ay3, vz + step_s * az3
    ax4, ay4, az4 = _acceleration(x + step_s * vx3, y + step_s * vy3, z + step_s * vz3)
    return (
        x + sixth_s * (vx + 2.0 * (vx2 + vx3) + vx4),
        y + sixth_s * (vy + 2.0 * (vy2 + vy3) + vy4),
        z + sixth_s * (vz + 2.0 * (vz2 + vz3) + vz4),
        vx + sixth_s * (ax1 + 2.0 * (ax2 + ax3) + ax4),
        vy + sixth_s * (ay1 + 2.0 * (ay2 + ay3) + ay4),
        vz + sixth_s * (az1 + 2.0 * (az2 + az3) + az4),
    )


def _acceleration(x: float, y: float, z: float) -> tuple[float, float, float]:
    squared = x * x + y * y + z * z
    central = -GM_EARTH_M3_S2 / (squared * math.sqrt(squared))
    flattening = 1.5 * J2 * EARTH_RADIUS_M**2 / squared
    polar = 5.0 * z * z / squared
    equatorial = central * (1.0 + flattening * (1.0 - polar))
    return x * equatorial, y * equatorial, z * central * (1.0 + flattening * (3.0 - polar))

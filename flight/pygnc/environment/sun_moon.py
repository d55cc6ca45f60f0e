"""Sun and Moon: geometric positions in GCRF, and what their gravity does to an orbit around the Earth.

Sources: ERFA epv00 (VSOP2000 fit, Sun good to some km) and moon98 (Meeus' ELP-2000/82, Moon good to some km), both far
better than the 1e-3 relative that orbit and Sun sensors need.
"""

import math
from typing import Final

import erfa
import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.chebyshev import ChebyshevDays
from pygnc.environment.time_scales import TT_MINUS_GPS_S, julian_date

ASTRONOMICAL_UNIT_M: Final = 149_597_870_700.0
GM_SUN_M3_S2: Final = 1.327_124_400_18e20
GM_MOON_M3_S2: Final = 4.902_800_066e12
"""Both from JPL DE440 (Park et al. 2021), rounded."""

_NODES_PER_DAY: Final = 10


class SunMoon:
    """Positions of Sun and Moon by daily polynomials (interpolation error below 1 m); some microseconds a call.

    A satellite sees the Sun in the direction sun_m - position_m to 0.008 degrees, for aberration is left out.
    """

    def __init__(self) -> None:
        self._positions = ChebyshevDays(_sample, _NODES_PER_DAY)

    def at(self, gps_ms: int, offset_s: float = 0.0) -> tuple[Array, Array]:
        """Geocentric GCRF positions of Sun and Moon in m, each (3,), at `gps_ms` plus `offset_s`."""
        positions_m = self._positions.at(gps_ms, offset_s)
        return positions_m[:3], positions_m[3:]


def third_body_acceleration(position_m: Array, sun_m: Array, moon_m: Array) -> Array:
    """Acceleration of a satellite relative to the Earth's centre by Sun and Moon.

    Args:
        position_m: Geocentric position, shape (3,).
        sun_m: Geocentric position of the Sun in the same frame, shape (3,).
        moon_m: Geocentric position of the Moon, shape (3,).

    Returns:
        Acceleration in m/s^2, shape (3,). Source: Montenbruck & Gill, Satellite Orbits, equation 3.37.
    """
    # Plain floats: three times as fast as arrays of three.
    x, y, z = position_m.tolist()
    acceleration = [0.0, 0.0, 0.0]
    for gm_m3_s2, body_m in ((GM_SUN_M3_S2, sun_m), (GM_MOON_M3_S2, moon_m)):
        bx, by, bz = body_m.tolist()
        towards = (bx - x, by - y, bz - z)
        direct = gm_m3_s2 / math.hypot(*towards) ** 3
        indirect = gm_m3_s2 / math.hypot(bx, by, bz) ** 3
        for axis, (from_satellite, from_earth) in enumerate(zip(towards, (bx, by, bz), strict=True)):
            acceleration[axis] += direct * from_satellite - indirect * from_earth
    return np.array(acceleration)


def _sample(gps_ms: int, offsets_s: Array) -> Array:
    """Sun and Moon in m, shape (n, 6). TT stands for TDB: 2 ms, 60 m of the Earth's path around the Sun."""
    date = julian_date(gps_ms, offsets_s + TT_MINUS_GPS_S)
    earth_heliocentric, _ = erfa.epv00(*date)
    return np.concatenate([-earth_heliocentric["p"], erfa.moon98(*date)["p"]], axis=1) * ASTRONOMICAL_UNIT_M

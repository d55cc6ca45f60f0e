"""Sun and Moon: geometric positions in GCRF, and their third-body acceleration.

Sources: ERFA epv00 (fit to VSOP2000, Sun accurate to some km) and moon98 (ELP-2000/82 after Meeus, Moon accurate to
some km), both far better than the relative 1e-3 that the orbit and the sun sensors need.
"""

import math
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.chebyshev import ChebyshevDays
from pygnc.environment.erfa_functions import erfa
from pygnc.environment.time_scales import TT_MINUS_GPS_S, julian_date

ASTRONOMICAL_UNIT_M: Final = 149_597_870_700.0
GM_SUN_M3_S2: Final = 1.327_124_400_18e20
GM_MOON_M3_S2: Final = 4.902_800_066e12
"""Gravitational parameters of Sun and Moon from JPL DE440 (Park et al. 2021), rounded."""

_NODES_PER_DAY: Final = 10


class SunMoon:
    """Positions of Sun and Moon by daily Chebyshev polynomials: error of interpolation below 1 m, some us per call.

    The direction from the satellite, sun_m - position_m, is accurate to 0.008 degrees because aberration is neglected.
    """

    def __init__(self) -> None:
        self._positions = ChebyshevDays(_sample, _NODES_PER_DAY)

    def at(self, gps_ms: int, offset_s: float = 0.0) -> tuple[Array, Array]:
        """Return the geocentric positions of Sun and Moon in GCRF, m, each (3,), at `gps_ms` plus `offset_s`."""
        positions_m = self._positions.at(gps_ms, offset_s)
        return positions_m[:3], positions_m[3:]


def third_body_acceleration(position_m: Array, sun_m: Array, moon_m: Array) -> Array:
    """Return the acceleration by Sun and Moon relative to the Earth's centre in m/s^2, shape (3,).

    The positions of satellite, Sun and Moon are geocentric, in one frame, m, shape (3,). Source: Montenbruck & Gill,
    Satellite Orbits, equation 3.37.
    """
    # Arithmetic with Python floats is three times as fast as with arrays of three elements.
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
    """Return Sun and Moon in m, shape (n, 6). TT is used for TDB: 2 ms, or 60 m of the Earth's path around the Sun."""
    date = julian_date(gps_ms, offsets_s + TT_MINUS_GPS_S)
    earth_heliocentric, _, _ = erfa.epv00(*date)
    return np.concatenate([-earth_heliocentric["p"], erfa.moon98(*date)["p"]], axis=1) * ASTRONOMICAL_UNIT_M

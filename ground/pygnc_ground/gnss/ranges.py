"""Predicted pseudoranges: light time, Earth rotation, clocks with relativity, antennas.

The state of a navigation satellite is interpolated once per measurement, for a nominal time of flight, and moved along
its velocity to the exact one: over the 15 ms by which the times of flight differ, its acceleration amounts to 0.1 mm.
Sources: IS-GPS-200, 20.3.3.3.3.1 (relativistic clock); N. Ashby, Relativity in the Global Positioning System, Living
Reviews in Relativity 6, 2003 (Earth rotation, and the delay of the signal by gravity).
"""

from dataclasses import dataclass, fields
from typing import Final, NamedTuple, Self

import numpy as np

from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.environment.sun_moon import SunMoon
from pygnc_ground.gnss.antennas import SatelliteAntennas, navigation_axes
from pygnc_ground.gnss.measurements import (
    SPEED_OF_LIGHT_M_S,
    BoolArray,
    FloatArray,
    GnssMeasurements,
    GnssOrbits,
    IntArray,
    OrbitReference,
)

_FLIGHT_S: Final = 0.0775
"""Nominal time of flight; in low orbits it is 0.064 to 0.091 s."""
_LIGHT_ITERATIONS: Final = 3
_SUN_STEP_MS: Final = 60_000
"""Times between which one direction of the Sun is used: it turns by 0.25 degrees relative to the Earth."""


class PredictedRanges(NamedTuple):
    """Predicted ranges of n measurements without the receiver's clock."""

    range_m: FloatArray
    """Pseudoranges of codes; phases have an ambiguity and the wind-up in addition, shape (n,)."""
    direction: FloatArray
    """Unit vectors from the satellite to the receiver in ITRF at reception, shape (n, 3)."""


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """Navigation satellites at the nominal times of transmission of n measurements."""

    position_ecef_m: FloatArray
    """Positions of the phase centres in ITRF at these times, shape (n, 3)."""
    velocity_ecef_mps: FloatArray
    clock_s: FloatArray
    """Clocks with the periodic relativistic effect, shape (n,); NaN where position or clock are unknown."""
    sigma_m: FloatArray
    clock_walk_m2_s: FloatArray
    """As in `SatelliteStates`."""
    axes: FloatArray
    """Nominal axes of the satellites in ITRF as rows, shape (n, 3, 3)."""

    @classmethod
    def of(
        cls, seen: GnssMeasurements, orbits: GnssOrbits, antennas: SatelliteAntennas | None, frames: EarthFrames
    ) -> Self:
        """Interpolate the orbits of the satellites seen; without `antennas`, phase centres are centres of mass."""
        count = len(seen)
        states, clocks = np.full((count, 6), np.nan), np.full((count, 3), np.nan)
        axes = np.tile(np.eye(3), (count, 1, 1))
        sun_m = _sun_ecef_m(seen.gps_ms, frames)
        for satellite in np.unique(seen.satellite).tolist():
            rows = np.flatnonzero(seen.satellite == satellite)
            found = orbits.states(satellite, seen.gps_ms[rows], seen.fraction_s[rows] - _FLIGHT_S)
            along = np.einsum("ni,ni->n", found.position_ecef_m, found.velocity_ecef_mps)
            relativistic_s = -2.0 * along / SPEED_OF_LIGHT_M_S**2
            axes[rows] = navigation_axes(found.position_ecef_m, sun_m[rows])
            position_m = found.position_ecef_m
            if orbits.reference is OrbitReference.CENTRE_OF_MASS and antennas is not None:
                offset_m = antennas.offset_m(satellite, int(seen.gps_ms[rows[0]]))
                if offset_m is not None:
                    position_m = position_m + np.einsum("nij,i->nj", axes[rows], offset_m)
            states[rows] = np.concatenate((position_m, found.velocity_ecef_mps), axis=1)
            clocks[rows] = np.column_stack((found.clock_s + relativistic_s, found.sigma_m, found.clock_walk_m2_s))
        return cls(states[:, :3], states[:, 3:], clocks[:, 0], clocks[:, 1], clocks[:, 2], axes)

    @property
    def known(self) -> BoolArray:
        """True where position and clock are known, shape (n,)."""
        return np.isfinite(self.position_ecef_m[:, 0]) & np.isfinite(self.clock_s)

    def selected(self, rows: BoolArray | IntArray | slice) -> Self:
        """Return the links of some measurements."""
        return type(self)(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def ranges(self, antenna_ecef_m: FloatArray, receiver_clock_s: FloatArray) -> PredictedRanges:
        """Return the ranges to the receiver's antenna in ITRF at reception (n, 3).

        The times of reception are the time tags minus the receiver's clock error (n,), in GPS time.
        """
        flight_s = np.full(len(antenna_ecef_m), _FLIGHT_S)
        for _ in range(_LIGHT_ITERATIONS):
            later_s = _FLIGHT_S - flight_s - receiver_clock_s
            position_m = self.position_ecef_m + self.velocity_ecef_mps * later_s[:, None]
            position_m = _turned(position_m, EARTH_ROTATION_RAD_S * flight_s)
            apart_m = antenna_ecef_m - position_m
            distance_m = np.linalg.norm(apart_m, axis=1)
            flight_s = distance_m / SPEED_OF_LIGHT_M_S
        delay_m = gravity_delay_m(position_m, antenna_ecef_m, distance_m)
        return PredictedRanges(distance_m + delay_m - SPEED_OF_LIGHT_M_S * self.clock_s, apart_m / distance_m[:, None])


def gravity_delay_m(position_m: FloatArray, antenna_m: FloatArray, distance_m: FloatArray) -> FloatArray:
    """Return the delay of a signal by the Earth's gravity (Shapiro), m, shape (n,): up to 2 cm."""
    sum_m = np.linalg.norm(position_m, axis=1) + np.linalg.norm(antenna_m, axis=1)
    scale_m = 2.0 * GM_EARTH_M3_S2 / SPEED_OF_LIGHT_M_S**2
    # A trial position may be on the line through the Earth's centre.
    less_m = np.maximum(sum_m - distance_m, 1.0)
    return np.asarray(scale_m * np.log((sum_m + distance_m) / less_m))


def _turned(position_m: FloatArray, angle_rad: FloatArray) -> FloatArray:
    """Return positions (n, 3) of an earlier Earth-fixed frame in a frame that has turned by an angle (n,) since."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    x, y, z = position_m.T
    return np.stack((cosine * x + sine * y, cosine * y - sine * x, z), axis=1)


def _sun_ecef_m(gps_ms: IntArray, frames: EarthFrames) -> FloatArray:
    """Return geocentric positions of the Sun in ITRF, m, shape (n, 3)."""
    steps, row = np.unique(gps_ms // _SUN_STEP_MS, return_inverse=True)
    at_ms = steps * _SUN_STEP_MS
    sun_moon = SunMoon()
    sun_m = np.array([sun_moon.at(one)[0] for one in at_ms.tolist()])
    turned: FloatArray = np.einsum("nij,nj->ni", frames.at_each(at_ms, np.zeros(len(at_ms))).ecef_from_gcrf, sun_m)
    return turned[row]

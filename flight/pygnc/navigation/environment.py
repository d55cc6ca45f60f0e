"""Environment of the satellite at the time of a sample: Sun, eclipse and geomagnetic field along the newest orbit."""

from typing import Final

import msgspec
import numpy as np

from pygnc.bus.messages import OrbitEstimate
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.environment.geomagnetic import MainField
from pygnc.environment.solar_radiation import THERMAL_TIME_S, sunlit_fraction, warmth
from pygnc.environment.sun_moon import SunMoon
from pygnc.estimators.attitude.sample import AttitudeEnvironment
from pygnc.estimators.orbit.j2_propagator import StateVector, propagate

ORBIT_AGE_MAX_S: Final = 86_400.0
"""Limit of the orbit's age in s: in a day without fixes its error reaches tens of km, a third of a degree."""
_NOW: Final = np.zeros(1)
"""Offset in s of the requested time from `gps_ms`, as the frames take it."""


class PropagatedOrbit(msgspec.Struct):
    """An orbit, propagated to the time of the last request.

    Attributes:
        fix_gps_ms: Time of the newest fix in the orbit, or epoch of the mean elements, GPS ms.
        gps_ms: Time of `state`, GPS ms.
        state: Position in m and velocity in m/s, GCRF.
        known_gps_ms: Time from which the age limit counts: the newest fix, or the evaluation of the elements; GPS ms.
    """

    fix_gps_ms: int
    gps_ms: int
    state: StateVector
    known_gps_ms: int

    @classmethod
    def of(cls, estimate: OrbitEstimate) -> "PropagatedOrbit":
        """Return the orbit of an estimate, at the estimate's time."""
        state = (*estimate.position_gcrf_m, *estimate.velocity_gcrf_mps)
        known_gps_ms = estimate.gps_ms if estimate.from_elements else estimate.fix_gps_ms
        return cls(estimate.fix_gps_ms, estimate.gps_ms, state, known_gps_ms)

    def age_s(self, gps_ms: int) -> float:
        """Return the time since the newest fix or the epoch of the elements in s, negative before it."""
        return (gps_ms - self.fix_gps_ms) * 1e-3


class EnvironmentModel:
    """Model of the Sun, the Earth's shadow and the Earth's magnetic field; one evaluation takes about 60 us.

    Without a model of the main field, `at` always returns None.
    """

    def __init__(self, orientation: EarthOrientationTable, main_field: MainField | None) -> None:
        self._frames = EarthFrames(orientation)
        self._sun_moon = SunMoon()
        self._main_field = main_field

    def at(self, gps_ms: int, orbit: PropagatedOrbit | None) -> AttitudeEnvironment | None:
        """Propagate `orbit` to a time and return the environment there.

        Args:
            gps_ms: GPS milliseconds since the GPS epoch.
            orbit: Orbit of the satellite, modified to the new time; None if it is unknown.

        Returns:
            The environment; None without an orbit or a field model, or if the orbit is older than `ORBIT_AGE_MAX_S`.
        """
        if orbit is None or self._main_field is None:
            return None
        if abs(gps_ms - orbit.known_gps_ms) > 1e3 * ORBIT_AGE_MAX_S:
            return None
        orbit.state, orbit.gps_ms = propagate(orbit.state, (gps_ms - orbit.gps_ms) * 1e-3), gps_ms
        position_gcrf_m, velocity_gcrf_mps = np.array(orbit.state[:3]), np.array(orbit.state[3:])
        sun_gcrf_m, _ = self._sun_moon.at(gps_ms)
        ecef_from_gcrf = self._frames.at(gps_ms, _NOW).ecef_from_gcrf[0]
        field_ecef_ut = self._main_field.at(gps_ms, ecef_from_gcrf.dot(position_gcrf_m)[np.newaxis])[0]
        sunlit = sunlit_fraction(position_gcrf_m, sun_gcrf_m)
        warm = warmth(position_gcrf_m, velocity_gcrf_mps, sun_gcrf_m, THERMAL_TIME_S)
        return AttitudeEnvironment(field_ecef_ut.dot(ecef_from_gcrf), sun_gcrf_m, position_gcrf_m, sunlit, warm)

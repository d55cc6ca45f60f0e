"""What surrounds the satellite at the time of a sample, from the orbit that the orbit task last gave."""

from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.bus.messages import OrbitEstimate
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.environment.geomagnetic import MainField
from pygnc.environment.solar_radiation import sunlit_fraction
from pygnc.environment.sun_moon import SunMoon
from pygnc.estimators.attitude.sample import AttitudeEnvironment
from pygnc.estimators.orbit.j2_propagator import StateVector, propagate

ORBIT_AGE_MAX_S: Final = 86_400.0
"""In a day without fixes an orbit goes astray by tens of kilometres, a third of a degree; then it is unknown."""


class OrbitalEnvironment(NamedTuple):
    """What is known at a time.

    Attributes:
        surroundings: None without an orbit.
        orbit_age_s: From the orbit's newest fix to then; None without an orbit.
    """

    surroundings: AttitudeEnvironment | None
    orbit_age_s: float | None


UNKNOWN_ENVIRONMENT: Final = OrbitalEnvironment(None, None)


class PropagatedOrbit(msgspec.Struct, frozen=True):
    """An orbit, carried on to a time near the next one that will be asked for.

    Attributes:
        fix_gps_ms: Time of its newest fix.
        gps_ms: Time of `state`.
        state: Position in m and velocity in m/s, GCRF.
    """

    fix_gps_ms: int
    gps_ms: int
    state: StateVector

    @classmethod
    def of(cls, estimate: OrbitEstimate) -> "PropagatedOrbit":
        """The orbit of an estimate, at the estimate's time."""
        state = (*estimate.position_gcrf_m, *estimate.velocity_gcrf_mps)
        return cls(estimate.fix_gps_ms, estimate.gps_ms, state)

    def age_s(self, gps_ms: int) -> float:
        """From the newest fix to a time, negative before it."""
        return (gps_ms - self.fix_gps_ms) * 1e-3

    def at(self, gps_ms: int) -> "PropagatedOrbit":
        """The orbit carried to a time."""
        return PropagatedOrbit(self.fix_gps_ms, gps_ms, propagate(self.state, (gps_ms - self.gps_ms) * 1e-3))


class EnvironmentModel:
    """The Sun, the Earth's shadow and the Earth's field, about 60 us for each place and time.

    Args:
        orientation: Earth orientation, as for the orbit.
        main_field: The Earth's field; without one nothing is known of any surroundings.
    """

    def __init__(self, orientation: EarthOrientationTable, main_field: MainField | None) -> None:
        self._frames = EarthFrames(orientation)
        self._sun_moon = SunMoon()
        self._main_field = main_field

    def at(self, gps_ms: int, orbit: PropagatedOrbit | None) -> tuple[OrbitalEnvironment, PropagatedOrbit | None]:
        """What is around at a time, and the orbit carried there."""
        if orbit is None or self._main_field is None or abs(orbit.age_s(gps_ms)) > ORBIT_AGE_MAX_S:
            return UNKNOWN_ENVIRONMENT, orbit
        orbit = orbit.at(gps_ms)
        position_gcrf_m = np.array(orbit.state[:3])
        sun_gcrf_m, _ = self._sun_moon.at(gps_ms)
        ecef_from_gcrf = self._frames.at(gps_ms, _NOW).ecef_from_gcrf[0]
        position_ecef_m = ecef_from_gcrf.dot(position_gcrf_m)
        field_ecef_ut = self._main_field.at(gps_ms, position_ecef_m[np.newaxis])[0]
        surroundings = AttitudeEnvironment(
            field_ecef_ut.dot(ecef_from_gcrf),
            sun_gcrf_m,
            position_gcrf_m,
            sunlit_fraction(position_gcrf_m, sun_gcrf_m),
        )
        return OrbitalEnvironment(surroundings, orbit.age_s(gps_ms)), orbit


_NOW: Final = np.zeros(1)

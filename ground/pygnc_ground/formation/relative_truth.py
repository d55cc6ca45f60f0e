"""Where a satellite truly is relative to another one, along that one's radial, transverse and normal."""

import numpy as np

from pygnc.environment.frames import EARTH_ROTATION_RAD_S
from pygnc_ground.formation.relative import rtn_from_gcrf
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.truth.orbit_truth import OrbitTruth, TrueOrbit


def relative_truth(own: OrbitTruth, other: OrbitTruth, gps_ms: IntArray) -> FloatArray:
    """Positions in m and velocities in m/s, relative to the turning axes, of `other` minus `own` at n times.

    Returns:
        Shape (n, 6); NaN where one of the two is not known.
    """
    states = _inertial(own.at(gps_ms))
    apart = _inertial(other.at(gps_ms)) - states
    relative: FloatArray = np.einsum("nij,nj->ni", rtn_from_gcrf(states), apart)
    return relative


def _inertial(orbit: TrueOrbit) -> FloatArray:
    """States as seen from inertial space, along the axes of ITRF, (n, 6): radial and normal need no more."""
    spin = np.array((0.0, 0.0, EARTH_ROTATION_RAD_S))
    velocity_mps = orbit.velocity_ecef_mps + np.cross(spin, orbit.position_ecef_m)
    return np.concatenate((orbit.position_ecef_m, velocity_mps), axis=1)

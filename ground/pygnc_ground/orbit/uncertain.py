"""Orbit with its covariance at any time of a span, from states of the filter, mean elements or OEM files.

Covariances are interpolated along radial, transverse and normal, where they change slowly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np

from pygnc.common.arrays import cross_matrix
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.orbit.solution import FloatArray, IntArray, inertial_states, rtn_axes
from pygnc_ground.truth.ephemeris import HERMITE_WINDOW, NS_PER_MS, Arc, Ephemeris
from pygnc_ground.truth.frames import Frame, itrf_states
from pygnc_ground.truth.oem import Segment, arc_of, covariances_of, segments_of

_HELD_NS: Final = 600_000_000_000
"""Time before the first and after the last covariance of a file for which they hold."""
_AXES_OF_ORBIT: Final = frozenset({"RTN", "RSW", "QSW", "RIC", "UVW"})
"""Names of the radial, transverse and normal axes in the SANA registry, and older ones."""
_COVARIANCE_FRAMES: Final[dict[str, Literal[Frame.GCRF, Frame.EME2000]]] = {
    "GCRF": Frame.GCRF,
    "ICRF": Frame.GCRF,
    "EME2000": Frame.EME2000,
    "J2000": Frame.EME2000,
}


@dataclass(frozen=True, slots=True, eq=False)
class UncertainOrbit:
    """Orbit within a span.

    Attributes:
        ephemeris: States.
        gps_ns: Times of n covariances in ns since the GPS epoch, ascending, shape (n,); none if unknown.
        covariance_rtn: Covariances of the inertial position (m) and velocity (m/s) along RTN, shape (n, 6, 6).
    """

    ephemeris: Ephemeris
    gps_ns: IntArray
    covariance_rtn: FloatArray

    @classmethod
    def from_states(cls, states: Sequence[OrbitState], frames: EarthFrames) -> Self:
        """Return the orbit of states in ascending order of time."""
        gps_ns = NS_PER_MS * np.array([state.gps_ms for state in states], dtype=np.int64)
        gcrf = np.array([state.x[:6] for state in states])
        itrf = np.array([frames.ecef_state_from_gcrf(state.gps_ms) @ state.x[:6] for state in states])
        axes = _both(rtn_axes(gcrf))
        covariance = np.array([state.covariance[:6, :6] for state in states])
        span = int(gps_ns[0]), int(gps_ns[-1])
        arc = Arc(gps_ns, itrf[:, :3], itrf[:, 3:], Frame.ITRF, HERMITE_WINDOW, span)
        return cls(Ephemeris([arc], "states"), gps_ns, axes @ covariance @ axes.swapaxes(1, 2))

    @classmethod
    def from_oem(cls, segments: list[Segment], object_id: str | None, orientation: EarthOrientationTable) -> Self:
        """Return the orbit of one object in an Orbit Ephemeris Message, or for None of the only one.

        Raises:
            ValueError: A value is missing or impossible, or the object is unknown; the message names the line.
        """
        arcs, times, matrices = [], [], []
        for segment in segments_of(segments, object_id):
            arc = arc_of(segment)
            if arc.frame is not Frame.ITRF and arc.velocity_mps is not None:
                states = np.concatenate((arc.position_m, arc.velocity_mps), axis=1)
                itrf = itrf_states(arc.frame, arc.gps_ns, states, orientation)
                arc = Arc(arc.gps_ns, itrf[:, :3], itrf[:, 3:], Frame.ITRF, arc.window, arc.usable_ns)
            arcs.append(arc)
            stated = covariances_of(segment)
            times.append(stated.gps_ns)
            matrices.append(_rtn_covariances(arc, *stated, orientation))
        gps_ns = np.concatenate(times)
        order = np.argsort(gps_ns, kind="stable")
        return cls(Ephemeris(arcs, "OEM"), gps_ns[order], np.concatenate(matrices)[order])

    def states(self, gps_ns: IntArray) -> FloatArray:
        """Return position (m) and velocity (m/s) in ITRF at k times, shape (k, 6); NaN outside the span."""
        return np.concatenate(self.ephemeris.at_ns(gps_ns), axis=1)

    def covariances(self, gps_ns: IntArray) -> FloatArray:
        """Return the covariances of `states`, shape (k, 6, 6); NaN where unknown."""
        if not len(self.gps_ns):
            return np.full((len(gps_ns), 6, 6), np.nan)
        states = self.states(gps_ns)
        after = np.clip(np.searchsorted(self.gps_ns, gps_ns), 1, max(len(self.gps_ns) - 1, 1))
        before = after - 1
        after = np.minimum(after, len(self.gps_ns) - 1)
        step = np.maximum(self.gps_ns[after] - self.gps_ns[before], 1)
        share = np.clip((gps_ns - self.gps_ns[before]) / step, 0.0, 1.0)[:, None, None]
        rtn = (1.0 - share) * self.covariance_rtn[before] + share * self.covariance_rtn[after]
        itrf_from_rtn = _from_inertial() @ _both(rtn_axes(inertial_states(states[:, :3], states[:, 3:]))).swapaxes(1, 2)
        found: FloatArray = itrf_from_rtn @ rtn @ itrf_from_rtn.swapaxes(1, 2)
        found[(gps_ns < self.gps_ns[0] - _HELD_NS) | (gps_ns > self.gps_ns[-1] + _HELD_NS)] = np.nan
        return found


def _both(axes: FloatArray) -> FloatArray:
    """Return rotations of position and velocity (n, 6, 6) from those of one vector (n, 3, 3)."""
    both = np.zeros((len(axes), 6, 6))
    both[:, :3, :3] = both[:, 3:, 3:] = axes
    return both


def _from_inertial() -> FloatArray:
    """Return the matrix (6, 6) by which velocities along ITRF axes become relative to the rotating Earth."""
    matrix = np.eye(6)
    matrix[3:, :3] = -cross_matrix(np.array((0.0, 0.0, EARTH_ROTATION_RAD_S)))
    return matrix


def _rtn_covariances(
    arc: Arc, gps_ns: IntArray, frames: list[str], matrices: FloatArray, orientation: EarthOrientationTable
) -> FloatArray:
    """Return covariances along RTN; those in inertial axes are turned by the Earth's orientation."""
    if not len(gps_ns):
        return matrices
    states = np.concatenate(Ephemeris([arc], "OEM").at_ns(gps_ns), axis=1)
    axes = _both(rtn_axes(inertial_states(states[:, :3], states[:, 3:])))
    turned = matrices.copy()
    for row, name in enumerate(frames):
        if name in _AXES_OF_ORBIT:
            continue
        if name in _COVARIANCE_FRAMES:
            moments, frame = np.repeat(gps_ns[row], 3), _COVARIANCE_FRAMES[name]
            unit = np.concatenate((np.eye(3), np.zeros((3, 3))), axis=1)
            rotation = itrf_states(frame, moments, unit, orientation)[:, :3].T
            to_rtn = axes[row] @ _both(rotation[None])[0]
        elif name.startswith(("ITRF", "WGS", "IGS")):
            to_rtn = axes[row] @ np.linalg.inv(_from_inertial())
        else:
            raise ValueError(f"covariances along {name} are not supported; use RTN, or the frame of the states")
        turned[row] = to_rtn @ matrices[row] @ to_rtn.T
    return turned

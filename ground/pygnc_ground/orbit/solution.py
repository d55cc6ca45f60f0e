"""Orbit solution: a table of states at the times of the GPS records, from any estimator."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.state import OrbitState

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class OrbitSolution:
    """States at n times, one row per GPS record with a time, in the order of the records.

    Position and velocity of a row are both valid at its time. They are NaN if the estimator has no state.
    """

    gps_ms: IntArray
    """Times in milliseconds since the GPS epoch, shape (n,)."""
    position_ecef_m: FloatArray
    """Positions in ITRF, shape (n, 3)."""
    velocity_ecef_mps: FloatArray
    """Velocities relative to the rotating Earth in ITRF, shape (n, 3)."""
    position_gcrf_m: FloatArray
    """Positions in GCRF, shape (n, 3)."""
    velocity_gcrf_mps: FloatArray
    """Inertial velocities in GCRF, shape (n, 3)."""
    covariance_ecef: FloatArray
    """Covariance of position (m) and velocity (m/s) in ITRF, shape (n, 6, 6)."""
    nis: FloatArray
    """Normalised innovation (batch, smoother: residual) squared of the used part of the record, shape (n,); NaN if no
    part was used.
    """
    dof: IntArray
    """Degrees of freedom of `nis`, shape (n,): 0, 3 or 6."""
    accepted: BoolArray
    """True where any part of the record was used, shape (n,)."""

    def __len__(self) -> int:
        return len(self.gps_ms)

    @property
    def known(self) -> BoolArray:
        """Rows with a state, shape (n,)."""
        return np.isfinite(self.position_ecef_m[:, 0])

    @property
    def sigma_ecef(self) -> FloatArray:
        """Standard deviations of position (m) and velocity (m/s) in ITRF, shape (n, 6)."""
        return np.sqrt(np.diagonal(self.covariance_ecef, axis1=1, axis2=2))


@dataclass(frozen=True, slots=True)
class Usage:
    """Use of the record of a row; the fields are those of `OrbitSolution`."""

    nis: float
    dof: int
    accepted: bool


def solution_from_states(
    gps_ms: Sequence[int], states: Sequence[OrbitState | None], usage: Sequence[Usage], frames: EarthFrames
) -> OrbitSolution:
    """Return the table of states at the times, None where there is no state; all three of length n."""
    count = len(gps_ms)
    gcrf, ecef = np.full((count, 6), np.nan), np.full((count, 6), np.nan)
    covariance = np.full((count, 6, 6), np.nan)
    for row, state in enumerate(states):
        if state is not None:
            transform = frames.ecef_state_from_gcrf(state.gps_ms)
            root = transform.dot(state.sqrt_covariance[:6])
            gcrf[row], ecef[row], covariance[row] = state.x[:6], transform.dot(state.x[:6]), root.dot(root.T)
    nis = np.array([row.nis if row.dof else np.nan for row in usage])
    dof = np.array([row.dof for row in usage], dtype=np.int64)
    accepted = np.array([row.accepted for row in usage], dtype=np.bool_)
    columns = (ecef[:, :3], ecef[:, 3:], gcrf[:, :3], gcrf[:, 3:], covariance, nis, dof, accepted)
    return OrbitSolution(np.array(gps_ms, dtype=np.int64), *columns)

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
    """(n,), milliseconds since the GPS epoch."""
    position_ecef_m: FloatArray
    """(n, 3), ITRF."""
    velocity_ecef_mps: FloatArray
    """(n, 3), relative to the rotating Earth, ITRF."""
    position_gcrf_m: FloatArray
    """(n, 3)."""
    velocity_gcrf_mps: FloatArray
    """(n, 3)."""
    covariance_ecef: FloatArray
    """(n, 6, 6), of position and velocity in ITRF."""
    nis: FloatArray
    """(n,), normalised innovation (batch, smoother: residual) squared of the used part of the record; NaN if none was
    used.
    """
    dof: IntArray
    """(n,), degrees of freedom of `nis`: 0, 3 or 6."""
    accepted: BoolArray
    """(n,), whether anything of the record was used"""

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
    """Result of processing the record of a row."""

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
    return OrbitSolution(
        gps_ms=np.array(gps_ms, dtype=np.int64),
        position_ecef_m=ecef[:, :3],
        velocity_ecef_mps=ecef[:, 3:],
        position_gcrf_m=gcrf[:, :3],
        velocity_gcrf_mps=gcrf[:, 3:],
        covariance_ecef=covariance,
        nis=np.array([row.nis if row.dof else np.nan for row in usage]),
        dof=np.array([row.dof for row in usage], dtype=np.int64),
        accepted=np.array([row.accepted for row in usage], dtype=np.bool_),
    )

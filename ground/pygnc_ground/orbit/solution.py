"""An orbit as a table: states at the times of the GPS records, whichever estimator they are from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class OrbitSolution:
    """States at n times, one row per GPS record that carries a time, in the order of the records.

    Position and velocity of a row are both valid at its time. NaN where an estimator has no state.
    """

    gps_ms: IntArray
    """(n,), milliseconds since the GPS epoch"""
    position_ecef_m: FloatArray
    """(n, 3), ITRF"""
    velocity_ecef_mps: FloatArray
    """(n, 3), relative to the rotating Earth, ITRF"""
    position_gcrf_m: FloatArray
    """(n, 3)"""
    velocity_gcrf_mps: FloatArray
    """(n, 3)"""
    covariance_ecef: FloatArray
    """(n, 6, 6), of position and velocity in ITRF"""
    nis: FloatArray
    """(n,), normalised innovation (batch, smoother: residual) squared of what was used of the record; NaN if nothing"""
    dof: IntArray
    """(n,), numbers that `nis` sums over: 0, 3 or 6"""
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

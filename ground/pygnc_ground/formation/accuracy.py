"""How good relative states are: errors against a truth beside what the covariance claims."""

from dataclasses import dataclass

import numpy as np

from pygnc_ground.orbit.consistency import nees_consistency
from pygnc_ground.orbit.errors import rms_3d
from pygnc_ground.orbit.solution import FloatArray

_DOF = 6


@dataclass(frozen=True, slots=True)
class RelativeAccuracy:
    """Root mean squares over all moments, of positions; errors are NaN without truth."""

    moments: int
    """With a state, and a truth if there is any"""
    error_m: float
    """Three-dimensional"""
    error_rtn_m: tuple[float, float, float]
    sigma_m: float
    """Three-dimensional"""
    velocity_error_mps: float
    velocity_sigma_mps: float
    nees_mean: float
    """Of position and velocity, 6 on average over many arcs. The errors of one arc hang together"""

    @property
    def ratio(self) -> float:
        """Error over sigma; 1 when the covariance is right."""
        return self.error_m / self.sigma_m


def relative_accuracy(rtn: FloatArray, covariance_rtn: FloatArray, true_rtn: FloatArray) -> RelativeAccuracy:
    """Judge states, (n, 6) and (n, 6, 6), by true ones, (n, 6); NaN where unknown.

    Where nothing is true, sigmas are of all states.
    """
    known = np.isfinite(rtn[:, 0])
    compared = known & np.isfinite(true_rtn[:, 0])
    row = np.flatnonzero(compared if compared.any() else known)
    error, covariance = rtn[row] - true_rtn[row], covariance_rtn[row]
    sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    radial_m, transverse_m, normal_m = (rms_3d(error[:, axis : axis + 1]) for axis in range(3))
    return RelativeAccuracy(
        moments=len(row),
        error_m=rms_3d(error[:, :3]),
        error_rtn_m=(radial_m, transverse_m, normal_m),
        sigma_m=rms_3d(sigma[:, :3]),
        velocity_error_mps=rms_3d(error[:, 3:]),
        velocity_sigma_mps=rms_3d(sigma[:, 3:]),
        nees_mean=_DOF * nees_consistency(_squared(error, covariance)[None], _DOF).mean_per_dof,
    )


def _squared(error: FloatArray, covariance: FloatArray) -> FloatArray:
    """Errors (n, 6) over their covariance (n, 6, 6), squared, (n,)."""
    squared: FloatArray = (error * np.linalg.solve(covariance, error[..., None])[..., 0]).sum(axis=1)
    return squared

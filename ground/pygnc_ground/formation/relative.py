"""Relative states of two satellites in other coordinates: radial, transverse, normal, and relative orbital elements.

Unlike positions the elements stay normally distributed when a formation is known to hundreds of metres only.

Where a satellite truly is relative to another one, along that one's radial, transverse and normal.

How good relative states are: errors against a truth beside what the covariance claims.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.environment.frames import EARTH_ROTATION_RAD_S
from pygnc.estimators.formation.relative_coordinates import relative_elements
from pygnc_ground.orbit.consistency import nees_consistency
from pygnc_ground.orbit.errors import rms_3d
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.truth.orbit_truth import OrbitTruth, TrueOrbit

_STEP: Final = np.repeat((10.0, 0.01), 3)
"""Of the central differences, in m and m/s; by curvature they are off by 1e-12, by rounding by 1e-9."""


def rtn_from_gcrf(own: FloatArray) -> FloatArray:
    """Matrices that take relative states from GCRF to radial, transverse, normal of the satellite in `own`.

    Velocities there are relative to the turning axes.

    Args:
        own: States in GCRF, shape (..., 6).

    Returns:
        Shape (..., 6, 6).
    """
    position_m, velocity_mps = own[..., :3], own[..., 3:]
    radius_m = np.linalg.norm(position_m, axis=-1, keepdims=True)
    momentum = np.cross(position_m, velocity_mps)
    size = np.linalg.norm(momentum, axis=-1, keepdims=True)
    radial, normal = position_m / radius_m, momentum / size
    axes = np.stack((radial, np.cross(normal, radial), normal), axis=-2)
    rate_rad_s = (size / radius_m**2)[..., 0]
    matrices = np.zeros((*own.shape[:-1], 6, 6))
    matrices[..., :3, :3] = matrices[..., 3:, 3:] = axes
    # Seen from the turning axes, what is at rest moves by -w x r.
    matrices[..., 3, :3] = rate_rad_s[..., None] * axes[..., 1, :]
    matrices[..., 4, :3] = -rate_rad_s[..., None] * axes[..., 0, :]
    return matrices


def d_elements_d_state(own: FloatArray, other: FloatArray) -> FloatArray:
    """Derivatives of the relative orbital elements in m by the state of the other satellite.

    Args:
        own: States in GCRF, shape (..., 6).
        other: Likewise.

    Returns:
        Shape (..., 6, 6).
    """
    columns = [
        (relative_elements(own, other + step) - relative_elements(own, other - step)) / (2.0 * step.sum())
        for step in np.diag(_STEP)
    ]
    return np.stack(columns, axis=-1)


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
        nees_mean=_DOF * nees_consistency(_normalised_squares(error, covariance)[None], _DOF).mean_per_dof,
    )


def _normalised_squares(error: FloatArray, covariance: FloatArray) -> FloatArray:
    """Errors (n, 6) over their covariance (n, 6, 6), squared, (n,)."""
    squared: FloatArray = (error * np.linalg.solve(covariance, error[..., None])[..., 0]).sum(axis=1)
    return squared

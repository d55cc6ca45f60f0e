"""Relative states of two satellites: coordinates, truth and accuracy."""

from dataclasses import dataclass

import numpy as np

from pygnc.estimators.formation.relative_coordinates import d_elements_d_state, relative_elements
from pygnc_ground.orbit.consistency import mean_of
from pygnc_ground.orbit.solution import FloatArray, IntArray, inertial_states, normalised_squares, rms_3d, rtn_axes
from pygnc_ground.truth.orbit_truth import OrbitTruth


def rtn_from_gcrf(own: FloatArray) -> FloatArray:
    """Return matrices (..., 6, 6) that turn relative states from GCRF to radial, transverse, normal of `own` (..., 6).

    Velocities in RTN are relative to the rotating axes.
    """
    axes = rtn_axes(own)
    momentum = np.linalg.norm(np.cross(own[..., :3], own[..., 3:]), axis=-1)
    rate_rad_s = momentum / np.linalg.norm(own[..., :3], axis=-1) ** 2
    matrices = np.zeros((*own.shape[:-1], 6, 6))
    matrices[..., :3, :3] = matrices[..., 3:, 3:] = axes
    # A point at rest in GCRF moves by -w x r in the rotating axes.
    matrices[..., 3, :3] = rate_rad_s[..., None] * axes[..., 1, :]
    matrices[..., 4, :3] = -rate_rad_s[..., None] * axes[..., 0, :]
    return matrices


def relative_truth(own: OrbitTruth | None, other: OrbitTruth | None, gps_ms: IntArray) -> FloatArray:
    """Return positions in m and velocities in m/s of `other` minus `own` in RTN of `own`, at n times, shape (n, 6).

    Velocities are relative to the rotating axes; NaN stands where one of the two orbits is unknown.
    """
    if own is None or other is None:
        return np.full((len(gps_ms), 6), np.nan)
    states = inertial_states(*own.at(gps_ms))
    relative_gcrf = inertial_states(*other.at(gps_ms)) - states
    relative: FloatArray = np.einsum("nij,nj->ni", rtn_from_gcrf(states), relative_gcrf)
    return relative


@dataclass(frozen=True, slots=True)
class RelativeAccuracy:
    """Accuracy of a relative orbit: RMS values over all moments. Errors are NaN without truth."""

    error_m: float
    """3-D position error"""
    error_rtn_m: tuple[float, float, float]
    """Position errors along radial, transverse and normal"""
    sigma_m: float
    """3-D standard deviation of the position"""
    velocity_error_mps: float
    """3-D velocity error"""
    velocity_sigma_mps: float
    """3-D standard deviation of the velocity"""
    nees_mean: float
    """Mean NEES of position and velocity; 6 on average over many arcs. Errors within one arc are correlated"""

    @property
    def ratio(self) -> float:
        """Error over standard deviation; 1 if the covariance is right."""
        return self.error_m / self.sigma_m


def relative_accuracy(rtn: FloatArray, covariance_rtn: FloatArray, true_rtn: FloatArray) -> RelativeAccuracy:
    """Compare states (n, 6) with covariances (n, 6, 6) to true states (n, 6); NaN where unknown.

    Only states with a truth are used; without any truth, the sigmas are those of all states.
    """
    known = np.isfinite(rtn[:, 0])
    compared = known & np.isfinite(true_rtn[:, 0])
    row = np.flatnonzero(compared if compared.any() else known)
    error, covariance = rtn[row] - true_rtn[row], covariance_rtn[row]
    sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    radial_m, transverse_m, normal_m = (rms_3d(error[:, axis : axis + 1]) for axis in range(3))
    return RelativeAccuracy(
        error_m=rms_3d(error[:, :3]),
        error_rtn_m=(radial_m, transverse_m, normal_m),
        sigma_m=rms_3d(sigma[:, :3]),
        velocity_error_mps=rms_3d(error[:, 3:]),
        velocity_sigma_mps=rms_3d(sigma[:, 3:]),
        nees_mean=mean_of(normalised_squares(error, covariance)),
    )


def elements_nees(own: FloatArray, found: FloatArray, truth: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return normalised squared errors of relative orbital elements, shape (...); 6 degrees of freedom.

    Args:
        own: State of our satellite, GCRF, (..., 6).
        found: Estimated states of the partner, GCRF, (..., 6).
        truth: True states of the partner, GCRF, (..., 6).
        covariance: Covariance of the estimated state relative to ours, (..., 6, 6).
    """
    d_elements = d_elements_d_state(own, found)
    error = relative_elements(own, found) - relative_elements(own, truth)
    return normalised_squares(error, d_elements @ covariance @ d_elements.swapaxes(-1, -2))

"""Statistics of a replay: accuracy and consistency of the orbit solutions, consistency of the attitude filter."""

from typing import Final, NamedTuple

import erfa
import numpy as np

from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.consistency import NisConsistency, mean_of, nis_consistency
from pygnc_ground.orbit.solution import FloatArray, OrbitErrors, OrbitSolution, later, rms_3d
from pygnc_ground.replay.result import SampleRecords

SETTLING: Final = 1.0 / 3.0
"""First fraction of the time span that is excluded from errors and sigmas."""
_ORBIT_DOF: Final = 6
_WGS84: Final = 1


class OrbitAccuracy(NamedTuple):
    """Accuracy of an orbit solution; 3-D RMS values over the last two thirds of the time.

    Attributes:
        states: Number of records with a state.
        used: Number of records that the estimator used.
        position_error_m: Position error; like the velocity error and the NEES, NaN without a truth.
        position_sigma_m: Formal standard deviation of the position.
        velocity_error_mps: Velocity error.
        velocity_sigma_mps: Formal standard deviation of the velocity.
        nees_mean_per_dof: Mean NEES over the last two thirds of the time.
    """

    states: int
    used: int
    position_error_m: float
    position_sigma_m: float
    velocity_error_mps: float
    velocity_sigma_mps: float
    nees_mean_per_dof: float

    @property
    def position_ratio(self) -> float:
        """Position error over sigma; 1 if the covariance is right."""
        return self.position_error_m / self.position_sigma_m

    @property
    def velocity_ratio(self) -> float:
        """Velocity error over sigma; 1 if the covariance is right."""
        return self.velocity_error_mps / self.velocity_sigma_mps


class DifferenceFigures(NamedTuple):
    """Statistics of the difference between two solutions.

    Attributes:
        states: Number of records with both solutions.
        position_rms_m: Three-dimensional RMS of the position.
        position_max_m: Largest distance.
        velocity_rms_mps: Three-dimensional RMS of the velocity.
        within_3_sigma: Fraction of the position components within three expected standard deviations.
    """

    states: int
    position_rms_m: float
    position_max_m: float
    velocity_rms_mps: float
    within_3_sigma: float


def orbit_accuracy(solution: OrbitSolution, errors: OrbitErrors | None) -> OrbitAccuracy:
    """Return the accuracy of a solution by its errors against the truth, or by its sigmas alone."""
    if errors is None:
        sigma = solution.sigma_ecef[solution.known]
        sigma = sigma[later(solution.gps_ms[solution.known], SETTLING)]
        rms = float("nan"), rms_3d(sigma[:, :3]), float("nan"), rms_3d(sigma[:, 3:]), float("nan")
    else:
        settled = later(errors.gps_ms, SETTLING)
        rms = (
            rms_3d(errors.position_rtn_m[settled]),
            rms_3d(errors.position_sigma_rtn_m[settled]),
            rms_3d(errors.velocity_rtn_mps[settled]),
            rms_3d(errors.velocity_sigma_rtn_mps[settled]),
            mean_of(errors.nees[settled]) / _ORBIT_DOF,
        )
    return OrbitAccuracy(int(solution.known.sum()), int(solution.accepted.sum()), *rms)


def difference_figures(difference: OrbitErrors) -> DifferenceFigures | None:
    """Return the statistics of a difference, or None if it has no rows."""
    if not len(difference):
        return None
    position_m = difference.position_rtn_m
    return DifferenceFigures(
        states=len(difference),
        position_rms_m=rms_3d(position_m),
        position_max_m=float(np.linalg.norm(position_m, axis=1).max()),
        velocity_rms_mps=rms_3d(difference.velocity_rtn_mps),
        within_3_sigma=float((np.abs(position_m) <= 3.0 * difference.position_sigma_rtn_m).mean()),
    )


def latest(solution: OrbitSolution | AttitudeSolution) -> int | None:
    """Return the index of the known state with the latest time, or None without a known state."""
    rows = np.flatnonzero(solution.known)[::-1]
    return int(rows[np.argmax(solution.gps_ms[rows])]) if len(rows) else None


def geodetic(position_ecef_m: FloatArray) -> FloatArray:
    """Return east longitude and latitude in degrees and height in m on WGS 84, shape (n, 3), of positions (n, 3)."""
    longitude, latitude, height = erfa.gc2gd(_WGS84, position_ecef_m)
    return np.column_stack((np.degrees(longitude), np.degrees(latitude), height))


def innovations_of(found: OrbitSolution | SampleRecords) -> NisConsistency:
    """Return the consistency of the innovations, or of the residuals, of all used measurements."""
    return nis_consistency(found.nis, np.where(np.isfinite(found.nis), found.dof, 0))

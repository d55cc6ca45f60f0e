"""The main figures of a replay."""

from dataclasses import dataclass
from typing import Final

import erfa
import numpy as np

from pygnc_ground.orbit.consistency import NisConsistency, nees_consistency, nis_consistency
from pygnc_ground.orbit.errors import rms_3d
from pygnc_ground.orbit.solution import BoolArray, FloatArray, OrbitSolution
from pygnc_ground.report.comparison import Estimate, RtnSeries

SETTLING: Final = 1.0 / 3.0
"""Of the time span; errors and sigmas of the rest are what counts."""
_WGS84: Final = 1


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Root mean squares over the last two thirds of the time, three-dimensional; errors are NaN without truth."""

    position_error_m: float
    position_sigma_m: float
    velocity_error_mps: float
    velocity_sigma_mps: float

    @property
    def position_ratio(self) -> float:
        """Error over sigma; 1 when the covariance is right."""
        return self.position_error_m / self.position_sigma_m

    @property
    def velocity_ratio(self) -> float:
        """The same for the velocity."""
        return self.velocity_error_mps / self.velocity_sigma_mps


@dataclass(frozen=True, slots=True)
class EstimateFigures:
    """The main figures of one estimator."""

    name: str
    states: int
    """Rows with a state"""
    used: int
    """Rows whose record was used"""
    accuracy: Accuracy
    nees_mean_per_dof: float
    """Of the last two thirds; NaN without truth"""
    nis: NisConsistency
    """Of all that was used"""


@dataclass(frozen=True, slots=True)
class DifferenceFigures:
    """How far two solutions are apart."""

    states: int
    position_rms_m: float
    position_max_m: float
    velocity_rms_mps: float
    within_3_sigma: float
    """Share of the position's components within three of the standard deviations expected of them"""


@dataclass(frozen=True, slots=True)
class LastEstimate:
    """The latest state of a solution."""

    gps_ms: int
    position_ecef_m: tuple[float, float, float]
    velocity_ecef_mps: tuple[float, float, float]
    position_sigma_m: float
    """Three-dimensional"""
    velocity_sigma_mps: float
    latitude_deg: float
    longitude_deg: float
    height_m: float


def estimate_figures(estimate: Estimate) -> EstimateFigures:
    """Judge one solution."""
    solution, errors = estimate.solution, estimate.errors
    if errors is None:
        later = _later(solution)
        sigma = solution.sigma_ecef[later]
        accuracy = Accuracy(float("nan"), rms_3d(sigma[:, :3]), float("nan"), rms_3d(sigma[:, 3:]))
        nees_mean_per_dof = float("nan")
    else:
        later = errors.later(SETTLING)
        accuracy = Accuracy(
            rms_3d(errors.position_rtn_m[later]),
            rms_3d(errors.position_sigma_rtn_m[later]),
            rms_3d(errors.velocity_rtn_mps[later]),
            rms_3d(errors.velocity_sigma_rtn_mps[later]),
        )
        nees_mean_per_dof = nees_consistency(errors.nees[None, later]).mean_per_dof
    return EstimateFigures(
        name=estimate.name,
        states=int(solution.known.sum()),
        used=int(solution.accepted.sum()),
        accuracy=accuracy,
        nees_mean_per_dof=nees_mean_per_dof,
        nis=nis_consistency(solution.nis, np.where(np.isfinite(solution.nis), solution.dof, 0)),
    )


def _later(solution: OrbitSolution) -> BoolArray:
    """Known rows behind the settling time, shape (n,)."""
    known = solution.known
    if not known.any():
        return known
    begin, end = int(solution.gps_ms[known].min()), int(solution.gps_ms[known].max())
    return np.asarray(known & (solution.gps_ms >= begin + SETTLING * (end - begin)))


def difference_figures(series: RtnSeries) -> DifferenceFigures | None:
    """Sum up a difference; None when it has no rows."""
    if not len(series.row):
        return None
    return DifferenceFigures(
        states=len(series.row),
        position_rms_m=rms_3d(series.position_m),
        position_max_m=float(np.linalg.norm(series.position_m, axis=1).max()),
        velocity_rms_mps=rms_3d(series.velocity_mps),
        within_3_sigma=float((np.abs(series.position_m) <= 3.0 * series.position_sigma_m).mean()),
    )


def last_estimate(solution: OrbitSolution) -> LastEstimate | None:
    """The state at the latest time; None when none is known."""
    rows = np.flatnonzero(solution.known)
    if not len(rows):
        return None
    row = rows[::-1][np.argmax(solution.gps_ms[rows[::-1]])]
    position, velocity = solution.position_ecef_m[row], solution.velocity_ecef_mps[row]
    variance = np.diagonal(solution.covariance_ecef[row])
    longitude, latitude, height = geodetic(position[None])[0]
    return LastEstimate(
        gps_ms=int(solution.gps_ms[row]),
        position_ecef_m=(float(position[0]), float(position[1]), float(position[2])),
        velocity_ecef_mps=(float(velocity[0]), float(velocity[1]), float(velocity[2])),
        position_sigma_m=float(np.sqrt(variance[:3].sum())),
        velocity_sigma_mps=float(np.sqrt(variance[3:].sum())),
        latitude_deg=float(latitude),
        longitude_deg=float(longitude),
        height_m=float(height),
    )


def geodetic(position_ecef_m: FloatArray) -> FloatArray:
    """East longitude and latitude in degrees and height in m on WGS 84, shape (n, 3), of positions (n, 3)."""
    longitude, latitude, height = erfa.gc2gd(_WGS84, position_ecef_m)
    return np.column_stack((np.degrees(longitude), np.degrees(latitude), height))

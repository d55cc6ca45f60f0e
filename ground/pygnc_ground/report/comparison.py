"""Comparison of solutions with the truth and with each other: orbits, attitudes, partners, running means."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc_ground.attitude.accuracy import AttitudeAccuracy, AttitudeErrors, attitude_accuracy, attitude_errors
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.formation.relative import RelativeAccuracy, relative_accuracy
from pygnc_ground.orbit.consistency import NisConsistency, band
from pygnc_ground.orbit.solution import FloatArray, IntArray, OrbitErrors, OrbitSolution, orbit_errors, rms_3d
from pygnc_ground.replay.result import AttitudeResult, CandidateOrbit, FormationResult, PartnerResult, ReplayResult
from pygnc_ground.report.statistics import OrbitAccuracy, innovations_of, orbit_accuracy
from pygnc_ground.truth.orbit_truth import TrueOrbit


@dataclass(frozen=True, slots=True, eq=False)
class ComparedOrbit:
    """Solution of one estimator with its accuracy and, if there is a truth, its errors."""

    name: str
    """`filter`, `smoother` or `batch`"""
    solution: OrbitSolution
    errors: OrbitErrors | None
    """Errors against the truth; None without a truth"""
    accuracy: OrbitAccuracy
    nis: NisConsistency
    """Consistency of the innovations of the filter, or of the residuals of smoother and batch"""


def compared_orbits(result: ReplayResult) -> tuple[ComparedOrbit, ...]:
    """Return filter, smoother and batch, as far as available, in this order."""
    solutions = {"filter": result.solution, "smoother": result.smoothed, "batch": result.batch}
    compared = []
    for name, solution in solutions.items():
        if solution is not None:
            errors = orbit_errors(solution, result.truth.at(solution.gps_ms)) if result.truth else None
            accuracy, nis = orbit_accuracy(solution, errors), innovations_of(solution)
            compared.append(ComparedOrbit(name, solution, errors, accuracy, nis))
    return tuple(compared)


def filter_minus_smoother(result: ReplayResult) -> OrbitErrors | None:
    """Return the difference with its standard deviation, or None without a smoother.

    Filter-smoother consistency test without a truth (S. R. McReynolds, Editing data using sequential smoothing
    techniques for discrete systems, AIAA/AAS Astrodynamics Conference 1984): the variance of the difference is the
    filter's minus the smoother's.
    """
    if result.smoothed is None:
        return None
    difference, own = _difference(result.solution, result.smoothed), _difference(result.smoothed, result.smoothed)
    at = np.searchsorted(own.row, difference.row)
    return replace(
        difference,
        position_sigma_rtn_m=_root_difference(difference.position_sigma_rtn_m, own.position_sigma_rtn_m[at]),
        velocity_sigma_rtn_mps=_root_difference(difference.velocity_sigma_rtn_mps, own.velocity_sigma_rtn_mps[at]),
    )


def smoother_minus_batch(result: ReplayResult) -> OrbitErrors | None:
    """Return the difference with the smoother's standard deviations, or None without a smoother or a batch solution."""
    if result.smoothed is None or result.batch is None:
        return None
    return _difference(result.smoothed, result.batch)


def _difference(solution: OrbitSolution, reference: OrbitSolution) -> OrbitErrors:
    if not np.array_equal(solution.gps_ms, reference.gps_ms):
        raise ValueError(
            f"the solutions of a replay must have the same rows; got {len(solution.gps_ms)} and {len(reference.gps_ms)}"
        )
    return orbit_errors(solution, TrueOrbit(reference.position_ecef_m, reference.velocity_ecef_mps))


def _root_difference(larger: FloatArray, smaller: FloatArray) -> FloatArray:
    return np.sqrt(np.maximum(larger**2 - smaller**2, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class ComparedAttitude:
    """Attitude solution of one estimator, with its errors and its accuracy."""

    name: str
    """`filter` or `smoother`"""
    solution: AttitudeSolution
    errors: AttitudeErrors
    """Errors against the truth; empty without a truth"""
    bound_rad: FloatArray
    """Smallest three-axis sigma possible with the samples that the estimator has used, shape (n,); NaN if unknown"""
    accuracy: AttitudeAccuracy


def compared_attitudes(result: AttitudeResult) -> tuple[ComparedAttitude, ...]:
    """Return filter and smoother, in this order."""
    unknown = np.full(len(result.solution), np.nan)
    bounds = (unknown, unknown) if result.bound is None else (result.bound.filter_rad, result.bound.smoother_rad)
    solutions = {"filter": result.solution, "smoother": result.smoothed}
    compared = []
    for (name, solution), bound_rad in zip(solutions.items(), bounds, strict=True):
        errors = AttitudeErrors.none() if result.truth is None else attitude_errors(solution, result.truth)
        accuracy = attitude_accuracy(solution, errors, bound_rad, result.samples.sunlit_fraction)
        compared.append(ComparedAttitude(name, solution, errors, bound_rad, accuracy))
    return tuple(compared)


def attitude_filter_minus_smoother(result: AttitudeResult) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the rotation from the smoothed to the filter's attitude with its standard deviation.

    The test is that of `filter_minus_smoother`: the variance of the difference is the filter's minus the smoother's.

    Returns:
        Indices of the k samples with both attitudes, shape (k,); rotation vector in body axes, rad, shape (k, 3);
        its standard deviations, rad, shape (k, 3).
    """
    filtered, smoothed = result.solution, result.smoothed
    row = np.flatnonzero(filtered.known & smoothed.known)
    turn_rad = quaternion.error_vector(filtered.quaternion[row], smoothed.quaternion[row])
    return row, turn_rad, _root_difference(filtered.sigma_rad[row], smoothed.sigma_rad[row])


class ComparedCandidate(NamedTuple):
    """Candidate orbit of a partner, compared with the best candidate and with the truth."""

    orbit: CandidateOrbit
    above: float
    """Chi-square minus that of the best candidate"""
    distance_m: float
    """3-D RMS distance from the best candidate"""
    accuracy: RelativeAccuracy


class ComparedPartner:
    """Result of one partner, with the accuracy of the flight software's estimates and of the candidate orbits.

    `mirror` is the second-best candidate; `nearest` is the index of the candidate nearest to the truth, 0 for the best,
    or None without a truth or a solution.
    """

    def __init__(self, result: PartnerResult) -> None:
        self.result = result
        states = result.states
        self.accuracy = relative_accuracy(states.rtn, states.covariance_rtn, states.true_rtn)
        self.orbits = tuple(
            ComparedCandidate(
                orbit=orbit,
                above=orbit.chi_square - result.orbits[0].chi_square,
                distance_m=rms_3d(orbit.rtn[:, :3] - result.orbits[0].rtn[:, :3]),
                accuracy=relative_accuracy(orbit.rtn, orbit.covariance_rtn, result.true_track),
            )
            for orbit in result.orbits
        )
        self.name = f"partner {result.partner}"
        self.state = "not known" if result.cause else "ambiguous" if result.ambiguous else "certain"
        self.mirror = self.orbits[1] if len(self.orbits) > 1 else None
        errors = [one.accuracy.error_m for one in self.orbits]
        solved = not result.cause and np.isfinite(errors).any()
        self.nearest = int(np.nanargmin(errors)) if solved else None


def compared_partners(result: FormationResult | None) -> tuple[ComparedPartner, ...]:
    """Return all partners; none without a result."""
    return () if result is None else tuple(map(ComparedPartner, result.partners))


def any_truth(partners: Sequence[ComparedPartner]) -> bool:
    """Return True if any partner has a truth."""
    return any(one.result.with_truth for one in partners)


_WINDOW_MAX: Final = 50


class RunningMean(NamedTuple):
    """Means per degree of freedom over k windows of consecutive squares; all arrays have shape (k,).

    Attributes:
        middle: Index of the square at the centre of each window.
        mean: Means of the windows.
        low: Lower limits of the 95 % band for the mean of independent squares.
        high: Upper limits of that band.
    """

    middle: IntArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def running_mean(squares: FloatArray, dof: IntArray) -> RunningMean:
    """Return means over windows of a tenth of the finite squares (n,), at most 50; `dof` is positive, shape (n,)."""
    if not len(squares):
        return RunningMean(np.empty(0, np.int64), *[np.empty(0)] * 3)
    window = min(_WINDOW_MAX, max(1, len(squares) // 10))
    sums = np.lib.stride_tricks.sliding_window_view(squares, window).sum(axis=1)
    dofs = np.lib.stride_tricks.sliding_window_view(dof, window).sum(axis=1)
    different, which = np.unique(dofs, return_inverse=True)
    bands = np.array([band(int(total), 1) for total in different])[which]
    return RunningMean(np.arange(len(sums)) + window // 2, sums / dofs, bands[:, 0] / dofs, bands[:, 1] / dofs)

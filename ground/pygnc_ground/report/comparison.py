"""Comparison of solutions with the truth and with each other: orbits, attitudes, partners, running means."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.common import quaternion
from pygnc_ground.attitude.accuracy import AttitudeAccuracy, AttitudeErrors, attitude_accuracy, attitude_errors
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.formation.relative import RelativeAccuracy, relative_accuracy
from pygnc_ground.orbit.consistency import band
from pygnc_ground.orbit.errors import OrbitErrors, orbit_errors, rms_3d
from pygnc_ground.orbit.solution import FloatArray, IntArray, OrbitSolution
from pygnc_ground.replay.result import AttitudeResult, CandidateOrbit, FormationResult, PartnerResult, ReplayResult
from pygnc_ground.truth.orbit_truth import TrueOrbit


@dataclass(frozen=True, slots=True, eq=False)
class ComparedOrbit:
    """Solution of one estimator and, if there is a truth, its errors."""

    name: str
    """filter, smoother or batch"""
    solution: OrbitSolution
    errors: OrbitErrors | None


@dataclass(frozen=True, slots=True, eq=False)
class RtnSeries:
    """Radial, transverse and normal differences at k records, with their expected standard deviations."""

    row: IntArray
    """(k,), number of the record"""
    position_m: FloatArray
    """(k, 3)"""
    position_sigma_m: FloatArray
    velocity_mps: FloatArray
    velocity_sigma_mps: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _SolutionAsTruth:
    """Solution as the reference for another one, row by row."""

    solution: OrbitSolution

    @property
    def span_gps_ms(self) -> tuple[int, int]:
        return int(self.solution.gps_ms.min()), int(self.solution.gps_ms.max())

    @property
    def description(self) -> str:
        return "another solution"

    def at(self, gps_ms: IntArray) -> TrueOrbit:
        if not np.array_equal(gps_ms, self.solution.gps_ms):
            raise ValueError("the solutions of a replay must have the same rows")
        return TrueOrbit(self.solution.position_ecef_m, self.solution.velocity_ecef_mps)


def compared_orbits(result: ReplayResult) -> tuple[ComparedOrbit, ...]:
    """Return filter, smoother and batch, as far as available, in this order."""
    solutions = {"filter": result.solution, "smoother": result.smoothed, "batch": result.batch}
    return tuple(
        ComparedOrbit(name, solution, orbit_errors(solution, result.truth) if result.truth else None)
        for name, solution in solutions.items()
        if solution is not None
    )


def error_series(errors: OrbitErrors) -> RtnSeries:
    """Return errors against a truth as a series."""
    return RtnSeries(
        row=errors.row,
        position_m=errors.position_rtn_m,
        position_sigma_m=errors.position_sigma_rtn_m,
        velocity_mps=errors.velocity_rtn_mps,
        velocity_sigma_mps=errors.velocity_sigma_rtn_mps,
    )


def filter_minus_smoother(result: ReplayResult) -> RtnSeries | None:
    """Return the difference with its standard deviation, or None without a smoother.

    Filter-smoother consistency test without a truth (S. R. McReynolds, Editing data using sequential smoothing
    techniques for discrete systems, AIAA/AAS Astrodynamics Conference 1984): the variance of the difference is the
    filter's minus the smoother's.
    """
    if result.smoothed is None:
        return None
    reference = _SolutionAsTruth(result.smoothed)
    difference = error_series(orbit_errors(result.solution, reference))
    own = error_series(orbit_errors(result.smoothed, reference))
    at = np.searchsorted(own.row, difference.row)
    return RtnSeries(
        row=difference.row,
        position_m=difference.position_m,
        position_sigma_m=_root_difference(difference.position_sigma_m, own.position_sigma_m[at]),
        velocity_mps=difference.velocity_mps,
        velocity_sigma_mps=_root_difference(difference.velocity_sigma_mps, own.velocity_sigma_mps[at]),
    )


def smoother_minus_batch(result: ReplayResult) -> RtnSeries | None:
    """Return the difference of the two, with the smoother's standard deviations; None if one of them is missing."""
    if result.smoothed is None or result.batch is None:
        return None
    return error_series(orbit_errors(result.smoothed, _SolutionAsTruth(result.batch)))


def _root_difference(larger: FloatArray, smaller: FloatArray) -> FloatArray:
    return np.sqrt(np.maximum(larger**2 - smaller**2, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class ComparedAttitude:
    """One estimator's attitudes and what they are worth."""

    name: str
    """filter or smoother"""
    solution: AttitudeSolution
    errors: AttitudeErrors
    """Empty without truth"""
    bound_rad: FloatArray
    """(n,), smallest sigma possible with the samples that the estimator has used; NaN where unknown"""
    accuracy: AttitudeAccuracy


@dataclass(frozen=True, slots=True, eq=False)
class RotationSeries:
    """Rotations about the body axes at k samples, with their expected standard deviations."""

    row: IntArray
    """(k,), number of the sample"""
    rotation_rad: FloatArray
    """(k, 3)"""
    sigma_rad: FloatArray
    """(k, 3)"""


def compared_attitudes(result: AttitudeResult) -> tuple[ComparedAttitude, ComparedAttitude]:
    """Return filter and smoother."""
    filtered, smoothed = result.solution, result.smoothed
    unknown = np.full(len(filtered), np.nan)
    bounds = (unknown, unknown) if result.bound is None else (result.bound.filter_rad, result.bound.smoother_rad)
    return (
        _compared_attitude("filter", filtered, bounds[0], result),
        _compared_attitude("smoother", smoothed, bounds[1], result),
    )


def _compared_attitude(
    name: str, solution: AttitudeSolution, bound_rad: FloatArray, result: AttitudeResult
) -> ComparedAttitude:
    errors = AttitudeErrors.none() if result.truth is None else attitude_errors(solution, result.truth)
    accuracy = attitude_accuracy(solution, errors, bound_rad, result.samples.sunlit_fraction)
    return ComparedAttitude(name, solution, errors, bound_rad, accuracy)


def attitude_error_series(estimate: ComparedAttitude) -> RotationSeries:
    """Return errors against a truth as a series."""
    errors = estimate.errors
    return RotationSeries(errors.row, errors.turn_rad, estimate.solution.sigma_rad[errors.row])


def attitude_filter_minus_smoother(result: AttitudeResult) -> RotationSeries:
    """Return the rotation from the smoothed to the filter's attitude with its standard deviation.

    The same test as for the orbit (S. R. McReynolds, Editing data using sequential smoothing techniques for discrete
    systems, AIAA/AAS Astrodynamics Conference 1984): the variance is the filter's minus the smoother's.
    """
    filtered, smoothed = result.solution, result.smoothed
    row = np.flatnonzero(filtered.known & smoothed.known)
    variance = filtered.sigma_rad[row] ** 2 - smoothed.sigma_rad[row] ** 2
    turn = quaternion.error_vector(filtered.quaternion[row], smoothed.quaternion[row])
    return RotationSeries(row, turn, np.sqrt(np.maximum(variance, 0.0)))


@dataclass(frozen=True, slots=True, eq=False)
class ComparedCandidate:
    """Candidate orbit of a partner."""

    orbit: CandidateOrbit
    above: float
    """Chi-square minus that of the best candidate"""
    distance_m: float
    """3-D RMS distance from the best candidate"""
    accuracy: RelativeAccuracy


@dataclass(frozen=True, slots=True, eq=False)
class ComparedPartner:
    """One partner and the accuracy of its candidate orbits."""

    result: PartnerResult
    accuracy: RelativeAccuracy
    """Accuracy of the flight's estimates"""
    orbits: tuple[ComparedCandidate, ...]
    """Best candidate first"""

    @property
    def name(self) -> str:
        """Name for people."""
        return f"partner {self.result.partner}"

    @property
    def state(self) -> str:
        """State in a word."""
        if self.result.cause:
            return "not known"
        return "ambiguous" if self.result.ambiguous else "certain"

    @property
    def mirror(self) -> ComparedCandidate | None:
        """Second-best candidate, if any."""
        return self.orbits[1] if len(self.orbits) > 1 else None

    @property
    def nearest(self) -> int | None:
        """Index of the candidate nearest to the truth, 0 for the best; None without a truth or a solution."""
        if self.result.cause:
            return None
        errors = [one.accuracy.error_m for one in self.orbits]
        return int(np.nanargmin(errors)) if np.isfinite(errors).any() else None


def compared_partners(result: FormationResult | None) -> tuple[ComparedPartner, ...]:
    """Return all partners."""
    return () if result is None else tuple(_compared_partner(partner) for partner in result.partners)


def _compared_partner(partner: PartnerResult) -> ComparedPartner:
    states = partner.states
    return ComparedPartner(
        result=partner,
        accuracy=relative_accuracy(states.rtn, states.covariance_rtn, states.true_rtn),
        orbits=tuple(
            ComparedCandidate(
                orbit=orbit,
                above=orbit.chi_square - partner.orbits[0].chi_square,
                distance_m=rms_3d(orbit.rtn[:, :3] - partner.orbits[0].rtn[:, :3]),
                accuracy=relative_accuracy(orbit.rtn, orbit.covariance_rtn, partner.true_track),
            )
            for orbit in partner.orbits
        ),
    )


def orbit_name(number: int) -> str:
    """Return the name of a candidate by its index."""
    return ("best", "mirror")[number] if number < 2 else f"no. {number + 1}"


def any_truth(partners: Sequence[ComparedPartner]) -> bool:
    """Return whether any partner has a truth."""
    return any(one.result.with_truth for one in partners)


_WINDOW_MAX: Final = 50


@dataclass(frozen=True, slots=True, eq=False)
class RunningMean:
    """Means per degree of freedom over windows of consecutive squares; all (k,)."""

    middle: IntArray
    """Index of the square at the centre of each window"""
    mean: FloatArray
    low: FloatArray
    """Limits of the 95 % band for the mean of independent squares"""
    high: FloatArray


def running_mean(squares: FloatArray, dof: IntArray) -> RunningMean:
    """Return means over windows of a tenth of the squares, at most 50.

    Args:
        squares: Normalised squares, finite, shape (n,).
        dof: Degrees of freedom of each, positive, shape (n,).
    """
    if not len(squares):
        return RunningMean(np.empty(0, np.int64), *[np.empty(0)] * 3)
    window = min(_WINDOW_MAX, max(1, len(squares) // 10))
    sums = np.lib.stride_tricks.sliding_window_view(squares, window).sum(axis=1)
    dofs = np.lib.stride_tricks.sliding_window_view(dof, window).sum(axis=1)
    different, which = np.unique(dofs, return_inverse=True)
    bands = np.array([band(int(total), 1) for total in different])[which]
    return RunningMean(np.arange(len(sums)) + window // 2, sums / dofs, bands[:, 0] / dofs, bands[:, 1] / dofs)

"""Each solution against the truth, and the solutions against each other.

The attitudes of filter and smoother against the truth, and against each other.

Each partner's orbits against the truth, and against each other.

The running mean of normalised squares, with the band in which it should lie.
"""

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
from pygnc_ground.replay.result import AttitudeResult, FormationResult, PartnerResult, PossibleOrbit, ReplayResult
from pygnc_ground.truth.orbit_truth import TrueOrbit


@dataclass(frozen=True, slots=True, eq=False)
class ComparedOrbit:
    """One estimator's solution and, with a truth, its errors."""

    name: str
    """filter, smoother or batch"""
    solution: OrbitSolution
    errors: OrbitErrors | None


@dataclass(frozen=True, slots=True, eq=False)
class RtnSeries:
    """Vectors along radial, transverse and normal at k records with the standard deviations expected of them."""

    row: IntArray
    """(k,), number of the record"""
    position_m: FloatArray
    """(k, 3)"""
    position_sigma_m: FloatArray
    velocity_mps: FloatArray
    velocity_sigma_mps: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _SolutionAsTruth:
    """A solution as what another one is compared with, row by row."""

    solution: OrbitSolution

    @property
    def span_gps_ms(self) -> tuple[int, int]:
        return int(self.solution.gps_ms.min()), int(self.solution.gps_ms.max())

    @property
    def description(self) -> str:
        return "another estimate"

    def at(self, gps_ms: IntArray) -> TrueOrbit:
        if not np.array_equal(gps_ms, self.solution.gps_ms):
            raise ValueError("solutions of one replay have a row for each record with a time")
        return TrueOrbit(self.solution.position_ecef_m, self.solution.velocity_ecef_mps)


def compared_orbits(result: ReplayResult) -> tuple[ComparedOrbit, ...]:
    """What there is of filter, smoother and batch, in this order."""
    solutions = {"filter": result.solution, "smoother": result.smoothed, "batch": result.batch}
    return tuple(
        ComparedOrbit(name, solution, orbit_errors(solution, result.truth) if result.truth else None)
        for name, solution in solutions.items()
        if solution is not None
    )


def error_series(errors: OrbitErrors) -> RtnSeries:
    """Errors against a truth as a series."""
    return RtnSeries(
        row=errors.row,
        position_m=errors.position_rtn_m,
        position_sigma_m=errors.position_sigma_rtn_m,
        velocity_mps=errors.velocity_rtn_mps,
        velocity_sigma_mps=errors.velocity_sigma_rtn_mps,
    )


def filter_minus_smoother(result: ReplayResult) -> RtnSeries | None:
    """The difference and its standard deviation, the root of filter's minus smoother's variance; None without smoother.

    The filter-smoother consistency test (S. R. McReynolds, Editing data using sequential smoothing techniques for
    discrete systems, AIAA/AAS Astrodynamics Conference 1984): it needs no truth.
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
    """The difference of the two, with the smoother's standard deviations; None if one of them is missing."""
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
    """None of them without truth"""
    bound_rad: FloatArray
    """(n,), least sigma with the samples that the estimator knows; NaN where unknown"""
    accuracy: AttitudeAccuracy


@dataclass(frozen=True, slots=True, eq=False)
class TurnSeries:
    """Turns about the body axes at k samples with the standard deviations expected of them."""

    row: IntArray
    """(k,), number of the sample"""
    turn_rad: FloatArray
    """(k, 3)"""
    sigma_rad: FloatArray
    """(k, 3)"""


def compared_attitudes(result: AttitudeResult) -> tuple[ComparedAttitude, ComparedAttitude]:
    """Filter and smoother."""
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


def attitude_error_series(estimate: ComparedAttitude) -> TurnSeries:
    """Errors against a truth as a series."""
    errors = estimate.errors
    return TurnSeries(errors.row, errors.turn_rad, estimate.solution.sigma_rad[errors.row])


def attitude_filter_minus_smoother(result: AttitudeResult) -> TurnSeries:
    """The turn from the smoothed attitude to the filter's, with the root of filter's minus smoother's variance.

    As for the orbit (S. R. McReynolds, Editing data using sequential smoothing techniques for discrete systems,
    AIAA/AAS Astrodynamics Conference 1984): it needs no truth.
    """
    filtered, smoothed = result.solution, result.smoothed
    row = np.flatnonzero(filtered.known & smoothed.known)
    variance = filtered.sigma_rad[row] ** 2 - smoothed.sigma_rad[row] ** 2
    turn = quaternion.error_vector(filtered.quaternion[row], smoothed.quaternion[row])
    return TurnSeries(row, turn, np.sqrt(np.maximum(variance, 0.0)))


@dataclass(frozen=True, slots=True, eq=False)
class ComparedCandidate:
    """One of the orbits on which a partner may be."""

    orbit: PossibleOrbit
    above: float
    """Its chi-square minus the best"""
    apart_m: float
    """3-D RMS distance from the best one"""
    accuracy: RelativeAccuracy


@dataclass(frozen=True, slots=True, eq=False)
class ComparedPartner:
    """One partner and what its orbits are worth."""

    result: PartnerResult
    accuracy: RelativeAccuracy
    """Of what the flight said"""
    orbits: tuple[ComparedCandidate, ...]
    """The best first"""

    @property
    def name(self) -> str:
        """For people."""
        return f"partner {self.result.partner}"

    @property
    def state(self) -> str:
        """In a word."""
        if self.result.cause:
            return "not known"
        return "ambiguous" if self.result.ambiguous else "certain"

    @property
    def mirror(self) -> ComparedCandidate | None:
        """The best of the other orbits."""
        return self.orbits[1] if len(self.orbits) > 1 else None

    @property
    def nearest(self) -> int | None:
        """Number of the orbit nearest to the truth, 0 for the best; None without a truth, or while not known."""
        if self.result.cause:
            return None
        errors = [one.accuracy.error_m for one in self.orbits]
        return int(np.nanargmin(errors)) if np.isfinite(errors).any() else None


def compared_partners(result: FormationResult | None) -> tuple[ComparedPartner, ...]:
    """All partners."""
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
                apart_m=rms_3d(orbit.rtn[:, :3] - partner.orbits[0].rtn[:, :3]),
                accuracy=relative_accuracy(orbit.rtn, orbit.covariance_rtn, partner.true_track),
            )
            for orbit in partner.orbits
        ),
    )


def orbit_name(number: int) -> str:
    """Of an orbit by its place among a partner's."""
    return ("best", "mirror")[number] if number < 2 else f"no. {number + 1}"


def any_truth(partners: Sequence[ComparedPartner]) -> bool:
    """Whether any of them can be compared with a truth."""
    return any(one.result.with_truth for one in partners)


_WINDOW_MAX: Final = 50


@dataclass(frozen=True, slots=True, eq=False)
class RunningMean:
    """Means per degree of freedom over windows of neighbouring squares; all (k,)."""

    middle: IntArray
    """Index of the square in the middle of each window"""
    mean: FloatArray
    low: FloatArray
    """Ends of the 95 % band of a mean of independent squares"""
    high: FloatArray


def running_mean(squares: FloatArray, dof: IntArray) -> RunningMean:
    """Means over a tenth of the squares at a time, over 50 at most.

    Args:
        squares: Normalised squares, finite, shape (n,).
        dof: Their degrees of freedom, positive, shape (n,).
    """
    if not len(squares):
        return RunningMean(np.empty(0, np.int64), *[np.empty(0)] * 3)
    window = min(_WINDOW_MAX, max(1, len(squares) // 10))
    sums = np.lib.stride_tricks.sliding_window_view(squares, window).sum(axis=1)
    dofs = np.lib.stride_tricks.sliding_window_view(dof, window).sum(axis=1)
    different, which = np.unique(dofs, return_inverse=True)
    bands = np.array([band(int(total), 1) for total in different])[which]
    return RunningMean(np.arange(len(sums)) + window // 2, sums / dofs, bands[:, 0] / dofs, bands[:, 1] / dofs)

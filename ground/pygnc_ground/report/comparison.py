"""Each solution against the truth, and the solutions against each other."""

from dataclasses import dataclass

import numpy as np

from pygnc_ground.orbit.errors import OrbitErrors, orbit_errors
from pygnc_ground.orbit.solution import FloatArray, IntArray, OrbitSolution
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.truth.orbit_truth import TrueOrbit


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
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


def estimates(result: ReplayResult) -> tuple[Estimate, ...]:
    """What there is of filter, smoother and batch, in this order."""
    solutions = {"filter": result.solution, "smoother": result.smoothed, "batch": result.batch}
    return tuple(
        Estimate(name, solution, orbit_errors(solution, result.truth) if result.truth else None)
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

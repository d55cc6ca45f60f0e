"""The attitudes of filter and smoother against the truth, and against each other."""

from dataclasses import dataclass

import numpy as np

from pygnc.common import quaternion
from pygnc_ground.attitude.accuracy import AttitudeAccuracy, AttitudeErrors, attitude_accuracy, attitude_errors
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.attitude_result import AttitudeResult


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeEstimate:
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


def attitude_estimates(result: AttitudeResult) -> tuple[AttitudeEstimate, AttitudeEstimate]:
    """Filter and smoother."""
    filtered, smoothed = result.solution, result.smoothed
    unknown = np.full(len(filtered), np.nan)
    bounds = (unknown, unknown) if result.bound is None else (result.bound.filter_rad, result.bound.smoother_rad)
    return (
        _estimate("filter", filtered, bounds[0], result),
        _estimate("smoother", smoothed, bounds[1], result),
    )


def _estimate(name: str, solution: AttitudeSolution, bound_rad: FloatArray, result: AttitudeResult) -> AttitudeEstimate:
    errors = AttitudeErrors.none() if result.truth is None else attitude_errors(solution, result.truth)
    accuracy = attitude_accuracy(solution, errors, bound_rad, result.samples.sunlit_fraction)
    return AttitudeEstimate(name, solution, errors, bound_rad, accuracy)


def error_series(estimate: AttitudeEstimate) -> TurnSeries:
    """Errors against a truth as a series."""
    errors = estimate.errors
    return TurnSeries(errors.row, errors.turn_rad, estimate.solution.sigma_rad[errors.row])


def filter_minus_smoother(result: AttitudeResult) -> TurnSeries:
    """The turn from the smoothed attitude to the filter's, with the root of filter's minus smoother's variance.

    As for the orbit (S. R. McReynolds, Editing data using sequential smoothing techniques for discrete systems,
    AIAA/AAS Astrodynamics Conference 1984): it needs no truth.
    """
    filtered, smoothed = result.solution, result.smoothed
    row = np.flatnonzero(filtered.known & smoothed.known)
    variance = filtered.sigma_rad[row] ** 2 - smoothed.sigma_rad[row] ** 2
    turn = quaternion.error_vector(filtered.quaternion[row], smoothed.quaternion[row])
    return TurnSeries(row, turn, np.sqrt(np.maximum(variance, 0.0)))

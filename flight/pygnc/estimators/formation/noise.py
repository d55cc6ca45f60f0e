"""Noise of ranges and fixes, estimated from residuals.

Variance components after Foerstner (Allgemeine Vermessungs-Nachrichten 86, 1979): the variance of a group is its sum
of squared residuals divided by its redundancy minus two. Before a solution is good, robust estimates from medians
are used.
"""

import math
from typing import Final

import numpy as np

from pygnc.common.arrays import Array, median
from pygnc.estimators.formation.equations import Equations, Loss, Noise
from pygnc.estimators.formation.least_squares import Minima, scaled_inverse
from pygnc.estimators.formation.relative_motion import Motion, RelativeDynamics
from pygnc.estimators.formation.settings import FormationSettings

_SIGMA_BY_MEDIAN: Final = 1.4826
"""Standard deviation of a normal distribution over the median of its absolute values."""
_CHI_SQUARE_MEDIAN: Final = 2.366
"""Median of chi-square with three degrees of freedom."""
_EXPECTED_WEIGHT: Final = 0.25
"""Weight of the expected noise in degrees of freedom: it may be wrong by a factor of 4."""
_GROUP: Final = 8
_GROUP_NODES_MAX: Final = 20.0
"""Longest time that the polynomial of a group of ranges spans, in nodes (minutes)."""
_FIXES_MIN: Final = 8
"""Minimum number of fixes for an estimate of their scatter."""


def expected_noise(equations: Equations, settings: FormationSettings) -> Noise:
    """Return the noise of the settings."""
    return Noise(np.full(len(equations.pairs), settings.range_noise_m), np.ones(len(equations.satellites)))


def apparent_noise(equations: Equations, settings: FormationSettings) -> Noise:
    """Return the range noise from the scatter of short groups of ranges about polynomials. Needs no solution."""
    noise = expected_noise(equations, settings)
    for pair, rows in enumerate(equations.ranges):
        squares = _polynomial_residual_squares(rows.node_time, rows.range_m)
        if len(squares):
            scatter_m = math.sqrt(median(squares) / _CHI_SQUARE_MEDIAN)
            noise.range_sigma_m[pair] = _regularised_sigma(scatter_m, float(len(squares)), settings)
    return noise


def _polynomial_residual_squares(node_time: Array, range_m: Array) -> Array:
    """Return squared residuals of groups of eight ranges about quartic polynomials (3 degrees of freedom)."""
    firsts = np.arange(0, len(node_time) - _GROUP + 1, _GROUP // 2)
    firsts = firsts[node_time[firsts + _GROUP - 1] - node_time[firsts] <= _GROUP_NODES_MAX] if len(firsts) else firsts
    rows = firsts[:, None] + np.arange(_GROUP)
    squares = []
    for times, measured in zip(node_time[rows], range_m[rows], strict=True):
        time = 2.0 * (times - times[0]) / max(times[-1] - times[0], 1.0) - 1.0
        basis, _ = np.linalg.qr(np.stack([time**power for power in range(_GROUP - 3)], axis=1))
        residual = measured - basis @ (basis.T @ measured)
        squares.append(float(residual.dot(residual)))
    return np.array(squares)


def robust_noise(
    equations: Equations, dynamics: RelativeDynamics, result: Minima, settings: FormationSettings
) -> Noise:
    """Return the noise from the medians of the residuals of the best parameters, which come first."""
    best = result.parameters[:1]
    motion = dynamics.propagate(equations.states(best), partials=False)
    sigma_m = np.empty(len(equations.pairs))
    for pair in range(len(equations.pairs)):
        residual = equations.range_residuals(best, pair, motion)[0]
        scatter_m = _SIGMA_BY_MEDIAN * float(median(np.abs(residual)))
        sigma_m[pair] = _regularised_sigma(scatter_m, len(residual) - 6.0, settings)
    return Noise(sigma_m, _fix_scales(equations, motion, settings))


def refined_noise(
    equations: Equations,
    dynamics: RelativeDynamics,
    result: Minima,
    settings: FormationSettings,
    *,
    noise: Noise,
    loss: Loss,
) -> Noise:
    """Return the noise from residuals within the gate and their redundancy.

    Uses the best parameters, which come first.
    """
    best = result.parameters[:1]
    motion = dynamics.propagate(equations.states(best))
    covariance = scaled_inverse(result.fit.information[0])
    sigma_m = np.empty(len(equations.pairs))
    for pair in range(len(equations.pairs)):
        residual = equations.range_residuals(best, pair, motion)[0]
        partials = equations.range_partials(pair, motion, *equations.relative_positions(pair, motion))[0]
        columns = equations.pair_parameter_indices(pair)
        used = np.abs(residual) <= loss.limit * noise.range_sigma_m[pair]
        used_partials = partials[used]
        predicted_variance_m2 = np.einsum(
            "ni,ij,nj->", used_partials, covariance[columns[:, None], columns], used_partials
        )
        redundancy = float(used.sum()) - float(predicted_variance_m2) / noise.range_sigma_m[pair] ** 2
        square = float((residual[used] ** 2).sum())
        # Posterior mean of the variance. Its mode would make the covariance too small.
        freedom = max(redundancy - 2.0, 0.5 * redundancy)
        scatter_m = math.sqrt(square / freedom) if redundancy > 0.5 else settings.range_noise_m
        sigma_m[pair] = _regularised_sigma(scatter_m, redundancy, settings)
    return Noise(sigma_m, _fix_scales(equations, motion, settings))


def _regularised_sigma(scatter_m: float, redundancy: float, settings: FormationSettings) -> float:
    """Return the observed scatter, drawn towards the expected one if the redundancy is small, within the limits."""
    weight = max(redundancy, 0.0)
    observed_m = max(scatter_m, 0.1 * settings.range_noise_min_m)
    logarithm = weight * math.log(observed_m) + _EXPECTED_WEIGHT * math.log(settings.range_noise_m)
    mean_m = math.exp(logarithm / (weight + _EXPECTED_WEIGHT))
    return min(max(mean_m, settings.range_noise_min_m), settings.range_noise_max_m)


def _fix_scales(equations: Equations, motion: Motion, settings: FormationSettings) -> Array:
    """Return the scales of the receivers' standard deviations. Never below one: a receiver's claim is not reduced."""
    scale = np.ones(len(equations.satellites))
    for satellite, rows in enumerate(equations.fixes):
        if int(rows.available[:, 0].sum()) < _FIXES_MIN:
            continue
        residual, _ = equations.fix_residuals(satellite, motion, 1)
        square = (residual[0] ** 2).reshape(-1, 2, 3).sum(axis=-1)[rows.available]
        scale[satellite] = math.sqrt(median(square) / _CHI_SQUARE_MEDIAN)
    return np.clip(scale, 1.0, settings.fix_scale_max)

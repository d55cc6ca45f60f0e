"""How much the ranges of each pair and the fixes of each satellite scatter, from their residuals.

Variance components after Foerstner (Allgemeine Vermessungs-Nachrichten 86, 1979): the sum of a group's squared
residuals over its share of the redundancy, less two. Until a solution is good, the median tells more.
"""

import math
from typing import Final

import numpy as np

from pygnc.common.quantiles import median
from pygnc.environment.arrays import Array
from pygnc.estimators.formation.equations import Equations, Loss, Noise
from pygnc.estimators.formation.least_squares import Minima, scaled_inverse
from pygnc.estimators.formation.relative_motion import Motion, RelativeDynamics
from pygnc.estimators.formation.settings import FormationSettings

_SIGMA_BY_MEDIAN: Final = 1.4826
_CHI_SQUARE_MEDIAN: Final = 2.366
"""Of three degrees of freedom."""
_EXPECTATION: Final = 0.25
"""Weight of the expected noise in degrees of freedom; in logarithms, it may well be wrong by a factor of 4."""
_ROW: Final = 8
_ROW_NODES: Final = 20.0
"""Longest row of ranges that a polynomial follows, in nodes of a minute."""
_FIXES_MIN: Final = 8
"""Fewer do not tell their scatter."""


def expected_noise(equations: Equations, settings: FormationSettings) -> Noise:
    """Before anything is known."""
    return Noise(np.full(len(equations.pairs), settings.range_noise_m), np.ones(len(equations.satellites)))


def apparent_noise(equations: Equations, settings: FormationSettings) -> Noise:
    """Before any solution: by how much short rows of ranges scatter about polynomials."""
    noise = expected_noise(equations, settings)
    for pair, rows in enumerate(equations.ranges):
        squares = _polynomial_residual_squares(rows.places, rows.range_m)
        if len(squares):
            scatter_m = math.sqrt(median(squares) / _CHI_SQUARE_MEDIAN)
            noise.range_sigma_m[pair] = _regularised_sigma(scatter_m, float(len(squares)), settings)
    return noise


def _polynomial_residual_squares(places: Array, range_m: Array) -> Array:
    """Sums of squared residuals, with three degrees of freedom each, of rows of eight ranges about quartics."""
    firsts = np.arange(0, len(places) - _ROW + 1, _ROW // 2)
    firsts = firsts[places[firsts + _ROW - 1] - places[firsts] <= _ROW_NODES] if len(firsts) else firsts
    rows = firsts[:, None] + np.arange(_ROW)
    squares = []
    for place, measured in zip(places[rows], range_m[rows], strict=True):
        time = 2.0 * (place - place[0]) / max(place[-1] - place[0], 1.0) - 1.0
        basis, _ = np.linalg.qr(np.stack([time**power for power in range(_ROW - 3)], axis=1))
        residual = measured - basis @ (basis.T @ measured)
        squares.append(float(residual.dot(residual)))
    return np.array(squares)


def robust_noise(
    equations: Equations, dynamics: RelativeDynamics, result: Minima, settings: FormationSettings
) -> Noise:
    """By medians of the residuals of the best guess, the first."""
    best = result.guesses[:1]
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
    """By the residuals of the best guess, the first, that count, and their redundancy."""
    best = result.guesses[:1]
    motion = dynamics.propagate(equations.states(best))
    everything = scaled_inverse(result.fit.information[0])
    sigma_m = np.empty(len(equations.pairs))
    for pair in range(len(equations.pairs)):
        residual = equations.range_residuals(best, pair, motion)[0]
        partials = equations.range_partials(pair, motion, *equations.apart(pair, motion))[0]
        columns = equations.columns_of_pair(pair)
        used = np.abs(residual) <= loss.limit * noise.range_sigma_m[pair]
        kept = partials[used]
        taken = np.einsum("ni,ij,nj->", kept, everything[columns[:, None], columns], kept)
        redundancy = float(used.sum()) - float(taken) / noise.range_sigma_m[pair] ** 2
        square = float((residual[used] ** 2).sum())
        # The variance's mean by what is known of it; its likeliest value would make errors larger than said.
        freedom = max(redundancy - 2.0, 0.5 * redundancy)
        scatter_m = math.sqrt(square / freedom) if redundancy > 0.5 else settings.range_noise_m
        sigma_m[pair] = _regularised_sigma(scatter_m, redundancy, settings)
    return Noise(sigma_m, _fix_scales(equations, motion, settings))


def _regularised_sigma(scatter_m: float, redundancy: float, settings: FormationSettings) -> float:
    """The observed scatter, drawn towards the expected one when few residuals stand behind it, within bounds."""
    weight = max(redundancy, 0.0)
    observed_m = max(scatter_m, 0.1 * settings.range_noise_min_m)
    logarithm = weight * math.log(observed_m) + _EXPECTATION * math.log(settings.range_noise_m)
    mean_m = math.exp(logarithm / (weight + _EXPECTATION))
    return min(max(mean_m, settings.range_noise_min_m), settings.range_noise_max_m)


def _fix_scales(equations: Equations, motion: Motion, settings: FormationSettings) -> Array:
    """By one guess; never below one: what a receiver claims is not bettered."""
    scale = np.ones(len(equations.satellites))
    for satellite, rows in enumerate(equations.fixes):
        if int(rows.there[:, 0].sum()) < _FIXES_MIN:
            continue
        residual, _ = equations.fix_residuals(satellite, motion, 1)
        square = (residual[0] ** 2).reshape(-1, 2, 3).sum(axis=-1)[rows.there]
        scale[satellite] = math.sqrt(median(square) / _CHI_SQUARE_MEDIAN)
    return np.clip(scale, 1.0, settings.fix_scale_max)

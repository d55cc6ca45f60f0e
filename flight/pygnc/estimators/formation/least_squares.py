"""Levenberg-Marquardt minimisation of several parameter vectors, comparison of the minima, and estimation of the noise.

A step solves (N + lambda diag(N)) dx = g, with the normal equations N dx = g. Each parameter vector has its own damping
lambda. Source: Marquardt, J. SIAM 11 (1963) 431-441. The damping follows the ratio of actual to predicted decrease
(Nielsen, Damping Parameter in Marquardt's Method, 1999): on a curved likelihood ridge every undamped step fails.

The noise follows from variance components after Foerstner (Allgemeine Vermessungs-Nachrichten 86, 1979): the variance
of a group is its sum of squared residuals divided by (redundancy - 2). Before a solution is near the minimum,
robust estimates from medians are used.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array, median
from pygnc.estimators.formation.fix_errors import FIX_ERRORS, WHITE_ERRORS, FixErrors, whitened_squares
from pygnc.estimators.formation.observation_equations import Equations, Fit, Noise, white_noise
from pygnc.estimators.formation.observations import RangeEquations
from pygnc.estimators.formation.reference import NODE_S, STATE_SIZE
from pygnc.estimators.formation.relative_motion import Motion
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.kalman import scaled_inverse
from pygnc.estimators.orbit.error_models import log_prior


def minimise(equations: Equations, parameters: Array, *, iterations: int, tolerance: float = 1e-2) -> Fit:
    """Improve parameters (k, p) until a step would lower the cost by less than `tolerance`, in at most `iterations`."""
    fit = equations.fit(parameters)
    damping = np.full(len(parameters), 1e-3)
    active = np.arange(len(parameters))
    for _ in range(iterations):
        step, predicted_decrease = _steps(fit.select(active), damping[active])
        is_worthwhile = predicted_decrease > tolerance
        active, step = active[is_worthwhile], step[is_worthwhile]
        if not len(active):
            break
        trial = equations.fit(fit.parameters[active] + step)
        gain = (fit.cost[active] - trial.cost) / predicted_decrease[is_worthwhile]
        better = gain > 0.0
        accepted = active[better]
        for part, new in zip(fit, trial, strict=True):
            part[accepted] = new[better]
        factor = np.where(better, np.clip(1.0 - (2.0 * gain - 1.0) ** 3, 0.1, 1.0), 3.0)
        damping[active] = np.clip(damping[active] * factor, 1e-9, None)
        active = active[damping[active] < 1e8]
    return fit


def _steps(fit: Fit, damping: Array) -> tuple[Array, Array]:
    """Return damped steps (k, p), and the decrease of the cost by them if the problem were linear, (k,)."""
    unit = 1.0 / np.sqrt(np.diagonal(fit.information, axis1=1, axis2=2))
    scaled = unit[:, :, None] * fit.information * unit[:, None]
    damped = scaled + damping[:, None, None] * np.eye(scaled.shape[1])
    right = unit * fit.gradient
    solved = np.linalg.solve(damped, right[..., None])[..., 0]
    predicted_decrease = 2.0 * (solved * right).sum(axis=1) - (solved * (scaled @ solved[..., None])[..., 0]).sum(
        axis=1
    )
    return unit * solved, predicted_decrease


SAME_ORBIT_LIMIT: Final = 9.0
"""Two orbits of a partner are equal if their squared Mahalanobis distance, with the covariance of the orbit of lower
cost, is at most this."""


def distinct_solutions(result: Fit, satellites: int) -> Fit:
    """Return the minima of which at least one orbit differs from that of every better minimum, ordered by cost."""
    return result.select(distinct_rows(result, result.parameters[None], satellites))


def distinct_rows(result: Fit, images: Array, satellites: int) -> list[int]:
    """Return the indices, ordered by cost, of minima of which all images (i, k, p) differ from every better minimum."""
    is_candidate, chosen = np.ones(len(result.cost), dtype=np.bool_), []
    for row in np.argsort(result.cost, kind="stable").tolist():
        if is_candidate[row]:
            chosen.append(row)
            differs = differs_from(result, row, images.reshape(-1, images.shape[-1]), satellites).any(axis=1)
            is_candidate &= differs.reshape(images.shape[:2]).all(axis=0)
    return chosen


def differs_from(
    result: Fit, row: int, parameters: Array, satellites: int, *, limit: float = SAME_ORBIT_LIMIT
) -> npt.NDArray[np.bool_]:
    """Return which orbits in `parameters` (k, p) differ from those of the minimum with index `row`.

    The orbit of a partner relative to ours differs if its squared Mahalanobis distance, with the covariance of that
    minimum, exceeds `limit`.

    Returns:
        Shape (k, satellites); always false for our own satellite.
    """
    covariance, change = scaled_inverse(result.information[row]), parameters - result.parameters[row]
    different = np.zeros((len(parameters), satellites), dtype=np.bool_)
    different[:, 1:] = squared_orbit_distances(change, covariance, satellites) > limit
    return different


def squared_orbit_distances(change: Array, covariance: Array, satellites: int) -> Array:
    """Return the squared Mahalanobis distances of changes (k, n) of the partners' orbits relative to ours.

    `covariance` (n, n) is that of all parameters, the states of the satellites first, of which ours is the first.

    Returns:
        Shape (k, satellites - 1).
    """
    size, partners = STATE_SIZE * satellites, np.arange(1, satellites)
    states = change[:, :size].reshape(len(change), satellites, STATE_SIZE)[..., :6]
    blocks = covariance[:size, :size].reshape((satellites, STATE_SIZE) * 2)[:, :6, :, :6].swapaxes(1, 2)
    cross = blocks[partners, 0]
    relative = blocks[partners, partners] + blocks[0, 0] - cross - cross.swapaxes(1, 2)
    difference = (states[:, 1:] - states[:, :1]).swapaxes(0, 1)
    squares: Array = ((difference @ scaled_inverse(relative)) * difference).sum(axis=2).T
    return squares


_CHI_SQUARE_MEDIAN: Final = 2.366
"""Median of chi-square with three degrees of freedom."""
_EXPECTED_WEIGHT: Final = 0.25
"""Weight of the expected noise, in degrees of freedom; low, because it may be wrong by a factor of 4."""
_GROUP: Final = 8
"""Number of successive ranges that one polynomial fits."""


def apparent_noise(equations: Equations, settings: FormationSettings) -> Noise:
    """Return the noise with range sigmas estimated from the ranges alone, without a solution.

    They are the scatter about polynomials through short groups of ranges. Pairs with too few ranges keep their sigma.
    """
    range_sigma_m = equations.noise.range_sigma_m.copy()
    for pair, rows in enumerate(equations.ranges):
        scatter_m, groups = _scatter_about_polynomials(rows)
        if groups:
            range_sigma_m[pair] = _regularised_sigma(scatter_m, float(groups), settings)
    return white_noise(range_sigma_m, equations.noise.fix_scale)


def _white_sigma_max_m(rows: RangeEquations, settings: FormationSettings) -> float:
    """Return an upper limit of white range noise in m by the scatter about polynomials; infinite for few ranges."""
    scatter_m, groups = _scatter_about_polynomials(rows)
    if groups < 4:
        return math.inf
    # The factor is a margin of four standard deviations of the estimate, which decrease with the number of groups.
    return max(scatter_m, settings.range_noise_min_m) * (1.0 + 4.0 / math.sqrt(groups))


def _scatter_about_polynomials(rows: RangeEquations) -> tuple[float, int]:
    """Return the scatter of groups of eight ranges about quartic polynomials, in m, and the number of groups."""
    node_time, range_m = rows.node_time[rows.at], rows.range_m
    firsts = np.arange(0, len(node_time) - _GROUP + 1, _GROUP // 2)
    # Groups over more than 20 minutes are left out, because a quartic does not represent their ranges.
    firsts = firsts[node_time[firsts + _GROUP - 1] - node_time[firsts] <= 20.0] if len(firsts) else firsts
    numbers = firsts[:, None] + np.arange(_GROUP)
    if not len(firsts):
        return 0.0, 0
    times, measured = node_time[numbers], range_m[numbers][..., None]
    time = 2.0 * (times - times[:, :1]) / np.maximum(times[:, -1:] - times[:, :1], 1.0) - 1.0
    basis, _ = np.linalg.qr(time[..., None] ** np.arange(_GROUP - 3))
    residual = measured - basis @ (basis.swapaxes(1, 2) @ measured)
    return math.sqrt(median((residual**2).sum(axis=(1, 2))) / _CHI_SQUARE_MEDIAN), len(firsts)


def robust_noise(equations: Equations, best: Array, settings: FormationSettings) -> Noise:
    """Return the noise estimated from medians of the residuals at the parameters `best` (1, p)."""
    motion = equations.motion(best, partials=False)
    sigma_m = np.empty(len(equations.pairs))
    for pair in range(len(equations.pairs)):
        residual = equations.range_residuals(pair, best, motion)[0][:, 0]
        # 1.4826 is the ratio of the standard deviation to the median absolute value of a normal distribution.
        scatter_m = 1.4826 * float(median(np.abs(residual)))
        sigma_m[pair] = _regularised_sigma(scatter_m, len(residual) - 6.0, settings)
    return white_noise(sigma_m, _fix_scales(equations, best, motion, settings))


def refined_noise(equations: Equations, result: Fit, settings: FormationSettings) -> Noise:
    """Return the noise estimated from the residuals of the best (first) minimum that are within the gate.

    The part of the residuals that the fit absorbed is allowed for. Residuals in excess of the scatter about polynomials
    are model errors. These are correlated: n ranges within a correlation time have the information of one, so they
    widen the sigmas of the ranges more than white noise does.
    """
    best = result.parameters[:1]
    motion = equations.motion(best)
    covariance = scaled_inverse(result.information[0])
    sigma_m, white_m = np.empty((2, len(equations.pairs)))
    for pair, previous_m in enumerate(equations.noise.range_sigma_m):
        rows, (residuals, *positions) = equations.ranges[pair], equations.range_residuals(pair, best, motion)
        residual = residuals[:, 0]
        used = np.abs(residual) <= equations.loss.limit * previous_m
        partials, columns = equations.range_partials(pair, motion, *positions)
        used_partials = partials[rows.at[used], 0]
        predicted_variance_m2 = np.einsum(
            "ni,ij,nj->", used_partials, covariance[columns[:, None], columns], used_partials
        )
        redundancy = float(used.sum()) - float(predicted_variance_m2) / previous_m**2
        square = float((residual[used] ** 2).sum())
        # Use the posterior mean of the variance, because its mode would make the covariance too small.
        freedom = max(redundancy - 2.0, 0.5 * redundancy)
        scatter_m = math.sqrt(square / freedom) if redundancy > 0.5 else settings.range_noise_m
        total_m = _regularised_sigma(scatter_m, redundancy, settings)
        white_m[pair] = min(total_m, _white_sigma_max_m(rows, settings))
        span_s = NODE_S * float(rows.node_time[-1] - rows.node_time[0])
        # Model errors are taken as correlated over 900 s, a sixth of an orbit.
        correlated = max(1.0, 2.0 * 900.0 * len(rows.range_m) / max(span_s, 1.0))
        model_m2 = total_m**2 - white_m[pair] ** 2
        if not all(equations.tracks[end].is_linear for end in rows.pair):
            # The motion without fixes neglects nonlinear gravity beyond J2; its error grows with the distance squared.
            model_m2 += (2.5e-11 * float((positions[1][rows.at] ** 2).mean())) ** 2
        sigma_m[pair] = math.sqrt(white_m[pair] ** 2 + correlated * model_m2)
    return Noise(sigma_m, _fix_scales(equations, best, motion, settings), white_m)


def _regularised_sigma(scatter_m: float, redundancy: float, settings: FormationSettings) -> float:
    """Return the scatter in m, moved towards the expected noise if the redundancy is small, within the limits."""
    weight = max(redundancy, 0.0)
    observed_m = max(scatter_m, 0.1 * settings.range_noise_min_m)
    logarithm = weight * math.log(observed_m) + _EXPECTED_WEIGHT * math.log(settings.range_noise_m)
    mean_m = math.exp(logarithm / (weight + _EXPECTED_WEIGHT))
    return min(max(mean_m, settings.range_noise_min_m), settings.range_noise_max_m)


def likely_errors(equations: Equations, parameters: Array) -> FixErrors:
    """Return the error model with the largest evidence, linearised at parameters (p,), from fixes at up to 256 times.

    With less than two known orbits errors are taken as white: those of a single receiver hardly change relative orbits.
    """
    if len(equations.known) < 2:
        return WHITE_ERRORS
    prior = equations.prior
    blocks, _ = equations.known_fixes(parameters, times_max=256)
    squares, log_determinant = whitened_squares(blocks, FIX_ERRORS)
    information = prior.information + squares[:, :-1, :-1]
    deviation = prior.mean - parameters
    gradient = prior.information @ deviation + squares[:, :-1, -1]
    step = (scaled_inverse(information) @ gradient[..., None])[..., 0]
    cost = squares[:, -1, -1] - (gradient * step).sum(axis=1) + log_determinant + np.linalg.slogdet(information)[1]
    log_prior_weight = [log_prior(errors.model) for errors in FIX_ERRORS]
    return FIX_ERRORS[int(np.argmax(np.array(log_prior_weight) - 0.5 * cost))]


def _fix_scales(equations: Equations, best: Array, motion: Motion | None, settings: FormationSettings) -> Array:
    """Return factors on the receivers' standard deviations, (s,), from 1 (never reduced) to `fix_scale_max`."""
    scale = np.ones(len(equations.satellites))
    for satellite, rows in enumerate(equations.fixes):
        if int(rows.available[:, 0].sum()) < 8:  # too few for an estimate of their scatter
            continue
        residual, _ = equations.fix_residuals(satellite, best, motion)
        square = (residual[0] ** 2).reshape(-1, 2, 3).sum(axis=-1)[rows.available]
        scale[satellite] = math.sqrt(median(square) / _CHI_SQUARE_MEDIAN)
    return np.clip(scale, 1.0, settings.fix_scale_max)

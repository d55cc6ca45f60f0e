"""Levenberg-Marquardt minimisation of several parameter vectors at once, and comparison of the minima.

A step solves (N + lambda diag(N)) dx = g. Source: Marquardt, J. SIAM 11 (1963) 431-441. Each parameter vector has
its own damping lambda.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.estimators.formation.equations import Equations, Fit, Loss, Noise, Prior
from pygnc.estimators.formation.reference import state_indices
from pygnc.estimators.formation.relative_coordinates import relative_covariance
from pygnc.estimators.formation.relative_motion import RelativeDynamics

_DAMPING: Final = 1e-3
_DAMPING_DECREASE: Final = 0.1
_DAMPING_INCREASE: Final = 8.0
_DAMPING_MIN: Final = 1e-9
_DAMPING_MAX: Final = 1e8
_VARIANCE_MIN: Final = 1e-20
"""Lower limit of a variance; rounding may leave less of the difference of two large numbers."""
_PARTIALS_MAX: Final = 8_000
"""Limit of the 7 x 7 derivative matrices in memory at once; three megabytes."""


class Minima(NamedTuple):
    """Final parameter vectors of k minimisations.

    Attributes:
        parameters: Parameter vectors, shape (k, p).
        fit: Their cost and normal equations.
    """

    parameters: Array
    fit: Fit


def minimise(
    equations: Equations,
    dynamics: RelativeDynamics,
    parameters: Array,
    noise: Noise,
    loss: Loss,
    *,
    iterations: int,
    tolerance: float = 1e-2,
    linear: bool = False,
) -> Minima:
    """Improve parameters (k, p) until a step would lower the cost by less than `tolerance`.

    If `linear` is true, the motion is taken as linear.
    """
    parameters = parameters.copy()
    fit = evaluate(equations, dynamics, parameters, noise, loss, linear=linear)
    damping = np.full(len(parameters), _DAMPING)
    active = np.arange(len(parameters))
    for _ in range(iterations):
        step, predicted_decrease = _steps(Fit(*(part[active] for part in fit)), damping[active])
        is_worthwhile = predicted_decrease > tolerance
        active, step = active[is_worthwhile], step[is_worthwhile]
        if not len(active):
            break
        trial = parameters[active] + step
        trial_fit = evaluate(equations, dynamics, trial, noise, loss, linear=linear)
        better = trial_fit.cost < fit.cost[active]
        accepted = active[better]
        parameters[accepted] = trial[better]
        for part, new in zip(fit, trial_fit, strict=True):
            part[accepted] = new[better]
        factor = np.where(better, _DAMPING_DECREASE, _DAMPING_INCREASE)
        damping[active] = np.clip(damping[active] * factor, _DAMPING_MIN, None)
        active = active[damping[active] < _DAMPING_MAX]
    return Minima(parameters, fit)


def evaluate(
    equations: Equations,
    dynamics: RelativeDynamics,
    parameters: Array,
    noise: Noise,
    loss: Loss,
    *,
    linear: bool = False,
) -> Fit:
    """Return cost and normal equations of parameters (k, p).

    The motion of all vectors is propagated at once, its derivatives in chunks: they take megabytes.
    """
    states = equations.states(parameters)
    motion = dynamics.linear(states) if linear else dynamics.propagate(states, partials=False)
    satellites = len(equations.satellites)
    # At once there are three such matrices per step and satellite, and six per observation of one kind.
    longest = max(
        [len(rows.node_time) for rows in equations.fixes] + [len(rows.node_time) for rows in equations.ranges]
    )
    chunk = max(1, _PARTIALS_MAX // (3 * satellites * len(motion.constants) + 6 * longest))
    parts = []
    for first in range(0, len(parameters), chunk):
        chunk_motion = motion.select(slice(satellites * first, satellites * (first + chunk)))
        if not linear:
            chunk_motion = dynamics.with_partials(chunk_motion)
        parts.append(equations.fit(parameters[first : first + chunk], chunk_motion, noise, loss))
    return Fit(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _steps(fit: Fit, damping: Array) -> tuple[Array, Array]:
    """Return damped steps (k, p), and the decrease of the cost that a linear problem would have, (k,)."""
    unit = 1.0 / np.sqrt(np.diagonal(fit.information, axis1=1, axis2=2))
    scaled = unit[:, :, None] * fit.information * unit[:, None]
    damped = scaled + damping[:, None, None] * np.eye(scaled.shape[1])
    right = unit * fit.gradient
    solved = np.linalg.solve(damped, right[..., None])[..., 0]
    predicted_decrease = 2.0 * (solved * right).sum(axis=1) - (solved * (scaled @ solved[..., None])[..., 0]).sum(
        axis=1
    )
    return unit * solved, predicted_decrease


def scaled_inverse(information: Array) -> Array:
    """Return the inverse of symmetric positive matrices (..., p, p) whose parameters have different units.

    Rows and columns are divided by the roots of the diagonal before the inversion. The inverse of a normal matrix is
    the covariance, and vice versa.
    """
    unit = 1.0 / np.sqrt(np.maximum(np.diagonal(information, axis1=-2, axis2=-1), _VARIANCE_MIN))
    scaled = unit[..., :, None] * information * unit[..., None, :]
    inverse: Array = unit[..., :, None] * np.linalg.inv(scaled) * unit[..., None, :]
    return inverse


def marginal_prior(prior: Prior, columns: npt.NDArray[np.int64]) -> Prior:
    """Return the prior of some of the parameters; the others are marginalised."""
    covariance = scaled_inverse(prior.information)[columns[:, None], columns]
    return Prior(prior.mean[columns], scaled_inverse(covariance))


SAME_ORBIT_LIMIT: Final = 9.0
"""Two orbits of a partner are the same if their squared Mahalanobis distance, with the better one's covariance, is
less."""


def distinct_solutions(result: Minima, satellites: int) -> Minima:
    """Return the distinct minima, ordered by cost."""
    order = np.argsort(result.fit.cost, kind="stable")
    is_candidate = np.ones(len(order), dtype=np.bool_)
    chosen = []
    for row in order.tolist():
        if is_candidate[row]:
            chosen.append(row)
            is_candidate &= differs_from(result, row, result.parameters, satellites).any(axis=1)
    return select_solutions(result, chosen)


def select_solutions(result: Minima, rows: list[int]) -> Minima:
    """Return some of the minima."""
    return Minima(result.parameters[rows], Fit(*(part[rows] for part in result.fit)))


def differs_from(
    result: Minima, row: int, parameters: Array, satellites: int, *, limit: float = SAME_ORBIT_LIMIT
) -> npt.NDArray[np.bool_]:
    """Return whether orbits in `parameters` (k, p) differ from those of minimum number `row`, by partner.

    The orbit of a partner relative to ours differs if its squared Mahalanobis distance, with the covariance of that
    minimum, exceeds `limit`.

    Returns:
        Shape (k, satellites); always false for our own satellite.
    """
    covariance = scaled_inverse(result.fit.information[row])
    change = parameters - result.parameters[row]
    different = np.zeros((len(parameters), satellites), dtype=np.bool_)
    for partner in range(1, satellites):
        difference = change[:, state_indices(partner)[:6]] - change[:, :6]
        relative = relative_covariance(covariance, partner, 6)
        different[:, partner] = np.einsum("ki,ij,kj->k", difference, scaled_inverse(relative), difference) > limit
    return different

"""Levenberg-Marquardt for several guesses side by side, each with a damping of its own.

Source: Marquardt, J. SIAM 11 (1963) 431-441, damping in units of the normal matrix's diagonal.

Which guesses are different orbits, given how well each is known.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.environment.arrays import Array
from pygnc.estimators.formation.equations import Equations, Fit, Loss, Noise
from pygnc.estimators.formation.reference import state_indices
from pygnc.estimators.formation.relative_motion import RelativeDynamics

_DAMPING: Final = 1e-3
_DAMPING_DECREASE: Final = 0.1
_DAMPING_INCREASE: Final = 8.0
_DAMPING_MIN: Final = 1e-9
_DAMPING_MAX: Final = 1e8
_VARIANCE_MIN: Final = 1e-20
"""Of a variance: rounding may leave less of the difference of two that are large and alike."""
_PARTIALS_MAX: Final = 8_000
"""Of seven by seven derivatives, which are there at once: three megabytes."""


class Minima(NamedTuple):
    """Where k guesses ended.

    Attributes:
        guesses: Shape (k, p).
        fit: There.
    """

    guesses: Array
    fit: Fit


def minimise(
    equations: Equations,
    dynamics: RelativeDynamics,
    guesses: Array,
    noise: Noise,
    loss: Loss,
    *,
    iterations: int,
    tolerance: float = 1e-2,
    linear: bool = False,
) -> Minima:
    """Improve guesses (k, p) until a step promises to lower the cost by less than `tolerance`.

    With `linear`, motion is taken for linear.
    """
    guesses = guesses.copy()
    fit = evaluate(equations, dynamics, guesses, noise, loss, linear=linear)
    damping = np.full(len(guesses), _DAMPING)
    active = np.arange(len(guesses))
    for _ in range(iterations):
        step, promised = _steps(Fit(*(part[active] for part in fit)), damping[active])
        going = promised > tolerance
        active, step = active[going], step[going]
        if not len(active):
            break
        tried = guesses[active] + step
        reached = evaluate(equations, dynamics, tried, noise, loss, linear=linear)
        better = reached.cost < fit.cost[active]
        accepted = active[better]
        guesses[accepted] = tried[better]
        for part, new in zip(fit, reached, strict=True):
            part[accepted] = new[better]
        factor = np.where(better, _DAMPING_DECREASE, _DAMPING_INCREASE)
        damping[active] = np.clip(damping[active] * factor, _DAMPING_MIN, None)
        active = active[damping[active] < _DAMPING_MAX]
    return Minima(guesses, fit)


def evaluate(
    equations: Equations, dynamics: RelativeDynamics, guesses: Array, noise: Noise, loss: Loss, *, linear: bool = False
) -> Fit:
    """How guesses (k, p) fit: all of them move together, but few at a time have derivatives, which take megabytes."""
    states = equations.states(guesses)
    motion = dynamics.linear(states) if linear else dynamics.propagate(states, partials=False)
    satellites = len(equations.satellites)
    # Of each step and satellite there are three such matrices at once, of each observation of one kind six.
    longest = max([len(rows.places) for rows in equations.fixes] + [len(rows.places) for rows in equations.ranges])
    several = max(1, _PARTIALS_MAX // (3 * satellites * len(motion.constants) + 6 * longest))
    parts = []
    for first in range(0, len(guesses), several):
        some = motion.chosen(slice(satellites * first, satellites * (first + several)))
        if not linear:
            some = dynamics.with_partials(some)
        parts.append(equations.fit(guesses[first : first + several], some, noise, loss))
    return Fit(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _steps(fit: Fit, damping: Array) -> tuple[Array, Array]:
    """Damped steps (k, p), and by how much they lower the cost if all is linear (k,)."""
    unit = 1.0 / np.sqrt(np.diagonal(fit.information, axis1=1, axis2=2))
    scaled = unit[:, :, None] * fit.information * unit[:, None]
    damped = scaled + damping[:, None, None] * np.eye(scaled.shape[1])
    right = unit * fit.gradient
    solved = np.linalg.solve(damped, right[..., None])[..., 0]
    promised = 2.0 * (solved * right).sum(axis=1) - (solved * (scaled @ solved[..., None])[..., 0]).sum(axis=1)
    return unit * solved, promised


def scaled_inverse(information: Array) -> Array:
    """Inverse of normal matrices (..., p, p) whose unknowns have units of all sizes."""
    unit = 1.0 / np.sqrt(np.maximum(np.diagonal(information, axis1=-2, axis2=-1), _VARIANCE_MIN))
    scaled = unit[..., :, None] * information * unit[..., None, :]
    inverse: Array = unit[..., :, None] * np.linalg.inv(scaled) * unit[..., None, :]
    return inverse


SAME_ORBIT_LIMIT: Final = 9.0
"""Two orbits of a partner are one when their difference, squared over the better one's covariance, is less."""


def distinct_solutions(result: Minima, satellites: int) -> Minima:
    """The distinct ones of the guesses, the best first."""
    order = np.argsort(result.fit.cost, kind="stable")
    is_open = np.ones(len(order), dtype=np.bool_)
    chosen = []
    for row in order.tolist():
        if is_open[row]:
            chosen.append(row)
            is_open &= differs_from(result, row, result.guesses, satellites).any(axis=1)
    return select_solutions(result, chosen)


def select_solutions(result: Minima, chosen: list[int]) -> Minima:
    """Some of the guesses."""
    return Minima(result.guesses[chosen], Fit(*(part[chosen] for part in result.fit)))


def differs_from(
    result: Minima, row: int, guesses: Array, satellites: int, *, limit: float = SAME_ORBIT_LIMIT
) -> npt.NDArray[np.bool_]:
    """Whether partners' orbits relative to ours in `guesses` (k, p) are others than in guess number `row`.

    They are when their difference, squared over the covariance in that guess, is more than `limit`.

    Returns:
        Shape (k, satellites); never true of ourselves.
    """
    everything = scaled_inverse(result.fit.information[row])
    change = guesses - result.guesses[row]
    different = np.zeros((len(guesses), satellites), dtype=np.bool_)
    own = state_indices(0)[:6]
    for partner in range(1, satellites):
        its = state_indices(partner)[:6]
        apart = change[:, its] - change[:, own]
        mixed = everything[its[:, None], own]
        relative = everything[its[:, None], its] + everything[own[:, None], own] - mixed - mixed.T
        different[:, partner] = np.einsum("ki,ij,kj->k", apart, scaled_inverse(relative), apart) > limit
    return different

"""Where the search for a partner's orbit begins: its fixes if they tell it, otherwise everywhere.

Ranges alone allow several orbits. Directions that fill the space of relative orbital elements evenly are scaled to the
ranges; those that fit best are improved by linear motion, and so are the images of what comes out.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.estimators.formation.distinct import differing, merged
from pygnc.estimators.formation.equations import SEARCH_LOSS, Equations, Noise
from pygnc.estimators.formation.least_squares import Result, minimise
from pygnc.estimators.formation.mirror import IMAGES, images, states_of_elements, tilted
from pygnc.estimators.formation.noise import expected_noise
from pygnc.estimators.formation.observations import Pair
from pygnc.estimators.formation.reference import NODE_S, UNKNOWNS, Reference, of_satellite
from pygnc.estimators.formation.relative_motion import RelativeDynamics
from pygnc.estimators.formation.settings import FormationSettings

_DIRECTIONS: Final = 4_096
_BLOCKS: Final = 16
"""Of directions, scaled one after the other: all at once take ten megabytes."""
_KEPT: Final = 128
"""Of them. With half as many, 2 of 1080 partners of stars were not found at all: one valley had taken all places."""
_LINEAR_ITERATIONS: Final = 30
_LINEAR_TOLERANCE: Final = 0.3
_MINIMA: Final = 12
"""Orbits improved further that differ, and from each other's images too; with all their images."""
_PHASES: Final = ((8, 3.0), (25, 0.1))
"""Iterations and tolerance, first of everything, then of what is left."""
_HOPELESS: Final = 200.0
"""A candidate whose cost is so much above the best, per unit of a good one's, is dropped."""
CANDIDATES: Final = 40
"""Of a partner that has ranges to known satellites only."""
CANDIDATES_OF_MANY: Final = 16
"""Of a group of partners, or of one that is to join a group."""
_MEDIAN_ITERATIONS: Final = 20
_ROOT_ITERATIONS: Final = 40
_TILTS: Final = 32
_TILT_MAX: Final = 1.5


class Around(NamedTuple):
    """What a search needs besides the equations; `noise_m` is the ranges' apparent noise."""

    reference: Reference
    dynamics: RelativeDynamics
    settings: FormationSettings
    noise_m: dict[Pair, float]


def from_fixes(equations: Equations, satellite: int) -> Array | None:
    """Deviation (7,) of a satellite by its fixes alone, as linear motion and least absolute residuals have it.

    Outliers in less than half of the fixes hardly move it. None when the fixes do not tell an orbit.
    """
    rows = equations.fixes[satellite]
    there = np.repeat(rows.there, 3, axis=1).reshape(-1)
    design = rows.design.reshape(-1, UNKNOWNS)[there, :6]
    residual = rows.residual.reshape(-1)[there]
    if len(residual) < 6:
        return None
    unit = np.sqrt((design**2).sum(axis=0))
    design = design / unit
    if np.linalg.svd(design, compute_uv=False)[-1] < _DETERMINED:
        return None
    weight = np.ones(len(residual))
    solved = np.zeros(6)
    for _ in range(_MEDIAN_ITERATIONS):
        weighted = design * weight[:, None]
        solved = np.linalg.solve(weighted.T @ design, weighted.T @ residual)
        off = (residual - design @ solved).reshape(-1, 3)
        size = np.sqrt((off**2).sum(axis=1))
        weight = np.repeat(1.0 / np.maximum(size, 1.0), 3)
    return np.append(solved / unit, 0.0)


_DETERMINED: Final = 1e-6
"""Least singular value of a design with columns of unit length."""


def from_ranges(equations: Equations, partner: int, guess: Array, around: Around, most: int) -> Result:
    """Orbits of one partner that its ranges to others allow, best first.

    Args:
        equations: Of the partner and of those to which it has ranges; these have tight priors.
        partner: Its index.
        guess: All unknowns (p,); the partner's are not looked at.
        around: The rest.
        most: Candidates kept.
    """
    of_partner = of_satellite(partner)[:6]
    starts = np.tile(guess, (_KEPT, 1))
    starts[:, of_partner] = _scaled(equations, partner, _directions(around.reference), guess)
    noise = expected_noise(equations, around.settings)
    result = minimise(
        equations,
        around.dynamics,
        starts,
        noise,
        SEARCH_LOSS,
        iterations=_LINEAR_ITERATIONS,
        tolerance=_LINEAR_TOLERANCE,
        linear=True,
    )
    imaged = flips(result.guesses, (partner,), around.reference)
    chosen = _originals(result, imaged, len(equations.satellites))[:_MINIMA]
    return searched(equations, around, imaged[:, chosen].reshape(-1, len(guess)), most)


def _originals(result: Result, imaged: Array, satellites: int) -> list[int]:
    """Indices of guesses that differ from all better ones and from their images, the best first."""
    is_open = np.ones(len(result.guesses), dtype=np.bool_)
    chosen = []
    for row in np.argsort(result.fit.cost, kind="stable").tolist():
        if is_open[row]:
            chosen.append(row)
            other = differing(result, row, imaged.reshape(-1, imaged.shape[-1]), satellites).any(axis=1)
            is_open &= other.reshape(imaged.shape[:2]).all(axis=0)
    return chosen


def searched(equations: Equations, around: Around, guesses: Array, most: int) -> Result:
    """Guesses improved by full motion, the distinct ones, the best first; without those that stay hopeless."""
    noise = Noise(np.array([around.noise_m[pair] for pair in equations.pairs]), np.ones(len(equations.satellites)))
    count = len(equations.satellites)
    for iterations, tolerance in _PHASES:
        result = minimise(
            equations, around.dynamics, guesses, noise, SEARCH_LOSS, iterations=iterations, tolerance=tolerance
        )
        result = merged(result, count)
        guesses = result.guesses[hopeful(result, equations, most)]
    return result


def hopeful(result: Result, equations: Equations, most: int) -> slice:
    """The guesses, the best first, that are not much worse than the first."""
    count = sum(len(rows.places) for rows in equations.ranges)
    good = max(1.0, float(result.fit.cost[0]) / max(count, 1))
    return slice(min(int((result.fit.cost <= result.fit.cost[0] + _HOPELESS * good).sum()), most))


def flips(guesses: Array, partners: tuple[int, ...], reference: Reference) -> Array:
    """The images of some partners' motion in guesses (k, p), all flipped alike, shape (4, k, p)."""
    flipped = np.tile(guesses, (IMAGES, 1, 1))
    for row, guess in enumerate(guesses):
        own = reference.nodes.state[reference.middle] + guess[:6]
        for partner in partners:
            of_partner = of_satellite(partner)[:6]
            apart = guess[of_partner] - guess[:6]
            flipped[:, row, of_partner] = guess[:6] + images(own, apart[None])[:, 0]
    return flipped


def scattered(guess: Array, partners: Sequence[int], reference: Reference) -> Array:
    """A guess (p,) with all kinds of motion of the partners normal to the plane, shape (n, p)."""
    own = reference.nodes.state[reference.middle] + guess[:6]
    factors = _TILT_MAX * evenly(_TILTS, 2 * len(partners))
    starts = np.tile(guess, (_TILTS, 1))
    for number, partner in enumerate(partners):
        of_partner = of_satellite(partner)[:6]
        apart = guess[of_partner] - guess[:6]
        starts[:, of_partner] = guess[:6] + tilted(own, apart, factors[:, 2 * number : 2 * number + 2])
    return starts


def evenly(count: int, dimensions: int) -> Array:
    """Points that fill the cube from -1 to 1 evenly, (count, dimensions).

    Source: M. Roberts, The unreasonable effectiveness of quasirandom sequences (2018); the golden ratio's kin, the root
    of x^(d + 1) = x + 1, is found by iteration.
    """
    root = 1.5
    for _ in range(_ROOT_ITERATIONS):
        root = (1.0 + root) ** (1.0 / (dimensions + 1.0))
    steps = root ** -np.arange(1.0, dimensions + 1.0)
    points: Array = 2.0 * np.remainder(0.5 + np.arange(1.0, count + 1.0)[:, None] * steps, 1.0) - 1.0
    return points


def _directions(reference: Reference) -> Array:
    """Relative states whose orbital elements fill a cube evenly, (_DIRECTIONS, 6).

    The drift along the track over half the arc counts as much as the place on it.
    """
    cube = evenly(_DIRECTIONS, 6)
    own = reference.nodes.state[reference.middle]
    motion_rad_s = math.sqrt(GM_EARTH_M3_S2 / float(own[:3].dot(own[:3])) ** 1.5)
    cube[:, 0] /= 1.0 + 1.5 * motion_rad_s * NODE_S * reference.middle
    directions: Array = cube @ states_of_elements(own).T
    return directions


def _scaled(equations: Equations, partner: int, directions: Array, guess: Array) -> Array:
    """Deviations (_KEPT, 6) in directions whose distances, suitably scaled, are most like the longest row of ranges."""
    pair = max(
        (pair for pair, rows in enumerate(equations.ranges) if partner in rows.pair),
        key=lambda pair: len(equations.ranges[pair].places),
    )
    rows = equations.ranges[pair]
    anchor = rows.pair[0] if rows.pair[1] == partner else rows.pair[1]
    some = slice(None, None, max(1, len(rows.places) // 30))
    bias = UNKNOWNS * len(equations.satellites) + pair
    wanted = np.maximum(rows.range_m[some] - guess[bias], 1.0)[:, None]
    reaches, misfits = [], []
    for block in np.split(directions, _BLOCKS):
        place = rows.design[some, :, :6].reshape(-1, 6) @ block.T
        length = np.sqrt((place.reshape(-1, 3, len(block)) ** 2).sum(axis=1))
        reach = (length * wanted).sum(axis=0) / (length**2).sum(axis=0)
        reaches.append(reach)
        misfits.append(np.abs(length * reach - wanted).sum(axis=0))
    best = np.argsort(np.concatenate(misfits), kind="stable")[:_KEPT]
    reach = np.concatenate(reaches)[best, None]
    result: Array = guess[UNKNOWNS * anchor : UNKNOWNS * anchor + 6] + directions[best] * reach
    return result

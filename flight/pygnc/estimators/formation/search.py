"""Where the search for a partner's orbit begins: its fixes if they tell it, otherwise everywhere.

Ranges alone allow several orbits. Directions that fill the space of relative orbital elements evenly are scaled to the
ranges; those that fit best are improved by linear motion, and so are the images of what comes out.

All orbits of the partners that may be: candidates of each, their combinations, and images of what is found.

Partners between whom there are no ranges have nothing to do with each other once our own orbit is known: their
candidates are not combined but stand beside the best of the others.
"""

import math
from collections.abc import Sequence
from itertools import combinations, product
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.estimators.formation.equations import SEARCH_LOSS, Equations, Noise, Prior
from pygnc.estimators.formation.least_squares import Minima, differs_from, distinct_solutions, minimise
from pygnc.estimators.formation.noise import expected_noise
from pygnc.estimators.formation.observations import Pair
from pygnc.estimators.formation.reference import NODE_S, STATE_SIZE, Reference, state_indices
from pygnc.estimators.formation.relative_coordinates import (
    BOTH,
    IMAGE_COUNT,
    IN_PLANE,
    NORMAL,
    d_state_d_mirror_elements,
    mirror_images,
    vary_normal_motion,
)
from pygnc.estimators.formation.relative_motion import RelativeDynamics
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.state import DRAG

_DIRECTIONS: Final = 4_096
_BLOCKS: Final = 16
"""Of directions, scaled one after the other: all at once take ten megabytes."""
_DIRECTIONS_KEPT: Final = 128
"""Of them. With half as many, 2 of 1080 partners of stars were not found at all: one valley had taken all places."""
_LINEAR_ITERATIONS: Final = 30
_LINEAR_TOLERANCE: Final = 0.3
_MINIMA: Final = 12
"""Orbits improved further that differ, and from each other's images too; with all their images."""
_PHASES: Final = ((8, 3.0), (25, 0.1))
"""Iterations and tolerance, first of everything, then of what is left."""
_COST_MARGIN: Final = 200.0
"""A candidate whose cost is so much above the best, per unit of a good one's, is dropped."""
CANDIDATES: Final = 40
"""Of a partner that has ranges to known satellites only."""
CANDIDATES_OF_MANY: Final = 16
"""Of a group of partners, or of one that is to join a group."""
_MEDIAN_ITERATIONS: Final = 20
_ROOT_ITERATIONS: Final = 40
_TILTS: Final = 32
_TILT_MAX: Final = 1.5


class SearchContext(NamedTuple):
    """What a search needs besides the equations; `noise_m` is the ranges' apparent noise."""

    reference: Reference
    dynamics: RelativeDynamics
    settings: FormationSettings
    noise_m: dict[Pair, float]


def orbit_from_fixes(equations: Equations, satellite: int) -> Array | None:
    """Deviation (7,) of a satellite by its fixes alone, as linear motion and least absolute residuals have it.

    Outliers in less than half of the fixes hardly move it. None when the fixes do not tell an orbit.
    """
    rows = equations.fixes[satellite]
    there = np.repeat(rows.there, 3, axis=1).reshape(-1)
    design = rows.design.reshape(-1, STATE_SIZE)[there, :6]
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


def candidates_from_ranges(
    equations: Equations, partner: int, guess: Array, around: SearchContext, most: int
) -> Minima:
    """Orbits of one partner that its ranges to others allow, best first.

    Args:
        equations: Of the partner and of those to which it has ranges; these have tight priors.
        partner: Its index.
        guess: All unknowns (p,); the partner's are not looked at.
        around: The rest.
        most: Candidates kept.
    """
    of_partner = state_indices(partner)[:6]
    starts = np.tile(guess, (_DIRECTIONS_KEPT, 1))
    starts[:, of_partner] = _scaled_to_ranges(equations, partner, _search_directions(around.reference), guess)
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
    imaged = mirrored_candidates(result.guesses, (partner,), around.reference)
    chosen = _distinct_up_to_mirrors(result, imaged, len(equations.satellites))[:_MINIMA]
    return refine_candidates(equations, around, imaged[:, chosen].reshape(-1, len(guess)), most)


def _distinct_up_to_mirrors(result: Minima, imaged: Array, satellites: int) -> list[int]:
    """Indices of guesses that differ from all better ones and from their images, the best first."""
    is_open = np.ones(len(result.guesses), dtype=np.bool_)
    chosen = []
    for row in np.argsort(result.fit.cost, kind="stable").tolist():
        if is_open[row]:
            chosen.append(row)
            other = differs_from(result, row, imaged.reshape(-1, imaged.shape[-1]), satellites).any(axis=1)
            is_open &= other.reshape(imaged.shape[:2]).all(axis=0)
    return chosen


def refine_candidates(equations: Equations, around: SearchContext, guesses: Array, most: int) -> Minima:
    """Guesses improved by full motion, the distinct ones, the best first; without those that stay hopeless."""
    noise = Noise(np.array([around.noise_m[pair] for pair in equations.pairs]), np.ones(len(equations.satellites)))
    count = len(equations.satellites)
    for iterations, tolerance in _PHASES:
        result = minimise(
            equations, around.dynamics, guesses, noise, SEARCH_LOSS, iterations=iterations, tolerance=tolerance
        )
        result = distinct_solutions(result, count)
        guesses = result.guesses[plausible_candidates(result, equations, most)]
    return result


def plausible_candidates(result: Minima, equations: Equations, most: int) -> slice:
    """The guesses, the best first, that are not much worse than the first."""
    count = sum(len(rows.places) for rows in equations.ranges)
    good = max(1.0, float(result.fit.cost[0]) / max(count, 1))
    return slice(min(int((result.fit.cost <= result.fit.cost[0] + _COST_MARGIN * good).sum()), most))


def mirrored_candidates(guesses: Array, partners: tuple[int, ...], reference: Reference) -> Array:
    """The images of some partners' motion in guesses (k, p), all flipped alike, shape (4, k, p)."""
    flipped = np.tile(guesses, (IMAGE_COUNT, 1, 1))
    for row, guess in enumerate(guesses):
        own = reference.nodes.state[reference.middle] + guess[:6]
        for partner in partners:
            of_partner = state_indices(partner)[:6]
            apart = guess[of_partner] - guess[:6]
            flipped[:, row, of_partner] = guess[:6] + mirror_images(own, apart[None])[:, 0]
    return flipped


def varied_candidates(guess: Array, partners: Sequence[int], reference: Reference) -> Array:
    """A guess (p,) with all kinds of motion of the partners normal to the plane, shape (n, p)."""
    own = reference.nodes.state[reference.middle] + guess[:6]
    factors = _TILT_MAX * quasirandom_points(_TILTS, 2 * len(partners))
    starts = np.tile(guess, (_TILTS, 1))
    for number, partner in enumerate(partners):
        of_partner = state_indices(partner)[:6]
        apart = guess[of_partner] - guess[:6]
        starts[:, of_partner] = guess[:6] + vary_normal_motion(own, apart, factors[:, 2 * number : 2 * number + 2])
    return starts


def quasirandom_points(count: int, dimensions: int) -> Array:
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


def _search_directions(reference: Reference) -> Array:
    """Relative states whose orbital elements fill a cube evenly, (_DIRECTIONS, 6).

    The drift along the track over half the arc counts as much as the place on it.
    """
    cube = quasirandom_points(_DIRECTIONS, 6)
    own = reference.nodes.state[reference.middle]
    motion_rad_s = math.sqrt(GM_EARTH_M3_S2 / float(own[:3].dot(own[:3])) ** 1.5)
    cube[:, 0] /= 1.0 + 1.5 * motion_rad_s * NODE_S * reference.middle
    directions: Array = cube @ d_state_d_mirror_elements(own).T
    return directions


def _scaled_to_ranges(equations: Equations, partner: int, directions: Array, guess: Array) -> Array:
    """Deviations (_KEPT, 6) in directions whose distances, suitably scaled, are most like the longest row of ranges."""
    pair = max(
        (pair for pair, rows in enumerate(equations.ranges) if partner in rows.pair),
        key=lambda pair: len(equations.ranges[pair].places),
    )
    rows = equations.ranges[pair]
    anchor = rows.pair[0] if rows.pair[1] == partner else rows.pair[1]
    some = slice(None, None, max(1, len(rows.places) // 30))
    bias = STATE_SIZE * len(equations.satellites) + pair
    wanted = np.maximum(rows.range_m[some] - guess[bias], 1.0)[:, None]
    reaches, misfits = [], []
    for block in np.split(directions, _BLOCKS):
        place = rows.design[some, :, :6].reshape(-1, 6) @ block.T
        length = np.sqrt((place.reshape(-1, 3, len(block)) ** 2).sum(axis=1))
        reach = (length * wanted).sum(axis=0) / (length**2).sum(axis=0)
        reaches.append(reach)
        misfits.append(np.abs(length * reach - wanted).sum(axis=0))
    best = np.argsort(np.concatenate(misfits), kind="stable")[:_DIRECTIONS_KEPT]
    reach = np.concatenate(reaches)[best, None]
    result: Array = guess[STATE_SIZE * anchor : STATE_SIZE * anchor + 6] + directions[best] * reach
    return result


RANGES_MIN: Final = 7
"""Fewer ranges to satellites whose orbits are known do not tell an orbit and a bias."""
_RANGES_MAX: Final = 64
"""Of a pair, in the search."""
_TRIES: Final = 3
"""Rounds of variations, as long as they find something better."""
_BETTER: Final = 1.0


class KnownOrbits(NamedTuple):
    """Satellites whose orbits their fixes tell, or ours the prior.

    Attributes:
        satellites: Indices, our own first.
        guess: All unknowns, (p,); of others zero.
        information: On the unknowns of each, (s, 7, 7); of others zero.
    """

    satellites: list[int]
    guess: Array
    information: Array


class Candidates(NamedTuple):
    """What may be.

    Attributes:
        guesses: All unknowns, (k, p), the best first.
        lost: Satellites of which nothing is known, by index, with the reason.
    """

    guesses: Array
    lost: dict[int, str]


def formation_candidates(equations: Equations, known: KnownOrbits, around: SearchContext) -> Candidates:
    """Starts for the whole formation: what fits best, every other candidate of each group, every image."""
    groups, lost = _groups_to_search(equations, known)
    base, others = known.guess.copy(), []
    for group in groups:
        columns = np.concatenate([state_indices(satellite) for satellite in group])
        found = _group_candidates(equations, known, group, around)[:, columns]
        base[columns] = found[0]
        others += [(columns, values) for values in found[1:]]
    partners = [satellite for satellite in range(1, len(equations.satellites)) if satellite not in lost]
    for group in connected_groups(equations, partners):
        for flipped, image in _mirror_combinations(group):
            columns = np.concatenate([state_indices(satellite) for satellite in flipped])
            others.append((columns, mirrored_candidates(base[None], flipped, around.reference)[image, 0][columns]))
    guesses = np.tile(base, (1 + len(others), 1))
    for guess, (columns, values) in zip(guesses[1:], others, strict=True):
        guess[columns] = values
    return Candidates(guesses, lost)


def _mirror_combinations(group: Sequence[int]) -> list[tuple[tuple[int, ...], int]]:
    """Which partners are flipped together, and how: any normal to the plane; each or all in it."""
    some = [chosen for size in range(1, len(group) + 1) for chosen in combinations(group, size)]
    each_or_all = [chosen for chosen in some if len(chosen) in {1, len(group)}]
    return [*((chosen, NORMAL) for chosen in some), *product(each_or_all, (IN_PLANE, BOTH))]


def _group_candidates(equations: Equations, known: KnownOrbits, group: Sequence[int], around: SearchContext) -> Array:
    """Guesses (k, p) for a group of partners without enough fixes, the best first.

    Partners join one by one: all that fits so far is combined with all orbits that fit the next one's ranges.
    """
    most = CANDIDATES if len(group) == 1 else CANDIDATES_OF_MANY
    together, guesses = [group[0]], _partner_candidates(equations, known, group[0], around, most)
    for partner in group[1:]:
        alone = _partner_candidates(equations, known, partner, around, most)
        together = [*together, partner]
        starts = np.repeat(guesses, len(alone), axis=0)
        starts[:, state_indices(partner)] = np.tile(alone, (len(guesses), 1))[:, state_indices(partner)]
        some = [*known.satellites, *together]
        part = equations.subset(some, _subset_prior(equations, known, some, around.settings), together, _RANGES_MAX)
        result = refine_candidates(part, around, _to_subset(equations, part, starts), most)
        if len(together) == len(group):
            result = _improve_by_variations(part, result, [some.index(one) for one in group], around, most)
        guesses = _from_subset(equations, known, part, result.guesses[plausible_candidates(result, part, most)])
    return guesses


def _improve_by_variations(
    part: Equations, result: Minima, group: Sequence[int], around: SearchContext, most: int
) -> Minima:
    """Better guesses from variations of the best, of one partner's motion normal to the plane or of several."""
    for _ in range(_TRIES):
        best = result.guesses[:1]
        some = [
            mirrored_candidates(best, flipped, around.reference)[image]
            for flipped, image in _mirror_combinations(group)
        ]
        some.append(varied_candidates(best[0], group, around.reference))
        fit = float(result.fit.cost[0])
        result = refine_candidates(
            part, around, np.concatenate((result.guesses[plausible_candidates(result, part, most)], *some)), most
        )
        if float(result.fit.cost[0]) > fit - _BETTER:
            break
    return result


def _partner_candidates(
    equations: Equations, known: KnownOrbits, partner: int, around: SearchContext, most: int
) -> Array:
    """Guesses (k, p) for one partner by its own observations and its ranges to those known."""
    some = [*known.satellites, partner]
    part = equations.subset(some, _subset_prior(equations, known, some, around.settings), [partner], _RANGES_MAX)
    result = candidates_from_ranges(part, len(some) - 1, part.prior.mean, around, most)
    result = _improve_by_variations(part, result, [len(some) - 1], around, most)
    return _from_subset(equations, known, part, result.guesses[plausible_candidates(result, part, most)])


def _to_subset(equations: Equations, part: Equations, guesses: Array) -> Array:
    """Guesses (k, p) of all unknowns for some satellites' equations."""
    narrow = np.tile(part.prior.mean, (len(guesses), 1))
    for number, identity in enumerate(part.satellites):
        narrow[:, state_indices(number)] = guesses[:, state_indices(equations.satellites.index(identity))]
    return narrow


def _from_subset(equations: Equations, known: KnownOrbits, part: Equations, narrow: Array) -> Array:
    """The reverse; those known keep what their fixes say."""
    guesses = np.tile(known.guess, (len(narrow), 1))
    for number, identity in enumerate(part.satellites):
        satellite = equations.satellites.index(identity)
        if satellite not in known.satellites:
            guesses[:, state_indices(satellite)] = narrow[:, state_indices(number)]
    return guesses


def _subset_prior(equations: Equations, known: KnownOrbits, some: Sequence[int], settings: FormationSettings) -> Prior:
    """Of the unknowns of some satellites, with those known held by what their fixes say."""
    pairs = len(equations.pairs_among(some))
    states = STATE_SIZE * len(some)
    mean, information = np.zeros(states + pairs), np.zeros((states + pairs, states + pairs))
    mean[states:] = settings.range_bias_m
    biases = np.arange(states, states + pairs)
    information[biases, biases] = settings.range_bias_sigma_m**-2.0
    whole = equations.prior.information
    for number, satellite in enumerate(some):
        here, there = state_indices(number), state_indices(satellite)
        if satellite in known.satellites:
            mean[here] = known.guess[there]
            information[here[:, None], here] = known.information[satellite]
        else:
            information[here[:, None], here] = whole[there[:, None], there]
            mean[here[DRAG]] = known.guess[DRAG]
    return Prior(mean, information)


def _groups_to_search(equations: Equations, known: KnownOrbits) -> tuple[list[list[int]], dict[int, str]]:
    """The partners to search, in groups that have ranges among themselves, and those of which too little is there."""
    lost = {}
    searched = []
    for satellite in range(len(equations.satellites)):
        if satellite in known.satellites:
            continue
        count = sum(
            len(rows.places)
            for rows in equations.ranges
            if satellite in rows.pair and (rows.pair[0] in known.satellites or rows.pair[1] in known.satellites)
        )
        if count >= RANGES_MIN:
            searched.append(satellite)
        else:
            lost[satellite] = f"{count} ranges to satellites on known orbits, {RANGES_MIN} needed, and too few fixes"
    return connected_groups(equations, searched), lost


def connected_groups(equations: Equations, some: Sequence[int]) -> list[list[int]]:
    """Satellites, by index, in groups that have ranges among themselves."""
    group = {satellite: satellite for satellite in some}
    for rows in equations.ranges:
        one, other = rows.pair
        if one in group and other in group:
            joined, kept = group[other], group[one]
            group = {satellite: kept if label == joined else label for satellite, label in group.items()}
    labels = sorted(set(group.values()))
    return [[satellite for satellite in some if group[satellite] == label] for label in labels]

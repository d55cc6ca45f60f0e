"""Search for all orbits of the partners that fit the observations.

A partner with enough fixes starts from them (`orbit_from_fixes`). Ranges alone allow several orbits: a quasi-random
set of relative orbital elements is scaled to the ranges, the best are improved with linear motion and then, together
with their mirror images, with full motion (`candidates_from_ranges`). Partners with ranges among themselves join one
by one: all candidates so far are combined with all candidates of the next partner, and the best combinations are
kept.

Partners without ranges between them are independent once our own orbit is known: their candidates are not combined, but
each is tried with the best orbits of the other groups.
"""

import math
from collections.abc import Sequence
from itertools import combinations, product
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.estimators.formation.equations import SEARCH_LOSS, Equations, Noise, Prior
from pygnc.estimators.formation.least_squares import Minima, differs_from, distinct_solutions, minimise
from pygnc.estimators.formation.noise import expected_noise
from pygnc.estimators.formation.observations import Pair, connected_groups
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
"""Number of blocks in which directions are scaled, to save memory: all at once take ten megabytes."""
_DIRECTIONS_KEPT: Final = 128
"""Directions that are improved. With 64, one likelihood ridge took all of them for 2 of 1080 partners of stars."""
_LINEAR_ITERATIONS: Final = 30
_LINEAR_TOLERANCE: Final = 0.3
_MINIMA_MAX: Final = 12
"""Maximum number of minima, distinct up to mirror images, that are improved with full motion, each with its images."""
_PHASES: Final = ((8, 3.0), (25, 0.1))
"""Iterations and tolerance of the phases of refinement."""
_COST_MARGIN: Final = 200.0
"""A candidate is dropped if its cost exceeds the best one by this margin times the best cost per range (at least 1)."""
CANDIDATES: Final = 40
"""Maximum number of candidates of a partner with ranges to known satellites only."""
CANDIDATES_OF_MANY: Final = 16
"""Maximum number of candidates of a group of partners, and of a partner that joins a group."""
_MEDIAN_ITERATIONS: Final = 20
_ROOT_ITERATIONS: Final = 40
_VARIATIONS: Final = 32
_VARIATION_MAX: Final = 1.5
_SINGULAR_VALUE_MIN: Final = 1e-6
"""Minimum singular value of the design matrix with columns of unit length."""
RANGES_MIN: Final = 7
"""Minimum number of ranges to satellites on known orbits: six for an orbit, one for a bias."""
_RANGES_MAX: Final = 64
"""Maximum number of ranges of a pair in the search."""
_ROUNDS_MAX: Final = 3
"""Maximum rounds of variations."""
_IMPROVEMENT_MIN: Final = 1.0
"""Minimum decrease of the cost for another round."""


class SearchContext(NamedTuple):
    """Models and settings of the search.

    Attributes:
        reference: Reference orbit.
        dynamics: Relative dynamics around it.
        settings: Settings of the estimator.
        noise_m: Apparent standard deviation of the ranges, by pair.
    """

    reference: Reference
    dynamics: RelativeDynamics
    settings: FormationSettings
    noise_m: dict[Pair, float]


def orbit_from_fixes(equations: Equations, satellite: int) -> Array | None:
    """Return the state (7,) of a satellite from its fixes alone, or None if they do not determine an orbit.

    Uses linear motion and least absolute residuals (iteratively reweighted least squares), so that outliers in less
    than half of the fixes have little influence.
    """
    rows = equations.fixes[satellite]
    available = np.repeat(rows.available, 3, axis=1).reshape(-1)
    design = rows.design.reshape(-1, STATE_SIZE)[available, :6]
    residual = rows.residual.reshape(-1)[available]
    if len(residual) < 6:
        return None
    unit = np.sqrt((design**2).sum(axis=0))
    design = design / unit
    if np.linalg.svd(design, compute_uv=False)[-1] < _SINGULAR_VALUE_MIN:
        return None
    weight = np.ones(len(residual))
    solution = np.zeros(6)
    for _ in range(_MEDIAN_ITERATIONS):
        weighted = design * weight[:, None]
        solution = np.linalg.solve(weighted.T @ design, weighted.T @ residual)
        misfit = (residual - design @ solution).reshape(-1, 3)
        size = np.sqrt((misfit**2).sum(axis=1))
        weight = np.repeat(1.0 / np.maximum(size, 1.0), 3)
    return np.append(solution / unit, 0.0)


def candidates_from_ranges(
    equations: Equations, partner: int, parameters: Array, context: SearchContext, count_max: int
) -> Minima:
    """Return the orbits of one partner that fit its ranges to others, ordered by cost.

    Args:
        equations: Equations of the partner and of satellites to which it has ranges; these have tight priors.
        partner: Index of the partner.
        parameters: All parameters (p,); the partner's are ignored.
        context: Models and settings.
        count_max: Maximum number of candidates.
    """
    columns = state_indices(partner)[:6]
    candidates = np.tile(parameters, (_DIRECTIONS_KEPT, 1))
    candidates[:, columns] = _scaled_to_ranges(equations, partner, _search_directions(context.reference), parameters)
    noise = expected_noise(equations, context.settings)
    result = minimise(
        equations,
        context.dynamics,
        candidates,
        noise,
        SEARCH_LOSS,
        iterations=_LINEAR_ITERATIONS,
        tolerance=_LINEAR_TOLERANCE,
        linear=True,
    )
    images = mirrored_candidates(result.parameters, (partner,), context.reference)
    chosen = _distinct_up_to_mirrors(result, images, len(equations.satellites))[:_MINIMA_MAX]
    return refine_candidates(equations, context, images[:, chosen].reshape(-1, len(parameters)), count_max)


def _distinct_up_to_mirrors(result: Minima, images: Array, satellites: int) -> list[int]:
    """Return the rows that differ from all better ones and from their mirror images, ordered by cost."""
    is_candidate = np.ones(len(result.parameters), dtype=np.bool_)
    chosen = []
    for row in np.argsort(result.fit.cost, kind="stable").tolist():
        if is_candidate[row]:
            chosen.append(row)
            differs = differs_from(result, row, images.reshape(-1, images.shape[-1]), satellites).any(axis=1)
            is_candidate &= differs.reshape(images.shape[:2]).all(axis=0)
    return chosen


def refine_candidates(equations: Equations, context: SearchContext, candidates: Array, count_max: int) -> Minima:
    """Return the distinct minima reached from candidates (k, p) with full motion, ordered by cost.

    Candidates that remain implausible after the first phase are dropped.
    """
    noise = Noise(np.array([context.noise_m[pair] for pair in equations.pairs]), np.ones(len(equations.satellites)))
    count = len(equations.satellites)
    for iterations, tolerance in _PHASES:
        result = minimise(
            equations, context.dynamics, candidates, noise, SEARCH_LOSS, iterations=iterations, tolerance=tolerance
        )
        result = distinct_solutions(result, count)
        candidates = plausible_candidates(result, equations, count_max)
    return result


def plausible_candidates(result: Minima, equations: Equations, count_max: int) -> Array:
    """Return the parameters of the minima whose cost is within a margin of the best, at most `count_max`."""
    count = sum(len(rows.node_time) for rows in equations.ranges)
    good = max(1.0, float(result.fit.cost[0]) / max(count, 1))
    plausible = int((result.fit.cost <= result.fit.cost[0] + _COST_MARGIN * good).sum())
    return result.parameters[: min(plausible, count_max)]


def mirrored_candidates(candidates: Array, partners: tuple[int, ...], reference: Reference) -> Array:
    """Return candidates (k, p) with the mirror images of the relative motion of `partners`, shape (4, k, p)."""
    flipped = np.tile(candidates, (IMAGE_COUNT, 1, 1))
    for row, parameters in enumerate(candidates):
        own = reference.nodes.state[reference.epoch_node] + parameters[:6]
        for partner in partners:
            columns = state_indices(partner)[:6]
            relative = parameters[columns] - parameters[:6]
            flipped[:, row, columns] = parameters[:6] + mirror_images(own, relative[None])[:, 0]
    return flipped


def varied_candidates(parameters: Array, partners: Sequence[int], reference: Reference) -> Array:
    """Return variations of parameters (p,) in the partners' motion normal to our orbital plane, shape (n, p)."""
    own = reference.nodes.state[reference.epoch_node] + parameters[:6]
    factors = _VARIATION_MAX * quasirandom_points(_VARIATIONS, 2 * len(partners))
    candidates = np.tile(parameters, (_VARIATIONS, 1))
    for number, partner in enumerate(partners):
        columns = state_indices(partner)[:6]
        relative = parameters[columns] - parameters[:6]
        candidates[:, columns] = parameters[:6] + vary_normal_motion(
            own, relative, factors[:, 2 * number : 2 * number + 2]
        )
    return candidates


def quasirandom_points(count: int, dimensions: int) -> Array:
    """Return points that fill the cube from -1 to 1 evenly, (count, dimensions).

    Source: M. Roberts, The unreasonable effectiveness of quasirandom sequences (2018). The base of the sequence is
    the root of x^(d + 1) = x + 1, found by iteration.
    """
    root = 1.5
    for _ in range(_ROOT_ITERATIONS):
        root = (1.0 + root) ** (1.0 / (dimensions + 1.0))
    steps = root ** -np.arange(1.0, dimensions + 1.0)
    points: Array = 2.0 * np.remainder(0.5 + np.arange(1.0, count + 1.0)[:, None] * steps, 1.0) - 1.0
    return points


def _search_directions(reference: Reference) -> Array:
    """Return relative states whose mirror elements fill a cube evenly, (_DIRECTIONS, 6).

    The drift along the track over half the arc has the same weight as the position along it.
    """
    cube = quasirandom_points(_DIRECTIONS, 6)
    own = reference.nodes.state[reference.epoch_node]
    mean_motion_rad_s = math.sqrt(GM_EARTH_M3_S2 / float(own[:3].dot(own[:3])) ** 1.5)
    cube[:, 0] /= 1.0 + 1.5 * mean_motion_rad_s * NODE_S * reference.epoch_node
    directions: Array = cube @ d_state_d_mirror_elements(own).T
    return directions


def _scaled_to_ranges(equations: Equations, partner: int, directions: Array, parameters: Array) -> Array:
    """Return the states (_DIRECTIONS_KEPT, 6) whose distances, scaled, fit the pair with the most ranges best."""
    pair = max(
        (pair for pair, rows in enumerate(equations.ranges) if partner in rows.pair),
        key=lambda pair: len(equations.ranges[pair].node_time),
    )
    rows = equations.ranges[pair]
    anchor = rows.pair[0] if rows.pair[1] == partner else rows.pair[1]
    thinned = slice(None, None, max(1, len(rows.node_time) // 30))
    bias = STATE_SIZE * len(equations.satellites) + pair
    distance_m = np.maximum(rows.range_m[thinned] - parameters[bias], 1.0)[:, None]
    scales, misfits = [], []
    for block in np.split(directions, _BLOCKS):
        position = rows.design[thinned, :, :6].reshape(-1, 6) @ block.T
        length = np.sqrt((position.reshape(-1, 3, len(block)) ** 2).sum(axis=1))
        scale = (length * distance_m).sum(axis=0) / (length**2).sum(axis=0)
        scales.append(scale)
        misfits.append(np.abs(length * scale - distance_m).sum(axis=0))
    best = np.argsort(np.concatenate(misfits), kind="stable")[:_DIRECTIONS_KEPT]
    scale = np.concatenate(scales)[best, None]
    result: Array = parameters[STATE_SIZE * anchor : STATE_SIZE * anchor + 6] + directions[best] * scale
    return result


class KnownOrbits(NamedTuple):
    """Satellites whose orbits are known from their fixes or, for our own, from the prior.

    Attributes:
        satellites: Indices, our own first.
        parameters: All parameters, (p,); those of other satellites are zero.
        information: Information on the state of each, (s, 7, 7); zero for other satellites.
    """

    satellites: list[int]
    parameters: Array
    information: Array


class Candidates(NamedTuple):
    """Candidates of the whole formation.

    Attributes:
        parameters: All parameters, (k, p), the best first.
        unsolved: Reason why a satellite cannot be searched, by index.
    """

    parameters: Array
    unsolved: dict[int, str]


def formation_candidates(equations: Equations, known: KnownOrbits, context: SearchContext) -> Candidates:
    """Return the candidates of the whole formation.

    They are the best orbits of all groups, and variants of these in which one group has another of its candidates,
    or some partners have a mirror image.
    """
    groups, unsolved = _groups_to_search(equations, known)
    best, alternatives = known.parameters.copy(), []
    for group in groups:
        columns = np.concatenate([state_indices(satellite) for satellite in group])
        group_candidates = _group_candidates(equations, known, group, context)[:, columns]
        best[columns] = group_candidates[0]
        alternatives += [(columns, values) for values in group_candidates[1:]]
    partners = [satellite for satellite in range(1, len(equations.satellites)) if satellite not in unsolved]
    for group in connected_groups(partners, equations.index_pairs):
        for flipped, image in _mirror_combinations(group):
            columns = np.concatenate([state_indices(satellite) for satellite in flipped])
            alternatives.append(
                (columns, mirrored_candidates(best[None], flipped, context.reference)[image, 0][columns])
            )
    candidates = np.tile(best, (1 + len(alternatives), 1))
    for candidate, (columns, values) in zip(candidates[1:], alternatives, strict=True):
        candidate[columns] = values
    return Candidates(candidates, unsolved)


def _mirror_combinations(group: Sequence[int]) -> list[tuple[tuple[int, ...], int]]:
    """Return the combinations of partners to mirror and the image of each.

    Normal to the plane, every subset of the group is mirrored; in the plane, each partner alone and all together.
    """
    subsets = [chosen for size in range(1, len(group) + 1) for chosen in combinations(group, size)]
    each_or_all = [chosen for chosen in subsets if len(chosen) in {1, len(group)}]
    return [*((chosen, NORMAL) for chosen in subsets), *product(each_or_all, (IN_PLANE, BOTH))]


def _group_candidates(equations: Equations, known: KnownOrbits, group: Sequence[int], context: SearchContext) -> Array:
    """Return candidates (k, p) for a group of partners without enough fixes, ordered by cost."""
    count_max = CANDIDATES if len(group) == 1 else CANDIDATES_OF_MANY
    joined, candidates = [group[0]], _partner_candidates(equations, known, group[0], context, count_max)
    for partner in group[1:]:
        partner_candidates = _partner_candidates(equations, known, partner, context, count_max)
        joined = [*joined, partner]
        merged = np.repeat(candidates, len(partner_candidates), axis=0)
        merged[:, state_indices(partner)] = np.tile(partner_candidates, (len(candidates), 1))[:, state_indices(partner)]
        members = [*known.satellites, *joined]
        subset = equations.subset(
            members, _subset_prior(equations, known, members, context.settings), joined, _RANGES_MAX
        )
        result = refine_candidates(subset, context, _to_subset(equations, subset, merged), count_max)
        if len(joined) == len(group):
            result = _improve_by_variations(
                subset, result, [members.index(satellite) for satellite in group], context, count_max
            )
        candidates = _from_subset(equations, known, subset, plausible_candidates(result, subset, count_max))
    return candidates


def _improve_by_variations(
    subset: Equations, result: Minima, group: Sequence[int], context: SearchContext, count_max: int
) -> Minima:
    """Improve the minima by mirror images and variations of the best, as long as the best cost decreases."""
    for _ in range(_ROUNDS_MAX):
        best = result.parameters[:1]
        variations = [
            mirrored_candidates(best, flipped, context.reference)[image]
            for flipped, image in _mirror_combinations(group)
        ]
        variations.append(varied_candidates(best[0], group, context.reference))
        cost = float(result.fit.cost[0])
        result = refine_candidates(
            subset,
            context,
            np.concatenate((plausible_candidates(result, subset, count_max), *variations)),
            count_max,
        )
        if float(result.fit.cost[0]) > cost - _IMPROVEMENT_MIN:
            break
    return result


def _partner_candidates(
    equations: Equations, known: KnownOrbits, partner: int, context: SearchContext, count_max: int
) -> Array:
    """Return candidates (k, p) for one partner from its ranges to satellites on known orbits."""
    members = [*known.satellites, partner]
    subset = equations.subset(
        members, _subset_prior(equations, known, members, context.settings), [partner], _RANGES_MAX
    )
    result = candidates_from_ranges(subset, len(members) - 1, subset.prior.mean, context, count_max)
    result = _improve_by_variations(subset, result, [len(members) - 1], context, count_max)
    return _from_subset(equations, known, subset, plausible_candidates(result, subset, count_max))


def _to_subset(equations: Equations, subset: Equations, candidates: Array) -> Array:
    """Return candidates (k, p) reduced to the parameters of a subset."""
    reduced = np.tile(subset.prior.mean, (len(candidates), 1))
    for number, identity in enumerate(subset.satellites):
        reduced[:, state_indices(number)] = candidates[:, state_indices(equations.satellites.index(identity))]
    return reduced


def _from_subset(equations: Equations, known: KnownOrbits, subset: Equations, reduced: Array) -> Array:
    """Return reduced candidates with all parameters. Known orbits remain as they are."""
    candidates = np.tile(known.parameters, (len(reduced), 1))
    for number, identity in enumerate(subset.satellites):
        satellite = equations.satellites.index(identity)
        if satellite not in known.satellites:
            candidates[:, state_indices(satellite)] = reduced[:, state_indices(number)]
    return candidates


def _subset_prior(
    equations: Equations, known: KnownOrbits, members: Sequence[int], settings: FormationSettings
) -> Prior:
    """Return the prior of some satellites; known orbits have the information of their fixes."""
    pairs = len(equations.pairs_among(members))
    states = STATE_SIZE * len(members)
    mean, information = np.zeros(states + pairs), np.zeros((states + pairs, states + pairs))
    mean[states:] = settings.range_bias_m
    biases = np.arange(states, states + pairs)
    information[biases, biases] = settings.range_bias_sigma_m**-2.0
    prior_information = equations.prior.information
    for number, satellite in enumerate(members):
        to, source = state_indices(number), state_indices(satellite)
        if satellite in known.satellites:
            mean[to] = known.parameters[source]
            information[to[:, None], to] = known.information[satellite]
        else:
            information[to[:, None], to] = prior_information[source[:, None], source]
            mean[to[DRAG]] = known.parameters[DRAG]
    return Prior(mean, information)


def _groups_to_search(equations: Equations, known: KnownOrbits) -> tuple[list[list[int]], dict[int, str]]:
    """Return the partners to search, in groups with ranges among themselves, and the reasons why others are not."""
    unsolved = {}
    to_search = []
    for satellite in range(len(equations.satellites)):
        if satellite in known.satellites:
            continue
        count = sum(
            len(rows.node_time)
            for rows in equations.ranges
            if satellite in rows.pair and (rows.pair[0] in known.satellites or rows.pair[1] in known.satellites)
        )
        if count >= RANGES_MIN:
            to_search.append(satellite)
        else:
            unsolved[satellite] = (
                f"too few fixes, and {count} ranges to satellites on known orbits ({RANGES_MIN} needed)"
            )
    return connected_groups(to_search, equations.index_pairs), unsolved

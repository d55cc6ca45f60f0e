"""Search for all orbits of the partners that fit the observations.

The orbit of a partner with enough fixes is determined from them (`orbit_from_fixes`). Ranges alone allow several
orbits: a quasi-random set of relative orbital elements is scaled to the ranges, and the best ones are improved with
linear motion. Then they and their mirror images are improved with full motion. Partners with ranges among themselves
join one by one: all candidates so far are combined with all candidates of the next partner, and the best combinations
are kept.

Partners without ranges between them are independent once our own orbit is known. Their candidates are not combined:
each is tried with the best orbits of the other groups.

Until the arc is twice as long as that of the last search, the orbits of the last solution replace those of the search
(`FoundOrbits`), because more observations exclude orbits but do not add any.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, combinations, product
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.estimators.formation.least_squares import distinct_rows, distinct_solutions, minimise
from pygnc.estimators.formation.observation_equations import Equations, Fit, white_noise
from pygnc.estimators.formation.observations import FixEquations, connected_groups
from pygnc.estimators.formation.reference import NODE_S, STATE_SIZE, Reference, state_indices
from pygnc.estimators.formation.relative_coordinates import (
    BOTH,
    IMAGE_COUNT,
    IN_PLANE,
    NORMAL,
    d_state_d_mirror_elements,
    mirror_images,
)
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.state import DRAG

_BLOCKS: Final = 16
"""Number of blocks in which directions are scaled, to save memory: all at once would take ten megabytes."""
_RANGES_MIN: Final = 7
"""Minimum number of ranges to satellites on known orbits: six for an orbit, one for a bias."""


class FoundOrbits(NamedTuple):
    """Orbits of the partners without enough fixes in the hypotheses of a solution.

    Attributes:
        satellites: Radio ids of these partners.
        searched_ms: Length of the arc of the last search, in ms.
        gps_ms: GPS milliseconds of the states.
        states: Position and velocity, GCRF, m and m/s, and log drag factor of each partner in each hypothesis, the best
            hypothesis first, (k, s, 7).
    """

    satellites: tuple[int, ...]
    searched_ms: int
    gps_ms: int
    states: Array


class FormationSearch:
    """Search for the orbits of all partners, based on the orbits known from fixes or, for our own, from the prior.

    The observation equations must have the apparent noise and the loss of the search.
    """

    def __init__(self, equations: Equations, settings: FormationSettings) -> None:
        self._reference = equations.dynamics.reference
        self._known = [number for number, track in enumerate(equations.tracks) if track.is_linear]
        self._equations, self._parameters = equations, equations.prior.mean.copy()
        for satellite in self._known:
            self._parameters[state_indices(satellite)] = equations.tracks[satellite].offset
        # The fit is repeated, because the known orbits determine which of their fixes are outliers, and vice versa.
        for _ in range(6):
            self._equations = equations.folded(self._parameters)
            self._parameters = self._equations.prior.mean
        self._expected_range_noise_m = settings.range_noise_m

    def candidates(self, found: FoundOrbits | None) -> tuple[Array, dict[int, str]]:
        """Return the candidates of the whole formation.

        The first has the best orbits of all groups. In each of the others, one group has another of its candidates, or
        some partners have a mirror image. The orbits are those of the hypotheses in `found`, if given.

        Returns:
            All parameters, (k, p), the best first, and the reason why a satellite cannot be searched, by index.
        """
        groups, unsolved = self._groups()
        best, alternatives = self._parameters.copy(), []
        for group in groups if found is None else [[*chain.from_iterable(groups)]]:
            columns = np.concatenate([state_indices(satellite) for satellite in group])
            group_candidates = self._continued(found) if found else self._group_candidates(group)[:, columns]
            best[columns] = group_candidates[0]
            alternatives += [(columns, values) for values in group_candidates[1:]]
        partners = [satellite for satellite in range(1, len(self._equations.satellites)) if satellite not in unsolved]
        for group in connected_groups(partners, self._equations.index_pairs):
            for flipped, image in _mirror_combinations(group):
                columns = np.concatenate([state_indices(satellite) for satellite in flipped])
                mirrored = mirrored_candidates(best[None], flipped, self._reference)[image, 0]
                alternatives.append((columns, mirrored[columns]))
        candidates = np.tile(best, (1 + len(alternatives), 1))
        for candidate, (columns, values) in zip(candidates[1:], alternatives, strict=True):
            candidate[columns] = values
        return candidates, unsolved

    def _groups(self) -> tuple[list[list[int]], dict[int, str]]:
        """Return the partners to search, grouped by ranges between them, and the reason for each partner left out."""
        unsolved = {}
        to_search = []
        for satellite in range(len(self._equations.satellites)):
            if satellite in self._known:
                continue
            count = sum(
                len(rows.range_m)
                for rows in self._equations.ranges
                if satellite in rows.pair and not set(rows.pair).isdisjoint(self._known)
            )
            if count >= _RANGES_MIN:
                to_search.append(satellite)
            else:
                unsolved[satellite] = (
                    f"too few fixes, and {count} ranges to satellites on known orbits ({_RANGES_MIN} needed)"
                )
        return connected_groups(to_search, self._equations.index_pairs), unsolved

    def _continued(self, found: FoundOrbits) -> Array:
        """Return the states of partners at the epoch, (k, 7 s), that lead to the orbits of an earlier solution."""
        dynamics, reference = self._equations.dynamics, self._reference
        at = reference.at(np.array((float(found.gps_ms),)))
        states = found.states.reshape(-1, STATE_SIZE)
        deviations = np.empty_like(states)
        deviations[:, DRAG] = np.expm1(np.minimum(states[:, DRAG] - reference.log_drag, 3.0))
        moved = states[:, :DRAG] - at.state[0] - deviations[:, DRAG:] * at.d_state_d_epoch[0, :, DRAG]
        deviations[:, :DRAG] = np.linalg.solve(at.d_state_d_epoch[0, :, :DRAG], moved.T).T
        constants, node_time = deviations.copy(), reference.node_time(np.array((float(found.gps_ms),)))
        for _ in range(3):  # nonlinear gravity has changed the constants since the epoch
            reached = dynamics.propagate(deviations, partials=False).at(slice(None), node_time)[0]
            deviations = deviations + constants - reached
        return deviations.reshape(len(found.states), -1)

    def _group_candidates(self, group: Sequence[int]) -> Array:
        """Return candidates (k, p) for a group of partners without enough fixes, ordered by cost."""
        # Fewer candidates of each of several partners are kept, because all combinations are tried.
        count_max = 40 if len(group) == 1 else 16
        candidates = self._partner_candidates(group[0], count_max)
        for number, partner in enumerate(group[1:], start=2):
            partner_candidates = self._partner_candidates(partner, count_max)
            merged = np.repeat(candidates, len(partner_candidates), axis=0)
            columns = state_indices(partner)
            merged[:, columns] = np.tile(partner_candidates, (len(candidates), 1))[:, columns]
            subset = self._subset(group[:number])
            reduced = np.tile(subset.prior.mean, (len(merged), 1))
            for place, satellite in enumerate(group[:number], start=len(self._known)):
                reduced[:, state_indices(place)] = merged[:, state_indices(satellite)]
            result = _refine_candidates(subset, reduced, count_max)
            candidates = self._from_subset(subset, result, group[:number], count_max)
        return candidates

    def _partner_candidates(self, partner: int, count_max: int) -> Array:
        """Return candidates (k, p) for one partner from its ranges to satellites on known orbits, ordered by cost."""
        subset, place, reference = self._subset([partner]), len(self._known), self._reference
        candidates = _scaled_to_ranges(subset, place, _search_directions(reference))
        expected = white_noise(np.full(len(subset.pairs), self._expected_range_noise_m), np.ones(place + 1))
        linear = tuple(track._replace(is_linear=True) for track in subset.tracks)
        result = minimise(
            replace(subset, noise=expected, tracks=linear),
            candidates,
            iterations=30,
            tolerance=0.3,
        )
        images = mirrored_candidates(result.parameters, (place,), reference)
        # To limit the cost, only the best 12 minima (mirror images count as one) and their images are refined further.
        chosen = distinct_rows(result, images, place + 1)[:12]
        result = _refine_candidates(subset, images[:, chosen].reshape(-1, subset.parameter_count), count_max)
        return self._from_subset(subset, result, [partner], count_max)

    def _subset(self, partners: Sequence[int]) -> Equations:
        """Return the equations of the known satellites and some partners, with at most 64 ranges of each pair."""
        return self._equations.subset([*self._known, *partners], ranges_max=64)

    def _from_subset(self, subset: Equations, result: Fit, partners: Sequence[int], count_max: int) -> Array:
        """Return the plausible minima of a subset of the satellites as vectors of all parameters, (k, p)."""
        reduced = _plausible_candidates(result, subset, count_max)
        candidates = np.tile(self._parameters, (len(reduced), 1))
        for place, satellite in enumerate(partners, start=len(self._known)):
            candidates[:, state_indices(satellite)] = reduced[:, state_indices(place)]
        return candidates


def orbit_from_fixes(rows: FixEquations) -> Array | None:
    """Return position and velocity (6,) at the epoch, minus the reference, by fixes; None if they determine no orbit.

    Uses linear motion and least absolute residuals (iteratively reweighted least squares), so that outliers in less
    than half of the fixes have little influence.
    """
    available = np.repeat(rows.available, 3, axis=1).reshape(-1)
    design = rows.design.reshape(-1, rows.design.shape[-1])[available, :6]
    residual = rows.residual.reshape(-1)[available]
    if len(residual) < 6:
        return None
    unit = np.sqrt((design**2).sum(axis=0))
    design = design / unit
    # The columns have unit length, so a small singular value means that the fixes leave an element undetermined.
    if np.linalg.svd(design, compute_uv=False)[-1] < 1e-6:
        return None
    weight = np.ones(len(residual))
    solution = np.zeros(6)
    for _ in range(20):
        weighted = design * weight[:, None]
        solution = np.linalg.solve(weighted.T @ design, weighted.T @ residual)
        misfit = (residual - design @ solution).reshape(-1, 3)
        size = np.sqrt((misfit**2).sum(axis=1))
        weight = np.repeat(1.0 / np.maximum(size, 1.0), 3)
    state: Array = solution / unit
    return state


def _refine_candidates(equations: Equations, candidates: Array, count_max: int) -> Fit:
    """Return the distinct minima reached from candidates (k, p) with full motion, ordered by cost.

    Candidates that remain implausible after the first phase are dropped.
    """
    for iterations, tolerance in ((8, 3.0), (25, 0.1)):
        result = minimise(equations, candidates, iterations=iterations, tolerance=tolerance)
        result = distinct_solutions(result, len(equations.satellites))
        candidates = _plausible_candidates(result, equations, count_max)
    return result


def _plausible_candidates(result: Fit, equations: Equations, count_max: int) -> Array:
    """Return the parameters of the minima whose cost is within a margin of the best, at most `count_max`.

    The margin is 200 times the best cost per range, which is taken as at least 1.
    """
    good = max(1.0, float(result.cost[0]) / max(equations.range_count, 1))
    plausible = int((result.cost <= result.cost[0] + 200.0 * good).sum())
    return result.parameters[: min(plausible, count_max)]


def _mirror_combinations(group: Sequence[int]) -> list[tuple[tuple[int, ...], int]]:
    """Return the combinations of partners to mirror and the image of each.

    Normal to the plane, every subset of the group is mirrored; in the plane, each partner alone and all together.
    """
    subsets = [chosen for size in range(1, len(group) + 1) for chosen in combinations(group, size)]
    each_or_all = [chosen for chosen in subsets if len(chosen) in {1, len(group)}]
    return [*((chosen, NORMAL) for chosen in subsets), *product(each_or_all, (IN_PLANE, BOTH))]


def mirrored_candidates(candidates: Array, partners: tuple[int, ...], reference: Reference) -> Array:
    """Return candidates (k, p) with the mirror images of the relative motion of `partners`, shape (4, k, p).

    The images are relative to our orbit in the first candidate, from which that in others differs by metres.
    """
    flipped = np.tile(candidates, (IMAGE_COUNT, 1, 1))
    own = reference.nodes.state[reference.epoch_node] + candidates[0, :6]
    for partner in partners:
        columns = state_indices(partner)[:6]
        flipped[..., columns] = candidates[:, :6] + mirror_images(own, candidates[:, columns] - candidates[:, :6])
    return flipped


def _quasirandom_points(count: int, dimensions: int) -> Array:
    """Return points that fill the cube from -1 to 1 evenly, (count, dimensions).

    Source: M. Roberts, The unreasonable effectiveness of quasirandom sequences (2018). The base of the sequence is
    the root of x^(d + 1) = x + 1, found by iteration.
    """
    root = 1.5
    for _ in range(40):
        root = (1.0 + root) ** (1.0 / (dimensions + 1.0))
    steps = root ** -np.arange(1.0, dimensions + 1.0)
    points: Array = 2.0 * np.remainder(0.5 + np.arange(1.0, count + 1.0)[:, None] * steps, 1.0) - 1.0
    return points


def _search_directions(reference: Reference) -> Array:
    """Return relative states in GCRF whose mirror elements fill a cube evenly, (4096, 6).

    The drift along the track over half the arc has the same weight as the position along it.
    """
    cube = _quasirandom_points(4_096, 6)
    own = reference.nodes.state[reference.epoch_node]
    mean_motion_rad_s = math.sqrt(GM_EARTH_M3_S2 / float(own[:3].dot(own[:3])) ** 1.5)
    cube[:, 0] /= 1.0 + 1.5 * mean_motion_rad_s * NODE_S * reference.epoch_node
    directions: Array = cube @ d_state_d_mirror_elements(own).T
    return directions


def _scaled_to_ranges(equations: Equations, partner: int, directions: Array) -> Array:
    """Return the 128 relative states that, scaled, fit the ranges of one pair best, as parameters (128, p).

    Of the partner's pairs, that with the most ranges is used. A bias that is uncertain to more than 100 m is tried with
    several values, because bias and size of an orbit are hardly separable here.
    """
    pair = max(
        (pair for pair, rows in enumerate(equations.ranges) if partner in rows.pair),
        key=lambda pair: len(equations.ranges[pair].range_m),
    )
    rows, parameters = equations.ranges[pair], equations.prior.mean
    end = rows.pair.index(partner)
    anchor = rows.pair[1 - end]
    thinned = slice(None, None, max(1, len(rows.range_m) // 30))
    design = rows.designs[end][rows.at[thinned], :, :6].reshape(-1, 6)
    bias = STATE_SIZE * len(equations.satellites) + pair
    sigma_m = equations.prior.information[bias, bias] ** -0.5
    biases_m = parameters[bias] + sigma_m * np.array((-1.5, -0.75, 0.0, 0.75, 1.5) if sigma_m > 100.0 else (0.0,))
    scales, misfits = [], []
    for block in np.split(directions, _BLOCKS):
        length = np.sqrt(((design @ block.T).reshape(-1, 3, len(block)) ** 2).sum(axis=1))
        for bias_m in biases_m:
            distance_m = np.maximum(rows.range_m[thinned] - bias_m, 1.0)[:, None]
            scale = (length * distance_m).sum(axis=0) / (length**2).sum(axis=0)
            scales.append(scale)
            misfits.append(np.abs(length * scale + bias_m - rows.range_m[thinned, None]).sum(axis=0))
    # With only 64, all were on one likelihood ridge for 2 of 1080 partners in star formations.
    best = np.argsort(np.concatenate(misfits), kind="stable")[:128]
    # The misfits are ordered by block of directions, then by bias, then by direction in the block.
    size = len(directions) // _BLOCKS
    number, direction = (best // size) % len(biases_m), best // (size * len(biases_m)) * size + best % size
    candidates = np.tile(parameters, (len(best), 1))
    states = slice(STATE_SIZE * partner, STATE_SIZE * partner + 6)
    anchor_state = parameters[STATE_SIZE * anchor : STATE_SIZE * anchor + 6]
    candidates[:, states] = anchor_state + directions[direction] * np.concatenate(scales)[best, None]
    candidates[:, bias] = biases_m[number]
    return candidates

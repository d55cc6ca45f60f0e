"""All orbits of the partners that may be: candidates of each, their combinations, and images of what is found.

Partners between whom there are no ranges have nothing to do with each other once our own orbit is known: their
candidates are not combined but stand beside the best of the others.
"""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.formation.equations import Equations, Prior
from pygnc.estimators.formation.least_squares import Result
from pygnc.estimators.formation.mirror import BOTH, IN_PLANE, NORMAL
from pygnc.estimators.formation.reference import UNKNOWNS, of_satellite
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.starts import (
    CANDIDATES,
    CANDIDATES_OF_MANY,
    Around,
    flips,
    from_ranges,
    hopeful,
    scattered,
    searched,
)
from pygnc.estimators.orbit.state import DRAG

RANGES_MIN: Final = 7
"""Fewer ranges to satellites whose orbits are known do not tell an orbit and a bias."""
_RANGES_MAX: Final = 64
"""Of a pair, in the search."""
_TRIES: Final = 3
"""Rounds of variations, as long as they find something better."""
_BETTER: Final = 1.0


class Known(NamedTuple):
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


def candidates(equations: Equations, known: Known, around: Around) -> Candidates:
    """Starts for the whole formation: what fits best, every other candidate of each group, every image."""
    groups, lost = _groups(equations, known)
    base, others = known.guess.copy(), []
    for group in groups:
        columns = np.concatenate([of_satellite(satellite) for satellite in group])
        found = _search(equations, known, group, around)[:, columns]
        base[columns] = found[0]
        others += [(columns, values) for values in found[1:]]
    partners = [satellite for satellite in range(1, len(equations.satellites)) if satellite not in lost]
    for group in connected(equations, partners):
        for flipped, image in _flips(group):
            columns = np.concatenate([of_satellite(satellite) for satellite in flipped])
            others.append((columns, flips(base[None], flipped, around.reference)[image, 0][columns]))
    guesses = np.tile(base, (1 + len(others), 1))
    for guess, (columns, values) in zip(guesses[1:], others, strict=True):
        guess[columns] = values
    return Candidates(guesses, lost)


def _flips(group: Sequence[int]) -> list[tuple[tuple[int, ...], int]]:
    """Which partners are flipped together, and how: any normal to the plane; each or all in it."""
    some = [chosen for size in range(1, len(group) + 1) for chosen in combinations(group, size)]
    each_or_all = [chosen for chosen in some if len(chosen) in {1, len(group)}]
    return [*((chosen, NORMAL) for chosen in some), *product(each_or_all, (IN_PLANE, BOTH))]


def _search(equations: Equations, known: Known, group: Sequence[int], around: Around) -> Array:
    """Guesses (k, p) for a group of partners without enough fixes, the best first.

    Partners join one by one: all that fits so far is combined with all orbits that fit the next one's ranges.
    """
    most = CANDIDATES if len(group) == 1 else CANDIDATES_OF_MANY
    together, guesses = [group[0]], _alone(equations, known, group[0], around, most)
    for partner in group[1:]:
        alone = _alone(equations, known, partner, around, most)
        together = [*together, partner]
        starts = np.repeat(guesses, len(alone), axis=0)
        starts[:, of_satellite(partner)] = np.tile(alone, (len(guesses), 1))[:, of_satellite(partner)]
        some = [*known.satellites, *together]
        part = equations.subset(some, _prior(equations, known, some, around.settings), together, _RANGES_MAX)
        result = searched(part, around, _narrowed(equations, part, starts), most)
        if len(together) == len(group):
            result = _varied(part, result, [some.index(one) for one in group], around, most)
        guesses = _widened(equations, known, part, result.guesses[hopeful(result, part, most)])
    return guesses


def _varied(part: Equations, result: Result, group: Sequence[int], around: Around, most: int) -> Result:
    """Better guesses from variations of the best, of one partner's motion normal to the plane or of several."""
    for _ in range(_TRIES):
        best = result.guesses[:1]
        some = [flips(best, flipped, around.reference)[image] for flipped, image in _flips(group)]
        some.append(scattered(best[0], group, around.reference))
        fit = float(result.fit.cost[0])
        result = searched(part, around, np.concatenate((result.guesses[hopeful(result, part, most)], *some)), most)
        if float(result.fit.cost[0]) > fit - _BETTER:
            break
    return result


def _alone(equations: Equations, known: Known, partner: int, around: Around, most: int) -> Array:
    """Guesses (k, p) for one partner by its own observations and its ranges to those known."""
    some = [*known.satellites, partner]
    part = equations.subset(some, _prior(equations, known, some, around.settings), [partner], _RANGES_MAX)
    result = from_ranges(part, len(some) - 1, part.prior.mean, around, most)
    result = _varied(part, result, [len(some) - 1], around, most)
    return _widened(equations, known, part, result.guesses[hopeful(result, part, most)])


def _narrowed(equations: Equations, part: Equations, guesses: Array) -> Array:
    """Guesses (k, p) of all unknowns for some satellites' equations."""
    narrow = np.tile(part.prior.mean, (len(guesses), 1))
    for number, identity in enumerate(part.satellites):
        narrow[:, of_satellite(number)] = guesses[:, of_satellite(equations.satellites.index(identity))]
    return narrow


def _widened(equations: Equations, known: Known, part: Equations, narrow: Array) -> Array:
    """The reverse; those known keep what their fixes say."""
    guesses = np.tile(known.guess, (len(narrow), 1))
    for number, identity in enumerate(part.satellites):
        satellite = equations.satellites.index(identity)
        if satellite not in known.satellites:
            guesses[:, of_satellite(satellite)] = narrow[:, of_satellite(number)]
    return guesses


def _prior(equations: Equations, known: Known, some: Sequence[int], settings: FormationSettings) -> Prior:
    """Of the unknowns of some satellites, with those known held by what their fixes say."""
    pairs = len(equations.pairs_among(some))
    states = UNKNOWNS * len(some)
    mean, information = np.zeros(states + pairs), np.zeros((states + pairs, states + pairs))
    mean[states:] = settings.range_bias_m
    biases = np.arange(states, states + pairs)
    information[biases, biases] = settings.range_bias_sigma_m**-2.0
    whole = equations.prior.information
    for number, satellite in enumerate(some):
        here, there = of_satellite(number), of_satellite(satellite)
        if satellite in known.satellites:
            mean[here] = known.guess[there]
            information[here[:, None], here] = known.information[satellite]
        else:
            information[here[:, None], here] = whole[there[:, None], there]
            mean[here[DRAG]] = known.guess[DRAG]
    return Prior(mean, information)


def _groups(equations: Equations, known: Known) -> tuple[list[list[int]], dict[int, str]]:
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
    return connected(equations, searched), lost


def connected(equations: Equations, some: Sequence[int]) -> list[list[int]]:
    """Satellites, by index, in groups that have ranges among themselves."""
    group = {satellite: satellite for satellite in some}
    for rows in equations.ranges:
        one, other = rows.pair
        if one in group and other in group:
            joined, kept = group[other], group[one]
            group = {satellite: kept if label == joined else label for satellite, label in group.items()}
    labels = sorted(set(group.values()))
    return [[satellite for satellite in some if group[satellite] == label] for label in labels]

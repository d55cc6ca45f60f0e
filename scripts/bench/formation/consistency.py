"""Whether errors along curved valleys are as large as their covariance says."""

from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np
from scipy.stats import kstest

from pygnc.estimators.formation.least_squares import SAME
from pygnc_ground.campaign.formation_accuracy import SCORED, bound_of, motion_of, score_of, solved_to_judge
from pygnc_ground.campaign.formation_posterior import Expected, Homes, expected_of, homes_of
from pygnc_ground.campaign.formation_world import Kind, formation_world
from pygnc_ground.orbit.consistency import band
from pygnc_ground.orbit.solution import FloatArray
from scripts.bench.formation.cases import KINDS, STAR, head, line

_SEEDS: Final = 6
"""For each seed asked for: as many measurements as `accuracy` makes, but each of another geometry."""
_ELEMENTS: Final = 6


class Seed(NamedTuple):
    """One geometry, measured once."""

    nees: FloatArray
    """Of each partner"""
    homes: Homes
    expected: Expected
    """Of one partner, each in turn"""


def print_consistency(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """NEES of the hypotheses in whose valleys the truth lies, whatever their errors, and what they are to be."""
    count = _SEEDS * seeds
    runs = {kind: list(pool.map(seed_of, repeat(kind), range(count))) for kind in KINDS}
    print(f"\n{count} geometries of each kind, four satellites, each measured once: {STAR.name}.\n")
    head("formation", "partners", "truth's valley not among hypotheses", "NEES", "its band", "median")
    for kind, run in runs.items():
        nees = np.array([seed.nees for seed in run])
        distance = np.array([seed.homes.distance for seed in run])
        line(
            kind.value,
            str(nees.size),
            str(int((distance > SAME).sum())),
            f"{nees.mean():.2f} ± {_scatter(nees.mean(axis=1)):.2f}",
            "{:.2f} to {:.2f}".format(*band(_ELEMENTS, nees.size)),
            f"{np.median(nees):.2f}",
        )
    print(f"\nWhat the observations make expect, of {count} partners of each kind:\n")
    head("formation", "NEES expected", "its band", "scatter of one, 3.46 if normal", "where the truth's are: p-value")
    for kind, run in runs.items():
        mean, variance, below = (np.array(values) for values in zip(*(seed.expected for seed in run), strict=True))
        line(
            kind.value,
            f"{mean.mean():.2f} ± {_scatter(mean):.2f}",
            "{:.2f} to {:.2f}".format(*band(_ELEMENTS, count)),
            f"{np.sqrt(variance.mean()):.2f}",
            f"{kstest(below, 'uniform').pvalue:.2f}",
        )


def seed_of(kind: Kind, seed: int) -> Seed:
    """Measure, solve, and look what else the observations allow."""
    world = formation_world(seed, kind)
    motion = motion_of(world)
    estimate, judged = solved_to_judge(world, world.records(STAR), motion.gps_ms[SCORED])
    homes = homes_of(judged)
    partner = seed % len(homes.hypothesis)
    expected = expected_of(judged.alone(partner + 1), int(homes.hypothesis[partner]))
    return Seed(score_of(estimate, bound_of(world, motion, STAR), homes.hypothesis).nees, homes, expected)


def _scatter(values: FloatArray) -> float:
    """Of the mean of independent values."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))

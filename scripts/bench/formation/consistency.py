"""Whether errors along curved valleys are as large as their covariance says."""

from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np
from scipy.stats import kstest

from pygnc.estimators.formation.least_squares import SAME_ORBIT_LIMIT
from pygnc_ground.campaign.formation_accuracy import (
    SCORED_EPOCHS,
    score_estimate,
    solve_with_truth,
    true_motion,
    world_bound,
)
from pygnc_ground.campaign.formation_posterior import ExpectedNees, TrueHypotheses, expected_nees, true_hypotheses
from pygnc_ground.campaign.formation_world import FormationKind, formation_world
from pygnc_ground.orbit.consistency import band
from pygnc_ground.orbit.solution import FloatArray
from scripts.bench.formation.cases import KINDS, STAR, print_header, print_row

_SEEDS: Final = 6
"""For each seed asked for: as many measurements as `accuracy` makes, but each of another geometry."""
_ELEMENTS: Final = 6


class Seed(NamedTuple):
    """One geometry, measured once."""

    nees: FloatArray
    """Of each partner"""
    homes: TrueHypotheses
    expected: ExpectedNees
    """Of one partner, each in turn"""


def print_consistency(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """NEES of the hypotheses in whose valleys the truth lies, whatever their errors, and what they are to be."""
    count = _SEEDS * seeds
    runs = {kind: list(pool.map(measure_seed, repeat(kind), range(count))) for kind in KINDS}
    print(f"\n{count} geometries of each kind, four satellites, each measured once: {STAR.name}.\n")
    print_header("formation", "partners", "truth's valley not among hypotheses", "NEES", "its band", "median")
    for kind, run in runs.items():
        nees = np.array([seed.nees for seed in run])
        distance = np.array([seed.homes.distance for seed in run])
        print_row(
            kind.value,
            str(nees.size),
            str(int((distance > SAME_ORBIT_LIMIT).sum())),
            f"{nees.mean():.2f} ± {_scatter(nees.mean(axis=1)):.2f}",
            "{:.2f} to {:.2f}".format(*band(_ELEMENTS, nees.size)),
            f"{np.median(nees):.2f}",
        )
    print(f"\nWhat the observations make expect, of {count} partners of each kind:\n")
    print_header(
        "formation", "NEES expected", "its band", "scatter of one, 3.46 if normal", "where the truth's are: p-value"
    )
    for kind, run in runs.items():
        mean, variance, below = (np.array(values) for values in zip(*(seed.expected for seed in run), strict=True))
        print_row(
            kind.value,
            f"{mean.mean():.2f} ± {_scatter(mean):.2f}",
            "{:.2f} to {:.2f}".format(*band(_ELEMENTS, count)),
            f"{np.sqrt(variance.mean()):.2f}",
            f"{kstest(below, 'uniform').pvalue:.2f}",
        )


def measure_seed(kind: FormationKind, seed: int) -> Seed:
    """Measure, solve, and look what else the observations allow."""
    world = formation_world(seed, kind)
    motion = true_motion(world)
    estimate, judged = solve_with_truth(world, world.records(STAR), motion.gps_ms[SCORED_EPOCHS])
    homes = true_hypotheses(judged)
    partner = seed % len(homes.hypothesis)
    expected = expected_nees(judged.alone(partner + 1), int(homes.hypothesis[partner]))
    return Seed(score_estimate(estimate, world_bound(world, motion, STAR), homes.hypothesis).nees, homes, expected)


def _scatter(values: FloatArray) -> float:
    """Of the mean of independent values."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))

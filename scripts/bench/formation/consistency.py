"""Consistency of covariances on curved likelihood ridges."""

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
"""Geometries per requested seed: as many measurements as `print_accuracy` makes, each of another geometry."""
_ELEMENTS: Final = 6


class Seed(NamedTuple):
    """One geometry, measured once."""

    nees: FloatArray
    """NEES of each partner"""
    true_orbits: TrueHypotheses
    expected: ExpectedNees
    """Expected NEES of one partner; the partners take turns"""


def print_consistency(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """Print NEES of the hypotheses that contain the truth, and the NEES that the observations make expect."""
    count = _SEEDS * seeds
    runs = {kind: list(pool.map(measure_seed, repeat(kind), range(count))) for kind in KINDS}
    print(f"\n{count} geometries of each kind, four satellites, each measured once: {STAR.name}.\n")
    print_header("formation", "partners", "truth missing", "NEES", "95 % band", "median")
    for kind, run in runs.items():
        nees = np.array([seed.nees for seed in run])
        distance = np.array([seed.true_orbits.distance for seed in run])
        print_row(
            kind.value,
            str(nees.size),
            str(int((distance > SAME_ORBIT_LIMIT).sum())),
            f"{nees.mean():.2f} ± {_scatter(nees.mean(axis=1)):.2f}",
            "{:.2f} to {:.2f}".format(*band(_ELEMENTS, nees.size)),
            f"{np.median(nees):.2f}",
        )
    print(f"\nNEES expected from posterior samples, {count} partners of each kind:\n")
    print_header("formation", "NEES expected", "95 % band", "scatter", "p-value")
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
    """Measure and solve one geometry, and sample its posterior."""
    world = formation_world(seed, kind)
    motion = true_motion(world)
    estimate, judged = solve_with_truth(world, world.records(STAR), motion.gps_ms[SCORED_EPOCHS])
    true_orbits = true_hypotheses(judged)
    partner = seed % len(true_orbits.hypothesis)
    expected = expected_nees(judged.alone(partner + 1), int(true_orbits.hypothesis[partner]))
    return Seed(
        score_estimate(estimate, world_bound(world, motion, STAR), true_orbits.hypothesis).nees, true_orbits, expected
    )


def _scatter(values: FloatArray) -> float:
    """Return the standard deviation of the mean of independent values."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))

"""Whether errors along curved valleys are as large as their covariance says."""

from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Final

import numpy as np

from pygnc.estimators.formation.distinct import SAME
from pygnc_ground.campaign.formation import formation_world
from pygnc_ground.campaign.formation_geometry import Kind
from pygnc_ground.campaign.formation_score import SCORED, bound_of, motion_of, score_of
from pygnc_ground.campaign.formation_solver import solved_with_homes
from pygnc_ground.orbit.consistency import band
from pygnc_ground.orbit.solution import FloatArray
from scripts.formation.cases import KINDS, STAR
from scripts.formation.tables import head, line

_SEEDS: Final = 6
"""For each seed asked for: as many measurements as `accuracy` makes, but each of another geometry."""
_ELEMENTS: Final = 6


def print_consistency(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """NEES of the hypotheses in whose valleys the truth lies, whatever their errors; all partners count."""
    count = _SEEDS * seeds
    print(f"\n{count} geometries of each kind, four satellites, each measured once.\n")
    head("what", "formation", "partners", "truth's valley not among hypotheses", "NEES", "its band", "median")
    for kind in KINDS:
        judged = np.array(list(pool.map(judged_of_seed, repeat(kind), range(count))))
        nees, distance = judged[:, 0], judged[:, 1]
        scatter = nees.mean(axis=1).std(ddof=1) / np.sqrt(count)
        line(
            STAR.name,
            kind.value,
            str(nees.size),
            str(int((distance > SAME).sum())),
            f"{nees.mean():.2f} ± {scatter:.2f}",
            "{:.2f} to {:.2f}".format(*band(_ELEMENTS, nees.size)),
            f"{np.median(nees):.2f}",
        )


def judged_of_seed(kind: Kind, seed: int) -> FloatArray:
    """NEES, and how far the truth's valley is from the hypothesis, of each partner, (2, p)."""
    world = formation_world(seed, kind)
    motion = motion_of(world)
    estimate, homes = solved_with_homes(world, world.records(STAR), motion.gps_ms[SCORED])
    return np.stack((score_of(estimate, bound_of(world, motion, STAR), homes.hypothesis).nees, homes.distance))

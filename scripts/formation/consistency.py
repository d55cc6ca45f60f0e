"""Whether errors along curved valleys are as large as their covariance says."""

from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Final

import numpy as np

from pygnc_ground.campaign.formation import formation_world
from pygnc_ground.campaign.formation_geometry import Kind
from pygnc_ground.campaign.formation_score import FormationScore, motion_of
from pygnc_ground.orbit.consistency import band
from scripts.formation.accuracy import scatter_of
from scripts.formation.cases import KINDS, STAR, Geometry, geometry_of, pooled
from scripts.formation.tables import head, line

_ELEMENTS: Final = 6
_SEEDS: Final = 6
"""For each seed asked for: as many measurements as `accuracy` makes, but each of another geometry."""


def print_consistency(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """NEES of the right hypothesis in stars, each geometry measured once."""
    count = _SEEDS * seeds
    print(f"\n{count} geometries of each kind, four satellites, each measured once.\n")
    head("what", "formation", "partners", "truth not among hypotheses", "NEES", "its band", "median")
    for kind in KINDS:
        geometries = list(pool.map(geometry_of_seed, repeat(kind), range(count)))
        scores: list[FormationScore] = [score for geometry in geometries for score in geometry.scores]
        found = pooled(scores, "found") > 0.0
        nees = pooled(scores, "nees")[found]
        line(
            STAR.name,
            kind.value,
            str(len(found)),
            str(int((~found).sum())),
            f"{nees.mean():.2f} ± {scatter_of(geometries):.2f}",
            "{:.2f} to {:.2f}".format(*band(_ELEMENTS, len(nees))),
            f"{np.median(nees):.2f}",
        )


def geometry_of_seed(kind: Kind, seed: int) -> Geometry:
    """Partners of one geometry have only our own orbit in common."""
    world = formation_world(seed, kind)
    return geometry_of([(world, motion_of(world))], STAR)

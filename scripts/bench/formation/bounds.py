"""How small errors can be at all."""

from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

from pygnc_ground.campaign.formation import formation_world
from pygnc_ground.campaign.formation_geometry import Kind
from pygnc_ground.campaign.formation_score import bound_of, motion_of
from scripts.bench.formation.cases import CASES, DOUBTFUL, STAR
from scripts.bench.formation.tables import head, line, spread


def print_bounds(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """Medians and extremes over the geometries."""
    print(f"\nCramer-Rao bound of the relative position, m, {seeds} geometries of each kind: median (least to most).\n")
    head("what", *(kind.value for kind in Kind))
    found = {kind: list(pool.map(bounds_of_seed, repeat(kind), range(seeds))) for kind in Kind}
    names = [case.instruments.name for case in CASES] + [each.name for each in DOUBTFUL if each is not STAR]
    for row, name in enumerate(dict.fromkeys(names)):
        line(name, *(spread([bounds[row] for bounds in found[kind]]) for kind in Kind))


def bounds_of_seed(kind: Kind, seed: int) -> list[float]:
    """In the order of the table."""
    world = formation_world(seed, kind)
    motion = motion_of(world)
    every = [case.instruments for case in CASES] + [each for each in DOUBTFUL if each is not STAR]
    named = {each.name: each for each in every}
    return [bound_of(world, motion, each).rms_all_m for each in named.values()]

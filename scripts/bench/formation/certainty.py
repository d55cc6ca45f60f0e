"""How often something is claimed that is not the truth."""

from concurrent.futures import ProcessPoolExecutor
from typing import Final

from pygnc_ground.campaign.formation import formation_world
from pygnc_ground.campaign.formation_geometry import Kind
from pygnc_ground.campaign.formation_score import FormationScore, motion_of
from scripts.bench.formation.cases import DOUBTFUL, FEW_FIXES, MESH_ONE, STAR_FEW, STAR_FINE, TWO, geometry_of, pooled
from scripts.bench.formation.tables import head, line


def print_certainty(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """How often a hypothesis is claimed that is not the truth."""
    count = 10 * seeds
    print(f"\n{count} geometries, all kinds in turn, each in a third of the cases. Partners:\n")
    head(
        "what",
        "satellites",
        "formation",
        "partners",
        "best hypothesis wrong",
        "truth not among hypotheses",
        "ambiguous",
        "unsolved",
        "wrong and certain",
    )
    kinds = [list(Kind)[seed % len(Kind)] for seed in range(count)]
    runs = list(pool.map(doubts_of_seed, kinds, range(count)))
    for instruments, satellites in DOUBTS:
        for kind in Kind:
            case = instruments.name, satellites
            scores = [run[case] for run, each in zip(runs, kinds, strict=True) if each is kind and case in run]
            if not scores:
                continue
            columns = [pooled(scores, name) for name in ("wrong", "found", "ambiguous", "unsolved")]
            wrong, found, ambiguous, unsolved = columns
            false_claims = sum(score.wrong_and_certain for score in scores)
            sums = (wrong.sum(), len(wrong) - found.sum(), ambiguous.sum(), unsolved.sum(), false_claims)
            line(instruments.name, str(satellites), kind.value, str(len(wrong)), *(f"{each:.0f}" for each in sums))


DOUBTS: Final = (
    *((instruments, 4) for instruments in DOUBTFUL),
    (STAR_FINE, 2),
    (MESH_ONE, 3),
    (FEW_FIXES, 4),
    (TWO, 4),
    (STAR_FEW, 4),
)


def doubts_of_seed(kind: Kind, seed: int) -> dict[tuple[str, int], FormationScore]:
    """By instruments and number of satellites; every third case, so that each meets each kind."""
    world = formation_world(seed, kind)
    scores = {}
    for instruments, satellites in DOUBTS[seed // len(Kind) % 3 :: 3]:
        some = world.first(satellites)
        scores[instruments.name, satellites] = geometry_of([(some, motion_of(some))], instruments).scores[0]
    return scores

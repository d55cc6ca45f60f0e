"""Measure what docs/benchmarks.md shows of the formation: errors beside bounds, false certainty, a peer, speed.

Usage: python scripts/bench_formation.py [--seeds N] [--draws N] [--part bound|accuracy|certainty|peer|speed]

Every seed is a formation of its own: epoch, orbit from 400 to 600 km, relative states, drag of all and of each. The
truth is the scenario generator's, with forces that no estimator here has. Each seed is measured several times with
other noise. Errors are those of relative positions, 3-D, RMS over 64 minutes. For certainty there are ten times as many
seeds. Prints Markdown tables; repeated, they are the same numbers, speed aside.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np

from pygnc_ground.campaign.formation import RANGE_BIAS_M, FormationWorld, Instruments, Records, formation_world
from pygnc_ground.campaign.formation_geometry import Kind
from pygnc_ground.campaign.formation_score import (
    SCORED,
    FormationScore,
    bound_of,
    motion_of,
    rms_over_moments,
    score_of,
)
from pygnc_ground.campaign.formation_solver import solved
from pygnc_ground.formation.bound import FormationBound, FormationMotion
from pygnc_ground.formation.reference import PairRanges, on_the_track, solve_pair
from pygnc_ground.formation.relative import rtn_from_gcrf
from pygnc_ground.orbit.consistency import band
from pygnc_ground.orbit.solution import FloatArray


class Case(NamedTuple):
    """One line of the table of accuracy."""

    instruments: Instruments
    limit: float
    """Of error over bound"""


MESH_ALL: Final = Instruments("mesh, 1 m, GPS on all", range_noise_m=1.0, mesh=True, fixed=4)
MESH_ONE: Final = Instruments("mesh, 1 m, GPS on one", range_noise_m=1.0, mesh=True, fixed=1)
MESH_COARSE: Final = Instruments("mesh, 10 m, GPS on one", range_noise_m=10.0, mesh=True, fixed=1)
STAR: Final = Instruments("star, 10 m, GPS on one", range_noise_m=10.0, mesh=False, fixed=1)
STAR_FINE: Final = Instruments("star, 1 m, GPS on one", range_noise_m=1.0, mesh=False, fixed=1)
CASES: Final = (
    Case(
        Instruments("mesh, 1 m, biases known, GPS on all", range_noise_m=1.0, mesh=True, fixed=4, bias_sigma_m=0.0), 1.3
    ),
    Case(MESH_ALL, 1.3),
    Case(
        Instruments("mesh, 1 m, biases known, GPS on one", range_noise_m=1.0, mesh=True, fixed=1, bias_sigma_m=0.0), 1.5
    ),
    Case(MESH_ONE, 1.5),
    Case(Instruments("mesh, 10 m, GPS on all", range_noise_m=10.0, mesh=True, fixed=4), 1.3),
    Case(STAR, 2.0),
)
KINDS: Final = (Kind.FREE, Kind.BOUNDED)
DOUBTFUL: Final = (STAR, STAR_FINE, MESH_COARSE, MESH_ONE)
"""What only one satellite's GPS is known to."""
FEW_FIXES: Final = Instruments(
    "mesh, 10 m, GPS on one, 3 fixes of another", range_noise_m=10.0, mesh=True, fixed=2, partner_fixes=3
)
TWO: Final = Instruments("mesh, 1 m, GPS on two", range_noise_m=1.0, mesh=True, fixed=2)
STAR_FEW: Final = Instruments(
    "star, 10 m, GPS on one, 3 fixes of each", range_noise_m=10.0, mesh=False, fixed=4, partner_fixes=3
)
"""What may tell the truth from its images, or not."""


class Geometry(NamedTuple):
    """One seed of one kind in one case."""

    bound: FormationBound
    scores: list[FormationScore]


# --- Bound ----------------------------------------------------------------------------------------------------------


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


# --- Accuracy -------------------------------------------------------------------------------------------------------


def print_accuracy(seeds: int, draws: int, pool: ProcessPoolExecutor) -> None:
    """Errors of the right hypothesis over the bound of each geometry."""
    print(f"\n{seeds} geometries of each kind, each measured {draws} times.\n")
    head(
        "what",
        "formation",
        "bound, m",
        "error / bound: RMS, median, worst",
        "limit",
        "worst of an efficient estimator",
        "above the limit and not flagged",
        "ambiguous, unsolved",
        "truth not among hypotheses",
        "NEES",
        "its band",
        "wrong and certain",
    )
    for kind in KINDS:
        seedwise = list(pool.map(geometries_of_seed, repeat(kind), range(seeds), repeat(draws)))
        for row, case in enumerate(CASES):
            print_case(case, kind, [geometries[row] for geometries in seedwise])


def geometries_of_seed(kind: Kind, seed: int, draws: int) -> list[Geometry]:
    """All cases of one seed."""
    world = formation_world(seed, kind)
    motion = motion_of(world)
    return [geometry_of(world, motion, case.instruments, range(draws)) for case in CASES]


def geometry_of(
    world: FormationWorld, motion: FormationMotion, instruments: Instruments, draws: Iterable[int]
) -> Geometry:
    """One world, measured several times."""
    bound = bound_of(world, motion, instruments)
    scores = [score_of(solved(world, world.records(instruments, draw), motion.gps_ms[SCORED]), bound) for draw in draws]
    return Geometry(bound, scores)


def print_case(case: Case, kind: Kind, geometries: Sequence[Geometry]) -> None:
    """One line."""
    scores = [score for geometry in geometries for score in geometry.scores]
    ratios = [ratio_of(geometry) for geometry in geometries if any(score.found.any() for score in geometry.scores)]
    flagged = [all(score.flagged.any() for score in geometry.scores) for geometry in geometries]
    missed = sum(
        ratio_of(geometry) > case.limit and not doubted for geometry, doubted in zip(geometries, flagged, strict=True)
    )
    found = pooled(scores, "found") > 0.0
    nees = pooled(scores, "nees")[found]
    line(
        case.instruments.name,
        kind.value,
        spread([geometry.bound.rms_all_m for geometry in geometries]),
        f"{rms(ratios):.2f}, {np.median(ratios):.2f}, {max(ratios):.2f}",
        f"{case.limit:g}",
        f"{chance_of(geometries):.2f}",
        f"{missed} of {len(geometries)}",
        f"{percent(scores, 'ambiguous')}, {percent(scores, 'unsolved')}",
        f"{(~found).sum()} of {len(found)}",
        f"{nees.mean():.2f}",
        "{:.2f} to {:.2f}".format(*band(6, len(nees))),
        f"{sum(score.wrong_and_certain for score in scores)} of {len(found)}",
    )


def ratio_of(geometry: Geometry) -> float:
    """Error over bound of the partners whose true orbit is among the hypotheses, all draws together; NaN for none."""
    found = pooled(geometry.scores, "found") > 0.0
    error_m, bound_m = (pooled(geometry.scores, name)[found] for name in ("right_error_m", "bound_m"))
    return rms(error_m) / rms(bound_m) if found.any() else float("nan")


def pooled(scores: Sequence[FormationScore], name: str) -> FloatArray:
    """One figure of all partners of all runs."""
    return np.concatenate([getattr(score, name) for score in scores]).astype(np.float64)


def percent(scores: Sequence[FormationScore], flag: str) -> str:
    """Share of the partners for which it is true."""
    return f"{100.0 * pooled(scores, flag).mean():.0f} %"


def chance_of(geometries: Sequence[Geometry]) -> float:
    """What the worst ratio of an estimator whose errors are as large as the bound exceeds in half of all cases."""
    draw = np.random.default_rng(1)
    worst = np.zeros(200)
    for bound, scores in geometries:
        errors_m = bound.draw_rms_m(len(worst) * len(scores), draw).reshape(len(worst), -1)
        worst = np.maximum(worst, np.sqrt((errors_m**2).mean(axis=1)) / bound.rms_all_m)
    return float(np.median(worst))


# --- Certainty ------------------------------------------------------------------------------------------------------


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
        scores[instruments.name, satellites] = geometry_of(some, motion_of(some), instruments, (0,)).scores[0]
    return scores


# --- Peer -----------------------------------------------------------------------------------------------------------


class Contest(NamedTuple):
    """RMS errors of one formation in m and processor seconds, in the order of `CONTESTANTS`."""

    bound_m: float
    error_m: tuple[float, ...]
    seconds: tuple[float, ...]


CONTESTANTS: Final = (
    "PyGNC, best hypothesis",
    "PyGNC, right hypothesis",
    "peer, from the track at the first range",
    "peer, from 100 m and 0.1 m/s off the truth",
)


def print_peer(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """Star of ranges against SciPy's Levenberg-Marquardt per partner, which knows our own orbit from the truth."""
    print(f"\n{seeds} geometries of each kind, four satellites, ranges to our own only.\n")
    head("what", "formation", "estimator", "error, m: median", "within 3 x the bound", "s per formation")
    for kind in KINDS:
        for instruments in (STAR, STAR_FINE):
            contests = list(pool.map(contest_of_seed, repeat(instruments), repeat(kind), range(seeds)))
            for number, name in enumerate(CONTESTANTS):
                near = sum(contest.error_m[number] < 3.0 * contest.bound_m for contest in contests)
                line(
                    instruments.name,
                    kind.value,
                    name,
                    f"{np.median([contest.error_m[number] for contest in contests]):.1f}",
                    f"{near} of {len(contests)}",
                    f"{np.median([contest.seconds[number] for contest in contests]):.2f}",
                )


def contest_of_seed(instruments: Instruments, kind: Kind, seed: int) -> Contest:
    """All on the same ranges."""
    world = formation_world(seed, kind)
    motion = motion_of(world)
    records = world.records(instruments)
    geometry = geometry_of(world, motion, instruments, (0,))
    score = geometry.scores[0]
    peers = [peer_of(records, motion, begin) for begin in (start_on_the_track, start_near_the_truth)]
    return Contest(
        geometry.bound.rms_all_m,
        (rms(score.error_m), rms(score.right_error_m), *(error_m for error_m, _ in peers)),
        (score.seconds, score.seconds, *(seconds for _, seconds in peers)),
    )


Start = Callable[[FloatArray, FloatArray, float], FloatArray]


def peer_of(records: Records, motion: FormationMotion, begin: Start) -> tuple[float, float]:
    """Error over all partners in m, and processor seconds."""
    ranges, own = records.ranges, motion.states_gcrf[0]
    errors_m = []
    began = time.process_time()
    for partner in range(1, len(motion.states_gcrf)):
        mine = ranges.other == partner
        of_pair = PairRanges(
            ranges.gps_ms[mine],
            ranges.range_m[mine],
            records.instruments.range_noise_m,
            RANGE_BIAS_M,
            records.instruments.bias_sigma_m,
        )
        truth = motion.states_gcrf[partner] - own
        start = begin(own[0], truth[0], float(of_pair.range_m[0]) - RANGE_BIAS_M)
        errors_m.append(float(rms_over_moments(solve_pair(of_pair, own[0], start, motion.gps_ms) - truth)))
    return rms(errors_m), time.process_time() - began


def start_on_the_track(own: FloatArray, _truth: FloatArray, distance_m: float) -> FloatArray:
    """All that a range tells at once."""
    return on_the_track(distance_m, own)


def start_near_the_truth(own: FloatArray, truth: FloatArray, _distance_m: float) -> FloatArray:
    """Somebody has told it nearly all."""
    near: FloatArray = rtn_from_gcrf(own) @ truth + np.repeat((58.0, 0.058), 3)
    return near


# --- Speed ----------------------------------------------------------------------------------------------------------


def print_speed(_seeds: int, _draws: int, _pool: ProcessPoolExecutor) -> None:
    """Processor time of four satellites by the length of the arc."""
    print()
    head("four satellites", "1 h", "3 h", "limit for 3 h")
    worlds = [formation_world(1, Kind.BOUNDED, minutes=60 * hours) for hours in (1, 3)]
    for instruments in (MESH_ALL, MESH_ONE, STAR):
        seconds = [
            min(solved(world, world.records(instruments), world.moments_gps_ms[:1]).seconds for _ in range(2))
            for world in worlds
        ]
        line(instruments.name, *(f"{each:.2f} s" for each in seconds), "5 s")


# --- Tables ---------------------------------------------------------------------------------------------------------


def spread(values: Sequence[float]) -> str:
    """Median and extremes."""
    return f"{np.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


def rms(values: Sequence[float] | Sequence[FloatArray] | FloatArray) -> float:
    """Root mean square of all."""
    return float(np.sqrt(np.mean(np.square(values))))


def head(*names: str) -> None:
    """Print the head of a table."""
    line(*names)
    print("|" + "---|" * len(names))


def line(*fields: str) -> None:
    """Print a line of a table."""
    print("| " + " | ".join(fields) + " |", flush=True)


PARTS: Final[dict[str, Callable[[int, int, ProcessPoolExecutor], None]]] = {
    "bound": print_bounds,
    "accuracy": print_accuracy,
    "certainty": print_certainty,
    "peer": print_peer,
    "speed": print_speed,
}


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--part", choices=list(PARTS))
    arguments = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        for name, part in PARTS.items():
            if arguments.part in {None, name}:
                part(arguments.seeds, arguments.draws, pool)
    return 0


if __name__ == "__main__":
    sys.exit(main())

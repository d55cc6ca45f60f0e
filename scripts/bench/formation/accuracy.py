"""Bounds, errors over bounds, and frequency of wrong claims."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Final

import numpy as np

from pygnc_ground.campaign.formation_accuracy import FormationScore, true_motion, world_bound
from pygnc_ground.campaign.formation_world import FormationKind, formation_world
from pygnc_ground.orbit.consistency import band
from scripts.bench.formation.cases import (
    CASES,
    FEW_FIXES,
    KINDS,
    MESH_ONE,
    OWN_GPS_ONLY,
    STAR,
    STAR_FEW,
    STAR_FINE,
    TWO,
    Case,
    Geometry,
    measure_geometry,
    median_and_range,
    pooled,
    print_header,
    print_row,
    rms,
)


def print_bounds(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """Print medians and extremes of the Cramer-Rao bounds over the geometries."""
    print(
        f"\nCramer-Rao bound of the relative position, m, {seeds} geometries of each kind: median (minimum-maximum).\n"
    )
    print_header("instruments", *(kind.value for kind in FormationKind))
    found = {kind: list(pool.map(seed_bounds, repeat(kind), range(seeds))) for kind in FormationKind}
    names = [case.instruments.name for case in CASES] + [each.name for each in OWN_GPS_ONLY if each is not STAR]
    for row, name in enumerate(dict.fromkeys(names)):
        print_row(name, *(median_and_range([bounds[row] for bounds in found[kind]]) for kind in FormationKind))


def seed_bounds(kind: FormationKind, seed: int) -> list[float]:
    """Return the bounds of one seed in the order of the table."""
    world = formation_world(seed, kind)
    motion = true_motion(world)
    every = [case.instruments for case in CASES] + [each for each in OWN_GPS_ONLY if each is not STAR]
    named = {each.name: each for each in every}
    return [world_bound(world, motion, each).rms_all_m for each in named.values()]


def print_accuracy(seeds: int, draws: int, pool: ProcessPoolExecutor) -> None:
    """Print the errors of the right hypothesis over the bound of each geometry."""
    half = _measurements(draws, fixed=1)
    print(f"\n{seeds} geometries of each kind, each measured {draws} times with GPS on all, {half} with GPS on one.\n")
    print_header(
        "instruments",
        "formation",
        "bound, m",
        "error / bound: RMS, median, worst",
        "limit",
        "worst of an efficient estimator",
        "above the limit and not flagged",
        "ambiguous, unsolved",
        "truth missing",
        "NEES",
        "95 % band",
        "wrong and certain",
    )
    for kind in KINDS:
        seedwise = list(pool.map(measure_seed, repeat(kind), range(seeds), repeat(draws)))
        for row, case in enumerate(CASES):
            print_case(case, kind, [geometries[row] for geometries in seedwise])


def measure_seed(kind: FormationKind, seed: int, draws: int) -> list[Geometry]:
    """Return all cases of one seed.

    Differences of drag are drawn again for each measurement, since estimator and bound assume their distribution.
    """
    worlds = [formation_world(seed, kind, drag_draw=draw) for draw in range(draws)]
    measured = [(world, true_motion(world)) for world in worlds]
    return [
        measure_geometry(measured[: _measurements(draws, case.instruments.fixed)], case.instruments) for case in CASES
    ]


def _measurements(draws: int, fixed: int) -> int:
    """Return the number of measurements of a geometry; limits near the bound need more of them."""
    return draws if fixed > 1 else (draws + 1) // 2


def print_case(case: Case, kind: FormationKind, geometries: Sequence[Geometry]) -> None:
    """Print one row."""
    scores = [score for geometry in geometries for score in geometry.scores]
    ratios = [error_ratio(geometry) for geometry in geometries if any(score.found.any() for score in geometry.scores)]
    flagged = [all(score.flagged.any() for score in geometry.scores) for geometry in geometries]
    missed = sum(
        error_ratio(geometry) > case.limit and not is_flagged
        for geometry, is_flagged in zip(geometries, flagged, strict=True)
    )
    found = pooled(scores, "found") > 0.0
    nees = pooled(scores, "nees")[found]
    print_row(
        case.instruments.name,
        kind.value,
        median_and_range([geometry.bound.rms_all_m for geometry in geometries]),
        f"{rms(ratios):.2f}, {np.median(ratios):.2f}, {max(ratios):.2f}",
        f"{case.limit:g}",
        f"{efficient_worst_ratio(geometries):.2f}",
        f"{missed} of {len(geometries)}",
        f"{flagged_percent(scores, 'ambiguous')}, {flagged_percent(scores, 'unsolved')}",
        f"{(~found).sum()} of {len(found)}",
        f"{nees.mean():.2f} ± {nees_scatter(geometries):.2f}",
        "{:.2f} to {:.2f}".format(*band(6, len(nees))),
        f"{sum(score.wrong_and_certain for score in scores)} of {len(found)}",
    )


def error_ratio(geometry: Geometry) -> float:
    """Return error over bound, all draws together; NaN if no true orbit is found.

    Counts the partners whose true orbit is among the hypotheses.
    """
    found = pooled(geometry.scores, "found") > 0.0
    error_m, bound_m = (pooled(geometry.scores, name)[found] for name in ("right_error_m", "bound_m"))
    return rms(error_m) / rms(bound_m) if found.any() else float("nan")


def nees_scatter(geometries: Sequence[Geometry]) -> float:
    """Return the standard deviation of the mean NEES, from its means over single geometries.

    Errors on curved likelihood ridges have long tails, and those of partners and draws are correlated: the band of
    as many independent normal errors is narrower.
    """
    means = [pooled(geometry.scores, "nees")[pooled(geometry.scores, "found") > 0.0].mean() for geometry in geometries]
    return float(np.std(means, ddof=1) / np.sqrt(len(means)))


def flagged_percent(scores: Sequence[FormationScore], flag: str) -> str:
    """Return the share of partners with a flag."""
    return f"{100.0 * pooled(scores, flag).mean():.0f} %"


def efficient_worst_ratio(geometries: Sequence[Geometry]) -> float:
    """Return the median of the worst ratio of an estimator whose errors are as large as the bound."""
    draw = np.random.default_rng(1)
    worst = np.zeros(200)
    for bound, scores in geometries:
        errors_m = bound.draw_rms_m(len(worst) * len(scores), draw).reshape(len(worst), -1)
        worst = np.maximum(worst, np.sqrt((errors_m**2).mean(axis=1)) / bound.rms_all_m)
    return float(np.median(worst))


def print_certainty(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """Print how often a wrong hypothesis is claimed with certainty."""
    count = 10 * seeds
    print(f"\n{count} geometries, all kinds, each in a third of the cases; numbers of partners:\n")
    print_header(
        "instruments",
        "satellites",
        "formation",
        "partners",
        "best hypothesis wrong",
        "truth missing",
        "ambiguous",
        "unsolved",
        "wrong and certain",
    )
    kinds = [list(FormationKind)[seed % len(FormationKind)] for seed in range(count)]
    runs = list(pool.map(certainty_of_seed, kinds, range(count)))
    for instruments, satellites in CERTAINTY_CASES:
        for kind in FormationKind:
            case = instruments.name, satellites
            scores = [run[case] for run, each in zip(runs, kinds, strict=True) if each is kind and case in run]
            if not scores:
                continue
            columns = [pooled(scores, name) for name in ("wrong", "found", "ambiguous", "unsolved")]
            wrong, found, ambiguous, unsolved = columns
            false_claims = sum(score.wrong_and_certain for score in scores)
            sums = (wrong.sum(), len(wrong) - found.sum(), ambiguous.sum(), unsolved.sum(), false_claims)
            print_row(instruments.name, str(satellites), kind.value, str(len(wrong)), *(f"{each:.0f}" for each in sums))


CERTAINTY_CASES: Final = (
    *((instruments, 4) for instruments in OWN_GPS_ONLY),
    (STAR_FINE, 2),
    (MESH_ONE, 3),
    (FEW_FIXES, 4),
    (TWO, 4),
    (STAR_FEW, 4),
)


def certainty_of_seed(kind: FormationKind, seed: int) -> dict[tuple[str, int], FormationScore]:
    """Return scores by instruments and number of satellites, in every third case, so that each case meets each kind."""
    world = formation_world(seed, kind)
    scores = {}
    for instruments, satellites in CERTAINTY_CASES[seed // len(FormationKind) % 3 :: 3]:
        some = world.first(satellites)
        scores[instruments.name, satellites] = measure_geometry([(some, true_motion(some))], instruments).scores[0]
    return scores

"""Benchmark the formation estimator: errors over bounds, consistency, wrong claims, a baseline method and speed.

Usage: python scripts/bench/bench_formation.py [--seeds N] [--draws N] [--part NAME]

Each seed defines a formation: epoch, orbit at 400 to 600 km, relative states, drag factors. The truth comes from the
scenario generator, whose force model is more detailed than that of the estimators. Each formation is measured several
times, with other noise, biases and differences of drag. Errors are those of relative positions, 3-D, RMS over 64
minutes. The part `consistency` uses six times as many seeds, measured once, and `certainty` ten times as many. The
script prints Markdown tables; except for processor times, a repeated run prints the same numbers.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product, repeat
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from scipy.stats import kstest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.estimators.formation.least_squares import SAME_ORBIT_LIMIT
from pygnc_ground.campaign.formation_accuracy import (
    SCORED_EPOCHS,
    FormationScore,
    rms_over_moments,
    score_estimate,
    solve_with_truth,
    solve_world,
    true_motion,
    world_bound,
)
from pygnc_ground.campaign.formation_posterior import ExpectedNees, expected_nees, true_hypotheses
from pygnc_ground.campaign.formation_world import (
    OWN_ID,
    RANGE_BIAS_M,
    FormationConditions,
    FormationKind,
    FormationWorld,
    Instruments,
    Records,
    formation_world,
)
from pygnc_ground.formation.baseline import PairRanges, guess_on_track, solve_pair
from pygnc_ground.formation.bound import FormationBound, FormationMotion
from pygnc_ground.formation.relative import rtn_from_gcrf
from pygnc_ground.orbit.consistency import band
from pygnc_ground.orbit.solution import BoolArray, FloatArray
from scripts.bench.table import print_table, rms, select_parts

KINDS: Final = (FormationKind.FREE, FormationKind.BOUNDED)
_MESH_ALL: Final = Instruments("mesh, 1 m, GPS on all", range_noise_m=1.0, mesh=True, fixed=4)
_MESH_ONE: Final = Instruments("mesh, 1 m, GPS on one", range_noise_m=1.0, mesh=True, fixed=1)
_MESH_COARSE: Final = Instruments("mesh, 10 m, GPS on one", range_noise_m=10.0, mesh=True, fixed=1)
_STAR: Final = Instruments("star, 10 m, GPS on one", range_noise_m=10.0, mesh=False, fixed=1)
_STAR_FINE: Final = Instruments("star, 1 m, GPS on one", range_noise_m=1.0, mesh=False, fixed=1)
_CASES: Final = {
    Instruments("mesh, 1 m, biases known, GPS on all", range_noise_m=1.0, mesh=True, fixed=4, bias_sigma_m=0.0): 1.3,
    _MESH_ALL: 1.3,
    Instruments("mesh, 1 m, biases known, GPS on one", range_noise_m=1.0, mesh=True, fixed=1, bias_sigma_m=0.0): 1.5,
    _MESH_ONE: 1.5,
    Instruments("mesh, 10 m, GPS on all", range_noise_m=10.0, mesh=True, fixed=4): 1.3,
    _STAR: 2.0,
}
"""Instruments in the accuracy table, each with its limit of error over bound."""
_BOUND_CASES: Final = (*_CASES, _STAR_FINE, _MESH_COARSE)
_CERTAINTY_CASES: Final = (
    *((instruments, 4) for instruments in (_STAR, _STAR_FINE, _MESH_COARSE, _MESH_ONE)),
    (_STAR_FINE, 2),
    (_MESH_ONE, 3),
    # A few fixes may resolve the mirror ambiguity.
    (Instruments("mesh, 10 m, GPS on one, 3 fixes of another", 10.0, mesh=True, fixed=2, partner_fixes=3), 4),
    (Instruments("mesh, 1 m, GPS on two", range_noise_m=1.0, mesh=True, fixed=2), 4),
    (Instruments("star, 10 m, GPS on one, 3 fixes of each", 10.0, mesh=False, fixed=4, partner_fixes=3), 4),
)
"""Instruments and numbers of satellites."""
_STAR_ALL: Final = Instruments(
    "star, 10 m, GPS on all", range_noise_m=10.0, mesh=False, fixed=4, bias_sigma_m=15.0, calibrated=False
)
_UNCALIBRATED: Final = tuple(
    replace(instruments, bias_sigma_m=15.0, calibrated=False)
    for instruments in (
        _MESH_ALL,
        Instruments("star, 10 m, GPS on one, 3 fixes of each", 10.0, mesh=False, fixed=4, partner_fixes=3),
        Instruments("mesh, 1 m, GPS on two", range_noise_m=1.0, mesh=True, fixed=2),
        _STAR,
    )
)


def _with_fixes(instruments: Instruments, correlated: tuple[float, float], common: float) -> Instruments:
    return replace(instruments, fix_noise=(3.0, 0.01), fix_correlated=correlated, fix_common=common)


_FAR: Final = FormationConditions(baseline_m=500e3)
_ALL_TOGETHER: Final = FormationConditions(altitude_m=400e3, drag_ratio=(0.3, 3.0), baseline_m=500e3)
_CLOSE: Final = replace(_ALL_TOGETHER, baseline_m=0.0)
_NOMINAL: Final = FormationConditions()
_CORRELATED: Final = 5.0, 0.003
_SIDE_BY_SIDE: Final = (
    *(("nominal", replace(each, bias_sigma_m=20.0, calibrated=True), 64, _NOMINAL) for each in _UNCALIBRATED),
    *(
        ("realistic", _with_fixes(replace(each, bias_m=1_000.0, bias_span_m=1_000.0), _CORRELATED, 0.5), 64, _CLOSE)
        for each in _UNCALIBRATED
    ),
)
"""Cases whose figures stand next to each other, in the same order of instruments."""
_REALISTIC_CASES: Final = (
    *(
        (f"drag ratio {ratio:g} at 400 km, 3 h", _UNCALIBRATED[0], 180, FormationConditions(400e3, (ratio, ratio)))
        for ratio in (1.0, 1.5, 3.0)
    ),
    *(
        (name, _with_fixes(instruments, correlated, common), 64, _NOMINAL)
        for name, correlated, common in (
            ("fixes: white 3 m, 1 cm/s", (0.0, 0.0), 0.0),
            ("and correlated 3 m, 0 mm/s", (3.0, 0.0), 0.0),
            ("and correlated 5 m, 3 mm/s", _CORRELATED, 0.0),
            ("the same, 90 % common", _CORRELATED, 0.9),
        )
        for instruments in (_UNCALIBRATED[0], _STAR_ALL)
    ),
    *(
        (f"bias {bias_m:g} m", replace(instruments, bias_m=bias_m), 64, _NOMINAL)
        for bias_m in (0.0, 1_050.0, 2_000.0)
        for instruments in _UNCALIBRATED
    ),
    *(("baselines to 500 km", instruments, 64, _FAR) for instruments in _UNCALIBRATED),
    *(
        ("all together", replace(instruments, bias_m=1_000.0, bias_span_m=1_000.0), 64, _ALL_TOGETHER)
        for instruments in _UNCALIBRATED
    ),
)
"""Name, instruments, minutes and conditions of the cases that differ from the estimator's expectations."""
_CONSISTENCY_SEEDS: Final = 6
"""Geometries per requested seed: as many measurements as `print_accuracy` makes, each of another geometry."""
_ELEMENTS: Final = 6
Geometry: TypeAlias = tuple[FormationBound, list[FormationScore]]
"""Bound and scores of one geometry that is measured several times."""


def median_and_range(values: Sequence[float]) -> str:
    """Return median and extremes as text."""
    return f"{np.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


def scatter_of_mean(values: Sequence[float] | FloatArray) -> float:
    """Return the standard deviation of the mean of independent values."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def band_text(values: int) -> str:
    """Return the 95 % band of the mean NEES of `values` independent normal errors."""
    return "{:.2f} to {:.2f}".format(*band(_ELEMENTS, values))


def measure_geometry(worlds: Sequence[tuple[FormationWorld, FormationMotion]], instruments: Instruments) -> Geometry:
    """Measure and solve one geometry once in each of its worlds; the index of a world numbers its draw of noise."""
    bounds = [world_bound(world, motion, instruments) for world, motion in worlds]
    scores = [
        score_estimate(solve_world(world, world.records(instruments, draw), motion.gps_ms[SCORED_EPOCHS]), bound)
        for draw, ((world, motion), bound) in enumerate(zip(worlds, bounds, strict=True))
    ]
    return bounds[0], scores


def pooled(scores: Sequence[FormationScore], name: str) -> FloatArray:
    """Return the attribute `name` of all scores, joined over partners."""
    return np.concatenate([getattr(score, name) for score in scores]).astype(np.float64)


def print_bounds(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """Print medians and extremes of the Cramer-Rao bounds over the geometries."""
    print(
        f"\nCramer-Rao bound of the relative position, m, {seeds} geometries of each kind: median (minimum-maximum).\n"
    )
    found = [list(pool.map(seed_bounds, repeat(kind), range(seeds))) for kind in FormationKind]
    rows = [
        [instruments.name, *(median_and_range([bounds[row] for bounds in of_kind]) for of_kind in found)]
        for row, instruments in enumerate(_BOUND_CASES)
    ]
    print_table(["instruments", *FormationKind], rows)


def seed_bounds(kind: FormationKind, seed: int) -> list[float]:
    """Return the bounds of one seed in m, in the order of the table."""
    world = formation_world(seed, kind)
    motion = true_motion(world)
    return [world_bound(world, motion, instruments).rms_all_m for instruments in _BOUND_CASES]


def print_accuracy(seeds: int, draws: int, pool: ProcessPoolExecutor) -> None:
    """Print the errors of the right hypothesis over the bound of each geometry."""
    half = _measurements(draws, fixed=1)
    print(f"\n{seeds} geometries of each kind, each measured {draws} times with GPS on all, {half} with GPS on one.\n")
    rows = []
    for kind in KINDS:
        by_seed = list(pool.map(measure_seed, repeat(kind), range(seeds), repeat(draws)))
        for geometries, (instruments, limit) in zip(zip(*by_seed, strict=True), _CASES.items(), strict=True):
            rows.append([instruments.name, kind.value, *accuracy_figures(geometries, limit)])
    header = "instruments", "formation", "bound, m", "error / bound: RMS, median, worst", "limit"
    flags = "worst of an efficient estimator", "above the limit and not flagged", "ambiguous, unsolved", "truth missing"
    print_table([*header, *flags, "NEES", "95 % band", "wrong and certain"], rows)


def measure_seed(kind: FormationKind, seed: int, draws: int) -> list[Geometry]:
    """Measure the formation of one seed with the instruments of each case.

    Differences of drag are drawn again for each measurement, since estimator and bound assume their distribution.
    """
    worlds = [formation_world(seed, kind, drag_draw=draw) for draw in range(draws)]
    measured = [(world, true_motion(world)) for world in worlds]
    return [measure_geometry(measured[: _measurements(draws, each.fixed)], each) for each in _CASES]


def _measurements(draws: int, fixed: int) -> int:
    """Return the number of measurements of a geometry: `draws`, or half of them if only one satellite has GPS."""
    return draws if fixed > 1 else (draws + 1) // 2


def accuracy_figures(geometries: Sequence[Geometry], limit: float) -> list[str]:
    """Return one row of the accuracy table.

    The scatter of the mean NEES is that of the means of single geometries. Errors on curved likelihood ridges have long
    tails, and those of partners and draws are correlated: the band of as many independent normal errors is narrower.
    """
    bounds, scores_of = zip(*geometries, strict=True)
    scores = [score for of_geometry in scores_of for score in of_geometry]
    found_in = [pooled(of_geometry, "found") > 0.0 for of_geometry in scores_of]
    pairs = list(zip(scores_of, found_in, strict=True))
    ratios = [error_ratio(*pair) for pair in pairs]
    flagged = [all(score.flagged.any() for score in of_geometry) for of_geometry in scores_of]
    missed = sum(ratio > limit and not is_flagged for ratio, is_flagged in zip(ratios, flagged, strict=True))
    nees = [pooled(of_geometry, "nees")[found] for of_geometry, found in pairs]
    present = [ratio for ratio in ratios if not np.isnan(ratio)]
    partners = sum(map(len, found_in))
    return [
        median_and_range([bound.rms_all_m for bound in bounds]),
        f"{rms(present):.2f}, {np.median(present):.2f}, {max(present):.2f}",
        f"{limit:g}",
        f"{efficient_worst_ratio(geometries):.2f}",
        f"{missed} of {len(geometries)}",
        ", ".join(f"{100.0 * pooled(scores, flag).mean():.0f} %" for flag in ("ambiguous", "unsolved")),
        f"{sum((~found).sum() for found in found_in)} of {partners}",
        f"{np.concatenate(nees).mean():.2f} ± {scatter_of_mean([each.mean() for each in nees]):.2f}",
        band_text(len(np.concatenate(nees))),
        f"{sum(score.wrong_and_certain for score in scores)} of {partners}",
    ]


def error_ratio(scores: Sequence[FormationScore], found: BoolArray) -> float:
    """Return RMS error over RMS bound of the partners flagged by `found`, over all draws; NaN if there are none."""
    error_m, bound_m = (pooled(scores, name)[found] for name in ("right_error_m", "bound_m"))
    return rms(error_m) / rms(bound_m) if found.any() else float("nan")


def efficient_worst_ratio(geometries: Sequence[Geometry]) -> float:
    """Return the largest error over bound of all geometries: median of trials whose errors are drawn from the bound."""
    draw = np.random.default_rng(1)
    worst = np.zeros(200)
    for bound, scores in geometries:
        errors_m = bound.draw_rms_m(len(worst) * len(scores), draw).reshape(len(worst), -1)
        worst = np.maximum(worst, np.sqrt((errors_m**2).mean(axis=1)) / bound.rms_all_m)
    return float(np.median(worst))


def print_consistency(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """Print NEES of the hypotheses that contain the truth, and the NEES expected from the observations."""
    count = _CONSISTENCY_SEEDS * seeds
    truth_rows, expected_rows = [], []
    for kind in KINDS:
        runs = pool.map(consistency_of_seed, repeat(kind), range(count))
        nees, distance, expected = (np.array(values) for values in zip(*runs, strict=True))
        missing = int((distance > SAME_ORBIT_LIMIT).sum())
        mean_text = f"{nees.mean():.2f} ± {scatter_of_mean(nees.mean(axis=1)):.2f}"
        truth_rows.append(
            [kind.value, str(nees.size), str(missing), mean_text, band_text(nees.size), f"{np.median(nees):.2f}"]
        )
        mean, variance, below = expected.T
        mean_text = f"{mean.mean():.2f} ± {scatter_of_mean(mean):.2f}"
        scatter, p_value = np.sqrt(variance.mean()), kstest(below, "uniform").pvalue
        expected_rows.append([kind.value, mean_text, band_text(count), f"{scatter:.2f}", f"{p_value:.2f}"])
    print(f"\n{count} geometries of each kind, four satellites, each measured once: {_STAR.name}.\n")
    print_table(["formation", "partners", "truth missing", "NEES", "95 % band", "median"], truth_rows)
    print(f"\nNEES expected from posterior samples, {count} partners of each kind:\n")
    print_table(["formation", "NEES expected", "95 % band", "scatter", "p-value"], expected_rows)


def consistency_of_seed(kind: FormationKind, seed: int) -> tuple[FloatArray, FloatArray, ExpectedNees]:
    """Measure and solve one geometry, and sample its posterior.

    Returns:
        NEES of each partner, its squared distance to the minimum reached from the truth, and the expected NEES of one
        partner, which changes with the seed.
    """
    world = formation_world(seed, kind)
    motion = true_motion(world)
    estimate, judged = solve_with_truth(world, world.records(_STAR), motion.gps_ms[SCORED_EPOCHS])
    hypothesis, distance = true_hypotheses(judged)
    partner = seed % len(hypothesis)
    score = score_estimate(estimate, world_bound(world, motion, _STAR), hypothesis)
    return score.nees, distance, expected_nees(judged.alone(partner + 1), int(hypothesis[partner]))


def print_certainty(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """Print the number of wrong hypotheses that are claimed with certainty."""
    count = 10 * seeds
    print(f"\n{count} geometries, all kinds, each in a third of the cases; numbers of partners:\n")
    kinds = [list(FormationKind)[seed % len(FormationKind)] for seed in range(count)]
    runs = list(pool.map(certainty_of_seed, kinds, range(count)))
    rows = []
    for case, kind in product(_CERTAINTY_CASES, FormationKind):
        scores = [run[case] for run, each in zip(runs, kinds, strict=True) if each is kind and case in run]
        if scores:
            columns = [pooled(scores, name) for name in ("wrong", "found", "ambiguous", "unsolved")]
            wrong, found, ambiguous, unsolved = (int(column.sum()) for column in columns)
            certain = sum(score.wrong_and_certain for score in scores)
            numbers = len(columns[0]), wrong, len(columns[0]) - found, ambiguous, unsolved, certain
            rows.append([case[0].name, str(case[1]), kind.value, *map(str, numbers)])
    header = "instruments", "satellites", "formation", "partners", "best hypothesis wrong", "truth missing"
    print_table([*header, "ambiguous", "unsolved", "wrong and certain"], rows)


def certainty_of_seed(kind: FormationKind, seed: int) -> dict[tuple[Instruments, int], FormationScore]:
    """Return the scores of every third case by instruments and number of satellites; the seed selects the first."""
    world = formation_world(seed, kind)
    scores = {}
    for instruments, satellites in _CERTAINTY_CASES[seed // len(FormationKind) % 3 :: 3]:
        some = world.first(satellites)
        scores[instruments, satellites] = measure_geometry([(some, true_motion(some))], instruments)[1][0]
    return scores


def print_realistic(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """Print errors, consistency and wrong claims for formations that differ from the estimator's expectations."""
    print(f"\n{seeds} geometries, kinds in turn, three partners each.\n")
    print_realistic_scores(list(pool.map(realistic_of_seed, range(seeds))))


def print_realistic_scores(runs: Sequence[Sequence[FormationScore]]) -> None:
    """Print the tables of `realistic_of_seed` for several seeds."""
    cases = list(zip((*_SIDE_BY_SIDE, *_REALISTIC_CASES), zip(*runs, strict=True), strict=True))
    accuracy = "error, m: median", "sigma", "bound", "NEES / 6: mean", "median"
    header = *accuracy, "ambiguous, unsolved", "truth missing", "wrong and certain"
    pairs, shown = len(_UNCALIBRATED), (0, 1, 3, 5, 7)
    rows = []
    for (case, nominal), (_, realistic) in zip(cases[:pairs], cases[pairs : 2 * pairs], strict=True):
        figures = realistic_figures(nominal), realistic_figures(realistic)
        rows.append([case[1].name, *(each[column] for column in shown for each in figures)])
    titles = [f"{header[column]}, {case}" for column in shown for case in ("nominal", "realistic")]
    print_table(["instruments", *titles], rows)
    print()
    rows = [[case[0], case[1].name, *realistic_figures(scores)] for case, scores in cases[2 * pairs :]]
    print_table(["case", "instruments", *header], rows)


def realistic_figures(scores: Sequence[FormationScore]) -> list[str]:
    """Return the figures of one case."""
    found = pooled(scores, "found") > 0.0
    error_m, formal_m, bound_m, nees = (
        pooled(scores, each)[found] for each in ("right_error_m", "formal_m", "bound_m", "nees")
    )
    return [
        *(f"{np.median(each):.3g}" for each in (error_m, formal_m, bound_m)),
        f"{nees.mean() / _ELEMENTS:.2f}",
        f"{np.median(nees) / _ELEMENTS:.2f}",
        ", ".join(f"{100.0 * pooled(scores, flag).mean():.0f} %" for flag in ("ambiguous", "unsolved")),
        f"{(~found).sum()}",
        f"{sum(score.wrong_and_certain for score in scores)} of {len(found)}",
    ]


def realistic_of_seed(seed: int) -> list[FormationScore]:
    """Return the scores of one geometry in all cases; cases with equal orbits share a world."""
    kinds = list(FormationKind)
    worlds: dict[tuple[int, FormationConditions], tuple[FormationWorld, FormationMotion]] = {}
    scores = []
    for _, instruments, minutes, conditions in (*_SIDE_BY_SIDE, *_REALISTIC_CASES):
        if (minutes, conditions) not in worlds:
            world = formation_world(seed, kinds[seed % len(kinds)], minutes=minutes, conditions=conditions)
            worlds[minutes, conditions] = world, true_motion(world)
        scores.append(measure_geometry([worlds[minutes, conditions]], instruments)[1][0])
    return scores


def print_comparison(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """Print errors on a star of ranges next to those of SciPy's Levenberg-Marquardt method with our true orbit."""
    print(f"\n{seeds} geometries of each kind, four satellites, ranges to our own only.\n")
    rows = []
    for kind in KINDS:
        for instruments in (_STAR, _STAR_FINE):
            runs = list(pool.map(compare_seed, repeat(instruments), repeat(kind), range(seeds)))
            bound_m = np.array([bound for bound, _ in runs])
            for name in runs[0][1]:
                error_m, seconds = np.array([results[name] for _, results in runs]).T
                near = f"{(error_m < 3.0 * bound_m).sum()} of {len(runs)}"
                figures = f"{np.median(error_m):.1f}", near, f"{np.median(seconds):.2f}"
                rows.append([instruments.name, kind.value, name, *figures])
    header = "instruments", "formation", "estimator", "error, m: median", "within 3 x the bound", "s per formation"
    print_table(header, rows)


def compare_seed(
    instruments: Instruments, kind: FormationKind, seed: int
) -> tuple[float, dict[str, tuple[float, float]]]:
    """Run all estimators on equal ranges; return the bound in m, and by name RMS error in m and processor time in s."""
    world = formation_world(seed, kind)
    motion = true_motion(world)
    records = world.records(instruments)
    bound, (score,) = measure_geometry([(world, motion)], instruments)

    def near_truth(own: FloatArray, truth: FloatArray, _distance_m: float) -> FloatArray:
        return np.asarray(rtn_from_gcrf(own) @ truth + np.repeat((58.0, 0.058), 3))

    def on_track(own: FloatArray, _truth: FloatArray, distance_m: float) -> FloatArray:
        return guess_on_track(distance_m, own)

    return bound.rms_all_m, {
        "PyGNC, best hypothesis": (rms(score.error_m), score.seconds),
        "PyGNC, right hypothesis": (rms(score.right_error_m), score.seconds),
        "baseline, from the track at the first range": baseline_error(records, motion, on_track),
        "baseline, from 100 m and 0.1 m/s off the truth": baseline_error(records, motion, near_truth),
    }


def baseline_error(
    records: Records, motion: FormationMotion, guess: Callable[[FloatArray, FloatArray, float], FloatArray]
) -> tuple[float, float]:
    """Return the RMS error over all partners in m, and processor seconds.

    Args:
        records: Measurements.
        motion: True motion.
        guess: Initial guess of the relative state, RTN, (6,), from our own and the relative true state, GCRF, (6,),
            and the first distance in m.
    """
    own = motion.states_gcrf[0]
    errors_m = []
    began = time.process_time()
    for partner in range(1, len(motion.states_gcrf)):
        ranges = [seen for seen in records.ranges if seen.other == OWN_ID + partner]
        pair_ranges = PairRanges(
            np.array([seen.gps_ms for seen in ranges]),
            np.array([seen.range_m for seen in ranges]),
            records.instruments.range_noise_m,
            RANGE_BIAS_M,
            records.instruments.bias_sigma_m,
        )
        truth = motion.states_gcrf[partner] - own
        initial = guess(own[0], truth[0], float(pair_ranges.range_m[0]) - RANGE_BIAS_M)
        errors_m.append(float(rms_over_moments(solve_pair(pair_ranges, own[0], initial, motion.gps_ms) - truth)))
    return rms(errors_m), time.process_time() - began


def print_speed(_seeds: int, _draws: int, _pool: ProcessPoolExecutor) -> None:
    """Print the processor time for four satellites by the length of the arc."""
    print()
    worlds = [formation_world(1, FormationKind.BOUNDED, minutes=60 * hours) for hours in (1, 3)]
    rows = []
    for instruments in (_MESH_ALL, _MESH_ONE, _STAR):
        seconds = [
            min(solve_world(world, world.records(instruments), world.moments_gps_ms[:1]).seconds for _ in range(2))
            for world in worlds
        ]
        rows.append([instruments.name, *(f"{each:.2f} s" for each in seconds), "5 s"])
    print_table(["four satellites", "1 h", "3 h", "limit for 3 h"], rows)


def main() -> int:
    """Run the selected parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="Number of geometries of each kind (default: 20).")
    parser.add_argument(
        "--draws",
        type=int,
        default=12,
        help="Simulated measurements of each geometry with GPS on all, half as many with GPS on one (default: 12).",
    )
    parts: dict[str, Callable[[int, int, ProcessPoolExecutor], None]] = {
        "bound": print_bounds,
        "accuracy": print_accuracy,
        "consistency": print_consistency,
        "certainty": print_certainty,
        "realistic": print_realistic,
        "peer": print_comparison,
        "speed": print_speed,
    }
    options, chosen = select_parts(parser, parts)
    with ProcessPoolExecutor() as pool:
        for part in chosen:
            part(options.seeds, options.draws, pool)
    return 0


if __name__ == "__main__":
    sys.exit(main())

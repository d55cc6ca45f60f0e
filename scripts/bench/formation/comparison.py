"""Comparison with a baseline method (least squares per partner), and processor time."""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np

from pygnc_ground.campaign.formation_accuracy import rms_over_moments, solve_world, true_motion
from pygnc_ground.campaign.formation_world import RANGE_BIAS_M, FormationKind, Instruments, Records, formation_world
from pygnc_ground.formation.baseline import PairRanges, guess_on_track, solve_pair
from pygnc_ground.formation.bound import FormationMotion
from pygnc_ground.formation.relative import rtn_from_gcrf
from pygnc_ground.orbit.solution import FloatArray
from scripts.bench.formation.cases import (
    KINDS,
    MESH_ALL,
    MESH_ONE,
    STAR,
    STAR_FINE,
    measure_geometry,
    print_header,
    print_row,
    rms,
)


class Comparison(NamedTuple):
    """RMS errors of one formation in m and processor seconds, in the order of `ESTIMATORS`."""

    bound_m: float
    error_m: tuple[float, ...]
    seconds: tuple[float, ...]


ESTIMATORS: Final = (
    "PyGNC, best hypothesis",
    "PyGNC, right hypothesis",
    "baseline, from the track at the first range",
    "baseline, from 100 m and 0.1 m/s off the truth",
)


def print_comparison(seeds: int, _draws: int, pool: ProcessPoolExecutor) -> None:
    """Print errors on a star of ranges next to those of SciPy's Levenberg-Marquardt, which knows our true orbit."""
    print(f"\n{seeds} geometries of each kind, four satellites, ranges to our own only.\n")
    print_header("instruments", "formation", "estimator", "error, m: median", "within 3 x the bound", "s per formation")
    for kind in KINDS:
        for instruments in (STAR, STAR_FINE):
            comparisons = list(pool.map(compare_seed, repeat(instruments), repeat(kind), range(seeds)))
            for number, name in enumerate(ESTIMATORS):
                near = sum(comparison.error_m[number] < 3.0 * comparison.bound_m for comparison in comparisons)
                print_row(
                    instruments.name,
                    kind.value,
                    name,
                    f"{np.median([comparison.error_m[number] for comparison in comparisons]):.1f}",
                    f"{near} of {len(comparisons)}",
                    f"{np.median([comparison.seconds[number] for comparison in comparisons]):.2f}",
                )


def compare_seed(instruments: Instruments, kind: FormationKind, seed: int) -> Comparison:
    """Run all estimators on the same ranges."""
    world = formation_world(seed, kind)
    motion = true_motion(world)
    records = world.records(instruments)
    geometry = measure_geometry([(world, motion)], instruments)
    score = geometry.scores[0]
    baselines = [baseline_error(records, motion, guess) for guess in (guess_on_the_track, guess_near_the_truth)]
    return Comparison(
        geometry.bound.rms_all_m,
        (rms(score.error_m), rms(score.right_error_m), *(error_m for error_m, _ in baselines)),
        (score.seconds, score.seconds, *(seconds for _, seconds in baselines)),
    )


InitialGuess = Callable[[FloatArray, FloatArray, float], FloatArray]


def baseline_error(records: Records, motion: FormationMotion, guess: InitialGuess) -> tuple[float, float]:
    """Return the error over all partners in m, and processor seconds."""
    ranges, own = records.ranges, motion.states_gcrf[0]
    errors_m = []
    began = time.process_time()
    for partner in range(1, len(motion.states_gcrf)):
        to_partner = ranges.other == partner
        pair_ranges = PairRanges(
            ranges.gps_ms[to_partner],
            ranges.range_m[to_partner],
            records.instruments.range_noise_m,
            RANGE_BIAS_M,
            records.instruments.bias_sigma_m,
        )
        truth = motion.states_gcrf[partner] - own
        initial = guess(own[0], truth[0], float(pair_ranges.range_m[0]) - RANGE_BIAS_M)
        errors_m.append(float(rms_over_moments(solve_pair(pair_ranges, own[0], initial, motion.gps_ms) - truth)))
    return rms(errors_m), time.process_time() - began


def guess_on_the_track(own: FloatArray, _truth: FloatArray, distance_m: float) -> FloatArray:
    """Return a guess from the first range: ahead on our own track."""
    return guess_on_track(distance_m, own)


def guess_near_the_truth(own: FloatArray, truth: FloatArray, _distance_m: float) -> FloatArray:
    """Return a guess 100 m and 0.1 m/s from the truth."""
    near: FloatArray = rtn_from_gcrf(own) @ truth + np.repeat((58.0, 0.058), 3)
    return near


def print_speed(_seeds: int, _draws: int, _pool: ProcessPoolExecutor) -> None:
    """Print the processor time for four satellites by the length of the arc."""
    print()
    print_header("four satellites", "1 h", "3 h", "limit for 3 h")
    worlds = [formation_world(1, FormationKind.BOUNDED, minutes=60 * hours) for hours in (1, 3)]
    for instruments in (MESH_ALL, MESH_ONE, STAR):
        seconds = [
            min(solve_world(world, world.records(instruments), world.moments_gps_ms[:1]).seconds for _ in range(2))
            for world in worlds
        ]
        print_row(instruments.name, *(f"{each:.2f} s" for each in seconds), "5 s")

"""Benchmark what campaigns do not measure of the formation estimator: posterior, a baseline method, processor time.

Usage: python scripts/bench/bench_formation.py [--seeds N] [--part consistency|peer|speed|live]

Errors, bounds and wrong claims are measured by the campaigns data/campaigns/formation*.toml. The flights are those of
formation.toml. The part `consistency` judges the hypothesis that least squares reach from the truth, and compares its
NEES with that of samples of the posterior; it uses six times as many seeds. The script prints Markdown tables; except
for processor times, a repeated run prints the same numbers.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from scipy.stats import kstest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.arc_solver import FormationSolver
from pygnc.estimators.formation.least_squares import SAME_ORBIT_LIMIT
from pygnc.estimators.formation.solution import FormationSolution
from pygnc.navigation.formation import FormationTracker
from pygnc.navigation.formation_arc import FormationArc
from pygnc.navigation.pipeline import FormationStage
from pygnc_ground.campaign.definition import RunPlan, plan_run, read_campaign
from pygnc_ground.campaign.flight import ORIENTATION, SimulatedFlight, fly, received_live
from pygnc_ground.campaign.formation_scores import FormationErrors, FormationHypotheses
from pygnc_ground.campaign.run import simulated
from pygnc_ground.campaign.time_bins import rms_of
from pygnc_ground.formation.relative import rtn_from_gcrf
from pygnc_ground.orbit.consistency import band
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.replay.collect import make_pipeline
from scripts.bench.formation_baseline import PairRanges, guess_on_track, solve_pair
from scripts.bench.formation_posterior import ExpectedNees, expected_nees, judged_solution, true_hypotheses
from scripts.bench.table import print_table, rms, select_parts

CAMPAIGN: Final = Path(__file__).resolve().parents[2] / "data" / "campaigns" / "formation.toml"
SHAPES: Final = ("free", "bounded")
MESHES: Final = ("mesh, 1 m, GPS on all", "mesh, 1 m, GPS on one")
STARS: Final = ("star, 1 m, GPS on one", "star, 10 m, GPS on one")
_CONSISTENCY_SEEDS: Final = 6
_ELEMENTS: Final = 6


def flight_plan(case: str, shape: str, seed: int, hours: float | None = None) -> RunPlan:
    """Return the plan of a run of the campaign, with its own duration or another one."""
    campaign = msgspec.structs.replace(read_campaign(CAMPAIGN), repetitions=1 + seed)
    shapes = campaign.grid["scenario.formation.shape"]
    number = [each.name for each in campaign.cases].index(case)
    plan = plan_run(campaign, (number * len(shapes) + shapes.index(shape)) * campaign.repetitions + seed)
    changed = {} if hours is None else {"duration_s": round(3600 * hours)}
    return msgspec.structs.replace(plan, scenario=plan.scenario | changed)


def solved(plan: RunPlan) -> tuple[SimulatedFlight, FormationSolution]:
    """Return the flight of a plan and the solution of the flight software.

    Raises:
        RuntimeError: There is no solution.
    """
    flight, settings = simulated(plan), plan.flight_settings()
    solution = fly(flight.inputs(settings), settings, attitude=False, formation=True).formation
    if solution is None:
        raise RuntimeError(f"{plan.label}: the formation estimator found no observation in the arc")
    return flight, solution


# --- consistency --------------------------------------------------------------------------------------------------


class Consistency(NamedTuple):
    """NEES of the true hypothesis and its squared distance to the minimum reached from the truth, by partner."""

    nees: FloatArray
    distance: FloatArray
    expected: ExpectedNees
    """Expected NEES of one partner, which changes with the seed"""


def print_consistency(seeds: int, pool: ProcessPoolExecutor) -> None:
    """Print NEES of the hypotheses that contain the truth, and the NEES expected from the observations."""
    count = _CONSISTENCY_SEEDS * seeds
    truth_rows, expected_rows = [], []
    for shape in SHAPES:
        runs = list(pool.map(partial(consistency_of_seed, shape), range(count)))
        nees = np.array([run.nees for run in runs])
        missing = sum(int((run.distance > SAME_ORBIT_LIMIT).sum()) for run in runs)
        mean_text = f"{nees.mean():.2f} ± {scatter_of_mean(nees.mean(axis=1)):.2f}"
        truth_rows.append(
            [shape, str(nees.size), str(missing), mean_text, band_text(nees.size), f"{np.median(nees):.2f}"]
        )
        mean, variance, below = np.array([run.expected for run in runs]).T
        mean_text = f"{mean.mean():.2f} ± {scatter_of_mean(mean):.2f}"
        scatter, p_value = np.sqrt(variance.mean()), kstest(below, "uniform").pvalue
        expected_rows.append([shape, mean_text, band_text(count), f"{scatter:.2f}", f"{p_value:.2f}"])
    print(f"\n{count} formations of each shape, four satellites: {STARS[1]}.\n")
    print_table(["formation", "partners", "truth missing", "NEES", "95 % band", "median"], truth_rows)
    print(f"\nNEES expected from posterior samples, {count} partners of each shape:\n")
    print_table(["formation", "NEES expected", "95 % band", "scatter", "p-value"], expected_rows)


def consistency_of_seed(shape: str, seed: int) -> Consistency:
    """Solve one flight, and sample its posterior."""
    flight, solution = solved(flight_plan(STARS[1], shape, seed))
    judged = judged_solution(solution, flight.satellites, flight.settings)
    hypothesis, distance = true_hypotheses(judged)
    times = np.array([solution.reference.epoch_ms])
    estimate = FormationHypotheses.of(solution, solution.satellites[1:], times)
    nees = FormationErrors.of(estimate, flight.true_states_gcrf(times), hypothesis).nees[:, 0]
    one = seed % len(hypothesis)
    return Consistency(nees, distance, expected_nees(judged.alone(one + 1), int(hypothesis[one])))


def scatter_of_mean(values: Sequence[float] | FloatArray) -> float:
    """Return the standard deviation of the mean of independent values."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def band_text(values: int) -> str:
    """Return the 95 % band of the mean NEES of `values` independent normal errors."""
    return "{:.2f} to {:.2f}".format(*band(_ELEMENTS, values))


# --- baseline -----------------------------------------------------------------------------------------------------


def print_comparison(seeds: int, pool: ProcessPoolExecutor) -> None:
    """Print errors on a star of ranges next to those of SciPy's Levenberg-Marquardt method with our true orbit."""
    print(f"\n{seeds} formations of each shape, four satellites, ranges to our own only.\n")
    rows = []
    for shape in SHAPES:
        for case in STARS:
            runs = list(pool.map(partial(compare_seed, case, shape), range(seeds)))
            for name in runs[0]:
                errors_m = np.array([run[name] for run in runs])
                rows.append([case, shape, name, f"{np.median(errors_m):.1f}", f"{errors_m.max():.1f}"])
    print_table(("instruments", "formation", "estimator", "error, m: median", "worst"), rows)


def compare_seed(case: str, shape: str, seed: int) -> dict[str, float]:
    """Run all estimators on equal ranges; return the RMS error of each in m by its name."""
    flight, solution = solved(flight_plan(case, shape, seed))
    times = np.unique([seen.gps_ms for seen in solution.ranges])
    states = flight.true_states_gcrf(times)
    partners = tuple(satellite.id for satellite in flight.satellites[1:])
    errors = FormationErrors.of(FormationHypotheses.of(solution, partners, times), states)
    own, truths = states[0], states[1:] - states[0]
    near: list[float] = []
    on_track: list[float] = []
    for number, partner in enumerate(partners):
        ranges = pair_ranges(solution, partner, flight.settings.ranging.noise_m)
        offset = np.asarray(rtn_from_gcrf(own[0]) @ truths[number, 0] + np.repeat((58.0, 0.058), 3))
        guess = guess_on_track(float(ranges.range_m[0]) - ranges.bias_m, own[0])
        for found, initial in ((near, offset), (on_track, guess)):
            error = solve_pair(ranges, own[0], initial, times) - truths[number]
            found.append(rms_of(np.linalg.norm(error[:, :3], axis=1)))
    return {
        "PyGNC, first hypothesis": rms_of(errors.best_m),
        "PyGNC, nearest hypothesis": rms_of(errors.error_m),
        "baseline, from the track at the first range": rms(on_track),
        "baseline, from 100 m and 0.1 m/s off the truth": rms(near),
    }


def pair_ranges(solution: FormationSolution, partner: int, noise_m: float) -> PairRanges:
    """Return our ranges to one partner in order of time."""
    ranges = sorted((seen.gps_ms, seen.range_m) for seen in solution.ranges if seen.pair == (74, partner))
    gps_ms, range_m = zip(*ranges, strict=True)
    return PairRanges(np.array(gps_ms), np.array(range_m), noise_m, 1_050.0, 20.0)


# --- speed --------------------------------------------------------------------------------------------------------


def print_speed(_seeds: int, _pool: ProcessPoolExecutor) -> None:
    """Print the processor time of a solution for four satellites by the length of the arc."""
    rows = []
    for case in (*MESHES, STARS[1]):
        seconds = [min(solution_s(case, hours) for _ in range(2)) for hours in (1.0, 3.0)]
        rows.append([case, *(f"{each:.2f} s" for each in seconds), "5 s"])
    print()
    print_table(["four satellites", "1 h", "3 h", "limit for 3 h"], rows)


def solution_s(case: str, hours: float) -> float:
    """Return the processor time of the solution of a flight in s."""
    plan = flight_plan(case, "bounded", 1, hours)
    settings = plan.flight_settings()
    messages = simulated(plan).inputs(settings)
    own = fly(messages, settings, attitude=False).updates[-1].state
    if own is None:
        raise RuntimeError(f"{plan.label}: the orbit filter found no orbit")
    arc = FormationArc(settings.formation, settings.orbit.screening)
    for message in messages:
        arc.process(message)
    solver = FormationSolver(settings.formation, settings.orbit, EarthFrames(ORIENTATION))
    began = time.process_time()
    solver.solve(own, arc.fixes, [*arc.ranges])
    return time.process_time() - began


# --- live ---------------------------------------------------------------------------------------------------------


def print_live(_seeds: int, _pool: ProcessPoolExecutor) -> None:
    """Print the processor time of the formation stage in a flight of three hours, received live after 30 min."""
    rows = [[case, f"{live_s(case):.1f} s", "6 s"] for case in (*MESHES, STARS[0])]
    print()
    print_table(["four satellites", "3 h live", "limit"], rows)


def live_s(case: str) -> float:
    """Return the processor time of all solutions and of the filter in s, without that of the orbit filter."""
    plan = flight_plan(case, "bounded", 1, 3.0)
    settings, flight = plan.flight_settings(), simulated(plan)
    messages = received_live(flight.inputs(settings), flight.settings.start_gps_ms + 1_800_000)
    orbits = make_pipeline(settings, ORIENTATION, attitude=False, formation=False)
    responses = [orbits.process(message).orbit.messages for message in messages]
    stage = FormationStage(FormationTracker(settings, ORIENTATION))
    began = time.process_time()
    for message, response in zip(messages, responses, strict=True):
        for _ in stage.results(message, response):
            pass
    return time.process_time() - began


def main() -> int:
    """Run the selected parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="Number of formations of each shape (default: 20).")
    parts = {"consistency": print_consistency, "peer": print_comparison, "speed": print_speed, "live": print_live}
    options, chosen = select_parts(parser, parts)
    with ProcessPoolExecutor() as pool:
        for part in chosen:
            part(options.seeds, pool)
    return 0


if __name__ == "__main__":
    sys.exit(main())

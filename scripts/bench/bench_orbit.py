"""Measure the figures of the orbit for docs/benchmarks.md: errors next to bounds, consistency, speed, memory.

Usage: python scripts/bench/bench_orbit.py [--seeds N] [--part accuracy|injections|orbits|consistency|speed]

Each seed defines an orbit: epoch, altitude from 400 to 600 km, inclination, node, noise, and a drag of half, once or
twice the drag that the filter expects. Errors are 3-D RMS over all seeds and the last two thirds of the time. The
script prints Markdown tables; except for speed, a repeated run prints the same numbers.
"""

import argparse
import gc
import subprocess
import sys
import tempfile
import time
import timeit
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.campaign.orbit_accuracy import (
    ESTIMATORS,
    PRESETS,
    Extrapolation,
    Score,
    extrapolate,
    preset_consistency,
    score_estimators,
)
from pygnc_ground.campaign.orbit_injections import (
    INJECTIONS,
    NOMINAL,
    REALISTIC,
    InjectionScore,
    score_class,
    score_injection,
)
from pygnc_ground.campaign.orbit_world import ORBIT_CLASSES, ORIENTATION, random_world, run_filter, settings_for
from pygnc_ground.scenario.sensor_settings import Gps
from scripts.bench.table import print_table, rms, select_parts

EXTRAPOLATIONS: Final = {
    "outage from 45 to 135 min of 3 h, error at its end": (45, 135, 40.0),
    "outage from 75 to 165 min of 3 h, error at its end": (75, 165, 40.0),
    "prediction of 3 h after 3 h": (180, 360, 60.0),
}
"""Times without fixes: begin and end in minutes, and limit of the error in m at 500 km and higher."""


SIDES: Final = NOMINAL, REALISTIC
ORBIT_HOURS: Final = 12
"""Time in elliptical and geostationary orbits: more than the period of the largest ellipse."""

CENTIMETRE: Final = Gps()
MILLIMETRE: Final = Gps(velocity_noise_mps=0.001)
OUTLIERS: Final = Gps(position_outlier_rate=0.03)
CASES: Final = {
    "3 h, 10 m and 1 cm/s": (3, CENTIMETRE, "5.8-8.5 m", "1.6 m", "1.05 m"),
    "12 h, 10 m and 1 cm/s": (12, CENTIMETRE, "-", "1.6 m", "0.9 m"),
    "3 h, 10 m and 1 mm/s": (3, MILLIMETRE, "1.6-2.1 m", "0.4 m", "0.25 m"),
    "12 h, 10 m and 1 mm/s": (12, MILLIMETRE, "-", "0.4 m", "0.2 m"),
    "3 h, 3 % outliers of 1 km": (3, OUTLIERS, "-", "1.7 m", "-"),
    "3 h, latency 0": (3, Gps(velocity_latency_s=0.0), "-", "-", "-"),
    "3 h, latency 0.05 s": (3, Gps(velocity_latency_s=0.05), "208 m", "-", "-"),
    "3 h, latency 0.25 s": (3, Gps(velocity_latency_s=0.25), "1043 m", "-", "-"),
}
"""Hours, receiver, error of the older PyGNC, and limits of filter and smoother, of each case."""
Scores: TypeAlias = dict[tuple[str, str], Score]
"""Scores of one seed by case and estimator."""


# --- accuracy -----------------------------------------------------------------------------------------------------


def accuracy(seeds: int) -> None:
    """Print errors of all cases with their limits and bounds."""
    with ProcessPoolExecutor() as pool:
        scores, extrapolations = zip(*pool.map(run_of, range(seeds), [seeds] * seeds), strict=True)

    def pooled(case: str, name: str, quantity: str) -> float:
        """Return the RMS of a quantity over all runs, in m."""
        return float(np.sqrt(np.mean([getattr(run[case, name], f"{quantity}_m2") for run in scores])))

    print(f"\n{seeds} orbits. CRB: Cramer-Rao bound of the same fixes for state and drag, without process noise.\n")
    rows = []
    for case, (_, _, older, *limits) in CASES.items():
        errors = [f"{pooled(case, name, 'error'):.3f} m" for name in ESTIMATORS]
        bounds = [f"{pooled(case, name, 'deterministic'):.3f} m" for name in ("filter", "smoother")]
        rows.append([case, older, errors[0], limits[0], bounds[0], errors[1], limits[1], errors[2], bounds[1]])
    header = ("case", "older PyGNC", "filter", "limit", "CRB so far", "smoother", "limit", "batch", "CRB of all")
    print_table(header, rows)
    print()
    rows = []
    for case in CASES:
        for name in ESTIMATORS:
            error_m = pooled(case, name, "error")
            ratios = [f"{error_m / pooled(case, name, quantity):.2f}" for quantity in ("posterior", "formal")]
            nees = np.mean([run[case, name].nees.mean() for run in scores]) / 6.0
            rows.append([case, name, *ratios, f"{nees:.2f}"])
    ratio_header = ("error / posterior bound", "error / formal sigma", "NEES per degree of freedom")
    print_table(("case", "estimator", *ratio_header), rows)
    print()
    rows = []
    for what, (_, _, limit_m) in EXTRAPOLATIONS.items():
        found = [run[what] for run in extrapolations]
        high = [item for item in found if item.altitude_m >= 500e3]
        if high:
            rows.append(extrapolation_row(f"{what}, 500 km and higher", high, [limit_m] * len(high), f"{limit_m:g} m"))
        low = [item for item in found if item.altitude_m < 500e3]
        if low:
            limits_m = [15.0 + 0.15 * item.drag_m for item in low]
            rows.append(extrapolation_row(f"{what}, lower", low, limits_m, "15 m + 15 % of the displacement by drag"))
    print_table(("without fixes", "orbits", "filter", "limit", "smoother", "limit"), rows)


def extrapolation_row(what: str, items: Sequence[Extrapolation], limits_m: Sequence[float], limit: str) -> list[str]:
    """Return the table row of `items`, given the limit of each in m and the limit as text."""
    errors_m = [item.filter_m for item in items]
    smoothed_m = rms([item.smoother_m for item in items])
    measured = f"{rms(errors_m):.1f} m RMS, {max(errors_m):.1f} m at most"
    measured += f"; {rms(np.divide(errors_m, limits_m)):.2f} of the limit RMS"
    smoother = ("-", "-") if np.isnan(smoothed_m) else (f"{smoothed_m:.2f} m RMS", "2 m")
    return [what, str(len(items)), measured, limit, *smoother]


def run_of(seed: int, seeds: int) -> tuple[Scores, dict[str, Extrapolation]]:
    """Return the scores of one seed, and its errors after the times without fixes in EXTRAPOLATIONS."""
    world = random_world(seed, seeds)
    scores: Scores = {}
    for case, (hours, gps, *_) in CASES.items():
        found = score_estimators(world, gps, hours, seed)
        scores |= {(case, name): score for name, score in found.items()}
    settings = settings_for(CENTIMETRE, 3.0)
    fixes = world.fixes(CENTIMETRE, 3.0, seed)
    start_ms = world.settings.start_gps_ms
    return scores, {
        what: extrapolate(world, fixes, settings, start_ms + 60_000 * begin_min, start_ms + 60_000 * end_min)
        for what, (begin_min, end_min, _) in EXTRAPOLATIONS.items()
    }


# --- injections ---------------------------------------------------------------------------------------------------


def injections(seeds: int) -> None:
    """Print errors, formal sigmas and consistency with each unmodelled error source alone, and with all of them."""
    runs = [(name, seed, seeds) for name in INJECTIONS for seed in range(seeds)]
    with ProcessPoolExecutor() as pool:
        found = pool.map(score_injection, *zip(*runs, strict=True))
    scores: dict[tuple[str, str], list[InjectionScore]] = {}
    for (name, *_), run in zip(runs, found, strict=True):
        for estimator, score in run.items():
            scores.setdefault((name, estimator), []).append(score)
    print(f"\n{seeds} orbits of 3 h; RMS, formal 3-D sigma; NEES and NIS per degree of freedom.\n")
    rows = [[name, *(_figures(scores[name, estimator]) for estimator in ESTIMATORS)] for name in INJECTIONS]
    print_table(("injected", *ESTIMATORS), rows)
    print()
    rows = [[estimator, *(_figures(scores[name, estimator]) for name in SIDES)] for estimator in ESTIMATORS]
    print_table(("estimator", "nominal", "realistic"), rows)
    print()
    rows = []
    for name, injection in INJECTIONS.items():
        if injection.impulses or injection.thrusts:
            for estimator in ESTIMATORS:
                of = scores[name, estimator]
                peak_m, outside_s = max(run.peak_m for run in of), [run.outside_s for run in of]
                outside = f"{np.mean(outside_s):.0f} s, {max(outside_s):.0f} s at most"
                detected = f"{sum(run.detections > 0 for run in of)} of {seeds}" if estimator == "filter" else "-"
                delta_v = "-"
                if estimator != "filter":
                    errors_mps = [run.delta_v_mps for run in of if run.delta_v_sigmas >= 0.0]
                    within = sum(run.delta_v_sigmas <= 3.0 for run in of)
                    delta_v = f"{1e3 * rms(errors_mps):.1f} mm/s, {within} within 3 sigma"
                rows.append([name, estimator, f"{peak_m:.1f} m", outside, detected, delta_v])
    header = ("manoeuvre", "estimator", "largest error", "time outside 5 sigma", "detected", "error of delta-v")
    print_table(header, rows)
    alarms = sum(
        score.detections
        for name, injection in INJECTIONS.items()
        if not (injection.impulses or injection.thrusts)
        for score in scores[name, "filter"]
    )
    print(f"\nReported manoeuvres in all other cases: {alarms} in {3 * seeds * (len(INJECTIONS) - 2)} h.")


def _figures(scores: Sequence[InjectionScore]) -> str:
    """Return the text of the pooled figures."""
    error_m, formal_m = (
        float(np.sqrt(np.mean([getattr(score, name) for score in scores]))) for name in ("error_m2", "formal_m2")
    )
    nees, nis = (np.mean([getattr(score, name) for score in scores]) for name in ("nees", "nis"))
    return f"{error_m:.2f} m, {formal_m:.2f} m; {nees:.2f}, {nis:.2f}"


# --- orbits ---------------------------------------------------------------------------------------------------------


def orbits(seeds: int) -> None:
    """Print errors, formal sigmas and consistency in elliptical and geostationary orbits."""
    runs = [(name, side, seed, ORBIT_HOURS) for name in ORBIT_CLASSES for side in SIDES for seed in range(seeds)]
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(score_class, *zip(*runs, strict=True)))
    print(f"\n{seeds} orbits of {ORBIT_HOURS} h each; RMS, formal 3-D sigma; NEES and NIS per degree of freedom.\n")
    rows = []
    for name in ORBIT_CLASSES:
        for estimator in ESTIMATORS:
            columns = []
            for side in SIDES:
                scores = [score[estimator] for run, score in zip(runs, found, strict=True) if run[:2] == (name, side)]
                columns.append(_figures(scores))
            rows.append([name, estimator, *columns])
    print_table(("orbit", "estimator", "nominal", "realistic"), rows)
    alarms = sum(score["filter"].detections for score in found)
    print(f"\nReported manoeuvres: {alarms} in {ORBIT_HOURS * len(runs)} h.")


# --- consistency --------------------------------------------------------------------------------------------------


def consistency(seeds: int) -> None:
    """Print NIS and NEES over independent noise, for every preset without faults."""
    print(f"\n{seeds} seeds of noise on the orbit of each preset; 95 % bands.\n")
    header = ("NIS per dof", "its band", "NEES per dof", "epochs in their band", "formal / actual error")
    rows = []
    with ProcessPoolExecutor() as pool:
        for preset, found in zip(PRESETS, pool.map(preset_consistency, PRESETS, [seeds] * len(PRESETS)), strict=True):
            nis = (f"{found.nis.mean_per_dof:.3f}", "{:.3f} to {:.3f}".format(*found.nis.band_per_dof))
            for name, nees in found.nees.items():
                figures = f"{nees.mean_per_dof:.2f}", f"{100 * nees.fraction_inside:.0f} %"
                of_filter = nis if name == "filter" else ("-", "-")
                rows.append([preset, name, *of_filter, *figures, f"{found.formal_over_actual[name]:.2f}"])
    print_table(("preset", "estimator", *header), rows)


# --- speed --------------------------------------------------------------------------------------------------------


def speed(_: int) -> None:
    """Print the processor time of a step by gravity degree, and memory and replay time by length of the arc."""
    world = random_world(10, 20)
    fixes = world.fixes(CENTIMETRE, 12.0, 1)
    rows = []
    for degree in (20, 50, 70):
        settings = replace(OrbitSettings(), gravity_degree=degree)
        seconds = min(timeit.repeat(partial(run_filter, fixes, settings), gc.enable, time.process_time, 3, 1))
        older = " (older PyGNC 82 ms)" if degree == 50 else ""
        measured = f"{1e3 * seconds / len(fixes):.2f} ms{older}; {seconds:.2f} s for 12 h"
        rows.append([f"predict 25 s and update, degree {degree}", measured, "1 ms; 2 s" if degree == 50 else "-"])
    peaks = [f"{peak_bytes(fixes[: 144 * hours]) / 1e3:.0f} kB" for hours in (3, 12)]
    rows.append(["most memory that the filter adds after its start, 3 h and 12 h", " and ".join(peaks), "equal"])
    rows.append(["whole replay with smoother, batch and report, 3 h", f"{replay_s(3):.1f} s", "-"])
    rows.append(["whole replay, 12 h", f"{replay_s(12):.1f} s", "15 s"])
    print()
    print_table(("what", "measured", "limit"), rows)


def peak_bytes(fixes: Sequence[Fix]) -> int:
    """Return the peak memory of a filter whose results are discarded."""
    orbit = OrbitFilter(OrbitSettings(), ORIENTATION)
    for fix in fixes[:20]:
        orbit.process(fix)
    tracemalloc.start()
    for fix in fixes[20:]:
        orbit.process(fix)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def replay_s(hours: int) -> float:
    """Return the seconds of `pygnc replay` from start to end."""
    pygnc = str(Path(sys.executable).with_name("pygnc"))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "s.toml").write_text(f"duration_s = {3600 * hours}\n")
        made = [pygnc, "scenario", "make", "--config", f"{folder}/s.toml", "--out", f"{folder}/s"]
        subprocess.run(made, check=True, capture_output=True)
        began = time.monotonic()
        files = [f"{folder}/s/sense.bin", "--truth", f"{folder}/s/truth.parquet"]
        subprocess.run([pygnc, "replay", *files, "--out", f"{folder}/r"], check=True, capture_output=True)
        return time.monotonic() - began


def main() -> int:
    """Run the requested parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        default=20,
        help="Number of orbits; for consistency, number of noise seeds on each preset's orbit (default: 20).",
    )
    parts = {
        "accuracy": accuracy,
        "injections": injections,
        "orbits": orbits,
        "consistency": consistency,
        "speed": speed,
    }
    options, chosen = select_parts(parser, parts)
    for part in chosen:
        part(options.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure the figures of the orbit for docs/benchmarks.md: errors next to bounds, consistency, speed, memory.

Usage: python scripts/bench/bench_orbit.py [--seeds N] [--part accuracy|consistency|speed]

Every seed is an orbit of its own: epoch, altitude from 400 to 600 km, inclination, node, noise, and a drag that is the
filter's expectation, half or twice as much. The script prints Markdown tables. Errors are 3-D RMS over all seeds and
the last two thirds of the time; a repeated run gives the same numbers.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

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
from pygnc_ground.campaign.orbit_world import ORIENTATION, random_world, run_filter, settings_for
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.scenario.settings import Gps

EXTRAPOLATIONS: Final = {
    "outage from 45 to 135 min of 3 h, error at its end": (45, 135, 40.0),
    "outage from 75 to 165 min of 3 h, error at its end": (75, 165, 40.0),
    "prediction of 3 h after 3 h": (180, 360, 60.0),
}
"""Times without fixes: begin and end in minutes, and limit of the error in m at 500 km and higher."""


class Case(NamedTuple):
    """One row of the accuracy table."""

    name: str
    hours: int
    gps: Gps
    older: str
    filter_limit_m: float | None
    smoother_limit_m: float | None


CENTIMETRE: Final = Gps()
MILLIMETRE: Final = Gps(velocity_noise_mps=0.001)
OUTLIERS: Final = Gps(position_outlier_rate=0.03)
CASES: Final = (
    Case("3 h, 10 m and 1 cm/s", 3, CENTIMETRE, "5.8-8.5 m", 1.6, 1.05),
    Case("12 h, 10 m and 1 cm/s", 12, CENTIMETRE, "-", 1.6, 0.9),
    Case("3 h, 10 m and 1 mm/s", 3, MILLIMETRE, "1.6-2.1 m", 0.4, 0.25),
    Case("12 h, 10 m and 1 mm/s", 12, MILLIMETRE, "-", 0.4, 0.2),
    Case("3 h, 3 % outliers of 1 km", 3, OUTLIERS, "-", 1.7, None),
    Case("3 h, latency 0", 3, Gps(velocity_latency_s=0.0), "-", None, None),
    Case("3 h, latency 0.05 s", 3, Gps(velocity_latency_s=0.05), "208 m", None, None),
    Case("3 h, latency 0.25 s", 3, Gps(velocity_latency_s=0.25), "1043 m", None, None),
)


class Run(NamedTuple):
    """Results on one orbit with one seed of noise."""

    scores: dict[tuple[str, str], Score]
    """Scores by case and estimator."""
    extrapolations: dict[str, Extrapolation]
    """Errors after the times without fixes in EXTRAPOLATIONS."""


# --- accuracy -----------------------------------------------------------------------------------------------------


def accuracy(seeds: int) -> None:
    """Print errors of all cases with their limits and bounds."""
    with ProcessPoolExecutor() as pool:
        runs = list(pool.map(run_of, range(seeds), [seeds] * seeds))

    def pooled(case: Case, name: str, quantity: str) -> float:
        """Return the RMS of a quantity over all runs, in m."""
        return float(np.sqrt(np.mean([getattr(run.scores[case.name, name], f"{quantity}_m2") for run in runs])))

    print(f"\n{seeds} orbits. CRB: Cramer-Rao bound of the same fixes for state and drag, without process noise.\n")
    head("case", "older PyGNC", "filter", "limit", "CRB so far", "smoother", "limit", "batch", "CRB of all")
    for case in CASES:
        errors = [f"{pooled(case, name, 'error'):.3f} m" for name in ESTIMATORS]
        bounds = [f"{pooled(case, name, 'deterministic'):.3f} m" for name in ("filter", "smoother")]
        limits = ["-" if limit is None else f"{limit:g} m" for limit in (case.filter_limit_m, case.smoother_limit_m)]
        line(case.name, case.older, errors[0], limits[0], bounds[0], errors[1], limits[1], errors[2], bounds[1])
    print()
    head("case", "estimator", "error / posterior bound", "error / formal sigma", "NEES per degree of freedom")
    for case in CASES:
        for name in ESTIMATORS:
            error_m = pooled(case, name, "error")
            ratios = [f"{error_m / pooled(case, name, quantity):.2f}" for quantity in ("posterior", "formal")]
            nees = np.mean([run.scores[case.name, name].nees.mean() for run in runs]) / 6.0
            line(case.name, name, *ratios, f"{nees:.2f}")
    print()
    head("without fixes", "orbits", "filter", "limit", "smoother", "limit")
    for what, (_, _, limit_m) in EXTRAPOLATIONS.items():
        found = [run.extrapolations[what] for run in runs]
        # The limit of low orbits depends on their drag.
        high = [(item, limit_m, f"{limit_m:g} m") for item in found if item.altitude_m >= 500e3]
        low = [
            (item, 15.0 + 0.15 * item.drag_m, "15 m + 15 % of what drag does")
            for item in found
            if item.altitude_m < 500e3
        ]
        for orbits, group in (("500 km and higher", high), ("lower", low)):
            if group:
                print_extrapolation(f"{what}, {orbits}", group)


def print_extrapolation(what: str, group: Sequence[tuple[Extrapolation, float, str]]) -> None:
    """Print a row of results, each with its limit as number and text."""
    items, limits_m, limit_texts = zip(*group, strict=True)
    errors_m = [item.filter_m for item in items]
    smoothed_m = rms([item.smoother_m for item in items])
    line(
        what,
        str(len(group)),
        f"{rms(errors_m):.1f} m RMS, {max(errors_m):.1f} m at most;"
        f" {rms(np.divide(errors_m, limits_m)):.2f} of the limit RMS",
        limit_texts[0],
        "-" if np.isnan(smoothed_m) else f"{smoothed_m:.2f} m RMS",
        "-" if np.isnan(smoothed_m) else "2 m",
    )


def rms(values: Sequence[float] | FloatArray) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def head(*names: str) -> None:
    """Print the head of a table."""
    line(*names)
    print("|" + "---|" * len(names))


def line(*fields: str) -> None:
    """Print a row of a table."""
    print("| " + " | ".join(fields) + " |", flush=True)


def run_of(seed: int, seeds: int) -> Run:
    """Return the results on orbit number `seed` of `seeds`."""
    world = random_world(seed, seeds)
    scores: dict[tuple[str, str], Score] = {}
    for case in CASES:
        found = score_estimators(world, case.gps, case.hours, seed)
        scores |= {(case.name, name): score for name, score in found.items()}
    settings = settings_for(CENTIMETRE, 3.0)
    fixes = world.fixes(CENTIMETRE, 3.0, seed)
    start_ms = world.settings.start_gps_ms
    extrapolations = {
        what: extrapolate(world, fixes, settings, start_ms + 60_000 * begin_min, start_ms + 60_000 * end_min)
        for what, (begin_min, end_min, _) in EXTRAPOLATIONS.items()
    }
    return Run(scores, extrapolations)


# --- consistency --------------------------------------------------------------------------------------------------


def consistency(seeds: int) -> None:
    """Print NIS and NEES over independent noise, for every preset without faults."""
    print(f"\n{seeds} seeds of noise on the orbit of each preset; 95 % bands.\n")
    head(
        "preset",
        "estimator",
        "NIS per dof",
        "its band",
        "NEES per dof",
        "epochs in their band",
        "formal / actual error",
    )
    with ProcessPoolExecutor() as pool:
        for preset, found in zip(PRESETS, pool.map(preset_consistency, PRESETS, [seeds] * len(PRESETS)), strict=True):
            nis = (f"{found.nis.mean_per_dof:.3f}", "{:.3f} to {:.3f}".format(*found.nis.band_per_dof))
            for name, nees in found.nees.items():
                inside = f"{100 * nees.fraction_inside:.0f} %"
                ratio = f"{found.formal_over_actual[name]:.2f}"
                of_filter = nis if name == "filter" else ("-", "-")
                line(preset, name, *of_filter, f"{nees.mean_per_dof:.2f}", inside, ratio)


# --- speed --------------------------------------------------------------------------------------------------------


def speed(_: int) -> None:
    """Print the cost of a step, a filter and a replay, and how it grows."""
    world = random_world(10, 20)
    fixes = world.fixes(CENTIMETRE, 12.0, 1)
    print()
    head("what", "measured", "limit")
    for degree in (20, 50, 70):
        settings = replace(OrbitSettings(), gravity_degree=degree)
        seconds = min(cpu_s(lambda: run_filter(fixes, settings)) for _ in range(3))  # noqa: B023 - called at once
        older = " (older PyGNC 82 ms)" if degree == 50 else ""
        measured = f"{1e3 * seconds / len(fixes):.2f} ms{older}; {seconds:.2f} s for 12 h"
        line(f"predict 25 s and update, degree {degree}", measured, "1 ms; 2 s" if degree == 50 else "-")
    peaks = [f"{peak_bytes(fixes[: 144 * hours]) / 1e3:.0f} kB" for hours in (3, 12)]
    line("most memory that the filter adds after its start, 3 h and 12 h", " and ".join(peaks), "the same")
    line("whole replay with smoother, batch and report, 3 h", f"{replay_s(3):.1f} s", "-")
    line("the same, 12 h", f"{replay_s(12):.1f} s", "15 s")


def cpu_s(work: Callable[[], object]) -> float:
    """Return the processor seconds of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


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


PARTS: Final[dict[str, Callable[[int], None]]] = {"accuracy": accuracy, "consistency": consistency, "speed": speed}


def main() -> int:
    """Run the requested parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--seeds", type=int, metavar="N", default=20, help="Number of orbits or seeds of noise (default: 20)."
    )
    parser.add_argument("--part", choices=list(PARTS), help="Tables to print (default: all).")
    arguments = parser.parse_args()
    for name, part in PARTS.items():
        if arguments.part in {None, name}:
            part(arguments.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())

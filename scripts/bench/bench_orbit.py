"""Measure figures of the orbit for docs/benchmarks.md: times without fixes, consistency on presets, speed, memory.

Usage: python scripts/bench/bench_orbit.py [--seeds N] [--part extrapolations|consistency|speed]

Each seed defines an orbit: epoch, altitude from 400 to 600 km, inclination, node, noise, and a drag of half, once or
twice the drag that the filter expects. The script prints Markdown tables; except for speed, a repeated run prints the
same numbers. Accuracy is measured by the campaigns data/campaigns/orbit*.toml.
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
from typing import Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.campaign.orbit_accuracy import PRESETS, Extrapolation, extrapolate, preset_consistency
from pygnc_ground.campaign.orbit_world import ORIENTATION, random_world, run_filter, settings_for
from pygnc_ground.scenario.sensor_settings import Gps
from scripts.bench.table import print_table, rms, select_parts

EXTRAPOLATIONS: Final = {
    "outage from 45 to 135 min of 3 h, error at its end": (45, 135, 40.0),
    "outage from 75 to 165 min of 3 h, error at its end": (75, 165, 40.0),
    "prediction of 3 h after 3 h": (180, 360, 60.0),
}
"""Times without fixes: begin and end in minutes, and limit of the error in m at 500 km and higher."""


CENTIMETRE: Final = Gps()


# --- times without fixes ------------------------------------------------------------------------------------------


def extrapolations(seeds: int) -> None:
    """Print the errors at the end of times without fixes with their limits."""
    with ProcessPoolExecutor() as pool:
        runs = list(pool.map(run_of, range(seeds), [seeds] * seeds))
    print(f"\n{seeds} orbits.\n")
    rows = []
    for what, (_, _, limit_m) in EXTRAPOLATIONS.items():
        found = [run[what] for run in runs]
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


def run_of(seed: int, seeds: int) -> dict[str, Extrapolation]:
    """Return the errors of one seed after the times without fixes in EXTRAPOLATIONS."""
    world = random_world(seed, seeds)
    settings = settings_for(CENTIMETRE, 3.0)
    fixes = world.fixes(CENTIMETRE, 3.0, seed)
    start_ms = world.settings.start_gps_ms
    return {
        what: extrapolate(world, fixes, settings, start_ms + 60_000 * begin_min, start_ms + 60_000 * end_min)
        for what, (begin_min, end_min, _) in EXTRAPOLATIONS.items()
    }


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
        "extrapolations": extrapolations,
        "consistency": consistency,
        "speed": speed,
    }
    options, chosen = select_parts(parser, parts)
    for part in chosen:
        part(options.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Orbits from raw GNSS measurements: of GRACE-B, where its recording is, and of simulated flights.

Usage: python -m scripts.bench.bench_gnss [--hours 3] [--seeds 5]
"""

import argparse
import os
import resource
import time
from pathlib import Path
from typing import Final

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.commands.raw_orbit import RawFiles, determine
from pygnc_ground.gnss import rinex_navigation
from pygnc_ground.gnss.broadcast import BroadcastOrbits
from pygnc_ground.gnss.measurements import GnssOrbits
from pygnc_ground.gnss.rinex3 import read_rinex3
from pygnc_ground.gnss.sp3_orbits import Sp3Orbits
from pygnc_ground.orbit.raw.determination import Receiver, solve_raw_orbit
from pygnc_ground.scenario.generate import generate
from pygnc_ground.scenario.settings import settings_from_tables
from pygnc_ground.scenario.trajectory import Trajectory
from pygnc_ground.truth.frames import earth_orientation
from scripts.bench.table import print_table

_FIRST_SEED: Final = 39_001
_RECEIVER: Final = {"interval_s": 10, "clock_jumps": True, "clock_drift_ppm": 1.0, "half_cycle_rate_per_h": 0.1}
_CASES: Final = [(kind, dual) for kind in ("precise", "broadcast") for dual in (True, False)]


def print_grace(folder: Path) -> None:
    """Print the errors of GRACE-B in the twelve hours with a published orbit, which see the solution of 24 h."""
    for dual in (True, False):
        begin_s = time.process_time()
        found = determine(
            RawFiles(
                observations=(folder / "GRCB2080.10D",),
                gnss_orbits=tuple(sorted(folder.glob("COD1594?.EPH"))),
                receiver=Receiver((0.0, 0.0, -0.414), dual=dual),
                truth=folder / "grcb_truth_00h_12h.csv",
            )
        )
        errors = next(line for line in found.lines if line.startswith("position error"))
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"GRACE-B, {_signals(dual=dual)}: {errors}; {time.process_time() - begin_s:.1f} s CPU, {memory_mb} MB")


def errors_of(seed: int, hours: float) -> list[tuple[float, float, float]]:
    """Return RMS and largest error in m and NEES per axis of each case for one simulated flight."""
    settings = settings_from_tables({"seed": seed, "duration_s": round(3600 * hours), "raw_gnss": _RECEIVER}, "bench")
    files, path = generate(settings).raw, Trajectory.of(settings)
    if files is None:
        raise ValueError("the settings have no raw measurements")
    seen, navigation = read_rinex3(files.observations), rinex_navigation.read(files.navigation)
    orbits: dict[str, GnssOrbits] = {
        "precise": Sp3Orbits.of([files.precise.decode()]),
        "broadcast": BroadcastOrbits(navigation.ephemerides, navigation.klobuchar),
    }
    frames, times_ms = EarthFrames(earth_orientation(int(seen.gps_ms[-1]))), np.unique(seen.gps_ms)
    true = path.states_gcrf(1e-3 * (times_ms - path.start_gps_ms))
    rows = []
    for kind, dual in _CASES:
        found = solve_raw_orbit(seen, orbits[kind], None, Receiver(dual=dual), OrbitSettings(), frames)
        states, covariance = found.states(times_ms)
        error_m = (states - true)[:, :3]
        squares = np.einsum("ni,nij,nj->n", error_m, np.linalg.inv(covariance[:, :3, :3]), error_m)
        distance_m = np.linalg.norm(error_m, axis=1)
        rows.append((float(np.sqrt((distance_m**2).mean())), float(distance_m.max()), float(squares.mean()) / 3.0))
    return rows


def _signals(*, dual: bool) -> str:
    return "two frequencies" if dual else "C1 and L1"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if recordings := os.environ.get("PYGNC_REFERENCE_DATA"):
        print_grace(Path(recordings) / "grace_b")
    else:
        print("GRACE-B: left out, since PYGNC_REFERENCE_DATA is not set")
    found = np.array([errors_of(_FIRST_SEED + number, options.hours) for number in range(options.seeds)])
    cells = [
        (
            f"{_signals(dual=dual)}, {kind} orbits",
            f"{np.sqrt((found[:, case, 0] ** 2).mean()):.3f} m",
            f"{found[:, case, 1].max():.2f} m",
            f"{found[:, case, 2].min():.2f} to {found[:, case, 2].max():.2f}",
        )
        for case, (kind, dual) in enumerate(_CASES)
    ]
    print_table((f"{options.seeds} simulated flights of {options.hours:g} h", "3-D RMS", "largest", "NEES"), cells)


if __name__ == "__main__":
    main()

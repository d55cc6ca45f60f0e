"""Orbits from raw GNSS measurements: of GRACE-B, where its recording is, and of simulated flights.

Usage: python -m scripts.bench.bench_gnss [--hours 3] [--seeds 5] [--reading]
"""

import argparse
import math
import os
import resource
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.commands.raw_orbit import RawFiles, determine
from pygnc_ground.gnss import rinex_navigation
from pygnc_ground.gnss.antennas import SatelliteAntennas
from pygnc_ground.gnss.broadcast import BroadcastOrbits
from pygnc_ground.gnss.measurements import GnssOrbits
from pygnc_ground.gnss.rinex3 import read_rinex3
from pygnc_ground.gnss.rinex_text import unpacked
from pygnc_ground.gnss.rinex_writer import write_rinex3
from pygnc_ground.gnss.sp3_orbits import Sp3Orbits
from pygnc_ground.orbit.raw.determination import RawOrbit, Receiver, solve_raw_orbit
from pygnc_ground.orbit.raw.live import LiveState, live_orbit
from pygnc_ground.orbit.solution import FloatArray, rms_3d
from pygnc_ground.receivers.raw_files import read_measurements, read_orbits
from pygnc_ground.scenario.generate import generate
from pygnc_ground.scenario.settings import settings_from_tables
from pygnc_ground.scenario.trajectory import Trajectory
from pygnc_ground.truth.frames import earth_orientation
from pygnc_ground.truth.load import load_truth
from pygnc_system.files import data_file
from scripts.bench.table import mean_and_range, print_table
from tests.fakes import raw_logs as fake
from tests.pygnc_ground.scenario.raw_logs import near_the_codes

_FIRST_SEED: Final = 39_001
_RECEIVER: Final = {"interval_s": 10, "clock_jumps": True, "clock_drift_ppm": 1.0, "half_cycle_rate_per_h": 0.1}
_REALISTIC: Final = {"ionosphere_waves": 0.05, "antenna_pattern_m": 0.002}
_FIRST_LIVE_SEED: Final = 39_201
_SETTLING_MS: Final = 1_800_000
_ANTENNA_SIGMA_M: Final = Receiver().sigma_m
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


def print_overlaps(folder: Path) -> None:
    """Print residuals of the halves of GRACE-B's day, and how solutions of half days differ from that of the day."""
    seen = read_measurements(folder / "GRCB2080.10D")
    orbits, _ = read_orbits(sorted(folder.glob("COD1594?.EPH")))
    frames = EarthFrames(earth_orientation(int(seen.gps_ms[-1])))
    hours = (seen.gps_ms - seen.gps_ms[0]) / 3_600_000.0

    def solved(first: int, last: int) -> RawOrbit:
        part = seen.selected((hours >= first) & (hours < last))
        return solve_raw_orbit(part, orbits, _antennas(), Receiver((0.0, 0.0, -0.414)), OrbitSettings(), frames)

    whole = solved(0, 24)
    used_h = (whole.combined.measurements.gps_ms - seen.gps_ms[0]) / 3_600_000.0
    cells = []
    for first, last in ((0, 12), (12, 24), (6, 18), (9, 21)):
        times_ms = np.unique(seen.gps_ms[(hours >= first + 1) & (hours < last - 1)])
        (states, covariance), (others, _) = whole.states(times_ms), solved(first, last).states(times_ms)
        inside = (used_h >= first) & (used_h < last)
        residuals_m = (np.nanmedian(np.abs(of[inside])) for of in (whole.fitted.code_m, whole.fitted.phase_m))
        sigma_m = math.sqrt(float(np.trace(covariance[:, :3, :3], axis1=1, axis2=2).mean()))
        difference_m = rms_3d((states - others)[:, :3])
        cells.append((f"{first} to {last} h", *(f"{one:.3f} m" for one in (*residuals_m, sigma_m, difference_m))))
    head = ("part of the day", "median residual: codes", "phases", "sigma", "difference of the part's own solution")
    print_table(head, cells)


def print_reading(folder: Path) -> None:
    """Print the processor time of reading GRACE-B's day in each format, and 24 h of orbits."""
    recorded = folder / "GRCB2080.10D"
    seen, unpacked_text = read_measurements(recorded), unpacked(recorded.read_bytes())
    settings = settings_from_tables({"duration_s": 86_400, "raw_gnss": {"interval_s": 600}}, "bench")
    files = generate(settings).raw
    if files is None:
        raise ValueError("the settings have no raw measurements")
    encoders = {
        "RXM-RAWX": fake.rawx, "RANGE": fake.range_binary, "RANGE in text": fake.range_text,
        "RANGECMP": fake.range_compressed, "MeasEpoch": fake.meas_epoch,
    }  # fmt: skip
    with TemporaryDirectory() as home:
        path = Path(home) / "file"
        contents = {"RINEX 2, compact": recorded.read_bytes(), "RINEX 2": unpacked_text, "RINEX 3": write_rinex3(seen)}
        # Receivers begin their phases near the codes, and GRACE states no C/N0 in dB-Hz.
        known = np.isfinite(seen.code_l1_m) & np.isfinite(seen.phase_l1_m) & np.isfinite(seen.phase_l2_m)
        cn0 = np.full(len(seen), 42.0)
        seen = replace(seen, signal_to_noise_l1_db_hz=cn0, signal_to_noise_l2_db_hz=cn0)
        epochs = list(fake.epochs(near_the_codes(seen.selected(known))))
        contents |= {name: b"".join(map(encode, epochs)) for name, encode in encoders.items()}
        for name, content in contents.items():
            path.write_bytes(content)
            begin_s = time.process_time()
            count = len(read_measurements(path))
            print(f"{name}: {count} measurements, {1e-6 * len(content):.1f} MB, {time.process_time() - begin_s:.1f} s")
        path.write_bytes(files.navigation)
        for name, paths in (("navigation file", [path]), ("three SP3 files", sorted(folder.glob("COD1594?.EPH")))):
            begin_s = time.process_time()
            read_orbits(paths)
            print(f"{name}: {time.process_time() - begin_s:.1f} s")


def _antennas() -> SatelliteAntennas:
    return SatelliteAntennas.of(data_file("gnss_antennas/igs05_gps.atx").read_text(encoding="latin-1"))


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
    # The true antenna is at the centre of mass; what the solution believes is wrong by what it states.
    x_m, y_m, z_m = np.random.default_rng(seed).normal(0.0, _ANTENNA_SIGMA_M, 3).tolist()
    rows = []
    for kind, dual in _CASES:
        receiver = Receiver((x_m, y_m, z_m), dual=dual)
        found = solve_raw_orbit(seen, orbits[kind], None, receiver, OrbitSettings(), frames)
        states, covariance = found.states(times_ms)
        error_m = (states - true)[:, :3]
        squares = np.einsum("ni,nij,nj->n", error_m, np.linalg.inv(covariance[:, :3, :3]), error_m)
        distance_m = np.linalg.norm(error_m, axis=1)
        rows.append((float(np.sqrt((distance_m**2).mean())), float(distance_m.max()), float(squares.mean()) / 3.0))
    return rows


def live_figures(states: list[LiveState], true_m: FloatArray, used_s: float) -> tuple[float, float, float, float]:
    """Return RMS and largest error in m and NEES per axis after the first half hour, and the time of an epoch in ms."""
    late = np.array([one.gps_ms > states[0].gps_ms + _SETTLING_MS for one in states]) & np.isfinite(true_m[:, 0])
    error_m = (np.array([one.state[:3] for one in states]) - true_m)[late]
    inverse = np.linalg.inv(np.array([one.covariance[:3, :3] for one in states])[late])
    nees = np.einsum("ni,nij,nj->n", error_m, inverse, error_m).mean() / 3.0
    distance_m = np.linalg.norm(error_m, axis=1)
    return float(np.sqrt((distance_m**2).mean())), float(distance_m.max()), float(nees), 1e3 * used_s / len(states)


def live_errors_of(seed: int, hours: float) -> tuple[float, float, float, float]:
    """Return the figures of the filter with broadcast messages and one frequency for one simulated flight."""
    tables = {"seed": seed, "duration_s": round(3600 * hours), "raw_gnss": _RECEIVER | _REALISTIC}
    settings = settings_from_tables(tables, "bench")
    files, path = generate(settings).raw, Trajectory.of(settings)
    if files is None:
        raise ValueError("the settings have no raw measurements")
    seen, navigation = read_rinex3(files.observations).without_l2(), rinex_navigation.read(files.navigation)
    orbits = BroadcastOrbits(navigation.ephemerides, navigation.klobuchar)
    frames = EarthFrames(earth_orientation(int(seen.gps_ms[-1])))
    begin_s = time.process_time()
    states = list(live_orbit(seen, orbits, None, Receiver(), OrbitSettings(), frames))
    used_s = time.process_time() - begin_s
    true = path.states_gcrf([1e-3 * (one.gps_ms - path.start_gps_ms) for one in states])
    return live_figures(states, true[:, :3], used_s)


def print_live_grace(folder: Path) -> None:
    """Print the errors of the filter with C1 and L1 of GRACE-B and precise orbits, as there are no messages."""
    seen = read_measurements(folder / "GRCB2080.10D").without_l2()
    orbits, _ = read_orbits(sorted(folder.glob("COD1594?.EPH")))
    frames = EarthFrames(earth_orientation(int(seen.gps_ms[-1])))
    begin_s = time.process_time()
    states = list(live_orbit(seen, orbits, _antennas(), Receiver((0.0, 0.0, -0.414)), OrbitSettings(), frames))
    used_s = time.process_time() - begin_s
    times_ms = np.array([one.gps_ms for one in states])
    true = load_truth(folder / "grcb_truth_00h_12h.csv", None).at(times_ms)
    turn = frames.ecef_states_from_gcrf(times_ms)[:, :3, :3]
    rms_m, largest_m, nees, epoch_ms = live_figures(states, np.einsum("nji,nj->ni", turn, true.position_ecef_m), used_s)
    print(
        f"GRACE-B, filter, C1 and L1, precise orbits: {rms_m:.2f} m, largest {largest_m:.2f} m, NEES {nees:.2f},"
        f" {epoch_ms:.1f} ms CPU an epoch"
    )


def _signals(*, dual: bool) -> str:
    return "two frequencies" if dual else "C1 and L1"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--reading", action="store_true", help="only time the readers, with GRACE-B's day")
    options = parser.parse_args()
    if options.reading:
        print_reading(Path(os.environ["PYGNC_REFERENCE_DATA"]) / "grace_b")
        return
    if recordings := os.environ.get("PYGNC_REFERENCE_DATA"):
        print_grace(Path(recordings) / "grace_b")
        print_overlaps(Path(recordings) / "grace_b")
        print_live_grace(Path(recordings) / "grace_b")
    else:
        print("GRACE-B: left out, since PYGNC_REFERENCE_DATA is not set")
    found = np.array([errors_of(_FIRST_SEED + number, options.hours) for number in range(options.seeds)])
    cells = [
        (
            f"{_signals(dual=dual)}, {kind} orbits",
            f"{np.sqrt((found[:, case, 0] ** 2).mean()):.3f} m",
            f"{found[:, case, 1].max():.2f} m",
            mean_and_range(found[:, case, 2]),
        )
        for case, (kind, dual) in enumerate(_CASES)
    ]
    live = np.array([live_errors_of(_FIRST_LIVE_SEED + number, options.hours) for number in range(options.seeds)])
    print(
        f"filter, C1 and L1, broadcast orbits, {options.seeds} flights: {np.sqrt((live[:, 0] ** 2).mean()):.2f} m,"
        f" largest {live[:, 1].max():.2f} m, NEES {mean_and_range(live[:, 2])},"
        f" {live[:, 3].mean():.1f} ms CPU an epoch"
    )
    head = (f"{options.seeds} simulated flights of {options.hours:g} h", "3-D RMS", "largest", "NEES of all (of each)")
    print_table(head, cells)


if __name__ == "__main__":
    main()

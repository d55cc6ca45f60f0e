"""Logs of receivers: time to decode them beside the protocols' own libraries, and orbits from them.

Run: python scripts/bench/bench_receivers.py [--epochs N] [--repetitions N] [--formats | --sigmas | --points | --times]

--formats and --sigmas need the reference data: PYGNC_REFERENCE_DATA.
"""

import argparse
import csv
import io
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pynmeagps
import pysbf2
import pyubx2
from novatel_edie import oem
from scipy.interpolate import CubicHermiteSpline

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.bus.messages import GnssFix
from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import SIZE
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.commands.orbit_replay import replay_with_true_noise
from pygnc_ground.orbit.normal_points import NormalPointFilter, point_dynamics, set_members
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.orbit.solution import (
    FloatArray,
    OrbitSolution,
    Usage,
    normalised_squares,
    rms_3d,
    solution_from_states,
)
from pygnc_ground.receivers.log import read
from pygnc_ground.replay.files import RecordedFiles
from pygnc_ground.report.replay import replay_files
from pygnc_ground.scenario.sensor_settings import Gps
from scripts.bench.orbit_world import random_world, settings_for
from scripts.bench.table import print_table
from tests.fakes import receiver_logs as fake
from tests.fakes.receiver_logs import Solution


def _edie(content: bytes) -> int:
    parser = oem.Parser()
    found = 0
    for at in range(0, len(content), 1 << 14):
        parser.write(content[at : at + (1 << 14)])
        found += sum(hasattr(message, "x") and math.isfinite(message.x + message.y_1) for message in parser)
    return found


def _loop(reader: type, content: bytes) -> int:
    return sum(parsed is not None for _, parsed in reader(io.BytesIO(content)))


def _fixes(log: Path) -> int:
    return sum(isinstance(part, GnssFix) for part in read(log))


_FORMATS: dict[str, tuple[tuple[Callable[[Solution], bytes], ...], str, Callable[[bytes], int]]] = {
    "BESTXYZ, ASCII": ((fake.bestxyza,), "novatel-edie", _edie),
    "BESTXYZ, binary": ((fake.bestxyzb,), "novatel-edie", _edie),
    "NAV-PVT": ((fake.nav_pvt,), "pyubx2", lambda content: _loop(pyubx2.UBXReader, content)),
    "PVTCartesian": ((fake.pvt_cartesian,), "pysbf2", lambda content: _loop(pysbf2.SBFReader, content)),
    "GGA, GST, RMC, ZDA": ((fake.sentences,), "pynmeagps", lambda content: _loop(pynmeagps.NMEAReader, content)),
}


def _solutions(epochs: int) -> list[Solution]:
    found = []
    for number in range(epochs):
        angle = 1.1e-3 * 10.0 * number
        east, out = math.sin(angle), math.cos(angle)
        position, velocity = (6.9e6 * out, 1e6 * east, 6.8e6 * east), (-7.5e3 * east, 1e3 * out, 7.4e3 * out)
        found.append(Solution(2400 * 604_800_000 + 10_000 * number, position, velocity))
    return found


def _seconds(work: Callable[[], object], repetitions: int) -> float:
    """Return the median of the processor time."""
    taken = []
    for _ in range(repetitions):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return statistics.median(taken)


def _grace_orbit() -> list[tuple[int, list[float]]]:
    """Return GPS times in ms and states in ITRF (m, m/s) of three hours of GRACE-B, every 10 s."""
    file = Path(os.environ["PYGNC_REFERENCE_DATA"]) / "grace_b" / "grcb_truth_00h_12h.csv"
    rows = []
    with file.open(newline="") as lines:
        for day, time_of_day, *words in islice(csv.reader(lines), 1081):
            moment = datetime.strptime(f"{day} {time_of_day}", "%d/%m/%Y %H:%M:%S").replace(tzinfo=UTC)
            gps_ms = round(1000 * (moment - datetime(1980, 1, 6, tzinfo=UTC)).total_seconds())
            rows.append((gps_ms, [1e3 * float(word) for word in words[:3]] + [0.1 * float(word) for word in words[3:]]))
    return rows


def _accuracy(solution: OrbitSolution | None, true_m: FloatArray) -> str:
    if solution is None:
        return "none"
    error_m = (solution.position_ecef_m - true_m)[300:]
    covariance = solution.covariance_ecef[300:, :3, :3]
    nees = normalised_squares(error_m, covariance).mean() / 3.0
    return f"{rms_3d(error_m):.2f} m ({math.sqrt(np.trace(covariance, axis1=1, axis2=2).mean()):.2f} m), {nees:.2f}"


def _grace_fixes(orbit: Sequence[tuple[int, list[float]]], factor: float = 1.0) -> list[Solution]:
    """Return fixes with white noise of 5 m and 5 cm/s, and `factor` times that as standard deviations."""
    noise = np.random.default_rng(7)
    errors = np.concatenate((noise.normal(0.0, 5.0, (1081, 3)), noise.normal(0.0, 0.05, (1081, 3))), axis=1)
    fixes = []
    for (gps_ms, state), error in zip(orbit, errors.tolist(), strict=True):
        x, y, z, vx, vy, vz = (value + wrong for value, wrong in zip(state, error, strict=True))
        fixes.append(Solution(gps_ms, (x, y, z), (vx, vy, vz), 5.0 * factor, 0.05 * factor, leap_s=15))
    return fixes


def _print_sigmas() -> None:
    """Print errors, sigmas and NEES of filter and smoother for stated standard deviations that are not true."""
    orbit = _grace_orbit()
    true_m = np.array([state[:3] for _, state in orbit])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "receiver.log"
        for factor in (0.05, 0.2, 1.0, 5.0, 20.0):
            log.write_bytes(fake.log(_grace_fixes(orbit, factor), fake.bestxyzb))
            files = RecordedFiles(sense=(log,))
            found = [replay_files(log).result, replay_with_true_noise(files, files.context()).result]
            rows.append((f"{factor:g}", *(_accuracy(one.smoothed, true_m) for one in found)))
    print_table(("factor", "`pygnc replay`: smoother", "`pygnc orbit`: smoother"), rows)


_RESOLUTIONS: dict[str, tuple[Callable[[Solution], bytes], str]] = {
    "NovAtel BESTXYZ, ASCII": (fake.bestxyza, "0.1 mm, 0.1 mm/s"),
    "NovAtel BESTXYZ, binary": (fake.bestxyzb, "double"),
    "NovAtel BESTPOS, BESTVEL": (fake.bestpos_bestvel, "double, 0.5 mm/s; no sigma of the velocity"),
    "UBX NAV-PVT": (fake.nav_pvt, "1 cm, 1 mm/s"),
    "UBX NAV-SOL": (fake.nav_sol, "1 cm, 1 cm/s"),
    "SBF PVTCartesian": (fake.pvt_cartesian, "double, 0.5 mm/s"),
    "SkyTraq A8": (fake.navigation_data, "1 cm, 1 cm/s; no sigmas"),
    "SkyTraq DF": (fake.receiver_state, "double, 0.5 mm/s; no sigmas"),
    "NMEA GGA, GST, RMC, ZDA": (fake.sentences, "2 cm; no velocities"),
}
"""Encoders of receivers' formats, with the resolution of position and velocity."""


def _print_formats() -> None:
    """Print the smoother's errors by the same fixes in each format, and the distance from that by the first."""
    orbit = _grace_orbit()
    true_m = np.array([state[:3] for _, state in orbit])
    fixes, first_m, rows = _grace_fixes(orbit), None, []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "receiver.log"
        for name, (encode, resolution) in _RESOLUTIONS.items():
            log.write_bytes(fake.log(fixes, encode))
            files = RecordedFiles(sense=(log,))
            smoothed = replay_with_true_noise(files, files.context()).result.smoothed
            found_m = true_m if smoothed is None else smoothed.position_ecef_m
            first_m = found_m if first_m is None else first_m
            distance_m = float(np.linalg.norm(found_m - first_m, axis=1).max())
            rows.append((name, resolution, _accuracy(smoothed, true_m), f"{distance_m:.4f} m"))
    print_table(("log", "resolution", "smoother", "from the first, at most"), rows)


def _free_orbit(epochs: int) -> list[Solution]:
    """Return solutions every 10 s with white noise of 5 m and 5 cm/s on an orbit by the flight's forces."""
    dynamics = OrbitDynamics(OrbitSettings(), EarthFrames(ORIENTATION))
    begin_ms, x = gps_ms_from_utc_iso("2025-03-20T00:00:00Z"), np.zeros(SIZE)
    x[:6] = 6.9e6, 0.0, 0.0, 0.0, 1000.0, 7532.0
    states, times = [x], np.arange(0, 10_000 * epochs + 30_000, 30_000)
    for before_ms, after_ms in pairwise(times.tolist()):
        states.append(dynamics.propagate_vector(begin_ms + before_ms, states[-1], begin_ms + after_ms)[0])
    rows = np.array(states)
    path = CubicHermiteSpline(1e-3 * times, rows[:, :3], rows[:, 3:6])
    noise, found = np.random.default_rng(7), []
    for gps_ms in range(0, 10_000 * epochs, 10_000):
        state = np.concatenate((path(1e-3 * gps_ms), path(1e-3 * gps_ms, 1)))
        state = dynamics.frames.ecef_state_from_gcrf(begin_ms + gps_ms).dot(state)
        px, py, pz, vx, vy, vz = (state + np.repeat((5.0, 0.05), 3) * noise.standard_normal(6)).tolist()
        found.append(Solution(begin_ms + gps_ms, (px, py, pz), (vx, vy, vz)))
    return found


_RECEIVERS: dict[str, tuple[Gps, float, bool]] = {
    "white 10 m, 1 cm/s": (Gps(), 0.0, False),
    "white 10 m, 1 mm/s": (Gps(velocity_noise_mps=0.001), 0.0, False),
    "3 % outliers of 1 km": (Gps(), 0.03, False),
    "3 m, Gauss-Markov 5 m, 3 mm/s, 600 s": (
        Gps(position_noise_m=3.0, coloured_position_noise_m=5.0, coloured_velocity_noise_mps=0.003),
        0.0,
        False,
    ),
    "3 m, Gauss-Markov 5 m, 120 s": (
        Gps(position_noise_m=3.0, coloured_position_noise_m=5.0, coloured_noise_time_s=120.0),
        0.0,
        False,
    ),
    "velocity drifts of 5 cm/s": (Gps(slow_velocity_error_mps=0.05, slow_velocity_error_shape="drift"), 0.0, False),
    "20 min without fixes": (Gps(), 0.0, True),
}
"""Receivers, shares of outliers, and whether there is a gap."""


def _print_points() -> None:
    """Print errors, sigmas and NEES of the smoother by all fixes and by normal points: orbits of 3 h, every 10 s."""
    rows = []
    for name, (gps, share, has_gap) in _RECEIVERS.items():
        found: dict[type[OrbitFilter], list[tuple[float, float, float]]] = {OrbitFilter: [], NormalPointFilter: []}
        seconds = dict.fromkeys(found, 0.0)
        for seed in range(40, 42):
            world, settings = random_world(seed % 20, 20, 3), settings_for(gps, 3.0, 10.0)
            fixes, draw = world.fixes(gps, 3.0, seed, 10), np.random.default_rng(seed)
            wrong = [fix for fix in fixes if draw.random() < share]
            fixes = [_displaced(fix, draw) if fix in wrong else fix for fix in fixes]
            fixes = [fix for number, fix in enumerate(fixes) if not (has_gap and 500 <= number < 620)]
            for kind, errors in found.items():
                begin = time.process_time()
                orbit_filter = kind(settings, ORIENTATION)
                updates = [update for fix in fixes for update in orbit_filter.process(fix)]
                updates += orbit_filter.initialise_from_buffered()
                make = OrbitDynamics if kind is OrbitFilter else point_dynamics
                states = smooth(updates, [fix.gps_ms for fix in fixes], make(settings, orbit_filter.frames), settings)
                seconds[kind] += time.process_time() - begin
                times = [fix.gps_ms for fix in fixes[len(fixes) // 3 + 1 :]]
                unused = [Usage()] * len(times)
                solution = solution_from_states(times, [states.get(ms) for ms in times], unused, orbit_filter.frames)
                set_members(solution, updates, states, orbit_filter.frames)
                error_m = solution.position_ecef_m - world.at(solution.gps_ms).position_ecef_m
                covariance = solution.covariance_ecef[:, :3, :3]
                variance = float(np.trace(covariance, axis1=1, axis2=2).mean())
                nees = float(normalised_squares(error_m, covariance).mean()) / 3.0
                errors.append((float(np.square(error_m).sum(axis=1).mean()), variance, nees))
        cells = []
        for kind, errors in found.items():
            square, variance, nees = np.mean(errors, axis=0).tolist()
            cells.append(f"{math.sqrt(square):.2f} m ({math.sqrt(variance):.2f} m), {nees:.2f}; {seconds[kind]:.1f} s")
        rows.append((name, *cells))
        print(rows[-1], file=sys.stderr)
    print_table(("receiver", "all fixes", "normal points"), rows)


def _displaced(fix: Fix, draw: np.random.Generator) -> Fix:
    return replace(fix, position_ecef_m=fix.position_ecef_m + draw.normal(0.0, 1e3 / math.sqrt(3.0), 3))


def _print_times() -> None:
    """Print processor time and memory of `pygnc orbit` for one fix up to a week of fixes, after a first start."""
    pygnc, rows = str(Path(sys.executable).with_name("pygnc")), []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "receiver.log"
        # The first start compiles the modules, wherever they are.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": f"{folder}/modules", "PYTHONDONTWRITEBYTECODE": ""}
        lengths = {"first start": 1, "one fix": 1, "10 fixes": 10, "3 h": 1_081, "1 day": 8_641, "7 days": 60_481}
        for name, epochs in lengths.items():
            log.write_bytes(fake.log(_free_orbit(epochs), fake.bestxyzb))
            words = (pygnc, "orbit", str(log), "--out", f"{folder}/out", "--overwrite")
            _, status, usage = os.wait4(subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment).pid, 0)
            if status:
                raise SystemExit(f"{name}: pygnc orbit failed")
            rows.append((name, f"{usage.ru_utime + usage.ru_stime:.1f} s", f"{usage.ru_maxrss / 1024:.0f} MB"))
    print_table(("fixes every 10 s", "processor time", "memory"), rows[1:])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5000)
    parser.add_argument("--repetitions", type=int, default=5)
    parts = {"formats": _print_formats, "sigmas": _print_sigmas, "points": _print_points, "times": _print_times}
    for name, part in parts.items():
        parser.add_argument(f"--{name}", dest="part", action="store_const", const=part, help=part.__doc__)
    options = parser.parse_args()
    if options.part:
        options.part()
        return
    solutions = _solutions(options.epochs)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "receiver.log"
        for name, (encoders, library, theirs) in _FORMATS.items():
            content = fake.log(solutions, *encoders)
            log.write_bytes(content)

            ours = partial(_fixes, log)
            if ours() != options.epochs or theirs(content) < options.epochs:
                raise SystemExit(f"{name}: not every epoch was decoded")
            own_s = _seconds(ours, options.repetitions)
            other_s = _seconds(partial(theirs, content), options.repetitions)
            rows.append(
                (
                    name,
                    f"{1e6 * own_s / options.epochs:.0f} us",
                    f"{1e6 * other_s / options.epochs:.0f} us",
                    library,
                    f"{own_s / other_s:.2f}",
                )
            )
    print_table(("log", "fix", "messages by the library", "library", "ratio"), rows)


if __name__ == "__main__":
    main()

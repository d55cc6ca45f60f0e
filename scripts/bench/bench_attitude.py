"""Measure the figures of the attitude for docs/benchmarks.md: errors, convergence, consistency, faults, speed.

Usage: python scripts/bench/bench_attitude.py [--seeds N] [--part accuracy|faults|speed]

Each seed defines a flight: position in the orbit, node, attitude, axis of rotation, noise and biases (gyro within 3
deg/s, magnetometer within 40 uT). The scenario generator makes sensor data and truth; the environment is that of the
true position. The filter starts with the first sample in sunlight. The time to 5 deg counts from that sample, in
seconds of sunlight. Errors are angles about all three axes, RMS over all seeds after half an hour. The script prints
Markdown tables; except for speed, a repeated run prints the same numbers.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import groupby, repeat
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.common import quaternion
from pygnc.estimators.attitude.filter import AttitudeFilter, AttitudeUpdate
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import AttitudeState
from pygnc.formats.sense import encode_lux, lux_from_words
from pygnc_ground.attitude.smoother import smooth
from pygnc_ground.orbit.consistency import band
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.scenario import imu, sun_sensors
from pygnc_ground.scenario.generate import TrueStates
from pygnc_ground.scenario.settings import settings_from_tables
from pygnc_ground.scenario.trajectory import Trajectory
from scripts.bench.table import print_table, rms, select_parts

DURATION_S: Final = 10_800
CADENCE_S: Final = 5
SETTLED: Final = 1_800 // CADENCE_S
BIAS_AFTER: Final = 5_400 // CADENCE_S
BREAKS: Final = 5_000 // CADENCE_S
"""Sample from which a sensor fails."""
SPEED_FLIGHTS: Final = 20
FOUND_DEG: Final = 5.0
WRONG_DEG: Final = 20.0


RIGID: Final = {"mode": "rigid"}
IMPERFECT: Final = {"earth_reflectivity": 0.345}
CASES: Final[dict[str, tuple[dict[str, dict[str, Any]], float, float, str, str]]] = {
    "1 deg/s": ({"attitude": RIGID}, 1.0, 0.0, " (0.7)", " (1.5)"),
    "0.2 deg/s": ({"attitude": RIGID}, 0.2, 0.0, " (0.8)", " (1.6)"),
    "3 deg/s": ({"attitude": RIGID}, 3.0, 0.0, " (0.8)", " (1.6)"),
    "10 deg/s": ({"attitude": RIGID}, 10.0, 0.0, " (0.8)", " (1.6)"),
    "15 % albedo, 2 uT field": ({"attitude": RIGID, "sun_sensors": IMPERFECT}, 1.0, 2.0, " (2.0)", " (2.5)"),
    "pointed at the Earth": ({"attitude": {"mode": "nadir"}}, 0.0, 0.0, "", ""),
    "pointed at the Sun": ({"attitude": {"mode": "sun"}}, 0.0, 0.0, "", ""),
}
"""Settings of the scenario, rate in deg/s, error of the field in uT, and limits of the errors in degrees."""


class Flight(NamedTuple):
    """Inputs of the filter, and the truth at its n samples."""

    inputs: list[tuple[AttitudeSample, AttitudeEnvironment]]
    quaternion: FloatArray
    """True attitude, GCRF from body, scalar first, shape (n, 4)."""
    mag_bias_ut: FloatArray
    """True magnetometer bias, sensor axes, shape (n, 3)."""
    lit: FloatArray
    """Visible fraction of the Sun's disc, shape (n,)."""


def make_flight(seed: int, case: str) -> Flight:
    """Return the flight of one seed."""
    changes, rate_deg_s, field_error_ut, *_ = CASES[case]
    rng = np.random.default_rng([seed, 2])
    axis, attitude, error = rng.normal(size=3), rng.normal(size=4), rng.normal(size=3)
    error *= field_error_ut / np.linalg.norm(error)
    tables: dict[str, dict[str, Any]] = {
        "attitude": {
            "quaternion_gcrf_from_body": (attitude / np.linalg.norm(attitude)).tolist(),
            "rate_body_deg_s": (rate_deg_s * axis / np.linalg.norm(axis)).tolist(),
        },
        "imu": {"mag_bias_ut": "drawn", "gyro_bias_deg_s": "drawn", "field_error_gcrf_ut": error.tolist()},
        "orbit": {"mean_anomaly_deg": rng.uniform(0.0, 360.0), "raan_deg": rng.uniform(0.0, 360.0)},
    }
    merged = {name: tables.get(name, {}) | changes.get(name, {}) for name in tables.keys() | changes.keys()}
    settings = settings_from_tables({"seed": seed, "duration_s": DURATION_S, **merged}, "bench")
    truth = TrueStates.at(settings, Trajectory.of(settings), np.arange(0, DURATION_S, CADENCE_S))
    mag = imu.magnetometer_ut(settings.imu, truth.field_body_ut, truth.mag_bias_imu_ut, seed)
    gyro = imu.gyro_rad_s(settings.imu, truth.rate_body_rad_s, truth.gyro_bias_imu_rad_s, seed)
    bodies = truth.sun_body_m, truth.position_body_m, truth.sunlit_fraction
    lux = lux_from_words(encode_lux(sun_sensors.face_lux(settings.sun_sensors, *bodies, seed)))
    q = truth.quaternion_gcrf_from_body
    field = quaternion.rotate(q, truth.field_body_ut) - error
    sun = quaternion.rotate(q, truth.sun_body_m) + truth.position_gcrf_m
    lit = truth.sunlit_fraction
    inputs = [
        (
            AttitudeSample(int(truth.gps_ms[seq]), mag[seq], gyro[seq], lux[seq], seq),
            AttitudeEnvironment(field[seq], sun[seq], truth.position_gcrf_m[seq], float(lit[seq])),
        )
        for seq in range(len(lit))
    ]
    return Flight(inputs, q, truth.mag_bias_imu_ut, lit)


# --- Faults ---------------------------------------------------------------------------------------------------------


Fault: TypeAlias = tuple[
    int, Callable[[AttitudeSample], AttitudeSample | None], Callable[[AttitudeUpdate], bool] | None
]
"""Number of the first faulty sample, change of the samples, and the flag that the filter should report, if any."""


def _copied_face(sample: AttitudeSample, face: int, source: int | None = None) -> AttitudeSample:
    lux = sample.lux.copy()
    lux[face] = 0.0 if source is None else lux[source]
    return replace(sample, lux=lux)


def _stuck_axis(sample: AttitudeSample) -> AttitudeSample:
    gyro = sample.gyro_imu_rad_s.copy()
    gyro[1] = 0.0
    return replace(sample, gyro_imu_rad_s=gyro)


def _delayed(sample: AttitudeSample, by_ms: int) -> AttitudeSample:
    return replace(sample, gps_ms=sample.gps_ms + by_ms)


def _face_flagged(update: AttitudeUpdate, face: int) -> bool:
    return bool((update.faces.dead | update.faces.mirrored)[face])


_DEAD: Final = (partial(_copied_face, face=0), partial(_face_flagged, face=0))
_MIRRORED: Final = (partial(_copied_face, face=1, source=4), partial(_face_flagged, face=1))
FAULTS: Final[dict[str, Fault]] = {
    "face +X dead from the start": (0, *_DEAD),
    "face +X fails": (BREAKS, *_DEAD),
    "face +Y inverted from the start": (0, *_MIRRORED),
    "face +Y becomes inverted": (BREAKS, *_MIRRORED),
    "gyro axis y sticks at zero": (BREAKS, _stuck_axis, lambda update: bool(update.gyro.stuck[1])),
    "30 % of the samples missing": (0, lambda s: None if np.random.default_rng(s.seq).random() < 0.3 else s, None),
    "10 minutes missing": (BREAKS, lambda sample: None if sample.seq < BREAKS + 120 else sample, None),
    "clock set back 10 minutes": (BREAKS, partial(_delayed, by_ms=-600_000), None),
    "clock set ahead 10 minutes": (BREAKS, partial(_delayed, by_ms=600_000), None),
}


# --- Runs -----------------------------------------------------------------------------------------------------------


def run_case(seed: int, case: str, fault: str | None) -> dict[str, float]:
    """Return the figures of one flight of a case by name; `fault` is a key of FAULTS."""
    flight = make_flight(seed, case)
    since, change, is_flagged = FAULTS[fault] if fault else (0, lambda sample: sample, None)
    attitude = AttitudeFilter(AttitudeSettings())
    sunrise = int(np.argmax(flight.lit > 0.5))
    updates = []
    for sample, environment in flight.inputs[sunrise:]:
        changed = change(sample) if sample.seq >= since else sample
        if changed is not None:
            updates.append(attitude.process(changed, environment))
    seq = np.array([update.seq for update in updates])
    lit = flight.lit[seq] > 0.5
    error, nees = _errors(flight, seq, [update.state for update in updates])
    smoothed, _ = _errors(flight, seq, smooth(updates))
    settled, known = seq >= seq[0] + SETTLED, np.isfinite(error)
    found = int(np.argmax(error < FOUND_DEG)) if (error < FOUND_DEG).any() else len(error)
    after = next((update for update in updates if update.seq >= seq[0] + BIAS_AFTER and update.state is not None), None)
    bias_ut = math.nan
    if after is not None and after.state is not None:
        bias_ut = float(np.linalg.norm(after.state.mag_bias_ut - flight.mag_bias_ut[after.seq]))
    wrong = [len(list(run)) for is_wrong, run in groupby(error > WRONG_DEG) if is_wrong]
    return {
        "sun_deg": _rms(error[settled & known & lit]),
        "shadow_deg": _rms(error[settled & known & ~lit]),
        "smoothed_sun_deg": _rms(smoothed[settled & known & lit]),
        "smoothed_shadow_deg": _rms(smoothed[settled & known & ~lit]),
        "nees": float(nees[settled & known].mean()),
        "found_s": float(CADENCE_S * np.count_nonzero(lit[:found])),
        "wrong_s": float(CADENCE_S * max(wrong, default=0)),
        "lost": float(1.0 - known[settled].mean()),
        "bias_ut": bias_ut,
        "flagged": float(is_flagged is not None and is_flagged(updates[-1])),
    }


def _errors(flight: Flight, seq: Any, states: Sequence[AttitudeState | None]) -> tuple[FloatArray, FloatArray]:  # noqa: ANN401
    """Return angles in degrees and normalised errors squared, each (n,); NaN without a state."""
    errors, nees = np.full(len(seq), np.nan), np.full(len(seq), np.nan)
    for row, (number, state) in enumerate(zip(seq, states, strict=True)):
        if state is not None:
            turn = quaternion.error_vector(flight.quaternion[number], state.quaternion)
            errors[row] = math.degrees(np.linalg.norm(turn))
            nees[row] = turn.dot(np.linalg.solve(state.covariance[:3, :3], turn))
    return errors, nees


def _rms(values: FloatArray) -> float:
    """Return the root mean square of the finite values; NaN if there are none."""
    known = values[np.isfinite(values)]
    return rms(known) if len(known) else math.nan


# --- Tables ---------------------------------------------------------------------------------------------------------


def _run_seeds(pool: ProcessPoolExecutor, seeds: Sequence[int], case: str, fault: str | None) -> dict[str, FloatArray]:
    """Return each figure of `run_case` for all seeds."""
    runs = list(pool.map(run_case, seeds, repeat(case), repeat(fault)))
    return {name: np.array([run[name] for run in runs]) for name in runs[0]}


def print_accuracy(seeds: Sequence[int], pool: ProcessPoolExecutor) -> None:
    """Print errors, convergence and consistency."""
    low, high = band(3, len(seeds))
    print(f"Errors in degrees, {len(seeds)} seeds; limits in brackets. NEES of one epoch: {low:.2f}-{high:.2f}.\n")
    names = ("in sun", "in shadow", "smoothed", "time to 5 deg: median, 95 %, all", "error > 20 deg", "bias uT", "NEES")

    def rows() -> Iterator[list[str]]:
        for case, (*_, sun_limit, shadow_limit) in CASES.items():
            found = _run_seeds(pool, seeds, case, None)
            yield [
                case,
                f"{_rms(found['sun_deg']):.2f}{sun_limit}",
                f"{_rms(found['shadow_deg']):.2f}{shadow_limit}",
                f"{_rms(found['smoothed_sun_deg']):.2f} / {_rms(found['smoothed_shadow_deg']):.2f}",
                "{:.0f}, {:.0f}, {:.0f} s in sun".format(*np.percentile(found["found_s"], [50, 95, 100])),
                f"{found['wrong_s'].max():.0f} s",
                f"{_rms(found['bias_ut']):.3f}, worst {np.nanmax(found['bias_ut']):.3f}",
                f"{found['nees'].mean():.2f}",
            ]

    print_table(("what", *names), rows())


def print_faults(seeds: Sequence[int], pool: ProcessPoolExecutor) -> None:
    """Print the results with sensor faults, missing samples and clock steps."""

    def rows() -> Iterator[list[str]]:
        for fault, (_, _, is_flagged) in FAULTS.items():
            found = _run_seeds(pool, seeds, "1 deg/s", fault)
            yield [
                fault,
                f"{_rms(found['sun_deg']):.2f}",
                f"{_rms(found['shadow_deg']):.2f}",
                f"{found['wrong_s'].max():.0f} s",
                f"{100.0 * found['lost'].mean():.1f} %",
                "-" if is_flagged is None else f"{found['flagged'].sum():.0f} of {len(seeds)}",
            ]

    print()
    print_table(("fault, 1 deg/s", "in sun", "in shadow", "error > 20 deg", "unknown", "flagged"), rows())


def print_speed(_seeds: Sequence[int], _pool: ProcessPoolExecutor) -> None:
    """Print the processing time of one sample: minimum of several runs, so that other load does not count."""
    flight = make_flight(1, "1 deg/s")
    runs = np.array([_timed(flight) for _ in range(SPEED_FLIGHTS)])
    known, least_ms = runs[0, :, 0] > 0.0, runs[:, :, 1].min(axis=0)
    print()
    times_ms = {"searching": least_ms[~known], "tracking": least_ms[known]}
    rows = [(name, f"{np.median(taken):.2f} ms", f"{taken.max():.2f} ms") for name, taken in times_ms.items()]
    print_table(("one sample", "median", "worst"), rows)


def _timed(flight: Flight) -> list[tuple[bool, float]]:
    """Return for each sample whether the attitude was known before it, and its time in ms."""
    attitude = AttitudeFilter(AttitudeSettings())
    times = []
    for sample, environment in flight.inputs:
        known = attitude.state is not None
        begin = time.perf_counter()
        attitude.process(sample, environment)
        times.append((known, 1e3 * (time.perf_counter() - begin)))
    return times


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--seeds", type=int, metavar="N", default=20, help="Number of seeds of each case (default: 20)."
    )
    parts = {"accuracy": print_accuracy, "faults": print_faults, "speed": print_speed}
    options, chosen = select_parts(parser, parts)
    with ProcessPoolExecutor() as pool:
        for part in chosen:
            part(range(1, options.seeds + 1), pool)


if __name__ == "__main__":
    main()

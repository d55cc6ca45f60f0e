"""Measure the figures of the attitude for docs/benchmarks.md: errors, convergence, consistency, faults, speed.

Usage: python scripts/bench/bench_attitude.py [--seeds N] [--part accuracy|faults|speed]

Every seed is a flight of its own: place in the orbit, node, attitude, axis of rotation, biases (gyro within 3 deg/s,
magnetometer within 40 uT), noise. Sensors and truth are the scenario generator's; the environment is that at
the true position. The filter's first sample is the flight's first one in sunlight; the time to the attitude
counts from there, in seconds of sunlight. Errors are angles about all three axes, RMS over all seeds after half an
hour. The script prints Markdown tables; except for speed, a repeated run gives the same numbers.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

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
from pygnc_ground.scenario.settings import settings_from_tables
from pygnc_ground.scenario.trajectory import Trajectory, initial_state_gcrf
from pygnc_ground.scenario.true_states import TrueStates

DURATION_S: Final = 10_800
CADENCE_S: Final = 5
SETTLED: Final = 1_800 // CADENCE_S
BIAS_AFTER: Final = 5_400 // CADENCE_S
BREAKS: Final = 5_000 // CADENCE_S
"""Sample from which a sensor fails."""
SPEED_FLIGHTS: Final = 20
FOUND_DEG: Final = 5.0
WRONG_DEG: Final = 20.0


class Case(NamedTuple):
    """One row of the accuracy table, with the limits of its errors in degrees."""

    name: str
    tables: dict[str, dict[str, Any]]
    rate_deg_s: float
    field_error_ut: float
    sun_limit: float | None
    shadow_limit: float | None


RIGID: Final = {"mode": "rigid"}
IMPERFECT: Final = {"earth_reflectivity": 0.345}
CASES: Final = (
    Case("1 deg/s", {"attitude": RIGID}, 1.0, 0.0, 0.7, 1.5),
    Case("0.2 deg/s", {"attitude": RIGID}, 0.2, 0.0, 0.8, 1.6),
    Case("3 deg/s", {"attitude": RIGID}, 3.0, 0.0, 0.8, 1.6),
    Case("10 deg/s", {"attitude": RIGID}, 10.0, 0.0, 0.8, 1.6),
    Case("15 % albedo, 2 uT field", {"attitude": RIGID, "sun_sensors": IMPERFECT}, 1.0, 2.0, 2.0, 2.5),
    Case("pointed at the Earth", {"attitude": {"mode": "nadir"}}, 0.0, 0.0, None, None),
    Case("pointed at the Sun", {"attitude": {"mode": "sun"}}, 0.0, 0.0, None, None),
)


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """Inputs of the filter, and the truth."""

    samples: list[AttitudeSample]
    surroundings: list[AttitudeEnvironment]
    quaternion: FloatArray
    mag_bias_ut: FloatArray
    lit: FloatArray


@dataclass(frozen=True, slots=True)
class Score:
    """One run."""

    sun_deg: float
    shadow_deg: float
    smoothed_sun_deg: float
    smoothed_shadow_deg: float
    nees: float
    found_s: float
    wrong_s: float
    lost: float
    bias_ut: float
    flagged: bool


def make_flight(seed: int, case: Case) -> Flight:
    """Return the flight of one seed."""
    rng = np.random.default_rng([seed, 2])
    axis, attitude, error = rng.normal(size=3), rng.normal(size=4), rng.normal(size=3)
    error *= case.field_error_ut / np.linalg.norm(error)
    tables: dict[str, dict[str, Any]] = {
        "attitude": {
            "quaternion_gcrf_from_body": (attitude / np.linalg.norm(attitude)).tolist(),
            "rate_body_deg_s": (case.rate_deg_s * axis / np.linalg.norm(axis)).tolist(),
        },
        "imu": {"mag_bias_ut": "drawn", "gyro_bias_deg_s": "drawn", "field_error_gcrf_ut": error.tolist()},
        "orbit": {"mean_anomaly_deg": rng.uniform(0.0, 360.0), "raan_deg": rng.uniform(0.0, 360.0)},
    }
    merged = {name: tables.get(name, {}) | case.tables.get(name, {}) for name in tables.keys() | case.tables.keys()}
    settings = settings_from_tables({"seed": seed, "duration_s": DURATION_S, **merged}, "bench")
    start = initial_state_gcrf(settings.orbit)
    path = Trajectory(settings.start_gps_ms, DURATION_S, start, settings.spacecraft, settings.forces)
    truth = TrueStates.at(settings, path, np.arange(0, DURATION_S, CADENCE_S))
    mag = imu.magnetometer_ut(settings.imu, truth.field_body_ut, truth.mag_bias_imu_ut, seed)
    gyro = imu.gyro_rad_s(settings.imu, truth.rate_body_rad_s, truth.gyro_bias_imu_rad_s, seed)
    bodies = truth.sun_body_m, truth.position_body_m, truth.sunlit_fraction
    lux = lux_from_words(encode_lux(sun_sensors.face_lux(settings.sun_sensors, *bodies, seed)))
    q = truth.quaternion_gcrf_from_body
    field = quaternion.rotate(q, truth.field_body_ut) - error
    sun = quaternion.rotate(q, truth.sun_body_m) + truth.position_gcrf_m
    lit = truth.sunlit_fraction
    samples = [AttitudeSample(int(truth.gps_ms[seq]), mag[seq], gyro[seq], lux[seq], seq) for seq in range(len(lit))]
    around = [
        AttitudeEnvironment(field[seq], sun[seq], truth.position_gcrf_m[seq], float(lit[seq]))
        for seq in range(len(lit))
    ]
    return Flight(samples, around, q, truth.mag_bias_imu_ut, lit)


# --- Faults ---------------------------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """A fault of the samples, and the flag that the filter should report; None if there is none."""

    name: str
    done: Callable[[AttitudeSample], AttitudeSample | None]
    flag: Callable[[AttitudeUpdate], bool] | None


def _dead_face(sample: AttitudeSample, since: int) -> AttitudeSample:
    lux = sample.lux.copy()
    lux[0] = 0.0
    return replace(sample, lux=lux) if sample.seq >= since else sample


def _mirrored_face(sample: AttitudeSample, since: int) -> AttitudeSample:
    lux = sample.lux.copy()
    lux[1] = sample.lux[4]
    return replace(sample, lux=lux) if sample.seq >= since else sample


def _stuck_axis(sample: AttitudeSample) -> AttitudeSample:
    gyro = sample.gyro_imu_rad_s.copy()
    gyro[1] = 0.0
    return replace(sample, gyro_imu_rad_s=gyro) if sample.seq >= BREAKS else sample


def _dropped(sample: AttitudeSample) -> AttitudeSample | None:
    return None if np.random.default_rng(sample.seq).random() < 0.3 else sample


def _gap(sample: AttitudeSample) -> AttitudeSample | None:
    return None if BREAKS <= sample.seq < BREAKS + 120 else sample


def _clock_set(sample: AttitudeSample, by_ms: int) -> AttitudeSample:
    return replace(sample, gps_ms=sample.gps_ms + by_ms) if sample.seq >= BREAKS else sample


def _broken_flagged(update: AttitudeUpdate, face: int) -> bool:
    return bool((update.faces.dead | update.faces.mirrored)[face])


FAULTS: Final = (
    Fault("face +X dead from the first", partial(_dead_face, since=0), partial(_broken_flagged, face=0)),
    Fault("face +X dies", partial(_dead_face, since=BREAKS), partial(_broken_flagged, face=0)),
    Fault("face +Y mirrored from the first", partial(_mirrored_face, since=0), partial(_broken_flagged, face=1)),
    Fault("face +Y becomes mirrored", partial(_mirrored_face, since=BREAKS), partial(_broken_flagged, face=1)),
    Fault("gyro axis y sticks at zero", _stuck_axis, lambda update: bool(update.gyro.stuck[1])),
    Fault("30 % of the samples missing", _dropped, None),
    Fault("10 minutes missing", _gap, None),
    Fault("clock set back 10 minutes", partial(_clock_set, by_ms=-600_000), None),
    Fault("clock set ahead 10 minutes", partial(_clock_set, by_ms=600_000), None),
)


# --- Runs -----------------------------------------------------------------------------------------------------------


def run_case(job: tuple[int, Case, str | None]) -> Score:
    """Return the run of one seed of one case, with the fault of that name."""
    seed, case, fault_name = job
    flight = make_flight(seed, case)
    fault = next((fault for fault in FAULTS if fault.name == fault_name), None)
    attitude = AttitudeFilter(AttitudeSettings())
    sunrise = int(np.argmax(flight.lit > 0.5))
    updates = []
    for sample, around in zip(flight.samples[sunrise:], flight.surroundings[sunrise:], strict=True):
        given = sample if fault is None else fault.done(sample)
        if given is not None:
            updates.append(attitude.process(given, around))
    return _score(flight, updates, fault)


def _score(flight: Flight, updates: list[AttitudeUpdate], fault: Fault | None) -> Score:
    seq = np.array([update.seq for update in updates])
    lit = flight.lit[seq] > 0.5
    error, nees = _errors(flight, seq, [update.state for update in updates])
    smoothed, _ = _errors(flight, seq, smooth(updates))
    settled, known = seq >= seq[0] + SETTLED, np.isfinite(error)
    found = int(np.argmax(error < FOUND_DEG)) if (error < FOUND_DEG).any() else len(error)
    after = [update for update in updates if update.seq >= seq[0] + BIAS_AFTER and update.state is not None]
    state = after[0].state if after else None
    bias = math.nan if state is None else np.linalg.norm(state.mag_bias_ut - flight.mag_bias_ut[after[0].seq])
    return Score(
        _rms(error[settled & known & lit]),
        _rms(error[settled & known & ~lit]),
        _rms(smoothed[settled & known & lit]),
        _rms(smoothed[settled & known & ~lit]),
        float(nees[settled & known].mean()),
        float(CADENCE_S * np.count_nonzero(lit[:found])),
        float(CADENCE_S * _longest(error > WRONG_DEG)),
        float(1.0 - known[settled].mean()),
        float(bias),
        fault is not None and fault.flag is not None and fault.flag(updates[-1]),
    )


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
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else math.nan


def _longest(flags: Any) -> int:  # noqa: ANN401
    longest = length = 0
    for flag in flags:
        length = length + 1 if flag else 0
        longest = max(longest, length)
    return longest


def _of(scores: Sequence[Score], name: str) -> FloatArray:
    return np.array([getattr(score, name) for score in scores])


def _rms_of(scores: Sequence[Score], name: str) -> float:
    return float(np.sqrt(np.nanmean(np.square(_of(scores, name)))))


# --- Tables ---------------------------------------------------------------------------------------------------------


def print_accuracy(seeds: Sequence[int], pool: ProcessPoolExecutor) -> None:
    """Print errors, convergence and consistency."""
    low, high = band(3, len(seeds))
    print(f"Errors in degrees, {len(seeds)} seeds; limits in brackets. NEES of one epoch: {low:.2f}-{high:.2f}.\n")
    print(
        "| what | in sun | in shadow | smoothed | within 5 deg: median, 95 %, all | off by > 20 deg | bias uT | NEES |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for case in CASES:
        scores = list(pool.map(run_case, [(seed, case, None) for seed in seeds]))
        found = np.percentile(_of(scores, "found_s"), [50, 95, 100])
        print(
            f"| {case.name} | {_rms_of(scores, 'sun_deg'):.2f}{_limit(case.sun_limit)}"
            f" | {_rms_of(scores, 'shadow_deg'):.2f}{_limit(case.shadow_limit)}"
            f" | {_rms_of(scores, 'smoothed_sun_deg'):.2f} / {_rms_of(scores, 'smoothed_shadow_deg'):.2f}"
            f" | {found[0]:.0f}, {found[1]:.0f}, {found[2]:.0f} s in sun"
            f" | {_of(scores, 'wrong_s').max():.0f} s"
            f" | {_rms_of(scores, 'bias_ut'):.3f}, worst {np.nanmax(_of(scores, 'bias_ut')):.3f}"
            f" | {_of(scores, 'nees').mean():.2f} |",
            flush=True,
        )


def print_faults(seeds: Sequence[int], pool: ProcessPoolExecutor) -> None:
    """Print the results with broken sensors and broken time."""
    print("\n| fault, 1 deg/s | in sun | in shadow | off by > 20 deg | unknown | flagged |")
    print("|---|---|---|---|---|---|")
    for fault in FAULTS:
        scores = list(pool.map(run_case, [(seed, CASES[0], fault.name) for seed in seeds]))
        flagged = "-" if fault.flag is None else f"{int(_of(scores, 'flagged').sum())} of {len(seeds)}"
        print(
            f"| {fault.name} | {_rms_of(scores, 'sun_deg'):.2f} | {_rms_of(scores, 'shadow_deg'):.2f}"
            f" | {_of(scores, 'wrong_s').max():.0f} s | {100.0 * _of(scores, 'lost').mean():.1f} % | {flagged} |",
            flush=True,
        )


def print_speed() -> None:
    """Print the time of one sample: the least of several runs, so that other load does not count."""
    flight = make_flight(1, CASES[0])
    known, times_ms = zip(*(_timed(flight) for _ in range(SPEED_FLIGHTS)), strict=True)
    least_ms = np.min(times_ms, axis=0)
    print("\n| one sample | median | worst |")
    print("|---|---|---|")
    for name, which in (("searching", ~known[0]), ("tracking", known[0])):
        print(f"| {name} | {np.median(least_ms[which]):.2f} ms | {least_ms[which].max():.2f} ms |")


def _timed(flight: Flight) -> tuple[Any, FloatArray]:
    """Return, per sample, whether the attitude was known before it and its time in ms, (n,) each."""
    attitude = AttitudeFilter(AttitudeSettings())
    known, times_ms = [], []
    for sample, around in zip(flight.samples, flight.surroundings, strict=True):
        known.append(attitude.state is not None)
        begin = time.perf_counter()
        attitude.process(sample, around)
        times_ms.append(1e3 * (time.perf_counter() - begin))
    return np.array(known), np.array(times_ms)


def _limit(limit: float | None) -> str:
    return "" if limit is None else f" ({limit})"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--part", choices=("accuracy", "faults", "speed"))
    arguments = parser.parse_args()
    seeds = range(1, arguments.seeds + 1)
    with ProcessPoolExecutor() as pool:
        if arguments.part in {None, "accuracy"}:
            print_accuracy(seeds, pool)
        if arguments.part in {None, "faults"}:
            print_faults(seeds, pool)
    if arguments.part in {None, "speed"}:
        print_speed()


if __name__ == "__main__":
    main()

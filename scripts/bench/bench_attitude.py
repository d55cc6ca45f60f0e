"""Measure the figures of the attitude for docs/benchmarks.md: errors, convergence, consistency, faults, speed.

Usage: python scripts/bench/bench_attitude.py [--seeds N] [--first SEED] [--part accuracy|realistic|injections|faults]

Each seed defines a flight: position in the orbit, node, attitude, axis of rotation, noise and biases (gyro within 3
deg/s, magnetometer within 40 uT), and the signs or the sizes of the injected errors. The scenario generator writes the
sense file, from which the flight's own chain (ingest, orbit, environment, attitude) makes the estimates with its
default settings. The file begins with the first record in sunlight. The time to 5 deg counts from there, in seconds of
sunlight. Errors are angles about all three axes, RMS over all seeds after half an hour. NEES and NIS are per degree of
freedom. The script prints Markdown tables; except for speed, a repeated run prints the same numbers.
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
from typing import Final

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.bus.messages import GpsFix, Message, SensorSample
from pygnc.configuration.settings import Settings as FlightSettings
from pygnc.estimators.attitude.filter import AttitudeFilter, AttitudeUpdate
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample, SampleCorrection
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.tasks.attitude.tracker import SampleOutcome
from pygnc_ground.campaign.attitude_world import AttitudeFlight, AttitudeTrace, Change, fly, unchanged
from pygnc_ground.orbit.consistency import band
from pygnc_ground.orbit.solution import BoolArray, FloatArray
from pygnc_ground.scenario.presets import preset_tables
from pygnc_ground.scenario.settings import Settings, Tables, merge_tables, settings_from_tables
from scripts.bench.table import print_table, rms, select_parts

DURATION_S: Final = 10_800
SETTLED_S: Final = 1_800.0
BIAS_AFTER_S: Final = 5_400.0
ORBIT_S: Final = 5_700.0
BREAKS_S: Final = 5_000.0
"""Time from which a sensor fails."""
SPEED_FLIGHTS: Final = 20
FOUND_DEG: Final = 5.0
WRONG_DEG: Final = 20.0


# --- Flights --------------------------------------------------------------------------------------------------------


RIGID: Final[Tables] = {"attitude": {"mode": "rigid"}}
CASES: Final[dict[str, tuple[Tables, float, float, str, str]]] = {
    "1 deg/s": (RIGID, 1.0, 0.0, " (0.7)", " (1.5)"),
    "0.2 deg/s": (RIGID, 0.2, 0.0, " (0.8)", " (1.6)"),
    "3 deg/s": (RIGID, 3.0, 0.0, " (0.8)", " (1.6)"),
    "10 deg/s": (RIGID, 10.0, 0.0, " (0.8)", " (1.6)"),
    "15 % albedo, 2 uT field": (RIGID | {"sun_sensors": {"earth_reflectivity": 0.345}}, 1.0, 2.0, " (2.0)", " (2.5)"),
    "pointed at the Earth": ({"attitude": {"mode": "nadir"}}, 0.0, 0.0, "", ""),
    "pointed at the Sun": ({"attitude": {"mode": "sun"}}, 0.0, 0.0, "", ""),
}
"""Settings of the scenario, rate in deg/s, error of the field in uT, and limits of the errors in degrees."""


def _signs(rng: np.random.Generator, size: float, count: int) -> list[float]:
    return [size * float(sign) for sign in rng.choice([-1.0, 1.0], count)]


def _mag_scale(rng: np.random.Generator, size: float) -> Tables:
    return {"imu": {"mag_scale_error": _signs(rng, size, 3)}}


def _mag_axes(rng: np.random.Generator, size_deg: float) -> Tables:
    return {"imu": {"mag_nonorthogonality_deg": _signs(rng, size_deg, 3)}}


def _panels(rng: np.random.Generator, size_ut: float) -> Tables:
    direction = rng.normal(size=3)
    return {"imu": {"panel_field_body_ut": (size_ut * direction / np.linalg.norm(direction)).tolist()}}


def _gains(rng: np.random.Generator, sigma: float) -> Tables:
    return {"sun_sensors": {"gain_errors": np.clip(sigma * rng.normal(size=6), -0.7, 0.7).tolist()}}


def _given(_rng: np.random.Generator, **tables: Tables) -> Tables:
    return tables


def _realistic(rng: np.random.Generator) -> Tables:
    """Return the preset with random signs of the errors of magnetometer, gyro scale and gains."""
    tables = preset_tables("realistic")
    for section, name in (
        ("imu", "mag_scale_error"),
        ("imu", "mag_nonorthogonality_deg"),
        ("imu", "panel_field_body_ut"),
        ("imu", "gyro_scale_error"),
        ("sun_sensors", "gain_errors"),
    ):
        values = tables[section][name]
        tables[section][name] = (np.array(values) * rng.choice([-1.0, 1.0], len(values))).tolist()
    return tables


SUB_SECOND: Final = {"sub_second": "unknown"}
DECLARED: Final = {"sub_second": "declared"}
INJECTIONS: Final[dict[str, tuple[Callable[[np.random.Generator], Tables], float]]] = {
    "nominal": (_given, 1.0),
    "magnetometer scale 5 %": (partial(_mag_scale, size=0.05), 1.0),
    "magnetometer scale 15 %": (partial(_mag_scale, size=0.15), 1.0),
    "magnetometer axes tilted by 2 deg": (partial(_mag_axes, size_deg=2.0), 1.0),
    "panel field 3 uT": (partial(_panels, size_ut=3.0), 1.0),
    "torquers 20 uT, 30 %": (partial(_given, torquers={"field_ut": 20.0, "duty": 0.3}), 1.0),
    "torquers 5 uT, 50 %": (partial(_given, torquers={"field_ut": 5.0, "duty": 0.5}), 1.0),
    "torquers 20 uT, 30 %, declared": (
        partial(_given, torquers={"field_ut": 20.0, "duty": 0.3, "declared": True}),
        1.0,
    ),
    "face gains 25 %": (partial(_gains, sigma=0.25), 1.0),
    "cosine law 20 %": (partial(_given, sun_sensors={"cosine_error": 0.2}), 1.0),
    "sub-second tags, 3 deg/s": (partial(_given, clock=SUB_SECOND), 3.0),
    "sub-second tags, 10 deg/s": (partial(_given, clock=SUB_SECOND), 10.0),
    "milliseconds declared, 3 deg/s": (partial(_given, clock=DECLARED), 3.0),
    "milliseconds declared, 10 deg/s": (partial(_given, clock=DECLARED), 10.0),
    "realistic": (_realistic, 1.0),
}
"""Settings of the scenario from random numbers, and rate in deg/s."""


def scenario_settings(seed: int, case: str, injection: str | None = None, extra: Tables | None = None) -> Settings:
    """Return the settings of one seed of a case, with an injected error."""
    changes, rate_deg_s, field_error_ut, *_ = CASES[case]
    make, injected_rate_deg_s = INJECTIONS[injection or "nominal"]
    rate_deg_s = injected_rate_deg_s if injection and case == "1 deg/s" else rate_deg_s
    rng = np.random.default_rng([seed, 2])
    axis, attitude, error = rng.normal(size=3), rng.normal(size=4), rng.normal(size=3)
    error *= field_error_ut / np.linalg.norm(error)
    drawn: Tables = {
        "attitude": {
            "quaternion_gcrf_from_body": (attitude / np.linalg.norm(attitude)).tolist(),
            "rate_body_deg_s": (rate_deg_s * axis / np.linalg.norm(axis)).tolist(),
        },
        "imu": {"mag_bias_ut": "drawn", "gyro_bias_deg_s": "drawn", "field_error_gcrf_ut": error.tolist()},
        "orbit": {"mean_anomaly_deg": rng.uniform(0.0, 360.0), "raan_deg": rng.uniform(0.0, 360.0)},
        "clock": {"boot_before_start_s": rng.uniform(5000.0, 5001.0)},
    }
    tables: Tables = {"seed": seed, "duration_s": DURATION_S}
    for by in (make(np.random.default_rng([seed, 3])), drawn, changes, extra or {}):
        tables = merge_tables(tables, by)
    return settings_from_tables(tables, "bench")


# --- Faults ---------------------------------------------------------------------------------------------------------


def _after(begin_s: float, change: Callable[[SensorSample], SensorSample | None]) -> Change:
    """Return a change of the samples that begins `begin_s` after the first one."""
    first: list[int] = []

    def changed(message: Message) -> Message | None:
        if not isinstance(message, SensorSample):
            return message
        first[:] = first or [message.t_spacecraft_s]
        return change(message) if message.t_spacecraft_s - first[0] >= begin_s else message

    return changed


def _copied_face(sample: SensorSample, face: int, source: int | None = None) -> SensorSample:
    lux = list(sample.lux)
    lux[face] = 0.0 if source is None else lux[source]
    return msgspec.structs.replace(sample, lux=tuple(lux))


def _stuck_axis(sample: SensorSample) -> SensorSample:
    x, _, z = sample.gyro_imu_rad_s
    return msgspec.structs.replace(sample, gyro_imu_rad_s=(x, 0.0, z))


def _thinned(sample: SensorSample) -> SensorSample | None:
    return None if np.random.default_rng(sample.seq).random() < 0.3 else sample


def _gap(begin_s: float, length_s: float) -> Change:
    first: list[int] = []

    def changed(message: Message) -> Message | None:
        if not isinstance(message, SensorSample | GpsFix) or message.t_spacecraft_s is None:
            return message
        first[:] = first or [message.t_spacecraft_s]
        return None if begin_s <= message.t_spacecraft_s - first[0] < begin_s + length_s else message

    return changed


def _face_flagged(update: AttitudeUpdate, face: int) -> bool:
    return bool((update.faces.dead | update.faces.mirrored)[face])


_dead, _dead_flagged = partial(_copied_face, face=0), partial(_face_flagged, face=0)
_mirrored, _mirrored_flagged = partial(_copied_face, face=1, source=4), partial(_face_flagged, face=1)
FAULTS: Final[dict[str, tuple[Callable[[], Change], Tables, Callable[[AttitudeUpdate], bool] | None]]] = {
    "face +X dead from the start": (partial(_after, 0.0, _dead), {}, _dead_flagged),
    "face +X fails": (partial(_after, BREAKS_S, _dead), {}, _dead_flagged),
    "face +Y inverted from the start": (partial(_after, 0.0, _mirrored), {}, _mirrored_flagged),
    "face +Y becomes inverted": (partial(_after, BREAKS_S, _mirrored), {}, _mirrored_flagged),
    "gyro axis y sticks at zero": (partial(_after, BREAKS_S, _stuck_axis), {}, lambda u: bool(u.gyro.stuck[1])),
    "30 % of the samples missing": (partial(_after, 0.0, _thinned), {}, None),
    "10 minutes missing": (partial(_gap, BREAKS_S, 600.0), {}, None),
    "clock set back 10 minutes": (lambda: unchanged, {"clock": {"jumps_s": [[BREAKS_S, -600.0]]}}, None),
    "clock set ahead 10 minutes": (lambda: unchanged, {"clock": {"jumps_s": [[BREAKS_S, 600.0]]}}, None),
}
"""Change of the messages, settings of the scenario, and the flag that the filter should report, if any."""


# --- Runs -----------------------------------------------------------------------------------------------------------


def run_case(seed: int, case: str, injection: str | None, fault: str | None) -> dict[str, float]:
    """Return the figures of one flight of a case by name; `fault` is a key of FAULTS."""
    change, extra, is_flagged = FAULTS[fault] if fault else (lambda: unchanged, {}, None)
    flight_settings = FlightSettings()
    if injection is not None and "declared" in injection:
        flight_settings = replace(flight_settings, attitude=replace(flight_settings.attitude, hall_word="times"))
    flown = fly(AttitudeFlight.of(scenario_settings(seed, case, injection, extra)), flight_settings, change())
    after_s = 1e-3 * (flown.gps_ms - flown.gps_ms[0])
    errors, smoothed, lit = flown.errors, flown.smoothed, flown.lit
    settled, known = after_s >= SETTLED_S, errors.known
    cadence_s = np.diff(after_s, append=after_s[-1])
    right = np.flatnonzero(errors.angle_deg < FOUND_DEG)
    found = int(right[0]) if len(right) else len(after_s)
    first_known = int(np.argmax(known)) if known.any() else len(after_s) - 1
    orbit = after_s >= ORBIT_S
    late = next((u for u, s in zip(flown.updates, after_s, strict=True) if s >= BIAS_AFTER_S and u.state), None)
    bias_ut = math.nan
    if late is not None and late.state is not None:
        row = flown.updates.index(late)
        bias_ut = float(np.linalg.norm(late.state.mag_bias_ut - flown.true.mag_bias_imu_ut[row]))
    used = [u for u, is_late in zip(flown.updates, settled, strict=True) if is_late and u.dof]
    silent = errors.wrong(WRONG_DEG, said=False)
    return {
        **_figures(errors, "", settled & known, lit),
        **_figures(smoothed, "smoothed_", settled & known, lit),
        "nees": float(np.mean(errors.nees[settled & known])) if (settled & known).any() else math.nan,
        "nees_orbit": float(np.mean(errors.nees[orbit & known])) if (orbit & known).any() else math.nan,
        "nis": sum(u.nis for u in used) / max(sum(u.dof for u in used), 1),
        "found_s": float(cadence_s[:found][lit[:found]].sum()),
        "known_after_s": float(after_s[first_known]),
        "wrong_s": _longest_s(errors.angle_deg > WRONG_DEG, cadence_s),
        "said_s": float(cadence_s[errors.wrong(WRONG_DEG, said=True)].sum()),
        "silent_s": float(cadence_s[silent].sum()),
        "lost": float(1.0 - known[settled].mean()),
        "bias_ut": bias_ut,
        "flagged": float(is_flagged is not None and is_flagged(flown.updates[-1])),
    }


def _figures(trace: AttitudeTrace, prefix: str, rows: BoolArray, lit: BoolArray) -> dict[str, float]:
    """Return RMS errors and claimed sigmas in sunlight and in shadow, in degrees."""
    found = {}
    for place, there in (("sun", lit), ("shadow", ~lit)):
        found[f"{prefix}{place}_deg"] = _rms(trace.angle_deg[rows & there])
        found[f"{prefix}{place}_sigma_deg"] = _rms(trace.sigma_deg[rows & there])
    return found


def _longest_s(flags: BoolArray, cadence_s: FloatArray) -> float:
    """Return the duration of the longest run of True in s."""
    runs = [
        (is_true, [step for _, step in run])
        for is_true, run in groupby(zip(flags, cadence_s, strict=True), lambda p: p[0])
    ]
    return max((float(sum(steps)) for is_true, steps in runs if is_true), default=0.0)


def _rms(values: FloatArray) -> float:
    """Return the root mean square of the finite values; NaN if there are none."""
    known = values[np.isfinite(values)]
    return rms(known) if len(known) else math.nan


# --- Tables ---------------------------------------------------------------------------------------------------------


def _run_seeds(
    pool: ProcessPoolExecutor,
    seeds: Sequence[int],
    case: str,
    *,
    injection: str | None = None,
    fault: str | None = None,
) -> dict[str, FloatArray]:
    """Return each figure of `run_case` for all seeds."""
    runs = list(pool.map(run_case, seeds, repeat(case), repeat(injection), repeat(fault)))
    return {name: np.array([run[name] for run in runs]) for name in runs[0]}


def print_accuracy(seeds: Sequence[int], pool: ProcessPoolExecutor) -> None:
    """Print errors, convergence and consistency."""
    low, high = (limit / 3.0 for limit in band(3, len(seeds)))
    print(f"Errors in degrees, {len(seeds)} seeds; limits in brackets. NEES of one epoch: {low:.2f}-{high:.2f}.\n")
    names = ("in sun", "in shadow", "smoothed", "time to 5 deg: median, 95 %, all", "error > 20 deg", "bias uT", "NEES")

    def rows() -> Iterator[list[str]]:
        for case, (*_, sun_limit, shadow_limit) in CASES.items():
            found = _run_seeds(pool, seeds, case)
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


_CONSISTENCY: Final = (
    "in sun (sigma)",
    "in shadow (sigma)",
    "NEES",
    "after an orbit",
    "NIS",
    "unknown",
    "found after: median, all",
    "wrong by > 20 deg: admitted, not admitted",
)


def _consistency(found: dict[str, FloatArray]) -> list[str]:
    sun, shadow = (f"{_rms(found[f'{p}_deg']):.2f} ({_rms(found[f'{p}_sigma_deg']):.2f})" for p in ("sun", "shadow"))
    known_after = found["known_after_s"]
    return [
        sun,
        shadow,
        f"{np.nanmean(found['nees']):.2f}",
        f"{np.nanmean(found['nees_orbit']):.2f}",
        f"{found['nis'].mean():.2f}",
        f"{100.0 * found['lost'].mean():.1f} %",
        f"{np.median(known_after):.0f}, {known_after.max():.0f} s",
        f"{found['said_s'].max():.0f}, {found['silent_s'].max():.0f} s",
    ]


def print_realistic(seeds: Sequence[int], pool: ProcessPoolExecutor) -> None:
    """Print the same cases with all errors of the preset `realistic`."""
    print()
    rows = ([case, *_consistency(_run_seeds(pool, seeds, case, injection="realistic"))] for case in CASES)
    print_table(("realistic", *_CONSISTENCY), rows)


def print_injections(seeds: Sequence[int], pool: ProcessPoolExecutor) -> None:
    """Print the effect of each injected error alone, none of which is declared to the estimator unless stated."""
    print()
    rows = ([name, *_consistency(_run_seeds(pool, seeds, "1 deg/s", injection=name))] for name in INJECTIONS)
    print_table(("injected, 1 deg/s", *_CONSISTENCY), rows)


def print_faults(seeds: Sequence[int], pool: ProcessPoolExecutor) -> None:
    """Print the results with sensor faults, missing samples and clock steps."""

    def rows() -> Iterator[list[str]]:
        for fault, (_, _, is_flagged) in FAULTS.items():
            found = _run_seeds(pool, seeds, "1 deg/s", fault=fault)
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
    flown = fly(AttitudeFlight.of(scenario_settings(1, "1 deg/s")))
    inputs = [_filter_input(record.outcome) for record in flown.records]
    runs = np.array([_timed(inputs) for _ in range(SPEED_FLIGHTS)])
    known, least_ms = runs[0, :, 0] > 0.0, runs[:, :, 1].min(axis=0)
    print()
    times_ms = {"searching": least_ms[~known], "tracking": least_ms[known]}
    rows = [(name, f"{np.median(taken):.2f} ms", f"{taken.max():.2f} ms") for name, taken in times_ms.items()]
    print_table(("one sample", "median", "worst"), rows)


def _filter_input(outcome: SampleOutcome) -> tuple[AttitudeSample, AttitudeEnvironment | None]:
    sample = outcome.sample
    measured = SampleCorrection(AttitudeSettings()).sample(
        sample.seq, outcome.gps_ms or 0, sample.mag_imu_ut, sample.gyro_imu_rad_s, sample.lux
    )
    return measured, outcome.environment


def _timed(inputs: Sequence[tuple[AttitudeSample, AttitudeEnvironment | None]]) -> list[tuple[bool, float]]:
    """Return for each sample whether the attitude was known before it, and its time in ms."""
    attitude = AttitudeFilter(AttitudeSettings())
    times = []
    for sample, environment in inputs:
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
    parser.add_argument("--first", type=int, metavar="SEED", default=1, help="First seed (default: 1).")
    parser.add_argument("--jobs", type=int, metavar="N", help="Number of processes (default: one per core).")
    parts = {
        "accuracy": print_accuracy,
        "realistic": print_realistic,
        "injections": print_injections,
        "faults": print_faults,
        "speed": print_speed,
    }
    options, chosen = select_parts(parser, parts)
    with ProcessPoolExecutor(options.jobs) as pool:
        for part in chosen:
            part(range(options.first, options.first + options.seeds), pool)


if __name__ == "__main__":
    main()

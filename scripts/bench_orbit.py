"""Measure what docs/benchmarks.md shows of the orbit: errors beside bounds, consistency, speed, memory.

Usage: python scripts/bench_orbit.py [--seeds N] [--part accuracy|consistency|speed]

Every seed is an orbit of its own: epoch, altitude from 400 to 600 km, inclination, node, noise, and a drag that is what
the filter's settings make expect, half or twice as much. Prints Markdown tables. Errors are 3-D and RMS over all seeds
and the last two thirds of the time; repeated, they are the same numbers.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.bus.messages import GpsFix
from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.configuration.data_files import data_file
from pygnc.configuration.earth_orientation_file import PACKAGED, read_earth_orientation
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.screening import fix_from, screen
from pygnc.estimators.orbit.settings import ArcSettings, OrbitSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc.tasks.input_messages import fix_fields
from pygnc_ground.orbit.batch.solve import solve_batch
from pygnc_ground.orbit.bound import Bound, Sightings, orbit_bounds
from pygnc_ground.orbit.consistency import nees_consistency, nis_consistency
from pygnc_ground.orbit.errors import orbit_errors
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.orbit.solution import FloatArray, IntArray, OrbitSolution, Usage, solution_from_states
from pygnc_ground.scenario.gps import make_fixes
from pygnc_ground.scenario.gps_settings import Gps
from pygnc_ground.scenario.motion_settings import Orbit, Spacecraft
from pygnc_ground.scenario.presets import preset_tables
from pygnc_ground.scenario.settings import Settings, checked
from pygnc_ground.scenario.truth import Trajectory, initial_state_gcrf
from pygnc_ground.truth.orbit_truth import TrueOrbit

EARTH_RADIUS_M: Final = 6_378_136.3
CADENCE_S: Final = 25
LONGEST_H: Final = 12
DRAG_FACTORS: Final = (1.0, 0.5, 2.0)
SETTLED: Final = 1.0 / 3.0
PRESETS: Final = ("nominal", "tumbling", "mm_velocity", "sparse_gps", "formation4")
"""Those without faults."""
ORIENTATION: Final = read_earth_orientation(data_file(PACKAGED))
OUTAGES_MIN: Final = (45, 75)
"""When they begin: in the middle, and with a quarter of an hour of fixes behind them."""
OUTAGE_MIN: Final = 90
ESTIMATORS: Final = ("filter", "smoother", "batch")
USED: Final = Usage(0.0, 0, accepted=True)


class Case(NamedTuple):
    """One line of the table of accuracy."""

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


@dataclass(frozen=True, slots=True)
class Score:
    """Squares of one run, averaged over its last two thirds: of the error, of the formal sigma, of the bounds."""

    error_m2: float
    formal_m2: float
    posterior_m2: float
    deterministic_m2: float
    nees: float


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """Errors at the end of a time without fixes, and how far drag alone moves the satellite in it."""

    altitude_m: float
    drag_m: float
    filter_m: float
    smoother_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """Everything of one seed."""

    scores: dict[tuple[str, str], Score] = field(default_factory=dict)
    outages: dict[int, Extrapolation] = field(default_factory=dict)
    """By the minute in which they begin"""
    predictions: list[Extrapolation] = field(default_factory=list)


class World:
    """A true orbit of a scenario, and the fixes a receiver makes of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.path = Trajectory(
            settings.start_gps_ms,
            settings.duration_s,
            initial_state_gcrf(settings.orbit),
            settings.spacecraft,
            settings.forces,
        )

    @property
    def span_gps_ms(self) -> tuple[int, int]:
        """When the orbit is known."""
        return self.settings.start_gps_ms, self.settings.start_gps_ms + 1000 * self.settings.duration_s

    @property
    def description(self) -> str:
        """What it is."""
        return "scenario"

    def at(self, gps_ms: IntArray) -> TrueOrbit:
        """True states in ITRF."""
        states = self.path.states_itrf((gps_ms - self.settings.start_gps_ms) / 1000.0)
        return TrueOrbit(states[:, :3], states[:, 3:])

    def fixes(self, gps: Gps, hours: float, seed: int) -> list[Fix]:
        """The plausible fixes of the first hours."""
        settings = msgspec.structs.replace(self.settings, gps=gps, seed=seed)
        t_s = CADENCE_S * np.arange(1, round(hours * 3600 / CADENCE_S) + 1)
        limits = OrbitSettings().screening
        packets = (
            GpsFix(seq=seq, source="", offset=0, raw=b"", **{**fields, "t_spacecraft_s": 0})
            for seq, fields in enumerate(fix_fields(make_fixes(settings, self.path, t_s, log="sense")))
        )
        return [fix_from(packet, limits) for packet in packets if screen(packet, limits) is None]


def world_of(seed: int, seeds: int) -> World:
    """Orbit number `seed` of so many."""
    draw = np.random.default_rng([2025, seed])
    altitude_m = 400e3 + 200e3 * seed / max(seeds - 1, 1)
    day = gps_ms_from_utc_iso("2022-06-01T00:00:00Z") // 86_400_000 + int(draw.integers(0, 1_100))
    start_utc = np.datetime64("1980-01-06T00:00:00") + np.timedelta64(int(day), "D")
    drag = DRAG_FACTORS[seed % len(DRAG_FACTORS)]
    return World(
        Settings(
            start_utc=f"{start_utc}Z",
            duration_s=3600 * LONGEST_H,
            orbit=Orbit(
                semi_major_axis_m=EARTH_RADIUS_M + altitude_m,
                inclination_deg=float(draw.choice([51.6, 97.5])),
                raan_deg=float(draw.uniform(0.0, 360.0)),
                argument_of_perigee_deg=90.0,
                mean_anomaly_deg=float(draw.uniform(0.0, 360.0)),
            ),
            spacecraft=Spacecraft(drag_coefficient=2.2 * drag),
        )
    )


def expecting(gps: Gps, hours: float, interval_s: float = CADENCE_S) -> OrbitSettings:
    """The filter's settings for a receiver and an arc: what a user declares, nothing of the truth."""
    base = OrbitSettings()
    measurement = replace(
        base.measurement,
        position_sigma_default_m=gps.position_noise_m,
        velocity_sigma_default_mps=gps.velocity_noise_mps,
    )
    return replace(base, measurement=measurement, arc=ArcSettings(3600.0 * hours, interval_s))


def filtered(fixes: Sequence[Fix], settings: OrbitSettings) -> tuple[OrbitFilter, list[OrbitUpdate]]:
    """Run the flight's filter over fixes."""
    orbit = OrbitFilter(settings, ORIENTATION)
    return orbit, [*(update for fix in fixes for update in orbit.process(fix)), *orbit.finish_start()]


def solution_of(states: dict[int, OrbitState], frames: EarthFrames) -> OrbitSolution:
    """The table of states."""
    times = sorted(states)
    return solution_from_states(times, [states[ms] for ms in times], [USED] * len(times), frames)


# --- accuracy -----------------------------------------------------------------------------------------------------


def accuracy(seeds: int) -> None:
    """Print errors of all cases beside the limits and the bounds."""
    with ProcessPoolExecutor() as pool:
        runs = list(pool.map(run_of, range(seeds), [seeds] * seeds))
    print(f"\n{seeds} orbits. CRB: Cramer-Rao bound of the same fixes for state and drag, without process noise.\n")
    head("case", "older PyGNC", "filter", "limit", "CRB so far", "smoother", "limit", "batch", "CRB of all")
    for case in CASES:
        errors = {name: f"{pooled(runs, case, name, error_m2):.3f} m" for name in ESTIMATORS}
        bounds = [f"{pooled(runs, case, name, bound_m2):.3f} m" for name in ("filter", "smoother")]
        limits = ["-" if limit is None else f"{limit:g} m" for limit in (case.filter_limit_m, case.smoother_limit_m)]
        of_filter, of_all = (errors["filter"], limits[0], bounds[0]), (errors["smoother"], limits[1])
        line(case.name, case.older, *of_filter, *of_all, errors["batch"], bounds[1])
    print()
    head("case", "estimator", "error / posterior bound", "error / formal sigma", "NEES per degree of freedom")
    for case in CASES:
        for name in ESTIMATORS:
            error_m = pooled(runs, case, name, error_m2)
            ratios = [
                f"{error_m / pooled(runs, case, name, square):.2f}"
                for square in (lambda score: score.posterior_m2, lambda score: score.formal_m2)
            ]
            nees = np.mean([run.scores[case.name, name].nees for run in runs]) / 6.0
            line(case.name, name, *ratios, f"{nees:.2f}")
    print()
    head("without fixes", "orbits", "filter", "limit", "smoother", "limit")
    for minute in OUTAGES_MIN:
        outage = f"outage from {minute} to {minute + OUTAGE_MIN} min of 3 h, error at its end"
        print_extrapolation(outage, 40.0, [run.outages[minute] for run in runs])
    print_extrapolation("prediction of 3 h after 3 h", 60.0, [item for run in runs for item in run.predictions])


def error_m2(score: Score) -> float:
    """What most of the tables show."""
    return score.error_m2


def bound_m2(score: Score) -> float:
    """Bound of the fixes that the estimator knows, all or those so far."""
    return score.deterministic_m2


def pooled(runs: Sequence[Run], case: Case, name: str, pick: Callable[[Score], float]) -> float:
    """Root of a mean square over all runs."""
    return math.sqrt(np.mean([pick(run.scores[case.name, name]) for run in runs]))


def print_extrapolation(what: str, limit_m: float, items: Sequence[Extrapolation]) -> None:
    """Print a line for 500 km and higher, and one for lower orbits, whose limit depends on their drag."""
    high = [item for item in items if item.altitude_m >= 500e3]
    low = [item for item in items if item.altitude_m < 500e3]
    smoothed = any(item.smoother_m for item in items)
    for name, group in (("500 km and higher", high), ("lower", low)):
        limits_m = [limit_m if group is high else 15.0 + 0.15 * item.drag_m for item in group]
        errors_m = [item.filter_m for item in group]
        shares = np.divide(errors_m, limits_m)
        line(
            f"{what}, {name}",
            str(len(group)),
            f"{rms(errors_m):.1f} m RMS, {max(errors_m):.1f} m at most; {rms(shares):.2f} of the limit RMS",
            f"{limit_m:g} m" if group is high else "15 m + 15 % of what drag does",
            f"{rms([item.smoother_m for item in group]):.2f} m RMS" if smoothed else "-",
            "2 m" if smoothed else "-",
        )


def rms(values: Sequence[float] | FloatArray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def head(*names: str) -> None:
    """Print the head of a table."""
    line(*names)
    print("|" + "---|" * len(names))


def line(*fields: str) -> None:
    """Print a line of a table."""
    print("| " + " | ".join(fields) + " |", flush=True)


def run_of(seed: int, seeds: int) -> Run:
    """Measure everything of one seed."""
    world = world_of(seed, seeds)
    run = Run()
    for case in CASES:
        run.scores.update({(case.name, name): score for name, score in scores_of(world, case, seed).items()})
    fixes = world.fixes(CENTIMETRE, 3.0, seed)
    run.outages.update({minute: outage_of(world, fixes, minute) for minute in OUTAGES_MIN})
    run.predictions.append(prediction_of(world, fixes))
    return run


def scores_of(world: World, case: Case, seed: int) -> dict[str, Score]:
    """Errors of filter, smoother and batch in one case."""
    settings = expecting(case.gps, case.hours)
    fixes = world.fixes(case.gps, case.hours, seed)
    orbit, updates = filtered(fixes, settings)
    times = [fix.gps_ms for fix in fixes]
    forward = {update.fix.gps_ms: update.state for update in updates if update.state is not None}
    solutions = {
        "filter": solution_of(forward, orbit.frames),
        "smoother": solution_of(smooth(updates, times, OrbitDynamics(settings, orbit.frames), settings), orbit.frames),
        "batch": solve_batch(fixes, np.array(times), settings, ORIENTATION).solution,
    }
    good = [
        fix for fix in fixes if np.linalg.norm(fix.position_ecef_m - world.at(np.array([fix.gps_ms]))[0][0]) < 500.0
    ]
    bounds = orbit_bounds(sightings_of(world, good), settings, orbit.frames)
    of_filter = (bounds.posterior_filter, bounds.deterministic_filter)
    of_smoother = (bounds.posterior_smoother, bounds.deterministic_smoother)
    return {
        name: score_of(solution, world, *(of_filter if name == "filter" else of_smoother))
        for name, solution in solutions.items()
    }


def sightings_of(world: World, fixes: Sequence[Fix]) -> Sightings:
    """The fixes for a bound: where and how well, without their noise."""
    gps_ms = np.array([fix.gps_ms for fix in fixes])
    sigma = [
        np.concatenate((fix.position_sigma_m, fix.velocity_sigma_mps))
        for fix in fixes
        if fix.velocity_sigma_mps is not None
    ]
    return Sightings(gps_ms, inertial(world, gps_ms), np.array(sigma))


def inertial(world: World, gps_ms: IntArray) -> FloatArray:
    """True states in GCRF by the flight's own frames, which differ from the truth's by their Earth orientation."""
    frames = EarthFrames(ORIENTATION)
    ecef = np.concatenate(world.at(gps_ms), axis=1)
    return np.array(
        [np.linalg.solve(frames.ecef_state_from_gcrf(int(ms)), row) for ms, row in zip(gps_ms, ecef, strict=True)]
    )


def score_of(solution: OrbitSolution, world: World, posterior: Bound, deterministic: Bound) -> Score:
    """Squares after the first third of the time."""
    errors = orbit_errors(solution, world)
    settled = errors.later(SETTLED)
    begin_ms = int(errors.gps_ms[settled][0])

    def mean_square(bound: Bound) -> float:
        return float((bound.position_m[bound.gps_ms >= begin_ms] ** 2).mean())

    return Score(
        error_m2=float((errors.position_rtn_m[settled] ** 2).sum(axis=1).mean()),
        formal_m2=float((errors.position_sigma_rtn_m[settled] ** 2).sum(axis=1).mean()),
        posterior_m2=mean_square(posterior),
        deterministic_m2=mean_square(deterministic),
        nees=float(errors.nees[settled].mean()),
    )


def outage_of(world: World, fixes: Sequence[Fix], minute: int) -> Extrapolation:
    """Take away the fixes of 90 min; errors at the first one behind."""
    settings = expecting(CENTIMETRE, 3.0)
    begin_ms, end_ms = (world.settings.start_gps_ms + 60_000 * m for m in (minute, minute + OUTAGE_MIN))
    seen = [fix for fix in fixes if not begin_ms < fix.gps_ms < end_ms]
    orbit, updates = filtered([fix for fix in seen if fix.gps_ms <= begin_ms], settings)
    predicted = orbit.predict(end_ms)
    orbit, updates = filtered(seen, settings)
    smoothed = smooth(updates, [end_ms], OrbitDynamics(settings, orbit.frames), settings)
    return Extrapolation(
        altitude_m=world.settings.orbit.semi_major_axis_m - EARTH_RADIUS_M,
        drag_m=drag_displacement_m(world, begin_ms, end_ms),
        filter_m=distance_m(world, predicted, orbit.frames),
        smoother_m=distance_m(world, smoothed[end_ms], orbit.frames),
    )


def prediction_of(world: World, fixes: Sequence[Fix]) -> Extrapolation:
    """Three hours of fixes, then three hours of none."""
    orbit, _ = filtered(fixes, expecting(CENTIMETRE, 3.0))
    begin_ms = fixes[-1].gps_ms
    end_ms = begin_ms + 3 * 3_600_000
    return Extrapolation(
        altitude_m=world.settings.orbit.semi_major_axis_m - EARTH_RADIUS_M,
        drag_m=drag_displacement_m(world, begin_ms, end_ms),
        filter_m=distance_m(world, orbit.predict(end_ms), orbit.frames),
    )


def distance_m(world: World, state: OrbitState, frames: EarthFrames) -> float:
    """How far a state is from the truth."""
    estimated = frames.ecef_state_from_gcrf(state.gps_ms)[:3] @ state.x[:6]
    return float(np.linalg.norm(estimated - world.at(np.array([state.gps_ms])).position_ecef_m[0]))


def drag_displacement_m(world: World, begin_ms: int, end_ms: int) -> float:
    """How far the satellite would be from where it is, had the air been absent in between."""
    settings = world.settings
    begin_s, end_s = ((ms - settings.start_gps_ms) / 1000.0 for ms in (begin_ms, end_ms))
    without = Trajectory(
        begin_ms,
        end_s - begin_s,
        world.path.states_gcrf([begin_s])[0],
        settings.spacecraft,
        msgspec.structs.replace(settings.forces, drag=False),
    )
    apart = without.states_gcrf([end_s - begin_s])[0, :3] - world.path.states_gcrf([end_s])[0, :3]
    return float(np.linalg.norm(apart))


# --- consistency --------------------------------------------------------------------------------------------------


def consistency(seeds: int) -> None:
    """Print NIS and NEES over independent noise, for every preset without faults."""
    print(f"\n{seeds} seeds of noise on the orbit of each preset; bands hold 95 %.\n")
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
        for lines in pool.map(consistency_of, PRESETS, [seeds] * len(PRESETS)):
            for fields in lines:
                line(*fields)


class Sample(NamedTuple):
    """One run's errors after the first third: NEES by epoch, squared error, squared formal sigma."""

    nees: FloatArray
    error_m2: float
    formal_m2: float


def consistency_of(preset: str, seeds: int) -> list[tuple[str, ...]]:
    """Return the lines of one preset."""
    scenario = checked(preset_tables(preset), preset)
    world, gps, hours = World(scenario), scenario.gps, scenario.duration_s / 3600.0
    settings = expecting(gps, hours, CADENCE_S * gps.fix_every_records)
    used: list[OrbitUpdate] = []
    samples: dict[str, list[Sample]] = {"filter": [], "smoother": []}
    for seed in range(seeds):
        orbit, updates = filtered(world.fixes(gps, hours, seed), settings)
        used += updates
        forward = {update.fix.gps_ms: update.state for update in updates if update.state is not None}
        smoothed = smooth(updates, list(forward), OrbitDynamics(settings, orbit.frames), settings)
        samples["filter"].append(sample_of(solution_of(forward, orbit.frames), world))
        samples["smoother"].append(sample_of(solution_of(smoothed, orbit.frames), world))
    of_nis = nis_consistency(np.array([update.nis for update in used]), np.array([update.dof for update in used]))
    lines: list[tuple[str, ...]] = []
    for name, of_name in samples.items():
        of_nees = nees_consistency(np.array([sample.nees for sample in of_name]))
        ratio = math.sqrt(sum(sample.formal_m2 for sample in of_name) / sum(sample.error_m2 for sample in of_name))
        nis = (f"{of_nis.mean_per_dof:.3f}", "{:.3f} to {:.3f}".format(*of_nis.band_per_dof))
        nees = (f"{of_nees.mean_per_dof:.2f}", f"{100 * of_nees.fraction_inside:.0f} %")
        lines.append((preset, name, *(nis if name == "filter" else ("-", "-")), *nees, f"{ratio:.2f}"))
    return lines


def sample_of(solution: OrbitSolution, world: World) -> Sample:
    """Compare with the truth."""
    errors = orbit_errors(solution, world)
    settled = errors.later(SETTLED)
    squares = ((vectors[settled] ** 2).sum(axis=1) for vectors in (errors.position_rtn_m, errors.position_sigma_rtn_m))
    return Sample(errors.nees[settled], *(float(each.mean()) for each in squares))


# --- speed --------------------------------------------------------------------------------------------------------


def speed(_: int) -> None:
    """Print what a step, a filter, a replay cost, and how that grows."""
    world = world_of(10, 20)
    fixes = world.fixes(CENTIMETRE, 12.0, 1)
    print()
    head("what", "measured", "limit")
    for degree in (20, 50, 70):
        settings = replace(OrbitSettings(), gravity_degree=degree)
        seconds = min(cpu_s(lambda: filtered(fixes, settings)) for _ in range(3))  # noqa: B023 - called at once
        older = " (older PyGNC 82 ms)" if degree == 50 else ""
        measured = f"{1e3 * seconds / len(fixes):.2f} ms{older}; {seconds:.2f} s for 12 h"
        line(f"predict 25 s and update, degree {degree}", measured, "1 ms; 2 s" if degree == 50 else "-")
    peaks = [f"{peak_bytes(fixes[: 144 * hours]) / 1e3:.0f} kB" for hours in (3, 12)]
    line("most memory that the filter adds after its start, 3 h and 12 h", " and ".join(peaks), "the same")
    line("whole replay with smoother, batch and report, 3 h", f"{replay_s(3):.1f} s", "-")
    line("the same, 12 h", f"{replay_s(12):.1f} s", "15 s")


def cpu_s(work: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def peak_bytes(fixes: Sequence[Fix]) -> int:
    """Most memory that a filter holds at a time, keeping nothing of what it says."""
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
    """Seconds of `pygnc replay` from start to end."""
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
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--part", choices=list(PARTS))
    arguments = parser.parse_args()
    for name, part in PARTS.items():
        if arguments.part in {None, name}:
            part(arguments.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())

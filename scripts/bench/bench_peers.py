"""Compare filter, smoother and batch with brahe's EKF, UKF and batch least squares on the same fixes.

Usage: python scripts/bench/bench_peers.py [--seeds N]

The orbits are those of `bench_orbit`, with three hours of fixes every 25 s. The velocities have no latency, because
brahe's measurement model of position and velocity knows none. brahe's estimators have the force code that also made the
truth, with degree 70 and all forces. Like the flight's filter they expect a drag coefficient of 2.2, while the true one
is half of it, equal or twice as large; they do not estimate it. Their process noise is white acceleration, diagonal in
the velocity; its density was chosen on three other orbits (seeds 500, 507, 514) for the least error. They begin at the
first fix. Errors are 3-D RMS over the last two thirds of the time, for the batches over the same time; NEES is per
degree of freedom, of brahe's batch at its epoch. Times are processor times of a run.
"""
# mypy: disable-error-code="arg-type"
# brahe's stubs declare enumeration members as methods and omit None from optional arguments.

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias, TypeVar

import brahe
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import Fix
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.campaign.orbit_scores import solution_table
from pygnc_ground.orbit.batch.solve import solve_batch
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.orbit.solution import FloatArray, OrbitSolution, later, orbit_errors
from pygnc_ground.scenario import environment
from pygnc_ground.scenario.sensor_settings import Gps
from pygnc_ground.scenario.settings import Forces, Spacecraft
from pygnc_ground.scenario.trajectory import force_model
from scripts.bench.orbit_world import World, random_world, run_filter, settings_for
from scripts.bench.table import print_table, rms

HOURS: Final = 3
SETTLED: Final = 1.0 / 3.0
CASES: Final = {
    "10 m, 1 cm/s": Gps(velocity_latency_s=0.0),
    "3 m, 1 cm/s and Gauss-Markov 5 m, 3 mm/s, 600 s": Gps(
        position_noise_m=3.0,
        velocity_latency_s=0.0,
        coloured_position_noise_m=5.0,
        coloured_velocity_noise_mps=0.003,
    ),
}
ACCELERATION_DENSITY: Final = 1e-9
"""White acceleration of brahe's filters, m^2/s^3."""
BATCH_ITERATIONS: Final = 8
BATCH_CONVERGED_M: Final = 0.01
DRAG_COEFFICIENT: Final = 2.2

_Result = TypeVar("_Result")


class Score(NamedTuple):
    """Figures of one run: RMS of the position error, mean NEES per degree of freedom, processor time."""

    error_m: float
    nees: float
    seconds: float


Scores: TypeAlias = dict[str, Score]


def scores_of(seed: int, seeds: int, gps: Gps) -> Scores:
    """Return the scores of all estimators on one orbit."""
    world = random_world(seed, seeds, HOURS + 1)
    fixes = world.fixes(gps, HOURS, seed)
    return own_scores(world, fixes, gps) | peer_scores(world, fixes)


def timed(work: Callable[[], _Result]) -> tuple[_Result, float]:
    """Return the result of a computation and its processor time in s."""
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def own_scores(world: World, fixes: Sequence[Fix], gps: Gps) -> Scores:
    """Return the scores of the flight's filter, the smoother and the batch."""
    settings = settings_for(gps, HOURS)
    times = np.array([fix.gps_ms for fix in fixes])
    (orbit, updates), filter_s = timed(lambda: run_filter(fixes, settings))
    forward = {update.fix.gps_ms: update.state for update in updates if update.state is not None}
    dynamics = OrbitDynamics(settings, orbit.frames)
    smoothed, smoother_s = timed(lambda: smooth(updates, times.tolist(), dynamics, settings))
    batch, batch_s = timed(lambda: solve_batch(fixes, times, settings, ORIENTATION))

    def score(solution: OrbitSolution, seconds: float) -> Score:
        errors = orbit_errors(solution, world.at(solution.gps_ms))
        settled = later(errors.gps_ms, SETTLED)
        error_m = float(np.sqrt((errors.position_rtn_m[settled] ** 2).sum(axis=1).mean()))
        return Score(error_m, float(errors.nees[settled].mean()) / 6.0, seconds)

    return {
        "filter": score(solution_table(forward, orbit.frames), filter_s),
        "smoother": score(solution_table(smoothed, orbit.frames), filter_s + smoother_s),
        "batch": score(batch.solution, batch_s),
    }


def peer_scores(world: World, fixes: Sequence[Fix]) -> Scores:
    """Return the scores of brahe's estimators."""
    t_s = np.array([fix.gps_ms - world.settings.start_gps_ms for fix in fixes]) * 1e-3
    epochs = environment.epochs(world.settings.start_gps_ms, t_s)
    seen = [np.concatenate((fix.position_ecef_m, velocity_of(fix))) for fix in fixes]
    sigma_m, sigma_mps = (float(np.mean(values)) for values in (fixes[0].position_sigma_m, sigma_of(fixes[0])))
    observations = [brahe.Observation(epoch, values) for epoch, values in zip(epochs, seen, strict=True)]
    start = np.asarray(brahe.state_itrf_to_gcrf(epochs[0], seen[0]))
    covariance = np.diag([sigma_m**2] * 3 + [sigma_mps**2] * 3)
    forces = force_model(Spacecraft(drag_coefficient=DRAG_COEFFICIENT), Forces(gravity_degree=70))
    noise = brahe.ProcessNoiseConfig(np.diag([0.0] * 3 + [ACCELERATION_DENSITY] * 3), scale_with_dt=True)
    steps = brahe.NumericalPropagationConfig.default()
    models = [brahe.ECEFStateMeasurementModel(sigma_m, sigma_mps)]
    true = world.path.states_gcrf(t_s)
    settled = t_s >= t_s[0] + SETTLED * (t_s[-1] - t_s[0])

    def score(states: FloatArray, covariances: Sequence[FloatArray], rows: FloatArray, seconds: float) -> Score:
        """Return the figures of states at all times; `covariances` belong to the first rows among `rows`."""
        error = states - true
        normalised = [
            float(error[row] @ np.linalg.solve(one, error[row])) / 6.0
            for row, one in zip(rows.tolist(), covariances, strict=True)
        ]
        return Score(rms(np.linalg.norm(error[settled, :3], axis=1)), float(np.mean(normalised)), seconds)

    found: Scores = {}
    for name, kind, config in (
        ("brahe EKF", brahe.ExtendedKalmanFilter, brahe.EKFConfig(process_noise=noise)),
        ("brahe UKF", brahe.UnscentedKalmanFilter, brahe.UKFConfig(alpha=1.0, process_noise=noise)),
    ):
        peer = kind(epochs[0], start, covariance, steps, forces, models, config=config)
        records, seconds = timed(lambda peer=peer: [peer.process_observation(one) for one in observations[1:]])  # type: ignore[misc]
        states = np.array([start, *(np.asarray(record.state_updated) for record in records)])
        covariances = [np.asarray(records[row - 1].covariance_updated) for row in np.flatnonzero(settled)]
        found[name] = score(states, covariances, np.flatnonzero(settled), seconds)
    batch_config = brahe.BLSConfig(
        max_iterations=BATCH_ITERATIONS,
        state_correction_threshold=BATCH_CONVERGED_M,
        store_iteration_records=False,
        store_observation_residuals=False,
    )
    batch = brahe.BatchLeastSquares(epochs[0], start, 1e4 * covariance, steps, forces, models, config=batch_config)
    _, seconds = timed(lambda: batch.solve(observations))
    solved = brahe.NumericalOrbitPropagator(epochs[0], batch.current_state(), steps, forces)
    solved.propagate_to(epochs[-1])
    states = np.asarray(solved.states_gcrf(epochs)).reshape(-1, 6)
    found["brahe batch"] = score(states, [np.asarray(batch.current_covariance())], np.zeros(1, dtype=np.int64), seconds)
    return found


def velocity_of(fix: Fix) -> FloatArray:
    """Return the velocity of a fix, ITRF, m/s, shape (3,)."""
    if fix.velocity_ecef_mps is None:
        raise ValueError(f"the fix at {fix.gps_ms} ms GPS has no velocity; brahe's model needs one")
    return fix.velocity_ecef_mps


def sigma_of(fix: Fix) -> FloatArray:
    """Return the standard deviations of the velocity of a fix, m/s, shape (3,)."""
    if fix.velocity_sigma_mps is None:
        raise ValueError(f"the fix at {fix.gps_ms} ms GPS has no velocity; brahe's model needs one")
    return fix.velocity_sigma_mps


def main() -> int:
    """Print the table of all estimators for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, metavar="N", default=20, help="Number of orbits (default: 20).")
    seeds = parser.parse_args().seeds
    print(f"\n{seeds} orbits, {HOURS} h; median and mean of the NEES over the orbits.\n")
    rows = []
    for case, gps in CASES.items():
        found = [scores_of(seed, seeds, gps) for seed in range(seeds)]
        for name in found[0]:
            scores = [one[name] for one in found]
            error_m = rms([score.error_m for score in scores])
            nees = [score.nees for score in scores]
            seconds = float(np.median([score.seconds for score in scores]))
            rows.append(
                [case, name, f"{error_m:.2f} m", f"{np.median(nees):.2f}, {np.mean(nees):.2f}", f"{seconds:.2f} s"]
            )
    print_table(("fixes", "estimator", "3-D RMS error", "NEES: median, mean", "time"), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

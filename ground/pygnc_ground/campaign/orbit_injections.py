"""Orbit errors with one unmodelled error source at a time: correlated or biased fixes, and manoeuvres.

The estimators run with their default settings: nothing is declared to them except what the fixes report.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitFilter, OrbitUpdate
from pygnc.estimators.orbit.measurement import linearise_fix
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.campaign.orbit_world import (
    ORIENTATION,
    World,
    random_world,
    run_filter,
    settings_for,
    solution_table,
    world_of_class,
)
from pygnc_ground.orbit.batch.solve import solve_batch
from pygnc_ground.orbit.delta_v import delta_vs, restarts
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.orbit.solution import FloatArray, OrbitSolution, orbit_errors
from pygnc_ground.scenario.presets import preset_tables
from pygnc_ground.scenario.sensor_settings import Gps
from pygnc_ground.scenario.settings import Impulse, Thrust, settings_from_tables

HOURS: Final = 3.0
_SETTLED: Final = 1.0 / 3.0
_OUTSIDE_SIGMAS: Final = 5.0
_MANOEUVRE_S: Final = 5_390.0
"""Time of the manoeuvres after the start: in the middle, between two fixes."""


class Injection(NamedTuple):
    """Receiver and manoeuvres of a case."""

    gps: Gps = Gps()
    impulses: tuple[Impulse, ...] = ()
    thrusts: tuple[Thrust, ...] = ()

    @property
    def delta_v_rtn_mps(self) -> FloatArray:
        """Sum of all changes of the velocity, shape (3,)."""
        changes = [np.array(impulse.delta_v_rtn_mps) for impulse in self.impulses]
        changes += [thrust.duration_s * np.array(thrust.acceleration_rtn_mps2) for thrust in self.thrusts]
        return np.sum(changes, axis=0) if changes else np.zeros(3)


def _correlated(**errors: object) -> Injection:
    return Injection(msgspec.convert({"position_noise_m": 3.0, **errors}, Gps))


NOMINAL: Final = "nominal: white 10 m, 1 cm/s"
REALISTIC: Final = "realistic"

INJECTIONS: Final[Mapping[str, Injection]] = {
    NOMINAL: Injection(),
    "white 10 m, 1 mm/s": Injection(Gps(velocity_noise_mps=0.001)),
    "white 3 m + Gauss-Markov 5 m, 3 mm/s, 600 s": _correlated(
        coloured_position_noise_m=5.0, coloured_velocity_noise_mps=0.003
    ),
    "the same, only white noise reported": _correlated(
        coloured_position_noise_m=5.0, coloured_velocity_noise_mps=0.003, reported_errors="white"
    ),
    "white 3 m + Gauss-Markov 3 m, 0 mm/s, 600 s": _correlated(coloured_position_noise_m=3.0),
    "white 3 m + Gauss-Markov 5 m, 3 mm/s, 120 s": _correlated(
        coloured_position_noise_m=5.0, coloured_velocity_noise_mps=0.003, coloured_noise_time_s=120.0
    ),
    "white 3 m + Gauss-Markov 5 m, 3 mm/s, 1800 s": _correlated(
        coloured_position_noise_m=5.0, coloured_velocity_noise_mps=0.003, coloured_noise_time_s=1800.0
    ),
    "white 10 m + 3 m radial bias": Injection(Gps(position_bias_rtn_m=(3.0, 0.0, 0.0))),
    "impulse of 5 cm/s": Injection(impulses=(Impulse(at_s=_MANOEUVRE_S, delta_v_rtn_mps=(0.0, 0.05, 0.0)),)),
    "thrust of 6e-5 m/s2 for 30 min": Injection(
        thrusts=(Thrust(begin_s=_MANOEUVRE_S, duration_s=1800.0, acceleration_rtn_mps2=(0.0, 6e-5, 0.0)),)
    ),
    REALISTIC: Injection(settings_from_tables(preset_tables(REALISTIC), REALISTIC).gps),
}
"""Injections by name; the noise is white and the fixes come every 25 s unless the name states otherwise."""


class InjectionScore(NamedTuple):
    """Figures of one estimator in one run, after the first third of the time."""

    error_m2: float
    """Mean square of the 3-D position error."""
    formal_m2: float
    """Mean square of the formal 3-D standard deviation of the position."""
    nees: float
    """Mean normalised estimation error squared per degree of freedom."""
    nis: float
    """Filter: mean normalised innovation squared per degree of freedom. Smoother and batch: that of the residuals over
    the standard deviations of the receiver (smoother) or as adapted (batch).
    """
    peak_m: float
    """Largest position error."""
    outside_s: float
    """Time with a position error of more than five formal 3-D standard deviations."""
    delta_v_mps: float = math.nan
    """Length of the error of the sum of all changes of the velocity; NaN for the filter and without any."""
    delta_v_sigmas: float = math.nan
    """Largest component of the error of the velocity change, in standard deviations."""
    detections: int = 0
    """Changes of the motion that the filter has reported."""


def injected_world(injection: Injection, seed: int, seeds: int) -> World:
    """Return the orbit `seed` of `seeds` with the manoeuvres of an injection."""
    settings = random_world(seed, seeds).settings
    manoeuvres = {"impulses": injection.impulses, "thrusts": injection.thrusts}
    return World(msgspec.structs.replace(settings, duration_s=round(3600 * HOURS), **manoeuvres))


def score_injection(name: str, seed: int, seeds: int) -> dict[str, InjectionScore]:
    """Return the scores of filter, smoother and batch for an injection on orbit `seed` of `seeds`."""
    return _scores(injected_world(INJECTIONS[name], seed, seeds), INJECTIONS[name], HOURS, seed)


def score_class(name: str, receiver: str, seed: int, hours: int) -> dict[str, InjectionScore]:
    """Return the scores for the receiver of an injection on a random orbit of a class in `ORBIT_CLASSES`."""
    return _scores(world_of_class(name, seed, hours), Injection(INJECTIONS[receiver].gps), hours, seed)


def _scores(world: World, injection: Injection, hours: float, seed: int) -> dict[str, InjectionScore]:
    settings = replace(settings_for(Gps(), hours), screening=world.screening)
    fixes = world.fixes(injection.gps, hours, seed)
    orbit, updates = run_filter(fixes, settings)
    forward = {update.fix.gps_ms: update.state for update in updates if update.state is not None}
    smoothed = smooth(updates, list(forward), OrbitDynamics(settings, orbit.frames), settings)
    times = np.array(sorted(forward))
    batch = solve_batch(fixes, times, settings, ORIENTATION, restarts(updates)).solution
    innovations = [update for update in updates if update.dof]
    used = np.isfinite(batch.nis)
    filter_nis = sum(update.nis for update in innovations) / sum(update.dof for update in innovations)
    tables = {"filter": solution_table(forward, orbit.frames), "smoother": solution_table(smoothed, orbit.frames)}
    batch_nis = float(batch.nis[used].sum() / batch.dof[used].sum())
    scores = {
        "filter": _score(tables["filter"], world, filter_nis),
        "smoother": _score(tables["smoother"], world, _residuals(smoothed, updates, orbit)),
        "batch": _score(batch, world, batch_nis),
    }
    for estimator, after in (("smoother", tables["smoother"]), ("batch", batch)):
        changes = delta_vs(updates, after, settings, orbit.frames, is_smoothed=estimator == "smoother")
        if changes:
            error_mps = np.sum([change.rtn_mps for change in changes], axis=0) - injection.delta_v_rtn_mps
            sigma_mps = np.sqrt(np.sum([change.sigma_mps**2 for change in changes], axis=0))
            scores[estimator] = scores[estimator]._replace(
                delta_v_mps=float(np.linalg.norm(error_mps)),
                delta_v_sigmas=float(np.abs(error_mps / sigma_mps).max()),
            )
    scores["filter"] = scores["filter"]._replace(detections=sum(update.manoeuvre is not None for update in updates))
    return scores


def _score(solution: OrbitSolution, world: World, nis: float) -> InjectionScore:
    errors = orbit_errors(solution, world.at(solution.gps_ms))
    settled = errors.later(_SETTLED)
    error_m, formal_m = (
        np.linalg.norm(vectors[settled], axis=1) for vectors in (errors.position_rtn_m, errors.position_sigma_rtn_m)
    )
    interval_s = 1e-3 * float(np.median(np.diff(errors.gps_ms)))
    return InjectionScore(
        error_m2=float((error_m**2).mean()),
        formal_m2=float((formal_m**2).mean()),
        nees=float(errors.nees[settled].mean()) / 6.0,
        nis=nis,
        peak_m=float(error_m.max()),
        outside_s=interval_s * int((error_m > _OUTSIDE_SIGMAS * formal_m).sum()),
    )


def _residuals(states: Mapping[int, OrbitState], updates: Sequence[OrbitUpdate], orbit: OrbitFilter) -> float:
    """Return the mean square of the residuals of the used measurements over the receiver's standard deviations."""
    squares: list[float] = []
    for update in updates:
        state = states.get(update.fix.gps_ms)
        if state is None:
            continue
        parts = linearise_fix(update.fix, state.x, orbit.frames, orbit.settings.measurement)
        for part, accepted in zip(parts, (update.position_accepted, update.velocity_accepted), strict=True):
            if part is not None and accepted:
                squares += np.square(part.residual / part.sigma).tolist()
    return math.fsum(squares) / max(len(squares), 1)

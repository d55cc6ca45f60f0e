"""Errors of the orbit estimators of a flight against its truth: figures of the run and of time bins."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final

import numpy as np

from pygnc.configuration.settings import Settings as FlightSettings
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import POSITION, OrbitState
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc_ground.campaign.definition import Estimators
from pygnc_ground.campaign.flight import ORIENTATION, SimulatedFlight
from pygnc_ground.campaign.time_bins import Score, Trace, rms_of
from pygnc_ground.orbit.batch.solve import solve_batch
from pygnc_ground.orbit.bound import KnownFixes, OrbitBounds, orbit_bounds
from pygnc_ground.orbit.delta_v import delta_vs, restarts
from pygnc_ground.orbit.prediction import OrbitPrediction
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.orbit.solution import (
    BoolArray,
    OrbitSolution,
    Usage,
    along_orbit,
    normalised_squares,
    orbit_errors,
    residual_usage,
    rtn_axes,
    solution_from_states,
)
from pygnc_ground.replay.collect import Collected, TimedRecord

_OUTLIER_M: Final = 500.0
"""A fix farther than this from the truth is an outlier and does not count for the bounds."""
_OUTSIDE_SIGMAS: Final = 5.0
_OUTAGE_MS: Final = 600_000
_DOF: Final = 6


def score_orbit(
    flight: SimulatedFlight, flown: Collected, settings: FlightSettings, estimators: Estimators
) -> Iterator[Score]:
    """Yield the scores of the orbit estimators that the campaign names.

    Raises:
        ValueError: The filter has no state.
    """
    of_orbit, updates, frames = settings.orbit, flown.updates, EarthFrames(ORIENTATION)
    forward = {update.fix.gps_ms: update.state for update in updates if update.state is not None}
    if not forward:
        raise ValueError("the orbit filter found no orbit; check the fixes of the scenario")
    bounds = _bounds(flight, updates, of_orbit, frames) if "orbit" in estimators.bounds else None
    yield Score("orbit", {"manoeuvres": float(sum(update.manoeuvre is not None for update in updates))})
    outage = _outage(flown.timed)
    used = {each.fix.gps_ms: each for each in updates if each.position_accepted or each.velocity_accepted}
    for name in estimators.orbit:
        if name == "filter":
            usage = {ms: Usage.of(update) for ms, update in used.items()}
            solution = solution_table(forward, frames, usage)
        elif name == "prediction":
            yield _prediction(flight, updates, of_orbit, forward[max(forward)], estimators.predictions_h)
            continue
        elif name == "smoother":
            smoothed = smooth(updates, list(forward), OrbitDynamics(of_orbit, frames), of_orbit)
            usage = {
                ms: residual_usage(update, smoothed[ms], of_orbit, frames)
                for ms, update in used.items()
                if ms in smoothed
            }
            solution = solution_table(smoothed, frames, usage)
        else:
            times = np.array(sorted(forward))
            fixes = [update.fix for update in updates]
            solution = solve_batch(fixes, times, of_orbit, ORIENTATION, restarts(updates)).solution
        trace = _trace(solution, flight, bounds, is_filter=name == "filter")
        figures = _figures(trace, estimators.orbit_settled)
        figures["nis"] = float(np.nansum(solution.nis) / max(int(solution.dof.sum()), 1))
        if outage is not None:
            predicted, next_gps_ms = outage
            if name == "filter":
                table = solution_table({predicted.gps_ms: predicted}, frames)
                figures |= _at_end(predicted.gps_ms, table, flight)
            else:
                figures |= _at_end(next_gps_ms, solution, flight)
        if bounds is not None:
            bound = bounds.deterministic_filter if name == "filter" else bounds.deterministic_smoother
            settled = bound.gps_ms >= flight.settings.start_gps_ms + 1e3 * _settled_s(trace, estimators.orbit_settled)
            figures["crb_m"] = rms_of(bound.position_m[settled])
        if name != "filter":
            figures |= _delta_v(flight, updates, solution, of_orbit, frames, is_smoothed=name == "smoother")
        yield Score(f"orbit {name}", figures, trace)


def _prediction(
    flight: SimulatedFlight,
    updates: Sequence[OrbitUpdate],
    settings: OrbitSettings,
    newest: OrbitState,
    hours: Sequence[float],
) -> Score:
    """Return the errors of predictions along the orbit, over the time ahead, and their NEES in three dimensions."""
    prediction = OrbitPrediction.of_updates(updates, settings, ORIENTATION)
    now, rows = newest, []
    for each in hours:
        now = prediction.predict(newest.gps_ms + round(3_600_000 * each), now)
        axes = rtn_axes(now.x[:6])
        covariance = axes @ now.covariance[POSITION, POSITION] @ axes.T
        error_m = along_orbit(flight.true_states_gcrf(np.array([now.gps_ms]))[0, 0, :3], now.x[:6])
        nees = normalised_squares(error_m[None], covariance[None])[0] / 3
        rows.append((3600.0 * each, abs(error_m[1]), math.sqrt(covariance[1, 1]), math.nan, nees, math.nan))
    trace = Trace(*np.array(rows).T)
    last = {name: float(getattr(trace, name.removesuffix("_m"))[-1]) for name in ("error_m", "sigma_m", "nees")}
    return Score("orbit prediction", last, trace)


def solution_table(
    states: Mapping[int, OrbitState], frames: EarthFrames, usage: Mapping[int, Usage] = MappingProxyType({})
) -> OrbitSolution:
    """Return the table of the states and of the use of fixes, which are given by GPS time in ms."""
    times = sorted(states)
    return solution_from_states(times, [states[ms] for ms in times], [usage.get(ms, Usage()) for ms in times], frames)


def _outage(records: Sequence[TimedRecord]) -> tuple[OrbitState, int] | None:
    """Return the end of the longest time without fixes, None up to `_OUTAGE_MS`.

    The end is the orbit that the filter predicts for the last record without a fix, and the time of the next fix in ms,
    -1 if there is none.
    """
    ordered = sorted(records, key=lambda record: record.gps_ms)
    fixes = [row for row, record in enumerate(ordered) if record.update is not None and record.state is not None]
    gaps = [(ordered[end - 1].gps_ms - ordered[begin].gps_ms, end) for begin, end in pairwise([*fixes, len(ordered)])]
    length_ms, end = max(gaps, default=(0, 0))
    predicted = ordered[end - 1].state if length_ms > _OUTAGE_MS else None
    if predicted is None:
        return None
    return predicted, ordered[end].gps_ms if end < len(ordered) else -1


def _at_end(gps_ms: int, solution: OrbitSolution, flight: SimulatedFlight) -> dict[str, float]:
    """Return error and formal sigma at the end of an outage; nothing if the solution has no orbit there."""
    errors = orbit_errors(solution, flight.true_orbit(solution.gps_ms))
    (row,) = np.nonzero(errors.gps_ms == gps_ms)
    if not len(row):
        return {}
    vectors = {"outage_m": errors.position_rtn_m, "outage_sigma_m": errors.position_sigma_rtn_m}
    return {name: float(np.linalg.norm(each[row[0]])) for name, each in vectors.items()}


def _trace(
    solution: OrbitSolution,
    flight: SimulatedFlight,
    bounds: OrbitBounds | None,
    *,
    is_filter: bool,
) -> Trace:
    errors = orbit_errors(solution, flight.true_orbit(solution.gps_ms))
    bound_m, unknown = np.full((2, len(errors)), np.nan)
    if bounds is not None:
        bound = bounds.posterior_filter if is_filter else bounds.posterior_smoother
        at = dict(zip(bound.gps_ms.tolist(), bound.position_m.tolist(), strict=True))
        bound_m = np.array([at.get(ms, math.nan) for ms in errors.gps_ms.tolist()])
    return Trace(
        t_s=(errors.gps_ms - flight.settings.start_gps_ms) / 1000.0,
        error=np.linalg.norm(errors.position_rtn_m, axis=1),
        sigma=np.linalg.norm(errors.position_sigma_rtn_m, axis=1),
        bound=bound_m,
        nees=errors.nees / _DOF,
        nis=(solution.nis / np.maximum(solution.dof, 1))[errors.row] if is_filter else unknown,
    )


def _settled_s(trace: Trace, fraction: float) -> float:
    return float(trace.t_s[0] + fraction * (trace.t_s[-1] - trace.t_s[0]))


def _figures(trace: Trace, fraction: float) -> dict[str, float]:
    settled: BoolArray = np.asarray(trace.t_s >= _settled_s(trace, fraction))
    late = trace.where(settled)
    interval_s = float(np.median(np.diff(trace.t_s))) if len(trace.t_s) > 1 else 0.0
    return {
        "error_m": rms_of(late.error),
        "sigma_m": rms_of(late.sigma),
        "bound_m": rms_of(late.bound),
        "nees": float(late.nees.mean()),
        "peak_m": float(trace.error.max()),
        "outside_s": interval_s * int((trace.error > _OUTSIDE_SIGMAS * trace.sigma).sum()),
    }


def _delta_v(
    flight: SimulatedFlight,
    updates: Sequence[OrbitUpdate],
    solution: OrbitSolution,
    settings: OrbitSettings,
    frames: EarthFrames,
    *,
    is_smoothed: bool,
) -> dict[str, float]:
    """Return the error of the sum of all estimated changes of the velocity, if there are any."""
    found = delta_vs(updates, solution, settings, frames, is_smoothed=is_smoothed)
    if not found:
        return {}
    of = flight.settings
    true = [np.array(impulse.delta_v_rtn_mps) for impulse in of.impulses]
    true += [thrust.duration_s * np.array(thrust.acceleration_rtn_mps2) for thrust in of.thrusts]
    error_mps = np.sum([change.rtn_mps for change in found], axis=0) - np.sum([np.zeros(3), *true], axis=0)
    sigma_mps = np.sqrt(np.sum([change.sigma_mps**2 for change in found], axis=0))
    return {
        "delta_v_mps": float(np.linalg.norm(error_mps)),
        "delta_v_sigmas": float(np.abs(error_mps / sigma_mps).max()),
    }


def _bounds(
    flight: SimulatedFlight, updates: Sequence[OrbitUpdate], settings: OrbitSettings, frames: EarthFrames
) -> OrbitBounds:
    """Return the bounds for the truth with the receiver's standard deviations, without outliers."""
    fixes = [update.fix for update in updates]
    gps_ms = np.array([fix.gps_ms for fix in fixes])
    true = flight.true_orbit(gps_ms)
    position_m = np.array([fix.position_ecef_m for fix in fixes])
    good = np.linalg.norm(position_m - true.position_ecef_m, axis=1) < _OUTLIER_M
    unknown = np.full(3, np.inf)
    velocity_sigma = [unknown if fix.velocity_sigma_mps is None else fix.velocity_sigma_mps for fix in fixes]
    sigma = np.concatenate(([fix.position_sigma_m for fix in fixes], velocity_sigma), axis=1)
    # States in GCRF are those of the flight's frames, which differ from the truth's in their Earth orientation.
    to_ecef = np.array([frames.ecef_state_from_gcrf(ms) for ms in gps_ms[good].tolist()])
    gcrf = np.linalg.solve(to_ecef, np.concatenate(true, axis=1)[good, :, None])[:, :, 0]
    return orbit_bounds(KnownFixes(gps_ms[good], gcrf, sigma[good]), settings, frames)

"""Errors of the attitude estimators of a flight against its truth: figures of the run and of time bins."""

import math
from collections.abc import Iterator
from itertools import groupby
from typing import Final

import numpy as np

from pygnc.configuration.settings import Settings as FlightSettings
from pygnc.estimators.attitude.filter import AttitudeUpdate
from pygnc.estimators.attitude.sample import SampleCorrection
from pygnc_ground.attitude.accuracy import LIT, NEES_DOF, RIGHT_DEG, WRONG_DEG, attitude_errors
from pygnc_ground.attitude.bound import AttitudeBound, attitude_bound
from pygnc_ground.attitude.smoother import smooth
from pygnc_ground.campaign.definition import Estimators
from pygnc_ground.campaign.flight import SimulatedFlight
from pygnc_ground.campaign.time_bins import Score, Trace, rms_of
from pygnc_ground.orbit.consistency import mean_of
from pygnc_ground.orbit.solution import BoolArray, FloatArray
from pygnc_ground.replay.attitude_run import attitude_solution, bound_samples
from pygnc_ground.replay.collect import Collected
from pygnc_ground.truth.attitude_truth import TrueAttitude, nearest_rows

_BIAS_AFTER_S: Final = 5_400.0
_ORBIT_S: Final = 5_700.0
_ADMITTED_SIGMAS: Final = 3.0
"""An error within this number of formal sigmas counts as admitted by the estimate."""


def score_attitude(
    flight: SimulatedFlight, flown: Collected, settings: FlightSettings, estimators: Estimators
) -> Iterator[Score]:
    """Yield the figures of the flight software's filter, and the scores of the estimators that the campaign names.

    Raises:
        ValueError: No sample reached the filter.
    """
    records = [record for record in flown.samples if record.outcome.update is not None]
    updates = [record.outcome.update for record in records if record.outcome.update is not None]
    if not updates:
        raise ValueError("no sample reached the attitude filter; check the clock and the fixes of the scenario")
    gps_ms = np.array([update.gps_ms for update in updates], dtype=np.int64)
    true = flight.true_attitude(gps_ms)
    lit = flight.truth.sunlit_fraction[nearest_rows(flight.truth.gps_ms, gps_ms)] > LIT
    unknown = np.full(len(updates), np.nan)
    bound = AttitudeBound(unknown, unknown)
    if "attitude" in estimators.bounds:
        bound = attitude_bound(bound_samples(records, SampleCorrection(settings.attitude)), true, settings.attitude)
    t_s = (gps_ms - flight.settings.start_gps_ms) / 1000.0
    nis = np.array([update.nis / update.dof if update.dof else math.nan for update in updates])
    for name in dict.fromkeys(("filter", *estimators.attitude)):
        is_filter = name == "filter"
        states = [update.state for update in updates] if is_filter else smooth(updates)
        solution = attitude_solution(records, states, settings.attitude)
        errors, (angle_rad, nees) = attitude_errors(solution, true), np.full((2, len(states)), np.nan)
        angle_rad[errors.row], nees[errors.row] = errors.angle_rad, errors.nees / NEES_DOF
        bound_rad = bound.filter_rad if is_filter else bound.smoother_rad
        error, sigma, bound_deg = map(np.degrees, (angle_rad, solution.sigma_rss_rad, bound_rad))
        trace = Trace(t_s, error, sigma, bound_deg, nees, nis if is_filter else unknown)
        if is_filter:
            yield Score("attitude", _of_flight(trace, lit, updates, true, estimators.attitude_settled_s))
        if name in estimators.attitude:
            yield Score(f"attitude {name}", _accuracy(trace, lit, estimators.attitude_settled_s), trace)


def _accuracy(trace: Trace, lit: BoolArray, settled_s: float) -> dict[str, float]:
    after_s, known = trace.t_s - trace.t_s[0], np.isfinite(trace.error)
    late = np.asarray((after_s >= settled_s) & known)
    figures = {}
    for place, rows in (("sun_", late & lit), ("shadow_", late & ~lit), ("", late)):
        figures[f"{place or 'error_'}deg"] = rms_of(trace.error[rows])
        figures[f"{place}sigma_deg"] = rms_of(trace.sigma[rows])
    figures["bound_deg"] = rms_of(trace.bound[late])
    figures["nees"] = mean_of(trace.nees[late])
    figures["nees_orbit"] = mean_of(trace.nees[(after_s >= _ORBIT_S) & known])
    return figures


def _of_flight(
    trace: Trace, lit: BoolArray, updates: list[AttitudeUpdate], true: TrueAttitude, settled_s: float
) -> dict[str, float]:
    """Return the figures that only the filter has."""
    after_s = trace.t_s - trace.t_s[0]
    known, settled = np.isfinite(trace.error), after_s >= settled_s
    cadence_s = np.diff(after_s, append=after_s[-1])
    right = np.flatnonzero(trace.error < RIGHT_DEG)
    found = int(right[0]) if len(right) else len(after_s)
    used = [update for update, is_late in zip(updates, settled.tolist(), strict=True) if is_late and update.dof]
    with np.errstate(invalid="ignore"):
        wrong, admits = trace.error > WRONG_DEG, trace.error <= _ADMITTED_SIGMAS * trace.sigma
    last = updates[-1]
    return {
        "nis": sum(update.nis for update in used) / max(sum(update.dof for update in used), 1),
        "found_s": float(cadence_s[:found][lit[:found]].sum()),
        "known_after_s": float(after_s[int(np.argmax(known)) if known.any() else -1]),
        "wrong_s": _longest_s(wrong, cadence_s),
        "admitted_s": float(cadence_s[wrong & admits].sum()),
        "silent_s": float(cadence_s[wrong & ~admits].sum()),
        "unknown": float(1.0 - known[settled].mean()) if settled.any() else math.nan,
        "mag_bias_ut": _mag_bias_ut(updates, after_s, true),
        "faces_flagged": float((last.faces.dead | last.faces.mirrored).sum()),
        "axes_flagged": float(last.gyro.stuck.sum()),
    }


def _mag_bias_ut(updates: list[AttitudeUpdate], after_s: FloatArray, true: TrueAttitude) -> float:
    for row, update in enumerate(updates):
        if after_s[row] >= _BIAS_AFTER_S and update.state is not None:
            return float(np.linalg.norm(update.state.mag_bias_ut - true.mag_bias_imu_ut[row]))
    return math.nan


def _longest_s(flags: BoolArray, cadence_s: FloatArray) -> float:
    """Return the duration of the longest run of True in s."""
    pairs = zip(flags.tolist(), cadence_s.tolist(), strict=True)
    runs = [(is_true, [step for _, step in run]) for is_true, run in groupby(pairs, lambda pair: pair[0])]
    return max((float(sum(steps)) for is_true, steps in runs if is_true), default=0.0)

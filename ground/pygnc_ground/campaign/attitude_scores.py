"""Errors of the attitude estimators of a flight against its truth: figures of the run and of time bins."""

import math
from itertools import groupby
from typing import Final

import numpy as np

from pygnc.common import quaternion
from pygnc.configuration.settings import Settings as FlightSettings
from pygnc.estimators.attitude.filter import AttitudeUpdate
from pygnc.estimators.attitude.sample import SampleCorrection
from pygnc.estimators.attitude.state import ATTITUDE, AttitudeState
from pygnc_ground.attitude.accuracy import RIGHT_DEG, WRONG_DEG
from pygnc_ground.attitude.bound import AttitudeBound, attitude_bound
from pygnc_ground.attitude.smoother import smooth
from pygnc_ground.campaign.definition import Estimators
from pygnc_ground.campaign.flight import LIT, SimulatedFlight
from pygnc_ground.campaign.time_bins import BinRow, Trace, bin_rows, mean_of, rms_of
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.replay.attitude_run import bound_samples
from pygnc_ground.replay.collect import Collected
from pygnc_ground.truth.attitude_truth import TrueAttitude

_BIAS_AFTER_S: Final = 5_400.0
_ORBIT_S: Final = 5_700.0
_ADMITTED_SIGMAS: Final = 3.0
"""An error within this many claimed sigmas is one that the estimate admits."""
_DOF: Final = 3


def score_attitude(
    flight: SimulatedFlight, flown: Collected, settings: FlightSettings, estimators: Estimators, bin_s: float
) -> tuple[dict[str, float], list[BinRow]]:
    """Return figures by name and rows of time bins of the attitude estimators that the campaign names.

    Raises:
        ValueError: No sample reached the filter.
    """
    records = [record for record in flown.samples if record.outcome.update is not None]
    updates = [record.outcome.update for record in records if record.outcome.update is not None]
    if not updates:
        raise ValueError("no sample reached the attitude filter; check the clock and the fixes of the scenario")
    gps_ms = np.array([update.gps_ms for update in updates], dtype=np.int64)
    true = flight.true_attitude(gps_ms)
    nearest = _nearest(flight.truth.gps_ms, gps_ms)
    lit = flight.truth.sunlit_fraction[nearest] > LIT
    bound: AttitudeBound | None = None
    if "attitude" in estimators.bounds:
        bound = attitude_bound(bound_samples(records, SampleCorrection(settings.attitude)), true, settings.attitude)
    figures: dict[str, float] = {}
    bins: list[BinRow] = []
    for name in ("filter", "smoother"):
        if name != "filter" and name not in estimators.attitude:
            continue
        states = [update.state for update in updates] if name == "filter" else smooth(updates)
        trace = attitude_trace(states, updates, true)
        trace = trace._replace(t_s=(gps_ms - flight.settings.start_gps_ms) / 1000.0)
        if name != "filter":
            trace = trace._replace(nis=np.full(len(gps_ms), np.nan))
        if bound is not None:
            trace = trace._replace(bound=np.degrees(bound.filter_rad if name == "filter" else bound.smoother_rad))
        after_s = trace.t_s - trace.t_s[0]
        if name == "filter":
            figures |= _of_flight(trace, lit, updates, estimators.attitude_settled_s)
            figures["attitude_mag_bias_ut"] = _mag_bias_ut(updates, after_s, true)
        if name in estimators.attitude:
            found = _accuracy(trace, after_s, lit, estimators.attitude_settled_s)
            figures |= {f"attitude_{name}_{key}": value for key, value in found.items()}
            bins += bin_rows(f"attitude {name}", trace, bin_s)
    return figures, bins


def attitude_trace(states: "list[AttitudeState | None]", updates: list[AttitudeUpdate], true: TrueAttitude) -> Trace:
    """Return errors in degrees for n states; the times and bounds are NaN."""
    angle, sigma, nees, nis = np.full((4, len(states)), np.nan)
    known = [(row, state, updates[row]) for row, state in enumerate(states) if state is not None]
    if known:
        rows = [row for row, _, _ in known]
        estimated = np.array([state.quaternion for _, state, _ in known])
        turn = quaternion.error_vector(true.quaternion[rows], estimated)
        moved = np.array([update.time_sigma_s * update.rate_body_rad_s for _, _, update in known])
        root = np.array([state.sqrt_covariance[ATTITUDE] for _, state, _ in known])
        covariance = root @ root.swapaxes(1, 2) + moved[:, :, None] * moved[:, None, :]
        angle[rows] = np.linalg.norm(turn, axis=1)
        sigma[rows] = np.sqrt(np.trace(covariance, axis1=1, axis2=2))
        normalised = np.linalg.solve(covariance, turn[:, :, None])[:, :, 0]
        nees[rows] = (turn * normalised).sum(axis=1) / _DOF
        nis[rows] = [update.nis / update.dof if update.dof else math.nan for _, _, update in known]
    unknown = np.full(len(states), np.nan)
    return Trace(unknown, np.degrees(angle), np.degrees(sigma), unknown, nees, nis)


def _nearest(sorted_ms: IntArray, gps_ms: IntArray) -> IntArray:
    """Return the indices of the nearest of ascending times."""
    after = np.searchsorted(sorted_ms, gps_ms).clip(1, len(sorted_ms) - 1)
    is_before = gps_ms - sorted_ms[after - 1] <= sorted_ms[after] - gps_ms
    return np.asarray(np.where(is_before, after - 1, after))


def _accuracy(trace: Trace, after_s: FloatArray, lit: BoolArray, settled_s: float) -> dict[str, float]:
    known = np.isfinite(trace.error)
    late = np.asarray((after_s >= settled_s) & known)
    figures = {}
    for place, rows in (("sun_", late & lit), ("shadow_", late & ~lit), ("", late)):
        figures[f"{place or 'error_'}deg"] = rms_of(trace.error[rows])
        figures[f"{place}sigma_deg"] = rms_of(trace.sigma[rows])
    figures["bound_deg"] = rms_of(trace.bound[late])
    figures["nees"] = mean_of(trace.nees[late])
    figures["nees_orbit"] = mean_of(trace.nees[(after_s >= _ORBIT_S) & known])
    return figures


def _of_flight(trace: Trace, lit: BoolArray, updates: list[AttitudeUpdate], settled_s: float) -> dict[str, float]:
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
        "attitude_nis": sum(update.nis for update in used) / max(sum(update.dof for update in used), 1),
        "attitude_found_s": float(cadence_s[:found][lit[:found]].sum()),
        "attitude_known_after_s": float(after_s[int(np.argmax(known)) if known.any() else -1]),
        "attitude_wrong_s": _longest_s(wrong, cadence_s),
        "attitude_admitted_s": float(cadence_s[wrong & admits].sum()),
        "attitude_silent_s": float(cadence_s[wrong & ~admits].sum()),
        "attitude_unknown": float(1.0 - known[settled].mean()) if settled.any() else math.nan,
        "attitude_faces_flagged": float((last.faces.dead | last.faces.mirrored).sum()),
        "attitude_axes_flagged": float(last.gyro.stuck.sum()),
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

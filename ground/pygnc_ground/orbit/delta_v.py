"""Change of the velocity by a manoeuvre, from the orbits before and after it and the fixes between them.

The filter's orbit before the manoeuvre is propagated through it. The deviations of the fixes and of the orbit after it
are linear in that orbit and in a constant acceleration along radial, transverse and normal between two unknown times,
or in an impulse at an unknown time. Every window of time steps is tried: its change of the velocity follows by weighted
least squares, and its likelihood weighs it in the mean.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.frames import EarthFrames, rtn_axes
from pygnc.estimators.kalman import Observation
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.error_models import BANK
from pygnc.estimators.orbit.hypotheses import Hypotheses
from pygnc.estimators.orbit.manoeuvre import Change
from pygnc.estimators.orbit.measurement import linearise_fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import EMPIRICAL, POSITION, SIZE, VELOCITY, OrbitState
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc_ground.orbit.point_results import is_member
from pygnc_ground.orbit.solution import BoolArray, FloatArray, OrbitSolution

_MERGED_MS: Final = 1_800_000
"""Changes of the motion that follow each other within this time belong to one manoeuvre."""
_LATE_MS: Final = 900_000
"""A thrust may have begun by this time before its first suspicious fix, and end by this time after its detected end."""
_LATE_FIXES: Final = 3
"""An impulse may have happened by this number of fixes before the one from which the filter has it."""
_STEP_MS: Final = 30_000
_IMPULSE_STEP_MS: Final = 5_000
"""Steps between the times that are tried."""
_CONSTANT_S: Final = 1e12
"""Correlation time of a constant acceleration."""
_SIGMA_FACTOR: Final = 1.25
"""Factor on the standard deviations, measured on 60 manoeuvres: the NEES of the orbits is up to 1.2."""
_INTERVAL_S: Final = 25.0
"""Time between fixes for which correlated errors are widened."""
_KNOWN: Final = 1e-6
"""Information relative to the largest one below which it counts as none."""


class ManoeuvreSpan(NamedTuple):
    """Times in GPS ms between which a manoeuvre happened.

    Attributes:
        before_ms: Last fix certainly before it.
        first_ms: First fix of the new orbit, by the filter.
        after_ms: First fix certainly after it, or the last fix.
        is_impulse: True for an impulse, false for a thrust.
    """

    before_ms: int
    first_ms: int
    after_ms: int
    is_impulse: bool


class DeltaV(NamedTuple):
    """Change of the velocity by a manoeuvre along radial, transverse and normal, and its covariance."""

    span: ManoeuvreSpan
    rtn_mps: FloatArray
    """Shape (3,)."""
    covariance_mps2: FloatArray
    """Shape (3, 3), m2/s2."""

    @property
    def sigma_mps(self) -> FloatArray:
        """Standard deviations, shape (3,)."""
        return np.sqrt(np.diagonal(self.covariance_mps2))


def manoeuvre_spans(updates: Sequence[OrbitUpdate]) -> list[ManoeuvreSpan]:
    """Return the spans of the manoeuvres that the filter has detected, in order of time."""
    fixes_ms = [update.fix.gps_ms for update in updates if update.hypotheses is not None]
    groups: list[list[OrbitUpdate]] = []
    in_thrust = False
    for update in updates:
        if update.manoeuvre is None:
            continue
        is_near = bool(groups) and update.fix.gps_ms - groups[-1][-1].fix.gps_ms <= _MERGED_MS
        if in_thrust or is_near:
            groups[-1].append(update)
        else:
            groups.append([update])
        in_thrust = update.manoeuvre.change is Change.THRUST_BEGIN
    spans = []
    for group in groups:
        changes = [update.manoeuvre for update in group if update.manoeuvre is not None]
        first_ms, is_impulse = changes[0].first_gps_ms, len(changes) == 1 and changes[0].change is Change.IMPULSE
        late_ms = 0 if is_impulse else _LATE_MS
        before_ms = [ms for ms in fixes_ms if ms < first_ms - late_ms][-_LATE_FIXES:]
        # A thrust whose end was not detected may last until the last fix.
        end_ms = fixes_ms[-1] if changes[-1].change is Change.THRUST_BEGIN else group[-1].fix.gps_ms + late_ms
        after_ms = next((ms for ms in fixes_ms if ms >= end_ms), fixes_ms[-1])
        if before_ms:
            spans.append(ManoeuvreSpan(before_ms[0], first_ms, after_ms, is_impulse))
    return spans


def restarts(updates: Sequence[OrbitUpdate]) -> list[int]:
    """Return the times in GPS ms at which a new orbit begins, after manoeuvres and re-initialisations.

    The fixes during a thrust are an orbit of their own.
    """
    spans = manoeuvre_spans(updates)
    times_ms = [
        update.restarted_from_ms
        for update in updates
        if update.restarted_from_ms is not None
        and not any(span.before_ms < update.restarted_from_ms <= span.after_ms for span in spans)
    ]
    for span in spans:
        times_ms += [span.first_ms] if span.is_impulse else [span.before_ms + 1, span.after_ms]
    return sorted(times_ms)


class _Rows(NamedTuple):
    """Linear equations in units of their standard deviations, in groups of three.

    Attributes:
        value: Measured minus predicted without a manoeuvre, shape (m,).
        d_state: Derivative by the state before the manoeuvre, shape (m, 10).
        d_change: Derivative by the change of the velocity during each of the u steps, shape (m, u, 3).
        accepted: True if the filter accepted the measurement, shape (m,).
    """

    value: FloatArray
    d_state: FloatArray
    d_change: FloatArray
    accepted: BoolArray


def delta_vs(
    updates: Sequence[OrbitUpdate],
    after: OrbitSolution,
    settings: OrbitSettings,
    frames: EarthFrames,
    *,
    is_smoothed: bool,
) -> list[DeltaV]:
    """Return the changes of the velocity by all manoeuvres that the filter has detected.

    Orbits `after` the manoeuvres are those of the smoother, which depend on earlier fixes, too (`is_smoothed`), or of
    the batch with arcs that begin at `restarts`.
    """
    return [_delta_v(span, updates, after, settings, frames, is_smoothed) for span in manoeuvre_spans(updates)]


def _delta_v(  # noqa: PLR0917 - the arguments of `delta_vs`
    span: ManoeuvreSpan,
    updates: Sequence[OrbitUpdate],
    after: OrbitSolution,
    settings: OrbitSettings,
    frames: EarthFrames,
    is_smoothed: bool,  # noqa: FBT001
) -> DeltaV:
    estimates = {
        update.fix.gps_ms: (update.state, update.hypotheses)
        for update in updates
        if update.state is not None and update.hypotheses is not None
    }
    (row,) = np.flatnonzero((after.gps_ms == span.after_ms) & after.known)[:1].tolist() or (None,)
    # An orbit of the batch includes the fix at its time.
    last_ms = span.after_ms if is_smoothed or row is None else span.after_ms - 1
    within = [update for update in updates if span.before_ms < update.fix.gps_ms <= last_ms]
    fixes = {update.fix.gps_ms: update for update in within if update.state is not None or is_member(update)}
    step_ms = _IMPULSE_STEP_MS if span.is_impulse else _STEP_MS
    times_ms = sorted({*range(span.before_ms, span.after_ms, step_ms), *fixes, span.after_ms})
    steps = len(times_ms) - 1
    begin, hypotheses = estimates[span.before_ms]
    noise = _noise_factors(hypotheses)
    constant = replace(settings, process_noise=replace(settings.process_noise, empirical_time_s=_CONSTANT_S))
    plain, response = OrbitDynamics(settings, frames), None if span.is_impulse else OrbitDynamics(constant, frames)
    x, d_state, d_change = begin.x, np.eye(SIZE), np.zeros((steps, SIZE, 3))
    parts: list[_Rows] = []
    unknown: list[tuple[int, FloatArray]] = []

    def rows(observation: Observation, *, accepted: bool) -> _Rows:
        whitened = observation.partials / observation.sigma[:, None]
        change = np.einsum("ij,ujk->iuk", whitened, d_change)
        used = np.full(len(observation.sigma), accepted)
        return _Rows(observation.residual / observation.sigma, whitened @ d_state, change, used)

    for number, (begin_ms, end_ms) in enumerate(pairwise(times_ms)):
        if begin_ms - span.before_ms >= 2000.0 * settings.process_noise.empirical_time_s * len(unknown):
            drag_mps2 = float(np.linalg.norm(plain.step(begin_ms, x, 1.0)[2][:, 0]))
            unknown.append((number, _acceleration_sigma(settings, drag_mps2)))
        x, transition, change = _advanced(begin_ms, x, end_ms, plain, response)
        d_state, d_change = transition @ d_state, transition @ d_change
        d_change[number] = change
        if end_ms in fixes:
            update = fixes[end_ms]
            observations = linearise_fix(update.fix, x, frames, settings.measurement)
            accepted = update.position_accepted, update.velocity_accepted
            for observation, factor, is_accepted in zip(observations, noise, accepted, strict=True):
                if observation is not None:
                    parts.append(rows(observation.scaled(factor), accepted=is_accepted))
    if row is not None:
        filtered = estimates[span.after_ms][0] if is_smoothed else None
        parts.append(rows(_orbit_after(after, row, filtered, x, frames), accepted=True))
    every = _Rows(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    seconds = np.diff(1e-3 * np.array(times_ms))
    if span.is_impulse:
        unknown = []
    fit = partial(_fit, every, prior=begin.sqrt_covariance, step_s=seconds, unknown=unknown)
    _, _, residual = fit(used=every.accepted, is_impulse=span.is_impulse)
    # The filter does not know the manoeuvre, so it rejects good fixes.
    is_good = np.repeat(np.square(residual.reshape(-1, 3)).sum(axis=1) <= settings.measurement.gate, 3)
    rtn_mps, covariance_mps2, _ = fit(used=is_good, is_impulse=span.is_impulse)
    return DeltaV(span, rtn_mps, _SIGMA_FACTOR**2 * covariance_mps2)


def _advanced(
    begin_ms: int, x: FloatArray, end_ms: int, plain: OrbitDynamics, response: OrbitDynamics | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the state at the end of a step (10,), and its derivatives by that before (10, 10) and a change (10, 3).

    `response` has constant accelerations; without it the change is an impulse at the begin of the step.
    """
    step_s, transition, change = 1e-3 * (end_ms - begin_ms), np.eye(SIZE), np.zeros((SIZE, 3))
    if response is None:
        change[VELOCITY] = rtn_axes(x[POSITION], x[VELOCITY])
    while begin_ms < end_ms:
        step = plain.linear_step(begin_ms, x, end_ms, 1.0)
        transition, change = step.transition @ transition, step.transition @ change
        if response is not None:
            change[:6] += response.linear_step(begin_ms, x, end_ms, 1.0).transition[:6, EMPIRICAL] / step_s
        begin_ms, x = step.gps_ms, step.x
    return x, transition, change


def _acceleration_sigma(settings: OrbitSettings, drag_mps2: float) -> FloatArray:
    """Return the standard deviations of unknown accelerations, m/s2, shape (3,)."""
    sigma = np.array(settings.process_noise.empirical_sigma_mps2)
    sigma[1] = np.hypot(sigma[1], settings.process_noise.density_variation * drag_mps2)
    return sigma


def _fit(
    rows: _Rows,
    *,
    used: BoolArray,
    prior: FloatArray,
    step_s: FloatArray,
    unknown: Sequence[tuple[int, FloatArray]],
    is_impulse: bool,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean change of the velocity (3,), its covariance (3, 3), and the likeliest window's residuals (m,).

    A change is fitted in every window to the used rows.

    Args:
        rows: Equations of all measurements.
        used: True for each row that counts, shape (m,).
        prior: Root of the covariance of the state before the manoeuvre, shape (10, 10).
        step_s: Lengths of the steps, shape (u,).
        unknown: First step and standard deviations (3,) of unknown accelerations, each until the next one.
        is_impulse: True if the windows are single steps.
    """
    count = len(step_s)
    # Sums up to each step: an acceleration in a window is the difference of two.
    sums = np.cumsum(rows.d_change if is_impulse else rows.d_change * step_s[:, None], axis=1)
    sums = np.concatenate((np.zeros((len(sums), 1, 3)), sums), axis=1)
    ends = [*(first for first, _ in unknown), count][1:]
    noise = [(sums[:, end] - sums[:, first]) * sigma for (first, sigma), end in zip(unknown, ends, strict=True)]
    nuisance = np.concatenate((rows.d_state, *noise), axis=1)
    size = nuisance.shape[1]
    root = np.eye(size)
    root[:SIZE, :SIZE] = np.linalg.inv(prior)
    basis, scale = np.linalg.qr(np.concatenate((root, nuisance[used])))
    both = np.zeros((size + int(used.sum()), 1 + 3 * (count + 1)))
    both[size:, 0], both[size:, 1:] = rows.value[used], sums[used].reshape(int(used.sum()), -1)
    free = both - basis @ (basis.T @ both)
    products = (free[:, 1:].T @ free).reshape(count + 1, 3, -1)
    right, information = products[:, :, 0], products[:, :, 1:].reshape(count + 1, 3, count + 1, 3).swapaxes(1, 2)
    first, last = (np.arange(count), np.arange(1, count + 1)) if is_impulse else np.triu_indices(count + 1, 1)
    clock_s = np.concatenate(([0.0], np.cumsum(step_s)))
    per_mps = np.ones(count) if is_impulse else 1.0 / (clock_s[last] - clock_s[first])
    of_window = information[last, last] + information[first, first] - information[first, last]
    of_window = (of_window - information[last, first]) * (per_mps**2)[:, None, None]
    of_right = (right[last] - right[first]) * per_mps[:, None]
    # Changes at the very end have no effect yet.
    known = np.linalg.eigvalsh(of_window)[:, 0] > _KNOWN * np.abs(of_window).max()
    first, last, per_mps, of_right = first[known], last[known], per_mps[known], of_right[known]
    covariance = np.linalg.inv(of_window[known])
    each = (covariance @ of_right[:, :, None])[:, :, 0]
    gain = (each * of_right).sum(axis=1)
    weight = np.exp(0.5 * (gain - gain.max()))
    weight /= weight.sum()
    mean = weight @ each
    spread = each - mean
    total = np.einsum("k,kij->ij", weight, covariance + spread[:, :, None] * spread[:, None])
    best = int(gain.argmax())
    shift = (sums[:, last[best]] - sums[:, first[best]]) @ each[best] * per_mps[best]
    left = rows.value - shift
    return mean, total, left - nuisance @ np.linalg.solve(scale, basis[size:].T @ left[used])


def _noise_factors(hypotheses: Hypotheses) -> tuple[float, float]:
    """Return factors on the standard deviations, with which white errors average as slowly as the correlated ones."""
    best = int(hypotheses.weight.argmax())
    model = BANK[best]
    shares = np.array((model.position_share, model.velocity_share))
    factors = hypotheses.noise_factor[:, best] * np.sqrt(1.0 + shares * (2.0 * model.time_s / _INTERVAL_S))
    return float(factors[0]), float(factors[1])


def _orbit_after(
    solution: OrbitSolution, row: int, filtered: OrbitState | None, x: FloatArray, frames: EarthFrames
) -> Observation:
    """Return an orbit as observation of the deviation from `x`, (10,), without what the filter knew then."""
    covariance = solution.covariance_ecef[row]
    unit = np.sqrt(np.diagonal(covariance))
    inverse = np.linalg.solve(frames.ecef_state_from_gcrf(int(solution.gps_ms[row])), np.diag(unit))
    # The information is in units of the standard deviations in ITRF.
    to_unit = np.linalg.inv(inverse)
    at = np.concatenate((solution.position_gcrf_m[row], solution.velocity_gcrf_mps[row]))
    information = np.linalg.inv(covariance / np.outer(unit, unit))
    right = information @ (to_unit @ (at - x[:6]))
    if filtered is not None:
        earlier = np.linalg.inv(to_unit @ filtered.covariance[:6, :6] @ to_unit.T)
        information = information - earlier
        right = right - earlier @ (to_unit @ (filtered.x - x)[:6])
    size, vectors = np.linalg.eigh(information)
    known = size > _KNOWN * np.abs(size).max()
    root = np.where(known, np.sqrt(np.abs(size)), 0.0)
    partials = np.zeros((6, SIZE))
    partials[:, :6] = root[:, None] * (vectors.T @ to_unit)
    value = np.where(known, (vectors.T @ right) / np.where(known, root, 1.0), 0.0)
    return Observation(value, partials, np.ones(6))

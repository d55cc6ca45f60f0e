"""Change of the velocity by a manoeuvre, from the orbits before and after it.

The orbit before is propagated to the time of the orbit after. Their difference is explained by a constant acceleration
along radial, transverse and normal between two unknown times. Every window of steps is tried: its acceleration follows
by weighted least squares, and its likelihood weighs it in the mean. An impulse is a window of one step.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitUpdate
from pygnc.estimators.orbit.manoeuvre import Change
from pygnc.estimators.orbit.process_noise import steady_sigma
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, EMPIRICAL, SIZE, OrbitState
from pygnc_ground.orbit.solution import FloatArray, OrbitSolution

_MERGED_MS: Final = 1_800_000
"""Changes of the motion that follow each other within this time belong to one manoeuvre."""
_LATE_MS: Final = 900_000
"""A thrust may have begun by this time before its first suspicious fix."""
_STEP_MS: Final = 30_000
_CONSTANT_S: Final = 1e12
"""Correlation time of a constant acceleration."""


class ManoeuvreSpan(NamedTuple):
    """Times between which a manoeuvre happened, GPS ms: the last fix certainly before it, the first one after it."""

    before_ms: int
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
        is_impulse = len(changes) == 1 and changes[0].change is Change.IMPULSE
        late_ms = 0 if is_impulse else _LATE_MS
        before_ms = [ms for ms in fixes_ms if ms < changes[0].first_gps_ms - late_ms]
        # A thrust whose end was not detected may last until the last fix.
        end_ms = fixes_ms[-1] if changes[-1].change is Change.THRUST_BEGIN else group[-1].fix.gps_ms
        after_ms = changes[0].first_gps_ms if is_impulse else end_ms
        if before_ms:
            spans.append(ManoeuvreSpan(before_ms[-1], after_ms, is_impulse))
    return spans


def restarts(updates: Sequence[OrbitUpdate]) -> list[int]:
    """Return the times in GPS ms at which a new orbit begins, after manoeuvres and re-initialisations.

    The fixes during a thrust are an orbit of their own.
    """
    times_ms = [
        update.restarted_from_ms
        for update in updates
        if update.restarted_from_ms is not None and update.manoeuvre is None
    ]
    for span in manoeuvre_spans(updates):
        times_ms += [span.after_ms] if span.is_impulse else [span.before_ms + 1, span.after_ms]
    return sorted(times_ms)


def delta_v(
    span: ManoeuvreSpan, before: OrbitState, after: OrbitState, settings: OrbitSettings, frames: EarthFrames
) -> DeltaV:
    """Return the change of the velocity between two orbits.

    Args:
        span: The manoeuvre.
        before: Orbit at `span.before_ms` from the fixes up to then.
        after: Orbit at `span.after_ms` from the fixes from then on.
        settings: Dynamics.
        frames: Earth orientation.
    """
    constant = replace(settings, process_noise=replace(settings.process_noise, empirical_time_s=_CONSTANT_S))
    response, plain = OrbitDynamics(constant, frames), OrbitDynamics(settings, frames)
    states, by_step, seconds = before, np.zeros((0, 6, 3)), []
    times_ms = [*range(span.before_ms, span.after_ms, _STEP_MS), span.after_ms]
    for begin_ms, end_ms in pairwise(times_ms):
        step = response.linear_step(begin_ms, states.x, end_ms, 1.0)
        states = plain.propagate(states, end_ms)
        moved = step.transition[:6, :6] @ by_step
        by_step = np.concatenate((moved, step.transition[None, :6, EMPIRICAL]))
        seconds.append(1e-3 * (end_ms - begin_ms))
    difference = (after.x - states.x)[:6]
    information = np.linalg.inv((after.covariance + states.covariance)[:6, :6])
    sums = np.concatenate((np.zeros((1, 6, 3)), np.cumsum(by_step, axis=0)))
    clock_s = np.concatenate(([0.0], np.cumsum(seconds)))
    first, last = np.triu_indices(len(sums), 1)
    partials = sums[last] - sums[first]
    duration_s = clock_s[last] - clock_s[first]
    weighted = partials.transpose(0, 2, 1) @ information
    covariance = np.linalg.inv(weighted @ partials)
    acceleration = (covariance @ (weighted @ difference)[:, :, None])[:, :, 0]
    residual = difference - (partials @ acceleration[:, :, None])[:, :, 0]
    chi_square = np.einsum("ki,ij,kj->k", residual, information, residual)
    weight = np.exp(-0.5 * (chi_square - chi_square.min()))
    weight /= weight.sum()
    each = acceleration * duration_s[:, None]
    mean = weight @ each
    spread = each - mean
    total = np.einsum("k,kij->ij", weight * duration_s**2, covariance)
    total += np.einsum("k,ki,kj->ij", weight, spread, spread)
    return DeltaV(span, mean, total)


def delta_vs(
    updates: Sequence[OrbitUpdate],
    before: OrbitSolution,
    after: OrbitSolution,
    settings: OrbitSettings,
    frames: EarthFrames,
) -> list[DeltaV]:
    """Return the changes of the velocity by all detected manoeuvres.

    Args:
        updates: Results of the filter.
        before: Solution whose orbits before a manoeuvre do not depend on later fixes: that of the filter, or of the
            batch with arcs that begin at `restarts`.
        after: Solution whose orbits after a manoeuvre depend on later fixes: that of the smoother or the batch.
        settings: Dynamics.
        frames: Earth orientation.
    """
    early, late = (
        {ms: row for row, ms in enumerate(solution.gps_ms.tolist()) if solution.known[row]}
        for solution in (before, after)
    )
    return [
        delta_v(
            span,
            _state_of(before, early[span.before_ms], settings, frames),
            _state_of(after, late[span.after_ms], settings, frames),
            settings,
            frames,
        )
        for span in manoeuvre_spans(updates)
        if span.before_ms in early and span.after_ms in late
    ]


def _state_of(solution: OrbitSolution, row: int, settings: OrbitSettings, frames: EarthFrames) -> OrbitState:
    """Return the orbit of a row with the prior of drag and empirical accelerations."""
    gps_ms = int(solution.gps_ms[row])
    x = np.zeros(SIZE)
    x[:3], x[3:6] = solution.position_gcrf_m[row], solution.velocity_gcrf_mps[row]
    covariance = solution.covariance_ecef[row]
    unit = np.sqrt(np.diagonal(covariance))
    root = np.diag(np.concatenate((np.zeros(DRAG), steady_sigma(settings.process_noise))))
    scaled = np.linalg.cholesky(covariance / np.outer(unit, unit))
    root[:6, :6] = np.linalg.solve(frames.ecef_state_from_gcrf(gps_ms), unit[:, None] * scaled)
    return OrbitState(gps_ms, x, root)

"""Rauch-Tung-Striebel smoother of the orbit.

The recursion of Rauch, Tung & Striebel (AIAA J. 3, 1965) runs on the states of the flight filter in square-root form:
one QR factorisation of [[F L, W], [L, 0]] (F transition matrix, L root of the filtered covariance, W root of the
process noise) gives the gain and the part of the covariance that later fixes cannot reduce (Park & Kailath, IEEE TAC
40, 1995). Nothing is subtracted, so a covariance cannot become negative.

A filter that initialises or re-initialises obtains its first state from several fixes at once. The smoother places an
uninformative state before it, at the earliest requested time, so that the recursion also propagates the result back
from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.kalman import triangular
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitUpdate, uninformative_state
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import SIZE, OrbitState


class _Backward(NamedTuple):
    """Step backwards: the gain applies to smoothed minus predicted.

    `root` is the part that later fixes cannot reduce.
    """

    filtered: OrbitState
    predicted_x: Array
    gain: Array
    root: Array


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Updates of one uninterrupted state, between two initialisations."""

    begin_ms: int
    updates: list[OrbitUpdate]


def smooth(
    updates: Sequence[OrbitUpdate], times_gps_ms: Sequence[int], dynamics: OrbitDynamics, settings: OrbitSettings
) -> dict[int, OrbitState]:
    """Return the smoothed states by time.

    Cost: as much as the filter; some 3 kB per fix.

    Args:
        updates: Results of the filter in its order.
        times_gps_ms: Requested times in any order. States are returned up to the longest gap that the filter bridges
            before its first and after its last state.
        dynamics: Dynamics of the filter.
        settings: Settings of the filter.
    """
    states: dict[int, OrbitState] = {}
    stretches = _stretches(updates)
    gap_ms = round(settings.start.gap_max_s * 1e3)
    for number, stretch in enumerate(stretches):
        first = stretch.updates[0].fix.gps_ms - gap_ms if number == 0 else stretch.begin_ms
        last = stretch.updates[-1].fix.gps_ms + gap_ms
        if number + 1 < len(stretches):
            last = min(last, stretches[number + 1].begin_ms - 1)
        wanted = {time for time in times_gps_ms if first <= time <= last}
        states |= _smooth_stretch(stretch, wanted, dynamics, settings)
    return states


def _stretches(updates: Sequence[OrbitUpdate]) -> list[_Stretch]:
    stretches: list[_Stretch] = []
    for update in updates:
        if update.state is None or not (update.position_accepted or update.velocity_accepted):
            continue
        if update.restarted_from_ms is not None or not stretches:
            stretches.append(_Stretch(update.restarted_from_ms or update.fix.gps_ms, []))
        stretches[-1].updates.append(update)
    return stretches


def _smooth_stretch(
    stretch: _Stretch, wanted: set[int], dynamics: OrbitDynamics, settings: OrbitSettings
) -> dict[int, OrbitState]:
    filtered = {update.fix.gps_ms: update for update in stretch.updates}
    times = sorted(wanted | filtered.keys())
    first = stretch.updates[0]
    first_state = _state_of(first)
    state = uninformative_state(
        times[0], dynamics.propagate_vector(first.fix.gps_ms, first_state.x, times[0]), settings
    )
    if times[0] == first.fix.gps_ms:
        state = first_state
    backward: list[_Backward] = []
    following = iter(stretch.updates)
    factor = 1.0
    next_update: OrbitUpdate | None = next(following)
    for time in times:
        if next_update is not None:
            factor = next_update.empirical_factor
        while state.gps_ms < time:
            step = dynamics.advance(state, time, factor)
            gain, root = _backward_gain(state.sqrt_covariance, step.transition, step.sqrt_noise)
            backward.append(_Backward(state, step.state.x, gain, root))
            state = step.state
        if time in filtered:
            state = _state_of(filtered[time])
            next_update = next(following, None)
    return _recurse(backward, state, set(times))


def _recurse(backward: Sequence[_Backward], last: OrbitState, wanted: set[int]) -> dict[int, OrbitState]:
    """Run backwards from the last filtered state, which is already smoothed."""
    state = last
    states = {state.gps_ms: state}
    for step in reversed(backward):
        x = step.filtered.x + step.gain.dot(state.x - step.predicted_x)
        root = triangular(np.concatenate((step.root, step.gain.dot(state.sqrt_covariance)), axis=1))
        state = OrbitState(step.filtered.gps_ms, x, root)
        if state.gps_ms in wanted:
            states[state.gps_ms] = state
    return states


def _backward_gain(root: Array, transition: Array, sqrt_noise: Array) -> tuple[Array, Array]:
    """Return the gain P F' (F P F' + Q)^-1 and the root of P - gain (F P F' + Q) gain', each (10, 10)."""
    array = np.zeros((2 * SIZE, SIZE + sqrt_noise.shape[1]))
    array[:SIZE, :SIZE] = transition.dot(root)
    array[:SIZE, SIZE:] = sqrt_noise
    array[SIZE:, :SIZE] = root
    lower = triangular(array)
    gain = np.asarray(np.linalg.solve(lower[:SIZE, :SIZE].T, lower[SIZE:, :SIZE].T).T, dtype=np.float64)
    return gain, lower[SIZE:, SIZE:]


def _state_of(update: OrbitUpdate) -> OrbitState:
    if update.state is None:
        raise ValueError(f"fix {update.fix.seq} has no filtered state")
    return update.state

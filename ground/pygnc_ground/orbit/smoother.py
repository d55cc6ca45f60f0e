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
from typing import TypeAlias

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.kalman import triangular
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitUpdate, uninformative_state
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState

_Track: TypeAlias = list[tuple[OrbitUpdate, OrbitState]]
"""Updates of one uninterrupted state, between two initialisations."""


def smooth(
    updates: Sequence[OrbitUpdate], times_gps_ms: Sequence[int], dynamics: OrbitDynamics, settings: OrbitSettings
) -> dict[int, OrbitState]:
    """Return the smoothed states by GPS time in ms.

    Cost: as much time as the filter; 3 kB of memory per fix.

    Args:
        updates: Results of the filter in its order.
        times_gps_ms: Requested times in any order. States are returned up to the longest gap that the filter bridges
            before its first and after its last state.
        dynamics: Dynamics of the filter.
        settings: Settings of the filter.
    """
    tracks: list[_Track] = []
    begins_ms: list[int] = []
    for update in updates:
        if update.state is None or not (update.position_accepted or update.velocity_accepted):
            continue
        if update.restarted_from_ms is not None or not tracks:
            tracks.append([])
            begins_ms.append(update.restarted_from_ms or update.fix.gps_ms)
        tracks[-1].append((update, update.state))
    states: dict[int, OrbitState] = {}
    gap_ms = round(settings.start.gap_max_s * 1e3)
    for number, track in enumerate(tracks):
        first, last = (update.fix.gps_ms for update, _ in (track[0], track[-1]))
        begin_ms = begins_ms[number] if number else first - gap_ms
        end_ms = min([last + gap_ms, *(later_ms - 1 for later_ms in begins_ms[number + 1 : number + 2])])
        wanted = {time for time in times_gps_ms if begin_ms <= time <= end_ms}
        states |= _smooth_track(track, wanted, dynamics, settings)
    return states


def _smooth_track(
    track: _Track, wanted: set[int], dynamics: OrbitDynamics, settings: OrbitSettings
) -> dict[int, OrbitState]:
    filtered = {update.fix.gps_ms: state for update, state in track}
    times = sorted(wanted | filtered.keys())
    first, state = track[0]
    if times[0] < first.fix.gps_ms:
        x = dynamics.propagate_vector(first.fix.gps_ms, state.x, times[0])
        state = uninformative_state(times[0], x, settings)
    backward: list[tuple[OrbitState, Array, Array, Array]] = []
    factors = iter([update.empirical_factor for update, _ in track])
    factor = next(factors)
    for time in times:
        while state.gps_ms < time:
            step = dynamics.advance(state, time, factor)
            backward.append(
                (state, step.state.x, *backward_gain(state.sqrt_covariance, step.transition, step.sqrt_noise))
            )
            state = step.state
        if time in filtered:
            state = filtered[time]
            factor = next(factors, factor)
    # The last filtered state is already smoothed.
    states = {state.gps_ms: state}
    for before, predicted_x, gain, root in reversed(backward):
        x = before.x + gain.dot(state.x - predicted_x)
        state = OrbitState(before.gps_ms, x, smoothed_root(gain, root, state.sqrt_covariance))
        if state.gps_ms in filtered or state.gps_ms in wanted:
            states[state.gps_ms] = state
    return states


def backward_gain(root: Array, transition: Array, sqrt_noise: Array) -> tuple[Array, Array]:
    """Return the gain P F' (F P F' + Q)^-1 and the root of P - gain (F P F' + Q) gain', each of shape (m, m).

    Args:
        root: Root of the filtered covariance P, shape (m, m).
        transition: Transition matrix F, shape (m, m).
        sqrt_noise: Root of the process noise Q, shape (m, k).
    """
    size = len(root)
    array = np.zeros((2 * size, size + sqrt_noise.shape[1]))
    array[:size, :size] = transition.dot(root)
    array[:size, size:] = sqrt_noise
    array[size:, :size] = root
    lower = triangular(array)
    gain = np.asarray(np.linalg.solve(lower[:size, :size].T, lower[size:, :size].T).T, dtype=np.float64)
    return gain, lower[size:, size:]


def smoothed_root(gain: Array, root: Array, later_root: Array) -> Array:
    """Return the root of the smoothed covariance from `backward_gain` and the later smoothed root, shape (m, m)."""
    return triangular(np.concatenate((root, gain.dot(later_root)), axis=1))

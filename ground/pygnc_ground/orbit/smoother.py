"""Rauch-Tung-Striebel smoother of the orbit.

The recursion of Rauch, Tung & Striebel (AIAA J. 3, 1965) runs on the states of the flight filter in square-root form:
one QR factorisation of [[F L, W], [L, 0]] (F transition matrix, L root of the filtered covariance, W root of the
process noise) gives the gain and the part of the covariance that later fixes cannot reduce (Park & Kailath, IEEE TAC
40, 1995). Nothing is subtracted, so a covariance cannot become negative.

Each hypothesis on the receiver's errors is smoothed on its own; the weights after the last fix mix the results.

A filter that initialises or re-initialises obtains its first state from several fixes at once. The smoother places an
uninformative state before it, at the earliest requested time, so that the recursion also propagates the result back
from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.kalman import triangular
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.error_models import ErrorBank
from pygnc.estimators.orbit.filter import uninformative_state
from pygnc.estimators.orbit.hypotheses import Hypotheses, mixture
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import SIZE, OrbitState
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc_ground.orbit.point_results import is_member
from pygnc_ground.orbit.solution import IntArray

_Track: TypeAlias = list[tuple[OrbitUpdate, OrbitState, Hypotheses]]
"""Updates of one uninterrupted state, between two initialisations."""

_WEIGHT_MIN: Final = 0.01
"""Hypotheses with less weight after the last fix are left out."""
_SECTION: Final = 1000
"""Number of fixes whose steps are in memory at once."""


def smooth(
    updates: Sequence[OrbitUpdate],
    times_gps_ms: Sequence[int],
    dynamics: OrbitDynamics,
    settings: OrbitSettings,
    release: Callable[[], None] = lambda: None,
) -> dict[int, OrbitState]:
    """Return the smoothed states by GPS time in ms.

    The results of the filter are in its order, the requested times in any. States are returned up to the longest gap
    that the filter bridges before its first and after its last state. Fixes of normal points get theirs afterwards, by
    `set_members`. `release` is called after every 1000 fixes; it may take the arrays of the filter's results out of the
    memory.

    Cost: as much time as the filter; 5 kB of memory for each probable hypothesis at the last 1000 fixes, and 1 kB per
    state.
    """
    tracks: list[_Track] = []
    begins_ms: list[int] = []
    smoothed_ms = {*times_gps_ms}.difference(update.fix.gps_ms for update in updates if is_member(update))
    for update in updates:
        if update.state is None or update.hypotheses is None:
            continue
        if update.restarted_from_ms is not None or not tracks:
            begin_ms = update.restarted_from_ms or update.fix.gps_ms
            if tracks:
                # Until it was confirmed, a manoeuvre was not in the states.
                tracks[-1] = [moment for moment in tracks[-1] if moment[0].fix.gps_ms < begin_ms]
            tracks.append([])
            begins_ms.append(begin_ms)
        tracks[-1].append((update, update.state, update.hypotheses))
    # An orbit that was discarded, because its times were wrong, is later than the next one.
    begins_ms = [begin_ms for track, begin_ms in zip(tracks, begins_ms, strict=True) if track]
    tracks = [track for track in tracks if track]
    states: dict[int, OrbitState] = {}
    gap_ms = round(settings.start.gap_max_s * 1e3)
    for number, track in enumerate(tracks):
        first, last = (update.fix.gps_ms for update, *_ in (track[0], track[-1]))
        begin_ms = begins_ms[number] if number else first - gap_ms
        end_ms = min([last + gap_ms, *(later_ms - 1 for later_ms in begins_ms[number + 1 : number + 2])])
        wanted = {time for time in smoothed_ms if begin_ms <= time <= end_ms}
        states |= _smooth_track(track, wanted, dynamics, settings, release)
    return states


class _Backward(NamedTuple):
    """Step of the recursion: extended states before it and predicted after it; gain and root, (k, 16, 16).

    The states have the shape (k, 16, 2): the second column is the effect of the clock's error.
    """

    gps_ms: int
    before: Array
    predicted: Array
    gain: Array
    root: Array


class _Known(NamedTuple):
    """Filtered state vector (10,), hypotheses relative to it, and factors (k,) of the propagation from it."""

    x: Array
    hypotheses: Hypotheses
    factor: Array


class _Forward(NamedTuple):
    """Forward pass of the recursion over ordered times, from filtered states to the next ones."""

    dynamics: OrbitDynamics
    bank: ErrorBank
    chosen: IntArray
    times: list[int]
    known: dict[int, _Known]
    models: int

    def _known_at(self, gps_ms: int) -> _Known:
        """Return what is known at a time, without a hypothesis that was refuted later."""
        x, hypotheses, factor = self.known[gps_ms]
        return _Known(x, hypotheses.first(self.models), factor)

    def steps(self, begin: int, end: int) -> tuple[list[_Backward], int, _Known]:
        """Return the steps from one time with a filtered state to another time, and the time and state at their end."""
        bank, chosen, gps_ms, steps = self.bank, self.chosen, self.times[begin], list[_Backward]()
        x, hypotheses, factor = self._known_at(gps_ms)
        for time in self.times[begin + 1 : end + 1]:
            while gps_ms < time:
                step = self.dynamics.linear_step(gps_ms, x, time, factor)
                transition, noise = bank.transition(step, (step.gps_ms - gps_ms) * 1e-3)
                gain, root = backward_gain(hypotheses.root[chosen], transition[chosen], noise[chosen])
                before = np.stack((hypotheses.deviation, hypotheses.of_clock), axis=2)[chosen]
                after = transition[chosen] @ before
                before[:, :SIZE, 0] += x
                after[:, :SIZE, 0] += step.x
                steps.append(_Backward(gps_ms, before, after, gain, root))
                if step.gps_ms not in self.known:
                    hypotheses = bank.predicted(hypotheses, step, (step.gps_ms - gps_ms) * 1e-3)
                gps_ms, x = step.gps_ms, step.x
            if time in self.known:
                x, hypotheses, factor = self._known_at(time)
        return steps, gps_ms, _Known(x, hypotheses, factor)


def _smooth_track(
    track: _Track, wanted: set[int], dynamics: OrbitDynamics, settings: OrbitSettings, release: Callable[[], None]
) -> dict[int, OrbitState]:
    filtered = {update.fix.gps_ms for update, *_ in track}
    times = sorted(wanted | filtered)
    (first, state, hypotheses), (*_, last) = track[0], track[-1]
    # Reference filters have one hypothesis, whatever the settings.
    measurement = replace(settings.measurement, correlated_errors=len(last.weight) > 1)
    bank = ErrorBank(measurement, settings.process_noise)
    if times[0] < first.fix.gps_ms:
        x, _ = dynamics.propagate_vector(first.fix.gps_ms, state.x, times[0])
        state = uninformative_state(times[0], x, settings)
        hypotheses = bank.restarted(hypotheses, state.sqrt_covariance, (1.0, 1.0))
    # A hypothesis that was refuted on the way is left out from the begin.
    count = len(last.weight)
    hypotheses = hypotheses.first(count)
    # All fixes weigh the hypotheses; the improbable ones are left out.
    chosen = np.flatnonzero(last.weight > _WEIGHT_MIN)
    weight = last.weight[chosen] / last.weight[chosen].sum()
    unadapted = np.ones(count)
    every = [unadapted if update.empirical_factor is None else update.empirical_factor for update, *_ in track]
    factors = [factor[:count] for factor in every]
    known = {state.gps_ms: _Known(state.x, hypotheses, factors[0])}
    for (update, of_update, bank_of), factor in zip(track, [*factors[1:], factors[-1]], strict=True):
        known[update.fix.gps_ms] = _Known(of_update.x, bank_of, factor)

    forward = _Forward(dynamics, bank, chosen, times, known, count)
    # Sections from the last to the first need the memory of one.
    begins = [row for row, time in enumerate(times) if time in known][::_SECTION]
    states: dict[int, OrbitState] = {}
    for begin, end in reversed([*pairwise([*begins, len(times) - 1])]):
        backward, gps_ms, (x, hypotheses, _) = forward.steps(begin, end)
        if not states:
            # The last filtered state is already smoothed.
            states[gps_ms] = hypotheses.mixture(gps_ms, x)
            smoothed = np.stack((hypotheses.deviation, hypotheses.of_clock), axis=2)[chosen]
            smoothed[:, :SIZE, 0] += x
            smoothed_roots = hypotheses.root[chosen]
        for moment in reversed(backward):
            smoothed = moment.before + moment.gain @ (smoothed - moment.predicted)
            smoothed_roots = smoothed_root(moment.gain, moment.root, smoothed_roots)
            if moment.gps_ms in filtered or moment.gps_ms in wanted:
                of_orbit = smoothed[:, :SIZE, 0], smoothed_roots[:, :SIZE], smoothed[:, :SIZE, 1]
                states[moment.gps_ms] = mixture(moment.gps_ms, *of_orbit, weight)
        release()
    return states


def backward_gain(root: Array, transition: Array, sqrt_noise: Array) -> tuple[Array, Array]:
    """Return the gain P F' (F P F' + Q)^-1, shape (..., m, m), and a root of P - gain (F P F' + Q) gain'.

    The root has the shape (..., m, min(m, k)).

    Args:
        root: Root of the filtered covariance P, shape (..., m, m).
        transition: Transition matrix F, shape (..., m, m).
        sqrt_noise: Root of the process noise Q, shape (..., m, k).
    """
    size = root.shape[-1]
    array = np.zeros((*root.shape[:-2], 2 * size, size + sqrt_noise.shape[-1]))
    array[..., :size, :size] = transition @ root
    array[..., :size, size:] = sqrt_noise
    array[..., size:, :size] = root
    lower = triangular(array)
    innovation, cross = lower[..., :size, :size], lower[..., size:, :size]
    gain = np.linalg.solve(innovation.swapaxes(-1, -2), cross.swapaxes(-1, -2)).swapaxes(-1, -2)
    return np.asarray(gain, dtype=np.float64), lower[..., size:, size:]


def smoothed_root(gain: Array, root: Array, later_root: Array) -> Array:
    """Return the root of the smoothed covariance from `backward_gain` and the later smoothed root, (..., m, m)."""
    return triangular(np.concatenate((root, gain @ later_root), axis=-1))

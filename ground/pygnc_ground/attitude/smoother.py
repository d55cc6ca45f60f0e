"""Rauch-Tung-Striebel smoother of the attitude.

The recursion of Rauch, Tung & Striebel (AIAA J. 3, 1965) runs on the error state of the flight filter, in square-root
form as in `orbit.smoother`. It smooths the error left in each filtered state; its attitude part is applied as a
rotation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pygnc.estimators.attitude.filter import AttitudeUpdate
from pygnc.estimators.attitude.propagation import AttitudeStep
from pygnc.estimators.attitude.state import AttitudeState
from pygnc_ground.orbit.smoother import backward_gain, smoothed_root


class Filtered(NamedTuple):
    """Result of a filter for a sample, as far as the smoother needs it."""

    state: AttitudeState | None
    """State after the sample; None if the attitude is unknown."""
    step: AttitudeStep | None
    """Step from the previous state to the sample; None if there is no previous state."""


def smooth(updates: Sequence[AttitudeUpdate] | Sequence[Filtered]) -> list[AttitudeState | None]:
    """Return the smoothed state of each sample, None where the filter has no state.

    The results of the filter are in its order. States before and after a loss of the attitude are smoothed separately.

    Cost: as much time as the filter; 10 kB of memory per sample.
    """
    smoothed: list[AttitudeState | None] = [None] * len(updates)
    later: tuple[AttitudeStep | None, AttitudeState] | None = None
    for number in range(len(updates) - 1, -1, -1):
        state = updates[number].state
        if state is None:
            # A rejected sample does not interrupt the track: the next step began before it.
            continue
        if later is not None and later[0] is not None:
            state = _earlier(state, later[0], later[1])
        smoothed[number] = state
        # The first sample of a new track has no step, so the recursion restarts before it.
        later = updates[number].step, state
    return smoothed


def _earlier(filtered: AttitudeState, step: AttitudeStep, later: AttitudeState) -> AttitudeState:
    """Return the smoothed state before a step, from the filtered state there and the smoothed state after the step."""
    gain, root = backward_gain(filtered.sqrt_covariance, step.transition, np.diag(step.noise_sigma))
    change = np.asarray(gain.dot(step.state.error_to(later)), np.float64)
    return filtered.corrected(change, smoothed_root(gain, root, later.sqrt_covariance))

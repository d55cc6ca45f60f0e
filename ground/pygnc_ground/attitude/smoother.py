"""The smoother: every attitude from all samples, before it and after it.

Rauch, Tung & Striebel's recursion (AIAA J. 3, 1965) on the flight filter's error state, in square-root form as in
`orbit.smoother`. What is smoothed is the error that was left in each filtered state; the attitude's part of it is
applied as a turn.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pygnc.estimators.attitude.propagation import AttitudeStep
from pygnc.estimators.attitude.state import SIZE, AttitudeState
from pygnc.estimators.kalman import triangular


class Filtered(Protocol):
    """What the recursion takes of a filter's word on a sample; the flight's `AttitudeUpdate` has it."""

    @property
    def state(self) -> AttitudeState | None:
        """After the sample; None where the attitude is unknown."""

    @property
    def step(self) -> AttitudeStep | None:
        """From the state before to the sample; None where none led there."""


def smooth(updates: Sequence[Filtered]) -> list[AttitudeState | None]:
    """Smoothed states.

    Args:
        updates: What the filter said of its samples, all of them in its order.

    Returns:
        One state per update; None where the filter had none. Tracks are smoothed apart from each other.

    Cost: as much as the filter; some 10 kB per sample.
    """
    smoothed: list[AttitudeState | None] = [None] * len(updates)
    later: tuple[AttitudeStep | None, AttitudeState] | None = None
    for number in range(len(updates) - 1, -1, -1):
        state = updates[number].state
        if state is None:
            # A sample that was put aside interrupts nothing: the next step began before it.
            continue
        if later is not None and later[0] is not None:
            state = _earlier(state, later[0], later[1])
        smoothed[number] = state
        # What found a track anew has no step: the recursion begins again before it.
        later = updates[number].step, state
    return smoothed


def _earlier(filtered: AttitudeState, step: AttitudeStep, later: AttitudeState) -> AttitudeState:
    """The smoothed state before a step, from the filtered one there and the smoothed one behind it."""
    array = np.zeros((2 * SIZE, 2 * SIZE))
    array[:SIZE, :SIZE] = step.transition.dot(filtered.sqrt_covariance)
    array[:SIZE, SIZE:] = np.diag(step.noise_sigma)
    array[SIZE:, :SIZE] = filtered.sqrt_covariance
    lower = triangular(array)
    gain = np.linalg.solve(lower[:SIZE, :SIZE].T, lower[SIZE:, :SIZE].T).T
    left = gain.dot(later.sqrt_covariance)
    root = triangular(np.concatenate((lower[SIZE:, SIZE:], left), axis=1))
    return filtered.corrected(np.asarray(gain.dot(step.state.error_to(later)), np.float64), root)

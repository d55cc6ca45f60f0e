"""Rauch-Tung-Striebel smoother of the attitude.

The recursion of Rauch, Tung & Striebel (AIAA J. 3, 1965) runs on the error state of the flight filter. It smooths the
error left in each filtered state; its attitude part is applied as a rotation. Covariances are sums of squares, which
are factorised by Cholesky in half the time of the orthogonal form in `orbit.smoother`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.filter import AttitudeUpdate
from pygnc.estimators.attitude.propagation import AttitudeStep
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from pygnc.estimators.kalman import triangular_by_cholesky
from pygnc_ground.orbit.solution import IntArray

_NOTHING: Final = np.zeros(0)
_SECTION: Final = 1000
"""Number of results whose arrays are in memory at once."""


class _PackedStep(NamedTuple):
    predicted: AttitudeState
    """Propagated state without its covariance."""
    places: NDArray[np.int32]
    """Places of the elements in which the transition differs from the identity."""
    values: Array
    noise_sigma: Array
    rate_body_rad_s: Array
    turn_rad: Array


class Filtered(NamedTuple):
    """Result of a filter for a sample, as far as the smoother needs it, in a fifth of the memory."""

    packed: AttitudeState | None
    """State after the sample with the lower triangle of its covariance root; None if the attitude is unknown."""
    packed_step: _PackedStep | None
    """Step from the previous state to the sample; None if there is no previous state."""

    @classmethod
    def of(
        cls, state: AttitudeState | None, step: AttitudeStep | None, stored: Callable[[Array], Array] = lambda of: of
    ) -> "Filtered":
        """Return the results with less memory; the covariance of the step is left out.

        `stored` returns a copy of an array outside of the memory.
        """
        packed = None
        if state is not None:
            root = state.sqrt_covariance
            packed = state.corrected(None, stored(root.T[_upper(len(root))]))
        if step is None:
            return cls(packed, None)
        places = _shared(np.flatnonzero(step.transition != _identity(len(step.transition))).astype(np.int32).tobytes())
        return cls(
            packed,
            _PackedStep(
                step.state.corrected(None, _NOTHING), places, stored(step.transition.ravel()[places]), *step[2:]
            ),
        )

    @property
    def state(self) -> AttitudeState | None:
        """State after the sample; None if the attitude is unknown."""
        if self.packed is None:
            return None
        size = len(self.packed.slow) + 3
        root = np.zeros((size, size))
        root[_upper(size)] = self.packed.sqrt_covariance
        # The filter's layout: products of another one round differently.
        return self.packed.corrected(None, np.ascontiguousarray(root.T))

    @property
    def step(self) -> AttitudeStep | None:
        """Step from the previous state to the sample, without its covariance; None if there is no previous state."""
        if self.packed_step is None:
            return None
        predicted, places, values, *others = self.packed_step
        transition = _identity(len(predicted.slow) + 3).copy()
        transition.flat[places] = values
        return AttitudeStep(predicted, transition, *others)


@cache
def _upper(size: int) -> tuple[IntArray, IntArray]:
    return np.triu_indices(size)


@cache
def _identity(size: int) -> Array:
    return np.eye(size)


@lru_cache(16)
def _shared(places: bytes) -> NDArray[np.int32]:
    """Return the places as an array; most steps have the same."""
    return np.frombuffer(places, np.int32)


def without_model_errors(state: AttitudeState) -> AttitudeState:
    """Return a state of which only the covariance of attitude and biases is known, in a twelfth of the memory."""
    return state.corrected(None, state.sqrt_covariance[: ERRORS.mag_bias.stop, : ERRORS.mag_bias.stop].copy())


def emptied(filtered: list[Filtered], release: Callable[[], None] = lambda: None) -> Iterator[Filtered]:
    """Yield the results from the last one to the first, and remove each from the list.

    `release` is called after every 1000; it may take their arrays out of the memory.
    """
    while filtered:
        yield filtered.pop()
        if len(filtered) % _SECTION == 0:
            release()


def smooth(updates: Sequence[AttitudeUpdate] | Sequence[Filtered]) -> list[AttitudeState | None]:
    """Return the smoothed state of each sample, None where the filter has no state; see `smoothed_backwards`."""
    return [*smoothed_backwards(reversed(updates))][::-1]


def smoothed_backwards(updates: Iterable[AttitudeUpdate | Filtered]) -> Iterator[AttitudeState | None]:
    """Yield the smoothed states of samples, the last one first, as the results of the filter are given.

    States before and after a loss of the attitude are smoothed separately. This takes as much time as the filter.
    """
    later: tuple[AttitudeStep | None, AttitudeState] | None = None
    for update in updates:
        state = update.state
        if state is None:
            # A rejected sample does not interrupt the track: the next step began before it.
            yield None
            continue
        if later is not None and later[0] is not None:
            state = _earlier(state, later[0], later[1])
        yield state
        # The first sample of a new track has no step, so the recursion restarts before it.
        later = update.step, state


def _earlier(filtered: AttitudeState, step: AttitudeStep, later: AttitudeState) -> AttitudeState:
    """Return the smoothed state before a step, from the filtered state there and the smoothed state after the step."""
    root = filtered.sqrt_covariance
    noisy = np.flatnonzero(step.noise_sigma)
    moved = step.transition.dot(root)
    predicted = moved.dot(moved.T)
    predicted.flat[:: len(root) + 1] += step.noise_sigma**2
    gain = root.dot(moved.T).dot(np.linalg.inv(predicted))  # in half the time of `solve` with as many right sides
    change = np.asarray(gain.dot(step.state.error_to(later)), np.float64)
    # The form of Joseph: a sum of squares, which rounding of the gain cannot make negative.
    parts = (root - gain.dot(moved), gain[:, noisy] * step.noise_sigma[noisy], gain.dot(later.sqrt_covariance))
    return filtered.corrected(change, triangular_by_cholesky(np.concatenate(parts, axis=1)))

from functools import cache

import numpy as np
import pytest

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.filter import AttitudeUpdate
from pygnc.estimators.attitude.state import AttitudeState
from pygnc_ground.attitude.smoother import Filtered, smooth, without_model_errors
from tests.pygnc.estimators.attitude.truth import SIZE, Truth, errors_deg, fly, run

SETTLED = 120
pytestmark = pytest.mark.xdist_group("attitude_smoother")  # one worker flies


@cache
def truth() -> Truth:
    return fly(3, 60.0)


@cache
def flown() -> list[AttitudeUpdate]:
    return run(truth())[1]


@cache
def smoothed() -> list[AttitudeState | None]:
    return smooth(flown())


def errors_rad(states: list[AttitudeState | None]) -> Array:
    """Turns in body axes from the states to the truth, (n, 3); those after the filter has settled."""
    turns = [
        quaternion.error_vector(truth().quaternion[number], state.quaternion)
        for number, state in enumerate(states)
        if state is not None and number >= SETTLED
    ]
    return np.array(turns)


def rms_deg(turns: Array) -> float:
    return float(np.degrees(np.sqrt(np.mean(np.sum(turns**2, axis=1)))))


def test_there_is_a_state_for_each_of_the_filters() -> None:
    assert [state is None for state in smoothed()] == [update.state is None for update in flown()]


def test_later_samples_make_the_attitude_better() -> None:
    filtered = rms_deg(errors_rad([update.state for update in flown()]))
    assert rms_deg(errors_rad(smoothed())) < 0.8 * filtered


def test_the_last_state_is_the_filters() -> None:
    assert smoothed()[-1] is flown()[-1].state


def test_packed_results_are_smoothed_to_the_same_bits() -> None:
    packed = [Filtered.of(update.state, update.step) for update in flown()]
    for state, other in zip(smooth(packed), smoothed(), strict=True):
        if state is None or other is None:
            assert state is other
            continue
        np.testing.assert_array_equal(state.quaternion, other.quaternion)
        np.testing.assert_array_equal(state.slow, other.slow)
        np.testing.assert_array_equal(state.sqrt_covariance, other.sqrt_covariance)
        assert without_model_errors(other).attitude_sigma_rad == pytest.approx(other.attitude_sigma_rad, rel=1e-14)
    kept = sum(one.packed.sqrt_covariance.nbytes for one in packed if one.packed is not None)
    whole = sum(update.state.sqrt_covariance.nbytes for update in flown() if update.state is not None)
    assert kept < 0.55 * whole


def test_the_first_state_profits_most() -> None:
    first = next(number for number, state in enumerate(smoothed()) if state is not None)
    state, update = smoothed()[first], flown()[first]
    assert state is not None
    assert update.state is not None
    assert state.attitude_sigma_rad < 0.3 * update.state.attitude_sigma_rad
    np.testing.assert_allclose(state.mag_bias_ut, truth().mag_bias_ut, atol=0.3)


def test_errors_are_as_large_as_the_smoother_says() -> None:
    values = []
    for number, state in enumerate(smoothed()):
        if state is not None and number >= SETTLED:
            turn = quaternion.error_vector(truth().quaternion[number], state.quaternion)
            values.append(turn.dot(np.linalg.solve(state.covariance[:3, :3], turn)))
    # The errors of one run are correlated, so their mean is known to a factor of two only.
    assert 1.5 < np.mean(values) < 6.0


def test_agrees_with_the_solution_of_all_equations_at_once() -> None:
    """With nothing measured between, the recursion must carry the last state back by the transition alone."""
    updates = [flown()[0], *flown()[300:330]]
    states = smooth(updates)
    assert errors_deg(truth(), updates[-1:])[0] < 5.0
    last, before = states[-1], states[-2]
    assert last is not None
    assert before is not None
    step = updates[-1].step
    assert step is not None
    filtered = updates[-2].state
    assert filtered is not None
    # The textbook form of the gain, with covariances and an inverse.
    predicted = step.transition.dot(filtered.covariance).dot(step.transition.T) + np.diag(step.noise_sigma**2)
    gain = filtered.covariance.dot(step.transition.T).dot(np.linalg.inv(predicted))
    expected = filtered.corrected(gain.dot(step.state.error_to(last)), filtered.sqrt_covariance)
    np.testing.assert_allclose(before.error_to(expected), np.zeros(SIZE), atol=1e-6)
    covariance = filtered.covariance + gain.dot(last.covariance - predicted).dot(gain.T)
    np.testing.assert_allclose(before.covariance, covariance, atol=1e-7)

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.propagation import AttitudeDynamics, cross_matrices, right_jacobian, right_jacobians
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from tests.pygnc.estimators.attitude.truth import IMU_FROM_BODY, SIZE

MOTION = AttitudeDynamics(AttitudeSettings())
NOT_STUCK = np.zeros(3, np.bool_)
STEPS = np.repeat((1e-6, 1e-7, 1e-4, 1e-4, 1e-5, 1e-6, 1e-4, 1e-7, 1e-4, 1e-5), (3, 3, 3, 3, 3, 9, 3, 3, 3, 10))


def some_state(seed: int = 1) -> AttitudeState:
    rng = np.random.default_rng(seed)
    q = rng.normal(size=4)
    slow = rng.normal(size=SIZE - 3)
    for rows, factor in (
        (ERRORS.gyro_bias, 0.02),
        (ERRORS.mag_bias, 20.0),
        (ERRORS.mag_matrix, 0.05),
        (ERRORS.gyro_thermal, 0.01),
        (ERRORS.gyro_scale, 0.01),
        (ERRORS.light_errors, 0.01),
    ):
        slow[ERRORS.in_slow(rows)] *= factor
    slow[ERRORS.in_slow(ERRORS.reflectivity)] = [0.3, 0.05, -0.1]
    return AttitudeState(0, q / np.linalg.norm(q), slow, np.eye(SIZE))


def turned_by(first: Array, last: Array, step_s: float) -> Array:
    """Quaternion of a turn under a rate that changes linearly, by numerical integration."""

    def derivative(t: float, q: Array) -> Array:
        rate = first + (last - first) * t / step_s
        return 0.5 * quaternion.multiply(q, np.array([0.0, *rate]))

    end: Array = solve_ivp(derivative, (0.0, step_s), [1.0, 0.0, 0.0, 0.0], rtol=1e-11, atol=1e-13).y[:, -1]
    return end


def test_a_changing_rate_is_integrated() -> None:
    """The rate's direction changes by 25 degrees: without the product of both readings the error is 0.3 degrees."""
    first, last = np.array([0.06, 0.02, 0.0]), np.array([0.05, 0.04, 0.02])
    state = AttitudeState(0, np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(SIZE - 3), np.eye(SIZE))
    step = MOTION.advance(state, IMU_FROM_BODY.dot(first), IMU_FROM_BODY.dot(last), 5000, NOT_STUCK)
    error = quaternion.error_vector(step.state.quaternion, turned_by(first, last, 5.0))
    assert np.linalg.norm(error) < 1e-4


def test_bias_and_scale_are_removed_from_the_rate() -> None:
    rate, state = np.array([0.01, -0.02, 0.03]), some_state()
    shown = (1.0 + state.gyro_scale_error) * IMU_FROM_BODY.dot(rate) + state.gyro_bias_rad_s
    np.testing.assert_allclose(MOTION.rate_body_rad_s(shown, state), rate, atol=1e-15)


@pytest.mark.parametrize("warming", [0.0, -1e-3])
@pytest.mark.parametrize("size", [1e-6, 0.1, 1.0])
def test_the_transition_is_the_derivative_of_the_step(size: float, warming: float) -> None:
    """The transition takes the mean of both readings and biases for each, which matters little."""
    state = some_state()
    rng = np.random.default_rng(5)
    rate = size * rng.normal(size=3) / 5.0
    reading = (1.0 + state.gyro_scale_error) * IMU_FROM_BODY.dot(rate) + state.gyro_bias_rad_s

    def end(error: Array) -> AttitudeState:
        begin = state.corrected(error, state.sqrt_covariance)
        return MOTION.advance(begin, reading, reading, 5000, NOT_STUCK, warming=warming).state

    step = MOTION.advance(state, reading, reading, 5000, NOT_STUCK, warming=warming)
    for column in range(SIZE):
        error = np.zeros(SIZE)
        error[column] = STEPS[column]
        difference = end(-error).error_to(end(error)) / (2.0 * STEPS[column])
        atol = 2e-5 * max(1.0, size) + 0.5 * abs(warming)
        np.testing.assert_allclose(step.transition[:, column], difference, atol=atol, rtol=1e-5)


def test_the_right_jacobian_is_the_derivative_of_the_exponential() -> None:
    for turn in (np.array([1e-5, 0.0, 2e-5]), np.array([0.3, -0.7, 1.1])):
        for axis in range(3):
            small = 1e-6 * np.eye(3)[axis]
            ends = [quaternion.exponential(turn + sign * small) for sign in (1.0, -1.0)]
            difference = quaternion.error_vector(ends[0], ends[1]) / 2e-6
            np.testing.assert_allclose(right_jacobian(turn)[:, axis], difference, atol=1e-8)


def test_the_root_carries_transition_and_noise() -> None:
    step = MOTION.advance(some_state(), np.array([0.01, 0.0, 0.0]), np.array([0.01, 0.0, 0.0]), 5000, NOT_STUCK)
    root = step.state.sqrt_covariance
    expected = step.transition.dot(step.transition.T) + np.diag(step.noise_sigma**2)
    np.testing.assert_allclose(root.dot(root.T), expected, atol=1e-12)
    assert step.noise_sigma[ERRORS.attitude] == pytest.approx(np.radians(0.125))


def test_the_biases_follow_the_warmth() -> None:
    state, still = some_state(), np.zeros(3)
    rested, warmed = (MOTION.advance(state, still, still, 5000, NOT_STUCK, warming=each) for each in (0.0, 0.1))
    np.testing.assert_allclose(warmed.state.slow[:6] - rested.state.slow[:6], 0.1 * state.thermal)
    assert (warmed.noise_sigma[ERRORS.biases] > rested.noise_sigma[ERRORS.biases]).all()


def test_in_sunlight_the_biases_are_uncertain_by_the_absorbed_heat() -> None:
    state, still = some_state(), np.zeros(3)
    dark, lit = (MOTION.advance(state, still, still, 5000, NOT_STUCK, sunlit_fraction=each) for each in (0.0, 1.0))
    assert (lit.noise_sigma[ERRORS.biases] > dark.noise_sigma[ERRORS.biases]).all()
    np.testing.assert_array_equal(lit.state.slow, dark.state.slow)


def test_slow_processes_keep_their_size() -> None:
    """Their noise makes up for their decay: a Gauss-Markov process is as large after a step as before."""
    settings = AttitudeSettings()
    sizes = np.array([settings.magnetometer.field_error_ut] * 3)
    root = np.zeros((SIZE, SIZE))
    root[ERRORS.field_error, ERRORS.field_error] = np.diag(sizes)
    still = np.zeros(3)
    state = AttitudeState(0, np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(SIZE - 3), root)
    step = MOTION.advance(state, still, still, 15_000, NOT_STUCK)
    np.testing.assert_allclose(step.state.sigma[ERRORS.field_error], sizes, rtol=1e-12)


def test_a_long_gap_widens_the_attitude_by_the_possible_rotation() -> None:
    rate = np.array([np.radians(1.0), 0.0, 0.0])
    state = AttitudeState(0, np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(SIZE - 3), np.zeros((SIZE, SIZE)))
    bridged, lost = (MOTION.advance(state, rate, rate, ms, NOT_STUCK) for ms in (15_000, 600_000))
    assert bridged.noise_sigma[0] < np.radians(0.5)
    assert lost.noise_sigma[0] > np.radians(25.0)


def test_a_reading_that_is_late_has_the_rate_of_its_time() -> None:
    def rate_at(t_s: float) -> Array:
        rate: Array = IMU_FROM_BODY.dot(0.15 * np.array([np.cos(0.04 * t_s), np.sin(0.04 * t_s), 0.5]))
        return rate

    def end(late_s: float) -> Array:
        state = AttitudeState(0, np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(SIZE - 3), np.eye(SIZE))
        for before, after, ms in ((0.0, 5.0 + late_s, 5000), (5.0 + late_s, 10.0, 10_000)):
            state = MOTION.advance(state, rate_at(before), rate_at(after), ms, NOT_STUCK).state
            state = AttitudeState(ms, state.quaternion, state.slow, np.eye(SIZE))
        return state.quaternion

    late_s = np.random.default_rng(1).uniform(-0.5, 0.5, 200)
    errors = np.array([quaternion.error_vector(end(each), end(0.0)) for each in late_s])
    state = AttitudeState(0, np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(SIZE - 3), np.eye(SIZE))
    exact, late = (
        MOTION.advance(state, rate_at(0.0), rate_at(5.0), 5000, NOT_STUCK, tag_variance_s2=variance_s2).noise_sigma
        for variance_s2 in (0.0, 1.0 / 12.0)
    )
    added = np.sqrt((late[ERRORS.attitude] ** 2 - exact[ERRORS.attitude] ** 2).sum())
    assert added == pytest.approx(np.sqrt((errors**2).sum(axis=1).mean()), rel=0.1)


VECTORS = np.random.default_rng(1).normal(size=(4, 5, 3))


def test_cross_matrices_agree_with_numpy() -> None:
    others = np.random.default_rng(2).normal(size=VECTORS.shape)
    products = (cross_matrices(VECTORS) @ others[..., None])[..., 0]
    np.testing.assert_allclose(products, np.cross(VECTORS, others), atol=1e-14)


def test_the_jacobians_are_the_derivatives_of_the_exponential() -> None:
    jacobians = right_jacobians(VECTORS)
    for axis in range(3):
        small = 1e-6 * np.eye(3)[axis]
        ends = [quaternion.exponential(VECTORS + sign * small) for sign in (1.0, -1.0)]
        difference = quaternion.error_vector(ends[0], ends[1]) / 2e-6
        np.testing.assert_allclose(jacobians[..., axis], difference, atol=1e-8)


def test_without_a_turn_the_jacobian_is_the_identity() -> None:
    np.testing.assert_allclose(right_jacobians(np.zeros((2, 3))), np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-12)

"""Errors of the sensor models: estimated once they show, and harmless before."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.filter import AttitudeFilter, AttitudeUpdate, FilterMemory
from pygnc.estimators.attitude.model_errors import WHOLE_SECOND_SIGMA_S, ErrorSize, ModelErrors, TimeTagErrors
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from pygnc.estimators.checkpoint import decode, encode
from tests.pygnc.estimators.attitude.truth import SETTINGS, SIZE, STEP_S, Truth, errors_deg, fly, run, with_samples

TRUTH = fly(3, 60.0)
SETTLED = 480
"""Samples in 40 minutes."""


def rms(errors: Array) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def with_fields(truth: Truth, disturbance_ut: Array, matrix: Array, *, declared: bool = False) -> Truth:
    """Return the flight with readings of a wrong scale, and with a disturbance (n, 3) in sensor axes."""
    return with_samples(
        truth,
        [
            replace(
                sample,
                mag_imu_ut=truth.mag_bias_ut + matrix @ (sample.mag_imu_ut - truth.mag_bias_ut) + disturbance,
                field_unusable=declared and bool(disturbance.any()),
            )
            for sample, disturbance in zip(truth.samples, disturbance_ut, strict=True)
        ],
    )


def torquer_field_ut(size_ut: float, duty: float) -> Array:
    """Return a field that changes every minute, shape (n, 3)."""
    rng = np.random.default_rng(8)
    minutes = len(TRUTH.samples) // 12 + 1
    direction = rng.normal(size=(minutes, 3))
    direction *= size_ut / np.linalg.norm(direction, axis=1, keepdims=True)
    on = rng.random(minutes) < duty
    on[0] = False
    return np.repeat(direction * on[:, None], 12, axis=0)[: len(TRUTH.samples)]


def inflated(attitude: AttitudeFilter, states: slice | int) -> bool:
    assert attitude.state is not None
    return bool(np.any(attitude.state.sigma[states] > 2e-4))


def test_readings_without_errors_show_that_all_errors_are_small() -> None:
    attitude, updates = run(TRUTH)
    errors = attitude.memory.errors
    assert {errors.magnetometer, errors.sun_sensors} == {ErrorSize.SMALL}
    assert attitude.state is not None
    sigma = attitude.state.sigma
    assert sigma[ERRORS.mag_matrix].max() < 0.0021
    assert sigma[ERRORS.panel_field].max() < 0.051
    assert sigma[ERRORS.face_gains].max() < 0.021
    assert sigma[ERRORS.cosine_error] < 2e-4
    # A body that rotates slowly shows no errors of the times, so they remain possible.
    assert updates[-1].time_sigma_s == WHOLE_SECOND_SIGMA_S
    assert run(fly(3, 35.0, rate_deg_s=5.0))[1][-1].time_sigma_s == 0.0


def test_scale_and_misalignment_of_the_magnetometer_are_estimated() -> None:
    matrix = np.eye(3) + np.array([[0.15, 0.02, 0.0], [0.0, -0.15, 0.01], [0.0, 0.03, 0.1]])
    truth = with_fields(TRUTH, np.zeros((len(TRUTH.samples), 3)), matrix)
    attitude, updates = run(truth)
    assert sum(update.restarted for update in updates) == 1
    assert rms(errors_deg(truth, updates[SETTLED:])) < 1.2
    assert attitude.state is not None
    np.testing.assert_allclose(attitude.state.mag_matrix_error, matrix - np.eye(3), atol=0.02)


def test_gains_and_cosine_law_of_the_faces_are_estimated() -> None:
    gains = 1.0 + np.array([0.25, -0.3, 0.2, -0.15, 0.3, -0.25])
    truth = with_samples(TRUTH, [replace(s, lux=np.minimum(gains * s.lux, 83_865.6)) for s in TRUTH.samples])
    attitude, updates = run(truth)
    assert inflated(attitude, ERRORS.cosine_error)
    assert rms(errors_deg(truth, updates[SETTLED:])) < 1.5


@pytest.mark.parametrize(("size_ut", "duty"), [(20.0, 0.3), (5.0, 0.5)])
def test_magnetorquers_do_not_end_a_track(size_ut: float, duty: float) -> None:
    truth = with_fields(TRUTH, torquer_field_ut(size_ut, duty), np.eye(3))
    updates = run(truth)[1]
    errors = errors_deg(truth, updates[SETTLED:])
    assert np.isfinite(errors).all()
    assert rms(errors) < 2.0


@pytest.mark.parametrize(("rate_deg_s", "begin"), [(0.06, 240), (0.2, 120), (0.2, 240), (0.5, 120)])
def test_the_end_of_a_disturbance_is_noticed_while_scale_errors_are_uncertain(rate_deg_s: float, begin: int) -> None:
    slow, scale = fly(4, 30.0, rate_deg_s=rate_deg_s), np.diag([1.15, 0.85, 1.1])
    pulse_ut = np.zeros((len(slow.samples), 3))
    pulse_ut[begin : begin + 12] = [6.0, -6.0, 5.0]
    updates = run(with_fields(slow, pulse_ut, scale))[1]
    assert all(update.state is not None for update in updates[begin:])
    readings = [update.innovations["magnetometer"] for update in updates[begin : begin + 60]]
    assert [reading.is_used for reading in readings].index(True) == 12


@pytest.mark.parametrize("seed", [2, 4, 7])
def test_a_disturbance_of_a_fast_body_ends_although_whole_seconds_hide_the_step(seed: int) -> None:
    truth = fly(seed, 12.0, rate_deg_s=10.0)
    truth = late_by(truth, 10.0, np.random.default_rng(seed).uniform(-0.5, 0.5, len(truth.samples)))
    pulse_ut = np.zeros((len(truth.samples), 3))
    pulse_ut[48:60] = [6.0, -6.0, 5.0]
    updates = run(with_fields(truth, pulse_ut, np.eye(3)))[1]
    assert sum(update.restarted for update in updates) == 1
    used = [update.innovations["magnetometer"].is_used for update in updates[60:]]
    assert np.mean(used) > 0.9


def test_declared_magnetorquers_are_not_used() -> None:
    field_ut = torquer_field_ut(2.0, 0.5)
    truth = with_fields(TRUTH, field_ut, np.eye(3), declared=True)
    on = np.linalg.norm(field_ut, axis=1) > 0.0
    updates = [
        update for update, is_on in zip(run(truth)[1], on, strict=True) if update.state and update.step and is_on
    ]
    assert updates
    assert not any("magnetometer" in update.innovations for update in updates)


def late_by(truth: Truth, rate_deg_s: float, delays_s: Array) -> Truth:
    """Return the flight with time tags that are earlier than the samples; the body rate is constant."""
    assert rate_deg_s * delays_s.max() < 15.0
    tagged = [
        replace(sample, gps_ms=sample.gps_ms - round(1e3 * delay_s))
        for sample, delay_s in zip(truth.samples, delays_s, strict=True)
    ]
    return with_samples(truth, tagged)


def test_a_scatter_of_the_sample_times_is_found_and_covers_their_common_error() -> None:
    fast = fly(3, 30.0, rate_deg_s=10.0)
    delays_s = np.random.default_rng(2).uniform(-0.4, 0.6, len(fast.samples))
    updates = run(late_by(fast, 10.0, delays_s))[1]
    assert updates[-1].time_sigma_s == WHOLE_SECOND_SIGMA_S
    assert run(fast)[1][-1].time_sigma_s == 0.0


def test_a_checkpoint_in_every_state_continues_bit_for_bit() -> None:
    matrix = np.diag([1.15, 0.85, 1.1])
    truth = with_fields(TRUTH, torquer_field_ut(20.0, 0.3), matrix)
    straight, restored = AttitudeFilter(SETTINGS), AttitudeFilter(SETTINGS)
    for number, pair in enumerate(zip(truth.samples, truth.environments, strict=True)):
        one, other = straight.process(*pair), restored.process(*pair)
        assert same(one, other), number
        if number % 7 == 0 or 40 < number < 120:
            restored = AttitudeFilter(SETTINGS, decode(encode(restored.memory), FilterMemory))


def same(one: AttitudeUpdate, other: AttitudeUpdate) -> bool:
    if one.state is None or other.state is None:
        return one.state is other.state
    pairs = ((one.state.quaternion, other.state.quaternion), (one.state.sqrt_covariance, other.state.sqrt_covariance))
    return all(first.tobytes() == second.tobytes() for first, second in pairs)


@pytest.mark.parametrize(
    ("sigma_s", "stated_s", "is_detected"),
    [(0.0, None, False), (0.3, None, True), (0.3, 0.3, False), (0.3, 0.1, True), (0.0, 0.05, False)],
)
def test_scatter_of_the_tags_is_detected_beyond_what_their_source_states(
    sigma_s: float,
    stated_s: float | None,
    is_detected: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    rng, tags = np.random.default_rng(4), TimeTagErrors()
    for _ in range(600):
        h = rng.normal(size=4) * 10.0
        residual = rng.normal(size=4) + h * rng.normal(0.0, sigma_s)
        covariance = np.eye(4) + tags.used_with(stated_s) * np.outer(h, h)
        weighted = np.linalg.solve(covariance, h)
        sensitivity = float(h @ weighted)
        tags = tags.updated(float(residual @ weighted) ** 2 - sensitivity, sensitivity, stated_s)
    assert (tags.size is ErrorSize.LARGE) == is_detected
    assert np.sqrt(tags.variance_s2) == pytest.approx(sigma_s, abs=0.04)


def selected_errors(gain_errors: Array, sigma: float) -> tuple[ModelErrors, AttitudeState]:
    """Return the decision for a state with these estimates of the gains and their standard deviation."""
    undecided, slow = ModelErrors(), np.zeros(SIZE - 3)
    slow[ERRORS.in_slow(ERRORS.face_gains)] = gain_errors
    covariance = np.diag(np.where(np.arange(SIZE) == ERRORS.cosine_error, sigma, 0.01) ** 2)
    covariance[ERRORS.face_gains, ERRORS.face_gains] = sigma**2 * np.eye(6)
    # The attitude has followed the gain of the first face.
    covariance[0, ERRORS.face_gains.start] = covariance[ERRORS.face_gains.start, 0] = 0.005 * sigma
    state = AttitudeState(0, np.array((1.0, 0.0, 0.0, 0.0)), slow, np.linalg.cholesky(covariance))
    return undecided.selected(state, SETTINGS)


def test_sun_sensors_are_as_declared_once_their_estimates_show_it() -> None:
    close = 0.01 * np.array([1.0, -2.0, 0.5, 2.0, -1.0, 1.5])
    errors, state = selected_errors(close, 0.02)
    assert errors.sun_sensors is ErrorSize.SMALL
    assert state.sigma[ERRORS.face_gains].max() < SETTINGS.sun_sensors.gain_sigma
    assert np.abs(state.face_gain_errors).max() < np.abs(close).max()
    # The attitude follows the correction of the gain by their covariance.
    np.testing.assert_allclose(state.quaternion[1], -0.5 * 0.25 * 0.01 * 0.5, rtol=1e-2)
    for gains, sigma in ((close, 0.2), (10.0 * close, 0.02)):
        errors, state = selected_errors(gains, sigma)
        assert errors.sun_sensors is ErrorSize.UNDECIDED
        np.testing.assert_array_equal(state.face_gain_errors, gains)


def misfits(magnetometer: float, sun_sensors: float) -> dict[str, float]:
    return {"magnetometer": magnetometer, "sun_sensors": sun_sensors}


def test_wrong_models_are_detected_once_and_inflate_their_states() -> None:
    none = ModelErrors(ErrorSize.SMALL, ErrorSize.SMALL)
    assert none.detected(misfits(10.0, 10.0), 5, []) is none
    field = none.detected(misfits(10.0, 1.0), 100, [])
    both = field.detected(misfits(10.0, 10.0), 100, [])
    assert field == ModelErrors(ErrorSize.LARGE, ErrorSize.SMALL)
    assert both == ModelErrors(ErrorSize.LARGE, ErrorSize.LARGE)
    assert none.variance_inflation(none, SETTINGS) is None
    first, second = field.variance_inflation(none, SETTINGS), both.variance_inflation(field, SETTINGS)
    assert first is not None
    assert second is not None
    assert first[ERRORS.mag_matrix].all()
    assert not first[ERRORS.face_gains].any()
    assert second[ERRORS.face_gains].all()
    assert not second[ERRORS.mag_matrix].any()


def warmth_of(truth: Truth) -> Array:
    """Return the lag of the sunlight by 20 minutes, from its mean on."""
    value, values = 0.65, []
    for around in truth.environments:
        values.append(value)
        value += (around.sunlit_fraction - value) * STEP_S / 1200.0
    return np.array(values)


def with_warmth(truth: Truth, size_rad_s: Array, size_ut: Array) -> Truth:
    """Return the flight with environments of `warmth_of`, and with biases that follow it."""
    warmth = warmth_of(truth)
    environments = [replace(each, warmth=warm) for each, warm in zip(truth.environments, warmth.tolist(), strict=True)]
    samples = [
        replace(
            sample,
            gyro_imu_rad_s=sample.gyro_imu_rad_s + size_rad_s * (warm - warmth[0]),
            mag_imu_ut=sample.mag_imu_ut + size_ut * (warm - warmth[0]),
        )
        for sample, warm in zip(truth.samples, warmth.tolist(), strict=True)
    ]
    return replace(truth, environments=environments, samples=samples)


@pytest.mark.parametrize(("size_deg_s", "length_ut"), [(0.0, 0.0), (0.4, 0.0), (0.0, 4.0)])
def test_the_changes_of_the_biases_by_warmth_are_estimated(size_deg_s: float, length_ut: float) -> None:
    """The flight begins in sunlight and passes the shadow."""
    direction = np.array([1.0, -0.7, 0.5])
    size = np.concatenate((np.radians(size_deg_s) * direction, length_ut * direction))
    truth = with_warmth(fly(5, 110.0), size[:3], size[3:])
    attitude, updates = run(truth)
    assert attitude.state is not None
    errors = attitude.memory.errors
    assert (errors.gyro is ErrorSize.SMALL) == (size_deg_s == 0.0)
    assert (errors.magnetometer_thermal is ErrorSize.SMALL) == (length_ut == 0.0)
    sigma = attitude.state.sigma[ERRORS.thermal]
    assert (np.abs(attitude.state.thermal - size) < 4.0 * sigma).all()
    assert sigma[:3].max() < np.radians(0.1)
    assert sigma[3:].max() < 1.5
    known = [update for update in updates[SETTLED:] if update.state is not None]
    assert len(known) == len(updates) - SETTLED
    sigmas = [update.state.attitude_sigma_rad for update in known if update.state is not None]
    squares = np.square(np.radians(errors_deg(truth, known)) / sigmas)
    assert squares.mean() < 2.0

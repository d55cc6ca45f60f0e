"""Likelihood of hypotheses over a window."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.filter import AttitudeFilter, AttitudeUpdate, FilterMemory, Mode
from pygnc.estimators.attitude.mekf import Standing
from pygnc.estimators.attitude.sensor_prior import MagnetometerErrors, SensorPrior
from pygnc.estimators.attitude.state import ERRORS
from pygnc.estimators.attitude.sun_sensors import light_sources
from pygnc.estimators.attitude.window import (
    Hypotheses,
    LinearisedMeasurements,
    Window,
    WindowSample,
    marginalise,
    outside_pulses,
)
from pygnc.estimators.checkpoint import decode, encode
from tests.pygnc.estimators.attitude.truth import IMU_FROM_BODY, SETTINGS, SIZE, STEP_S, Truth, errors_deg, fly

SAMPLES = 30
PRIOR = SensorPrior(np.zeros(24), np.diag(np.repeat((np.radians(2.0), 25.0, *[1e-7] * 6), 3) ** 2))
"""Unknown biases, and a magnetometer without other errors."""
KNOWN_MODELS = np.full(SIZE, 1e-7)
"""Standard deviations with which the sensor models have no errors."""


def converged(window: Window, guess: Hypotheses) -> Hypotheses:
    """The fit without errors of the sensor models, by Gauss-Newton steps."""
    for _ in range(6):
        fit = window.fit(guess)
        step = np.linalg.solve(fit.information, fit.gradient[..., None])[..., 0]
        guess = guess.corrected(np.asarray(step, np.float64))
    return guess


def fitted(seed: int, rate_deg_s: float) -> tuple[Array, Array, float]:
    """Errors (9,) of the fit that lies next to the truth, its covariance (41, 41), and its cost per measurement."""
    truth = fly(seed, 2.5, rate_deg_s=rate_deg_s)
    pairs = zip(truth.samples[:SAMPLES], truth.environments[:SAMPLES], strict=True)
    window = Window(
        [WindowSample(sample, around, light_sources(around, SETTINGS)) for sample, around in pairs], SETTINGS, PRIOR
    )
    true = truth.quaternion[SAMPLES - 1]
    guess = Hypotheses(true[None], np.concatenate((truth.gyro_bias_rad_s, truth.mag_bias_ut))[None])
    guess = converged(window, guess)
    fit = window.fit(guess)
    turn = quaternion.error_vector(true, guess.quaternion[0])
    biases = truth.gyro_bias_rad_s - guess.biases[0, :3], truth.mag_bias_ut - guess.biases[0, 3:]
    return (
        np.concatenate((turn, *biases)),
        window.solution(guess, KNOWN_MODELS)[1],
        float(fit.cost[0]) / window.measurements,
    )


@pytest.mark.parametrize("rate_deg_s", [0.5, 3.0])
def test_fit_errors_agree_with_the_covariance(rate_deg_s: float) -> None:
    """Normalised attitude errors squared are 3 on average; 40 windows determine that to about a quarter."""
    squares, costs = [], []
    for seed in range(40):
        error, covariance, cost = fitted(seed, rate_deg_s)
        squares.append(error[:3].dot(np.linalg.solve(covariance[:3, :3], error[:3])))
        costs.append(cost)
    assert 1.5 < np.mean(squares) < 4.5
    assert 0.5 < np.mean(costs) < 1.2


def test_costs_and_covariances_use_the_same_information() -> None:
    truth = fly(1, 2.5)
    pairs = zip(truth.samples, truth.environments, strict=True)
    window = Window(
        [WindowSample(sample, around, light_sources(around, SETTINGS)) for sample, around in pairs], SETTINGS, PRIOR
    )
    guess = Hypotheses(truth.quaternion[-1:], np.concatenate((truth.gyro_bias_rad_s, truth.mag_bias_ut))[None])
    error, covariance = window.solution(guess, KNOWN_MODELS)
    best = converged(window, guess)
    fit = window.fit(best)
    turn = quaternion.error_vector(best.quaternion[0], guess.quaternion[0])
    np.testing.assert_allclose(error[:9], np.append(turn, best.biases - guess.biases), rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(covariance[:9, :9], np.linalg.inv(fit.information[0]), rtol=1e-4)
    # The sum of bias and field error is known better than either.
    correlation = covariance / np.sqrt(np.outer(np.diagonal(covariance), np.diagonal(covariance)))
    assert np.abs(correlation[ERRORS.mag_bias, ERRORS.field_error]).max() > 0.3


@pytest.mark.parametrize("size", [0.1, 0.3])
def test_a_solution_estimates_wrong_gains(size: float) -> None:
    """Large gain errors mislead the fit without them so far that a single linear step does not correct it."""
    truth = fly(1, 2.5)
    gains = 1.0 + size * np.array((1.0, -1.0, 0.5, -0.5, 0.8, -0.8))
    pairs = zip(truth.samples, truth.environments, strict=True)
    exact = [WindowSample(sample, around, light_sources(around, SETTINGS)) for sample, around in pairs]
    wrong = [entry._replace(sample=replace(entry.sample, lux=gains * entry.sample.lux)) for entry in exact]
    window = Window(wrong, SETTINGS, PRIOR)
    true = Hypotheses(truth.quaternion[-1:], np.concatenate((truth.gyro_bias_rad_s, truth.mag_bias_ut))[None])
    misled = converged(window, true)
    sigma = KNOWN_MODELS.copy()
    sigma[ERRORS.face_gains] = 0.25
    error, covariance = window.solution(misled, sigma)
    found = misled.corrected(error[None, :9])
    turn = quaternion.error_vector(true.quaternion[0], found.quaternion[0])
    assert turn.dot(np.linalg.solve(covariance[:3, :3], turn)) < 14.2  # exceeded once in 400
    determined = np.sqrt(np.diagonal(covariance))[ERRORS.face_gains] < 0.1
    assert determined.sum() >= 2
    normalised = (error[ERRORS.face_gains] - (gains - 1.0)) / np.sqrt(np.diagonal(covariance))[ERRORS.face_gains]
    assert np.abs(normalised).max() < 3.0
    known = Window(exact, SETTINGS, PRIOR).solution(true, KNOWN_MODELS)[1]
    assert np.trace(covariance[:3, :3]) > np.trace(known[:3, :3])


WANTED, NUISANCE, PROBLEMS = 3, 2, 4
NUISANCE_SIGMA = np.array([0.5, 2.0])


def some_parts(seed: int) -> list[LinearisedMeasurements]:
    """Two kinds of measurements of four problems."""
    rng = np.random.default_rng(seed)
    shapes = (PROBLEMS, 6, 3), (PROBLEMS, 5, 2)
    return [
        LinearisedMeasurements(
            rng.normal(size=shape), rng.normal(size=(*shape, WANTED + NUISANCE)), rng.uniform(0.5, 2.0, shape)
        )
        for shape in shapes
    ]


def stacked(parts: list[LinearisedMeasurements], problem: int) -> tuple[Array, Array, Array]:
    """Residuals (m,), partials (m, 5) and weights (m,) of one problem."""
    residual = np.concatenate([part.residual[problem].ravel() for part in parts])
    partials = np.concatenate([part.partials[problem].reshape(-1, WANTED + NUISANCE) for part in parts])
    return residual, partials, np.concatenate([part.weight[problem].ravel() for part in parts])


def solved(seed: int) -> tuple[list[LinearisedMeasurements], tuple[Array, Array, Array]]:
    parts = some_parts(seed)
    return parts, marginalise(parts, NUISANCE_SIGMA)


@pytest.mark.parametrize("seed", range(3))
def test_marginalisation_agrees_with_the_full_problem(seed: int) -> None:
    parts, (information, gradient, _) = solved(seed)
    for problem in range(PROBLEMS):
        residual, partials, weight = stacked(parts, problem)
        prior = np.hstack((np.zeros((NUISANCE, WANTED)), np.diag(1.0 / NUISANCE_SIGMA)))
        rows = np.vstack((np.sqrt(weight)[:, None] * partials, prior))
        whole = np.linalg.lstsq(rows, np.concatenate((np.sqrt(weight) * residual, np.zeros(NUISANCE))))[0]
        covariance = np.linalg.inv(rows.T @ rows)[:WANTED, :WANTED]
        found = np.linalg.solve(information[problem], gradient[problem])
        np.testing.assert_allclose(found, whole[:WANTED], atol=1e-12)
        np.testing.assert_allclose(np.linalg.inv(information[problem]), covariance, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_costs_use_the_covariance_of_all_errors(seed: int) -> None:
    """The costs of residuals and nuisance parameters add up to r' (R + C S C')^-1 r."""
    parts, (_, _, nuisance) = solved(seed)
    for problem in range(PROBLEMS):
        residual, partials, weight = stacked(parts, problem)
        d_nuisance = partials[:, WANTED:] * NUISANCE_SIGMA
        expected = residual.dot(np.linalg.solve(np.diag(1.0 / weight) + d_nuisance @ d_nuisance.T, residual))
        left = np.concatenate([part.residual_after(nuisance)[problem].ravel() for part in parts])
        cost = (weight * left**2).sum() + np.square(nuisance[problem] / NUISANCE_SIGMA).sum()
        assert cost == pytest.approx(expected, rel=1e-12)


SHADOW = fly(1, 14.0, start_angle_deg=150.0)
SUN = fly(3, 8.0)


def calibration(bias_ut: Array, bias_sigma_ut: Array, matrix_sigma: float = 0.01) -> MagnetometerErrors:
    """Return a calibration that found a bias and no errors of scale and misalignment."""
    sigma = np.concatenate((bias_sigma_ut, np.full(6, matrix_sigma)))
    return MagnetometerErrors(np.concatenate((bias_ut, np.zeros(6))), np.diag(sigma**2))


def calibrated(truth: Truth, off_ut: float = 0.5) -> MagnetometerErrors:
    """Return a possible result of a calibration."""
    return calibration(truth.mag_bias_ut + off_ut * np.array([0.6, -0.6, 0.5]), np.full(3, 0.6))


def follow(attitude: AttitudeFilter, truth: Truth, first: int = 0, last: int | None = None) -> list[AttitudeUpdate]:
    pairs = zip(truth.samples[first:last], truth.environments[first:last], strict=True)
    return [attitude.process(*pair) for pair in pairs]


def followed(attitude: AttitudeFilter, truth: Truth, first: int = 0) -> list[float]:
    """Return the errors of the tracks, in deg; none of them is reported before a search in light agrees with it."""
    errors = []
    for row, pair in enumerate(zip(truth.samples[first:], truth.environments[first:], strict=True), first):
        assert attitude.process(*pair).state is None
        state = None if attitude.memory.track is None else attitude.memory.track.state
        error = np.nan if state is None else quaternion.error_vector(truth.quaternion[row], state.quaternion)
        errors.append(float(np.degrees(np.linalg.norm(error))))
    return errors


def test_a_separately_mounted_magnetometer_gives_the_same_attitudes() -> None:
    """Searches in shadow know the bias, searches in sunlight estimate it; both use the other mounting."""
    turned = np.array(((0.0, 0.6, 0.8), (0.0, -0.8, 0.6), (1.0, 0.0, 0.0)))
    x, y, z = (turned @ IMU_FROM_BODY).tolist()
    mounting = replace(SETTINGS.mounting, magnetometer_from_body=(x, y, z))
    for truth in (SHADOW, SUN):
        samples = [replace(sample, mag_imu_ut=turned.dot(sample.mag_imu_ut)) for sample in truth.samples]
        attitude = AttitudeFilter(replace(SETTINGS, mounting=mounting))
        if truth is SHADOW:
            known = calibrated(truth)
            attitude.set_calibration(calibration(turned.dot(known.mean[:3]), known.bias_sigma_ut))
            assert max(followed(attitude, replace(truth, samples=samples))[-20:]) < 5.0
        else:
            updates = follow(attitude, replace(truth, samples=samples))
            assert errors_deg(truth, updates[-20:]).max() < 5.0
        assert attitude.mag_bias_ut == pytest.approx(turned.dot(truth.mag_bias_ut), abs=1.5)


@pytest.mark.parametrize("off_ut", [0.5, 3.0])
def test_finds_the_attitude_in_eclipse_within_minutes(off_ut: float) -> None:
    assert all(around.sunlit_fraction == 0.0 for around in SHADOW.environments)
    alone, informed_one = AttitudeFilter(SETTINGS), AttitudeFilter(SETTINGS)
    informed_one.set_calibration(calibrated(SHADOW, off_ut))
    assert {update.mode for update in follow(alone, SHADOW)} == {Mode.SEARCHING}
    errors = followed(informed_one, SHADOW)
    found = np.isfinite(errors).tolist().index(True)
    assert found * STEP_S < 600.0
    assert max(errors[found:]) < 15.0
    assert max(errors[-20:]) < 5.0


def test_a_search_in_progress_uses_the_calibrated_bias() -> None:
    attitude = AttitudeFilter(SETTINGS)
    follow(attitude, SHADOW, 0, 60)
    assert attitude.mag_bias_ut is None
    attitude.set_calibration(calibrated(SHADOW))
    assert attitude.mag_bias_ut == pytest.approx(calibrated(SHADOW).mean[:3], abs=0.1)
    assert followed(attitude, SHADOW, 60)[-1] < 5.0


@pytest.mark.parametrize(("standing", "ends"), [(Standing.CONFIRMED, True), (Standing.MEASURED, False)])
def test_a_calibration_ends_a_track_that_it_contradicts(standing: Standing, *, ends: bool) -> None:
    attitude = AttitudeFilter(SETTINGS)
    follow(attitude, SUN, 0, 60)
    track = attitude.memory.track
    assert track is not None
    attitude.memory.track = track._replace(standing=standing)
    attitude.set_calibration(calibration(track.state.mag_bias_ut + 15.0, np.full(3, 0.6)))
    assert (attitude.state is None) is ends


def test_a_calibration_does_not_change_a_track_that_agrees() -> None:
    alone, told = AttitudeFilter(SETTINGS), AttitudeFilter(SETTINGS)
    for attitude in (alone, told):
        follow(attitude, SUN, 0, 60)
    assert told.state is not None
    told.set_calibration(calibrated(SUN))
    for ours, theirs in zip(follow(told, SUN, 60), follow(alone, SUN, 60), strict=True):
        assert ours.state is not None
        assert theirs.state is not None
        assert ours.state.slow.tobytes() == theirs.state.slow.tobytes()
        assert ours.state.quaternion.tobytes() == theirs.state.quaternion.tobytes()
    assert told.mag_bias_ut == pytest.approx(SUN.mag_bias_ut, abs=2.0)


@pytest.mark.parametrize("restored", [False, True])
def test_a_search_after_a_lost_track_uses_the_calibrated_bias(*, restored: bool) -> None:
    attitude = AttitudeFilter(SETTINGS)
    follow(attitude, SUN, 0, 60)
    attitude.set_calibration(calibrated(SUN, 0.0))
    if restored:
        attitude = AttitudeFilter(SETTINGS, decode(encode(attitude.memory), FilterMemory))
    turned = [replace(sample, lux=np.roll(sample.lux, 1)) for sample in SUN.samples]
    follow(attitude, replace(SUN, samples=turned), 60, 90)
    assert attitude.state is None
    assert attitude.mag_bias_ut == pytest.approx(SUN.mag_bias_ut, abs=0.1)


def test_a_window_without_a_usable_reading_says_nothing_about_the_attitude() -> None:
    truth = fly(1, 2.5)
    missing = np.full(len(truth.samples[0].lux), -1.0)
    samples = [replace(sample, lux=missing, field_unusable=True) for sample in truth.samples[:2]]
    pairs = zip(samples, truth.environments, strict=False)
    window = Window(
        [WindowSample(sample, around, light_sources(around, SETTINGS)) for sample, around in pairs], SETTINGS, PRIOR
    )
    fit = window.fit(Hypotheses(truth.quaternion[1:2], np.zeros((1, 6))))
    assert np.isfinite(np.linalg.inv(fit.information)).all()
    np.testing.assert_array_equal(fit.gradient[0, :3], 0.0)
    assert np.isfinite(fit.misfit).all()


@pytest.mark.parametrize("seed", [42, 48])
def test_a_pulse_of_magnetorquers_causes_no_wrong_first_attitude(seed: int) -> None:
    """The window of a search contains the pulse. The first attitudes were wrong by 60 and 51 degrees."""
    truth = fly(seed, 5.0, rate_deg_s=0.2)
    direction = np.random.default_rng(seed).normal(size=3)
    tracker = AttitudeFilter(SETTINGS)
    for row, (sample, around) in enumerate(zip(truth.samples, truth.environments, strict=True)):
        pulse_ut = (4 <= row < 16) * 10.0 * direction / np.linalg.norm(direction)
        tracker.process(replace(sample, mag_imu_ut=sample.mag_imu_ut + pulse_ut), around)
        if tracker.memory.track is not None:
            error = quaternion.error_vector(tracker.memory.track.state.quaternion, truth.quaternion[row])
            assert np.degrees(np.linalg.norm(error)) < 10.0
            return
    pytest.fail("no attitude was found")


@pytest.mark.parametrize(
    ("rate_deg_s", "pulse", "disturbed"),
    [
        (0.2, (16, 28), slice(16, 28)),
        (1.0, (16, 28), slice(16, 28)),
        (1.0, (0, 10), slice(0, 10)),
        (1.0, (38, 48), slice(38, 48)),
        (0.0, (0, 0), slice(0)),
        (1.0, (0, 0), slice(0)),
        (10.0, (0, 0), slice(0)),
    ],
)
def test_readings_in_a_pulse_are_found(rate_deg_s: float, pulse: tuple[int, int], disturbed: slice) -> None:
    truth = fly(7, 4.0, rate_deg_s=rate_deg_s)
    mag_ut = np.array([sample.mag_imu_ut for sample in truth.samples[:48]])
    mag_ut[slice(*pulse)] += np.array([6.0, -5.0, 6.0])
    expected = np.ones(48, np.bool_)
    expected[disturbed] = False
    # The last reading before a jump counts as disturbed, too.
    expected[[row - 1 for row in pulse if 0 < row < 48 and expected[row - 1]]] = False
    np.testing.assert_array_equal(outside_pulses(mag_ut, SETTINGS.magnetometer), expected)

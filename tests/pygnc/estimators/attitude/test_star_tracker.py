"""Star tracker: independent predictions, and flights with errors that the model does not share."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.filter import Mode
from pygnc.estimators.attitude.settings import AttitudeSettings, StarTrackerSettings
from pygnc.estimators.attitude.star_tracker import StarTracker
from pygnc.estimators.attitude.state import ERRORS
from tests.pygnc.estimators.attitude.test_propagation import STEPS, some_state
from tests.pygnc.estimators.attitude.truth import SIZE, STEP_S, Truth, errors_deg, fly, run, with_samples

MOUNTING = Rotation.from_euler("xyz", [20.0, -70.0, 130.0], degrees=True)
"""Body from sensor."""
ACROSS_RAD, BORESIGHT_RAD = 8e-5, 5e-4
MISALIGNMENT_RAD = np.array([5e-5, -4e-5, 2e-4])
SENSOR = StarTrackerSettings(
    sensor_from_body=tuple(map(tuple, MOUNTING.inv().as_matrix().tolist())),  # type: ignore[arg-type]
    across_sigma_rad=1.1e-4,
    boresight_sigma_rad=5.5e-4,
)
SETTINGS = AttitudeSettings(star_tracker=SENSOR)
MODEL = StarTracker(SETTINGS)


def seen(truth: Truth, seed: int, *, missing: float = 0.0, first: int = 0) -> Truth:
    """The flight with a star tracker: misaligned, noisy, of either sign, and blind in a part of the samples."""
    rng = np.random.default_rng(seed)
    samples = []
    for sample, q in zip(truth.samples, truth.quaternion, strict=True):
        noise = np.array([ACROSS_RAD, ACROSS_RAD, BORESIGHT_RAD]) * rng.normal(size=3)
        measured = Rotation.from_quat(q, scalar_first=True) * MOUNTING * Rotation.from_rotvec(MISALIGNMENT_RAD + noise)
        reading = rng.choice([-1.0, 1.0]) * measured.as_quat(scalar_first=True)
        is_seen = rng.random() >= missing and sample.seq >= first
        samples.append(replace(sample, readings={"star_tracker": reading} if is_seen else {}))
    return with_samples(truth, samples)


def reading_of(quaternion: Array) -> Array:
    turned = Rotation.from_quat(quaternion, scalar_first=True) * MOUNTING
    found: Array = turned.as_quat(scalar_first=True)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_the_prediction_is_that_of_scipy_and_its_partials_are_its_derivatives(seed: int) -> None:
    state = some_state(seed)
    turn = np.array([0.01, -0.02, 0.03])
    turned = Rotation.from_quat(reading_of(state.quaternion), scalar_first=True) * Rotation.from_rotvec(turn)
    found = MODEL.observation(state, turned.as_quat(scalar_first=True)).scaled(2.0)
    np.testing.assert_allclose(found.residual, turn, atol=1e-12)
    np.testing.assert_allclose(found.sigma, [2.2e-4, 2.2e-4, 1.1e-3])
    measured = reading_of(state.quaternion)
    for column in range(SIZE):
        error = np.zeros(SIZE)
        error[column] = STEPS[column]
        ends = [state.corrected(sign * error, state.sqrt_covariance) for sign in (1.0, -1.0)]
        residuals = [MODEL.observation(end, measured).residual for end in ends]
        difference = (residuals[1] - residuals[0]) / (2.0 * STEPS[column])
        np.testing.assert_allclose(found.partials[:, column], difference, atol=1e-6)


def test_measures_the_attitude_of_the_body() -> None:
    truth = seen(fly(1, 1.0), 1)
    measured = MODEL.attitude(truth.samples[3])
    assert measured is not None
    quaternion, root = measured
    turn = Rotation.from_quat(truth.quaternion[3], scalar_first=True).inv() * Rotation.from_quat(
        quaternion, scalar_first=True
    )
    assert turn.magnitude() < 2e-3
    along = MOUNTING.apply([0.0, 0.0, 1.0])
    np.testing.assert_allclose(along @ root @ root.T @ along, SENSOR.boresight_sigma_rad**2)


@pytest.mark.slow
def test_flights_are_as_accurate_as_the_sensor_and_say_so() -> None:
    errors, nees = [], []
    for seed in range(10):
        truth = seen(fly(100 + seed, 20.0), seed, missing=0.2)
        updates = run(truth, SETTINGS)[1]
        assert updates[0].mode is Mode.FINE or not truth.samples[0].readings
        errors.append(errors_deg(truth, updates)[24:])
        for update in updates[24:]:
            assert update.state is not None
            true = Rotation.from_quat(truth.quaternion[update.seq], scalar_first=True)
            error = (Rotation.from_quat(update.state.quaternion, scalar_first=True).inv() * true).as_rotvec()
            covariance = update.state.covariance[ERRORS.attitude, ERRORS.attitude]
            nees.append(error @ np.linalg.solve(covariance, error) / 3.0)
    assert np.median(np.concatenate(errors)) < np.degrees(2.0 * BORESIGHT_RAD)
    assert 0.6 < np.mean(nees) < 1.4


def test_ends_a_search_in_the_dark_at_once() -> None:
    dark = fly(5, 10.0, start_angle_deg=170.0)
    first = round(300.0 / STEP_S)
    updates = run(seen(dark, 5, first=first), SETTINGS)[1]
    assert all(update.mode is Mode.SEARCHING for update in updates[:first])
    assert updates[first].restarted
    assert updates[first].mode is Mode.FINE


def test_a_flight_without_readings_is_that_without_the_sensor() -> None:
    truth = fly(6, 15.0)
    with_sensor, without = run(truth, SETTINGS)[1], run(truth)[1]
    for one, other in zip(with_sensor, without, strict=True):
        assert (one.state is None) == (other.state is None)
        if one.state is not None and other.state is not None:
            np.testing.assert_array_equal(one.state.quaternion, other.state.quaternion)


def test_single_wrong_readings_are_rejected() -> None:
    truth = seen(fly(7, 15.0), 7)
    wrong = {40, 77, 110}
    samples = [
        replace(s, readings={"star_tracker": np.array([0.5, 0.5, -0.5, 0.5])}) if s.seq in wrong else s
        for s in truth.samples
    ]
    updates = run(with_samples(truth, samples), SETTINGS)[1]
    assert {u.seq for u in updates if u.innovations and not u.innovations["star_tracker"].is_used} == wrong
    assert not any(update.restarted for update in updates[1:])
    assert errors_deg(truth, updates)[24:].max() < 0.3


@pytest.mark.parametrize("reading", [np.zeros(4), np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.0, 0.0, 0.0])])
def test_what_is_no_unit_quaternion_is_no_reading(reading: Array) -> None:
    sample = replace(fly(8, 1.0).samples[0], readings={"star_tracker": reading})
    assert MODEL.attitude(sample) is None


def test_a_track_that_contradicts_the_light_is_not_begun_again_by_the_same_sensor() -> None:
    truth = fly(9, 25.0)
    mirrored = Rotation.from_rotvec([0.0, np.pi / 2.0, 0.0])
    samples = [
        replace(
            s,
            readings={
                "star_tracker": (Rotation.from_quat(q, scalar_first=True) * mirrored * MOUNTING).as_quat(
                    scalar_first=True
                )
            },
        )
        for s, q in zip(truth.samples, truth.quaternion, strict=True)
    ]
    updates = run(with_samples(truth, samples), SETTINGS)[1]
    assert updates[0].restarted
    assert sum(update.mode is Mode.FINE for update in updates[-100:]) < 100


def test_the_mounting_is_a_rotation() -> None:
    with pytest.raises(ValueError, match="rotation"):
        StarTrackerSettings(sensor_from_body=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)))

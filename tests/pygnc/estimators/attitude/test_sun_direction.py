"""Fine Sun sensor: independent predictions, and flights with errors that the model does not share."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.filter import AttitudeUpdate, Mode
from pygnc.estimators.attitude.settings import AttitudeSettings, SunDirectionSettings
from pygnc.estimators.attitude.state import ERRORS
from pygnc.estimators.attitude.sun_direction import SunDirection
from tests.pygnc.estimators.attitude.test_propagation import STEPS, some_state
from tests.pygnc.estimators.attitude.truth import SIZE, Truth, errors_deg, fly, run, with_samples

MOUNTING = Rotation.from_euler("xyz", [40.0, 25.0, -110.0], degrees=True)
"""Body from sensor."""
NOISE_RAD, FIELD_OF_VIEW_DEG = 1e-3, 60.0
MISALIGNMENT = Rotation.from_rotvec([4e-4, -3e-4, 5e-4])
SETTINGS = AttitudeSettings(
    sun_direction=SunDirectionSettings(
        sensor_from_body=tuple(map(tuple, MOUNTING.inv().as_matrix().tolist())),  # type: ignore[arg-type]
        sigma_rad=1.2e-3,
    )
)
MODEL = SunDirection(SETTINGS)


def seen(truth: Truth, seed: int, sign: float = 1.0) -> Truth:
    """The flight with a sensor whose axis z must be near the Sun; its vectors have any length."""
    rng = np.random.default_rng(seed)
    samples = []
    for sample, around, q in zip(truth.samples, truth.environments, truth.quaternion, strict=True):
        to_sun = around.sun_gcrf_m - around.position_gcrf_m
        sensor_from_gcrf = (Rotation.from_quat(q, scalar_first=True) * MOUNTING * MISALIGNMENT).inv()
        direction = sensor_from_gcrf.apply(to_sun / np.linalg.norm(to_sun))
        is_seen = around.sunlit_fraction > 0.0 and direction[2] > np.cos(np.radians(FIELD_OF_VIEW_DEG))
        reading = sign * rng.uniform(0.7, 2.0) * (direction + NOISE_RAD * rng.normal(size=3))
        samples.append(replace(sample, readings={"sun_direction": reading} if is_seen else {}))
    return with_samples(truth, samples)


def with_sensor(updates: list[AttitudeUpdate], truth: Truth) -> list[AttitudeUpdate]:
    """The updates of samples with a reading, after the begin of the track."""
    return [u for u in updates if truth.samples[u.seq].readings and u.state is not None and u.seq > 60]


@pytest.mark.parametrize("seed", range(5))
def test_the_partials_are_derivatives_of_scipys_prediction(seed: int) -> None:
    state, sun = some_state(seed), np.array([0.36, -0.48, 0.8])

    def predicted(q: Array) -> Array:
        found: Array = (Rotation.from_quat(q, scalar_first=True) * MOUNTING).inv().apply(sun)
        return found

    def residual(q: Array) -> Array:
        return MODEL.observation(quaternion.to_matrix(state.quaternion).T, sun, predicted(q)).residual

    found = MODEL.observation(quaternion.to_matrix(state.quaternion).T, sun, predicted(state.quaternion)).scaled(2.0)
    np.testing.assert_allclose(found.residual, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.sigma, 2.4e-3)
    for column in range(SIZE):
        error = np.zeros(SIZE)
        error[column] = STEPS[column]
        ends = [state.corrected(sign * error, state.sqrt_covariance).quaternion for sign in (1.0, -1.0)]
        difference = (residual(ends[0]) - residual(ends[1])) / (2.0 * STEPS[column])
        np.testing.assert_allclose(found.partials[:, column], difference, atol=1e-6)


@pytest.mark.slow
def test_the_direction_to_the_sun_is_as_accurate_as_the_sensor() -> None:
    with_errors, without_errors, nees = [], [], []
    for seed in range(8):
        truth = seen(fly(200 + seed, 40.0), seed)
        updates = with_sensor(run(truth, SETTINGS)[1], truth)
        plain = with_samples(truth, [replace(sample, readings={}) for sample in truth.samples])
        without = [run_update for run_update in run(plain)[1] if truth.samples[run_update.seq].readings]
        with_errors.append(errors_deg(truth, updates))
        without_errors.append(errors_deg(truth, without))
        for update in updates:
            assert update.state is not None
            true = Rotation.from_quat(truth.quaternion[update.seq], scalar_first=True)
            error = (Rotation.from_quat(update.state.quaternion, scalar_first=True).inv() * true).as_rotvec()
            nees.append(error @ np.linalg.solve(update.state.covariance[ERRORS.attitude, ERRORS.attitude], error) / 3.0)
    assert np.median(np.concatenate(with_errors)) < 0.7 * np.nanmedian(np.concatenate(without_errors))
    assert 0.5 < np.mean(nees) < 1.6


def test_a_reading_in_the_shadow_is_not_used() -> None:
    dark = fly(5, 30.0)
    readings = {"sun_direction": np.array([0.0, 0.0, 1.0])}
    shadowed = [replace(around, sunlit_fraction=0.0) for around in dark.environments]
    samples = [replace(sample, readings=readings) for sample in dark.samples]
    updates = run(replace(dark, samples=samples, environments=shadowed), SETTINGS)[1]
    assert not any("sun_direction" in update.innovations for update in updates)


def test_the_opposite_direction_ends_a_track() -> None:
    truth = fly(8, 40.0)
    reversed_ = seen(truth, 8, sign=-1.0)
    tracked = [u.seq for u in run(truth)[1] if u.mode is Mode.FINE]
    changed = [
        replace(sample, readings=other.readings if sample.seq > tracked[100] else {})
        for sample, other in zip(truth.samples, reversed_.samples, strict=True)
    ]
    updates = run(with_samples(truth, changed), SETTINGS)[1]
    judged = [update.innovations["sun_direction"] for update in updates if "sun_direction" in update.innovations]
    assert judged
    assert not any(innovation.is_used for innovation in judged[:5])
    assert any(update.state is None for update in updates[tracked[100] :])


def test_a_vector_without_length_is_no_reading() -> None:
    truth = fly(8, 15.0)
    samples = [replace(sample, readings={"sun_direction": np.full(3, 0.1)}) for sample in truth.samples]
    updates = run(with_samples(truth, samples), SETTINGS)[1]
    assert not any("sun_direction" in update.innovations for update in updates)


def test_the_mounting_is_a_rotation() -> None:
    with pytest.raises(ValueError, match="rotation"):
        SunDirectionSettings(sensor_from_body=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)))

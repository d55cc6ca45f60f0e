"""Satellites with more than six sun sensors."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.bus.messages import SensorSample
from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.filter import AttitudeFilter, AttitudeUpdate, FilterMemory
from pygnc.estimators.attitude.sample import SampleCorrection
from pygnc.estimators.attitude.state import ERRORS, AttitudeState
from pygnc.estimators.attitude.sun_sensors import IlluminanceInnovation, SunSensors, light_sources
from pygnc.estimators.checkpoint import decode, encode
from pygnc.navigation.attitude import AttitudeTracker, SampleOutcome
from tests.pygnc.estimators.attitude.truth import NORMALS, Truth, errors_deg, fly, run, with_normals, with_samples
from tests.pygnc.navigation.attitude_batch import MODEL

OBLIQUE = np.array([(1, 1, 1), (-1, -1, -1), (1, -1, 1), (-1, 1, -1), (1, 1, -1), (-1, -1, 1)]) / np.sqrt(3.0)
SETTLED = 240
"""Samples in 20 minutes."""


def with_more(count: int) -> Array:
    """Return the normals of `count` sun sensors, of which the first six are those of the standard satellite."""
    return np.concatenate((NORMALS, OBLIQUE))[:count]


def sunlit_rms_deg(truth: Truth, updates: list[AttitudeUpdate]) -> float:
    settled = updates[SETTLED:]
    return float(np.sqrt(np.mean(errors_deg(truth, [update for update in settled if update.in_sun]) ** 2)))


@pytest.mark.slow
@pytest.mark.parametrize("count", [8, 12])
def test_more_sun_sensors_make_the_attitude_more_accurate(count: int) -> None:
    normals, ratios, nees = with_more(count), [], []
    for seed in (3, 4, 5):
        truth, six = fly(seed, 35.0, normals=normals), fly(seed, 35.0)
        updates = run(truth, with_normals(normals))[1]
        found = [update.state is not None for update in updates].index(True)
        assert found < 36
        assert not any(update.state is None or update.restarted for update in updates[found + 1 :])
        assert not any(update.faces.dead.any() or update.faces.mirrored.any() for update in updates)
        ratios.append(sunlit_rms_deg(truth, updates) / sunlit_rms_deg(six, run(six)[1]))
        for update in updates[SETTLED:]:
            assert update.state is not None
            error = quaternion.error_vector(truth.quaternion[update.seq], update.state.quaternion)
            nees.append(error @ np.linalg.solve(update.state.covariance[ERRORS.attitude, ERRORS.attitude], error))
    assert np.prod(ratios) < 1.0
    assert 1.5 < np.mean(nees) < 6.0


def test_gains_of_further_sun_sensors_are_estimated() -> None:
    normals = with_more(8)
    truth = fly(3, 60.0, normals=normals)
    gains = np.array((1.15, 0.85, 1.1, 0.9, 1.2, 0.8, 0.8, 1.2))
    attitude, updates = run(
        with_samples(truth, [replace(s, lux=s.lux * gains) for s in truth.samples]), with_normals(normals)
    )
    assert attitude.state is not None
    error, sigma = attitude.state.face_gain_errors - (gains - 1.0), attitude.state.sigma[ERRORS.face_gains]
    assert sigma[6:].max() < 0.03
    assert np.abs(error / sigma).max() < 5.0
    assert sunlit_rms_deg(truth, updates) < 2.0


def test_partials_are_the_derivatives_of_the_prediction() -> None:
    settings = with_normals(with_more(12))
    truth, model, rng = fly(3, 1.0), SunSensors(settings), np.random.default_rng(1)
    slow = np.concatenate((np.zeros(9), (0.3,), np.zeros(23), (0.1,), rng.normal(0.0, 0.1, 12)))
    state = AttitudeState(0, truth.quaternion[0], slow, np.eye(49))
    sources = light_sources(truth.environments[0], settings)

    def expected(error: Array) -> Array:
        shifted = state.corrected(error, state.sqrt_covariance)
        body_from_gcrf = quaternion.to_matrix(shifted.quaternion).T
        return model.observation(shifted, body_from_gcrf, np.zeros(12), sources, 1.0).expected_share

    partials = model.observation(
        state, quaternion.to_matrix(state.quaternion).T, np.zeros(12), sources, 1.0
    ).observation.partials
    for column in range(49):
        error = 1e-6 * (np.arange(49) == column)
        numeric = (expected(error) - expected(-error)) / 2e-6
        np.testing.assert_allclose(partials[:, column], numeric, atol=1e-6)


def test_a_dead_seventh_sun_sensor_is_flagged_in_update_and_message() -> None:
    normals = with_more(8)
    settings = with_normals(normals)
    truth = fly(3, 35.0, normals=normals, dead=6)
    updates = run(truth, settings)[1]
    assert updates[-1].faces.dead.tolist() == [False] * 6 + [True, False]
    innovations = [update.innovations.get("sun_sensors") for update in updates[SETTLED:]]
    assert not any(isinstance(one, IlluminanceInnovation) and one.used[6] for one in innovations)
    assert sunlit_rms_deg(truth, updates) < 0.8
    raw = SensorSample(
        seq=1,
        source="",
        offset=0,
        kind="",
        t_spacecraft_s=0,
        t_spacecraft_ms=0,
        time_sigma_s=None,
        mag_imu_ut=(0.0, 0.0, 0.0),
        gyro_imu_rad_s=(0.0, 0.0, 0.0),
        lux=(0.0,) * 8,
        raw=b"",
    )
    outcome = SampleOutcome(raw, truth.samples[-1], updates[-1].gps_ms, None, None, updates[-1], late=False)
    assert AttitudeTracker(settings, MODEL).estimate(outcome, 1).dead_faces == (6,)


def test_sun_sensors_without_a_reading_change_nothing() -> None:
    """The host's packet has six illuminances."""
    settings = with_normals(with_more(8))
    correction = SampleCorrection(settings)
    truth = fly(3, 35.0)
    samples = [replace(sample, lux=correction.illuminance(sample.lux.tolist())) for sample in truth.samples]
    updates = run(with_samples(truth, samples), settings)[1]
    assert not any(update.faces.dead.any() for update in updates)
    np.testing.assert_allclose(errors_deg(truth, updates), errors_deg(truth, run(truth)[1]), atol=1e-3)


@pytest.mark.parametrize("cut", [8, 100])
def test_a_restored_filter_continues_bit_for_bit(cut: int) -> None:
    normals = with_more(8)
    settings, truth = with_normals(normals), fly(3, 12.0, normals=normals)
    attitude = AttitudeFilter(settings)
    pairs = list(zip(truth.samples, truth.environments, strict=True))
    for pair in pairs[:cut]:
        attitude.process(*pair)
    restored = AttitudeFilter(settings, decode(encode(attitude.memory), FilterMemory))
    for pair in pairs[cut:]:
        attitude.process(*pair)
        restored.process(*pair)
    assert attitude.state is not None
    assert len(attitude.state.sigma) == 45
    assert encode(restored.memory) == encode(attitude.memory)

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude import search
from pygnc.estimators.attitude.model_errors import ModelErrors
from pygnc.estimators.attitude.sensor_prior import SensorPrior
from pygnc.estimators.attitude.state import AttitudeState
from pygnc.estimators.attitude.sun_sensors import light_sources
from pygnc.estimators.attitude.window import WindowSample
from tests.pygnc.estimators.attitude.truth import SETTINGS, SIZE, fly


def directions(seed: int, number: int) -> Array:
    vectors = np.random.default_rng(seed).normal(size=(number, 3))
    unit: Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def angle(q: Array, expected: Rotation) -> float:
    return float(np.linalg.norm(quaternion.error_vector(q, expected.as_quat(scalar_first=True))))


# Markley & Mortari, Quaternion attitude estimation using vector observations, J. Astronaut. Sci. 48, 2000:
# reference vectors and sigmas of the first five test cases, and the attitude matrix of all.
MARKLEY_MORTARI_ATTITUDE = np.array([[0.352, 0.864, 0.360], [-0.864, 0.152, 0.480], [0.360, -0.480, 0.800]])
"""Takes reference to body components."""
CASES = {
    1: (np.eye(3), np.full(3, 1e-6)),
    2: (np.eye(3)[:2], np.full(2, 1e-6)),
    3: (np.eye(3), np.full(3, 0.01)),
    4: (np.eye(3)[:2], np.full(2, 0.01)),
    5: (np.array([[0.6, 0.8, 0.0], [0.8, -0.6, 0.0]]), np.array([1e-6, 0.01])),
}


@pytest.mark.parametrize("case", CASES)
def test_reproduces_published_cases(case: int) -> None:
    reference, sigma = CASES[case]
    body = reference.dot(MARKLEY_MORTARI_ATTITUDE.T)
    attitude = search.attitude_from_directions(body, reference, sigma)
    np.testing.assert_allclose(quaternion.to_matrix(attitude).T, MARKLEY_MORTARI_ATTITUDE, atol=1e-9)


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=50)
def test_agrees_with_scipys_align_vectors(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    gcrf = directions(seed, number)
    true = Rotation.random(rng=rng)
    body = true.inv().apply(gcrf) + 0.02 * rng.normal(size=(number, 3))
    body /= np.linalg.norm(body, axis=1, keepdims=True)
    sigma = rng.uniform(0.01, 0.1, number)
    expected, _ = Rotation.align_vectors(gcrf, body, weights=sigma**-2.0)
    if np.linalg.cond(gcrf) < 30.0:
        assert angle(search.attitude_from_directions(body, gcrf, sigma), expected) < 1e-6


def test_one_direction_is_mapped_exactly() -> None:
    attitude = search.attitude_from_directions(np.eye(3)[:1], np.eye(3)[1:2], np.array([0.01]))
    np.testing.assert_allclose(quaternion.rotate(attitude, np.eye(3)[0]), np.eye(3)[1], atol=1e-12)


@pytest.mark.parametrize("gcrf", [*np.eye(3), *-np.eye(3), np.array([-1.0, 1e-6, 0.0]), np.array([-0.6, 0.0, 0.8])])
def test_turns_about_a_direction_are_evenly_spread(gcrf: Array) -> None:
    gcrf = gcrf / np.linalg.norm(gcrf)
    body = np.array([1.0, 0.0, 0.0])
    turns = search.rotations_about(body, gcrf, 12)
    np.testing.assert_allclose(quaternion.rotate(turns, body), np.tile(gcrf, (12, 1)), atol=1e-12)
    steps = quaternion.error_vector(turns[1:], turns[:-1])
    np.testing.assert_allclose(steps, np.tile(np.pi / 6.0 * body, (11, 1)), atol=1e-9)


def test_a_face_is_not_excluded_any_longer_after_darkness() -> None:
    truth = fly(1, 2.5)
    attempt = search.Search(SETTINGS, SensorPrior.initial(SETTINGS, ModelErrors()), excluded_face=2, untried=[None, 0])
    for sample, around in zip(truth.samples[:5], truth.environments[:5], strict=True):
        dark = replace(around, sunlit_fraction=0.0)
        attempt.process(WindowSample(replace(sample, lux=np.zeros(6)), dark, light_sources(dark, SETTINGS)))
    assert (attempt.excluded_face, attempt.untried, attempt.hypotheses) == (None, [], None)


@pytest.mark.parametrize(
    ("rate_deg_s", "bias_error_deg_s", "expected"), [(1.0, 0.0, True), (0.0, 0.0, False), (0.0, 1.0, False)]
)
def test_a_wrong_gyro_bias_does_not_turn_a_body_at_rest(
    rate_deg_s: float, bias_error_deg_s: float, *, expected: bool
) -> None:
    truth = fly(3, 2.0, rate_deg_s=rate_deg_s)
    attempt = search.Search(SETTINGS, SensorPrior.initial(SETTINGS, ModelErrors()))
    attempt.samples = [
        WindowSample(sample, around, light_sources(around, SETTINGS))
        for sample, around in zip(truth.samples, truth.environments, strict=True)
    ]
    slow = np.zeros(SIZE - 3)
    slow[:3] = truth.gyro_bias_rad_s + np.radians([bias_error_deg_s, 0.0, 0.0])
    state = AttitudeState(truth.samples[-1].gps_ms, truth.quaternion[-1], slow, np.eye(SIZE))
    assert attempt.has_turned(state) == expected

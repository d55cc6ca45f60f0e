from dataclasses import replace

import numpy as np
import pytest

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude import search
from pygnc.estimators.attitude.model_errors import ModelErrors
from pygnc.estimators.attitude.sensor_prior import SensorPrior
from pygnc.estimators.attitude.state import AttitudeState
from pygnc.estimators.attitude.sun_sensors import light_sources
from pygnc.estimators.attitude.window import WindowSample
from tests.pygnc.estimators.attitude.truth import SETTINGS, SIZE, fly


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

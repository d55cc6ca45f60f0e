"""Warmth of a body by the sunlight on its faces, compared with the integral of its own light."""

import math

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.environment.solar_radiation import THERMAL_TIME_S
from pygnc.estimators.attitude.net_light import NetLight
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.navigation.warmth import Warmth

SETTINGS = AttitudeSettings()
LIGHT = NetLight(SETTINGS)
SUN_M = np.array([1.496e11, 0.0, 0.0])
ABOVE_NIGHT_M = np.array([0.0, 6.9e6, 0.0])
STEP_S = 5.0


def environment(sunlit_fraction: float = 1.0, warmth: float = 0.8) -> AttitudeEnvironment:
    return AttitudeEnvironment(np.array([20.0, 0.0, 30.0]), SUN_M, ABOVE_NIGHT_M, sunlit_fraction, warmth)


def sample(at_s: float, sun_body: Array) -> AttitudeSample:
    share = np.maximum(SETTINGS.mounting.face_normals.dot(sun_body), 0.0)
    lux = np.minimum(share * SETTINGS.sun_sensors.full_sun_lux, SETTINGS.sun_sensors.saturation_lux)
    return AttitudeSample(round(1000 * at_s), np.zeros(3), np.zeros(3), lux)


def after(warmth: Warmth, duration_s: float, sun_body: Array, sunlit_fraction: float = 1.0) -> float:
    """Return the warmth, the environment's included, after a time in this attitude."""
    begin_s = 0.0 if warmth.gps_ms is None else 1e-3 * warmth.gps_ms
    around, found = environment(sunlit_fraction), math.nan
    for number in range(1, round(duration_s / STEP_S) + 1):
        found = warmth.process(sample(begin_s + STEP_S * number, sun_body), around, LIGHT).warmth
    return found


@pytest.mark.parametrize(
    ("sun_body", "share"), [((1.0, 0.0, 0.0), 2.0 / 3.0), (np.sqrt((1.0, 1.0, 1.0)) / np.sqrt(3.0), 2.0 / np.sqrt(3.0))]
)
def test_a_pointed_body_is_as_warm_as_its_faces_are_bright(sun_body: Array, share: float) -> None:
    found = after(Warmth(), 10.0 * THERMAL_TIME_S, np.asarray(sun_body))
    # The model's Earth adds little light above the terminator.
    assert found - 0.8 == pytest.approx(share - 1.0, abs=0.08)


def test_a_difference_decays_in_darkness_and_over_gaps() -> None:
    warmth = Warmth()
    surplus = after(warmth, 10.0 * THERMAL_TIME_S, np.array([1.0, 0.0, 0.0])) - 0.8
    in_darkness = after(warmth, THERMAL_TIME_S, np.zeros(3), sunlit_fraction=0.0) - 0.8
    assert in_darkness == pytest.approx(surplus / math.e, rel=0.02)
    later = 1e-3 * (warmth.gps_ms or 0) + THERMAL_TIME_S
    found = warmth.process(sample(later, np.array([1.0, 0.0, 0.0])), environment(), LIGHT).warmth - 0.8
    assert found == pytest.approx(surplus / math.e**2, rel=0.02)


def test_a_dead_face_changes_nothing() -> None:
    warmth = Warmth()
    for number in range(200):
        assert warmth.process(sample(STEP_S * number, np.zeros(3)), environment(), LIGHT).warmth == 0.8

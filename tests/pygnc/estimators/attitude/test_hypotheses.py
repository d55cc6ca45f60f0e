"""A magnetometer's bias from a calibration: searches begin with it, tracks do not feel it."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.estimators.attitude.filter import AttitudeFilter, AttitudeUpdate, Mode
from pygnc.estimators.attitude.hypotheses import (
    BiasPrior,
    MagnetometerBias,
    field_direction_known,
    with_calibrated_bias,
)
from tests.pygnc.estimators.attitude.truth import IMU_FROM_BODY, SETTINGS, STEP_S, Truth, errors_deg, fly

SHADOW = fly(1, 14.0, start_angle_deg=150.0)
SUN = fly(3, 8.0)


def calibrated(truth: Truth, off_ut: float = 0.5) -> MagnetometerBias:
    """Return a possible result of a calibration."""
    return MagnetometerBias(truth.mag_bias_ut + off_ut * np.array([0.6, -0.6, 0.5]), np.full(3, 0.6))


def follow(attitude: AttitudeFilter, truth: Truth, first: int = 0, last: int | None = None) -> list[AttitudeUpdate]:
    pairs = zip(truth.samples[first:last], truth.surroundings[first:last], strict=True)
    return [attitude.process(*pair) for pair in pairs]


def test_a_separately_mounted_magnetometer_gives_the_same_attitudes() -> None:
    """By a start with known bias, which takes the field's direction, and by the window of unknown ones."""
    turned = np.array(((0.0, 0.6, 0.8), (0.0, -0.8, 0.6), (1.0, 0.0, 0.0)))
    x, y, z = (turned @ IMU_FROM_BODY).tolist()
    mounting = replace(SETTINGS.mounting, magnetometer_from_body=(x, y, z))
    for truth in (SHADOW, SUN):
        samples = [replace(sample, mag_imu_ut=turned.dot(sample.mag_imu_ut)) for sample in truth.samples]
        attitude = AttitudeFilter(replace(SETTINGS, mounting=mounting))
        if truth is SHADOW:
            known = calibrated(truth)
            attitude.set_calibrated_bias(MagnetometerBias(turned.dot(known.mean_ut), known.sigma_ut))
        updates = follow(attitude, replace(truth, samples=samples))
        assert errors_deg(truth, updates[-20:]).max() < 5.0
        assert attitude.mag_bias_ut == pytest.approx(turned.dot(truth.mag_bias_ut), abs=1.5)


@pytest.mark.parametrize("off_ut", [0.5, 3.0])
def test_finds_the_attitude_in_eclipse_within_minutes(off_ut: float) -> None:
    assert all(around.sunlit_fraction == 0.0 for around in SHADOW.surroundings)
    alone, informed_one = AttitudeFilter(SETTINGS), AttitudeFilter(SETTINGS)
    informed_one.set_calibrated_bias(calibrated(SHADOW, off_ut))
    assert {update.mode for update in follow(alone, SHADOW)} == {Mode.SEARCHING}
    updates = follow(informed_one, SHADOW)
    found = [update.state is not None for update in updates].index(True)
    assert found * STEP_S < 600.0
    assert errors_deg(SHADOW, updates[found:]).max() < 15.0
    assert errors_deg(SHADOW, updates[-20:]).max() < 5.0


def test_a_search_in_progress_uses_the_calibrated_bias() -> None:
    attitude = AttitudeFilter(SETTINGS)
    follow(attitude, SHADOW, 0, 60)
    assert attitude.mag_bias_ut is None
    attitude.set_calibrated_bias(calibrated(SHADOW))
    assert attitude.mag_bias_ut == pytest.approx(calibrated(SHADOW).mean_ut)
    updates = follow(attitude, SHADOW, 60)
    assert errors_deg(SHADOW, updates)[-1] < 5.0


def test_a_track_is_unchanged_bit_for_bit() -> None:
    alone, told = AttitudeFilter(SETTINGS), AttitudeFilter(SETTINGS)
    for attitude in (alone, told):
        follow(attitude, SUN, 0, 60)
    assert told.state is not None
    told.set_calibrated_bias(MagnetometerBias(np.array([900.0, 0.0, 0.0]), np.full(3, 0.1)))
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
    attitude.set_calibrated_bias(calibrated(SUN, 0.0))
    if restored:
        attitude = AttitudeFilter.restore(SETTINGS, attitude.checkpoint())
    turned = [replace(sample, mag_imu_ut=-sample.mag_imu_ut) for sample in SUN.samples]
    follow(attitude, replace(SUN, samples=turned), 60, 90)
    assert attitude.state is None
    assert attitude.mag_bias_ut == pytest.approx(SUN.mag_bias_ut)


def test_the_more_certain_bias_is_used_and_the_gyro_unchanged() -> None:
    prior = BiasPrior(np.arange(6.0), np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0]))
    better, worse = (
        MagnetometerBias(np.full(3, 7.0), np.full(3, 1.9)),
        MagnetometerBias(np.full(3, 7.0), np.array([0.1, 0.1, 2.0])),
    )
    assert with_calibrated_bias(prior, better).mean.tolist() == [0.0, 1.0, 2.0, 7.0, 7.0, 7.0]
    assert with_calibrated_bias(prior, better).sigma.tolist() == [1.0, 1.0, 1.0, 1.9, 1.9, 1.9]
    assert with_calibrated_bias(prior, worse) is prior
    assert with_calibrated_bias(prior, None) is prior
    assert field_direction_known(prior)
    assert not field_direction_known(BiasPrior(np.zeros(6), np.full(6, SETTINGS.magnetometer.bias_sigma_ut)))

"""The bounded choice of readings for the magnetometer's calibration."""

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.calibration_samples import CAPACITY, CalibrationSamples
from pygnc.estimators.attitude.magnetometer_calibration import CalibrationError
from pygnc.estimators.attitude.settings import MagnetometerSettings
from pygnc.estimators.checkpoint import decode, encode
from tests.pygnc.estimators.attitude.tumbling import fly

PERFECT_FIELD = MagnetometerSettings(field_error_ut=1e-3)


def gathered(mag_ut: Array, field_ut: Array, capacity: int = CAPACITY) -> CalibrationSamples:
    samples = CalibrationSamples(capacity)
    for pair in zip(mag_ut, field_ut, strict=True):
        samples.add(*pair, 0.5)
    return samples


def test_stores_and_solves_a_whole_orbit() -> None:
    flight = fly(1, 1.6)
    samples = gathered(flight.mag_ut, flight.field_ut)
    assert len(samples) == samples.seen == len(flight.mag_ut)
    found = samples.solve(PERFECT_FIELD)
    assert np.abs(found.bias_ut - flight.bias_ut).max() < 0.15


def test_memory_is_bounded_and_all_directions_stay() -> None:
    flight = fly(1, 5.0)
    samples = gathered(flight.mag_ut, flight.field_ut, 400)
    assert len(samples) <= 400
    assert samples.seen == len(flight.mag_ut)
    assert len(encode(samples)) <= 28 * 400 + 100
    found = samples.solve(PERFECT_FIELD)
    assert (found.bias_sigma_ut < 0.2).all()
    assert np.abs(found.bias_ut - flight.bias_ut).max() < 0.5


def test_a_tumble_outlasts_hours_of_pointing() -> None:
    tumble = fly(1, 0.5)
    pointing = fly(2, 6.0, rate_deg_s=0.0, bias_ut=tumble.bias_ut)
    with pytest.raises(CalibrationError, match="not enough rotation"):
        gathered(pointing.mag_ut, pointing.field_ut).solve(PERFECT_FIELD)
    mag_ut = np.concatenate((tumble.mag_ut, pointing.mag_ut))
    samples = gathered(mag_ut, np.concatenate((tumble.field_ut, pointing.field_ut)), 400)
    found = samples.solve(PERFECT_FIELD)
    assert (found.bias_sigma_ut < 0.3).all()
    assert np.abs(found.bias_ut - tumble.bias_ut).max() < 0.9
    assert samples.rows[-1, :3] == pytest.approx(mag_ut[-1], abs=1e-5)


def test_a_restored_store_continues_bit_for_bit() -> None:
    flight = fly(3, 3.0)
    whole = gathered(flight.mag_ut, flight.field_ut, 500)
    begun = gathered(flight.mag_ut[:777], flight.field_ut[:777], 500)
    restored = decode(encode(begun), CalibrationSamples)
    assert encode(restored) == encode(begun)
    for pair in zip(flight.mag_ut[777:], flight.field_ut[777:], strict=True):
        restored.add(*pair, 0.5)
    assert encode(restored) == encode(whole)
    assert (restored.solve(PERFECT_FIELD).covariance == whole.solve(PERFECT_FIELD).covariance).all()


def test_ignores_readings_that_are_not_finite() -> None:
    samples = CalibrationSamples()
    samples.add([np.nan, 0.0, 0.0], [1.0, 2.0, 3.0], 1.0)
    samples.add([0.0, 0.0, 0.0], [1.0, np.inf, 3.0], 1.0)
    assert len(samples) == samples.seen == 0
    with pytest.raises(CalibrationError, match="too few samples: 0"):
        samples.solve(PERFECT_FIELD)


def test_equal_readings_fill_the_memory_without_harm() -> None:
    samples = gathered(np.ones((200, 3)), np.ones((200, 3)), 64)
    assert 0 < len(samples) <= 64

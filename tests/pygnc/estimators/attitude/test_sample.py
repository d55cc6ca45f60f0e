"""Readings corrected by the settings, and the bias that is told of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.sample import MagnetometerCorrection
from pygnc.estimators.attitude.settings import MagnetometerSettings

BIAS_UT = (21.0, -10.5, -25.0)
MATRIX = ((0.95, -0.01, 0.005), (-0.01, 1.03, -0.015), (0.005, -0.015, 0.98))
CORRECTION = MagnetometerCorrection(MagnetometerSettings(bias_ut=BIAS_UT, matrix=MATRIX))

vectors = st.lists(st.floats(-100.0, 100.0), min_size=3, max_size=3).map(np.array)


@given(vectors, vectors)
def test_correction_recovers_field_and_total_bias(field_ut: Array, moved_ut: Array) -> None:
    # What the sensor shows: its own axes' response to the field, and its bias, which has moved since.
    reading_ut = np.linalg.inv(MATRIX) @ field_ut + BIAS_UT + moved_ut
    left_ut = CORRECTION.corrected_ut(reading_ut) - field_ut
    assert CORRECTION.total_bias_ut(left_ut) == pytest.approx(np.array(BIAS_UT) + moved_ut, abs=1e-9)


def test_readings_stay_as_they_are_to_the_bit_without_a_calibration() -> None:
    plain = MagnetometerCorrection(MagnetometerSettings())
    reading_ut = np.array([1.0 / 16.0, -20.0 / 3.0, 1e-9])
    assert plain.corrected_ut(reading_ut).tobytes() == reading_ut.tobytes()
    assert plain.total_bias_ut(reading_ut).tobytes() == reading_ut.tobytes()


def test_sigmas_are_those_of_drawn_biases() -> None:
    root = np.array([[0.5, 0.0, 0.0], [0.2, 0.3, 0.0], [-0.4, 0.1, 0.6]])
    drawn = np.random.default_rng(1).normal(size=(20_000, 3)) @ root.T
    totals = np.array([CORRECTION.total_bias_ut(left_ut) for left_ut in drawn])
    assert CORRECTION.total_bias_sigma_ut(root @ root.T) == pytest.approx(totals.std(axis=0), rel=0.03)

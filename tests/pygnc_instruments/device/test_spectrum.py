"""Amplitude spectral densities, and the rows of a waterfall."""

import numpy as np
import pytest

from pygnc_instruments.device.spectrum import BINS, ROW_S, ROWS, Waterfall, amplitude_density


def points(values: np.ndarray, rate_hz: float = 200.0) -> list[tuple[float, float]]:
    return [(number / rate_hz, float(value)) for number, value in enumerate(values)]


def test_the_density_of_white_noise_is_flat_and_its_square_adds_up_to_the_variance() -> None:
    values = 3.0 + 0.5 * np.random.default_rng(1).standard_normal(4000)
    found = amplitude_density(points(values))
    assert found is not None
    frequencies, density = found
    assert frequencies[-1] == pytest.approx(100.0)
    assert np.sqrt(np.mean(density**2)) == pytest.approx(0.5 * np.sqrt(2.0 / 200.0), rel=0.03)
    assert np.sum(density**2) * frequencies[0] == pytest.approx(0.25, rel=0.06)


def test_a_vibration_is_highest_at_its_frequency() -> None:
    t_s = np.arange(2000) / 200.0
    found = amplitude_density(points(np.sin(2.0 * np.pi * 34.0 * t_s)))
    assert found is not None
    frequencies, density = found
    assert frequencies[np.argmax(density)] == pytest.approx(34.0, abs=0.4)
    near = np.abs(frequencies - 34.0) < 2.0
    assert np.sum(density[near] ** 2) * frequencies[0] == pytest.approx(0.5, rel=0.02)


def test_too_few_readings_have_no_spectrum() -> None:
    assert amplitude_density(points(np.zeros(31))) is None
    assert amplitude_density([(1.0, 0.0)] * 100) is None


def test_a_waterfall_gets_a_row_at_each_interval_and_keeps_the_newest() -> None:
    waterfall = Waterfall()
    curves = [points(np.sin(np.arange(400.0))), points(np.zeros(400))]
    assert not waterfall.add(0.0, [])
    added = [waterfall.add(0.1 * number, curves) for number in range(50 * ROWS)]
    assert sum(added) == pytest.approx(5.0 * ROWS / ROW_S, abs=60)
    colours = waterfall.colours()
    assert (len(colours), len(colours[0])) == (ROWS, BINS)
    assert {colour for row in colours for colour in row} >= {"#ffffff", "#14143c"}

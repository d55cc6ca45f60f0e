"""Allan deviation against published values and allantools; coefficients against generated noise."""

import allantools
import numpy as np
import pytest

from pygnc_instruments.device.allan import MIN_READINGS, allan_deviation, fit_noise
from pygnc_instruments.device.columns import BLOCK, Column, FloatArray

INTERVAL_S = 0.1
WHITE, FLICKER, WALK = 1.2e-4, 3.5e-5, 2.5e-6
"""Noise of a tactical gyro: 0.41 deg/h^0.5, 7.2 deg/h, 31 deg/h^1.5; rad and s."""


def generated_noise(  # noqa: PLR0917 - the coefficients of the model
    count: int, white: float, flicker: float, walk: float, seed: int, ramp: float = 0.0
) -> FloatArray:
    """Return noise with the two-sided spectra of IEEE Std 952, annex C: N^2, B^2 / (2 pi f), (K / (2 pi f))^2."""
    random = np.random.default_rng(seed)
    frequency_hz = np.fft.rfftfreq(2 * count, INTERVAL_S)[1:]
    spectrum = flicker**2 / (2.0 * np.pi * frequency_hz) * 2 * count / INTERVAL_S / 2.0
    normal = random.standard_normal((2, len(frequency_hz)))
    pink = np.fft.irfft(np.concatenate(([0.0], np.sqrt(spectrum) * (normal[0] + 1j * normal[1]))), 2 * count)[:count]
    steps = random.standard_normal((2, count))
    brown = np.cumsum(walk * np.sqrt(INTERVAL_S) * steps[0])
    drift = ramp * INTERVAL_S * np.arange(count)
    return np.asarray(white / np.sqrt(INTERVAL_S) * steps[1] + pink + brown + drift)


def test_agrees_with_the_published_values_of_the_nist_test_suite() -> None:
    """NIST Special Publication 1065, section 12.4: 1000 pseudo-random frequency data."""
    numbers = [1234567890]
    while len(numbers) < 1000:
        numbers.append(16807 * numbers[-1] % 2147483647)
    found = allan_deviation(np.array(numbers) / 2147483647, 1.0, np.array([1, 10, 100]))
    assert found.deviation == pytest.approx([2.922319e-1, 9.159953e-2, 3.241343e-2], rel=2e-7)


def test_agrees_with_allantools() -> None:
    readings = 9.80665 + generated_noise(20_000, WHITE, FLICKER, WALK, 1)
    found = allan_deviation(readings, INTERVAL_S)
    theirs_s, theirs, _, _ = allantools.oadev(readings, rate=1.0 / INTERVAL_S, data_type="freq", taus=found.tau_s)
    np.testing.assert_allclose(found.tau_s, theirs_s, rtol=1e-12)
    np.testing.assert_allclose(found.deviation, theirs, rtol=1e-8)


def test_a_column_in_a_file_gives_the_result_of_an_array() -> None:
    readings = 9.80665 + generated_noise(2 * BLOCK + 1000, WHITE, FLICKER, WALK, 1)  # in several blocks
    column = Column()
    column.extend(readings)
    sizes = np.array([1, 7, 1000, BLOCK - 5])
    found = allan_deviation(column, INTERVAL_S, sizes)
    theirs = allantools.oadev(readings, rate=1.0 / INTERVAL_S, data_type="freq", taus=sizes * INTERVAL_S)[1]
    np.testing.assert_allclose(found.deviation, theirs, rtol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_finds_the_coefficients_of_generated_noise(seed: int) -> None:
    allan = allan_deviation(generated_noise(200_000, WHITE, FLICKER, WALK, seed), INTERVAL_S)
    model = fit_noise(allan)
    assert model.white.value == pytest.approx(WHITE, rel=0.01)
    assert model.flicker.value == pytest.approx(FLICKER, rel=0.2)
    assert model.walk.value == pytest.approx(WALK, rel=0.35)
    assert model.white.is_significant
    assert model.flicker.is_significant
    assert model.walk.is_significant
    assert WALK < model.walk.limit < 2.0 * WALK
    # Deviations of neighbouring times are correlated; 4 sigma leaves room for their common error.
    assert np.all(np.abs(model.deviation(allan.tau_s) / allan.deviation - 1.0) < 4.0 * allan.relative_sigma + 0.005)


def test_coefficients_that_a_log_does_not_show_get_an_upper_limit() -> None:
    model = fit_noise(allan_deviation(generated_noise(100_000, WHITE, 0.0, 0.0, 4), INTERVAL_S))
    assert model.white.value == pytest.approx(WHITE, rel=0.01)
    for coefficient in (model.quantisation, model.flicker, model.walk, model.ramp):
        assert not coefficient.is_significant
        assert coefficient.limit > 0.0
    assert model.flicker.limit < 0.1 * WHITE
    assert model.walk.limit < 0.01 * WHITE


def test_finds_quantisation_and_ramp() -> None:
    ramp, quantum = 3e-7, 5e-5
    angle = np.cumsum(generated_noise(100_000, WHITE, 0.0, 0.0, 5, ramp)) * INTERVAL_S
    readings = np.diff(np.round(angle / quantum) * quantum) / INTERVAL_S
    model = fit_noise(allan_deviation(readings, INTERVAL_S))
    assert model.quantisation.value == pytest.approx(quantum / np.sqrt(12.0), rel=0.05)
    assert model.ramp.value == pytest.approx(ramp, rel=0.1)
    assert model.white.value == pytest.approx(WHITE, rel=0.05)


def test_refuses_few_or_constant_readings() -> None:
    with pytest.raises(ValueError, match=f"at least {MIN_READINGS}"):
        allan_deviation(np.zeros(MIN_READINGS - 1), INTERVAL_S)
    with pytest.raises(ValueError, match="do not change"):
        fit_noise(allan_deviation(np.zeros(MIN_READINGS), INTERVAL_S))

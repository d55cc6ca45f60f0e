import math

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.chebyshev import ChebyshevDays
from pygnc.environment.time_scales import MS_PER_DAY

DAY = 16_000


def wave(gps_ms: int, offsets_s: Array) -> Array:
    """Sine and cosine with a period of five days."""
    phase = 2.0 * math.pi * (gps_ms * 1e-3 + offsets_s) / (5.0 * 86_400.0)
    return np.stack((np.sin(phase), np.cos(phase)), axis=1)


def test_a_smooth_function_is_reproduced() -> None:
    days = ChebyshevDays(wave, nodes=14)
    for gps_ms in range(DAY * MS_PER_DAY, (DAY + 1) * MS_PER_DAY, 1_234_567):
        np.testing.assert_allclose(days.at(gps_ms, 0.0), wave(gps_ms, np.zeros(1))[0], atol=1e-11)


def test_offsets_reach_into_the_days_before_and_after() -> None:
    days = ChebyshevDays(wave, nodes=14)
    for offset_s in (-100_000.0, -0.001, 0.0, 86_400.0, 200_000.0):
        expected = wave(DAY * MS_PER_DAY, np.array([offset_s]))[0]
        np.testing.assert_allclose(days.at(DAY * MS_PER_DAY, offset_s), expected, atol=1e-11)


def test_values_do_not_depend_on_earlier_calls() -> None:
    fresh, used = ChebyshevDays(wave, nodes=14), ChebyshevDays(wave, nodes=14)
    for day in range(DAY - 6, DAY + 6):
        used.at(day * MS_PER_DAY, 0.0)
    gps_ms = DAY * MS_PER_DAY + 5_000
    assert used.at(gps_ms, 3.0).tobytes() == fresh.at(gps_ms, 3.0).tobytes()


def test_each_day_is_sampled_once() -> None:
    sampled: list[int] = []

    def counting(gps_ms: int, offsets_s: Array) -> Array:
        sampled.append(gps_ms)
        return wave(gps_ms, offsets_s)

    days = ChebyshevDays(counting, nodes=14)
    for seconds in range(0, 2 * 86_400, 600):
        days.at(DAY * MS_PER_DAY, float(seconds))
    assert sampled == [DAY * MS_PER_DAY, (DAY + 1) * MS_PER_DAY]

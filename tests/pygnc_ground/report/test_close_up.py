from dataclasses import replace

import numpy as np
import pytest

from pygnc_ground.report.close_up import close_up
from pygnc_ground.report.time_axis import TimeAxis, sample_axis, time_axis
from tests.pygnc_ground.report import attitude_samples, samples

COUNT = 2000
RESULT = attitude_samples.clean(COUNT, begin_ms=samples.BEGIN_MS)
TIME = sample_axis(time_axis(samples.clean(401)), RESULT.samples.gps_ms)


def rows(stretch: TimeAxis | None) -> tuple[int, int]:
    assert stretch is not None
    return int(stretch.order[0]), int(stretch.order[-1])


def test_it_shows_four_turns_in_sunlight_at_the_end() -> None:
    first, last = rows(close_up(RESULT, TIME))
    rate_deg_s = float(np.degrees(np.linalg.norm(attitude_samples.RATE_RAD_S)))
    assert (last - first) * 5.0 == pytest.approx(4 * 360.0 / rate_deg_s, abs=5.0)
    assert last == COUNT - 1


def test_it_avoids_what_the_model_does_not_know() -> None:
    expected = RESULT.light.expected.copy()
    expected[300:] = np.nan
    first, last = rows(close_up(replace(RESULT, light=replace(RESULT.light, expected=expected)), TIME))
    assert last == 299
    assert first < last


def test_it_avoids_the_shadow() -> None:
    lit = np.where(np.arange(COUNT) < 500, 1.0, 0.0)
    _, last = rows(close_up(replace(RESULT, samples=replace(RESULT.samples, sunlit_fraction=lit)), TIME))
    assert last == 499


@pytest.mark.parametrize(("factor", "length_s"), [(100.0, 300.0), (0.001, 1800.0)])
def test_it_is_neither_too_short_nor_too_long(factor: float, length_s: float) -> None:
    rate = factor * RESULT.smoothed.rate_body_rad_s
    first, last = rows(close_up(replace(RESULT, smoothed=replace(RESULT.smoothed, rate_body_rad_s=rate)), TIME))
    assert (last - first) * 5.0 == pytest.approx(length_s, abs=5.0)


def test_without_a_model_there_is_none() -> None:
    assert close_up(attitude_samples.without_attitude(RESULT), TIME) is None

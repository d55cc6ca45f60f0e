import time

import pytest

from pygnc_devices.reading import Counts


def test_the_rate_is_that_of_the_newest_readings() -> None:
    counts = Counts()
    assert counts.snapshot().rate_hz is None
    began_ns = time.monotonic_ns() - 10_000_000_000
    for k in range(1000):
        counts.take_reading(began_ns + k * 10_000_000, lost_before=0)
    assert counts.snapshot().rate_hz == pytest.approx(100.0)
    counts.take_reconnect()
    assert counts.snapshot().rate_hz is None


def test_readings_that_came_at_one_time_have_no_rate() -> None:
    counts = Counts()
    for _ in range(5):
        counts.take_reading(1, lost_before=2)
    seen = counts.snapshot()
    assert (seen.rate_hz, seen.readings, seen.lost_readings) == (None, 5, 10)

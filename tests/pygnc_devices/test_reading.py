"""Counters and statistics of a connection."""

import time

import pytest

from pygnc_devices.reading import Counters


def test_measures_the_rate_over_the_newest_readings() -> None:
    counters = Counters()
    assert counters.snapshot().rate_hz is None
    began_ns = time.monotonic_ns() - 10_000_000_000
    for k in range(1000):
        counters.add_reading(began_ns + k * 10_000_000, 0, began_ns + k * 10_000_000)
    assert counters.snapshot().rate_hz == pytest.approx(100.0)
    counters.add_reconnect()
    assert counters.snapshot().rate_hz is None


def test_readings_with_one_arrival_time_have_no_rate() -> None:
    counters = Counters()
    for _ in range(5):
        counters.add_reading(1, 2, 1)
    seen = counters.snapshot()
    assert (seen.rate_hz, seen.readings, seen.lost_readings) == (None, 5, 10)

"""Every preset without faults: errors are what the covariance says. The benchmark does the same with 20 seeds."""

import pytest

from scripts.bench_orbit import PRESETS, consistency_of


@pytest.mark.parametrize("preset", PRESETS)
def test_errors_and_innovations_are_what_the_covariance_says(preset: str) -> None:
    by_filter, by_smoother = consistency_of(preset, 2)
    nis, low, high = float(by_filter[2]), *map(float, by_filter[3].split(" to "))
    assert low < nis < high
    for line in (by_filter, by_smoother):
        # Errors of one run hang together: two runs tell NEES to a half, and formal over actual error to a third.
        assert 0.5 < float(line[4]) < 1.5
        assert 0.67 < float(line[6]) < 1.5

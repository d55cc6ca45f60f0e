from dataclasses import replace

import numpy as np
import pytest

from pygnc_ground.report.clock import clock_records
from tests.pygnc_ground.report import samples


def test_residuals_are_relative_to_the_clock_map() -> None:
    fixes = samples.clean(50).fixes
    fixes.spacecraft_to_gps_ms[:] = fixes.gps_ms - 1000.0 * fixes.t_spacecraft_s - np.linspace(-100.0, 100.0, 50)
    records = clock_records(fixes)
    assert records.residual_ms == pytest.approx(np.linspace(-100.0, 100.0, 50), abs=1e-3)
    (segment,) = records.segments
    assert (segment.first_row, segment.last_row, segment.records) == (0, 49, 50)
    assert segment.residual_median_ms == pytest.approx(0.0, abs=1e-3)
    assert segment.residual_spread_ms == pytest.approx(180.0, abs=1e-3)


def test_a_jump_of_the_map_begins_a_boot() -> None:
    records = clock_records(samples.troubled(120).fixes)
    assert [(one.first_row, one.last_row) for one in records.segments] == [(0, 89), (90, 119)]
    jump_ms = records.segments[1].offset_ms - records.segments[0].offset_ms
    assert jump_ms == pytest.approx(12_345_000.0, abs=1000.0)


def test_a_slow_drift_of_the_map_is_one_boot() -> None:
    fixes = samples.clean(100).fixes
    creeping = replace(fixes, spacecraft_to_gps_ms=fixes.spacecraft_to_gps_ms + 500.0 * np.arange(100))
    assert len(clock_records(creeping).segments) == 1


def test_records_without_spacecraft_time_or_map_are_left_out() -> None:
    fixes = samples.clean(10).fixes
    fixes.t_spacecraft_s[2] = -1
    fixes.spacecraft_to_gps_ms[0] = np.nan
    assert clock_records(fixes).row.tolist() == [1, 3, 4, 5, 6, 7, 8, 9]
    fixes.spacecraft_to_gps_ms[:] = np.nan
    assert clock_records(fixes).segments == ()

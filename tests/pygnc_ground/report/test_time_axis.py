from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc_ground.orbit.solution import IntArray
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.report.time_axis import sample_axis, time_axis
from tests.pygnc_ground.report import attitude_samples, samples


def with_times(gps_ms: IntArray) -> ReplayResult:
    result = samples.clean(len(gps_ms))
    solution = replace(result.solution, gps_ms=gps_ms)
    return replace(result, fixes=replace(result.fixes, gps_ms=gps_ms), solution=solution)


def ticks(result: ReplayResult) -> list[str]:
    axes = Figure().subplots()
    time_axis(result).label_axes([axes], bottom=[axes])
    return [axes.xaxis.get_major_formatter()(tick, None) for tick in axes.get_xticks()]


def test_hours_count_from_midnight_utc_of_the_first_day() -> None:
    time = time_axis(samples.clean(3))
    # The samples begin at 21:10 UTC; GPS is 18 s ahead, which must not show.
    assert time.hours == pytest.approx(21.0 + 10.0 / 60.0 + np.arange(3) * 25.0 / 3600.0, abs=1e-12)
    assert time.zero_gps_ms == gps_ms_from_utc_iso("2025-03-20T00:00:00Z")
    assert time.span_gps_ms == (samples.BEGIN_MS, samples.BEGIN_MS + 50_000)
    assert time.label == "UTC on 2025-03-20 [h:min]"


def test_ticks_are_full_times_of_day_also_behind_midnight() -> None:
    result = samples.clean(432)
    assert ticks(result) == ["21:30", "22:00", "22:30", "23:00", "23:30", "00:00"]
    assert time_axis(result).label == "UTC, 2025-03-20 to 2025-03-21 [h:min]"


def test_over_several_days_midnights_carry_the_date() -> None:
    assert ticks(samples.clean(300, step_ms=900_000))[:2] == ["00:00\n03-21", "12:00"]
    assert len(ticks(samples.clean(300, step_ms=30 * 86_400_000 // 300))) <= 8


def test_records_are_shown_in_order_of_time() -> None:
    gps_ms = samples.BEGIN_MS + np.array([0, 50_000, 25_000, 75_000])
    assert time_axis(with_times(gps_ms)).order.tolist() == [0, 2, 1, 3]


def test_a_damaged_time_does_not_stretch_the_axis() -> None:
    result = samples.troubled(60)
    time = time_axis(result)
    assert time.hidden == 1
    assert np.isnan(time.hours[15])
    assert time.limits[1] - time.limits[0] < 1.0


def test_a_time_that_contradicts_the_clock_does_not_stretch_the_axis_by_hours_either() -> None:
    result = samples.clean(60)
    gps_ms = result.fixes.gps_ms.copy()
    gps_ms[10] += 6 * 3_600_000
    causes = ("",) * 10 + ("time_inconsistent",) + ("",) * 49
    result.solution.position_ecef_m[10] = np.nan
    fixes = replace(result.fixes, gps_ms=gps_ms, position_cause=causes)
    assert time_axis(replace(result, fixes=fixes)).hidden == 1
    other = replace(fixes, position_cause=("",) * 10 + ("position_status",) + ("",) * 49)
    assert time_axis(replace(result, fixes=other)).hidden == 0


def test_without_an_orbit_the_bulk_of_the_records_is_shown() -> None:
    result = samples.without_orbit(samples.clean(40))
    gps_ms = result.fixes.gps_ms.copy()
    gps_ms[3] -= 400 * 86_400_000
    time = time_axis(replace(result, fixes=replace(result.fixes, gps_ms=gps_ms)))
    assert (time.hidden, len(time.order)) == (1, 39)


def test_a_gap_is_a_step_of_several_usual_ones() -> None:
    time = time_axis(samples.clean(60))
    hours = np.array([0.0, 25.0, 50.0, 145.0, 260.0]) / 3600.0
    assert time.starts_after_gap(hours).tolist() == [False, False, False, False, True]
    slow = time_axis(samples.clean(60, step_ms=300_000))
    assert slow.starts_after_gap(np.array([0.0, 0.3, 0.7])).tolist() == [False, False, True]


def test_no_record_gives_an_axis_nevertheless() -> None:
    time = time_axis(samples.clean(0))
    assert time.span_gps_ms is None
    assert time.limits == (0.0, 1.0)
    assert time.label == "time, UTC [h:min]"


def test_samples_before_and_behind_the_records_are_shown_too() -> None:
    attitude = attitude_samples.clean(100, begin_ms=samples.BEGIN_MS - 60_000)
    time = time_axis(replace(samples.clean(10), attitude=attitude))
    assert time.span_gps_ms == (samples.BEGIN_MS - 60_000, samples.BEGIN_MS - 60_000 + 99 * 5000)
    of_samples = sample_axis(time, attitude.samples.gps_ms)
    assert of_samples.limits == time.limits
    assert of_samples.order.tolist() == list(range(100))
    assert of_samples.hours[12] == time.hours[0]


def test_samples_of_a_damaged_time_are_not() -> None:
    attitude = attitude_samples.clean(100, begin_ms=samples.BEGIN_MS)
    attitude.samples.gps_ms[40] += 30 * 86_400_000
    attitude.samples.gps_ms[41] = -1
    time = time_axis(replace(samples.clean(10), attitude=attitude))
    of_samples = sample_axis(time, attitude.samples.gps_ms)
    assert of_samples.hidden == 2
    assert time.limits[1] - time.limits[0] < 0.5


def test_samples_have_gaps_of_their_own() -> None:
    attitude = attitude_samples.clean(100, begin_ms=samples.BEGIN_MS)
    time = time_axis(replace(samples.clean(10), attitude=attitude))
    of_samples = sample_axis(time, attitude.samples.gps_ms)
    assert of_samples.starts_after_gap(np.array([0.0, 55.0, 120.0]) / 3600.0).tolist() == [False, False, True]
    assert not len(sample_axis(time_axis(samples.clean(0)), attitude.samples.gps_ms).order)


def test_a_short_span_gets_a_small_margin() -> None:
    begin, end = time_axis(samples.clean(13)).limits
    assert (end - begin) * 3600.0 == pytest.approx(300.0 * 1.1)
    begin, end = time_axis(samples.clean(1)).limits
    assert end > begin

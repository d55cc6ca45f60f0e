from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc_ground.orbit.solution import BoolArray, IntArray
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.report.axes import TimeAxis, close_up, eclipses, formation_axis, sample_axis, shade, spans, time_axis
from pygnc_ground.report.style import SHADE
from tests.pygnc_ground.report import attitude_samples, formation_samples, samples


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
    # The samples begin at 21:10 UTC; the 18 s by which GPS time is ahead must not show.
    assert time.hours == pytest.approx(21.0 + 10.0 / 60.0 + np.arange(3) * 25.0 / 3600.0, abs=1e-12)
    assert time.zero_gps_ms == gps_ms_from_utc_iso("2025-03-20T00:00:00Z")
    assert time.span_gps_ms == (samples.BEGIN_MS, samples.BEGIN_MS + 50_000)
    assert time.label == "UTC on 2025-03-20 [h:min]"


def test_ticks_are_full_times_of_day_after_midnight_too() -> None:
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


def test_an_axis_exists_without_records() -> None:
    time = time_axis(samples.clean(0))
    assert time.span_gps_ms is None
    assert time.limits == (0.0, 1.0)
    assert time.label == "time, UTC [h:min]"


def test_samples_before_and_after_the_records_are_shown() -> None:
    attitude = attitude_samples.clean(100, begin_ms=samples.BEGIN_MS - 60_000)
    time = time_axis(replace(samples.clean(10), attitude=attitude))
    assert time.span_gps_ms == (samples.BEGIN_MS - 60_000, samples.BEGIN_MS - 60_000 + 99 * 5000)
    of_samples = sample_axis(time, attitude.samples.gps_ms)
    assert of_samples.limits == time.limits
    assert of_samples.order.tolist() == list(range(100))
    assert of_samples.hours[12] == time.hours[0]


def test_samples_with_a_damaged_time_are_hidden() -> None:
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


def axis(seconds: list[float]) -> TimeAxis:
    """Return the axis of samples at these seconds on an axis of one hour."""
    time = time_axis(samples.clean(145))
    return sample_axis(time, samples.BEGIN_MS + (1000 * np.array(seconds)).astype(np.int64))


def seconds(time: TimeAxis, flags: list[bool]) -> list[list[float]]:
    begin_h = 21.0 + 10.0 / 60.0
    array: BoolArray = np.array(flags, dtype=np.bool_)
    found: list[list[float]] = ((spans(array, time) - begin_h) * 3600.0).round(3).tolist()
    return found


def test_a_run_lasts_until_the_next_sample_without_the_flag() -> None:
    time = axis([0.0, 100.0, 200.0, 300.0, 400.0])
    assert seconds(time, [False, True, True, False, True]) == [[100.0, 300.0], [400.0, 400.0]]
    assert seconds(time, [True, False, False, False, False]) == [[0.0, 100.0]]
    assert seconds(time, [False] * 5) == []


def test_a_run_ends_at_gaps() -> None:
    time = axis([0.0, 100.0, 2000.0, 2100.0])
    assert seconds(time, [True] * 4) == [[0.0, 100.0], [2000.0, 2100.0]]


def test_adjacent_spans_are_merged() -> None:
    time = axis([0.0, 2.0, 4.0, 6.0, 60.0])
    assert seconds(time, [True, False, True, False, False]) == [[0.0, 6.0]]


def test_samples_count_in_order_of_time_and_without_a_time_not_at_all() -> None:
    time = axis([300.0, 0.0, 100.0, -1e9, 200.0])
    assert seconds(time, [False, True, True, True, True]) == [[0.0, 300.0]]


def test_no_spans_without_samples() -> None:
    assert spans(np.zeros(0, dtype=np.bool_), axis([])).shape == (0, 2)
    assert seconds(axis([5.0]), [True]) == [[5.0, 5.0]]
    with pytest.raises(IndexError):
        spans(np.ones(1, dtype=np.bool_), axis([1.0, 2.0]))


ECLIPSE_RESULT = attitude_samples.clean(400, begin_ms=samples.BEGIN_MS)
ECLIPSE_TIME = sample_axis(time_axis(samples.clean(90)), ECLIPSE_RESULT.samples.gps_ms)
BEGIN_H = 21.0 + 10.0 / 60.0


def test_an_eclipse_is_where_the_orbit_is_in_the_shadow() -> None:
    ((begin, end),) = eclipses(ECLIPSE_RESULT.samples, ECLIPSE_TIME)
    assert (begin - BEGIN_H, end - BEGIN_H) == pytest.approx((160 * 5 / 3600, 280 * 5 / 3600))


def test_without_an_orbit_eclipses_follow_the_light() -> None:
    unknown = replace(ECLIPSE_RESULT.samples, sunlit_fraction=np.full(400, np.nan))
    assert eclipses(unknown, ECLIPSE_TIME) == pytest.approx(eclipses(ECLIPSE_RESULT.samples, ECLIPSE_TIME))


def test_eclipses_are_shaded_in_the_background() -> None:
    axes = Figure().subplots()
    shade([axes], eclipses(ECLIPSE_RESULT.samples, ECLIPSE_TIME))
    (patch,) = axes.patches
    assert same_color(patch.get_facecolor(), SHADE)
    assert patch.get_zorder() < 1.0


def test_the_formation_axis_spans_records_and_partner_states() -> None:
    of_records = time_axis(samples.clean(60))
    late = formation_samples.clean(samples.BEGIN_MS, 120)
    assert of_records.span_h is not None
    begin, end = of_records.span_h
    axis = sample_axis(formation_axis(of_records, late), late.track_gps_ms)
    assert axis.span_h == pytest.approx((begin, begin + 119 / 60))
    assert axis.span_h is not None
    assert axis.span_h[1] > end
    assert axis.hidden == 0
    np.testing.assert_allclose(np.diff(axis.hours), 1 / 60)


COUNT = 2000
CLOSE_UP_RESULT = attitude_samples.clean(COUNT, begin_ms=samples.BEGIN_MS)
CLOSE_UP_TIME = sample_axis(time_axis(samples.clean(401)), CLOSE_UP_RESULT.samples.gps_ms)


def rows(stretch: TimeAxis | None) -> tuple[int, int]:
    assert stretch is not None
    return int(stretch.order[0]), int(stretch.order[-1])


def test_the_close_up_shows_four_rotations_in_sunlight_at_the_end() -> None:
    first, last = rows(close_up(CLOSE_UP_RESULT, CLOSE_UP_TIME))
    rate_deg_s = float(np.degrees(np.linalg.norm(attitude_samples.RATE_RAD_S)))
    assert (last - first) * 5.0 == pytest.approx(4 * 360.0 / rate_deg_s, abs=5.0)
    assert last == COUNT - 1


def test_the_close_up_avoids_samples_without_a_model() -> None:
    expected = CLOSE_UP_RESULT.light.expected.copy()
    expected[300:] = np.nan
    first, last = rows(
        close_up(replace(CLOSE_UP_RESULT, light=replace(CLOSE_UP_RESULT.light, expected=expected)), CLOSE_UP_TIME)
    )
    assert last == 299
    assert first < last


def test_the_close_up_avoids_eclipses() -> None:
    lit = np.where(np.arange(COUNT) < 500, 1.0, 0.0)
    _, last = rows(
        close_up(replace(CLOSE_UP_RESULT, samples=replace(CLOSE_UP_RESULT.samples, sunlit_fraction=lit)), CLOSE_UP_TIME)
    )
    assert last == 499


@pytest.mark.parametrize(("factor", "length_s"), [(100.0, 300.0), (0.001, 1800.0)])
def test_the_close_up_has_a_bounded_length(factor: float, length_s: float) -> None:
    rate = factor * CLOSE_UP_RESULT.smoothed.rate_body_rad_s
    first, last = rows(
        close_up(
            replace(CLOSE_UP_RESULT, smoothed=replace(CLOSE_UP_RESULT.smoothed, rate_body_rad_s=rate)), CLOSE_UP_TIME
        )
    )
    assert (last - first) * 5.0 == pytest.approx(length_s, abs=5.0)


def test_no_close_up_without_a_model() -> None:
    assert close_up(attitude_samples.without_attitude(CLOSE_UP_RESULT), CLOSE_UP_TIME) is None

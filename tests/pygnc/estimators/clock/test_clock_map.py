import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.common.clock import SPACECRAFT_RESTART_S
from pygnc.estimators.clock.clock_map import CONFIRMATIONS, TOLERANCE_MS, ClockMap, ClockVerdict
from tests.pygnc.estimators.clock.boots import Packets, packets
from tests.pygnc.estimators.clock.recordings import recorded_range_times, recorded_sense_times

OFFSET_MS = 400_000_000_000
WEEK_MS = 604_800_000


def observe_all(clock_map: ClockMap, made: Packets) -> list[ClockVerdict]:
    return [clock_map.observe(*times) for times in zip(made.t_spacecraft_s, made.gps_ms, strict=True)]


def steady(clock_map: ClockMap, first_s: int, number: int) -> list[ClockVerdict]:
    times_s = range(first_s, first_s + 25 * number, 25)
    return [clock_map.observe(t, 1000 * t + OFFSET_MS) for t in times_s]


@given(packets(max_boots=1))
def test_single_damaged_values_do_not_divide_a_boot(made: Packets) -> None:
    clock_map = ClockMap()
    observe_all(clock_map, made)
    assert clock_map.number == 0


@given(packets(max_boots=3, damage=False))
def test_every_boot_gets_a_segment_with_its_offset(made: Packets) -> None:
    clock_map = ClockMap()
    offsets_ms: dict[int, int | None] = {}
    for times in zip(made.t_spacecraft_s, made.gps_ms, strict=True):
        clock_map.observe(*times)
        offsets_ms[clock_map.number] = clock_map.offset_ms
    assert list(offsets_ms) == list(range(len(made.offset_ms)))
    for number, true_offset_ms in enumerate(made.offset_ms):
        known = [g for g, boot in zip(made.gps_ms, made.boot, strict=True) if boot == number and g is not None]
        offset_ms = offsets_ms[number]
        assert (offset_ms is not None) == bool(known)
        assert offset_ms is None or abs(offset_ms - true_offset_ms) <= 3000


@given(packets())
def test_verdicts_are_right_once_a_segment_is_confirmed(made: Packets) -> None:
    clock_map = ClockMap()
    for t, gps_ms, damaged in zip(made.t_spacecraft_s, made.gps_ms, made.damaged, strict=True):
        verdict = clock_map.observe(t, gps_ms)
        if gps_ms is None:
            assert verdict is ClockVerdict.NO_GPS_TIME
        elif clock_map.current is None or clock_map.current.observations < CONFIRMATIONS:
            assert verdict is ClockVerdict.UNCONFIRMED
        elif damaged:
            assert verdict is ClockVerdict.INCONSISTENT
        else:
            assert clock_map.offset_ms is not None
            residual_ms = gps_ms - 1000 * t - clock_map.offset_ms
            assert (verdict is ClockVerdict.CONSISTENT) == (abs(residual_ms) <= TOLERANCE_MS)


@given(packets(), st.integers(0, 90))
def test_a_restored_map_gives_identical_results(made: Packets, cut: int) -> None:
    first = ClockMap()
    times = list(zip(made.t_spacecraft_s, made.gps_ms, strict=True))
    for t, gps_ms in times[:cut]:
        first.observe(t, gps_ms)
    second = msgspec.msgpack.decode(msgspec.msgpack.encode(first), type=ClockMap)
    for t, gps_ms in times[cut:]:
        assert first.observe(t, gps_ms) is second.observe(t, gps_ms)
    assert first == second


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.none() | st.integers(0, 2**45)), max_size=200))
def test_noise_is_survived_in_bounded_memory(times: list[tuple[int, int | None]]) -> None:
    clock_map = ClockMap()
    for t, gps_ms in times:
        clock_map.observe(t, gps_ms)
        clock_map.to_gps_ms(t)
    assert len(msgspec.msgpack.encode(clock_map)) < 2000


def test_nothing_is_mapped_before_the_first_gps_time() -> None:
    clock_map = ClockMap()
    assert clock_map.to_gps_ms(500) is None
    assert clock_map.observe(500, None) is ClockVerdict.NO_GPS_TIME
    assert clock_map.to_gps_ms(500) is None
    assert clock_map.offset_ms is None


def test_the_first_observations_are_unconfirmed() -> None:
    unconfirmed, consistent = ClockVerdict.UNCONFIRMED, ClockVerdict.CONSISTENT
    assert steady(ClockMap(), 5000, 4) == [unconfirmed, unconfirmed, consistent, consistent]


def test_a_corrupt_first_week_is_corrected() -> None:
    clock_map = ClockMap()
    assert clock_map.observe(4975, 1000 * 4975 + OFFSET_MS + 64 * WEEK_MS) is ClockVerdict.UNCONFIRMED
    assert steady(clock_map, 5000, 3)[-1] is ClockVerdict.CONSISTENT
    assert (clock_map.number, clock_map.offset_ms) == (0, OFFSET_MS)


@pytest.mark.parametrize("weeks", [-1, 1, 64])
@pytest.mark.parametrize("number", [3, 5, 12])
def test_corrupt_first_weeks_are_corrected_by_as_many_right_ones(weeks: int, number: int) -> None:
    clock_map = ClockMap()
    for t in range(5000, 5000 + 25 * number, 25):
        clock_map.observe(t, 1000 * t + OFFSET_MS + weeks * WEEK_MS)
    verdicts = steady(clock_map, 5000 + 25 * number, number + 1)
    assert verdicts == [ClockVerdict.INCONSISTENT] * (number - 1) + [ClockVerdict.CONSISTENT] * 2
    assert clock_map.offset_ms == OFFSET_MS
    assert (clock_map.number, clock_map.jumps) == (0, 1)


@pytest.mark.parametrize("weeks", [-1, 1, 64])
def test_corrupt_weeks_in_a_long_boot_do_not_divide_it(weeks: int) -> None:
    clock_map = ClockMap()
    steady(clock_map, 5000, 40)
    for t in range(6000, 6500, 25):
        assert clock_map.observe(t, 1000 * t + OFFSET_MS + weeks * WEEK_MS) is ClockVerdict.INCONSISTENT
    assert steady(clock_map, 6500, 2) == [ClockVerdict.CONSISTENT] * 2
    assert clock_map.number == 0


def test_a_repeated_corrupt_record_counts_once() -> None:
    clock_map = ClockMap()
    steady(clock_map, 5000, 5)
    for _ in range(5):
        assert clock_map.observe(5125, 1000 * 5125 + OFFSET_MS + WEEK_MS) is ClockVerdict.INCONSISTENT
    assert clock_map.number == 0


def test_setting_the_clock_without_restart_starts_a_segment() -> None:
    clock_map = ClockMap()
    steady(clock_map, 5000, 5)
    set_by_s = 700_000_000
    verdicts = [clock_map.observe(t + set_by_s, 1000 * t + OFFSET_MS) for t in range(5125, 5225, 25)]
    assert verdicts == [
        ClockVerdict.INCONSISTENT,
        ClockVerdict.INCONSISTENT,
        ClockVerdict.CONSISTENT,
        ClockVerdict.CONSISTENT,
    ]
    assert (clock_map.number, clock_map.offset_ms) == (1, OFFSET_MS - 1000 * set_by_s)


def test_maps_nothing_after_a_restart_without_gps_time() -> None:
    clock_map = ClockMap()
    steady(clock_map, SPACECRAFT_RESTART_S + 9000, 5)
    for t in range(SPACECRAFT_RESTART_S + 60, SPACECRAFT_RESTART_S + 160, 25):
        assert clock_map.observe(t, None) is ClockVerdict.NO_GPS_TIME
        assert clock_map.to_gps_ms(t) is None


def test_falling_back_within_the_same_boot_is_no_restart() -> None:
    clock_map = ClockMap()
    steady(clock_map, SPACECRAFT_RESTART_S + 11_000, 5)
    assert steady(clock_map, SPACECRAFT_RESTART_S + 9000, 5) == [ClockVerdict.CONSISTENT] * 5
    assert clock_map.number == 0


def test_slow_drift_is_followed() -> None:
    clock_map = ClockMap()
    drift_ms_per_packet = 0.0005 * 25_000
    for index in range(2000):
        t = 5000 + 25 * index
        clock_map.observe(t, 1000 * t + OFFSET_MS + round(drift_ms_per_packet * index))
    assert clock_map.current is not None
    assert clock_map.offset_ms is not None
    assert abs(clock_map.offset_ms - OFFSET_MS - drift_ms_per_packet * 2000) < 500
    assert (clock_map.number, clock_map.current.observations) == (0, 2000)


def test_the_recorded_sense_file() -> None:
    clock_map = ClockMap()
    verdicts = [clock_map.observe(t, gps_ms) for t, gps_ms in recorded_sense_times()]
    assert verdicts[:7] == [ClockVerdict.NO_GPS_TIME] * 7
    assert verdicts[9:] == [ClockVerdict.CONSISTENT] * 24
    # GPS time read as Unix time, as the facts about this recording give it.
    assert (clock_map.number, clock_map.offset_ms) == (0, 1000 * (750_356_198 - 315_964_800))


def test_the_recorded_range_file() -> None:
    clock_map = ClockMap()
    for t, gps_ms in recorded_range_times():
        clock_map.observe(t, gps_ms)
    assert (clock_map.number, clock_map.offset_ms) == (1, 1000 * (747_519_639 - 315_964_800))

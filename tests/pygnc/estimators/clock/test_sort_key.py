import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.common.clock import SPACECRAFT_RESTART_S
from pygnc.estimators.clock.sort_key import sort_key_gps_ms
from tests.pygnc.estimators.clock.boots import CADENCE_S, Packets, packets
from tests.pygnc.estimators.clock.recordings import recorded_range_times, recorded_sense_times

OFFSET_MS = 400_000_000_000


def keys(t_spacecraft_s: list[int], gps_ms: list[int | None]) -> list[int]:
    return [int(key) for key in sort_key_gps_ms(t_spacecraft_s, [-1 if g is None else g for g in gps_ms])]


def order(t_spacecraft_s: list[int], gps_ms: list[int | None]) -> list[int]:
    return [int(index) for index in np.argsort(keys(t_spacecraft_s, gps_ms), kind="stable")]


def rotated(values: list[int | None], by: int) -> list[int | None]:
    return values[by:] + values[:by]


@given(packets())
def test_a_file_in_order_stays_in_order(made: Packets) -> None:
    # Damage in the first or last two records of a boot may pass for a ring or a restart.
    ends = [i for i in range(len(made.boot)) if len({*made.boot[max(i - 2, 0) : i + 3]}) > 1]
    ends += [0, 1, len(made.boot) - 2, len(made.boot) - 1]
    judged = [i for i in range(len(made.boot)) if not (made.damaged[i] and i in ends)]
    assert [i for i in order(made.t_spacecraft_s, made.gps_ms) if i in judged] == judged


@given(packets(damage=False))
def test_keys_are_the_true_times_where_a_boot_has_gps_time(made: Packets) -> None:
    known_in_boot = {boot for boot, gps_ms in zip(made.boot, made.gps_ms, strict=True) if gps_ms is not None}
    for key, gps_ms, true_ms, boot in zip(
        keys(made.t_spacecraft_s, made.gps_ms), made.gps_ms, made.true_gps_ms, made.boot, strict=True
    ):
        if gps_ms is not None:
            assert key == gps_ms
        elif boot in known_in_boot:
            assert abs(key - true_ms) <= 6000


@given(packets(max_boots=1, damage=False), st.integers(1, 29))
def test_sorts_a_ring_into_chronological_order(made: Packets, by: int) -> None:
    number = len(made.boot)
    by %= number
    times: list[int | None] = [*made.t_spacecraft_s]
    if all(gps_ms is None for gps_ms in made.gps_ms):
        made.gps_ms = [*made.true_gps_ms]
    ring_s, ring_gps_ms = rotated(times, by), rotated(made.gps_ms, by)
    sorted_positions = order([t for t in ring_s if t is not None], ring_gps_ms)
    # Both parts of a clock that fell back to its start count as boots, and a part without GPS time keeps its place.
    if all(any(gps_ms is not None for gps_ms in part) for part in (made.gps_ms[by:], made.gps_ms[:by])):
        assert [(position + by) % number for position in sorted_positions] == list(range(number))


@given(st.lists(st.integers(0, 2**32 - 1), max_size=60))
def test_without_any_gps_time_the_file_keeps_its_order(t_spacecraft_s: list[int]) -> None:
    assert order(t_spacecraft_s, [None] * len(t_spacecraft_s)) == list(range(len(t_spacecraft_s)))


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.none() | st.integers(0, 2**45)), max_size=60))
def test_returns_keys_for_random_input(times: list[tuple[int, int | None]]) -> None:
    assert sorted(order([t for t, _ in times], [gps_ms for _, gps_ms in times])) == list(range(len(times)))


@pytest.mark.parametrize("weeks", [-1, 1])
@pytest.mark.parametrize(("first", "number"), [(0, 3), (0, 5), (20, 5), (35, 5)])
def test_successive_wrong_weeks_do_not_move_their_records(weeks: int, first: int, number: int) -> None:
    times_s = [SPACECRAFT_RESTART_S + 1000 + 25 * k for k in range(40)]
    right = [1000 * t + OFFSET_MS for t in times_s]
    wrong = [g + 604_800_000 * weeks * (first <= k < first + number) for k, g in enumerate(right)]
    assert keys(times_s, [*wrong]) == right


def test_times_before_and_after_the_clock_was_set_are_kept() -> None:
    times_s = [5000 + 25 * k + 700_000 * (k >= 30) for k in range(40)]
    right = [1000 * (5000 + 25 * k) + OFFSET_MS for k in range(40)]
    assert keys(times_s, [*right]) == right


@pytest.mark.parametrize("position", [0, 5, 9])
@pytest.mark.parametrize("error_ms", [604_800_000, -(2**40), 2**20])
def test_one_corrupt_gps_time_is_replaced_by_the_map(position: int, error_ms: int) -> None:
    t_spacecraft_s = list(range(5000, 5250, CADENCE_S))
    true_ms = [1000 * t + OFFSET_MS for t in t_spacecraft_s]
    gps_ms: list[int | None] = [*true_ms]
    gps_ms[position] = true_ms[position] + error_ms
    assert keys(t_spacecraft_s, gps_ms) == true_ms


@pytest.mark.parametrize("gps_known", [True, False])
@pytest.mark.parametrize("bit", [6, 16, 29, 31])
def test_one_corrupt_spacecraft_time_takes_its_predecessors_key(bit: int, *, gps_known: bool) -> None:
    t_spacecraft_s = list(range(2_000_000_000, 2_000_000_250, CADENCE_S))
    expected = [1000 * t + OFFSET_MS for t in t_spacecraft_s]
    gps_ms: list[int | None] = [*expected]
    if not gps_known:
        gps_ms[5] = None
    t_spacecraft_s[5] ^= 1 << bit
    expected[5] = expected[4]
    assert keys(t_spacecraft_s, gps_ms) == expected or (bit == 6 and order(t_spacecraft_s, gps_ms) == list(range(10)))


def test_swapped_records_are_put_right_with_and_without_gps_time() -> None:
    t_spacecraft_s = [5000, 5025, 5075, 5050, 5100, 5125, 5175, 5150, 5200, 5225]
    gps_ms: list[int | None] = [1000 * t + OFFSET_MS for t in t_spacecraft_s]
    gps_ms[6] = gps_ms[7] = None
    assert order(t_spacecraft_s, gps_ms) == [0, 1, 3, 2, 4, 5, 7, 6, 8, 9]


def test_jitter_does_not_swap_records_that_follow_within_seconds() -> None:
    t_spacecraft_s = [5000, 5004, 5003, 5001, 5006, 5004, 5009]
    gps_ms: list[int | None] = [1000 * 5000 + OFFSET_MS, None, None, None, None, None, None]
    assert order(t_spacecraft_s, gps_ms) == list(range(7))


def test_a_boot_without_gps_time_keeps_its_place() -> None:
    boots = [range(9000, 9100, 25), range(60, 160, 25), range(50, 150, 25)]
    t_spacecraft_s = [SPACECRAFT_RESTART_S + t for boot in boots for t in boot]
    gps_ms: list[int | None] = [1000 * t + OFFSET_MS for t in t_spacecraft_s]
    gps_ms[4:8] = [None] * 4
    gps_ms[8:] = [1000 * t + OFFSET_MS + 90_000_000 for t in t_spacecraft_s[8:]]
    assert order(t_spacecraft_s, gps_ms) == list(range(12))


def test_rejects_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="t_spacecraft_s"):
        sort_key_gps_ms([1, 2], [1])


def test_the_recorded_sense_file_is_a_ring_whose_newest_record_stands_first() -> None:
    times = recorded_sense_times()
    assert order([t for t, _ in times], [gps_ms for _, gps_ms in times]) == [*range(1, 33), 0]


def test_the_recorded_range_file_keeps_its_order_across_the_restart() -> None:
    times = recorded_range_times()
    assert order([t for t, _ in times], [gps_ms for _, gps_ms in times]) == list(range(len(times)))

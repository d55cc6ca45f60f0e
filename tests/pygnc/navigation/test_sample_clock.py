"""Readings of the spacecraft clock from which the time of a sample follows."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.navigation.sample_clock import OFFSET_STEP_MS, SampleClock

T0_S = 946_689_950
GPS0_MS = 1_426_463_638_000
OFFSET_MS = GPS0_MS - 1000 * T0_S


def known_clock() -> SampleClock:
    clock = SampleClock()
    for k in range(4):
        clock.observe(T0_S + 25 * k, GPS0_MS + 25_000 * k)
    return clock


def test_accepts_no_time_before_gps_packets_agree() -> None:
    clock = SampleClock()
    assert not clock.is_continuous(T0_S)
    assert clock.gps_ms(T0_S) is None
    assert [clock.observe(T0_S + 25 * k, GPS0_MS + 25_000 * k) for k in range(3)] == [False, False, True]
    assert clock.reference_s == T0_S + 50


@given(step_s=st.integers(-(10**9), 10**9))
def test_only_small_steps_are_continuous(step_s: int) -> None:
    clock = known_clock()
    assert clock.reference_s is not None
    assert clock.is_continuous(clock.reference_s + step_s) == (-7 <= step_s <= 16)


def test_the_offset_does_not_follow_small_changes_of_the_map() -> None:
    clock = known_clock()
    for k in range(4, 60):
        clock.observe(T0_S + 25 * k, GPS0_MS + 25_000 * k + 8 * (k - 3))
    gps_ms = clock.gps_ms(T0_S)
    assert gps_ms is not None
    assert gps_ms == GPS0_MS  # the map has moved by some 300 ms
    for k in range(60, 140):
        clock.observe(T0_S + 25 * k, GPS0_MS + 25_000 * k + 8 * (k - 3))
    moved = clock.gps_ms(T0_S)
    assert moved is not None
    assert OFFSET_STEP_MS < moved - GPS0_MS < 2 * OFFSET_STEP_MS


def test_accepts_a_new_boot_once_gps_packets_agree() -> None:
    clock = known_clock()
    believed = [clock.observe(946_684_900 + 25 * k, GPS0_MS + 500_000 + 25_000 * k) for k in range(4)]
    assert believed == [False, False, True, True]
    assert clock.gps_ms(946_684_900) == GPS0_MS + 500_000


def test_a_boot_without_gps_time_has_no_time() -> None:
    clock = known_clock()
    for k in range(4):
        clock.observe(946_684_900 + 25 * k, None)
    clock.settle(946_684_975)
    assert clock.reference_s is None
    assert clock.gps_ms(946_684_975) is None


def test_uses_the_map_after_a_gap_without_gps() -> None:
    clock = known_clock()
    clock.settle(T0_S + 9_000)
    assert clock.is_continuous(T0_S + 9_005)
    assert clock.gps_ms(T0_S + 9_000) == GPS0_MS + 9_000_000


@pytest.mark.parametrize("observations", [0, 1, 3])
def test_continues_from_a_checkpoint(observations: int) -> None:
    clock = SampleClock()
    for k in range(observations):
        clock.observe(T0_S + 25 * k, GPS0_MS + 25_000 * k)
    other = msgspec.msgpack.decode(msgspec.msgpack.encode(clock), type=SampleClock)
    assert other == clock
    assert other.gps_ms(T0_S) == clock.gps_ms(T0_S)

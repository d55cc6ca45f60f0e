"""Device time, gaps and missing readings over interruptions."""

import random

import numpy as np
import pytest

from pygnc_devices.cadence import Cadence
from pygnc_devices.continuity import Continuity, DeviceClock, UnitClock
from pygnc_devices.declaration import Packet
from pygnc_devices.reading import Reading

MS = 1_000_000
KINDS = {name: Packet(name, ()) for name in ("S1", "A1")}


def reading(host_ms: float, device_ms: float | None = None, *, kind: str = "S1", lost: int = 0) -> Reading:
    device_ns = None if device_ms is None else round(device_ms * MS)
    return Reading(KINDS[kind], b"", {}, round(host_ms * MS), 0, device_ns, lost)


def started(*, has_clock: bool = True) -> Continuity:
    """Return a continuity with readings at 0, 10 ... 90 ms."""
    continuity = Continuity()
    for k in range(10):
        continuity.follow(reading(1000 + 10 * k, 10 * k if has_clock else None))
    return continuity


def test_readings_of_an_uninterrupted_connection_are_unchanged() -> None:
    continuity = Continuity()
    for entry in (reading(0.0, 5.0), reading(11.0, 15.0, lost=2), reading(11.0, kind="A1"), reading(12.0, kind="A1")):
        assert continuity.follow(entry) is entry


def test_the_clock_of_a_unit_that_kept_running_counts_the_missing_readings() -> None:
    continuity = started()
    continuity.interrupt()
    found = continuity.follow(reading(2096, 1090))  # delivered 6 ms late
    assert (found.t_device_ns, found.lost_before, found.gap_ns) == (1090 * MS, 99, 1006 * MS)
    after = continuity.follow(reading(2100, 1100))
    assert (after.t_device_ns, after.lost_before, after.gap_ns) == (1100 * MS, 0, 0)


@pytest.mark.parametrize("restarts_at_ms", [0, 20, 90, 100_000])
def test_the_host_clock_continues_the_time_of_a_new_driver(restarts_at_ms: int) -> None:
    continuity = started()
    continuity.interrupt(has_new_clock=True)
    found = continuity.follow(reading(3090, restarts_at_ms))
    assert found.is_estimate
    assert (found.t_device_ns, found.lost_before, found.gap_ns) == (2090 * MS, 199, 2000 * MS)
    assert continuity.follow(reading(3100, restarts_at_ms + 10)).t_device_ns == 2100 * MS


def test_the_host_clock_bridges_the_time_until_the_new_clock_is_known() -> None:
    continuity = started()
    continuity.interrupt()
    times = [continuity.follow(entry).t_device_ns for entry in (reading(2090), reading(2100), reading(2110, 20))]
    assert times == [1090 * MS, 1100 * MS, 1110 * MS]
    assert continuity.follow(reading(2121, 30)).t_device_ns == 1120 * MS


def test_readings_without_device_time_are_counted_by_arrival() -> None:
    continuity = started(has_clock=False)
    continuity.interrupt()
    found = continuity.follow(reading(2090))
    assert (found.t_device_ns, found.lost_before, found.gap_ns) == (None, 99, 1000 * MS)


def test_losses_before_the_interruption_do_not_change_the_rate() -> None:
    continuity = Continuity()
    for k in (0, 1, 5, 6):
        continuity.follow(reading(10 * k, 10 * k, lost=3 if k == 5 else 0))
    continuity.interrupt()
    assert continuity.follow(reading(160, 160)).lost_before == 9


def test_a_second_interruption_uses_the_rate_before_the_first() -> None:
    continuity = started()
    continuity.interrupt()
    continuity.follow(reading(2090, 1090))
    continuity.interrupt()
    assert continuity.follow(reading(2590, 1590)).lost_before == 49


def test_nothing_is_estimated_from_fewer_than_four_readings() -> None:
    continuity = Continuity()
    for k in range(3):
        continuity.follow(reading(10 * k))
    continuity.interrupt()
    found = continuity.follow(reading(1000))
    assert (found.lost_before, found.gap_ns) == (0, 980 * MS)


def test_a_kind_of_packet_that_begins_after_the_interruption_has_no_gap() -> None:
    continuity = started()
    continuity.interrupt()
    entry = reading(2090, 5, kind="A1")
    assert not continuity.is_same_kind(entry)
    assert continuity.follow(entry) is entry
    assert continuity.is_same_kind(entry)
    assert continuity.follow(reading(2095, 1095)).gap_ns == 1005 * MS


@pytest.mark.parametrize("rate", [0.8, 0.97, 0.9995, 1.0005])
def test_a_clock_that_is_slow_or_fast_misses_no_wraps(rate: float) -> None:
    clock = DeviceClock(1 << 16)
    tick_ns = 1e9 / (1 << 16)
    total = 0
    for k in [*range(20_000), *range(20_330, 21_000)]:  # 10 Hz, with a silence of 33 s
        total = round(k * 0.1 * rate * (1 << 16))
        clock.advance(total % (1 << 16), tick_ns, k * 100_000_000)
    # A silence has a whole number of wraps by the host's clock, of which the device's differs.
    assert clock.total == pytest.approx(total, abs=round(33.0 * abs(rate - 1.0)) << 16)


def test_a_second_silence_does_not_hide_the_first() -> None:
    clock = DeviceClock(1 << 16)
    arrivals = [*range(200), *range(550, 700), *range(850, 1400)]  # 100 Hz, silences of 3.5 s and 1.5 s
    for k in arrivals:
        clock.advance(round(k / 100 * (1 << 16)) % (1 << 16), 1e9 / (1 << 16), k * 10_000_000)
    assert clock.total == round(13.99 * (1 << 16))


@pytest.mark.parametrize("late_s", [1.0, 4.0])
def test_counts_of_a_young_clock_that_a_line_held_and_still_delays_are_exact(late_s: float) -> None:
    clock = DeviceClock(1 << 32)
    for k in range(1200):  # 100 Hz for 3 s; then held for 4 s, which is longer than the clock has run, and then late
        delay_s = 4.0 if 3.0 <= 0.01 * k < 3.0 + late_s else 0.0
        clock.advance(round(625 * k), 16_000.0, round((0.01 * k + delay_s) * 1e9))
        assert not clock.is_estimate
    assert clock.total == 625 * 1199


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("modulus", [1 << 13, 1 << 40, 1 << 64])
def test_steady_times_are_followed_at_once_as_one_by_one(seed: int, modulus: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - repeatable
    single, steady = (UnitClock("clock", 1, modulus, {}) for _ in range(2))
    singles, steadies = Cadence(), Cadence()
    count, at_once = dice.randrange(1000), 0
    for _ in range(60):
        longest = 990 + dice.choice([0, 20, 80, 2000])
        counts = np.array([(count := count + dice.randint(990, longest)) % modulus for _ in range(40)])
        expected = [(time, singles.missing(time)) for time in (single.time_ns(int(one), None) for one in counts)]
        times_ns = steady.steady_times_ns(counts)
        if times_ns is not None and steadies.is_steady(times_ns):
            at_once += 1
            steady.go_to(int(times_ns[-1]))
            found = [(time, 0) for time in times_ns.tolist()]
        else:
            found = [(time, steadies.missing(time)) for time in (steady.time_ns(int(one), None) for one in counts)]
        assert found == expected
        assert vars(steadies) == vars(singles)
    assert at_once


def timer_counts(gap_s: float, *, restarts: bool) -> tuple[float, float]:
    """Return the time by a timer of 16 bits and 65536 ticks per second, and the true time, s, 5 s after a gap."""
    clock = DeviceClock(1 << 16)
    before_s = [0.01 * k for k in range(500)]
    after_s = [before_s[-1] + gap_s + 0.01 * k for k in range(500)]
    for at_s in before_s:
        clock.advance(round(65536 * at_s) % 65536, 1e9 / 65536, round(1e9 * (at_s + 0.002)))
    clock.interrupt()
    for k, at_s in enumerate(after_s):
        ticks = round(65536 * (0.01 * k if restarts else at_s))
        clock.advance(ticks % 65536, 1e9 / 65536, round(1e9 * (at_s + 0.002 + 0.001 * (k % 3))))
    return clock.total / 65536, after_s[-1]


@pytest.mark.parametrize("gap_s", [0.31, 0.85, 1.12, 2.5, 3.7, 40.4])
def test_a_short_timer_that_has_restarted_is_continued_by_the_hosts_clock(gap_s: float) -> None:
    found_s, true_s = timer_counts(gap_s, restarts=True)
    assert found_s == pytest.approx(true_s, abs=0.11)


@pytest.mark.parametrize("gap_s", [0.31, 0.85, 1.12, 2.5, 3.7, 40.4])
def test_a_short_timer_that_has_run_on_is_exact(gap_s: float) -> None:
    found_s, true_s = timer_counts(gap_s, restarts=False)
    assert found_s == pytest.approx(true_s, abs=1e-4)


def restarted(gap_s: float, late_s: float, up_s: float) -> tuple[float, int, bool]:
    """Return error of the time, s, of rows and losses, and True if marked: a unit of 3 s restarts in a gap of its line.

    Args:
        gap_s: time without readings, s.
        late_s: time for which the line holds the first readings after the gap, s.
        up_s: time of the unit's clock at the first of them, s.
    """
    clock, cadence = UnitClock("x", 1, 1 << 64, {}), Cadence()
    resumed_s, rows, lost, is_marked, time_ns = 3.0 + gap_s, 0, 0, False, 0
    last_sent_s = resumed_s + 5.0
    times_s = [0.01 * k for k in range(300)] + [resumed_s + 0.01 * k for k in range(501)]
    for k, at_s in enumerate(times_s):
        if at_s == resumed_s:
            clock.interrupt()
            cadence.interrupt()
        is_new = at_s >= resumed_s
        arrival_s = max(at_s, resumed_s + late_s) if is_new else at_s
        count_ns = round(1e9 * (at_s - resumed_s + up_s if is_new else at_s))
        time_ns = clock.time_ns(count_ns, round(1e9 * (arrival_s + 0.001 + 0.001 * (k % 3)))) or 0
        lost += cadence.missing(time_ns)
        rows += 1
        is_marked |= clock.is_estimate
    sent = 1 + round(100 * last_sent_s)
    return 1e-9 * time_ns - last_sent_s, rows + lost - sent, is_marked


@pytest.mark.parametrize("late_s", [0.0, 0.03, 0.1, 0.2])
@pytest.mark.parametrize("gap_s", [0.504, 2.5, 2.508])
def test_late_readings_after_a_restart_are_not_counted_as_missing(gap_s: float, late_s: float) -> None:
    error_s, difference, is_marked = restarted(gap_s, late_s, up_s=0.02)
    assert abs(error_s) < 0.005
    assert abs(difference) <= (0 if gap_s == 2.5 else 1)
    assert is_marked


@pytest.mark.parametrize("up_s", [2.9, 3.0, 3.1, 3.2])
def test_a_restarted_clock_that_has_reached_its_old_time_by_chance_is_recognised(up_s: float) -> None:
    error_s, difference, is_marked = restarted(3.3, 0.0, up_s)
    assert abs(error_s) < 0.005
    assert abs(difference) <= 1
    assert is_marked

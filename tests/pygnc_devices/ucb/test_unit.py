import pytest

from pygnc_devices.ucb.framing import scan
from pygnc_devices.ucb.unit import PACKETS, PacketClock, Tick
from tests.reference import recording

RATES_HZ = [200, 100, 50, 25, 20, 10, 5, 4, 2]


def run(kind: str, words: list[int], period_ns: int | None = None) -> tuple[PacketClock, list[tuple[int | None, int]]]:
    clock = PacketClock(PACKETS[kind])
    return clock, [clock.advance(word, period_ns, None) for word in words]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("start", [0, 65000])
def test_distinguishes_timer_packet_count_and_milliseconds(rate_hz: int, start: int) -> None:
    times_s = [k / rate_hz for k in range(40)]
    timer, readings = run("S1", [(start + round(t * 65536)) % 65536 for t in times_s])
    assert timer.tick is Tick.TIMER
    assert readings[-1][0] == pytest.approx(times_s[-1] * 1e9, abs=16_000)
    assert run("S1", [(start + k) % 65536 for k in range(40)])[0].tick is Tick.PACKET
    itow, readings = run("S0", [(start + round(t * 1000)) % 65536 for t in times_s])
    assert itow.tick is Tick.MILLISECOND
    assert readings[-1][0] == pytest.approx(times_s[-1] * 1e9, abs=1e6)
    assert not any(lost for _, lost in readings)


def test_missing_packets_are_counted() -> None:
    assert run("S1", [65530, 65531, 65532, 65533, 1, 2])[1][4][1] == 3
    assert run("S1", [0, 655, 1311, 1966, 2621, 5243, 5898])[1][5][1] == 3


def test_a_packet_count_gives_time_once_the_period_is_known() -> None:
    assert run("S1", [5, 6, 7, 8, 10], 10_000_000)[1][-1] == (50_000_000, 1)
    assert run("S1", [5, 6, 7, 8, 10])[1][-1] == (None, 1)


def test_bridges_a_gap_of_seconds_by_the_host_clock() -> None:
    clock = PacketClock(PACKETS["S1"])
    for k in range(10):
        clock.advance(k * 655 % 65536, None, k * 10_000_000)
    # Whole seconds are missing, once it is certain that the line does not deliver what it has held.
    after = range(9 + 430, 9 + 430 + 250)
    found = [clock.advance(k * 65536 // 100 % 65536, None, k * 10_000_000) for k in after]
    assert found[-1][0] == pytest.approx(after[-1] * 1e7, abs=2e6)
    assert sum(lost for _, lost in found) == 429


def test_a_packet_count_is_bridged_over_a_reconnection() -> None:
    clock = PacketClock(PACKETS["S1"])
    for k in range(10):
        clock.advance(k, 10_000_000, k * 10_000_000)
    clock.resume()
    count = 9 + 65536 + 100
    assert clock.advance(count % 65536, 10_000_000, count * 10_000_000 + 5_000_000) == (count * 10_000_000, 65_635)


def test_the_clock_of_another_unit_is_identified_again() -> None:
    clock = PacketClock(PACKETS["S1"])
    for k in range(10):
        clock.advance(k * 65536 // 100, 10_000_000, k * 10_000_000)
    clock.resume()
    times_ns = [clock.advance(k, 10_000_000, (100 + k) * 10_000_000)[0] for k in range(10)]
    assert clock.tick is Tick.PACKET
    assert times_ns[-2:] == [50_000_000, 60_000_000]


def test_packets_delayed_by_a_busy_computer_do_not_count_as_missing() -> None:
    clock = PacketClock(PACKETS["S1"])
    for k in range(10):
        clock.advance(k * 65536 // 100 % 65536, None, k * 10_000_000)
    found = [clock.advance(k * 65536 // 100 % 65536, None, 800_000_000) for k in range(10, 80)]
    assert not any(lost for _, lost in found)
    assert found[-1][0] == pytest.approx(790e6, abs=1e5)


@pytest.mark.parametrize(("kind", "ticks"), [("S1", 1), ("A1", 10)])
def test_a_restart_of_the_unit_does_not_count_as_lost_packets(kind: str, ticks: int) -> None:
    clock = PacketClock(PACKETS[kind])
    words = [*range(5000, 5010), *range(300)]
    found = [clock.advance(word * ticks, 10_000_000, k * 10_000_000) for k, word in enumerate(words)]
    assert [lost for _, lost in found] == [0] * 310
    assert found[-1][0] == pytest.approx(3_090_000_000, abs=1_000_000)


def test_a_new_rate_does_not_change_earlier_times() -> None:
    clock = PacketClock(PACKETS["S1"])
    for word in range(11):
        time_ns, _ = clock.advance(word, 10_000_000, None)
    assert time_ns == 100_000_000
    clock.reset_rate()
    assert clock.advance(11, 20_000_000, None)[0] == 120_000_000


def test_the_end_of_the_week_is_a_wrap() -> None:
    _, readings = run("A1", [604_799_970, 604_799_980, 604_799_990, 0, 10])
    assert readings[-1] == (40_000_000, 0)


def test_z1_counts_microseconds_in_the_recording() -> None:
    octets = recording("../aceinna/openimu_z1.raw").read_bytes()
    packet = PACKETS["z1"]
    words = [int(packet.decode(frame.payload)["time_ticks"]) for frame in scan(octets).frames]
    clock, readings = run("z1", words)
    assert clock.tick is Tick.MICROSECOND
    assert sum(lost for _, lost in readings) == 0
    assert readings[-1][0] == pytest.approx(2126 * 1e7, rel=0.01)


def test_the_counter_of_the_recorded_imu_is_a_timer_at_20_hz() -> None:
    octets = recording("../aceinna/dmu380_s1.raw").read_bytes()
    packet = PACKETS["S1"]
    clock, readings = run("S1", [int(packet.decode(frame.payload)["counter"]) for frame in scan(octets).frames])
    assert clock.tick is Tick.TIMER
    assert readings[-1][0] == pytest.approx(1001 * 50e6, rel=1e-3)

"""Times of measurement: a device's clock compared with jittery arrivals."""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from pygnc_devices.clock_line import ClockLine, Measured
from pygnc_devices.declaration import Packet
from pygnc_devices.reading import Reading

FloatArray: TypeAlias = NDArray[np.float64]
PACKET = Packet("x", (), meaning="")
RATE_HZ = 50.0
FLOOR_S = 1e-3


def reading(at_s: float, device_s: float | None, *, is_estimate: bool = False) -> Reading:
    device_ns = None if device_s is None else round(1e9 * device_s)
    return Reading(PACKET, b"", {}, round(1e9 * at_s), 0, device_ns, is_estimate=is_estimate)


def followed(clock: ClockLine, readings: Iterable[Reading]) -> list[Measured]:
    found = [clock.follow(entry) for entry in readings]
    return [entry for entry in found if entry is not None]


def arrivals(times_s: FloatArray, seed: int) -> FloatArray:
    """Arrivals over an adapter that delays by 1 to 4 ms."""
    jitter_s = np.random.default_rng(seed).uniform(0.0, 3e-3, len(times_s))
    return times_s + FLOOR_S + jitter_s


def errors_s(found: list[Measured], times_s: FloatArray) -> FloatArray:
    found_s: FloatArray = np.array([entry.time_ns for entry in found]) * 1e-9
    return found_s - times_s - FLOOR_S


def test_jitter_hardly_moves_the_time_of_a_measurement() -> None:
    times_s = np.arange(0.0, 120.0, 1.0 / RATE_HZ)
    clock = ClockLine()
    found = followed(clock, map(reading, arrivals(times_s, 1), times_s * (1.0 + 40e-6)))
    settled = times_s > 30.0
    errors = errors_s(found, times_s)[settled]
    sigmas = np.array([entry.sigma_ns for entry in found])[settled] * 1e-9
    assert np.sqrt(np.mean(errors**2)) < 5e-5
    assert np.mean((errors / sigmas) ** 2) < 4.0
    assert clock.rate is not None
    assert clock.rate[0] == pytest.approx(40e-6, abs=5e-6)


def test_a_line_that_holds_readings_does_not_delay_their_times() -> None:
    times_s = np.arange(0.0, 60.0, 1.0 / RATE_HZ)
    held_s = arrivals(times_s, 2)
    held_s[(held_s >= 20.0) & (held_s < 30.0)] = 30.0
    found = followed(ClockLine(), map(reading, held_s, times_s))
    assert np.abs(errors_s(found, times_s)[times_s > 10.0]).max() < 5e-4


@pytest.mark.parametrize(("held_s", "until_s"), [(10.0, 70.0), (6.0, 66.0), (5.0, 95.0)])
def test_a_line_that_is_held_most_of_the_time_does_not_change_the_rate(held_s: float, until_s: float) -> None:
    times_s = np.arange(0.0, until_s + 9.0, 1.0 / RATE_HZ)
    at_s = arrivals(times_s, 3)
    at_s[(at_s >= held_s) & (at_s < until_s)] = until_s
    clock = ClockLine()
    found = followed(clock, map(reading, at_s, times_s * (1.0 + 40e-6)))
    assert clock.rate is not None
    assert clock.rate[0] == pytest.approx(40e-6, abs=1e-4)
    assert np.abs(errors_s(found, times_s)[times_s > until_s + 2.0]).max() < 1e-2


def test_readings_that_were_held_at_the_start_are_uncertain_by_as_much() -> None:
    times_s = np.arange(0.0, 10.0, 1.0 / RATE_HZ)
    found = followed(ClockLine(), map(reading, np.maximum(arrivals(times_s, 3), 2.0), times_s))
    sigmas_s = np.array([entry.sigma_ns for entry in found]) * 1e-9
    assert np.all(np.abs(errors_s(found, times_s)) < 3.0 * sigmas_s + FLOOR_S)
    assert sigmas_s[-1] < 1e-3


def test_a_restarted_clock_begins_a_new_line() -> None:
    clock = ClockLine()
    times_s = np.arange(0.0, 20.0, 1.0 / RATE_HZ)
    followed(clock, map(reading, arrivals(times_s, 3), times_s))
    after_s = 25.0 + times_s
    device_s = after_s - 0.7  # the host's clock has bridged the restart, with an error
    restarted = reading(after_s[0] + 2.5e-3, device_s[0], is_estimate=True)
    found = followed(clock, [restarted, *map(reading, arrivals(after_s, 4)[1:], device_s[1:])])
    assert found[0].sigma_ns >= 1e9
    assert np.abs(errors_s(found, after_s)[times_s > 10.0]).max() < 5e-4


def test_a_clock_whose_missing_seconds_are_added_later_begins_a_new_line() -> None:
    clock = ClockLine()
    times_s = np.arange(0.0, 20.0, 1.0 / RATE_HZ)
    device_s = np.where(times_s < 10.0, times_s, np.where(times_s < 12.0, times_s - 3.0, times_s))
    device_s[times_s >= 10.0] += 5.0
    after_s = np.where(times_s < 10.0, times_s, times_s + 5.0)
    entries = [reading(at_s, own_s) for at_s, own_s in zip(arrivals(after_s, 5), device_s, strict=True)]
    begin = int(np.argmax(times_s >= 10.0))
    entries[begin] = replace(entries[begin], gap_ns=round(5e9))
    found = followed(clock, entries)
    assert np.abs(errors_s(found, after_s)[times_s > 13.0]).max() < 5e-3


def test_a_device_without_a_clock_has_no_time_of_measurement() -> None:
    clock = ClockLine()
    assert clock.follow(reading(1.0, None)) is None
    assert clock.rate is None


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(0.0, 50.0), st.floats(0.0, 5.0), st.booleans()), max_size=120))
def test_times_never_decrease_and_no_reading_is_measured_after_its_arrival(
    steps: list[tuple[float, float, bool]],
) -> None:
    clock, device_s, host_s = ClockLine(), 0.0, 0.0
    newest_ns = 0
    for step_s, delay_s, is_estimate in steps:
        device_s += step_s
        host_s = max(host_s, device_s + delay_s)
        measured = clock.follow(reading(host_s, device_s, is_estimate=is_estimate))
        assert measured is not None
        assert newest_ns <= measured.time_ns <= round(1e9 * host_s)
        assert measured.sigma_ns > 0
        newest_ns = measured.time_ns

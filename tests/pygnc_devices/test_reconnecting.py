"""Devices that are missing at first, lose readings or fail."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from pygnc_devices.declaration import Packet
from pygnc_devices.errors import DeviceError, PortBusyError, PortError
from pygnc_devices.reading import Reading
from pygnc_devices.reconnecting import ReconnectingDevice
from pygnc_system.backoff import Backoff

KIND = Packet("S1", ())


class FakeSubscription:
    def __init__(self, entries: list[Reading | Exception]) -> None:
        self.entries = entries
        self.is_over = False

    def take(self, _: float) -> Reading | None:
        entry = self.entries.pop(0) if self.entries else None
        if isinstance(entry, Exception):
            raise entry
        return entry


class FakeDevice:
    url = "port"

    def __init__(self, *entries: Reading | Exception) -> None:
        self.is_connected = True
        self.is_closed = False
        self.subscription = FakeSubscription(list(entries))
        self.subscribe = lambda *_: self.subscription

    def close(self) -> None:
        self.is_closed = True


class Bench:
    """Device whose opener returns or raises the given results in turn, with a record of its events."""

    def __init__(self, *results: FakeDevice | Exception, **options: Any) -> None:  # noqa: ANN401 - any option
        self.events: list[str] = []
        remaining: Iterator[FakeDevice | Exception] = iter(results)

        def opener() -> Any:  # noqa: ANN401 - stands for a device
            result = next(remaining)
            if isinstance(result, Exception):
                raise result
            return result

        self.device = ReconnectingDevice(
            opener, lambda severity, _: self.events.append(severity), lambda: None, Backoff([0.0]), **options
        )


def reading(t_s: float, lost_before: int = 0) -> Reading:
    return Reading(KIND, b"", {}, round(t_s * 1e9), 0, lost_before=lost_before)


def test_retries_until_the_port_appears_and_reports_the_first_failure_only() -> None:
    bench = Bench(PortError("missing"), OSError("missing"), FakeDevice())
    assert [bench.device.connect() for _ in range(4)] == [False, False, True, False]
    assert bench.events == ["warning", "warning"]


def test_waits_for_the_delay_before_it_tries_again() -> None:
    bench = Bench(PortError("missing"), FakeDevice())
    bench.device._backoff = Backoff([1000.0])
    assert [bench.device.connect() for _ in range(3)] == [False, False, False]


@pytest.mark.parametrize("error", [PortBusyError("busy"), DeviceError("option"), ValueError("option")])
def test_raises_errors_that_a_retry_cannot_remove(error: Exception) -> None:
    with pytest.raises(type(error)):
        Bench(error, fatal=(PortBusyError,)).device.connect()


def test_reports_that_the_port_disappears_and_is_back() -> None:
    fake = FakeDevice()
    bench = Bench(fake)
    bench.device.connect()
    for is_connected in (True, False, False, True):
        fake.is_connected = is_connected
        bench.device.connect()
    assert bench.events == ["info", "warning", "warning"]


def test_opens_the_device_again_after_its_driver_has_failed() -> None:
    failing, healthy = FakeDevice(reading(0.0), RuntimeError("driver")), FakeDevice(reading(1.0))
    bench = Bench(failing, healthy)
    bench.device.connect()
    assert [item.t_mono_ns for item in bench.device.take()] == [0]
    assert failing.is_closed
    assert bench.device.connect()
    assert [item.t_mono_ns for item in bench.device.take()] == [10**9]


def test_time_continues_when_the_device_is_opened_again() -> None:
    def stamped(t_s: float, device_s: float) -> Reading:
        return Reading(KIND, b"", {}, round(t_s * 1e9), 0, round(device_s * 1e9))

    failing = FakeDevice(*(stamped(0.1 * k, 7.0 + 0.1 * k) for k in range(10)), RuntimeError("driver"))
    bench = Bench(failing, FakeDevice(stamped(2.9, 0.0), stamped(3.0, 0.1)), interval_s=0.3)
    bench.device.connect()
    before = list(bench.device.take())
    bench.device.connect()
    gap, *_ = after = list(bench.device.take())
    assert [item.t_device_ns for item in [*before, *after]] == [
        7_000_000_000 + round(t * 1e9) for t in (0, 0.3, 0.6, 0.9, 2.9)
    ]
    assert (gap.gap_ns, gap.lost_before) == (2_000_000_000, 19)


def test_thins_readings_on_a_grid_that_does_not_drift() -> None:
    times_s = [0.0, 0.13, 0.49, 0.52, 0.9, 1.03, 1.04, 1.6, 3.4, 3.6]
    bench = Bench(FakeDevice(*map(reading, times_s)), interval_s=0.5, on_grid=True)
    bench.device.connect()
    assert [item.t_mono_ns / 1e9 for item in bench.device.take()] == [0.0, 0.49, 0.9, 1.6, 3.4, 3.6]


@pytest.mark.parametrize("rate_hz", [2.0, 10.0, 100.0])
@pytest.mark.parametrize("on_grid", [True, False])
def test_keeps_one_reading_per_interval_of_a_faster_device(rate_hz: float, on_grid: bool) -> None:  # noqa: FBT001
    draw = random.Random(3)  # noqa: S311 - not for secrets
    times_s = [(k + draw.uniform(-0.1, 0.1)) / rate_hz for k in range(round(20 * rate_hz))]
    bench = Bench(FakeDevice(*map(reading, times_s)), interval_s=1.0, on_grid=on_grid, depth=len(times_s))
    bench.device.connect()
    assert 20 <= len(list(bench.device.take())) <= 21


@pytest.mark.parametrize("clock", [0.999, 1.0, 1.001])
@pytest.mark.parametrize("jitter_s", [0.02, 0.2])
def test_loses_no_reading_of_a_device_that_sends_one_per_interval(clock: float, jitter_s: float) -> None:
    draw = random.Random(5)  # noqa: S311 - not for secrets
    times_s = [clock * k + draw.uniform(-jitter_s, jitter_s) for k in range(600)]
    bench = Bench(FakeDevice(*map(reading, times_s)), interval_s=1.0, depth=600)
    bench.device.connect()
    assert len(list(bench.device.take())) == 600


def test_counts_losses_before_readings_that_it_leaves_out() -> None:
    bench = Bench(FakeDevice(reading(0.0, 1), reading(0.1, 2), reading(0.2, 3), reading(1.0, 4)), interval_s=1.0)
    bench.device.connect()
    assert [item.lost_before for item in bench.device.take()] == [1, 9]


def test_readings_can_be_taken_after_closing() -> None:
    fake = FakeDevice(reading(0.0))
    bench = Bench(fake)
    bench.device.connect()
    bench.device.close()
    assert fake.is_closed
    assert len(list(bench.device.take())) == 1

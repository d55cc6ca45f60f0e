"""The unit streams again after `quiet`, in every case."""

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pygnc_devices.errors import PortGoneError
from pygnc_devices.ucb.driver import AsyncUcb, Ucb
from pygnc_instruments.simulators.endpoints import FaultRates, PtyEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.pygnc_devices.conformance import is_soon

DIVIDER = 2


@pytest.fixture
def unit() -> UcbSimulator:
    return UcbSimulator(eeprom={1: DIVIDER})


def interrupt_in(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


def test_stops_and_restores_the_stream(device: Ucb, unit: UcbSimulator) -> None:
    with device.quiet():
        assert unit.ram[1] == 0
        assert device.read(0.1) is None
        assert device.get_fields([3]) == {3: 0x5331}
    assert unit.ram[1] == DIVIDER
    assert device.read(10.0) is not None


def test_an_exception_restores_the_rate(device: Ucb, unit: UcbSimulator) -> None:
    with pytest.raises(ZeroDivisionError), device.quiet():
        raise ZeroDivisionError
    assert unit.ram[1] == DIVIDER


def test_ctrl_c_restores_the_rate(device: Ucb, line: PtyEndpoint, unit: UcbSimulator) -> None:
    interrupt_in(0.3)
    with pytest.raises(KeyboardInterrupt), device.quiet():
        time.sleep(5)
    # On a busy computer Ctrl-C comes before the stream has stopped; the engine's thread then restores the rate later.
    assert line.wait_until(lambda: unit.ram[1] == DIVIDER)


def test_ctrl_c_during_the_restoration_does_not_prevent_it(
    device: Ucb, line: PtyEndpoint, unit: UcbSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    abort, quiet = device.engine.abort, device.quiet()

    def be_interrupted(task: Any) -> None:  # noqa: ANN401 - any task
        monkeypatch.setattr(device.engine, "abort", abort)
        abort(task)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), quiet:
        monkeypatch.setattr(device.engine, "abort", be_interrupted)
    assert line.wait_until(lambda: unit.ram[1] == DIVIDER)


@pytest.mark.parametrize("after_s", [0.0, 0.002, 0.005, 0.008, 0.05, 0.11, 0.115])
def test_ctrl_c_at_any_moment_restores_the_rate(line: PtyEndpoint, unit: UcbSimulator, after_s: float) -> None:
    with Ucb.open(line.url) as device:
        try:
            interruption = interrupt_in(after_s)
            with device.quiet():
                pass
            interruption.join()  # no exception may arrive after the test has stopped waiting
            time.sleep(0.01)
        except KeyboardInterrupt:
            pass
    assert unit.ram[1] == DIVIDER


def test_cancelling_restores_the_rate(line: PtyEndpoint, unit: UcbSimulator) -> None:
    async def hold(device: AsyncUcb) -> None:
        async with device.quiet():
            await asyncio.sleep(5)

    async def run() -> None:
        async with await AsyncUcb.open(line.url) as device:
            task = asyncio.create_task(hold(device))
            assert await asyncio.to_thread(line.wait_until, lambda: unit.ram[1] == 0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert unit.ram[1] == DIVIDER


def test_restores_the_rate_on_a_bad_line(unit: UcbSimulator, tmp_path: Path) -> None:
    faults = FaultRates(flipped=0.003)
    with PtyEndpoint(unit, tmp_path / "port", faults=faults, seed=8) as line, Ucb.open(line.url) as device:
        for _ in range(5):
            with device.quiet():
                pass
            assert unit.ram[1] == DIVIDER


def test_restores_the_rate_after_an_unplugging(device: Ucb, line: PtyEndpoint, unit: UcbSimulator) -> None:
    device.set_rate(25)
    quiet = device.quiet()
    quiet.__enter__()
    line.unplug()
    assert is_soon(lambda: not device.is_connected)
    with pytest.raises(PortGoneError):
        quiet.__exit__(None, None, None)
    line.plug_in()
    assert line.wait_until(lambda: unit.ram[1] == 4)


def test_a_unit_without_a_stream_stays_quiet(device: Ucb, unit: UcbSimulator) -> None:
    device.set_rate(0)
    with device.quiet():
        pass
    assert unit.ram[1] == 0

"""Firmware upgrades of a simulated unit: on good and bad lines, unplugged, interrupted, with other bootloaders."""

import asyncio
import logging
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygnc_devices.errors import AbortedError
from pygnc_devices.ucb.driver import AsyncUcb, Ucb
from pygnc_devices.ucb.firmware import (
    LONGEST_IMAGE,
    ImageError,
    NotConfirmedError,
    Phase,
    UpgradeError,
    UpgradeProgress,
    UpgradeSettings,
    check_image,
)
from pygnc_instruments.simulators.endpoints import FaultRates, PtyEndpoint
from pygnc_instruments.simulators.ucb_bootloader import make_image
from pygnc_instruments.simulators.ucb_unit import UcbSimulator

NEW = "IMU381ZA-400 5020-1383-01 11.00.00"
IMAGE = make_image(NEW, 3000)
QUICK = UpgradeSettings(enter_s=0.6, erase_s=0.6, block_s=0.1, start_s=2.0, port_s=10.0)


@pytest.fixture
def unit() -> UcbSimulator:
    return quick_unit()


def quick_unit() -> UcbSimulator:
    unit = UcbSimulator(restart_s=0.01)
    unit.bootloader.enter_s, unit.bootloader.erase_s = 0.02, 0.05
    return unit


@pytest.fixture
def line(unit: UcbSimulator, tmp_path: Path) -> Iterator[PtyEndpoint]:
    with PtyEndpoint(unit, tmp_path / "port") as line:
        yield line


class Listener:
    """Callback that stores the progress and acts at a number of bytes."""

    def __init__(self, at: int = -1, action: Any = None) -> None:  # noqa: ANN401 - any callable
        self.heard: list[UpgradeProgress] = []
        self._at, self._action = at, action

    def __call__(self, progress: UpgradeProgress) -> None:
        self.heard.append(progress)
        if self._action is not None and progress.written_bytes >= self._at >= 0:
            action, self._action = self._action, None
            action()

    @property
    def phases(self) -> list[Phase]:
        return list(dict.fromkeys(entry.phase for entry in self.heard))


def later(action: Any) -> Any:  # noqa: ANN401 - any callable
    """Call a function in another thread: the thread that owns the port must not wait for itself."""
    return lambda: threading.Thread(target=action).start()


def test_upgrades_a_unit(unit: UcbSimulator, line: PtyEndpoint) -> None:
    listener = Listener()
    with Ucb.open(line.url) as device:
        result = device.upgrade(IMAGE, write_firmware=True, on_progress=listener, settings=QUICK)
        assert device.identify().text == NEW
        assert device.read(10.0) is not None
        assert device.baud == 115200
    assert (result.before.split()[-1], result.after) == ("10.00.01", NEW)
    assert (result.written_bytes, result.retries, result.interruptions, result.restarts) == (3000, 0, 0, 0)
    assert unit.bootloader.blocks == list(range(0, 3000, 240))
    assert listener.phases == [Phase.ENTER, Phase.ERASE, Phase.WRITE, Phase.START, Phase.DONE]
    assert listener.heard[-1] == UpgradeProgress(Phase.DONE, 3000, 3000, 0)


@pytest.mark.parametrize("seed", [1, 3])
def test_upgrades_with_line_errors_and_one_unplugging(unit: UcbSimulator, tmp_path: Path, seed: int) -> None:
    faults = FaultRates(lost=0.0003, flipped=0.0004, doubled=0.0003)
    with PtyEndpoint(unit, tmp_path / "port", faults=faults, seed=seed) as line, Ucb.open(line.url) as device:

        def unplug() -> None:
            line.unplug()
            line.plug_in()

        listener = Listener(1440, later(unplug))
        result = device.upgrade(IMAGE, write_firmware=True, on_progress=listener, settings=QUICK)
        assert (result.after, result.interruptions) == (NEW, 1)
        assert result.restarts >= 1  # the unit lost its power: the content of its flash is not used
        assert Phase.WAIT in listener.phases
    assert line.faults.injected > 0


def test_continues_at_the_same_block_if_the_unit_kept_its_power(unit: UcbSimulator, line: PtyEndpoint) -> None:
    def unplug() -> None:
        line.unplug()
        line.plug_in(power_cycled=False)

    with Ucb.open(line.url) as device:
        result = device.upgrade(IMAGE, write_firmware=True, on_progress=Listener(1440, later(unplug)), settings=QUICK)
    assert (result.interruptions, result.restarts, unit.bootloader.erasures) == (1, 0, 1)


def test_does_nothing_without_confirmation(unit: UcbSimulator, line: PtyEndpoint) -> None:
    with Ucb.open(line.url) as device:
        with pytest.raises(NotConfirmedError, match="--write-firmware"):
            device.upgrade(IMAGE)
        with pytest.raises(ImageError, match="web page"):
            device.upgrade(b"<html>", write_firmware=True)
        assert device.read(10.0) is not None
    assert not unit.bootloader.blocks
    assert unit.ram[1] == 1


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (b"", "empty"),
        (b"\x7fELF" + bytes(2000), "objcopy"),
        (b":10000000", "Intel HEX"),
        (bytes(2000), "vector table"),
        (struct.pack("<II", 0x20000400, 0x08010000) + bytes(2000), "vector table"),  # even addresses are not Thumb code
        (IMAGE[:-1], "2999 bytes"),
        (IMAGE[:8], "at least 1024"),
        (bytes(LONGEST_IMAGE + 4), "units accept up to"),
    ],
)
def test_rejects_files_that_are_not_images(image: bytes, why: str) -> None:
    with pytest.raises(ImageError, match=why):
        check_image(image)


def test_the_makers_hash_is_checked() -> None:
    check_image(IMAGE)
    check_image(b"another processor's", any_content=True)
    with pytest.raises(ImageError, match="SHA-256"):
        check_image(IMAGE, sha256="00" * 32)


def test_recovers_a_failed_upgrade(unit: UcbSimulator, line: PtyEndpoint) -> None:
    settings = UpgradeSettings(enter_s=0.6, erase_s=0.6, block_s=0.2, block_tries=3, start_s=2.0)
    with Ucb.open(line.url) as device:
        send = unit.send
        listener = Listener(1200, lambda: setattr(unit, "send", lambda *_: None))  # it no longer responds
        with pytest.raises(UpgradeError, match=r"failed after 1200 of 3000 bytes.*--recover") as caught:
            device.upgrade(IMAGE, write_firmware=True, on_progress=listener, settings=settings)
        assert (caught.value.is_in_bootloader, caught.value.written_bytes) == (True, 1200)
        unit.send = send  # type: ignore[method-assign]
    line.unplug()
    line.plug_in()
    with Ucb.open(line.url) as device:
        with pytest.raises(ImageError):
            device.upgrade(b"", write_firmware=True, recover=True)
        result = device.upgrade(IMAGE, write_firmware=True, recover=True, settings=settings)
        assert (result.before, result.after) == ("", NEW)
        with pytest.raises(UpgradeError, match="the application of the unit responds") as caught:
            device.upgrade(IMAGE, write_firmware=True, recover=True, settings=settings)
        assert not caught.value.is_in_bootloader
        assert device.identify().text == NEW


def test_finds_a_bootloader_without_the_recover_flag(unit: UcbSimulator, line: PtyEndpoint) -> None:
    with line.hold():
        unit.bootloader._flash = bytearray(100)
        unit.power_cycle(line.now_s())
    with Ucb.open(line.url) as device:
        assert device.upgrade(IMAGE, write_firmware=True, settings=QUICK).after == NEW


def test_ctrl_c_logs_how_to_recover(line: PtyEndpoint, caplog: pytest.LogCaptureFixture) -> None:
    with Ucb.open(line.url) as device:
        task: Any = None
        reached = threading.Event()

        def give_up() -> None:
            device.engine.abort(task)
            reached.set()

        task = device.engine.start(_upgrade(device, Listener(1200, give_up)))
        with caplog.at_level(logging.WARNING), pytest.raises(AbortedError):
            task.future.result(10)
        assert reached.is_set()
        assert "--recover" in caplog.text
        assert device.upgrade(IMAGE, write_firmware=True, settings=QUICK).after == NEW


def _upgrade(device: Ucb, listener: Listener) -> Any:  # noqa: ANN401 - a procedure
    from pygnc_devices.ucb.upgrade import upgrade  # noqa: PLC0415 - the procedure, not the method

    return upgrade(device.unit, IMAGE, write_firmware=True, on_progress=listener, settings=QUICK)


def test_a_refused_upgrade_leaves_the_unit_unchanged(unit: UcbSimulator, line: PtyEndpoint) -> None:
    unit.bootloader.catch_s = 0.1
    with Ucb.open(line.url) as device:
        with pytest.raises(UpgradeError, match="--at-power-up") as caught:
            device.upgrade(IMAGE, write_firmware=True, settings=QUICK)
        assert not caught.value.is_in_bootloader
        assert device.read(10.0) is not None
        assert unit.ram[1] == 1


def test_a_bootloader_is_caught_at_power_up(unit: UcbSimulator, line: PtyEndpoint) -> None:
    unit.bootloader.catch_s, unit.bootloader.swapped_crc = 0.1, True

    def switch_off_and_on() -> None:
        with line.hold():
            unit.power_cycle(line.now_s())

    settings = UpgradeSettings(erase_s=1.0, block_s=0.15, start_s=1.0, at_power_up=True, power_up_s=10.0)
    with Ucb.open(line.url) as device:
        listener = Listener(0, later(switch_off_and_on))
        result = device.upgrade(IMAGE, write_firmware=True, on_progress=listener, settings=settings)
    assert result.after == NEW
    assert Phase.SWITCH in listener.phases


@pytest.mark.parametrize("names_blocks", [True, False])
def test_upgrades_with_a_bootloader_without_ping(unit: UcbSimulator, line: PtyEndpoint, *, names_blocks: bool) -> None:
    unit.bootloader.answers_ping = False
    unit.bootloader.names_blocks = names_blocks
    with Ucb.open(line.url) as device:
        assert device.upgrade(IMAGE, write_firmware=True, settings=QUICK).after == NEW


def test_a_failing_progress_callback_does_not_stop_the_upgrade(
    line: PtyEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: UpgradeProgress) -> None:
        raise RuntimeError("a page has gone")

    with Ucb.open(line.url) as device:
        assert device.upgrade(IMAGE, write_firmware=True, on_progress=fail, settings=QUICK).after == NEW
    assert "callback" in caplog.text


def test_the_asyncio_driver_upgrades(line: PtyEndpoint) -> None:
    async def run() -> str:
        async with await AsyncUcb.open(line.url) as device:
            listener = Listener()
            result = await device.upgrade(IMAGE, write_firmware=True, on_progress=listener, settings=QUICK)
            assert listener.phases[-1] is Phase.DONE
            return result.after

    assert asyncio.run(run()) == NEW

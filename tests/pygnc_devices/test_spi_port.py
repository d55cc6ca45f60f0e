"""SPI port on an ordinary file: calls of the kernel go to a simulated counter."""

import contextlib
import ctypes
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygnc_devices import spi_port
from pygnc_devices.errors import PortBusyError, PortError, PortGoneError
from pygnc_devices.opc_n3.driver import OpcN3
from pygnc_devices.ports import open_port
from pygnc_devices.spi_port import SpiPort
from pygnc_instruments.simulators.opc_n3_unit import OpcN3Simulator
from tests.pygnc_devices.opc_n3.quick import OPTIONS, counter

TRANSFER = struct.Struct("=QQIIHBBBBBB")


class Kernel:
    """Simulated kernel side of spidev, as in linux/spi/spidev.h."""

    def __init__(self, opc: OpcN3Simulator) -> None:
        self.opc = opc
        self.settings: dict[int, bytes] = {}
        self.transfers: list[tuple[int, ...]] = []
        self.is_gone = False

    def ioctl(self, descriptor: int, request: int, argument: Any) -> int:  # noqa: ANN401 - as the system's
        os.fstat(descriptor)
        if self.is_gone:
            raise OSError(19, "No such device")
        if request & 0xFF:
            self.settings[request & 0xFF] = argument
            return 0
        assert request == 1 << 30 | TRANSFER.size << 16 | ord("k") << 8
        out, back, length, *rest = TRANSFER.unpack(argument)
        self.transfers.append((length, *rest))
        for at in range(length):
            reply = self.opc.exchange(ctypes.string_at(out + at, 1)[0], time.monotonic())
            ctypes.memmove(back + at, bytes([reply]), 1)
        return int(length)


@pytest.fixture
def opc() -> OpcN3Simulator:
    return counter()


@pytest.fixture
def kernel(opc: OpcN3Simulator, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel(opc)
    monkeypatch.setattr(spi_port, "_system_ioctl", lambda: kernel.ioctl)
    return kernel


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "spidev0.0").touch()
    yield f"spi://{tmp_path}/spidev0.0"
    with contextlib.suppress(FileNotFoundError):
        (tmp_path / "spidev0.0").unlink()


def test_a_counter_on_an_spi_bus_works_as_with_the_adapter(opc: OpcN3Simulator, kernel: Kernel, url: str) -> None:
    with OpcN3.open(url, **OPTIONS) as device:
        assert device.read(15.0) is not None
        who = device.identify()
        assert (who.serial_number, who.adapter) == ("177700019", "")
        assert opc.is_on
    assert not opc.is_on
    assert kernel.transfers


def test_configures_the_bus_and_sends_bytes_one_by_one(kernel: Kernel, url: str) -> None:
    port = open_port(url, 0)
    port.write(b"\x3f\x3f")
    assert port.read(0.0) == b"\x31\xf3"
    assert port.read(0.0) == b""
    port.close()
    port.close()
    assert kernel.settings == {1: b"\x01", 3: b"\x08", 4: struct.pack("=I", 500_000)}
    assert kernel.transfers == [(1, 500_000, 20, 8, 0, 0, 0, 0, 0)] * 2


def test_the_url_sets_mode_and_clock(kernel: Kernel, url: str) -> None:
    SpiPort(url + "?mode=0&hz=300000").close()
    assert kernel.settings[1] == b"\x00"
    assert kernel.settings[4] == struct.pack("=I", 300_000)


@pytest.mark.parametrize("query", ["?mode=4", "?hz=fast", "?speed=1", "?hz=0"])
@pytest.mark.usefixtures("kernel")
def test_rejects_other_options(url: str, query: str) -> None:
    with pytest.raises(PortError, match=r"whole numbers|as spi:///dev/spidev0\.0\?mode=1"):
        SpiPort(url + query)


@pytest.mark.usefixtures("kernel")
def test_a_bus_has_one_owner_and_its_holder_is_named(url: str) -> None:
    port = SpiPort(url)
    with pytest.raises(PortBusyError, match="in use by this very program"):
        SpiPort(url)
    port.close()
    SpiPort(url).close()


@pytest.mark.usefixtures("kernel")
def test_the_error_for_a_missing_bus_names_the_remedy() -> None:
    with pytest.raises(PortError, match=r"Enable SPI; on a Raspberry Pi"):
        SpiPort("spi:///dev/no_such_bus")


def test_rejects_a_file_that_is_not_a_bus(url: str) -> None:
    with pytest.raises(PortError, match="not an SPI bus"):
        SpiPort(url)


def test_raises_when_the_bus_is_lost(kernel: Kernel, url: str) -> None:
    port = SpiPort(url)
    kernel.is_gone = True
    with pytest.raises(PortGoneError, match="No such device"):
        port.write(b"\x30")
    port.close()
    with pytest.raises(PortGoneError, match="is closed"):
        port.write(b"\x30")


@pytest.mark.usefixtures("kernel")
def test_wake_ends_a_waiting_read(url: str) -> None:
    port = SpiPort(url)
    port.wake()
    start_s = time.monotonic()
    assert port.read(10.0) == b""
    assert time.monotonic() - start_s < 5.0
    port.close()


def test_the_ioctl_numbers_are_those_of_the_kernel() -> None:
    def write(number: int, size: int) -> int:
        return 1 << 30 | size << 16 | ord("k") << 8 | number

    assert write(1, 1) == spi_port._WR_MODE
    assert write(3, 1) == spi_port._WR_BITS_PER_WORD
    assert write(4, 4) == spi_port._WR_MAX_SPEED_HZ
    assert write(0, 32) == spi_port._MESSAGE_OF_ONE
    assert TRANSFER.size == 32
    assert fcntl.ioctl is spi_port._system_ioctl()

"""A port never blocks, keeps unsent bytes and detects that the other end has gone."""

import gc
import os
import pty
import struct
import time
from collections.abc import Iterator
from math import inf

import pytest

from pygnc.host.port import BLOCKED_S, LEFT_S, Port
from pygnc.host.terminal import Terminal

LINE = b"<PONG,0001,i0001,AAAAAA==*00000000\r\n"


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    Terminal(slave).prepare()
    yield master, slave
    os.close(slave)


def test_bytes_pass_in_both_directions(ends: tuple[int, int]) -> None:
    master, slave = ends
    port = Port.open_terminal(os.ttyname(slave))
    assert port.read() == b""
    os.write(master, LINE)
    assert port.read() == LINE
    port.write(LINE)
    assert os.read(master, 100) == LINE
    assert port.ready_in_s() == 0.0
    port.close()
    os.close(master)


def test_unaccepted_bytes_are_kept_and_sent_later(ends: tuple[int, int]) -> None:
    master, slave = ends
    port = Port.open_terminal(os.ttyname(slave))
    octets = os.urandom(100_000)
    port.write(octets)
    assert port.ready_in_s() > 0.0
    heard = b""
    while len(heard) < len(octets):
        heard += os.read(master, 4096)
        port.flush()
    assert heard == octets
    assert port.ready_in_s() == pytest.approx(len(octets) / 11_520.0, abs=5.0)
    port.close()
    os.close(master)


def test_a_pseudo_terminal_is_paced_at_the_assumed_speed(ends: tuple[int, int]) -> None:
    master, slave = ends
    port = Port.open_terminal(os.ttyname(slave))
    written, began_s = 0, time.monotonic()
    while written < 3000:
        if port.ready_in_s() == 0.0:
            port.write(bytes(96))
            written += 96
        carried = (time.monotonic() - began_s) * 11_520.0
        assert written <= carried + 96 + LEFT_S * 11_520.0 + 1.0
    port.close()
    os.close(master)


def test_a_port_closes_when_the_other_end_hangs_up(ends: tuple[int, int]) -> None:
    master, slave = ends
    port = Port.open_terminal(os.ttyname(slave))
    os.close(master)
    assert port.read() == b""
    assert not port.is_open
    assert port.ready_in_s() == inf
    port.close()


def test_a_serial_port_is_opened_at_its_speed(ends: tuple[int, int]) -> None:
    master, slave = ends
    port = Port.open_serial(os.ttyname(slave), 9600)
    assert port._bytes_per_s == 960.0
    os.write(master, LINE)
    assert port.read() == LINE
    os.close(master)


def test_a_silent_serial_port_stays_open_until_the_other_end_hangs_up(ends: tuple[int, int]) -> None:
    master, slave = ends
    port = Port.open_serial(os.ttyname(slave), 115_200)
    assert port.read() == b""
    assert port.is_open
    os.write(master, LINE)
    assert port.read() == LINE
    os.close(master)
    assert port.read() == b""
    assert not port.is_open
    port.close()


def test_a_closed_port_closes_no_descriptor_of_another_file(ends: tuple[int, int]) -> None:
    master, slave = ends
    port = Port.open_serial(os.ttyname(slave), 115_200)
    number = port.descriptor
    port.close()
    reading, writing = os.pipe()
    assert number in {reading, writing}
    port.close()
    del port
    gc.collect()
    os.write(writing, LINE)
    assert os.read(reading, 100) == LINE
    for descriptor in (reading, writing, master):
        os.close(descriptor)


def test_a_port_that_refuses_the_speed_raises_os_error(ends: tuple[int, int]) -> None:
    with pytest.raises(OSError, match="baudrate"):
        Port.open_serial(os.ttyname(ends[1]), -1)
    os.close(ends[0])


def test_a_port_closes_when_its_output_fails_or_its_input_ends() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    port = Port(writing)
    port.write(LINE)
    assert not port.is_open
    port.close()
    reading, writing = os.pipe()
    os.close(writing)
    port = Port(reading)
    assert port.read() == b""
    assert not port.is_open
    port.close()
    assert port.read() == b"", "an error is like the end of the input"


def test_a_serial_line_is_paced_by_the_bytes_in_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()  # not a pseudo-terminal; it has no speed and does not report its bytes
    port = Port(writing)
    assert port.ready_in_s() == 0.0
    monkeypatch.setattr("fcntl.ioctl", lambda *_: struct.pack("i", 11_520))
    assert port.ready_in_s() == pytest.approx(1.0 - LEFT_S)
    os.set_blocking(writing, False)
    port.write(bytes(1_000_000))
    assert port.ready_in_s() == BLOCKED_S
    port.close()
    os.close(reading)


def test_a_missing_port_raises_os_error(ends: tuple[int, int]) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Port.open_serial("/dev/nowhere", 115_200)
    os.close(ends[0])

"""A terminal is transparent during a run and restored afterwards."""

import os
import pty
import termios
from collections.abc import Iterator

import pytest

from pygnc.host.terminal import Terminal
from pygnc.launch.run import find_terminal

EVERY_BYTE = bytes(octet for octet in range(256) if octet != 3)


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_every_input_byte_except_ctrl_c_is_unchanged(ends: tuple[int, int]) -> None:
    master, slave = ends
    Terminal(slave).prepare()
    os.write(master, EVERY_BYTE)
    assert os.read(slave, 1024) == EVERY_BYTE
    os.set_blocking(master, False)
    with pytest.raises(BlockingIOError):  # there is no echo
        os.read(master, 1)


def test_every_output_byte_is_unchanged(ends: tuple[int, int]) -> None:
    master, slave = ends
    Terminal(slave).prepare()
    os.write(slave, bytes(range(256)))
    assert os.read(master, 1024) == bytes(range(256))


def test_ctrl_c_raises_a_signal_and_is_not_input(ends: tuple[int, int]) -> None:
    master, slave = ends
    Terminal(slave).prepare()
    os.write(master, b"a\x03b")
    assert os.read(slave, 16) == b"ab"


@pytest.mark.parametrize("stop", [b"\x13", b"\x1a", b"\x0f"])
def test_flow_control_characters_do_not_stop_the_output(ends: tuple[int, int], stop: bytes) -> None:
    master, slave = ends
    Terminal(slave).prepare()
    os.write(master, stop + b"a")
    assert os.read(slave, 16) == stop + b"a"
    os.write(slave, b"goes on")
    assert os.read(master, 16) == b"goes on"


def test_the_settings_are_restored_once(ends: tuple[int, int]) -> None:
    _, slave = ends
    found = termios.tcgetattr(slave)
    found[6][termios.VINTR] = b"\x07"
    termios.tcsetattr(slave, termios.TCSANOW, found)
    found = termios.tcgetattr(slave)
    terminal = Terminal(slave)
    terminal.prepare()
    assert termios.tcgetattr(slave)[6][termios.VINTR] == b"\x03"
    terminal.restore()
    assert termios.tcgetattr(slave) == found
    changed = termios.tcgetattr(slave)
    changed[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, changed)
    terminal.restore()
    assert termios.tcgetattr(slave) == changed


def test_unread_input_is_discarded_before_the_shell_continues(ends: tuple[int, int]) -> None:
    master, slave = ends
    terminal = Terminal(slave)
    terminal.prepare()
    os.write(master, b">SENS,1F03\r\n")
    terminal.restore()
    os.write(master, b"ls\n")
    assert os.read(slave, 64) == b"ls\n"


def test_a_file_or_pipe_is_not_a_terminal(ends: tuple[int, int]) -> None:
    reader, writer = os.pipe()
    assert find_terminal(reader, writer) is None
    assert find_terminal(ends[1], writer) is None
    assert find_terminal(*(ends[1], ends[1])) is not None
    os.close(reader)
    os.close(writer)


def test_a_closed_terminal_raises_nothing() -> None:
    master, slave = pty.openpty()
    terminal = Terminal(slave)
    terminal.prepare()
    os.close(master)
    terminal.restore()
    os.close(slave)
    Terminal(slave).prepare()


def test_only_unchanged_settings_are_restored_after_the_end_of_main(ends: tuple[int, int]) -> None:
    _, slave = ends
    found = termios.tcgetattr(slave)
    terminal = Terminal(slave)
    terminal.prepare()
    terminal.restore_if_left()
    assert termios.tcgetattr(slave) == found
    terminal.prepare()
    termios.tcsetattr(slave, termios.TCSANOW, found)
    terminal.restore_if_left()
    assert termios.tcgetattr(slave) == found


def test_a_terminal_of_other_processes_is_not_restored(ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(ends[1])
    terminal.prepare()
    prepared = termios.tcgetattr(ends[1])
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: -1)
    terminal.restore()
    assert termios.tcgetattr(ends[1]) == prepared

"""Real shell on a pseudo-terminal over good and bad lines, and the power switch."""

import base64
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pygnc_controller.emulator import main_program
from pygnc_controller.emulator.controller import Controller
from pygnc_controller.emulator.main_program import MainProgram
from pygnc_controller.emulator.pty_pi import PtyPi
from pygnc_controller.emulator.serial_line import LineFaults, PacedPort
from pygnc_controller.emulator.shell import LINE, Connection, PiError, Shell

FAST_BAUD = 2_000_000
PROMPT = re.compile(rb"/\.pycubed[#$] $")
BAD = LineFaults(lost=1e-4, flipped=1e-4, doubled=1e-4, stalled=1e-4, stall_s=0.02)


@contextmanager
def shell_on_pty(
    home: Path, faults: LineFaults | None = None, seed: int = 0
) -> Iterator[tuple[PtyPi, Connection, Shell]]:
    with PtyPi(home) as pi:
        station = Connection(PacedPort(pi.master, FAST_BAUD, faults, seed), Controller(1))
        station.chores.append(pi.ensure_login)
        shell = Shell(station)
        shell.wake()
        yield pi, station, shell


def test_commands_are_answered_with_output_and_exit_code(tmp_path: Path) -> None:
    with shell_on_pty(tmp_path) as (_, _, shell):
        assert shell.run("echo ~").text == str(tmp_path)
        assert shell.run("printf 'a\\nb'; exit 7").text == "a\nb"
        assert shell.run("(exit 7)").code == 7
        assert "No such file" in shell.run("cat nothing").text
        assert shell.run("echo \"it's\" '$HOME'").text == "it's $HOME"


def test_a_shell_stuck_in_an_incomplete_command_is_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state after a false Ctrl-C has ended main.py and noise followed."""
    monkeypatch.setattr(main_program, "SILENCE_S", 0.0)
    (tmp_path / "main.sh").write_text("echo up > ~/$1; exec cat > /dev/null\n")
    with shell_on_pty(tmp_path) as (_, station, shell):
        main = MainProgram(station, shell, "sh ~/main.sh")
        main.start(1, 1000, streams=False)
        assert station.run((tmp_path / "1").exists, 20.0)
        station.write(b"\x03")
        assert station.run(lambda: bool(PROMPT.search(station.plain_text())), 20.0)
        station.write(b"cat <<noise\r")
        assert station.run(lambda: station.plain_text().endswith(b"> "), 20.0)
        assert [main.is_up(), main.is_up()] == [True, False]
        main.start(2, 1000, streams=False)
        assert station.run((tmp_path / "2").exists, 20.0)


@pytest.mark.timeout(180)  # many retries on a bad line
@pytest.mark.parametrize(("faults", "size"), [(None, 36_144), pytest.param(BAD, 6000, marks=pytest.mark.slow)])
def test_files_are_exact_in_both_directions(tmp_path: Path, faults: LineFaults | None, size: int) -> None:
    content = random.Random(1).randbytes(size)  # noqa: S311 - a test's input
    with shell_on_pty(tmp_path, faults, seed=4) as (_, station, shell):
        shell.put("range/rng00000.bin", content)
        assert (tmp_path / "range" / "rng00000.bin").read_bytes() == content
        assert shell.get("range/rng00000.bin") == content
        shell.put("empty", b"")
        assert shell.get("empty") == b""
        assert bool(shell.retries) == bool(faults)
        assert bool(station.port.to_pi.injected) == bool(faults)


def test_uploads_of_older_controllers_and_cat_work(tmp_path: Path) -> None:
    """Base64 in lines of 76 characters, ended by Ctrl-D."""
    content = random.Random(2).randbytes(36_144)  # noqa: S311 - a test's input
    (tmp_path / "pygnc_info.txt").write_text("PyGNC run 1 IDLE\n")
    with shell_on_pty(tmp_path) as (_, station, shell):
        station.write(b"base64 -d > ~/sense.bin\r")
        text = base64.b64encode(content)
        station.write(b"".join(text[start : start + LINE] + b"\n" for start in range(0, len(text), LINE)) + b"\x04")
        assert station.run(lambda: station.is_written, 20.0)
        assert station.run(lambda: shell.responds, 20.0)
        assert (tmp_path / "sense.bin").read_bytes() == content
        station.write(b"cat ~/pygnc_info.txt\r")
        assert station.run(lambda: b"\nPyGNC run 1 IDLE\n" in station.plain_text(), 20.0)


def test_a_damaged_command_is_not_run(tmp_path: Path) -> None:
    with shell_on_pty(tmp_path) as (_, station, shell):
        number = shell.start("touch ~/wrong")
        station._raw = station._raw.replace(b"touch", b"totch").replace(b"wrong", b"right")
        assert station.run(lambda: shell.exit_code(number) is not None, 20.0)
        assert shell.exit_code(number) == 1
        assert list(tmp_path.glob("[rw]*")) == []


def test_a_login_shell_that_has_ended_is_restarted(tmp_path: Path) -> None:
    with shell_on_pty(tmp_path) as (pi, station, shell):
        first = pi.processes()
        station.write(b"exit\r")
        assert station.run(lambda: pi.processes() != first, 20.0)
        shell.wake()
        assert shell.run("echo here").text == "here"


def test_power_off_leaves_no_process(tmp_path: Path) -> None:
    with shell_on_pty(tmp_path) as (pi, station, shell):
        stubborn = f"{sys.executable} -c 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(999)'"
        shell.run(f"(setsid nohup {stubborn} > /dev/null 2>&1 &)")
        shell.start("sleep 998")
        assert station.run(lambda: len(pi.processes()) >= 3, 20.0)
        pi.power_off()
        assert pi.processes() == []


def test_a_line_without_a_shell_is_reported_with_the_remedy(tmp_path: Path) -> None:
    with PtyPi(tmp_path) as pi:
        for pid in pi.processes():
            subprocess.run(["kill", f"-{signal.SIGSTOP.value}", str(pid)], check=True)  # noqa: S607 - found on the path
        station = Connection(PacedPort(pi.master), Controller(1))
        shell = Shell(station)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pygnc_controller.emulator.shell._READY_S", 0.01)
            with pytest.raises(PiError, match=r"no shell responds.*check cable"):
                shell.wake()

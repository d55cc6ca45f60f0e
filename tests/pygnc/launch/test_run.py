"""Start of a run: refusals, reports, and a hard exit while it is stuck."""

import errno
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygnc.bus.control import RunState
from pygnc.host.settings_slots import load_settings
from pygnc.host.terminal import Terminal
from pygnc.launch import run
from pygnc.launch.arguments import Arguments
from pygnc.supervisor.process import ExitCode
from pygnc_system.version_trial import FAULT_VARIABLE
from tests.pygnc.tasks.runs import run_in

STUCK = """
import os, signal, sys, time
from pygnc.launch import run

def wait_for_a_card_that_blocks(*_, **__):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(30.0)

run.HARD_EXIT_AT_S = 0.1
run.load_settings = wait_for_a_card_that_blocks
sys.exit(run.main(["10", "1000"]))
"""


class Inbox:
    """A collector of signals that changes no handlers of the tests' process."""

    def __init__(self, *_: object) -> None:
        self.has_received = False


def test_a_home_without_room_for_a_private_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "pygnc-x"))

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(run, "SignalInbox", Inbox)
    monkeypatch.setattr(run, "make_runtime_folder", refuse)
    assert run.main(["1", "0"]) == ExitCode.NO_HOME
    assert "No space left on device; free space for a temporary folder" in capsys.readouterr().err


class Log:
    """An event log that records names and texts."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def report(self, task: str, severity: str, name: str, text: str) -> None:
        assert task == "supervisor"
        self.events.append((f"{severity} {name}", text))

    def close(self) -> None:
        pass


class EndedSupervisor:
    """A supervisor whose run has ended at once."""

    def __init__(self, *_: object, limits: dict[str, str], **__: object) -> None:
        self.state = RunState("stopped", (), 0, limits=limits)
        self.not_recorded = False

    def run(self) -> ExitCode:
        return ExitCode.OK


def fly_from_last_run(home: Path, monkeypatch: pytest.MonkeyPatch, log: Log, fault: str = "") -> int:
    monkeypatch.setattr(run, "EventLog", lambda _: log)
    monkeypatch.setattr(run, "Supervisor", EndedSupervisor)
    monkeypatch.setattr(run, "SHARED", ())
    monkeypatch.setattr(run, "share_heap_among_threads", lambda: None)
    monkeypatch.setattr("gc.freeze", lambda: None)
    (runtime := home / "runtime").mkdir()
    loaded = load_settings(None, home)._replace(fault=fault)
    inbox: Any = Inbox()
    return run._run(Arguments(1, 0, from_last_run=True), loaded, home, runtime, inbox, terminal=None, moved=[])


def test_all_faults_of_a_start_are_reported_and_limit_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    monkeypatch.setenv(FAULT_VARIABLE, "new: 2 starts failed")
    (tmp_path / "pygnc_logs").touch()
    (tmp_path / "pygnc_earth_orientation.csv").touch()
    assert fly_from_last_run(tmp_path, monkeypatch, log, "settings are faulty") == ExitCode.LIMITED
    names = ["warning no_last_run", "warning settings", "warning mounting", "warning version", "error not_recorded"]
    assert [name for name, _ in log.events] == [*names, "warning earth_orientation"]
    assert "pygnc_logs" in log.events[4][1]


def test_files_of_the_last_run_that_need_no_change_are_not_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    monkeypatch.setattr(run, "retire_batch", lambda _: True)
    monkeypatch.setattr("pygnc.outputs.last_batch.add_open_record", lambda _: 0)
    monkeypatch.setattr("pygnc.outputs.last_batch.remove_oldest", lambda *_: 0)
    assert fly_from_last_run(tmp_path, monkeypatch, log) == ExitCode.OK
    assert [name for name, _ in log.events] == ["warning mounting"]


@pytest.mark.parametrize("fault", [None, OSError(errno.EROFS, "Read-only file system")])
def test_what_is_done_with_the_files_of_the_last_run_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: OSError | None
) -> None:
    def remove_oldest(_: Path, limit_bytes: int) -> int:
        if fault:
            raise fault
        return limit_bytes

    monkeypatch.setattr("pygnc.outputs.last_batch.add_open_record", lambda _: 2)
    monkeypatch.setattr("pygnc.outputs.last_batch.remove_oldest", remove_oldest)
    log = Log()
    run._prepare_last_batch(run_in(tmp_path), log)  # type: ignore[arg-type]
    if fault:
        assert [name for name, _ in log.events] == ["warning last_run_files"]
        assert "Read-only file system" in log.events[0][1]
    else:
        assert [name for name, _ in log.events] == ["info last_run_files", "warning last_run_files"]
        assert "added 2 incomplete records" in log.events[0][1]
        assert "the oldest 8000000 bytes" in log.events[1][1]


def test_moved_files_settings_on_trial_and_mirrored_sensors_are_reported(tmp_path: Path) -> None:
    (tmp_path / "pygnc.toml").write_text("formation.own_id = 76\n")
    load_settings(None, tmp_path).trial.begin()
    log = Log()
    loaded = load_settings(None, tmp_path)
    run._report_home(["pygnc_logs is no folder"], loaded._replace(fault="a fault"), log)  # type: ignore[arg-type]
    kinds = ("moved", "settings", "settings_trial", "mounting")
    assert [name for name, _ in log.events] == [f"warning {kind}" for kind in kinds]
    assert "1 start with these settings failed" in log.events[2][1]


@pytest.fixture
def slave() -> Iterator[int]:
    """A pseudo-terminal."""
    master, slave = pty.openpty()
    yield slave
    os.close(master)
    os.close(slave)


def test_the_guard_restores_the_terminal_after_the_end_of_main(slave: int) -> None:
    found = termios.tcgetattr(slave)
    pid = os.fork()
    if pid == 0:
        os.dup2(slave, 0)  # the guard closes all descriptors but the standard ones
        run.guard_terminal(Terminal(0))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    until_s = time.monotonic() + 30.0
    while termios.tcgetattr(slave) != found:
        assert time.monotonic() < until_s
        time.sleep(0.005)


def test_a_guard_that_is_dismissed_leaves_the_terminal(slave: int) -> None:
    found = termios.tcgetattr(slave)
    terminal = Terminal(slave)
    run.guard_terminal(terminal)()
    assert termios.tcgetattr(slave) != found
    terminal.restore()
    assert termios.tcgetattr(slave) == found


def test_without_a_process_for_the_guard_the_terminal_is_prepared_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> int:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    class Prepared:
        def __init__(self) -> None:
            self.times = 0

        def prepare(self) -> None:
            self.times += 1

    monkeypatch.setattr(os, "fork", refuse)
    terminal = Prepared()
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - names only
    run.guard_terminal(terminal)()  # type: ignore[arg-type]
    assert terminal.times == 1
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208 - names only


def test_a_start_that_is_stuck_in_a_file_ends_with_the_hard_exit(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", STUCK],
        env={"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        timeout=20,
        check=False,
    )
    assert result.returncode == ExitCode.FORCED

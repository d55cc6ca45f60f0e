"""The hard exit, in a process of its own, and what is measured of a task's process."""

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pygnc.bus import control
from pygnc.supervisor.process import Child, ExitCode, SignalInbox, TaskSpec, _run_forked, memory_kills
from tests.pygnc.supervisor.harness import spec

PROGRAM = """
import os, signal, sys, time
sys.path.insert(0, "flight")
from pygnc.supervisor.process import arm_hard_exit

if (task := os.fork()) == 0:
    os._exit(0)
os.waitpid(task, 0)
arm_hard_exit(0.05, lambda: os.write(1, b"terminal restored"))
while True:
    time.sleep(1.0)
"""


def test_a_hard_exit_needs_no_running_task() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, timeout=30, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (ExitCode.FORCED, b"terminal restored", b"")


def test_a_hard_exit_during_the_interpreters_shutdown_has_its_exit_code() -> None:
    program = PROGRAM.replace("while True:\n    time.sleep(1.0)", "import atexit; atexit.register(time.sleep, 10.0)")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30, check=False)
    assert (result.returncode, result.stderr) == (ExitCode.FORCED, b"")


def test_a_scheduled_hard_exit_is_not_delayed() -> None:
    program = PROGRAM.replace("while True:", "arm_hard_exit(60.0, lambda: os.write(1, b' late'))\nwhile True:")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30, check=False)
    assert (result.returncode, result.stdout) == (ExitCode.FORCED, b" late")


def test_the_kernel_ends_a_process_in_a_loop_without_signal_handlers() -> None:
    program = """
import collections, itertools, signal, sys
sys.path.insert(0, "flight")
from pygnc.supervisor.process import limit_loop

signal.signal(signal.SIGPROF, signal.SIG_IGN)
limit_loop(0.1)
collections.deque(itertools.repeat(None), 0)
"""
    result = subprocess.run([sys.executable, "-c", program], timeout=30, check=False)
    assert result.returncode == -signal.SIGPROF


def test_an_inbox_begins_with_the_requests_of_earlier_handlers() -> None:
    calls: list[float] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGCHLD)}
    descriptor = signal.set_wakeup_fd(-1)
    try:
        inbox = SignalInbox([signal.SIGUSR1], [12.5, 13.0], lambda: calls.append(time.monotonic()))
        assert select.select([inbox.descriptor], [], [], 0.0)[0]
        signal.raise_signal(signal.SIGUSR1)
        assert (inbox.first_at_s, inbox.has_received, len(calls)) == (12.5, True, 1)
        assert inbox.take() == [signal.SIGUSR1] * 2
        assert (inbox.take(), inbox.has_received) == ([], True)
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in handlers.items():
            signal.signal(number, handler)


SPEC = TaskSpec("test", "", "", (), (), stop_stage=0, oom_score_adj=321)


def report_score_and_spin(_spec: TaskSpec, channel: socket.socket) -> int:
    channel.send(Path("/proc/self/oom_score_adj").read_bytes())
    while True:
        pass


@pytest.fixture
def spinning() -> Iterator[Child]:
    child = Child.start(SPEC, report_score_and_spin, 0.0)
    yield child
    child.signal(signal.SIGKILL)
    os.waitpid(child.pid, 0)
    os.close(child.pidfd)
    child.channel.close()


def test_measures_used_and_awaited_processor_time_until_the_process_is_frozen(spinning: Child) -> None:
    def total_s() -> float:
        return sum(used + awaited for used, awaited in spinning.thread_times().values())

    before = total_s()
    while total_s() < before + 0.05:
        time.sleep(0.005)
    spinning.signal(signal.SIGSTOP)
    os.waitpid(spinning.pid, os.WUNTRACED)
    frozen = spinning.thread_times()
    time.sleep(0.05)
    assert spinning.thread_times() == frozen


def test_a_task_does_not_inherit_the_hard_exit(spinning: Child) -> None:
    spinning.channel.settimeout(10.0)
    spinning.channel.recv(100)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        spinning.signal(number)
    ignored = int(Path(f"/proc/{spinning.pid}/status").read_text().split("SigIgn:")[1].split()[0], 16)
    assert all(ignored >> (number - 1) & 1 for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    assert spinning.reap() is None


def test_raises_the_oom_score_of_a_task(spinning: Child) -> None:
    spinning.channel.settimeout(10.0)
    own = int(Path("/proc/self/oom_score_adj").read_text())
    assert int(spinning.channel.recv(100)) == min(1000, own + SPEC.oom_score_adj)


def test_a_start_without_a_descriptor_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def refuse(pid: int) -> int:
        started.append(pid)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a Path would open a descriptor itself
    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        Child.start(replace(SPEC, oom_score_adj=0), report_score_and_spin, 0.0)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    with pytest.raises(ChildProcessError):
        os.waitpid(started[0], os.WNOHANG)


@pytest.mark.parametrize("is_orphan", [True, False])
def test_a_task_whose_parent_has_ended_does_not_run(*, is_orphan: bool) -> None:
    ours, theirs = control.make_pair()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _run_forked(spec("orphan", 0), lambda *_: 7, theirs, parent + is_orphan)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (1 if is_orphan else 7)
    ours.close()
    theirs.close()


@pytest.mark.parametrize(("text", "count"), [("nr_free_pages 3\noom_kill 2\n", 2), ("nr_free_pages 3\n", 0)])
def test_counts_the_kills_of_the_kernel(monkeypatch: pytest.MonkeyPatch, text: str, count: int) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _: text)
    assert memory_kills() == count

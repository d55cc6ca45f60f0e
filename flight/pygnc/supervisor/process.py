"""What the supervisor must know of a task. The table of all tasks is `pygnc.tasks.table`.

One forked task process and the supervisor's end of its control channel.

How main.py ends, for the host: documented in docs/interface.md.

Signals as data: what came is read from a list, and a poll on `descriptor` wakes up.
"""

import contextlib
import ctypes
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final, Self

from pygnc.bus import control


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One OS process.

    Attributes:
        name: in health, events and process lists.
        purpose: one line for people.
        entry: `module:Class`, imported by name only.
        reads: streams and files it takes in.
        writes: streams and files it gives out.
        critical: when its restarts are used up, the run ends; an optional task is marked failed and the rest goes on.
        stop_stage: tasks are stopped in ascending stages, those of one stage together.
        silence_limit_s: without an answer to its pings for so long it is killed and restarted.
        reports_run: it is sent the state of the whole run.
    """

    name: str
    purpose: str
    entry: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    critical: bool
    stop_stage: int
    silence_limit_s: float
    reports_run: bool = False


_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_HIGHEST_DESCRIPTOR: Final = 4096

RunChild = Callable[[TaskSpec, socket.socket], int]
"""The body of a task process: returns its exit code."""

_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Child:
    """A running task.

    Attributes:
        spec: its line of the task table.
        pid: its process.
        pidfd: becomes readable when the process ends.
        channel: our end of the control channel.
        progress: its last word on how far it is.
        is_up: whether it has said anything yet.
        answered_at_s: monotonic time of its last answer to the newest ping.
    """

    def __init__(self, spec: TaskSpec, pid: int, channel: socket.socket, now_s: float) -> None:
        self.spec = spec
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.channel = channel
        self.progress = control.Progress()
        self.is_up = False
        self.answered_at_s = now_s
        self._asked = 0
        self._answered = 0

    @classmethod
    def start(cls, spec: TaskSpec, run_child: RunChild, now_s: float) -> Self:
        """Fork the task."""
        ours, theirs = control.make_pair()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_child(spec, run_child, theirs, parent)
        theirs.close()
        return cls(spec, pid, ours, now_s)

    def ping(self) -> None:
        """Ask for the next counter, unless the last question is still open."""
        if self._asked == self._answered:
            self._asked += 1
            control.send(self.channel, control.Ping(self._asked))

    def take(self, pong: control.Pong, now_s: float) -> None:
        """Note what the task said of itself."""
        self.progress = pong.progress
        self.is_up = True
        if pong.counter == self._asked:
            self._answered = pong.counter
            self.answered_at_s = now_s

    def is_silent(self, now_s: float) -> bool:
        """Whether the task's loop has not turned for longer than its limit."""
        return now_s - self.answered_at_s > self.spec.silence_limit_s

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def reap(self) -> int | None:
        """Return the exit code (negative: killed by that signal) once the process has ended, else None."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        os.close(self.pidfd)
        return os.waitstatus_to_exitcode(status)


def _be_child(spec: TaskSpec, run_child: RunChild, channel: socket.socket, parent: int) -> None:
    """Run the task in the forked process; never returns."""
    code = 1
    try:
        # No orphan survives main, whatever state either is in. The parent may have gone before the call took effect.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(_PR_SET_NAME, f"pygnc-{spec.name}"[:15].encode())
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # The supervisor's own descriptors (lock, other channels, journals) are not for tasks.
        os.closerange(3, channel.fileno())
        os.closerange(channel.fileno() + 1, _HIGHEST_DESCRIPTOR)
        if os.getppid() == parent:
            code = run_child(spec, channel)
    finally:
        os._exit(code)


@unique
class ExitCode(IntEnum):
    """Exit codes of main.py."""

    OK = 0
    """The batch is done, the timeout has come, or the host stopped the run."""
    USAGE = 2
    """Wrong arguments or an unusable configuration file."""
    ALREADY_RUNNING = 3
    """Another main.py runs in the same home."""
    TASK_FAILED = 4
    """A critical task failed again after all its restarts; the run was ended in order."""
    NOT_RECORDED = 5
    """The run went to its end, but a part of it could not be recorded (disk full, home not writable)."""
    FORCED = 6
    """Stopped as asked, but a task had to be killed."""
    NO_HOME = 7
    """There is no home folder, or it cannot be entered."""


STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalInbox:
    """Collects the signals that ask a process to stop.

    Handlers are installed explicitly, so that SIGINT works also where it was inherited as ignored.
    """

    def __init__(self, numbers: Sequence[signal.Signals]) -> None:
        self.descriptor, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._received: list[signal.Signals] = []
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, self._note)

    def take(self) -> list[signal.Signals]:
        """Return what has come since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 4096)
        received, self._received = self._received, []
        return received

    def _note(self, number: int, _frame: object) -> None:
        self._received.append(signal.Signals(number))


def arm_hard_exit(delay_s: float, pids: Sequence[int], last_act: Callable[[], None]) -> None:
    """After `delay_s`, kill `pids`, do `last_act` and leave without another word: the power is about to go."""

    def leave(_number: int, _frame: object) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        last_act()
        os._exit(ExitCode.FORCED)

    signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, delay_s)

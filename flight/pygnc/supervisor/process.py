"""Operating-system side of the supervision: task processes, signals and exit codes."""

import contextlib
import ctypes
import math
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from pathlib import Path
from typing import Final, Self

from pygnc.bus import control

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG: Final = 1
PR_SET_NAME: Final = 15
_HIGHEST_DESCRIPTOR: Final = 4096

NOT_STARTED: Final = os.EX_TEMPFAIL
"""Exit code of a task that could not start, because the system has no thread for it."""
STATE_CHANGED: Final = os.EX_SOFTWARE
"""Exit code of a task whose memory has changed while it waited."""
START_LIMIT_S: Final = 10.0
"""Silence limit until a task's first response, s: a starting task reads modules from a card that may be slow."""
BUSY_LIMIT_S: Final = 30.0
"""Processor time without a response after which a task counts as caught in an endless loop, s."""
LOOP_LIMIT_S: Final = 5.0
"""Processor time of one step of the supervisor, or of the end of the run, after which the kernel ends main.py, s."""
LATE_S: Final = 1.5
"""Time without a response after which the processor time of a task is measured, s."""

_prctl = ctypes.CDLL(None, use_errno=True).prctl


@unique
class ExitCode(IntEnum):
    """Exit codes of main.py; docs/interface.md documents them for the host."""

    OK = 0
    """The batch is done, the timeout has expired, or the host has stopped the run."""
    USAGE = 2
    """Wrong arguments, or an unusable settings file with --strict."""
    ALREADY_RUNNING = 3
    """Another main.py runs in the same home."""
    TASK_FAILED = 4
    """A critical task has failed after all its restarts; the run was stopped in order."""
    NOT_RECORDED = 5
    """The run finished, but a part of it could not be recorded (disk full, home not writable)."""
    FORCED = 6
    """The run was stopped, but a task had to be killed."""
    NO_HOME = 7
    """The home folder does not exist or cannot be entered."""
    OUT_OF_MEMORY = 8
    """A task was given up because it ran out of memory; also the exit code of such a task."""
    LIMITED = 9
    """The run finished and is recorded, but a cause that the info text names limits its results."""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """Entry of the task table (`pygnc.tasks.table`): properties of a task for the supervisor.

    Attributes:
        name: Name in the status, in events and in process lists.
        purpose: One line for documentation.
        entry: Class of the task in the module `pygnc.tasks.<name>.task`, which only the task's process imports.
        reads: Streams and files that the task reads.
        writes: Streams and files that the task writes.
        stop_stage: Number of the stage of a stop, 0 to 4, in which the task is requested to finish.
        on_demand: True if the task is started when the source reports that it is needed, not with the run.
        critical: True if the run ends when the task fails after all restarts.
        silence_limit_s: Time without a response to a ping, and without using or awaiting a processor, after which the
            task is killed and restarted.
        reports_run: True if the task receives the state of the run.
        outlives_main: True if SIGTERM, not SIGKILL, ends the task when main.py has ended, so that it can report that.
        oom_score_adj: Addition to main.py's own value; the kernel first kills the process with the highest sum of this
            and its memory (in thousandths of the whole memory), see proc(5).
        memory_kills: Number of times that the task has run out of memory in this run.
    """

    name: str
    purpose: str
    entry: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    stop_stage: int
    on_demand: bool = False
    critical: bool = False
    silence_limit_s: float = 5.0
    reports_run: bool = False
    outlives_main: bool = False
    oom_score_adj: int = 0
    memory_kills: int = 0


_CHILD_STATE: Final = (
    *("spec", "pid", "pidfd", "progress", "is_up", "answered_at_s", "is_killed"),
    *("_last_ping", "_last_pong", "_late_since"),
)

RunChild = Callable[[TaskSpec, socket.socket], int]
"""Function that runs a task in the forked process and returns the process's exit code."""


class Child:
    """The supervisor's handle of a running task process.

    Attributes:
        spec: Entry of the task table.
        pid: Process id.
        pidfd: Descriptor that becomes readable when the process ends.
        channel: The supervisor's end of the control channel.
        progress: Last reported progress.
        is_up: True once the task has reported progress.
        answered_at_s: Monotonic time of the last response to the newest ping.
        is_killed: True once the supervisor has sent SIGKILL.
    """

    def __init__(self, spec: TaskSpec, pid: int, channel: socket.socket, now_s: float) -> None:
        self.spec = spec
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.channel = channel
        self.progress = control.Progress()
        self.is_up = False
        self.answered_at_s = now_s
        self.is_killed = False
        self._last_ping = 0
        self._last_pong = 0
        self._late_since: dict[int, tuple[float, float]] | None = None

    @classmethod
    def start(cls, spec: TaskSpec, run_child: RunChild, now_s: float) -> Self:
        """Fork the task's process.

        Raises:
            OSError: The system has no process, memory or descriptor left.
        """
        ours, theirs = control.make_pair()
        with theirs, contextlib.ExitStack() as on_error:
            on_error.callback(ours.close)
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:  # pragma: no cover: coverage does not measure the present frame of a forked process
                _run_forked(spec, run_child, theirs, parent)
            on_error.callback(_kill, pid)
            child = cls(spec, pid, ours, now_s)
            on_error.pop_all()
        return child

    @property
    def state(self) -> dict[str, object]:
        """All attributes but the socket, which cannot be copied."""
        return {name: getattr(self, name) for name in _CHILD_STATE}

    def restore(self, state: dict[str, object]) -> None:
        """Restore the attributes that `state` has returned."""
        vars(self).update(state)

    def ping(self) -> None:
        """Send the next ping, but only if the task has responded to the last one."""
        if self._last_ping == self._last_pong:
            self._last_ping += 1
            control.send(self.channel, control.Ping(self._last_ping))

    def receive_pong(self, pong: control.Pong, now_s: float) -> None:
        """Store the reported progress; it is a response only if the counter is that of the newest ping."""
        self.progress = pong.progress
        self.is_up = True
        if pong.counter == self._last_ping:
            self._last_pong = pong.counter
            self.answered_at_s = now_s

    def is_silent(self, now_s: float) -> bool:
        """Return True if the task is frozen (neither responds nor uses or awaits a processor) or in an endless loop."""
        silence_s = now_s - self.answered_at_s
        if silence_s <= LATE_S:
            self._late_since = None
            return False
        times = self.thread_times()
        before = self._late_since = times if self._late_since is None else self._late_since
        # Only present threads are summed, because a thread that has ended would count as negative time.
        used_s = sum(used - before.get(thread, (0.0, 0.0))[0] for thread, (used, _) in times.items())
        awaited_s = sum(awaited - before.get(thread, (0.0, 0.0))[1] for thread, (_, awaited) in times.items())
        limit_s = self.spec.silence_limit_s if self.is_up else START_LIMIT_S
        return silence_s - used_s - awaited_s > limit_s or used_s > BUSY_LIMIT_S

    def thread_times(self) -> dict[int, tuple[float, float]]:
        """Return the times for which each thread has used and awaited a processor, s, by id; see sched-stats.rst."""
        times = {}
        with contextlib.suppress(OSError):  # the process may have ended
            for thread in Path(f"/proc/{self.pid}/task").iterdir():
                with contextlib.suppress(OSError):  # a thread may end while it is read
                    used, awaited, _ = (thread / "schedstat").read_text().split()
                    times[int(thread.name)] = int(used) * 1e-9, int(awaited) * 1e-9
        return times

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process if it still exists; SIGKILL sets `is_killed`."""
        self.is_killed |= number is signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def reap(self) -> int | None:
        """Return the exit code of an ended process (negative: killed by that signal), else None."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        os.close(self.pidfd)
        return os.waitstatus_to_exitcode(status)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def memory_kills() -> int:
    """Return the number of processes that the kernel has killed for lack of memory since the boot; 0 if unknown."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _run_forked(spec: TaskSpec, run_child: RunChild, channel: socket.socket, parent: int) -> None:
    """Prepare the forked process, run the task in it and exit with the task's code; never return."""
    code = 1
    try:
        # The kernel ends this process when main.py ends for any reason. main.py may have ended before this call,
        # therefore getppid() is checked below.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM if spec.outlives_main else signal.SIGKILL)
        _prctl(PR_SET_NAME, f"pygnc-{spec.name}"[:15].encode())
        _raise_oom_score(spec.oom_score_adj)
        signal.set_wakeup_fd(-1)
        for number in STOP_SIGNALS:  # the handlers of main.py would arm its hard exit; the task makes its own
            signal.signal(number, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        close_all_but(channel.fileno())  # the task must not hold the supervisor's lock, other channels or journals
        if os.getppid() == parent:
            code = run_child(spec, channel)
    finally:
        os._exit(code)


def _raise_oom_score(addition: int) -> None:
    with contextlib.suppress(OSError):
        file = os.open("/proc/self/oom_score_adj", os.O_RDWR)  # `Path` would modify 0.1 MB of memory that tasks share
        os.write(file, b"%d" % min(1000, int(os.read(file, 100)) + addition))
        os.close(file)


def close_all_but(descriptor: int) -> None:
    """Close all inherited file descriptors except one and the standard ones."""
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, _HIGHEST_DESCRIPTOR)


class SignalInbox:
    """Collector of the signals that request a process to stop.

    Handlers are installed explicitly, so that SIGINT works even if it was inherited as ignored.

    Args:
        numbers: The signals.
        earlier_s: Monotonic times of requests that earlier handlers have noted, s.
        on_first: Called in the signal handler at the first request, or at once if there are earlier ones.

    Attributes:
        descriptor: File descriptor that becomes readable when a signal arrives.
        first_at_s: Monotonic time of the first request, s; infinite before.
    """

    first_at_s: float = math.inf

    def __init__(
        self,
        numbers: Sequence[signal.Signals],
        earlier_s: Sequence[float] = (),
        on_first: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_first = on_first
        self.descriptor, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._received: list[signal.Signals] = []
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # exit codes would be lost if it were inherited as ignored
        for number in numbers:
            signal.signal(number, self._on_signal)
        if earlier_s:
            os.write(self._write_end, b"\0")  # wakes the loop as a signal does
            self._on_signal(numbers[0], None, earlier_s[0])

    @property
    def has_received(self) -> bool:
        """True if a signal has been received, whether it was taken or not."""
        return self.first_at_s < math.inf

    def take(self) -> list[signal.Signals]:
        """Return the signals received since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 4096)
        received, self._received = self._received, []
        return received

    def _on_signal(self, number: int, _frame: object, at_s: float | None = None) -> None:
        self._received.append(signal.Signals(number))
        if not self.has_received:
            self.first_at_s = time.monotonic() if at_s is None else at_s
            self._on_first()


def limit_loop(limit_s: float = LOOP_LIMIT_S) -> None:
    """Let the kernel end this process once it has used `limit_s` of processor time, unless this is called again.

    A flipped bit can keep a function of the interpreter in a loop, in which no signal handler, nor the hard exit, runs.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # it may have been inherited as ignored
    signal.setitimer(signal.ITIMER_PROF, limit_s)


def arm_hard_exit(delay_s: float, before_exit: Callable[[], None]) -> None:
    """Schedule a call of `before_exit` and an immediate exit after `delay_s`, because the power is about to be cut.

    An exit that is already scheduled is not delayed.
    The kernel then ends all tasks that still run (see `_run_forked`).
    """

    def leave(_number: int, _frame: object) -> None:
        before_exit()
        os._exit(ExitCode.FORCED)

    signal.signal(signal.SIGALRM, leave)
    if not signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.setitimer(signal.ITIMER_REAL, delay_s)

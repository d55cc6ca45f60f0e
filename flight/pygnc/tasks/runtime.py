"""What every task process has in common: its loop, its one way to wait, its answers to the supervisor.

The C library's heap, kept small. Only GNU's takes such orders; others do as they like.
"""

import ctypes
import importlib
import math
import signal
import socket
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import zmq

from pygnc.bus import control
from pygnc.bus.disk_guard import DiskGuard
from pygnc.bus.journal_writer import JournalWriter
from pygnc.bus.streams import LINGER_MS, StreamWriter
from pygnc.common.clock import SpacecraftReading, spacecraft_s_at
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.supervisor.process import SignalInbox, TaskSpec
from pygnc.supervisor.supervisor import DRAIN_STAGES

_M_ARENA_MAX: Final = -8
_library: Final = ctypes.CDLL(None)
_mallopt: Final[Callable[[int, int], Any]] = getattr(_library, "mallopt", lambda *_: 0)
_malloc_trim: Final[Callable[[int], Any]] = getattr(_library, "malloc_trim", lambda _: 0)


def share_heap_among_threads() -> None:
    """Let all threads take from one heap: a solver's own would keep the megabytes that it had for a second."""
    _mallopt(_M_ARENA_MAX, 1)


def trim_heap() -> None:
    """Return to the system what is free."""
    _malloc_trim(0)


WAIT_S: Final = 0.5
DRAIN_S: Final = 0.2
"""A source or estimator that is told to stop works off what waits for at most so long."""
SIGTERM_PATIENCE_S: Final = 3.0
"""A task that closes files, sent SIGTERM by the host itself, waits so long for the supervisor's word."""
TIDY_INTERVAL_S: Final = 0.5
"""What one task is through with is to be there when another needs most, a second later."""
TRACEBACK_MAX: Final = 8000
_IN_MEMORY: Final = "only what is under way between two tasks"

Notify = Callable[[str, str, str], None]
"""Takes severity, name and text of an event."""
Wakes: TypeAlias = "zmq.Socket[bytes] | int"
"""A ZeroMQ socket or a descriptor."""


@dataclass(frozen=True, slots=True)
class Run:
    """What all tasks of one run know.

    Attributes:
        home: the host's files are here.
        folder: the run's journals on disk.
        number: names the run's folder.
        runtime: the run's private folder in memory: sockets, checkpoints, journals that the disk refuses.
        settings: the configuration.
        header: payload of every journal's HEADER record.
        earth_orientation: the table in use.
        start: spacecraft time at the start, as main.py was told, and the computer's monotonic clock.
        has_terminal: whether the host speaks over the terminal that started main.py.
        config: the settings file that main.py was told to use.
        from_last_run: whether the run begins with what the last one wrote.
    """

    home: Path
    folder: Path
    runtime: Path
    number: int
    settings: Settings
    header: bytes
    earth_orientation: EarthOrientationTable
    start: SpacecraftReading
    has_terminal: bool = False
    config: Path | None = None
    from_last_run: bool = False

    @property
    def has_host(self) -> bool:
        """Whether there is a line to the host."""
        return self.has_terminal or bool(self.settings.host.port)

    @property
    def journal_folders(self) -> tuple[Path, Path]:
        """Where journals may be, best first."""
        return self.folder, self.runtime

    def open_journal(self, name: str) -> JournalWriter:
        """Open a journal of this run for writing, below the disk ceiling."""
        logs = self.settings.logs
        guard = DiskGuard(self.folder, logs.ceiling_bytes, logs.reserve_bytes)
        return JournalWriter(self.folder, self.runtime, name, self.header, guard.may_grow)

    def spacecraft_time_s(self) -> int:
        """Return the present spacecraft time by the computer's monotonic clock."""
        return spacecraft_s_at(time.monotonic_ns(), self.start)


class Task(ABC):
    """A task process. Its hooks are called from one loop, which alone waits.

    Args:
        run: what all tasks know.
        context: the process's ZeroMQ context.
        notify: takes events.

    Attributes:
        stop_request: why the task wants the run to stop; empty while it does not.
    """

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        self.run = run
        self.context = context
        self.notify = notify
        self.stop_request = ""
        self._streams: list[StreamWriter] = []
        self._kept: list[JournalWriter] = []
        self._faults_told = 0

    @abstractmethod
    def sockets(self) -> "Sequence[Wakes]":
        """Return the sockets and descriptors whose messages should wake the loop now; asked before each wait."""

    def wait_s(self) -> float:
        """Return how long the loop may wait at most."""
        return WAIT_S

    @abstractmethod
    def work(self) -> bool:
        """Do what can be done within some 50 ms; return whether more waits."""

    @abstractmethod
    def progress(self) -> control.Progress:
        """Say how far the task is."""

    @abstractmethod
    def close(self) -> None:
        """Close all files in order; nothing else is called afterwards."""

    def on_run_state(self, state: control.RunState) -> None:
        """Take the state of the whole run, which is sent to tasks whose table line says so."""
        del state

    def open_stream(self, name: str, *, kept: bool = True) -> StreamWriter:
        """Open a stream that this task writes; one that is not kept beyond the run has its journal in memory."""
        run = self.run
        if kept:
            journal = run.open_journal(name)
            self._kept.append(journal)
        else:
            journal = JournalWriter(run.folder, run.runtime, name, run.header, lambda _: _IN_MEMORY)
        self._streams.append(StreamWriter(self.context, run.runtime, name, journal))
        return self._streams[-1]

    def joins(self) -> "list[zmq.Socket[bytes]]":
        """Return the sockets that tell of readers that join the task's streams."""
        return [stream.socket for stream in self._streams]

    def serve_streams(self) -> None:
        """Greet readers; make durable what was written more than a second ago, though nothing more is written now."""
        for stream in self._streams:
            stream.greet()
        for journal in self._kept:
            journal.sync_if_due()

    def not_recorded(self) -> int:
        """Return how many of the streams are not wholly on disk; say so once, when it happens."""
        faults = [journal.fault for journal in self._kept if journal.fault]
        for fault in faults[self._faults_told :]:
            self.notify("error", "not_recorded", f"from now on a journal is kept in memory only: {fault}")
        self._faults_told = len(faults)
        return len(faults)


class TaskLoop:
    """Turns one task until it is told to stop."""

    def __init__(self, spec: TaskSpec, run: Run, channel: socket.socket) -> None:
        self._closes_files = spec.stop_stage not in DRAIN_STAGES
        self._channel = channel
        self._inbox = SignalInbox([signal.SIGTERM])
        self._stop_by_s = math.inf
        self._leave_at_s = math.inf
        self._told = self._tidied = (0, False)
        self._tidy_at_s = 0.0
        self._has_asked = False
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        # Only what all tasks share was loaded before the fork; each loads its own, side by side with the others.
        module, _, name = spec.entry.partition(":")
        self._task: Task = getattr(importlib.import_module(module), name)(run, self._context, self._notify)

    def turn(self) -> None:
        """Run the task from its first word to the closing of its files."""
        poller = zmq.Poller()
        poller.register(self._channel.fileno(), zmq.POLLIN)
        poller.register(self._inbox.descriptor, zmq.POLLIN)
        watched: Sequence[Wakes] = ()
        self._answer(0)
        more = True
        while not self._must_end(more=more):
            wanted = [*self._task.sockets(), *self._task.joins()]
            if wanted != watched:
                for source in watched:
                    poller.unregister(source)
                for source in wanted:
                    poller.register(source, zmq.POLLIN)
                watched = wanted
            wait_s = min(WAIT_S, self._task.wait_s(), max(0.0, self._leave_at_s - time.monotonic()))
            poller.poll(0 if more else int(wait_s * 1e3))
            self._serve()
            more = self._task.work()
            self._task.serve_streams()
            if self._task.stop_request and not self._has_asked:
                self._has_asked = control.send(self._channel, control.StopRequest(self._task.stop_request))
            if not more:
                self._tell_news()
                self._tidy_up()
        self._task.close()
        self._answer(0)
        self._context.destroy(linger=LINGER_MS)

    def _must_end(self, *, more: bool) -> bool:
        now = time.monotonic()
        if now >= min(self._leave_at_s, self._stop_by_s):
            return True
        return not more and self._stop_by_s < math.inf

    def _serve(self) -> None:
        now = time.monotonic()
        while message := control.receive_from_supervisor(self._channel):
            if isinstance(message, control.Ping):
                self._answer(message.counter)
            elif isinstance(message, control.RunState):
                self._task.on_run_state(message)
            else:
                self._stop_by_s = now + (message.drain_s if self._closes_files else min(message.drain_s, DRAIN_S))
        if self._inbox.take():
            # From the host itself, or from the supervisor when time is short. Those who close files wait for the
            # others' last words, which come with the supervisor's Stop.
            self._leave_at_s = min(self._leave_at_s, now + (SIGTERM_PATIENCE_S if self._closes_files else 0.0))

    def _answer(self, counter: int) -> None:
        control.send(self._channel, control.Pong(counter, self._task.progress()))

    def _tell_news(self) -> None:
        progress = self._task.progress()
        if (progress.through, progress.idle) != self._told:
            self._told = (progress.through, progress.idle)
            self._answer(0)

    def _tidy_up(self) -> None:
        """Return to the system what a batch has needed and the allocator keeps, a millisecond's work."""
        now = time.monotonic()
        if self._told != self._tidied and now >= self._tidy_at_s:
            self._tidied, self._tidy_at_s = self._told, now + TIDY_INTERVAL_S
            trim_heap()

    def _notify(self, severity: str, name: str, text: str) -> None:
        control.send(self._channel, control.Notice(severity, name, text))


def run_task(spec: TaskSpec, run: Run, channel: socket.socket) -> int:
    """Be the process of one task; return its exit code."""
    try:
        TaskLoop(spec, run, channel).turn()
    except Exception as error:  # noqa: BLE001 - whatever it is, it must reach the events journal before the restart
        trace = "".join(traceback.format_exception(error))[-TRACEBACK_MAX:]
        control.send(channel, control.Notice("error", "crash", f"{error!r:.500}\n{trace}"))
        return 1
    return 0

"""Life cycle of a task process.

Every process of a run, except the supervisor, is one `Task` in one `TaskLoop`:

1. The supervisor forks a process and calls `run_task`. The loop imports the task's module, makes the task and reports
   to the supervisor that it is up.
2. The loop waits for the sockets that the task names, for the supervisor and for signals, at most `Task.wait_s`. It
   calls `Task.work`, and repeats without waiting while `work` returns True. The supervisor's pings do not end a wait:
   the loop responds to them itself. A bit that flips during a wait is noticed after it (`pygnc.tasks.seal`); the
   process then ends, and its successor continues from the checkpoint.
3. The loop ends when the supervisor sends Stop (as soon as the task has no work left, within the time that Stop
   allows) or on SIGTERM. It then calls `Task.close` and reports the final counters.
4. An exception becomes an event with its traceback and exit code 1. The supervisor starts a new process, which
   continues from the journals and the checkpoint (`pygnc.tasks.recovery`).

A task only implements the hooks of `Task`; it never waits on its own.
"""

import _thread
import importlib
import math
import os
import signal
import socket
import time
import traceback
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Final, TypeAlias

import msgspec
import zmq

from pygnc.bus import control
from pygnc.bus.journal_writer import JournalWriter
from pygnc.bus.messages import Message
from pygnc.bus.streams import LINGER_MS, StreamReader, StreamWriter, encode
from pygnc.common.arrays import Array
from pygnc.configuration.run import Notify, Run
from pygnc.supervisor.process import NOT_STARTED, STATE_CHANGED, ExitCode, SignalInbox, TaskSpec
from pygnc.supervisor.stop_plan import DRAIN_STAGES
from pygnc.tasks.memory import trim_heap, unmap_libraries
from pygnc.tasks.seal import CODE_RESTORED, MODULES, Seal, StateChangedError

WAIT_S: Final = 0.5
"""Maximum wait of a task with records to sync, or that serves a line or devices, s."""
IDLE_WAIT_S: Final = 3.0
"""Maximum wait of other tasks, s; each wait costs two checksums of the task's state."""
DRAIN_S: Final = 0.2
"""Maximum time for which a task that closes no files still processes waiting messages after Stop, s."""
SIGTERM_PATIENCE_S: Final = 3.0
"""Maximum time for which a task that closes files waits, after SIGTERM from the host, for the supervisor's Stop, s."""
POSITIONS_INTERVAL_S: Final = 60.0
TRIM_INTERVAL_S: Final = 0.5
"""Minimum time between returns of freed memory to the system, s; other tasks may need it within a second."""
UNMAP_AFTER_S: Final = 2.0
"""Time without progress after which a task unmaps its libraries, s."""
UNMAP_INTERVAL_S: Final = 60.0
UNMAP_USED_S: Final = 0.1
"""Processor time after which a task unmaps its libraries, s; a batch uses a half of them only for a moment."""
ZMQ_THREADS: Final = 2
TRACEBACK_MAX: Final = 8000
_NOT_DURABLE: Final = "the stream is kept in memory only"

Context: TypeAlias = "zmq.Context[zmq.Socket[bytes]]"
PollSource: TypeAlias = "zmq.Socket[bytes] | int"
"""A ZeroMQ socket or a file descriptor."""


class Task(ABC):
    """Base class of the tasks. One loop calls all hooks. `close` closes the streams and readers opened by a task.

    Attributes:
        run: Constants of the run.
        context: The process's ZeroMQ context.
        notify: Function that reports an event.
        stop_request: Reason to stop the whole run, or empty.
        main_has_ended: True before `close` if main.py has ended; only if the task table sets `outlives_main`.
        known_answers: Functions whose results show whether a table in a library has changed (`pygnc.tasks.seal`).
    """

    known_answers: Sequence[Callable[[], Array]] = ()

    def __init__(self, run: Run, context: Context, notify: Notify) -> None:
        self.run = run
        self.context = context
        self.notify = notify
        self.stop_request = ""
        self.main_has_ended = False
        self._streams: list[StreamWriter] = []
        self._readers: dict[str, StreamReader] = {}
        self._durable: list[JournalWriter] = []
        self._faults_reported = 0
        self._undecodable: set[str] = set()

    def sockets(self) -> Sequence[PollSource]:
        """Return the sockets and descriptors that wake the loop, by default of all readers; called before each wait."""
        return [reader.socket for reader in self._readers.values()]

    def wait_s(self) -> float:
        """Return the maximum time that the loop may wait for an event before it calls `work` again, s."""
        return WAIT_S if any(journal.is_unsynced for journal in self._durable) else IDLE_WAIT_S

    @abstractmethod
    def work(self) -> bool:
        """Do at most about 50 ms of work; return True if more is waiting."""

    @abstractmethod
    def progress(self) -> control.Progress:
        """Return the number of the last input processed and the counters since the start of the run."""

    def close(self) -> None:
        """Close streams and readers; a task with pending data writes it first. The loop calls this last."""
        for stream in self._streams:
            stream.close()
        for reader in self._readers.values():
            reader.close()

    def on_run_state(self, state: control.RunState) -> None:
        """Process the state of the run before each step; called only if the task table sets `reports_run`."""
        del state

    def open_stream(self, name: str, *, durable: bool = True) -> StreamWriter:
        """Open a stream that this task writes; unless `durable`, its journal is in memory and ends with the run."""
        run = self.run
        if durable:
            journal = run.open_journal(name)
            self._durable.append(journal)
        else:
            journal = JournalWriter(run.folder, run.runtime, name, run.header, lambda _: _NOT_DURABLE)
        self._streams.append(StreamWriter(self.context, run.runtime, name, journal))
        return self._streams[-1]

    def open_reader(self, name: str, kind: object, *, after_seq: int = 0) -> StreamReader:
        """Open a stream of messages of type `kind` (a class or a union) for reading after message `after_seq`.

        Messages that cannot be decoded are dropped; the first one is reported. An earlier reader of the stream is
        closed.
        """
        decode = partial(self.decode, name, msgspec.msgpack.Decoder(kind).decode)
        if name in self._readers:
            self._readers[name].close()
        folders = self.run.journal_folders
        self._readers[name] = StreamReader(self.context, self.run.runtime, name, folders, decode, after_seq=after_seq)
        return self._readers[name]

    def decode(self, name: str, decode: Callable[[bytes], Message], payload: bytes) -> Message | None:
        """Return a message of stream `name`; None if it cannot be decoded, which is reported once for each stream."""
        try:
            return decode(payload)
        except (ValueError, RecursionError) as error:  # also text that is not UTF-8, and nested arrays
            if name not in self._undecodable:
                self._undecodable.add(name)
                text = f"stream {name}: messages that cannot be decoded are dropped: {error}"
                self.notify("warning", control.DROPPED, text)
        return None

    def stream_sockets(self) -> "list[zmq.Socket[bytes]]":
        """Return the sockets of the task's own streams, which become readable when readers subscribe."""
        return [stream.socket for stream in self._streams]

    def serve_streams(self) -> None:
        """Announce the last message to new readers and sync recent records, even if no more records follow."""
        for stream in self._streams:
            stream.answer_subscriptions()
        for journal in self._durable:
            journal.sync_if_due()

    def check_positions(self) -> None:
        """Check that no reader is beyond the end of its stream, after which it would read nothing any more.

        Raises:
            StateChangedError: A reader is.
        """
        for name, reader in self._readers.items():
            if reader.is_beyond_end():
                raise StateChangedError(f"the position in the stream {name} is beyond its end")

    def stream_counts(self) -> dict[str, int]:
        """Return the counters of lost messages and of streams that are not completely on disk."""
        lost = sum(reader.lost for reader in self._readers.values())
        return {"lost_messages": lost, "not_recorded": self.not_recorded()}

    def not_recorded(self) -> int:
        """Return the number of durable streams that are not completely on disk; report each change."""
        faults = [journal.fault for journal in self._durable if journal.fault]
        for fault in faults[self._faults_reported :]:
            self.notify("error", "not_recorded", f"{fault}; from now on this journal is kept in memory only")
        if len(faults) < self._faults_reported:
            self.notify("info", "recorded", "the disk has room again; records in memory were moved to it")
        self._faults_reported = len(faults)
        return len(faults)


def run_task(spec: TaskSpec, run: Run, channel: socket.socket, run_crc: int) -> int:
    """Run one task in this process until it is stopped; return the exit code, not 0 after an exception.

    `run_crc` is the CRC-32 of the constants of the run, in which a bit may have flipped since the start.
    """
    if not _has_threads():
        return NOT_STARTED
    try:
        _verify(run, run_crc)
        if MODULES.restore(everything=MODULES.are_old):  # in main.py's memory, from which this process was forked
            control.send(channel, control.Notice("warning", "state_changed", CODE_RESTORED))
        TaskLoop(spec, replace(run, memory_kills=spec.memory_kills), channel).run()
    except StateChangedError as error:
        control.send(channel, control.Notice("warning", "state_changed", str(error)))
        return STATE_CHANGED
    except Exception as error:  # noqa: BLE001 - any error must reach the events journal before the restart
        trace = "".join(traceback.format_exception(error))[-TRACEBACK_MAX:]
        control.send(channel, control.Notice("error", "crash", f"{error!r:.500}\n{trace}"))
        return ExitCode.OUT_OF_MEMORY if isinstance(error, MemoryError) else 1
    return 0


def _verify(run: Run, crc: int) -> None:
    if zlib.crc32(run.constants()) != crc:
        raise StateChangedError("a constant of the run has changed since the start of main.py")


def _has_threads() -> bool:
    """Return True if the system has the threads that ZeroMQ needs; ZeroMQ would abort the process without them."""
    end = _thread.allocate_lock()
    with end:  # the module `threading` would modify 0.3 MB of shared memory
        try:
            for _ in range(ZMQ_THREADS):
                _thread.start_new_thread(_wait_for, (end,))
        except RuntimeError:
            return False
    return True


def _wait_for(lock: _thread.LockType) -> None:
    with lock:
        pass


class TaskLoop:
    """Loop of one task process: waits for events, responds to the supervisor over `channel`, calls the task's hooks."""

    def __init__(self, spec: TaskSpec, run: Run, channel: socket.socket) -> None:
        self._closes_files = spec.stop_stage not in DRAIN_STAGES
        self._channel = channel
        self._main = os.getppid()
        self._inbox = SignalInbox([signal.SIGTERM])
        self._stop_at_s = math.inf
        self._exit_at_s = math.inf
        self._run_state: control.RunState | None = None
        self._reported = self._trimmed = (0, False)
        self._next_trim_s = self._next_unmap_s = 0.0
        self._unmap_at_s = math.inf
        self._unmap_at_used_s = UNMAP_USED_S
        self._next_check_s = time.monotonic() + POSITIONS_INTERVAL_S
        self._stop_requested = False
        self._context: Context = zmq.Context()
        # The parent has imported shared modules only; each task imports its own, concurrently with the others.
        module = importlib.import_module(f"pygnc.tasks.{spec.name}.task")
        self._task: Task = getattr(module, spec.entry)(run, self._context, self._notify)
        self._progress = self._task.progress()
        self._progress_crc = zlib.crc32(encode(self._progress))
        self._seal = Seal(self, run.constants, self._task.known_answers)

    def run(self) -> None:
        """Run the task until it must end, close it and report its last progress."""
        poller = zmq.Poller()
        poller.register(self._channel.fileno(), zmq.POLLIN)
        poller.register(self._inbox.descriptor, zmq.POLLIN)
        watched: Sequence[PollSource] = ()
        self._send_progress(0)
        more = True
        while not self._must_end(more=more):
            watched = self._watch(poller, watched)
            if more:
                poller.poll(0)
            self._receive_control(() if more else self._wait(poller))
            more = self._task.work()
            self._task.serve_streams()
            if self._task.stop_request and not self._stop_requested:
                self._stop_requested = control.send(self._channel, control.StopRequest(self._task.stop_request))
            self._unmap_if_due()
            if not more:
                self._report_progress()
                self._free_memory_if_due()
                self._check_positions_if_due()
        self._task.main_has_ended = os.getppid() != self._main
        self._task.close()
        self._send_progress(0)
        self._context.destroy(linger=LINGER_MS)

    def _watch(self, poller: zmq.Poller, watched: Sequence[PollSource]) -> Sequence[PollSource]:
        """Register the task's present sockets instead of the `watched` ones; return those registered now."""
        wanted = [*self._task.sockets(), *self._task.stream_sockets()]
        if wanted != watched:
            for source in watched:
                poller.unregister(source)
            for source in wanted:
                poller.register(source, zmq.POLLIN)
        return wanted

    def _must_end(self, *, more: bool) -> bool:
        if time.monotonic() >= min(self._exit_at_s, self._stop_at_s):
            return True
        return not more and self._stop_at_s < math.inf

    def _wait(self, poller: zmq.Poller) -> list[control.FromSupervisor]:
        """Wait until the task must work; respond to pings meanwhile, and return the other messages of the supervisor.

        Raises:
            StateChangedError: The state has changed.
        """
        until_s = min(time.monotonic() + self._task.wait_s(), self._exit_at_s)
        self._seal.close()
        others: list[control.FromSupervisor] = []
        is_quiet = True
        while is_quiet:
            ready = poller.poll(math.ceil(1e3 * max(0.0, until_s - time.monotonic())))
            received = list(self._received()) if ready == [(self._channel.fileno(), zmq.POLLIN)] else []
            others += [message for message in received if not self._is_answered(message)]
            is_quiet = bool(received) and not others
        self._seal.verify()
        return others

    def _received(self) -> Iterator[control.FromSupervisor]:
        while message := control.receive_from_supervisor(self._channel):
            yield message

    def _is_answered(self, message: control.FromSupervisor) -> bool:
        """Respond to a message that does not concern the waiting task; return False for others."""
        if isinstance(message, control.Ping):
            # The state is verified after the wait only, but the progress is used now.
            if zlib.crc32(encode(self._progress)) != self._progress_crc:
                raise StateChangedError("the progress of the task changed while the task waited")
            control.send(self._channel, control.Pong(message.counter, self._progress))
            return True
        return message == self._run_state  # the supervisor repeats it with each ping

    def _receive_control(self, earlier: Sequence[control.FromSupervisor]) -> None:
        """Process the messages that a wait returned, and later ones.

        The task gets the state of the run each time: a bit may have flipped in what it has stored of it.
        """
        now = time.monotonic()
        for message in chain(earlier, self._received()):
            if isinstance(message, control.Ping):
                self._send_progress(message.counter)
            elif isinstance(message, control.RunState):
                self._run_state = message
            else:
                self._stop_at_s = now + (message.drain_s if self._closes_files else min(message.drain_s, DRAIN_S))
        if self._run_state is not None:
            self._task.on_run_state(self._run_state)
        if self._inbox.take():
            # SIGTERM comes from the host, or from the supervisor when time is short. Tasks that close files wait for
            # the last messages of the others, which are complete when the supervisor sends Stop.
            waits = self._closes_files and os.getppid() == self._main
            self._exit_at_s = min(self._exit_at_s, now + (SIGTERM_PATIENCE_S if waits else 0.0))

    def _send_progress(self, counter: int) -> None:
        control.send(self._channel, control.Pong(counter, self._task.progress()))

    def _report_progress(self) -> None:
        """Report progress without a ping, so that the supervisor sees the end of the batch at once."""
        progress = self._progress = self._task.progress()
        self._progress_crc = zlib.crc32(encode(progress))
        if (progress.last_sequence_processed, progress.idle) != self._reported:
            self._reported = (progress.last_sequence_processed, progress.idle)
            self._send_progress(0)

    def _free_memory_if_due(self) -> None:
        now = time.monotonic()
        if self._reported != self._trimmed and now >= self._next_trim_s:
            self._trimmed, self._next_trim_s = self._reported, now + TRIM_INTERVAL_S
            self._unmap_at_s = max(now + UNMAP_AFTER_S, self._next_unmap_s)
            trim_heap()
        if now >= self._unmap_at_s:
            self._unmap_at_s = self._next_unmap_s = now + UNMAP_INTERVAL_S
            unmap_libraries()
            trim_heap()  # checkpoints and second looks leave unused memory, too

    def _unmap_if_due(self) -> None:
        used_s = time.process_time()
        if used_s >= self._unmap_at_used_s:
            self._unmap_at_used_s = used_s + UNMAP_USED_S
            unmap_libraries()

    def _check_positions_if_due(self) -> None:
        now = time.monotonic()
        if now >= self._next_check_s:
            self._next_check_s = now + POSITIONS_INTERVAL_S
            self._task.check_positions()

    def _notify(self, severity: str, name: str, text: str) -> None:
        control.send(self._channel, control.Notice(severity, name, text))

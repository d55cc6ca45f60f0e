"""Second look: repetition of the last inputs of a task, which shows a bit flipped while the task worked.

A task whose estimates are a function of its checkpoint and the journals is repeated from the newest verified checkpoint
by a forked process of lowest priority, when the task has been idle for a second, at most once in a while. The process
compares estimates and state bit for bit. If they differ, a second repetition decides whether the task or the first
repetition was wrong; then the task continues from the repeated state. A process that remained in memory would need
megabytes; the forked one shares its memory with the task and ends after a second. Only one task at a time has one.
"""

import ctypes
import fcntl
import gc
import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from pygnc.bus.control import ESTIMATES_WRONG, LIBRARY_CHANGED
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import Message
from pygnc.bus.streams import MESSAGES_PER_STEP, encode
from pygnc.configuration.run import Notify, Run
from pygnc.formats.journal import Record
from pygnc.tasks.checkpoints import Checkpoint, CheckpointFile
from pygnc.tasks.memory import find_changed_library, trim_heap
from pygnc.tasks.seal import MODULES, StateChangedError, checksum
from pygnc_system.files import read_input

INTERVAL_S: Final = 60.0
FAILED_REPORTED: Final = 3
"""Number of repetitions that fail one after another, after which this is reported."""
IDLE_S: Final = 1.0
_DIFFERENT: Final = 3
_OTHER_TABLE: Final = 4
"""Exit codes of the process that repeats inputs."""
_NICE: Final = 19
_BYTES_MAX: Final = 1 << 26
_PR_SET_PDEATHSIG: Final = 1

Repeat: TypeAlias = Callable[[Checkpoint, Checkpoint, Callable[[Message], None]], Checkpoint]
"""Function that processes the inputs between two checkpoints, takes each message, and returns the second checkpoint.

It raises LookupError if the journals lack an input.
"""


class _Difference(msgspec.Struct, frozen=True):
    """Repeated state, and the number of published messages that differ, with the first and the last of them."""

    checkpoint: Checkpoint
    wrong: int = 0
    first_seq: int = 0
    last_seq: int = 0


class SecondLook:
    """Repetitions of one task, whose stream has the name of the task."""

    def __init__(self, run: Run, name: str, repeat: Repeat, notify: Notify, interval_s: float = INTERVAL_S) -> None:
        self._run, self._name, self._repeat, self._notify = run, name, repeat, notify
        self._file = CheckpointFile(run.runtime / f"{name}.verified", notify)
        self._result = run.runtime / f"{name}.repeated"
        self._library = run.runtime / f"{name}.library"
        self._verified = self._file.load() or Checkpoint()
        self._until = self._verified
        self._first: bytes | None = None
        self._failed = 0
        self._pid = 0
        self._interval_s = interval_s
        self._has_inputs = False
        self._due_s = 0.0
        self.note_work()

    def note_work(self) -> None:
        """Postpone the next repetition, because the task is not idle."""
        self._due_s = max(self._due_s, time.monotonic() + IDLE_S)

    def wait_s(self) -> float:
        """Return the time until a repetition must begin, or is looked for, s."""
        if self._pid:
            return IDLE_S
        due_s = self._due_s - time.monotonic()
        return (due_s if due_s > 0.0 else IDLE_S) if self._has_inputs else math.inf

    def advance(self, last_input_seq: int, present: Callable[[], Checkpoint]) -> Checkpoint | None:
        """Begin or finish a repetition if it is due; return the state with which the task must continue, or None.

        Raises:
            StateChangedError: A table has changed. The successor of the process begins with the verified state.
        """
        now_s = time.monotonic()
        self._has_inputs = last_input_seq > self._verified.last_input_seq
        if self._pid:
            code = self._reap()
            if code is not None:
                self._pid, self._due_s = 0, now_s + self._interval_s
                trim_heap()  # the state that it was compared with was encoded, which takes megabytes
                return self._judge(code)
            return None
        if now_s >= self._due_s and self._has_inputs:
            try:
                self._begin(present)
            except BlockingIOError:
                self._due_s = now_s + IDLE_S
            except OSError:  # the system has no process or memory left
                self._due_s = now_s + self._interval_s
        return None

    def _begin(self, present: Callable[[], Checkpoint]) -> None:
        """Fork the process that repeats the inputs; its lock on the folder ends with it, however it ends.

        Raises:
            BlockingIOError: The second look of another task is in progress; both at once would need twice the memory.
            OSError: There is no process.
        """
        lock = os.open(self._run.runtime, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._first is None:
                self._until = present()
            pid = os.fork()
            if pid == 0:
                self._run_child()
            self._pid = pid
        finally:
            os.close(lock)

    def close(self) -> None:
        """End a repetition in progress."""
        if self._pid and self._reap() is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        self._pid = 0

    def _reap(self) -> int | None:
        """Return the exit code of the process; None while it runs."""
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # a bit of the number has flipped
            return 1
        return os.waitstatus_to_exitcode(status) if pid else None

    def _judge(self, code: int) -> Checkpoint | None:
        if self._library.exists():
            self._notify("error", LIBRARY_CHANGED, f"{self._library.read_text()}; switch the computer off and on")
            self._library.unlink()
        self._failed = 0 if code in {0, _DIFFERENT} else self._failed + 1
        if self._failed == FAILED_REPORTED:
            text = f"{self._failed} repetitions failed; estimates from inputs after {self._verified.last_input_seq}"
            self._notify("warning", "not_verified", f"{text} are not verified")
        if code == _OTHER_TABLE:
            raise StateChangedError("a constant, an instruction or the table of Earth orientation has changed")
        if code == _DIFFERENT:
            content = read_input(self._result, _BYTES_MAX)
            if content != self._first:
                self._first, self._due_s = content, 0.0
                return None
            found = msgspec.msgpack.decode(content, type=_Difference)
            if found.wrong:
                text = f"{found.wrong} estimates from number {found.first_seq} to {found.last_seq} were wrong"
                self._notify("error", ESTIMATES_WRONG, f"{text}, as a repetition of their inputs shows")
            if found.checkpoint != self._until:
                return found.checkpoint
        if code in {0, _DIFFERENT}:
            self._verified, self._first = self._until, None
            self._file.save(self._until)
        return None

    def _run_child(self) -> None:
        """Repeat the inputs and exit; never return."""
        code = 1
        try:
            gc.disable()
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.nice(_NICE)
            Path("/proc/self/oom_score_adj").write_text("1000")
            orientation_crc = self._run.earth_orientation_crc
            is_restored = MODULES.restore(everything=True)
            if is_restored or orientation_crc not in {None, checksum(self._run.earth_orientation)[0]}:
                code = _OTHER_TABLE
                return
            found = self._compare()
            if place := find_changed_library():  # among the pages that the repetition has used
                self._library.write_text(place)
            code = 0
            if found.wrong or found.checkpoint != self._until:
                self._result.write_bytes(msgspec.msgpack.encode(found))
                code = _DIFFERENT
        finally:
            os._exit(code)

    def _compare(self) -> _Difference:
        journal = JournalReader(self._run.journal_folders, self._name, self._verified.last_output_seq)
        published: deque[Record] = deque()
        wrong: list[int] = []
        seq = self._verified.last_output_seq

        def take(message: Message) -> None:
            nonlocal seq
            seq += 1
            if not published:
                published.extend(journal.read(MESSAGES_PER_STEP))
            # A record that is damaged on the disk is missing here.
            if published and published[0].seq == seq and published.popleft().payload != encode(message):
                wrong.append(seq)

        checkpoint = self._repeat(self._verified, self._until, take)
        return _Difference(checkpoint, len(wrong), min(wrong, default=0), max(wrong, default=0))

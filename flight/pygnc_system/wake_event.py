"""Events that wake a waiting thread and survive exceptions raised by signal handlers."""

import contextlib
import socket
import threading
from typing import Final

_CLEARED_BYTES: Final = 4096


class WakeEvent:
    """Event for one waiting thread; `wait` clears it.

    `threading.Event` and `Condition` are written in Python: a signal handler that raises (SystemExit for SIGTERM,
    KeyboardInterrupt) between their acquiring the inner lock and the `with` statement that releases it leaves that lock
    held for ever, and the next `set` blocks. A plain lock is acquired in one step that a signal cannot split.
    """

    def __init__(self) -> None:
        self._cleared = threading.Lock()
        self._cleared.acquire()

    def set(self) -> None:
        """Wake the waiting thread, or the next thread that waits. Has no effect while the event is set."""
        if self._cleared.locked():
            with contextlib.suppress(RuntimeError):  # "release unlocked lock": another thread has just set it
                self._cleared.release()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until the event is set, clear it and return True; return False after the timeout (None: no limit)."""
        return self._cleared.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s))


class WakeSocket:
    """Socket pair that wakes a thread which waits for file descriptors; register it with the thread's selector."""

    def __init__(self) -> None:
        self._read_end, self._write_end = socket.socketpair()
        self._read_end.setblocking(False)  # noqa: FBT003 - the library's signature
        self._write_end.setblocking(False)  # noqa: FBT003 - likewise

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return self._read_end.fileno()

    def set(self) -> None:
        """Make the descriptor readable."""
        with contextlib.suppress(OSError):  # the buffer is full: it is readable anyway; closed: no thread waits
            self._write_end.send(b"\0")

    def clear(self) -> None:
        """Make the descriptor unreadable."""
        with contextlib.suppress(BlockingIOError):
            self._read_end.recv(_CLEARED_BYTES)

    def close(self) -> None:
        """Close both ends."""
        self._read_end.close()
        self._write_end.close()

"""Events that wake a waiting thread and survive exceptions raised by signal handlers."""

import contextlib
import socket
import threading
from typing import Final

_CLEARED_BYTES: Final = 4096


class WakeEvent:
    """Event for one waiting thread; `wait` clears it.

    `threading.Event` and `Condition` are written in Python. If a signal handler raises an exception (SystemExit for
    SIGTERM, KeyboardInterrupt) just after they acquire their inner lock, the lock is never released and the next `set`
    blocks. A plain lock is acquired in one step that a signal cannot interrupt.
    """

    def __init__(self) -> None:
        self._cleared = threading.Lock()
        self._cleared.acquire()

    def set(self) -> None:
        """Wake the waiting thread, or the next thread that waits. Has no effect while the event is set."""
        if self._cleared.locked():
            with contextlib.suppress(RuntimeError):  # the lock is not locked if another thread has just set the event
                self._cleared.release()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until the event is set, clear it and return True; return False after the timeout (None: no limit)."""
        return self._cleared.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s))


class WakeSocket:
    """Socket pair that wakes a thread which waits for file descriptors; register it with the thread's selector."""

    def __init__(self) -> None:
        self._read_end, self._write_end = socket.socketpair()
        self._read_end.setblocking(False)  # noqa: FBT003 - the library's signature
        self._write_end.setblocking(False)  # noqa: FBT003 - the library's signature

    def fileno(self) -> int:
        """Return the descriptor that is readable from `set` to `clear`."""
        return self._read_end.fileno()

    def set(self) -> None:
        """Make the descriptor readable, which wakes the waiting thread."""
        with contextlib.suppress(OSError):  # with a full buffer it is readable anyway; after `close`, no thread waits
            self._write_end.send(b"\0")

    def clear(self) -> None:
        """Make the descriptor unreadable until the next `set`."""
        with contextlib.suppress(BlockingIOError):
            self._read_end.recv(_CLEARED_BYTES)

    def close(self) -> None:
        """Close both ends."""
        self._read_end.close()
        self._write_end.close()

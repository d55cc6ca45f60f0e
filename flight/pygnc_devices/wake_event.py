"""Wakes a thread that waits. What a signal's handler raises in the waiter, at any place, leaves the bell whole.

`threading.Condition` and `Event` are Python: struck by an exception between taking their lock and the `with` behind it,
as SystemExit of a SIGTERM or KeyboardInterrupt may, they stay locked for ever, and whoever rings them waits as long. A
plain lock is taken and waited for in one step that signals cannot cut.
"""

import contextlib
import threading


class Bell:
    """Rings once for one who waits, now or later; ringing a bell that rings does nothing."""

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()

    def ring(self) -> None:
        """Wake who waits, or who waits next."""
        with contextlib.suppress(RuntimeError):  # it rings already
            self._silence.release()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until it rings, and silence it; tell whether it did in that time. None: however long."""
        return self._silence.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s))

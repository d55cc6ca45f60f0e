"""Closes devices that must not be left running, however the program ends, short of kill -9 and a power cut.

A `with` block closes its device by itself. This covers the rest: programs that just end, and SIGTERM and SIGHUP, which
otherwise end a program without a word. Where a program has no handler of its own for them, they become SystemExit in
the main thread, so that `with` and `finally` do their work.
"""

import atexit
import contextlib
import signal
import sys
import threading
from typing import Final, NoReturn, Protocol
from weakref import WeakSet

_SIGNALS: Final = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_OF_A_SIGNAL: Final = 128


class Closable(Protocol):
    """What can be closed, twice too."""

    def close(self) -> None:
        """Leave it in order."""
        ...


_open: Final[WeakSet[Closable]] = WeakSet()


def close_at_exit(device: Closable) -> None:
    """See to it that a device is closed when the program ends."""
    _open.add(device)


def end_in_order_on_signals() -> None:
    """Make SystemExit of SIGTERM and SIGHUP where the program leaves them alone; does nothing in other threads."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _exit)


def _exit(number: int, _: object) -> NoReturn:
    sys.exit(_OF_A_SIGNAL + number)


@atexit.register
def _close_all() -> None:
    for device in list(_open):
        with contextlib.suppress(Exception):  # the others must be closed all the same
            device.close()

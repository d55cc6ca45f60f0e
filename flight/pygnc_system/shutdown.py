"""Closing of devices that must not be left running when the program ends, except by SIGKILL or a power cut.

A `with` block closes its device. This module covers programs that end without closing, and SIGTERM and SIGHUP, which
end a Python program at once. If the program has no handler of its own, these signals raise SystemExit in the main
thread, so that `with` and `finally` blocks run.
"""

import atexit
import contextlib
import signal
import sys
import threading
from typing import Final, NoReturn, Protocol
from weakref import WeakSet

_SIGNALS: Final = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_EXIT_CODE_OF_SIGNAL_0: Final = 128


class Closable(Protocol):
    """Object that controls a device and can be passed to `close_at_exit`."""

    def close(self) -> None:
        """Put the device into its idle state and release it."""


_open: Final[WeakSet[Closable]] = WeakSet()


def close_at_exit(device: Closable) -> None:
    """Register `device` to be closed when the program ends, if the object still exists then."""
    _open.add(device)


def exit_on_signals() -> None:
    """Make SIGTERM and SIGHUP raise SystemExit unless the program handles them; only the main thread may set this."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _exit)


def _exit(number: int, _: object) -> NoReturn:
    sys.exit(_EXIT_CODE_OF_SIGNAL_0 + number)


@atexit.register
def _close_all() -> None:
    for device in list(_open):
        with contextlib.suppress(Exception):  # a failure must not prevent the closing of other devices
            device.close()

"""Gives the terminal back when main.py cannot: a process that waits for main.py's end and does nothing else.

Whatever ends main.py closes the pipe between the two, kill -9 included. No task can do this: they are killed with it.
"""

import contextlib
import ctypes
import os
import signal
from typing import Final

from pygnc.host.terminal import Terminal

_HIGHEST_DESCRIPTOR: Final = 4096
_PR_SET_NAME: Final = 15
_IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTTOU)
"""The host may signal every process before main.py has ended; and a shell may have taken the terminal by then."""


class TerminalGuard:
    """The guard of a terminal that was prepared.

    Args:
        terminal: it.
    """

    def __init__(self, terminal: Terminal) -> None:
        ending, self._held = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _watch(ending, terminal)
        os.close(ending)

    def dismiss(self) -> None:
        """End it: main.py gives the terminal back itself."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._held)


def _watch(ending: int, terminal: Terminal) -> None:
    """Be the guard; never returns."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_NAME, b"pygnc-terminal")
        signal.set_wakeup_fd(-1)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        # Its own end of the pipe, held open here too, would keep the other one waiting for ever.
        os.closerange(3, ending)
        os.closerange(ending + 1, _HIGHEST_DESCRIPTOR)
        while os.read(ending, 1):
            pass
        terminal.restore_if_left()
    finally:
        os._exit(0)

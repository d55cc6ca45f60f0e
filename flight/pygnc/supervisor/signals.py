"""Signals as data: what came is read from a list, and a poll on `descriptor` wakes up."""

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from typing import Final

from pygnc.supervisor.exit_codes import ExitCode

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalInbox:
    """Collects the signals that ask a process to stop.

    Handlers are installed explicitly, so that SIGINT works also where it was inherited as ignored.
    """

    def __init__(self, numbers: Sequence[signal.Signals]) -> None:
        self.descriptor, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._received: list[signal.Signals] = []
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, self._note)

    def take(self) -> list[signal.Signals]:
        """Return what has come since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 4096)
        received, self._received = self._received, []
        return received

    def _note(self, number: int, _frame: object) -> None:
        self._received.append(signal.Signals(number))


def arm_hard_exit(delay_s: float, pids: Sequence[int], last_act: Callable[[], None]) -> None:
    """After `delay_s`, kill `pids`, do `last_act` and leave without another word: the power is about to go."""

    def leave(_number: int, _frame: object) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        last_act()
        os._exit(ExitCode.FORCED)

    signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, delay_s)

"""Orderly end of a command after Ctrl-C, SIGTERM or SIGHUP."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_TERMINATING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on each terminating signal, even if the parent process had set the signal to be ignored."""
    before = {number: signal.signal(number, lambda *_: stop()) for number in _TERMINATING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Orderly end of a command on Ctrl-C, SIGTERM or SIGHUP."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Final

# Windows has no SIGHUP.
_ENDING: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` from the signal handler on Ctrl-C, SIGTERM or SIGHUP, even if the signal was inherited as ignored."""
    previous = {number: signal.signal(number, lambda *_: stop()) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt on the first Ctrl-C, SIGTERM or SIGHUP; further signals do not disturb the clean-up."""
    is_interrupted = False

    def interrupt() -> None:
        nonlocal is_interrupted
        if not is_interrupted:
            is_interrupted = True
            raise KeyboardInterrupt

    with stopped_by_signals(interrupt):
        yield


@contextlib.contextmanager
def until_interrupted() -> Iterator[None]:
    """End the block, without an error, on Ctrl-C, SIGTERM or SIGHUP; further signals do not disturb its clean-up."""
    with contextlib.suppress(KeyboardInterrupt), interruptible():
        yield

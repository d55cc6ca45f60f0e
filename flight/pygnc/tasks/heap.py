"""The C library's heap, kept small. Only GNU's takes such orders; others do as they like."""

import ctypes
from collections.abc import Callable
from typing import Any, Final

_M_ARENA_MAX: Final = -8
_library: Final = ctypes.CDLL(None)
_mallopt: Final[Callable[[int, int], Any]] = getattr(_library, "mallopt", lambda *_: 0)
_malloc_trim: Final[Callable[[int], Any]] = getattr(_library, "malloc_trim", lambda _: 0)


def share_among_threads() -> None:
    """Let all threads take from one heap: a solver's own would keep the megabytes that it had for a second."""
    _mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return to the system what is free."""
    _malloc_trim(0)

"""A terminal line for one program alone, given back as it was found. Other systems than POSIX know neither."""

import contextlib
import os
from pathlib import Path
from typing import Any

try:
    import fcntl
    import termios
except ImportError:  # Windows opens ports exclusively by itself
    HAS_TERMIOS = False
else:
    HAS_TERMIOS = True


class TtyState:
    """The settings of a line before it was opened for a device, to be put back after."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._settings: list[Any] | None = None
        self._descriptor: int | None = None

    def remember(self) -> None:
        """Read the settings; the line stays open until `forget`, so that its DTR does not toggle in between."""
        with contextlib.suppress(OSError):
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        if self._descriptor is not None:
            with contextlib.suppress(OSError, termios.error):
                self._settings = termios.tcgetattr(self._descriptor)

    def forget(self) -> None:
        """Close what `remember` opened."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def close_for_others(self, descriptor: int) -> None:
        """Let nobody else open the line. The advisory lock is pyserial's; this holds for programs that ask for none."""
        with contextlib.suppress(OSError):
            fcntl.ioctl(descriptor, termios.TIOCEXCL)

    def put_back(self, descriptor: int) -> None:
        """Open the line for others and restore its settings, if it is still there."""
        with contextlib.suppress(OSError):
            fcntl.ioctl(descriptor, termios.TIOCNXCL)
        if self._settings is not None:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(descriptor, termios.TCSANOW, self._settings)


def find_holder(path: str) -> str:
    """Say which process has a port open: " by python3 (process 4711)", or "" if that cannot be found out."""
    wanted = os.path.realpath(path)
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) != os.getpid() and _has_open(folder, wanted):
            return f" by {_name(folder)} (process {folder.name})"
    if _has_open(Path("/proc/self"), wanted):
        return " by this very program"
    return ""


def _has_open(process: Path, wanted: str) -> bool:
    try:
        return any(str(link.readlink()) == wanted for link in (process / "fd").iterdir())
    except OSError:  # it has ended, or is not ours to look at
        return False


def _name(process: Path) -> str:
    with contextlib.suppress(OSError):
        return (process / "comm").read_text().strip()
    return "a program"

"""Lock files of named resources."""

import atexit
import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from emus_lib import config

LOCK_TIMEOUT: Final = 2.0
"""Seconds after which a lock of an unknown process is stale."""
_POLL_S: Final = 0.05


class Locker:
    """Locks by name; the lock `emus` is the file `emus.LOCK`.

    A lock belongs to the process that created it and ends with that process, even if another process has the same id
    later.
    """

    @staticmethod
    def lock(what: str) -> None:
        """Acquire a lock; wait while another process holds it.

        Raises:
            OSError: the lock file cannot be written.
        """
        while True:
            with _exclusive():
                if not _is_held(what, LOCK_TIMEOUT):
                    _path(what).write_text(json.dumps(_self() | {"time": time.time()}))
                    _ours.add(what)
                    return
            time.sleep(_POLL_S)

    @staticmethod
    def is_locked(what: str, timeout: float = LOCK_TIMEOUT) -> bool:
        """Return True if another process holds a lock, after 0.05 s because scripts poll without a pause.

        Args:
            what: name of the lock.
            timeout: seconds after which a lock of an unknown process is stale.
        """
        with _exclusive():
            if not _is_held(what, timeout):
                return False
        time.sleep(_POLL_S)
        return True

    @staticmethod
    def unlock(what: str) -> None:
        """Release a lock of this process; other locks are not changed."""
        with _exclusive():
            _ours.discard(what)
            if _content(what).items() >= _self().items():
                _path(what).unlink(missing_ok=True)


_ours: Final[set[str]] = set()


@atexit.register
def _unlock_all() -> None:
    for what in tuple(_ours):
        with contextlib.suppress(OSError):
            Locker.unlock(what)


@contextlib.contextmanager
def _exclusive() -> Iterator[None]:
    """Exclude other programs from the lock files of the folder."""
    config.HOME_PATH.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(config.HOME_PATH, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_held(what: str, timeout: float) -> bool:
    """Return True if another running process holds the lock, or an unknown process has created it recently."""
    try:
        age_s = time.time() - _path(what).stat().st_mtime
    except FileNotFoundError:
        return False
    content = _content(what)
    if "pid" not in content:
        return 0 <= age_s < timeout
    pid: int = content["pid"]
    return pid != os.getpid() and bool(_started(pid) == content.get("started"))


def _content(what: str) -> dict[str, Any]:
    try:
        content = json.loads(_path(what).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and isinstance(content.get("pid"), int) else {}


def _self() -> dict[str, Any]:
    return {"pid": os.getpid(), "started": _started(os.getpid())}


def _started(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot, "" if it does not exist."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


def _path(what: str) -> Path:
    return config.HOME_PATH / f"{what}.LOCK"

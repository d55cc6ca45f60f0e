"""A file that says that something is in use, made and looked at by one program at a time."""

import atexit
import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pygnc_station.emus_lib import config

LOCK_TIMEOUT: Final = 2.0
"""Seconds after which a lock is stale of which nobody knows who made it."""
_LOOK_S: Final = 0.05


class Locker:
    """Locks by name: `emus` is the file `emus.LOCK`.

    A lock belongs to the process that made it. It holds as long as that process lives, however long an answer takes,
    and is void when it has ended, even if its number was given to another one since.
    """

    @staticmethod
    def lock(what: str) -> None:
        """Lock; waits as long as another process has the lock.

        Raises:
            OSError: the file cannot be written.
        """
        while True:
            with _alone():
                if not _is_held(what, LOCK_TIMEOUT):
                    _path(what).write_text(json.dumps(_self() | {"time": time.time()}))
                    _ours.add(what)
                    return
            time.sleep(_LOOK_S)

    @staticmethod
    def is_locked(what: str, timeout: float = LOCK_TIMEOUT) -> bool:
        """Tell whether another process has the lock; one that has is given a moment to end.

        Args:
            what: name of the lock.
            timeout: seconds after which a lock is void whose maker is not known.
        """
        with _alone():
            if not _is_held(what, timeout):
                return False
        time.sleep(_LOOK_S)
        return True

    @staticmethod
    def unlock(what: str) -> None:
        """Give a lock back; nothing happens if it is not ours."""
        with _alone():
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
def _alone() -> Iterator[None]:
    """Hold back all other programs that look at locks in this folder."""
    config.HOME_PATH.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(config.HOME_PATH, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_held(what: str, timeout: float) -> bool:
    """Tell whether another living process has the lock, or one that is not known had it lately."""
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
    """Return when a process began, in ticks since the computer did; "" if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


def _path(what: str) -> Path:
    return config.HOME_PATH / f"{what}.LOCK"

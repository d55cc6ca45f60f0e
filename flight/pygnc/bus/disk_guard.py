"""Keeps `~/pygnc_logs` below its ceiling: the oldest runs make room, those already delivered first."""

import os
import stat
from pathlib import Path
from typing import Final

from pygnc.common.files import remove_flat_folder

DELIVERED: Final = "delivered"
"""A file of this name in a run's folder says that the host has fetched the run."""


class DiskGuard:
    """Answers whether a run may use more of the disk, and removes older runs to make it so.

    Args:
        run_folder: the run that is being written; it is never removed.
        ceiling_bytes: all runs together stay below this.
        reserve_bytes: so much of the file system stays free for the status file and for the host.
    """

    def __init__(self, run_folder: Path, ceiling_bytes: int, reserve_bytes: int) -> None:
        self._run_folder = run_folder
        self._ceiling_bytes = ceiling_bytes
        self._reserve_bytes = reserve_bytes

    def may_grow(self, size_bytes: int) -> str | None:
        """Make room for `size_bytes` more; return None when there is, else the reason why not."""
        victims = self._older_runs()
        while reason := self._refusal(size_bytes):
            if not victims:
                return reason
            remove_flat_folder(victims.pop(0))
        return None

    def _refusal(self, size_bytes: int) -> str | None:
        used = _size_bytes(self._run_folder.parent)
        if used + size_bytes > self._ceiling_bytes:
            return f"the logs would pass their ceiling of {self._ceiling_bytes} bytes"
        try:
            free = os.statvfs(self._run_folder)
        except OSError as error:
            return f"{self._run_folder}: {error.strerror}"
        if free.f_bavail * free.f_frsize < self._reserve_bytes:
            return f"less than {self._reserve_bytes} bytes are free on the disk"
        return None

    def _older_runs(self) -> list[Path]:
        logs = self._run_folder.parent
        runs = [p for p in logs.iterdir() if p.is_dir() and p != self._run_folder] if logs.is_dir() else []
        return sorted(runs, key=lambda run: (not (run / DELIVERED).exists(), run.name))


def _size_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue  # removed since it was listed
        total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total

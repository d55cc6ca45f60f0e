"""Disk ceiling of `~/pygnc_logs`, kept by removing the oldest runs, delivered runs first."""

import stat
from pathlib import Path
from typing import Final

from pygnc.common.files import free_bytes, remove_flat_folder

DELIVERED: Final = "delivered"
"""Name of the file that the host puts into the folder of a run that it has downloaded."""


class DiskGuard:
    """Limit of the disk space of all runs, kept by removing older runs.

    Args:
        run_folder: folder of the present run, which is never removed.
        ceiling_bytes: limit for all runs together.
        reserve_bytes: space on the file system that stays free for the status file and the host.
    """

    def __init__(self, run_folder: Path, ceiling_bytes: int, reserve_bytes: int) -> None:
        self._run_folder = run_folder
        self._ceiling_bytes = ceiling_bytes
        self._reserve_bytes = reserve_bytes

    def may_grow(self, size_bytes: int) -> str | None:
        """Make room for `size_bytes` more; return None, or the reason why there is no room."""
        older_runs = self._older_runs()
        while reason := self._refusal(size_bytes):
            if not older_runs:
                return reason
            remove_flat_folder(older_runs.pop(0))
        return None

    def _refusal(self, size_bytes: int) -> str | None:
        used = _size_bytes(self._run_folder.parent)
        if used + size_bytes > self._ceiling_bytes:
            return f"the logs would exceed the ceiling of {self._ceiling_bytes} bytes ([logs] ceiling_bytes)"
        try:
            is_full = free_bytes(self._run_folder) < self._reserve_bytes
        except OSError as error:
            return f"{self._run_folder}: {error.strerror}"
        return f"less than {self._reserve_bytes} bytes are free on the disk ([logs] reserve_bytes)" if is_full else None

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

"""Disk ceiling of `~/pygnc_logs`: journals may not grow beyond it, and one process removes old runs in small steps."""

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pygnc.bus.journal_files import PART, recover_folder
from pygnc_system.files import free_bytes, remove, remove_folder, retry_read

DELIVERED: Final = "delivered"
"""Name of the file that the host puts into the folder of a run that it has downloaded."""
RUN: Final = "run-"
"""Beginning of the names of run folders, before the number."""
HEADROOM_BYTES: Final = 8 << 20
"""Space below the ceiling that is kept free, by removing old runs, for the growth of the present run."""
SLICE_S: Final = 0.02
LOOK_INTERVAL_S: Final = 2.0
_BLOCK_BYTES: Final = 512


def refusal_to_grow(run_folder: Path, ceiling_bytes: int, reserve_bytes: int, size_bytes: int) -> str | None:
    """Return None if a run may use `size_bytes` more of the disk, else the reason why not.

    Args:
        run_folder: Folder of the present run.
        ceiling_bytes: Limit for all runs together; `OldRuns` removes older ones to keep it.
        reserve_bytes: Space on the file system that stays free for the status file and the host.
        size_bytes: Additional space.
    """
    try:
        used_bytes, _ = retry_read(lambda: _measure(run_folder))
        is_full = free_bytes(run_folder) < reserve_bytes and not _older_runs(run_folder)
    except OSError as error:
        return f"{run_folder}: {error.strerror}"
    if used_bytes + size_bytes > ceiling_bytes:
        return f"the logs would exceed the ceiling of {ceiling_bytes} bytes ([logs] ceiling_bytes)"
    return f"less than {reserve_bytes} bytes are free on the disk ([logs] reserve_bytes)" if is_full else None


class OldRuns:
    """Older runs of a home: closes journals that power cuts left open, and removes runs to keep the disk ceiling.

    Exactly one process of a run uses it. It works in slices of about `SLICE_S` and at most half of the time, so that
    other work of the process is hardly delayed.

    The arguments are those of `refusal_to_grow`; `on_recovered` is called with the path of each journal left open.
    """

    def __init__(
        self, run_folder: Path, ceiling_bytes: int, reserve_bytes: int, on_recovered: Callable[[Path], None]
    ) -> None:
        self._run_folder = run_folder
        self._headroom_bytes = min(HEADROOM_BYTES, ceiling_bytes // 8)
        self._ceiling_bytes = ceiling_bytes
        self._reserve_bytes = reserve_bytes
        self._on_recovered = on_recovered
        self._runs: deque[tuple[bool, str, int]] = deque()
        self._bytes = 0
        self._steps = self._work()
        self._due_s = 0.0

    def wait_s(self) -> float:
        """Return the time until the next call of `step` is due, s."""
        return max(0.0, self._due_s - time.monotonic())

    def step(self) -> None:
        """Work for about `SLICE_S` if work is due; otherwise return at once."""
        begin_s = time.monotonic()
        if begin_s < self._due_s:
            return
        more = True
        while more and time.monotonic() - begin_s < SLICE_S:
            more = next(self._steps)
        end_s = time.monotonic()
        self._due_s = end_s + (end_s - begin_s if more else LOOK_INTERVAL_S)

    def _work(self) -> Iterator[bool]:
        """Work for ever and yield after each step: True if more work is due, False if there is none at present."""
        yield from self._index()
        while True:
            if self._has_room(self._headroom_bytes):
                yield False
                continue
            yield from self._index()  # the host may have marked runs as delivered, which are removed first
            while self._runs and not self._has_room(2 * self._headroom_bytes):
                _, name, size_bytes = self._runs.popleft()
                self._bytes -= size_bytes
                yield from self._remove(self._run_folder.with_name(name))
            yield False

    def _index(self) -> Iterator[bool]:
        """List the older runs in the order of their removal: delivered ones first, then the oldest."""
        runs: list[tuple[bool, str, int]] = []
        for name in _older_runs(self._run_folder):
            folder = self._run_folder.with_name(name)
            with contextlib.suppress(OSError):
                size_bytes, files = _measure(folder)
                if any(file.endswith(PART) for file in files):
                    for path in recover_folder(folder):
                        self._on_recovered(path)
                    size_bytes, files = _measure(folder)
                runs.append((DELIVERED not in files, name, size_bytes))
            yield True
        self._runs = deque(sorted(runs, key=lambda run: run[0]))
        self._bytes = sum(size_bytes for _, _, size_bytes in runs)

    def _has_room(self, headroom_bytes: int) -> bool:
        try:
            used_bytes = self._bytes + _measure(self._run_folder)[0]
            free = free_bytes(self._run_folder)
        except OSError:
            return True  # the disk fails, so no runs can be removed
        return used_bytes + headroom_bytes <= self._ceiling_bytes and free >= self._reserve_bytes + headroom_bytes

    def _remove(self, folder: Path) -> Iterator[bool]:
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                remove(path)
                yield True
            folder.rmdir()


def remove_oldest_run(run_folder: Path) -> bool:
    """Remove one run before that of `run_folder`, a delivered one first; return False if there is none."""
    folders = [run_folder.with_name(name) for name in _older_runs(run_folder)]
    for folder in sorted(folders, key=lambda folder: not os.path.lexists(folder / DELIVERED)):
        with contextlib.suppress(OSError):  # it is no folder, or cannot be removed
            remove_folder(folder)
            return True
    return False


def _older_runs(run_folder: Path) -> list[str]:
    try:
        # There may be thousands of runs, for which Path objects cost time.
        names = retry_read(lambda: os.listdir(run_folder.parent))  # noqa: PTH208
    except OSError:
        return []
    runs = [name for name in names if name.startswith(RUN) and name != run_folder.name]
    return sorted(runs, key=lambda name: (len(name), name))


def _measure(folder: Path) -> tuple[int, set[str]]:
    """Return the disk space of a folder without subfolders, B, and the names of its files."""
    used_bytes = 0
    names = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # the file may be renamed or removed after it was listed
                used_bytes += entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
                names.add(entry.name)
    return used_bytes, names

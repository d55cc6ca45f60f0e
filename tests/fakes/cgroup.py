"""Control groups that limit processor time, memory or the number of processes."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_ROOT = Path("/sys/fs/cgroup")
_IS_V2 = (_ROOT / "cgroup.controllers").exists()
_FILES = {
    "cpu": "cpu.max" if _IS_V2 else "cpu.cfs_quota_us",
    "memory": "memory.max" if _IS_V2 else "memory.limit_in_bytes",
    "pids": "pids.max",
}


class Group:
    """A control group with one controller: cpu (microseconds per 100 ms), memory (bytes) or pids."""

    def __init__(self, folder: Path, controller: str) -> None:
        self._folder = folder
        self._file = folder / _FILES[controller]

    @property
    def prefix(self) -> tuple[str, ...]:
        """Beginning of a command that runs in the group."""
        return ("sh", "-c", f'echo $$ > {self._folder}/cgroup.procs && exec "$@"', "sh")

    def limit(self, value: int | str) -> None:
        """Set the limit."""
        self._file.write_text(f"{value} 100000" if self._file.name == "cpu.max" else str(value))

    def count(self) -> int:
        """Return the number of processes and threads in a group with the controller pids."""
        return int((self._folder / "pids.current").read_text())

    def add(self, pid: int) -> None:
        """Move a process into the group."""
        (self._folder / "cgroup.procs").write_text(str(pid))


@contextmanager
def group_of(controller: str) -> Iterator[Group]:
    """Make a control group; a test that may not is skipped."""
    folder = _ROOT / ("" if _IS_V2 else controller) / f"pygnc-test-{os.getpid()}-{controller}"
    try:
        if _IS_V2:
            (_ROOT / "cgroup.subtree_control").write_text(f"+{controller}")
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"needs the right to make control groups: {error}")
    try:
        yield Group(folder, controller)
    finally:
        while (folder / "cgroup.procs").read_text():
            time.sleep(0.01)
        folder.rmdir()

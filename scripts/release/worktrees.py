"""Worktrees in which a release is prepared, so that the tree itself does not change until all files are built."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scripts.release.checks import git
from scripts.release.errors import ReleaseError

VERSION_FILE: Final = Path("flight/pygnc_system/__init__.py")
"""The only file that states the version. It is locked during a release."""
WORK: Final = Path("build/release")


@contextmanager
def working_folder(tree: Path) -> Iterator[Path]:
    """Create a folder for worktrees in a tree and remove it in the end, also what a killed release left.

    Raises:
        ReleaseError: another release is running.
    """
    work = tree / WORK
    with (tree / VERSION_FILE).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = "another release is running"
            raise ReleaseError(message) from None
        _remove(tree, work)
        work.mkdir(parents=True)
        try:
            yield work
        finally:
            _remove(tree, work)


def _remove(tree: Path, work: Path) -> None:
    """Remove the folder of the worktrees and what git knows of them."""
    shutil.rmtree(work, ignore_errors=True)
    git(tree, "worktree", "prune")


def add_worktree(tree: Path, path: Path, commit: str) -> Path:
    """Check out a commit of a tree in a new worktree."""
    git(tree, "worktree", "add", "--quiet", "--detach", str(path), commit)
    return path


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Create files with other permissions for a while."""
    previous = os.umask(mask)
    try:
        yield
    finally:
        os.umask(previous)

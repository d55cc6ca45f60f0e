"""Small files that survive a power cut: written beside the old one, synced, renamed over it."""

import contextlib
import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Replace `path` by `content` so that a reader, or a power cut, finds either the old file or the new one.

    Raises:
        OSError: the folder cannot be written; the old file is still there.
    """
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
    except OSError:
        part.unlink()
        raise
    finally:
        os.close(descriptor)
    part.replace(path)
    sync_folder(path.parent)


def append_durably(path: Path, content: bytes) -> None:
    """Put `content` behind what a file holds.

    Raises:
        OSError: the disk does not take it; a part of it may be there.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_reserve(path: Path, size_bytes: int) -> None:
    """Make a file that holds room on the disk until it is removed.

    Raises:
        OSError: there is no such room.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    finally:
        os.close(descriptor)


def remove_flat_folder(folder: Path) -> None:
    """Remove a folder of files, as far as that goes; another task may be removing it too.

    Importing shutil for this would cost a twentieth of the time that a run may take to start.
    """
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        folder.rmdir()


def write_all(descriptor: int, content: bytes) -> None:
    """Write every byte, going on after a short write.

    Raises:
        OSError: the disk is full or gone; a part of `content` may have been written.
    """
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Files that survive a power cut, and the location of data files.

A small file is replaced in four steps: write a new file beside it, sync the new file, rename it over the old file, and
sync the folder. A reader, or a restart after a power cut, then finds either the old content or the new content.

The functions raise OSError if the disk is full or gone; a part of the content may have been written then.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags of every `os.open`. O_CLOEXEC does not exist on Windows, O_BINARY exists only on Windows."""

_PACKAGES: Final = Path(__file__).resolve().parent.parent


def data_file(name: str) -> Path:
    """Return the absolute path of the file or folder `name`, a path below data/ in a checkout.

    Every distribution installs its data files in one folder, `pygnc_data`, beside the packages.

    Raises:
        FileNotFoundError: The file is in neither place.
    """
    installed = _PACKAGES / "pygnc_data" / name
    for path in (installed, _PACKAGES.parent / "data" / name):
        if path.exists():
            return path
    raise FileNotFoundError(f"{installed}: the data file is missing; install the package again")


def durable_write(path: Path, content: bytes | bytearray | memoryview, mode: int = 0o644) -> None:
    """Replace the file at `path` by `content`.

    Args:
        path: The file; a file with `.part` appended to its name is written beside it first.
        content: The whole new content.
        mode: Permissions of the new file, reduced by the umask.

    Raises:
        OSError: The disk is full or gone, or the folder cannot be written; the old file is still there unless only the
            last step, the sync of the folder, has failed.
    """
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, mode)
    try:
        try:
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        durable_rename(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        error.filename = error.filename or str(path)  # an error of `os.write` has no file name
        raise


def overwrite(path: Path, content: bytes | bytearray | memoryview) -> None:
    """Overwrite a file in place and sync it, even on a full disk; a power cut may leave a mixture of both contents."""
    with path.open("r+b", buffering=0) as file:
        write_all(file.fileno(), content)
        file.truncate()
        os.fsync(file.fileno())


def open_input(path: Path) -> int:
    """Return a descriptor for reading a regular file; a FIFO or device, which could block for ever, is refused.

    Raises:
        OSError: The file cannot be read, or is not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | _FLAGS)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "not a regular file; put a file there", str(path))


def read_input(path: Path) -> bytes:
    """Return the content of a regular file; see `open_input`."""
    with open(open_input(path), "rb") as file:
        return file.read()


def durable_append(path: Path, content: bytes | bytearray | memoryview) -> None:
    """Append `content` to an existing file and sync it; after an error, a part may have been appended."""
    with path.open("r+b", buffering=0) as file:
        file.seek(0, os.SEEK_END)
        write_all(file.fileno(), content)
        os.fsync(file.fileno())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a new file beside `path`; after the block, sync the new file and rename it over `path`.

    If the block or a later step fails, the new file is removed.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        sync_file(part)
        durable_rename(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def durable_rename(source: Path, target: Path) -> None:
    """Rename a synced file within one file system, replace `target` if it exists, and sync the target's folder."""
    source.replace(target)
    sync_folder(target.parent)


def write_all(descriptor: int, content: bytes | bytearray | memoryview) -> None:
    """Write every byte to an open file; continue after a short write."""
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def sync_file(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make new names, renames and removals in `folder` durable; not necessary, and not possible, on Windows."""
    if os.name == "posix":
        sync_file(folder)


def others_have_access(path: Path) -> bool:
    """Return True if other users than the owner may read, write or execute a file."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def free_bytes(folder: Path) -> int:
    """Return the number of bytes that this user may still write on the file system of `folder`."""
    system = os.statvfs(folder)
    return system.f_bavail * system.f_frsize


def reserve_space(path: Path, size_bytes: int) -> None:
    """Create a file that occupies `size_bytes` on the disk until it is removed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | _FLAGS, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    finally:
        os.close(descriptor)


def remove_folder(folder: Path) -> None:
    """Remove a folder, if it exists, and its contents without following links; another process may be removing it too.

    The import of `shutil.rmtree` would take 5 % of the time in which a run has to start.
    """
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                remove_folder(path)
            else:
                path.unlink(missing_ok=True)
        folder.rmdir()

"""Files that survive a power cut, and the location of data files.

A small file is replaced in four steps: write a new file beside it, sync the new file, rename it over the old file, and
sync the folder. A reader, or a restart after a power cut, then finds either the old content or the new content.

The functions raise OSError if the disk is full or gone; a part of the content may have been written then.

Files are read without waiting, up to a maximum size, and again after an I/O error: a card that ages returns errors on
some reads and the data on the next ones.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags of every `os.open`. O_CLOEXEC does not exist on Windows, O_BINARY exists only on Windows."""

_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""Flags with which the opening of a FIFO or a device does not wait."""
NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
"""Flag with which a symbolic link is not opened."""
_NOT_A_FILE: Final = frozenset({errno.ENXIO, errno.ELOOP, errno.EISDIR})
"""Errors of opening a FIFO, a symbolic link or a folder for writing with these flags."""
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of writing to a disk that has no block or inode left."""
_TRANSIENT: Final = frozenset({errno.EIO, errno.ENOMEM})
"""Errors of reading after which the next attempt may succeed: of an old card, and of a system whose memory is short."""
READ_ATTEMPTS: Final = 20
"""Attempts at a read until its I/O error is final. If three of ten attempts fail, one of 3e10 reads fails."""
_READ_PAUSE_S: Final = 0.004
_READ_PATIENCE_S: Final = 1.0
"""Time that failed reads may take until a read is tried only once: a dead card must not keep a task waiting."""

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


def durable_write(path: Path, content: bytes | bytearray | memoryview, mode: int = 0o644, *, sync: bool = True) -> None:
    """Replace the file at `path` by `content`.

    Args:
        path: The file; a file with `.part` appended to its name is written beside it first.
        content: The whole new content.
        mode: Permissions of the new file, reduced by the umask.
        sync: False to return before the content is on the disk; a power cut may then leave an empty file.

    Raises:
        OSError: The disk is full or gone, or the folder cannot be written; the old file is still there unless only the
            last step, the sync of the folder, has failed.
    """
    part = path.with_name(path.name + ".part")
    descriptor = _open_part(part, mode)
    try:
        try:
            write_all(descriptor, content)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if sync:
            durable_rename(part, path)
        else:
            part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        error.filename = error.filename or str(path)  # an error of `os.write` has no file name
        raise


def _open_part(part: Path, mode: int) -> int:
    """Open an empty file for writing; what is in its place but is no file, and could block for ever, is removed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS | _NO_WAIT | NO_LINK
    try:
        return os.open(part, flags, mode)
    except OSError as error:
        if error.errno not in _NOT_A_FILE:
            raise
    remove(part)
    return os.open(part, flags, mode)


def overwrite(path: Path, content: bytes | bytearray | memoryview) -> None:
    """Overwrite a file in place and sync it, even on a full disk; a power cut may leave a mixture of both contents."""
    with path.open("r+b", buffering=0) as file:
        write_all(file.fileno(), content)
        file.truncate()
        os.fsync(file.fileno())


class _Retries:
    """Repetition of reads after I/O errors, as long as it does not take too much time.

    The time is limited to `_READ_PATIENCE_S`, which returns at once when the disk delivers data, and otherwise at a
    tenth of the elapsed time.
    """

    def __init__(self) -> None:
        self._left_s = _READ_PATIENCE_S
        self._at_s = 0.0

    def call(self, read: Callable[[], T]) -> T:
        """Return the result of `read`, which is called again after an error that may be transient."""
        for _ in range(1, READ_ATTEMPTS):
            began_s = time.monotonic()
            try:
                return read()
            except OSError as error:
                if error.errno not in _TRANSIENT or not self._may_repeat(began_s):
                    raise
            time.sleep(_READ_PAUSE_S)
        return read()

    def note_delivery(self) -> None:
        """Restore the time for repetitions."""
        self._left_s = _READ_PATIENCE_S

    def _may_repeat(self, began_s: float) -> bool:
        """Return True if the time suffices for the failed read and a pause, and subtract them."""
        now_s = time.monotonic()
        self._left_s = min(_READ_PATIENCE_S, self._left_s + 0.1 * (now_s - self._at_s))
        self._at_s = now_s
        cost_s = now_s - began_s + _READ_PAUSE_S
        may_repeat = cost_s <= self._left_s
        self._left_s -= cost_s if may_repeat else 0.0
        return may_repeat


_retries: Final = _Retries()


def retry_read(read: Callable[[], T]) -> T:
    """Return the result of `read`, which reads from a disk, called up to `READ_ATTEMPTS` times after EIO or ENOMEM.

    Raises:
        OSError: The last attempt has failed, or failed reads have taken a second since the disk last delivered data.
    """
    return _retries.call(read)


def open_input(path: Path, flags: int = 0) -> int:
    """Return a descriptor for reading a regular file; a FIFO or device, which could block for ever, is refused.

    `flags` are further flags of `os.open`.

    Raises:
        OSError: The file cannot be read, or is not a regular file.
    """
    descriptor = retry_read(partial(os.open, path, os.O_RDONLY | _NO_WAIT | _FLAGS | flags))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "not a regular file; put a file there", str(path))


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Return up to `size` bytes of a file from `offset` on; fewer before its end or before bytes that cannot be read.

    Raises:
        OSError: The first bytes cannot be read.
    """
    pieces: list[bytes] = []
    while size > 0:
        try:
            piece = retry_read(partial(os.pread, descriptor, size, offset))
        except OSError:
            if pieces:
                break
            raise
        if not piece:
            break
        _retries.note_delivery()
        pieces.append(piece)
        offset += len(piece)
        size -= len(piece)
    return b"".join(pieces)


def read_input(path: Path, size_max: int, *, cut: bool = False) -> bytes:
    """Return the content of a regular file; if it has more than `size_max` bytes and `cut` is set, these first ones.

    Raises:
        OSError: The file cannot be read, is not a regular file, or is too large.
    """
    descriptor = open_input(path)
    try:
        size = os.fstat(descriptor).st_size
        if size > size_max and not cut:
            text = f"{size} bytes are more than the maximum of {size_max} bytes; put the right file there"
            raise OSError(errno.EFBIG, text, str(path))
        wanted = min(size, size_max)
        content = read_at(descriptor, wanted, 0)
        if len(content) < wanted and len(content) < os.fstat(descriptor).st_size:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return content
    finally:
        os.close(descriptor)


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
    descriptor = retry_read(partial(os.open, path, os.O_RDONLY | _FLAGS))
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
        for path in retry_read(lambda: list(folder.iterdir())):
            remove(path)
        folder.rmdir()


def remove(path: Path) -> None:
    """Remove a file, or a folder and its contents, if it exists; a link is not followed."""
    if retry_read(path.is_dir) and not path.is_symlink():
        remove_folder(path)
    else:
        path.unlink(missing_ok=True)

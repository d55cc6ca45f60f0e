"""Folders of a run: lock on the home, run folder on the disk, private folder in memory."""

import contextlib
import errno
import fcntl
import os
import re
import stat
from pathlib import Path
from typing import Final

from pygnc.bus.disk_guard import RUN
from pygnc.bus.journal_files import recover_folder
from pygnc.configuration.trial import RECORD_FILE
from pygnc.host.settings_slots import NAMES
from pygnc.outputs.status_files import INFO_FILE, STATUS_FILE
from pygnc_system.files import remove_folder, retry_read

_RUN_NAME: Final = re.compile(rf"{RUN}([0-9]{{1,9}})")
_LOGS: Final = "pygnc_logs"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the folder made there is private (0700) and its owner is checked


class AlreadyRunningError(RuntimeError):
    """Error raised when another main.py runs in the same home."""


def lock_home(home: Path) -> int:
    """Lock a home folder until the returned descriptor is closed.

    The folder itself is locked, so this works on a read-only disk. A dead card cannot be locked, but the run can fly:
    the descriptor returned is then that of another file.

    Raises:
        AlreadyRunningError: Another process holds the lock.
        OSError: The folder does not exist.
    """
    try:
        descriptor = retry_read(lambda: os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyRunningError(str(home)) from None
    return descriptor


def clear_places(home: Path) -> list[str]:
    """Rename each folder in place of an output file, and a file in place of the logs; return texts that report them."""
    texts = []
    for name in (STATUS_FILE, INFO_FILE, RECORD_FILE, *NAMES, _LOGS):
        path, number = home / name, 1
        with contextlib.suppress(OSError):  # on a failing disk, the writer of the file reports it
            is_folder = path.is_dir() and (name == _LOGS or not path.is_symlink())
            if is_folder == (name == _LOGS) or not path.exists():
                continue
            while os.path.lexists(moved := f"{path}.moved-{number}"):
                number += 1
            path.rename(moved)
            texts.append(f"{name} is {'a folder' if is_folder else 'no folder'}; renamed to {name}.moved-{number}")
    return texts


def next_run(home: Path) -> tuple[int, Path]:
    """Return number and folder of a new run.

    The number is more than that of the newest run, because no clock can be trusted to order runs.
    """
    logs = home / _LOGS
    number = 1 + max((_number_of(path) for path in _entries(logs)), default=0)
    while os.path.lexists(logs / f"{RUN}{number:05d}"):
        number += 1
    return number, logs / f"{RUN}{number:05d}"


def make_run_folder(folder: Path) -> str:
    """Create the folder of a run; return the reason if that failed, otherwise empty."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return ""


def recover_previous_run(folder: Path) -> list[Path]:
    """Close journals that a power cut left open in the run before that of `folder`; return their paths."""
    older_runs = [path for path in _entries(folder.parent) if path != folder and _number_of(path)]
    return recover_run(max(older_runs, key=_number_of)) if older_runs else []


def recover_run(folder: Path) -> list[Path]:
    """Close journals that killed tasks left open in a run; return their paths, none if the disk refuses."""
    try:
        return recover_folder(folder)
    except OSError:
        return []  # a full or read-only disk must not prevent the start or end of a run


def runtime_folder(home: Path) -> Path:
    """Return the path, in /dev/shm, of the private folder of runs in this home; it may not exist."""
    status = retry_read(home.stat)
    return _MEMORY / f"pygnc-{os.getuid()}-{status.st_dev:x}-{status.st_ino:x}"


def make_runtime_folder(home: Path) -> Path:
    """Create the run's private folder (mode 0700), in memory if the system has /dev/shm, else in any temporary folder.

    All runs of a home use the same name, so the files of a killed run are removed here.

    Raises:
        OSError: No folder is writable.
    """
    try:
        folder = runtime_folder(home)
        with contextlib.suppress(FileNotFoundError):
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
                remove_folder(folder)
        folder.mkdir(mode=0o700)
    except OSError:
        import tempfile  # noqa: PLC0415 - it is seldom needed and would delay every start

        try:
            return Path(tempfile.mkdtemp(prefix="pygnc-"))
        except OSError:
            return Path(tempfile.mkdtemp(prefix="pygnc-", dir=home))
    return folder


def _entries(logs: Path) -> list[Path]:
    try:
        return retry_read(lambda: list(logs.iterdir()))
    except OSError:
        return []


def _number_of(path: Path) -> int:
    match = _RUN_NAME.fullmatch(path.name)
    return int(match[1]) if match else 0

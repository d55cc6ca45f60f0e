"""The folders of a run: the lock on the home, the run's journals on disk, the private folder in memory."""

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

from pygnc.bus.journal_files import recover_folder
from pygnc.common.files import remove_flat_folder

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the folder made in it is private (0700), owned and checked
_RUN: Final = "run-{:05d}"


class AlreadyRunningError(RuntimeError):
    """Another main.py works in the same home."""


class HomeLock:
    """Held while a run uses a home. It is on the folder itself, so it needs no file and works on a read-only disk.

    Raises:
        AlreadyRunningError: another process holds it.
        OSError: there is no such folder.
    """

    def __init__(self, home: Path) -> None:
        self._descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise AlreadyRunningError(str(home)) from None

    def release(self) -> None:
        """Let another run use the home."""
        os.close(self._descriptor)


def make_run_folder(home: Path) -> tuple[int, Path, str | None]:
    """Make the folder of a new run; return its number, its path, and why it could not be made (or None).

    Runs are numbered on from the newest there is: no clock can be trusted to order them.
    """
    logs = home / "pygnc_logs"
    number = 1 + max((_number_of(path) for path in _entries(logs)), default=0)
    folder = logs / _RUN.format(number)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        return number, folder, f"{error.filename}: {error.strerror}"
    return number, folder, None


def recover_older_runs(folder: Path) -> list[Path]:
    """Close what power cuts left open in the runs beside `folder`; return the files that were closed."""
    older_runs = [path for path in _entries(folder.parent) if path != folder and _number_of(path)]
    return [path for older in older_runs for path in recover_run(older)]


def recover_run(folder: Path) -> list[Path]:
    """Close the journals that killed tasks left open in a run; return the files that were closed."""
    try:
        return recover_folder(folder)
    except OSError:
        return []  # what cannot be mended (a full or read-only disk) must not keep a run from starting or ending


def runtime_folder(home: Path) -> Path:
    """Where the private folder of a run in this home is, if the system has a place in memory."""
    status = home.stat()
    return _MEMORY / f"pygnc-{os.getuid()}-{status.st_dev:x}-{status.st_ino:x}"


def make_runtime_folder(home: Path) -> Path:
    """Make the run's private folder (0700), in memory where the system has such a place.

    It has the same name at each run of a home, so that what a killed run left behind is removed here.
    """
    folder = runtime_folder(home)
    try:
        if _is_ours(folder):
            remove_flat_folder(folder)
        folder.mkdir(mode=0o700)
    except OSError:
        import tempfile  # noqa: PLC0415 - seldom needed, and it would delay every start

        return Path(tempfile.mkdtemp(prefix="pygnc-"))
    return folder


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _entries(logs: Path) -> list[Path]:
    try:
        return sorted(logs.iterdir())
    except OSError:
        return []


def _number_of(path: Path) -> int:
    digits = path.name.removeprefix("run-")
    return int(digits) if path.name.startswith("run-") and digits.isdigit() else 0

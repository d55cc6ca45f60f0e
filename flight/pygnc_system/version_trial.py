"""Versions installed by an update: their files are verified at each start, and a new version is on trial.

A version is a folder in `~/pygnc_versions`. The installer lists its files in the marker `complete`, and writes `trial`,
which contains the number of failed starts, as the settings have a record of theirs. A start counts as failed until all
tasks are up; the version has flown then, and `trial` is removed. `main.py` continues with the previous version if this
one is damaged or is given up.
"""

import contextlib
import os
import zlib
from functools import partial
from pathlib import Path
from typing import Final

from pygnc_system.files import durable_write, read_input, retry_read, sync_folder

FAULT_VARIABLE: Final = "PYGNC_VERSION_FAULT"
"""Environment variable with the reason why another version runs; main.py sets it."""
FAILED_MAX: Final = 2
"""Failed starts after which new settings or a new version are given up: the first may have been a power cut."""
_BYTES_MAX: Final = 1 << 28
_COMPLETE: Final = "complete"
_VERSION: Final = Path(__file__).resolve().parent.parent


def find_fault(version: Path) -> str:
    """Return why a version must not run, or an empty string; if it is on trial, count the start as failed."""
    trial = VersionTrial(version)
    if trial.failed >= FAILED_MAX:
        return f"{version.name}: {trial.failed} starts failed, so this version is given up"
    fault = find_damage(version, every_byte=trial.failed > 0)
    if not fault:
        trial.begin()
    return fault


def find_damage(version: Path, *, every_byte: bool = False) -> str:
    """Return the first damaged file of a version or its libraries, or an empty string.

    Args:
        version: Folder of the version; one without a marker was unpacked by hand and is not verified.
        every_byte: False to compare only the sizes of the libraries; they have fifty times the bytes of the version.
    """
    if not (version / _COMPLETE).exists():
        return ""
    libraries = (version / ".venv").resolve()
    is_packaged = libraries.parent == version.parent
    return _damage(version, every_byte=True) or (_damage(libraries, every_byte=every_byte) if is_packaged else "")


def _damage(folder: Path, *, every_byte: bool) -> str:
    try:
        seal, _, listing = read_input(folder / _COMPLETE, _BYTES_MAX).partition(b"\n")
        if seal != b"%08x" % zlib.crc32(listing):
            return f"{folder.name}/{_COMPLETE}: wrong check sum"
        prefix = f"{folder}/"
        for line in os.fsdecode(listing).splitlines():
            size, crc, name = line.split(" ", 2)
            path = prefix + name
            if retry_read(partial(os.stat, path)).st_size != int(size):
                return f"{path}: wrong size"
            if every_byte and retry_read(partial(_crc, path, int(size))) != int(crc, 16):
                return f"{path}: wrong check sum"
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _crc(path: str, size: int) -> int:
    """Return the CRC-32 of a file; `read_input` would need three times as long for a thousand small files."""
    if not size:  # perhaps no file, but a FIFO, which could block for ever
        return 0
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return zlib.crc32(os.read(descriptor, size))
    finally:
        os.close(descriptor)


class VersionTrial:
    """Trial of a version that has not flown yet; nothing is recorded for others.

    Attributes:
        failed: Number of failed starts; of a version that has flown, 0.
    """

    def __init__(self, version: Path = _VERSION) -> None:
        self._file = version / "trial"
        self._has_failed = False
        self._is_open = False
        self.failed = 0
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # RuntimeError for links in a circle
            # The test by the installer, in another home, is no flight.
            is_in_home = version.parent == Path(os.environ.get("HOME", ""), "pygnc_versions").resolve()
            self._is_open = is_in_home and self._file.exists()
            self.failed = int(read_input(self._file, 100)) if self._is_open else 0

    def begin(self) -> None:
        """Count the start as failed until `note_up`."""
        self._write(self.failed + 1)

    def note_up(self) -> None:
        """Record that all tasks are up: the version has flown."""
        if self._is_open and not self._has_failed:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
                sync_folder(self._file.parent)
            self._is_open = False

    def note_failure(self) -> None:
        """Record that a task was given up."""
        self._has_failed = True

    def end(self, *, good: bool) -> None:
        """Do not count a start that has ended in order before the tasks were up, as by a stop."""
        if good and not self._has_failed:
            self._write(max(self.failed - 1, 0))

    def _write(self, failed: int) -> None:
        if self._is_open:
            with contextlib.suppress(OSError):  # a full or dying disk must not prevent a run
                durable_write(self._file, b"%d\n" % failed)

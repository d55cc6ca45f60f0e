"""Log files of readings: their folder, names, rotation and recovery.

A file has the suffix `.part` until it is complete. It is synced to the disk once a second, so a power cut loses at most
one second of readings. `log_recovery` truncates an incomplete file to complete readings and removes the suffix.
`csv_log` writes readings to CSV files, `mcap_log` to MCAP files, and `RawLog` all bytes.
"""

import contextlib
import os
import re
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from pygnc_devices.engine import Engine
from pygnc_devices.reading import Reading
from pygnc_instruments.device.time_base import MeasuredTime, TimeBase
from pygnc_system.files import durable_rename, write_all

try:
    import fcntl
except ImportError:  # Windows does not rename open files, so no lock is needed there
    fcntl = None  # type: ignore[assignment]

_SYNC_S: Final = 1.0
PART: Final = ".part"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,120}")


class LogError(Exception):
    """Error raised when a log file cannot be written or its name is not allowed."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """Limits of a file, after which it is closed and a new file begins.

    Attributes:
        bytes: size of the file in bytes; 0 for no limit.
        seconds: age of the file, s; 0 for no limit.
    """

    bytes: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class ReadingsLog:
    """Writer of readings to files in a folder.

    Attributes:
        folder: folder of the files; created on the first reading.
        name: file name from `checked_log_name`; "" to name files by local time, `data-2026_03_01_12_00_00.csv`.
        head: description of the device, written to each file.
        rotation: limits of size and age of a file.
        on_closed: function that is called with the path of each completed file.
        label: end of the file names, for logs of several devices; "" for none.
        time_base: times of measurement; None for a recording, whose readings do not arrive when they are sent.
        rows: number of readings written.
        current: path of the newest file, without `.part`; None before the first reading.
    """

    SUFFIX: ClassVar[str]
    FILE: ClassVar[type[Any]]
    """Subclass of `LogFile`; arguments: path, descriptor, head, the first reading, which is not written yet, and
    `is_recording`."""

    folder: Path
    name: str = ""
    head: Mapping[str, str] = field(default_factory=dict)
    rotation: Rotation = Rotation()
    on_closed: Callable[[Path], None] = lambda _: None
    label: str = ""
    time_base: TimeBase | None = field(default_factory=TimeBase)
    rows: int = 0
    current: Path | None = None
    _files: dict[str, "LogFile"] = field(default_factory=dict)
    _first_group: str | None = None

    def write(self, reading: Reading) -> None:
        """Append a reading to the file of its group.

        Raises:
            LogError: the file cannot be written; earlier readings are kept.
        """
        group = self._group(reading)
        if group in self._files and self._is_full(self._files[group]):
            self._close(group)
        try:
            if group not in self._files:
                self._files[group] = self._open(group, reading)
            measured = None if self.time_base is None else self.time_base.measured(reading)
            self._files[group].append_reading(reading, measured)
        except OSError as error:
            raise _write_error(self.folder, error) from None
        self.rows += 1

    def close(self) -> None:
        """Complete all open files; may be called twice.

        Raises:
            LogError: a file cannot be written, synced or renamed.
        """
        for group in list(self._files):
            self._close(group)

    def _group(self, reading: Reading) -> str:
        """Return the name of the group of readings that share a file: by default, those of one kind of packet."""
        return reading.packet.name

    def _is_full(self, file: "LogFile") -> bool:
        age_s = time.monotonic() - file.opened_s
        return 0 < self.rotation.bytes <= file.size or 0.0 < self.rotation.seconds <= age_s

    def _open(self, group: str, reading: Reading) -> "LogFile":
        if self._first_group is None:
            self._first_group = group
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = _stem(self.name, self.label, self.SUFFIX) + ("" if group == self._first_group else f"-{group}")
        self.current, descriptor = _create(self.folder, stem, self.SUFFIX, PART)
        lock(descriptor)
        is_recording = self.time_base is None
        file: LogFile = self.FILE(self.current, descriptor, self.head, reading, is_recording=is_recording)
        return file

    def _close(self, group: str) -> None:
        file = self._files.pop(group)
        try:
            file.finish()
        except OSError as error:
            raise _write_error(file.path, error) from None
        self.on_closed(file.path)


class LogFile(ABC):
    """Open file with readings, which begins with the description of the device.

    Args:
        path: path of the complete file.
        descriptor: the file, which still has the suffix `.part`.

    Attributes:
        opened_s: time of its creation, s, monotonic clock.
        size: bytes written.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.opened_s = time.monotonic()
        self.size = 0
        self._synced_s = 0.0

    @abstractmethod
    def append_reading(self, reading: Reading, measured: MeasuredTime | None) -> None:
        """Append a reading, and when it was measured; None in a recording.

        Raises:
            OSError: the disk is full or gone.
        """

    @property
    def is_sync_due(self) -> bool:
        """True if the file was not synced within the last second."""
        return time.monotonic() - self._synced_s >= _SYNC_S

    def sync(self) -> None:
        """Sync the file to the disk."""
        os.fsync(self.descriptor)
        self._synced_s = time.monotonic()

    def finish(self) -> None:
        """Sync and close the file and remove the suffix `.part`.

        Raises:
            OSError: the disk is full or gone.
        """
        os.fsync(self.descriptor)
        os.close(self.descriptor)
        durable_rename(self.path.with_name(self.path.name + PART), self.path)


class ElapsedTime:
    """Time since the first of several readings, by the device's clock once its tick is known, else by arrival.

    Args:
        first: the first reading.
        is_recording: True if arrivals have no meaning.
    """

    def __init__(self, first: Reading, *, is_recording: bool) -> None:
        self._start_ns = first.t_mono_ns
        self._clock_start: tuple[int, int] | None = None
        """Arrival and device time of the first reading with a device time."""
        # The device's time begins with its first reading, also if its tick is found later.
        self._recording_start_ns = (first.t_device_ns or 0) if is_recording else None

    def at_ns(self, reading: Reading) -> int | None:
        """Return the time of the next reading, ns; None in a recording while the tick is unknown."""
        now_ns = reading.t_device_ns
        if self._recording_start_ns is not None:
            return None if now_ns is None else now_ns - self._recording_start_ns
        if self._clock_start is None or now_ns is None:
            if now_ns is not None:
                self._clock_start = reading.t_mono_ns, now_ns
            return reading.t_mono_ns - self._start_ns
        arrival_ns, device_ns = self._clock_start
        return arrival_ns - self._start_ns + now_ns - device_ns


class RawLog:
    """Writer of all bytes that a device's port receives to a file that can be replayed (`file://x.raw`).

    Bytes that arrive before `open` wait in memory.

    Args:
        engine: the device's connection.
    """

    def __init__(self, engine: Engine) -> None:
        self.path = Path()
        self._engine = engine
        self._descriptor: int | None = None
        self._error: OSError | None = None
        self._waiting: deque[bytes] = deque()
        engine.tap = self._write

    def open(self, folder: Path, name: str, label: str) -> None:
        """Create the file.

        Args:
            folder: folder of the file; created if missing.
            name: file name with the suffix `.csv`, which is replaced by `.raw`; "" to name the file by local time.
            label: end of the file name; see `ReadingsLog`.

        Raises:
            LogError: the file cannot be created.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path, self._descriptor = _create(folder, _stem(name, label, ".raw"), ".raw")
        except OSError as error:
            raise LogError(f"{error.filename}: the raw log cannot be created: {error.strerror}") from None

    def close(self) -> Path:
        """Sync and close the file, and return its path.

        Raises:
            LogError: some bytes could not be written.
        """
        self._engine.tap = None
        if self._descriptor is not None:
            self._write(b"")
            os.fsync(self._descriptor)
            os.close(self._descriptor)
        if self._error is not None:
            raise LogError(
                f"{self.path}: writing failed: {self._error.strerror}; later bytes are missing; check the disk"
            )
        return self.path

    def _write(self, octets: bytes) -> None:
        """Write received bytes; an error must not stop the port's thread, which calls this."""
        self._waiting.append(octets)
        while self._descriptor is not None and self._waiting and self._error is None:
            try:
                write_all(self._descriptor, self._waiting.popleft())
            except OSError as error:
                self._error = error


def checked_log_name(name: str) -> str:
    """Return a requested file name with the suffix `.csv`.

    Raises:
        LogError: the name contains a folder or characters that are not allowed.
    """
    stem = name.removesuffix(".csv")
    if _NAME.fullmatch(stem) is None or stem.endswith((".", " ")):
        raise LogError(
            f"log name {name!r} is not allowed; use letters, digits, dots, dashes, underscores and spaces, no folder"
        )
    return f"{stem}.csv"


def _stem(name: str, label: str, suffix: str) -> str:
    stem = name.removesuffix(".csv").removesuffix(suffix) or f"data-{datetime.now().astimezone():%Y_%m_%d_%H_%M_%S}"
    return f"{stem}-{label}" if label else stem


def _create(folder: Path, stem: str, suffix: str, part: str = "") -> tuple[Path, int]:
    """Create a file under a name that does not exist yet; return its path without `part`, and its descriptor."""
    while True:
        path = free_path(folder, stem, suffix, part)
        with contextlib.suppress(FileExistsError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
            return path, os.open(path.with_name(path.name + part), flags, 0o644)


def free_path(folder: Path, stem: str, suffix: str, part: str) -> Path:
    """Return the path of a file that does not exist, neither complete nor with `part`."""
    path, number = folder / f"{stem}{suffix}", 0
    while path.exists() or path.with_name(path.name + part).exists():
        number += 1
        path = folder / f"{stem}-{number:03}{suffix}"
    return path


def lock(descriptor: int) -> bool:
    """Lock a file until it is closed; return False if another program has locked it."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _write_error(path: Path, error: OSError) -> LogError:
    return LogError(
        f"{error.filename or path}: writing failed: {error.strerror}; logging has stopped, earlier rows are kept"
    )

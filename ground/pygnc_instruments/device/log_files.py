"""Readings as lines of a CSV file: the time since the first one, and values with the digits that they have.

Logs of readings as CSV files: python-imu380's columns and units, and a head that says of which unit and when.

    # serial_number: 2008705635
    # start_utc: 2026-03-01T12:00:00.000Z
    # units: s,m/s^2,...
    time,xAccel,yAccel,...
    0.00000,-0.09577,...

A file is called `.part` until it is whole. Every line goes to the system at once and to the disk once a second, so that
a power cut costs a second at most; what it leaves behind is cut to whole lines and renamed when logging begins again.

All bytes of a port in a file that can be played: `file://x.raw`.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pygnc_devices.declaration import Field, Value
from pygnc_devices.engine import Engine
from pygnc_devices.reading import Reading

TIME: Final = "time"
"""Name of the first column."""
_LEAST_DECIMALS: Final = 5


class CsvRows:
    """The lines of one file.

    Args:
        first: its first reading; all are of the same packet.
    """

    def __init__(self, first: Reading) -> None:
        self._first = first
        self._digits = [_format(entry) for entry in first.packet.fields]
        self._clock_from: Reading | None = None
        """First reading with a device time; times before it are those of arrival."""

    def row(self, reading: Reading) -> str:
        """Return a reading as a line."""
        cells = [f"{self._elapsed_s(reading):.5f}"]
        for form, value in zip(self._digits, reading.packet.row(reading.values), strict=True):
            cells.append(_cell(form, value))
        return ",".join(cells) + "\n"

    def _elapsed_s(self, reading: Reading) -> float:
        """Return the time since the first reading: of arrival until the device's clock is known, then by that."""
        if self._clock_from is None:
            if reading.t_device_ns is not None:
                self._clock_from = reading
            return (reading.t_mono_ns - self._first.t_mono_ns) / 1e9
        start, now_ns = self._clock_from, reading.t_device_ns
        if start.t_device_ns is None or now_ns is None:
            return (reading.t_mono_ns - self._first.t_mono_ns) / 1e9
        return (start.t_mono_ns - self._first.t_mono_ns + now_ns - start.t_device_ns) / 1e9


def _format(entry: Field) -> str:
    """Return how a value is written: integers as such, scaled words with all their bits, floats as they are."""
    if entry.code in {"f", "d"}:
        return ".9g" if entry.code == "f" else ".15g"
    if entry.scale is None:
        return ""
    decimals = _LEAST_DECIMALS
    while abs(entry.scale * entry.unit.column_per_unit) < 10.0**-decimals:
        decimals += 1
    return f".{decimals}f"


def _cell(form: str, value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return format(value, form) if isinstance(value, float) else str(value)


try:
    import fcntl
except ImportError:  # Windows lets nobody rename a file that is open
    fcntl = None  # type: ignore[assignment]

_SYNC_S: Final = 1.0
_PART: Final = ".part"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,120}")


class LogError(Exception):
    """A log that cannot be written; the message names the file and says what helps."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is closed and the next one begun; 0: never for this reason."""

    bytes: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _File:
    """One open file, of one kind of packet."""

    path: Path
    descriptor: int
    rows: CsvRows
    begun_s: float
    size: int = 0
    synced_s: float = 0.0


@dataclass(slots=True)
class CsvLog:
    """Writes readings into files of a folder.

    Args:
        folder: made if missing.
        name: of the file, from `checked_name`; "" to name files by the time, `data-2026_03_01_12_00_00.csv`.
        head: what is known of the device, for the head of each file.
        rotation: when to begin the next file.
        on_closed: is told of every file that is whole.

    Attributes:
        rows: written so far.
        current: the newest file, without `.part`; None before the first reading.
    """

    folder: Path
    name: str = ""
    head: Mapping[str, str] = field(default_factory=dict)
    rotation: Rotation = Rotation()
    on_closed: Callable[[Path], None] = lambda _: None
    rows: int = 0
    current: Path | None = None
    _files: dict[str, _File] = field(default_factory=dict)
    _first_kind: str = ""

    def write(self, reading: Reading) -> None:
        """Append a reading; packets of different kinds go into files of their own.

        Raises:
            LogError: the file cannot be written.
        """
        kind = reading.packet.name
        file = self._files.get(kind)
        if file is not None and self._is_full(file):
            self._close(kind)
            file = None
        try:
            if file is None:
                file = self._files[kind] = self._open(reading)
            _append(file, file.rows.row(reading))
        except OSError as error:
            raise LogError(_why(self.folder, error)) from None
        self.rows += 1

    def close(self) -> None:
        """Give the files their names; may be called twice."""
        for kind in list(self._files):
            self._close(kind)

    def _is_full(self, file: _File) -> bool:
        age_s = time.monotonic() - file.begun_s
        return 0 < self.rotation.bytes <= file.size or 0.0 < self.rotation.seconds <= age_s

    def _open(self, reading: Reading) -> _File:
        self._first_kind = self._first_kind or reading.packet.name
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = self.name.removesuffix(".csv") or f"data-{datetime.now().astimezone():%Y_%m_%d_%H_%M_%S}"
        suffix = "" if reading.packet.name == self._first_kind else f"-{reading.packet.name}"
        path, descriptor = _create(self.folder, f"{stem}{suffix}")
        self.current = path
        columns = [(TIME, "s"), *reading.packet.columns()]
        start = datetime.fromtimestamp(reading.t_wall_ns / 1e9, UTC)
        head = {
            **self.head,
            "packet": reading.packet.name,
            "start_utc": f"{start:%Y-%m-%dT%H:%M:%S}.{start.microsecond // 1000:03}Z",
            "units": ",".join(unit for _, unit in columns),
        }
        file = _File(path, descriptor, CsvRows(reading), time.monotonic())
        lines = [f"# {key}: {' '.join(value.split())}\n" for key, value in head.items()]
        _append(file, "".join(lines) + ",".join(name for name, _ in columns) + "\n")
        return file

    def _close(self, kind: str) -> None:
        file = self._files.pop(kind)
        try:
            os.fsync(file.descriptor)
            os.close(file.descriptor)
            _part(file.path).rename(file.path)
            _sync_folder(self.folder)
        except OSError as error:
            raise LogError(_why(file.path, error)) from None
        self.on_closed(file.path)


def checked_log_name(name: str) -> str:
    """Return a file name that others have asked for, if it is one and nothing else.

    Raises:
        LogError: it has a folder in it, or letters that do not belong into file names.
    """
    stem = name.removesuffix(".csv")
    if _NAME.fullmatch(stem) is None or stem.endswith((".", " ")):
        raise LogError(f"{name!r} is no file name for a log: letters, digits, dots, dashes, blanks, and no folder")
    return f"{stem}.csv"


def recover_logs(folder: Path) -> list[Path]:
    """Name the files that a power cut has left as `.part`: each is cut to its whole lines. Returns the names.

    Those that another program is writing stay.
    """
    found = []
    for part in sorted(folder.glob(f"*.csv{_PART}")):
        with part.open("r+b") as file:
            if not _lock(file.fileno()):
                continue
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
            file.flush()
            os.fsync(file.fileno())
        if whole:
            path = part.with_suffix("")
            if path.exists():
                path = _free(folder, path.stem)
            part.rename(path)
            found.append(path)
        else:
            part.unlink()
    return found


def _create(folder: Path, stem: str) -> tuple[Path, int]:
    """Open a file that is not there yet, not even under its final name."""
    while True:
        path = _free(folder, stem)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(_part(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            _lock(descriptor)
            return path, descriptor


def _lock(descriptor: int) -> bool:
    """Claim a file until it is closed; False if somebody has it."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _free(folder: Path, stem: str) -> Path:
    path, number = folder / f"{stem}.csv", 0
    while path.exists() or _part(path).exists():
        number += 1
        path = folder / f"{stem}-{number:03}.csv"
    return path


def _part(path: Path) -> Path:
    return path.with_name(path.name + _PART)


def _append(file: _File, text: str) -> None:
    octets = text.encode()
    while octets:
        octets = octets[os.write(file.descriptor, octets) :]
    file.size += len(text.encode())
    now_s = time.monotonic()
    if now_s - file.synced_s >= _SYNC_S:
        os.fsync(file.descriptor)
        file.synced_s = now_s


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why(path: Path, error: OSError) -> str:
    name = error.filename or path
    return f"{name}: {error.strerror}; logging has stopped, what was written before is kept"


class RawLog:
    """Keeps what comes, damaged or not, as it comes.

    Args:
        folder: made if missing.
        name: of the file, `.csv` replaced by `.raw`; "" to name it by the time.
        engine: of the device.

    Raises:
        LogError: the file cannot be made.
    """

    def __init__(self, folder: Path, name: str, engine: Engine) -> None:
        stem = name.removesuffix(".csv") or f"data-{datetime.now().astimezone():%Y_%m_%d_%H_%M_%S}"
        self._engine = engine
        self._error: OSError | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path, self._descriptor = _create_raw(folder, stem)
        except OSError as error:
            raise LogError(f"{error.filename}: {error.strerror}") from None
        engine.tap = self._take

    def close(self) -> Path:
        """End the file and return its name.

        Raises:
            LogError: some of it could not be written.
        """
        self._engine.tap = None
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        if self._error is not None:
            raise LogError(f"{self.path}: {self._error.strerror}; bytes are missing at its end")
        return self.path

    def _take(self, octets: bytes) -> None:
        """Write what came; called in the thread that owns the port, which must not suffer from a full disk."""
        try:
            while octets and self._error is None:
                octets = octets[os.write(self._descriptor, octets) :]
        except OSError as error:
            self._error = error


def _create_raw(folder: Path, stem: str) -> tuple[Path, int]:
    number = 0
    while True:
        path = folder / (f"{stem}.raw" if number == 0 else f"{stem}-{number:03}.raw")
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            number += 1

"""Trial of new settings, and the settings that last flew to a good end.

Settings that are valid may still make every start fail, and a satellite cannot be repaired by a shell. Settings other
than those that last flew are therefore on trial. The record of the trial is one small file in the home, which is
replaced as a whole at each step, so a power cut leaves the state before or after the step:

1. The start counts as failed until it has proved itself.
2. Once all tasks are up, it does not count any more: a power cut from then on is not the fault of the settings.
3. If a task is given up, the start counts as failed again.
4. At a good end (done, timeout, or stopped by the host, with all tasks alive), the settings have flown.

After `FAILED_MAX` failed starts in a row, the next ones use the settings that have flown, until a setting changes.
Nothing is written while the settings are those that have flown. Without a record, the defaults have flown.
"""

import contextlib
import zlib
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from pygnc_system.files import durable_write, read_input
from pygnc_system.version_trial import FAILED_MAX

RECORD_FILE: Final = "pygnc_settings_trial.json"
_BYTES_MAX: Final = 1 << 19
"""Maximum size of the record, which contains a settings file and the changes over the line."""


class Tables(msgspec.Struct, frozen=True):
    """Settings as tables: those of the settings file, and the changes over the line."""

    file: dict[str, Any] = {}
    changes: dict[str, Any] = {}


class Record(msgspec.Struct, frozen=True):
    """Content of the record.

    Attributes:
        flown: Settings of the last run with a good end.
        on_trial: CRC-32 of the settings that are on trial.
        failed: Failed starts with these.
    """

    flown: Tables = Tables()
    on_trial: int = 0
    failed: int = 0


def read_record(home: Path) -> tuple[Record, str]:
    """Return the record in a home, and its fault, or empty; that of the defaults if it is missing or damaged."""
    try:
        seal, _, content = read_input(home / RECORD_FILE, _BYTES_MAX).partition(b"\n")
        if seal != _seal(content):
            return (
                Record(),
                f"{RECORD_FILE} fails its check sum; the default settings count as those of the last good run",
            )
        return msgspec.json.decode(content, type=Record), ""
    except FileNotFoundError:
        return Record(), ""
    except (OSError, ValueError, RecursionError) as error:
        return Record(), f"{RECORD_FILE}: {error}; the default settings count as those of the last good run"


def _seal(content: bytes) -> bytes:
    return b"%08x" % zlib.crc32(content)


class Trial:
    """Trial of the settings of this start.

    Args:
        home: Folder of the record.
        tables: The settings.
        record: The record at the start.
        is_damaged: True if the record in the home is damaged, so that it must be written again.
    """

    def __init__(self, home: Path, tables: Tables, record: Record, *, is_damaged: bool = False) -> None:
        digest = zlib.crc32(msgspec.json.encode(tables))
        self._home = home
        self._tables = tables
        self._is_new = is_damaged or digest != zlib.crc32(msgspec.json.encode(record.flown))
        self._before = (
            record if record.on_trial == digest else msgspec.structs.replace(record, on_trial=digest, failed=0)
        )
        self._failing = msgspec.structs.replace(self._before, failed=self._before.failed + 1)
        self._is_up = self._has_failed = False

    @classmethod
    def of_flown(cls, home: Path, tables: Tables) -> Self:
        """Return the trial of settings that need none; it records nothing."""
        return cls(home, tables, Record(tables))

    @property
    def failed_starts(self) -> int:
        """Number of starts with new settings that have failed, 0 for those that have flown."""
        return self._before.failed if self._is_new else 0

    @property
    def is_given_up(self) -> bool:
        """True if another start with these settings is not worth a try."""
        return self.failed_starts >= FAILED_MAX

    def begin(self) -> None:
        """Count the start as failed until `note_up`."""
        self._write(self._failing)

    def note_up(self) -> None:
        """Record that all tasks are up."""
        self._is_up = True
        self._write(self._failing if self._has_failed else self._before)

    def note_failure(self) -> None:
        """Record that a task was given up."""
        self._has_failed = True
        self._write(self._failing)

    def end(self, *, good: bool) -> None:
        """Record the end of the run; without a task that was given up, a good end makes these settings the flown."""
        if good and self._is_up and not self._has_failed:
            self._write(Record(self._tables))
        else:
            self._write(self._failing if self._has_failed else self._before)

    def _write(self, record: Record) -> None:
        if self._is_new:
            content = msgspec.json.encode(record)
            # A full or dying disk must not prevent a run; the settings are in range, so they most likely work.
            with contextlib.suppress(OSError):
                durable_write(self._home / RECORD_FILE, _seal(content) + b"\n" + content)

"""Recognition of files by content, and listing of folders."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pygnc.bus.journal_files import list_segments
from pygnc.formats import journal
from pygnc_ground.inspection.ccsds import CCSDS_MESSAGES
from pygnc_ground.inspection.host_files import INFO_TEXTS, OMM_RECORDS, STATUS_FILES
from pygnc_ground.inspection.journal import JOURNALS, decode_message, read_journal
from pygnc_ground.inspection.log_reader import added_viewers, searched_log_reader
from pygnc_ground.inspection.parquet import PARQUET_TABLES
from pygnc_ground.inspection.sections import HEAD_BYTES, Facts, Listing, Note, Section, Value, Viewer
from pygnc_ground.inspection.sense_and_range import RANGE_FILES, SENSE_FILES
from pygnc_ground.inspection.times import format_unix_time
from pygnc_system import plugins

VIEWERS: Final = (
    JOURNALS,
    STATUS_FILES,
    PARQUET_TABLES,
    OMM_RECORDS,
    CCSDS_MESSAGES,
    INFO_TEXTS,
    RANGE_FILES,
    SENSE_FILES,
)
"""Kinds with a magic number are first; the others are recognised by the structure of their content."""

_SHOWN_BYTES: Final = 16


class UnknownFileError(ValueError):
    """Error raised when no viewer recognises a file; the message lists the known kinds and the first bytes."""


def find_viewer(path: Path) -> Viewer:
    """Return the viewer for a file, by its content.

    Raises:
        OSError: The file cannot be read.
        UnknownFileError: The file is of no known kind.
    """
    if not path.is_file():
        path.stat()
        raise UnknownFileError("neither a file nor a folder; name a regular file")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise UnknownFileError("the file is empty; copy it again")
    for viewer in VIEWERS:
        if viewer.recognises(head):
            return viewer
    added = added_viewers()
    for viewer in added:
        with plugins.skipped_faults(f"the reader of {viewer.kind}"):
            if viewer.recognises(head):
                return viewer
    if (reader := searched_log_reader(path)) is not None:
        return reader.viewer
    tried = ", ".join(viewer.kind for viewer in (*VIEWERS, *added))
    raise UnknownFileError(f"unknown kind of file; supported: {tried}. It begins with {head[:_SHOWN_BYTES].hex(' ')}")


FILES_MAX: Final = 200
_RUN: Final = re.compile(r"run-\d+")


def view_folder(folder: Path) -> Iterator[Section]:
    """Yield one row per run and per file of a folder; subfolders that are not runs are not searched.

    Raises:
        OSError: The folder cannot be read.
    """
    entries = sorted(folder.iterdir())
    runs = [entry for entry in entries if _RUN.fullmatch(entry.name) and entry.is_dir()]
    files = [entry for entry in entries if entry.is_file()]
    if runs:
        columns = ("run", "files", "size_bytes", "inputs", "began_utc", "last_phase", "events")
        yield Listing("runs", columns, [_run_row(run) for run in runs])
    if files:
        rows = [(entry.name, _kind_of(entry), entry.stat().st_size) for entry in files[:FILES_MAX]]
        yield Listing("files", ("name", "kind", "size_bytes"), rows)
    if len(files) > FILES_MAX:
        yield Note(f"{len(files) - FILES_MAX} more files are not listed")
    if others := [entry.name for entry in entries if entry.is_dir() and entry not in runs]:
        yield Listing("folders", ("name",), [(name,) for name in others[:FILES_MAX]])
    if not entries:
        yield Note("the folder is empty")


def _kind_of(path: Path) -> str:
    try:
        return find_viewer(path).kind
    except UnknownFileError:
        return "unknown"
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _run_row(run: Path) -> tuple[Value, ...]:
    segments = list_segments([run])
    still_open = sum(segment.is_open for segment in segments)
    files = f"{len(segments)}, {still_open} open" if still_open else str(len(segments))
    size_bytes = sum(segment.path.stat().st_size for segment in segments)
    inputs = [segment for segment in segments if segment.journal == "input"]
    events = [segment.path for segment in segments if segment.journal == "events"]
    return run.name, files, size_bytes, inputs[-1].last_number() if inputs else 0, *_events(events)


def _events(paths: list[Path]) -> tuple[Value, Value, Value]:
    """Return time of the first event, last phase of the run, and number of events by severity."""
    severities: Counter[str] = Counter()
    began: Value = None
    phase: Value = None
    for path in paths:
        for event in _read_events(path):
            t_wall_ns = event["t_wall_ns"]
            if began is None and isinstance(t_wall_ns, int):
                began = format_unix_time(t_wall_ns * 1e-9)
            if event["name"] == "phase":
                phase = event["text"]
            severities[str(event["severity"])] += 1
    return began, phase, ", ".join(f"{count} {severity}" for severity, count in severities.most_common())


def _read_events(path: Path) -> Iterator[dict[str, Value]]:
    for scan in read_journal(path):
        for record in scan.records:
            kind, fields = decode_message(record.payload)
            if record.kind is journal.Kind.MESSAGE and kind == "Event" and "severity" in fields:
                yield fields


def inspect(path: Path, messages: int) -> Iterator[Section]:
    """Yield the kind and content of a file or folder while reading it, then its first `messages` messages.

    Raises:
        OSError: The file cannot be read.
        UnknownFileError: The file is of no known kind.
    """
    if path.is_dir():
        yield Facts("file", {"kind": "folder"})
        yield from view_folder(path)
        return
    viewer = find_viewer(path)
    yield Facts("file", {"kind": viewer.kind, "size_bytes": path.stat().st_size})
    yield from viewer.view(path, messages)

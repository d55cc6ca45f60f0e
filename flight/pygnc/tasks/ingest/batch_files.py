"""Which files make up a batch, under the names of the interface document and of the older code."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import Message, SourceFile
from pygnc.common.constants import SENSE_FILE
from pygnc.tasks.ingest.range_files import RangeRow, Span
from pygnc.tasks.ingest.range_folders import Fault, goes_on, list_range_files, owner_of
from pygnc.tasks.ingest.sense_file import SenseFile


class BatchSource(Protocol):
    """One input file, or a row of files that continue each other."""

    @property
    def names(self) -> Sequence[str]:
        """The files' names below the home folder."""

    @property
    def files(self) -> list[SourceFile]:
        """The files and the books of their bytes, once scanned, not numbered yet."""

    @property
    def terminated(self) -> bool:
        """Whether the sense records end in CR LF; true for other files."""

    @property
    def anomalies(self) -> Mapping[str, int]:
        """How many undamaged records deserve a second look, by reason."""

    @property
    def keys(self) -> NDArray[np.int64]:
        """GPS milliseconds by which its records are ordered, once scanned, shape (n,)."""

    def scan(self) -> Iterator[None]:
        """Find the records; yields after each piece of work."""

    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """Return the messages of these records, numbered from `first_seq`."""


def find_sources(
    home: Path, sensors_per_record: int, bandwidth_hz: float, own_id: int, prefix: str = ""
) -> tuple[list[BatchSource], list[Fault]]:
    """Open the batch's files in `home`; return them, and those that cannot be read, with the reason.

    `own_id` is our own radio id. With a `prefix` such as "folder/" they are looked for there, as if it were the home.
    """
    sources: list[BatchSource] = []
    faults: list[Fault] = []
    sense = prefix + SENSE_FILE
    if (home / sense).exists():
        try:
            sources.append(SenseFile(home / sense, sense, sensors_per_record))
        except OSError as error:
            faults.append(Fault(sense, _reason(error)))
    folders, unreadable = list_range_files(home, own_id, prefix)
    faults += unreadable
    for folder in folders:
        for names in folder.rows():
            try:
                paths = [home / name for name in names]
                row = RangeRow(paths, names, bandwidth_hz, satellite_id=folder.satellite_id, own_id=own_id)
                sources.append(row)
            except OSError as error:
                faults.append(Fault(_name(error, home, names[0]), _reason(error)))
    return sources, faults


def open_named(
    home: Path,
    files: Sequence[tuple[SourceFile, int]],
    sensors_per_record: int,
    bandwidth_hz: float,
    own_id: int,
) -> list[BatchSource]:
    """Open files again as the input journal names them, each with how much of it was delivered before that.

    Raises:
        OSError: A file cannot be read, or is shorter than it was.
    """
    sources: list[BatchSource] = []
    rows: list[list[tuple[SourceFile, int]]] = []
    for file, delivered_before in files:
        if file.fault:
            continue
        if is_sense(file.name):
            sources.append(SenseFile(home / file.name, file.name, sensors_per_record))
        elif rows and file.from_byte == 0 and goes_on(rows[-1][-1][0].name, file.name):
            rows[-1].append((file, delivered_before))
        else:
            rows.append([(file, delivered_before)])
    for row in rows:
        names = [file.name for file, _ in row]
        paths = [home / name for name in names]
        spans = [Span(file.from_byte, file.from_byte + file.size_bytes, before) for file, before in row]
        satellite_id = owner_of(names[0])
        sources.append(RangeRow(paths, names, bandwidth_hz, satellite_id=satellite_id, own_id=own_id, spans=spans))
    return sources


def is_sense(name: str) -> bool:
    """Whether a file below the home folder is a sense file, by its name."""
    return Path(name).name == SENSE_FILE


def _name(error: OSError, home: Path, name: str) -> str:
    return str(Path(error.filename).relative_to(home)) if error.filename else name


def _reason(error: OSError) -> str:
    return error.strerror or str(error)

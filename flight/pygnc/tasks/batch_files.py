"""Which files make up a batch, under the names of the interface document and of the older code."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import Message, SourceFile
from pygnc.formats.ranges import consecutive_runs, range_file_number
from pygnc.tasks.range_files import RangeRow
from pygnc.tasks.sense_file import SenseFile

SENSE: Final = "sense.bin"


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
    home: Path, sensors_per_record: int, bandwidth_hz: float
) -> tuple[list[BatchSource], list[tuple[str, str]]]:
    """Open the batch's files in `home`; return them, and the names of those that cannot be read, with the reason."""
    sources: list[BatchSource] = []
    unreadable: list[tuple[str, str]] = []
    if (home / SENSE).exists():
        try:
            sources.append(SenseFile(home / SENSE, SENSE, sensors_per_record))
        except OSError as error:
            unreadable.append((SENSE, _reason(error)))
    for names in _range_rows(home, unreadable):
        try:
            sources.append(RangeRow([home / name for name in names], names, bandwidth_hz))
        except OSError as error:
            unreadable.append((str(Path(error.filename or names[0]).relative_to(home)), _reason(error)))
    return sources, unreadable


def _range_rows(home: Path, unreadable: list[tuple[str, str]]) -> Iterator[list[str]]:
    """Yield rows of range files that continue each other, as names below `home`."""
    if (home / "range.bin").exists():
        yield ["range.bin"]
    for folder in ("", "range/"):
        try:
            names = [path.name for path in (home / folder).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            unreadable.append((folder, _reason(error)))
            continue
        numbers = [number for name in names if (number := range_file_number(name)) is not None]
        for row in consecutive_runs(numbers):
            yield [f"{folder}rng{number:05d}.bin" for number in row]


def _reason(error: OSError) -> str:
    return error.strerror or str(error)

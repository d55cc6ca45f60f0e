"""Files of a batch and the order of their records.

`find_sources` opens the batch's files, `record_messages` merges their records into one sequence by time. The sequence
is a function of the files alone, so that a restarted task and a replay on the ground assign the same numbers.

A run with --from-last-run reads the files written by the last run and the files in the home. Both may contain the same
packets; `without_repeats` drops those in the home that are bit for bit equal to one of the last run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import BatchBegin, GpsFix, Message, RangeMeasurement, SensorSample, SourceFile
from pygnc.common.constants import SENSE_FILE
from pygnc.tasks.batch_writer.folder import LAST
from pygnc.tasks.ingest.range_files import RangeRow, Span
from pygnc.tasks.ingest.range_folders import UnreadableFile, is_next_file, list_range_files, satellite_of
from pygnc.tasks.ingest.sense_file import SenseFile


class BatchSource(Protocol):
    """One input file, or a series of range files that continue each other."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the files, relative to the home folder."""

    @property
    def files(self) -> list[SourceFile]:
        """The files with their byte counts, without numbers; valid after the scan."""

    @property
    def terminated(self) -> bool:
        """Whether sense records end in CR LF; True for other files."""

    @property
    def anomalies(self) -> Mapping[str, int]:
        """Number of undamaged records with an anomaly, by reason."""

    @property
    def keys(self) -> NDArray[np.int64]:
        """Sort keys of the records in GPS ms, shape (n,); valid after the scan."""

    def scan(self) -> Iterator[None]:
        """Find the records; yields after each step."""

    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """Return the messages of these records, numbered from `first_seq`."""


def find_sources(
    home: Path, sensors_per_record: int, bandwidth_hz: float, own_id: int, prefix: str = ""
) -> tuple[list[BatchSource], list[UnreadableFile]]:
    """Open the batch's files in `home`; return them, and the files that cannot be read.

    Args:
        home: The home folder.
        sensors_per_record: Sensor packets in a sense record.
        bandwidth_hz: Bandwidth of the ranging radio.
        own_id: Our own radio id.
        prefix: Folder below `home` to search instead, such as "folder/".
    """
    sources: list[BatchSource] = []
    faults: list[UnreadableFile] = []
    sense = prefix + SENSE_FILE
    if (home / sense).exists():
        try:
            sources.append(SenseFile(home / sense, sense, sensors_per_record))
        except OSError as error:
            faults.append(UnreadableFile(sense, _reason(error)))
    folders, unreadable = list_range_files(home, own_id, prefix)
    faults += unreadable
    for folder in folders:
        for names in folder.rows():
            try:
                paths = [home / name for name in names]
                row = RangeRow(paths, names, bandwidth_hz, satellite_id=folder.satellite_id, own_id=own_id)
                sources.append(row)
            except OSError as error:
                faults.append(UnreadableFile(_name(error, home, names[0]), _reason(error)))
    return sources, faults


def open_named(
    home: Path,
    files: Sequence[tuple[SourceFile, int]],
    sensors_per_record: int,
    bandwidth_hz: float,
    own_id: int,
) -> list[BatchSource]:
    """Open files again as the input journal names them.

    Args:
        home: The home folder.
        files: The files, each with the number of its bytes that were delivered before.
        sensors_per_record: Sensor packets in a sense record.
        bandwidth_hz: Bandwidth of the ranging radio.
        own_id: Our own radio id.

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
        elif rows and file.from_byte == 0 and is_next_file(rows[-1][-1][0].name, file.name):
            rows[-1].append((file, delivered_before))
        else:
            rows.append([(file, delivered_before)])
    for row in rows:
        names = [file.name for file, _ in row]
        paths = [home / name for name in names]
        spans = [Span(file.from_byte, file.from_byte + file.size_bytes, before) for file, before in row]
        satellite_id = satellite_of(names[0])
        sources.append(RangeRow(paths, names, bandwidth_hz, satellite_id=satellite_id, own_id=own_id, spans=spans))
    return sources


def is_sense(name: str) -> bool:
    """Whether a name below the home folder is that of a sense file."""
    return Path(name).name == SENSE_FILE


def _name(error: OSError, home: Path, name: str) -> str:
    return str(Path(error.filename).relative_to(home)) if error.filename else name


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


RECORDS_PER_STEP: Final = 32


def batch_head(
    sources: Sequence[BatchSource], files: Sequence[SourceFile], sensors_per_record: int, last_seq: int = 0
) -> list[Message]:
    """Return the messages before the records: all files, readable or not, and `BatchBegin`.

    Args:
        sources: The readable files.
        files: All files.
        sensors_per_record: Sensor packets in a sense record.
        last_seq: Number of the message before the first one.
    """
    begin = BatchBegin(
        seq=last_seq + len(files) + 1,
        sensors_per_record=sensors_per_record,
        records_terminated=all(source.terminated for source in sources),
    )
    return [*(msgspec.structs.replace(file, seq=seq) for seq, file in enumerate(files, last_seq + 1)), begin]


def record_messages(sources: Sequence[BatchSource], last_seq: int) -> Iterator[list[Message]]:
    """Yield the messages of all records in the order of their time, a few at a time.

    Args:
        sources: The scanned files.
        last_seq: Number of the message before the first one.

    Raises:
        OSError: A file cannot be read, or was changed since it was scanned.
    """
    which = np.repeat(np.arange(len(sources)), [len(source.keys) for source in sources])
    ordinals = np.concatenate([np.arange(len(source.keys)) for source in sources] or [np.zeros(0, np.int64)])
    keys = np.concatenate([source.keys for source in sources] or [np.zeros(0, np.int64)])
    order = np.argsort(keys, kind="stable")
    for group in _groups(which[order], RECORDS_PER_STEP):
        members = order[group]
        messages = sources[int(which[members[0]])].messages(ordinals[members], last_seq + 1)
        last_seq += len(messages)
        yield messages


def _groups(which: NDArray[np.int64], size: int) -> Iterator[slice]:
    """Yield slices of consecutive equal elements, at most `size` long."""
    changes = np.flatnonzero(np.diff(which)) + 1
    for start, stop in pairwise([0, *changes.tolist(), len(which)]):
        for begin in range(start, stop, size):
            yield slice(begin, min(begin + size, stop))


PREFIX: Final = f"{LAST}/"
_RECORDS_PER_STEP: Final = 64
_KnownPackets = set[tuple[int, bytes]]


def without_repeats(sources: Iterable[BatchSource]) -> list[BatchSource]:
    """Return the sources of a run with --from-last-run: the last run's complete, then the home's without repeats."""
    known: _KnownPackets = set()
    ordered = sorted(sources, key=lambda source: not is_of_last_run(source))
    return [KnownRecords(source, known) if is_of_last_run(source) else NewRecords(source, known) for source in ordered]


def is_of_last_run(source: BatchSource) -> bool:
    """Whether a source was written by the last run."""
    return source.names[0].startswith(PREFIX)


class _Wrapped:
    """A source that wraps another one."""

    def __init__(self, source: BatchSource, known: _KnownPackets) -> None:
        self._source = source
        self._known = known

    @property
    def names(self) -> Sequence[str]:
        """See `BatchSource`."""
        return self._source.names

    @property
    def files(self) -> list[SourceFile]:
        """See `BatchSource`."""
        return self._source.files

    @property
    def anomalies(self) -> Mapping[str, int]:
        """See `BatchSource`."""
        return self._source.anomalies

    def _steps(self) -> Iterator[tuple[NDArray[np.int64], list[Message]]]:
        """Yield ordinals and messages of a few records at a time."""
        count = len(self._source.keys)
        for start in range(0, count, _RECORDS_PER_STEP):
            ordinals = np.arange(start, min(start + _RECORDS_PER_STEP, count))
            yield ordinals, self._source.messages(ordinals, 1)


class KnownRecords(_Wrapped):
    """A file of the last run: returns all records and notes them as known."""

    @property
    def terminated(self) -> bool:
        """See `BatchSource`."""
        return self._source.terminated

    @property
    def keys(self) -> NDArray[np.int64]:
        """See `BatchSource`."""
        return self._source.keys

    def scan(self) -> Iterator[None]:
        """See `BatchSource`."""
        yield from self._source.scan()
        for _, messages in self._steps():
            self._known.update(_identity(message) for message in messages)
            yield

    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """See `BatchSource`."""
        return self._source.messages(ordinals, first_seq)


class NewRecords(_Wrapped):
    """A file in the home: returns only records with a packet that the last run does not have.

    The batch writer appends them to the last run's records, so `terminated` does not depend on this file.
    """

    terminated = True

    def __init__(self, source: BatchSource, known: _KnownPackets) -> None:
        super().__init__(source, known)
        self._ordinals: NDArray[np.int64] = np.zeros(0, np.int64)

    @property
    def keys(self) -> NDArray[np.int64]:
        """See `BatchSource`."""
        return self._source.keys[self._ordinals]

    @property
    def repeated(self) -> int:
        """Number of records and packets that the last run has."""
        return len(self._source.keys) - len(self._ordinals)

    def scan(self) -> Iterator[None]:
        """See `BatchSource`."""
        yield from self._source.scan()
        found = []
        for ordinals, messages in self._steps():
            size = len(messages) // len(ordinals)
            is_new = [_identity(message) not in self._known for message in messages]
            found.append(ordinals[np.reshape(is_new, (-1, size)).any(axis=1)])
            yield
        self._ordinals = np.concatenate([self._ordinals, *found])

    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """See `BatchSource`."""
        return self._source.messages(self._ordinals[ordinals], first_seq)


def _identity(message: Message) -> tuple[int, bytes]:
    if isinstance(message, GpsFix | RangeMeasurement):
        return message.satellite_id, message.raw
    return 0, message.raw if isinstance(message, SensorSample) else b""

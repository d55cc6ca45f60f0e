"""Inputs of a replay: recorded files in the order of the ingest task, or the input journal of a run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import BatchEnd, Message
from pygnc.configuration.settings import ColumnSettings, Settings
from pygnc.estimators.attitude.settings import HallWord
from pygnc.inputs.batch import batch_head, record_messages
from pygnc.inputs.elements_file import read_elements
from pygnc.inputs.journaled import decode_input
from pygnc.inputs.range_files import RangeSeries
from pygnc.inputs.range_folders import list_range_folder
from pygnc.inputs.sense_file import SenseFile
from pygnc.inputs.source import BatchSource
from pygnc_cli.exit_codes import UsageError
from pygnc_ground.inspection.log_reader import LogReader, added_log_reader, added_log_readers, searched_log_reader
from pygnc_ground.inspection.sections import HEAD_BYTES
from pygnc_ground.inspection.sense_and_range import SENSE_FILES
from pygnc_ground.receivers.proposal import proposal
from pygnc_ground.receivers.table import table_reader
from pygnc_ground.replay.log_file import LogFile
from pygnc_system.files import open_input

_RECORDS_A_READ: Final = 256

_Message = TypeVar("_Message")


class ReplayError(ValueError):
    """Error raised when a replay is not possible; the message names the file and the remedy."""


class OptionsError(ReplayError, UsageError):
    """Error raised when the options of a replay contradict each other or are incomplete."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Inputs of the estimators.

    Attributes:
        messages: Messages in the order of their numbers.
        records: Expected number of records for the progress bar; None if unknown.
        settings: Settings of the replayed run; None for recorded files.
        earth_orientation: Name of the Earth orientation table of the run; None for recorded files.
    """

    messages: Iterator[Message]
    records: int | None
    settings: Settings | None = None
    earth_orientation: str | None = None


def from_run(folder: Path, hall_word: HallWord | None = None) -> Inputs:
    """Return the inputs of a run from its journal.

    `hall_word` is the meaning of the Hall words of sensor packets; by default that of the run's settings.

    Raises:
        ReplayError: The folder's input journal is empty.
    """
    reader = JournalReader([folder], "input")
    first = reader.read(1)
    if not first or reader.header is None:
        raise ReplayError(f"{folder}: the input journal is empty; name the files in the home of the run instead")
    settings, earth_orientation = _header(reader.header, folder)
    recorded = settings.attitude.hall_word
    again = (hall_word or recorded) if "times" in {hall_word, recorded} else None
    return Inputs(_inputs(folder, again), None, settings, earth_orientation)


def from_files(sense: Sequence[Path], ranges: Path | None, settings: Settings, elements: Path | None = None) -> Inputs:
    """Return the messages that the ingest task makes of recorded files.

    `sense` are sense files, logs that a reader recognises, or tables whose columns the settings name; `ranges` is a
    folder.

    Raises:
        OSError: A file cannot be read.
        ReplayError: A file cannot be used, or has no record.
    """
    sources: list[BatchSource] = []
    for path in sense:
        reader = log_reader_of(path, settings.columns)
        sources.append(SenseFile(path, str(path), settings) if reader is None else LogFile(path, reader))
    of_ranges = _range_series(ranges, settings) if ranges else []
    inputs = inputs_of([*sources, *of_ranges], _elements(elements, settings) if elements else [])
    known = ", ".join([SENSE_FILES.kind, *(reader.kind for reader in added_log_readers())])
    for path, source in zip(sense, sources, strict=True):
        if not len(source.keys):
            table = proposal(path, _head(path), settings.columns)
            require_records(path, [source], f"; it is of none of these kinds: {known}{table}")
    if ranges:
        require_records(ranges, of_ranges)
    return inputs


def require_records(path: Path, sources: Sequence[BatchSource], cause: str = "") -> None:
    """Raise ReplayError, with a cause, if sources that were scanned, the files of `path`, have no record at all."""
    if any(len(source.keys) for source in sources):
        return
    size = sum(file.size_bytes for source in sources for file in source.files)
    if not size:
        raise ReplayError(f"{path}: empty; copy it again")
    raise ReplayError(f"{path}: no record found in {size} bytes{cause}; name another file, or copy it again")


def log_reader_of(path: Path, columns: Mapping[str, ColumnSettings] | None = None) -> LogReader | None:
    """Return the reader of a log or of a table with these `columns`; None for a sense file or an unknown file.

    Raises:
        OSError: The file cannot be read.
    """
    head = _head(path)
    if SENSE_FILES.recognises(head):
        return None
    return added_log_reader(head) or table_reader(path, head, columns or {}) or searched_log_reader(path)


def _head(path: Path) -> bytes:
    with open(open_input(path), "rb") as file:  # noqa: PTH123 - does not wait for the writer of a pipe
        return file.read(HEAD_BYTES)


def _elements(path: Path, settings: Settings) -> list[Message]:
    upload = read_elements(path, settings.orbit.elements.expected_object)
    if upload is None:
        raise ReplayError(f"{path}: the file does not exist; name a TLE or an OMM")
    if upload.fault:
        raise ReplayError(f"{path}: {upload.fault}")
    return [msgspec.structs.replace(upload, seq=1)]


def inputs_of(sources: Sequence[BatchSource], first: Sequence[Message] = ()) -> Inputs:
    """Return the messages `first`, numbered from 1, and those that the ingest task makes of these sources.

    Raises:
        OSError: A file cannot be read.
    """
    for source in sources:
        for _ in source.scan():
            pass
    files = [file for source in sources for file in source.files]
    head = [*first, *batch_head(files, len(first), terminated=all(source.terminated for source in sources))]
    return Inputs(_recorded(head, sources), sum(len(source.keys) for source in sources))


def _range_series(folder: Path, settings: Settings) -> list[RangeSeries]:
    """Return the range files of the folder and of its partner folders, in rows of consecutive files."""
    folders, faults = list_range_folder(folder, "", settings.formation.own_id)
    for fault in faults:
        raise ReplayError(f"{folder / fault.name}: {fault.fault}")
    rows: list[RangeSeries] = []
    for found in folders:
        for names in found.rows():
            paths = [str(folder / name) for name in names]
            rows.append(RangeSeries(Path(), paths, settings, satellite_id=found.satellite_id))
    if not rows:
        raise ReplayError(
            f"{folder}: no range file (rng00000.bin and so on) found; name the folder with the range files"
        )
    return rows


def _recorded(head: list[Message], sources: Sequence[BatchSource]) -> Iterator[Message]:
    yield from head
    last_seq = len(head)
    try:
        for messages in record_messages(sources, last_seq):
            yield from messages
            last_seq += len(messages)
    except OSError as error:
        raise ReplayError(f"{error}; check the input files") from error
    yield BatchEnd(seq=last_seq + 1, cause="")


def journaled(run: Path, stream: str, decode: Callable[[bytes], _Message]) -> Iterator[tuple[int, _Message]]:
    """Yield the number and the content of each message in a journal of a run."""
    reader = JournalReader([run], stream)
    while records := reader.read(_RECORDS_A_READ):
        for record in records:
            yield record.seq, decode(record.payload)


def _inputs(folder: Path, hall_word: HallWord | None) -> Iterator[Message]:
    ended, last_seq = False, 0
    for seq, message in journaled(folder, "input", partial(decode_input, hall_word=hall_word)):
        ended, last_seq = ended or isinstance(message, BatchEnd), seq
        yield message
    if not ended:
        yield BatchEnd(seq=last_seq + 1, cause="the journal ends before the batch")


def _header(header: bytes, folder: Path) -> tuple[Settings, str]:
    """Return settings and name of the Earth orientation table from a journal's header."""
    try:
        fields = msgspec.msgpack.decode(header)
        return msgspec.convert(fields["settings"], Settings), str(fields["earth_orientation"])
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
        remedy = "name the settings by --config"
        raise ReplayError(f"{folder}: its settings do not fit this version of PyGNC ({error}); {remedy}") from error

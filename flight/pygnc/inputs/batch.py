"""Files of a batch and the order of their records.

`find_batch` opens the batch's files, `record_messages` merges their records into one sequence by time. The sequence
is a function of the files alone, so that a restarted task and a replay on the ground assign the same numbers.

A run with --from-last-run reads the files written by the last run and the files in the home. Both may contain the same
packets; `drop_repeats` drops those in the home that are bit for bit equal to one of the last run.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import BatchBegin, GnssFix, Message, RangeMeasurement, SensorSample, SourceFile
from pygnc.common.constants import LAST_BATCH, SENSE_FILE, batch_sensor_gps_packet_num_sensor_packets
from pygnc.configuration.settings import Settings
from pygnc.inputs.input_state import InputsChangedError
from pygnc.inputs.range_files import BATCH_BYTES_MAX, RangeSeries, Span
from pygnc.inputs.range_folders import is_next_file, list_range_files, satellite_of, unreadable_file
from pygnc.inputs.sense_file import SenseFile
from pygnc.inputs.source import BatchSource

PREFIX: Final = f"{LAST_BATCH}/"
RECORDS_PER_STEP: Final = 32
_RECORDS_DECODED: Final = 128
"""Records that are decoded together; one by one, those of four satellites take four times as long."""
_RECORDS_PER_COMPARISON: Final = 64


def find_batch(
    home: Path, settings: Settings, named: Sequence[tuple[SourceFile, int]], *, from_last_run: bool
) -> tuple[list[BatchSource], list[SourceFile]]:
    """Open the batch's files; return them, those of the last run first, and reports on unreadable files.

    If the input journal names files (see `open_named`), these are opened; otherwise those in the home, with
    `from_last_run` also those written by the last run.

    Raises:
        InputsChangedError: A named file cannot be read, or is shorter than it was.
    """
    if named:
        found, unreadable = open_named(home, named, settings), [file for file, _ in named if file.fault]
    else:
        found, unreadable = find_sources(home, settings)
        if from_last_run:
            last, also_unreadable = find_sources(home, settings, PREFIX)
            found, unreadable = [*last, *found], [*also_unreadable, *unreadable]
    # Files of the last run come first, because `drop_repeats` compares the packets in the home with theirs.
    return sorted(found, key=lambda source: not is_of_last_run(source)), unreadable


def find_sources(home: Path, settings: Settings, prefix: str = "") -> tuple[list[BatchSource], list[SourceFile]]:
    """Open the batch's files in `home`, or below its folder `prefix` (such as "folder/").

    Return the opened files and reports on files that cannot be read.
    """
    sources: list[BatchSource] = []
    sense = prefix + SENSE_FILE
    folders, unreadable = list_range_files(home, settings.formation.own_id, prefix)
    try:
        sources.append(SenseFile(home / sense, sense, settings))
    except FileNotFoundError:
        pass
    except OSError as error:
        unreadable.insert(0, unreadable_file(error, home, sense))
    room = BATCH_BYTES_MAX
    for folder in folders:
        rows = list(folder.rows())
        while rows:
            names = rows.pop(0)
            try:
                series = RangeSeries(home, names, settings, satellite_id=folder.satellite_id, room=room)
            except OSError as error:  # the files before and after the faulty one are read without it
                unreadable.append(unreadable_file(error, home, names[0]))
                at = names.index(unreadable[-1].name)
                rows = [row for row in (names[:at], names[at + 1 :]) if row] + rows
            else:
                room -= series.size_bytes
                sources.append(series)
    return sources, unreadable


def open_named(home: Path, files: Sequence[tuple[SourceFile, int]], settings: Settings) -> list[BatchSource]:
    """Open byte ranges of files that the input journal names, each with the number of bytes delivered before it.

    Raises:
        InputsChangedError: A file cannot be read, or is shorter than it was.
    """
    sources: list[BatchSource] = []
    rows: list[list[tuple[SourceFile, int]]] = []
    try:
        for file, delivered_before in files:
            if file.fault:
                continue
            if Path(file.name).name == SENSE_FILE:
                sources.append(SenseFile(home / file.name, file.name, settings, file.size_bytes))
            elif rows and file.from_byte == 0 and is_next_file(rows[-1][-1][0].name, file.name):
                rows[-1].append((file, delivered_before))
            else:
                rows.append([(file, delivered_before)])
        for row in rows:
            names = [file.name for file, _ in row]
            spans = [Span(file.from_byte, file.from_byte + file.size_bytes, before) for file, before in row]
            sources.append(RangeSeries(home, names, settings, satellite_id=satellite_of(names[0]), spans=spans))
    except OSError as error:
        raise InputsChangedError from error
    return sources


def batch_head(files: Sequence[SourceFile], last_seq: int = 0, *, terminated: bool = True) -> list[Message]:
    """Return the messages before the records, numbered after `last_seq`: all files, readable or not, and `BatchBegin`.

    `terminated` is True if the sense records end in CR LF.
    """
    begin = BatchBegin(
        seq=last_seq + len(files) + 1,
        sensors_per_record=batch_sensor_gps_packet_num_sensor_packets,
        records_terminated=terminated,
    )
    return [*(msgspec.structs.replace(file, seq=seq) for seq, file in enumerate(files, last_seq + 1)), begin]


def record_messages(sources: Sequence[BatchSource], last_seq: int) -> Iterator[list[Message]]:
    """Yield the messages of all kept records in the order of time, up to 32 records at once, numbered after `last_seq`.

    Raises:
        OSError: A file cannot be read, or was changed since it was scanned.
    """
    none = np.zeros(0, np.int64)
    which = np.repeat(np.arange(len(sources)), [len(source.kept) for source in sources])
    ordinals = np.concatenate([none, *(source.kept for source in sources)])
    keys = np.concatenate([none, *(source.keys[source.kept] for source in sources)])
    order = np.argsort(keys, kind="stable")
    for begin in range(0, len(order), _RECORDS_DECODED):
        members = order[begin : begin + _RECORDS_DECODED]
        records = _in_order(sources, which[members], ordinals[members], last_seq + 1)
        for start in range(0, len(records), RECORDS_PER_STEP):
            step = chain.from_iterable(records[start : start + RECORDS_PER_STEP])
            messages = [
                message if message.seq == seq else msgspec.structs.replace(message, seq=seq)
                for seq, message in enumerate(step, last_seq + 1)
            ]
            last_seq += len(messages)
            yield messages


def _in_order(
    sources: Sequence[BatchSource], which: NDArray[np.int64], ordinals: NDArray[np.int64], first_seq: int
) -> list[list[Message]]:
    """Return the messages of each record; those of each source are numbered from `first_seq`."""
    records: list[list[Message]] = [[]] * len(which)
    for source in set(which.tolist()):
        places = np.flatnonzero(which == source)
        messages = sources[source].messages(ordinals[places], first_seq)
        size = len(messages) // len(places)
        for number, place in enumerate(places.tolist()):
            records[place] = messages[number * size : (number + 1) * size]
    return records


def is_of_last_run(source: BatchSource) -> bool:
    """Return True if a source is a file of `~/pygnc_batch_last`, which the last run wrote."""
    return source.names[0].startswith(PREFIX)


def drop_repeats(source: BatchSource, known: set[tuple[int, bytes]]) -> Iterator[None]:
    """Drop records of a file in the home whose packets are all in the last run's files; yield after every 64 records.

    Args:
        source: A file in the home, or a file of the last run; the records of the latter are all kept.
        known: Packets of the last run; those of `source` are added if the last run wrote it.

    Raises:
        OSError: The file cannot be read, or was changed since it was scanned.
    """
    kept = [np.zeros(0, np.int64)]
    for start in range(0, len(source.kept), _RECORDS_PER_COMPARISON):
        ordinals = source.kept[start : start + _RECORDS_PER_COMPARISON]
        packets = [_identity(message) for message in source.messages(ordinals, 1)]
        if is_of_last_run(source):
            known.update(packets)
        else:
            is_new = np.reshape([packet not in known for packet in packets], (len(ordinals), -1))
            kept.append(ordinals[is_new.any(axis=1)])
        yield
    if not is_of_last_run(source):
        source.kept = np.concatenate(kept)


def _identity(message: Message) -> tuple[int, bytes]:
    if isinstance(message, GnssFix | RangeMeasurement):
        return message.satellite_id, message.raw
    return 0, message.raw if isinstance(message, SensorSample) else b""

"""Preparation of the files written by the last run for a run with --from-last-run: completion and limit of the size.

After a power cut, `sense.bin` lacks the record that was not complete; the last run's input journal has its packets.
Without a limit, a series of runs that each begin from the previous one would fill the disk.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from pygnc.bus.journal_files import list_segments
from pygnc.bus.messages import GnssFix, SensorSample
from pygnc.common.constants import LAST_BATCH, SENSE_FILE
from pygnc.formats import journal
from pygnc.formats.gps_packet import SENSE_GPS, SENSE_GPS_PACKET
from pygnc.formats.sense import SENSE_SENSORS, SENSOR_PACKET, SenseLayout
from pygnc.formats.sense_assembler import SenseAssembler
from pygnc.formats.sense_scan import recognise_layout
from pygnc.inputs.journaled import decode_input
from pygnc.inputs.range_folders import list_range_files
from pygnc.inputs.sense_file import RECOGNITION_BYTES
from pygnc_system.files import durable_append, durable_write, open_input, read_at, retry_read

_SEGMENTS_READ: Final = 2
"""Number of newest segments of the input journal that are read: an incomplete record is less than a minute old."""
_SAMPLE_BYTES: Final = SENSOR_PACKET.itemsize


def add_open_record(home: Path) -> int:
    """Complete the last run's `sense.bin` from its input journal; return the number of records added.

    Raises:
        OSError: The disk is full or gone; an incomplete record may have been appended, which readers skip.
    """
    path = home / LAST_BATCH / SENSE_FILE
    layout, size = _layout(path)
    if layout is None or not size or size % layout.size:
        return 0
    last = _part(path, layout.size, size - layout.size)
    packets = list(_newest_packets(home / "pygnc_logs"))
    known = _packets_of(last, layout)
    places = [place for place, packet in enumerate(packets) if packet in known]
    if not places:
        return 0  # no common packet: the newest journal is not that of the run that wrote the file
    assembler = SenseAssembler(layout)
    for packet in known:
        assembler.add(packet)
    assembler.finish()
    records = []
    for packet in packets[places[-1] + 1 :]:
        records += assembler.add(packet).records
    records += assembler.finish().records
    if records:
        durable_append(path, b"".join(records))
    return len(records)


def remove_oldest(home: Path, limit_bytes: int) -> int:
    """Remove the last run's oldest range files and sense records beyond a limit; return the number of bytes removed.

    Range files and sense records may each use half of the limit, and more if the other kind uses less.

    Raises:
        OSError: The disk is full or gone.
    """
    sense = home / LAST_BATCH / SENSE_FILE
    sense_bytes = _layout(sense)[1]
    rows = [row for folder in list_range_files(home, 0, f"{LAST_BATCH}/")[0] for row in folder.rows()]
    sizes = {name: retry_read((home / name).stat).st_size for row in rows for name in row}
    range_bytes = sum(sizes.values())
    sense_limit = max(limit_bytes // 2, limit_bytes - range_bytes)
    range_limit = max(limit_bytes // 2, limit_bytes - sense_bytes)
    removed = 0
    while range_bytes - removed > range_limit:
        row = max(rows, key=lambda names: sum(sizes[name] for name in names))
        name = row.pop(0)
        (home / name).unlink()
        removed += sizes[name]
    return removed + (_cut_sense(sense, sense_limit) if sense_bytes > sense_limit else 0)


def _cut_sense(path: Path, limit_bytes: int) -> int:
    layout, size = _layout(path)
    kept_bytes = limit_bytes - limit_bytes % layout.size if layout is not None else 0
    durable_write(path, _part(path, kept_bytes, size - kept_bytes))
    return size - kept_bytes


def _layout(path: Path) -> tuple[SenseLayout | None, int]:
    """Return the layout of a file's records (None if it has none) and the file's size."""
    try:
        return recognise_layout(_part(path, RECOGNITION_BYTES, 0)), retry_read(path.stat).st_size
    except FileNotFoundError:
        return None, 0


def _part(path: Path, size: int, offset: int) -> bytes:
    descriptor = open_input(path)
    try:
        return read_at(descriptor, size, offset)
    finally:
        os.close(descriptor)


def _packets_of(record: bytes, layout: SenseLayout) -> list[bytes]:
    ends = layout.sensors_per_record * _SAMPLE_BYTES
    samples = [record[at : at + _SAMPLE_BYTES] for at in range(0, ends, _SAMPLE_BYTES)]
    return [*dict.fromkeys(samples), record[ends : ends + SENSE_GPS_PACKET.itemsize]]


def _newest_packets(logs: Path) -> Iterator[bytes]:
    """Yield the packets of sense records in the newest run's input journal."""
    journals = (
        list_segments([folder], "input") for folder in retry_read(lambda: sorted(logs.glob("run-*"), reverse=True))
    )
    for segment in next(filter(None, journals), [])[-_SEGMENTS_READ:]:
        for record in segment.read():
            if record.kind is not journal.Kind.MESSAGE:
                continue
            try:
                message = decode_input(record.payload)
            except msgspec.DecodeError:  # another version of the flight software has written it
                continue
            if isinstance(message, SensorSample | GnssFix) and message.kind in {SENSE_SENSORS, SENSE_GPS}:
                yield message.raw

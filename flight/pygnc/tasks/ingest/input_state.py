"""What the input journal says so far: how far each file was read, and how many packets came.

Whatever ingest does next follows from it, so a restarted ingest that has read the journal goes on like the one before.

What a restarted ingest reads in its own journal: the books so far, and what it was about to give out.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import (
    DEVICES,
    LIVE,
    BatchBegin,
    BatchEnd,
    DeviceReading,
    GpsFix,
    InputMessage,
    Message,
    RangeMeasurement,
    SensorSample,
    SourceFile,
    TimeMark,
)
from pygnc.common.clock import gps_ms_from_week
from pygnc.estimators.clock.clock_map import ClockMap

_FILE_COUNTS: Final = {
    "source_bytes": "size_bytes",
    "delivered_bytes": "delivered_bytes",
    "damaged_bytes": "damaged_bytes",
    "damaged_ranges": "damaged_ranges",
}


class InputCounters:
    """Follows the messages of the input journal.

    Attributes:
        files: All files named so far, in the order of their first naming, each with the books of all that was read.
        counts: Totals, named as in the status record; GPS packets are our own only. Bytes of live packets are among
            those of the files.
        live_through: Number of the newest live packet in the stream from the host, and of the newest reading in that of
            the devices.
        newest_spacecraft_s: Spacecraft time in the newest of our own packets.
        newest_gps_ms: GPS time in the newest of our own GPS packets that knew it.
    """

    def __init__(self) -> None:
        self.files: dict[str, SourceFile] = {}
        self.counts: dict[str, int] = dict.fromkeys(("source_files", "unreadable_files", *_FILE_COUNTS), 0)
        self.live_through = {LIVE: 0, DEVICES: 0}
        self.newest_spacecraft_s: int | None = None
        self.newest_gps_ms: int | None = None
        self._clock = ClockMap()

    @property
    def boots(self) -> int:
        """So many times our spacecraft clock began anew, by our GPS packets."""
        segments = self._clock.segments
        return segments[-1].number if segments else 0

    def take(self, message: Message) -> None:
        """Book one message."""
        if isinstance(message, SourceFile):
            self._take_file(message)
        elif isinstance(message, SensorSample):
            self._count("sensor_packets")
            self.newest_spacecraft_s = message.t_spacecraft_s
        elif isinstance(message, RangeMeasurement):
            self._count("range_packets")
        elif isinstance(message, GpsFix) and message.is_own:
            self._count("gps_packets")
            self._take_times(message)
        if isinstance(message, DeviceReading):
            self.live_through[DEVICES] = message.offset
        elif isinstance(message, SensorSample | RangeMeasurement | GpsFix | TimeMark) and message.source == LIVE:
            self.live_through[LIVE] = message.offset
            if not isinstance(message, TimeMark):
                self._count("source_bytes", len(message.raw))
                self._count("delivered_bytes", len(message.raw))

    def _take_times(self, fix: GpsFix) -> None:
        gps_ms = gps_ms_from_week(fix.gps_week, fix.gps_tow_ms)
        if fix.t_spacecraft_s is not None:
            self.newest_spacecraft_s = fix.t_spacecraft_s
            self._clock.observe(fix.t_spacecraft_s, gps_ms)
        if gps_ms is not None:
            self.newest_gps_ms = gps_ms

    def _take_file(self, file: SourceFile) -> None:
        before = self.files.get(file.name)
        books = file if before is None else merge_file_counts(before, file)
        if before is None:
            self._count("unreadable_files" if file.fault else "source_files")
        for name, field in _FILE_COUNTS.items():
            self._count(name, getattr(books, field) - (getattr(before, field) if before else 0))
        self.files[file.name] = books

    def _count(self, name: str, amount: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount


def merge_file_counts(before: SourceFile, now: SourceFile) -> SourceFile:
    """The books of all that was read of a file, out of those so far and of what is now said of it.

    What is read a second time is the packet that was cut by the end of the file: damage, listed as one range.
    """
    if now.fault:
        return msgspec.structs.replace(before, seq=now.seq, fault=now.fault)
    is_read_again = now.from_byte < before.size_bytes
    kept = [found for found in before.damage if found[0] < now.from_byte]
    size_bytes = now.from_byte + now.size_bytes
    delivered_bytes = before.delivered_bytes + now.delivered_bytes
    return msgspec.structs.replace(
        now,
        size_bytes=size_bytes,
        delivered_bytes=delivered_bytes,
        damaged_bytes=size_bytes - delivered_bytes,
        damaged_ranges=before.damaged_ranges + now.damaged_ranges - is_read_again,
        damage=(*kept, *now.damage),
        from_byte=0,
    )


RECORDS_A_READ: Final = 512


class InputRecovery:
    """The input journal of a run that a former process of the task began; of one that begins, nothing.

    Attributes:
        group: The files of the batch, or behind its end those named last; each with so many bytes of it as were
            delivered before.
        begin_seq: Number of the message behind these files.
        missing_bytes: So many bytes of these files' packets do not stand in the journal. In a batch that includes what
            stands between the packets of sense records.
        is_ended: Whether the batch is over.
        is_whole: Whether no number is missing.
    """

    def __init__(self, folders: Sequence[Path], ledger: InputCounters) -> None:
        self.group: list[tuple[SourceFile, int]] = []
        self.begin_seq = 0
        self.missing_bytes = 0
        self.is_ended = False
        self.is_whole = True
        self._journal = JournalReader(folders, "input")
        self._ledger = ledger

    def read(self) -> Iterator[None]:
        """Read the journal, and book what stands in it; yields after each piece of work."""
        decode = msgspec.msgpack.Decoder(InputMessage).decode
        last_seq, group_is_open = 0, False
        while records := self._journal.read(RECORDS_A_READ):
            for record in records:
                self.is_whole &= record.seq == last_seq + 1
                last_seq = record.seq
                message: Message = decode(record.payload)
                if isinstance(message, SourceFile) and not group_is_open:
                    self.group, self.missing_bytes, group_is_open = [], 0, True
                self._note(message)
                group_is_open &= isinstance(message, SourceFile)
            yield
        self._journal.close()

    def agrees(self, files: Sequence[SourceFile]) -> bool:
        """Whether these readable files are those of the group, as far as they were read."""
        noted = [file for file, _ in self.group if not file.fault]
        if len(noted) != len(files):
            return False
        for was, now in zip(noted, files, strict=True):
            # A file that has grown since does not say any more when it was modified before.
            modified_ns = now.modified_ns or was.modified_ns
            if was != msgspec.structs.replace(now, seq=was.seq, modified_ns=modified_ns):
                return False
        return True

    def _note(self, message: Message) -> None:
        if isinstance(message, SourceFile):
            books = self._ledger.files.get(message.name)
            self.group.append((message, books.delivered_bytes if books else 0))
            self.missing_bytes += message.delivered_bytes
        elif isinstance(message, BatchBegin):
            self.begin_seq = message.seq
        elif isinstance(message, GpsFix | RangeMeasurement) and message.source != LIVE:
            self.missing_bytes -= len(message.raw)
        elif isinstance(message, BatchEnd):
            self.group, self.missing_bytes, self.is_ended = [], 0, True
        self._ledger.take(message)

"""State of the ingest task, derived from its journal: counters per file and packet type, and where to resume.

This state determines all further work of the task. A restarted task therefore reads its journal and continues where the
former process ended.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import (
    DEVICES,
    LIVE,
    STREAMS,
    BatchBegin,
    BatchEnd,
    GnssFix,
    Message,
    Packet,
    RangeMeasurement,
    SensorSample,
    SourceFile,
    TimeMark,
    UploadedElements,
    concerns_partner,
)
from pygnc.common.clock import SpacecraftReading
from pygnc.environment.time_scales import MS_PER_DAY
from pygnc.estimators.clock.clock_map import ClockMap
from pygnc.formats.gps_packet import SENSE_GPS, TERMINATOR
from pygnc.inputs.host_packets import rollover
from pygnc.inputs.own_receiver import OwnEpoch

RECORDS_PER_READ: Final = 512
_FILE_COUNTS: Final = {
    "source_bytes": "size_bytes",
    "delivered_bytes": "delivered_bytes",
    "damaged_bytes": "damaged_bytes",
    "damaged_ranges": "damaged_ranges",
}


class InputCounters:
    """Counters over the messages of the input journal.

    Args:
        own_receiver: Name of the receiver at the computer, as in the settings.

    Attributes:
        files: All files in the order in which they were first named, each with the counts over all that was read.
        counts: Totals, named as in the status record. `gps_packets` counts our own packets only; the bytes of live
            packets are included in those of the files.
        last_live_seq: Number of the newest live packet and of the newest device reading, by stream.
        newest_spacecraft_s: Spacecraft time of the newest of our own packets.
        newest_gps_ms: GPS time of the newest of our own GPS packets that has one.
        newest_own_sample_ns: Monotonic time of the newest sample by the computer's own sensors; None before.
        own_epoch: Epoch of the receiver at the computer.
        newest_mark: Newest time mark of the host, reduced to the whole second; None before.
        elements: Newest file of mean elements, usable or not; None before.
        has_partners: True if a packet concerns a partner.
        has_rolled_over: True if the week of a GPS packet was corrected for a rollover.
        packet_bytes: Bytes of the packets of each file, by name, including CR LF of sense records.
    """

    def __init__(self, own_receiver: str = "") -> None:
        self.files: dict[str, SourceFile] = {}
        self.counts: dict[str, int] = dict.fromkeys(("source_files", "unreadable_files", *_FILE_COUNTS), 0)
        self.last_live_seq = {LIVE: 0, DEVICES: 0}
        self.newest_spacecraft_s: int | None = None
        self.newest_gps_ms: int | None = None
        self.newest_own_sample_ns: int | None = None
        self.own_epoch = OwnEpoch(own_receiver)
        self.newest_mark: SpacecraftReading | None = None
        self.elements: UploadedElements | None = None
        self.has_partners = False
        self.has_rolled_over = False
        self.packet_bytes: Counter[str] = Counter()
        self._terminator_bytes = 0
        self._clock = ClockMap()

    @property
    def boots(self) -> int:
        """Number of times our spacecraft clock was restarted or set, according to our GPS packets."""
        return self._clock.number

    @property
    def gps_time_jumps(self) -> int:
        """Number of times our GPS packets contradicted earlier ones by the GPS time alone, and replaced them."""
        return self._clock.jumps

    @property
    def gps_days_elapsed(self) -> float | None:
        """GPS time over the latest restart of our spacecraft clock or jump of the GPS time, days; None if unknown."""
        return None if self._clock.elapsed_ms is None else self._clock.elapsed_ms / MS_PER_DAY

    def count(self, message: Message) -> None:
        """Update all counters with one message of the input journal."""
        if isinstance(message, SourceFile):
            self._count_file(message)
        elif isinstance(message, SensorSample):
            self._add("sensor_packets")
            self.newest_spacecraft_s = message.t_spacecraft_s
        elif isinstance(message, RangeMeasurement):
            self._add("range_packets")
        elif isinstance(message, GnssFix) and message.is_own:
            self._add("gps_packets")
            self._note_times(message)
        elif isinstance(message, UploadedElements):
            self.elements = message
        elif isinstance(message, BatchBegin):
            self._terminator_bytes = len(TERMINATOR) if message.records_terminated else 0
        elif isinstance(message, BatchEnd) and message.cause and not self.counts["unreadable_files"]:
            self._add("unreadable_files")
        self.has_partners |= concerns_partner(message)
        if isinstance(message, GnssFix) and not self.has_rolled_over:
            self.has_rolled_over = rollover(message) is not None
        if isinstance(message, Packet):
            self._count_packet(message)

    def _count_packet(self, message: Packet) -> None:
        if message.source == DEVICES:
            # The fix of a reading that waited in vain is written after later readings.
            self.last_live_seq[DEVICES] = max(self.last_live_seq[DEVICES], message.offset)
            self.own_epoch.count(message)
            if isinstance(message, SensorSample):
                self.newest_own_sample_ns = message.t_mono_ns
        elif message.source == LIVE:
            self.last_live_seq[LIVE] = message.offset
        if isinstance(message, TimeMark):
            self.newest_mark = SpacecraftReading(message.t_spacecraft_s, message.t_mono_ns - 1_000_000 * message.ms)
        elif isinstance(message, SensorSample | RangeMeasurement | GnssFix):
            is_end = isinstance(message, GnssFix) and message.kind == SENSE_GPS
            self.packet_bytes[message.source] += len(message.raw) + is_end * self._terminator_bytes
            if message.source == LIVE:
                self._add("source_bytes", len(message.raw))
                self._add("delivered_bytes", len(message.raw))

    def corrections(self, first_seq: int, cause: str) -> list[SourceFile]:
        """Return corrections, numbered from `first_seq`, for files with fewer packet bytes than were reported."""
        missing = {file.name: file.delivered_bytes - self.packet_bytes[file.name] for file in self.files.values()}
        return [
            SourceFile(
                seq=seq,
                name=file.name,
                modified_ns=file.modified_ns,
                from_byte=file.size_bytes,
                delivered_bytes=-missing[file.name],
                damaged_bytes=missing[file.name],
                damaged_ranges=1,
                damage=((0, file.size_bytes, cause),),
                unread_bytes=missing[file.name],
            )
            for seq, file in enumerate((f for f in self.files.values() if missing[f.name] > 0), first_seq)
        ]

    def _note_times(self, fix: GnssFix) -> None:
        if fix.t_spacecraft_s is not None:
            self.newest_spacecraft_s = fix.t_spacecraft_s
            self._clock.observe(fix.t_spacecraft_s, fix.gps_ms_at_second)
        if fix.gps_ms is not None:
            self.newest_gps_ms = fix.gps_ms

    def _count_file(self, file: SourceFile) -> None:
        before = self.files.get(file.name)
        total = file if before is None else merge_file_counts(before, file)
        self._add("source_files", int(before is None and not file.fault))
        self._add("unreadable_files", _is_unread(total) - (before is not None and _is_unread(before)))
        for name, field in _FILE_COUNTS.items():
            self._add(name, getattr(total, field) - (getattr(before, field) if before else 0))
        self.files[file.name] = total

    def _add(self, name: str, amount: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount


def _is_unread(file: SourceFile) -> bool:
    return bool(file.fault or file.unread_bytes)


def merge_file_counts(before: SourceFile, now: SourceFile) -> SourceFile:
    """Return the counts over all that was read of a file, from the previous total and the newest report.

    Bytes are read twice only if they belong to a packet that the end of the file had cut off. The previous total counts
    them as one damaged range, which is removed.
    """
    if now.fault:
        return msgspec.structs.replace(before, seq=now.seq, fault=now.fault)
    is_read_again = now.from_byte < before.size_bytes
    unchanged = [found for found in before.damage if found[0] < now.from_byte]
    size_bytes = now.from_byte + now.size_bytes
    delivered_bytes = before.delivered_bytes + now.delivered_bytes
    return msgspec.structs.replace(
        now,
        size_bytes=size_bytes,
        delivered_bytes=delivered_bytes,
        damaged_bytes=size_bytes - delivered_bytes,
        damaged_ranges=before.damaged_ranges + now.damaged_ranges - is_read_again,
        damage=(*unchanged, *now.damage),
        from_byte=0,
        unread_bytes=before.unread_bytes + now.unread_bytes,
    )


class InputsChangedError(OSError):
    """Error raised when the input files are not those that the input journal names."""

    def __init__(self) -> None:
        super().__init__("the input files were changed during the run; start it again with files that stay unchanged")


class InputRecovery:
    """Reader of the input journal that a former process of the task wrote in this run; empty in a new run.

    `counters` is updated with each message read. `decode` returns None for a message that cannot be decoded; it is left
    out.

    Attributes:
        group: Files of the batch or, after its end, the files named last; each with the number of its bytes that had
            been delivered before it was named.
        begin_seq: Number of the `BatchBegin` message, which follows these files.
        missing_bytes: Delivered bytes of these files whose packets are not in the journal. Before the end of the batch,
            sensor packets and CR LF of sense records always count as missing.
        is_ended: True if the batch is over.
        is_complete: True if no message number is missing.
        lost: Number of messages that could not be decoded.
        elements: Mean elements before the files of the batch; None if there are none.
    """

    def __init__(
        self, folders: Sequence[Path], counters: InputCounters, decode: Callable[[bytes], Message | None]
    ) -> None:
        self.group: list[tuple[SourceFile, int]] = []
        self.begin_seq = 0
        self.missing_bytes = 0
        self.is_ended = False
        self.is_complete = True
        self.elements: UploadedElements | None = None
        self._journal = JournalReader(folders, "input")
        self._counters = counters
        self._decode = decode
        self.lost = 0

    def read(self) -> Iterator[None]:
        """Read the journal and count its messages; yield after every 512 records."""
        last_seq, group_is_open = 0, False
        while records := self._journal.read(RECORDS_PER_READ):
            for record in records:
                self.is_complete &= record.seq == last_seq + 1
                last_seq = record.seq
                message = self._decode(record.payload)
                if message is None:
                    self.lost += 1
                    continue
                if isinstance(message, SourceFile) and not group_is_open:
                    self.group, self.missing_bytes, group_is_open = [], 0, True
                self._process(message)
                group_is_open &= isinstance(message, SourceFile)
            yield
        self._journal.close()

    def check(self, files: Sequence[SourceFile]) -> None:
        """Check that the readable files are those of `group`, with equal counts of bytes and damage.

        Raises:
            InputsChangedError: The files differ.
        """
        named = [file for file, _ in self.group if not file.fault]
        # A file that has grown since has the modification time 0 (unknown), so that of the journal is taken.
        present = [
            msgspec.structs.replace(now, seq=before.seq, modified_ns=now.modified_ns or before.modified_ns)
            for before, now in zip(named, files, strict=False)
        ]
        if named != present or len(named) != len(files):
            raise InputsChangedError

    def _process(self, message: Message) -> None:
        if isinstance(message, SourceFile):
            total = self._counters.files.get(message.name)
            self.group.append((message, total.delivered_bytes if total else 0))
            self.missing_bytes += message.delivered_bytes
        elif isinstance(message, UploadedElements) and not self.group:
            self.elements = message
        elif isinstance(message, BatchBegin):
            self.begin_seq = message.seq
        elif isinstance(message, GnssFix | RangeMeasurement) and message.source not in STREAMS:
            self.missing_bytes -= len(message.raw)
        elif isinstance(message, BatchEnd):
            self.group, self.missing_bytes, self.is_ended = [], 0, True
        self._counters.count(message)

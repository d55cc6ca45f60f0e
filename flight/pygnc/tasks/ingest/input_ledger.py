"""What the input journal says so far: how far each file was read, and how many packets came.

Whatever ingest does next follows from it, so a restarted ingest that has read the journal goes on like the one before.
"""

from typing import Final

import msgspec

from pygnc.bus.messages import (
    DEVICES,
    LIVE,
    DeviceReading,
    GpsFix,
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


class InputLedger:
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
        books = file if before is None else merged(before, file)
        if before is None:
            self._count("unreadable_files" if file.fault else "source_files")
        for name, field in _FILE_COUNTS.items():
            self._count(name, getattr(books, field) - (getattr(before, field) if before else 0))
        self.files[file.name] = books

    def _count(self, name: str, amount: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount


def merged(before: SourceFile, now: SourceFile) -> SourceFile:
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

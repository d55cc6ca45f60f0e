"""MCAP files of readings, for Foxglove, Lichtblick, PlotJuggler and programs that use the library `mcap`.

A channel `/FAMILY/PACKET` carries the readings of a kind of packet as JSON objects. Their JSON schema is made from the
declaration of the packet; the keyword `unit` of a property is its unit, SI and radians. Besides the values an object
contains:

- `device_time_s`: time of the device's own clock since its first reading; missing while it is unknown
- `lost_before`: number of readings missing before this one
- `gap_s`: time since the previous reading if the connection was interrupted in between, else 0
- `measured_sigma_s`: standard deviation of `publish_time`; missing if the device has no clock
- `is_estimate`: true if `device_time_s` or `lost_before` comes from this computer's clock, else missing
- `flags`: reasons to doubt the values, if the driver has any

A value that the device does not have is missing. `log_time` of a message is the arrival time by this computer's clock,
UTC. `publish_time` is the time of the measurement, see `time_base`, or that of the arrival if the device has no clock:
it ascends for each channel, and a clock that is set does not disturb it. `sequence` also counts missing readings. The
description of the device is in the metadata record `device`.

Readings are written and synced in chunks of one second. A power cut loses the unfinished chunk; `mend` completes a file
that was cut.

Source: MCAP Format Specification, https://mcap.dev/spec.
"""

import os
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final, TypeAlias, cast

import msgspec
from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    Chunk,
    ChunkIndex,
    DataEnd,
    Footer,
    McapRecord,
    Message,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
)
from mcap.stream_reader import breakup_chunk, get_chunk_data_stream
from mcap.well_known import MessageEncoding, SchemaEncoding
from mcap.writer import MCAP0_MAGIC, Writer

from pygnc_devices.declaration import Record
from pygnc_devices.reading import NS_PER_S, Reading
from pygnc_instruments.device.log_files import ElapsedTime, LogFile, ReadingsLog
from pygnc_instruments.device.time_base import MeasuredTime
from pygnc_system.files import write_all

DEVICE_METADATA: Final = "device"
"""Name of the metadata record with the description of the device."""
_ROW_FIELDS: Final = {
    "device_time_s": ("time of the device's clock since its first reading", "s"),
    "lost_before": ("number of readings missing before this one", ""),
    "gap_s": ("time since the previous reading if the connection was interrupted in between, else 0", "s"),
    "measured_sigma_s": ("standard deviation of the publish time", "s"),
}
_IS_ESTIMATE: Final = {"type": "boolean", "description": "true if time or losses come from the computer's clock"}
_FLAGS: Final = {"type": "array", "items": {"type": "string"}, "description": "reasons to doubt the values"}
_JSON_TYPES: Final[Mapping[str, dict[str, str]]] = {
    "number": {"type": "number"},
    "text": {"type": "string"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
}
_SEQUENCES: Final = 1 << 32
_LATEST_NS: Final = (1 << 64) - 1
"""Latest time of a message, in 2554; a device with a wrong clock may have counted further."""
_RECORD_HEAD: Final = struct.Struct("<BQ")
"""Opcode and length of each record."""


def json_schema(packet: Record) -> dict[str, Any]:
    """Return the JSON schema of the messages that carry readings of a packet."""
    row = {
        name: {"type": "number", "description": meaning, "unit": unit} for name, (meaning, unit) in _ROW_FIELDS.items()
    }
    values = {
        entry.name: _JSON_TYPES[packet.kind_of(entry)] | {"description": entry.meaning, "unit": entry.unit.name}
        for entry in packet.fields
    }
    properties = row | values | {"is_estimate": _IS_ESTIMATE, "flags": _FLAGS}
    return {"title": packet.name, "description": packet.meaning, "type": "object", "properties": properties}


class _Channel:
    """Channel of a kind of packet: its number, time and sequence."""

    def __init__(self, number: int, first: Reading, *, is_recording: bool) -> None:
        self.number = number
        self.start_ns = first.t_wall_ns
        self.elapsed = ElapsedTime(first, is_recording=is_recording)
        self.sequence = -1


class _McapFile(LogFile):
    """Open MCAP file."""

    def __init__(self, path: Path, descriptor: int, head: Mapping[str, str], _: Reading, *, is_recording: bool) -> None:
        super().__init__(path, descriptor)
        self._is_recording = is_recording
        self._family = head.get("family", "device")
        self._channels: dict[str, _Channel] = {}
        self._output = _Output(descriptor)
        self._writer = Writer(cast("IO[bytes]", self._output))
        self._writer.start()
        self._writer.add_metadata(DEVICE_METADATA, dict(head))

    def append_reading(self, reading: Reading, measured: MeasuredTime | None) -> None:
        """Add a reading to the current chunk; write the chunk if it is a second old."""
        channel = self._channels.get(reading.packet.name) or self._register(reading)
        channel.sequence += 1 + reading.lost_before
        time_ns = channel.start_ns + (channel.elapsed.at_ns(reading) or 0) if measured is None else measured.time_ns
        self._writer.add_message(
            channel_id=channel.number,
            log_time=reading.t_wall_ns,
            publish_time=min(time_ns, _LATEST_NS),
            sequence=channel.sequence % _SEQUENCES,
            data=msgspec.json.encode(_message(reading, measured)),
        )
        if self.is_sync_due:
            self._writer.flush()
            self.size = self._output.tell()
            self.sync()

    def finish(self) -> None:
        """Write the last chunk and the index and complete the file; see `LogFile`."""
        self._writer.finish()
        self._output.flush()
        super().finish()

    def _register(self, reading: Reading) -> _Channel:
        packet = reading.packet
        schema = msgspec.json.encode(json_schema(packet))
        number = self._writer.register_schema(f"{self._family}.{packet.name}", SchemaEncoding.JSONSchema, schema)
        topic = f"/{self._family}/{packet.name}"
        channel = self._channels[packet.name] = _Channel(
            self._writer.register_channel(topic, MessageEncoding.JSON, number),
            reading,
            is_recording=self._is_recording,
        )
        return channel


class McapLog(ReadingsLog):
    """Writer of readings to MCAP files in a folder; all kinds of packets share a file."""

    SUFFIX = ".mcap"
    FILE = _McapFile

    def _group(self, _: Reading) -> str:
        return ""


def _message(reading: Reading, measured: MeasuredTime | None) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if reading.t_device_ns is not None:
        row["device_time_s"] = reading.t_device_ns / NS_PER_S
    row["lost_before"] = reading.lost_before
    row["gap_s"] = reading.gap_ns / NS_PER_S
    if measured is not None and measured.sigma_ns is not None:
        row["measured_sigma_s"] = measured.sigma_ns / NS_PER_S
    row |= {name: value for name, value in reading.values.items() if value is not None}
    if reading.is_estimate:
        row["is_estimate"] = True
    if reading.flags:
        row["flags"] = reading.flags
    return row


class _Output:
    """Stream of the library's writer.

    What cannot be written stays pending, so that the file never ends with a part of a chunk and a later attempt
    succeeds if the disk has room again.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pending = bytearray()
        self._written = 0

    def write(self, octets: bytes) -> int:
        self._pending += octets
        return len(octets)

    def tell(self) -> int:
        return self._written + len(self._pending)

    def flush(self) -> None:
        try:
            write_all(self._descriptor, self._pending)
        except OSError:
            os.ftruncate(self._descriptor, self._written)
            raise
        self._written += len(self._pending)
        self._pending.clear()


def mend(file: IO[bytes]) -> bool:
    """Complete a file that a power cut or a killed program has left: truncate it to whole chunks and write its index.

    Returns:
        False if the file contains no reading; it is then unchanged.
    """
    if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
        return False
    content = _Content()
    for opcode, octets, start in _records(file, os.fstat(file.fileno()).st_size):
        if opcode == Opcode.DATA_END:
            break
        try:
            content.add(opcode, octets, start)
        except (McapError, ValueError, struct.error):  # the file system has filled a cut record with other bytes
            break
    content.end_chunk(is_last=True)
    if not content.chunks:
        return False
    file.truncate(content.end)
    file.seek(content.end)
    file.write(content.summary())
    return True


def _records(file: IO[bytes], size: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield opcode, content and offset of the complete records that follow in a file of `size` bytes."""
    while (start := file.tell()) + _RECORD_HEAD.size <= size:
        opcode, length = _RECORD_HEAD.unpack(file.read(_RECORD_HEAD.size))
        if length > size - file.tell():
            return
        yield opcode, file.read(length), start


_MessageIndex: TypeAlias = dict[int, list[tuple[int, int]]]
"""Log times and offsets of the messages of a chunk, by channel."""


def _index_messages(chunk: Chunk) -> _MessageIndex:
    stream, size = get_chunk_data_stream(chunk)
    index: _MessageIndex = {}
    for opcode, octets, start in _records(BytesIO(stream.read(size)), size):
        if opcode == Opcode.MESSAGE:
            message = Message.read(ReadDataStream(BytesIO(octets)), len(octets))
            index.setdefault(message.channel_id, []).append((message.log_time, start))
    return index


@dataclass(slots=True)
class _Content:
    """Content of a file without its summary.

    Attributes:
        end: offset of the first byte after the last complete chunk.
        chunks: indexes of the complete chunks.
    """

    end: int = 0
    chunks: list[ChunkIndex] = field(default_factory=list)
    _schemas: dict[int, Schema] = field(default_factory=dict)
    _channels: dict[int, Channel] = field(default_factory=dict)
    _metadata: list[MetadataIndex] = field(default_factory=list)
    _counts: Counter[int] = field(default_factory=Counter)
    _chunk: Chunk | None = None
    """Chunk whose message indexes are being read; the next two attributes belong to it."""
    _chunk_index: ChunkIndex | None = None
    _message_index: _MessageIndex = field(default_factory=dict)

    def add(self, opcode: int, octets: bytes, start: int) -> None:
        """Add the next record."""
        stream = ReadDataStream(BytesIO(octets))
        length = _RECORD_HEAD.size + len(octets)
        if opcode == Opcode.METADATA:
            self._metadata.append(MetadataIndex(start, length, Metadata.read(stream).name))
        elif opcode == Opcode.CHUNK:
            self.end_chunk()
            self._begin_chunk(Chunk.read(stream), start, length)
        elif opcode == Opcode.MESSAGE_INDEX and self._chunk_index is not None:
            entry = MessageIndex.read(stream)
            self._message_index[entry.channel_id] = entry.records
            self._chunk_index.message_index_offsets[entry.channel_id] = start
            self._chunk_index.message_index_length += length

    def end_chunk(self, *, is_last: bool = False) -> None:
        """Keep the chunk, unless it is the last chunk of the file and incomplete."""
        chunk, index = self._chunk, self._chunk_index
        if chunk is None or index is None:
            return
        self._chunk = None
        if is_last or not self._message_index.keys() <= self._channels.keys():
            try:
                records = breakup_chunk(chunk, validate_crc=True)
                is_complete = _index_messages(chunk) == self._message_index
            except Exception:  # noqa: BLE001 - each decompressor raises errors of its own
                return
            if not is_complete:
                return
            self._schemas |= {record.id: record for record in records if isinstance(record, Schema)}
            self._channels |= {record.id: record for record in records if isinstance(record, Channel)}
        self._counts += Counter({channel: len(entries) for channel, entries in self._message_index.items()})
        self.chunks.append(index)
        self.end = index.chunk_start_offset + index.chunk_length + index.message_index_length

    def summary(self) -> bytes:
        """Return the end of the file: index, footer, magic."""
        builder = RecordBuilder()
        DataEnd(0).write(builder)
        start = self.end + builder.count
        statistics = Statistics(
            attachment_count=0,
            channel_count=len(self._channels),
            channel_message_counts=dict(self._counts),
            chunk_count=len(self.chunks),
            message_count=self._counts.total(),
            message_start_time=min(index.message_start_time for index in self.chunks),
            message_end_time=max(index.message_end_time for index in self.chunks),
            metadata_count=len(self._metadata),
            schema_count=len(self._schemas),
        )
        records: list[McapRecord] = [*self._schemas.values(), *self._channels.values(), statistics]
        records += [*self.chunks, *self._metadata, Footer(start, 0, 0)]
        for record in records:
            record.write(builder)
        return cast("bytes", builder.end()) + MCAP0_MAGIC

    def _begin_chunk(self, chunk: Chunk, start: int, length: int) -> None:
        self._chunk, self._message_index = chunk, {}
        self._chunk_index = ChunkIndex(
            chunk_length=length,
            chunk_start_offset=start,
            compression=chunk.compression,
            compressed_size=len(chunk.data),
            message_end_time=chunk.message_end_time,
            message_index_length=0,
            message_index_offsets={},
            message_start_time=chunk.message_start_time,
            uncompressed_size=chunk.uncompressed_size,
        )

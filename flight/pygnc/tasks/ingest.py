"""The sequencer: every input gets its number here, is journaled, and only then announced.

A batch is scanned file by file; its records are given out in the order in which they happened. That is a function of
the files alone: a restarted task works out the same numbers again and goes on behind the last one in the journal.
"""

from collections.abc import Iterator
from typing import Final

import zmq

from pygnc.bus import control
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import BatchEnd, Message, SourceFile
from pygnc.bus.wire import encode
from pygnc.common.constants import batch_sensor_gps_packet_num_sensor_packets
from pygnc.tasks.batch_files import BatchSource, find_sources
from pygnc.tasks.batch_order import batch_head, record_messages
from pygnc.tasks.runtime import Notify, Run, Task

DAMAGE_EVENTS: Final = 10
"""So many damaged ranges of a file become events; the input journal lists more."""
_COUNTERS: Final = {"SensorSample": "sensor_packets", "GpsFix": "gps_packets", "RangeMeasurement": "range_packets"}


class IngestTask(Task):
    """Reads the batch and feeds the input stream."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream("input")
        self._resume_after = self._stream.journal.last_seq
        self._seq = 0
        self._counts: dict[str, int] = {}
        self._batch: Iterator[None] | None = self._read_batch()

    def sockets(self) -> list["zmq.Socket[bytes]"]:
        """Wait for nothing: a batch is read as fast as it goes."""
        return []

    def work(self) -> bool:
        """Do the next piece of the batch; once it is done, tell readers now and then how far the stream goes."""
        if self._batch is not None:
            try:
                next(self._batch)
            except StopIteration:
                self._batch = None
        if self._batch is None:
            self._stream.mark()
        return self._batch is not None

    def progress(self) -> control.Progress:
        """Say whether the batch is done, and the books of its bytes and packets."""
        counts = self._counts | {"not_recorded": self.not_recorded()}
        return control.Progress(through=self._stream.journal.last_seq, idle=self._batch is None, counts=counts)

    def close(self) -> None:
        """Close the input journal."""
        self._stream.close()

    def _read_batch(self) -> Iterator[None]:
        sensors = batch_sensor_gps_packet_num_sensor_packets
        found, unreadable = find_sources(self.run.home, sensors, self.run.settings.radio.bandwidth_hz)
        sources = []
        for source in found:
            try:
                yield from source.scan()
                sources.append(source)
            except OSError as error:
                unreadable.append((source.names[0], error.strerror or str(error)))
        files = [file for source in sources for file in source.files]
        files += [SourceFile(seq=0, name=name, fault=fault) for name, fault in unreadable]
        self._report(sources, files)
        head = batch_head(sources, files, sensors)
        if not self._agrees_with_journal(head):
            self._end("the input files were changed during the run")
            return
        self._give(head)
        yield from self._give_records(sources)

    def _give_records(self, sources: list[BatchSource]) -> Iterator[None]:
        """Give out all records in the order in which they happened."""
        try:
            for messages in record_messages(sources, self._seq):
                self._give(messages)
                yield
        except OSError as error:
            self._end(str(error))
        else:
            self._end("")

    def _give(self, messages: list[Message]) -> None:
        """Write the messages that are not in the journal yet."""
        already = max(0, self._resume_after - self._seq)
        self._seq += len(messages)
        for message in messages:
            name = _COUNTERS.get(type(message).__name__)
            if name:
                self._counts[name] = self._counts.get(name, 0) + 1
        self._stream.write(messages[already:])

    def _end(self, cause: str) -> None:
        self._seq = max(self._seq, self._resume_after) if cause else self._seq
        self._give([BatchEnd(seq=self._seq + 1, cause=cause)])
        if cause:
            self.notify("error", "batch_ended_early", cause)

    def _agrees_with_journal(self, head: list[Message]) -> bool:
        """Whether the batch is the one that a former process of this task began to give out, if there was one."""
        journaled = JournalReader(self.run.journal_folders, "input").read(len(head))
        return all(record.payload == encode(message) for record, message in zip(journaled, head, strict=False))

    def _report(self, sources: list[BatchSource], files: list[SourceFile]) -> None:
        """Keep the books of the files' bytes; tell what a person should know."""
        self._counts |= {
            "source_files": sum(not file.fault for file in files),
            "unreadable_files": sum(bool(file.fault) for file in files),
            "source_bytes": sum(file.size_bytes for file in files),
            "delivered_bytes": sum(file.delivered_bytes for file in files),
            "damaged_bytes": sum(file.damaged_bytes for file in files),
            "damaged_ranges": sum(file.damaged_ranges for file in files),
        }
        if not files:
            self.notify("warning", "no_input", f"no batch in {self.run.home}: put sense.bin there before the start")
        for file in files:
            if file.fault:
                self.notify("error", "unreadable", f"{file.name}: {file.fault}; it is left out")
            elif not file.size_bytes:
                self.notify("warning", "empty", f"{file.name} is empty")
            for start, stop, reason in file.damage[:DAMAGE_EVENTS]:
                self.notify("warning", "damage", f"{file.name}: bytes {start} to {stop} left out: {reason}")
            if file.damaged_ranges > DAMAGE_EVENTS:
                more = file.damaged_ranges - DAMAGE_EVENTS
                self.notify("warning", "damage", f"{file.name}: {more} more damaged ranges; the journal lists more")
        for source in sources:
            for reason, count in source.anomalies.items():
                self.notify("warning", "anomaly", f"{source.names[0]}: {count} records: {reason}")

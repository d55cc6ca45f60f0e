"""The sequencer: every input gets its number here, is journaled, and only then announced.

A batch is scanned file by file; its records are given out in the order in which they happened. Range files that appear
or grow afterwards are given out behind it, group by group: first what was read of which file, then its packets. All of
it is a function of those bytes of the files that the input journal names: a restarted task works out the same numbers
again and goes on behind the last one in the journal. Packets that the host sends live are given out behind the batch,
in between such groups; each carries its number in the host's stream, so that none comes twice or is left out.

What a person should know of input files, as events.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Final

import zmq

from pygnc.bus import control
from pygnc.bus.messages import BatchEnd, Message, SourceFile
from pygnc.common.clock import SpacecraftReading
from pygnc.common.constants import batch_sensor_gps_packet_num_sensor_packets
from pygnc.tasks.ingest.batch import (
    PREFIX,
    BatchSource,
    News,
    batch_head,
    find_sources,
    open_named,
    record_messages,
    without_repeats,
)
from pygnc.tasks.ingest.input_state import InputCounters, InputRecovery
from pygnc.tasks.ingest.live import LiveStreams, live_anomalies, live_message
from pygnc.tasks.ingest.range_files import find_arrivals
from pygnc.tasks.ingest.range_folders import UnreadableFile
from pygnc.tasks.runtime import Notify, Run, Task

DAMAGE_EVENTS: Final = 10
"""So many damaged ranges of a file become events; the input journal lists more."""


def report_files(
    notify: Notify, sources: Sequence[BatchSource], files: Sequence[SourceFile], faults: Sequence[UnreadableFile]
) -> None:
    """Tell of files that cannot be read, of empty ones, of damage and of odd records."""
    for fault in faults:
        notify("error", "unreadable", f"{fault.name}: {fault.reason}; it is left out")
    for file in files:
        if not file.size_bytes:
            notify("warning", "empty", f"{file.name} is empty")
        for start, stop, reason in file.damage[:DAMAGE_EVENTS]:
            notify("warning", "damage", f"{file.name}: bytes {start} to {stop} left out: {reason}")
        if file.damaged_ranges > DAMAGE_EVENTS:
            more = file.damaged_ranges - DAMAGE_EVENTS
            notify("warning", "damage", f"{file.name}: {more} more damaged ranges; the journal lists more")
    for source in sources:
        for reason, count in source.anomalies.items():
            notify("warning", "anomaly", f"{source.names[0]}: {count} records: {reason}")


def report_boot(notify: Notify, seq: int) -> None:
    """Tell of a new segment of the clock's map, known with input `seq`."""
    text = f"GPS packets up to input {seq} say that the spacecraft clock began anew or was set; it has another map now"
    notify("warning", "new_boot", text)


def report_resumption(
    notify: Notify, sources: Sequence[BatchSource], before: InputCounters, start: SpacecraftReading
) -> None:
    """Tell what a run that begins from the last one has begun with, and whether the controller was booted since."""
    news = [source for source in sources if isinstance(source, News)]
    written = sum(len(source.keys) for source in sources) - sum(len(source.keys) for source in news)
    parts = [f"{written} records and packets are the last run's"]
    parts += [f"{source.names[0]}: {len(source.keys)} more, {source.repeated} known" for source in news]
    notify("info", "from_last_run", "; ".join(parts))
    newest_s = before.newest_spacecraft_s
    if newest_s is not None and start.t_spacecraft_s < newest_s:
        text = f"the run was started at {start.t_spacecraft_s} s, before {newest_s} s of the last run: the controller "
        notify("warning", "clock_fell_back", f"{text}was booted anew; nothing is predicted until its GPS packets come")


LOOK_INTERVAL_S: Final = 1.0
CHANGED: Final = "the input files were changed during the run"


class IngestTask(Task):
    """Reads the batch and what comes after it, and feeds the input stream."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream("input")
        self._resume_after = self._stream.journal.last_seq
        self._seq = 0
        self._ledger = InputCounters()
        self._is_recalled = False
        self._batch_is_over = False
        self._files_through = 0
        self._live: LiveStreams | None = None
        self._looks_for_more = True
        self._next_look_s = 0.0
        self._pieces: Iterator[None] | None = self._begin()

    def sockets(self) -> list["zmq.Socket[bytes]"]:
        """Wake for live packets, once it is their turn. A batch is read as fast as it goes; files say nothing."""
        return self._live.sockets if self._live is not None and self._pieces is None else []

    def work(self) -> bool:
        """Do the next piece; with none to do look for new files, and for live packets."""
        now = time.monotonic()
        if self._pieces is None and self._looks_for_more and now >= self._next_look_s:
            self._next_look_s = now + LOOK_INTERVAL_S
            self._pieces = self._take_arrivals()
        if self._pieces is not None:
            try:
                next(self._pieces)
            except StopIteration:
                self._pieces = None
                self._batch_is_over = True
        if self._pieces is not None:
            return True
        return self._take_live()

    def progress(self) -> control.Progress:
        """Say whether the batch is done, and the books of bytes and packets.

        Live packets are not counted in `through`, lest each one begin a batch anew.
        """
        counts = self._ledger.counts | {"not_recorded": self.not_recorded()}
        through = self._files_through if self._batch_is_over else self._stream.journal.last_seq
        return control.Progress(last_sequence_processed=through, idle=self._batch_is_over, counts=counts)

    def close(self) -> None:
        """Take what was acknowledged to the host, though the batch be cut short; close the input journal."""
        while not self._is_recalled and self._pieces is not None:
            next(self._pieces, None)
        self._seq = max(self._seq, self._resume_after)
        live = self._live_streams()
        live.look_again()
        while self._take_live():
            pass
        live.close()
        self._stream.close()

    def _take_live(self) -> bool:
        """Give out what has come by itself; return whether more waits."""
        packets, more = self._live_streams().take()
        _, bandwidth_hz, _ = self._format
        for packet in packets:
            message = live_message(packet, self._seq + 1, bandwidth_hz)
            for name, text in live_anomalies(message, self._ledger):
                self.notify("warning", name, text)
            self._write([message])
        return more

    def _live_streams(self) -> LiveStreams:
        """Open them once it is known how far they have been taken."""
        if self._live is None:
            self._live = LiveStreams(self.context, self.run, self._ledger.live_through)
        return self._live

    def _begin(self) -> Iterator[None]:
        """Read the batch, or go on where the task was when it was lost."""
        recall = InputRecovery(self.run.journal_folders, self._ledger)
        yield from recall.read()
        self._is_recalled = True
        if recall.is_ended or not recall.is_whole:
            self._seq = self._files_through = self._resume_after
        if not recall.is_whole:
            self._looks_for_more = False
            self._break_off(recall, "the beginning of the input journal is gone: it is not known what was read")
        elif recall.is_ended:
            yield from self._finish_group(recall)
        else:
            yield from self._read_batch(recall)

    def _read_batch(self, recall: InputRecovery) -> Iterator[None]:
        try:
            found, faults = self._find_batch(recall)
        except OSError:
            self._break_off(recall, CHANGED)
            return
        sources = []
        for source in found:
            try:
                yield from source.scan()
                sources.append(source)
            except OSError as error:
                faults.append(UnreadableFile(source.names[0], error.strerror or str(error)))
        files = _files(sources)
        report_files(self.notify, sources, files, faults)
        if not files and not faults:
            self.notify("warning", "no_input", f"no batch in {self.run.home}: put sense.bin there before the start")
        if recall.group and not recall.agrees(files):
            self._break_off(recall, CHANGED)
            return
        try:
            yield from self._give_group(sources, files, faults)
        except OSError as error:
            self._break_off(recall, str(error))
        else:
            self._give([BatchEnd(seq=self._seq + 1, cause="")])
            if self.run.from_last_run:
                report_resumption(self.notify, found, self._ledger, self.run.start)

    def _find_batch(self, recall: InputRecovery) -> tuple[list[BatchSource], list[UnreadableFile]]:
        """The batch's files, and those that cannot be read: those that a former process has named, or what there is.

        Raises:
            OSError: One that was named is not there any more as it was.
        """
        if recall.group:
            found = open_named(self.run.home, recall.group, *self._format)
            faults = [UnreadableFile(file.name, file.fault) for file, _ in recall.group if file.fault]
        else:
            found, faults = find_sources(self.run.home, *self._format)
            if self.run.from_last_run:
                last, unreadable = find_sources(self.run.home, *self._format, PREFIX)
                found, faults = [*last, *found], [*unreadable, *faults]
        return without_repeats(found) if self.run.from_last_run else found, faults

    def _finish_group(self, recall: InputRecovery) -> Iterator[None]:
        """Give what is missing of the packets of files that were read behind the batch."""
        if not recall.missing_bytes:
            return
        try:
            sources = open_named(self.run.home, recall.group, *self._format)
        except OSError:
            self._break_off(recall, CHANGED)
            return
        for source in sources:
            yield from source.scan()
        if not recall.agrees(_files(sources)):
            self._break_off(recall, CHANGED)
            return
        self._seq = recall.begin_seq
        yield from self._give_records(sources)

    def _take_arrivals(self) -> Iterator[None]:
        """Give what range files hold that were made or have grown since the last look."""
        _, bandwidth_hz, own_id = self._format
        found = find_arrivals(self.run.home, self._ledger.files, bandwidth_hz, own_id)
        rows = []
        for row in found.rows:
            yield from row.scan()
            if not row.is_cut_packet:
                rows.append(row)
        if rows or found.faults:
            files = _files(rows)
            report_files(self.notify, rows, files, found.faults)
            yield from self._give_group(rows, files, found.faults)

    @property
    def _format(self) -> tuple[int, float, int]:
        """Sensor packets in a sense record, the radio's bandwidth, our own radio id."""
        settings = self.run.settings
        return batch_sensor_gps_packet_num_sensor_packets, settings.radio.bandwidth_hz, settings.formation.own_id

    def _give_group(
        self, sources: Sequence[BatchSource], files: Sequence[SourceFile], faults: Sequence[UnreadableFile]
    ) -> Iterator[None]:
        """Name the files, then give out their records."""
        unreadable = [SourceFile(seq=0, name=fault.name, fault=fault.reason) for fault in faults]
        sensors, _, _ = self._format
        self._give(batch_head(sources, [*files, *unreadable], sensors, self._seq))
        yield
        yield from self._give_records(sources)

    def _give_records(self, sources: Sequence[BatchSource]) -> Iterator[None]:
        """Give out all records in the order in which they happened."""
        for messages in record_messages(sources, self._seq):
            self._give(messages)
            yield

    def _give(self, messages: Sequence[Message]) -> None:
        """Give out what stands in files."""
        self._write(messages)
        self._files_through = self._seq

    def _write(self, messages: Sequence[Message]) -> None:
        """Write and book the messages that are not in the journal yet."""
        fresh = messages[max(0, self._resume_after - self._seq) :]
        self._seq += len(messages)
        for seq, message in enumerate(fresh, self._stream.next_seq):
            boots = self._ledger.boots
            self._ledger.take(message)
            if self._ledger.boots > boots:
                report_boot(self.notify, seq)
        self._stream.write(fresh)

    def _break_off(self, recall: InputRecovery, cause: str) -> None:
        """Leave the present files, say why, and end the batch if it has not ended."""
        self._seq = max(self._seq, self._resume_after)
        if recall.is_ended:
            self.notify("error", "arrival_broken_off", cause)
        else:
            self._give([BatchEnd(seq=self._seq + 1, cause=cause)])
            self.notify("error", "batch_ended_early", cause)


def _files(sources: Sequence[BatchSource]) -> list[SourceFile]:
    return [file for source in sources for file in source.files]

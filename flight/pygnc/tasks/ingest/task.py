"""Ingest process: reads all inputs, orders and numbers them, writes the input journal and then announces them.

1. The batch (sense.bin and the range files in the home at the start) is scanned file by file. Its records are written
   in the order of their time.
2. Range files that appear or grow later follow, group by group: first a `SourceFile` for each file, then the packets.
3. Live packets from the host and readings of the computer's own sensors are written after the batch, between such
   groups. Each carries its number in its own stream, so none is lost or written twice.

The input journal is a function of the contents of the files that it names. A restarted task computes the same message
numbers again and continues after the last message in the journal.
"""

import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Final

import msgspec

from pygnc.bus import control
from pygnc.bus.messages import DEVICES, LIVE, BatchEnd, DeviceReading, GnssFix, LivePacket, Message, SourceFile
from pygnc.bus.streams import StreamReader
from pygnc.common.clock import WEEKS_PER_ROLLOVER, utc_iso_from_gps_ms, week_from_gps_ms
from pygnc.common.constants import SENSE_FILE
from pygnc.configuration.run import Notify, Run
from pygnc.inputs.batch import batch_head, drop_repeats, find_batch, is_of_last_run, open_named, record_messages
from pygnc.inputs.elements_file import ELEMENTS_FILE, read_elements
from pygnc.inputs.file_reports import Report, file_reports, last_run_reports
from pygnc.inputs.host_packets import rollover
from pygnc.inputs.input_state import InputCounters, InputRecovery
from pygnc.inputs.journaled import decode_input
from pygnc.inputs.live import device_messages, live_anomalies, live_message, waiting_fix
from pygnc.inputs.own_receiver import own_week
from pygnc.inputs.range_files import find_arrivals
from pygnc.inputs.source import BatchSource
from pygnc.tasks.runtime import IDLE_WAIT_S, Context, PollSource, Task
from pygnc.tasks.table import FORMATION

LOOK_INTERVAL_S: Final = 1.0


class IngestTask(Task):
    """Process that reads the batch and later inputs, and writes the input stream."""

    def __init__(self, run: Run, context: Context, notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream("input")
        self._resume_after = self._stream.journal.last_seq
        self._seq = 0
        self._counters = InputCounters(run.settings.orbit.own_receiver)
        self._is_recovered = False
        self._undecoded = 0
        self._batch_is_over = False
        self._last_file_seq = 0
        self._live: list[StreamReader] | None = None
        self._looks_for_files = True
        self._sense_change_reported = False
        self._own_rollover_reported = False
        self._next_look_s = 0.0
        self._steps: Iterator[None] | None = self._begin()

    def sockets(self) -> Sequence[PollSource]:
        """Return the sockets of the live streams once the files are read, none before that."""
        return super().sockets() if self._steps is None else []

    def wait_s(self) -> float:
        """Return the time until the next look for new files, s."""
        look_s = max(0.0, self._next_look_s - time.monotonic()) if self._looks_for_files else IDLE_WAIT_S
        return min(super().wait_s(), look_s)

    def work(self) -> bool:
        """Read files for one step; when all are read, write live packets. Return True if more work waits."""
        now = time.monotonic()
        if self._steps is None and self._looks_for_files and now >= self._next_look_s:
            self._next_look_s = now + LOOK_INTERVAL_S
            self._steps = self._read_arrivals()
        if self._steps is not None:
            try:
                next(self._steps)
            except StopIteration:
                self._steps = None
                self._batch_is_over = True
        return True if self._steps is not None else self._take_live()

    def progress(self) -> control.Progress:
        """Return the number of the last input, the end of the batch, the counters, and the tasks that are needed.

        Live packets do not advance `last_sequence_processed` after the batch, because each one would start a new
        "batch" phase.
        """
        counts = self._counters.counts | self.stream_counts()
        counts["lost_messages"] += self._undecoded
        last_seq = self._last_file_seq if self._batch_is_over else self._stream.journal.last_seq
        needed = (FORMATION,) if self._counters.has_partners else ()
        return control.Progress(last_seq, idle=self._batch_is_over, counts=counts, needed=needed)

    def close(self) -> None:
        """Write all live packets that were acknowledged to the host, even if the batch is cut short."""
        while not self._is_recovered and self._steps is not None:
            next(self._steps, None)
        self._seq = max(self._seq, self._resume_after)
        for reader in self._live_readers():
            reader.has_backlog = True  # read the journal, because announcements may have been lost
        while self._take_live():
            pass
        clock = self._counters.newest_mark or self.run.start
        self._write(waiting_fix(self._seq + 1, self.run.settings, clock, self._counters.own_epoch))
        super().close()

    def _take_live(self) -> bool:
        """Write waiting live packets and readings; return True if more are waiting."""
        readers = self._live_readers()
        for packet in chain.from_iterable([reader.receive() for reader in readers]):
            messages: list[Message] = []
            settings = self.run.settings
            try:
                if isinstance(packet, DeviceReading):
                    clock = self._counters.newest_mark or self.run.start
                    messages = device_messages(packet, self._seq + 1, settings, clock, self._counters)
                    self._report_own_rollover(self._counters.own_epoch.waiting or packet, messages[0])
                elif isinstance(packet, LivePacket):
                    messages = [live_message(packet, self._seq + 1, settings)]
            except (StopIteration, ValueError, struct.error) as error:
                text = f"live packet {packet.seq} cannot be decoded and is dropped: {error}"
                self.notify("warning", control.DROPPED, text)
                continue
            for message in messages:
                for name, text in live_anomalies(message, self._counters):
                    self.notify("warning", name, text)
            self._write(messages)
        return any(reader.is_behind for reader in readers)

    def _report_own_rollover(self, reading: DeviceReading, message: Message) -> None:
        """Report once that the weeks of the receiver at the computer are corrected."""
        if self._own_rollover_reported or not isinstance(message, GnssFix) or message.gps_ms is None:
            return
        received, (used, _) = own_week(reading), week_from_gps_ms(message.gps_ms)
        if received is not None and used - received >= WEEKS_PER_ROLLOVER:
            self._own_rollover_reported = True
            text = f"GPS week {received} of {reading.device} is a rollover of the receiver's count"
            self.notify("warning", "gps_week_rollover", f"{text}; week {used} is used")

    def _live_readers(self) -> list[StreamReader]:
        """Return the readers of the live streams; open them on first use, after the newest packet in the journal."""
        if self._live is None:
            kinds: dict[str, object] = {LIVE: LivePacket} if self.run.has_host else {}
            kinds |= {DEVICES: DeviceReading} if self.run.settings.devices else {}
            after = self._counters.last_live_seq
            self._live = [self.open_reader(name, kind, after_seq=after[name]) for name, kind in kinds.items()]
        return self._live

    def _begin(self) -> Iterator[None]:
        """Read the batch, or continue where a former process of the task stopped."""
        decode = partial(self.decode, "input", decode_input)
        recovery = InputRecovery(self.run.journal_folders, self._counters, decode)
        yield from recovery.read()
        self._undecoded = recovery.lost
        self._is_recovered = True
        if recovery.is_ended or not recovery.is_complete:
            self._seq = self._last_file_seq = self._resume_after
        if not recovery.is_complete:
            self._looks_for_files = False
            self._break_off(
                recovery, "the input journal lacks its beginning, so it is unknown what was read; start again"
            )
            return
        try:
            yield from self._finish_group(recovery) if recovery.is_ended else self._read_batch(recovery)
        except OSError as error:
            self._break_off(recovery, error.strerror or str(error))

    def _read_batch(self, recovery: InputRecovery) -> Iterator[None]:
        run = self.run
        # The elements precede the batch; a restarted task has those in the journal.
        if recovery.elements is not None:
            self._write_from_files([recovery.elements])
        elif not self._resume_after:
            self._take_elements()
        found, unreadable = find_batch(run.home, run.settings, recovery.group, from_last_run=run.from_last_run)
        sources = []
        known: set[tuple[int, bytes]] = set()
        for source in found:
            try:
                yield from source.scan()
                if run.from_last_run:
                    yield from drop_repeats(source, known)
                sources.append(source)
            except OSError as error:
                unreadable.append(SourceFile(seq=0, name=source.names[0], fault=error.strerror or str(error)))
        files = _files(sources)
        self._report(file_reports(sources, [*unreadable, *files]))
        if not files and not unreadable:
            self.notify("warning", "no_input", f"no batch in {run.home}; put sense.bin there before the start")
        if recovery.group:
            recovery.check(files)
        yield from self._write_group(sources, [*files, *unreadable])
        self._write_from_files([BatchEnd(seq=self._seq + 1, cause="")])
        if run.from_last_run:
            self._report(last_run_reports(found, run.start.t_spacecraft_s, self._counters.newest_spacecraft_s))

    def _finish_group(self, recovery: InputRecovery) -> Iterator[None]:
        """Write the missing packets of the last group that a former process began after the batch."""
        if recovery.missing_bytes:
            sources = open_named(self.run.home, recovery.group, self.run.settings)
            for source in sources:
                yield from source.scan()
            recovery.check(_files(sources))
            self._seq = recovery.begin_seq
            yield from self._write_records(sources)

    def _read_arrivals(self) -> Iterator[None]:
        """Read elements and range files that have appeared, changed or grown since the last look."""
        self._take_elements()
        self._report_changed_sense_file()
        found, unreadable = find_arrivals(self.run.home, self._counters.files, self.run.settings)
        rows = []
        for row in found:
            yield from row.scan()
            if not row.is_cut_packet:
                rows.append(row)
        if rows or unreadable:
            files = _files(rows)
            self._report(file_reports(rows, [*unreadable, *files]))
            yield from self._write_group(rows, [*files, *unreadable])

    def _take_elements(self) -> None:
        """Write the mean elements in the home if their file is new or has changed."""
        upload = read_elements(
            self.run.home / ELEMENTS_FILE, self.run.settings.orbit.elements.expected_object, self._counters.elements
        )
        if upload is None:
            return
        self._write_from_files([msgspec.structs.replace(upload, seq=self._seq + 1)])
        if upload.elements is None:
            self.notify("error", "elements_refused", f"{upload.name}, {upload.fault}; the file is ignored")
            return
        epoch = utc_iso_from_gps_ms(upload.elements.epoch_gps_ms)
        self.notify("info", "elements", f"{upload.name}: {upload.elements.description}, epoch {epoch}")

    def _report_changed_sense_file(self) -> None:
        """Report once that the home's sense file is not the file that was read."""
        file = self._counters.files.get(SENSE_FILE)
        if file is None or file.fault or self._sense_change_reported:
            return
        try:
            status = (self.run.home / SENSE_FILE).stat()
        except OSError:
            return
        if (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.modified_ns):
            self._sense_change_reported = True
            text = f"{SENSE_FILE} was changed after its first {file.size_bytes} bytes had been read"
            self.notify("warning", "input_changed", f"{text}; the next run reads the rest")

    def _write_group(self, sources: Sequence[BatchSource], files: Sequence[SourceFile]) -> Iterator[None]:
        """Write the list of all files, readable or not, then the records of the sources."""
        # With --from-last-run, the batch writer appends to the last run's sense file, so that file alone decides
        # whether sense records end with CR LF.
        copied = [source for source in sources if is_of_last_run(source) or not self.run.from_last_run]
        terminated = all(source.terminated for source in copied)
        self._write_from_files(batch_head(files, self._seq, terminated=terminated))
        yield
        yield from self._write_records(sources)

    def _write_records(self, sources: Sequence[BatchSource]) -> Iterator[None]:
        """Write all records in the order of their time."""
        for messages in record_messages(sources, self._seq):
            self._write_from_files(messages)
            yield

    def _write_from_files(self, messages: Sequence[Message]) -> None:
        self._write(messages)
        self._last_file_seq = self._seq

    def _write(self, messages: Sequence[Message]) -> None:
        """Write and count the messages that are not in the journal yet."""
        fresh = messages[max(0, self._resume_after - self._seq) :]
        self._seq += len(messages)
        for seq, message in enumerate(fresh, self._stream.next_seq):
            boots, jumps = self._counters.boots, self._counters.gps_time_jumps
            had_rolled_over = self._counters.has_rolled_over
            self._counters.count(message)
            if self._counters.has_rolled_over and not had_rolled_over and isinstance(message, GnssFix):
                received, used = rollover(message) or (0, 0)
                text = f"GPS week {received} in input {seq} is a rollover of the receiver's count"
                self.notify("warning", "gps_week_rollover", f"{text}; week {used} is used")
            if self._counters.boots > boots:
                text = f"GPS packets up to input {seq} show that the spacecraft clock was restarted or set"
                self._notify_mapped("new_boot", text)
            if self._counters.gps_time_jumps > jumps:
                text = f"GPS times up to input {seq} contradict earlier ones, while the spacecraft clock ran on"
                self._notify_mapped("gps_time_jump", text)
        self._stream.write(fresh)

    def _notify_mapped(self, name: str, text: str) -> None:
        """Report a new relation of the spacecraft clock to GPS time."""
        days = self._counters.gps_days_elapsed
        elapsed = (
            "" if days is None else f"; between these packets and those before, GPS time changed by {days:.3f} days"
        )
        self.notify("warning", name, f"{text}; it is mapped to GPS time again{elapsed}")

    def _break_off(self, recovery: InputRecovery, cause: str) -> None:
        """Stop reading the present files, report the cause, and end the batch if it has not ended."""
        self._seq = max(self._seq, self._resume_after)
        if recovery.is_ended:
            self.notify("error", "arrival_broken_off", cause)
        else:
            corrections = [] if self.run.from_last_run else self._counters.corrections(self._seq + 1, cause)
            self._write_from_files([*corrections, BatchEnd(seq=self._seq + 1 + len(corrections), cause=cause)])
            self.notify("error", "batch_ended_early", cause)

    def _report(self, reports: Iterable[Report]) -> None:
        for report in reports:
            self.notify(*report)


def _files(sources: Sequence[BatchSource]) -> list[SourceFile]:
    return [file for source in sources for file in source.files]

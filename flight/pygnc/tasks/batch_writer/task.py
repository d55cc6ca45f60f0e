"""Batch writer process: writes `sense.bin` and `rng#####.bin` to `~/pygnc_batch` from the input journal.

Packets of input files are written at their offset in the undamaged part of their source. Packets without such an offset
are appended: live packets and, in a run with --from-last-run, packets that the last run did not have. The files are a
function of the input journal: a restarted writer reads it from the start and writes the same bytes at the same offsets.
"""

import errno
import math
import time
from pathlib import Path

import msgspec

from pygnc.bus import control
from pygnc.bus.disk_guard import OldRuns
from pygnc.bus.journal_writer import RETURN_INTERVAL_S, SYNC_INTERVAL_S
from pygnc.bus.messages import (
    STREAMS,
    BatchBegin,
    BatchEnd,
    GnssFix,
    InputMessage,
    Message,
    RangeMeasurement,
    SensorSample,
    SourceFile,
)
from pygnc.common.constants import LAST_BATCH, SENSE_FILE
from pygnc.configuration.run import Notify, Run
from pygnc.formats.gps_packet import SENSE_GPS, TERMINATOR
from pygnc.formats.sense import SenseLayout
from pygnc.inputs.range_folders import satellite_of
from pygnc.outputs.batch_files import BatchAdditions, BatchCopies
from pygnc.outputs.batch_folder import BATCH, BatchFolder
from pygnc.tasks.runtime import WAIT_S, Context, Task
from pygnc_system.files import free_bytes


class BatchWriterTask(Task):
    """Process that reads the input stream and writes the batch files."""

    def __init__(self, run: Run, context: Context, notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._return_at_s = math.inf
        self._reported = ""
        self._begin_folder()
        logs = run.settings.logs
        self._old_runs = OldRuns(run.folder, logs.ceiling_bytes, logs.reserve_bytes, self._report_recovered)
        self._is_starting = True

    def _begin_folder(self) -> None:
        """Begin to write with the first input of the run; existing files receive the same bytes again."""
        self._input = self.open_reader("input", InputMessage)
        self._named: list[SourceFile] = []
        self._folder: BatchFolder | None = BatchFolder(self.run.home, self.run.runtime)
        self._copies = BatchCopies(self._folder)
        self._additions: BatchAdditions | None = None
        self._terminated = True
        self._sync_at_s = 0.0
        self._written_bytes = 0
        self._faults = 0

    def wait_s(self) -> float:
        """Return the time until packets must be synced, or until the next slice of work on old runs, s."""
        idle_s = WAIT_S if self._folder is not None and self._folder.unsynced else super().wait_s()
        return idle_s if self._is_starting else min(idle_s, self._old_runs.wait_s())

    def on_run_state(self, state: control.RunState) -> None:
        """Begin to work on old runs once the run is no longer starting."""
        self._is_starting = state.phase == "starting"

    def work(self) -> bool:
        """Write the next packets, or work on old runs for a moment if none wait; return True if packets wait.

        If a full disk has room again, all files are written again from their beginning.
        """
        now = time.monotonic()
        if now >= self._return_at_s:
            self._return_at_s = now + RETURN_INTERVAL_S
            if self._is_room():
                self._return_at_s = math.inf
                self._begin_folder()
        messages = self._input.receive()
        try:
            for message in messages:
                self._take(message)
            self._sync_if_due()
        except OSError as error:
            self._give_up(error)
        if not self._is_starting and not self._input.is_behind:
            self._old_runs.step()
        return self._input.is_behind

    def _report_recovered(self, path: Path) -> None:
        self.notify("warning", "recovered", f"{path.parent.name}/{path.name} was left open; closed")

    def progress(self) -> control.Progress:
        """Return the number of the last input, and the counts of bytes written, faults and lost inputs."""
        written = self._folder.written_bytes if self._folder else self._written_bytes
        counts = {"batch_written_bytes": written, "not_recorded": self._faults, "lost_messages": self._input.lost}
        return control.Progress(last_sequence_processed=self._input.last_seq, counts=counts)

    def close(self) -> None:
        """Complete the last record and sync the files; those of an incomplete batch keep their `.part` names."""
        try:
            if self._folder is not None and self._folder.is_complete and self._additions is not None:
                self._additions.finish()
                if self._additions.left_out:
                    text = f"{self._additions.left_out} packets are not in {BATCH}; the input journal has them"
                    self.notify("info", "batch_left_out", text)
            if self._folder is not None:
                self._folder.close()
        except OSError as error:
            self._give_up(error)
        super().close()

    def _take(self, message: Message) -> None:
        if self._folder is None:
            return
        if self._input.lost:
            self._give_up(OSError(0, "inputs are missing in the journal, so the offsets of later packets are unknown"))
        elif isinstance(message, SourceFile):
            if not message.fault:
                self._named.append(message)
        elif isinstance(message, BatchBegin):
            self._begin(message, self._folder)
        elif isinstance(message, BatchEnd):
            if not message.cause:
                self._folder.complete()
        elif isinstance(message, SensorSample | GnssFix | RangeMeasurement):
            self._write_packet(message)

    def _begin(self, message: BatchBegin, folder: BatchFolder) -> None:
        """Create the copies of the input files that were listed before `message`."""
        named, self._named = self._named, []
        copied = [file for file in named if self._keeps_offsets(file.name)]
        self._copies.add([msgspec.structs.replace(file, name=_target(file.name)) for file in copied])
        if self._additions is None:
            self._terminated = message.records_terminated
            layout = SenseLayout(message.sensors_per_record, self._terminated)
            self._additions = BatchAdditions(folder, layout, self._copies)

    def _keeps_offsets(self, source: str) -> bool:
        """Return True if packets of a file are written at their offset in it.

        In a run with --from-last-run, these are the last run's files. Otherwise they are all files until a satellite
        has additional range files, whose numbers may collide with those of later input files.
        """
        if self.run.from_last_run:
            return source.startswith(f"{LAST_BATCH}/")
        if source in STREAMS or self._additions is None:
            return source not in STREAMS
        return source == SENSE_FILE or not self._additions.has_row(satellite_of(source))

    def _write_packet(self, message: SensorSample | GnssFix | RangeMeasurement) -> None:
        if self._keeps_offsets(message.source):
            target, raw = _target(message.source), message.raw
            ends_record = isinstance(message, GnssFix) and message.kind == SENSE_GPS
            if self._terminated and target == SENSE_FILE and ends_record:
                raw += TERMINATOR
            self._copies.write(target, message.offset, raw)
        elif self._additions is not None:
            self._additions.take(message)

    def _sync_if_due(self) -> None:
        """Sync packets that follow the batch; raise OSError if the folder or the disk is full."""
        folder, now = self._folder, time.monotonic()
        if folder is None or not (folder.is_complete and folder.unsynced) or now < self._sync_at_s:
            return
        self._sync_at_s = now + SYNC_INTERVAL_S
        folder.sync()
        ceiling_bytes = self.run.settings.batch.ceiling_bytes
        if folder.written_bytes > ceiling_bytes:
            raise OSError(errno.EFBIG, f"the limit of {ceiling_bytes} bytes ([batch] ceiling_bytes) is reached")
        reserve_bytes = self.run.settings.logs.reserve_bytes
        if free_bytes(self.run.home) < reserve_bytes:
            raise OSError(errno.ENOSPC, f"less than {reserve_bytes} bytes are free on the disk")

    def _is_room(self) -> bool:
        """Return True if the disk has room for all files whose sizes are known, beside the reserve."""
        needed = self.run.settings.logs.reserve_bytes + sum(self._copies.size_bytes.values())
        try:
            return free_bytes(self.run.home) > needed
        except OSError:
            return False

    def _give_up(self, error: OSError) -> None:
        """Continue the run without these files; remove an incomplete batch to free the disk.

        A cause that lasts is reported once: free blocks do not show that inodes are missing, so writing begins again.
        """
        if self._folder is not None:
            self._reported = "" if self._folder.is_complete else self._reported
            self._written_bytes = self._folder.written_bytes
            self._folder.abandon()
            self._folder = None
        if error.errno == errno.ENOSPC:
            self._return_at_s = time.monotonic() + RETURN_INTERVAL_S
        self._faults += 1
        text = f"{error.filename or BATCH}: {error.strerror}; the run continues without these files"
        if text != self._reported:
            self._reported = text
            self.notify("error", "batch_not_written", text)


def _target(source: str) -> str:
    """Return the name, in the output folder, of the copy of an input file."""
    return source.removeprefix(f"{LAST_BATCH}/")

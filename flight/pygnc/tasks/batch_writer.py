"""Makes the interface's own files, `sense.bin` and `rng#####.bin`, from the input journal, in `~/pygnc_batch/`.

Every packet says where its bytes stand in the undamaged part of its source, so writing is idempotent: a restarted
writer reads the journal from the beginning and writes the same bytes to the same places.
"""

import errno
import os
from pathlib import Path
from typing import Final

import msgspec
import zmq

from pygnc.bus import control
from pygnc.bus.files import sync_folder
from pygnc.bus.messages import (
    BatchBegin,
    BatchEnd,
    GpsFix,
    InputMessage,
    Message,
    RangeMeasurement,
    SensorSample,
    SourceFile,
)
from pygnc.bus.wire import StreamReader
from pygnc.formats.gps_packet import SENSE_GPS_PACKET, TERMINATOR
from pygnc.tasks.batch_files import SENSE
from pygnc.tasks.runtime import Notify, Run, Task

MESSAGES_A_TURN: Final = 512
OPEN_FILES_MAX: Final = 32


class BatchFiles:
    """The files of one batch, under `.part` names until the batch is complete.

    Args:
        folder: where they go.
        sources: the batch's files in order; a packet that begins in one may end in the next.
    """

    def __init__(self, folder: Path, sources: list[SourceFile]) -> None:
        self._folder = folder
        self._sources = sources
        self._index = {source.name: k for k, source in enumerate(sources)}
        self._open_files: dict[int, int] = {}
        self.written_bytes = 0
        for source in sources:
            self._part(source).parent.mkdir(parents=True, exist_ok=True)
            self._part(source).write_bytes(b"")

    def write(self, source: str, offset: int, content: bytes) -> None:
        """Write `content` at `offset` of `source`, going over into the next file where this one ends.

        Raises:
            OSError: the disk does not take it.
        """
        k = self._index[source]
        while content:
            here = content[: max(0, self._sources[k].delivered_bytes - offset)]
            if os.pwrite(self._descriptor(k), here, offset) < len(here):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._part(self._sources[k])))
            self.written_bytes += len(here)
            content, offset, k = content[len(here) :], 0, k + 1

    def close(self, *, complete: bool) -> None:
        """Make the files durable; once complete, give them their names and remove those of older batches."""
        for k, source in enumerate(self._sources):
            os.fsync(self._descriptor(k))
            if complete:
                self._part(source).replace(self._folder / source.name)
        self._close_all()
        if complete:
            for old in [*self._folder.glob("*.bin"), *self._folder.glob("range/*.bin")]:
                if str(old.relative_to(self._folder)) not in self._index:
                    old.unlink()
        for folder in {self._part(source).parent for source in self._sources}:
            sync_folder(folder)

    def abandon(self) -> None:
        """Give back the room of an unfinished batch."""
        self._close_all()
        for source in self._sources:
            self._part(source).unlink(missing_ok=True)

    def _part(self, source: SourceFile) -> Path:
        return self._folder / (source.name + ".part")

    def _descriptor(self, k: int) -> int:
        """Open a file if it is not open; there may be more files than descriptors."""
        if k not in self._open_files:
            if len(self._open_files) >= OPEN_FILES_MAX:
                self._close_all()
            self._open_files[k] = os.open(self._part(self._sources[k]), os.O_WRONLY | os.O_CLOEXEC)
        return self._open_files[k]

    def _close_all(self) -> None:
        for descriptor in self._open_files.values():
            os.close(descriptor)
        self._open_files.clear()


class BatchWriterTask(Task):
    """Follows the input stream and keeps the batch files."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        decode = msgspec.msgpack.Decoder(InputMessage).decode
        self._input = StreamReader(context, run.runtime, "input", run.journal_folders, decode)
        self._sources: list[SourceFile] = []
        self._files: BatchFiles | None = None
        self._terminated = True
        self._written_bytes = 0
        self._faults = 0

    def sockets(self) -> list["zmq.Socket[bytes]"]:
        """Wake for inputs."""
        return [self._input.socket]

    def work(self) -> bool:
        """Write what has come."""
        messages = self._input.receive(MESSAGES_A_TURN)
        try:
            for message in messages:
                self._take(message)
        except OSError as error:
            self._give_up(error)
        return self._input.behind or len(messages) == MESSAGES_A_TURN

    def progress(self) -> control.Progress:
        """Count the bytes written."""
        written = self._files.written_bytes if self._files else self._written_bytes
        counts = {"batch_written_bytes": written, "not_recorded": self._faults, "lost_messages": self._input.lost}
        return control.Progress(through=self._input.through, counts=counts)

    def close(self) -> None:
        """Leave an unfinished batch under its `.part` names."""
        try:
            self._finish(complete=False)
        except OSError as error:
            self._give_up(error)
        self._input.close()

    def _take(self, message: Message) -> None:
        if isinstance(message, SourceFile):
            if not message.fault:
                self._sources.append(message)
        elif isinstance(message, BatchBegin):
            self._terminated = message.records_terminated
            if self._sources:
                self._files = BatchFiles(self.run.home / "pygnc_batch", self._sources)
        elif isinstance(message, BatchEnd):
            self._finish(complete=not message.cause and not self._input.lost)
        elif self._files is not None and isinstance(message, SensorSample | GpsFix | RangeMeasurement):
            raw = message.raw
            if self._terminated and message.source == SENSE and len(raw) == SENSE_GPS_PACKET.itemsize:
                raw += TERMINATOR
            self._files.write(message.source, message.offset, raw)

    def _finish(self, *, complete: bool) -> None:
        files, self._files = self._files, None
        if files is not None:
            self._written_bytes = files.written_bytes
            files.close(complete=complete)

    def _give_up(self, error: OSError) -> None:
        """The run goes on without these files: what is on disk of them only fills it."""
        if self._files is not None:
            self._files.abandon()
            self._files = None
        self._faults += 1
        self.notify("error", "batch_not_written", f"{error.filename or 'pygnc_batch'}: {error.strerror}")

"""Makes the interface's own files, `sense.bin` and `rng#####.bin`, from the input journal, in `~/pygnc_batch/`.

Every packet says where its bytes stand in the undamaged part of its source, so writing is idempotent: a restarted
writer reads the journal from the beginning and writes the same bytes to the same places.
"""

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
    SourceInfo,
)
from pygnc.bus.wire import StreamReader
from pygnc.formats.gps_packet import SENSE_GPS_PACKET, TERMINATOR
from pygnc.tasks.batch_files import SENSE
from pygnc.tasks.runtime import Notify, Run, Task

MESSAGES_A_TURN: Final = 512


class BatchFiles:
    """The files of one batch, under `.part` names until the batch is complete.

    Args:
        folder: where they go.
        sources: the batch's files in order; a packet that begins in one may end in the next.
    """

    def __init__(self, folder: Path, sources: tuple[SourceInfo, ...]) -> None:
        self._folder = folder
        self._sources = sources
        self._index = {source.name: k for k, source in enumerate(sources)}
        self._descriptors = [self._open(source.name) for source in sources]
        self.written_bytes = 0

    def write(self, source: str, offset: int, content: bytes) -> None:
        """Write `content` at `offset` of `source`, going over into the next file where this one ends.

        Raises:
            OSError: the disk does not take it.
        """
        k = self._index[source]
        while content:
            here = content[: max(0, self._sources[k].delivered_bytes - offset)]
            os.pwrite(self._descriptors[k], here, offset)
            self.written_bytes += len(here)
            content, offset, k = content[len(here) :], 0, k + 1

    def close(self, *, complete: bool) -> None:
        """Make the files durable; once complete, give them their names and remove those of older batches."""
        for source, descriptor in zip(self._sources, self._descriptors, strict=True):
            os.fsync(descriptor)
            os.close(descriptor)
            if complete:
                self._part(source.name).replace(self._folder / source.name)
        if complete:
            for old in [*self._folder.glob("*.bin"), *self._folder.glob("range/*.bin")]:
                if str(old.relative_to(self._folder)) not in self._index:
                    old.unlink()
        for folder in {(self._folder / source.name).parent for source in self._sources}:
            sync_folder(folder)

    def abandon(self) -> None:
        """Give back the room of an unfinished batch."""
        for source, descriptor in zip(self._sources, self._descriptors, strict=False):
            os.close(descriptor)
            self._part(source.name).unlink(missing_ok=True)

    def _part(self, name: str) -> Path:
        return self._folder / (name + ".part")

    def _open(self, name: str) -> int:
        part = self._part(name)
        part.parent.mkdir(parents=True, exist_ok=True)
        return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)


class BatchWriterTask(Task):
    """Follows the input stream and keeps the batch files."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        decode = msgspec.msgpack.Decoder(InputMessage).decode
        self._input = StreamReader(context, run.runtime, "input", run.journal_folders, decode)
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
        if isinstance(message, BatchBegin):
            self._terminated = message.records_terminated
            if message.sources:
                self._files = BatchFiles(self.run.home / "pygnc_batch", message.sources)
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

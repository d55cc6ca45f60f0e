"""Makes the interface's own files, `sense.bin` and `rng#####.bin`, from the input journal, in `~/pygnc_batch/`.

Every packet says where its bytes stand in the undamaged part of its source, so writing is idempotent: a restarted
writer reads the journal from the beginning and writes the same bytes to the same places.
"""

import errno
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
import zmq

from pygnc.bus import control
from pygnc.bus.files import sync_folder
from pygnc.bus.messages import (
    LIVE,
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
from pygnc.common.constants import SENSE_FILE
from pygnc.formats.gps_packet import SENSE_GPS_PACKET, TERMINATOR
from pygnc.tasks.runtime import Notify, Run, Task

MESSAGES_A_TURN: Final = 512
OPEN_FILES_MAX: Final = 32
_BATCH_FILES: Final = ("*.bin", "range/*.bin", "range/partner_*/*.bin")


class BatchFiles:
    """The files of one batch, under `.part` names until the batch is complete; what comes later goes behind it at once.

    Args:
        folder: where they go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._room_bytes: dict[str, int] = {}
        self._next: dict[str, str] = {}
        self._open_files: dict[str, int] = {}
        self._unsynced: set[str] = set()
        self._is_complete = False
        self.written_bytes = 0

    def add(self, sources: Sequence[SourceFile]) -> None:
        """Make room for files, or for more in them; a packet that begins in one may end in the next of `sources`.

        Raises:
            OSError: the disk does not take it.
        """
        for source in sources:
            if source.name not in self._room_bytes:
                self._path(source.name).parent.mkdir(parents=True, exist_ok=True)
                self._path(source.name).write_bytes(b"")
                self._unsynced.add(source.name)
            self._room_bytes[source.name] = self._room_bytes.get(source.name, 0) + source.delivered_bytes
        self._next |= {before.name: behind.name for before, behind in pairwise(sources)}

    def write(self, source: str, offset: int, content: bytes) -> None:
        """Write `content` at `offset` of `source`, going over into the next file where this one ends.

        Raises:
            OSError: the disk does not take it.
        """
        while content:
            here = content[: max(0, self._room_bytes[source] - offset)]
            if os.pwrite(self._descriptor(source), here, offset) < len(here):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path(source)))
            self._unsynced.add(source)
            self.written_bytes += len(here)
            content, offset = content[len(here) :], 0
            source = self._next[source] if content else source

    def complete(self) -> None:
        """Make the files durable, give them their names and remove those of older batches."""
        self._sync_files()
        self._close_all()
        for source in self._room_bytes:
            self._path(source).replace(self._folder / source)
        self._is_complete = True
        if self._room_bytes:
            for old in [path for pattern in _BATCH_FILES for path in self._folder.glob(pattern)]:
                if str(old.relative_to(self._folder)) not in self._room_bytes:
                    old.unlink()
        self._sync_folders()

    def sync(self) -> None:
        """Make durable what came behind the batch."""
        if self._is_complete and self._unsynced:
            self._sync_files()
            self._sync_folders()

    def close(self) -> None:
        """Make the files durable, under whatever names they have."""
        self._sync_files()
        self._close_all()
        self._sync_folders()

    def abandon(self) -> None:
        """Give back the room of an unfinished batch."""
        self._close_all()
        if not self._is_complete:
            for source in self._room_bytes:
                self._path(source).unlink(missing_ok=True)

    def _path(self, source: str) -> Path:
        return self._folder / (source if self._is_complete else source + ".part")

    def _descriptor(self, source: str) -> int:
        """Open a file if it is not open; there may be more files than descriptors."""
        if source not in self._open_files:
            if len(self._open_files) >= OPEN_FILES_MAX:
                self._close_all()
            self._open_files[source] = os.open(self._path(source), os.O_WRONLY | os.O_CLOEXEC)
        return self._open_files[source]

    def _sync_files(self) -> None:
        for source in sorted(self._unsynced):
            os.fsync(self._descriptor(source))
        self._unsynced.clear()

    def _sync_folders(self) -> None:
        for folder in {self._path(source).parent for source in self._room_bytes}:
            sync_folder(folder)

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
        self._named: list[SourceFile] = []
        self._files: BatchFiles | None = BatchFiles(run.home / "pygnc_batch")
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
            if self._files is not None and not messages:
                self._files.sync()
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
            if self._files is not None:
                self._files.close()
        except OSError as error:
            self._give_up(error)
        self._input.close()

    def _take(self, message: Message) -> None:
        if self._files is None:
            return
        if isinstance(message, SourceFile):
            if not message.fault:
                self._named.append(message)
        elif isinstance(message, BatchBegin):
            self._terminated = message.records_terminated
            self._files.add(self._named)
            self._named = []
        elif isinstance(message, BatchEnd):
            if not message.cause and not self._input.lost:
                self._files.complete()
        elif isinstance(message, SensorSample | GpsFix | RangeMeasurement) and message.source != LIVE:
            raw = message.raw
            if self._terminated and message.source == SENSE_FILE and len(raw) == SENSE_GPS_PACKET.itemsize:
                raw += TERMINATOR
            self._files.write(message.source, message.offset, raw)

    def _give_up(self, error: OSError) -> None:
        """The run goes on without these files: what is on disk of them only fills it."""
        if self._files is not None:
            self._written_bytes = self._files.written_bytes
            self._files.abandon()
            self._files = None
        self._faults += 1
        self.notify("error", "batch_not_written", f"{error.filename or 'pygnc_batch'}: {error.strerror}")

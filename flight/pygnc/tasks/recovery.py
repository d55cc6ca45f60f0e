"""Restart of a task without loss or repetition: checkpoints, and output that is written once.

A task that is a function of its inputs saves its state and the number of the last input processed in a checkpoint. A
restarted task loads it, processes the inputs after it again, and so computes some messages a second time.
`ResumableWriter` drops the messages that are in the journal already. `EstimatorTask` combines both.
"""

import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from pygnc.bus import control
from pygnc.bus.messages import InputMessage, Message, OrbitMessage
from pygnc.bus.streams import StreamReader, StreamWriter
from pygnc.configuration.run import Notify, Run
from pygnc.tasks.runtime import Context, Task
from pygnc_system.files import durable_write, read_input

INTERVAL_S: Final = 1.0
_CRC_BYTES: Final = 4
_BYTES_MAX: Final = 1 << 26
"""Maximum size of a checkpoint; the formation's are the largest, with less than a megabyte."""


class Checkpoint(msgspec.Struct, frozen=True):
    """State from which a task continues: numbers of the last messages read and written, and the encoded tracker.

    `tracker` is None before the first checkpoint. A checkpoint of the formation task is valid only for its number of
    `memory_kills`, because each lack of memory shortens the arcs.
    """

    last_input_seq: int = 0
    last_orbit_seq: int = 0
    last_output_seq: int = 0
    tracker: bytes | None = None
    memory_kills: int = 0


class CheckpointFile:
    """Checkpoint of one task in the run's private folder, with its predecessor; valid for this run only.

    A file is the CRC-32 of the checkpoint (4 bytes, little-endian) and the checkpoint.
    """

    def __init__(self, path: Path, notify: Notify) -> None:
        self._path = path
        self._previous = path.with_name(path.name + ".previous")
        self._notify = notify
        self._due_s = time.monotonic() + INTERVAL_S
        self._is_writable = True

    def load(self) -> Checkpoint | None:
        """Return the newest undamaged checkpoint, or None if there is none."""
        for path in (self._path, self._previous):
            try:
                return self._decode(read_input(path, _BYTES_MAX))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, RecursionError) as error:
                text = f"{path.name}: {error}; an older checkpoint or the whole journal is used"
                self._notify("warning", "checkpoint", text)
        return None

    @property
    def is_due(self) -> bool:
        """True if the newest checkpoint is older than `INTERVAL_S`."""
        return time.monotonic() >= self._due_s

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint and keep the previous one; report once if writing fails."""
        self._due_s = time.monotonic() + INTERVAL_S
        content = msgspec.msgpack.encode(checkpoint)
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)  # the system may remove the folder at a logout
            if self._path.exists():
                self._path.replace(self._previous)
            durable_write(self._path, zlib.crc32(content).to_bytes(_CRC_BYTES, "little") + content)
        except OSError as error:
            if self._is_writable:
                self._notify("warning", "checkpoint", f"{error}; a restart begins with an older checkpoint")
            self._is_writable = False

    def _decode(self, content: bytes) -> Checkpoint:
        crc, content = content[:_CRC_BYTES], content[_CRC_BYTES:]
        if int.from_bytes(crc, "little") != zlib.crc32(content) or not content:
            raise ValueError(f"damaged, {len(crc) + len(content)} bytes")
        return msgspec.msgpack.decode(content, type=Checkpoint)


class ResumableWriter:
    """Writer of a task's output stream that drops messages that an earlier process of the task has written.

    Attributes:
        last_seq: Number of the last message produced, dropped messages included; at first that of the checkpoint.
    """

    def __init__(self, stream: StreamWriter, last_seq: int = 0) -> None:
        self._stream = stream
        self.last_seq = last_seq

    def write(self, messages: Sequence[Message]) -> None:
        """Write the next messages, except those that an earlier process has written to the journal."""
        repeated = max(0, self._stream.journal.last_seq - self.last_seq)
        self.last_seq += len(messages)
        if messages[repeated:]:
            self._stream.write(messages[repeated:])


class EstimatorTask(Task):
    """Base class of tasks whose stream of estimates is a function of the checkpoint and of the journals after it.

    Task and stream have the same name. A checkpoint made after another number of memory kills is ignored.

    Attributes:
        saved: Checkpoint from which the task continues.
        stream: Stream of estimates.
        output: Writer of new estimates to the stream.
        input: Reader of the input stream after the checkpoint.
        orbit_failed: True once the orbit task has failed after all restarts; set only with `reports_run`.
    """

    def __init__(self, run: Run, context: Context, notify: Notify, name: str, memory_kills: int = 0) -> None:
        super().__init__(run, context, notify)
        self._checkpoint = CheckpointFile(run.runtime / f"{name}.checkpoint", notify)
        saved = self._checkpoint.load()
        self.saved = saved if saved and saved.memory_kills == memory_kills else Checkpoint(memory_kills=memory_kills)
        self._saved_seq = self.saved.last_input_seq
        self.stream = self.open_stream(name)
        self.output = ResumableWriter(self.stream, self.saved.last_output_seq)
        self.input = self.open_reader("input", InputMessage, after_seq=self._saved_seq)
        self.orbit_failed = False

    def open_orbits(self) -> StreamReader:
        """Open the orbit stream for reading after the checkpoint."""
        return self.open_reader("orbit", OrbitMessage, after_seq=self.saved.last_orbit_seq)

    def on_run_state(self, state: control.RunState) -> None:
        """Set `orbit_failed` if the orbit task has failed after all restarts, so that no more orbits will arrive."""
        self.orbit_failed = any(task.name == "orbit" and task.state == "failed" for task in state.tasks)

    def is_checkpoint_due(self, last_input_seq: int) -> bool:
        """Return True if the newest checkpoint is older than `INTERVAL_S` and inputs have been processed since."""
        return self._checkpoint.is_due and last_input_seq > self._saved_seq

    def save(self, tracker: bytes, last_input_seq: int, last_orbit_seq: int = 0) -> None:
        """Save a checkpoint with the encoded state of a tracker that has processed messages up to these numbers."""
        self._saved_seq = last_input_seq
        memory_kills = self.saved.memory_kills
        self._checkpoint.save(Checkpoint(last_input_seq, last_orbit_seq, self.output.last_seq, tracker, memory_kills))

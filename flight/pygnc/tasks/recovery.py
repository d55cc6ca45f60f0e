"""Restart of a task without loss or repetition: checkpoints, and output that is written once.

A task that is a function of its inputs saves its state and the number of the last input processed in a checkpoint. A
restarted task loads it, processes the inputs after it again, and so computes some messages a second time.
`ResumableWriter` drops the messages that are in the journal already.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from pygnc.bus.messages import Message
from pygnc.bus.streams import StreamWriter
from pygnc.common.files import durable_write

INTERVAL_S: Final = 1.0

_Checkpoint = TypeVar("_Checkpoint", bound=msgspec.Struct)


class CheckpointFile(Generic[_Checkpoint]):
    """Checkpoint of one task in the run's private folder; valid for this run only.

    Args:
        path: the file.
        kind: type of the checkpoint.
    """

    def __init__(self, path: Path, kind: type[_Checkpoint]) -> None:
        self._path = path
        self._kind = kind
        self._due_s = time.monotonic() + INTERVAL_S

    def load(self) -> _Checkpoint | None:
        """Return the newest checkpoint, or None if there is none."""
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=self._kind)
        except FileNotFoundError:
            return None

    @property
    def is_due(self) -> bool:
        """True if the newest checkpoint is older than `INTERVAL_S`."""
        return time.monotonic() >= self._due_s

    def save(self, checkpoint: _Checkpoint) -> None:
        """Replace the checkpoint."""
        self._due_s = time.monotonic() + INTERVAL_S
        self._path.parent.mkdir(mode=0o700, exist_ok=True)  # the system may remove it at a logout
        durable_write(self._path, msgspec.msgpack.encode(checkpoint))


class ResumableWriter:
    """Writer of a task's output stream that drops messages that an earlier process of the task has written.

    Args:
        stream: the output stream.
        last_seq: number of the last message produced before the checkpoint.

    Attributes:
        last_seq: number of the last message produced, dropped messages included.
    """

    def __init__(self, stream: StreamWriter, last_seq: int = 0) -> None:
        self._stream = stream
        self.last_seq = last_seq

    def write(self, messages: Sequence[Message]) -> None:
        """Write the next messages, except messages that are in the journal already."""
        repeated = max(0, self._stream.journal.last_seq - self.last_seq)
        self.last_seq += len(messages)
        if messages[repeated:]:
            self._stream.write(messages[repeated:])

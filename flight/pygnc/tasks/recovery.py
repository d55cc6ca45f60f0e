"""Restart of a task without loss or repetition: checkpoints, and output that is written once.

A task that is a function of its inputs saves its state and the number of the last input processed in a checkpoint. A
restarted task loads it, processes the inputs after it again, and so computes some messages a second time.
`ResumableWriter` drops the messages that are in the journal already.
"""

import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from pygnc.bus.messages import Message
from pygnc.bus.streams import StreamWriter
from pygnc_system.files import durable_write

INTERVAL_S: Final = 1.0
_CRC_BYTES: Final = 4

_Checkpoint = TypeVar("_Checkpoint", bound=msgspec.Struct)


class CheckpointFile(Generic[_Checkpoint]):
    """Checkpoint of one task in the run's private folder, with its predecessor; valid for this run only.

    A file is the CRC-32 of the checkpoint (4 bytes, little-endian) and the checkpoint.

    Args:
        path: the file.
        kind: type of the checkpoint.
        notify: reports events: severity, name, text.
    """

    def __init__(self, path: Path, kind: type[_Checkpoint], notify: Callable[[str, str, str], None]) -> None:
        self._path = path
        self._previous = path.with_name(path.name + ".previous")
        self._kind = kind
        self._notify = notify
        self._due_s = time.monotonic() + INTERVAL_S
        self._is_writable = True

    def load(self) -> _Checkpoint | None:
        """Return the newest undamaged checkpoint, or None if there is none."""
        for path in (self._path, self._previous):
            try:
                return self._decode(path.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                text = f"{path.name}: {error}; an older checkpoint or the whole journal is used"
                self._notify("warning", "checkpoint", text)
        return None

    @property
    def is_due(self) -> bool:
        """True if the newest checkpoint is older than `INTERVAL_S`."""
        return time.monotonic() >= self._due_s

    def save(self, checkpoint: _Checkpoint) -> None:
        """Replace the checkpoint before the newest one; report once if that is impossible."""
        self._due_s = time.monotonic() + INTERVAL_S
        content = msgspec.msgpack.encode(checkpoint)
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)  # the system may remove it at a logout
            if self._path.exists():
                self._path.replace(self._previous)
            durable_write(self._path, zlib.crc32(content).to_bytes(_CRC_BYTES, "little") + content)
        except OSError as error:
            if self._is_writable:
                self._notify("warning", "checkpoint", f"{error}; a restart begins with an older checkpoint")
            self._is_writable = False

    def _decode(self, content: bytes) -> _Checkpoint:
        crc, content = content[:_CRC_BYTES], content[_CRC_BYTES:]
        if int.from_bytes(crc, "little") != zlib.crc32(content) or not content:
            raise ValueError(f"damaged, {len(crc) + len(content)} bytes")
        return msgspec.msgpack.decode(content, type=self._kind)


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

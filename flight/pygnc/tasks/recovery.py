"""What a task answers, once: after a restart some answers are made a second time, and are in its journal already.

A task's memory in the run's private folder: it serves this run only, and is replaced as a whole.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from pygnc.bus.messages import Message
from pygnc.bus.streams import StreamWriter
from pygnc.common.files import durable_write


class Answers:
    """Writes a task's stream of answers.

    Args:
        stream: Its stream; the journal behind it says what was written before a restart.
        given: Answers given up to the checkpoint from which the task goes on.

    Attributes:
        given: Answers given so far, those of before the restart included.
    """

    def __init__(self, stream: StreamWriter, given: int = 0) -> None:
        self._stream = stream
        self.given = given

    def write(self, messages: Sequence[Message]) -> None:
        """Give the next answers; those that are not in the journal yet are written."""
        already = max(0, self._stream.journal.last_seq - self.given)
        self.given += len(messages)
        if messages[already:]:
            self._stream.write(messages[already:])


INTERVAL_S: Final = 1.0

_Checkpoint = TypeVar("_Checkpoint", bound=msgspec.Struct)


class CheckpointFile(Generic[_Checkpoint]):
    """The file, and when it is to be written next."""

    def __init__(self, path: Path, kind: type[_Checkpoint]) -> None:
        self._path = path
        self._kind = kind
        self._due_s = time.monotonic() + INTERVAL_S

    def load(self) -> _Checkpoint | None:
        """What was saved last; None when nothing was."""
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=self._kind)
        except FileNotFoundError:
            return None

    @property
    def is_due(self) -> bool:
        """Whether the last one is older than the interval."""
        return time.monotonic() >= self._due_s

    def save(self, checkpoint: _Checkpoint) -> None:
        """Replace it."""
        self._due_s = time.monotonic() + INTERVAL_S
        durable_write(self._path, msgspec.msgpack.encode(checkpoint))

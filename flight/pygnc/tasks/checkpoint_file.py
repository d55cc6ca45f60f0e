"""A task's memory in the run's private folder: it serves this run only, and is replaced as a whole."""

import time
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from pygnc.common.files import durable_write

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

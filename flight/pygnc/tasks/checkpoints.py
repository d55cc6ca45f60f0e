"""Checkpoints of tasks: files in the run's private folder with the state from which a restarted task continues."""

import time
import zlib
from pathlib import Path
from typing import Final

import msgspec

from pygnc.configuration.run import Notify
from pygnc_system.files import durable_write, read_input

INTERVAL_S: Final = 1.0
_CRC_BYTES: Final = 4
_BYTES_MAX: Final = 1 << 26
"""Maximum size of a checkpoint; the formation's are the largest, with less than a megabyte."""


class Checkpoint(msgspec.Struct, frozen=True):
    """State from which a task continues: numbers of the last messages read and written, and the encoded tracker.

    `tracker` is None before the first checkpoint. A checkpoint of the formation task is valid only for its number of
    `memory_kills`, because each lack of memory shortens the arcs. `digest` is the CRC-32 of state that `tracker` lacks;
    only the second look needs it. `is_repeatable` is False once an estimate did not await its orbit: the journals no
    longer determine the estimates, so no second look is taken, also after a restart.
    """

    last_input_seq: int = 0
    last_orbit_seq: int = 0
    last_output_seq: int = 0
    tracker: bytes | None = None
    memory_kills: int = 0
    digest: int = 0
    is_repeatable: bool = True


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

    def hasten(self) -> None:
        """Let the next checkpoint be due now."""
        self._due_s = 0.0

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

"""The flight's files on their way to a server: each once as it was, again when it has changed."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from pygnc_station.store import schema
from pygnc_station.store.pieces import TakenFile

PATTERNS: Final = (
    "sense.bin",
    "range/**/rng*.bin",
    "rng*.bin",
    "pygnc_logs/**/*",
    "pygnc_batch/**/*",
    "pygnc_status.bin",
)
UNFINISHED: Final = ".part"
_MOST_AT_ONCE: Final = 2000


def new_files(connection: Connection, folders: Sequence[Path]) -> list[TakenFile]:
    """Return files of flights that are in no batch, or have changed since. Journals that are being written wait."""
    c = schema.batched_files.c
    known = {row[0]: (row[1], row[2]) for row in connection.execute(select(c.path, c.bytes, c.modified_ns))}
    found: dict[str, TakenFile] = {}
    for folder in folders:
        for pattern in PATTERNS:
            for path in sorted(folder.glob(pattern)):
                if path.is_symlink() or not path.is_file() or path.suffix == UNFINISHED:
                    continue
                status = path.stat()
                if known.get(str(path)) != (status.st_size, status.st_mtime_ns):
                    found[str(path)] = TakenFile(str(path), status.st_size, status.st_mtime_ns)
    return list(found.values())[:_MOST_AT_ONCE]


def mark_taken(connection: Connection, files: Sequence[TakenFile]) -> None:
    """Note which files are in a batch now, as they are."""
    table = schema.batched_files
    for file in files:
        digest = hashlib.sha256(file.path.encode()).hexdigest()
        connection.execute(delete(table).where(table.c.path_digest == digest))
        row = {"path_digest": digest, "path": file.path, "bytes": file.bytes, "modified_ns": file.modified_ns}
        connection.execute(insert(table), row)

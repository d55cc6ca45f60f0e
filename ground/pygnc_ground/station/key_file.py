"""The gateway's key: a file that only its owner can read."""

import os
from pathlib import Path

from pygnc_ground.station.errors import StationError


def read_key(path: Path) -> str:
    """Return the key.

    Raises:
        StationError: there is none; logging works without it.
    """
    try:
        key = path.read_text(encoding="utf-8").strip()
    except OSError:
        key = ""
    if not key.isalnum():
        raise StationError(f"{path} holds no key: pygnc station register makes it")
    return key


def write_key(path: Path, key: str) -> None:
    """Keep a key, in place of an older one; at no moment can others read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)

"""The gateway's key: a file that only its owner can read."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pygnc_station.station.errors import StationError


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


@contextmanager
def writing_key(path: Path) -> Iterator[Callable[[str], None]]:
    """Give what keeps a key, in place of an older one; at no moment can others read it.

    Whether it can be written shows before a PIN is used up. Without a key the older one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(key: str) -> None:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
        unfinished.replace(path)

    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield write
    finally:
        unfinished.unlink(missing_ok=True)


def write_key(path: Path, key: str) -> None:
    """Keep a key that is known; see `writing_key`."""
    with writing_key(path) as write:
        write(key)

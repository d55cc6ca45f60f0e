"""One program at a time in a folder. The lock goes with the program that holds it, however that ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pygnc_station.station.errors import StationError


@contextmanager
def alone_in(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder.

    Raises:
        StationError: another program has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StationError(f"{folder}: another program is {what}; it has to end first") from None
        yield

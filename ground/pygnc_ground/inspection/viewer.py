"""What every viewer of a file kind offers, and how it reads a file of any size."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from pygnc_ground.inspection.sections import Section

HEAD_BYTES: Final = 1 << 18
"""As much of a file is looked at to tell its kind."""
CHUNK_BYTES: Final = 1 << 18


class Viewer(Protocol):
    """Shows one kind of file."""

    @property
    def kind(self) -> str:
        """What such a file is called."""

    def recognises(self, head: bytes) -> bool:
        """Whether a file whose first HEAD_BYTES are `head` is of this kind; its name plays no part."""

    def view(self, path: Path, messages: int) -> Iterator[Section]:
        """What the file holds, then its first `messages` messages or records.

        Works through the file in pieces and keeps no more than a piece. Damage is shown and never raises.

        Raises:
            OSError: the file cannot be read.
        """


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield the file's bytes in pieces.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk

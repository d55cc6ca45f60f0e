"""Files of `~/pygnc_batch` that are those of the input without their damage: every packet at its place."""

from collections.abc import Sequence
from itertools import pairwise

from pygnc.bus.messages import SourceFile
from pygnc.tasks.batch_writer.folder import BatchFolder


class BatchCopies:
    """Writes packets to where they stand in the undamaged part of their source.

    Args:
        folder: takes the files.
    """

    def __init__(self, folder: BatchFolder) -> None:
        self._folder = folder
        self._room_bytes: dict[str, int] = {}
        self._next: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """The files, in the order of their first naming."""
        return list(self._room_bytes)

    def size_of(self, name: str) -> int:
        """How much room a file has, B; 0 without the file."""
        return self._room_bytes.get(name, 0)

    def add(self, sources: Sequence[SourceFile]) -> None:
        """Make room for files, or for more in them; a packet that begins in one may end in the next of `sources`.

        Raises:
            OSError: the disk does not take it.
        """
        for source in sources:
            if source.name not in self._room_bytes:
                self._folder.create(source.name)
            self._room_bytes[source.name] = self._room_bytes.get(source.name, 0) + source.delivered_bytes
        self._next |= {before.name: behind.name for before, behind in pairwise(sources)}

    def write(self, name: str, offset: int, content: bytes) -> None:
        """Write `content` at `offset` of a file, going over into the next one where it ends.

        Raises:
            OSError: the disk does not take it.
        """
        while content:
            here = content[: max(0, self._room_bytes[name] - offset)]
            self._folder.write(name, offset, here)
            content, offset = content[len(here) :], 0
            name = self._next[name] if content else name

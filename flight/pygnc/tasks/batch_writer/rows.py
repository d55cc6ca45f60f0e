"""Range files with numbers of their own, one row per satellite, for packets that stand in no file of the input."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from pygnc.formats.ranges import FILE_NUMBERS, consecutive_runs, range_file_number
from pygnc.tasks.batch_writer.folder import BatchFolder
from pygnc.tasks.ingest.range_folders import owner_of

FILE_BYTES: Final = 25_600
"""As long as the controller's own; no packet is cut here, so a file can be read alone."""
REPEATS_KNOWN: Final = 64
"""So many of the latest packets are compared with: who is not sure that a packet has arrived sends it once more."""
_OWN_FOLDER: Final = "range/"


class BatchRow:
    """The range files made for one satellite: packets in the order in which they come, each once.

    Args:
        folder: takes the files.
        satellite_id: radio id of the partner whose packets they are; 0: our own.
        names: files that the folder holds already.

    Attributes:
        left_out: so many packets came twice.
    """

    def __init__(self, folder: BatchFolder, satellite_id: int, names: Iterable[str]) -> None:
        self.left_out = 0
        self._folder = folder
        self._prefix = _prefix(satellite_id, names)
        numbers = [number for name in names if (number := _number_in(name, self._prefix)) is not None]
        runs = consecutive_runs(numbers)
        self._number = runs[-1][-1] if runs else -1
        self._size = FILE_BYTES
        self._latest: deque[bytes] = deque(maxlen=REPEATS_KNOWN)

    def append(self, packet: bytes) -> None:
        """Write a packet behind the others, into the next file if there is no room for it in this one.

        Raises:
            OSError: the disk does not take it.
        """
        if packet in self._latest:
            self.left_out += 1
            return
        if self._size + len(packet) > FILE_BYTES:
            self._number = (self._number + 1) % FILE_NUMBERS
            self._size = 0
            self._folder.create(self._name)
        self._folder.write(self._name, self._size, packet)
        self._size += len(packet)
        self._latest.append(packet)

    @property
    def _name(self) -> str:
        return f"{self._prefix}rng{self._number:05d}.bin"


def _prefix(satellite_id: int, names: Iterable[str]) -> str:
    """The satellite's folder: the one it has, or else the one named by its number."""
    if not satellite_id:
        return _OWN_FOLDER
    folders = [f"{name.rpartition('/')[0]}/" for name in names if owner_of(name) == satellite_id]
    return folders[0] if folders else f"{_OWN_FOLDER}partner_{satellite_id}/"


def _number_in(name: str, prefix: str) -> int | None:
    folder, slash, file = name.rpartition("/")
    return range_file_number(file) if folder + slash == prefix else None

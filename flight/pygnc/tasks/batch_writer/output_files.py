"""Files of `~/pygnc_batch` that are those of the input without their damage: every packet at its place.

Range files with numbers of their own, one row per satellite, for packets that stand in no file of the input.

What is put behind the files of the input in `~/pygnc_batch`: live packets, and new files of a resumed run.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

from pygnc.bus.messages import GpsFix, RangeMeasurement, SensorSample, SourceFile
from pygnc.common.constants import SENSE_FILE
from pygnc.formats.gps_packet import SENSE_GPS_PACKET, range_packet_from_sense
from pygnc.formats.ranges import FILE_NUMBERS, consecutive_runs, range_file_number
from pygnc.formats.sense import SenseLayout
from pygnc.formats.sense_assembler import Assembled, SenseAssembler
from pygnc.tasks.batch_writer.folder import BatchFolder
from pygnc.tasks.ingest.range_folders import satellite_of


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
    folders = [f"{name.rpartition('/')[0]}/" for name in names if satellite_of(name) == satellite_id]
    return folders[0] if folders else f"{_OWN_FOLDER}partner_{satellite_id}/"


def _number_in(name: str, prefix: str) -> int | None:
    folder, slash, file = name.rpartition("/")
    return range_file_number(file) if folder + slash == prefix else None


OWN: Final = 0
"""Stands for our own satellite where partners have their radio ids."""


class BatchAdditions:
    """Makes records and range files of packets that stand at no place of a file.

    Args:
        folder: takes the files.
        layout: of the sense records.
        sense_bytes: size of what stands in front of them in `sense.bin`.
        names: tells the files that the folder holds already.
    """

    def __init__(
        self, folder: BatchFolder, layout: SenseLayout, sense_bytes: int, names: Callable[[], Sequence[str]]
    ) -> None:
        self._folder = folder
        self._composer = SenseAssembler(layout)
        self._sense_bytes = sense_bytes
        self._names = names
        self._rows: dict[int, BatchRow] = {}

    @property
    def left_out(self) -> int:
        """So many packets found no place; the input journal has them."""
        return self._composer.left_out + sum(row.left_out for row in self._rows.values())

    def has_row(self, satellite_id: int) -> bool:
        """Whether there are numbered files of a satellite: then all that comes of it goes there."""
        return satellite_id in self._rows

    def take(self, message: SensorSample | GpsFix | RangeMeasurement) -> None:
        """Put a packet behind the others.

        Raises:
            OSError: the disk does not take it.
        """
        if isinstance(message, SensorSample):
            self._write(self._composer.add_sample(message.raw))
        elif len(message.raw) == SENSE_GPS_PACKET.itemsize:
            self._write(self._composer.add_fix(message.raw))
        else:
            self._row(message.satellite_id).append(message.raw)

    def finish(self) -> None:
        """Write the last record as far as it goes.

        Raises:
            OSError: the disk does not take it.
        """
        self._write(self._composer.finish())

    def _write(self, done: Assembled) -> None:
        for record in done.records:
            if not self._sense_bytes:
                self._folder.create(SENSE_FILE)
            self._folder.write(SENSE_FILE, self._sense_bytes, record)
            self._sense_bytes += len(record)
        for fix in done.spare_fixes:
            self._row(OWN).append(range_packet_from_sense(fix))

    def _row(self, satellite_id: int) -> BatchRow:
        if satellite_id not in self._rows:
            self._rows[satellite_id] = BatchRow(self._folder, satellite_id, self._names())
        return self._rows[satellite_id]

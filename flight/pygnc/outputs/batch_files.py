"""Contents of the files in `~/pygnc_batch`: copies of the input files, and files with additional packets.

`BatchCopies` writes the input files without their damage: each packet goes to its offset in the undamaged part of its
source. `BatchAdditions` appends packets that have no such offset (live packets, and new files of a run with
--from-last-run) as sense records and as numbered range files. All their methods raise OSError if the disk is full or
gone.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from pygnc.bus.messages import DEVICES, GnssFix, RangeMeasurement, SensorSample, SourceFile
from pygnc.common.constants import SENSE_FILE
from pygnc.formats.gps_packet import SENSE_GPS, range_packet_from_sense
from pygnc.formats.ranges import FILE_NUMBERS, consecutive_runs, range_file_number
from pygnc.formats.sense import SenseLayout
from pygnc.formats.sense_assembler import Assembled, SenseAssembler
from pygnc.inputs.range_folders import satellite_of
from pygnc.outputs.batch_folder import BatchFolder

FILE_BYTES: Final = 25_600
"""Maximum size of a file, that of the controller's files. A packet is never divided, so each file can be read alone."""
REPEATS_KNOWN: Final = 64
"""Number of recent packets that are checked for repetition: a sender repeats a packet that was not acknowledged."""
_OWN_FOLDER: Final = "range/"


class BatchCopies:
    """Copies of input files without damage.

    Attributes:
        size_bytes: Final size of each file, by name, in the order in which the files were added.
    """

    def __init__(self, folder: BatchFolder) -> None:
        self.size_bytes: dict[str, int] = {}
        self._folder = folder
        self._next: dict[str, str] = {}

    def add(self, sources: Sequence[SourceFile]) -> None:
        """Create new files and extend known ones by the bytes delivered; packets may continue in the next source."""
        for source in sources:
            if source.name not in self.size_bytes:
                self._folder.create(source.name)
            self.size_bytes[source.name] = self.size_bytes.get(source.name, 0) + source.delivered_bytes
        self._next |= {before.name: after.name for before, after in pairwise(sources)}

    def write(self, name: str, offset: int, content: bytes) -> None:
        """Write `content` at `offset` of a file; bytes beyond the file's size go to the beginning of the next file."""
        while content:
            here = content[: max(0, self.size_bytes[name] - offset)]
            self._folder.write(name, offset, here)
            content, offset = content[len(here) :], 0
            name = self._next[name] if content else name


class BatchRow:
    """Additional range files of one satellite: packets in the order of arrival, without repetitions.

    Args:
        folder: Folder of the output files.
        satellite_id: Radio id of the partner that sent the packets, 0 for our own.
        names: Names of the files that exist already.

    Attributes:
        left_out: Number of repeated packets.
    """

    def __init__(self, folder: BatchFolder, satellite_id: int, names: Iterable[str]) -> None:
        self.left_out = 0
        self._folder = folder
        self._prefix = _prefix(satellite_id, names)
        files = [name.removeprefix(self._prefix) for name in names]
        runs = consecutive_runs(number for file in files if (number := range_file_number(file)) is not None)
        self._number = runs[-1][-1] if runs else -1
        self._size = FILE_BYTES
        self._latest: deque[bytes] = deque(maxlen=REPEATS_KNOWN)

    def append(self, packet: bytes) -> None:
        """Append a packet, in a new file if the present one is full; skip a repeated packet."""
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
    """Return the output folder of a satellite's range files: the existing one, else one named after the radio id."""
    if not satellite_id:
        return _OWN_FOLDER
    folders = [f"{name.rpartition('/')[0]}/" for name in names if satellite_of(name) == satellite_id]
    return folders[0] if folders else f"{_OWN_FOLDER}partner_{satellite_id}/"


class BatchAdditions:
    """Sense records and range files made of packets that have no offset in an input file; they follow `copies`."""

    def __init__(self, folder: BatchFolder, layout: SenseLayout, copies: BatchCopies) -> None:
        self._folder = folder
        self._assembler = SenseAssembler(layout)
        self._copies = copies
        self._sense_bytes = copies.size_bytes.get(SENSE_FILE, 0)
        self._rows: dict[int, BatchRow] = {}
        self._of_devices = 0

    @property
    def left_out(self) -> int:
        """Number of packets that could not be written; they are in the input journal."""
        return self._of_devices + self._assembler.left_out + sum(row.left_out for row in self._rows.values())

    def has_row(self, satellite_id: int) -> bool:
        """Return True if a satellite has additional range files; all its later packets are written there."""
        return satellite_id in self._rows

    def take(self, message: SensorSample | GnssFix | RangeMeasurement) -> None:
        """Append a packet to the sense records or range files; those of the computer's own sensors are only counted."""
        if message.source == DEVICES:
            self._of_devices += 1
        elif isinstance(message, SensorSample) or (isinstance(message, GnssFix) and message.kind == SENSE_GPS):
            self._write(self._assembler.add(message.raw))
        else:
            self._row(message.satellite_id).append(message.raw)

    def finish(self) -> None:
        """Write the packets that still wait for a record, as far as they can form one."""
        self._write(self._assembler.finish())

    def _write(self, done: Assembled) -> None:
        for record in done.records:
            if not self._sense_bytes:
                self._folder.create(SENSE_FILE)
            self._folder.write(SENSE_FILE, self._sense_bytes, record)
            self._sense_bytes += len(record)
        for fix in done.spare_fixes:
            self._row(0).append(range_packet_from_sense(fix))

    def _row(self, satellite_id: int) -> BatchRow:
        if satellite_id not in self._rows:
            self._rows[satellite_id] = BatchRow(self._folder, satellite_id, self._copies.size_bytes)
        return self._rows[satellite_id]

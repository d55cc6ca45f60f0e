"""What is put behind the files of the input in `~/pygnc_batch`: live packets, and new files of a resumed run."""

from collections.abc import Callable, Sequence
from typing import Final

from pygnc.bus.messages import GpsFix, RangeMeasurement, SensorSample
from pygnc.common.constants import SENSE_FILE
from pygnc.formats.gps_packet import SENSE_GPS_PACKET, range_packet_of
from pygnc.formats.sense import SenseLayout
from pygnc.formats.sense_assembler import Assembled, SenseAssembler
from pygnc.tasks.batch_writer.folder import BatchFolder
from pygnc.tasks.batch_writer.rows import BatchRow

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
            self._write(self._composer.take_sample(message.raw))
        elif len(message.raw) == SENSE_GPS_PACKET.itemsize:
            self._write(self._composer.take_fix(message.raw))
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
            self._row(OWN).append(range_packet_of(fix))

    def _row(self, satellite_id: int) -> BatchRow:
        if satellite_id not in self._rows:
            self._rows[satellite_id] = BatchRow(self._folder, satellite_id, self._names())
        return self._rows[satellite_id]

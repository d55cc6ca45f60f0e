"""An output of stations: a CSV file for each device, kind of reading and day.

Settings of the station:

    [sinks.csv]
    folder = "csv"
"""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pygnc_station.errors import TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.settings_types import Table
from pygnc_station.sinks.sink import Sink
from pygnc_station.store.readings import StoredReading, Stream
from pygnc_station.store.store import Store


class Settings(Table, frozen=True):
    """Settings of the output: `[sinks.csv]`.

    Attributes:
        folder: folder of the files, relative to the station's folder.
    """

    folder: str


class CsvOutput(Sink):
    """Appends readings to CSV files."""

    title = "CSV"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def open(cls, station: StationSettings, store: Store) -> Self:  # noqa: ARG003 - `write` gets the readings
        """Return the output for the settings of a station."""
        return cls(station.path(station.sink("csv", Settings).folder))

    @classmethod
    def check(cls, station: StationSettings, timeout_s: float) -> str:  # noqa: ARG003 - there is nobody to wait for
        """Return the folder, for `pygnc station doctor`."""
        return f"writes to {station.path(station.sink('csv', Settings).folder)}"

    def write(self, stream: Stream, readings: Sequence[StoredReading]) -> None:
        """Append readings; they count as sent once they are on the disk."""
        days: dict[str, list[StoredReading]] = {}
        for reading in readings:
            days.setdefault(reading.time[:10], []).append(reading)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for day, rows in days.items():
                self._append(self._folder / f"{stream.gadget_id}_{stream.layout.kind}_{day}.csv", stream, rows)
        except OSError as error:  # such as a full disk: the readings are passed again later
            raise TransferError(f"{error.filename}: {error.strerror}") from error

    @staticmethod
    def _append(path: Path, stream: Stream, rows: Sequence[StoredReading]) -> None:
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(["time", *stream.layout.names])
            writer.writerows([row.time, *row.values] for row in rows)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Do nothing: files are open only while they are written."""

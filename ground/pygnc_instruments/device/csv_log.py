"""CSV files of readings with the columns and units of python-imu380.

A file begins with comment lines that describe the device and the start time:

    # serial_number: 2008705635
    # start_utc: 2026-03-01T12:00:00.000Z
    # units: s,m/s^2,...,UTC,,s,,UTC,s
    time,xAccel,yAccel,...,utc,lost_before,gap,estimate,measured,measured_sigma
    0.00000,-0.09577,...,2026-03-01T12:00:00.001800Z,0,0,0,2026-03-01T12:00:00.000000Z,0.001000

The last columns describe the row: its arrival time by this computer's clock, the number of readings missing before it,
after a reconnection the time since the previous row, 1 if time or losses are estimates, and the time of the measurement
with its standard deviation, see `clock_line`. Each line is written at once.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pygnc_devices.declaration import Field, Value
from pygnc_devices.reading import NS_PER_S, Reading
from pygnc_instruments.device.log_files import ElapsedTime, LogFile, ReadingsLog
from pygnc_instruments.device.time_base import MeasuredTime
from pygnc_system.files import write_all

_MIN_DECIMALS: Final = 5
_ROW_COLUMNS: Final = (
    ("utc", "UTC"),
    ("lost_before", ""),
    ("gap", "s"),
    ("estimate", ""),
    ("measured", "UTC"),
    ("measured_sigma", "s"),
)
"""Names and units of the columns that follow those of the packet."""


class CsvRows:
    """Rows of the readings of one kind of packet.

    Args:
        first: the first reading.
        is_recording: True for readings of a recording, which do not arrive when they are sent.

    Attributes:
        columns: names and units of the columns.
    """

    def __init__(self, first: Reading, *, is_recording: bool = False) -> None:
        self.columns = [("time", "s"), *first.packet.columns(), *_ROW_COLUMNS]
        self._formats = [_format(entry) for entry in first.packet.fields]
        self._elapsed = ElapsedTime(first, is_recording=is_recording)

    def row(self, reading: Reading, measured: MeasuredTime | None) -> str:
        """Return the row of the next reading, without its line end; `measured` is None in a recording."""
        values = reading.packet.row(reading.values)
        cells = [_cell(form, value) for form, value in zip(self._formats, values, strict=True)]
        cells += [utc_text(reading.t_wall_ns), str(reading.lost_before)]
        cells += [f"{reading.gap_ns / NS_PER_S:.5f}" if reading.gap_ns else "0", "1" if reading.is_estimate else "0"]
        if measured is None or measured.sigma_ns is None:
            cells += ["", ""]
        else:
            cells += [utc_text(measured.time_ns), f"{measured.sigma_ns / NS_PER_S:.6f}"]
        time_ns = self._elapsed.at_ns(reading)
        return ",".join(["" if time_ns is None else f"{time_ns / NS_PER_S:.5f}", *cells])


class _CsvFile(LogFile):
    """Open CSV file with the readings of one kind of packet."""

    def __init__(
        self, path: Path, descriptor: int, head: Mapping[str, str], first: Reading, *, is_recording: bool
    ) -> None:
        super().__init__(path, descriptor)
        self._rows = CsvRows(first, is_recording=is_recording)
        described = {
            **head,
            "packet": first.packet.name,
            "start_utc": utc_text(first.t_wall_ns, "milliseconds"),
            "units": ",".join(unit for _, unit in self._rows.columns),
        }
        lines = [f"# {key}: {' '.join(value.split())}\n" for key, value in described.items()]
        self._append("".join(lines) + ",".join(name for name, _ in self._rows.columns) + "\n")

    def append_reading(self, reading: Reading, measured: MeasuredTime | None) -> None:
        self._append(f"{self._rows.row(reading, measured)}\n")

    def _append(self, text: str) -> None:
        octets = text.encode()
        write_all(self.descriptor, octets)
        self.size += len(octets)
        if self.is_sync_due:
            self.sync()


class CsvLog(ReadingsLog):
    """Writer of readings to CSV files in a folder, one file per kind of packet."""

    SUFFIX = ".csv"
    FILE = _CsvFile


def utc_text(t_wall_ns: int, timespec: str = "microseconds") -> str:
    """Return a time of this computer's clock as ISO 8601 text in UTC."""
    seconds, rest_ns = divmod(t_wall_ns, NS_PER_S)
    at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ns // 1000)
    return at.isoformat(timespec=timespec).replace("+00:00", "Z")


def _format(entry: Field) -> str:
    """Return the format of a column: floats with their precision, scaled integers with the decimals of one bit."""
    if entry.code in {"f", "d"}:
        return ".9g" if entry.code == "f" else ".15g"
    if entry.scale is None:
        return ""
    decimals = _MIN_DECIMALS
    while abs(entry.scale * entry.unit.column_per_unit) < 10.0**-decimals:
        decimals += 1
    return f".{decimals}f"


def _cell(form: str, value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return format(value, form) if isinstance(value, float) else str(value)

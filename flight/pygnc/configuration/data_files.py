"""Readers of the data tables: Earth orientation and the main geomagnetic field.

Both tables are text. The first line is "# " and the source, the second names the columns.

- Earth orientation (`earth_orientation.csv`): one line per day at 0 h UTC with Modified Julian Date, UT1-UTC in s, x
  and y of the pole in arc seconds, dX and dY in milliarcseconds. A newer file may be uploaded to the home.
- Main field, IGRF (`igrf14.csv`): the columns are degree, order and the years of the epochs (1 January, UTC). Each
  other line is a Schmidt semi-normalised coefficient in nT at these epochs: g, or h for a negative order. The lines are
  sorted by degree from 1, within a degree by order 0, 1, -1, 2, -2, ...

The last line is "# crc32 " and the CRC-32 of the lines before it, as eight hexadecimal digits. It may be missing.
"""

import math
import zlib
from pathlib import Path
from typing import Final

import numpy as np

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.geomagnetic import DEGREE, MainField
from pygnc_system.files import data_file, read_input

EARTH_ORIENTATION_UPLOAD: Final = "pygnc_earth_orientation.csv"
"""Name of an uploaded table in the home, which replaces the packaged table."""
EARTH_ORIENTATION_TABLE: Final = "earth_orientation/earth_orientation.csv"
COLUMNS: Final = "mjd_utc,ut1_minus_utc_s,x_pole_arcsec,y_pole_arcsec,dx_mas,dy_mas"

TABLE_BYTES_MAX: Final = 1 << 22
"""Maximum size of a table; all days since 1972 need 1.2 MB."""
MAIN_FIELD_TABLE: Final = "geomagnetic/igrf14.csv"

_CHECKSUM: Final = b"# crc32 "
"""Begin of the last line of a table, before the CRC-32 of all other lines; tables without this line are accepted."""

_FIRST_MJD: Final = 41_317.0
"""Modified Julian Date of 1972-01-01, the first day of UTC with leap seconds."""
_LAST_MJD: Final = 100_000.0
_LARGEST: Final = (1.0, 1.0, 1.0, 10.0, 10.0)
"""Largest values of a row: UT1-UTC in s, kept below 0.9 s by leap seconds; pole in arc seconds; dX, dY in mas."""
_ARCSEC_RAD: Final = math.pi / 648_000.0
_UNITS: Final = np.array((1.0, _ARCSEC_RAD, _ARCSEC_RAD, 1e-3 * _ARCSEC_RAD, 1e-3 * _ARCSEC_RAD))

_HARMONICS: Final = [
    (str(degree), str(sign * order))
    for degree in range(1, DEGREE + 1)
    for order in range(degree + 1)
    for sign in (1, -1)[: 1 + (order > 0)]
]


class DataFileError(ValueError):
    """Error raised when a file is not the expected table; the message names file, line and remedy."""

    def __init__(self, path: Path, reason: str, generator: str, line: int | None = None) -> None:
        place = f"{path}, line {line}" if line else str(path)
        super().__init__(f"{place}: {reason}; make it by scripts/generate/{generator}, or install the package again")


def load_earth_orientation(home: Path) -> tuple[EarthOrientationTable, str]:
    """Return the uploaded table in `home` if it is valid, else the packaged table, else an empty table.

    The second element is the fault of a file that could not be used, or empty.
    """
    faults: list[str] = []
    uploaded = home / EARTH_ORIENTATION_UPLOAD
    try:
        return read_earth_orientation(uploaded), ""
    except FileNotFoundError:
        pass
    except DataFileError as error:
        faults.append(f"{error}; the packaged table is used")
    except OSError as error:
        faults.append(f"{uploaded}: {error.strerror}; the packaged table is used")
    try:
        table = read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE))
    except (DataFileError, OSError) as error:
        table = EarthOrientationTable.none()
        faults.append(f"{error}; orbits will have errors of some metres")
    return table, "; ".join(faults)


def read_earth_orientation(path: Path) -> EarthOrientationTable:
    """Return the table of Earth orientation in a file.

    Raises:
        DataFileError: The file does not have the format that this module describes.
        OSError: The file cannot be read.
    """
    generator = "earth_orientation.py"
    lines = _lines(path, generator)
    if len(lines) < 3 or lines[1] != COLUMNS:
        raise DataFileError(path, "not a table of Earth orientation", generator)
    rows = []
    for number, line in enumerate(lines[2:], 3):
        row = _numbers(line.split(","))
        if len(row) != 6 or not _FIRST_MJD <= row[0] <= _LAST_MJD:
            raise DataFileError(path, "expected a day and five numbers", generator, number)
        for value, largest in zip(row[1:], _LARGEST, strict=True):
            if abs(value) > largest:
                raise DataFileError(path, f"{value:g} is beyond {largest:g}, which does not occur", generator, number)
        rows.append(row)
    numbers = np.array(rows)
    try:
        return EarthOrientationTable(lines[0].removeprefix("# "), numbers[:, 0], numbers[:, 1:] * _UNITS)
    except ValueError as error:
        raise DataFileError(path, str(error), generator) from error


def read_main_field(path: Path) -> MainField:
    """Return the main geomagnetic field from the coefficients in a file.

    Raises:
        DataFileError: The file does not have the format that this module describes.
        OSError: The file cannot be read.
    """
    generator = "geomagnetic.py"
    lines = _lines(path, generator)
    if len(lines) < 2 or not lines[1].startswith("degree,order,"):
        raise DataFileError(path, "not a table of magnetic field coefficients", generator)
    try:
        epochs_gps_ms = [gps_ms_from_utc_iso(f"{year}-01-01T00:00:00Z") for year in lines[1].split(",")[2:]]
    except ValueError as error:
        raise DataFileError(path, "the epochs are not years", generator, 2) from error
    if len(lines) != 2 + len(_HARMONICS):
        raise DataFileError(path, f"{len(lines) - 2} coefficients; expected {len(_HARMONICS)}", generator)
    rows = []
    for number, (line, harmonic) in enumerate(zip(lines[2:], _HARMONICS, strict=True), 3):
        fields = line.split(",")
        row = _numbers(fields[2:])
        if tuple(fields[:2]) != harmonic or len(row) != len(epochs_gps_ms):
            wanted = f"degree {harmonic[0]}, order {harmonic[1]} and {len(epochs_gps_ms)} numbers"
            raise DataFileError(path, f"expected {wanted}", generator, number)
        rows.append(row)
    try:
        return MainField(epochs_gps_ms, np.array(rows).T)
    except ValueError as error:
        raise DataFileError(path, str(error), generator) from error


def with_checksum(text: str) -> str:
    """Return the text of a table with a last line that contains the CRC-32 of the lines before."""
    return f"{text}{_CHECKSUM.decode()}{zlib.crc32(text.encode()):08x}\n"


def _lines(path: Path, generator: str) -> list[str]:
    """Return the lines of a file; none if the first line does not name a source.

    Raises:
        DataFileError: The content does not match the checksum in its last line, if it has one.
    """
    content = read_input(path, TABLE_BYTES_MAX)
    body, mark, digits = content.rpartition(_CHECKSUM)
    if mark and digits.strip() != b"%08x" % zlib.crc32(body):
        raise DataFileError(path, "damaged, as its checksum shows", generator)
    lines = (body if mark else content).decode("ascii", "replace").splitlines()
    return lines if lines and lines[0].startswith("# ") else []


def _numbers(fields: list[str]) -> list[float]:
    """Return the fields as numbers; none if a field is not a number."""
    try:
        return [float(field) for field in fields]
    except ValueError:
        return []

"""Where the tables of data/ are found: packed into the package when it flies or is installed, else in the checkout.

Reads Earth orientation from a file: the one that came with the package, or a newer one that was uploaded.

The file is text. The first line names source and issue behind "# ", the second the columns, and each other line is a
day at 0 h UTC: Modified Julian Date, UT1-UTC in s, x and y of the pole in arc seconds, dX and dY in milliarcseconds.

Reads the coefficients of the Earth's main magnetic field, the IGRF, from the file that comes with the package.

The file is text. The first line names the model behind "# ", the second the columns: degree, order, and the years of
the epochs, which are the years' beginnings (UTC). Each other line is a coefficient in nT at these epochs, Schmidt
semi-normalised: g, or h where the order is negative; degree by degree from 1, in it the orders 0, 1, -1, 2, -2 ...
"""

import math
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.geomagnetic import DEGREE, MainField

_PACKAGE: Final = Path(__file__).resolve().parent.parent


def data_file(name: str) -> Path:
    """The path of a table, named as below data/, such as "earth_orientation/earth_orientation.csv".

    Raises:
        FileNotFoundError: It is in neither place.
    """
    packed = _PACKAGE / "data" / name
    checkout = _PACKAGE.parent.parent / "data" / name
    for path in (packed, checkout):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{packed}: this table of the package is missing; install the package again")


EARTH_ORIENTATION_UPLOAD: Final = "pygnc_earth_orientation.csv"
"""In the home; used in place of the package's own."""
EARTH_ORIENTATION_TABLE: Final = "earth_orientation/earth_orientation.csv"
COLUMNS: Final = "mjd_utc,ut1_minus_utc_s,x_pole_arcsec,y_pole_arcsec,dx_mas,dy_mas"

_FIRST_MJD: Final = 41_317.0
"""1972-01-01, when UTC began to leap."""
_LAST_MJD: Final = 100_000.0
_ARCSEC_RAD: Final = math.pi / 648_000.0
_UNITS: Final = np.array((1.0, _ARCSEC_RAD, _ARCSEC_RAD, 1e-3 * _ARCSEC_RAD, 1e-3 * _ARCSEC_RAD))


class EarthOrientationFileError(ValueError):
    """The file is no table of Earth orientation; the message names file, line and remedy."""


class Loaded(NamedTuple):
    """A table, and what is wrong with the file that should have been used, or empty."""

    table: EarthOrientationTable
    fault: str


def load_earth_orientation(home: Path) -> Loaded:
    """The uploaded table if there is a good one in `home`, else the package's own. A run never fails for want of it."""
    faults: list[str] = []
    if (home / EARTH_ORIENTATION_UPLOAD).exists():
        try:
            return Loaded(read_earth_orientation(home / EARTH_ORIENTATION_UPLOAD), "")
        except (EarthOrientationFileError, OSError) as error:
            faults.append(f"{error}; the package's own is used")
    try:
        return Loaded(read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE)), "; ".join(faults))
    except (EarthOrientationFileError, OSError) as error:
        return Loaded(EarthOrientationTable.none(), "; ".join([*faults, f"{error}; orbits will be off by some metres"]))


def read_earth_orientation(path: Path) -> EarthOrientationTable:
    """The table in a file.

    Raises:
        EarthOrientationFileError: It is not what this module says above.
        OSError: It cannot be read.
    """
    remedy = "make it by scripts/generate/earth_orientation.py"
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    if len(lines) < 3 or not lines[0].startswith("# ") or lines[1] != COLUMNS:
        raise EarthOrientationFileError(f"{path}: no table of Earth orientation; {remedy}")
    rows: list[list[float]] = []
    for number, line in enumerate(lines[2:], 3):
        try:
            row = [float(field) for field in line.split(",")]
        except ValueError:
            row = []
        if len(row) != 6 or not _FIRST_MJD <= row[0] <= _LAST_MJD:
            raise EarthOrientationFileError(f"{path}, line {number}: not a day and five numbers; {remedy}")
        rows.append(row)
    numbers = np.array(rows)
    try:
        return EarthOrientationTable(lines[0].removeprefix("# "), numbers[:, 0], numbers[:, 1:] * _UNITS)
    except ValueError as error:
        raise EarthOrientationFileError(f"{path}: {error}; {remedy}") from error


MAIN_FIELD_TABLE: Final = "geomagnetic/igrf14.csv"

_REMEDY: Final = "make it by scripts/generate/geomagnetic.py, or install the package again"
_HARMONICS: Final = [
    (str(degree), str(sign * order))
    for degree in range(1, DEGREE + 1)
    for order in range(degree + 1)
    for sign in (1, -1)[: 1 + (order > 0)]
]


class GeomagneticFileError(ValueError):
    """The file holds no main field; the message names file, line and remedy."""


def read_main_field(path: Path) -> MainField:
    """The main field of a file.

    Raises:
        GeomagneticFileError: It is not what this module says above.
        OSError: It cannot be read.
    """
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    if len(lines) < 2 or not lines[0].startswith("# ") or not lines[1].startswith("degree,order,"):
        raise GeomagneticFileError(f"{path}: no coefficients of a magnetic field; {_REMEDY}")
    try:
        epochs_gps_ms = [gps_ms_from_utc_iso(f"{year}-01-01T00:00:00Z") for year in lines[1].split(",")[2:]]
    except ValueError as error:
        raise GeomagneticFileError(f"{path}, line 2: its epochs are no years; {_REMEDY}") from error
    if len(lines) != 2 + len(_HARMONICS):
        raise GeomagneticFileError(f"{path}: {len(lines) - 2} coefficients in place of {len(_HARMONICS)}; {_REMEDY}")
    rows: list[list[float]] = []
    for number, (line, harmonic) in enumerate(zip(lines[2:], _HARMONICS, strict=True), 3):
        fields = line.split(",")
        try:
            row = [float(field) for field in fields[2:]]
        except ValueError:
            row = []
        if tuple(fields[:2]) != harmonic or len(row) != len(epochs_gps_ms):
            wanted = f"degree {harmonic[0]}, order {harmonic[1]} and {len(epochs_gps_ms)} numbers"
            raise GeomagneticFileError(f"{path}, line {number}: not {wanted}; {_REMEDY}")
        rows.append(row)
    try:
        return MainField(epochs_gps_ms, np.array(rows).T)
    except ValueError as error:
        raise GeomagneticFileError(f"{path}: {error}; {_REMEDY}") from error

"""Reads Earth orientation from a file: the one that came with the package, or a newer one that was uploaded.

The file is text. The first line names source and issue behind "# ", the second the columns, and each other line is a
day at 0 h UTC: Modified Julian Date, UT1-UTC in s, x and y of the pole in arc seconds, dX and dY in milliarcseconds.
"""

import math
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pygnc.configuration.data_files import data_file
from pygnc.environment.earth_orientation import EarthOrientationTable

UPLOADED: Final = "pygnc_earth_orientation.csv"
"""In the home; used in place of the package's own."""
PACKAGED: Final = "earth_orientation/earth_orientation.csv"
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
    if (home / UPLOADED).exists():
        try:
            return Loaded(read_earth_orientation(home / UPLOADED), "")
        except (EarthOrientationFileError, OSError) as error:
            faults.append(f"{error}; the package's own is used")
    try:
        return Loaded(read_earth_orientation(data_file(PACKAGED)), "; ".join(faults))
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

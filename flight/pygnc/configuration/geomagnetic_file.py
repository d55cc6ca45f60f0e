"""Reads the coefficients of the Earth's main magnetic field, the IGRF, from the file that comes with the package.

The file is text. The first line names the model behind "# ", the second the columns: degree, order, and the years of
the epochs, which are the years' beginnings (UTC). Each other line is a coefficient in nT at these epochs, Schmidt
semi-normalised: g, or h where the order is negative; degree by degree from 1, in it the orders 0, 1, -1, 2, -2 ...
"""

from pathlib import Path
from typing import Final

import numpy as np

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.environment.geomagnetic import DEGREE, MainField

PACKAGED: Final = "geomagnetic/igrf14.csv"

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

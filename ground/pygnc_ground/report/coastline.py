"""The Earth's land areas for the map."""

import numpy as np

from pygnc.configuration.data_files import data_file
from pygnc_ground.orbit.solution import FloatArray


def coastline() -> list[FloatArray]:
    """Closed rings around land, each (n, 2): east longitude and latitude in degrees. Lakes run the other way round.

    Source: data/coastline/README.md.

    Raises:
        FileNotFoundError: The table is missing.
    """
    rings: list[FloatArray] = []
    for line in data_file("coastline/coastline.txt").read_text(encoding="ascii").splitlines():
        hundredths = np.array(line.replace(",", " ").split(), dtype=np.float64)
        rings.append(0.01 * hundredths.reshape(-1, 2))
    return rings

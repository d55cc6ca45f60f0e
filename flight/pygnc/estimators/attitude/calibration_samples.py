"""Bounded store of readings for the magnetometer calibration, over hours of flight.

If the store is full, a quarter of the readings is removed, evenly over time, from the directions with most readings. A
few minutes of tumbling are therefore kept during a day of pointing.
"""

import math
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array, quantile
from pygnc.estimators.attitude.magnetometer_calibration import Calibration, calibrate
from pygnc.estimators.attitude.settings import MagnetometerSettings

CAPACITY: Final = 1536
"""Largest number of stored readings: two hours with a reading every 5 s, longer than a revolution in a low orbit."""

_KEPT: Final = 0.75
"""Fraction of the readings that remain when a full store is thinned."""
_CELLS: Final = 4
"""Number of cells along each edge of a cube around the readings, whose surface cells classify their directions."""


class CalibrationSamples(msgspec.Struct, eq=False):
    """A bounded, deterministic selection of the readings so far, with 28 bytes per reading.

    `pygnc.estimators.checkpoint` encodes it; a decoded store continues bit for bit.

    Attributes:
        capacity: Largest number of stored readings.
        rows: Stored readings in sensor axes and modelled fields in GCRF, uT, and visible fractions of the Sun's disc,
            oldest first, shape (n, 7).
        seen: Number of readings added so far, stored or not.
    """

    capacity: int = CAPACITY
    rows: npt.NDArray[np.float32] = msgspec.field(default_factory=lambda: np.empty((0, 7), np.float32))
    seen: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, mag_imu_ut: npt.ArrayLike, field_gcrf_ut: npt.ArrayLike, sunlit_fraction: float) -> None:
        """Add a reading in sensor axes and the modelled field at its position in GCRF, both (3,) in uT.

        They are ignored if a value is not finite. `sunlit_fraction` is the visible fraction of the Sun's disc.
        """
        row = np.concatenate((mag_imu_ut, field_gcrf_ut, (sunlit_fraction,)))
        if not all(map(math.isfinite, row.tolist())):
            return
        if len(self.rows) == self.capacity:
            self._thin()
        self.rows = np.concatenate((self.rows, row.astype(np.float32)[np.newaxis]))
        self.seen += 1

    def solve(self, settings: MagnetometerSettings) -> Calibration:
        """Return the calibration from the stored readings; takes about 10 ms if the store is full.

        Raises:
            CalibrationError: There are too few readings, or the body has rotated too little.
        """
        rows = self.rows.astype(np.float64)
        return calibrate(rows[:, :3], rows[:, 3:6], rows[:, 6], settings)

    def _thin(self) -> None:
        cells = _directions(self.rows[:, :3].astype(np.float64))
        sizes = np.bincount(cells, minlength=6 * _CELLS**2)
        share = _share(sizes, int(_KEPT * len(self.rows)))
        kept = np.zeros(len(self.rows), np.bool_)
        for cell in np.flatnonzero(sizes).tolist():
            members = np.flatnonzero(cells == cell)
            few = min(share, len(members))
            kept[members[(1 + np.arange(few)) * len(members) // few - 1]] = True
        self.rows = self.rows[kept]


def _directions(mag_ut: Array) -> npt.NDArray[np.intp]:
    """Return the number of the direction cell of each of n readings, as seen from their centre, shape (n,)."""
    seen_ut = mag_ut - 0.5 * (quantile(mag_ut, 0.02) + quantile(mag_ut, 0.98))
    axis = np.abs(seen_ut).argmax(axis=1)
    row = np.arange(len(seen_ut))
    along = seen_ut[row, axis]
    size = np.maximum(np.abs(along), 1e-9)
    cells = 2 * axis + (along < 0.0)
    for turned in (1, 2):
        place = 0.5 * (seen_ut[row, (axis + turned) % 3] / size + 1.0)
        cells = cells * _CELLS + np.minimum((_CELLS * place).astype(np.intp), _CELLS - 1)
    indices: npt.NDArray[np.intp] = cells
    return indices


def _share(sizes: npt.NDArray[np.intp], wanted: int) -> int:
    """Return the limit of readings per cell with which all cells together keep at most `wanted`; at least 1."""
    shares = np.arange(1, int(sizes.max()) + 1)
    return max(1, int((np.minimum(sizes[:, None], shares).sum(axis=0) <= wanted).sum()))

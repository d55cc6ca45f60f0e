"""Bounded store of readings for the magnetometer calibration, over hours of flight.

If the store is full, a quarter of it is freed in the most frequent directions of the readings, evenly over time. So a
few minutes of tumbling outlast a day of pointing, and among equal directions newer readings prevail.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array, quantile
from pygnc.estimators.attitude.magnetometer_calibration import Calibration, CalibrationSettings, calibrate

CAPACITY: Final = 1536
"""Two hours at one reading per 5 s, more than a revolution."""

_COLUMNS: Final = 6
_ROW: Final = np.dtype(("<f4", _COLUMNS))
_KEPT: Final = 0.75
_CELLS: Final = 4
"""Cells along each edge of a cube around the readings; a cell is a class of directions."""


class CalibrationSamples:
    """A bounded, deterministic selection of the readings so far; 24 bytes each.

    Attributes:
        seen: Number of readings so far.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._rows = np.empty(capacity, _ROW)
        self._count = 0
        self.seen = 0

    def __len__(self) -> int:
        return self._count

    def add(self, mag_imu_ut: npt.ArrayLike, field_gcrf_ut: npt.ArrayLike) -> None:
        """Add a reading in sensor axes and the modelled field at its position, both (3,) in uT.

        Non-finite ones are ignored.
        """
        row = np.concatenate((mag_imu_ut, field_gcrf_ut))
        if not np.isfinite(row).all():
            return
        if self._count == len(self._rows):
            self._thin()
        self._rows[self._count] = row
        self._count += 1
        self.seen += 1

    def solve(self, settings: CalibrationSettings) -> Calibration:
        """Return the calibration from the stored readings; some 30 ms if the store is full.

        Raises:
            CalibrationError: There are too few readings, or the body has rotated too little.
        """
        return calibrate(*self.readings(), settings)

    def readings(self) -> tuple[Array, Array]:
        """Return the stored readings and fields, oldest first, each (n, 3)."""
        rows = self._rows[: self._count].astype(np.float64)
        return rows[:, :3], rows[:, 3:]

    def checkpoint(self) -> bytes:
        """Return the memory of the store; `restore` continues from it bit for bit."""
        return self.seen.to_bytes(8, "little") + self._rows[: self._count].tobytes()

    @classmethod
    def restore(cls, checkpoint: bytes, capacity: int = CAPACITY) -> "CalibrationSamples":
        """Return the store of a checkpoint.

        Raises:
            ValueError: The checkpoint is damaged, or holds more than the capacity.
        """
        body = checkpoint[8:]
        count, rest = divmod(len(body), _ROW.itemsize)
        seen = int.from_bytes(checkpoint[:8], "little")
        if len(checkpoint) < 8 or rest or not count <= min(seen, capacity):
            raise ValueError(
                f"calibration checkpoint of {len(checkpoint)} bytes is damaged or holds more than {capacity} readings"
            )
        restored = cls(capacity)
        restored._rows[:count] = np.frombuffer(body, _ROW)
        restored._count, restored.seen = count, seen
        return restored

    def _thin(self) -> None:
        mag_ut, _ = self.readings()
        cells = _directions(mag_ut)
        sizes = np.bincount(cells, minlength=6 * _CELLS**2)
        share = _share(sizes, int(_KEPT * self._count))
        kept = np.zeros(self._count, np.bool_)
        for cell in np.flatnonzero(sizes).tolist():
            members = np.flatnonzero(cells == cell)
            few = min(share, len(members))
            kept[members[(1 + np.arange(few)) * len(members) // few - 1]] = True
        rows = self._rows[: self._count][kept]
        self._count = len(rows)
        self._rows[: self._count] = rows


def _directions(mag_ut: Array) -> npt.NDArray[np.intp]:
    """Return the cells of the directions of readings (n, 3), seen from their centre, shape (n,)."""
    seen_ut = mag_ut - 0.5 * (quantile(mag_ut, 0.02) + quantile(mag_ut, 0.98))
    axis = np.abs(seen_ut).argmax(axis=1)
    row = np.arange(len(seen_ut))
    along = seen_ut[row, axis]
    size = np.maximum(np.abs(along), 1e-9)
    cells = 2 * axis + (along < 0.0)
    for turned in (1, 2):
        place = 0.5 * (seen_ut[row, (axis + turned) % 3] / size + 1.0)
        cells = cells * _CELLS + np.minimum((_CELLS * place).astype(np.intp), _CELLS - 1)
    found: npt.NDArray[np.intp] = cells
    return found


def _share(sizes: npt.NDArray[np.intp], wanted: int) -> int:
    """Return the number of readings that each cell may keep so that all keep at most `wanted`; at least 1."""
    low, high = 1, max(int(sizes.max()), 1)
    while low < high:
        middle = (low + high + 1) // 2
        if np.minimum(sizes, middle).sum() <= wanted:
            low = middle
        else:
            high = middle - 1
    return low

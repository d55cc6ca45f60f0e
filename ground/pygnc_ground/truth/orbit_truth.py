"""Interface of a true orbit, independent of its file type."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class TrueOrbit(NamedTuple):
    """True orbit at n times; NaN where unknown."""

    position_ecef_m: FloatArray
    """Positions in ITRF in m, shape (n, 3)"""
    velocity_ecef_mps: FloatArray
    """Velocities relative to the rotating Earth, in ITRF in m/s, shape (n, 3)"""


class OrbitTruth(Protocol):
    """True orbit that is known at any time within its span."""

    @property
    def span_gps_ms(self) -> tuple[int, int]:
        """First and last known time in milliseconds since the GPS epoch."""

    @property
    def description(self) -> str:
        """File type, object, agency and span as text."""

    def at(self, gps_ms: IntArray) -> TrueOrbit:
        """Return the states at n times in ms since the GPS epoch, shape (n,)."""

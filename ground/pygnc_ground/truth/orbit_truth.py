"""The common form of a true orbit, whatever file it is from."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class TrueOrbit(NamedTuple):
    """True states at n times; NaN outside the span of the truth."""

    position_ecef_m: FloatArray
    """(n, 3), ITRF"""
    velocity_ecef_mps: FloatArray
    """(n, 3), relative to the rotating Earth, ITRF"""


class OrbitTruth(Protocol):
    """A true orbit that can be asked for any time within its span."""

    @property
    def span_gps_ms(self) -> tuple[int, int]:
        """First and last time it is known at, milliseconds since the GPS epoch."""

    @property
    def description(self) -> str:
        """What it is, for people: kind of file, object, agency, span."""

    def at(self, gps_ms: IntArray) -> TrueOrbit:
        """States at the times, shape (n,)."""

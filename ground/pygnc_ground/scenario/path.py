"""Where a satellite is, whether it was propagated or read from an ephemeris."""

from typing import Protocol

import numpy.typing as npt

from pygnc_ground.scenario.earth import FloatArray


class SatellitePath(Protocol):
    """Position and velocity over a scenario's time."""

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Position in m and velocity in m/s in GCRF at `t_s` seconds after the start, shape (n, 6)."""

    def states_itrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Position in m and velocity in m/s relative to the rotating Earth, in ITRF, shape (n, 6)."""

"""Trajectory that many runs of a campaign share: it computes states and environment once for equal times."""

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from pygnc_ground.scenario.environment import Conditions, FloatArray
from pygnc_ground.scenario.trajectory import SatellitePath

_TIMES_KEPT: Final = 4
"""Sets of times whose results are kept. A run asks for its samples, its fixes, and the times of the velocities."""


class SharedPath(SatellitePath):
    """Path that keeps its last results, for runs that ask for the same times.

    Each call returns copies, so that no run can change the results of another one.
    """

    def __init__(self, path: SatellitePath) -> None:
        self.start_gps_ms = path.start_gps_ms
        self._states_gcrf = lru_cache(_TIMES_KEPT)(lambda times: path.states_gcrf(np.frombuffer(times)))
        self._states_itrf = lru_cache(_TIMES_KEPT)(lambda times: path.states_itrf(np.frombuffer(times)))
        self._conditions = lru_cache(_TIMES_KEPT)(lambda times: path.conditions(np.frombuffer(times)))

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s in GCRF at `t_s` seconds after the start, shape (n, 6)."""
        return self._states_gcrf(_key(t_s)).copy()

    def states_itrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s relative to the rotating Earth, in ITRF, shape (n, 6)."""
        return self._states_itrf(_key(t_s)).copy()

    def conditions(self, t_s: npt.ArrayLike) -> Conditions:
        """Return states and environment at `t_s` seconds after the start, shape (n,)."""
        return Conditions(*(values.copy() for values in self._conditions(_key(t_s))))


def _key(t_s: npt.ArrayLike) -> bytes:
    return np.asarray(t_s, np.float64).tobytes()

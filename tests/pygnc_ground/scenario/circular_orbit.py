"""Trajectories in closed form."""

from dataclasses import dataclass

import brahe
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CircularOrbit:
    """Circular orbit around a point mass, polar by default; starts at +X or at `start_rad`."""

    radius_m: float = 6.9e6
    inclination_rad: float = np.pi / 2.0
    start_rad: float = 0.0

    @property
    def mean_motion_rad_s(self) -> float:
        return float(np.sqrt(brahe.GM_EARTH / self.radius_m**3))

    @property
    def normal(self) -> FloatArray:
        return np.array([0.0, -np.sin(self.inclination_rad), np.cos(self.inclination_rad)])

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        angle_rad = self.start_rad + self.mean_motion_rad_s * np.asarray(t_s, dtype=np.float64)
        along_x = np.array([1.0, 0.0, 0.0])
        ahead = np.array([0.0, np.cos(self.inclination_rad), np.sin(self.inclination_rad)])
        cosine, sine = np.cos(angle_rad)[:, np.newaxis], np.sin(angle_rad)[:, np.newaxis]
        speed_mps = self.radius_m * self.mean_motion_rad_s
        return np.hstack(
            (self.radius_m * (cosine * along_x + sine * ahead), speed_mps * (cosine * ahead - sine * along_x))
        )


FAR_AWAY = CircularOrbit(radius_m=1e13)
"""Here the gravity gradient is negligible."""

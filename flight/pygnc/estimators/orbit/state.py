"""Orbit state: ten elements, their epoch and their covariance.

The elements are position (m) and velocity (m/s) in GCRF, the natural logarithm of the drag factor, and the empirical
acceleration (m/s^2) along radial, transverse and normal.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames

SIZE: Final = 10
POSITION: Final = slice(0, 3)
VELOCITY: Final = slice(3, 6)
DRAG: Final = 6
EMPIRICAL: Final = slice(7, 10)
UNKNOWN_SIGMA: Final = np.repeat((1e5, 1e3), 3)
"""Standard deviations of an unknown position (m) and velocity (m/s): uninformative, but numbers remain well scaled."""


@dataclass(frozen=True, slots=True, eq=False)
class OrbitState:
    """Estimate at one epoch. The arrays are never written to.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        x: Position, velocity, log drag factor and empirical acceleration, shape (10,).
        sqrt_covariance: Lower triangular L with covariance L L', shape (10, 10).
    """

    gps_ms: int
    x: Array
    sqrt_covariance: Array

    @property
    def covariance(self) -> Array:
        """Covariance of `x`, shape (10, 10)."""
        covariance: Array = self.sqrt_covariance.dot(self.sqrt_covariance.T)
        return covariance


class EcefOrbit(NamedTuple):
    """Position (m) and velocity relative to the rotating Earth (m/s) in ITRF, each (3,), with standard deviations."""

    position_m: Array
    velocity_mps: Array
    position_sigma_m: Array
    velocity_sigma_mps: Array


def to_ecef(state: OrbitState, frames: EarthFrames) -> EcefOrbit:
    """Return position and velocity of a state in ITRF with standard deviations."""
    transform = frames.ecef_state_from_gcrf(state.gps_ms)
    ecef = transform.dot(state.x[:6])
    root = transform.dot(state.sqrt_covariance[:6])
    sigma = np.sqrt(np.einsum("ij,ij->i", root, root))
    return EcefOrbit(ecef[:3], ecef[3:], sigma[:3], sigma[3:])

"""Orbit state: ten elements, their epoch and their covariance.

The elements are position (m) and velocity (m/s) in GCRF, the natural logarithm of the drag factor, and the empirical
acceleration (m/s^2) along radial, transverse and normal.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames, rtn_axes
from pygnc.environment.gravity import GM_EARTH_M3_S2

SIZE: Final = 10
POSITION: Final = slice(0, 3)
VELOCITY: Final = slice(3, 6)
DRAG: Final = 6
EMPIRICAL: Final = slice(7, 10)
LOWER: Final = np.tril_indices(6)
"""Rows and columns of the lower triangle of a covariance of position and velocity, row by row."""
UNKNOWN_SIGMA: Final = np.repeat((1e5, 1e3), 3)
"""Standard deviations of an unknown position (m) and velocity (m/s): uninformative, but without rounding errors."""


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


def covariance_rtn(state: OrbitState) -> Array:
    """Return the covariance of position and inertial velocity along radial, transverse and normal, (6, 6)."""
    both = np.kron(np.eye(2), rtn_axes(state.x[POSITION], state.x[VELOCITY]).T)
    root = both.dot(state.sqrt_covariance[:6])
    covariance: Array = root.dot(root.T)
    return covariance


def osculating_elements(state: Array) -> Array:
    """Return osculating elements (..., 6) of positions and velocities in m and m/s, (..., 6).

    They are the semi-major axis in m, the mean argument of latitude, e cos w, e sin w, the inclination and the node.
    Angles are in rad.
    """
    position_m, velocity_mps = state[..., :3], state[..., 3:]
    radius_m = np.sqrt(_dot(position_m, position_m))
    (x, y, z), (vx, vy, vz) = (np.moveaxis(vector, -1, 0) for vector in (position_m, velocity_mps))
    momentum_x, momentum_y, momentum_z = y * vz - z * vy, z * vx - x * vz, x * vy - y * vx
    node = np.arctan2(momentum_x, -momentum_y)
    inclination = np.arctan2(np.hypot(momentum_x, momentum_y), momentum_z)
    square = _dot(velocity_mps, velocity_mps) / GM_EARTH_M3_S2
    axis_m = 1.0 / (2.0 / radius_m - square)
    node_axis, forward_axis = orbital_plane_axes(node, inclination)
    climb = _dot(position_m, velocity_mps) / GM_EARTH_M3_S2
    eccentricity = (square - 1.0 / radius_m)[..., None] * position_m - climb[..., None] * velocity_mps
    e_x, e_y = _dot(eccentricity, node_axis), _dot(eccentricity, forward_axis)
    x, y = _dot(position_m, node_axis) / axis_m, _dot(position_m, forward_axis) / axis_m
    # Cosine and sine of the eccentric argument of latitude (Broucke & Cefola, Celestial Mechanics 5, 1972).
    root = np.sqrt(1.0 - e_x**2 - e_y**2)
    part = 1.0 / (1.0 + root)
    cosine = e_x + ((1.0 - part * e_x**2) * x - part * e_x * e_y * y) / root
    sine = e_y + ((1.0 - part * e_y**2) * y - part * e_x * e_y * x) / root
    argument = np.arctan2(sine, cosine) - e_x * sine + e_y * cosine
    return np.stack((axis_m, argument, e_x, e_y, inclination, node), axis=-1)


def orbital_plane_axes(node: Array, inclination: Array) -> tuple[Array, Array]:
    """Return unit vectors in the orbital plane: to the ascending node and 90 degrees ahead of it, (..., 3) each."""
    cosine, sine = np.cos(node), np.sin(node)
    node_axis = np.stack((cosine, sine, np.zeros_like(node)), axis=-1)
    level = np.cos(inclination)
    return node_axis, np.stack((-sine * level, cosine * level, np.sin(inclination)), axis=-1)


def _dot(a: Array, b: Array) -> Array:
    product: Array = np.einsum("...i,...i", a, b)
    return product

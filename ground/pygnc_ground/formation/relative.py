"""Relative states of two satellites in other coordinates: radial, transverse, normal, and relative orbital elements.

Unlike positions the elements stay normally distributed when a formation is known to hundreds of metres only.
"""

from typing import Final

import numpy as np

from pygnc.estimators.formation.elements import relative_elements
from pygnc_ground.orbit.solution import FloatArray

_STEP: Final = np.repeat((10.0, 0.01), 3)
"""Of the central differences, in m and m/s; by curvature they are off by 1e-12, by rounding by 1e-9."""


def rtn_from_gcrf(own: FloatArray) -> FloatArray:
    """Matrices that take relative states from GCRF to radial, transverse, normal of the satellite in `own`.

    Velocities there are relative to the turning axes.

    Args:
        own: States in GCRF, shape (..., 6).

    Returns:
        Shape (..., 6, 6).
    """
    position_m, velocity_mps = own[..., :3], own[..., 3:]
    radius_m = np.linalg.norm(position_m, axis=-1, keepdims=True)
    momentum = np.cross(position_m, velocity_mps)
    size = np.linalg.norm(momentum, axis=-1, keepdims=True)
    radial, normal = position_m / radius_m, momentum / size
    axes = np.stack((radial, np.cross(normal, radial), normal), axis=-2)
    rate_rad_s = (size / radius_m**2)[..., 0]
    matrices = np.zeros((*own.shape[:-1], 6, 6))
    matrices[..., :3, :3] = matrices[..., 3:, 3:] = axes
    # Seen from the turning axes, what is at rest moves by -w x r.
    matrices[..., 3, :3] = rate_rad_s[..., None] * axes[..., 1, :]
    matrices[..., 4, :3] = -rate_rad_s[..., None] * axes[..., 0, :]
    return matrices


def elements_by_relative_state(own: FloatArray, other: FloatArray) -> FloatArray:
    """Derivatives of the relative orbital elements in m by the state of the other satellite.

    Args:
        own: States in GCRF, shape (..., 6).
        other: Likewise.

    Returns:
        Shape (..., 6, 6).
    """
    columns = [
        (relative_elements(own, other + step) - relative_elements(own, other - step)) / (2.0 * step.sum())
        for step in np.diag(_STEP)
    ]
    return np.stack(columns, axis=-1)

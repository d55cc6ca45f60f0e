"""Relative states along radial, transverse and normal of our satellite."""

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import rtn_axes


def rtn_from_gcrf(own: Array) -> Array:
    """Matrix (6, 6) from relative states in GCRF to radial, transverse, normal of the state `own` (6,).

    Velocities there are those seen from the turning axes.
    """
    axes = rtn_axes(own[:3], own[3:]).T
    position_m = own[:3]
    momentum = np.cross(position_m, own[3:])
    rate_rad_s = np.sqrt(momentum.dot(momentum)) / position_m.dot(position_m)
    matrix = np.zeros((6, 6))
    matrix[:3, :3] = matrix[3:, 3:] = axes
    # What is at rest in GCRF moves by -w x r, w along the normal.
    matrix[3, :3] = rate_rad_s * axes[1]
    matrix[4, :3] = -rate_rad_s * axes[0]
    return matrix

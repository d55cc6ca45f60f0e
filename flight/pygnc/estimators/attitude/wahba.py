"""Solution of Wahba's problem, and all rotations that map one direction to another.

Wahba's problem (SIAM Review 7, 1965) is solved by Davenport's q-method (Keat, Computer Sciences Corporation report
CSC/TM-77/6034, 1977; Shuster & Oh, J. Guid. Control 4, 1981): the quaternion is the eigenvector of the largest
eigenvalue of a symmetric 4 by 4 matrix.
"""

import math
from typing import NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array, cross_matrix


class WahbaSolution(NamedTuple):
    """Solution of Wahba's problem.

    Attributes:
        quaternion: GCRF from body, scalar first, shape (4,).
        covariance: Covariance of the attitude error in body axes, rad^2, shape (3, 3); infinite if a rotation about an
            axis is undetermined.
        loss: Half the weighted sum of squared residual distances.
    """

    quaternion: Array
    covariance: Array
    loss: float


def solve(body: Array, gcrf: Array, sigma_rad: Array) -> WahbaSolution:
    """Return the solution by Davenport's q-method.

    Args:
        body: Measured directions in body axes, unit vectors, shape (n, 3).
        gcrf: The same directions in GCRF, unit vectors, shape (n, 3).
        sigma_rad: Standard deviation of each direction about any axis normal to it, shape (n,).
    """
    weights = sigma_rad**-2.0
    profile = (gcrf * weights[:, None]).T.dot(body)
    matrix = np.empty((4, 4))
    trace = float(np.trace(profile))
    matrix[0, 0] = trace
    matrix[0, 1:] = matrix[1:, 0] = (
        profile[2, 1] - profile[1, 2],
        profile[0, 2] - profile[2, 0],
        profile[1, 0] - profile[0, 1],
    )
    matrix[1:, 1:] = profile + profile.T - trace * np.eye(3)
    values, vectors = np.linalg.eigh(matrix)
    information = np.einsum("n,nij->ij", weights, np.eye(3) - body[:, :, None] * body[:, None, :])
    if np.linalg.cond(information) > 1e12:
        covariance = np.full((3, 3), np.inf)
    else:
        covariance = np.linalg.inv(information)
    return WahbaSolution(vectors[:, 3], covariance, float(weights.sum() - values[3]))


def rotations_about(body: Array, gcrf: Array, count: int) -> Array:
    """Return attitudes that map one direction to another, evenly spaced in the remaining rotation about it.

    Args:
        body: Unit vector in body axes, shape (3,).
        gcrf: The same direction in GCRF, shape (3,).
        count: Number of attitudes.

    Returns:
        Quaternions, shape (count, 4).
    """
    across = cross_matrix(body).dot(gcrf)
    cosine = float(body.dot(gcrf))
    if cosine > -0.999:
        shortest = quaternion.normalised(np.array((1.0 + cosine, *across)))
    else:
        aside = np.zeros(3)
        aside[np.abs(body).argmin()] = 1.0
        shortest = quaternion.normalised(np.array((0.0, *cross_matrix(body).dot(aside))))
        # Nearly opposite: rotate by 180 degrees about any perpendicular axis, then by the small remainder.
        rotated = quaternion.rotate(shortest, body)
        rest = np.array((1.0 + float(rotated.dot(gcrf)), *cross_matrix(rotated).dot(gcrf)))
        shortest = quaternion.multiply(quaternion.normalised(rest), shortest)
    half = math.pi / count * np.arange(count)
    rotations = np.concatenate((np.cos(half)[:, None], np.sin(half)[:, None] * gcrf), axis=1)
    return quaternion.multiply(rotations, shortest)

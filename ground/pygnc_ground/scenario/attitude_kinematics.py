"""Attitude and body rate at given times, and vectors in body axes."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from pygnc_ground.scenario.earth import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeStates:
    """How the body is oriented and turns at n times."""

    quaternion_gcrf_from_body: FloatArray
    """(n, 4), unit, Hamilton's, scalar first: takes body components to GCRF components"""
    rate_body_rad_s: FloatArray
    """(n, 3), relative to GCRF in body axes: the exact time derivative of the attitude"""


def to_body(quaternion_gcrf_from_body: FloatArray, vector_gcrf: FloatArray) -> FloatArray:
    """Body components of vectors given in GCRF; shapes (n, 4), (n, 3) -> (n, 3)."""
    turned = Rotation.from_quat(quaternion_gcrf_from_body, scalar_first=True)
    components: FloatArray = turned.apply(vector_gcrf, inverse=True)
    return components


def without_sign_changes(quaternion: FloatArray) -> FloatArray:
    """The same attitudes, shape (n, 4), each by that of its two quaternions that is nearer to the one before."""
    alike = np.einsum("ni,ni->n", quaternion[1:], quaternion[:-1])
    signs = np.cumprod(np.where(alike < 0.0, -1.0, 1.0))
    return quaternion * np.concatenate(([1.0], signs))[:, np.newaxis]

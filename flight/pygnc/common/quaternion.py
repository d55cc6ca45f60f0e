"""Attitude quaternions: Hamilton convention, scalar first, from body axes to GCRF.

The product of q (GCRF from body) and a quaternion in body axes applies the latter rotation first. Functions take one
quaternion (4,) or vector (3,), or arrays with any leading axes, shapes (..., 4) and (..., 3). Functions of two
arguments also combine an array with a single quaternion or vector. Source: Shuster, A survey of attitude
representations, J. Astronaut. Sci. 41, 1993, with Hamilton's order of the product.
"""

import math

import numpy as np

from pygnc.common.arrays import Array


def multiply(p: Array, q: Array) -> Array:
    """Return Hamilton's product p q, shape (..., 4): the rotation q followed by the rotation p."""
    # Transposing puts the components first for any leading axes; for one quaternion, Python floats are faster.
    pw, px, py, pz = p.tolist() if p.ndim == 1 else p.T
    qw, qx, qy, qz = q.tolist() if q.ndim == 1 else q.T
    product = (
        pw * qw - px * qx - py * qy - pz * qz,
        pw * qx + px * qw + py * qz - pz * qy,
        pw * qy - px * qz + py * qw + pz * qx,
        pw * qz + px * qy - py * qx + pz * qw,
    )
    return np.array(product, np.float64).T


def conjugate(q: Array) -> Array:
    """Return the inverse of a unit quaternion, shape (..., 4)."""
    inverse: Array = q * np.array((1.0, -1.0, -1.0, -1.0))
    return inverse


def normalised(q: Array) -> Array:
    """Return the quaternion scaled to unit length, shape (..., 4)."""
    if q.ndim == 1:
        w, x, y, z = q.tolist()
        return q / math.sqrt(w * w + x * x + y * y + z * z)
    unit: Array = q / np.sqrt((q * q).sum(axis=-1, keepdims=True))
    return unit


def to_matrix(q: Array) -> Array:
    """Return the rotation matrix, GCRF from body, of a unit quaternion, shape (..., 3, 3)."""
    w, x, y, z = q.tolist() if q.ndim == 1 else q.T
    rows = (
        (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)),
        (2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)),
        (2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)),
    )
    matrix = np.array(rows)
    return matrix if q.ndim == 1 else np.ascontiguousarray(matrix.swapaxes(0, 1).T)


def from_matrix(matrix: Array) -> Array:
    """Return the unit quaternion of a rotation matrix (..., 3, 3), with a non-negative scalar part; shape (..., 4).

    The column of 4 q q' with the largest diagonal element is normalised (Shepperd, J. Guid. Control 1, 1978).
    """
    m = np.asarray(matrix)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    columns = np.stack(
        (
            np.stack((1.0 + xx + yy + zz, wx, wy, wz), axis=-1),
            np.stack((wx, 1.0 + xx - yy - zz, xy, xz), axis=-1),
            np.stack((wy, xy, 1.0 - xx + yy - zz, yz), axis=-1),
            np.stack((wz, xz, yz, 1.0 - xx - yy + zz), axis=-1),
        ),
        axis=-2,
    )
    largest = np.argmax(np.diagonal(columns, axis1=-2, axis2=-1), axis=-1)
    q = normalised(np.take_along_axis(columns, largest[..., None, None], axis=-2)[..., 0, :])
    return q * np.where(q[..., :1] < 0.0, -1.0, 1.0)


def rotate(q: Array, vector_body: Array) -> Array:
    """Return the GCRF components of a vector given in body axes, shape (..., 3)."""
    w, v = q[..., :1], q[..., 1:]
    twice = 2.0 * np.cross(v, vector_body)
    rotated: Array = vector_body + w * twice + np.cross(v, twice)
    return rotated


def exponential(rotation_rad: Array) -> Array:
    """Return the quaternion of a rotation vector in rad, shapes (..., 3) -> (..., 4)."""
    if rotation_rad.ndim == 1:
        x, y, z = rotation_rad.tolist()
        half = 0.5 * math.sqrt(x * x + y * y + z * z)
        scale = 0.5 * math.sin(half) / half if half > 1e-9 else 0.5
        return np.array((math.cos(half), scale * x, scale * y, scale * z))
    halves = 0.5 * np.sqrt((rotation_rad * rotation_rad).sum(axis=-1, keepdims=True))
    # NumPy's sinc is sin(pi x) / (pi x) and 1 at zero, so a zero rotation needs no special case.
    return np.concatenate((np.cos(halves), 0.5 * np.sinc(halves / np.pi) * rotation_rad), axis=-1)


def logarithm(q: Array) -> Array:
    """Return the shortest rotation vector in rad of a unit quaternion, the inverse of `exponential`; shape (..., 3)."""
    if q.ndim == 1:
        w, x, y, z = (-q if q[0] < 0.0 else q).tolist()
        length = math.sqrt(x * x + y * y + z * z)
        scale = 2.0 * math.atan2(length, w) / length if length > 1e-9 else 2.0
        return np.array((scale * x, scale * y, scale * z))
    q = q * np.where(q[..., :1] < 0.0, -1.0, 1.0)
    sine = np.sqrt((q[..., 1:] ** 2).sum(axis=-1, keepdims=True))
    half = np.arctan2(sine, q[..., :1])
    rotation: Array = q[..., 1:] * (2.0 / np.sinc(half / np.pi))
    return rotation


def error_vector(q: Array, reference: Array) -> Array:
    """Return the rotation vector (..., 3) from the reference to q, body axes, rad: q = reference exponential(error)."""
    return logarithm(multiply(conjugate(reference), q))

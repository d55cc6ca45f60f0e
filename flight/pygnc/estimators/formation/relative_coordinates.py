"""Coordinates of relative orbits: RTN axes, relative orbital elements and mirror images.

Relative orbital elements after D'Amico (Autonomous Formation Flying in Low Earth Orbit, TU Delft 2010, section 2.1),
from osculating elements and multiplied by our semi-major axis a, so that all are lengths in m:

    a da, a dlambda = a (du + dOmega cos i), a dex, a dey, a dix = a di, a diy = a dOmega sin i

with u the mean argument of latitude and (ex, ey) = e (cos w, sin w). They are undefined for equatorial orbits, which
have no node.

Mirror images of a relative orbit have nearly the same ranges. To first order the distance between two satellites
does not change if the motion normal to our orbital plane changes its sign, if the motion in the plane does, or if
both do. The signs are applied to relative orbital elements in a frame whose poles lie in our orbital plane ("mirror
elements"): the image of a closed ellipse is again closed at any distance, whereas flipped Cartesian differences
would start to drift.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import rtn_axes
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.estimators.formation.reference import STATE_SIZE
from pygnc.estimators.orbit.state import orbital_plane_axes, osculating_elements


def rtn_from_gcrf(own: Array) -> Array:
    """Return the matrix (6, 6) that rotates relative states from GCRF to RTN of the state `own` (6,).

    RTN are radial, transverse, normal; velocities are relative to the rotating axes.
    """
    axes = rtn_axes(own[:3], own[3:]).T
    position_m = own[:3]
    # The transverse velocity divided by the distance.
    rate_rad_s = axes[1].dot(own[3:]) / math.sqrt(position_m.dot(position_m))
    matrix = np.zeros((6, 6))
    matrix[:3, :3] = matrix[3:, 3:] = axes
    # A point at rest in GCRF moves by -w x r in the rotating axes, with w along the normal.
    matrix[3, :3] = rate_rad_s * axes[1]
    matrix[4, :3] = -rate_rad_s * axes[0]
    return matrix


def relative_covariance(covariance: Array, satellite: int, size: int) -> Array:
    """Return the covariance of a satellite's state minus ours, (size, size), of the leading parameters of each state.

    `covariance` is the joint covariance, our satellite first; the other satellite is given by index.
    """
    own, columns = slice(0, size), slice(STATE_SIZE * satellite, STATE_SIZE * satellite + size)
    cross = covariance[columns, own]
    relative: Array = covariance[columns, columns] + covariance[own, own] - cross - cross.T
    return relative


_STEPS: Final = np.concatenate((np.diag(np.repeat((10.0, 0.01), 3)), np.diag(np.repeat((-10.0, -0.01), 3))))
"""Steps of central differences in m and m/s; relative errors are 1e-12 by curvature and 1e-9 by rounding."""


def relative_elements(own: Array, other: Array) -> Array:
    """Return the relative orbital elements in m of `other` with respect to `own`.

    States are in GCRF, (..., 6) -> (..., 6).
    """
    one, two = osculating_elements(own), osculating_elements(other)
    axis_m, inclination = one[..., 0], one[..., 4]
    relative = two - one
    node_change = _wrap_angle(relative[..., 5])
    relative[..., 0] /= axis_m
    relative[..., 1] = _wrap_angle(relative[..., 1]) + node_change * np.cos(inclination)
    relative[..., 5] = node_change * np.sin(inclination)
    scaled: Array = axis_m[..., None] * relative
    return scaled


def d_elements_d_state(own: Array, other: Array) -> Array:
    """Return the derivatives of `relative_elements` with respect to `other`, (..., 6) -> (..., 6, 6).

    Unlike positions, these elements remain normally distributed if a formation is known only to hundreds of metres.
    """
    return _differentiate(lambda state: relative_elements(own[..., None, :], state), other)


def _differentiate(function: Callable[[Array], Array], state: Array) -> Array:
    """Return the derivatives (..., 6, 6) of `function` with respect to `state` (..., 6) by central differences."""
    values = function(state[..., None, :] + _STEPS)
    differences = values[..., :6, :] - values[..., 6:, :]
    derivatives: Array = (differences / (2.0 * np.diagonal(_STEPS))[:, None]).swapaxes(-1, -2)
    return derivatives


def state_from_elements(own: Array, relative: Array) -> Array:
    """Return the states (..., 6) whose `relative_elements` with respect to `own` (6,) are `relative` (..., 6), in m."""
    one = osculating_elements(own)
    axis_m, inclination = one[0], one[4]
    change = relative / axis_m
    node_change = change[..., 5] / np.sin(inclination)
    elements = one + change
    elements[..., 0] = one[0] + axis_m * change[..., 0]
    elements[..., 1] -= node_change * np.cos(inclination)
    elements[..., 5] = one[5] + node_change
    axis_m, argument, e_x, e_y, inclination, node = np.moveaxis(elements, -1, 0)
    eccentric = argument.copy()
    # Newton iterations of Kepler's equation reach rounding for eccentricities up to 0.2.
    for _ in range(6):
        sine, cosine = np.sin(eccentric), np.cos(eccentric)
        error = eccentric - e_x * sine + e_y * cosine - argument
        eccentric = eccentric - error / (1.0 - e_x * cosine - e_y * sine)
    sine, cosine = np.sin(eccentric), np.cos(eccentric)
    part = 1.0 / (1.0 + np.sqrt(1.0 - e_x**2 - e_y**2))
    mixed = part * e_x * e_y
    x = (1.0 - part * e_y**2) * cosine + mixed * sine - e_x
    y = (1.0 - part * e_x**2) * sine + mixed * cosine - e_y
    rate = np.sqrt(GM_EARTH_M3_S2 / axis_m) / (1.0 - e_x * cosine - e_y * sine)
    v_x = rate * (mixed * cosine - (1.0 - part * e_y**2) * sine)
    v_y = rate * ((1.0 - part * e_x**2) * cosine - mixed * sine)
    node_axis, forward_axis = orbital_plane_axes(node, inclination)
    position_m = axis_m[..., None] * (x[..., None] * node_axis + y[..., None] * forward_axis)
    return np.concatenate((position_m, v_x[..., None] * node_axis + v_y[..., None] * forward_axis), axis=-1)


def _wrap_angle(angle: Array) -> Array:
    wrapped: Array = np.remainder(angle + np.pi, 2.0 * np.pi) - np.pi
    return wrapped


IMAGE_COUNT: Final = 4
"""Number of images, including the orbit itself at index 0."""
NORMAL: Final = 1
IN_PLANE: Final = 2
BOTH: Final = 3
"""Indices of the other images, named by the motion whose sign changes."""
_IMAGE_SIGNS: Final = np.repeat(((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)), (4, 2), axis=1)
"""Signs of the mirror elements of each image: four of the motion in the plane, two normal to it."""


def mirror_images(own: Array, relative: Array) -> Array:
    """Return the mirror images (4, k, 6) of relative states (k, 6): unchanged, `NORMAL`, `IN_PLANE` and `BOTH`.

    All states are in GCRF, relative to our state `own` (6,).
    """
    return _from_mirror_elements(own, _IMAGE_SIGNS[:, None] * mirror_elements(own, relative))


def mirror_elements(own: Array, relative: Array) -> Array:
    """Return the mirror elements in m of states in GCRF relative to our state `own` (6,), (..., 6) -> (..., 6)."""
    rotation = _polar_rotation(own)
    polar = own @ rotation.T
    return relative_elements(polar, polar + relative @ rotation.T)


def d_mirror_elements_d_state(own: Array, relative: Array) -> Array:
    """Return the derivatives of `mirror_elements` with respect to relative states, (k, 6) -> (k, 6, 6)."""
    return _differentiate(lambda state: mirror_elements(own, state), relative)


def d_state_d_mirror_elements(own: Array) -> Array:
    """Return the derivatives of a relative state in GCRF with respect to mirror elements, at zero elements, (6, 6)."""
    unit_m = 10.0
    elements = unit_m * np.eye(6)
    change: Array = _from_mirror_elements(own, elements) - _from_mirror_elements(own, -elements)
    return change.T / (2.0 * unit_m)


def _from_mirror_elements(own: Array, elements: Array) -> Array:
    """Return the relative states in GCRF whose `mirror_elements` are `elements` (..., 6) in m."""
    rotation = _polar_rotation(own)
    polar = own @ rotation.T
    relative: Array = (state_from_elements(polar, elements) - polar) @ rotation
    return relative


def _polar_rotation(own: Array) -> Array:
    """Return the rotation of states (6, 6) into a frame whose poles lie in our orbital plane.

    No orbit near ours is equatorial in this frame, so every such orbit has a node.
    """
    radial, transverse, normal = rtn_axes(own[:3], own[3:]).T
    rotation = np.zeros((6, 6))
    rotation[:3, :3] = rotation[3:, 3:] = (radial, -normal, transverse)
    return rotation

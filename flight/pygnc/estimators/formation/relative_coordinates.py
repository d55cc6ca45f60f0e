"""Relative states along radial, transverse and normal of our satellite.

Relative orbital elements.

After D'Amico (Autonomous Formation Flying in Low Earth Orbit, TU Delft 2010, section 2.1), from osculating elements and
times our semi-major axis, so that all are lengths: a da, a dlambda = a (du + dOmega cos i), a dex, a dey, a dix = a di,
a diy = a dOmega sin i, with u the mean argument of latitude and (ex, ey) = e (cos w, sin w). Not for equatorial orbits,
which have no node.

Mirror images of a relative orbit, which ranges tell apart weakly or not at all.

To first order the distances of two satellites stay what they are when the motion normal to our orbit's plane changes
its sign, when the motion in the plane does, and when both do. Relative orbital elements take these signs at
any distance: a flipped ellipse stays one, where flipped Cartesian differences would start to drift.
"""

from typing import Final

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.estimators.orbit.forces import rtn_axes


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


_STEP: Final = np.diag(np.repeat((10.0, 0.01), 3))
"""Of central differences, in m and m/s; curvature makes them wrong by 1e-12, rounding by 1e-9."""
_KEPLER_ITERATIONS: Final = 6
"""Newton's method then is at rounding for eccentricities to 0.2."""


def relative_elements(own: Array, other: Array) -> Array:
    """Elements in m of the satellites in `other` relative to `own`; states in GCRF, (..., 6) -> (..., 6)."""
    one, two = _osculating_elements(own), _osculating_elements(other)
    axis_m, inclination = one[..., 0], one[..., 4]
    change = two - one
    turn = _wrap_angle(change[..., 5])
    relative = np.stack(
        (
            change[..., 0] / axis_m,
            _wrap_angle(change[..., 1]) + turn * np.cos(inclination),
            change[..., 2],
            change[..., 3],
            change[..., 4],
            turn * np.sin(inclination),
        ),
        axis=-1,
    )
    scaled: Array = axis_m[..., None] * relative
    return scaled


def d_elements_d_state(own: Array, other: Array) -> Array:
    """Derivatives of `relative_elements` by the state of `other`, (6,) each -> (6, 6)."""
    difference = relative_elements(own, other + _STEP) - relative_elements(own, other - _STEP)
    derivatives: Array = (difference / (2.0 * np.diagonal(_STEP))[:, None]).T
    return derivatives


def state_from_elements(own: Array, relative: Array) -> Array:
    """States with elements `relative` (..., 6) to `own` (6,); the inverse of `relative_elements`."""
    one = _osculating_elements(own)
    axis_m, inclination = one[0], one[4]
    change = relative / axis_m
    turn = change[..., 5] / np.sin(inclination)
    elements = np.stack(
        (
            one[0] + axis_m * change[..., 0],
            one[1] + change[..., 1] - turn * np.cos(inclination),
            one[2] + change[..., 2],
            one[3] + change[..., 3],
            one[4] + change[..., 4],
            one[5] + turn,
        ),
        axis=-1,
    )
    return _state_from_osculating(elements)


def _osculating_elements(state: Array) -> Array:
    """Semi-major axis, mean argument of latitude, ex, ey, inclination, node; shape (..., 6)."""
    position_m, velocity_mps = state[..., :3], state[..., 3:]
    radius_m = _norm(position_m)
    momentum = np.cross(position_m, velocity_mps)
    node = np.arctan2(momentum[..., 0], -momentum[..., 1])
    inclination = np.arctan2(np.hypot(momentum[..., 0], momentum[..., 1]), momentum[..., 2])
    axis_m = 1.0 / (2.0 / radius_m - _dot(velocity_mps, velocity_mps) / GM_EARTH_M3_S2)
    to_node, ahead = _orbital_plane_axes(node, inclination)
    eccentricity = np.cross(velocity_mps, momentum) / GM_EARTH_M3_S2 - position_m / radius_m[..., None]
    e_x, e_y = _dot(eccentricity, to_node), _dot(eccentricity, ahead)
    x, y = _dot(position_m, to_node) / axis_m, _dot(position_m, ahead) / axis_m
    # Cosine and sine of the eccentric argument of latitude (Broucke & Cefola, Celestial Mechanics 5, 1972).
    root = np.sqrt(1.0 - e_x**2 - e_y**2)
    part = 1.0 / (1.0 + root)
    cosine = e_x + ((1.0 - part * e_x**2) * x - part * e_x * e_y * y) / root
    sine = e_y + ((1.0 - part * e_y**2) * y - part * e_x * e_y * x) / root
    argument = np.arctan2(sine, cosine) - e_x * sine + e_y * cosine
    return np.stack((axis_m, argument, e_x, e_y, inclination, node), axis=-1)


def _state_from_osculating(elements: Array) -> Array:
    """The inverse of `_elements`."""
    axis_m, argument, e_x, e_y, inclination, node = np.moveaxis(elements, -1, 0)
    eccentric = argument.copy()
    for _ in range(_KEPLER_ITERATIONS):
        sine, cosine = np.sin(eccentric), np.cos(eccentric)
        miss = eccentric - e_x * sine + e_y * cosine - argument
        eccentric = eccentric - miss / (1.0 - e_x * cosine - e_y * sine)
    sine, cosine = np.sin(eccentric), np.cos(eccentric)
    part = 1.0 / (1.0 + np.sqrt(1.0 - e_x**2 - e_y**2))
    mixed = part * e_x * e_y
    x = (1.0 - part * e_y**2) * cosine + mixed * sine - e_x
    y = (1.0 - part * e_x**2) * sine + mixed * cosine - e_y
    rate = np.sqrt(GM_EARTH_M3_S2 / axis_m) / (1.0 - e_x * cosine - e_y * sine)
    v_x = rate * (mixed * cosine - (1.0 - part * e_y**2) * sine)
    v_y = rate * ((1.0 - part * e_x**2) * cosine - mixed * sine)
    to_node, ahead = _orbital_plane_axes(node, inclination)
    position_m = axis_m[..., None] * (x[..., None] * to_node + y[..., None] * ahead)
    return np.concatenate((position_m, v_x[..., None] * to_node + v_y[..., None] * ahead), axis=-1)


def _orbital_plane_axes(node: Array, inclination: Array) -> tuple[Array, Array]:
    """Unit vectors towards the ascending node and 90 degrees on, (..., 3) each."""
    cosine, sine = np.cos(node), np.sin(node)
    to_node = np.stack((cosine, sine, np.zeros_like(node)), axis=-1)
    level = np.cos(inclination)
    return to_node, np.stack((-sine * level, cosine * level, np.sin(inclination)), axis=-1)


def _dot(one: Array, other: Array) -> Array:
    product: Array = np.einsum("...i,...i", one, other)
    return product


def _norm(vector: Array) -> Array:
    return np.sqrt(_dot(vector, vector))


def _wrap_angle(angle: Array) -> Array:
    wrapped: Array = np.remainder(angle + np.pi, 2.0 * np.pi) - np.pi
    return wrapped


IMAGE_COUNT: Final = 4
"""The motion itself, and three of which these are the numbers."""
NORMAL: Final = 1
IN_PLANE: Final = 2
BOTH: Final = 3
_IMAGE_SIGNS: Final = np.array(
    (
        (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        (1.0, 1.0, 1.0, 1.0, -1.0, -1.0),
        (-1.0, -1.0, -1.0, -1.0, 1.0, 1.0),
        (-1.0, -1.0, -1.0, -1.0, -1.0, -1.0),
    )
)

_MIRROR_STEP: Final = np.diag(np.repeat((10.0, 0.01), 3))
"""Of central differences, in m and m/s."""


def mirror_images(own: Array, apart: Array) -> Array:
    """All images of relative states.

    Args:
        own: Our state in GCRF, shape (6,).
        apart: Partners minus our state, shape (k, 6).

    Returns:
        Shape (4, k, 6), in the order of `IMAGES`.
    """
    turn = _polar_rotation(own)
    polar = own @ turn.T
    flipped = _IMAGE_SIGNS[:, None] * relative_elements(polar, polar + apart @ turn.T)
    result: Array = (state_from_elements(polar, flipped) - polar) @ turn
    return result


def mirror_elements(own: Array, apart: Array) -> Array:
    """Relative elements in the frame of the images, of relative states in GCRF; (..., 6) -> (..., 6)."""
    turn = _polar_rotation(own)
    polar = own @ turn.T
    return relative_elements(polar, polar + apart @ turn.T)


def d_mirror_elements_d_state(own: Array, apart: Array) -> Array:
    """Derivatives of `elements_of_state` by relative states, (k, 6) -> (k, 6, 6)."""
    both = [mirror_elements(own, apart[:, None] + sign * _MIRROR_STEP) for sign in (-1.0, 1.0)]
    derivatives: Array = ((both[1] - both[0]) / (2.0 * np.diagonal(_MIRROR_STEP))[:, None]).swapaxes(1, 2)
    return derivatives


def vary_normal_motion(own: Array, apart: Array, factors: Array) -> Array:
    """A relative state (6,) with other motions normal to the plane, shape (n, 6).

    Args:
        own: Our state in GCRF, shape (6,).
        apart: Partner minus our state.
        factors: The two relative elements of that motion over the size of what they are now, shape (n, 2).
    """
    turn = _polar_rotation(own)
    polar = own @ turn.T
    elements = np.tile(relative_elements(polar, polar + apart @ turn.T), (len(factors), 1))
    elements[:, 4:] = np.hypot(elements[:, 4:5], elements[:, 5:]) * factors
    result: Array = (state_from_elements(polar, elements) - polar) @ turn
    return result


def d_state_d_mirror_elements(own: Array) -> Array:
    """Derivatives of a relative state in GCRF by relative elements in the frame of the images, (6, 6)."""
    turn = _polar_rotation(own)
    polar = own @ turn.T
    unit_m = 10.0
    elements = unit_m * np.eye(6)
    columns = (state_from_elements(polar, elements) - state_from_elements(polar, -elements)) / (2.0 * unit_m)
    result: Array = (columns @ turn).T
    return result


def _polar_rotation(own: Array) -> Array:
    """Rotation of states (6, 6) into a frame whose poles our orbit passes, so that every orbit has a node there."""
    radial, transverse, normal = rtn_axes(own[:3], own[3:]).T
    turn = np.zeros((6, 6))
    turn[:3, :3] = turn[3:, 3:] = (radial, -normal, transverse)
    return turn

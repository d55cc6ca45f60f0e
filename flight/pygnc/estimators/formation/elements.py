"""Relative orbital elements.

After D'Amico (Autonomous Formation Flying in Low Earth Orbit, TU Delft 2010, section 2.1), from osculating elements and
times our semi-major axis, so that all are lengths: a da, a dlambda = a (du + dOmega cos i), a dex, a dey, a dix = a di,
a diy = a dOmega sin i, with u the mean argument of latitude and (ex, ey) = e (cos w, sin w). Not for equatorial orbits,
which have no node.
"""

from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.gravity import GM_EARTH_M3_S2

_STEP: Final = np.diag(np.repeat((10.0, 0.01), 3))
"""Of central differences, in m and m/s; curvature makes them wrong by 1e-12, rounding by 1e-9."""
_KEPLER_ITERATIONS: Final = 6
"""Newton's method then is at rounding for eccentricities to 0.2."""


def relative_elements(own: Array, other: Array) -> Array:
    """Elements in m of the satellites in `other` relative to `own`; states in GCRF, (..., 6) -> (..., 6)."""
    one, two = _elements(own), _elements(other)
    axis_m, inclination = one[..., 0], one[..., 4]
    change = two - one
    turn = _wrapped(change[..., 5])
    relative = np.stack(
        (
            change[..., 0] / axis_m,
            _wrapped(change[..., 1]) + turn * np.cos(inclination),
            change[..., 2],
            change[..., 3],
            change[..., 4],
            turn * np.sin(inclination),
        ),
        axis=-1,
    )
    scaled: Array = axis_m[..., None] * relative
    return scaled


def elements_by_state(own: Array, other: Array) -> Array:
    """Derivatives of `relative_elements` by the state of `other`, (6,) each -> (6, 6)."""
    difference = relative_elements(own, other + _STEP) - relative_elements(own, other - _STEP)
    derivatives: Array = (difference / (2.0 * np.diagonal(_STEP))[:, None]).T
    return derivatives


def other_state(own: Array, relative: Array) -> Array:
    """States with elements `relative` (..., 6) to `own` (6,); the inverse of `relative_elements`."""
    one = _elements(own)
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
    return _state(elements)


def _elements(state: Array) -> Array:
    """Semi-major axis, mean argument of latitude, ex, ey, inclination, node; shape (..., 6)."""
    position_m, velocity_mps = state[..., :3], state[..., 3:]
    radius_m = _norm(position_m)
    momentum = np.cross(position_m, velocity_mps)
    node = np.arctan2(momentum[..., 0], -momentum[..., 1])
    inclination = np.arctan2(np.hypot(momentum[..., 0], momentum[..., 1]), momentum[..., 2])
    axis_m = 1.0 / (2.0 / radius_m - _dot(velocity_mps, velocity_mps) / GM_EARTH_M3_S2)
    to_node, ahead = _plane(node, inclination)
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


def _state(elements: Array) -> Array:
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
    to_node, ahead = _plane(node, inclination)
    position_m = axis_m[..., None] * (x[..., None] * to_node + y[..., None] * ahead)
    return np.concatenate((position_m, v_x[..., None] * to_node + v_y[..., None] * ahead), axis=-1)


def _plane(node: Array, inclination: Array) -> tuple[Array, Array]:
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


def _wrapped(angle: Array) -> Array:
    wrapped: Array = np.remainder(angle + np.pi, 2.0 * np.pi) - np.pi
    return wrapped

"""Mirror images of a relative orbit, which ranges tell apart weakly or not at all.

To first order the distances of two satellites stay what they are when the motion normal to our orbit's plane changes
its sign, when the motion in the plane does, and when both do. Relative orbital elements take these signs at
any distance: a flipped ellipse stays one, where flipped Cartesian differences would start to drift.
"""

from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import rtn_axes
from pygnc.estimators.formation.elements import other_state, relative_elements

IMAGES: Final = 4
"""The motion itself, and three of which these are the numbers."""
NORMAL: Final = 1
IN_PLANE: Final = 2
BOTH: Final = 3
_SIGNS: Final = np.array(
    (
        (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        (1.0, 1.0, 1.0, 1.0, -1.0, -1.0),
        (-1.0, -1.0, -1.0, -1.0, 1.0, 1.0),
        (-1.0, -1.0, -1.0, -1.0, -1.0, -1.0),
    )
)

_STEP: Final = np.diag(np.repeat((10.0, 0.01), 3))
"""Of central differences, in m and m/s."""


def images(own: Array, apart: Array) -> Array:
    """All images of relative states.

    Args:
        own: Our state in GCRF, shape (6,).
        apart: Partners minus our state, shape (k, 6).

    Returns:
        Shape (4, k, 6), in the order of `IMAGES`.
    """
    turn = _polar(own)
    polar = own @ turn.T
    flipped = _SIGNS[:, None] * relative_elements(polar, polar + apart @ turn.T)
    result: Array = (other_state(polar, flipped) - polar) @ turn
    return result


def elements_of_state(own: Array, apart: Array) -> Array:
    """Relative elements in the frame of the images, of relative states in GCRF; (..., 6) -> (..., 6)."""
    turn = _polar(own)
    polar = own @ turn.T
    return relative_elements(polar, polar + apart @ turn.T)


def elements_by_state(own: Array, apart: Array) -> Array:
    """Derivatives of `elements_of_state` by relative states, (k, 6) -> (k, 6, 6)."""
    both = [elements_of_state(own, apart[:, None] + sign * _STEP) for sign in (-1.0, 1.0)]
    derivatives: Array = ((both[1] - both[0]) / (2.0 * np.diagonal(_STEP))[:, None]).swapaxes(1, 2)
    return derivatives


def tilted(own: Array, apart: Array, factors: Array) -> Array:
    """A relative state (6,) with other motions normal to the plane, shape (n, 6).

    Args:
        own: Our state in GCRF, shape (6,).
        apart: Partner minus our state.
        factors: The two relative elements of that motion over the size of what they are now, shape (n, 2).
    """
    turn = _polar(own)
    polar = own @ turn.T
    elements = np.tile(relative_elements(polar, polar + apart @ turn.T), (len(factors), 1))
    elements[:, 4:] = np.hypot(elements[:, 4:5], elements[:, 5:]) * factors
    result: Array = (other_state(polar, elements) - polar) @ turn
    return result


def states_of_elements(own: Array) -> Array:
    """Derivatives of a relative state in GCRF by relative elements in the frame of the images, (6, 6)."""
    turn = _polar(own)
    polar = own @ turn.T
    unit_m = 10.0
    elements = unit_m * np.eye(6)
    columns = (other_state(polar, elements) - other_state(polar, -elements)) / (2.0 * unit_m)
    result: Array = (columns @ turn).T
    return result


def _polar(own: Array) -> Array:
    """Rotation of states (6, 6) into a frame whose poles our orbit passes, so that every orbit has a node there."""
    radial, transverse, normal = rtn_axes(own[:3], own[3:]).T
    turn = np.zeros((6, 6))
    turn[:3, :3] = turn[3:, 3:] = (radial, -normal, transverse)
    return turn

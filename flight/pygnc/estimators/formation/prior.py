"""What is known before any observation of an arc: biases, drag, and our own orbit if too few fixes tell it."""

from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.formation.equations import Prior
from pygnc.estimators.formation.reference import UNKNOWNS, Reference
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.state import DRAG, OrbitState

_UNKNOWN_SIGMA: Final = np.repeat((1e5, 1e3), 3)
"""Of position (m) and velocity (m/s): as good as nothing."""


def prior_of(
    satellites: int, pairs: int, reference: Reference, own: OrbitState | None, settings: FormationSettings
) -> Prior:
    """Prior of all unknowns.

    Args:
        satellites: How many, our own first.
        pairs: How many.
        reference: From which unknowns are counted.
        own: The orbit from which the reference was made, if it is to tell our orbit.
        settings: Biases and drag.
    """
    size = UNKNOWNS * satellites + pairs
    mean, information = np.zeros(size), np.zeros((size, size))
    mean[UNKNOWNS * satellites :] = settings.range_bias_m
    biases = np.arange(UNKNOWNS * satellites, size)
    information[biases, biases] = settings.range_bias_sigma_m**-2.0
    for satellite in range(satellites):
        state = UNKNOWNS * satellite + np.arange(6)
        information[state, state] = _UNKNOWN_SIGMA**-2.0
    # The drag of all is the common part plus each one's own.
    drag = UNKNOWNS * np.arange(satellites) + DRAG
    mean[drag] = -reference.drag
    shared, alone = settings.log_drag_sigma**2, settings.differential_log_drag_sigma**2
    information[drag[:, None], drag] = np.linalg.inv(shared + alone * np.eye(satellites))
    if own is not None:
        # Ours tells the drag too, and that of others as far as they share it.
        mean[drag] = 0.0
        information[drag[:, None], drag] = _following(satellites, shared, alone)
        information[:UNKNOWNS, :UNKNOWNS] -= np.diag(np.append(_UNKNOWN_SIGMA**-2.0, 0.0))
        information[:UNKNOWNS, :UNKNOWNS] += _known(own, reference)
    return Prior(mean, information)


def _known(own: OrbitState, reference: Reference) -> Array:
    """Information on our own unknowns at the epoch, (7, 7)."""
    covariance = own.covariance[:UNKNOWNS, :UNKNOWNS]
    at_epoch = reference.from_orbit.dot(covariance).dot(reference.from_orbit.T)
    unit = 1.0 / np.sqrt(np.diagonal(at_epoch))
    information: Array = unit[:, None] * np.linalg.inv(unit[:, None] * at_epoch * unit) * unit
    return information


def _following(satellites: int, shared: float, alone: float) -> Array:
    """Information on the drag of all once the first one's own distribution is taken away."""
    joint = np.asarray(np.linalg.inv(shared + alone * np.eye(satellites)), dtype=np.float64)
    joint[0, 0] -= 1.0 / (shared + alone)
    return joint

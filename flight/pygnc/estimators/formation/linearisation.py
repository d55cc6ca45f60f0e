"""Linearised observations of an arc at the references of its satellites, and the prior of all parameters."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators import kalman
from pygnc.estimators.formation.observations import Pair, RangeObservation
from pygnc.estimators.formation.reference import STATE_SIZE, Reference, Track
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.measurement import Fix, linearise_fix
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import DRAG, SIZE, UNKNOWN_SIGMA, OrbitState


def scaled_inverse(matrices: Array) -> Array:
    """Return the inverse of symmetric positive matrices (..., p, p) whose parameters have different units.

    Rows and columns are divided by the roots of the diagonal before the inversion. The inverse of a normal matrix is
    the covariance, and vice versa.
    """
    # Rounding may leave no positive number of the difference of two large ones.
    unit = 1.0 / np.sqrt(np.maximum(np.diagonal(matrices, axis1=-2, axis2=-1), 1e-20))
    scaled = unit[..., :, None] * matrices * unit[..., None, :]
    inverse: Array = unit[..., :, None] * np.linalg.inv(scaled) * unit[..., None, :]
    return inverse


def covariance_root(matrices: Array) -> Array:
    """Return lower triangular roots of covariances (..., p, p) whose parameters have different units."""
    unit = np.sqrt(np.diagonal(matrices, axis1=-2, axis2=-1))
    values, vectors = np.linalg.eigh(matrices / unit[..., :, None] / unit[..., None, :])
    # Eigenvalues of a correlation matrix below 1e-14 are rounding.
    lower = kalman.triangular(vectors * np.sqrt(np.maximum(values, 1e-14))[..., None, :])
    signs = np.where(np.diagonal(lower, axis1=-2, axis2=-1) < 0.0, -1.0, 1.0)
    root: Array = unit[..., :, None] * lower * signs[..., None, :]
    return root


class FixEquations(NamedTuple):
    """Linearised fixes of one satellite, in units of the receiver's standard deviations.

    Attributes:
        node_time: Times in node intervals of the reference, shape (m,).
        design: Derivatives of position and velocity by the satellite's state and drag modes, shape (m, 6, 7 + modes).
        residual: Residuals for parameters of zero, shape (m, 6).
        available: True if the fix has a position and a velocity, shape (m, 2).
    """

    node_time: Array
    design: Array
    residual: Array
    available: npt.NDArray[np.bool_]

    def select(self, rows: slice) -> "FixEquations":
        """Return some of the fixes."""
        return FixEquations(self.node_time[rows], self.design[rows], self.residual[rows], self.available[rows])


class RangeEquations(NamedTuple):
    """Linearised ranges of one pair.

    Attributes:
        pair: Indices of the two satellites.
        node_time: Times in node intervals of the reference, shape (n,).
        offset_m: Relative position for parameters of zero, shape (n, 3).
        designs: Derivatives of the positions of both satellites by their states and drag modes, (n, 3, 7 + modes) each.
        range_m: Measured ranges, shape (n,).
    """

    pair: tuple[int, int]
    node_time: Array
    offset_m: Array
    designs: tuple[Array, Array]
    range_m: Array

    def select(self, pair: tuple[int, int], rows: slice) -> "RangeEquations":
        """Return some of the ranges, with other indices of the satellites."""
        one, other = self.designs
        return RangeEquations(
            pair, self.node_time[rows], self.offset_m[rows], (one[rows], other[rows]), self.range_m[rows]
        )


class Prior(NamedTuple):
    """Prior distribution of all parameters: mean (p,), information matrix (p, p), and cost of the mean."""

    mean: Array
    information: Array
    cost: float = 0.0


def fix_equations(
    fixes: Sequence[Fix], track: Track, frames: EarthFrames, receiver: MeasurementSettings
) -> FixEquations:
    """Return fixes of a satellite, linearised at its reference; neglected terms are micrometres per second."""
    times = np.array([float(fix.gps_ms) for fix in fixes])
    points = track.reference.at(times)
    design, residual = np.zeros((len(fixes), 6, 6)), np.zeros((len(fixes), 6))
    available = np.ones((len(fixes), 2), dtype=np.bool_)
    x = np.zeros(SIZE)
    for row, fix in enumerate(fixes):
        x[:6] = points.state[row]
        for part, observation in enumerate(linearise_fix(fix, x, frames, receiver)):
            available[row, part] = observation is not None
            if observation is not None:
                rows = slice(3 * part, 3 * part + 3)
                design[row, rows] = observation.partials[:, :6] / observation.sigma[:, None]
                residual[row, rows] = observation.residual / observation.sigma
    by_state = design @ points.d_state_d_epoch
    return FixEquations(
        track.reference.node_time(times),
        np.concatenate((by_state, design @ points.d_state_d_modes), axis=-1),
        residual + by_state @ track.offset,
        available,
    )


def range_equations(
    ranges: Sequence[RangeObservation], pair: tuple[int, int], tracks: Sequence[Track]
) -> RangeEquations:
    """Return ranges of a pair of satellites, by index, linearised at the references of all satellites."""
    times = np.array([float(each.gps_ms) for each in ranges])
    positions: list[Array] = []
    designs: list[Array] = []
    for end in pair:
        reference, offset = tracks[end].reference, tracks[end].offset
        if not designs or reference is not tracks[pair[0]].reference:
            points = reference.at(times)
            design = np.concatenate((points.d_state_d_epoch[:, :3], points.d_state_d_modes[:, :3]), axis=-1)
        positions.append(points.state[:, :3] - points.d_state_d_epoch[:, :3] @ offset)
        designs.append(design)
    return RangeEquations(
        pair,
        tracks[pair[0]].reference.node_time(times),
        positions[1] - positions[0],
        (designs[0], designs[1]),
        np.array([each.range_m for each in ranges]),
    )


def initial_prior(
    satellites: int, pairs: Sequence[Pair], reference: Reference, own: OrbitState | None, settings: FormationSettings
) -> Prior:
    """Return the prior of all parameters.

    Args:
        satellites: Number of satellites, our own first.
        pairs: Pairs of radio ids with ranges.
        reference: Reference orbit, relative to which states are deviations.
        own: Orbit from which the reference was made, if it is the prior of our state; None if our fixes determine it.
        settings: Expected biases and drag factors.
    """
    size = STATE_SIZE * satellites + len(pairs)
    mean, information = np.zeros(size), np.zeros((size, size))
    calibrated = {
        (min(one, other), max(one, other)): (bias_m, sigma_m)
        for one, other, bias_m, sigma_m in settings.calibrated_pairs
    }
    for index, pair in enumerate(pairs, start=STATE_SIZE * satellites):
        bias_m, sigma_m = calibrated.get(pair, (settings.range_bias_m, settings.range_bias_sigma_m))
        mean[index], information[index, index] = bias_m, sigma_m**-2.0
    for satellite in range(satellites):
        state = STATE_SIZE * satellite + np.arange(6)
        information[state, state] = UNKNOWN_SIGMA**-2.0
    # Log drag factor of a satellite: common part plus its own part.
    drag = STATE_SIZE * np.arange(satellites) + DRAG
    mean[drag] = -reference.log_drag
    shared, own_part = settings.log_drag_sigma**2, settings.differential_log_drag_sigma**2
    information[drag[:, None], drag] = np.linalg.inv(shared + own_part * np.eye(satellites))
    if own is not None:
        # Our orbit estimate includes our drag factor, which is correlated with those of the others.
        mean[drag] = 0.0
        information[DRAG, DRAG] -= 1.0 / (shared + own_part)
        information[:STATE_SIZE, :STATE_SIZE] -= np.diag(np.append(UNKNOWN_SIGMA**-2.0, 0.0))
        covariance = own.covariance[:STATE_SIZE, :STATE_SIZE]
        at_epoch = reference.d_epoch_d_orbit.dot(covariance).dot(reference.d_epoch_d_orbit.T)
        information[:STATE_SIZE, :STATE_SIZE] += scaled_inverse(at_epoch)
    return Prior(mean, information)

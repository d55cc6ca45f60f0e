"""Linearisation of an arc's observations at the references of its satellites, and the prior of all parameters."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.observation_equations import (
    SEARCH_LOSS,
    Equations,
    FixEquations,
    Prior,
    RangeEquations,
    scaled_inverse,
    white_noise,
)
from pygnc.estimators.formation.observations import Arc, Pair
from pygnc.estimators.formation.reference import STATE_SIZE, Reference, Track
from pygnc.estimators.formation.relative_motion import RelativeDynamics
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.measurement import Fix, linearise_fix
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import DRAG, SIZE, OrbitState


def linearise_observations(
    arc: Arc,
    tracks: dict[int, Track],
    own: OrbitState | None,
    settings: FormationSettings,
    *,
    frames: EarthFrames,
    receiver: MeasurementSettings,
) -> Equations:
    """Return the observation equations, linearised at the references, with the noise of the settings.

    Args:
        arc: Observations.
        tracks: References of all satellites that cover the arc.
        own: Orbit from which our reference was made, if it is the prior of our state; None if our fixes determine it.
        settings: Expected noise, biases and drag factors.
        frames: Earth orientation.
        receiver: Measurement model of the GPS receivers.
    """
    own_id = settings.own_id
    satellites = (own_id, *(satellite for satellite in arc.satellites if satellite != own_id))
    reference = tracks[own_id].reference
    return Equations(
        satellites,
        tuple(arc.ranges),
        tuple(tracks[satellite] for satellite in satellites),
        tuple(
            fix_equations(arc.fixes.get(satellite, ()), tracks[satellite], frames, receiver) for satellite in satellites
        ),
        tuple(_range_equations(arc, pair, satellites, tracks) for pair in arc.ranges),
        initial_prior(len(satellites), tuple(arc.ranges), reference, own, settings),
        RelativeDynamics(reference),
        white_noise(np.full(len(arc.ranges), settings.range_noise_m), np.ones(len(satellites))),
        SEARCH_LOSS,
    )


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


def _range_equations(arc: Arc, pair: Pair, satellites: tuple[int, ...], tracks: dict[int, Track]) -> RangeEquations:
    ranges = arc.ranges[pair]
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
        (satellites.index(pair[0]), satellites.index(pair[1])),
        tracks[pair[0]].reference.node_time(times),
        positions[1] - positions[0],
        (designs[0], designs[1]),
        np.array([each.range_m for each in ranges]),
    )


_UNINFORMATIVE_SIGMA: Final = np.repeat((1e5, 1e3), 3)
"""Standard deviation of an unknown position (m) and velocity (m/s)."""


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
        information[state, state] = _UNINFORMATIVE_SIGMA**-2.0
    # Log drag factor of a satellite: common part plus its own part.
    drag = STATE_SIZE * np.arange(satellites) + DRAG
    mean[drag] = -reference.log_drag
    shared, own_part = settings.log_drag_sigma**2, settings.differential_log_drag_sigma**2
    information[drag[:, None], drag] = np.linalg.inv(shared + own_part * np.eye(satellites))
    if own is not None:
        # Our orbit estimate includes our drag factor, which is correlated with those of the others.
        mean[drag] = 0.0
        information[DRAG, DRAG] -= 1.0 / (shared + own_part)
        information[:STATE_SIZE, :STATE_SIZE] -= np.diag(np.append(_UNINFORMATIVE_SIGMA**-2.0, 0.0))
        covariance = own.covariance[:STATE_SIZE, :STATE_SIZE]
        at_epoch = reference.d_epoch_d_orbit.dot(covariance).dot(reference.d_epoch_d_orbit.T)
        information[:STATE_SIZE, :STATE_SIZE] += scaled_inverse(at_epoch)
    return Prior(mean, information)

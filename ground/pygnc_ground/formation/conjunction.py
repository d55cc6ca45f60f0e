"""Close approaches of a partner whose relative orbit is uncertain, and the probability of a collision in each.

Satellites of a formation pass each other slowly and on curved paths, so the usual assumption of a short encounter does
not hold. The probability is therefore the expected number of entries into the sphere of the combined radius R, which is
an upper limit and, as long as repeated entries are rare, nearly equal to it. With the joint normal distribution of
relative position r and velocity v at each time, entries happen at the rate

    R^2 * integral over all directions u of p(r = R u) E[max(-u.v, 0) | r = R u]

Source: Coppola, Including Velocity Uncertainty in the Probability of Collision between Space Objects, AAS 12-247, 2012.
"""

import math
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from pygnc.estimators.formation.approach import STEP_S, RelativeTrack, distance_sigma_m, distances_m
from pygnc_ground.orbit.solution import BoolArray, FloatArray

_COARSE_S: Final = 20.0
_FAR_SIGMAS: Final = 8.0
"""Distance of the sphere in standard deviations from which on entries are neglected: their probability is 1e-15."""
_STEP_SIGMAS: Final = 0.8
"""Step of the integration, in the time in which the partner moves by a standard deviation of its position."""
_STEPS_MAX: Final = 20_000
_SEPARATE: Final = 2
"""Difference of the numbers of coarse times from which on their surroundings do not overlap."""
_PARALLELS_MAX: Final = 32
_ROUNDING: Final = 1e-12
_CHUNK: Final = 256
"""Number of times in memory at once."""


class Encounter(NamedTuple):
    """Pass of a partner, between two maxima of the distance.

    Attributes:
        gps_ms: GPS milliseconds of the smallest distance.
        distance_m: Distance at that time.
        sigma_m: Standard deviation of the distance at that time.
        probability: Probability of a collision during the pass.
        relative: Position (m) and velocity (m/s) of the partner minus ours at that time, GCRF, shape (6,).
        covariance: Covariance of `relative`, shape (6, 6).
    """

    gps_ms: int
    distance_m: float
    sigma_m: float
    probability: float
    relative: FloatArray
    covariance: FloatArray


class Conjunction(NamedTuple):
    """Encounters with a partner, given that one of the orbits that fit is the true one.

    Attributes:
        partner: Radio id of the partner.
        hypothesis: Index of the hypothesis with this orbit in the solution, 0 for the best.
        nearest: Encounter with the smallest distance.
        likeliest: Encounter with the highest probability of a collision; the nearest of these.
        probability: Probability of a collision during all encounters.
    """

    partner: int
    hypothesis: int
    nearest: Encounter
    likeliest: Encounter
    probability: float


def conjunction(track: RelativeTrack, radius_m: float) -> Conjunction:
    """Return the encounters on a predicted relative orbit; `radius_m` is the combined radius of both satellites."""
    found = list(encounters(track, radius_m))
    nearest = min(found, key=lambda each: each.distance_m)
    likeliest = max(found, key=lambda each: (each.probability, -each.distance_m))
    total = min(1.0, sum(each.probability for each in found))
    return Conjunction(track.partner, track.number, nearest, likeliest, total)


def encounters(track: RelativeTrack, radius_m: float) -> Iterator[Encounter]:
    """Yield all encounters on a predicted relative orbit, in the order of time."""
    begin_s, end_s = track.within_s
    seconds = np.linspace(begin_s, end_s, max(2, math.ceil((end_s - begin_s) / _COARSE_S) + 1))
    distance_m = distances_m(track.at(seconds))
    padded = np.concatenate(((math.inf,), distance_m, (math.inf,)))
    minima = np.flatnonzero((distance_m < padded[:-2]) & (distance_m <= padded[2:])).tolist()
    maxima = [first + int(np.argmax(distance_m[first:after])) for first, after in pairwise(minima)]
    borders = [begin_s, *seconds[maxima].tolist(), end_s]
    # A partner that may be inside at the beginning does not enter.
    inside = _probability_inside(*_moments(track, seconds[:1]), radius_m)
    for row, first_s, last_s in zip(minima, borders[:-1], borders[1:], strict=True):
        near_s = np.clip(seconds[row] + np.arange(-_COARSE_S, _COARSE_S + 0.5), begin_s, end_s)
        values = track.at(near_s)
        at = int(np.argmin(distances_m(values)))
        expected = inside + _expected_entries(track, first_s, last_s, radius_m)
        gps_ms = track.begin_ms + round(1e3 * float(near_s[at]))
        sigma_m = distance_sigma_m(values[at])
        state, covariance = _moments(track, near_s[at : at + 1])
        distance = float(distances_m(values)[at])
        yield Encounter(gps_ms, distance, sigma_m, min(1.0, expected), state[0], covariance[0])
        inside = 0.0


def _moments(track: RelativeTrack, seconds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return means (k, 6) and covariances (k, 6, 6) of relative position and velocity at times (k,)."""
    before = np.clip((seconds / STEP_S).astype(np.int64), 0, len(track.values) - 2)
    t = (seconds / STEP_S - before)[:, None, None]
    change = (track.values[before + 1] - track.values[before]) / STEP_S
    velocity = 6.0 * t * (1.0 - t) * change + (1.0 - t) * (1.0 - 3.0 * t) * track.rates[before]
    velocity += t * (3.0 * t - 2.0) * track.rates[before + 1]
    both = np.concatenate((track.at(seconds), velocity), axis=1)
    root = both[:, :, 1:]
    covariance = root @ root.transpose(0, 2, 1)
    # Rounding must not make it singular.
    of_position = covariance[:, :3, :3]
    of_position += _ROUNDING * np.trace(of_position, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    return both[:, :, 0], covariance


def _expected_entries(track: RelativeTrack, first_s: float, last_s: float, radius_m: float) -> float:
    """Return the expected number of entries into the sphere between two times."""
    seconds = np.linspace(first_s, last_s, max(2, math.ceil((last_s - first_s) / _COARSE_S) + 1))
    mean, covariance = _moments(track, seconds)
    position, velocity = mean[:, :3], mean[:, 3:]
    information = np.linalg.inv(covariance[:, :3, :3])
    # The partner may pass between two times, so its nearest point on a straight line counts.
    turned = np.einsum("kij,kj->ki", information, velocity)
    speed2 = np.maximum(np.einsum("ki,ki->k", turned, velocity), 1e-30)
    ahead_s = np.clip(-np.einsum("ki,ki->k", turned, position) / speed2, -_COARSE_S, _COARSE_S)
    near = np.flatnonzero(_is_near(position + ahead_s[:, None] * velocity, covariance, radius_m))
    expected = 0.0
    for rows in np.split(near, np.flatnonzero(np.diff(near) > _SEPARATE) + 1) if len(near) else ():
        begin_s = max(first_s, float(seconds[rows[0]]) - _COARSE_S)
        end_s = min(last_s, float(seconds[rows[-1]]) + _COARSE_S)
        step_s = min(_COARSE_S, _STEP_SIGMAS / math.sqrt(float(speed2[rows].max())))
        times = np.linspace(begin_s, end_s, 1 + int(np.clip(math.ceil((end_s - begin_s) / step_s), 1, _STEPS_MAX)))
        chunks = np.array_split(times, -(-len(times) // _CHUNK))
        rates = [_entry_rates(*_moments(track, chunk), radius_m) for chunk in chunks]
        expected += float(np.trapezoid(np.concatenate(rates), times))
    return expected


def _is_near(position_m: FloatArray, covariance: FloatArray, radius_m: float) -> BoolArray:
    """Return False for means (k, 3) from which the sphere is farther than `_FAR_SIGMAS`; covariances (k, 6, 6)."""
    of_position, far = covariance[:, :3, :3], np.zeros(len(position_m), dtype=np.bool_)
    # Along any direction w, the sphere is at least (w.r - R |w|) / sqrt(w' P w) standard deviations away.
    for direction in (position_m, np.linalg.solve(of_position, position_m[:, :, None])[:, :, 0]):
        sigma = np.sqrt(np.einsum("ki,kij,kj->k", direction, of_position, direction))
        gap = np.einsum("ki,ki->k", direction, position_m) - radius_m * np.linalg.norm(direction, axis=1)
        far |= gap > _FAR_SIGMAS * sigma
    return ~far


def _entry_rates(mean: FloatArray, covariance: FloatArray, radius_m: float) -> FloatArray:
    """Return the rates of entries per s, (k,), for means (k, 6) and covariances (k, 6, 6)."""
    from scipy.special import ndtr  # noqa: PLC0415 - takes a third of the time of a command's help

    rates = np.zeros(len(mean))
    near = _is_near(mean[:, :3], covariance, radius_m)
    if not near.any():
        return rates
    mean, covariance = mean[near], covariance[near]
    of_position, cross, of_velocity = covariance[:, :3, :3], covariance[:, 3:, :3], covariance[:, 3:, 3:]
    sigma_min_m = math.sqrt(float(np.linalg.eigvalsh(of_position).min()))
    around, weights = _directions(min(_PARALLELS_MAX, 2 + math.ceil(4.0 * radius_m / sigma_min_m)))
    # The integrand has an edge where directions are across the velocity, so that has to be the equator.
    directions = around @ _axes_of(mean[:, 3:])
    offset = radius_m * directions - mean[:, None, :3]
    gain = np.linalg.solve(of_position, cross.transpose(0, 2, 1))
    inward = -np.einsum("kdi,kdi->kd", directions, mean[:, None, 3:] + offset @ gain)
    variance = np.einsum("kdi,kdi->kd", directions @ (of_velocity - cross @ gain), directions)
    sigma = np.sqrt(np.maximum(variance, 1e-24))
    scaled = inward / sigma
    flux = sigma * np.exp(-0.5 * scaled * scaled) / math.sqrt(2.0 * math.pi) + inward * ndtr(scaled)
    rates[near] = radius_m**2 * (_density(of_position, offset) * flux) @ weights
    return rates


def _axes_of(vectors: FloatArray) -> FloatArray:
    """Return orthonormal axes, (k, 3, 3), of which the last is along each vector (k, 3)."""
    last = vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)[:, None]
    last[~last.any(axis=1)] = (0.0, 0.0, 1.0)
    first = np.cross(last, np.eye(3)[np.abs(last).argmin(axis=1)])
    first /= np.linalg.norm(first, axis=1)[:, None]
    return np.stack((first, np.cross(last, first), last), axis=1)


def _probability_inside(mean: FloatArray, covariance: FloatArray, radius_m: float) -> float:
    """Return the probability that the partner is inside the sphere, for one mean (1, 6) and covariance (1, 6, 6)."""
    directions, weights = _directions(12)
    nodes, radial = np.polynomial.legendre.leggauss(24)
    radii = 0.5 * radius_m * (nodes + 1.0)
    points = (radii[:, None, None] * directions).reshape(1, -1, 3)
    density = _density(covariance[:, :3, :3], points - mean[:, None, :3]).reshape(len(radii), -1)
    return float(0.5 * radius_m * (radial * radii**2) @ density @ weights)


def _density(covariance: FloatArray, offset: FloatArray) -> FloatArray:
    """Return normal probability densities, (k, d), at offsets (k, d, 3) from the mean with covariances (k, 3, 3)."""
    root = np.linalg.cholesky(covariance)
    scaled = offset @ np.linalg.inv(root).transpose(0, 2, 1)
    volume = np.prod(np.diagonal(root, axis1=1, axis2=2), axis=1) * (2.0 * math.pi) ** 1.5
    density: FloatArray = np.exp(-0.5 * np.einsum("kdi,kdi->kd", scaled, scaled)) / volume[:, None]
    return density


@cache
def _directions(count: int) -> tuple[FloatArray, FloatArray]:
    """Return unit vectors (d, 3) and weights (d,) of an integral over a sphere, with `count` parallels of each half."""
    nodes, weight = np.polynomial.legendre.leggauss(count)
    cosine, weight = np.concatenate((0.5 * (nodes - 1.0), 0.5 * (nodes + 1.0))), np.tile(0.5 * weight, 2)
    meridians = 2 * count
    angle = (np.arange(meridians) + 0.5) * 2.0 * math.pi / meridians
    sine = np.sqrt(1.0 - cosine**2)
    x, y = np.outer(sine, np.cos(angle)), np.outer(sine, np.sin(angle))
    z = np.repeat(cosine[:, None], meridians, axis=1)
    weights = np.repeat(weight * 2.0 * math.pi / meridians, meridians)
    return np.stack((x, y, z), axis=-1).reshape(-1, 3), weights

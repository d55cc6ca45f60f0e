"""Identification of a satellite in a catalogue by its orbit.

Each element set is compared with the observed orbit at its epoch, or as near to it as the orbit reaches. The ratio of
an object is that of two densities of its element sets: if it is the satellite, and if it is another object of the
launch or the satellite's twin from the same dispenser. All times of the catalogue may be wrong by a common offset; how
far the satellite lies off the objects of its launch tells how large it is.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.common.mean_elements import MeanElements
from pygnc.environment.frames import EarthFrames
from pygnc.environment.sgp4 import gcrf_from_teme
from pygnc_ground.orbit.catalogue import ObjectKey, nearest_sets, object_key
from pygnc_ground.orbit.element_errors import NEIGHBOUR_M, covariance_of, offsets, partials_of
from pygnc_ground.orbit.identification import IMPOSSIBLE, Identification, Match, log_sum, posterior
from pygnc_ground.orbit.object_orbits import PARAMETERS, ElementSets, ErrorModel, Prior, fixed_axes
from pygnc_ground.orbit.solution import FloatArray, IntArray

_SETS_MAX: Final = 8
_FITTED_MAX: Final = 16
"""Number of objects of which the densities are integrated: those whose sets agree best with the observed orbit."""
_OWN_DECAY_M_PER_DAY: Final = 5.0
"""Standard deviation of the decay of the observed orbit."""
_LASTING: Final = ((0.8, 0.5), (0.2, 2.0))
"""Shares and standard deviations, in scales, of the errors that all sets of an object have in common."""
_TWIN_SHARE: Final = 0.2
"""Probability that the satellite has a twin."""
_TWIN: Final = 0.15
"""Differences of twins, relative to those of the objects of a launch."""
_LATE_SHARE: Final = 0.1
"""Probability that all times of a catalogue are wrong."""
_LATE_M: Final = 30e3
"""Standard deviation of the displacement by wrong times: 4 s."""
_STRAGGLER: Final = ((0.9, 1.0), (0.1, 10.0))
"""Shares of satellites whose distance from the other objects is this many times the expected one."""


class Observation(NamedTuple):
    """State of the satellite in TEME.

    Attributes:
        gps_ms: Time.
        state: Position in m and velocity in m/s, shape (6,).
        covariance: Covariance of the state, shape (6, 6).
    """

    gps_ms: int
    state: FloatArray
    covariance: FloatArray

    @classmethod
    def from_ecef(cls, gps_ms: int, state: FloatArray, covariance: FloatArray, frames: EarthFrames) -> "Observation":
        """Return the observation of a state in ITRF."""
        turn = np.kron(np.eye(2), gcrf_from_teme(gps_ms, frames).T) @ np.linalg.inv(frames.ecef_state_from_gcrf(gps_ms))
        return cls(gps_ms, turn @ state, turn @ covariance @ turn.T)


def identify_orbit(
    observe: Callable[[int], Observation],
    times_ms: IntArray,
    elements: Sequence[MeanElements],
    prior_none: float,
) -> Identification:
    """Return the probabilities of the objects of a catalogue for a satellite whose orbit is known at some times.

    `observe` returns the observation at one of the ascending times (n,), GPS ms. `prior_none` is the probability that
    the catalogue lacks the satellite, before the observation.

    Raises:
        ValueError: No object has an orbit at the time of the observation.
    """
    last_ms = int(times_ms[-1])
    sets = nearest_sets(elements, last_ms, _SETS_MAX)
    nearest = [int(times_ms[np.argmin(np.abs(times_ms - one.epoch_gps_ms))]) for one in sets]
    observations = [observe(ms) for ms in (*nearest, last_ms)]
    states = np.array([one.state for one in observations])
    found, partials = offsets(states[:-1], sets, nearest)
    rows: dict[ObjectKey, list[int]] = {}
    for row in np.flatnonzero(np.isfinite(found).all(axis=1)).tolist():
        rows.setdefault(object_key(sets[row]), []).append(row)
    if not rows:
        raise ValueError(
            f"no object of the catalogue has an orbit at {utc_iso_from_gps_ms(last_ms)}; get newer elements"
        )
    objects = list(rows.values())
    near = [k for k, own in enumerate(objects) if (np.abs(found[own]) < NEIGHBOUR_M).all(axis=1).any()]
    ratios = np.full(len(objects), IMPOSSIBLE)
    if near:
        turns = fixed_axes(states)
        turn = turns[-1] @ partials_of(states[-1:])[0]
        turned = np.einsum("kij,kj->ki", turns[:-1], found)
        measured = ElementSets.of(turned, sets, np.array(nearest), last_ms, [objects[k] for k in near])
        ratios[near] = log_ratios(ErrorModel.learnt(measured), turn @ observations[-1].covariance @ turn.T)
    matches = []
    for own, ratio in zip(objects, ratios.tolist(), strict=True):
        row = own[0]  # the newest set
        of_observation = float((partials[row] @ observations[row].covariance @ partials[row].T)[0, 0])
        sigma_m = math.sqrt(of_observation + covariance_of(sets[row], nearest[row])[0, 0])
        matches.append(Match(sets[row], ratio, float(found[row, 0]), sigma_m))
    return posterior(matches, 0.0, prior_none, last_ms)


def log_ratios(model: ErrorModel, observed: FloatArray) -> FloatArray:
    """Return for n objects the logarithms of the density of their sets if it is ours, relative to another object.

    `observed` (6, 6) is the covariance of the observed orbit, at the reference time in axes that do not rotate.
    """
    of_orbit = np.zeros((PARAMETERS, PARAMETERS))
    of_orbit[:6, :6] = observed
    of_orbit[6, 6] = _OWN_DECAY_M_PER_DAY**2
    late = _common_offsets(model.population, observed)
    count = len(model.typical)
    rough = of_orbit + np.diag(np.append(2.0 * model.scale_m, 0.0) ** 2)
    rough[0, 0] += max(along_m**2 + variance for _, along_m, variance in late)
    rows = model.nearest(Prior(np.zeros(PARAMETERS), rough), _FITTED_MAX)
    model = model.of(rows)
    others = model.fit(model.population, model.starts())
    starts = np.stack((np.zeros_like(others.difference), others.difference), axis=1)
    twin_covariance = _TWIN**2 * model.population.covariance
    own, twin = [], []
    for share, along_m, variance in late:
        mean, covariance = np.zeros(PARAMETERS), of_orbit.copy()
        mean[0] = along_m
        covariance[0, 0] += variance
        twin.append(math.log(share) + model.fit(Prior(mean, covariance + twin_covariance), starts).log_evidence)
        for part, factor in _LASTING:
            lasting = np.diag(np.append(factor * model.scale_m, 0.0) ** 2)
            own.append(math.log(share * part) + model.fit(Prior(mean, covariance + lasting), starts).log_evidence)
    is_twin = math.log(_TWIN_SHARE / count)
    another = np.logaddexp(math.log1p(-math.exp(is_twin)) + others.log_evidence, is_twin + log_sum(np.array(twin)))
    fitted = log_sum(np.array(own)) - another
    # Objects that are not fitted are no better than the worst one.
    ratios = np.full(count, fitted.min())
    ratios[rows] = fitted
    return ratios


def _common_offsets(population: Prior, observed: FloatArray) -> list[tuple[float, float, float]]:
    """Return probabilities, means and variances along the track of the offset that all sets have in common.

    The objects of a launch lie on a line, because they left one place; the satellite lies off this line by the offset.
    """
    covariance = population.covariance[:6, :6] + observed
    gain = np.linalg.solve(covariance[1:, 1:], covariance[1:, 0])
    off_m = float(population.mean[0] - gain @ population.mean[1:6])
    expected = float(covariance[0, 0] - gain @ covariance[1:, 0])
    found = []
    for share, factor in _STRAGGLER:
        own = factor**2 * expected
        both = own + _LATE_M**2
        weights = (1.0 - _LATE_SHARE) * _density(off_m, own), _LATE_SHARE * _density(off_m, both)
        found += [
            (share * weights[0], 0.0, 0.0),
            (share * weights[1], off_m * _LATE_M**2 / both, own * _LATE_M**2 / both),
        ]
    total = sum(one[0] for one in found)
    return [(weight / total, along_m, variance) for weight, along_m, variance in found if weight > 1e-4 * total]


def _density(residual: float, variance: float) -> float:
    return math.exp(-0.5 * residual**2 / variance) / math.sqrt(variance)

"""Identification of a satellite in a catalogue by its orbit.

Each element set is compared with the observed orbit at its epoch, or as near to it as the orbit reaches. The density of
any object of the launch is a kernel density estimate from all objects.
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
from pygnc_ground.orbit.element_errors import (
    LATE_M,
    LATE_PRIOR,
    POPULATION_FLOOR_M,
    SCALES,
    TWIN_COVARIANCES,
    covariance_of,
    kernel_of,
    offsets,
)
from pygnc_ground.orbit.identification import (
    CORRELATION,
    IMPOSSIBLE,
    MISTAGGED,
    Evidence,
    Identification,
    log_sum,
    posterior,
    ratios_of,
)
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray

_SETS_MAX: Final = 4


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
    compared = _compare([observe(ms) for ms in nearest], sets)
    newest = nearest_sets(sets, last_ms, 1)
    others = _compare([observe(last_ms)] * len(newest), newest)
    _require(compared.usable, last_ms)
    _require(others.usable, last_ms)
    found, spread = others.found[others.usable], (others.observed + others.errors)[others.usable]
    centre = found[np.argmin(np.abs(found / POPULATION_FLOOR_M).sum(axis=1))]
    population = float(log_sum(_log_density(found, spread + kernel_of(found - centre))[:, 0])) - math.log(len(found))
    found, observed, errors = (part[compared.usable] for part in (compared.found, compared.observed, compared.errors))
    by_scale = np.array([math.log(one.weight) + _log_density(found, observed + one.of(errors)) for one in SCALES])
    own = log_sum(by_scale)
    sigma_m = np.sqrt(observed[:, 0, 0] + errors[:, 0, 0])
    usable = [one for one, is_usable in zip(sets, compared.usable, strict=True) if is_usable]
    rows: dict[ObjectKey, list[int]] = {}
    for row, one in enumerate(usable):
        rows.setdefault(object_key(one), []).append(row)
    evidence = []
    for of_object in rows.values():
        late = int((np.log(LATE_PRIOR) + ratios_of(own[of_object], population).sum(axis=0)).argmax())
        fitting = [row for row in of_object if own[row, late] - population > math.log(2.0 * MISTAGGED)]
        twin = IMPOSSIBLE
        if fitting:
            scales = [SCALES[int(by_scale[:, row, late].argmax())] for row in fitting]
            covariances = [observed[row] + scale.of(errors[row]) for row, scale in zip(fitting, scales, strict=True)]
            twin = _log_twin_ratio(found[fitting], np.array(covariances), late)
        evidence += [
            Evidence(usable[row], own[row], twin, float(found[row, 0]), float(sigma_m[row])) for row in of_object
        ]
    return posterior(evidence, population, prior_none, last_ms)


def _log_twin_ratio(found: FloatArray, covariances: FloatArray, late: int) -> float:
    """Return the logarithm of the density for twins of an object, relative to that for the object.

    `found` (n, 6) are the differences to the sets of the object, `covariances` (n, 6, 6) those of the sets' errors,
    `late` is the index of the common offset. A twin has one difference for all sets, so their mean decides.
    """
    weights = np.linalg.inv(covariances)
    covariance = np.linalg.inv(weights.sum(axis=0))
    mean = covariance @ np.einsum("nij,nj->i", weights, found)
    covariance = covariance * (1.0 + CORRELATION * (len(found) - 1))
    twins = [math.log(share) + _log_density(mean, covariance + kernel)[late] for share, kernel in TWIN_COVARIANCES]
    return float(log_sum(np.array(twins)) - _log_density(mean, covariance)[late])


def _log_density(residual: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return logarithms of Gaussian densities, without the factor of 2 pi, for all common offsets, shape (..., k).

    Residuals have shape (..., 6), covariances (..., 6, 6); the k offsets are `LATE_M`.
    """
    weighted = np.linalg.solve(covariance, residual[..., None])[..., 0]
    of_along = np.linalg.inv(covariance)[..., 0, 0, None]
    logs = np.linalg.slogdet(covariance)[1]
    square = (residual * weighted).sum(axis=-1)[..., None] - 2.0 * weighted[..., 0, None] * LATE_M
    density: FloatArray = -0.5 * (square + of_along * LATE_M**2 + logs[..., None])
    return density


class _Compared(NamedTuple):
    """Differences (n, 6) between observations and elements, covariances (n, 6, 6) of both, and which are known."""

    found: FloatArray
    observed: FloatArray
    errors: FloatArray
    usable: BoolArray


def _compare(observations: Sequence[Observation], elements: Sequence[MeanElements]) -> _Compared:
    times = [one.gps_ms for one in observations]
    found, partials = offsets(np.array([one.state for one in observations]), elements, times)
    covariances = np.array([one.covariance for one in observations])
    observed = partials @ covariances @ partials.swapaxes(1, 2)
    errors = np.array([covariance_of(one, ms) for one, ms in zip(elements, times, strict=True)])
    return _Compared(found, observed, errors, np.asarray(np.isfinite(found).all(axis=1)))


def _require(usable: BoolArray, gps_ms: int) -> None:
    if not usable.any():
        raise ValueError(
            f"no object of the catalogue has an orbit at {utc_iso_from_gps_ms(gps_ms)}; get newer elements"
        )

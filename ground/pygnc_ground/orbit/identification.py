"""Probabilities of the objects of a catalogue, from what their element sets and an observation show.

Probabilities follow from the ratio of two densities of the observation: that by the element sets of an object, and that
of any object of the launch. The hypothesis "none of these" has the ratio 1, and in addition the ratios of a twin of
each object. A set may be of another object, so its ratio is not below `MISTAGGED`. Ratios of several sets of an object
are multiplied, with a power below 1, because their errors are not independent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.common.mean_elements import MeanElements
from pygnc.environment.sgp4 import Sgp4Error, teme_states
from pygnc_ground.orbit.catalogue import ObjectKey, object_key
from pygnc_ground.orbit.element_errors import LATE_PRIOR, SIGMA_M, TWIN_SHARE, offsets
from pygnc_ground.orbit.solution import FloatArray

NONE: Final = "none of these"
CERTAIN: Final = 0.99
MISTAGGED: Final = 0.05
"""Probability that an element set is of another object, or useless."""
CORRELATION: Final = 0.2
"""Correlation of the errors of two element sets of an object."""
IMPOSSIBLE: Final = -1e3
"""Logarithm of a density that counts as zero."""
_HOURS: Final = (6, 12, 24, 48, 72, 120, 168)
_FRESH_M: Final = 6.0 * math.hypot(float(SIGMA_M[0]), 1_500.0)
"""Distance at which fresh elements of two objects are distinct: six standard deviations of a difference."""


class Candidate(NamedTuple):
    """Object of the catalogue, or `NONE`, with its probability.

    Attributes:
        elements: Elements; None for `NONE`.
        probability: Probability that the satellite is this object.
        along_m: How far the satellite is ahead of the elements, m; NaN for `NONE`.
        along_sigma_m: Standard deviation that elements and observation give this offset, m.
        age_h: Time from the epoch to the observation, h.
    """

    elements: MeanElements | None
    probability: float
    along_m: float = math.nan
    along_sigma_m: float = math.nan
    age_h: float = math.nan

    @property
    def name(self) -> str:
        """Name, number and designator of the object."""
        return NONE if self.elements is None else self.elements.description


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """Candidates in order of probability, and the time of the observation."""

    candidates: list[Candidate]
    gps_ms: int

    @property
    def best(self) -> Candidate:
        """The most probable candidate."""
        return self.candidates[0]

    @property
    def likely(self) -> list[Candidate]:
        """The fewest candidates with a total probability of at least `CERTAIN`."""
        total = np.cumsum([one.probability for one in self.candidates])
        return self.candidates[: int(np.searchsorted(total, CERTAIN)) + 1]


class Evidence(NamedTuple):
    """Observation and an element set.

    Attributes:
        elements: The set.
        own: Logarithms of the density of the observation if the set is of our object, for common offsets (k,).
        twin: Logarithm of the density if the object's sets are of a twin, relative to that, times the share of twins.
        along_m: Offset along the track.
        along_sigma_m: Its standard deviation.
    """

    elements: MeanElements
    own: FloatArray
    twin: float
    along_m: float
    along_sigma_m: float


def log_sum(values: FloatArray, axis: int = 0) -> FloatArray:
    """Return the logarithms of sums along an axis, from the logarithms of their terms."""
    most = values.max(axis=axis, keepdims=True)
    total: FloatArray = np.log(np.exp(values - most).sum(axis=axis)) + most.squeeze(axis)
    return total


def ratios_of(own: FloatArray, population: float) -> FloatArray:
    """Return logarithms of the ratios of element sets (n, k) to the density of any object."""
    ratios: FloatArray = np.logaddexp(math.log1p(-MISTAGGED) + own - population, math.log(MISTAGGED))
    return ratios


def posterior(evidence: Sequence[Evidence], population: float, prior_none: float, gps_ms: int) -> Identification:
    """Return the candidates; `population` is the logarithm of the density of the observation for any object."""
    sets: dict[ObjectKey, list[Evidence]] = {}
    for one in evidence:
        sets.setdefault(object_key(one.elements), []).append(one)
    newest = [min(own, key=lambda one: abs(gps_ms - one.elements.epoch_gps_ms)) for own in sets.values()]
    logs, twins = [], []
    for own in sets.values():
        ratios = ratios_of(np.array([one.own for one in own]), population)
        by_offset = np.log(LATE_PRIOR) + ratios.sum(axis=0) / (1.0 + CORRELATION * (len(own) - 1))
        logs.append(float(log_sum(by_offset)))
        twins.append(logs[-1] + own[0].twin)
    count = len(logs)
    none = np.logaddexp(log_sum(np.array(twins)) - math.log(count), math.log1p(-TWIN_SHARE))
    weights = np.append(np.array(logs) + math.log((1.0 - prior_none) / count), none + math.log(prior_none))
    probability = np.exp(weights - log_sum(weights))
    candidates = [
        Candidate(one.elements, p, one.along_m, one.along_sigma_m, (gps_ms - one.elements.epoch_gps_ms) / 3.6e6)
        for one, p in zip(newest, probability[:-1].tolist(), strict=True)
    ]
    candidates.append(Candidate(None, float(probability[-1])))
    return Identification(sorted(candidates, key=lambda one: -one.probability), gps_ms)


def deciding_measurement(found: Identification) -> str:
    """Return which measurement would decide between the candidates that remain, as a sentence."""
    if found.best.elements is None:
        return "Newer elements of all objects of the launch would decide, because this one may be missing."
    rivals = [one for one in found.candidates[1:] if one.elements is not None]
    if found.best.probability >= CERTAIN or not rivals:
        return ""
    first, second = found.best.elements, rivals[0].elements
    if found.candidates[1].elements is None or second is None:
        return "Newer elements would decide whether the offset is an error of these ones."
    for hours in (0, *_HOURS):
        gps_ms = found.gps_ms + 3_600_000 * hours
        try:
            states = teme_states(first, [gps_ms])
        except Sgp4Error:
            break
        apart_m = abs(float(offsets(states, [second], [gps_ms])[0][0, 0]))
        if apart_m > _FRESH_M:
            when = "now" if hours == 0 else f"after {utc_iso_from_gps_ms(gps_ms)[:16]}"
            return (
                f"{first.description} and {second.description} are {1e-3 * apart_m:.0f} km apart {when}: fixes with"
                " elements whose epoch is then would decide."
            )
    return (
        f"{first.description} and {second.description} stay within {1e-3 * _FRESH_M:.0f} km of each other for"
        " days: only a signal that names the satellite, or its operator's manoeuvre, would decide."
    )

"""Probabilities of the objects of a catalogue, from what their element sets and an observation show.

Probabilities follow from the ratio of two densities: that if the satellite is an object, and that if the object is
another one of the launch. The hypothesis "none of these" has the ratio 1, unless an object may be the satellite's twin.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.common.mean_elements import MeanElements
from pygnc.environment.sgp4 import Sgp4Error, teme_states
from pygnc_ground.orbit.element_errors import SIGMA_M, offsets
from pygnc_ground.orbit.solution import FloatArray

NONE: Final = "none of these"
CERTAIN: Final = 0.99
IMPOSSIBLE: Final = -1e3
"""Logarithm of a ratio that counts as zero."""
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


class Match(NamedTuple):
    """Object of a catalogue and how well the observation matches it.

    Attributes:
        elements: Newest elements.
        log_ratio: Logarithm of the density if the satellite is this object, relative to another object of the launch.
        along_m: Offset along the track.
        along_sigma_m: Its standard deviation.
    """

    elements: MeanElements
    log_ratio: float
    along_m: float
    along_sigma_m: float


def log_sum(values: FloatArray, axis: int = 0) -> FloatArray:
    """Return the logarithms of sums along an axis, from the logarithms of their terms."""
    most = values.max(axis=axis, keepdims=True)
    total: FloatArray = np.log(np.exp(values - most).sum(axis=axis)) + most.squeeze(axis)
    return total


def posterior(matches: Sequence[Match], none: float, prior_none: float, gps_ms: int) -> Identification:
    """Return the candidates; `none` is the logarithm of the ratio of "none of these"."""
    each = math.log((1.0 - prior_none) / len(matches))
    weights = np.array([each + one.log_ratio for one in matches] + [math.log(prior_none) + none])
    probability = np.exp(weights - log_sum(weights))
    candidates = [
        Candidate(one.elements, p, one.along_m, one.along_sigma_m, (gps_ms - one.elements.epoch_gps_ms) / 3.6e6)
        for one, p in zip(matches, probability[:-1].tolist(), strict=True)
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

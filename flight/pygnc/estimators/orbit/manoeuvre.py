"""Detection of manoeuvres by the likelihood of position and velocity innovations.

Innovations that are improbable or correlated start candidates: copies of the bank of filters that differ by an unknown
change of the velocity before the fix (impulse), by an unknown acceleration from then on (begin of a thrust) or, during
a thrust, by its end. They process the next fixes beside the original. A candidate that explains them better by far is a
manoeuvre (generalised likelihood ratio test; Willsky & Jones, IEEE TAC 21, 1976). A ratio of likelihoods exceeds e^L by
chance with a probability of at most e^-L, and one outlier contributes no more than the gate allows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import rtn_axes
from pygnc.estimators.orbit.error_models import Hypotheses, InnovationTest
from pygnc.estimators.orbit.state import EMPIRICAL, POSITION, SIZE, VELOCITY, OrbitState

GAP_MAX_S: Final = 600.0
"""Longest time without fixes across which a manoeuvre is detected: unknown drag changes the orbit, too."""


@unique
class Change(StrEnum):
    """Kind of a change of the motion, as in events."""

    IMPULSE = "impulse"
    THRUST_BEGIN = "thrust_begin"
    THRUST_END = "thrust_end"


_FIXES_MAX: Final = {Change.IMPULSE: 8, Change.THRUST_BEGIN: 24, Change.THRUST_END: 72}
"""Fixes after which a candidate is dropped."""


class Manoeuvre(NamedTuple):
    """Change of the motion that the fixes show.

    Attributes:
        change: Kind of the change.
        first_gps_ms: Time of the first fix after the change, GPS ms.
        delta_v_rtn_mps: Velocity with the change minus velocity without it, at the time of confirmation, along radial,
            transverse and normal, m/s.
        sigma_rtn_mps: Its standard deviations, m/s.
    """

    change: Change
    first_gps_ms: int
    delta_v_rtn_mps: tuple[float, ...]
    sigma_rtn_mps: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """Assumed change of the motion.

    Attributes:
        change: Kind of the change.
        first_gps_ms: Time of the first fix after it, GPS ms.
        hypotheses: Hypotheses with the change, relative to the state of the filter.
        before: Orbit without the change at `first_gps_ms`, predicted from the last fix before it.
        lead: Logarithm of the likelihood ratio to the hypotheses without it.
        fixes: Number of fixes that the ratio covers.
    """

    change: Change
    first_gps_ms: int
    hypotheses: Hypotheses
    before: OrbitState
    lead: float = 0.0
    fixes: int = 0

    @property
    def is_refuted(self) -> bool:
        """True if the fixes do not support the change."""
        # At so small a likelihood ratio (e^-4), the fixes speak against the change.
        return self.lead < -4.0 or self.fixes >= _FIXES_MAX[self.change]

    def manoeuvre(self, after: OrbitState, before: OrbitState) -> Manoeuvre:
        """Return the manoeuvre from the orbits with it and without it at the same time."""
        axes = rtn_axes(after.x[POSITION], after.x[VELOCITY])
        delta_mps = axes.T.dot(after.x[VELOCITY] - before.x[VELOCITY])
        covariance = (after.covariance + before.covariance)[VELOCITY, VELOCITY]
        sigma = np.sqrt(np.diagonal(axes.T.dot(covariance).dot(axes)))
        return Manoeuvre(self.change, self.first_gps_ms, tuple(delta_mps.tolist()), tuple(sigma.tolist()))


def confirmed(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the candidate that is certain; None if none is, or if it is unclear which of them."""
    if not candidates:
        return None
    best = max(candidates, key=lambda candidate: candidate.lead)
    others = [candidate.lead for candidate in candidates if candidate.change is not best.change]
    ahead = best.lead - max(others, default=-math.inf)
    # After seven fixes a candidate need not be ahead of the others.
    is_clear = ahead >= 3.0 or best.fixes >= 7
    # Logarithm of the likelihood ratio to the original. The end of a thrust is certain to come.
    lead_min = 5.0 if best.change is Change.THRUST_END else 15.0
    return best if best.fixes >= 3 and best.lead >= lead_min and is_clear else None


def impulse_size_mps(test: InnovationTest, interval_s: float, max_mps: float) -> float | None:
    """Return the expected size of a suspected impulse; None if the innovations show none.

    Args:
        test: Innovations without an impulse; those of the velocity, if any, give its size.
        interval_s: Time since the fix before.
        max_mps: Largest impulse.
    """
    parts = [part for part in (test.position, test.velocity) if part is not None]
    # 1 in 360 good innovations of three components exceeds this.
    if max(part.chi_square for part in parts) < 14.2:
        return None
    size_mps = (
        math.hypot(*test.velocity.residual) if test.velocity else math.hypot(*test.position.residual) / interval_s
    )
    return None if size_mps > max_mps else max(size_mps, 0.01)


def impulse_root(sigma_mps: float, interval_s: float) -> Array:
    """Return the root (10, 6) of the covariance that an impulse adds at the end of the interval in which it happened.

    Args:
        sigma_mps: Expected size of the impulse.
        interval_s: Length of the interval.
    """
    root = np.zeros((SIZE, 6))
    eye = np.eye(3)
    root[POSITION, :3] = 0.5 * interval_s * sigma_mps * eye
    root[VELOCITY, :3] = sigma_mps * eye
    root[POSITION, 3:] = interval_s / math.sqrt(12.0) * sigma_mps * eye
    return root


def thrust_root(sigma_mps2: float) -> Array:
    """Return the root (10, 3) of the covariance that an acceleration of a standard deviation adds in 100 s."""
    root = np.zeros((SIZE, 3))
    eye = np.eye(3)
    root[POSITION] = 0.5 * 100.0**2 * sigma_mps2 * eye
    root[VELOCITY] = 100.0 * sigma_mps2 * eye
    root[EMPIRICAL] = sigma_mps2 * eye
    return root

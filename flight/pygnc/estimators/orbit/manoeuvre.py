"""Detection of manoeuvres by the likelihood of position and velocity innovations.

Improbable or correlated innovations start candidates: copies of the bank of filters with an unknown change of velocity
before the fix (impulse), with an unknown acceleration from then on (begin of a thrust) or, during a thrust, with its
end. Candidates process the next fixes in parallel to the original bank. If one explains the fixes much better, it is a
manoeuvre (generalised likelihood ratio test; Willsky & Jones, IEEE TAC 21, 1976). A ratio of likelihoods exceeds e^L by
chance with a probability of at most e^-L, and one outlier contributes no more than the gate allows.

A step of the receiver's time displaces all later fixes along the track, and is a candidate, too: an unknown change of
one parameter. If it is confirmed, the orbit without these fixes continues, and their times are corrected.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import rtn_axes
from pygnc.estimators.orbit.error_models import InnovationTest
from pygnc.estimators.orbit.hypotheses import Hypotheses
from pygnc.estimators.orbit.settings import ManoeuvreSettings
from pygnc.estimators.orbit.state import EMPIRICAL, POSITION, SIZE, VELOCITY, OrbitState

_CHI_SQUARE_SUSPICIOUS: Final = 14.2
"""Normalised innovation squared (3 components) from which an impulse is suspected; 1 in 360 good ones exceeds it."""
FACTOR_SUSPICIOUS: Final = 1.25
"""Value of `ErrorBank.widening` above which a thrust is suspected: successive innovations were correlated."""
_STEP_SQUARE_SUSPICIOUS: Final = 4.5
"""Square of the step of the time that a fix shows, over its variance, from which a step is suspected."""
STEP_SIGMA_S: Final = 5e-3
_STEP_MAX_S: Final = 0.1
"""Least standard deviation of a suspected step, and largest step; beyond it the orbit is not linear in the step."""
_LEAD_OVER_OTHERS: Final = 3.0
"""Least difference of the `lead` of a candidate to the leads of other kinds of change, and least `position_lead`."""
_LEAD_LOST: Final = -4.0
"""Value of `lead` below which a candidate is refuted."""
_FIXES_CLEAR: Final = 7
"""Number of fixes from which a manoeuvre need not lead over other kinds of change."""
_THRUST_S: Final = 100.0
"""Assumed time in s that a thrust has lasted when it is suspected."""
DISTRUST_DECIDED: Final = 0.01
"""Probability of slow errors of the velocities below which the positions have confirmed a manoeuvre."""
THRUST_SHARE: Final = 0.3
"""Variation of the acceleration during a thrust, relative to the size of the acceleration."""


@unique
class Change(StrEnum):
    """Kind of a change of the motion; the values appear in events."""

    IMPULSE = "impulse"
    THRUST_BEGIN = "thrust_begin"
    THRUST_END = "thrust_end"
    TIME_STEP = "time_step"
    """Step of the times of the fixes, which is no manoeuvre."""


class _Limits(NamedTuple):
    """Least lead and number of fixes that confirm a candidate; number after which an unconfirmed one is dropped."""

    lead: float
    fixes: int
    fixes_max: int


_LIMITS: Final = {
    Change.IMPULSE: _Limits(15.0, 3, 8),
    Change.THRUST_BEGIN: _Limits(15.0, 3, 24),
    # Every thrust ends.
    Change.THRUST_END: _Limits(5.0, 3, 72),
    # A step has only one parameter. More fixes make it more accurate.
    Change.TIME_STEP: _Limits(10.0, 8, 24),
}


class Manoeuvre(NamedTuple):
    """Confirmed change of the motion.

    Attributes:
        change: Kind of the change.
        first_gps_ms: Time of the first fix after the change, GPS ms.
        delta_v_rtn_mps: Velocity with the change minus velocity without it, at the time of confirmation, along radial,
            transverse and normal, m/s.
        sigma_rtn_mps: Standard deviations of `delta_v_rtn_mps`, m/s.
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
        first_gps_ms: Time of the first fix after the change, GPS ms.
        hypotheses: Hypotheses with the change, relative to the state of the filter.
        before: Orbit without the change at `first_gps_ms`, predicted from the last fix before it.
        lead: Logarithm of the likelihood ratio of the hypotheses with the change to those without it.
        fixes: Number of fixes that the ratio covers.
        position_lead: For a step of the times, logarithm of the likelihood ratio of the positions alone to hypotheses
            without the step that distrust the velocities.
        unchanged: Hypotheses without the fixes after a step of their times, relative to the state of the filter; None
            for a manoeuvre.
    """

    change: Change
    first_gps_ms: int
    hypotheses: Hypotheses
    before: OrbitState
    lead: float = 0.0
    fixes: int = 0
    position_lead: float = 0.0
    unchanged: Hypotheses | None = None

    @property
    def is_refuted(self) -> bool:
        """True if `lead` is too low, or if too many fixes have not confirmed the change."""
        return self.lead < _LEAD_LOST or self.fixes >= _LIMITS[self.change].fixes_max

    @property
    def banks(self) -> tuple[Hypotheses, ...]:
        """Hypotheses that move with those of the filter."""
        return (self.hypotheses,) if self.unchanged is None else (self.hypotheses, self.unchanged)

    def with_banks(self, banks: Sequence[Hypotheses]) -> "Candidate":
        """Return the candidate with other `banks`, as many as it has."""
        return replace(self, hypotheses=banks[0], unchanged=None if self.unchanged is None else banks[1])

    def manoeuvre(self, after: OrbitState, before: OrbitState) -> Manoeuvre:
        """Return the manoeuvre, from the orbit with it (`after`) and without it (`before`) at the same time."""
        axes = rtn_axes(after.x[POSITION], after.x[VELOCITY])
        delta_mps = axes.T.dot(after.x[VELOCITY] - before.x[VELOCITY])
        covariance = (after.covariance + before.covariance)[VELOCITY, VELOCITY]
        sigma = np.sqrt(np.diagonal(axes.T.dot(covariance).dot(axes)))
        return Manoeuvre(self.change, self.first_gps_ms, tuple(delta_mps.tolist()), tuple(sigma.tolist()))


def confirmed(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the best candidate if its fixes and its leads, at first also over other kinds, confirm it; else None."""
    if not candidates:
        return None
    best = max(candidates, key=lambda candidate: candidate.lead)
    others = [candidate.lead for candidate in candidates if candidate.change is not best.change]
    ahead = best.lead - max(others, default=-math.inf)
    if best.change is Change.TIME_STEP:
        # Slow errors of the velocities move the orbit along its track, too; only the positions can decide.
        ahead = min(ahead, best.position_lead)
    is_clear = ahead >= _LEAD_OVER_OTHERS or (best.fixes >= _FIXES_CLEAR and best.change is not Change.TIME_STEP)
    limits = _LIMITS[best.change]
    return best if best.fixes >= limits.fixes and best.lead >= limits.lead and is_clear else None


def is_step_probable(candidate: Candidate) -> bool:
    """Return True for a step of the times that only needs more fixes, which make it more accurate."""
    return candidate.change is Change.TIME_STEP and candidate.lead >= _LIMITS[Change.TIME_STEP].lead


def impulse_size_mps(test: InnovationTest, interval_s: float, limits: ManoeuvreSettings) -> float | None:
    """Return the expected size of a suspected impulse; None if the innovations are small or too large for one.

    `test` is without an impulse, `interval_s` the time since the last fix. The velocity innovation gives the size or,
    without a velocity, the position innovation over the interval.
    """
    parts = [part for part in (test.position, test.velocity) if part is not None]
    if max(part.chi_square for part in parts) < _CHI_SQUARE_SUSPICIOUS:
        return None
    size_mps = (
        math.hypot(*test.velocity.residual) if test.velocity else math.hypot(*test.position.residual) / interval_s
    )
    return None if size_mps > limits.delta_v_max_mps else max(size_mps, limits.delta_v_min_mps)


def step_size_s(test: InnovationTest, rates: Array) -> float | None:
    """Return the expected size of a suspected step of the time; None if the innovations do not suggest one.

    `rates` are the changes of position and velocity per second of an error of their time, shape (6,).
    """
    parts = [part for part in (test.position, test.velocity) if part is not None]
    sigma = np.concatenate([part.sigma for part in parts])
    residual = np.concatenate([part.residual for part in parts])
    scaled = rates[: len(sigma)] / sigma
    information = float(scaled.dot(scaled))
    size_s = abs(float(scaled.dot(residual / sigma))) / information
    is_suspected = size_s * size_s * information >= _STEP_SQUARE_SUSPICIOUS
    return max(size_s, STEP_SIGMA_S) if is_suspected and size_s <= _STEP_MAX_S else None


def impulse_root(sigma_mps: float, interval_s: float) -> Array:
    """Return the root (10, 6) of the covariance that an impulse at an unknown time in an interval adds at its end."""
    root = np.zeros((SIZE, 6))
    eye = np.eye(3)
    root[POSITION, :3] = 0.5 * interval_s * sigma_mps * eye
    root[VELOCITY, :3] = sigma_mps * eye
    root[POSITION, 3:] = interval_s / math.sqrt(12.0) * sigma_mps * eye
    return root


def thrust_root(sigma_mps2: float) -> Array:
    """Return the root (10, 3) of the covariance that an acceleration with this sigma adds after `_THRUST_S` seconds."""
    root = np.zeros((SIZE, 3))
    eye = np.eye(3)
    root[POSITION] = 0.5 * _THRUST_S**2 * sigma_mps2 * eye
    root[VELOCITY] = _THRUST_S * sigma_mps2 * eye
    root[EMPIRICAL] = sigma_mps2 * eye
    return root

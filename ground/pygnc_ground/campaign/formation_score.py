"""What an estimator says of a formation, beside the truth and the bound."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.elements import relative_elements
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.campaign.formation import DIFFERENTIAL_DRAG_SIGMA, FormationWorld, Instruments
from pygnc_ground.campaign.world import ORIENTATION
from pygnc_ground.formation.bound import (
    FormationBound,
    FormationMotion,
    FormationPriors,
    formation_bound,
    linearise_formation,
)
from pygnc_ground.formation.relative import elements_by_relative_state
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray

SCORED: Final = slice(None, None, 4)
"""Of the moments of a world; errors of orbits hardly change in between."""
WRONG_NEES: Final = 100.0
"""A normalised squared error of six elements beyond this, ten standard deviations, is another solution, no bad luck."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """h hypotheses on p partners at n moments, the best one first."""

    relative_gcrf: FloatArray
    """(h, p, n, 6), partner minus own; NaN for a partner without any orbit"""
    covariance_gcrf: FloatArray
    """(h, p, n, 6, 6)"""
    ambiguous: BoolArray
    """(p,)"""
    unsolved: BoolArray
    """(p,), whether the estimator itself says that it does not know the partner's orbit"""
    seconds: float
    """Of the processor"""


@dataclass(frozen=True, slots=True, eq=False)
class FormationScore:
    """Of one world; all (p,), errors RMS over all moments in m."""

    error_m: FloatArray
    """Of the best hypothesis"""
    right_error_m: FloatArray
    """Of the right one: if not given, the nearest to the truth of those that are not wrong, or of all if all are"""
    formal_m: FloatArray
    """Standard deviation that it claims"""
    bound_m: FloatArray
    nees: FloatArray
    """Its normalised squared error of the relative orbital elements in the middle of the arc"""
    found: BoolArray
    """Whether any hypothesis is not wrong"""
    ambiguous: BoolArray
    unsolved: BoolArray
    wrong: BoolArray
    """Best hypothesis is not the truth, by its own covariance"""
    seconds: float

    @property
    def flagged(self) -> BoolArray:
        """Partners of which nothing is claimed to be certain, (p,)."""
        return self.ambiguous | self.unsolved

    @property
    def wrong_and_certain(self) -> int:
        """Partners of which something false is claimed."""
        return int((self.wrong & ~self.flagged).sum())


def motion_of(world: FormationWorld) -> FormationMotion:
    """Linearised along the truth, at the moments of its measurements."""
    moments = world.moments_gps_ms
    return linearise_formation(moments, world.states_gcrf(moments), OrbitSettings(), EarthFrames(ORIENTATION))


def bound_of(world: FormationWorld, motion: FormationMotion, instruments: Instruments) -> FormationBound:
    """Knowing beforehand how the world was drawn."""
    priors = FormationPriors(bias_m=instruments.bias_sigma_m, differential_log_drag=DIFFERENTIAL_DRAG_SIGMA)
    return formation_bound(motion, world.sightings(instruments), priors)


def score_of(estimate: Estimate, bound: FormationBound, home: IntArray | None = None) -> FormationScore:
    """Compare an estimate at the moments `SCORED` with the truth.

    Args:
        estimate: All hypotheses.
        bound: Of the same world.
        home: The right hypothesis of each partner, (p,), if it is not to be chosen by its error.
    """
    states = bound.motion.states_gcrf[:, SCORED]
    error = estimate.relative_gcrf - (states[1:] - states[:1])
    error_m = rms_over_moments(error)
    partner, middle = np.arange(error.shape[1]), error.shape[2] // 2
    nees = elements_nees(estimate, states[:, middle], middle)
    is_right = nees <= WRONG_NEES
    found = np.asarray(is_right.any(axis=0))
    candidates_m = np.where(is_right | ~found, error_m, np.inf)
    right = np.argmin(np.nan_to_num(candidates_m, nan=np.inf), axis=0) if home is None else home
    variance = np.trace(estimate.covariance_gcrf[right, partner, :, :3, :3], axis1=-2, axis2=-1)
    return FormationScore(
        error_m=error_m[0],
        right_error_m=error_m[right, partner],
        formal_m=np.sqrt(variance.mean(axis=1)),
        bound_m=np.sqrt(np.mean(bound.position_m[:, SCORED] ** 2, axis=1)),
        nees=nees[right, partner],
        found=found,
        ambiguous=estimate.ambiguous,
        unsolved=estimate.unsolved,
        wrong=~is_right[0],
        seconds=estimate.seconds,
    )


def rms_over_moments(error: FloatArray) -> FloatArray:
    """Of the positions in states (..., n, 6)."""
    rms: FloatArray = np.sqrt((error[..., :3] ** 2).sum(axis=-1).mean(axis=-1))
    return rms


def elements_nees(estimate: Estimate, states_gcrf: FloatArray, moment: int) -> FloatArray:
    """Normalised squared errors of the relative orbital elements at one moment, (h, p); 6 degrees of freedom.

    Args:
        estimate: All hypotheses.
        states_gcrf: True states then, (s, 6).
        moment: Its index.
    """
    own, partners = states_gcrf[0], states_gcrf[1:]
    found = own + estimate.relative_gcrf[:, :, moment]
    error = relative_elements(own, found) - relative_elements(own, partners)
    by_state = elements_by_relative_state(own, found)
    covariance = by_state @ estimate.covariance_gcrf[:, :, moment] @ np.swapaxes(by_state, -1, -2)
    nees: FloatArray = (error * np.linalg.solve(covariance, error[..., None])[..., 0]).sum(axis=-1)
    return nees

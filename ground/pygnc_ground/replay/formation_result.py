"""What a replay gives of the partners: arrays of numbers, before anything is written or drawn.

Relative means partner minus self; "rtn" are the radial, transverse and normal axes of our orbit, rates in these turning
axes. Positions are in m, velocities in m/s.
"""

import math
from dataclasses import dataclass

import numpy as np

from pygnc.bus.messages import ClosestApproach
from pygnc.estimators.formation.observations import Pair
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class RelativeStates:
    """What the flight said of a partner at n moments in order of time, with what is true; NaN where unknown."""

    gps_ms: IntArray
    """(n,)"""
    rtn: FloatArray
    """(n, 6)"""
    covariance_rtn: FloatArray
    """(n, 6, 6)"""
    mirror_rtn_m: FloatArray
    """(n, 3), where another orbit is that fits nearly as well"""
    ambiguous: BoolArray
    """(n,)"""
    chi2_best: FloatArray
    """(n,)"""
    chi2_mirror: FloatArray
    """(n,)"""
    true_rtn: FloatArray
    """(n, 6)"""

    def __len__(self) -> int:
        return len(self.gps_ms)

    @property
    def known(self) -> BoolArray:
        """Moments with a state, (n,)."""
        return np.isfinite(self.rtn[:, 0])


@dataclass(frozen=True, slots=True, eq=False)
class PossibleOrbit:
    """One of the orbits on which a partner may be, at the k moments of `FormationResult.track_gps_ms`."""

    hypothesis: int
    """Number of the best hypothesis in which it moves so"""
    chi_square: float
    """Of that hypothesis"""
    rtn: FloatArray
    """(k, 6)"""
    covariance_rtn: FloatArray
    """(k, 6, 6)"""


@dataclass(frozen=True, slots=True, eq=False)
class PartnerResult:
    """One partner."""

    partner: int
    """Radio id"""
    cause: str
    """Why its orbit is not known, by the newest word; empty when it is"""
    ambiguous: bool
    """Whether another orbit fits as well, by the newest word"""
    chi2_best: float
    """By the newest word; NaN without a solution"""
    chi2_mirror: float
    """Of the best solution in which it moves differently, or of the mirror image as it is; NaN without either"""
    states: RelativeStates
    orbits: tuple[PossibleOrbit, ...]
    """Different ones by the newest solution, the best first; of those that the data exclude the best only"""
    true_track: FloatArray
    """(k, 6), NaN where unknown"""

    @property
    def mirror(self) -> PossibleOrbit | None:
        """The best of the other orbits."""
        return self.orbits[1] if len(self.orbits) > 1 else None

    @property
    def with_truth(self) -> bool:
        """Whether anything can be compared with a truth."""
        return bool(np.isfinite(self.true_track).any() or np.isfinite(self.states.true_rtn[self.states.known]).any())


@dataclass(frozen=True, slots=True, eq=False)
class LinkResult:
    """The n ranges between two satellites that the newest solution is made of, in order of time."""

    pair: Pair
    """Radio ids"""
    gps_ms: IntArray
    """(n,)"""
    range_m: FloatArray
    """(n,), with the bias"""
    residual_m: FloatArray
    """(n,), measured minus computed in the best hypothesis"""
    used: BoolArray
    """(n,)"""
    bias_m: float
    bias_sigma_m: float
    noise_m: float
    """Standard deviation of a range, as estimated"""

    @property
    def distance_m(self) -> FloatArray:
        """Measured, without the bias, (n,)."""
        return self.range_m - self.bias_m

    @property
    def model_m(self) -> FloatArray:
        """Computed, without the bias, (n,)."""
        return self.distance_m - self.residual_m

    @property
    def residual_rms_m(self) -> float:
        """Of the ranges in use; NaN for none."""
        return float(np.sqrt(np.mean(self.residual_m[self.used] ** 2))) if self.used.any() else math.nan


@dataclass(frozen=True, slots=True, eq=False)
class FormationResult:
    """All of it."""

    own_id: int
    """Our radio id"""
    partners: tuple[PartnerResult, ...]
    """Whoever was named, by radio id"""
    links: tuple[LinkResult, ...]
    chi_square: FloatArray
    """(h,), of the newest solution's hypotheses, each on the whole formation, the best first"""
    margin: float
    """A hypothesis whose chi-square is farther above the best is excluded; NaN without a solution"""
    track_gps_ms: IntArray
    """(k,)"""
    approaches: tuple[ClosestApproach, ...]
    """By the newest word on each partner, the best orbit's first"""
    counts: dict[str, int]
    """Books of ranges and of partners' fixes"""

    def approaches_of(self, partner_id: int) -> list[ClosestApproach]:
        """Of one partner, the best orbit's first."""
        return [of for of in self.approaches if of.partner_id == partner_id]

    def most_dangerous(self, partner_id: int) -> ClosestApproach | None:
        """The approach that leaves the least distance when three standard deviations are taken off; None for none."""
        return min(
            self.approaches_of(partner_id), key=lambda of: (of.least_m, of.distance_m - 3.0 * of.sigma_m), default=None
        )

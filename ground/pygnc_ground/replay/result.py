"""All that a replay gives: tables of numbers, before anything is written or drawn.

What a replay gives of the attitude: tables of numbers by sensor sample, before anything is written or drawn.

What a replay gives of the partners: arrays of numbers, before anything is written or drawn.

Relative means partner minus self; "rtn" are the radial, transverse and normal axes of our orbit, rates in these turning
axes. Positions are in m, velocities in m/s.
"""

import math
from dataclasses import dataclass

import numpy as np

from pygnc.bus.messages import ClosestApproach, SourceFile
from pygnc.configuration.settings import Settings
from pygnc.estimators.formation.observations import Pair
from pygnc_ground.attitude.bound import AttitudeBound
from pygnc_ground.attitude.face_illuminance import FaceIlluminance
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray, OrbitSolution
from pygnc_ground.truth.attitude_truth import TrueAttitude
from pygnc_ground.truth.orbit_truth import OrbitTruth


@dataclass(frozen=True, slots=True, eq=False)
class SampleRecords:
    """Every sensor sample of the input, n rows, in the order in which the flight gives their attitudes."""

    seq: IntArray
    """(n,), number of the input"""
    gps_ms: IntArray
    """(n,), by the map of the spacecraft clock; -1 where that is not known"""
    mode: tuple[str, ...]
    """How much is known of the attitude: searching, coarse, fine"""
    cause: tuple[str, ...]
    """Why nothing of the sample was used; empty when something was, or when the attitude was searched for"""
    found: BoolArray
    """(n,), whether a search ended with this sample"""
    in_sun: BoolArray
    """(n,), as the flight says it"""
    sunlit_fraction: FloatArray
    """(n,), visible part of the Sun's disc at the place of the orbit; NaN without an orbit"""
    nis: FloatArray
    """(n,), normalised innovation squared of what was used; NaN if nothing"""
    dof: IntArray
    """(n,), numbers that `nis` sums over"""
    field_innovation_ut: FloatArray
    """(n, 3), magnetometer, sensor axes: measured minus predicted before the sample was used; NaN without either"""
    field_innovation_sigma_ut: FloatArray
    """(n, 3), its expected standard deviation"""
    field_chi_square: FloatArray
    """(n,), innovation squared over its covariance, 3 degrees of freedom; compared with the gate"""
    field_used: BoolArray
    """(n,), whether it passed"""
    faces_usable: BoolArray
    """(n, 6), faces that said something of the attitude"""
    faces_used: BoolArray
    """(n, 6), those that passed their gate"""
    faces_dead: BoolArray
    """(n, 6), faces that the flight holds for dark in sunlight"""
    faces_mirrored: BoolArray
    """(n, 6), faces that seem to look the other way"""
    gyro_stuck: BoolArray
    """(n, 3), gyro axes that repeat themselves"""

    def __len__(self) -> int:
        return len(self.seq)

    @property
    def found_again(self) -> BoolArray:
        """All but the first of `found`, shape (n,)."""
        again = self.found.copy()
        again[np.flatnonzero(again)[:1]] = False
        return again


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeResult:
    """All of it; a row per sample everywhere."""

    samples: SampleRecords
    solution: AttitudeSolution
    """Of the flight's filter"""
    smoothed: AttitudeSolution
    light: FaceIlluminance
    """Against the smoothed attitude"""
    truth: TrueAttitude | None
    """At the samples' times; None where the truth has no attitude"""
    bound: AttitudeBound | None
    """None without truth"""


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


@dataclass(frozen=True, slots=True, eq=False)
class FixRecords:
    """Every GPS record of the input that carries a time, n rows, in the order in which the flight takes them.

    Innovations are measured minus predicted, in ITRF, NaN where there was no prediction to compare with.
    """

    seq: IntArray
    """(n,), number of the input"""
    source: tuple[str, ...]
    """File each record is from"""
    offset: IntArray
    """(n,), where it stands in the undamaged part of that file"""
    gps_ms: IntArray
    """(n,)"""
    t_spacecraft_s: IntArray
    """(n,), -1 where the record has none"""
    position_cause: tuple[str, ...]
    """Why the position was not used; empty when it was"""
    velocity_cause: tuple[str, ...]
    """The same for the velocity"""
    position_innovation_m: FloatArray
    """(n, 3)"""
    position_innovation_sigma_m: FloatArray
    """(n, 3), its expected standard deviation"""
    position_chi_square: FloatArray
    """(n,), innovation squared over its covariance, 3 degrees of freedom; compared with the gate"""
    velocity_innovation_mps: FloatArray
    """(n, 3)"""
    velocity_innovation_sigma_mps: FloatArray
    """(n, 3)"""
    velocity_chi_square: FloatArray
    """(n,)"""
    restarted: BoolArray
    """(n,), whether the filter started again with this record"""
    spacecraft_to_gps_ms: FloatArray
    """(n,), the clock map after this record: gps_ms = 1000 t_spacecraft_s + this; NaN before it is known"""


@dataclass(frozen=True, slots=True)
class UntimedRecord:
    """A GPS record without a time, which no table of states can hold."""

    seq: int
    source: str
    offset: int
    t_spacecraft_s: int | None
    cause: str


@dataclass(frozen=True, slots=True, eq=False)
class ReplayResult:
    """What came out of a replay."""

    settings: Settings
    filter_name: str
    """square-root EKF, or the reference that ran in its place"""
    sources: tuple[SourceFile, ...]
    """The input files and the books of their bytes"""
    counts: dict[str, int]
    """Books of the fixes: received, accepted, waiting, rejected by cause"""
    fixes: FixRecords
    untimed: tuple[UntimedRecord, ...]
    solution: OrbitSolution
    """Of the filter; one row per row of `fixes`, and so for the others"""
    smoothed: OrbitSolution | None
    batch: OrbitSolution | None
    truth: OrbitTruth | None
    attitude: AttitudeResult
    formation: FormationResult | None = None
    """None when no partner was named"""
    notes: tuple[str, ...] = ()
    """What else a reader should know, such as why there is no batch solution"""

"""Results of a replay as arrays: GPS records, attitude samples, partners.

Relative means partner minus self. "rtn" are the radial, transverse and normal axes of our orbit; rates are in these
rotating axes. Positions are in m, velocities in m/s.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pygnc.bus.messages import ClosestApproach, SourceFile
from pygnc.configuration.settings import Settings
from pygnc.estimators.formation.observations import Pair
from pygnc_ground.attitude.bound import AttitudeBound
from pygnc_ground.attitude.face_illuminance import FaceIlluminance
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray, OrbitSolution
from pygnc_ground.truth.attitude_truth import TrueAttitude
from pygnc_ground.truth.orbit_truth import OrbitTruth


def column(
    rows: Iterable[ArrayLike | None],
    width: int | None = None,
    *,
    missing: float = math.nan,
    dtype: DTypeLike = np.float64,
) -> NDArray[Any]:
    """Return rows as an array with `missing` for each None, shape (n,), or (n, width) for rows with components."""
    unknown: ArrayLike = missing if width is None else [missing] * width
    table = np.array([unknown if row is None else row for row in rows], dtype=dtype)
    return table if width is None else table.reshape(-1, width)


@dataclass(frozen=True, slots=True, eq=False)
class SampleRecords:
    """Sensor samples of the input, n rows, in the order of the flight's attitudes."""

    seq: IntArray
    """(n,), input number"""
    gps_ms: IntArray
    """(n,), by the clock map; -1 if unknown"""
    mode: tuple[str, ...]
    """State of the attitude: searching, coarse, fine"""
    cause: tuple[str, ...]
    """Why nothing of the sample was used; empty if something was used or the attitude was being searched"""
    found: BoolArray
    """(n,), whether a search succeeded with this sample"""
    in_sun: BoolArray
    """(n,), sunlight flag of the flight"""
    sunlit_fraction: FloatArray
    """(n,), visible part of the Sun's disc at the orbit position; NaN without an orbit"""
    nis: FloatArray
    """(n,), normalised innovation squared of the used measurements; NaN if none"""
    dof: IntArray
    """(n,), degrees of freedom of `nis`"""
    field_innovation_ut: FloatArray
    """(n, 3), magnetometer, sensor axes: measured minus predicted before the update; NaN without either"""
    field_innovation_sigma_ut: FloatArray
    """(n, 3), its expected standard deviation"""
    field_chi_square: FloatArray
    """(n,), innovation squared over its covariance, 3 degrees of freedom; compared with the gate"""
    field_used: BoolArray
    """(n,), whether it passed the gate"""
    faces_usable: BoolArray
    """(n, 6), faces with a usable reading"""
    faces_used: BoolArray
    """(n, 6), faces that passed their gate"""
    faces_dead: BoolArray
    """(n, 6), faces that the flight treats as dead (dark in sunlight)"""
    faces_mirrored: BoolArray
    """(n, 6), faces that seem to point the opposite way"""
    gyro_stuck: BoolArray
    """(n, 3), gyro axes with repeated readings"""

    def __len__(self) -> int:
        return len(self.seq)

    @property
    def faces_faulty(self) -> BoolArray:
        """Faces that the flight software treats as dead or mirrored, shape (n, 6)."""
        return self.faces_dead | self.faces_mirrored

    @property
    def found_again(self) -> BoolArray:
        """Return all of `found` except the first, shape (n,)."""
        again = self.found.copy()
        again[np.flatnonzero(again)[:1]] = False
        return again


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeResult:
    """Attitude result; every array has one row per sample."""

    samples: SampleRecords
    solution: AttitudeSolution
    """Solution of the flight's filter"""
    smoothed: AttitudeSolution
    light: FaceIlluminance
    """Light relative to the smoothed attitude"""
    truth: TrueAttitude | None
    """At the times of the samples; None if the truth has no attitude"""
    bound: AttitudeBound | None
    """None without truth"""


@dataclass(frozen=True, slots=True, eq=False)
class RelativeStates:
    """Flight estimates of a partner at n times, ascending, and the truth; NaN where unknown."""

    gps_ms: IntArray
    """(n,)"""
    rtn: FloatArray
    """(n, 6)"""
    covariance_rtn: FloatArray
    """(n, 6, 6)"""
    mirror_rtn_m: FloatArray
    """(n, 3), position by another orbit that fits nearly as well"""
    true_rtn: FloatArray
    """(n, 6)"""

    def __len__(self) -> int:
        return len(self.gps_ms)

    @property
    def known(self) -> BoolArray:
        """Return which times have a state, (n,)."""
        return np.isfinite(self.rtn[:, 0])


@dataclass(frozen=True, slots=True, eq=False)
class CandidateOrbit:
    """Candidate orbit of a partner at the k times of `FormationResult.track_gps_ms`."""

    hypothesis: int
    """Number of the best hypothesis with this orbit"""
    chi_square: float
    """Chi-square of that hypothesis"""
    rtn: FloatArray
    """(k, 6)"""
    covariance_rtn: FloatArray
    """(k, 6, 6)"""


@dataclass(frozen=True, slots=True, eq=False)
class PartnerResult:
    """Result of one partner."""

    partner: int
    """Radio id"""
    cause: str
    """Why its orbit is unknown by the newest message; empty if known"""
    ambiguous: bool
    """Whether another orbit fits as well by the newest message"""
    chi2_best: float
    """By the newest message; NaN without a solution"""
    chi2_mirror: float
    """Of the best solution with a distinct orbit, or of the mirror image; NaN without either"""
    states: RelativeStates
    orbits: tuple[CandidateOrbit, ...]
    """Distinct orbits by the newest solution, best first; of the excluded ones only the best"""
    true_track: FloatArray
    """(k, 6), NaN where unknown"""

    @property
    def with_truth(self) -> bool:
        """Whether anything can be compared with a truth."""
        return bool(np.isfinite(self.true_track).any() or np.isfinite(self.states.true_rtn[self.states.known]).any())


@dataclass(frozen=True, slots=True, eq=False)
class LinkResult:
    """The n ranges between two satellites in the newest solution, in time order."""

    pair: Pair
    """Radio ids"""
    gps_ms: IntArray
    """(n,)"""
    range_m: FloatArray
    """(n,), including the bias"""
    residual_m: FloatArray
    """(n,), measured minus computed in the best hypothesis"""
    used: BoolArray
    """(n,)"""
    bias_m: float
    bias_sigma_m: float
    noise_m: float
    """Estimated standard deviation of a range"""

    @property
    def distance_m(self) -> FloatArray:
        """Measured distances without the bias, (n,)."""
        return self.range_m - self.bias_m

    @property
    def model_m(self) -> FloatArray:
        """Computed distances without the bias, (n,)."""
        return self.distance_m - self.residual_m

    @property
    def residual_rms_m(self) -> float:
        """RMS of the used ranges; NaN for none."""
        return float(np.sqrt(np.mean(self.residual_m[self.used] ** 2))) if self.used.any() else math.nan


@dataclass(frozen=True, slots=True, eq=False)
class FormationResult:
    """Formation result."""

    own_id: int
    """Our radio id"""
    partners: tuple[PartnerResult, ...]
    """All partners named, by radio id"""
    links: tuple[LinkResult, ...]
    chi_square: FloatArray
    """(h,), chi-squares of the newest solution's hypotheses, each for the whole formation, best first"""
    margin: float
    """Hypotheses with a chi-square further above the best are excluded; NaN without a solution"""
    track_gps_ms: IntArray
    """(k,)"""
    approaches: tuple[ClosestApproach, ...]
    """By the newest message about each partner, the best orbit's first"""
    counts: dict[str, int]
    """Counters of ranges and of partners' fixes"""

    def approaches_of(self, partner_id: int) -> list[ClosestApproach]:
        """Return the approaches of one partner, the best orbit's first."""
        return [of for of in self.approaches if of.partner_id == partner_id]

    def most_dangerous(self, partner_id: int) -> ClosestApproach | None:
        """Return the approach with the smallest distance minus three standard deviations, or None."""
        return min(
            self.approaches_of(partner_id), key=lambda of: (of.least_m, of.distance_m - 3.0 * of.sigma_m), default=None
        )


@dataclass(frozen=True, slots=True, eq=False)
class FixRecords:
    """GPS records with a time, n rows, in the order in which the flight uses them.

    Innovations are measured minus predicted, in ITRF, and NaN without a prediction.
    """

    seq: IntArray
    """(n,), input number"""
    source: tuple[str, ...]
    """File of each record"""
    offset: IntArray
    """(n,), offset in the undamaged part of that file"""
    gps_ms: IntArray
    """(n,)"""
    t_spacecraft_s: IntArray
    """(n,), -1 without a spacecraft time"""
    position_cause: tuple[str, ...]
    """Why the position was rejected; empty if used"""
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
    """(n,), whether the filter restarted with this record"""
    spacecraft_to_gps_ms: FloatArray
    """(n,), clock map after the record: gps_ms = 1000 t_spacecraft_s + this; NaN if unknown"""


class UntimedRecord(NamedTuple):
    """GPS record without a time, which has no row in the tables of states.

    `seq` is its input number, `offset` its byte offset in the undamaged part of the file.
    """

    seq: int
    source: str
    offset: int
    t_spacecraft_s: int | None
    cause: str


@dataclass(frozen=True, slots=True, eq=False)
class ReplayResult:
    """Results of a replay."""

    settings: Settings
    filter_name: str
    """Square-root EKF, or the reference filter used instead"""
    sources: tuple[SourceFile, ...]
    """Input files and their byte counters"""
    counts: dict[str, int]
    """Counters of the fixes: received, accepted, waiting, rejected by cause"""
    fixes: FixRecords
    untimed: tuple[UntimedRecord, ...]
    solution: OrbitSolution
    """Solution of the filter; like the others, with one row per row of `fixes`"""
    smoothed: OrbitSolution | None
    batch: OrbitSolution | None
    truth: OrbitTruth | None
    attitude: AttitudeResult
    formation: FormationResult | None = None
    """None without partners"""
    notes: tuple[str, ...] = ()
    """Remarks for the reader, such as why there is no batch solution"""

"""Results of a replay as arrays: GPS records, attitude samples, partners.

Relative states are partner minus own satellite: position in m and velocity in m/s along the radial, transverse and
normal axes of our orbit ("rtn"). Velocities are relative to the rotating axes.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from pygnc.bus.messages import SourceFile
from pygnc.configuration.settings import Settings
from pygnc.estimators.attitude.measurement_model import VectorInnovation
from pygnc.estimators.attitude.wiring import SensorAxes
from pygnc.estimators.formation.observations import Pair
from pygnc.estimators.orbit.measurement import Innovation as OrbitInnovation
from pygnc_ground.attitude.bound import AttitudeBound
from pygnc_ground.attitude.face_illuminance import FaceIlluminance
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.formation.conjunction import Conjunction
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray, OrbitSolution
from pygnc_ground.replay.choices import COMBINED_RADIUS_M
from pygnc_ground.truth.attitude_truth import TrueAttitude
from pygnc_ground.truth.orbit_truth import OrbitTruth

_BLOCK: Final = 4096
"""Rows of a column that are converted at once."""


def column(
    rows: Iterable[ArrayLike | None],
    width: int | None = None,
    *,
    missing: float = math.nan,
    dtype: DTypeLike = np.float64,
) -> NDArray[Any]:
    """Return rows as an array with `missing` for each None, shape (n,), or (n, width) for rows with components."""
    unknown: ArrayLike = missing if width is None else [missing] * width
    filled, shape = (unknown if row is None else row for row in rows), () if width is None else (width,)
    # As objects, the numbers of a week would take ten times the memory of the array.
    blocks = [np.array(block, dtype).reshape(-1, *shape) for block in iter(lambda: [*islice(filled, _BLOCK)], [])]
    return np.concatenate(blocks) if blocks else np.empty((0, *shape), dtype)


class Innovations(NamedTuple):
    """Innovations of a vector measurement at n records; NaN without a prediction.

    Attributes:
        values: Measured minus predicted, shape (n, k).
        sigmas: Expected standard deviations, shape (n, k).
        chi_square: Innovation squared over its covariance, which the gate limits, k degrees of freedom, shape (n,).
        used: True for measurements that the filter used, shape (n,).
    """

    values: FloatArray
    sigmas: FloatArray
    chi_square: FloatArray
    used: BoolArray

    def scaled(self, factor: float) -> "Innovations":
        """Return the innovations in another unit."""
        return self._replace(values=factor * self.values, sigmas=factor * self.sigmas)


def innovation_arrays(
    rows: Iterable[OrbitInnovation | VectorInnovation | None], used: Iterable[bool], width: int
) -> Innovations:
    """Return the innovations of n records with `width` components each as arrays."""
    seen = column(((*one.residual, *one.sigma, one.chi_square) if one else None for one in rows), 2 * width + 1)
    return Innovations(
        values=seen[:, :width].copy(),
        sigmas=seen[:, width:-1].copy(),
        chi_square=seen[:, -1].copy(),
        used=column(used, dtype=np.bool_),
    )


@dataclass(frozen=True, slots=True, eq=False)
class SampleRecords:
    """The n sensor samples of the input, in the order of the attitudes of the flight software."""

    seq: IntArray
    """Input numbers, shape (n,)"""
    gps_ms: IntArray
    """Times by the clock map in ms since the GPS epoch, shape (n,); -1 if unknown"""
    mode: tuple[str, ...]
    """State of the attitude after each sample: searching, coarse or fine"""
    cause: tuple[str, ...]
    """Reason why the filter used no measurement of the sample; empty if it used one, or during a search"""
    found: BoolArray
    """True where a search for the attitude succeeded, shape (n,)"""
    in_sun: BoolArray
    """Sunlight flags of the flight software, shape (n,)"""
    sunlit_fraction: FloatArray
    """Visible fraction of the Sun's disc by the orbit, shape (n,); NaN without an orbit"""
    nis: FloatArray
    """Normalised innovation squared of the used measurements, shape (n,); NaN without a used measurement"""
    dof: IntArray
    """Degrees of freedom of `nis`, shape (n,)"""
    innovations: Mapping[str, Innovations]
    """Innovations of the sensors with vector readings by measurement model: magnetometer in µT, others in rad"""
    faces_usable: BoolArray
    """True for faces with a usable reading, shape (n, faces)"""
    faces_used: BoolArray
    """True for faces whose reading passed its gate, shape (n, faces)"""
    faces_dead: BoolArray
    """True for faces that the flight software treats as dead (dark in sunlight), shape (n, faces)"""
    faces_mirrored: BoolArray
    """True for faces that seem to point in the opposite direction, shape (n, faces)"""
    gyro_stuck: BoolArray
    """True for gyro axes with repeated readings, shape (n, 3)"""
    gyro_imu_rad_s: FloatArray
    """Raw readings of the gyro in sensor axes in rad/s, shape (n, 3)"""
    mag_imu_ut: FloatArray
    """Raw readings of the magnetometer in sensor axes in µT, shape (n, 3)"""
    field_gcrf_ut: FloatArray
    """Modelled geomagnetic field in GCRF in µT, shape (n, 3); NaN without an orbit"""

    def __len__(self) -> int:
        return len(self.seq)

    @property
    def faces_faulty(self) -> BoolArray:
        """Faces that the flight software treats as dead or mirrored, shape (n, faces)."""
        return self.faces_dead | self.faces_mirrored

    @property
    def found_again(self) -> BoolArray:
        """True where a search succeeded again after the first success, shape (n,)."""
        again = self.found.copy()
        again[np.flatnonzero(again)[:1]] = False
        return again


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeResult:
    """Attitude of a replay; every array has one row per sample."""

    samples: SampleRecords
    solution: AttitudeSolution
    """Solution of the filter of the flight software"""
    smoothed: AttitudeSolution
    light: FaceIlluminance
    """Measured light, and expected light at the smoothed attitude"""
    truth: TrueAttitude | None
    """True attitude at the times of the samples; None without a true attitude"""
    bound: AttitudeBound | None
    """Cramér-Rao bound; None without a true attitude"""
    axes: SensorAxes
    """Verdicts on the axes of magnetometer and gyro after the last sample"""


@dataclass(frozen=True, slots=True, eq=False)
class RelativeStates:
    """Estimates of a partner by the flight software at n ascending times, and the truth; NaN where unknown."""

    gps_ms: IntArray
    """Times in ms since the GPS epoch, shape (n,)"""
    rtn: FloatArray
    """Relative states, shape (n, 6)"""
    covariance_rtn: FloatArray
    """Covariances of the relative states, shape (n, 6, 6)"""
    mirror_rtn_m: FloatArray
    """Relative positions by the mirror, an orbit that fits nearly as well, in m, shape (n, 3)"""
    true_rtn: FloatArray
    """True relative states, shape (n, 6)"""

    def __len__(self) -> int:
        return len(self.gps_ms)

    @property
    def known(self) -> BoolArray:
        """True for times with a state, shape (n,)."""
        return np.isfinite(self.rtn[:, 0])


@dataclass(frozen=True, slots=True, eq=False)
class CandidateOrbit:
    """Candidate orbit of a partner at the k times of `FormationResult.track_gps_ms`."""

    hypothesis: int
    """Index of the best hypothesis with this orbit in the solution"""
    chi_square: float
    """Chi-square of the best hypothesis with this orbit"""
    rtn: FloatArray
    """Relative states, shape (k, 6)"""
    covariance_rtn: FloatArray
    """Covariances of the relative states, shape (k, 6, 6)"""


@dataclass(frozen=True, slots=True, eq=False)
class PartnerResult:
    """Result of one partner."""

    partner: int
    """Radio id of the partner"""
    cause: str
    """Reason in the newest message why the partner's orbit is unknown; empty if it is known"""
    ambiguous: bool
    """True if, by the newest message, two orbits fit equally well"""
    chi2_best: float
    """Chi-square of the best orbit in the newest message; NaN without a solution"""
    chi2_mirror: float
    """Chi-square of the second-best distinct orbit, or else of the mirror image; NaN without either"""
    states: RelativeStates
    orbits: tuple[CandidateOrbit, ...]
    """Distinct orbits of the newest solution, best first; only the best of the excluded orbits is included"""
    true_track: FloatArray
    """True relative states at the times of `FormationResult.track_gps_ms`, shape (k, 6); NaN where unknown"""

    @property
    def with_truth(self) -> bool:
        """True if any state can be compared with a truth."""
        return bool(np.isfinite(self.true_track).any() or np.isfinite(self.states.true_rtn[self.states.known]).any())


@dataclass(frozen=True, slots=True, eq=False)
class LinkResult:
    """The n ranges between two satellites in the newest solution, in time order."""

    pair: Pair
    """Radio ids of both satellites"""
    gps_ms: IntArray
    """Times in ms since the GPS epoch, shape (n,)"""
    range_m: FloatArray
    """Measured ranges including the bias in m, shape (n,)"""
    residual_m: FloatArray
    """Measured minus computed ranges of the best hypothesis in m, shape (n,)"""
    used: BoolArray
    """True for ranges that the solution uses, shape (n,)"""
    bias_m: float
    bias_sigma_m: float
    noise_m: float
    """Estimated standard deviation of a range in m"""

    @property
    def distance_m(self) -> FloatArray:
        """Measured distances without the bias in m, shape (n,)."""
        return self.range_m - self.bias_m

    @property
    def model_m(self) -> FloatArray:
        """Computed distances without the bias in m, shape (n,)."""
        return self.distance_m - self.residual_m

    @property
    def residual_rms_m(self) -> float:
        """RMS residual of the used ranges in m; NaN without a used range."""
        return float(np.sqrt(np.mean(self.residual_m[self.used] ** 2))) if self.used.any() else math.nan


def orbit_name(number: int) -> str:
    """Return the name of a candidate orbit by its index, 0 for the best."""
    return ("best", "mirror")[number] if number < 2 else f"no. {number + 1}"


@dataclass(frozen=True, slots=True, eq=False)
class RangeRecords:
    """The n range packets of the input, in the order of their input numbers."""

    seq: IntArray
    """Input numbers, shape (n,)"""
    source: tuple[str, ...]
    """File of each packet"""
    offset: IntArray
    """Byte offsets in the undamaged part of the files, shape (n,)"""
    t_spacecraft_s: IntArray
    """Times of the clock of the satellite that measured, in s, shape (n,)"""
    satellite_id: IntArray
    """Radio ids of the satellites that measured, shape (n,)"""
    partner_id: IntArray
    """Radio ids of the other satellites, shape (n,)"""
    gps_ms: tuple[int | None, ...]
    """Times in ms since the GPS epoch; None if unknown"""
    range_m: FloatArray
    """Measured ranges including the bias in m, shape (n,)"""
    residual_m: FloatArray
    """Measured minus computed ranges of the best hypothesis in m, shape (n,); NaN outside the newest solution"""
    cause: tuple[str, ...]
    """Reason why the newest solution of the formation does not use the range; empty if it does"""

    def __len__(self) -> int:
        return len(self.seq)

    @property
    def used(self) -> int:
        """Number of ranges in the newest solution."""
        return self.cause.count("")

    @property
    def not_used(self) -> dict[str, int]:
        """Number of the other ranges by cause, the most frequent first."""
        return {cause: count for cause, count in Counter(self.cause).most_common() if cause}


@dataclass(frozen=True, slots=True, eq=False)
class FormationResult:
    """Formation of a replay: partners, ranges and closest approaches."""

    own_id: int
    """Radio id of our satellite"""
    partners: tuple[PartnerResult, ...]
    """All partners for which there is a message, in the order of their radio ids"""
    links: tuple[LinkResult, ...]
    chi_square: FloatArray
    """Chi-squares of the h hypotheses of the newest solution for the whole formation, best first, shape (h,)"""
    margin: float
    """Chi-square above the best from which hypotheses are excluded; NaN without a solution"""
    track_gps_ms: IntArray
    """Times of the candidate orbits in ms since the GPS epoch, shape (k,)"""
    conjunctions: tuple[Conjunction, ...] = ()
    """Encounters within a day after the newest solution, by each orbit that fits; the best of each partner is first"""
    fix_components: int = 0
    """Number of components of fixes among the measurements whose residuals the hypotheses differ in"""
    chi_square_common: float = 0.0
    """Part of every chi-square that is common to all hypotheses: that of all other fixes"""
    collision_radius_m: float = COMBINED_RADIUS_M
    """Combined radius of both satellites in m for the probabilities of a collision"""

    def chi_squares(self, partner: PartnerResult) -> str:
        """Return the chi-squares of best orbit and mirror of a partner, and the number of measurements to expect."""
        best = partner.chi2_best - self.chi_square_common
        mirror = partner.chi2_mirror - self.chi_square_common
        ranges = sum(int(link.used.sum()) for link in self.links)
        fixes = f" and {self.fix_components} components of fixes" if self.fix_components else ""
        expected = ranges + self.fix_components
        return f"{best:.1f} and {mirror:.1f} of {ranges} ranges{fixes} (good: about {expected})"

    def name_of(self, conjunction: Conjunction) -> str:
        """Return the name of the orbit of a conjunction: best, mirror, or else its hypothesis."""
        orbits = next((each.orbits for each in self.partners if each.partner == conjunction.partner), ())
        names = {orbit.hypothesis: f"{orbit_name(rank)} orbit" for rank, orbit in enumerate(orbits[:2])}
        return names.get(conjunction.hypothesis, f"hypothesis {conjunction.hypothesis + 1}")

    def conjunctions_of(self, partner_id: int) -> list[Conjunction]:
        """Return the conjunctions with one partner; that of the best orbit is first."""
        return [each for each in self.conjunctions if each.partner == partner_id]

    def nearest(self, partner_id: int) -> Conjunction | None:
        """Return the conjunction with the smallest distance, or None."""
        return min(self.conjunctions_of(partner_id), key=lambda each: each.nearest.distance_m, default=None)

    def most_dangerous(self, partner_id: int) -> Conjunction | None:
        """Return the conjunction with the highest probability of a collision, or None; of equal ones, the nearest."""
        return max(
            self.conjunctions_of(partner_id),
            key=lambda each: (each.probability, -each.likeliest.distance_m),
            default=None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FixRecords:
    """The n GPS records with a time, in the order in which the flight software uses them.

    Innovations are in ITRF.
    """

    seq: IntArray
    """Input numbers, shape (n,)"""
    source: tuple[str, ...]
    """File of each record"""
    offset: IntArray
    """Byte offsets in the undamaged part of the files, shape (n,)"""
    gps_ms: IntArray
    """Times in ms since the GPS epoch, shape (n,)"""
    t_spacecraft_s: IntArray
    """Spacecraft times in s, shape (n,); -1 without a spacecraft time"""
    gps_week_received: tuple[int | None, ...]
    """Weeks in the packets that were corrected for a rollover; None for the others"""
    position_cause: tuple[str, ...]
    """Reason why each position was rejected; empty if it was used"""
    velocity_cause: tuple[str, ...]
    """Reason why each velocity was rejected; empty if it was used"""
    position: Innovations
    """Innovations of the position in m"""
    velocity: Innovations
    """Innovations of the velocity in m/s"""
    restarted: BoolArray
    """True where the filter restarted with the record, shape (n,)"""
    spacecraft_to_gps_ms: FloatArray
    """Offset of the clock map after the record, gps_ms - 1000 t_spacecraft_s, shape (n,); NaN if unknown"""


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
    """Name of the filter: the square-root EKF, or a reference filter"""
    sources: tuple[SourceFile, ...]
    """Input files and their byte counters"""
    counts: dict[str, int]
    """Counters of the fixes: received, accepted, waiting, rejected by cause"""
    fixes: FixRecords
    untimed: tuple[UntimedRecord, ...]
    ranges: RangeRecords
    solution: OrbitSolution
    """Solution of the filter; like smoother and batch, it has one row per row of `fixes`"""
    smoothed: OrbitSolution | None
    batch: OrbitSolution | None
    truth: OrbitTruth | None
    attitude: AttitudeResult
    formation: FormationResult | None = None
    """Formation; None without partners"""
    notes: tuple[str, ...] = ()
    """Remarks for the reader, such as why there is no batch solution"""
    normal_points: bool = False
    """True if the filter took fixes together, so that not each of them has a message of the flight software"""

    @property
    def not_used(self) -> dict[str, int]:
        """Number of GPS records of which nothing was used, by cause, the most frequent first.

        The cause `repeated` counts records at a time for which another record was used, as in sense and range files.
        """
        rows = np.flatnonzero(~self.solution.accepted)
        repeated = np.isin(self.fixes.gps_ms[rows], self.fixes.gps_ms[self.solution.accepted])
        causes = Counter(
            "repeated" if again else self.fixes.position_cause[row] for row, again in zip(rows, repeated, strict=True)
        )
        return dict((causes + Counter(record.cause for record in self.untimed)).most_common())

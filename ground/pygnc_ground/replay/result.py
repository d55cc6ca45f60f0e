"""All that a replay gives: tables of numbers, before anything is written or drawn."""

from dataclasses import dataclass

from pygnc.bus.messages import SourceFile
from pygnc.configuration.settings import Settings
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray, OrbitSolution
from pygnc_ground.replay.attitude_result import AttitudeResult
from pygnc_ground.replay.formation_result import FormationResult
from pygnc_ground.truth.orbit_truth import OrbitTruth


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

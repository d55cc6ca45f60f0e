"""What a replay gives of the attitude: tables of numbers by sensor sample, before anything is written or drawn."""

from dataclasses import dataclass

import numpy as np

from pygnc_ground.attitude.bound import AttitudeBound
from pygnc_ground.attitude.face_illuminance import FaceIlluminance
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.truth.attitude_truth import TrueAttitude


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

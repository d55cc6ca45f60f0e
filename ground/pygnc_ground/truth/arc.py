"""Samples of an orbit that belong together, and what lies between them."""

from dataclasses import dataclass

import numpy as np

from pygnc_ground.truth.inertial import Frame
from pygnc_ground.truth.interpolation import hermite, lagrange
from pygnc_ground.truth.orbit_truth import FloatArray, IntArray

HERMITE_WINDOW = 4
LAGRANGE_WINDOW = 10
WIDEST_STEP = 0.4
"""With velocities: a step along the orbit over its radius. In a low orbit 5 to 6 min, with an error of 0.6 m."""
WIDEST_STEP_OF_POSITIONS = 0.23
"""The same of positions alone: 3 min, 0.1 m, and 2 m at the ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Arc:
    """Samples of an orbit without a gap, in one frame.

    Between samples with velocity the degree is 7 unless the file says otherwise, else 9. Greatest errors measured in m
    with an orbit of 520 km height under a gravity field of degree 70, within the arc and in its five outermost steps:

    =============  ================  =================
    Samples every  With velocity     Positions alone
    =============  ================  =================
    25 s           0.0001, 0.0004    0.00001, 0.00004
    60 s           0.0002, 0.001     0.003, 0.03
    120 s          0.007, 0.007      0.05, 0.3
    180 s          0.014, 0.05       0.1, 2
    300 s          0.1, 0.3          (0.6, 12)
    =============  ================  =================

    Higher degrees gain little within the arc, for what is missed there is the field's detail, and lose much at its
    ends. Up to 60 s the error with velocities is the motion of the celestial pole (50 um/s), which velocities in ITRF
    leave out by convention. Velocities from positions alone are good to 0.2 mm/s at 60 s. Steps beyond `WIDEST_STEP`
    are gaps, as the last of the table would be.
    """

    gps_ns: IntArray
    """(s,), nanoseconds since the GPS epoch, ascending"""
    position_m: FloatArray
    """(s, 3)"""
    velocity_mps: FloatArray | None
    """(s, 3), in the same frame: in ITRF relative to the rotating Earth"""
    frame: Frame
    window: int
    """Samples that an interpolation takes. An arc with fewer is known at its samples only, and not at all if it has no
    velocities."""
    usable_ns: tuple[int, int]
    """First and last time it may be asked for"""

    def states(self, gps_ns: IntArray) -> FloatArray:
        """Position and velocity in the arc's frame, shape (n, 6), at moments within `usable_ns`; NaN where unknown."""
        found = np.full((len(gps_ns), 6), np.nan)
        if self.velocity_mps is None:
            if len(self.gps_ns) >= self.window:
                found[:] = lagrange(self.gps_ns, self.position_m, self.window, gps_ns)
            return found
        samples = np.concatenate((self.position_m, self.velocity_mps), axis=1)
        row = np.searchsorted(self.gps_ns, gps_ns, side="right") - 1
        between = self.gps_ns[row] != gps_ns
        found[~between] = samples[row[~between]]
        if len(self.gps_ns) >= self.window:
            found[between] = hermite(self.gps_ns, samples, self.window, gps_ns[between])
        return found

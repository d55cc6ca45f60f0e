"""A true orbit from samples: arcs, asked as one."""

from collections.abc import Sequence

import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc_ground.truth.arc import Arc
from pygnc_ground.truth.earth_orientation import earth_orientation
from pygnc_ground.truth.inertial import Frame, itrf_states
from pygnc_ground.truth.orbit_truth import IntArray, TrueOrbit
from pygnc_ground.truth.soundness import sound_arcs

NS_PER_MS = 1_000_000


class Ephemeris:
    """`OrbitTruth` of arcs in the order of time."""

    def __init__(self, arcs: Sequence[Arc], origin: str) -> None:
        """Take arcs; where two hold the same moment, the later one speaks.

        Args:
            arcs: At least one.
            origin: Kind of file, object and source, for the description.

        Raises:
            ValueError: The samples cannot be those of an orbit or are too far apart, or arcs in inertial axes are there
                and the Earth's orientation is not; the message says what is wrong or missing.
        """
        self._arcs = tuple(part for arc in arcs for part in sound_arcs(arc))
        if not self._arcs or self.span_gps_ms[0] > self.span_gps_ms[1]:
            raise ValueError("the ephemeris covers no time: nothing is known within its useable time")
        # Names in it are from the file, and the description goes to terminals.
        self._origin = "".join(char if char.isprintable() else "?" for char in origin)
        inertial = any(arc.frame is not Frame.ITRF for arc in self._arcs)
        self._orientation = earth_orientation(self.span_gps_ms[1]) if inertial else EarthOrientationTable.none()

    @property
    def span_gps_ms(self) -> tuple[int, int]:
        """First and last whole millisecond it is known at."""
        begin_ns = min(arc.usable_ns[0] for arc in self._arcs)
        end_ns = max(arc.usable_ns[1] for arc in self._arcs)
        return -(-begin_ns // NS_PER_MS), end_ns // NS_PER_MS

    @property
    def description(self) -> str:
        """What it is, for people: origin, span, number of samples and of arcs, source of velocities."""
        begin, end = (utc_iso_from_gps_ms(gps_ms) for gps_ms in self.span_gps_ms)
        samples = sum(len(arc.gps_ns) for arc in self._arcs)
        arcs = f" in {len(self._arcs)} arcs" if len(self._arcs) > 1 else ""
        note = ", velocities from positions" if any(arc.velocity_mps is None for arc in self._arcs) else ""
        return f"{self._origin}, {begin} to {end}, {samples} samples{arcs}{note}"

    def at(self, gps_ms: IntArray) -> TrueOrbit:
        """States at whole milliseconds, shape (n,): at samples as they are, NaN in gaps and outside."""
        return self.at_ns(gps_ms * NS_PER_MS)

    def at_ns(self, gps_ns: IntArray) -> TrueOrbit:
        """The same at nanoseconds since the GPS epoch."""
        states = np.full((len(gps_ns), 6), np.nan)
        for arc in self._arcs:
            asked = (gps_ns >= arc.usable_ns[0]) & (gps_ns <= arc.usable_ns[1])
            if asked.any():
                found = arc.states(gps_ns[asked])
                if arc.frame is not Frame.ITRF:
                    found = itrf_states(arc.frame, gps_ns[asked], found, self._orientation)
                states[asked] = found
        return TrueOrbit(states[:, :3], states[:, 3:])

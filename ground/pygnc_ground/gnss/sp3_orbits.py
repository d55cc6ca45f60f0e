"""Orbits and clocks of navigation satellites from SP3 files of consecutive days.

Positions are interpolated with polynomials of degree 9, which is accurate to millimetres for samples every 15 min
(M. Schenewerk, GPS Solutions 6, 2003). Clocks are interpolated linearly between neighbouring samples. The noise of a
clock between two samples is a random walk; its density follows from the second differences of the satellite's own
samples, which shows the difference of caesium and rubidium clocks without a table of them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from pygnc_ground.gnss.measurements import SPEED_OF_LIGHT_M_S, FloatArray, IntArray, OrbitReference, SatelliteStates
from pygnc_ground.truth.ephemeris import LAGRANGE_WINDOW, NS_PER_MS, lagrange
from pygnc_ground.truth.sp3 import SatelliteSamples, read_sp3_satellites

_SIGMA_M: Final = 0.03
"""Errors of final orbits and clocks together; the IGS states 2.5 cm for orbits and 20 ps for clocks (igs.org/products).
"""
_MAD_TO_SIGMA: Final = 1.4826
_WALK_FEWEST: Final = 12
"""Least number of second differences from which a clock's noise is estimated; others get that of the worst clock."""
_NS_PER_S: Final = 1e9
_MODEL: Final = re.compile(r"^/\*.*\bPCV:(\w+)", re.MULTILINE)
"""Comment of an SP3 file that names the model of the phase centres."""
_NO_ANTENNAS: Final = "NONE"


class Sp3Orbits:
    """`GnssOrbits` of SP3 samples."""

    def __init__(self, samples: Mapping[str, SatelliteSamples], antennas: str = "") -> None:
        """Prepare the samples of each satellite, in order of time.

        `antennas` is the model of the phase centres with which the orbits were determined, or "NONE" if the positions
        are those of the antennas.

        Raises:
            ValueError: No satellite has enough samples.
        """
        self.antennas = antennas
        self.reference = OrbitReference.ANTENNA if antennas == _NO_ANTENNAS else OrbitReference.CENTRE_OF_MASS
        self._samples = {name: one for name, one in sorted(samples.items()) if len(one.gps_ns) >= LAGRANGE_WINDOW}
        if not self._samples:
            raise ValueError(f"no satellite has {LAGRANGE_WINDOW} positions; add the files of the neighbouring days")
        steps = np.concatenate([np.diff(one.gps_ns) for one in self._samples.values()])
        self._step_ns = int(np.median(steps))
        walks = {name: _clock_walk_m2_s(one, self._step_ns) for name, one in self._samples.items()}
        worst = max((walk for walk in walks.values() if walk is not None), default=0.0)
        self.clock_walk_m2_s = {name: worst if walk is None else walk for name, walk in walks.items()}
        """Density of the random walk of each satellite's clock."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Sp3Orbits":
        """Return the orbits in the contents of files; of equal times, the first file counts.

        Raises:
            ValueError: A file is damaged, or no satellite has enough samples.
        """
        contents = list(texts)
        of_files = [read_sp3_satellites(text) for text in contents]
        models = {found[1] if (found := _MODEL.search(text)) else "" for text in contents}
        if _NO_ANTENNAS in models and len(models) > 1:
            raise ValueError("one SP3 file has positions of antennas, another those of centres of mass; give one kind")
        names = {name for one in of_files for name in one}
        samples = {name: _joined([one[name] for one in of_files if name in one]) for name in names}
        return cls(samples, min(models, default=""))

    @property
    def clock_interval_ms(self) -> int:
        """Time between clock samples in ms."""
        return self._step_ns // NS_PER_MS

    @property
    def satellites(self) -> tuple[str, ...]:
        """Names of all satellites."""
        return tuple(self._samples)

    @property
    def span_gps_ms(self) -> tuple[int, int]:
        """First and last time of all samples."""
        ends = [(int(one.gps_ns[0]), int(one.gps_ns[-1])) for one in self._samples.values()]
        return min(first for first, _ in ends) // NS_PER_MS, max(last for _, last in ends) // NS_PER_MS

    def states(self, satellite: str, gps_ms: IntArray, offset_s: FloatArray) -> SatelliteStates:
        """Return the states at GPS times `gps_ms` plus `offset_s`, each (n,); NaN where they are unknown."""
        count = len(gps_ms)
        states, clock_s = np.full((count, 6), np.nan), np.full(count, np.nan)
        samples = self._samples.get(satellite)
        if samples is not None:
            # A picosecond would not fit in 64 bits; a nanosecond is 4 um of the orbit.
            at_ns = gps_ms * NS_PER_MS + np.round(offset_s * _NS_PER_S).astype(np.int64)
            row = np.searchsorted(samples.gps_ns, at_ns, side="right") - 1
            inside = (row >= 0) & (row < len(samples.gps_ns) - 1)
            low = np.clip(row, 0, len(samples.gps_ns) - 2)
            first_ns, last_ns = samples.gps_ns[low], samples.gps_ns[low + 1]
            inside &= last_ns - first_ns <= 1.5 * self._step_ns
            if inside.any():
                states[inside] = lagrange(samples.gps_ns, samples.position_m, LAGRANGE_WINDOW, at_ns[inside])
            part = (at_ns - first_ns) / (last_ns - first_ns)
            between = samples.clock_s[low] + part * (samples.clock_s[low + 1] - samples.clock_s[low])
            clock_s[inside] = between[inside]
        walk = self.clock_walk_m2_s.get(satellite, 0.0)
        return SatelliteStates(states[:, :3], states[:, 3:], clock_s, np.full(count, _SIGMA_M), np.full(count, walk))


def _joined(parts: Sequence[SatelliteSamples]) -> SatelliteSamples:
    """Return the samples of a satellite in several files in order of time."""
    times, rows = np.unique(np.concatenate([part.gps_ns for part in parts]), return_index=True)
    return SatelliteSamples(
        times,
        np.concatenate([part.position_m for part in parts])[rows],
        np.concatenate([part.clock_s for part in parts])[rows],
    )


def _clock_walk_m2_s(samples: SatelliteSamples, step_ns: int) -> float | None:
    """Return the density of a random walk with the second differences of the clock; None with too few samples.

    A second difference of a random walk of density q over steps T has the variance 2 q T.
    """
    clock_m = SPEED_OF_LIGHT_M_S * samples.clock_s
    second = clock_m[2:] - 2.0 * clock_m[1:-1] + clock_m[:-2]
    even = samples.gps_ns[2:] - samples.gps_ns[:-2] == 2 * step_ns
    second = second[even & np.isfinite(second)]
    if len(second) < _WALK_FEWEST:
        return None
    sigma_m = _MAD_TO_SIGMA * float(np.median(np.abs(second)))
    return sigma_m**2 / (2.0 * step_ns / _NS_PER_S)

"""Raw measurements of a receiver, and positions and clocks of the navigation satellites.

All readers of measurements (RINEX, streams of receivers) return `GnssMeasurements`; all sources of orbits (SP3 files,
broadcast messages) implement `GnssOrbits`. The estimator knows these types only.
"""

from dataclasses import dataclass, fields, replace
from enum import Enum, auto
from typing import Any, Final, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from pygnc.formats.damage import Damage

SPEED_OF_LIGHT_M_S: Final = 299_792_458.0
L1_HZ: Final = 1_575.42e6
L2_HZ: Final = 1_227.60e6
"""Carriers of GPS, IS-GPS-200, section 3.3.1.1."""
L1_WAVELENGTH_M: Final = SPEED_OF_LIGHT_M_S / L1_HZ
L2_WAVELENGTH_M: Final = SPEED_OF_LIGHT_M_S / L2_HZ
LOST_LOCK: Final = 1
HALF_CYCLE: Final = 2
"""Bits of the loss-of-lock indicators, as in RINEX: lock was lost since the previous epoch; half cycles are ambiguous.
"""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
SatelliteArray = npt.NDArray[np.str_]
FlagArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ReceiverFacts:
    """Facts of a header about the receiver; unknown values are None or empty."""

    marker: str = ""
    receiver: str = ""
    antenna: str = ""
    approximate_position_ecef_m: tuple[float, float, float] | None = None
    antenna_offset_m: tuple[float, float, float] | None = None
    """Offset of the antenna in the axes of the file: height, east, north, or x, y, z of the body."""
    interval_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GnssMeasurements:
    """Raw measurements, one row per epoch and satellite, in order of time; NaN where a value is missing."""

    gps_ms: IntArray
    """Time tags by the receiver's clock, milliseconds since the GPS epoch, shape (n,)."""
    fraction_s: FloatArray
    """Rest of the time tags below a millisecond, s, shape (n,)."""
    satellite: SatelliteArray
    """Satellites such as "G05", shape (n,), dtype U3."""
    code_l1_m: FloatArray
    """Pseudoranges of the C/A code, m, shape (n,)."""
    code_p1_m: FloatArray
    """Pseudoranges of the P(Y) code on L1, m, shape (n,)."""
    code_p2_m: FloatArray
    """Pseudoranges on L2, of the P(Y) code or of L2C, m, shape (n,)."""
    phase_l1_m: FloatArray
    """Carrier phases on L1 times the wavelength, m, shape (n,); they increase with the range."""
    phase_l2_m: FloatArray
    """Carrier phases on L2, as on L1."""
    signal_to_noise_l1_db_hz: FloatArray
    """Carrier-to-noise densities of the L1 phase, dB Hz, shape (n,); NaN if unknown or in another unit."""
    signal_to_noise_l2_db_hz: FloatArray
    loss_of_lock_l1: FlagArray
    """Bits `LOST_LOCK` and `HALF_CYCLE` of the L1 phase, shape (n,)."""
    loss_of_lock_l2: FlagArray
    facts: ReceiverFacts = ReceiverFacts()
    damage: tuple[Damage, ...] = ()
    """Parts of the file that were not read, with the reason."""

    def __len__(self) -> int:
        return len(self.gps_ms)

    def selected(self, rows: BoolArray | IntArray | slice) -> Self:
        """Return the measurements of some rows."""
        taken: dict[str, Any] = {
            field.name: value[rows]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        return replace(self, **taken)

    def without_l2(self) -> Self:
        """Return the C/A code and the L1 phase alone, as a receiver with a single frequency measures them."""
        missing = np.full(len(self), np.nan)
        return replace(
            self,
            code_p1_m=missing,
            code_p2_m=missing,
            phase_l2_m=missing,
            signal_to_noise_l2_db_hz=missing,
            loss_of_lock_l2=np.zeros(len(self), dtype=np.uint8),
        )


class OrbitReference(Enum):
    """Point of a navigation satellite to which its positions refer."""

    CENTRE_OF_MASS = auto()
    ANTENNA = auto()
    """Phase centre of the ionosphere-free combination."""


class SatelliteStates(NamedTuple):
    """States of a navigation satellite at n times; NaN where unknown."""

    position_ecef_m: FloatArray
    """Positions in ITRF at these times, shape (n, 3)."""
    velocity_ecef_mps: FloatArray
    """Velocities relative to the rotating Earth, in ITRF, shape (n, 3)."""
    clock_s: FloatArray
    """Clock minus GPS time for codes P1 and P2 without the periodic relativistic effect, shape (n,)."""
    sigma_m: FloatArray
    """Standard deviations of the errors of orbit and clock along the line of sight, which change within hours, (n,)."""
    clock_walk_m2_s: FloatArray
    """Density of the random walk of the clock between the samples from which it is interpolated, shape (n,)."""


class GnssOrbits(Protocol):
    """Orbits and clocks of navigation satellites."""

    @property
    def reference(self) -> OrbitReference:
        """Point to which the positions refer."""

    @property
    def clock_interval_ms(self) -> int:
        """Time between clock samples in ms, which are at multiples of it in GPS time; 0 for a continuous model."""

    @property
    def satellites(self) -> tuple[str, ...]:
        """Names of all satellites, such as "G05"."""

    @property
    def span_gps_ms(self) -> tuple[int, int] | None:
        """First and last time at which a satellite is known; None for none."""

    def states(self, satellite: str, gps_ms: IntArray, offset_s: FloatArray) -> SatelliteStates:
        """Return the states at GPS times `gps_ms` plus `offset_s`, each (n,); NaN where they are unknown."""

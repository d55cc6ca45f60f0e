"""Partner of a satellite with raw measurements, for `pygnc orbit` with `--partner`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.formation.relative import relative_accuracy, relative_truth, rtn_from_gcrf
from pygnc_ground.gnss.measurements import GnssMeasurements
from pygnc_ground.orbit.raw.determination import RawOrbit
from pygnc_ground.orbit.raw.relative import RelativeOrbit, solve_relative
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.tables import relative_table
from pygnc_ground.truth.load import load_truth

if TYPE_CHECKING:
    import polars as pl

_OFFSET_SIGMA_M: Final = 0.005
"""Standard deviation of the difference of two antennas of one kind, which have the same error of calibration."""
_PER_KM: Final = 1e-3


@dataclass(frozen=True, slots=True)
class PartnerFiles:
    """Files of a partner, and where its antenna is."""

    observations: tuple[Path, ...]
    offset_m: tuple[float, float, float] | None = None
    """Antenna from the centre of mass; None if it is mounted as the own one."""
    truth: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PartnerResult:
    """Position of the partner relative to the satellite, with the summary."""

    gps_ms: IntArray
    relative_gcrf: FloatArray
    """Relative states in GCRF, shape (n, 6)."""
    relative_rtn: FloatArray
    covariance_rtn: FloatArray
    """In radial, transverse, normal of the own orbit, (n, 6) and (n, 6, 6)."""
    found: RelativeOrbit

    @classmethod
    def of(
        cls, own: RawOrbit, partner: RawOrbit, files: PartnerFiles, settings: OrbitSettings, frames: EarthFrames
    ) -> "PartnerResult":
        """Determine the relative orbit at the common epochs.

        Raises:
            RawOrbitError: The receivers have too few common measurements.
        """
        offset_m = partner.receiver.offset_m if files.offset_m is None else files.offset_m
        found = solve_relative(own, partner, settings, frames, offset_m, _OFFSET_SIGMA_M)
        gps_ms = np.unique(found.differences.gps_ms)
        own_states, _ = own.states(gps_ms)
        states, covariance = found.states(gps_ms)
        turn = rtn_from_gcrf(own_states)
        relative = states - own_states
        return cls(
            gps_ms,
            relative,
            np.einsum("nij,nj->ni", turn, relative),
            turn @ covariance @ turn.transpose(0, 2, 1),
            found,
        )

    def table(self) -> "pl.DataFrame":
        """Return the rows of the table `formation`."""
        return relative_table(self.gps_ms, self.relative_rtn, self.relative_gcrf[:, :3], self.covariance_rtn)

    def lines(self, seen: GnssMeasurements, truth: Path | None, partner_truth: Path | None) -> Iterator[str]:
        """Yield the distance, how well it is known, and with two true orbits the errors."""
        found, distance_m = self.found, np.linalg.norm(self.relative_gcrf[:, :3], axis=1)
        name = f" {seen.facts.marker}" if seen.facts.marker else ""
        near_km, far_km = _PER_KM * distance_m.min(), _PER_KM * distance_m.max()
        yield (
            f"partner{name}: {near_km:.3f} to {far_km:.3f} km away at {len(self.gps_ms)} common epochs,"
            f" {found.differences.pass_count} common passes"
        )
        yield f"integers: {len(found.integers)} of {found.ambiguities} ambiguities fixed, the others are real numbers"
        residual_m = found.phase_m[np.isfinite(found.phase_m)]
        yield f"median residual of the phases' differences: {1e3 * float(np.median(np.abs(residual_m))):.1f} mm"
        accuracy = relative_accuracy(self.relative_rtn, self.covariance_rtn, np.full_like(self.relative_rtn, np.nan))
        yield f"relative position: sigma {accuracy.sigma_m:.4f} m in three dimensions"
        if truth is None or partner_truth is None:
            return
        true = relative_truth(load_truth(truth, None), load_truth(partner_truth, None), self.gps_ms)
        known = np.isfinite(true[:, 0])
        if not known.any():
            yield "truth: the true orbits have no state at the common epochs"
            return
        accuracy = relative_accuracy(self.relative_rtn, self.covariance_rtn, true)
        error_m = (self.relative_rtn - true)[known, :3]
        inverse = np.linalg.inv(self.covariance_rtn[known][:, :3, :3])
        squares = np.einsum("ni,nij,nj->n", error_m, inverse, error_m)
        radial, transverse, normal = accuracy.error_rtn_m
        yield (
            f"relative position error: 3-D RMS {accuracy.error_m:.4f} m (R {radial:.4f}, T {transverse:.4f},"
            f" N {normal:.4f}), NEES {squares.mean() / 3.0:.2f}"
        )

"""Partner of a satellite with raw measurements, for `pygnc orbit` with `--partner`."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from pygnc.configuration.settings import Settings
from pygnc.environment.frames import EarthFrames
from pygnc.navigation.range_clock import RangeClock
from pygnc_ground.formation.relative import relative_accuracy, relative_truth, rtn_from_gcrf
from pygnc_ground.gnss.measurements import GnssMeasurements
from pygnc_ground.orbit.raw.determination import RawOrbit
from pygnc_ground.orbit.raw.relative import RelativeOrbit, solve_relative
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.attitude_run import return_free_memory
from pygnc_ground.replay.inputs import from_files
from pygnc_ground.replay.tables import relative_table
from pygnc_ground.truth.load import load_truth
from pygnc_ground.wording import plural

if TYPE_CHECKING:
    import polars as pl

    from pygnc_ground.report.raw_orbit import Relative

_OFFSET_SIGMA_M: Final = 0.005
"""Standard deviation of the difference of two antennas of one kind, which have the same error of calibration."""
_PER_KM: Final = 1e-3
_OUTLIER: Final = 5.0
_MAD_TO_SIGMA: Final = 1.4826
"""Standard deviation of normal noise relative to the median of its size."""
_RANGES_LEAST: Final = 5


@dataclass(frozen=True, slots=True)
class PartnerFiles:
    """Files of a partner, and where its antenna is."""

    observations: tuple[Path, ...]
    offset_m: tuple[float, float, float] | None = None
    """Antenna from the centre of mass; None if it is mounted as the own one."""
    truth: Path | None = None
    ranges: Path | None = None
    """Folder of range files."""
    radio: int | None = None
    """Id of its radio in the range files; None if they have ranges to one partner only."""


@dataclass(frozen=True, slots=True, eq=False)
class RadioRanges:
    """Ranges of the radios beside the relative orbit, which is a hundred to a thousand times as accurate."""

    gps_ms: IntArray
    range_m: FloatArray
    """Measured ranges with the delay of both radios, shape (n,)."""
    residual_m: FloatArray
    """Ranges minus distance, shape (n,)."""
    is_given: bool = True

    @classmethod
    def read(cls, files: PartnerFiles, settings: Settings) -> Self:
        """Return the ranges between both satellites, still without residuals; none without a folder.

        Raises:
            OSError: A file cannot be read.
            ValueError: The folder has no usable range, or those of several partners.
        """
        if files.ranges is None:
            return cls(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0), is_given=False)
        clock, found = RangeClock(), defaultdict[int, list[tuple[int, float]]](list)
        for message in from_files((), files.ranges, settings).messages:
            for one, gps_ms in clock.process(message):
                if not one.satellite_id or one.partner_id == settings.formation.own_id:
                    found[one.satellite_id or one.partner_id].append((gps_ms, one.range_m))
        ids = ", ".join(map(str, sorted(found)))
        if files.radio is None and len(found) > 1:
            raise ValueError(f"{files.ranges}: ranges to several partners ({ids}); name one by --partner-radio")
        rows = found.get(files.radio, []) if files.radio is not None else next(iter(found.values()), [])
        if not rows:
            whom = "a partner" if files.radio is None else f"partner {files.radio}"
            others = f"; it has those to {ids}" if ids else ""
            raise ValueError(f"{files.ranges}: no range with a GPS time to {whom}{others}")
        times_ms, ranges_m = zip(*rows, strict=True)
        return cls(np.array(times_ms), np.array(ranges_m), np.full(len(rows), np.nan))

    def compared(self, own: RawOrbit, found: RelativeOrbit) -> Self:
        """Return the ranges within the relative orbit's arc, with residuals."""
        first, last = found.differences.gps_ms[[0, -1]]
        inside = (self.gps_ms >= first) & (self.gps_ms <= last)
        gps_ms, range_m = self.gps_ms[inside], self.range_m[inside]
        apart_m = (found.states(gps_ms)[0] - own.states(gps_ms)[0])[:, :3]
        return replace(self, gps_ms=gps_ms, range_m=range_m, residual_m=range_m - np.linalg.norm(apart_m, axis=1))

    def lines(self) -> Iterator[str]:
        """Yield the delay of the radios and the noise of the ranges, if there are any."""
        if not self.is_given:
            return
        count = plural(len(self.gps_ms), "range")
        if len(self.gps_ms) < _RANGES_LEAST:
            yield f"radio: {count} at times with a relative position; {_RANGES_LEAST} are required for a comparison"
            return
        delay_m = float(np.median(self.residual_m))
        sigma_m = _MAD_TO_SIGMA * float(np.median(np.abs(self.residual_m - delay_m)))
        beyond = int((np.abs(self.residual_m - delay_m) > _OUTLIER * sigma_m).sum())
        outliers = f", {beyond} beyond {_OUTLIER:g} sigma" if beyond else ""
        yield (
            f"radio: {count} minus the distance: delay {delay_m:.1f} m +- {sigma_m / np.sqrt(len(self.gps_ms)):.1f} m,"
            f" noise {sigma_m:.1f} m{outliers}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class PartnerResult:
    """Position of the partner relative to the satellite, with the summary."""

    gps_ms: IntArray
    relative_gcrf: FloatArray
    """Relative states in GCRF, shape (n, 6)."""
    relative_rtn: FloatArray
    covariance_rtn: FloatArray
    """In radial, transverse, normal of the own orbit, (n, 6) and (n, 6, 6)."""
    true_rtn: FloatArray
    """True relative states, shape (n, 6); NaN where unknown."""
    passes: int
    """Number of common passes."""
    integers: int
    """Number of ambiguities that are known integers, of `ambiguities`."""
    ambiguities: int
    residual_m: float
    """Median residual of the phases' differences."""
    radio: RadioRanges

    @classmethod
    def of(  # noqa: PLR0917 - both orbits, files, and what they are predicted with
        cls,
        own: RawOrbit,
        partner: RawOrbit,
        files: PartnerFiles,
        truth: Path | None,
        settings: Settings,
        frames: EarthFrames,
    ) -> "PartnerResult":
        """Determine the relative orbit at the common epochs.

        Raises:
            RawOrbitError: The receivers have too few common measurements.
            OSError: A file cannot be read.
            ValueError: The truth or the range files cannot be used.
        """
        radio = RadioRanges.read(files, settings)
        offset_m = partner.receiver.offset_m if files.offset_m is None else files.offset_m
        return_free_memory()
        found = solve_relative(own, partner, settings.orbit, frames, offset_m, _OFFSET_SIGMA_M)
        gps_ms = np.unique(found.differences.gps_ms)
        own_states, _ = own.states(gps_ms)
        states, covariance = found.states(gps_ms)
        turn = rtn_from_gcrf(own_states)
        relative = states - own_states
        true = np.full_like(relative, np.nan)
        if truth is not None and files.truth is not None:
            true = relative_truth(load_truth(truth, None), load_truth(files.truth, None), gps_ms)
        return cls(
            gps_ms,
            relative,
            np.einsum("nij,nj->ni", turn, relative),
            turn @ covariance @ turn.transpose(0, 2, 1),
            true,
            found.differences.pass_count,
            len(found.integers),
            found.ambiguities,
            float(np.nanmedian(np.abs(found.phase_m))),
            radio.compared(own, found),
        )

    def table(self) -> "pl.DataFrame":
        """Return the rows of the table `formation`."""
        return relative_table(self.gps_ms, self.relative_rtn, self.relative_gcrf[:, :3], self.covariance_rtn)

    @property
    def drawn(self) -> "Relative":
        """Return what the report shows of the partner."""
        from pygnc_ground.report.raw_orbit import Relative

        sigma_m = np.sqrt(np.diagonal(self.covariance_rtn, axis1=1, axis2=2))[:, :3]
        return Relative(
            self.gps_ms,
            self.relative_rtn[:, :3],
            sigma_m,
            self.true_rtn[:, :3],
            self.radio.gps_ms,
            self.radio.residual_m,
        )

    def lines(self, seen: GnssMeasurements, *, has_truth: bool) -> Iterator[str]:
        """Yield the distance, how well it is known, the radio's ranges, and with two true orbits the errors."""
        distance_m = np.linalg.norm(self.relative_gcrf[:, :3], axis=1)
        name = f" {seen.facts.marker}" if seen.facts.marker else ""
        near_km, far_km = _PER_KM * distance_m.min(), _PER_KM * distance_m.max()
        yield (
            f"partner{name}: {near_km:.3f} to {far_km:.3f} km away at {len(self.gps_ms)} common epochs,"
            f" {self.passes} common passes"
        )
        yield f"integers: {self.integers} of {self.ambiguities} ambiguities fixed, the others are real numbers"
        yield f"median residual of the phases' differences: {1e3 * self.residual_m:.1f} mm"
        accuracy = relative_accuracy(self.relative_rtn, self.covariance_rtn, self.true_rtn)
        yield f"relative position: sigma {accuracy.sigma_m:.4f} m in three dimensions"
        yield from self.radio.lines()
        if not has_truth:
            return
        known = np.isfinite(self.true_rtn[:, 0])
        if not known.any():
            yield "truth: the true orbits have no state at the common epochs"
            return
        error_m = (self.relative_rtn - self.true_rtn)[known, :3]
        inverse = np.linalg.inv(self.covariance_rtn[known][:, :3, :3])
        squares = np.einsum("ni,nij,nj->n", error_m, inverse, error_m)
        radial, transverse, normal = accuracy.error_rtn_m
        yield (
            f"relative position error: 3-D RMS {accuracy.error_m:.4f} m (R {radial:.4f}, T {transverse:.4f},"
            f" N {normal:.4f}), NEES {squares.mean() / 3.0:.2f}"
        )

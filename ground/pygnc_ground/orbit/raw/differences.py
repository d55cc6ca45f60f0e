"""Single differences between two receivers: the same GPS satellite at the same time, partner minus own.

Clocks and most of the orbit errors of the GPS satellites cancel, and the ionosphere does in part. Each receiver is
predicted at its own time of reception.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc_ground.gnss.antennas import L1_SHARE
from pygnc_ground.gnss.measurements import L1_HZ, L1_WAVELENGTH_M, L2_HZ, L2_WAVELENGTH_M, SatelliteArray
from pygnc_ground.orbit.raw.determination import RawOrbit
from pygnc_ground.orbit.raw.prediction import Predicted, predict
from pygnc_ground.orbit.raw.screening import RawOrbitError, thinned
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray

_LOW: Final = 0.2
"""Sine of the elevation below which noise no longer increases; above, it is inversely proportional."""
_SHORT: Final = 5
"""Passes of fewer epochs are not used."""
_GAP_MS: Final = 200_000
_JUMP_M: Final = 0.05
"""Change of a difference of phases that neither noise nor ionosphere explain: a slip changes it by 0.19 or 0.24 m."""
_FEWEST: Final = 4
"""Least number of common satellites of an epoch, with which a slip of one shows against the others."""
_STEP_MS: Final = 30_000
"""Interval of the epochs used: errors of the ionosphere, of antennas and of multipath are common to 30 s, while
the size of their covariances is the square of the number of epochs.
"""
_TAG_MS: Final = 20
"""Largest difference of time tags at a common epoch; clocks of GPS satellites change by less than 0.01 mm meanwhile."""
WAVELENGTHS_M: Final = (L1_WAVELENGTH_M, L2_WAVELENGTH_M)
DELAY_FACTORS: Final = (1.0, (L1_HZ / L2_HZ) ** 2)
"""Delay in the ionosphere relative to that on L1."""


class _End:
    """Measurements of one receiver at the common rows, and their predictions."""

    def __init__(self, orbit: RawOrbit, rows: IntArray, frames: EarthFrames, offset_m: FloatArray) -> None:
        self.seen = orbit.combined.measurements.selected(rows)
        self.passes = orbit.combined.passes[rows]
        self.offset_s = self.seen.fraction_s - orbit.clock_s[rows]
        self.clock_s = orbit.clock_s[rows]
        self._combined, self._links = orbit.combined.selected(rows), orbit.links.selected(rows)
        times_ms, first, epoch = np.unique(self.seen.gps_ms, return_index=True, return_inverse=True)
        self.ecef_from_gcrf = frames.at_each(times_ms, self.offset_s[first]).ecef_from_gcrf[epoch]
        self._offset_m = offset_m
        self.sigma_m = self._links.sigma_m

    def predicted(self, states: FloatArray) -> Predicted:
        """Return the predictions at states (n, 6) in GCRF at the times of reception."""
        return predict(self._combined, self._links, states, self.ecef_from_gcrf, self._offset_m, self.clock_s)

    def values(self, band: int) -> tuple[FloatArray, FloatArray]:
        """Return codes and phases of a band in m."""
        seen = self.seen
        if band:
            return seen.code_p2_m, seen.phase_l2_m
        # Codes of both bands shall be of one kind.
        first_m = np.where(np.isfinite(seen.code_p1_m), seen.code_p1_m, seen.code_l1_m)
        return first_m, seen.phase_l1_m


@dataclass(frozen=True, slots=True, eq=False)
class Differences:
    """Differences of n pairs of measurements in order of time, minus their predictions, by band."""

    gps_ms: IntArray
    """Time tags of the partner, shape (n,)."""
    offset_s: FloatArray
    """Time of reception of the partner minus the tag, shape (n,)."""
    satellite: SatelliteArray
    epoch: IntArray
    """Index of the epoch, shape (n,)."""
    passes: IntArray
    """Pass of both receivers; -1 for none, shape (n,)."""
    code_m: FloatArray
    """Codes, shape (bands, n)."""
    phase_m: FloatArray
    """Phases without wind-up, whole cycles removed from each pass, so that they agree with the codes, (bands, n)."""
    removed_cycles: FloatArray
    """Cycles removed, with the wind-up, shape (bands, n)."""
    partials: FloatArray
    """Derivatives by the partner's position in GCRF, shape (n, 3)."""
    by_offset: FloatArray
    """Derivatives by the partner's antenna offset, shape (n, 3)."""
    noise_factor: FloatArray
    """Variance of white noise relative to that of one measurement at the zenith, shape (n,)."""
    mapping: FloatArray
    """Increase of the ionosphere's delay from the zenith, shape (n,)."""
    sigma_m: FloatArray
    """Standard deviation of orbit and clock of the GPS satellite along the line of sight, shape (n,)."""
    baseline_m: float
    """Median distance between the satellites."""

    @property
    def bands(self) -> int:
        """Number of frequencies."""
        return len(self.phase_m)

    @property
    def pass_count(self) -> int:
        """Number of passes."""
        return int(self.passes.max(initial=-1)) + 1

    def with_passes(self, passes: IntArray) -> Self:
        """Return the differences with other passes, numbered anew, and without short ones."""
        kept = passes >= 0
        _, number = np.unique(passes[kept], return_inverse=True)
        long = np.bincount(number)[number] >= _SHORT if kept.any() else number
        numbered = np.full(len(passes), -1)
        rows = np.flatnonzero(kept)[long.astype(np.bool_)]
        _, numbered[rows] = np.unique(passes[rows], return_inverse=True)
        return replace(self, passes=numbered)

    def split(self, starts: BoolArray) -> Self:
        """Return the differences with passes that also begin at the flagged rows."""
        order = np.lexsort((self.gps_ms, self.passes))
        numbered = np.full(len(order), -1)
        new = starts[order] | (np.diff(self.passes[order], prepend=-2) != 0)
        numbered[order] = np.where(self.passes[order] >= 0, np.cumsum(new), -1)
        return self.with_passes(numbered)

    def without_ionosphere(self, phase_m: FloatArray) -> FloatArray:
        """Return the ionosphere-free combination of phases (bands, n), or those of the only band, shape (n,)."""
        if self.bands == 1:
            return np.asarray(phase_m[0])
        return np.asarray(L1_SHARE * phase_m[0] + (1.0 - L1_SHARE) * phase_m[1])

    def jumps(self, residual_m: FloatArray) -> BoolArray:
        """Return flags of rows at which a residual (n,) jumps against those of the other satellites, shape (n,)."""
        order = np.lexsort((self.gps_ms, self.passes))
        change_m = np.full(len(order), np.nan)
        is_next = (np.diff(self.passes[order]) == 0) & (self.passes[order][1:] >= 0)
        change_m[order[1:][is_next]] = np.diff(residual_m[order])[is_next]
        found = np.zeros(len(order), dtype=np.bool_)
        for rows in np.split(np.arange(len(order)), np.flatnonzero(np.diff(self.epoch)) + 1):
            known = rows[np.isfinite(change_m[rows])]
            if len(known) >= _FEWEST:
                found[known] = np.abs(change_m[known] - np.median(change_m[known])) > _JUMP_M
            else:
                # What cannot be compared may be a slip.
                found[known] = True
        return found


class Pairs:
    """Common measurements of two receivers.

    Args:
        own: Orbit that is held.
        partner: Orbit of the partner.
        frames: Earth orientation.
        partner_offset_m: Antenna of the partner from its centre of mass, shape (3,).

    Raises:
        RawOrbitError: There are too few measurements at the same times.
    """

    def __init__(self, own: RawOrbit, partner: RawOrbit, frames: EarthFrames, partner_offset_m: FloatArray) -> None:
        rows = _common(own, partner)
        if len(rows[0]) < _FEWEST * _SHORT:
            raise RawOrbitError(
                f"only {len(rows[0])} measurements of the same GPS satellites at the same times as the partner's; give"
                " files of the same hours and epochs"
            )
        self._own = _End(own, rows[0], frames, np.array(own.receiver.offset_m))
        self._other = _End(partner, rows[1], frames, partner_offset_m)
        if np.array_equal(self._own.seen.code_l1_m, self._other.seen.code_l1_m, equal_nan=True):
            raise RawOrbitError("the partner's measurements are those of the satellite itself; give the partner's file")
        self._own_states = own.at(self._own.seen.gps_ms, self._own.offset_s)
        self._of_own = self._own.predicted(self._own_states)
        self.dual = bool(own.combined.dual.any() and partner.combined.dual.any())
        both = np.stack((self._own.passes, self._other.passes))
        gap = _gaps(both, self._own.seen.gps_ms)
        self._passes = np.where((both >= 0).all(axis=0), gap, -1)

    @property
    def gps_ms(self) -> IntArray:
        """Time tags of the partner, shape (n,)."""
        return self._other.seen.gps_ms

    @property
    def offset_s(self) -> FloatArray:
        """Time of reception of the partner minus the tag, shape (n,)."""
        return self._other.offset_s

    def differences(self, states: FloatArray, passes: IntArray | None = None) -> Differences:
        """Return the differences for states (n, 6) of the partner in GCRF at the times of reception."""
        own, other, of_own, of_other = self._own, self._other, self._of_own, self._other.predicted(states)
        range_m = of_other.range_m - of_own.range_m
        wind_up = of_other.wind_up_cycles - of_own.wind_up_cycles
        codes, phases, removed = list[FloatArray](), list[FloatArray](), list[FloatArray]()
        _, epoch = np.unique(own.seen.gps_ms, return_inverse=True)
        sine = np.maximum(np.stack((of_own.sine, of_other.sine)), _LOW)
        used = self._passes if passes is None else passes
        for band in range(2 if self.dual else 1):
            (own_code, own_phase), (code, phase) = own.values(band), other.values(band)
            code_m, phase_m = code - own_code - range_m, phase - own_phase - range_m
            clock_m = group_medians(epoch, code_m)[epoch]
            code_m, phase_m = code_m - clock_m, phase_m - clock_m - WAVELENGTHS_M[band] * wind_up
            cycles = np.zeros(len(used))
            cycles[used >= 0] = np.rint(
                group_medians(used[used >= 0], ((phase_m - code_m) / WAVELENGTHS_M[band])[used >= 0])
            )[used[used >= 0]]
            codes.append(code_m)
            phases.append(phase_m - WAVELENGTHS_M[band] * cycles)
            removed.append(cycles + wind_up)
        distance_m = np.linalg.norm((states - self._own_states)[:, :3], axis=1)
        found = Differences(
            gps_ms=self.gps_ms,
            offset_s=self.offset_s,
            satellite=own.seen.satellite,
            epoch=epoch,
            passes=used,
            code_m=np.array(codes),
            phase_m=np.where(used >= 0, np.array(phases), np.nan),
            removed_cycles=np.array(removed),
            partials=np.einsum("ni,nij->nj", of_other.direction, other.ecef_from_gcrf),
            by_offset=np.einsum("ni,nki->nk", of_other.direction, of_other.axes),
            noise_factor=(1.0 / sine**2).sum(axis=0),
            mapping=1.0 / sine.min(axis=0),
            sigma_m=other.sigma_m,
            baseline_m=float(np.median(distance_m)),
        )
        return found if passes is not None else self._without_slips(found, states)

    def _without_slips(self, found: Differences, states: FloatArray) -> Differences:
        """Return the differences with passes that end at slips that neither receiver noticed."""
        jumps = found.jumps(found.without_ionosphere(found.phase_m))
        return self.differences(states, found.split(jumps).passes)


def _common(own: RawOrbit, partner: RawOrbit) -> tuple[IntArray, IntArray]:
    """Return the rows of both receivers with the same satellite at the same time, of the epochs used."""
    keys = []
    for one in (own, partner):
        seen = one.combined.measurements
        tag = np.rint((seen.gps_ms + 1e3 * seen.fraction_s) / _TAG_MS).astype(np.int64)
        keys.append(np.char.add(tag.astype("U16"), seen.satellite))
    _, rows, others = np.intersect1d(keys[0], keys[1], return_indices=True)
    order = np.lexsort((own.combined.measurements.satellite[rows], own.combined.measurements.gps_ms[rows]))
    rows, others = rows[order], others[order]
    used = thinned(own.combined.measurements.gps_ms[rows], _STEP_MS)
    return rows[used], others[used]


def _gaps(both: IntArray, gps_ms: IntArray) -> IntArray:
    """Return numbers of passes that neither receiver interrupts, and that have no long gap, shape (n,)."""
    order = np.lexsort((gps_ms, both[1], both[0]))
    new = (np.diff(both[:, order], axis=1, prepend=-9) != 0).any(axis=0)
    new |= np.diff(gps_ms[order], prepend=0) > _GAP_MS
    numbered = np.empty(len(order), dtype=np.int64)
    numbered[order] = np.cumsum(new) - 1
    return numbered


def group_medians(group: IntArray, values: FloatArray) -> FloatArray:
    """Return the median of the finite values of each group, 0 for none."""
    count = int(group.max(initial=-1)) + 1
    order = np.argsort(group, kind="stable")
    parts = np.split(values[order], np.searchsorted(group[order], np.arange(1, count)))
    return np.array([np.median(finite) if len(finite := part[np.isfinite(part)]) else 0.0 for part in parts])

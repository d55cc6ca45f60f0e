"""Measurements that cannot be used: repeated, without orbits of the GPS satellites, or of another satellite.

Each function states its findings as sentences.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple, Self

import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.frames import EarthFrames
from pygnc_ground.gnss.antennas import SatelliteAntennas
from pygnc_ground.gnss.measurements import GnssMeasurements
from pygnc_ground.orbit.batch.first_orbit import first_orbit
from pygnc_ground.orbit.batch.trajectory import Grid, LinearMotion
from pygnc_ground.orbit.raw.combinations import Combined
from pygnc_ground.orbit.raw.point_solutions import PointSolutions
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.wording import plural

_REPEATED_MOST: Final = 0.01
"""Part of the measurements that damaged time tags may repeat; more are those of a second receiver."""
_GAP_MS: Final = 600_000
_EDGE_MS: Final = 60_000
"""Time around a gap in which epochs may be left out because an interval of the estimator has begun."""
_PAIRS_S: Final = 60_000
_POINTS_FEWEST: Final = 4
SATELLITES_FEWEST: Final = 5
"""Satellites from which a position follows."""
_SHOWN: Final = 5
_FAR: Final = 20.0
"""Multiple of the median distance from the orbit beyond which positions are not of the satellite."""
_MS_PER_DAY: Final = 86_400_000
_GPS_EPOCH: Final = date(1980, 1, 6)


class RawOrbitError(ValueError):
    """Error raised when measurements give no orbit; the message names the reason."""


def gps_day(gps_ms: int) -> str:
    """Return the date in GPS time."""
    return str(_GPS_EPOCH + timedelta(days=int(gps_ms) // _MS_PER_DAY))


def gps_days(gps_ms: IntArray) -> str:
    """Return the dates in GPS time, in order."""
    return ", ".join(gps_day(day * _MS_PER_DAY) for day in np.unique(gps_ms // _MS_PER_DAY).tolist())


def without_repeated(seen: GnssMeasurements) -> tuple[GnssMeasurements, list[str]]:
    """Return the measurements without epochs in which a satellite was measured twice.

    Raises:
        RawOrbitError: There are so many that they are those of a second receiver.
    """
    order = np.lexsort((seen.satellite, seen.fraction_s, seen.gps_ms))
    same = np.diff(seen.gps_ms[order]) == 0
    same &= (np.diff(seen.fraction_s[order]) == 0) & (seen.satellite[order][1:] == seen.satellite[order][:-1])
    if not same.any():
        return seen, []
    if same.sum() > _REPEATED_MOST * len(seen):
        raise RawOrbitError(
            f"{int(same.sum())} of {len(seen)} measurements exist twice, so the files are of several satellites or"
            " overlap; give the files of one receiver"
        )
    twice_ms = np.unique(seen.gps_ms[order][1:][same])
    found = f"{plural(len(twice_ms), 'epoch')} with a satellite twice, such as {utc_iso_from_gps_ms(int(twice_ms[0]))}"
    return seen.selected(~np.isin(seen.gps_ms, twice_ms)), [f"{found}; not used"]


def without_orbits(seen: GnssMeasurements, known: BoolArray, span_gps_ms: tuple[int, int]) -> list[str]:
    """Return a note about satellites without orbit or clock (n,) within the time of the orbits."""
    first_ms, last_ms = span_gps_ms
    rows = ~known & (seen.gps_ms >= first_ms) & (seen.gps_ms < last_ms)
    if not rows.any():
        return []
    days = gps_days(seen.gps_ms[rows])
    return [f"{_counted(seen, rows)} not used, because the GNSS orbits have no orbit or clock of them on {days}"]


def with_antennas(seen: GnssMeasurements, antennas: SatelliteAntennas) -> tuple[GnssMeasurements, list[str]]:
    """Return the measurements of satellites with a known phase centre, and a note about the others.

    Raises:
        RawOrbitError: No antenna is known.
    """
    known = np.ones(len(seen), dtype=np.bool_)
    for name in np.unique(seen.satellite).tolist():
        rows = np.flatnonzero(seen.satellite == name)
        known[rows] = antennas.offset_m(name, int(seen.gps_ms[rows[0]])) is not None
    if known.all():
        return seen, []
    days = gps_days(seen.gps_ms[~known])
    if not known.any():
        raise RawOrbitError(f"the ANTEX file has no antenna of the satellites tracked on {days}; give a newer one")
    remedy = "because the ANTEX file has no antenna of them"
    return seen.selected(known), [f"{_counted(seen, ~known)} not used, {remedy} on {days}; give a newer one"]


def _counted(seen: GnssMeasurements, rows: BoolArray) -> str:
    """Return the number of measurements and the satellites of some rows."""
    names, counts = np.unique(seen.satellite[rows], return_counts=True)
    most = np.argsort(-counts, kind="stable")[:_SHOWN]
    named = ", ".join(names[most].tolist()) + (f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else "")
    return f"{plural(int(rows.sum()), 'measurement')} of {named}"


def one_frequency(combined: Combined, known: BoolArray) -> list[str]:
    """Return notes about measurements with one frequency, of satellites with orbits (n,)."""
    has_l1: BoolArray = np.isfinite(combined.code_m[known]) & np.isfinite(combined.measurements.phase_l1_m[known])
    lost = f"{plural(int((~has_l1).sum()), 'measurement')} without both code and phase on L1 not used"
    notes = [] if has_l1.all() else [lost]
    gps_ms, dual = combined.measurements.gps_ms[known][has_l1], combined.dual[known][has_l1]
    if dual.all() or not dual.any():
        return notes
    times_ms, epoch = np.unique(gps_ms, return_inverse=True)
    without = np.bincount(epoch, dual) < SATELLITES_FEWEST
    part = f"{plural(int((~dual).sum()), 'measurement')} with L1 only: used as mean of code and phase"
    if not without.any():
        return [*notes, part]
    first, last = (utc_iso_from_gps_ms(int(at)) for at in times_ms[without][[0, -1]])
    count = plural(int(without.sum()), "epoch")
    few = f"fewer than {SATELLITES_FEWEST} satellites have two frequencies in {count} from {first} to {last}"
    return [*notes, f"{part}; {few}"]


def interruptions(gps_ms: IntArray, tracked_gps_ms: IntArray) -> Iterator[str]:
    """Yield the times of more than ten minutes without a position, of n measurements and the m epochs with one."""
    found = gaps(tracked_gps_ms)
    for begin, end in found[:_SHOWN]:
        between = ((gps_ms > begin + _EDGE_MS) & (gps_ms < end - _EDGE_MS)).any()
        reason = f"fewer than {SATELLITES_FEWEST} satellites" if between else "no measurements"
        span = f"{utc_iso_from_gps_ms(begin)} to {utc_iso_from_gps_ms(end)}"
        yield f"{reason} from {span}; the orbit there follows from the forces and is less certain"
    if len(found) > _SHOWN:
        longest_ms = max(end - begin for begin, end in found)
        yield f"{len(found) - _SHOWN} more such times; the longest of all has {longest_ms / 60_000:.0f} min"


def gaps(gps_ms: IntArray) -> list[tuple[int, int]]:
    """Return begin and end of each gap of more than ten minutes between epochs, GPS ms."""
    times_ms = np.unique(gps_ms)
    rows = np.flatnonzero(np.diff(times_ms) > _GAP_MS)
    return list(zip(times_ms[rows].tolist(), times_ms[rows + 1].tolist(), strict=True))


class Foreign(NamedTuple):
    """Epochs with positions that are not of the satellite."""

    gps_ms: IntArray
    note: str

    @classmethod
    def of(cls, gps_ms: IntArray, distance_m: FloatArray, least_m: float) -> "Foreign | None":
        """Return the epochs whose distances (m,) from the orbit exceed `least_m` and are out of proportion."""
        rows = distance_m > max(least_m, _FAR * float(np.median(distance_m)))
        if not rows.any():
            return None
        found, most_km = gps_ms[rows], 1e-3 * float(distance_m[rows].max())
        first, last = (utc_iso_from_gps_ms(int(at)) for at in found[[0, -1]])
        span = f"{plural(len(found), 'epoch')} from {first} to {last}"
        return cls(
            found,
            f"{span} not used: their positions are up to {most_km:.1f} km off the orbit, so they are of another"
            " satellite or have wrong times",
        )


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Positions of the epochs with a point solution, in order of time."""

    gps_ms: IntArray
    clock_s: FloatArray
    position_m: FloatArray
    """Positions in GCRF at the times minus the clock's errors, shape (m, 3)."""
    pole: FloatArray

    @classmethod
    def of(cls, points: PointSolutions, times_ms: IntArray, frames: EarthFrames) -> Self:
        """Return the positions of the epochs with a solution.

        Raises:
            RawOrbitError: There are too few.
        """
        used = points.known
        minutes = int(thinned(times_ms[used], _PAIRS_S).sum())
        if minutes < _POINTS_FEWEST:
            raise RawOrbitError(
                f"a position from at least {SATELLITES_FEWEST} satellites in {plural(minutes, 'minute')} only;"
                f" {_POINTS_FEWEST} are required"
            )
        clock_s = points.clock_s[used]
        attitude = frames.at_each(times_ms[used], -clock_s)
        pole = attitude.rotation_gcrf_rad_s[0] / np.linalg.norm(attitude.rotation_gcrf_rad_s[0])
        position_m = np.einsum("nji,nj->ni", attitude.ecef_from_gcrf, points.position_ecef_m[used])
        return cls(times_ms[used], clock_s, position_m, pole)

    def first_orbit(self, grid: Grid) -> tuple[FloatArray, FloatArray]:
        """Return the first orbit, through these positions: state at the start (6,), states at the nodes."""
        rows = thinned(self.gps_ms, _PAIRS_S)
        times_ms, position_m = self.gps_ms[rows], self.position_m[rows]
        found = first_orbit(times_ms, position_m, np.full_like(position_m, np.nan), grid, self.pole)
        if found is None:
            raise RawOrbitError("no two positions are close enough in time to give a first orbit")
        return found

    def foreign(self, motion: LinearMotion, correction: FloatArray, least_m: float) -> Foreign | None:
        """Return the epochs with positions far from an orbit, or None if there are none."""
        states = motion.states(self.gps_ms, -self.clock_s) + motion.changes(self.gps_ms, -self.clock_s, correction)
        return Foreign.of(self.gps_ms, np.linalg.norm(states[:, :3] - self.position_m, axis=1), least_m)


def thinned(gps_ms: IntArray, step_ms: int) -> BoolArray:
    """Return flags of the first epoch in each step, shape (n,)."""
    times_ms, epoch = np.unique(gps_ms, return_inverse=True)
    first = np.diff(times_ms // step_ms, prepend=-1) > 0
    return np.asarray(first[epoch])


def jumps_of_clock(points: PointSolutions) -> int:
    """Return the number of jumps of the receiver's clock by at least half a millisecond."""
    clock_s = points.clock_s[points.known]
    return int((np.abs(np.diff(clock_s)) > 5e-4).sum())

"""Observations of the formation estimator: ranges between radios, GPS fixes, the arc selected from them, and its prior.

The observations of an arc are linearised at the references of its satellites.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array, unique
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.reference import STATE_SIZE, Reference, Track
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.kalman import scaled_inverse
from pygnc.estimators.orbit.measurement import Fix, effect_of_clock, linearise_fixes, with_clock_error
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import DRAG, UNKNOWN_SIGMA, OrbitState

Pair: TypeAlias = tuple[int, int]
"""Radio ids of two satellites, the lower one first. Both directions of a pair share their range bias."""


@dataclass(frozen=True, slots=True)
class RangeObservation:
    """One measured range.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch.
        one: Radio id of the satellite that measured the range.
        other: Radio id of the satellite at the other end.
        range_m: Measured range in m, including the bias of the pair.
    """

    gps_ms: int
    one: int
    other: int
    range_m: float

    @property
    def satellites(self) -> tuple[int, ...]:
        """Radio ids of the satellites: the measuring satellite, then the other end."""
        return self.one, self.other

    @property
    def pair(self) -> Pair:
        """Radio ids of the two satellites, the lower one first."""
        return min(self.one, self.other), max(self.one, self.other)


@dataclass(frozen=True, slots=True, eq=False)
class SatelliteFix:
    """A GPS fix with the radio id of the satellite that made it."""

    satellite: int
    fix: Fix

    @property
    def gps_ms(self) -> int:
        """GPS milliseconds since the GPS epoch."""
        return self.fix.gps_ms

    @property
    def satellites(self) -> tuple[int, ...]:
        """Radio id of the satellite."""
        return (self.satellite,)


class Arc(NamedTuple):
    """Observations of one solution, ordered by time and without duplicates.

    Attributes:
        fixes: Fixes by radio id; contains our own satellite even if it has none.
        ranges: Ranges by pair.
    """

    fixes: dict[int, tuple[Fix, ...]]
    ranges: dict[Pair, tuple[RangeObservation, ...]]

    @property
    def span_ms(self) -> tuple[int, int]:
        """GPS milliseconds of the first and the last observation."""
        times = [fix.gps_ms for fixes in self.fixes.values() for fix in fixes]
        times += [observation.gps_ms for ranges in self.ranges.values() for observation in ranges]
        return min(times), max(times)

    @property
    def satellites(self) -> tuple[int, ...]:
        """Radio ids of all satellites in the observations, in ascending order."""
        return tuple(sorted({*self.fixes, *(end for pair in self.ranges for end in pair)}))


def select_arc(
    settings: FormationSettings, near_gps_ms: int, fixes: Sequence[SatelliteFix], ranges: Sequence[RangeObservation]
) -> Arc | None:
    """Return the observations of the last `arc_max_s` without duplicates.

    Rejects observations farther than `arc_max_s` from `near_gps_ms` (wrong time tag), ranges of a satellite to itself
    and ranges that are not finite. Fixes and ranges may have any order; of duplicates, the first is used. Returns None
    if no observation is left.
    """
    arc_max_ms = round(1e3 * settings.arc_max_s)
    fix_by_key = {
        (entry.satellite, entry.gps_ms): entry.fix
        for entry in reversed(fixes)
        if abs(entry.gps_ms - near_gps_ms) <= arc_max_ms
    }
    range_by_key = {
        (observation.pair, observation.gps_ms, observation.one): observation
        for observation in reversed(ranges)
        if abs(observation.gps_ms - near_gps_ms) <= arc_max_ms
        and observation.one != observation.other
        and math.isfinite(observation.range_m)
    }
    times = [*(gps_ms for _, gps_ms in fix_by_key), *(gps_ms for _, gps_ms, _ in range_by_key)]
    if not times:
        return None
    begin_ms = max(times) - arc_max_ms
    satellite_fixes: dict[int, list[Fix]] = {settings.own_id: []}
    for satellite, gps_ms in sorted(fix_by_key):
        if gps_ms >= begin_ms:
            satellite_fixes.setdefault(satellite, []).append(fix_by_key[satellite, gps_ms])
    pair_ranges: dict[Pair, list[RangeObservation]] = {}
    for pair, gps_ms, one in sorted(range_by_key):
        if gps_ms >= begin_ms:
            pair_ranges.setdefault(pair, []).append(range_by_key[pair, gps_ms, one])
    return Arc(
        {satellite: tuple(observations) for satellite, observations in satellite_fixes.items()},
        {pair: tuple(observations) for pair, observations in pair_ranges.items()},
    )


def connected_groups(satellites: Sequence[int], pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the groups of satellites that ranges connect, from `pairs` with ranges; pairs with others are ignored."""
    group = {satellite: satellite for satellite in satellites}
    for one, other in pairs:
        if one in group and other in group:
            merged, kept = group[other], group[one]
            group = {satellite: kept if label == merged else label for satellite, label in group.items()}
    return [
        [satellite for satellite in satellites if group[satellite] == label] for label in sorted(set(group.values()))
    ]


class FixEquations(NamedTuple):
    """Linearised fixes of one satellite, in units of the receiver's standard deviations.

    Attributes:
        node_time: Times in node intervals of the reference, shape (m,).
        design: Derivatives of position and velocity with respect to the satellite's state and drag modes, shape
            (m, 6, 7 + modes).
        residual: Residuals for parameters of zero, shape (m, 6).
        available: True where a fix has a position (column 0) or a velocity (column 1), shape (m, 2).
    """

    node_time: Array
    design: Array
    residual: Array
    available: npt.NDArray[np.bool_]


class RangeEquations(NamedTuple):
    """Linearised ranges of one pair, at u times. Both satellites may measure at the same time.

    Attributes:
        pair: Indices of the two satellites.
        node_time: Times in ascending order, in node intervals of the reference, shape (u,). Pairs with equal times
            share the array (`with_shared_times`), so that the motion of a satellite is computed once.
        offset_m: Relative position for parameters of zero, shape (u, 3).
        designs: Derivatives of each satellite's position with respect to its state and drag modes, (u, 3, 7 + modes).
        range_m: Measured ranges in order of time, including the bias, shape (n,).
        at: Index of the time of each range, shape (n,).
    """

    pair: tuple[int, int]
    node_time: Array
    offset_m: Array
    designs: tuple[Array, Array]
    range_m: Array
    at: npt.NDArray[np.int64]

    def select(self, pair: tuple[int, int], rows: slice) -> "RangeEquations":
        """Return the ranges `rows`, with `pair` as the indices of the satellites in another set of equations."""
        times, at = unique(self.at[rows])
        one, other = self.designs
        return RangeEquations(
            pair, self.node_time[times], self.offset_m[times], (one[times], other[times]), self.range_m[rows], at
        )

    def sum_by_time(self, values: Array) -> Array:
        """Return the sums of `values` (k, n) of the ranges at each time, (k, u)."""
        if len(self.range_m) == len(self.node_time):
            return values
        sums: Array = np.add.reduceat(values, np.searchsorted(self.at, np.arange(len(self.node_time))), axis=1)
        return sums


def with_shared_times(ranges: Iterable[RangeEquations]) -> tuple[RangeEquations, ...]:
    """Return ranges of which pairs with equal times share their array."""
    known: dict[bytes, Array] = {}
    return tuple(rows._replace(node_time=known.setdefault(rows.node_time.tobytes(), rows.node_time)) for rows in ranges)


class Prior(NamedTuple):
    """Prior distribution of all parameters: mean (p,), information matrix (p, p), and cost of the mean."""

    mean: Array
    information: Array
    cost: float = 0.0


def fix_equations(
    fixes: Sequence[Fix], track: Track, frames: EarthFrames, receiver: MeasurementSettings
) -> FixEquations:
    """Return fixes of a satellite, linearised at its reference; the neglected terms are micrometres per second.

    All of them have the error of the receiver's clock in common.
    """
    times = np.array([float(fix.gps_ms) for fix in fixes])
    points = track.reference.at(times)
    design, residual = np.zeros((len(fixes), 6, 6)), np.zeros((len(fixes), 6))
    available = np.ones((len(fixes), 2), dtype=np.bool_)
    for row, parts in enumerate(linearise_fixes(fixes, points.state, frames, receiver)):
        clock = effect_of_clock(fixes[row], points.state[row], frames, receiver)
        for part, linearised in enumerate(parts):
            available[row, part] = linearised is not None
            if linearised is not None:
                rows = slice(3 * part, 3 * part + 3)
                observation = with_clock_error(linearised, clock[rows], 2 * len(fixes))
                design[row, rows] = observation.partials / observation.sigma[:, None]
                residual[row, rows] = observation.residual / observation.sigma
    by_state = design @ points.d_state_d_epoch
    return FixEquations(
        track.reference.node_time(times),
        np.concatenate((by_state, design @ points.d_state_d_modes), axis=-1),
        residual + by_state @ track.offset,
        available,
    )


def range_equations(
    ranges: Sequence[RangeObservation], pair: tuple[int, int], tracks: Sequence[Track]
) -> RangeEquations:
    """Return ranges of a pair in order of time, linearised at the references of all satellites; `pair` has indices."""
    times, at = unique(np.array([float(each.gps_ms) for each in ranges]))
    positions: list[Array] = []
    designs: list[Array] = []
    for end in pair:
        reference, offset = tracks[end].reference, tracks[end].offset
        if not designs or reference is not tracks[pair[0]].reference:
            points = reference.at(times)
            design = np.concatenate((points.d_state_d_epoch[:, :3], points.d_state_d_modes[:, :3]), axis=-1)
        positions.append(points.state[:, :3] - points.d_state_d_epoch[:, :3] @ offset)
        designs.append(design)
    return RangeEquations(
        pair,
        tracks[pair[0]].reference.node_time(times),
        positions[1] - positions[0],
        (designs[0], designs[1]),
        np.array([each.range_m for each in ranges]),
        at,
    )


def initial_prior(
    satellites: int, pairs: Sequence[Pair], reference: Reference, own: OrbitState | None, settings: FormationSettings
) -> Prior:
    """Return the prior of all parameters.

    Args:
        satellites: Number of satellites, our own first.
        pairs: Pairs of radio ids with ranges.
        reference: Reference orbit, relative to which states are deviations.
        own: Orbit from which the reference was made, if it is the prior of our state; None if our fixes determine it.
        settings: Expected biases and drag factors.
    """
    size = STATE_SIZE * satellites + len(pairs)
    mean, information = np.zeros(size), np.zeros((size, size))
    calibrated = {
        (min(one, other), max(one, other)): (bias_m, sigma_m)
        for one, other, bias_m, sigma_m in settings.calibrated_pairs
    }
    for index, pair in enumerate(pairs, start=STATE_SIZE * satellites):
        bias_m, sigma_m = calibrated.get(pair, (settings.range_bias_m, settings.range_bias_sigma_m))
        mean[index], information[index, index] = bias_m, sigma_m**-2.0
    for satellite in range(satellites):
        state = STATE_SIZE * satellite + np.arange(6)
        information[state, state] = UNKNOWN_SIGMA**-2.0
    # The log drag factors of two satellites are correlated, because they have a common part.
    drag = STATE_SIZE * np.arange(satellites) + DRAG
    mean[drag] = -reference.log_drag
    shared, own_part = settings.log_drag_sigma**2, settings.differential_log_drag_sigma**2
    information[drag[:, None], drag] = np.linalg.inv(shared + own_part * np.eye(satellites))
    if own is not None:
        # `own` includes our drag factor. It replaces our part of the prior; the correlation with other factors remains.
        mean[drag] = 0.0
        information[DRAG, DRAG] -= 1.0 / (shared + own_part)
        information[:STATE_SIZE, :STATE_SIZE] -= np.diag(np.append(UNKNOWN_SIGMA**-2.0, 0.0))
        covariance = own.covariance[:STATE_SIZE, :STATE_SIZE]
        at_epoch = reference.d_epoch_d_orbit.dot(covariance).dot(reference.d_epoch_d_orbit.T)
        information[:STATE_SIZE, :STATE_SIZE] += scaled_inverse(at_epoch)
    return Prior(mean, information)

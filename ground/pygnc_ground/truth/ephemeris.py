"""True orbit interpolated between samples: polynomials, arcs without gaps, checks of the samples.

Each time is interpolated from the few samples around it, by position alone (Lagrange) or by position and velocity
(Hermite). All times of a call are computed at once: scipy's Krogh interpolation gives the same numbers but builds one
polynomial per window in Python and takes a hundred times as long.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc_ground.truth.frames import Frame, earth_orientation, itrf_states
from pygnc_ground.truth.orbit_truth import FloatArray, IntArray, TrueOrbit

_NS_PER_S = 1e9


def lagrange(sample_ns: IntArray, position_m: FloatArray, window: int, gps_ns: IntArray) -> FloatArray:
    """Return positions interpolated from positions (s, 3) alone, and their time derivative, in m and m/s, shape (n, 6).

    The s samples ascend in time, and the n times are within their span. Each polynomial has `window` samples, at most
    s; its degree is one less.
    """
    near, offset, step_s = _windows(sample_ns, window, gps_ns)
    value, slope = _lagrange_basis(*offset)
    return np.concatenate(
        (_combine(value, position_m[near]), _combine(slope, position_m[near]) / step_s[:, None]), axis=1
    )


def hermite(sample_ns: IntArray, state: FloatArray, window: int, gps_ns: IntArray) -> FloatArray:
    """Return positions interpolated from positions and velocities (s, 6), and their time derivative, shape (n, 6).

    As `lagrange`, in m and m/s, but the degree of the polynomials is twice the number of samples minus one.
    """
    near, (offset, spacing), step_s = _windows(sample_ns, window, gps_ns)
    value, slope = _lagrange_basis(offset, spacing)
    # Hildebrand, Introduction to Numerical Analysis, section 8.2: from the Lagrange basis l, h = (1 - 2 l'(x_j) (x -
    # x_j)) l^2 interpolates the values and k = (x - x_j) l^2 the slopes.
    own_slope = (1.0 / (spacing + np.diag(np.full(window, np.inf)))).sum(axis=2)
    factor = 1.0 - 2.0 * own_slope * offset
    square, twice = value**2, 2.0 * value * slope
    position_m = _combine(factor * square, state[near, :3])
    position_m += _combine(offset * square, state[near, 3:]) * step_s[:, None]
    velocity_mps = _combine(factor * twice - 2.0 * own_slope * square, state[near, :3]) / step_s[:, None]
    velocity_mps += _combine(square + offset * twice, state[near, 3:])
    return np.concatenate((position_m, velocity_mps), axis=1)


def _windows(
    sample_ns: IntArray, window: int, gps_ns: IntArray
) -> tuple[IntArray, tuple[FloatArray, FloatArray], FloatArray]:
    """Return the indices of the samples around each time, (n, window), time differences, and the mean step in s, (n,).

    The differences, in units of the mean step, are those of each time minus each of its samples, (n, window), and of
    each sample minus each other sample, (n, window, window). Near an end of the arc the window is not centred.
    """
    before = np.searchsorted(sample_ns, gps_ns, side="right") - 1
    first = np.clip(before - (window - 1) // 2, 0, len(sample_ns) - window)
    near = first[:, None] + np.arange(window)
    times_ns = sample_ns[near]
    step_ns = (times_ns[:, -1] - times_ns[:, 0]) / (window - 1)
    offset = (gps_ns[:, None] - times_ns) / step_ns[:, None]
    spacing = (times_ns[:, :, None] - times_ns[:, None, :]) / step_ns[:, None, None]
    return near, (offset, spacing), step_ns / _NS_PER_S


def _lagrange_basis(offset: FloatArray, spacing: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the Lagrange polynomials and their slopes, each (n, window), at times in the form of `_windows`."""
    window = offset.shape[1]
    own = np.eye(window, dtype=bool)
    divisor = np.where(own, 1.0, spacing)
    # Division instead of multiplication by the inverse reproduces a sample exactly, bit for bit.
    factors = np.where(own, 1.0, offset[:, None, :] / divisor)
    slope = np.zeros_like(offset)
    for other in range(window):
        differentiated = factors.copy()
        differentiated[:, :, other] = 1.0 / divisor[:, :, other]
        differentiated[:, other, other] = 0.0
        slope += differentiated.prod(axis=2)
    return factors.prod(axis=2), slope


def _combine(weights: FloatArray, samples: FloatArray) -> FloatArray:
    """Return weighted sums; shapes (n, window), (n, window, 3) -> (n, 3)."""
    combined: FloatArray = np.einsum("nw,nwc->nc", weights, samples)
    return combined


HERMITE_WINDOW = 4
LAGRANGE_WINDOW = 10
WIDEST_STEP = 0.4
"""Maximum step along the orbit over its radius for samples with velocities: 5 to 6 min in a low orbit, error 0.6 m."""
WIDEST_STEP_OF_POSITIONS = 0.23
"""Maximum step for samples without velocities: 3 min in a low orbit, error 0.1 m, and 2 m at the ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Arc:
    """Samples of an orbit without a gap, in one frame.

    The polynomial degree is 7 for samples with velocity, unless the file recommends another, and 9 for positions alone.
    Maximum errors in m, measured with an orbit at 520 km height in a gravity field of degree 70, within the arc and in
    its five outermost steps:

    =============  ================  =================
    Samples every  With velocity     Positions alone
    =============  ================  =================
    25 s           0.0001, 0.0004    0.00001, 0.00004
    60 s           0.0002, 0.001     0.003, 0.03
    120 s          0.007, 0.007      0.05, 0.3
    180 s          0.014, 0.05       0.1, 2
    300 s          0.1, 0.3          (0.6, 12)
    =============  ================  =================

    Higher degrees gain little within the arc, because fine structure of the gravity field remains, and lose accuracy at
    its ends. Up to 60 s the error with velocities is the motion of the celestial pole (50 um/s), which velocities in
    ITRF omit by convention. Velocities from positions alone are accurate to 0.2 mm/s at 60 s. Steps above `WIDEST_STEP`
    count as gaps, as would the last line of the table.
    """

    gps_ns: IntArray
    """Times of s samples in ns since the GPS epoch, ascending, shape (s,)"""
    position_m: FloatArray
    """Positions in `frame` in m, shape (s, 3)"""
    velocity_mps: FloatArray | None
    """Velocities in `frame` in m/s, in ITRF relative to the rotating Earth, shape (s, 3); None if unknown"""
    frame: Frame
    window: int
    """Number of samples per polynomial. A shorter arc is known at its samples only, or unknown without velocities."""
    usable_ns: tuple[int, int]
    """First and last time at which the arc is valid, in ns since the GPS epoch"""

    def states(self, gps_ns: IntArray) -> FloatArray:
        """Return position and velocity in the arc's frame, shape (n, 6), within `usable_ns`; NaN where unknown."""
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


_RADIUS_M = (6.3e6, 1e9)
_TOLERABLE_M = 5e-3
_MOST_TRIALS = 500


def interpolable_arcs(arc: Arc) -> list[Arc]:
    """Return the parts of an arc between which the samples are too far apart for interpolation.

    Some files have velocity errors of centimetres per second. A part loses its velocities if its positions alone
    predict omitted positions much better; the velocities then come from the positions.

    Raises:
        ValueError: The samples cannot be those of an orbit, or all are too far apart; the message names the reason.
    """
    radius_m = np.linalg.norm(arc.position_m, axis=1)
    _require_earth_orbit(radius_m)
    step = np.linalg.norm(np.diff(arc.position_m, axis=0), axis=1) / radius_m[1:]
    widest, in_low_orbit_min = (WIDEST_STEP_OF_POSITIONS, 3) if arc.velocity_mps is None else (WIDEST_STEP, 5)
    cuts = np.flatnonzero(step > widest) + 1
    parts = [_part(arc, rows) for rows in np.split(np.arange(len(arc.gps_ns)), cuts)]
    if cuts.size and all(len(part.gps_ns) < part.window for part in parts):
        step_s = float(np.median(np.diff(arc.gps_ns))) / _NS_PER_S
        raise ValueError(
            f"the samples are {step_s:.0f} s apart, too far to interpolate this orbit; get the"
            f" ephemeris with a smaller step, at most {in_low_orbit_min} min in a low orbit"
        )
    for part in parts:
        _require_own_velocities(part)
    return [_with_fitting_velocities(part) for part in parts if part.usable_ns[0] <= part.usable_ns[1]]


def _part(arc: Arc, rows: IntArray) -> Arc:
    time_ns = arc.gps_ns[rows]
    return replace(
        arc,
        gps_ns=time_ns,
        position_m=arc.position_m[rows],
        velocity_mps=None if arc.velocity_mps is None else arc.velocity_mps[rows],
        usable_ns=(max(arc.usable_ns[0], int(time_ns[0])), min(arc.usable_ns[1], int(time_ns[-1]))),
    )


def _require_earth_orbit(radius_m: FloatArray) -> None:
    """Raise ValueError for positions in wrong units."""
    least_m, most_m = float(radius_m.min()), float(radius_m.max())
    if least_m < _RADIUS_M[0] or most_m > _RADIUS_M[1]:
        raise ValueError(
            f"positions are {least_m:.6g} to {most_m:.6g} m from the Earth's centre, which is not an orbit; check"
            " the unit (km in SP3 and OEM, m in tables) and the missing values"
        )


def _require_own_velocities(arc: Arc) -> None:
    """Raise ValueError for velocities that do not match the differences of the positions."""
    if arc.velocity_mps is None or len(arc.gps_ns) < 2:
        return
    step_s = np.diff(arc.gps_ns)[:, np.newaxis] / _NS_PER_S
    by_position_mps = np.diff(arc.position_m, axis=0) / step_s
    by_velocity_mps = 0.5 * (arc.velocity_mps[1:] + arc.velocity_mps[:-1])
    # The trapezoidal rule has an error of a twelfth of the step squared, at most 1.3 %. A geostationary satellite
    # hardly moves in ITRF, so the error is divided by at least 1 km/s.
    speed_mps = np.maximum(np.linalg.norm(by_position_mps, axis=1), 1000.0)
    error = float(np.median(np.linalg.norm(by_velocity_mps - by_position_mps, axis=1) / speed_mps))
    if error > 0.03:
        raise ValueError(
            f"velocities and positions disagree by {error:.0%}; check the velocities' unit (dm/s in SP3, km/s in OEM)"
            " and frame (relative to the rotating Earth in Earth-fixed frames)"
        )


def _with_fitting_velocities(arc: Arc) -> Arc:
    if arc.velocity_mps is None or len(arc.gps_ns) < 4 * LAGRANGE_WINDOW:
        return arc
    # Two of three samples are omitted: halfway between two others, a common error of their velocities would cancel.
    kept, rows = slice(None, None, 3), np.arange(2 * LAGRANGE_WINDOW, len(arc.gps_ns) - 2 * LAGRANGE_WINDOW + 1)
    left_out = rows[rows % 3 > 0]
    left_out = left_out[:: -(-len(left_out) // _MOST_TRIALS)]
    state = np.concatenate((arc.position_m, arc.velocity_mps), axis=1)
    guesses = (
        hermite(arc.gps_ns[kept], state[kept], arc.window, arc.gps_ns[left_out]),
        lagrange(arc.gps_ns[kept], arc.position_m[kept], LAGRANGE_WINDOW, arc.gps_ns[left_out]),
    )
    by_both_m, by_positions_m = (
        float(np.median(np.linalg.norm(guess[:, :3] - arc.position_m[left_out], axis=1))) for guess in guesses
    )
    if by_both_m < _TOLERABLE_M or by_both_m < 2.0 * by_positions_m:
        return arc
    return replace(arc, velocity_mps=None, window=LAGRANGE_WINDOW)


NS_PER_MS = 1_000_000


class Ephemeris:
    """`OrbitTruth` of one or more arcs in time order."""

    def __init__(self, arcs: Sequence[Arc], origin: str) -> None:
        """Check and store the arcs; where two overlap, the later one is used.

        Args:
            arcs: At least one arc.
            origin: Kind of file, object and source, for the description.

        Raises:
            ValueError: The samples cannot be those of an orbit or are too far apart, or Earth orientation for arcs in
                inertial axes is missing; the message names the reason.
        """
        self._arcs = tuple(part for arc in arcs for part in interpolable_arcs(arc))
        if not self._arcs or self.span_gps_ms[0] > self.span_gps_ms[1]:
            raise ValueError(
                "the ephemeris is not valid at any time (its useable time span is empty); get a longer ephemeris"
            )
        # Object names come from the file, and the description is printed to terminals.
        self._origin = "".join(char if char.isprintable() else "?" for char in origin)
        inertial = any(arc.frame is not Frame.ITRF for arc in self._arcs)
        self._orientation = earth_orientation(self.span_gps_ms[1]) if inertial else EarthOrientationTable.none()

    @property
    def span_gps_ms(self) -> tuple[int, int]:
        """First and last whole millisecond at which the orbit is known."""
        begin_ns = min(arc.usable_ns[0] for arc in self._arcs)
        end_ns = max(arc.usable_ns[1] for arc in self._arcs)
        return -(-begin_ns // NS_PER_MS), end_ns // NS_PER_MS

    @property
    def description(self) -> str:
        """Text with origin, time span, number of samples and arcs, and source of the velocities."""
        begin, end = (utc_iso_from_gps_ms(gps_ms) for gps_ms in self.span_gps_ms)
        samples = sum(len(arc.gps_ns) for arc in self._arcs)
        arcs = f" in {len(self._arcs)} arcs" if len(self._arcs) > 1 else ""
        note = ", velocities from positions" if any(arc.velocity_mps is None for arc in self._arcs) else ""
        return f"{self._origin}, {begin} to {end}, {samples} samples{arcs}{note}"

    def at(self, gps_ms: IntArray) -> TrueOrbit:
        """Return states at whole milliseconds, shape (n,): exact at samples, NaN in gaps and outside the span."""
        return self.at_ns(gps_ms * NS_PER_MS)

    def at_ns(self, gps_ns: IntArray) -> TrueOrbit:
        """Return states at nanoseconds since the GPS epoch, shape (n,)."""
        states = np.full((len(gps_ns), 6), np.nan)
        for arc in self._arcs:
            asked = (gps_ns >= arc.usable_ns[0]) & (gps_ns <= arc.usable_ns[1])
            if asked.any():
                found = arc.states(gps_ns[asked])
                if arc.frame is not Frame.ITRF:
                    found = itrf_states(arc.frame, gps_ns[asked], found, self._orientation)
                states[asked] = found
        return TrueOrbit(states[:, :3], states[:, 3:])


def choose_object(present: Sequence[str], wanted: str | None) -> str:
    """Return the object to read: the wanted object, or the only object of the file.

    Raises:
        ValueError: The file lacks the wanted object, or has several objects and none is wanted; the message lists all.
    """
    names = ", ".join(dict.fromkeys(present)) or "none"
    if wanted is None:
        if len(set(present)) != 1:
            raise ValueError(f"the file has several objects or none ({names}); name one object by its identifier")
        return present[0]
    if wanted not in present:
        raise ValueError(f"unknown object {wanted!r}; choose from {names}")
    return wanted

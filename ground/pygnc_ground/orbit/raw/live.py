"""Orbit in real time from the C/A code and the L1 phase with broadcast ephemerides: a Kalman filter.

Each epoch is used once, in order, and a result depends on nothing later. The state is that of the flight's orbit
filter, the receiver's clock, and the ambiguity of each satellite in view in the mean of code and phase (GRAPHIC). So
its size is bounded by the receiver's channels.

The ambiguity also takes up what the broadcast orbit and clock of the satellite are wrong by. It therefore walks, and is
uncertain by that error when it begins and when another ephemeris replaces the last one. It begins with the code, whose
delay in the ionosphere follows from the satellites tracked before.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import POSITION, SIZE, VELOCITY, OrbitState
from pygnc_ground.gnss.antennas import SatelliteAntennas, orbital_axes, wind_up_cycles
from pygnc_ground.gnss.broadcast import BroadcastOrbits
from pygnc_ground.gnss.measurements import (
    HALF_CYCLE,
    L1_WAVELENGTH_M,
    LOST_LOCK,
    SPEED_OF_LIGHT_M_S,
    GnssMeasurements,
    GnssOrbits,
)
from pygnc_ground.gnss.ranges import Links
from pygnc_ground.orbit.batch.first_orbit import first_orbit
from pygnc_ground.orbit.batch.trajectory import Grid
from pygnc_ground.orbit.raw.determination import Receiver
from pygnc_ground.orbit.raw.point_solutions import point_solutions
from pygnc_ground.orbit.raw.screening import RawOrbitError
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray

_CLOCK: Final = SIZE
_FIRST: Final = SIZE + 1
"""Index of the first ambiguity."""
_POINTS: Final = 12
"""Positions from which the first orbit follows."""
_POINTS_STEP_MS: Final = 20_000
_POINT_LIMIT_M: Final = 60.0
_SIGMAS: Final = np.repeat((30.0, 0.5), 3)
"""Standard deviations of the first position (m) and velocity (m/s)."""
_CLOCK_VARIANCE_M2: Final = 1e8
_NOISE_M: Final = 0.5
"""Error of the mean of code and phase at the zenith; its multipath lasts a minute."""
_CODE_M: Final = 0.7
_LOW: Final = 0.2
"""Sine of the elevation below which noise no longer increases."""
_DELAY_M: Final = 1.5
"""Delay on L1 at the zenith above the satellite before one is known, and its standard deviation."""
_DELAY_SIGMA_M: Final = 0.5
_DELAY_SHARE: Final = 0.3
"""Part of a delay by which the electron content differs between directions."""
_DELAY_GAIN: Final = 0.05
_WALK_M2_S: Final = 0.5**2 / 3600.0
"""Growth of an ambiguity's variance: 0.5 m in an hour."""
_JUMP_M: Final = 0.12
"""Change of a phase that neither motion nor ionosphere explain: a slip changes it by 0.19 m."""
_JUMP_M_S: Final = 0.003
"""Greatest change of the delay in the ionosphere in a second."""
_SIGMAS_MAX: Final = 5.0
_EXCLUDED_MAX: Final = 3
_REJECTED_MAX: Final = 30
"""Number of successive epochs that contradict the orbit, after which the filter begins anew."""
_FEWEST: Final = 4
_TRACK_GAP_MS: Final = 60_000
_GAP_MS: Final = 3_600_000
"""Gap after which the filter begins anew."""
_LEAR: Final = (2.037, 0.076)
"""Mapping of the ionosphere above a low orbit: W. M. Lear, GPS navigation for low-Earth orbiting vehicles, NASA JSC
32031, 1987.
"""
_MS_PER_S: Final = 1e3


class LiveState(NamedTuple):
    """Result of an epoch."""

    gps_ms: int
    state: FloatArray
    """As `OrbitState.x`, shape (10,)."""
    covariance: FloatArray
    """Shape (10, 10)."""
    satellites: int
    """Number of satellites used."""

    @property
    def orbit(self) -> OrbitState:
        """State of the flight's orbit filter."""
        root = np.linalg.cholesky(self.covariance)
        return OrbitState(self.gps_ms, self.state, np.asarray(root, dtype=np.float64))


class _Predicted(NamedTuple):
    """Predictions of the measurements of an epoch without ambiguities."""

    clock_s: float
    offset_s: float
    """Time of reception minus that of the state."""
    range_m: FloatArray
    wind_up_cycles: FloatArray
    sine: FloatArray
    partials: FloatArray
    """Derivatives by the position in GCRF, shape (n, 3)."""


@dataclass(slots=True)
class _Track:
    """Satellite in view: the last phase minus its prediction, and the ephemeris used."""

    gps_ms: int
    phase_m: float
    wind_up_cycles: float
    ephemeris: int


class LiveFilter:
    """Filter that takes one epoch after the other.

    Args:
        orbits: Broadcast ephemerides; precise orbits show the errors of the receiver alone.
        antennas: Phase centres of the GPS satellites, for precise orbits.
        receiver: Antenna of the receiver.
        settings: Settings of the orbit filter.
        frames: Earth orientation.

    Attributes:
        orbits: As above; may be replaced when another ephemeris was received.
    """

    def __init__(
        self,
        orbits: GnssOrbits,
        antennas: SatelliteAntennas | None,
        receiver: Receiver,
        settings: OrbitSettings,
        frames: EarthFrames,
    ) -> None:
        self.orbits, self._antennas, self._frames = orbits, antennas, frames
        self._offset_m, self._offset_sigma_m = np.array(receiver.offset_m), receiver.sigma_m
        self._dynamics = OrbitDynamics(settings, frames)
        self._steady = np.diag(
            np.square((settings.process_noise.drag_log_sigma, *settings.process_noise.empirical_sigma_mps2))
        )
        self._points: deque[tuple[int, float, FloatArray]] = deque(maxlen=_POINTS)
        self._gps_ms: int | None = None
        self._rejected = 0
        self._x = np.zeros(_FIRST)
        self._covariance = np.zeros((_FIRST, _FIRST))
        self._tracks: dict[str, _Track] = {}
        self._delay_m, self._delay_sigma_m = _DELAY_M, _DELAY_M

    def process(self, seen: GnssMeasurements) -> LiveState | None:
        """Process the measurements of one epoch; None while there is no orbit."""
        gps_ms = int(seen.gps_ms[0])
        links = Links.of(seen, self.orbits, self._antennas, self._frames)
        usable = links.known & np.isfinite(seen.code_l1_m) & np.isfinite(seen.phase_l1_m)
        usable &= seen.loss_of_lock_l1 & HALF_CYCLE == 0
        seen, links = seen.selected(usable), links.selected(usable)
        newest_ms = self._points[-1][0] if self._gps_ms is None and self._points else self._gps_ms
        if newest_ms is not None and not 0 <= gps_ms - newest_ms <= _GAP_MS:
            self._gps_ms = None
            self._points.clear()
        if self._gps_ms is None:
            self._begin(gps_ms, seen, links)
            return None
        try:
            self._propagate(gps_ms)
        except OverflowError:  # the drag of a wrong orbit has no bounds
            self._rejected = _REJECTED_MAX
        used = self._update(gps_ms, seen, links) if len(seen) >= _FEWEST else 0
        self._rejected = self._rejected + 1 if len(seen) >= _FEWEST and not used else 0
        position_m = self._x[POSITION]
        if self._rejected > _REJECTED_MAX or not 6.2e6 < float(np.linalg.norm(position_m)) < 1e9:
            self._gps_ms, self._rejected = None, 0
            self._points.clear()
            return None
        covariance = self._covariance[:SIZE, :SIZE].copy()
        # The antenna is anywhere around its place, for all epochs alike.
        covariance[POSITION, POSITION] += self._offset_sigma_m**2 * np.eye(3)
        return LiveState(gps_ms, self._x[:SIZE].copy(), covariance, used)

    def _begin(self, gps_ms: int, seen: GnssMeasurements, links: Links) -> None:
        """Collect positions, until the first orbit follows from them."""
        if len(seen) < _FEWEST or (self._points and gps_ms - self._points[-1][0] < _POINTS_STEP_MS):
            return
        point = point_solutions(
            links, seen.code_l1_m, np.zeros(len(seen), dtype=np.int64), np.full(len(seen), _POINT_LIMIT_M)
        )
        if not len(point.clock_s) or not point.known[0]:
            return
        self._points.append((gps_ms, float(point.clock_s[0]), point.position_ecef_m[0]))
        if len(self._points) < _POINTS:
            return
        times_ms, clock_s, place_m = (np.array(values) for values in zip(*self._points, strict=True))
        attitude = self._frames.at_each(times_ms, -clock_s)
        position_m = np.einsum("nji,nj->ni", attitude.ecef_from_gcrf, place_m)
        pole = attitude.rotation_gcrf_rad_s[0] / np.linalg.norm(attitude.rotation_gcrf_rad_s[0])
        grid = Grid(int(times_ms[0]), gps_ms)
        found = first_orbit(times_ms, position_m, np.full_like(position_m, np.nan), grid, pole)
        if found is None:
            return
        beginning = np.concatenate((found[0], np.zeros(SIZE - 6)))
        state, _ = self._dynamics.propagate_vector(int(times_ms[0]), beginning, gps_ms)
        self._gps_ms, self._tracks = gps_ms, {}
        # The positions, and so this orbit, are those of the times minus the clock's error.
        state[:6] = _moved(state, float(clock_s[-1]))
        self._x = np.concatenate((state, (0.0,)))
        self._covariance = np.zeros((_FIRST, _FIRST))
        self._covariance[:6, :6] = np.diag(_SIGMAS**2)
        self._covariance[6:SIZE, 6:SIZE] = self._steady

    def _propagate(self, gps_ms: int) -> None:
        """Propagate state and covariance; nothing is known of the receiver's next clock."""
        begin_ms = self._gps_ms or gps_ms
        now_ms = begin_ms
        while now_ms < gps_ms:
            step = self._dynamics.linear_step(now_ms, self._x[:SIZE], gps_ms, 1.0)
            now_ms, self._x[:SIZE] = step.gps_ms, step.x
            self._covariance[:SIZE] = step.transition @ self._covariance[:SIZE]
            self._covariance[:, :SIZE] = self._covariance[:, :SIZE] @ step.transition.T
            self._covariance[:SIZE, :SIZE] += step.sqrt_noise @ step.sqrt_noise.T
        ambiguity = np.arange(_FIRST, len(self._x))
        self._covariance[ambiguity, ambiguity] += _WALK_M2_S * (gps_ms - begin_ms) / _MS_PER_S
        self._covariance[_CLOCK], self._covariance[:, _CLOCK] = 0.0, 0.0
        self._covariance[_CLOCK, _CLOCK] = _CLOCK_VARIANCE_M2
        self._gps_ms = gps_ms

    def _predict(self, gps_ms: int, seen: GnssMeasurements, links: Links) -> _Predicted:
        """Predict the measurements; the clock is that of the codes."""
        clock_s, x = self._x[_CLOCK] / SPEED_OF_LIGHT_M_S, self._x
        for _ in range(2):
            offset_s = float(seen.fraction_s[0]) - clock_s
            turn = self._frames.at(gps_ms, np.array([offset_s])).ecef_from_gcrf[0]
            axes = orbital_axes(x[None, POSITION], x[None, VELOCITY])[0]
            place_m = turn @ (_moved(x, offset_s)[POSITION] + self._offset_m @ axes)
            found = links.ranges(np.tile(place_m, (len(seen), 1)), np.full(len(seen), clock_s))
            clock_s = float(np.median(seen.code_l1_m - found.range_m)) / SPEED_OF_LIGHT_M_S
        antenna = (axes @ turn.T) * np.array((1.0, -1.0, -1.0))[:, None]
        wind_up = wind_up_cycles(links.axes, np.tile(antenna, (len(seen), 1, 1)), found.direction)
        names = seen.satellite.tolist()
        last = np.array([self._tracks[name].wind_up_cycles if name in self._tracks else 0.0 for name in names])
        wind_up += np.rint(last - wind_up)
        sine = np.maximum(-found.direction @ antenna[2], _LOW)
        return _Predicted(clock_s, offset_s, found.range_m, wind_up, sine, found.direction @ turn)

    def _update(self, gps_ms: int, seen: GnssMeasurements, links: Links) -> int:
        """Update with the measurements of an epoch; return the number of satellites used."""
        predicted = self._predict(gps_ms, seen, links)
        names = seen.satellite.tolist()
        clock_m = SPEED_OF_LIGHT_M_S * predicted.clock_s
        phase_m = seen.phase_l1_m - L1_WAVELENGTH_M * predicted.wind_up_cycles
        mean_m = 0.5 * (seen.code_l1_m + phase_m)
        ephemerides = self._ephemerides(gps_ms, names)
        self._forget(gps_ms, names, seen.loss_of_lock_l1 & LOST_LOCK != 0)
        self._forget_slipped(gps_ms, names, phase_m - predicted.range_m - clock_m, ephemerides)
        mapping = delay_mapping(predicted.sine)
        self._add(names, 0.5 * (phase_m - seen.code_l1_m), mapping, predicted.sine, links.sigma_m)
        columns = _FIRST + np.array([list(self._tracks).index(name) for name in names])
        for name, column, ephemeris in zip(names, columns.tolist(), ephemerides, strict=True):
            if self._tracks[name].ephemeris not in {-1, ephemeris}:
                self._covariance[column, column] += 2.0 * float(links.sigma_m[names.index(name)]) ** 2
        self._x[_CLOCK] = clock_m
        design = np.zeros((len(names), len(self._x)))
        design[:, POSITION], design[:, _CLOCK] = predicted.partials, 1.0
        design[:, VELOCITY] = predicted.offset_s * predicted.partials
        design[np.arange(len(names)), columns] = 1.0
        residual_m = mean_m - predicted.range_m - clock_m - self._x[columns]
        before = self._x[:6].copy()
        used = self._measured(design, residual_m, np.square(_NOISE_M / predicted.sine))
        change = self._x[:6] - before
        moved_m = predicted.partials @ (change[POSITION] + predicted.offset_s * change[VELOCITY]) + self._x[_CLOCK]
        for row, name in enumerate(names):
            value = float(phase_m[row] - predicted.range_m[row] - moved_m[row])
            wind_up = float(predicted.wind_up_cycles[row])
            self._tracks[name] = _Track(gps_ms, value, wind_up, ephemerides[row])
        delays_m = self._x[columns] - 0.5 * (phase_m - seen.code_l1_m)
        self._delay_m += _DELAY_GAIN * (max(float(np.median(delays_m / mapping)), 0.0) - self._delay_m)
        self._delay_sigma_m += _DELAY_GAIN * (_DELAY_SIGMA_M - self._delay_sigma_m)
        return int(used.sum())

    def _ephemerides(self, gps_ms: int, names: list[str]) -> list[int]:
        """Return the time of the message in use for each satellite; precise orbits have one only."""
        if not isinstance(self.orbits, BroadcastOrbits):
            return [0] * len(names)
        rows = [self.orbits.choose(name, np.array([1_000_000 * gps_ms]))[0] for name in names]
        return [int(self.orbits.table["toe_gps_ns"][row]) for row in rows]

    def _measured(self, design: FloatArray, residual_m: FloatArray, variance_m2: FloatArray) -> BoolArray:
        """Apply measurements, without the few that contradict the others; return flags of those used."""
        used = np.ones(len(residual_m), dtype=np.bool_)
        for _ in range(_EXCLUDED_MAX + 1):
            rows, noise = design[used], np.diag(variance_m2[used])
            carried = self._covariance @ rows.T
            innovation = rows @ carried + noise
            gain = np.linalg.solve(innovation, carried.T).T
            change = gain @ residual_m[used]
            # Residuals after the update, in their own standard deviations, show outliers in spite of the free clock.
            whitened = np.linalg.solve(innovation, residual_m[used])
            sizes = np.abs(whitened) / np.sqrt(np.diagonal(np.linalg.inv(innovation)))
            if sizes.max() < _SIGMAS_MAX or used.sum() <= _FEWEST:
                break
            used[np.flatnonzero(used)[sizes.argmax()]] = False
        if sizes.max() > _SIGMAS_MAX:
            # So many measurements contradict the orbit that the time tag may be wrong.
            return np.zeros(len(used), dtype=np.bool_)
        self._x += change
        kept = np.eye(len(self._x)) - gain @ rows
        self._covariance = kept @ self._covariance @ kept.T + gain @ noise @ gain.T
        return used

    def _forget(self, gps_ms: int, names: list[str], lost: BoolArray) -> None:
        """Drop satellites that lost lock or set."""
        broken = {name for name, is_lost in zip(names, lost.tolist(), strict=True) if is_lost}
        broken |= {name for name, track in self._tracks.items() if gps_ms - track.gps_ms > _TRACK_GAP_MS}
        self._drop(broken)

    def _forget_slipped(self, gps_ms: int, names: list[str], phase_m: FloatArray, ephemerides: list[int]) -> None:
        """Drop satellites the phase of which jumps against the others."""
        rows = [
            row
            for row, name in enumerate(names)
            if name in self._tracks and self._tracks[name].ephemeris == ephemerides[row]
        ]
        if len(rows) < _FEWEST:
            return
        change_m = np.array([phase_m[row] - self._tracks[names[row]].phase_m for row in rows])
        step_s = np.array([gps_ms - self._tracks[names[row]].gps_ms for row in rows]) / _MS_PER_S
        speed_mps = float(np.sqrt(np.trace(self._covariance[VELOCITY, VELOCITY])))
        limit_m = _JUMP_M + (_JUMP_M_S + _SIGMAS_MAX * speed_mps) * step_s
        slipped = np.abs(change_m - np.median(change_m)) > limit_m
        self._drop({names[row] for row, is_slip in zip(rows, slipped.tolist(), strict=True) if is_slip})

    def _drop(self, broken: set[str]) -> None:
        """Remove ambiguities from the state."""
        gone: IntArray = np.array([row for row, name in enumerate(self._tracks) if name in broken], dtype=np.int64)
        self._x = np.delete(self._x, _FIRST + gone)
        self._covariance = np.delete(np.delete(self._covariance, _FIRST + gone, axis=0), _FIRST + gone, axis=1)
        for name in broken:
            self._tracks.pop(name, None)

    def _add(
        self, names: list[str], difference_m: FloatArray, mapping: FloatArray, sine: FloatArray, sigma_m: FloatArray
    ) -> None:
        """Add the ambiguities of new satellites from half of phase minus code (n,)."""
        rows = [row for row, name in enumerate(names) if name not in self._tracks]
        delay_m = self._delay_m * mapping[rows]
        variance = (_CODE_M / sine[rows]) ** 2 + sigma_m[rows] ** 2
        variance += (self._delay_sigma_m * mapping[rows]) ** 2 + (_DELAY_SHARE * delay_m) ** 2
        count = len(self._x)
        self._x = np.concatenate((self._x, difference_m[rows] + delay_m))
        covariance = np.zeros((len(self._x), len(self._x)))
        covariance[:count, :count] = self._covariance
        covariance[count:, count:] = np.diag(variance)
        self._covariance = covariance
        for row in rows:
            self._tracks[names[row]] = _Track(0, 0.0, 0.0, -1)


def _moved(x: FloatArray, after_s: float) -> FloatArray:
    """Return position and velocity (6,) of a state after some tenths of a second, by the Earth's central attraction."""
    position_m, velocity_mps = x[POSITION], x[VELOCITY]
    acceleration_mps2 = -GM_EARTH_M3_S2 / float(np.linalg.norm(position_m)) ** 3 * position_m
    moved_m = position_m + after_s * velocity_mps + 0.5 * after_s**2 * acceleration_mps2
    return np.concatenate((moved_m, velocity_mps + after_s * acceleration_mps2))


def delay_mapping(sine: FloatArray) -> FloatArray:
    """Return the delay of the ionosphere above a low orbit relative to that at the zenith, shape (n,)."""
    return np.asarray(_LEAR[0] / (np.sqrt(sine**2 + _LEAR[1]) + sine))


def live_orbit(  # noqa: PLR0917 - measurements and what they are predicted with
    seen: GnssMeasurements,
    orbits: GnssOrbits,
    antennas: SatelliteAntennas | None,
    receiver: Receiver,
    settings: OrbitSettings,
    frames: EarthFrames,
) -> Iterator[LiveState]:
    """Yield the states of all epochs with an orbit, each from the epochs before.

    Raises:
        RawOrbitError: No epoch has an orbit.
    """
    one = LiveFilter(orbits, antennas, receiver, settings, frames)
    begins = np.flatnonzero(np.diff(seen.gps_ms, prepend=-1))
    found = False
    for first, end in zip(begins.tolist(), [*begins[1:].tolist(), len(seen)], strict=True):
        if (state := one.process(seen.selected(np.arange(first, end)))) is not None:
            found = True
            yield state
    if not found:
        raise RawOrbitError(f"fewer than {_POINTS} positions from 5 satellites, {_POINTS_STEP_MS // 1000} s apart")

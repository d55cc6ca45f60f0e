"""Simulated formations: true orbits, and ranges and fixes as the estimator takes them, without files and clocks."""

import math
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2
from pygnc.estimators.formation.observations import Pair, RangeObservation, SatelliteFix
from pygnc.estimators.orbit.measurement import Fix
from pygnc_ground.formation.bound import RangeMeasurements
from pygnc_ground.formation.relative import rtn_from_gcrf
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.scenario.gps import CommonNoise, position_errors, velocity_errors
from pygnc_ground.scenario.sensor_settings import Gps
from pygnc_ground.scenario.settings import Forces, Orbit, Shape, Spacecraft, noise_generator, partner_seed
from pygnc_ground.scenario.shapes import CircularOrbit, relative_states
from pygnc_ground.scenario.trajectory import Trajectory, initial_state_gcrf
from scripts.bench.orbit_world import DRAG_FACTORS


@dataclass(frozen=True, slots=True)
class FormationConditions:
    """Deviations of a world from satellites of one design near each other."""

    altitude_m: float | None = None
    """Altitude of the orbit; drawn from 400 to 600 km if None"""
    drag_ratio: float = 1.0
    """Drag of a partner over ours, besides random differences"""
    baseline_m: float = 0.0
    """Distance of the most distant partner along the track; each partner is at 0.1 to 1 times this"""


NOMINAL: Final = FormationConditions()


OWN_ID: Final = 74
INTERVAL_S: Final = 60
_RANGE_AFTER_FIX_S: Final = 20
RANGE_BIAS_M: Final = 1_050.0
VELOCITY_LATENCY_S: Final = 0.15
_SATELLITES_MAX: Final = 4
"""Maximum number of satellites; noise is drawn for all of them, so that it does not depend on their number."""
DIFFERENTIAL_DRAG_SIGMA: Final = 0.1
"""Standard deviation of the logarithm of each satellite's own part of the drag factor."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """Radios and receivers, and their noise."""

    name: str
    range_noise_m: float
    """Standard deviation of a range in m"""
    mesh: bool
    """If true, all pairs measure ranges; otherwise only the pairs with our satellite"""
    fixed: int
    """Number of satellites whose GPS fixes are available, our own first"""
    bias_m: float = RANGE_BIAS_M
    """Mean of the pairs' biases in m"""
    bias_sigma_m: float = 20.0
    """Standard deviation of the pairs' biases about their mean, in m"""
    partner_fixes: int | None = None
    """Maximum number of each partner's fixes, the first of the arc; no limit if None"""
    fix_noise: tuple[float, float] = (10.0, 0.01)
    """Standard deviations of the white errors of position (m) and velocity (m/s)"""
    fix_correlated: tuple[float, float] = (0.0, 0.0)
    """Standard deviations of the Gauss-Markov errors of position (m) and velocity (m/s), correlated over ten minutes"""
    fix_common: float = 0.0
    """Share of the variance of the Gauss-Markov errors that all receivers have in common"""

    @property
    def fix_sigma(self) -> FloatArray:
        """Standard deviations that the receivers report: all errors of position (m) and velocity (m/s), (6,)."""
        return np.repeat(np.hypot(self.fix_noise, self.fix_correlated), 3)


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Measurements of a world, ordered by time."""

    instruments: Instruments
    ranges: list[RangeObservation]
    """Ranges with noise and the bias of the pair"""
    fixes: list[SatelliteFix]
    bias_m: dict[Pair, float]
    """True bias of each pair in m, by radio ids"""


@dataclass(frozen=True, slots=True, eq=False)
class FormationWorld:
    """Satellites on their true orbits; the first is our own."""

    seed: int
    shape: Shape
    start_gps_ms: int
    minutes: int
    paths: tuple[Trajectory, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Radio ids."""
        return tuple(OWN_ID + number for number in range(len(self.paths)))

    def states_gcrf(self, gps_ms: IntArray) -> FloatArray:
        """Return all satellites' positions (m) and velocities (m/s), GCRF, at n moments, (s, n, 6)."""
        t_s = 1e-3 * (gps_ms - self.start_gps_ms)
        return np.stack([path.states_gcrf(t_s) for path in self.paths])

    def records(self, instruments: Instruments, draw: int = 0) -> Records:
        """Return measurements of the world.

        Args:
            instruments: Radios and receivers. Different instruments share the noise that they have in common.
            draw: Number of the realisation of noise and biases.
        """
        seed = int(noise_generator(self.seed, f"draw {draw}").integers(1 << 32))
        ids, links = self.ids, self._links(instruments)
        drawn = noise_generator(seed, "range biases").standard_normal((_SATELLITES_MAX, _SATELLITES_MAX))
        bias_m = {
            (ids[one], ids[other]): instruments.bias_m + instruments.bias_sigma_m * float(drawn[one, other])
            for one, other in links
        }
        minutes = np.arange(1, self.minutes + 1)
        range_s = INTERVAL_S * minutes + _RANGE_AFTER_FIX_S
        positions_m = np.stack([path.states_gcrf(range_s)[:, :3] for path in self.paths])
        by_link = []
        for one, other in links:
            noise = noise_generator(seed, f"range {one} {other}").standard_normal(self.minutes)
            distance_m = np.linalg.norm(positions_m[other] - positions_m[one], axis=1)
            by_link.append((distance_m + bias_m[ids[one], ids[other]] + instruments.range_noise_m * noise).tolist())
        ranges = [
            RangeObservation(self.start_gps_ms + 1000 * seconds, ids[one], ids[other], range_m)
            for seconds, ranges_m in zip(range_s.tolist(), zip(*by_link, strict=True), strict=True)
            for (one, other), range_m in zip(links, ranges_m, strict=True)
        ]
        fixed = range(min(instruments.fixed, len(self.paths)))
        by_satellite = [self._fixes(satellite, INTERVAL_S * minutes, seed, instruments) for satellite in fixed]
        fixes = [
            SatelliteFix(ids[satellite], fix)
            for number, moment in enumerate(zip(*by_satellite, strict=True))
            for satellite, fix in enumerate(moment)
            if satellite == 0 or instruments.partner_fixes is None or number < instruments.partner_fixes
        ]
        return Records(instruments, ranges, fixes, bias_m)

    @property
    def moments_gps_ms(self) -> IntArray:
        """GPS milliseconds of the measurements, (n,)."""
        minutes = np.arange(1, self.minutes + 1)[:, None]
        t_s: IntArray = (INTERVAL_S * minutes + np.array((0, _RANGE_AFTER_FIX_S))).reshape(-1)
        return self.start_gps_ms + 1000 * t_s

    def bound_measurements(self, records: Records) -> tuple[FloatArray, RangeMeasurements]:
        """Return sigmas of fixes, and ranges, for the Cramer-Rao bound at the moments of `moments_gps_ms`."""
        moments, ranges = self.moments_gps_ms, records.ranges
        fix_sigma = np.full((len(self.paths), len(moments), 6), np.inf)
        for entry in records.fixes:
            fix_sigma[self.ids.index(entry.satellite), np.searchsorted(moments, entry.gps_ms)] = (
                records.instruments.fix_sigma
            )
        row = np.searchsorted(moments, [seen.gps_ms for seen in ranges])
        one, other = (np.array(end) - OWN_ID for end in zip(*((seen.one, seen.other) for seen in ranges), strict=True))
        sigma_m = np.full(len(ranges), records.instruments.range_noise_m)
        return fix_sigma, RangeMeasurements(row, one, other, sigma_m)

    def _links(self, instruments: Instruments) -> list[tuple[int, int]]:
        """Return the pairs (measuring, measured) in the order of measurement."""
        count = len(self.paths)
        return [(one, other) for one in range(count if instruments.mesh else 1) for other in range(one + 1, count)]

    def _fixes(self, satellite: int, t_s: IntArray, seed: int, instruments: Instruments) -> list[Fix]:
        noise = noise_generator(seed, f"fixes {satellite}").standard_normal((2, len(t_s), 3))
        errors = np.array(instruments.fix_noise)[:, None, None] * noise
        gps = Gps(
            position_noise_m=0.0,
            velocity_noise_mps=0.0,
            coloured_position_noise_m=instruments.fix_correlated[0],
            coloured_velocity_noise_mps=instruments.fix_correlated[1],
        )
        own_seed, common = partner_seed(seed, satellite), CommonNoise(instruments.fix_common, seed)
        errors += [of(gps).draw(t_s, own_seed, "", common) for of in (position_errors, velocity_errors)]
        path = self.paths[satellite]
        position_sigma_m, velocity_sigma_mps = np.split(instruments.fix_sigma, 2)
        position_m = path.states_itrf(t_s)[:, :3] + errors[0]
        velocity_mps = path.states_itrf(t_s - VELOCITY_LATENCY_S)[:, 3:] + errors[1]
        return [
            Fix(
                gps_ms=self.start_gps_ms + 1000 * int(seconds),
                position_ecef_m=position,
                position_sigma_m=position_sigma_m,
                velocity_ecef_mps=velocity,
                velocity_sigma_mps=velocity_sigma_mps,
                velocity_latency_s=VELOCITY_LATENCY_S,
            )
            for seconds, position, velocity in zip(t_s, position_m, velocity_mps, strict=True)
        ]


def formation_world(
    seed: int,
    shape: Shape,
    satellites: int = 4,
    minutes: int = 64,
    *,
    conditions: FormationConditions = NOMINAL,
) -> FormationWorld:
    """Return the formation of a seed, with fixes and ranges each minute.

    Cost: 0.2 s per satellite and hour.

    Args:
        seed: Seed of the generator of orbit, epoch, formation and noise.
        shape: Shape of the formation, as in scenarios.
        satellites: Number of satellites, 2 to 4. A satellite's orbit does not depend on it.
        minutes: Duration of the measurements in minutes.
        conditions: Altitude, drag and distances; they change no other draw.
    """
    draw = np.random.default_rng([2026, seed])
    day = gps_ms_from_utc_iso("2022-06-01T00:00:00Z") // 86_400_000 + int(draw.integers(0, 1_100))
    start_gps_ms = 86_400_000 * int(day)
    orbit = Orbit(
        semi_major_axis_m=EARTH_RADIUS_M + _altitude_m(conditions, draw),
        inclination_deg=float(draw.choice([51.6, 97.5])),
        raan_deg=float(draw.uniform(0.0, 360.0)),
        argument_of_perigee_deg=90.0,
        mean_anomaly_deg=float(draw.uniform(0.0, 360.0)),
    )
    common_drag = 2.2 * float(draw.choice(DRAG_FACTORS))
    own_drag = np.exp(DIFFERENTIAL_DRAG_SIGMA * draw.standard_normal(_SATELLITES_MAX))
    own_drag[1:] *= conditions.drag_ratio
    own = initial_state_gcrf(orbit)
    circle = CircularOrbit(
        motion_rad_s=float(np.sqrt(GM_EARTH_M3_S2 / orbit.semi_major_axis_m**3)),
        argument_rad=float(np.radians(orbit.argument_of_perigee_deg + orbit.mean_anomaly_deg)),
    )
    relative = relative_states(shape, satellites - 1, circle, draw)
    centres = [_displaced(orbit, conditions, number, seed) for number in range(satellites - 1)]
    if shape != "free":
        relative = np.array(
            [np.linalg.solve(rtn_from_gcrf(centre), state) for centre, state in zip(centres, relative, strict=True)]
        )
    duration_s = float(INTERVAL_S * (minutes + 1))
    paths = tuple(
        Trajectory(
            start_gps_ms,
            duration_s,
            np.ascontiguousarray(state),
            Spacecraft(drag_coefficient=common_drag * drag),
            Forces(),
        )
        for state, drag in zip((own, *(centres + relative)), own_drag, strict=False)
    )
    return FormationWorld(seed, shape, start_gps_ms, minutes, paths)


def _altitude_m(conditions: FormationConditions, draw: np.random.Generator) -> float:
    drawn = float(draw.uniform(400e3, 600e3))
    return drawn if conditions.altitude_m is None else conditions.altitude_m


def _displaced(orbit: Orbit, conditions: FormationConditions, number: int, seed: int) -> FloatArray:
    """Return the state on our orbit about which a partner is placed, in front of us or behind us."""
    if conditions.baseline_m == 0.0:
        return initial_state_gcrf(orbit)
    draw = np.random.default_rng([2027, seed, number])
    along_m = conditions.baseline_m * float(draw.choice((-1.0, 1.0)) * draw.uniform(0.1, 1.0))
    angle_deg = math.degrees(along_m / orbit.semi_major_axis_m)
    return initial_state_gcrf(msgspec.structs.replace(orbit, mean_anomaly_deg=orbit.mean_anomaly_deg + angle_deg))

"""True orbits of a formation, and the ranges and fixes its radios and receivers make of them."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2
from pygnc.estimators.orbit.measurement import Fix
from pygnc_ground.campaign.formation_geometry import Circle, Kind, starts
from pygnc_ground.campaign.world import DRAG_FACTORS
from pygnc_ground.formation.bound import FormationSightings, RangeSightings
from pygnc_ground.formation.relative import rtn_from_gcrf
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.settings import Forces, Orbit, Spacecraft
from pygnc_ground.scenario.trajectory import Trajectory, initial_state_gcrf

OWN_ID: Final = 74
INTERVAL_S: Final = 60
RANGE_AFTER_FIX_S: Final = 20
RANGE_BIAS_M: Final = 1_050.0
POSITION_NOISE_M: Final = 10.0
VELOCITY_NOISE_MPS: Final = 0.01
VELOCITY_LATENCY_S: Final = 0.15
_MOST: Final = 4
"""Satellites; noise is drawn for all of them, whether they are there or not."""
DIFFERENTIAL_DRAG_SIGMA: Final = 0.1
"""Of the logarithm of each satellite's drag, around that of all."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """What measures, and how well."""

    name: str
    range_noise_m: float
    mesh: bool
    """Ranges of all pairs, or of our satellite's only"""
    fixed: int
    """How many satellites have a GPS receiver whose fixes are known here, our own first"""
    bias_sigma_m: float = 20.0
    """By which the pairs' biases scatter about `RANGE_BIAS_M`"""
    both_directions: bool = False
    """Each pair measures twice, from either end"""
    partner_fixes: int | None = None
    """So many of each partner's fixes only, the first ones; all of them if not given"""


class Ranges(NamedTuple):
    """m ranges, in order of time."""

    gps_ms: IntArray
    """(m,)"""
    one: IntArray
    """(m,), index of the satellite that measured; 0 is our own"""
    other: IntArray
    """(m,)"""
    range_m: FloatArray
    """(m,), with noise and the pair's bias"""


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """What was measured of a world."""

    instruments: Instruments
    ranges: Ranges
    fixes: list[tuple[int, Fix]]
    """With the satellite's index, in order of time"""
    bias_m: dict[tuple[int, int], float]
    """True ones, by pair of satellites, lower index first"""


@dataclass(frozen=True, slots=True, eq=False)
class FormationWorld:
    """Satellites on their true orbits; the first is our own."""

    seed: int
    kind: Kind
    start_gps_ms: int
    minutes: int
    paths: tuple[Trajectory, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Radio ids."""
        return tuple(OWN_ID + number for number in range(len(self.paths)))

    def first(self, satellites: int) -> "FormationWorld":
        """The same with the first so many satellites only."""
        return replace(self, paths=self.paths[:satellites])

    def states_gcrf(self, gps_ms: IntArray) -> FloatArray:
        """All satellites' states at n moments, (s, n, 6)."""
        t_s = 1e-3 * (gps_ms - self.start_gps_ms)
        return np.stack([path.states_gcrf(t_s) for path in self.paths])

    def records(self, instruments: Instruments, draw: int = 0) -> Records:
        """Measure.

        Args:
            instruments: Which. They share the noise that they have in common.
            draw: Of the noise and the biases; each is another.
        """
        seed = int(noise_generator(self.seed, f"draw {draw}").integers(1 << 32))
        links = self._links(instruments)
        drawn = noise_generator(seed, "range biases").standard_normal((_MOST, _MOST))
        bias_m = {
            (one, other): RANGE_BIAS_M + instruments.bias_sigma_m * float(drawn[one, other])
            for one, other in links
            if one < other
        }
        minutes = np.arange(1, self.minutes + 1)
        range_s = INTERVAL_S * minutes + RANGE_AFTER_FIX_S
        places_m = np.stack([path.states_gcrf(range_s)[:, :3] for path in self.paths])
        columns = []
        for one, other in links:
            noise = noise_generator(seed, f"range {one} {other}").standard_normal(self.minutes)
            distance_m = np.linalg.norm(places_m[other] - places_m[one], axis=1)
            columns.append(distance_m + bias_m[min(one, other), max(one, other)] + instruments.range_noise_m * noise)
        ranges = Ranges(
            gps_ms=np.repeat(self.start_gps_ms + 1000 * range_s, len(links)),
            one=np.tile(np.array([one for one, _ in links]), self.minutes),
            other=np.tile(np.array([other for _, other in links]), self.minutes),
            range_m=np.stack(columns, axis=1).reshape(-1),
        )
        fixed = range(min(instruments.fixed, len(self.paths)))
        of_each = [self._fixes(satellite, INTERVAL_S * minutes, seed) for satellite in fixed]
        fixes = [
            (satellite, fix)
            for number, moment in enumerate(zip(*of_each, strict=True))
            for satellite, fix in enumerate(moment)
            if satellite == 0 or instruments.partner_fixes is None or number < instruments.partner_fixes
        ]
        return Records(instruments, ranges, fixes, bias_m)

    @property
    def moments_gps_ms(self) -> IntArray:
        """When something is measured, (n,)."""
        minutes = np.arange(1, self.minutes + 1)[:, None]
        t_s: IntArray = (INTERVAL_S * minutes + np.array((0, RANGE_AFTER_FIX_S))).reshape(-1)
        return self.start_gps_ms + 1000 * t_s

    def sightings(self, instruments: Instruments) -> FormationSightings:
        """The same measurements for the bound, at the moments of `moments_gps_ms`."""
        moments = self.moments_gps_ms
        fix_sigma = np.full((len(self.paths), len(moments), 6), np.inf)
        fix_sigma[: instruments.fixed, ::2] = np.repeat((POSITION_NOISE_M, VELOCITY_NOISE_MPS), 3)
        if instruments.partner_fixes is not None:
            fix_sigma[1:, 2 * instruments.partner_fixes :] = np.inf
        links = self._links(instruments)
        ends = [np.tile(np.array(end), self.minutes) for end in zip(*links, strict=True)]
        row = np.repeat(np.arange(1, len(moments), 2), len(links))
        return FormationSightings(
            fix_sigma, RangeSightings(row, ends[0], ends[1], np.full(len(row), instruments.range_noise_m))
        )

    def _links(self, instruments: Instruments) -> list[tuple[int, int]]:
        """Who measures the range to whom, in turn."""
        count = len(self.paths)
        pairs = [(one, other) for one in range(count if instruments.mesh else 1) for other in range(one + 1, count)]
        return [*pairs, *((other, one) for one, other in pairs)] if instruments.both_directions else pairs

    def _fixes(self, satellite: int, t_s: IntArray, seed: int) -> list[Fix]:
        noise = noise_generator(seed, f"fixes {satellite}").standard_normal((2, len(t_s), 3))
        path = self.paths[satellite]
        position_m = path.states_itrf(t_s)[:, :3] + POSITION_NOISE_M * noise[0]
        velocity_mps = path.states_itrf(t_s - VELOCITY_LATENCY_S)[:, 3:] + VELOCITY_NOISE_MPS * noise[1]
        return [
            Fix(
                gps_ms=self.start_gps_ms + 1000 * int(seconds),
                position_ecef_m=place,
                position_sigma_m=np.full(3, POSITION_NOISE_M),
                velocity_ecef_mps=speed,
                velocity_sigma_mps=np.full(3, VELOCITY_NOISE_MPS),
                velocity_latency_s=VELOCITY_LATENCY_S,
            )
            for seconds, place, speed in zip(t_s, position_m, velocity_mps, strict=True)
        ]


def formation_world(
    seed: int, kind: Kind, satellites: int = 4, minutes: int = 64, *, drag_draw: int = 0
) -> FormationWorld:
    """Formation of one seed, with fixes and ranges each of so many minutes.

    Cost: 0.2 s per satellite and hour.

    Args:
        seed: Of orbit, epoch, formation and all noise.
        kind: Of formation.
        satellites: 2 to 4; fewer are the first ones of more.
        minutes: From the first fix to after the last.
        drag_draw: Of what the satellites' drags differ by; nothing else changes with it.
    """
    draw = np.random.default_rng([2026, seed])
    day = gps_ms_from_utc_iso("2022-06-01T00:00:00Z") // 86_400_000 + int(draw.integers(0, 1_100))
    start_gps_ms = 86_400_000 * int(day)
    orbit = Orbit(
        semi_major_axis_m=EARTH_RADIUS_M + float(draw.uniform(400e3, 600e3)),
        inclination_deg=float(draw.choice([51.6, 97.5])),
        raan_deg=float(draw.uniform(0.0, 360.0)),
        argument_of_perigee_deg=90.0,
        mean_anomaly_deg=float(draw.uniform(0.0, 360.0)),
    )
    common_drag = 2.2 * float(draw.choice(DRAG_FACTORS))
    own_drag = np.exp(DIFFERENTIAL_DRAG_SIGMA * draw.standard_normal(_MOST))
    if drag_draw:
        redrawn = np.random.default_rng([2026, seed, drag_draw])
        own_drag = np.exp(DIFFERENTIAL_DRAG_SIGMA * redrawn.standard_normal(_MOST))
    own = initial_state_gcrf(orbit)
    circle = Circle(
        motion_rad_s=float(np.sqrt(GM_EARTH_M3_S2 / orbit.semi_major_axis_m**3)),
        argument_rad=float(np.radians(orbit.argument_of_perigee_deg + orbit.mean_anomaly_deg)),
    )
    apart = starts(kind, satellites - 1, circle, draw)
    if kind is not Kind.FREE:
        apart = apart @ np.linalg.inv(rtn_from_gcrf(own)).T
    duration_s = float(INTERVAL_S * (minutes + 1))
    paths = tuple(
        Trajectory(
            start_gps_ms,
            duration_s,
            np.ascontiguousarray(state),
            Spacecraft(drag_coefficient=common_drag * drag),
            Forces(),
        )
        for state, drag in zip((own, *(own + apart)), own_drag, strict=False)
    )
    return FormationWorld(seed, kind, start_gps_ms, minutes, paths)

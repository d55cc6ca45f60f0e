"""Simulated formations with a batch solution of the first part and the measurements after it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.arc_solver import FormationSolver
from pygnc.estimators.formation.filter import FormationFilter, Verdict, initial_memory
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution, RelativeState
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.formation.relative import elements_nees
from pygnc_ground.scenario.sensor_settings import Gps
from scripts.bench.orbit_world import last_orbit, settings_for
from tests.pygnc.estimators.formation.simulated import FormationWorld, Instruments, formation_world
from tests.pygnc.estimators.formation.worlds import CALIBRATED

ARC_MIN = 64
FRAMES = EarthFrames(ORIENTATION)
ORBIT = settings_for(Gps(), ARC_MIN / 60.0, 60.0)
GPS_ON_ALL = Instruments("mesh", range_noise_m=10.0, mesh=True, fixed=4)
GPS_ON_OURS = Instruments("star", range_noise_m=1.0, mesh=False, fixed=1)


@cache
def world(satellites: int = 2, minutes: int = 250) -> FormationWorld:
    return formation_world(7, "bounded", satellites, minutes)


@dataclass(frozen=True, eq=False)
class Solved:
    """A batch solution and the later measurements: ranges and fixes by moment."""

    solution: FormationSolution
    settings: FormationSettings
    orbit: OrbitSettings
    later: dict[int, tuple[list[RangeObservation], list[SatelliteFix]]]

    def filter(self, solution: FormationSolution | None = None) -> FormationFilter:
        memory = initial_memory(solution or self.solution, self.settings, self.orbit.process_noise)
        return FormationFilter(memory, self.settings, self.orbit, FRAMES)

    def until(self, minutes: float) -> list[tuple[list[RangeObservation], list[SatelliteFix]]]:
        """Return the measurements of the first minutes after the batch."""
        first_ms = min(self.later)
        return [seen for gps_ms, seen in self.later.items() if gps_ms < first_ms + 60e3 * minutes]


@cache
def solved(
    instruments: Instruments = GPS_ON_ALL,
    draw: int = 0,
    satellites: int = 2,
    minutes: int = 250,
    arc_minutes: int = ARC_MIN,
) -> Solved:
    made = world(satellites, minutes)
    end_ms = made.start_gps_ms + 60_000 * arc_minutes + 20_000
    records = made.records(instruments, draw)
    fixes, ranges = records.fixes, records.ranges
    settings = replace(CALIBRATED, range_noise_m=instruments.range_noise_m)
    own = last_orbit([seen.fix for seen in fixes if seen.satellite == 74 and seen.fix.gps_ms <= end_ms], ORBIT)
    solution = FormationSolver(settings, ORBIT, FRAMES).solve(
        own, [seen for seen in fixes if seen.fix.gps_ms <= end_ms], [seen for seen in ranges if seen.gps_ms <= end_ms]
    )
    assert solution is not None
    later: dict[int, tuple[list[RangeObservation], list[SatelliteFix]]] = {}
    for fix in fixes:
        if fix.fix.gps_ms > end_ms:
            later.setdefault(fix.fix.gps_ms, ([], []))[1].append(fix)
    for seen in ranges:
        if seen.gps_ms > end_ms:
            later.setdefault(seen.gps_ms, ([], []))[0].append(seen)
    return Solved(solution, settings, ORBIT, {gps_ms: later[gps_ms] for gps_ms in sorted(later)})


def process_all(
    filtering: FormationFilter, moments: Sequence[tuple[list[RangeObservation], list[SatelliteFix]]]
) -> list[Verdict]:
    """Process all fixes and ranges in order of time; return the verdicts of the ranges."""
    verdicts = []
    for ranges, fixes in moments:
        for fix in fixes:
            filtering.process_fix(fix)
        verdicts += [filtering.process_range(seen) for seen in ranges]
    return verdicts


def truth_gcrf(gps_ms: int, partner: int, satellites: int = 2, minutes: int = 250) -> tuple[Array, Array]:
    """Return our state and the partner's state relative to it."""
    states = world(satellites, minutes).states_gcrf(np.array([gps_ms]))[:, 0]
    return states[0], states[partner - 74] - states[0]


def error_m(filtering: FormationFilter, partner: int, hypothesis: int = 0, satellites: int = 2) -> float:
    _, truth = truth_gcrf(filtering.gps_ms, partner, satellites)
    return float(np.linalg.norm(filtering.relative(partner, hypothesis).gcrf[:3] - truth[:3]))


def nees(relative: RelativeState, own: Array, truth: Array) -> float:
    """Return the NEES of the relative orbital elements, 6 on average."""
    return float(elements_nees(own, own + relative.gcrf, own + truth, relative.covariance_gcrf))

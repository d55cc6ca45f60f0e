"""Whether errors and innovations are what the covariances say, over many seeds of noise on one orbit."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitUpdate
from pygnc_ground.campaign.accuracy import SETTLED
from pygnc_ground.campaign.world import CADENCE_S, World, expecting, filtered, solution_of
from pygnc_ground.orbit.consistency import NeesConsistency, NisConsistency, nees_consistency, nis_consistency
from pygnc_ground.orbit.errors import orbit_errors
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.orbit.solution import FloatArray, OrbitSolution
from pygnc_ground.scenario.presets import preset_tables
from pygnc_ground.scenario.settings import checked

PRESETS: Final = ("nominal", "tumbling", "mm_velocity", "sparse_gps", "formation4")
"""Those without faults."""


@dataclass(frozen=True, slots=True, eq=False)
class Consistency:
    """Of filter and smoother on one preset."""

    nis: NisConsistency
    """Of the filter"""
    nees: dict[str, NeesConsistency]
    """By estimator"""
    formal_over_actual: dict[str, float]
    """RMS of the formal position sigmas over RMS of the position errors, by estimator"""


class Sample(NamedTuple):
    """One run's errors after the first third: NEES by epoch, squared error, squared formal sigma."""

    nees: FloatArray
    error_m2: float
    formal_m2: float


def consistency_of(preset: str, seeds: int) -> Consistency:
    """Fly a preset's orbit with so many seeds of noise."""
    scenario = checked(preset_tables(preset), preset)
    world, gps, hours = World(scenario), scenario.gps, scenario.duration_s / 3600.0
    settings = expecting(gps, hours, CADENCE_S * gps.fix_every_records)
    used: list[OrbitUpdate] = []
    samples: dict[str, list[Sample]] = {"filter": [], "smoother": []}
    for seed in range(seeds):
        orbit, updates = filtered(world.fixes(gps, hours, seed), settings)
        used += updates
        forward = {update.fix.gps_ms: update.state for update in updates if update.state is not None}
        smoothed = smooth(updates, list(forward), OrbitDynamics(settings, orbit.frames), settings)
        samples["filter"].append(sample_of(solution_of(forward, orbit.frames), world))
        samples["smoother"].append(sample_of(solution_of(smoothed, orbit.frames), world))
    return Consistency(
        nis=nis_consistency(np.array([update.nis for update in used]), np.array([update.dof for update in used])),
        nees={name: nees_consistency(np.array([one.nees for one in of_name])) for name, of_name in samples.items()},
        formal_over_actual={
            name: float(np.sqrt(sum(one.formal_m2 for one in of_name) / sum(one.error_m2 for one in of_name)))
            for name, of_name in samples.items()
        },
    )


def sample_of(solution: OrbitSolution, world: World) -> Sample:
    """Compare with the truth."""
    errors = orbit_errors(solution, world)
    settled = errors.later(SETTLED)
    squares = ((vectors[settled] ** 2).sum(axis=1) for vectors in (errors.position_rtn_m, errors.position_sigma_rtn_m))
    return Sample(errors.nees[settled], *(float(each.mean()) for each in squares))

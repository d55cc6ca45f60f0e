"""Errors at the end of a time without fixes, beside what the air alone does to the orbit in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.environment.gravity import EARTH_RADIUS_M
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.campaign.world import World, filtered
from pygnc_ground.orbit.smoother import smooth
from pygnc_ground.scenario.trajectory import Trajectory

OUTAGE_MIN: Final = 90
PREDICTION_MS: Final = 3 * 3_600_000


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """Errors at the end of a time without fixes, and how far drag alone moves the satellite in it."""

    altitude_m: float
    drag_m: float
    filter_m: float
    smoother_m: float = 0.0


def outage_of(world: World, fixes: Sequence[Fix], settings: OrbitSettings, minute: int) -> Extrapolation:
    """Take away the fixes of 90 min; errors at the first one behind."""
    begin_ms, end_ms = (world.settings.start_gps_ms + 60_000 * m for m in (minute, minute + OUTAGE_MIN))
    seen = [fix for fix in fixes if not begin_ms < fix.gps_ms < end_ms]
    orbit, updates = filtered([fix for fix in seen if fix.gps_ms <= begin_ms], settings)
    predicted = orbit.predict(end_ms)
    orbit, updates = filtered(seen, settings)
    smoothed = smooth(updates, [end_ms], OrbitDynamics(settings, orbit.frames), settings)
    return Extrapolation(
        altitude_m=world.settings.orbit.semi_major_axis_m - EARTH_RADIUS_M,
        drag_m=drag_displacement_m(world, begin_ms, end_ms),
        filter_m=distance_m(world, predicted, orbit.frames),
        smoother_m=distance_m(world, smoothed[end_ms], orbit.frames),
    )


def prediction_of(world: World, fixes: Sequence[Fix], settings: OrbitSettings) -> Extrapolation:
    """Three hours of fixes, then three hours of none."""
    orbit, _ = filtered(fixes, settings)
    begin_ms = fixes[-1].gps_ms
    end_ms = begin_ms + PREDICTION_MS
    return Extrapolation(
        altitude_m=world.settings.orbit.semi_major_axis_m - EARTH_RADIUS_M,
        drag_m=drag_displacement_m(world, begin_ms, end_ms),
        filter_m=distance_m(world, orbit.predict(end_ms), orbit.frames),
    )


def distance_m(world: World, state: OrbitState, frames: EarthFrames) -> float:
    """How far a state is from the truth."""
    estimated = frames.ecef_state_from_gcrf(state.gps_ms)[:3] @ state.x[:6]
    return float(np.linalg.norm(estimated - world.at(np.array([state.gps_ms])).position_ecef_m[0]))


def drag_displacement_m(world: World, begin_ms: int, end_ms: int) -> float:
    """How far the satellite would be from where it is, had the air been absent in between."""
    settings = world.settings
    begin_s, end_s = ((ms - settings.start_gps_ms) / 1000.0 for ms in (begin_ms, end_ms))
    without = Trajectory(
        begin_ms,
        end_s - begin_s,
        world.path.states_gcrf([begin_s])[0],
        settings.spacecraft,
        msgspec.structs.replace(settings.forces, drag=False),
    )
    apart = without.states_gcrf([end_s - begin_s])[0, :3] - world.path.states_gcrf([end_s])[0, :3]
    return float(np.linalg.norm(apart))

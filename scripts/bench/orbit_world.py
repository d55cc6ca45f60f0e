"""True orbits of scenarios, the fixes of a receiver on them, and the flight's orbit filter with these fixes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.environment.gravity import EARTH_RADIUS_M
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import ArcSettings, OrbitSettings, ScreeningSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc.formats.gps_packet import SENSE_GPS
from pygnc.inputs.host_packets import fix_messages
from pygnc.navigation.screening import fix_from, screen
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.orbit.solution import IntArray
from pygnc_ground.scenario.gps import make_fixes
from pygnc_ground.scenario.sensor_settings import Gps
from pygnc_ground.scenario.settings import Orbit, Settings, Spacecraft
from pygnc_ground.scenario.trajectory import Trajectory
from pygnc_ground.truth.orbit_truth import TrueOrbit

CADENCE_S: Final = 25
DRAG_FACTORS: Final = (1.0, 0.5, 2.0)
_APOGEE_MARGIN: Final = 1.05


class World:
    """True orbit of a scenario, and the fixes that a receiver computes on it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.path = Trajectory.of(settings)
        # An operator knows the planned apogee.
        apogee_m = settings.orbit.semi_major_axis_m * (1.0 + settings.orbit.eccentricity)
        usual = ScreeningSettings()
        self.screening = replace(usual, radius_max_m=max(usual.radius_max_m, _APOGEE_MARGIN * apogee_m))

    def at(self, gps_ms: IntArray) -> TrueOrbit:
        """Return the true states in ITRF at times of shape (n,)."""
        states = self.path.states_itrf((gps_ms - self.settings.start_gps_ms) / 1000.0)
        return TrueOrbit(states[:, :3], states[:, 3:])

    def fixes(self, gps: Gps, hours: float, seed: int, interval_s: int = CADENCE_S) -> list[Fix]:
        """Return the plausible fixes of the first `hours` hours with noise from `seed`."""
        settings = msgspec.structs.replace(self.settings, gps=gps, seed=seed)
        t_s = interval_s * np.arange(1, round(hours * 3600 / interval_s) + 1)
        fixes = make_fixes(settings, self.path, t_s, log="sense")
        packets = fix_messages(fixes, [(seq, "", 0, b"") for seq in range(len(fixes))], SENSE_GPS)
        return [fix_from(packet, self.screening) for packet in packets if screen(packet, self.screening) is None]


def random_world(seed: int, seeds: int, hours: int = 12) -> World:
    """Return orbit number `seed` of `seeds` orbits; the altitude grows with the number from 400 to 600 km."""
    draw = np.random.default_rng([2025, seed])
    day = _random_day(draw)
    orbit = Orbit(
        semi_major_axis_m=EARTH_RADIUS_M + 400e3 + 200e3 * seed / max(seeds - 1, 1),
        inclination_deg=float(draw.choice([51.6, 97.5])),
        raan_deg=float(draw.uniform(0.0, 360.0)),
        argument_of_perigee_deg=90.0,
        mean_anomaly_deg=float(draw.uniform(0.0, 360.0)),
    )
    return _world(day, orbit, hours, seed)


def _random_day(draw: np.random.Generator) -> str:
    """Return the begin of a day from 2022-06-01 to 2025-06-04 as ISO text."""
    day = gps_ms_from_utc_iso("2022-06-01T00:00:00Z") // 86_400_000 + int(draw.integers(0, 1_100))
    return f"{np.datetime64('1980-01-06T00:00:00') + np.timedelta64(int(day), 'D')}Z"


def _world(start_utc: str, orbit: Orbit, hours: int, seed: int) -> World:
    drag = DRAG_FACTORS[seed % len(DRAG_FACTORS)]
    spacecraft = Spacecraft(drag_coefficient=2.2 * drag)
    return World(Settings(start_utc=start_utc, duration_s=3600 * hours, orbit=orbit, spacecraft=spacecraft))


def settings_for(gps: Gps, hours: float, interval_s: float = CADENCE_S) -> OrbitSettings:
    """Return the filter's settings for a receiver and an arc, independent of the truth."""
    base = OrbitSettings()
    measurement = replace(
        base.measurement,
        position_sigma_default_m=gps.position_noise_m,
        velocity_sigma_default_mps=gps.velocity_noise_mps,
    )
    return replace(base, measurement=measurement, arc=ArcSettings(3600.0 * hours, interval_s))


def run_filter(fixes: Sequence[Fix], settings: OrbitSettings) -> tuple[OrbitFilter, list[OrbitUpdate]]:
    """Run the flight's orbit filter; return the filter after all fixes, and its updates."""
    orbit = OrbitFilter(settings, ORIENTATION)
    return orbit, [*(update for fix in fixes for update in orbit.process(fix)), *orbit.initialise_from_buffered()]


def last_orbit(fixes: Sequence[Fix], settings: OrbitSettings) -> OrbitState:
    """Return the state of the flight's orbit filter after the last of the fixes.

    Raises:
        RuntimeError: The orbit filter did not start.
    """
    _, updates = run_filter(fixes, settings)
    state = updates[-1].state
    if state is None:
        raise RuntimeError(f"the orbit filter did not start with {len(fixes)} fixes")
    return state

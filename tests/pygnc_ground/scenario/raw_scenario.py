"""Scenario with raw measurements of the receiver, as its files are read."""

from dataclasses import dataclass
from functools import lru_cache

from pygnc_ground.gnss import rinex_navigation
from pygnc_ground.gnss.broadcast import BroadcastOrbits
from pygnc_ground.gnss.measurements import GnssMeasurements
from pygnc_ground.gnss.rinex3 import read_rinex3
from pygnc_ground.gnss.sp3_orbits import Sp3Orbits
from pygnc_ground.scenario.generate import generate
from pygnc_ground.scenario.raw_gnss import RawFiles
from pygnc_ground.scenario.settings import Settings, settings_from_tables
from pygnc_ground.scenario.trajectory import Trajectory


@dataclass
class Made:
    """Files of a scenario, what their readers return, and the trajectory."""

    files: RawFiles
    measurements: GnssMeasurements
    broadcast: BroadcastOrbits
    precise: Sp3Orbits
    path: Trajectory


def _settings(duration_s: int, receiver: dict[str, float]) -> Settings:
    return settings_from_tables({"duration_s": duration_s, "raw_gnss": {"interval_s": 10} | receiver}, "test")


def scenario_path(duration_s: int) -> Trajectory:
    """Return the trajectory of `scenario` for another time."""
    return Trajectory.of(_settings(duration_s, {}))


@lru_cache(maxsize=4)
def scenario(duration_s: int = 3600, **receiver: float) -> Made:
    """Return a scenario whose receiver measures every ten seconds."""
    settings = _settings(duration_s, receiver)
    files = generate(settings).raw
    assert files is not None
    navigation = rinex_navigation.read(files.navigation)
    assert navigation.damage == ()
    return Made(
        files,
        read_rinex3(files.observations),
        BroadcastOrbits(navigation.ephemerides, navigation.klobuchar),
        Sp3Orbits.of([files.precise.decode()]),
        Trajectory.of(settings),
    )

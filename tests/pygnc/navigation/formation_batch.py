"""A small formation as files of one home: three satellites, fifty minutes, what the partners measured too."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import msgspec
import numpy as np
import polars as pl

from pygnc.bus.messages import BatchEnd, InputMessage, OrbitMessage
from pygnc.common.arrays import Array
from pygnc.common.clock import MS_PER_WEEK
from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.inputs.batch import find_sources, record_messages
from pygnc.navigation.orbit import OrbitTracker
from pygnc.navigation.pipeline import orbit_response
from pygnc_ground.scenario.formation import satellites
from pygnc_ground.scenario.generate import scenario_of
from pygnc_ground.scenario.presets import preset_tables
from pygnc_ground.scenario.settings import settings_from_tables
from pygnc_ground.scenario.writer import write_scenario
from pygnc_system.files import data_file

SETTINGS = Settings()
OWN_ID = SETTINGS.formation.own_id
PARTNERS = (75, 76)


@cache
def home() -> Path:
    """The home of the first satellite, with the partners' range files."""
    whole = settings_from_tables(preset_tables("formation4"), "formation4")
    preset = msgspec.structs.replace(whole, duration_s=3000, partners=whole.partners[:2])
    everyone = satellites(preset)
    folder = Path(mkdtemp(prefix="pygnc-formation-")) / "all"
    write_scenario(preset, [scenario_of(preset, satellite, everyone) for satellite in everyone], folder)
    for partner in PARTNERS:
        (folder / str(partner) / "range").rename(folder / str(OWN_ID) / "range" / f"partner_{partner}")
    return folder / str(OWN_ID)


@cache
def orientation() -> EarthOrientationTable:
    return read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE))


@cache
def inputs() -> tuple[InputMessage, ...]:
    """Everything that ingest makes of the home."""
    sources, _ = find_sources(home(), SETTINGS)
    for source in sources:
        for _ in source.scan():
            pass
    groups = record_messages(sources, 0)
    messages = [message for group in groups for message in group if isinstance(message, InputMessage)]
    return (*messages, BatchEnd(seq=len(messages) + 1, cause=""))


@cache
def answers() -> dict[int, list[OrbitMessage]]:
    """Return the answers of the orbit task by the number of the input."""
    return answers_to(inputs())


def answers_to(messages: Iterable[InputMessage]) -> dict[int, list[OrbitMessage]]:
    tracker = OrbitTracker(SETTINGS.orbit, orientation())
    given = 0
    found: dict[int, list[OrbitMessage]] = {}
    for message in messages:
        found[message.seq] = orbit_response(tracker, message, given + 1).messages
        given += len(found[message.seq])
    return found


@cache
def truth(satellite: int) -> dict[int, Array]:
    """True positions in GCRF by GPS milliseconds."""
    table = pl.read_parquet(home().parent / str(satellite) / "truth.parquet")
    times = table["gps_week"].cast(pl.Int64) * MS_PER_WEEK + table["gps_tow_ms"]
    places = table.select("x_gcrf_m", "y_gcrf_m", "z_gcrf_m").to_numpy()
    return dict(zip(times.to_list(), np.asarray(places, dtype=np.float64), strict=True))


def true_place_m(gps_ms: int, partner: int) -> Array:
    """Return the position of a partner relative to the first satellite, GCRF, m."""
    apart: Array = truth(partner)[gps_ms] - truth(OWN_ID)[gps_ms]
    return apart

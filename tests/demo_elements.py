"""Mean elements of the demonstration batch's true orbit, and GPS packets without a fix."""

from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from msgspec.structs import replace

from pygnc.common.clock import MS_PER_WEEK, unix_ms_from_gps_ms
from pygnc.common.mean_elements import MeanElements
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.elements_fit import fit_elements
from pygnc.estimators.orbit.settings import SpacecraftSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.exports.two_lines import tle_text

DEMO: Final = Path(__file__).resolve().parents[1] / "data" / "demo"
_STATE: Final = ("x_gcrf_m", "y_gcrf_m", "z_gcrf_m", "vx_gcrf_mps", "vy_gcrf_mps", "vz_gcrf_mps")
RECORD_BYTES: Final = 251
_TIMES: Final = (0, 30, 60, 90, 120, 150)
_STATUS: Final = 161
_VELOCITY_STATUS: Final = 198


def demo_elements(along_track_deg: float = 0.03) -> MeanElements:
    """Return elements that fit the true orbit over three hours, moved along the track (0.03 deg are 3.6 km)."""
    truth = pl.read_parquet(DEMO / "truth.parquet")[::12]
    times = (truth["gps_week"] * MS_PER_WEEK + truth["gps_tow_ms"]).to_list()
    rows = truth.select(_STATE).to_numpy()
    states = [
        OrbitState(ms, np.concatenate((row, np.zeros(4))), np.zeros((10, 10)))
        for ms, row in zip(times, rows, strict=True)
    ]
    elements = fit_elements(states, EarthFrames(EarthOrientationTable.none()), SpacecraftSettings()).elements
    return replace(elements, mean_anomaly_deg=(elements.mean_anomaly_deg + along_track_deg) % 360.0)


def as_tle(elements: MeanElements, name: str = "") -> str:
    """Return elements as two lines, or three with a name, for catalogue number 99001."""
    return tle_text(replace(elements, catalogue_number=99_001, designator="2025-001A", name=name), ())


def without_fixes(sense: bytes, *, with_time: bool = True) -> bytes:
    """Return records without fixes; without `with_time` they have no GPS time either, and spacecraft times are UTC."""
    content = bytearray(sense)
    for start, _ in pairwise(range(0, len(sense) + 1, RECORD_BYTES)):
        content[start + _STATUS] = content[start + _VELOCITY_STATUS] = 1
        if with_time:
            continue
        week = int.from_bytes(sense[start + 155 : start + 157], "little")
        tow_ms = int.from_bytes(sense[start + 157 : start + 161], "little")
        utc_s = unix_ms_from_gps_ms(week * MS_PER_WEEK + tow_ms) // 1000
        at_fix = int.from_bytes(sense[start + 150 : start + 154], "big")
        for place in _TIMES:
            reading = int.from_bytes(sense[start + place : start + place + 4], "big")
            content[start + place : start + place + 4] = (reading - at_fix + utc_s).to_bytes(4, "big")
        content[start + 154 : start + 161] = b"\x14" + bytes(6)
    return bytes(content)

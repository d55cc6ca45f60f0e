"""The independent authority of these tests: brahe, offline, with its bundled Earth orientation."""

import os
from importlib import import_module
from typing import Any

import numpy as np

from pygnc.common.arrays import Array
from pygnc.environment.earth_orientation import EarthOrientationTable

os.environ["BRAHE_NETWORK_MODE"] = "offline"
brahe: Any = import_module("brahe")  # untyped, for its stubs take enumeration members for functions

EOP = brahe.FileEOPProvider.from_default_standard(interpolate=True, extrapolate="Hold")
brahe.set_global_eop_provider_from_file_provider(EOP)
brahe.set_global_space_weather_provider(brahe.FileSpaceWeatherProvider.from_default_file())

FIRST_DAY_MJD, LAST_DAY_MJD = 57_600, 60_900
"""2016-07-31, before the last leap second, to 2025-08-13."""


def orientation_table() -> EarthOrientationTable:
    """Our table with brahe's numbers."""
    days = np.arange(float(FIRST_DAY_MJD), LAST_DAY_MJD + 1.0)
    rows = np.array([EOP.get_eop(mjd) for mjd in days])
    x_pole, y_pole, ut1_minus_utc, dx, dy, _ = rows.T
    return EarthOrientationTable("brahe", days, np.stack((ut1_minus_utc, x_pole, y_pole, dx, dy), axis=1))


def epoch(gps_ms: int) -> Any:  # noqa: ANN401 - untyped with brahe
    """Return brahe's epoch of a GPS time in milliseconds."""
    return brahe.Epoch.from_date(1980, 1, 6, brahe.TimeSystem.GPS) + gps_ms * 1e-3


def ecef_state(gps_ms: int, state_gcrf: Array) -> Array:
    """Position and velocity in ITRF by brahe, shape (6,)."""
    return np.asarray(brahe.state_gcrf_to_itrf(epoch(gps_ms), state_gcrf), dtype=np.float64)

"""Orbits from mean elements by SGP4, in GCRF.

SGP4 comes from satkit: the constants of WGS 72, as in Vallado, Crawford, Hujsak and Kelso,
"Revisiting Spacetrack Report #3" (AIAA 2006-6753). Its frame TEME (true equator, mean equinox of date) is rotated to
the pseudo-Earth-fixed frame by GMST of 1982, then by polar motion to ITRF (appendix C of that paper), and then to GCRF
by the Earth orientation of `EarthFrames`.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import satkit

from pygnc.common.arrays import Array
from pygnc.common.clock import week_from_gps_ms
from pygnc.common.mean_elements import MeanElements
from pygnc.environment.erfa_functions import erfa
from pygnc.environment.frames import EarthFrames
from pygnc.environment.time_scales import julian_date

_MODE: Final[Any] = satkit.sgp4_opsmode.improved
"""Mode of the published verification cases; the "afspc" mode differs only for deep space at low inclination."""
_NO_OFFSET: Final = np.zeros(1)


class Sgp4Error(ValueError):
    """Error raised when SGP4 has no orbit at a time, for example after the decay of the satellite."""


def teme_states(elements: MeanElements, gps_ms: Sequence[int]) -> Array:
    """Return position in m and velocity in m/s in TEME of each of n dates, shape (n, 6).

    Raises:
        Sgp4Error: The elements give no orbit at one of the times.
    """
    message: Any = {
        "EPOCH": _satkit_time(elements.epoch_gps_ms),
        "MEAN_MOTION": elements.mean_motion_rev_per_day,
        "ECCENTRICITY": elements.eccentricity,
        "INCLINATION": elements.inclination_deg,
        "RA_OF_ASC_NODE": elements.raan_deg,
        "ARG_OF_PERICENTER": elements.argument_of_perigee_deg,
        "MEAN_ANOMALY": elements.mean_anomaly_deg,
        "BSTAR": elements.bstar_per_radius,
    }
    times = [_satkit_time(ms) for ms in gps_ms]
    position_m, velocity_mps, errors = satkit.sgp4(message, times, opsmode=_MODE, errflag=True)
    states = np.concatenate((position_m.reshape(-1, 3), velocity_mps.reshape(-1, 3)), axis=1)
    if np.any(errors) or not np.isfinite(states).all():
        raise Sgp4Error(
            f"SGP4 has no orbit {(gps_ms[-1] - elements.epoch_gps_ms) / 86_400_000:.1f} days after the epoch"
        )
    return states


def gcrf_states(elements: MeanElements, gps_ms: Sequence[int], frames: EarthFrames) -> Array:
    """Return position in m and velocity in m/s in GCRF at n times, shape (n, 6); about 60 us per time.

    Raises:
        Sgp4Error: The elements give no orbit at one of the times.
    """
    states = teme_states(elements, gps_ms)
    for state, ms in zip(states, gps_ms, strict=True):
        rotation = gcrf_from_teme(ms, frames)
        state[:3], state[3:] = rotation.dot(state[:3]), rotation.dot(state[3:])
    return states


def gcrf_from_teme(gps_ms: int, frames: EarthFrames) -> Array:
    """Return the rotation matrix from TEME of date to GCRF, shape (3, 3)."""
    orientation = frames.orientation.at(gps_ms)
    day, (fraction,) = julian_date(gps_ms, _NO_OFFSET + orientation.ut1_minus_gps_s)
    pef_from_teme = erfa.rz(erfa.gmst82(day, fraction), np.eye(3))
    itrf_from_pef = erfa.pom00(orientation.x_pole_rad, orientation.y_pole_rad, 0.0)
    ecef_from_gcrf = frames.at(gps_ms, _NO_OFFSET).ecef_from_gcrf[0]
    rotation: Array = ecef_from_gcrf.T.dot(itrf_from_pef).dot(pef_from_teme)
    return rotation


def _satkit_time(gps_ms: int) -> satkit.time:
    week, tow_ms = week_from_gps_ms(gps_ms)
    return satkit.time.from_gps_week_and_second(week, tow_ms * 1e-3)

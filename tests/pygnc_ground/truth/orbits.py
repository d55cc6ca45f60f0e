"""A low orbit for ephemerides: propagated by brahe, transformed to ITRF by erfa."""

import os
from functools import cache
from importlib import import_module
from typing import Any

import erfa
import numpy as np
import numpy.typing as npt

from pygnc_ground.truth.orbit_truth import FloatArray, IntArray

os.environ["BRAHE_NETWORK_MODE"] = "offline"
brahe: Any = import_module("brahe")  # untyped, for its stubs take enumeration members for functions

START_GPS_MS = 1_426_464_018_000
"""2025-03-20 00:00:00 UTC"""
DURATION_S = 7000
_ELEMENTS = (6_898_000.0, 0.001, 97.5, 30.0, 90.0, 0.0)
_EARTH_RATE_RAD_S = 7.292_115_146_706_979e-5
_JD_OF_GPS_EPOCH = 2_444_244.5


@cache
def earth_data() -> Any:  # noqa: ANN401 - untyped with brahe
    """Return brahe's bundled Earth orientation, which brahe itself uses too."""
    provider = brahe.FileEOPProvider.from_default_standard(interpolate=True, extrapolate="Error")
    brahe.set_global_eop_provider(provider)
    return provider


@cache
def _propagator() -> tuple[Any, Any]:
    earth_data()
    start = brahe.Epoch.from_date(1980, 1, 6, brahe.TimeSystem.GPS) + START_GPS_MS * 1e-3
    state = brahe.state_koe_to_eci(np.array(_ELEMENTS), brahe.AngleFormat.DEGREES)
    integrator = (
        brahe.NumericalPropagationConfig.with_method(brahe.IntegrationMethod.DP54)
        .with_abs_tol(1e-10)
        .with_rel_tol(1e-12)
        .with_max_step(20.0)
        .with_store_accelerations(store=True)
        .with_interpolation_method(brahe.InterpolationMethod.HERMITE_QUINTIC)
    )
    forces = brahe.ForceModelConfig(gravity=brahe.GravityConfiguration(degree=70, order=70))
    propagator = brahe.NumericalOrbitPropagator(start, state, integrator, forces)
    propagator.propagate_to(start + float(DURATION_S))
    return start, propagator


def gps_ns(t_s: npt.ArrayLike) -> IntArray:
    """Return nanoseconds since the GPS epoch, `t_s` seconds after the start."""
    return START_GPS_MS * 1_000_000 + np.round(1e9 * np.asarray(t_s, dtype=np.float64)).astype(np.int64)


def states_gcrf(t_s: npt.ArrayLike) -> FloatArray:
    """Return position in m and velocity in m/s, shape (n, 6)."""
    start, propagator = _propagator()
    states: FloatArray = np.asarray(propagator.states_gcrf([start + float(t) for t in np.asarray(t_s)]))
    return states.reshape(-1, 6)


def states_itrf(t_s: npt.ArrayLike) -> FloatArray:
    """Return the states in ITRF with velocities relative to the Earth, shape (n, 6).

    brahe's own conversion takes the time as one Julian date and has a jitter of 0.3 mm, which would hide interpolation
    errors.
    """
    state = states_gcrf(t_s)
    day, of_day_ns = np.divmod(gps_ns(t_s), 86_400 * 10**9)
    midnight, of_day_s = _JD_OF_GPS_EPOCH + day, of_day_ns * 1e-9
    mjd_utc = midnight - 2_400_000.5 + (of_day_s - 18.0) / 86_400.0
    ut1_minus_utc_s = np.array([earth_data().get_ut1_utc(mjd) for mjd in mjd_utc.tolist()])
    x_pole, y_pole = np.array([earth_data().get_pm(mjd) for mjd in mjd_utc.tolist()]).T
    dx, dy = np.array([earth_data().get_dxdy(mjd) for mjd in mjd_utc.tolist()]).T
    tt = midnight, (of_day_s + 51.184) / 86_400.0
    x, y = erfa.xy06(*tt)
    x, y = x + dx, y + dy
    celestial = erfa.c2ixys(x, y, erfa.s06(*tt, x, y))
    turn = erfa.era00(midnight, (of_day_s - 18.0 + ut1_minus_utc_s) / 86_400.0)
    rotation = erfa.c2tcio(celestial, turn, erfa.pom00(x_pole, y_pole, erfa.sp00(*tt)))
    relative = state[:, 3:] - np.cross(_EARTH_RATE_RAD_S * celestial[:, 2], state[:, :3])
    return np.concatenate([np.einsum("nij,nj->ni", rotation, v) for v in (state[:, :3], relative)], axis=1)


def between(spacing_s: float, *, edges: bool = False) -> FloatArray:
    """Return times off the samples of that spacing: at least five steps from the ends, or in those outermost steps."""
    last_s = DURATION_S // spacing_s * spacing_s
    t_s = np.arange(0.3, last_s, 7.3)
    outermost = np.minimum(t_s, last_s - t_s) < 5.0 * spacing_s
    chosen: FloatArray = t_s[outermost if edges else ~outermost]
    return chosen


def circular(t_s: npt.ArrayLike) -> FloatArray:
    """Return a circle of 7000 km in closed form, as position in m and velocity in m/s, shape (n, 6)."""
    angle = 1.1e-3 * np.asarray(t_s, dtype=np.float64)
    axes = np.array([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]])
    position = 7e6 * np.stack((np.cos(angle), np.sin(angle)), axis=1) @ axes
    velocity = 7.7e3 * np.stack((-np.sin(angle), np.cos(angle)), axis=1) @ axes
    return np.concatenate((position, velocity), axis=1)

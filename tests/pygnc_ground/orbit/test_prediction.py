"""Predictions over days: the drag that they assume, and its uncertainty."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG, SIZE, OrbitState, covariance_rtn
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.orbit.prediction import DragPrior, OrbitPrediction
from pygnc_ground.scenario import environment

pytest.importorskip("brahe")

_SETTINGS = OrbitSettings()
_MINUTE_MS = 60_000


def fixes(utc: str, count: int = 1, drag: float = 0.0) -> list[Fix]:
    """Return fixes of an orbit 500 km high, one a minute, with a logarithm of the drag factor."""
    dynamics, noise = OrbitDynamics(_SETTINGS, EarthFrames(ORIENTATION)), np.random.default_rng(35)
    gps_ms, x, found = gps_ms_from_utc_iso(utc), np.zeros(10), []
    x[:6] = 6.878e6, 0.0, 0.0, 0.0, 1e3, 7546.0
    for _ in range(count):
        x[DRAG] = drag
        ecef = dynamics.frames.ecef_state_from_gcrf(gps_ms).dot(x[:6])
        position_m, velocity_mps = ecef[:3] + noise.normal(0.0, 10.0, 3), ecef[3:] + noise.normal(0.0, 0.01, 3)
        found.append(Fix(gps_ms, position_m, np.full(3, 10.0), velocity_mps, np.full(3, 0.01), 0.0))
        x, _ = dynamics.propagate_vector(gps_ms, x, gps_ms + _MINUTE_MS)
        gps_ms += _MINUTE_MS
    return found


def newest(seen: list[Fix]) -> OrbitState:
    """Return the state of the flight's filter after all fixes."""
    orbit = OrbitFilter(_SETTINGS, ORIENTATION)
    for fix in seen:
        orbit.process(fix)
    orbit.initialise_from_buffered()
    assert orbit.state is not None
    return orbit.state


def drag(prediction: OrbitPrediction, gps_ms: int) -> DragPrior:
    """Return the logarithm of the drag factor at a time, and the standard deviation of the factor over its mean."""
    state = prediction.predict(gps_ms)
    density = prediction.settings.spacecraft.drag_coefficient / _SETTINGS.spacecraft.drag_coefficient
    return DragPrior(state.x[DRAG] + math.log(density), math.sqrt(state.covariance[DRAG, DRAG]))


def drag_of_one_fix(utc: str) -> DragPrior:
    """Return the drag with which the prediction from a single fix begins."""
    (fix,) = seen = fixes(utc)
    return drag(OrbitPrediction.after(_SETTINGS, ORIENTATION, newest(seen), seen), fix.gps_ms + 1000)


def test_space_weather_decides_on_the_drag_that_no_fix_has_shown() -> None:
    quiet, active = drag_of_one_fix("2019-11-01T00:00:00Z"), drag_of_one_fix("2024-06-10T00:00:00Z")
    assert 0.05 < math.exp(quiet.mean) < 0.3
    assert 1.0 < math.exp(active.mean) < 3.0


def test_a_forecast_of_space_weather_is_less_certain_than_an_observation(monkeypatch: pytest.MonkeyPatch) -> None:
    utc = "2024-06-10T00:00:00Z"
    observed = drag_of_one_fix(utc)
    monkeypatch.setattr(environment, "space_weather_end_gps_ms", lambda: 0)
    forecast = drag_of_one_fix(utc)
    monkeypatch.setattr(environment, "covers", lambda _first, _last: False)
    unknown = drag_of_one_fix(utc)
    # Half to twice the drag coefficient alone are 0.4.
    assert 0.4 < observed.sigma < 0.6 < forecast.sigma < 1.0 < unknown.sigma < 2.0


def test_the_drag_of_a_solar_minimum_is_as_certain_as_stated() -> None:
    true = math.log(0.1)
    seen = fixes("2019-11-01T00:00:00Z", 120, true)
    state = newest(seen)
    # The filter of the flight has its linearisation at a mean Sun.
    assert state.x[DRAG] - true > 3.0 * math.sqrt(state.covariance[DRAG, DRAG])
    found = drag(OrbitPrediction.after(_SETTINGS, ORIENTATION, state, seen), state.gps_ms)
    assert abs(found.mean - true) < 2.0 * found.sigma


def test_predictions_continue_each_other_and_the_density_walks() -> None:
    (fix,) = seen = fixes("2022-03-01T00:00:00Z")
    state = newest(seen)
    prediction = OrbitPrediction.after(_SETTINGS, ORIENTATION, state, seen)
    half = prediction.predict(fix.gps_ms + 1_800_000, state)
    in_parts, whole = prediction.predict(fix.gps_ms + 3_600_000, half), prediction.predict(fix.gps_ms + 3_600_000)
    np.testing.assert_array_equal(in_parts.x, whole.x)
    kept = math.exp(-2.0 / (24.0 * 100.0))  # of the variance, in one hour of 100 days
    walk = whole.covariance[DRAG, DRAG] - kept * prediction.drag_sigma**2
    spread = math.sqrt(1.0 + prediction.drag_sigma**2)  # of a drag that is itself uncertain
    assert math.sqrt(walk) == pytest.approx(0.198 * spread / math.sqrt(24.0), rel=0.01)


def test_errors_of_the_density_grow_with_the_drag_that_the_fixes_show() -> None:
    """A wrong diurnal bulge is a part of the actual drag, and the walk multiplies a drag that is itself uncertain."""
    noises = []
    for log in (-0.7, 0.7):
        seen = fixes("2023-11-05T00:00:00Z", 180, log)
        prediction = OrbitPrediction.after(_SETTINGS, ORIENTATION, newest(seen), seen)
        noises.append(prediction.settings.process_noise)
    little, much = noises
    assert 1.5 < much.empirical_sigma_mps2[0] / little.empirical_sigma_mps2[0] < math.exp(1.4)
    assert much.drag_log_sigma < little.drag_log_sigma  # more drag is known better


def test_unknown_forces_displace_the_satellite_by_tens_of_metres_in_a_day() -> None:
    (fix,) = seen = fixes("2019-11-01T00:00:00Z")
    settings = OrbitPrediction.after(_SETTINGS, ORIENTATION, newest(seen), seen).settings
    certain_drag = replace(settings.process_noise, drag_log_sigma=1e-6, density_variation=0.0)
    exact = replace(newest(seen), sqrt_covariance=1e-9 * np.eye(SIZE))
    prediction = OrbitPrediction(replace(settings, process_noise=certain_drag), ORIENTATION, None, exact)
    _, along_m, _ = np.sqrt(np.diag(covariance_rtn(prediction.predict(fix.gps_ms + 86_400_000)))[:3])
    # The process noise of the gravity field beyond degree 70 gives 32 m, the empirical acceleration of the flight 55 m.
    assert 32.0 < along_m < 45.0


def test_without_an_estimate_there_is_no_prediction() -> None:
    prediction = OrbitPrediction.after(_SETTINGS, ORIENTATION, None, [])
    assert math.isinf(prediction.drag_sigma)
    with pytest.raises(ValueError, match="not initialised"):
        prediction.predict(0)


def test_an_estimate_without_its_fixes_has_the_drag_of_the_space_weather_or_its_own() -> None:
    utc = "2022-03-01T00:00:00Z"
    unknown = newest(fixes(utc))
    found = drag(OrbitPrediction.after(_SETTINGS, ORIENTATION, unknown, []), unknown.gps_ms)
    assert found == pytest.approx(drag_of_one_fix(utc), abs=0.03)
    x, root = unknown.x.copy(), unknown.sqrt_covariance.copy()
    x[DRAG], root[DRAG] = 0.3, root[DRAG] * 0.05 / 0.8
    known = replace(unknown, x=x, sqrt_covariance=root)
    found = drag(OrbitPrediction.after(_SETTINGS, ORIENTATION, known, []), unknown.gps_ms)
    assert found == pytest.approx((0.3, 0.05), abs=0.03)

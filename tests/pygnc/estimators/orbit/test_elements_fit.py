"""Mean elements fitted to the filter's prediction."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from pygnc.common.mean_elements import STATED_HOURS
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.environment.sgp4 import gcrf_states
from pygnc.environment.time_scales import MS_PER_DAY
from pygnc.estimators.orbit.elements_fit import (
    FitError,
    FittedElements,
    fit_elements,
    fit_in_steps,
    predicted_day,
)
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.settings import OrbitSettings, SpacecraftSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc.formats.tle import parse_tle

FRAMES = EarthFrames(EarthOrientationTable.none())
ELEMENTS = parse_tle(
    "1 25544U 98067A   21264.51782528  .00002893  00000-0  58680-4 0  9996\n"
    "2 25544  51.6442 208.5856 0001458  47.2277  50.1624 15.48919419302874"
).elements
NO_COVARIANCE = np.zeros((10, 10))


def states_of(hours: int = 24, covariance: np.ndarray = NO_COVARIANCE) -> list[OrbitState]:
    times = [ELEMENTS.epoch_gps_ms + 900_000 * k for k in range(4 * hours + 1)]
    rows = gcrf_states(ELEMENTS, times, FRAMES)
    return [OrbitState(ms, np.append(row, np.zeros(4)), covariance) for ms, row in zip(times, rows, strict=True)]


def test_elements_that_made_the_orbit_are_found_again() -> None:
    # The prior of B* for this ISS-like object: 5.868e-5 = 0.0785 Cd A / m.
    craft = SpacecraftSettings(mass_kg=1.0, area_m2=5.868e-5 / (0.5 * 0.15696615), drag_coefficient=1.0)
    found = fit_elements(states_of(), FRAMES, craft)
    assert found.rms_m < 0.5
    assert found.elements.mean_motion_rev_per_day == pytest.approx(ELEMENTS.mean_motion_rev_per_day, abs=1e-8)
    assert found.elements.inclination_deg == pytest.approx(ELEMENTS.inclination_deg, abs=1e-6)
    assert found.elements.raan_deg == pytest.approx(ELEMENTS.raan_deg, abs=1e-6)
    assert found.elements.eccentricity == pytest.approx(ELEMENTS.eccentricity, abs=1e-7)
    assert found.elements.bstar_per_radius == pytest.approx(ELEMENTS.bstar_per_radius, rel=1e-3)


@pytest.mark.parametrize(
    ("mean_motion_rev_per_day", "eccentricity", "inclination_deg", "limit_m"),
    # At the perigee of a large ellipse SGP4 neglects kilometres.
    [(2.6, 0.7, 28.0, 6_000.0), (10.2, 0.2, 63.4, 2_000.0), (1.0027, 0.0003, 0.02, 1_500.0)],
)
def test_high_orbits_are_fitted_by_the_deep_space_part(
    mean_motion_rev_per_day: float, eccentricity: float, inclination_deg: float, limit_m: float
) -> None:
    made = msgspec.structs.replace(
        ELEMENTS,
        mean_motion_rev_per_day=mean_motion_rev_per_day,
        eccentricity=eccentricity,
        inclination_deg=inclination_deg,
    )
    row = gcrf_states(made, [made.epoch_gps_ms], FRAMES)[0]
    orbit = OrbitFilter(replace(OrbitSettings(), gravity_degree=10), EarthOrientationTable.none())
    _, found = fitted(orbit, OrbitState(made.epoch_gps_ms, np.append(row, np.zeros(4)), NO_COVARIANCE))
    assert found.rms_m < limit_m
    assert 0.0 <= found.elements.inclination_deg == pytest.approx(inclination_deg, abs=0.05)
    assert found.elements.eccentricity == pytest.approx(eccentricity, abs=2e-3)


def test_the_prior_holds_bstar_where_the_arc_does_not_show_drag() -> None:
    craft = SpacecraftSettings(mass_kg=1.0, area_m2=2e-3, drag_coefficient=1.0)
    prior = 0.5 * 0.15696615 * 2e-3
    found = fit_elements(states_of(hours=1), FRAMES, craft)
    assert found.elements.bstar_per_radius == pytest.approx(prior, rel=0.05)


def test_the_stated_error_covers_the_covariance_and_grows() -> None:
    covariance = np.zeros((10, 10))
    covariance[:3, :3] = 100.0 * np.eye(3)
    found = fit_elements(states_of(covariance=covariance), FRAMES, SpacecraftSettings())
    assert len(found.error_m) == len(STATED_HOURS)
    assert 200.0 <= found.error_m[0] <= found.error_m[-1]


def fitted(orbit: OrbitFilter, state: OrbitState) -> tuple[int, FittedElements]:
    *waiting, last = fit_in_steps(orbit, state)
    assert last is not None
    assert set(waiting) == {None}
    return len(waiting), last


def test_the_stated_error_covers_the_perigee_of_a_large_ellipse() -> None:
    ellipse = {"mean_motion_rev_per_day": 2.6, "eccentricity": 0.7, "inclination_deg": 28.0, "mean_anomaly_deg": 65.0}
    made = msgspec.structs.replace(ELEMENTS, **ellipse)
    row = gcrf_states(made, [made.epoch_gps_ms], FRAMES)[0]
    orbit = OrbitFilter(replace(OrbitSettings(), gravity_degree=10), EarthOrientationTable.none())
    states = [OrbitState(made.epoch_gps_ms, np.append(row, np.zeros(4)), NO_COVARIANCE)]
    _, found = fitted(orbit, states[0])
    for _ in range(10 * 20):
        states.append(orbit.predict(states[-1].gps_ms + 180_000, states[-1]))
    rows = gcrf_states(found.elements, [state.gps_ms for state in states], FRAMES)
    error_m = np.linalg.norm([state.x[:3] - by[:3] for state, by in zip(states, rows, strict=True)], axis=1)
    assert error_m.max() <= found.error_m[STATED_HOURS.index(12)]


def test_a_filters_orbit_is_fitted_within_a_kilometre_over_a_day() -> None:
    settings = replace(OrbitSettings(), gravity_degree=10)
    orbit = OrbitFilter(settings, EarthOrientationTable.none())
    state = states_of()[0]
    steps, found = fitted(orbit, state)
    assert steps == MS_PER_DAY // 900_000
    assert found.rms_m < 1_500.0
    assert found.elements.epoch_gps_ms == state.gps_ms
    assert found.error_m[-1] > found.rms_m


def test_the_forces_of_the_fit_suffice() -> None:
    orbit = OrbitFilter(OrbitSettings(), EarthOrientationTable.none())
    state = states_of()[0]
    _, found = fitted(orbit, state)
    accurate = fit_elements([state, *predicted_day(state, orbit.predict)], FRAMES, orbit.settings.spacecraft)
    assert found.rms_m == pytest.approx(accurate.rms_m, rel=0.01)
    times = [state.gps_ms + 3_600_000 * hours for hours in range(25)]
    apart = gcrf_states(found.elements, times, FRAMES) - gcrf_states(accurate.elements, times, FRAMES)
    assert np.linalg.norm(apart[:, :3], axis=1).max() < 20.0


def test_an_orbit_that_falls_is_an_error() -> None:
    states = states_of()
    lower = [OrbitState(s.gps_ms, np.append(0.6 * s.x[:3], s.x[3:]), s.sqrt_covariance) for s in states]
    with pytest.raises(FitError, match="no mean elements fit the orbit"):
        fit_elements(lower, FRAMES, SpacecraftSettings())

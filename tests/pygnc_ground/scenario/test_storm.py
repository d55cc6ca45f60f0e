"""Field of a storm: size by magnetic latitude, correlation in time, and random streams."""

import numpy as np
import pytest

from pygnc_ground.scenario.environment import Conditions
from pygnc_ground.scenario.sensor_settings import Storm
from pygnc_ground.scenario.storm import storm_field_gcrf_ut
from tests.pygnc_ground.scenario.circular_orbit import FloatArray

STORM = Storm(field_ut=0.5, time_s=240.0)
T_S = np.arange(0.0, 400_000.0, 20.0)


def at_latitude(latitude_deg: float, t_s: FloatArray = T_S) -> Conditions:
    """Return conditions at rest in the field of a dipole along the axis z."""
    latitude = np.radians(latitude_deg)
    place = 7e6 * np.array([np.cos(latitude), 0.0, np.sin(latitude)])
    field_ut = -30.0 * (3.0 * place[2] * place / 7e6**2 - [0.0, 0.0, 1.0])
    rows = [np.tile(row, (len(t_s), 1)) for row in (np.append(place, np.zeros(3)), field_ut, place)]
    return Conditions(t_s, rows[0], rows[0], rows[1], 1e4 * rows[2], np.ones(len(t_s)))


@pytest.mark.parametrize(
    ("latitude_deg", "sigma_ut"), [(68.0, 0.5), (-68.0, 0.5), (63.0, 0.343), (0.0, 0.1), (90.0, 0.1)]
)
def test_it_is_strongest_in_both_auroral_ovals(latitude_deg: float, sigma_ut: float) -> None:
    field_ut = storm_field_gcrf_ut(STORM, at_latitude(latitude_deg), seed=1)
    np.testing.assert_allclose(field_ut.std(axis=0), sigma_ut, rtol=0.1)
    assert np.abs(np.corrcoef(field_ut.T) - np.eye(3)).max() < 0.15


@pytest.mark.parametrize("time_s", [120.0, 600.0])
def test_it_changes_with_the_correlation_time(time_s: float) -> None:
    field_ut = storm_field_gcrf_ut(Storm(field_ut=1.0, time_s=time_s), at_latitude(68.0), seed=1)
    for lag in (2, 6, 30):
        expected = np.exp(-20.0 * lag / time_s)
        for axis in field_ut.T:
            assert np.corrcoef(axis[lag:], axis[:-lag])[0, 1] == pytest.approx(expected, abs=0.12)


def test_it_depends_on_the_seed_and_not_on_the_sampling() -> None:
    every = storm_field_gcrf_ut(STORM, at_latitude(68.0, T_S[:300]), seed=1)
    np.testing.assert_allclose(storm_field_gcrf_ut(STORM, at_latitude(68.0, T_S[:300:3]), seed=1), every[::3])
    assert np.all(storm_field_gcrf_ut(STORM, at_latitude(68.0, T_S[:300]), seed=2) != every)
    assert not storm_field_gcrf_ut(Storm(), at_latitude(68.0), seed=1).any()

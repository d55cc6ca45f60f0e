"""Each effect that is outside the filter's models changes its own sensors only, and the same seed repeats it."""

from typing import Any

import numpy as np
import pytest

from pygnc.formats.sense import SenseLayout, decode_sensors
from pygnc_ground.scenario.generate import Scenario, generate
from pygnc_ground.scenario.settings import merge_tables, settings_from_tables

PLAIN = {
    "duration_s": 3600,
    "orbit": {"raan_deg": 0.0},
    "forces": {"gravity_degree": 10},
    "attitude": {"mode": "rigid"},
    "torquers": {"field_ut": 10.0},
}
EFFECTS = {
    "mag_imu_ut": (
        {"imu": {"mag_bias_thermal_ut": [2.0, -2.0, 2.0]}},
        {"imu": {"mag_axes": [2, -1, 3]}},
        {"payload": {"field_body_ut": [2.0, -2.0, 1.0], "period_s": 2000.0}},
        {"storm": {"field_ut": 0.5}},
        {"torquers": {"decay_s": 20.0}},
    ),
    "gyro_imu_rad_s": (
        {"imu": {"gyro_bias_thermal_deg_s": [0.05, -0.05, 0.05]}},
        {"imu": {"gyro_axes": [1, 2, -3]}},
        {"imu": {"gyro_g_sensitivity_deg_s_per_g": 1e5}},
    ),
    "lux": (
        {"sun_sensors": {"earth_reflectivity_variation": 0.7}},
        {"sun_sensors": {"atmosphere_optical_depth": 0.3}},
        {"sun_sensors": {"gain_thermal": 0.05}},
        {"sun_sensors": {"contamination_per_h": [0.05, 0.04, 0.03, 0.02, 0.01, 0.06]}},
        {"sun_sensors": {"faces": [2, 1, 3, -2, -1, -3]}},
    ),
}


def made(effect: dict[str, Any]) -> Scenario:
    return generate(settings_from_tables(merge_tables(PLAIN, effect), "test"))


@pytest.fixture(scope="module")
def plain() -> Scenario:
    return made({})


@pytest.mark.parametrize(
    ("sensor", "effect"), [(sensor, effect) for sensor, effects in EFFECTS.items() for effect in effects], ids=str
)
def test_it_changes_its_sensor_only_and_is_repeatable(plain: Scenario, sensor: str, effect: dict[str, Any]) -> None:
    other = made(effect)
    assert made(effect).sense == other.sense
    before, after = (decode_sensors(np.frombuffer(each.sense, SenseLayout().record)) for each in (plain, other))
    for name in EFFECTS:
        changed = bool(np.any(getattr(before, name) != getattr(after, name)))
        assert changed == (name == sensor), name
    np.testing.assert_array_equal(other.truth.quaternion_gcrf_from_body, plain.truth.quaternion_gcrf_from_body)

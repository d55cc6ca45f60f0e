import tomllib
from typing import Any

import numpy as np
import pytest

from pygnc_ground.scenario.sensor_settings import Attitude, Imu
from pygnc_ground.scenario.settings import Settings, checked, dump_settings


def test_the_default_inertia_is_the_fleets() -> None:
    expected = 1.58 / 1.504 * np.array([[0.0043, -0.0003, 0.0], [-0.0003, 0.0049, 0.0], [0.0, 0.0, 0.0035]])
    np.testing.assert_allclose(Attitude().inertia_kg_m2, expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"attitude": {"mode": "spin"}}, r"spin.*attitude\.mode"),
        ({"attitude": {"inertia_kg_m2": [[1, 0, 0], [0, 1, 0], [0, 0, 2.1]]}}, "belongs to no body"),
        ({"attitude": {"inertia_kg_m2": [[1, 0.1, 0], [0, 1, 0], [0, 0, 1]]}}, "belongs to no body"),
        ({"attitude": {"inertia_kg_m2": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]}}, "belongs to no body"),
        ({"attitude": {"inertia_kg_m2": [[float("nan"), 0, 0], [0, 1, 0], [0, 0, 1]]}}, "belongs to no body"),
        ({"attitude": {"second_axis_body": [0, 0, -2]}}, "parallel or zero"),
        ({"attitude": {"pointed_axis_body": [0, 0, 0]}}, "parallel or zero"),
        ({"imu": {"gyro_bias_deg_s": "guessed"}}, r"guessed.*imu\.gyro_bias_deg_s"),
        ({"imu": {"mag_bias_ut": [1, 2]}}, r"imu\.mag_bias_ut"),
        ({"imu": {"rounding": "up"}}, r"imu\.rounding"),
        ({"sun_sensors": {"earth_reflectivity": 1.1}}, r"sun_sensors\.earth_reflectivity"),
        ({"sun_sensors": {"gain_errors": [0, 0, 0]}}, r"sun_sensors\.gain_errors"),
    ],
)
def test_what_is_wrong_is_named(tables: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        checked(tables, "scenario.toml")


def test_flat_bodies_are_bodies() -> None:
    # A plate: its greatest moment is the sum of the others.
    assert Attitude(inertia_kg_m2=((1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 3.0)))


def test_words_in_place_of_numbers_are_written_and_read_back() -> None:
    settings = Settings(attitude=Attitude(mode="rigid"), imu=Imu(gyro_bias_deg_s="drawn", rounding="floor"))
    assert checked(tomllib.loads(dump_settings(settings)), "again") == settings

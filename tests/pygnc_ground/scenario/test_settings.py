import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pygnc_ground.scenario.presets import scenario_settings
from pygnc_ground.scenario.sensor_settings import Gps, Imu, SpacecraftClock
from pygnc_ground.scenario.settings import (
    Attitude,
    Damage,
    Faults,
    Partner,
    Settings,
    dump_settings,
    merge_tables,
    settings_from_tables,
)


def written(folder: Path, text: str) -> Path:
    path = folder / "scenario.toml"
    path.write_text(text)
    return path


def test_an_empty_file_is_the_default_scenario(tmp_path: Path) -> None:
    assert scenario_settings(None, written(tmp_path, "")) == Settings()


def test_dumped_settings_are_restored(tmp_path: Path) -> None:
    settings = Settings(
        seed=7,
        attitude=Attitude(rate_body_deg_s=(0.1, -2.5e-7, 1e9)),
        clock=SpacecraftClock(jumps_s=((4000.0, -1760.0),), reboots_s=(1.5, 2.0)),
        gps=Gps(outages_s=((0.0, 60.0), (5400.0, 1800.0))),
        faults=Faults(sense=Damage(flipped_bit_rate=0.25, cut_tail=True)),
        partners=(
            Partner(id=0x4A, position_rtn_m=(1.0, 2.0, 3.0)),
            Partner(id=0x4D, position_rtn_m=(-1.0, 0.0, 1.5), delay_bias_m=0.0),
        ),
    )
    assert scenario_settings(None, written(tmp_path, dump_settings(settings))) == settings


def test_a_dump_names_every_default(tmp_path: Path) -> None:
    text = dump_settings(Settings())
    assert "position_noise_m = 10.0" in text
    assert scenario_settings(None, written(tmp_path, text)) == Settings()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("seed = -1", r"seed"),
        ("sead = 1", r"sead"),
        ("[orbit]\ninclination_deg = 'steep'", r"orbit\.inclination_deg"),
        ("[orbit]\neccentricity = 0.5", r"perigee"),
        ("[attitude]\nquaternion_gcrf_from_body = [1.0, 1.0, 0.0, 0.0]", r"norm"),
        ("[gps]\nvelocity_latency_s = 6.0", r"gps\.velocity_latency_s"),
        ("[gps]\noutages_s = [[0.0, 0.0]]", r"gps\.outages_s\[0\]\[1\]"),
        ("[gps]\nposition_outlier_rate = 1.5", r"gps\.position_outlier_rate"),
        ("[clock]\njitter_s = 5", r"jitter_s must be less"),
        ("[faults.sense]\nflipped_bits = 0.1", r"faults\.sense"),
        ("start_utc = 'yesterday'", r"not a UTC time"),
        ("start_utc = '2025-03-20T00:00:00.5Z'", r"whole second"),
        ("[[partners]]\nid = 1\nposition_rtn_m = [0.0, 0.0, 0.0]", r"partners\[0\]\.id"),
        ("[[partners]]\nid = 74\nposition_rtn_m = [0.0, 0.0]", r"partners\[0\]\.position_rtn_m"),
        ("[[partners]]\nid=74\nposition_rtn_m=[0.0,0.0,0.0]\n" * 2, r"same id"),
        (
            "[formation]\nall_satellites = true\nown_id = 76\n[[partners]]\nid=76\nposition_rtn_m=[0.0,9.0,0.0]",
            r"same id",
        ),
        ("this is no TOML", r"scenario\.toml"),
        (f"x = {'[' * 10_000}", r"scenario\.toml.*nested"),
    ],
)
def test_invalid_settings_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        scenario_settings(None, written(tmp_path, text))


def test_bytes_that_are_not_text_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"scenario\.toml"):
        scenario_settings(None, path)


def test_merged_tables_override_keys_and_replace_lists() -> None:
    base = {"seed": 1, "gps": {"position_noise_m": 5.0, "cold_start_s": 60.0}, "partners": [{"id": 75}, {"id": 76}]}
    changed = merge_tables(base, {"gps": {"cold_start_s": 0.0}, "partners": [], "clock": {"drift_ppm": 1.0}})
    assert changed == {
        "seed": 1,
        "gps": {"position_noise_m": 5.0, "cold_start_s": 0.0},
        "partners": [],
        "clock": {"drift_ppm": 1.0},
    }
    assert base["gps"] == {"position_noise_m": 5.0, "cold_start_s": 60.0}


def test_the_source_of_an_invalid_setting_is_named() -> None:
    with pytest.raises(ValueError, match=r"^dirty: .*seed"):
        settings_from_tables({"seed": "one"}, "dirty")


def test_the_default_inertia_is_the_fleets() -> None:
    expected = 1.58 / 1.504 * np.array([[0.0043, -0.0003, 0.0], [-0.0003, 0.0049, 0.0], [0.0, 0.0, 0.0035]])
    np.testing.assert_allclose(Attitude().inertia_kg_m2, expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"attitude": {"mode": "spin"}}, r"spin.*attitude\.mode"),
        ({"attitude": {"inertia_kg_m2": [[1, 0, 0], [0, 1, 0], [0, 0, 2.1]]}}, "is not an inertia"),
        ({"attitude": {"inertia_kg_m2": [[1, 0.1, 0], [0, 1, 0], [0, 0, 1]]}}, "is not an inertia"),
        ({"attitude": {"inertia_kg_m2": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]}}, "is not an inertia"),
        ({"attitude": {"inertia_kg_m2": [[float("nan"), 0, 0], [0, 1, 0], [0, 0, 1]]}}, "is not an inertia"),
        ({"attitude": {"second_axis_body": [0, 0, -2]}}, "parallel or zero"),
        ({"attitude": {"pointed_axis_body": [0, 0, 0]}}, "parallel or zero"),
        ({"imu": {"gyro_bias_deg_s": "guessed"}}, r"guessed.*imu\.gyro_bias_deg_s"),
        ({"imu": {"mag_bias_ut": [1, 2]}}, r"imu\.mag_bias_ut"),
        ({"imu": {"rounding": "up"}}, r"imu\.rounding"),
        ({"sun_sensors": {"earth_reflectivity": 1.1}}, r"sun_sensors\.earth_reflectivity"),
        ({"sun_sensors": {"gain_errors": [0, 0, 0]}}, r"sun_sensors\.gain_errors"),
    ],
)
def test_rejects_bad_sensor_settings(tables: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        settings_from_tables(tables, "scenario.toml")


def test_flat_bodies_have_valid_inertia() -> None:
    # A plate: its greatest moment is the sum of the others.
    assert Attitude(inertia_kg_m2=((1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 3.0)))


def test_the_word_drawn_is_restored() -> None:
    settings = Settings(attitude=Attitude(mode="rigid"), imu=Imu(gyro_bias_deg_s="drawn", rounding="floor"))
    assert settings_from_tables(tomllib.loads(dump_settings(settings)), "again") == settings

from pathlib import Path

import pytest

from pygnc_ground.scenario.sensor_settings import Attitude
from pygnc_ground.scenario.settings import Partner, Settings, dump_settings, load_settings


def written(folder: Path, text: str) -> Path:
    path = folder / "scenario.toml"
    path.write_text(text)
    return path


def test_an_empty_file_is_the_default_scenario(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "")) == Settings()


def test_what_is_dumped_is_read_back(tmp_path: Path) -> None:
    settings = Settings(
        seed=7,
        attitude=Attitude(rate_body_deg_s=(0.1, -2.5e-7, 1e9)),
        partners=(
            Partner(id=0x4A, position_rtn_m=(1.0, 2.0, 3.0)),
            Partner(id=0x4D, position_rtn_m=(-1.0, 0.0, 1.5), delay_bias_m=0.0),
        ),
    )
    assert load_settings(written(tmp_path, dump_settings(settings))) == settings


def test_a_dump_names_every_default(tmp_path: Path) -> None:
    text = dump_settings(Settings())
    assert "position_noise_m = 10.0" in text
    assert load_settings(written(tmp_path, text)) == Settings()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("seed = -1", r"seed"),
        ("sead = 1", r"sead"),
        ("[orbit]\ninclination_deg = 'steep'", r"orbit\.inclination_deg"),
        ("[orbit]\neccentricity = 0.5", r"perigee"),
        ("[attitude]\nquaternion_gcrf_from_body = [1.0, 1.0, 0.0, 0.0]", r"norm"),
        ("[gps]\nvelocity_latency_s = 2.0", r"gps\.velocity_latency_s"),
        ("start_utc = 'yesterday'", r"not a UTC time"),
        ("start_utc = '2025-03-20T00:00:00.5Z'", r"whole second"),
        ("[[partners]]\nid = 1\nposition_rtn_m = [0.0, 0.0, 0.0]", r"partners\[0\]\.id"),
        ("[[partners]]\nid = 74\nposition_rtn_m = [0.0, 0.0]", r"partners\[0\]\.position_rtn_m"),
        ("[[partners]]\nid=74\nposition_rtn_m=[0.0,0.0,0.0]\n" * 2, r"same id"),
        ("this is no TOML", r"scenario\.toml"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        load_settings(written(tmp_path, text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"scenario\.toml"):
        load_settings(path)

"""`pygnc scenario`: files and error lines."""

import json
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.commands.scenario import Presets, Written, app
from pygnc_ground.scenario.presets import scenario_presets, scenario_settings

PARTNERED = "[ranging]\ninterval_s = 1\n[[partners]]\nid = 75\nposition_rtn_m = [0.0, 500.0, 0.0]\n"

SHORT = "duration_s = 60\n[forces]\ngravity_degree = 2\n"


def run(folder: Path, settings: str | None, *options: str, out: str = "out") -> tuple[int, str]:
    arguments = ["make", "--out", str(folder / out), *options]
    if settings is not None:
        config = folder / "settings.toml"
        config.write_text(settings)
        arguments += ["--config", str(config)]
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenario")
    code, output = run(folder, "duration_s = 300\ntruth_every_samples = 5\n" + PARTNERED)
    assert code == 0, output
    return folder / "out"


def test_it_makes_the_files_the_flight_looks_for(made: Path) -> None:
    names = {str(path.relative_to(made)): path.stat().st_size for path in made.rglob("*") if path.is_file()}
    assert names.keys() == {
        "scenario.toml",
        "sense.bin",
        "truth.parquet",
        "range_truth.parquet",
        "range/rng00000.bin",
        "range/rng00001.bin",
    }
    assert names["sense.bin"] == 12 * 251
    assert names["range/rng00000.bin"] == 25_600
    assert names["range/rng00000.bin"] + names["range/rng00001.bin"] == 300 * (102 + 12)


def test_the_truth_has_a_row_per_fix(made: Path) -> None:
    about = pl.read_parquet_metadata(made / "truth.parquet")
    assert about["settings_sha256"] == pl.read_parquet_metadata(made / "range_truth.parquet")["settings_sha256"]
    truth = pl.read_parquet(made / "truth.parquet")
    np.testing.assert_array_equal(np.diff(truth["gps_tow_ms"].to_numpy()), [25_000] * 11)
    radius_m, inertial_m = (
        np.linalg.norm(truth.select(f"^._{frame}_m$").to_numpy(), axis=1) for frame in ("ecef", "gcrf")
    )
    np.testing.assert_allclose(radius_m, inertial_m, atol=1e-6)


def test_the_range_truth_has_a_row_per_packet(made: Path) -> None:
    truth = pl.read_parquet(made / "range_truth.parquet")
    assert {*truth["partner_id"]} == {75}
    assert truth.height == 300
    np.testing.assert_allclose(truth["distance_m"].to_numpy(), 500.0, atol=5.0)


def test_the_resolved_settings_reproduce_the_scenario(made: Path, tmp_path: Path) -> None:
    resolved = (made / "scenario.toml").read_text()
    assert scenario_settings(None, made / "scenario.toml").ranging.interval_s == 1
    assert run(tmp_path, resolved)[0] == 0
    for path in made.rglob("*.*"):
        again = tmp_path / "out" / path.relative_to(made)
        if path.suffix == ".parquet":
            assert pl.read_parquet(again).equals(pl.read_parquet(path))
        else:
            assert again.read_bytes() == path.read_bytes()


def test_the_seed_option_overrides_the_file_and_is_saved(tmp_path: Path) -> None:
    assert run(tmp_path, SHORT, "--seed", "7", out="by hand")[0] == 0
    assert run(tmp_path, "seed = 7\n" + SHORT, out="by file")[0] == 0
    assert scenario_settings(None, tmp_path / "by hand" / "scenario.toml").seed == 7
    by_hand, by_file = ((tmp_path / name / "sense.bin").read_bytes() for name in ("by hand", "by file"))
    assert by_hand == by_file


def test_a_file_overrides_a_preset(tmp_path: Path) -> None:
    code, output = run(tmp_path, SHORT + "[gps]\nposition_noise_m = 5.0\n", "--preset", "mm_velocity")
    assert code == 0, output
    settings = scenario_settings(None, tmp_path / "out" / "scenario.toml")
    assert (settings.duration_s, settings.gps.position_noise_m, settings.gps.velocity_noise_mps) == (60, 5.0, 0.001)


def test_a_preset_needs_no_file(tmp_path: Path) -> None:
    code, output = run(tmp_path, None, "--preset", "nominal")
    assert code == 0, output
    assert (tmp_path / "out" / "sense.bin").stat().st_size == 432 * 251


def test_all_satellites_of_a_formation_have_a_folder_each(tmp_path: Path) -> None:
    code, output = run(tmp_path, "duration_s = 120\n[forces]\ngravity_degree = 2\n", "--preset", "formation4")
    assert code == 0, output
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {"scenario.toml", "74", "75", "76", "77"}
    for satellite in ("74", "75", "76", "77"):
        names = {str(path.relative_to(out / satellite)) for path in (out / satellite).rglob("*.*")}
        assert names == {"sense.bin", "range/rng00000.bin", "truth.parquet", "range_truth.parquet"}


def test_injected_damage_is_listed_in_a_file(tmp_path: Path) -> None:
    assert run(tmp_path, SHORT + "[faults.sense]\nduplicated_rate = 1.0\n")[0] == 0
    booked = json.loads((tmp_path / "out" / "faults.json").read_text())
    assert booked["sense"].pop("duplicated") == {"count": 2, "records": [0, 1]}
    assert all(kind == {"count": 0, "records": []} for kind in booked["sense"].values())
    assert (tmp_path / "out" / "sense.bin").stat().st_size == 4 * 251


def test_presets_are_listed_with_a_line_each() -> None:
    result = CliRunner().invoke(app, ["presets"])
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.output.splitlines()]
    assert names == ["dirty", "formation4", "mm_velocity", "nominal", "realistic", "sparse_gps", "tumbling"]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("duration_s = 10", "shorter than one record"),
        ("duration = 10", "unknown field `duration`"),
        ("start_utc = '2050-01-01T00:00:00Z'", "cover 1980-01-13 to"),
    ],
)
def test_errors_in_the_settings_are_reported_in_one_line(tmp_path: Path, settings: str, complaint: str) -> None:
    code, output = run(tmp_path, settings)
    assert code == ExitCode.INPUT
    assert complaint in output
    assert len(output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_with_content_is_rejected_and_unchanged(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    code, output = run(tmp_path, "duration_s = 60")
    assert code == ExitCode.INPUT
    assert "not empty" in output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("options", "complaint", "expected"),
    [
        (["--config", "none.toml"], "none.toml", ExitCode.INPUT),
        (["--preset", "calm"], "unknown preset 'calm'; choose from dirty, formation4", ExitCode.USAGE),
        ([], "--config", ExitCode.USAGE),
    ],
)
def test_missing_settings_are_reported(tmp_path: Path, options: list[str], complaint: str, expected: ExitCode) -> None:
    code, output = run(tmp_path, None, *options)
    assert code == expected
    assert complaint in output
    assert len(output.strip().splitlines()) == 1


def test_a_file_instead_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    code, output = run(tmp_path, "duration_s = 60")
    assert code == ExitCode.INPUT
    assert "out" in output


def test_json_lists_the_files(tmp_path: Path) -> None:
    code, output = run(tmp_path, SHORT, "--json")
    found = msgspec.json.decode(output, type=Written)
    assert (code, found.ephemeris) == (0, None)
    assert {file.path: file.size_bytes for file in found.files} == {
        str(path): path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file()
    }


def test_json_lists_the_presets() -> None:
    shown = CliRunner().invoke(app, ["presets", "--json"])
    assert msgspec.json.decode(shown.output, type=Presets).presets == dict(scenario_presets())

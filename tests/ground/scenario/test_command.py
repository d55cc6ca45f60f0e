"""`make` as a user meets it: files, and mistakes told in one line."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from pygnc_ground.scenario.command import make
from pygnc_ground.scenario.settings import load_settings

PARTNERED = "[ranging]\ninterval_s = 1\n[[partners]]\nid = 75\nposition_rtn_m = [0.0, 500.0, 0.0]\n"

app = typer.Typer()
app.command()(make)


def run(folder: Path, settings: str, *, out: str = "out") -> tuple[int, str]:
    config = folder / "settings.toml"
    config.write_text(settings)
    result = CliRunner().invoke(app, ["--config", str(config), "--out", str(folder / out)])
    return result.exit_code, result.output


def columns(path: Path) -> dict[str, np.ndarray]:
    header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
    return dict(zip(header.split(","), np.array([row.split(",") for row in rows], dtype=np.float64).T, strict=True))


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
        "truth.csv.gz",
        "range_truth.csv.gz",
        "range/rng00000.bin",
        "range/rng00001.bin",
    }
    assert names["sense.bin"] == 12 * 251
    assert names["range/rng00000.bin"] == 25_600
    assert names["range/rng00000.bin"] + names["range/rng00001.bin"] == 300 * (102 + 12)


def test_the_truth_has_a_row_per_fix_to_the_stated_decimals(made: Path) -> None:
    truth = columns(made / "truth.csv.gz")
    assert len(truth["gps_tow_ms"]) == 12
    np.testing.assert_array_equal(np.diff(truth["gps_tow_ms"]), 25_000)
    radius_m = np.sqrt(truth["x_ecef_m"] ** 2 + truth["y_ecef_m"] ** 2 + truth["z_ecef_m"] ** 2)
    inertial_m = np.sqrt(truth["x_gcrf_m"] ** 2 + truth["y_gcrf_m"] ** 2 + truth["z_gcrf_m"] ** 2)
    np.testing.assert_allclose(radius_m, inertial_m, atol=3e-4)
    norm = sum(truth[f"q{part}_gcrf_from_body"] ** 2 for part in "wxyz")
    np.testing.assert_allclose(norm, 1.0, atol=1e-9)


def test_the_range_truth_has_a_row_per_packet(made: Path) -> None:
    truth = columns(made / "range_truth.csv.gz")
    assert {*truth["partner_id"]} == {75.0}
    np.testing.assert_allclose(truth["distance_m"], 500.0, atol=5.0)
    assert len(truth["distance_m"]) == 300


def test_the_resolved_settings_make_the_same_files_again(made: Path, tmp_path: Path) -> None:
    resolved = (made / "scenario.toml").read_text()
    assert load_settings(made / "scenario.toml").ranging.interval_s == 1
    assert run(tmp_path, resolved)[0] == 0
    for path in made.rglob("*.*"):
        assert (tmp_path / "out" / path.relative_to(made)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("duration_s = 10", "too short for one record"),
        ("duration = 10", "unknown field `duration`"),
        ("start_utc = '2050-01-01T00:00:00Z'", "known from 1980-01-13 to"),
    ],
)
def test_a_mistake_in_the_settings_is_told_in_one_line(tmp_path: Path, settings: str, complaint: str) -> None:
    code, output = run(tmp_path, settings)
    assert code == 2
    assert complaint in output
    assert len(output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    code, output = run(tmp_path, "duration_s = 60")
    assert code == 2
    assert "not empty" in output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]


def test_a_missing_settings_file_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--config", str(tmp_path / "none.toml"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "none.toml" in result.output


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    code, output = run(tmp_path, "duration_s = 60")
    assert code == 2
    assert "out" in output

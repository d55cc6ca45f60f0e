"""`pygnc calibrate-mag` as a user runs it, on the demonstration and on files that do not tell the bias."""

import hashlib
import json
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import matplotlib.image
import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_rgb
from typer.testing import CliRunner, Result

from pygnc.configuration.load import load
from pygnc.formats.sense import SenseLayout
from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.web_page import PALETTE
from pygnc_ground.commands.calibrate_mag import app
from tests.reference import recording

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo"
RECORD_BYTES = SenseLayout().size
TRUE_BIAS_UT = [20.0, 10.0, -25.0]


def calibrate_mag(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


def pygnc(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """The command as it is installed."""
    command = [str(Path(sysconfig.get_path("scripts")) / "pygnc"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration's first hour."""
    file = tmp_path_factory.mktemp("hour") / "sense.bin"
    file.write_bytes((DEMO / "sense.bin").read_bytes()[: 144 * RECORD_BYTES])
    return file


@pytest.fixture(scope="module")
def calibrated(hour: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a calibration with that hour, and what was printed."""
    out = tmp_path_factory.mktemp("calibrated") / "out"
    result = calibrate_mag(hour, "--truth", DEMO / "truth.parquet", "--out", out)
    assert result.exit_code == 0, result.output
    return out, result.stdout


def test_the_true_bias_is_found_within_its_sigma(calibrated: tuple[Path, str]) -> None:
    out, printed = calibrated
    figures = json.loads((out / "calibration.json").read_text())
    error_ut = np.array(figures["bias_ut"]) - TRUE_BIAS_UT
    assert np.abs(error_ut).max() < 0.3
    assert (np.abs(error_ut) < 3.0 * np.array(figures["bias_sigma_ut"])).all()
    assert figures["bias_error_ut"] == pytest.approx(error_ut)
    assert figures["strength_residual_rms_before_ut"] > 10.0
    assert figures["strength_residual_rms_after_ut"] == pytest.approx(0.6, abs=0.05)
    assert np.array(figures["covariance"]).shape == (9, 9)
    assert np.sqrt(np.diagonal(figures["covariance"])[:3]) == pytest.approx(figures["bias_sigma_ut"])
    assert (figures["samples"], figures["samples_used"], figures["converged"]) == (720, 720, True)
    assert "720 samples: 720 used" in printed
    assert "bias minus truth" in printed


def test_settings_and_json_agree(calibrated: tuple[Path, str]) -> None:
    out, _ = calibrated
    figures = json.loads((out / "calibration.json").read_text())
    settings = tomllib.loads((out / "calibration.toml").read_text())["attitude"]["magnetometer"]
    assert settings["bias_ut"] == pytest.approx(figures["bias_ut"], abs=1e-4)
    assert np.array(settings["matrix"]) == pytest.approx(np.array(figures["matrix"]), abs=1e-6)


@pytest.mark.slow
def test_the_file_is_taken_as_settings_and_calibrating_again_reads_the_raw_readings(
    hour: Path, calibrated: tuple[Path, str], tmp_path: Path
) -> None:
    first = (calibrated[0] / "calibration.toml").read_bytes()
    magnetometer = load(calibrated[0] / "calibration.toml", tmp_path).attitude.magnetometer
    assert magnetometer.bias_ut == pytest.approx(TRUE_BIAS_UT, abs=0.3)
    assert magnetometer.bias_sigma_ut == 3.0
    result = calibrate_mag(hour, "--config", calibrated[0] / "calibration.toml", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "again" / "calibration.toml").read_bytes() == first


def test_the_file_can_be_put_behind_other_settings(calibrated: tuple[Path, str], tmp_path: Path) -> None:
    both = tmp_path / "pygnc.toml"
    text = (calibrated[0] / "calibration.toml").read_text()
    both.write_text(f"[attitude.gyro]\nnoise_rad_s = 0.001\n\n{text}")
    settings = load(both, tmp_path).attitude
    assert settings.gyro.noise_rad_s == 0.001
    assert settings.magnetometer.bias_ut == pytest.approx(TRUE_BIAS_UT, abs=0.3)


@pytest.mark.slow
def test_a_replay_with_the_file_reports_the_total_bias_from_the_first_sample(
    hour: Path, calibrated: tuple[Path, str], tmp_path: Path
) -> None:
    few = tmp_path / "sense.bin"
    few.write_bytes(hour.read_bytes()[: 30 * RECORD_BYTES])
    replayed = pygnc("replay", few, "--config", calibrated[0] / "calibration.toml", "--out", tmp_path / "out")
    assert replayed.returncode == 0, replayed.stderr
    tables = (tmp_path / "out" / f"{name}.parquet" for name in ("attitude", "attitude_smoothed"))
    flown, smoothed = map(pl.read_parquet, tables)
    for table in (flown, smoothed.drop_nulls("qw_gcrf_from_body")):
        off_ut = np.abs(table.select(f"{axis}_mag_bias_imu_ut" for axis in "xyz").to_numpy() - TRUE_BIAS_UT)
        assert off_ut.max() < 2.0
        assert off_ut[-50:].max() < 0.5
        assert "fine" in table["mode"]  # in sunlight; then the shadow begins
    assert len(flown) == 150


@pytest.mark.slow
def test_the_installed_command_passes_words_and_complaints_on(tmp_path: Path) -> None:
    failed = pygnc("calibrate-mag", tmp_path / "none.bin", "--out", tmp_path / "out")
    assert failed.returncode == ExitCode.INPUT
    assert failed.stderr == f"pygnc calibrate-mag: {tmp_path / 'none.bin'}: No such file or directory\n"


def test_the_figure_shows_both_stages(calibrated: tuple[Path, str]) -> None:
    out, printed = calibrated
    picture = matplotlib.image.imread(out / "calibration.png")
    assert picture.shape[:2] == (1536, 1536)
    for name in ("smoother", "filter"):
        near = np.abs(picture[:, :, :3] - to_rgb(PALETTE[name].light)).max(axis=2) < 0.05
        assert near.sum() > 2_000
    assert str(out / "calibration.png") in printed


def test_equal_files_give_equal_bytes_and_repeated_samples_count_once(
    hour: Path, calibrated: tuple[Path, str], tmp_path: Path
) -> None:
    result = calibrate_mag(hour, hour, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "1440 samples: 720 used, 720 repeated" in result.stdout
    for name in ("calibration.toml", "calibration.png"):
        assert digest(tmp_path / name) == digest(calibrated[0] / name)


def test_reports_a_recording_without_orbit(tmp_path: Path) -> None:
    result = calibrate_mag(recording("recorded_sense.bin"), "--out", tmp_path / "out")
    assert result.exit_code == ExitCode.INPUT
    assert "recorded_sense.bin: no orbit: none of 33 GPS records" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_ten_records_are_too_few(hour: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.bin"
    few.write_bytes(hour.read_bytes()[: 10 * RECORD_BYTES])
    result = calibrate_mag(few, "--out", tmp_path / "out")
    assert result.exit_code == ExitCode.INPUT
    assert "few.bin: too few samples: 50;" in result.stderr


def test_reports_missing_rotation_for_constant_readings(hour: Path, tmp_path: Path) -> None:
    records = np.frombuffer(hour.read_bytes(), np.uint8).reshape(-1, RECORD_BYTES).copy()
    for sensor in range(5):
        records[:, 30 * sensor + 4 : 30 * sensor + 10] = records[0, 4:10]
    still = tmp_path / "still.bin"
    still.write_bytes(records.tobytes())
    result = calibrate_mag(still, "--out", tmp_path / "out")
    assert result.exit_code == ExitCode.INPUT
    assert "not enough rotation: x, y, z axes unresolved" in result.stderr


def test_names_unreadable_files(hour: Path, tmp_path: Path) -> None:
    missing = calibrate_mag(tmp_path / "none.bin", "--out", tmp_path / "out")
    assert missing.exit_code == ExitCode.INPUT
    assert "none.bin: No such file or directory" in missing.stderr
    folder = calibrate_mag(hour, tmp_path, "--out", tmp_path / "out")
    assert folder.exit_code == ExitCode.INPUT
    assert folder.stderr.startswith(f"pygnc calibrate-mag: {tmp_path}: is a folder;")
    other = tmp_path / "other.txt"
    other.write_text("no packets here\n" * 100)
    nothing = calibrate_mag(other, "--out", tmp_path / "out")
    assert nothing.exit_code == ExitCode.INPUT
    assert f"{other}: no record found" in nothing.stderr
    no_truth = tmp_path / "truth.parquet"
    pl.DataFrame({"x": [1.0]}).write_parquet(no_truth)
    for truth in (no_truth, hour):
        wrong = calibrate_mag(hour, "--truth", truth, "--out", tmp_path / "out")
        assert wrong.exit_code == ExitCode.INPUT
        assert f"{truth}: has no columns with the magnetometer bias" in wrong.stderr


def test_reports_interference_and_a_matrix_that_exceeds_its_prior(hour: Path, tmp_path: Path) -> None:
    records = np.frombuffer(hour.read_bytes(), np.uint8).reshape(-1, RECORD_BYTES).copy()
    for sensor in range(5):
        x_axis = records[:, 30 * sensor + 4 : 30 * sensor + 6]
        x_axis[:] = (x_axis.copy().view("<i2") * 1.2).astype("<i2").view(np.uint8)
    skewed = tmp_path / "skewed.bin"
    skewed.write_bytes(records.tobytes())
    config = tmp_path / "pygnc.toml"
    config.write_text("[attitude.magnetometer]\nnoise_ut = 0.2\nmatrix_sigma = 0.02\n")
    result = calibrate_mag(skewed, "--config", config, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "the readings scatter by 0.6" in result.stdout
    assert "scale or misalignment exceed attitude.magnetometer.matrix_sigma" in result.stdout

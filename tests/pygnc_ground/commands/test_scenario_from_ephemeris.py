"""`pygnc scenario from-ephemeris`: files along a precise orbit, and error lines."""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from pygnc.common.clock import gps_ms_from_utc_iso, gps_ms_from_weeks
from pygnc.formats.gps_packet import GpsFixes, decode_gps_packets
from pygnc.formats.sense import SenseLayout
from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.commands.scenario import from_ephemeris
from pygnc_ground.scenario.presets import scenario_settings
from pygnc_ground.truth.load import load_truth
from pygnc_ground.truth.orbit_truth import FloatArray
from tests.pygnc_ground.truth import orbits
from tests.pygnc_ground.truth.writers import every, kvn, kvn_segment, oem_metadata, sp3

T_S = 60.0 * np.arange(41)
GPS = every(datetime(2025, 3, 20, 0, 0, 18), 60.0, 41)  # noqa: DTZ001 - GPS time
UTC = every(datetime(2025, 3, 20), 60.0, 41)  # noqa: DTZ001 - as text of the file
EXACT = "[gps]\nposition_noise_m = 0.0\nvelocity_noise_mps = 0.0\nvelocity_latency_s = 0.15\n"

app = typer.Typer()
app.command()(from_ephemeris)


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def two_satellites() -> str:
    states = orbits.states_itrf(T_S)
    return sp3(GPS, {"L47": states, "L48": -states})


def fixes(folder: Path) -> GpsFixes:
    return decode_gps_packets(np.frombuffer((folder / "sense.bin").read_bytes(), SenseLayout().record)["gps"])


def after_start_s(read: GpsFixes) -> FloatArray:
    elapsed_ms = gps_ms_from_weeks(read.gps_week, read.gps_tow_ms) - orbits.START_GPS_MS
    return np.asarray(elapsed_ms * 1e-3, dtype=np.float64)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("along")
    file, config = written(folder, "orbit.sp3", two_satellites()), written(folder, "settings.toml", EXACT)
    code, output = run(file, "--object", "L47", "--config", config, "--out", folder / "out")
    assert code == 0, output
    assert output.startswith("along SP3-c of TST, satellite L47, IGS20, 2025-03-20T00:00:00.000Z to")
    return folder / "out"


def test_the_fixes_are_the_orbit_and_the_velocity_lags(made: Path) -> None:
    read = fixes(made)
    t_s = after_start_s(read)
    np.testing.assert_array_equal(t_s, np.arange(20.0, 2400.0, 25.0))
    np.testing.assert_allclose(read.position_ecef_m, orbits.states_itrf(t_s)[:, :3], atol=2e-3)
    np.testing.assert_allclose(read.velocity_ecef_mps, orbits.states_itrf(t_s - 0.15)[:, 3:], atol=2e-4)


def test_the_table_of_truth_is_the_orbit_in_both_frames(made: Path) -> None:
    truth = load_truth(made / "truth.parquet")
    t_s = np.arange(0.0, 2396.0, 5.0)
    states = orbits.states_itrf(t_s)
    found = truth.at(orbits.gps_ns(t_s) // 1_000_000)
    np.testing.assert_allclose(found.position_ecef_m, states[:, :3], atol=2e-3)
    np.testing.assert_allclose(found.velocity_ecef_mps, states[:, 3:], atol=2e-4)
    table = pl.read_parquet(made / "truth.parquet")
    inertial = table.select("x_gcrf_m", "y_gcrf_m", "z_gcrf_m", "vx_gcrf_mps", "vy_gcrf_mps", "vz_gcrf_mps").to_numpy()
    np.testing.assert_allclose(inertial[:, :3], orbits.states_gcrf(t_s)[:, :3], atol=3e-3)
    np.testing.assert_allclose(inertial[:, 3:], orbits.states_gcrf(t_s)[:, 3:], atol=2e-4)


def test_the_noise_is_that_of_the_settings(tmp_path: Path) -> None:
    file = written(tmp_path, "orbit.sp3", two_satellites())
    config = written(tmp_path, "settings.toml", "[gps]\nposition_noise_m = 10.0\nvelocity_noise_mps = 0.01\n")
    assert run(file, "--object", "L47", "--config", config, "--out", tmp_path / "out")[0] == 0
    read = fixes(tmp_path / "out")
    error_m = read.position_ecef_m - orbits.states_itrf(after_start_s(read))[:, :3]
    assert error_m.std() == pytest.approx(10.0, rel=4.0 / np.sqrt(2.0 * error_m.size))


@pytest.mark.parametrize("frame", ["ITRF2020", "GCRF"])
def test_an_oem_gives_the_same_flight_in_any_frame(tmp_path: Path, made: Path, frame: str) -> None:
    states = orbits.states_itrf(T_S) if frame == "ITRF2020" else orbits.states_gcrf(T_S)
    text = kvn(kvn_segment(UTC, states, oem_metadata(UTC, frame=frame, time_system="UTC")))
    file, config = written(tmp_path, "orbit.oem", text), written(tmp_path, "settings.toml", EXACT)
    code, output = run(file, "--config", config, "--out", tmp_path / "out")
    assert code == 0, output
    np.testing.assert_allclose(fixes(tmp_path / "out").position_ecef_m, fixes(made).position_ecef_m, atol=2e-3)


@pytest.mark.parametrize("mode", ["rigid", "nadir", "sun"])
def test_the_attitude_may_depend_on_the_orbit(tmp_path: Path, mode: str) -> None:
    file = written(tmp_path, "orbit.sp3", two_satellites())
    config = written(tmp_path, "settings.toml", f'[attitude]\nmode = "{mode}"\n')
    code, output = run(file, "--object", "L47", "--config", config, "--out", tmp_path / "out")
    assert code == 0, output


def test_begin_and_duration_cut_the_orbit(tmp_path: Path) -> None:
    file = written(tmp_path, "orbit.sp3", two_satellites())
    config = written(tmp_path, "settings.toml", EXACT + "\n")
    options = ("--begin", "2025-03-20T00:10:07Z", "--duration", "100")
    code, output = run(file, "--object", "L47", "--config", config, *options, "--out", tmp_path / "out")
    assert code == 0, output
    read = fixes(tmp_path / "out")
    np.testing.assert_array_equal(after_start_s(read), 607.0 + np.array([20.0, 45.0, 70.0, 95.0]))
    np.testing.assert_allclose(read.position_ecef_m, orbits.states_itrf(after_start_s(read))[:, :3], atol=2e-3)
    settings = scenario_settings(None, tmp_path / "out" / "scenario.toml")
    assert settings.start_gps_ms == gps_ms_from_utc_iso("2025-03-20T00:10:07Z")
    assert settings.duration_s == 100


def test_begin_overrides_the_start_of_the_settings(tmp_path: Path) -> None:
    file = written(tmp_path, "orbit.sp3", two_satellites())
    config = written(tmp_path, "settings.toml", 'start_utc = "2025-03-20T00:20:00Z"\n')
    for options, duration_s in (((), 1200), (("--begin", "2025-03-20T00:30:00Z"), 600)):
        out = tmp_path / str(duration_s)
        assert run(file, "--object", "L47", "--config", config, *options, "--out", out)[0] == 0
        assert scenario_settings(None, out / "scenario.toml").duration_s == duration_s


def test_the_settings_written_make_the_same_files_again(tmp_path: Path, made: Path) -> None:
    config = made / "scenario.toml"
    assert "from-ephemeris orbit.sp3 --object L47 --config scenario.toml --out FOLDER" in config.read_text()
    assert "Along orbit.sp3: SP3-c of TST" in config.read_text()
    again = tmp_path / "again"
    assert run(made.parent / "orbit.sp3", "--object", "L47", "--config", config, "--out", again)[0] == 0
    for path in made.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("options", "settings", "complaint"),
    [
        ((), "", "(L47, L48); name one"),
        (("--object", "L47", "--begin", "2025-03-19T23:59:59Z"), "", "ephemeris covers 2025-03-20T00:00:00.000Z"),
        (("--object", "L47", "--begin", "2025-03-20T01:00:00Z"), "", "the ephemeris covers"),
        (("--object", "L47", "--duration", "2401"), "", "not the 2401 s from 2025-03-20T00:00:00.000Z"),
        (("--object", "L47", "--duration", "20"), "", "shorter than one record of 25 s"),
        (("--object", "L47", "--begin", "noon"), "", "'noon' is not a UTC time"),
        (("--object", "L47"), "duration = 100", "unknown field `duration`"),
        (("--object", "L47"), "[[partners]]\nid = 75\nposition_rtn_m = [0.0, 500.0, 0.0]", "remove the partners"),
    ],
)
def test_errors_are_reported_in_one_line(
    tmp_path: Path, options: tuple[str, ...], settings: str, complaint: str
) -> None:
    file, config = written(tmp_path, "orbit.sp3", two_satellites()), written(tmp_path, "settings.toml", settings)
    code, output = run(file, *options, "--config", config, "--out", tmp_path / "out")
    assert code == ExitCode.INPUT
    assert complaint in output
    assert len(output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_gap_is_reported_with_its_time(tmp_path: Path) -> None:
    states = orbits.states_itrf(T_S)
    states[20] = np.nan
    file = written(tmp_path, "orbit.sp3", sp3(GPS, {"L47": states}))
    code, output = run(file, "--out", tmp_path / "out")
    assert code == ExitCode.INPUT
    assert "no state at 2025-03-20T00:19:05.000Z; choose a begin and a duration between its gaps" in output
    assert run(file, "--begin", "2025-03-20T00:21:00Z", "--out", tmp_path / "out")[0] == 0


def test_a_file_that_is_not_an_ephemeris_is_rejected(tmp_path: Path) -> None:
    code, output = run(written(tmp_path, "notes.txt", "nothing"), "--out", tmp_path / "out")
    assert (code, "not a true orbit" in output) == (ExitCode.INPUT, True)
    code, output = run(tmp_path / "none.sp3", "--out", tmp_path / "out")
    assert (code, "none.sp3" in output) == (ExitCode.INPUT, True)

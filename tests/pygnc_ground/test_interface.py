"""The public Python interface: its names, their import, and results equal to those of the commands."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

import pygnc_ground as pg
from pygnc.formats.sense import STANDARD_LAYOUT, SensorSamples
from pygnc.formats.sense_scan import scan
from pygnc_ground.calibration import figure
from pygnc_ground.replay.run import ReplayContext
from pygnc_ground.report import html
from pygnc_ground.scenario.generate import TrueStates

PUBLIC = {
    "Calibrated": "",
    "FormationBound": "",
    "GeneratedScenario": "",
    "OrbitBounds": "",
    "Replay": "",
    "bound_formation": "scenario settings",
    "bound_recording": "sense truth settings",
    "bound_scenario": "scenario settings",
    "calibrate_magnetometer": "sense settings truth",
    "campaign_tables": "folder",
    "compare_tables": "before after",
    "flight_settings": "settings",
    "journal_tables": "run stream",
    "load_attitude_truth": "path",
    "load_truth": "path object_id",
    "make_scenario": "preset settings seed start_utc duration_s along sensor_model",
    "replay_files": (
        "sense satellites ranges truth object_id partner_truth settings earth_orientation elements filter_name"
        " collision_radius_m advance"
    ),
    "run_campaign": "definition folder workers advance",
    "scenario_presets": "",
    "scenario_settings": "preset settings seed start_utc duration_s",
}
"""Parameters by public name. One leaves this list only after its deprecation, as docs/python.md describes."""
SHORT = {"duration_s": 300, "forces": {"gravity_degree": 2}}
DEMO = Path(__file__).parents[2] / "data/demo"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interface") / "made"
    pg.make_scenario("nominal", SHORT, seed=4).write(folder)
    return folder


def test_every_name_is_imported_where_the_type_checker_sees_it() -> None:
    for name in pg.__all__:
        assert getattr(pg, name).__doc__, name
    assert dir(pg) == pg.__all__
    imports = [node for node in ast.walk(ast.parse(Path(pg.__file__).read_text())) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if (node.module or "").startswith("pygnc")]
    assert {alias.asname for node in ours for alias in node.names} == set(pg.__all__)
    with pytest.raises(AttributeError, match="no attribute 'replay_everything'"):
        pg.replay_everything  # noqa: B018 - raises


def test_no_public_name_or_parameter_has_gone() -> None:
    for name, parameters in PUBLIC.items():
        found = getattr(pg, name)
        assert {*parameters.split()} <= ({*inspect.signature(found).parameters} if parameters else {""}), name


def test_the_import_loads_no_library() -> None:
    program = "import sys; before = set(sys.modules); import pygnc_ground; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"brahe", "distributed", "matplotlib", "numpy", "polars", "scipy", "typer"}


def test_without_the_extra_the_error_names_it() -> None:
    program = """
import sys
sys.modules["brahe"] = None
import pygnc_ground as pg
assert "nominal" in pg.scenario_presets()
pg.make_scenario("nominal")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError: scenarios need the library brahe: pip install 'pygnc-ground[scenario]'" in done.stderr


def test_a_scenario_is_that_of_the_command(made: Path) -> None:
    scenario = pg.make_scenario(settings=made / "scenario.toml")
    assert scenario.satellites[0].sense == (made / "sense.bin").read_bytes()
    assert scenario.settings == pg.scenario_settings("nominal", SHORT, seed=4)
    assert scenario.truth.position_gcrf_m.shape == (60, 3)


def test_own_sensor_model_replaces_the_readings() -> None:
    def biased(truth: TrueStates, samples: SensorSamples) -> SensorSamples:
        assert truth.field_body_ut.shape == (60, 3)
        assert samples.mag_imu_ut.shape == (12, 5, 3)
        samples.mag_imu_ut[:] += 10.0
        return samples

    plain, other = (
        scan(pg.make_scenario("nominal", SHORT, sensor_model=model).satellites[0].sense).records["sensors"]
        for model in (None, biased)
    )
    changed = other["mag"].astype(int) - plain["mag"]
    assert np.ptp(changed) <= 1
    assert changed.min() > 0
    np.testing.assert_array_equal(other["gyro"], plain["gyro"])


def test_a_scenario_along_an_ephemeris_has_its_start(made: Path) -> None:
    ephemeris = pg.load_truth(made / "truth.parquet")
    along = pg.make_scenario(along=ephemeris, duration_s=100)
    np.testing.assert_allclose(along.truth.position_ecef_m[-1], ephemeris.at(along.truth.gps_ms[-1:])[0][0], atol=1e-3)
    with pytest.raises(ValueError, match="the ephemeris covers"):
        pg.make_scenario(along=ephemeris, duration_s=1000)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write empty files instead of figures, which take a second; tests of the commands draw them."""
    monkeypatch.setattr(html, "write_report", lambda _result, file, _player: file.touch())
    monkeypatch.setattr(figure, "write_figure", lambda _readings, _found, file: file.touch())


@pytest.mark.usefixtures("without_figures")
def test_a_replay_has_tables_arrays_and_errors(made: Path, tmp_path: Path) -> None:
    calls: list[None] = []
    settings = {"orbit": {"spacecraft": {"area_m2": 0.03}}}
    replay = pg.replay_files(
        made / "sense.bin",
        truth=made / "truth.parquet",
        settings=settings,
        advance=lambda: calls.append(None),
    )
    assert len(calls) == 12
    assert replay.result.settings == pg.flight_settings(settings) != pg.flight_settings()
    assert [one.name for one in replay.orbits] == ["filter", "smoother", "batch"][: len(replay.orbits)]
    assert len(replay.tables["orbit"]) == len(replay.result.solution.position_ecef_m) == 12
    assert replay.attitudes[0].errors is not None
    assert replay.partners == ()
    assert replay.summary[0].startswith("12 GPS records: ")
    paths = replay.write(tmp_path / "out")
    assert {path.suffix for path in paths} == {".parquet", ".html", ".json"}
    assert pl.read_parquet(tmp_path / "out/orbit.parquet").equals(replay.tables["orbit"])


def test_a_replay_takes_the_radius_of_collisions(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[float] = []

    def replay(_context: object, _inputs: object, *, collision_radius_m: float, **_: object) -> None:
        taken.append(collision_radius_m)
        raise KeyboardInterrupt

    monkeypatch.setattr(ReplayContext, "replay", replay)
    with pytest.raises(KeyboardInterrupt):
        pg.replay_files(made / "sense.bin", collision_radius_m=2.5)
    assert taken == [2.5]
    with pytest.raises(ValueError, match="collision_radius_m: -1"):
        pg.replay_files(made / "sense.bin", collision_radius_m=-1.0)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="settings: unknown setting orbitt"):
        pg.flight_settings({"orbitt": {}})
    with pytest.raises(ValueError, match=r"settings: .*seedd"):
        pg.scenario_settings("nominal", {"seedd": 1})
    with pytest.raises(ValueError, match="no input"):
        pg.replay_files()


def test_bounds_have_the_times_of_the_fixes(made: Path) -> None:
    by_scenario = pg.bound_scenario(pg.scenario_settings("nominal", SHORT, seed=4))
    recorded = pg.bound_recording(made / "sense.bin", pg.load_truth(made / "truth.parquet"))
    np.testing.assert_array_equal(by_scenario.gps_ms, recorded.gps_ms)
    assert recorded.posterior_smoother.position_m.shape == (len(recorded.gps_ms),)


@pytest.mark.usefixtures("without_figures")
def test_a_calibration_is_written_as_settings(tmp_path: Path) -> None:
    hour = tmp_path / "sense.bin"
    hour.write_bytes((DEMO / "sense.bin").read_bytes()[: 144 * STANDARD_LAYOUT.size])
    result = pg.calibrate_magnetometer(hour, truth=DEMO / "truth.parquet")
    assert result.true_bias_ut is not None
    assert np.abs(result.calibration.bias_ut - result.true_bias_ut).max() < 1.0
    paths = result.write(tmp_path / "out")
    assert [path.name for path in paths] == ["calibration.toml", "calibration.json", "calibration.png"]
    known = pg.flight_settings(paths[0]).attitude.magnetometer
    np.testing.assert_allclose(known.bias_ut, result.calibration.bias_ut, atol=1e-4)
    assert msgspec.json.decode(paths[1].read_bytes())["converged"] is True


def test_a_campaign_is_computed_once(tmp_path: Path) -> None:
    definition = {
        "repetitions": 2,
        "scenario": SHORT,
        "estimators": {"attitude": []},
        "grid": {"scenario.gps.position_noise_m": [1.0, 10.0]},
    }
    calls: list[None] = []
    tables = pg.run_campaign(definition, tmp_path / "noise", advance=lambda: calls.append(None))
    assert tables["runs"]["status"].to_list() == ["done"] * 4
    assert tables["runs"]["orbit_filter_error_m"].is_not_null().all()
    again = pg.run_campaign(definition, tmp_path / "noise", advance=lambda: calls.append(None))
    assert len(calls) == 4
    assert again["runs"].equals(pg.campaign_tables(tmp_path / "noise")["runs"])
    with pytest.raises(ValueError, match="definition: unknown"):
        pg.run_campaign({"repetitionz": 2}, tmp_path / "other")

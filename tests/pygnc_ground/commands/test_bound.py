"""`pygnc bound` from settings and from recorded files."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.commands.bound import BoundDocument, app
from pygnc_ground.commands.scenario import app as scenario_app
from pygnc_ground.orbit import bound
from pygnc_ground.orbit.bound import from_recording, from_scenario
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.scenario.settings import Settings, settings_from_tables
from pygnc_ground.truth.load import load_truth
from pygnc_ground.truth.orbit_truth import IntArray, TrueOrbit
from tests.pygnc.estimators.orbit.truth import ORIENTATION, displaced, make_fixes, position_only, sun_synchronous

ORBIT_SETTINGS = OrbitSettings()
TRUTH = sun_synchronous()
FRAMES = EarthFrames(EarthOrientationTable.none())
SETTINGS = "duration_s = 1500\n[forces]\ngravity_degree = 8\n[gps]\nvelocity_latency_s = 0.25\n"


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bound")
    (folder / "settings.toml").write_text(SETTINGS)
    arguments = ["make", "--config", str(folder / "settings.toml"), "--out", str(folder / "out")]
    assert CliRunner().invoke(scenario_app, arguments).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def truth_file(made: Path) -> Path:
    (file,) = (made / "out").glob("truth.*")
    return file


def scenario(**gps: Any) -> Settings:  # noqa: ANN401 - settings of all types
    return settings_from_tables({"duration_s": 1500, "forces": {"gravity_degree": 8}, "gps": gps}, "test")


def test_settings_and_recorded_files_of_one_scenario_have_the_same_bounds(made: Path, truth_file: Path) -> None:
    code, from_settings = run("--config", made / "settings.toml", "--json")
    assert code == 0
    code, recorded = run(made / "out" / "sense.bin", "--truth", truth_file, "--json")
    assert code == 0
    msgspec.json.decode(recorded, type=BoundDocument)
    expected, found = json.loads(from_settings), json.loads(recorded)
    assert expected["fixes"] == 60
    assert expected.keys() == found.keys()
    for name, figures in expected.items():
        assert found[name] == pytest.approx(figures, rel=1e-4)


def test_the_figures_are_in_order(made: Path) -> None:
    _, output = run("--config", made / "settings.toml", "--json")
    bounds = json.loads(output)
    known, doubted = bounds["deterministic_smoother"], bounds["posterior_smoother"]
    assert 1.0 < known["position_rms_m"] < bounds["deterministic_filter"]["position_rms_m"] < 10.0 * math.sqrt(3.0)
    assert known["velocity_rms_mps"] < 0.01
    assert 0.5 < doubted["position_rms_m"] / known["position_rms_m"] < 2.0
    assert bounds["deterministic_filter"]["position_end_m"] == pytest.approx(known["position_end_m"], rel=1e-6)


def test_prints_a_table(made: Path) -> None:
    code, output = run("--config", made / "settings.toml")
    assert code == 0
    for text in (
        "60 fixes",
        "2025-03-20T00:00:20.000Z",
        "position, m",
        "velocity, mm/s",
        "with process noise, all fixes",
    ):
        assert text in output


def test_a_file_is_laid_over_a_preset(made: Path) -> None:
    _, output = run("--preset", "mm_velocity", "--config", made / "settings.toml", "--json")
    _, coarse = run("--config", made / "settings.toml", "--json")
    sharper, plain = (json.loads(text)["deterministic_smoother"]["position_rms_m"] for text in (output, coarse))
    assert sharper < 0.5 * plain


@pytest.mark.parametrize(
    ("arguments", "message", "expected"),
    [
        ([], "name a sense file with its --truth, or a scenario", ExitCode.USAGE),
        (["sense.bin"], "name a sense file with its --truth, or a scenario", ExitCode.USAGE),
        (["--preset", "nominal", "--truth", "x"], "name a sense file with its --truth, or a scenario", ExitCode.USAGE),
        (["--preset", "unheard_of"], "unknown preset 'unheard_of'", ExitCode.USAGE),
        (["--config", "/nowhere/x.toml"], "/nowhere/x.toml: No such file or directory", ExitCode.INPUT),
        (["sense.bin", "--truth", "/nowhere/truth"], "/nowhere/truth: No such file or directory", ExitCode.INPUT),
    ],
)
def test_reports_errors_of_users_in_one_line(arguments: list[str], message: str, expected: ExitCode) -> None:
    code, output = run(*arguments)
    assert code == expected
    assert output.startswith("pygnc bound: ")
    assert message in output
    assert output.count("\n") == 1


def test_a_file_without_a_fix_is_named(tmp_path: Path, truth_file: Path) -> None:
    empty = tmp_path / "empty.bin"
    empty.write_bytes(bytes(1000))
    code, output = run(empty, "--truth", truth_file)
    assert code == ExitCode.INPUT
    assert output.startswith(f"pygnc bound: {empty}: no plausible fix;")


class _Elsewhere:
    """Another satellite."""

    description = "elsewhere"
    span_gps_ms = (0, 1 << 60)

    def at(self, gps_ms: IntArray) -> TrueOrbit:
        place = np.tile((7e6, 0.0, 0.0), (len(gps_ms), 1))
        return TrueOrbit(place, np.zeros_like(place))


def test_rejects_the_truth_of_another_satellite(made: Path) -> None:
    with pytest.raises(ValueError, match=r"sense.bin: none of 60 fixes agrees with the truth"):
        from_recording(made / "out" / "sense.bin", _Elsewhere(), ORBIT_SETTINGS, FRAMES)


def test_fixes_outside_the_truths_span_do_not_count(made: Path, truth_file: Path) -> None:
    whole = load_truth(truth_file)

    class Half:
        description, span_gps_ms = whole.description, whole.span_gps_ms

        def at(self, gps_ms: IntArray) -> TrueOrbit:
            known = gps_ms[:, None] <= np.mean(self.span_gps_ms)
            return TrueOrbit(*(np.where(known, values, np.nan) for values in whole.at(gps_ms)))

    found = from_recording(made / "out" / "sense.bin", Half(), ORBIT_SETTINGS, FRAMES)
    assert len(found) == 30


def test_outliers_and_missing_velocities_carry_no_information() -> None:
    sightings = from_scenario(
        scenario(position_outlier_rate=0.5, velocity_outlier_rate=0.3, velocity_missing_rate=0.2),
        ORBIT_SETTINGS,
        FRAMES,
    )
    seen = np.isfinite(sightings.sigma[:, ::3])
    assert 20 <= seen[:, 0].sum() <= 40
    assert 20 <= seen[:, 1].sum() <= 45
    assert seen.any(axis=1).all()


def test_each_fix_keeps_its_own_sigmas() -> None:
    fixes = [
        replace(fix, position_sigma_m=np.full(3, 10.0 + row), velocity_sigma_mps=np.full(3, 0.01 * (1.0 + row)))
        for row, fix in enumerate(make_fixes(TRUTH)[:4])
    ]
    fixes[1] = displaced(fixes[1], np.array([0.0, 5e3, 0.0]))
    fixes[2] = position_only(fixes[2])
    states = dict(zip(TRUTH.gps_ms, TRUTH.ecef, strict=True))

    def truth(gps_ms: IntArray) -> FloatArray:
        return np.array([states[ms] for ms in gps_ms.tolist()])

    found = bound._known_fixes(fixes, truth, ORBIT_SETTINGS, EarthFrames(ORIENTATION), None)
    np.testing.assert_allclose(found.sigma[:, ::3], [[10.0, 0.01], [np.inf, 0.02], [12.0, np.inf], [13.0, 0.04]])
    np.testing.assert_allclose(found.states_gcrf, TRUTH.gcrf[:4], atol=0.05)


def test_uses_the_true_noise_of_a_scenario() -> None:
    silent = from_scenario(scenario(position_noise_m=20.0, reported_sigma_factor=0.0), ORBIT_SETTINGS, FRAMES)
    np.testing.assert_array_equal(silent.sigma, np.tile([20.0] * 3 + [0.01] * 3, (60, 1)))
    exact = from_scenario(scenario(position_noise_m=0.0, velocity_noise_mps=0.0), ORBIT_SETTINGS, FRAMES)
    assert np.isfinite(exact.sigma).all()


def test_uses_the_receivers_sigmas_of_a_recording(made: Path, truth_file: Path) -> None:
    wide = replace(ORBIT_SETTINGS, measurement=replace(ORBIT_SETTINGS.measurement, position_sigma_floor_m=15.0))
    found = from_recording(made / "out" / "sense.bin", load_truth(truth_file), wide, FRAMES)
    np.testing.assert_allclose(found.sigma, np.tile([15.0] * 3 + [0.01] * 3, (60, 1)), rtol=1e-6)

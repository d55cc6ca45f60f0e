"""`pygnc bound --formation` from settings."""

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.commands.bound import app
from pygnc_ground.formation.bound import FormationBound
from pygnc_ground.formation.bound_scenario import as_json, bound_of_scenario
from pygnc_ground.scenario.settings import checked

FRAMES = EarthFrames(EarthOrientationTable.none())
PARTNERS = [
    {"id": 75, "position_rtn_m": [100.0, 900.0, 200.0], "velocity_rtn_mps": [0.0, -0.2, 0.1]},
    {"id": 77, "position_rtn_m": [-200.0, -600.0, 300.0], "velocity_rtn_mps": [0.1, 0.4, 0.0]},
]


def found(*, everyone: bool, noise_m: float = 1.0) -> tuple[FormationBound, tuple[int, ...]]:
    tables = {
        "duration_s": 1800,
        "forces": {"gravity_degree": 8, "drag": False},
        "ranging": {"noise_m": noise_m},
        "formation": {"all_satellites": everyone},
        "partners": PARTNERS,
    }
    return bound_of_scenario(checked(tables, "test"), OrbitSettings(gravity_degree=8), FRAMES)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_files_of_everyone_tell_far_more_than_our_own() -> None:
    alone, ids = found(everyone=False)
    together, _ = found(everyone=True)
    assert ids == (75, 77)
    assert list(alone.bias_sigma_m) == [(0, 1), (0, 2)]
    assert list(together.bias_sigma_m) == [(0, 1), (0, 2), (1, 2)]
    assert together.rms_all_m < 5.0 < alone.rms_all_m


def test_fixes_alone_leave_the_noise_of_as_many_fixes() -> None:
    """About 19 m over the root of their number, and the root of 2 of that for a difference."""
    bound, _ = found(everyone=True, noise_m=1e6)
    fixes = len(bound.motion.gps_ms)
    assert fixes == 1800 // 25 + 1800 // 60 - 6
    assert bound.rms_all_m == pytest.approx(math.sqrt(2.0) * 19.0 / math.sqrt(fixes), rel=0.25)


def test_axes_add_up_to_the_distance() -> None:
    shown = as_json(*found(everyone=True))
    assert isinstance(shown["partners"], dict)
    for figures in shown["partners"].values():
        axes = [figures[name] for name in ("r_m", "t_m", "n_m")]
        assert math.hypot(*axes) == pytest.approx(figures["position_rms_m"])


def test_people_and_programs_are_told_the_same(tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text("duration_s = 600\n[forces]\ngravity_degree = 8\n")
    short = ("--preset", "formation4", "--config", str(tmp_path / "short.toml"), "--formation")
    code, text = run(*short, "--json")
    assert code == 0
    told = json.loads(text)
    assert set(told["partners"]) == {"75", "76", "77"}
    code, table = run(*short)
    assert code == 0
    for partner, figures in told["partners"].items():
        (row,) = [line for line in table.splitlines() if f" {partner} " in line]
        assert f"{figures['position_rms_m']:.3f}" in row


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sense.bin", "--truth", "x", "--formation"), "--formation takes a scenario, by --config or --preset"),
        (("--preset", "nominal", "--formation"), "the scenario has no [[partners]]"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments: tuple[str, ...], message: str) -> None:
    code, output = run(*arguments)
    assert (code, output) == (2, f"pygnc bound: {message}\n")

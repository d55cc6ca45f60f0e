"""`pygnc passes` from all kinds of sources, and its errors."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.commands.passes import app
from pygnc_ground.replay import folder
from pygnc_system.files import data_file
from tests.pygnc_ground.orbit.test_passes import TLE

STATION = "48.15,11.57,520"


def passes(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture
def elements(tmp_path: Path) -> Path:
    file = tmp_path / "iss.tle"
    file.write_text("\n".join(("ISS (ZARYA)", *TLE)))
    return file


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_passes_by_elements_are_shown_and_written(suffix: str, elements: Path, tmp_path: Path) -> None:
    out = tmp_path / f"passes.{suffix}"
    found = passes(elements, "--station", STATION, "--hours", "3", "--frequency", "437e6", "--out", out)
    assert found.exit_code == ExitCode.DONE, found.output
    assert "mean elements of ISS (ZARYA) 25544 1998-067A" in found.output
    assert f"{STATION}: 1 pass\n" in found.output
    assert max(map(len, found.output.splitlines())) <= 80 or str(out) in found.output
    table = pl.read_csv(out) if suffix == "csv" else pl.read_parquet(out)
    assert table["event"].to_list() == ["rise", "culmination", "set"]
    if suffix == "parquet":
        assert pl.read_parquet_metadata(out)["table"] == "passes"


def test_the_newest_state_of_a_replay_is_predicted(tmp_path: Path) -> None:
    x = np.array((6.9e6, 0.0, 0.0, 0.0, 5000.0, 5700.0, *(0.0,) * 4))
    state = OrbitState(1_426_118_400_000, x, 1e-3 * np.eye(10))
    orientation = read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE))
    folder.write_state(tmp_path, folder.StoredState.of(state, OrbitSettings(), orientation.identification))
    found = passes(tmp_path, "--station", STATION, "--hours", "0.5")
    assert found.exit_code == ExitCode.DONE, found.output
    assert "newest state of a replay; 2025-03-15T23:59:42.000Z to 2025-03-16T00:29:42.000Z" in found.output
    early = passes(tmp_path, "--station", STATION, "--begin", "2025-03-01T00:00:00Z")
    assert early.exit_code == ExitCode.INPUT
    assert "before the newest state" in early.stderr


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ((), ExitCode.USAGE, "no station"),
        (("--station", "here"), ExitCode.INPUT, "'here'"),
        (("--station", STATION, "--out", "passes.txt"), ExitCode.USAGE, ".csv or .parquet"),
        (("--station", STATION, "--begin", "today"), ExitCode.INPUT, "today"),
        (("--station", STATION, "--stations", "missing.toml"), ExitCode.INPUT, "missing.toml"),
        (("--station", STATION, "--begin", "2093-01-01T00:00:00Z"), ExitCode.INPUT, "SGP4"),
    ],
)
def test_mistakes_are_named(words: tuple[str, ...], code: ExitCode, reason: str, elements: Path) -> None:
    found = passes(elements, *words)
    assert (found.exit_code, reason in found.stderr) == (code, True), found.stderr


@pytest.mark.parametrize("content", [b"", b"hello\n" * 20, b"CCSDS_OEM_VERS = 2.0\n", b"PAR1", b"<oem></oem>"])
def test_unknown_and_damaged_files_are_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "orbit.file"
    file.write_bytes(content)
    found = passes(file, "--station", STATION)
    assert found.exit_code == ExitCode.INPUT
    assert str(file) in found.stderr.replace("\n", "")

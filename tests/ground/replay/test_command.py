"""`pygnc replay` as a user runs it: on the demonstration, on a run's journal, through the real processes."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from pygnc.formats.sense import SenseLayout
from pygnc_ground.cli import app
from pygnc_ground.replay.tables import ORBIT_COLUMNS

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "data" / "demo"
TRUTH = DEMO / "truth.parquet"
RECORD_BYTES = SenseLayout().size
HOUR = 144


def replay(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["replay", *map(str, words)])


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration's first hour."""
    file = tmp_path_factory.mktemp("hour") / "sense.bin"
    file.write_bytes((DEMO / "sense.bin").read_bytes()[: HOUR * RECORD_BYTES])
    return file


@pytest.fixture(scope="module")
def replayed(hour: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a replay of that hour with the truth, and what was printed."""
    out = tmp_path_factory.mktemp("replayed") / "out"
    result = replay(hour, "--truth", TRUTH, "--csv", "--out", out)
    assert result.exit_code == 0, result.output
    return out, result.stdout


def test_every_table_is_written_in_both_forms(replayed: tuple[Path, str]) -> None:
    out, printed = replayed
    names = ("orbit", "orbit_smoothed", "orbit_batch", "rejected", "fixes")
    files = {f"{name}.{form}" for name in names for form in ("parquet", "csv")} | {"report.html"}
    assert {path.name for path in out.iterdir()} == files
    assert all(str(out / name) in printed for name in files)
    for name in ("orbit", "orbit_smoothed", "orbit_batch"):
        table = pl.read_parquet(out / f"{name}.parquet")
        assert tuple(table.columns) == ORBIT_COLUMNS
        assert len(table) == HOUR
        assert table.null_count().select(ORBIT_COLUMNS[:-2]).sum_horizontal().item() == 0
        csv = pl.read_csv(out / f"{name}.csv", schema=table.schema)
        assert csv.equals(table)


def test_smoother_and_batch_are_nearer_to_the_truth(replayed: tuple[Path, str]) -> None:
    lines = [line for line in replayed[1].splitlines() if "3-D RMS" in line]
    errors_m = {line.split()[0]: float(line.split(": ")[1].split()[0]) for line in lines}
    assert set(errors_m) == {"filter", "smoother", "batch"}
    assert errors_m["filter"] < 5.0
    assert errors_m["smoother"] < errors_m["filter"]
    assert errors_m["batch"] < errors_m["filter"]


def test_the_real_processes_give_the_same_bits(hour: Path, replayed: tuple[Path, str], tmp_path: Path) -> None:
    result = replay(hour, "--pipeline", "--csv", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "bit for bit" in result.stdout
    assert (tmp_path / "orbit.csv").read_bytes() == (replayed[0] / "orbit.csv").read_bytes()
    assert (tmp_path / "orbit_smoothed.csv").read_bytes() == (replayed[0] / "orbit_smoothed.csv").read_bytes()


def test_a_runs_own_journal_gives_its_estimates_again(hour: Path, replayed: tuple[Path, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "sense.bin").symlink_to(hour)
    command: list[str | Path] = [sys.executable, ROOT / "flight" / "main.py", "5", "0", "--exit-when-done"]
    subprocess.run(command, env={"HOME": str(home)}, check=True, timeout=40)
    (run,) = (home / "pygnc_logs").iterdir()
    result = replay(run, "--csv", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "orbit.csv").read_bytes() == (replayed[0] / "orbit.csv").read_bytes()


def test_the_reference_filter_runs_in_place_of_the_flights(
    hour: Path, replayed: tuple[Path, str], tmp_path: Path
) -> None:
    result = replay(hour, "--filter", "ukf", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    reference = pl.read_parquet(tmp_path / "orbit.parquet")
    ours = pl.read_parquet(replayed[0] / "orbit.parquet")
    apart_m = (reference["x_ecef_m"] - ours["x_ecef_m"]).abs()
    assert 0.0 < apart_m[HOUR // 2 :].max() < 1.0  # type: ignore[operator]


def test_range_files_bring_their_fixes(tmp_path: Path) -> None:
    alone = replay(DEMO / "sense.bin", "--out", tmp_path / "alone")
    both = replay(DEMO / "sense.bin", "--ranges", DEMO / "range", "--out", tmp_path / "both")
    counts = [int(result.stdout.split()[0]) for result in (alone, both)]
    assert counts[0] == 432
    assert counts[1] > counts[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["missing.bin"], "missing.bin: No such file or directory"),
        (["{hour}", "{hour}", "--pipeline"], "the flight takes one sense file"),
        (["{hour}", "--truth", "{hour}"], "no true orbit"),
        (["{hour}", "--ranges", "{empty}"], "holds no rng00000.bin"),
        (["{empty}"], "holds no input journal"),
        (["{hour}", "--config", "{bad}"], "no such setting: orbt"),
        (["{hour}", "--config", "{empty}/none.toml"], "no such file"),
    ],
)
def test_a_users_mistake_gets_one_line(words: list[str], says: str, hour: Path, tmp_path: Path) -> None:
    empty, bad = tmp_path / "empty", tmp_path / "bad.toml"
    empty.mkdir()
    bad.write_text("[orbt]\n")
    arguments = [word.format(hour=hour, empty=empty, bad=bad) for word in words]
    result = replay(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_without_any_fix_is_told_and_tabled(tmp_path: Path, hour: Path) -> None:
    """The receiver counts its uptime and knows no week."""
    content = bytearray(hour.read_bytes()[: 3 * RECORD_BYTES])
    for record in range(3):
        begin = record * RECORD_BYTES + 154
        content[begin : begin + 3] = bytes([20, 0, 0])
    file = tmp_path / "cold.bin"
    file.write_bytes(content)
    result = replay(file, "--csv", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("3 GPS records: 0 used, 3 not, 3 without a time")
    rejected = pl.read_csv(tmp_path / "out" / "rejected.csv")
    assert rejected["cause"].to_list() == ["no_time"] * 3
    assert rejected["offset"].to_list() == [150, 401, 652]
    assert len(pl.read_csv(tmp_path / "out" / "orbit.csv")) == 0

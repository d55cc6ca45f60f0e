import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

import pygnc
from pygnc_cli.app import app
from tests.pygnc_ground.inspection.samples import SAMPLES


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """One file of each kind."""
    paths = {kind: tmp_path / kind.replace(" ", "_") for kind in SAMPLES}
    for kind, path in paths.items():
        path.write_bytes(SAMPLES[kind])
    return paths


def test_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"pygnc {pygnc.__version__}\n"


def test_files_of_every_kind_are_shown_one_after_another(files: dict[str, Path]) -> None:
    result = CliRunner().invoke(app, ["inspect", *map(str, files.values())])
    assert result.exit_code == 0
    positions = [result.stdout.index(kind) for kind in files]
    assert positions == sorted(positions)


def test_json_has_one_object_per_line_that_names_its_file(files: dict[str, Path]) -> None:
    result = CliRunner().invoke(app, ["inspect", "--json", "--messages", "1", *map(str, files.values())])
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    kinds = {line["file"]: line["kind"] for line in lines if line["section"] == "file"}
    assert kinds == {str(path): kind for kind, path in files.items()}
    (sample,) = [line for line in lines if line["section"] == "entry" and line["kind"] == "SensorSample"]
    assert sample["fields"]["raw"] == bytes(range(30)).hex()


def test_messages_are_limited_to_the_number_asked_for(files: dict[str, Path]) -> None:
    path = str(files["run journal"])
    assert "SensorSample  seq 1" in CliRunner().invoke(app, ["inspect", "--messages", "1", path]).stdout
    assert "Event  seq 2" not in CliRunner().invoke(app, ["inspect", "--messages", "1", path]).stdout
    assert "Event  seq 2" in CliRunner().invoke(app, ["inspect", "--messages", "2", path]).stdout


def test_an_unknown_file_gives_one_error_line_and_the_others_are_shown(files: dict[str, Path], tmp_path: Path) -> None:
    unknown = tmp_path / "unknown"
    unknown.write_bytes(b"MZ\x90\x00")
    result = CliRunner().invoke(app, ["inspect", str(unknown), str(files["info text"])])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"pygnc: {unknown}: unknown kind of file; supported: run journal, status file")
    assert line.endswith("It begins with 4d 5a 90 00")
    assert "info text" in result.stdout


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "No such file or directory"),
        ("empty", "the file is empty"),
        ("empty/below", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("/dev/zero", "neither a file nor a folder"),
    ],
)
def test_an_unreadable_file_gives_one_error_line(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "empty").touch()
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / name)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"pygnc: {tmp_path / name}: {reason}")
    assert result.stderr.count("\n") == 1


def test_a_wholly_damaged_file_is_a_failure_in_both_forms(tmp_path: Path) -> None:
    (tmp_path / "status").write_bytes(SAMPLES["status file"][:-1])
    for form in ([], ["--json"]):
        assert CliRunner().invoke(app, ["inspect", *form, str(tmp_path / "status")]).exit_code == 1


def test_a_reader_that_stops_reading_gets_no_traceback(files: dict[str, Path]) -> None:
    program = "from pygnc_cli.app import app; app()"
    many = [str(files["sense file"])] * 30
    with subprocess.Popen(
        [sys.executable, "-c", program, "inspect", "--json", *many], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""


def test_inspect_works_without_the_scenario_library() -> None:
    program = "import sys, pygnc_cli.app; sys.exit('brahe' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_scenario_passes_its_arguments_on(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = typer.Typer()

    @commands.command()
    def make(config: Annotated[Path, typer.Option(help="Settings.")]) -> None:
        typer.echo(f"made of {config.name}")

    @commands.command()
    def presets() -> None:
        typer.echo("calm")

    monkeypatch.setitem(sys.modules, "pygnc_ground.commands.scenario", SimpleNamespace(app=commands))
    result = CliRunner().invoke(app, ["scenario", "make", "--config", "x.toml"])
    assert (result.exit_code, result.stdout) == (0, "made of x.toml\n")
    assert CliRunner().invoke(app, ["scenario", "presets"]).stdout == "calm\n"
    assert "--config" in CliRunner().invoke(app, ["scenario", "make", "--help"]).stdout
    assert CliRunner().invoke(app, ["scenario", "make"]).exit_code == 2
    assert CliRunner().invoke(app, ["scenario", "nonsense"]).exit_code == 2


def test_scenario_without_its_library_names_the_extra() -> None:
    program = "import sys; sys.modules['brahe'] = None; from pygnc_cli.app import app; app(['scenario', 'make'])"
    result = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == "pygnc: `scenario` needs the library brahe: pip install 'pygnc[scenario]'\n"

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pygnc_system
from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.subcommands import BUILT_IN
from tests.other_packages import OtherPackage
from tests.pygnc_command import app
from tests.pygnc_ground.inspection.samples import SAMPLES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """One file of each kind."""
    paths = {kind: tmp_path / kind.replace(" ", "_") for kind in SAMPLES}
    for kind, path in paths.items():
        path.write_bytes(SAMPLES[kind])
    return paths


def test_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"pygnc {pygnc_system.__version__}\n"


def test_the_list_of_subcommands_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = CliRunner().invoke(app, ["--help"]).stdout.splitlines()
    assert max(map(len, lines)) <= 60
    assert "                  replay it, and write a report." in lines


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
    assert result.exit_code == ExitCode.INPUT
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
    assert result.exit_code == ExitCode.INPUT
    assert result.stderr.startswith(f"pygnc: {tmp_path / name}: {reason}")
    assert result.stderr.count("\n") == 1


def test_a_wholly_damaged_file_is_a_failure_in_both_forms(tmp_path: Path) -> None:
    (tmp_path / "status").write_bytes(SAMPLES["status file"][:-1])
    for form in ([], ["--json"]):
        assert CliRunner().invoke(app, ["inspect", *form, str(tmp_path / "status")]).exit_code == ExitCode.INPUT


def test_a_reader_that_stops_reading_gets_no_traceback(files: dict[str, Path]) -> None:
    program = "import sys; from pygnc_cli.app import main; sys.exit(main())"
    many = [str(files["sense file"])] * 30
    with subprocess.Popen(
        [sys.executable, "-c", program, "inspect", "--json", *many], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("arguments", [["--help"], ["fly", "--help"]])
def test_an_output_that_nobody_reads_gives_no_traceback(arguments: list[str]) -> None:
    program = "import sys; from pygnc_cli.app import main; sys.exit(main())"
    unread, output = os.pipe()
    os.close(unread)
    command = [sys.executable, "-c", program, *arguments]
    ended = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, check=False)
    os.close(output)
    assert (ended.returncode, ended.stderr) == (ExitCode.DONE, b"")


def test_inspect_works_without_the_scenario_library() -> None:
    program = "import sys, pygnc_cli.app; sys.exit('brahe' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def loaded_by(*modules: str) -> set[str]:
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_subcommands_start_without_libraries_that_take_half_a_second() -> None:
    names = ("bound", "calibrate_mag", "campaign", "export", "gate", "identify", "inspect", "orbit", "passes", "replay")
    loaded = loaded_by(*(f"pygnc_ground.commands.{name}" for name in names))
    assert not {"filterpy", "matplotlib", "scipy.signal", "scipy.stats"} & loaded


@pytest.mark.parametrize("name", ["export", "orbit", "passes"])
def test_subcommands_start_without_scipy(name: str) -> None:
    assert "scipy" not in loaded_by(f"pygnc_ground.commands.{name}")


@pytest.mark.parametrize("name", ["calibrate_mag", "replay", "scenario"])
def test_the_help_of_the_first_steps_needs_no_numerics(name: str) -> None:
    assert not {"numpy", "polars", "scipy"} & loaded_by(f"pygnc_ground.commands.{name}")


class Packages:
    """Folder of packages of other authors, and `pygnc` with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, source: str, distribution: str = "pygnc-other", version: str = "1.0") -> None:
        other = OtherPackage({"pygnc.commands": {name: "other:greet"}}, {"other": source}, distribution, version)
        extras = (("brahe-like", "clusters"), ("dask", "clusters"), ("brahe-like", "orbits"))
        requires = "\nRequires-Dist: ".join(f'{library}>=1; extra == "{extra}"' for library, extra in extras)
        other.install(self.folder, summary="Greets", requires=requires)

    def pygnc(self, *words: str, alone: bool = False) -> subprocess.CompletedProcess[str]:
        """Run `pygnc`; alone: without the distributions of the environment."""
        program = "import sys; from pygnc_cli.app import main; sys.exit(main())"
        paths = os.pathsep.join(map(str, (self.folder, ROOT / "flight", ROOT / "ground")))
        command = [sys.executable, *(["-S"] if alone else []), "-c", program, *words]
        environment = os.environ | {"PYTHONPATH": paths}
        return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    return Packages(tmp_path)


GREET = "def greet(words, *, prog_name):\n    print(words, prog_name)\n    return 7\n"


def test_a_subcommand_gets_its_arguments_and_decides_the_exit_code(packages: Packages) -> None:
    packages.add("greet", GREET)
    done = packages.pygnc("greet", "a", "--b")
    assert (done.returncode, done.stdout) == (7, "['a', '--b'] pygnc greet\n")


def test_help_lists_what_is_installed_with_the_packages_of_others(packages: Packages) -> None:
    assert "greet" not in packages.pygnc("--help").stdout
    packages.add("greet", "raise RuntimeError('never imported')")
    listed = packages.pygnc("--help").stdout
    assert "greet           Greets (pygnc-other)" in listed
    assert {word for line in listed.splitlines() if line.startswith("  ") for word in line.split()[:1]} > {*BUILT_IN}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "raise RuntimeError('out of cheese')",
            "`greet` of pygnc-other 1.0 cannot be loaded: RuntimeError: out of cheese",
        ),
        ("import nothing_such", "`greet` needs the library nothing_such: pip install nothing_such"),
        ("import brahe_like.part", "`greet` needs the library brahe_like: pip install 'pygnc-other[orbits]'"),
        ("def greet(words, *, prog_name): import nothing_such", "`greet` needs the library nothing_such"),
    ],
)
def test_a_broken_subcommand_is_named_and_the_others_work(packages: Packages, source: str, reason: str) -> None:
    packages.add("greet", source)
    done = packages.pygnc("greet")
    assert (done.returncode, done.stderr.count("\n")) == (ExitCode.FAILURE, 1)
    assert done.stderr.startswith(f"pygnc: {reason}")
    assert packages.pygnc("export", "--help").returncode == 0


def test_another_package_does_not_replace_a_subcommand_of_ours(packages: Packages) -> None:
    packages.add("inspect", GREET)
    for words in (["inspect", "--help"], ["--help"]):
        done = packages.pygnc(*words)
        assert done.returncode == 0
        assert "`inspect` of pygnc-other 1.0 is ignored: " in done.stderr
    assert packages.pygnc("export", "--help").stderr == ""


def test_a_distribution_of_another_version_is_refused(packages: Packages) -> None:
    packages.add("export", GREET, "pygnc-ground", "9.9")
    done = packages.pygnc("export", alone=True)
    assert done.returncode == ExitCode.FAILURE
    assert f"pygnc-ground 9.9 does not work with pygnc-devices {pygnc_system.__version__}" in done.stderr


def test_a_subcommand_that_is_not_installed_names_its_distribution(packages: Packages) -> None:
    done = packages.pygnc("replay", alone=True)
    assert (done.returncode, done.stderr) == (
        ExitCode.USAGE,
        "pygnc: replay needs pygnc-ground: pip install pygnc-ground\n",
    )


def test_an_unknown_subcommand_names_the_nearest(packages: Packages) -> None:
    done = packages.pygnc("reply")
    assert (done.returncode, done.stderr) == (ExitCode.USAGE, "pygnc: no subcommand 'reply'; did you mean replay?\n")


def test_no_arguments_print_the_help_as_an_error_of_usage(packages: Packages) -> None:
    assert packages.pygnc().returncode == ExitCode.USAGE

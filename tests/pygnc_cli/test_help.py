"""Help of all subcommands."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.subcommands import BUILT_IN, installed
from pygnc_system.plugins import load
from tests.pygnc_command import app as app_of_all

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DISTRIBUTIONS = PROJECT["tool"]["pygnc"]["distributions"]
WITHOUT = """
import sys
sys.modules |= dict.fromkeys(sys.argv[2:])
import typer
from pygnc_cli.subcommands import BUILT_IN, installed
from pygnc_system.plugins import load

def show(top, command, words):
    top.main([*words, "--help"], prog_name="pygnc", standalone_mode=False)
    for name, below in getattr(command, "commands", {}).items():
        show(top, below, [*words, name])

for name, entry in installed().entries.items():
    if name in BUILT_IN and BUILT_IN[name].distribution == sys.argv[1]:
        command = typer.main.get_command(load(entry))
        show(command, command, [])
"""
"""Program that shows the help of all subcommands of a distribution without some libraries."""


def required(name: str) -> set[str]:
    """Return the libraries of a distribution without extras."""
    libraries = DISTRIBUTIONS[name]["requires"]
    return {one for library in libraries for one in (required(library) if library in DISTRIBUTIONS else {library})}


@pytest.mark.parametrize("name", ["pygnc-ground", "pygnc-station"])
def test_help_needs_no_extra(name: str) -> None:
    optional = {library for extra in DISTRIBUTIONS[name]["extras"].values() for library in extra} - required(name)
    assert optional
    done = subprocess.run([sys.executable, "-c", WITHOUT, name, *optional], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_of_the_ground_imports_no_library_that_takes_long() -> None:
    slow = ["brahe", "erfa", "matplotlib", "numpy", "polars", "satkit", "scipy"]
    words = [sys.executable, "-c", WITHOUT, "pygnc-ground", *slow]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def commands(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401 - Typer's
    """Yield the words and the command of each subcommand and group."""
    yield path, command
    for name, one in sorted(getattr(command, "commands", {}).items()):  # workers import the modules in other orders
        yield from commands((*path, name), one)


ALL = dict(
    each
    for name, entry in installed().entries.items()
    if isinstance(app := load(entry), typer.Typer) and name in BUILT_IN
    for each in commands((name,), typer.main.get_command(app))
)
COMMANDS = {path: command for path, command in ALL.items() if not hasattr(command, "commands")}
GROUPS = {path: command for path, command in ALL.items() if hasattr(command, "commands")}


def test_all_subcommands_are_described() -> None:
    assert BUILT_IN.keys() == PROJECT["project"]["entry-points"]["pygnc.commands"].keys()


def test_all_subcommands_are_looked_at() -> None:
    assert {path[0] for path in COMMANDS} == BUILT_IN.keys() - {"fly"}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_example_of_a_subcommand_is_valid(path: tuple[str, ...]) -> None:
    words = shlex.split(COMMANDS[path].epilog.removeprefix("sudo "))
    assert tuple(words[: len(path) + 1]) == ("pygnc", *path)
    COMMANDS[path].make_context(" ".join(path), words[len(path) + 1 :])


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_help_of_subcommands_has_one_look(path: tuple[str, ...]) -> None:
    text = CliRunner().invoke(app_of_all, [*path, "--help"], terminal_width=100).stdout
    assert text.startswith(f"Usage: pygnc {' '.join(path)} [OPTIONS]")
    assert f"\nExample:\n  {COMMANDS[path].epilog}\n" in text
    assert not re.search(r"[│╭]|\\\[|<\w+>|\b(INTEGER|FLOAT)\b", text, re.MULTILINE)
    for parameter in COMMANDS[path].params:
        assert parameter.help, parameter.name
        assert getattr(parameter, "is_flag", False) or parameter.metavar or parameter.param_type_name == "argument"


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_a_group_lists_whole_summaries_and_has_a_valid_example(path: tuple[str, ...]) -> None:
    text = CliRunner().invoke(app_of_all, [*path, "--help"], terminal_width=60).stdout
    assert not re.search(r"\w\.\.\.$", text.partition("Commands:")[2], re.MULTILINE)
    example = GROUPS[path].epilog
    assert f"\nExample:\n  {example}\n" in text
    words = shlex.split(example)[1 + len(path) :]
    assert tuple(shlex.split(example)[1 : 1 + len(path)]) == path
    name, *rest = words if words[0] in GROUPS[path].commands else [next(iter(GROUPS[path].commands)), *words]
    GROUPS[path].commands[name].make_context(name, rest)


def test_an_option_has_one_meaning_in_all_subcommands() -> None:
    values: dict[str, set[str]] = {}
    for path, command in COMMANDS.items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.is_flag:
                values.setdefault(parameter.opts[0], set()).add(parameter.metavar)
                assert "--satellite" not in parameter.opts or path[0] in {"replay", "gate"}
    several = {
        "--as": {"opm|oem|omm|tle|aem|cdm|mcap|prediction|starlink|aws", "xtce|c|markdown"},
        "--out": {"PATH", "FOLDER"},
        "--partner-truth": {"NAME=FILE", "PATH"},  # of one of several partners; of the partner
        "--port": {"N", "PORT"},  # of TCP; of a device
        "--server": {"TEXT", "URL"},
        "--to": {"NAME", "URL"},
    }
    assert {name: found for name, found in values.items() if len(found) > 1} == several
    assert values["--satellite"] == {"NAME=FOLDER"}


@pytest.mark.parametrize(
    "words",
    [
        ["bound"],
        ["bound", "sense.bin"],
        ["bound", "--formation", "sense.bin", "--truth", "truth.parquet"],
        ["bound", "--preset", "nothing"],
        ["campaign", "run", "campaign.toml", "--out", "results", "--workers", "1", "--scheduler", "tcp://127.0.0.1:1"],
        ["device", "simulate", "openimu"],
        ["device", "simulate", "nothing", "--pty", "port"],
        ["device", "set", "port", "rate"],
        ["device", "stream", "port", "--family", "nothing"],
        ["device", "stream", "port", "--csv", "--json"],
        ["gate", "add", "corpus", "name"],
        ["replay", "--out", "replayed"],
        ["replay", "a.bin", "--satellite", "A=.", "--out", "replayed"],
        ["replay", "--satellite", "A", "--satellite", "B=b", "--out", "replayed"],
        ["replay", "a.bin", "--partner-truth", "75=b", "--out", "replayed"],
        ["replay", "a.bin", "--filter", "nothing", "--out", "replayed"],
        ["scenario", "make", "--out", "batch"],
        ["scenario", "make", "--preset", "nothing", "--out", "batch"],
        ["station", "export", "readings", "--since", "yesterday"],
    ],
    ids=" ".join,
)
def test_an_error_of_usage_exits_with_2(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app_of_all, words)
    assert done.exit_code == ExitCode.USAGE, done.output
    assert "Traceback" not in done.stderr

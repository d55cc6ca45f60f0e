"""Completion in real shells: it is installed as users do, and the Tab key is pressed on a terminal."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from pygnc.launch.arguments import USAGE, parse
from pygnc.launch.options import OPTIONS
from pygnc.launch.service import _parser
from pygnc_cli.app import main
from pygnc_cli.subcommands import BUILT_IN
from tests.fakes.terminal import Terminal
from tests.other_packages import OtherPackage
from tests.pygnc_command import app

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "ready>"
START = {
    "bash": ["bash", "-i"],
    "zsh": ["zsh", "-i"],
    "fish": ["fish", "--interactive", "--init-command", f"function fish_prompt; echo -n '{PROMPT}'; end"],
}
SUBCOMMANDS = [["station"], ["device"], ["scenario"], ["station", "gateways"]]


def variables(home: Path, *folders: Path) -> dict[str, str]:
    paths = os.pathsep.join(map(str, (*folders, ROOT / "flight", ROOT / "ground")))
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    kept = {name: value for name, value in os.environ.items() if name not in {"ZDOTDIR", "XDG_CONFIG_HOME"}}
    shown = {"TERM": "vt100", "COLUMNS": "200"}
    return kept | shown | {"HOME": str(home), "PATH": programs, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(params=START)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"no {name}: apt-get install {name}")
    command = [name, "-c", "pygnc --install-completion; true"]  # a single command would replace the shell
    done = subprocess.run(command, env=variables(tmp_path), capture_output=True, text=True, check=True)
    assert f"{name} completion installed in {tmp_path}" in done.stdout
    for settings in tmp_path.glob(".*shrc"):
        with settings.open("a") as file:
            file.write(f"\nPS1='{PROMPT}'\n")
    return name


@pytest.mark.slow
@pytest.mark.timeout(300)  # each key starts Python
def test_the_tab_key_completes_subcommands_and_options(shell: str, tmp_path: Path) -> None:
    (tmp_path / "my settings.toml").touch()
    with Terminal(START[shell], variables(tmp_path), tmp_path) as terminal:
        for typed, completed in (
            ("pygnc calib\t", "rate-mag"),
            ("pygnc fly 60 0 --from\t", "-last-run"),
            ("pygnc station gate\t", "ways"),
            ("pygnc replay --earth\t", "-orientation"),
            ("pygnc device simulate --sec\t", "onds"),
        ):
            terminal.wait_for(PROMPT)
            terminal.type(typed)
            terminal.wait_for(completed)
            terminal.type("\x15\n")  # clear the line


def request(words: list[str]) -> dict[str, str]:
    """Return the variables with which fish asks for the completions of the last word."""
    action = {"_PYGNC_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return action | {"_TYPER_COMPLETE_ARGS": " ".join(["pygnc", *words])}


def completions_with(folder: Path, words: list[str]) -> list[str]:
    """Return what fish would show for the last word with the packages of a folder."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from pygnc_cli.app import main; sys.exit(main())"],
        env=variables(folder, folder) | request(words),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return [one.partition("\t")[0] for one in done.stdout.splitlines() if one]


def completions(words: list[str]) -> list[str]:
    """Return what fish would show for the last word; in this process, which has imported most subcommands."""
    with (
        patch.dict(os.environ, request(words)),
        redirect_stdout(StringIO()) as printed,
        redirect_stderr(StringIO()) as errors,
        pytest.raises(SystemExit) as ended,
    ):
        main([])
    assert (ended.value.code, errors.getvalue()) == (0, "")
    return [one.partition("\t")[0] for one in printed.getvalue().splitlines() if one]


@pytest.mark.slow
@pytest.mark.parametrize("words", [[name] for name in BUILT_IN] + SUBCOMMANDS, ids=" ".join)
def test_every_subcommand_completes_its_own_options(words: list[str]) -> None:
    found = set(completions([*words, "--"]))
    assert not {"--install-completion", "--show-completion"} & found
    if words == ["fly"]:
        assert found == {option.partition(" ")[0] for option in OPTIONS}
    else:
        assert "--help" in found
    if words in SUBCOMMANDS:
        listed = CliRunner().invoke(app, [*words, "--help"], terminal_width=200).output
        assert all(f" {name} " in listed for name in completions([*words, ""]))


def test_the_options_of_fly_are_those_of_its_parsers() -> None:
    names = {option.partition(" ")[0] for option in OPTIONS}
    offered = set(re.findall(r"--[a-z-]+", USAGE + _parser().format_help()))
    assert names == offered
    for option in OPTIONS:
        name, _, value = option.partition(" ")
        if f"[{option}]" in USAGE:
            parse(["60", "0", name, *([value] if value else [])])


@pytest.mark.slow
def test_another_package_may_describe_its_options(tmp_path: Path) -> None:
    modules = {"plain": "OPTIONS = {'--speed NUMBER': 'Speed.', '--quiet': 'Print nothing.'}\ndef run(*_, **__): ..."}
    groups = {"pygnc.commands": {"plain": "plain:run"}, "pygnc.options": {"plain": "plain:OPTIONS"}}
    OtherPackage(groups, modules).install(tmp_path)
    assert completions_with(tmp_path, ["plain", "--"]) == ["--speed", "--quiet"]
    OtherPackage({"pygnc.commands": {"broken": "broken:run"}}, {"broken": "1 / 0"}, "z").install(tmp_path)
    assert completions_with(tmp_path, ["broken", "--"]) == []

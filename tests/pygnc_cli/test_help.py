"""Help of all subcommands."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pygnc"]["distributions"]
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

"""docs/station.md matches the program: its settings are accepted, its commands exist."""

import re
import tomllib
from pathlib import Path

import pytest
import typer

from pygnc_station.commands.main import app
from pygnc_station.settings import settings_of

TEXT = (Path(__file__).resolve().parents[3] / "docs/station.md").read_text()
SETTINGS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = sorted(set(re.findall(r"pygnc station ([a-z-]+)", TEXT)))


@pytest.mark.parametrize("text", SETTINGS, ids=range(len(SETTINGS)))
def test_documented_settings_are_accepted(text: str) -> None:
    assert settings_of(tomllib.loads(text), "docs/station.md")


def test_documentation_covers_exactly_the_existing_commands() -> None:
    group = typer.main.get_group(app)
    assert set(COMMANDS) == set(group.commands)

"""Modules that `pygnc station` imports."""

import subprocess
import sys

import typer

from pygnc_cli.application import OnDemand
from pygnc_station.commands.common import registry
from pygnc_station.commands.main import app

COMMAND = """
import sys
from pygnc_station.commands.main import app
app(["families"], standalone_mode=False)
print(*sorted(name for name in sys.modules if name.startswith("pygnc_station.commands.")))
print(*sorted({"httpx", "sqlalchemy"} & sys.modules.keys()))
"""


def test_a_command_imports_its_own_module_only() -> None:
    shown = subprocess.run([sys.executable, "-c", COMMAND], capture_output=True, text=True, check=True).stdout
    *_, modules, libraries = shown.splitlines()
    assert modules.split() == [f"pygnc_station.commands.{name}" for name in ("common", "devices", "main")]
    assert libraries == "sqlalchemy"


def test_each_command_is_listed_with_its_module() -> None:
    group = typer.main.get_group(app)
    assert isinstance(group, OnDemand)
    assert set(group.commands) == {name for names in group.modules.values() for name in names}
    for command in registry.registered_commands:
        assert command.callback
        name = command.name or command.callback.__name__
        assert name in group.modules[command.callback.__module__]

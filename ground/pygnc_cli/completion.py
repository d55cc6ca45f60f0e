"""Completion of all subcommands by the shell, made by Typer."""

from typing import Any

import typer
from typer.core import TyperGroup

from pygnc_cli.app import installed, summary
from pygnc_devices.plugins import PluginError, load


class _Subcommands(TyperGroup):
    """The installed subcommands; one is imported when the shell completes its arguments."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - Typer's signature
        return list(installed().entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - Typer's signature
        entry = installed().entries.get(cmd_name)
        if entry is None:
            return None
        try:
            command = load(entry)
        except PluginError:
            command = None
        if isinstance(command, typer.Typer):
            return typer.main.get_command(command)
        plain = typer.Typer()
        plain.command(name=cmd_name, help=summary(cmd_name, entry))(lambda: None)
        return typer.main.get_command(plain)


def complete(arguments: list[str]) -> None:
    """Answer the shell's request for completions, or print or install its completion script."""
    app = typer.Typer(cls=_Subcommands)
    app.callback()(lambda: None)
    app(arguments, prog_name="pygnc")

"""Completion of all subcommands by the shell, made by Typer."""

from collections.abc import Mapping
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from pygnc_cli.subcommands import installed, summary
from pygnc_system import plugins
from pygnc_system.plugins import PluginError, load

OPTIONS: Final = "pygnc.options"
"""Group of the entry points that describe the options of subcommands without Typer, by the name of the subcommand."""
_ZSH_CALL: Final = "\n\n_pygnc_completion\n"
_PATHS: Final = frozenset({"FILE", "FOLDER"})


class _Subcommands(TyperGroup):
    """Installed subcommands; a subcommand is imported only when the shell completes its arguments."""

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
        plain = typer.Typer(add_completion=False)
        described = plain.command(name=cmd_name, help=summary(cmd_name, entry), add_help_option=False)
        described(_function_with(_options(cmd_name)))
        return typer.main.get_command(plain)


def _options(name: str) -> Mapping[str, str]:
    """Return the options of a subcommand without Typer; {} if no entry point describes them."""
    entry = plugins.installed(OPTIONS).entries.get(name)
    try:
        return {} if entry is None else plugins.load_as(entry, dict)
    except PluginError:
        return {}


def _function_with(options: Mapping[str, str]) -> Any:  # noqa: ANN401 - a function with parameters made here
    """Return a function from whose parameters Typer makes the options, and any number of arguments."""
    any_words = Annotated[list[str] | None, typer.Argument()]
    parameters = [Parameter("arguments", Parameter.KEYWORD_ONLY, default=None, annotation=any_words)]
    for number, (words, description) in enumerate(options.items()):
        option, _, value = words.partition(" ")
        kind: Any = bool if not value else Path if value in _PATHS else str
        annotation = Annotated[kind, typer.Option(option, help=description)]
        parameters.append(Parameter(f"option_{number}", Parameter.KEYWORD_ONLY, default=None, annotation=annotation))

    def function(**_: object) -> None:
        """Do nothing; Typer reads only the parameters."""

    function.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


def complete(arguments: list[str]) -> None:
    """Answer the shell's request for completions, or print or install its completion script."""
    app = typer.Typer(cls=_Subcommands)
    app.callback()(lambda: None)
    try:
        app(arguments, prog_name="pygnc")
    finally:
        if arguments[:1] == ["--install-completion"]:
            _complete_zsh_function()


def _complete_zsh_function() -> None:
    """Append a call to the zsh function that Typer installs; without it, the first completion only defines it."""
    script = Path.home() / ".zfunc" / "_pygnc"
    if script.is_file() and not (text := script.read_text(encoding="utf-8")).endswith(_ZSH_CALL):
        script.write_text(text.rstrip() + _ZSH_CALL, encoding="utf-8")

"""Reference of all subcommands of `pygnc`, from their declarations in the code."""

import inspect
import re
from pathlib import PurePath
from typing import Any, Final

import typer

from pygnc_cli.application import argument_name, argument_usage
from pygnc_cli.subcommands import BUILT_IN, installed
from pygnc_system import plugins

_SPACE: Final = re.compile(r"\s+")


def command_page() -> str:
    """Return the page with all subcommands of this installation, their arguments and options."""
    about = "[The `pygnc` command](../commands.md) describes distributions and exit codes."
    parts = ["# Commands", f"Every subcommand of `pygnc` with its arguments and options. {about}"]
    entries = installed().entries
    for name, built_in in BUILT_IN.items():
        subcommand = plugins.load(entries[name])
        if isinstance(subcommand, typer.Typer):
            parts += _sections(f"pygnc {name}", typer.main.get_command(subcommand), 2)
        else:
            parts += [f"## pygnc {name}", built_in.description, "[Interface](../interface.md) describes its arguments."]
    return "\n\n".join(parts) + "\n"


def _sections(name: str, command: Any, level: int) -> list[str]:  # noqa: ANN401 - a command of the click that Typer contains
    """Return the section of a command, and those of its subcommands."""
    parts = [f"{'#' * level} {name}", _text(inspect.cleandoc(command.help or ""))]
    subcommands = getattr(command, "commands", {})
    if not subcommands:
        usage = " ".join(piece for parameter in command.params if (piece := _usage(parameter)))
        parts.append(f"```\n{name} {usage}".rstrip() + f"\n```\n\nExample: `{command.epilog}`")
    rows = [row for parameter in command.params if (row := _row(parameter))]
    if rows:
        parts.append("| argument or option | default | meaning |\n|---|---|---|\n" + "\n".join(rows))
    for below, subcommand in sorted(subcommands.items()):
        parts += _sections(f"{name} {below}", subcommand, min(level + 1, 3))
    return [part for part in parts if part]


def _usage(parameter: Any) -> str:  # noqa: ANN401 - a parameter of the same
    if parameter.param_type_name != "argument":
        return "" if not parameter.required else f"{_long(parameter)} {parameter.metavar}"
    return argument_usage(parameter)


def _row(parameter: Any) -> str:  # noqa: ANN401 - a parameter of the same
    if parameter.name in {"help", "install_completion", "show_completion"} or getattr(parameter, "hidden", False):
        return ""
    if parameter.param_type_name == "argument":
        label = f"`{argument_name(parameter)}`"
    else:
        metavar = "" if parameter.is_flag else f" {parameter.metavar}"
        names = [*parameter.opts, *parameter.secondary_opts]
        label = ", ".join(f"`{name}{metavar if name.startswith('--') else ''}`" for name in names)
    default = parameter.default
    shown = "required" if parameter.required else ""
    if default not in (None, "", False, (), []) and isinstance(default, int | float | str | PurePath):
        shown = f"`{default}`"
    return f"| {label} | {shown} | {_text(parameter.help or '')} |"


def _long(parameter: Any) -> str:  # noqa: ANN401 - a parameter of the same
    return max(map(str, parameter.opts), key=len)


def _text(text: str) -> str:
    """Return a help text in one line, with characters escaped that Markdown would interpret."""
    text = _SPACE.sub(" ", text.replace("\b", "")).strip()
    pieces = text.split("`")
    pieces[::2] = [re.sub(r"([<>*_|$\[\]])", r"\\\1", piece) for piece in pieces[::2]]
    pieces[1::2] = [piece.replace("|", "\\|") for piece in pieces[1::2]]
    return "`".join(pieces)

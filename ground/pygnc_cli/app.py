"""`pygnc`: runs the subcommands of all installed distributions, each loaded on demand with its own libraries."""

import os
import sys

# OpenBLAS threads slow small matrices down, tenfold on a busy machine. This must be set before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Sequence
from shutil import get_terminal_size
from textwrap import fill
from typing import Final

import pygnc_system
from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.subcommands import BUILT_IN, Subcommand, installed, summary
from pygnc_system import plugins
from pygnc_system.plugins import PluginError

_COMPLETION: Final = "_PYGNC_COMPLETE"
"""Set by the shell when it asks for completions."""
_OPTIONS: Final = {
    "--help": "Show this list and exit.",
    "--version": "Show the version and exit.",
    "--show-completion": "Print the completion script for this shell.",
    "--install-completion": "Install completion for this shell.",
}


class CommandError(Exception):
    """Error raised when a subcommand cannot be run; the message names the remedy."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILURE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the arguments name, by default those of the process; return the exit code."""
    try:
        try:
            return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE


def _dispatch(words: list[str]) -> int:
    first = words[0] if words else ""
    try:
        if _COMPLETION in os.environ or first in {"--show-completion", "--install-completion"}:
            _complete(words)
        elif first == "--version":
            sys.stdout.write(f"pygnc {pygnc_system.__version__}\n")
        elif first in {"", "--help", "-h"}:
            sys.stdout.write(_help())
            return ExitCode.DONE if first else ExitCode.USAGE
        else:
            return _run(first, words[1:])
    except CommandError as error:
        sys.stderr.write(f"pygnc: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.DONE


def _run(name: str, arguments: list[str]) -> int:
    entries, clashes = installed()
    if name in clashes:
        plugins.report(clashes[name])
    entry = entries.get(name)
    if entry is None:
        raise CommandError(_unknown(name), ExitCode.USAGE)
    try:
        command: Subcommand = plugins.load(entry)
        code = command(arguments, prog_name=f"pygnc {name}")
    except PluginError as error:
        raise CommandError(str(error)) from error
    except ModuleNotFoundError as error:  # a library that only a part of the subcommand uses
        raise CommandError(plugins.missing_library(entry, error)) from error
    return code if isinstance(code, int) else 0


def _unknown(name: str) -> str:
    if name in BUILT_IN:
        distribution = BUILT_IN[name].distribution
        return f"{name} needs {distribution}: pip install {distribution}"
    import difflib  # noqa: PLC0415 - takes a tenth of the time of --help

    (nearest, *_) = [*difflib.get_close_matches(name, [*installed().entries, *BUILT_IN], 1), ""]
    return f"no subcommand {name!r}; " + (f"did you mean {nearest}?" if nearest else "see pygnc --help")


def _complete(words: list[str]) -> None:
    try:
        from pygnc_cli.completion import complete  # noqa: PLC0415 - needs Typer
    except ModuleNotFoundError as error:
        raise CommandError(f"completion needs the library {error.name}: pip install {error.name}") from error
    complete(words)


def _help() -> str:
    """Return the text of --help, which lists what is installed."""
    entries, clashes = installed()
    for clash in clashes.values():
        plugins.report(clash)
    texts = {name: summary(name, entry) for name, entry in entries.items()}
    ordered = [name for name in BUILT_IN if name in texts] + sorted(set(texts) - set(BUILT_IN))
    lines = ["Usage: pygnc SUBCOMMAND [ARGUMENTS]", "", "Orbit, attitude and formation estimates, and sensors.", ""]
    lines += ["Subcommands (pygnc SUBCOMMAND --help shows more):"]
    lines += [_row(name, texts[name], 18) for name in ordered]
    lines += ["", "Options:", *(_row(name, text, 25) for name, text in _OPTIONS.items())]
    return "\n".join(lines) + "\n"


def _row(name: str, text: str, indent: int) -> str:
    """Return a name and its description, in lines as wide as the terminal."""
    width = min(100, get_terminal_size().columns)
    return fill(text, width, initial_indent=f"  {name:{indent - 2}}", subsequent_indent=" " * indent)

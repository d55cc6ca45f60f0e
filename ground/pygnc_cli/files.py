"""Output of commands that write files: paths and sizes of the files, and user errors as a single line."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.text import printable


@contextmanager
def report_user_errors(command: str) -> Iterator[None]:
    """Print an OSError or ValueError as a single line on standard error and exit with `ExitCode.INPUT`."""
    try:
        yield
    except (OSError, ValueError) as error:
        typer.echo(f"{command}: {printable(reason_of(error))}", err=True)
        raise typer.Exit(ExitCode.INPUT) from None


def reason_of(error: Exception) -> str:
    """Return the message of an error; for an OSError, the file and what is wrong with it."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)


def echo_files(paths: Iterable[Path]) -> None:
    """Print the path and size of each file."""
    for path in paths:
        typer.echo(f"{path}  {path.stat().st_size} bytes")

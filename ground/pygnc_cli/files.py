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
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        typer.echo(f"{command}: {printable(reason)}", err=True)
        raise typer.Exit(ExitCode.INPUT) from None


def echo_files(paths: Iterable[Path]) -> None:
    """Print the path and size of each file."""
    for path in paths:
        typer.echo(f"{path}  {path.stat().st_size} bytes")

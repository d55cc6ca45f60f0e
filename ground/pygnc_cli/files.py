"""Output of commands: user errors as a single line, and paths and sizes of the files that they write."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer

from pygnc_cli.exit_codes import ExitCode, UsageError
from pygnc_cli.text import printable, reason_of

_FILE_ERRORS: Final[Mapping[type[Exception], ExitCode]] = {
    ConnectionError: ExitCode.NETWORK,
    OSError: ExitCode.INPUT,
    ValueError: ExitCode.INPUT,
}


@contextmanager
def report_user_errors(command: str, codes: Mapping[type[Exception], ExitCode] = _FILE_ERRORS) -> Iterator[None]:
    """Print a UsageError, or one of the types in `codes`, as a single line on standard error; exit with its code.

    The command ends quietly if the reader of its output, such as `head`, has ended.
    """
    codes = {UsageError: ExitCode.USAGE, **codes}
    try:
        yield
    except BrokenPipeError:
        sys.stdout = None  # Python would try to flush it at the end
        raise typer.Exit(ExitCode.DONE) from None
    except tuple(codes) as error:
        typer.echo(f"{command}: {printable(reason_of(error))}", err=True)
        raise typer.Exit(next(code for kind, code in codes.items() if isinstance(error, kind))) from None


def echo_files(paths: Iterable[Path]) -> None:
    """Print the path and size of each file."""
    for path in paths:
        typer.echo(f"{path}  {path.stat().st_size} bytes")

"""`pygnc inspect`: show the content of files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pygnc_cli.application import Application
from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.text import cause_of, printable

if TYPE_CHECKING:
    from rich.console import Console

app: Final = Application()


@app.command(example="pygnc inspect --messages 3 ~/pygnc_logs/run-00001")
def inspect_files(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE", help="Files or folders to show, of any name.")],
    *,
    messages: Annotated[
        int, typer.Option("--messages", metavar="N", min=0, help="Also print the first N messages or records.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line for programs.")] = False,
) -> None:
    """Show the content of files: journals, status, info, sense and range files, Parquet tables, old logs, folders.

    The kind of a file is recognised by its content. The exit code is 3 if a file is unknown, unreadable or wholly
    damaged.
    """
    from rich.console import Console

    console = Console(highlight=False)
    shown = [_show(path, messages, None if as_json else console) for path in paths]
    if not all(shown):
        raise typer.Exit(ExitCode.INPUT)


def _show(path: Path, messages: int, console: "Console | None") -> bool:
    """Print one file, as JSON if there is no console; return False if it could not be shown as expected."""
    from rich.text import Text

    from pygnc_ground.inspection.registry import UnknownFileError, inspect
    from pygnc_ground.inspection.render import render, to_json_lines
    from pygnc_ground.inspection.sections import Note

    whole = True
    try:
        for number, section in enumerate(inspect(path, messages)):
            if console is None:
                for line in to_json_lines(path, section):
                    typer.echo(line)
            else:
                if number == 0:
                    console.rule(Text(printable(str(path)), style="bold"), align="left")
                console.print(render(section))
            whole &= not (isinstance(section, Note) and section.fault)
    except (OSError, UnknownFileError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        typer.echo(f"pygnc: {printable(f'{path}: {cause_of(error)}')}", err=True)
        return False
    return whole

"""`pygnc`: the ground side's commands."""

import os

# Small matrices are slower with threads, on a busy machine ten times. Before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

import pygnc
from pygnc_ground.inspection.inspector import inspect
from pygnc_ground.inspection.json_lines import to_json_lines
from pygnc_ground.inspection.registry import UnknownFileError
from pygnc_ground.inspection.sections import Note
from pygnc_ground.inspection.terminal import printable, render

app: Final = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
_PASSED_ON: Final[dict[str, Any]] = {
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
    "add_help_option": False,
}


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        typer.echo(f"pygnc {pygnc.__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Work with the files of PyGNC."""


@app.command(name="inspect")
def inspect_files(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE", help="Files or folders, of any name.")],
    *,
    messages: Annotated[
        int, typer.Option("--messages", metavar="N", min=0, help="Also print the first N messages or records.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line, for programs.")] = False,
) -> None:
    """Show what files hold: journals, status, info, sense and range files, logs of the original PyGNC, folders.

    A file is recognised by its content. The exit code is 1 if one is unknown, unreadable or wholly damaged.
    """
    console = Console(highlight=False)
    shown = [_show(path, messages, None if as_json else console) for path in paths]
    if not all(shown):
        raise typer.Exit(1)


def _show(path: Path, messages: int, console: Console | None) -> bool:
    """Print one file, as JSON without a console; False when it could not be shown as it should."""
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
        reason = error.strerror if isinstance(error, OSError) else str(error)
        typer.echo(f"pygnc: {printable(str(path))}: {reason}", err=True)
        return False
    return whole


@app.command(**_PASSED_ON)
def scenario(context: typer.Context) -> None:
    """Make input files with a known truth: pygnc scenario make, from-ephemeris, presets."""
    _pass_on(context, "pygnc_ground.scenario.command", "scenarios", "scenario")


@app.command(**_PASSED_ON)
def replay(context: typer.Context) -> None:
    """Run the flight's estimators on recorded files; write tables and a report."""
    _pass_on(context, "pygnc_ground.replay.command", "replays", "ground")


@app.command(**_PASSED_ON)
def bound(context: typer.Context) -> None:
    """Show how small the errors of any estimator can be with given fixes."""
    _pass_on(context, "pygnc_ground.orbit.bound_command", "bounds", "scenario")


@app.command(name="calibrate-mag", **_PASSED_ON)
def calibrate_mag(context: typer.Context) -> None:
    """Find bias, scale and axes of the magnetometer in recorded files; write them as settings."""
    _pass_on(context, "pygnc_ground.calibration.command", "calibrations", "ground")


@app.command(**_PASSED_ON)
def device(context: typer.Context) -> None:
    """Work with sensors: pygnc device list, info, stream, log, get, set, upgrade, simulate ..."""
    _pass_on(context, "pygnc_ground.device.command", "devices", "ground")


@app.command(**_PASSED_ON)
def station(context: typer.Context) -> None:
    """Log sensors for years and get their readings to a server: pygnc station log, batch, upload, serve, doctor ..."""
    _pass_on(context, "pygnc_ground.station.command", "stations", "ground")


@app.command(**_PASSED_ON)
def bridge(context: typer.Context) -> None:
    """Serve a sensor to browsers: WebSocket for Aceinna Navigation Studio, and a page of its own."""
    _pass_on(context, "pygnc_ground.bridge.command", "bridges", "ground")


@app.command(name="bridge-window", **_PASSED_ON)
def bridge_window(context: typer.Context) -> None:
    """Start, stop and watch the bridge in a small window."""
    try:
        import_module("tkinter")
    except ImportError as error:
        typer.echo(f"pygnc: the window needs Tk ({error}); on Debian: apt install python3-tk", err=True)
        raise typer.Exit(1) from None
    _pass_on(context, "pygnc_ground.bridge.window", "windows", "ground")


def _pass_on(context: typer.Context, module: str, what: str, extra: str) -> None:
    """Leave the arguments to a command's own module, with libraries that the others do without."""
    try:
        commands: typer.Typer = import_module(module).app
    except ModuleNotFoundError as error:
        typer.echo(f"pygnc: {what} need the library {error.name}: pip install 'pygnc[{extra}]'", err=True)
        raise typer.Exit(1) from None
    commands(context.args, prog_name=context.command_path)

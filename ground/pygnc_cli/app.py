"""`pygnc`: subcommands of the ground software, each loaded on demand with its own libraries."""

import os

# OpenBLAS threads slow small matrices down, tenfold on a busy machine. This must be set before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from importlib import import_module
from typing import Annotated, Any, Final

import typer

import pygnc

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


@app.command(name="inspect", **_PASSED_ON)
def inspect(context: typer.Context) -> None:
    """Show the content of files: journals, status, info, sense and range files, logs of the original PyGNC, folders."""
    _pass_on(context, "pygnc_ground.commands.inspect", "inspections", "ground")


@app.command(**_PASSED_ON)
def scenario(context: typer.Context) -> None:
    """Generate input files with known truth: pygnc scenario make, from-ephemeris, presets."""
    _pass_on(context, "pygnc_ground.commands.scenario", "scenarios", "scenario")


@app.command(**_PASSED_ON)
def replay(context: typer.Context) -> None:
    """Run the flight's estimators on recorded files; write tables and a report."""
    _pass_on(context, "pygnc_ground.commands.replay", "replays", "ground")


@app.command(**_PASSED_ON)
def bound(context: typer.Context) -> None:
    """Compute the Cramer-Rao bound: the smallest error that any estimator can have with given fixes."""
    _pass_on(context, "pygnc_ground.commands.bound", "bounds", "scenario")


@app.command(name="calibrate-mag", **_PASSED_ON)
def calibrate_mag(context: typer.Context) -> None:
    """Estimate bias, scale and axes of the magnetometer from recorded files; write them as settings."""
    _pass_on(context, "pygnc_ground.commands.calibrate_mag", "calibrations", "ground")


@app.command(**_PASSED_ON)
def device(context: typer.Context) -> None:
    """Work with sensors: pygnc device list, info, stream, log, get, set, upgrade, simulate ..."""
    _pass_on(context, "pygnc_instruments.device.command", "devices", "ground")


@app.command(**_PASSED_ON)
def station(context: typer.Context) -> None:
    """Log sensors for years and upload their readings to a server: pygnc station log, batch, upload, serve ..."""
    _pass_on(context, "pygnc_station.commands.main", "stations", "ground")


@app.command(**_PASSED_ON)
def bridge(context: typer.Context) -> None:
    """Serve a sensor to browsers: WebSocket for Aceinna Navigation Studio, and a web page."""
    _pass_on(context, "pygnc_instruments.bridge.command", "bridges", "ground")


@app.command(name="bridge-window", **_PASSED_ON)
def bridge_window(context: typer.Context) -> None:
    """Control and watch the bridge in a small window."""
    try:
        import_module("tkinter")
    except ImportError as error:
        typer.echo(f"pygnc: the window needs Tk ({error}); on Debian: apt install python3-tk", err=True)
        raise typer.Exit(1) from None
    _pass_on(context, "pygnc_instruments.bridge.window", "windows", "ground")


def _pass_on(context: typer.Context, module: str, what: str, extra: str) -> None:
    """Run a subcommand's own module, whose libraries the other subcommands do not need."""
    try:
        commands: typer.Typer = import_module(module).app
    except ModuleNotFoundError as error:
        typer.echo(f"pygnc: {what} need the library {error.name}: pip install 'pygnc[{extra}]'", err=True)
        raise typer.Exit(1) from None
    commands(context.args, prog_name=context.command_path)

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


# Module with the Typer application `app`, and description, by name.
_SUBCOMMANDS: Final = {
    "inspect": (
        "pygnc_ground.commands.inspect",
        "Show the content of files: journals, status, info, sense and range files, logs of the original PyGNC.",
    ),
    "scenario": (
        "pygnc_ground.commands.scenario",
        "Generate input files with known truth: pygnc scenario make, from-ephemeris, presets.",
    ),
    "replay": (
        "pygnc_ground.commands.replay",
        "Run the estimators of the flight software on recorded files; write tables and a report.",
    ),
    "bound": (
        "pygnc_ground.commands.bound",
        "Compute the Cramer-Rao bound: the smallest error that any estimator can have with given fixes.",
    ),
    "omm": (
        "pygnc_ground.commands.omm",
        "Write mean elements of a beacon (pygnc_omm.bin) as an Orbit Mean-elements Message.",
    ),
    "calibrate-mag": (
        "pygnc_ground.commands.calibrate_mag",
        "Estimate bias, scale and axes of the magnetometer from recorded files; write them as settings.",
    ),
    "device": (
        "pygnc_instruments.device.command",
        "Work with sensors: pygnc device list, info, stream, log, get, set, upgrade, simulate ...",
    ),
    "station": (
        "pygnc_station.commands.main",
        "Log sensors for years and upload their readings to a server: pygnc station log, batch, upload, serve ...",
    ),
    "bridge": (
        "pygnc_instruments.bridge.command",
        "Serve a sensor to browsers: WebSocket for Aceinna Navigation Studio, and a web page.",
    ),
    "bridge-window": (
        "pygnc_instruments.bridge.window",
        "Control and watch the bridge in a small window.",
    ),
}


def _run(name: str, module: str, context: typer.Context) -> None:
    """Run the module of a subcommand, whose libraries the other subcommands do not need."""
    try:
        commands: typer.Typer = import_module(module).app
    except ModuleNotFoundError as error:
        remedy = f"pip install 'pygnc[{'scenario' if name in {'scenario', 'bound'} else 'ground'}]'"
        if error.name in {"tkinter", "_tkinter"}:
            remedy = "on Debian: apt install python3-tk"
        typer.echo(f"pygnc: `{name}` needs the library {error.name}: {remedy}", err=True)
        raise typer.Exit(1) from None
    commands(context.args, prog_name=context.command_path)


def _add(name: str, module: str, description: str) -> None:
    @app.command(name=name, help=description, **_PASSED_ON)
    def run(context: typer.Context) -> None:
        _run(name, module, context)


for _name, (_module, _description) in _SUBCOMMANDS.items():
    _add(_name, _module, _description)

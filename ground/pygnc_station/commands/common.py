"""Application object, shared options and error reporting of the `pygnc station` commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_devices.errors import DeviceError
from pygnc_station.errors import StationError, StoreError

app: Final = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    help="Log sensors on serial lines and transfer their readings to a server.",
)

SettingsOption = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        "-s",
        metavar="FILE",
        help="Settings file, TOML or YAML; by default station.toml, station.yaml or settings.yaml in this folder.",
    ),
]
GadgetOption = Annotated[
    str, typer.Option("--gadget", "-g", metavar="NAME", help="Name of the device; by default all devices.")
]
NowOption = Annotated[bool, typer.Option("--now", help="Send now, even if the delay after a failure has not passed.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]


@contextmanager
def reported_errors(command: str) -> Iterator[None]:
    """Print an expected error as one line and exit with code 1."""
    try:
        yield
    except (DeviceError, StationError, StoreError) as error:
        typer.echo(f"pygnc station {command}: {error}", err=True)
        raise typer.Exit(1) from None
    except BrokenPipeError:
        raise  # typer ends the command quietly
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"pygnc station {command}: {where}{error.strerror or error}", err=True)
        raise typer.Exit(1) from None

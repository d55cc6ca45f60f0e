"""What all commands of `pygnc station` share: the application, options, how faults are told."""

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
    help="Log sensors on serial lines for years, and get their readings to a server.",
)

SettingsOption = Annotated[
    Path | None,
    typer.Option(
        "--settings", "-s", metavar="FILE", help="TOML or YAML; else station.toml, station.yaml or settings.yaml here."
    ),
]
GadgetOption = Annotated[str, typer.Option("--gadget", "-g", metavar="NAME", help="One device; all without it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per line, for programs.")]


@contextmanager
def reported_errors(command: str) -> Iterator[None]:
    """Say what is wrong in one line, with exit code 1."""
    try:
        yield
    except (DeviceError, StationError, StoreError) as error:
        typer.echo(f"pygnc station {command}: {error}", err=True)
        raise typer.Exit(1) from None
    except BrokenPipeError:
        raise  # whoever read what was shown has had enough; the library ends the command
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"pygnc station {command}: {where}{error.strerror or error}", err=True)
        raise typer.Exit(1) from None

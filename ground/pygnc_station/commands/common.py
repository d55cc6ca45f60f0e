"""Registry, shared options and error reporting of the `pygnc station` commands."""

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import Annotated, Final, ParamSpec

import typer

from pygnc_cli.application import Application
from pygnc_cli.exit_codes import ExitCode, UsageError
from pygnc_cli.files import report_user_errors
from pygnc_cli.text import printable
from pygnc_devices.errors import DeviceError
from pygnc_station.errors import RefusalError, StationError, StoreError, StoreServerError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.settings_file import read_settings
from pygnc_station.store.readings import clock_ms, parse_time
from pygnc_station.store.store import Store
from pygnc_station.upload.names import name_conflicts, renamed
from pygnc_station.upload.retry import retry_state, waiting_ms
from pygnc_system.plugins import PluginError
from pygnc_system.service_unit import ServiceError

P = ParamSpec("P")
_EXIT_CODES: Final[Mapping[type[Exception], ExitCode]] = (
    {DeviceError: ExitCode.DEVICE}
    | dict.fromkeys((TransferError, RefusalError, StoreServerError), ExitCode.NETWORK)
    | dict.fromkeys((PluginError, ServiceError, StationError, StoreError, OSError), ExitCode.INPUT)
)
"""Codes by the first class that an error is of."""

registry: Final = Application()
"""Application in which the modules of this folder register their commands."""


def group(name: str, description: str) -> Application:
    """Add a group of subcommands, and return it."""
    made = Application(description, name=name, example=f"pygnc station {name} list")
    registry.add_typer(made, name=name)
    return made


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


def command(
    name: str | None = None, *, of: Application = registry, example: str = ""
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Return a decorator that registers a subcommand, by default under the function's name.

    The subcommand prints an expected error as one line and exits with its code.
    """

    def register(function: Callable[P, None]) -> Callable[P, None]:
        group = "" if of is registry else f"{of.info.name} "
        shown_name = f"pygnc station {group}{name or function.__name__}"
        shown = example or shown_name
        return of.command(name, example=shown)(report_user_errors(shown_name, _EXIT_CODES)(function))

    return register


def time_of(text: str) -> int | None:
    """Return the time that an option names, milliseconds since 1970 (UTC); None for "".

    Raises:
        UsageError: the text is no time.
    """
    try:
        return parse_time(text) if text else None
    except ValueError:
        raise UsageError(f"invalid time {text!r}; use ISO 8601, such as 2026-11-21T17:00") from None


def is_delayed(store: Store, transfer: str, now_ms: int) -> bool:
    """Return True, and print for how long, if the next attempt of a transfer is not due yet after a failure."""
    left_ms = waiting_ms(retry_state(store, transfer).next_try_ms, now_ms)
    if left_ms:
        typer.echo(f"the next attempt is due in {left_ms // 1000 + 1} s; --now sends at once")
    return left_ms > 0


def show_names(settings: StationSettings) -> None:
    """Print where the names that the server uses for this station and its gadgets differ from what is expected."""
    from pygnc_station.upload.uploader import sender_of  # noqa: PLC0415 - imports an HTTP client

    with suppress(TransferError, RefusalError), closing(sender_of(settings)) as sender:
        server = sender.identify()
        for remark in chain(name_conflicts(server), renamed(server)) if server else ():
            typer.echo(f"note: {printable(remark)}", err=True)


def open_store(settings: Path | None) -> Store:
    """Open the store that the settings file names; None: the file that `find_settings` finds."""
    return Store.open(read_settings(settings).store_url)


def note(store: Store, action: str) -> None:
    """Write a change by a command into the audit log of the server."""
    from pygnc_station.server.accounts import note_command  # noqa: PLC0415 - commands of stations do not need it

    with store.writes() as connection:
        note_command(connection, action, clock_ms())

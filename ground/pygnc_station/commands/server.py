"""`pygnc station serve | pin | token | revoke`: the server, and access to it."""

from typing import Annotated

import typer

from pygnc_station.commands.common import SettingsOption, command, open_store
from pygnc_station.errors import StationError
from pygnc_station.server import access
from pygnc_station.settings import read_settings
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store


@command()
def serve(settings: SettingsOption = None) -> None:
    """Run the server of [serve] until Ctrl-C or SIGTERM."""
    from pygnc_station.server.application import serve as run  # noqa: PLC0415 - stations do not need the HTTP server

    chosen = read_settings(settings)
    with Store.open(chosen.store_url) as store:
        run(chosen, store, typer.echo)


@command()
def pin(
    settings: SettingsOption = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="Validity of the PIN in minutes.")] = 10.0,
) -> None:
    """Create a PIN with which one station can register."""
    with open_store(settings) as store:
        typer.echo(access.new_pin(store, clock_ms(), minutes))


@command()
def token(
    name: Annotated[str, typer.Argument(help="User of the token; an older token of the same name is revoked.")],
    settings: SettingsOption = None,
    *,
    write: Annotated[bool, typer.Option("--write", help="Allow importing readings and changing devices.")] = False,
    days: Annotated[float, typer.Option(min=0, help="Validity of the token in days; 0: unlimited.")] = 0.0,
) -> None:
    """Create a token for a person or program, and print it; it cannot be printed again."""
    with open_store(settings) as store:
        typer.echo(access.new_token(store, name, clock_ms(), may_write=write, days=days or None))


@command()
def revoke(
    name: Annotated[str, typer.Argument(help="Name with which the station has registered.")],
    settings: SettingsOption = None,
) -> None:
    """Revoke all keys of a station."""
    with open_store(settings) as store:
        count = access.revoke(store, name, clock_ms())
        if not count:
            raise StationError(
                f"station {name!r}: no valid key; the name is unknown, or all its keys are revoked already"
            )
        typer.echo(f"{count} keys revoked")

"""`pygnc station serve | pin | token | revoke`: the server's side."""

import time
from typing import Annotated

import typer

from pygnc_station.commands.common import SettingsOption, app, reported_errors
from pygnc_station.errors import StationError
from pygnc_station.server import access
from pygnc_station.settings_file import read_settings
from pygnc_station.store.store import Store


@app.command()
def serve(settings: SettingsOption = None) -> None:
    """Run the server of [serve] until Ctrl-C or SIGTERM."""
    from pygnc_station.server.application import serve as run  # noqa: PLC0415 - stations do without it

    with reported_errors("serve"):
        chosen = read_settings(settings)
        with Store.open(chosen.store_url) as store:
            run(chosen, store, typer.echo)


@app.command()
def pin(
    settings: SettingsOption = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long it can be used.")] = 10.0,
) -> None:
    """Make a PIN with which one station can register."""
    with reported_errors("pin"), Store.open(read_settings(settings).store_url) as store:
        typer.echo(access.new_pin(store, int(time.time() * 1000), minutes))


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="Who uses it; an older one of that name ends.")],
    settings: SettingsOption = None,
    *,
    write: Annotated[bool, typer.Option("--write", help="May also import readings and change devices.")] = False,
    days: Annotated[float, typer.Option(min=0, help="How long it can be used; 0: for ever.")] = 0.0,
) -> None:
    """Make a token for a person or program; it is shown once."""
    with reported_errors("token"), Store.open(read_settings(settings).store_url) as store:
        typer.echo(access.new_token(store, name, int(time.time() * 1000), may_write=write, days=days or None))


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Name of the station, as it registered.")], settings: SettingsOption = None
) -> None:
    """Take the keys of a station away."""
    with reported_errors("revoke"), Store.open(read_settings(settings).store_url) as store:
        count = access.revoke(store, name, int(time.time() * 1000))
        if not count:
            raise StationError(f"no station is called {name!r}")
        typer.echo(f"{count} keys revoked")

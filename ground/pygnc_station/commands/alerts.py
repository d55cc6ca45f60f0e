"""`pygnc station alerts list | test`: alerts of the server, and a notification to try its destinations."""

from typing import Annotated, Final

import typer
from sqlalchemy import func, select

from pygnc_station.commands.common import SettingsOption, app, command
from pygnc_station.errors import StationError, TransferError
from pygnc_station.server.fleet import SERVER, raised_alerts
from pygnc_station.settings_file import read_settings
from pygnc_station.store import schema
from pygnc_station.store.readings import iso_time
from pygnc_station.store.store import Store

alerts: Final = typer.Typer(
    name="alerts", no_args_is_help=True, rich_markup_mode=None, help="Alerts of the server and their notifications."
)
app.add_typer(alerts, name=alerts.info.name)


@command("list", of=alerts)
def list_alerts(settings: SettingsOption = None) -> None:
    """Show the alerts that are raised, and the notifications that were not accepted yet."""
    chosen = read_settings(settings)
    n = schema.notices.c
    with Store.open(chosen.store_url) as store, store.reads() as connection:
        g = schema.gateways.c
        names = {row.id: row.name for row in connection.execute(select(g.id, g.name))}
        for gateway, raised in raised_alerts(connection).items():
            for alert in raised:
                name = chosen.name if gateway == SERVER else names.get(gateway, str(gateway))
                typer.echo(f"{name}: {alert.name} since {iso_time(alert.since_ms)}: {alert.text}")
        waiting = select(n.destination, func.count(), func.max(n.attempts)).group_by(n.destination)
        for destination, count, attempts in connection.execute(waiting):
            typer.echo(f"{destination}: {count} notices wait after {attempts} attempts")


@command("test", of=alerts)
def try_destinations(
    settings: SettingsOption = None,
    to: Annotated[str, typer.Option(metavar="NAME", help="Destination in [serve.alerts]; by default all.")] = "",
) -> None:
    """Send a test notification to the destinations of [serve.alerts]."""
    from pygnc_station.server.destinations import load_destinations  # noqa: PLC0415 - loads its library on demand

    chosen = read_settings(settings)
    destinations = load_destinations(chosen)
    if not destinations:
        raise StationError("no destination; add one to urls in [serve.alerts], as docs/station.md shows")
    if to and to not in destinations:
        raise StationError(f"unknown destination {to!r}; [serve.alerts] contains {', '.join(destinations)}")
    failures = []
    for name in [to] if to else destinations:
        try:
            destinations[name].send(f"{chosen.name}: test", "Notifications of alerts arrive here.")
        except TransferError as error:
            failures.append(f"{name}: {error}")
        else:
            typer.echo(f"{name}: accepted")
    if failures:
        raise TransferError("; ".join(failures))

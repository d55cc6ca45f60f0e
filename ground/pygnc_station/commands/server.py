"""`pygnc station serve | pin | token | revoke | gateways | alerts`: the server, access to it, and its alerts."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from sqlalchemy import func, select

from pygnc_cli.exit_codes import UsageError
from pygnc_station.commands.common import JsonOption, SettingsOption, command, group, note, open_store
from pygnc_station.errors import StationError, TransferError
from pygnc_station.server import access
from pygnc_station.server.accounts import note_command
from pygnc_station.server.fleet import SERVER, raised_alerts
from pygnc_station.server.logs import failure_log
from pygnc_station.server.ownership import name_of_gateway, transfer
from pygnc_station.server_settings import Serve
from pygnc_station.settings_file import read_settings
from pygnc_station.store import schema
from pygnc_station.store.readings import clock_ms, iso_time
from pygnc_station.store.reserve import keep_reserve
from pygnc_station.store.store import Store


@command()
def serve(settings: SettingsOption = None) -> None:
    """Run the server of [serve] until Ctrl-C or SIGTERM."""
    from pygnc_station.server.application import serve as run  # noqa: PLC0415 - stations do not need the HTTP server

    chosen = read_settings(settings)
    keep_reserve(chosen.store_url)
    with Store.open(chosen.store_url) as store:
        run(chosen, store, typer.echo)


@command()
def pin(
    settings: SettingsOption = None,
    minutes: Annotated[
        float, typer.Option(min=0.1, max=access.MAX_PIN_MINUTES, help="Validity of the PIN in minutes.")
    ] = 10.0,
    gateway: Annotated[
        str, typer.Option(metavar="NAME", help="Registered gateway that gets a new key and keeps its gadgets.")
    ] = "",
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Number of PINs, each for one station.")] = 1,
) -> None:
    """Create a PIN with which one station can register, or several."""
    chosen = read_settings(settings)
    if chosen.serve == Serve() and (chosen.upload.url or chosen.device):
        where = f"the server at {chosen.upload.url}" if chosen.upload.url else "a server"
        raise StationError(f"this station cannot issue PINs, because its settings have no [serve]; run this on {where}")
    if gateway and count > 1:
        raise UsageError("--gateway needs one PIN; leave out --count")
    with Store.open(chosen.store_url) as store:
        for _ in range(count):
            typer.echo(access.new_pin(store, clock_ms(), minutes, gateway))
        note(store, f"Create {count} PINs: minutes {minutes:g}{f', gateway {gateway}' if gateway else ''}")


@command(example="pygnc station token reader")
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
        note(store, f'Create a token: name "{name}", {"permits changes" if write else "reading"}')


@command(example="pygnc station revoke roof")
def revoke(
    name: Annotated[str, typer.Argument(help="Name with which the station has registered.")],
    settings: SettingsOption = None,
) -> None:
    """Revoke all keys of a station."""
    _revoke(name, settings)


def _revoke(name: str, settings: Path | None) -> None:
    with open_store(settings) as store:
        count = access.revoke(store, name, clock_ms())
        if not count:
            raise StationError(
                f"station {name!r}: no valid key; the name is unknown, or all its keys are revoked already"
            )
        note(store, f'Revoke the key of a gateway: "{name}"')
        typer.echo(f"{count} keys revoked")


gateways: Final = group("gateways", "Gateways, the stations that may upload, and owners of gadgets.")
GatewayArgument = Annotated[str, typer.Argument(metavar="GATEWAY", help="Name of the gateway, or its number.")]


@command("list", of=gateways)
def list_gateways(settings: SettingsOption = None, *, as_json: JsonOption = False) -> None:
    """Show gateways with their gadgets and the time of their last request."""
    with open_store(settings) as store:
        for gateway in access.list_gateways(store):
            if as_json:
                typer.echo(json.dumps(gateway._asdict()))
                continue
            seen = iso_time(gateway.seen_ms) if gateway.seen_ms else "never"
            state = "  revoked" if gateway.revoked_ms else ""
            gadgets = ", ".join(gateway.gadgets) or "none"
            typer.echo(f"{gateway.id:4}  {gateway.name}  seen {seen}{state}  gadgets: {gadgets}")


@command("rename", of=gateways, example="pygnc station gateways rename 1 roof")
def rename_gateway(
    gateway: GatewayArgument,
    name: Annotated[str, typer.Argument(help="New name.")],
    settings: SettingsOption = None,
) -> None:
    """Give a gateway another name; its key and gadgets stay."""
    with open_store(settings) as store:
        access.rename(store, gateway, name)
        note(store, f'Rename a gateway: "{gateway}" to "{name}"')
    typer.echo(f"{gateway} is {name} now")


@command("revoke", of=gateways, example="pygnc station gateways revoke 1")
def revoke_gateway(gateway: GatewayArgument, settings: SettingsOption = None) -> None:
    """Revoke the key of a gateway; `pygnc station pin --gateway` issues a PIN for a new one."""
    _revoke(gateway, settings)


@command("transfer", of=gateways, example="pygnc station gateways transfer OPC_7 2")
def transfer_gadget(
    gadget: Annotated[str, typer.Argument(help="Name of the gadget on the server.")],
    gateway: GatewayArgument,
    settings: SettingsOption = None,
) -> None:
    """Give a gadget to another gateway, for example after a station was replaced."""
    chosen = read_settings(settings)
    log_folder = chosen.path(chosen.serve.log_folder or chosen.serve.folder)
    with failure_log(log_folder), Store.open(chosen.store_url) as store, store.writes() as connection:
        last = transfer(connection, gadget, gateway, clock_ms())
        note_command(connection, f'Transfer a gadget: "{gadget}" to "{gateway}"', clock_ms())
    typer.echo(f"{gadget} belongs to {gateway} now{f', and belonged to {last} before' if last else ''}")


alerts: Final = group("alerts", "Alerts of the server and their notifications.")


@command("list", of=alerts)
def list_alerts(settings: SettingsOption = None) -> None:
    """Show the alerts that are raised, and the notifications that were not accepted yet."""
    chosen = read_settings(settings)
    n = schema.notices.c
    with Store.open(chosen.store_url) as store, store.reads() as connection:
        for gateway, raised in raised_alerts(connection).items():
            for alert in raised:
                name = chosen.name if gateway == SERVER else name_of_gateway(connection, gateway)
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

"""`pygnc station register | upload`."""

import time
from typing import Annotated

import typer

from pygnc_station.station.application import SettingsOption, app, told
from pygnc_station.station.errors import StationError
from pygnc_station.station.sending import TransferError
from pygnc_station.station.settings_file import read_settings
from pygnc_station.station.upload import UPLOAD, sender_of, upload_all
from pygnc_station.store.store import Store
from pygnc_station.store.targets import target


@app.command()
def register(
    settings: SettingsOption = None,
    pin: Annotated[str, typer.Option(help="As the server shows it; asked for if not given.")] = "",
) -> None:
    """Exchange a PIN of the server for a key, which is kept in a file that only you can read."""
    from pygnc_station.station.register import register as exchange  # noqa: PLC0415 - loads an HTTP client

    with told("register"):
        chosen = read_settings(settings)
        try:
            file = exchange(chosen, pin or typer.prompt("PIN"))
        except TransferError as error:
            raise StationError(str(error)) from None
        typer.echo(f"registered; the key is in {file}")


@app.command()
def upload(
    settings: SettingsOption = None,
    *,
    now: Annotated[bool, typer.Option("--now", help="Try at once, whatever pause is due after failures.")] = False,
) -> None:
    """Send the batches that are ready."""
    with told("upload"):
        chosen = read_settings(settings)
        now_ms = int(time.time() * 1000)
        with Store.open(chosen.store_url) as store:
            waiting_ms = target(store, UPLOAD).next_try_ms - now_ms
            if waiting_ms > 0 and not now:
                typer.echo(f"the next try is due in {waiting_ms // 1000 + 1} s (--now tries at once)")
                return
            sender = sender_of(chosen)
            try:
                report = upload_all(store, chosen, sender, now_ms)
            finally:
                sender.close()
        for name in report.accepted:
            typer.echo(f"{name}  accepted")
        for name in report.waiting:
            typer.echo(f"{name}  sent, the server is looking at it")
        for name, reason in report.rejected:
            typer.echo(f"{name}  rejected: {reason}")
        if not (report.accepted or report.waiting or report.rejected or report.problem):
            typer.echo("nothing to send")
        if report.problem:
            raise StationError(report.problem)
        if report.rejected:
            raise typer.Exit(1)

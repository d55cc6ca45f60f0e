"""`pygnc station batch | status`."""

import time
from typing import Annotated

import typer

from pygnc_station.station.application import SettingsOption, app, told
from pygnc_station.station.batches import BATCHES, accepted, batches, make_batch, try_again
from pygnc_station.station.settings_file import read_settings
from pygnc_station.store.cursors import pending
from pygnc_station.store.pieces import State
from pygnc_station.store.records import iso_time
from pygnc_station.store.store import Store


@app.command()
def batch(
    settings: SettingsOption = None,
    again: Annotated[str, typer.Option(metavar="NAME", help="Make a rejected batch ready once more.")] = "",
) -> None:
    """Pack the readings and files that are in no batch yet into a zip in the pending folder."""
    with told("batch"):
        chosen = read_settings(settings)
        with Store.open(chosen.store_url) as store:
            if again:
                typer.echo(f"{try_again(store, again).name} is ready")
                return
            made = make_batch(store, chosen, int(time.time() * 1000))
        for item in made:
            path = chosen.path(chosen.batches.pending) / item.file_name
            typer.echo(f"{path}  {item.readings} readings, {len(item.pieces.files)} files, {item.bytes} bytes")
        if not made:
            typer.echo("nothing new")


@app.command()
def status(settings: SettingsOption = None) -> None:
    """Show the batches on their way, and what is in none yet."""
    with told("status"), Store.open(read_settings(settings).store_url) as store:
        with store.reads() as connection:
            waiting = sum(item.last - item.first + 1 for item in pending(connection, BATCHES))
        typer.echo(f"{waiting} readings in no batch")
        for item in batches(store, *(state for state in State if state is not State.ACCEPTED)):
            reason = f": {item.reason}" if item.reason else ""
            typer.echo(f"{item.name}  {item.state}  {item.readings} readings  {iso_time(item.created_ms)}{reason}")
        count, readings = accepted(store)
        typer.echo(f"{count} batches with {readings} readings accepted")

"""`pygnc station publish`: MQTT, InfluxDB, Prometheus."""

import logging
import sys

import typer

from pygnc_station.station.application import SettingsOption, app, told
from pygnc_station.station.settings_file import read_settings
from pygnc_station.station.signals import stopped_by_signals
from pygnc_station.store.store import Store


@app.command()
def publish(settings: SettingsOption = None) -> None:
    """Give readings to the outputs of [mqtt], [influx] and [prometheus] as they come into the store, until Ctrl-C."""
    from pygnc_station.sinks.publisher import Publisher  # noqa: PLC0415 - only who needs it

    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    with told("publish"):
        chosen = read_settings(settings)
        with Store.open(chosen.store_url) as store:
            publisher = Publisher(store, chosen)
            with stopped_by_signals(publisher.stop):
                typer.echo("publishing")
                publisher.run()

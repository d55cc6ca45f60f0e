"""`pygnc station families | test | read-once | log`."""

import os
import sys
from typing import Annotated

import typer

from pygnc_devices.errors import DeviceError
from pygnc_devices.family import all_families
from pygnc_station.station.application import GadgetOption, JsonOption, SettingsOption, app, told
from pygnc_station.station.devices import family_of, identify, read_one, readings_of
from pygnc_station.station.settings_file import read_settings
from pygnc_station.station.show import json_of, line_of, unstored
from pygnc_station.store.layout import Layout
from pygnc_station.store.store import Store


@app.command()
def families() -> None:
    """List the kinds of devices, and what each reads."""
    for kind in all_families():
        typer.echo(f"{kind.name:12} {kind.title}")
        typer.echo(f"{'':12} reads {', '.join(packet.name for packet in readings_of(kind))}")


@app.command("test")
def check(
    settings: SettingsOption = None,
    gadget: GadgetOption = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for a reading.")] = 60.0,
) -> None:
    """Ask each device who it is, take one reading, and switch it off."""
    with told("test"):
        failures = 0
        for device in read_settings(settings).gadgets(gadget):
            try:
                found = identify(device)
                typer.echo(f"{device.gadget}: {found.text or family_of(device).title} {found.serial_number}".rstrip())
                reading = read_one(device, timeout)
            except DeviceError as error:
                typer.echo(f"{device.gadget}: {error}", err=True)
                failures += 1
            else:
                typer.echo(line_of(device.gadget, Layout.of(reading.packet), unstored(reading)))
        if failures:
            raise typer.Exit(1)


@app.command("read-once")
def read_once(
    settings: SettingsOption = None,
    gadget: GadgetOption = "",
    *,
    as_json: JsonOption = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for a reading.")] = 60.0,
) -> None:
    """Take one reading of each device, show it, and switch the device off. Nothing is stored."""
    with told("read-once"):
        for device in read_settings(settings).gadgets(gadget):
            reading = read_one(device, timeout)
            show = json_of if as_json else line_of
            typer.echo(show(device.gadget, Layout.of(reading.packet), unstored(reading)))


@app.command()
def log(
    settings: SettingsOption = None,
    gadget: GadgetOption = "",
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No line for each reading.")] = False,
) -> None:
    """Log until Ctrl-C or SIGTERM: each reading is in the store within a quarter of a second."""
    with told("log"), Store.open(read_settings(settings).store_url):
        pass  # a migration takes memory that the logger, which stays, shall not hold
    arguments = ["--settings", str(settings)] if settings else []
    arguments += ["--gadget", gadget] if gadget else []
    arguments += ["--quiet"] if quiet else []
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "pygnc_station.station.log_process", *arguments])  # noqa: S606 - ours

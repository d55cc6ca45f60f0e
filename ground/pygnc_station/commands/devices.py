"""`pygnc station families | test | read-once | log`.

`pygnc station publish`: outputs of the readings in the store.
"""

import logging
import os
import signal
import sys
from typing import Annotated

import typer

from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.signals import stopped_by_signals
from pygnc_cli.text import printable
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import all_families
from pygnc_station.commands.common import GadgetOption, JsonOption, SettingsOption, command, open_store
from pygnc_station.logger.devices import family_of, identify, read_one
from pygnc_station.logger.display import as_stored, json_of, line_of
from pygnc_station.settings_file import read_settings
from pygnc_station.store.readings import Layout
from pygnc_station.store.store import Store
from pygnc_system.service_notifier import ServiceNotifier


@command()
def families() -> None:
    """List the families of devices and the kinds of readings of each."""
    for kind in all_families():
        typer.echo(f"{kind.name:12} {kind.title}")
        typer.echo(f"{'':12} reads {', '.join(packet.name for packet in kind.packets if packet.is_reading)}")


@command("test")
def check(
    settings: SettingsOption = None,
    gadget: GadgetOption = "",
    timeout: Annotated[float, typer.Option(help="Maximum wait for a reading in seconds.")] = 60.0,
) -> None:
    """Identify each device, take one reading, and switch it off."""
    failures = 0
    for device in read_settings(settings).devices(gadget):
        try:
            found = identify(device)
            typer.echo(f"{device.gadget}: {found.text or family_of(device).title} {found.serial_number}".rstrip())
            reading = read_one(device, timeout)
        except DeviceError as error:
            typer.echo(f"{device.gadget}: {printable(str(error))}", err=True)
            failures += 1
        else:
            typer.echo(line_of(device.gadget, Layout.of(reading.packet), as_stored(reading)))
    if failures:
        raise typer.Exit(ExitCode.DEVICE)


@command("read-once")
def read_once(
    settings: SettingsOption = None,
    gadget: GadgetOption = "",
    *,
    as_json: JsonOption = False,
    timeout: Annotated[float, typer.Option(help="Maximum wait for a reading in seconds.")] = 60.0,
) -> None:
    """Print one reading of each device, and switch the device off; nothing is stored."""
    for device in read_settings(settings).devices(gadget):
        reading = read_one(device, timeout)
        show = json_of if as_json else line_of
        typer.echo(show(device.gadget, Layout.of(reading.packet), as_stored(reading)))


@command()
def log(
    settings: SettingsOption = None,
    gadget: GadgetOption = "",
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not print readings.")] = False,
) -> None:
    """Log until Ctrl-C or SIGTERM; each reading is in the store after at most write_s of [store]."""
    with open_store(settings):
        pass  # reports problems of settings and store before the logger process replaces this one
    arguments = ["--settings", str(settings)] if settings else []
    arguments += ["--gadget", gadget] if gadget else []
    arguments += ["--quiet"] if quiet else []
    sys.stdout.flush()
    if hasattr(signal, "pthread_sigmask"):  # the logger lets it through once its modules need not be interrupted
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.execv(sys.executable, [sys.executable, "-m", "pygnc_station.logger", *arguments])  # noqa: S606 - our own module


@command()
def publish(settings: SettingsOption = None) -> None:
    """Send new readings of the store to the outputs of the settings, such as [sinks.mqtt], until Ctrl-C."""
    from pygnc_station.sinks.publisher import Publisher  # noqa: PLC0415 - imports the clients of all outputs

    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    chosen = read_settings(settings)
    with Store.open(chosen.store_url) as store:
        publisher = Publisher(store, chosen, ServiceNotifier.from_environment())
        with stopped_by_signals(publisher.stop):
            typer.echo("publishing")
            publisher.run()

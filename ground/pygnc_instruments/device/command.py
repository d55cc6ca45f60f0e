"""`pygnc device`: find sensors, ask and set them, show and log what they say, upgrade them, simulate them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer
from rich.table import Table

from pygnc_devices.errors import DeviceError
from pygnc_devices.family import Setting
from pygnc_devices.scheduler import Operation
from pygnc_instruments.device import (
    log_command,
    mag_command,
    plot_command,
    simulate_command,
    stream_command,
    upgrade_command,
)
from pygnc_instruments.device.connection import Connected, Wanted, connect, look
from pygnc_instruments.device.terminal import (
    Baud,
    FamilyName,
    Json,
    NeededPort,
    Port,
    console,
    say,
    settings_json,
    show_json,
    show_pairs,
    show_settings,
    told_plainly,
)

Names: TypeAlias = Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Without names, all.")]

app: Final = typer.Typer(help="Work with sensors on serial lines and networks.", no_args_is_help=True)


@app.command(name="list")
def list_devices(
    ports: Annotated[list[str] | None, typer.Argument(metavar="[PORT...]", help="Ports to look at too.")] = None,
    *,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """Look for devices at the serial adapters, or at the ports that are named. Other ports are never opened."""
    with told_plainly():
        outcome = look(ports or [], family, baud)
    if as_json:
        show_json(
            {
                "found": [asdict(entry) for entry in outcome.found],
                "silent": outcome.silent,
                "problems": outcome.problems,
            }
        )
        return
    table = Table("port", "baud", "family", "serial number", "device")
    for entry in outcome.found:
        table.add_row(entry.url, str(entry.baud), entry.family, entry.serial_number, entry.text)
    if outcome.found:
        console.print(table)
    for url in outcome.silent:
        say(f"{url}: nobody answers")
    for problem in outcome.problems.values():
        say(problem)
    if not outcome.found:
        say("no device is found")
        raise typer.Exit(1)


@app.command()
def info(port: Port = "", *, family: FamilyName = "", baud: Baud = 0, as_json: Json = False) -> None:
    """Show who a device is, how it is set, how it is."""
    with told_plainly(), connect(Wanted(port, family, baud)) as connected:
        device = connected.device
        describe = connected.family.controls.describe
        told = {} if describe is None else device.run(describe(connected.unit))
        told = {"port": device.url, "family": connected.family.name, "title": connected.family.title} | told
    if as_json:
        show_json(told)
    else:
        show_pairs("", told)


@app.command()
def get(
    port: NeededPort,
    names: Names = None,
    *,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """Show settings in effect now. Of a DMU38x or OpenIMU: fields, and `user.*` for parameters of an application."""
    _ask(Wanted(port, family, baud), names or [], as_json=as_json, stored=False)


@app.command()
def read(
    port: NeededPort,
    names: Names = None,
    *,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """Show settings that the device keeps without power."""
    _ask(Wanted(port, family, baud), names or [], as_json=as_json, stored=True)


@app.command(name="set")
def set_values(
    port: NeededPort,
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="Such as packet_rate_divider=50Hz.")],
    *,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """Set values at once, until power-off. They are checked before, and read back after."""
    _put(Wanted(port, family, baud), values, as_json=as_json, stored=False)


@app.command()
def write(
    port: NeededPort,
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="Such as orientation=-y-x-z.")],
    *,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """Write values that the device keeps without power. They are checked before, and read back after."""
    _put(Wanted(port, family, baud), values, as_json=as_json, stored=True)


@app.command()
def snapshot(
    port: NeededPort,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Without one, it is printed.")] = None,
    *,
    family: FamilyName = "",
    baud: Baud = 0,
) -> None:
    """Save all settings of a device as JSON."""
    with told_plainly():
        if file is not None and file.exists():
            raise DeviceError(f"{file} exists already; name another file")
        with connect(Wanted(port, family, baud)) as connected:
            take = _control(connected, connected.family.controls.snapshot, "settings to save")
            text = connected.device.run(take(connected.unit))
        if file is None:
            typer.echo(text)
        else:
            file.write_text(text + "\n")
            say(f"{file}: saved")


@app.command()
def restore(
    port: NeededPort,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="From `pygnc device snapshot`.")],
    *,
    to_another_unit: Annotated[bool, typer.Option("--to-another-unit", help="The snapshot is of another one.")] = False,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """Put saved settings back; what is as it was is not written."""
    with told_plainly():
        text = file.read_text()
        with connect(Wanted(port, family, baud)) as connected:
            control = _control(connected, connected.family.controls.restore, "settings to restore")
            changed = connected.device.run(control(connected.unit, text, to_another_unit))
    _show(changed, as_json=as_json, title="written" if changed else "everything is as it was saved")


def _ask(wanted: Wanted, names: Sequence[str], *, as_json: bool, stored: bool) -> None:
    with told_plainly(), connect(wanted) as connected:
        controls = connected.family.controls
        control = _control(connected, controls.read if stored else controls.get, "settings")
        settings = connected.device.run(control(connected.unit, names))
    _show(settings, as_json=as_json, title="kept without power" if stored else "in effect")


def _put(wanted: Wanted, values: Sequence[str], *, as_json: bool, stored: bool) -> None:
    with told_plainly():
        pairs = dict(_pair(value) for value in values)
        with connect(wanted) as connected:
            controls = connected.family.controls
            control = _control(connected, controls.write if stored else controls.set, "settings")
            settings = connected.device.run(control(connected.unit, pairs))
    _show(settings, as_json=as_json, title="written, and read back" if stored else "set, and read back")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise DeviceError(f"{text!r}: write NAME=VALUE")
    return name, value


def _control(connected: Connected, control: Callable[..., Operation[Any]] | None, what: str) -> Callable[..., Any]:
    if control is None:
        raise DeviceError(f"{connected.family.title}: such devices have no {what}")
    return control


def _show(settings: list[Setting], *, as_json: bool, title: str) -> None:
    if as_json:
        show_json(settings_json(settings))
    else:
        show_settings(title, settings)


app.command(name="stream")(stream_command.stream)
app.command(name="plot")(plot_command.plot)
app.command(name="log")(log_command.log)
app.command(name="upload")(log_command.upload)
app.command(name="upgrade")(upgrade_command.upgrade)
app.command(name="calibrate-mag")(mag_command.calibrate_mag)
app.command(name="simulate")(simulate_command.simulate)

"""`pygnc device`: find devices, show and change their settings, align their magnetometer.

The commands that stream, plot, log, upload, upgrade and simulate have modules of their own.
"""

import time
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pygnc_cli.application import Application
from pygnc_cli.exit_codes import ExitCode, UsageError
from pygnc_devices.engine import unknown_fields
from pygnc_devices.family import family as family_of
from pygnc_devices.scheduler import Operation
from pygnc_instruments.device import (
    plot_command,
    readings_commands,
    simulate_command,
    stream_command,
    upgrade_command,
)
from pygnc_instruments.device.connection import (
    ConnectedDevice,
    DeviceSelection,
    connect,
    find_devices,
    recording_url,
)
from pygnc_instruments.device.log_files import LogError
from pygnc_instruments.device.recording import families_of, recording_path, summarise
from pygnc_instruments.device.terminal import (
    Baud,
    FamilyName,
    Json,
    NeededPort,
    Port,
    print_json,
    print_note,
    print_report,
    print_settings,
    print_table,
    read_progress,
    reported_errors,
    reports_partial_changes,
    stderr_console,
)

Names: TypeAlias = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Names of settings; default: all.")]
Values: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="NAME=VALUE", help="Settings, such as packet_rate_divider=50Hz or orientation=-y-x-z."),
]

app: Final = Application("Work with sensors on serial lines and networks.", example="pygnc device list")
_ALIGNMENT_S: Final = 120.0
_POLL_S: Final = 0.1


@app.command(name="list", example="pygnc device list")
def list_devices(
    ports: Annotated[
        list[str] | None, typer.Argument(metavar="PORT", help="Ports to search; default: all USB serial adapters.")
    ] = None,
    *,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """List the devices at the USB serial adapters, or at the given ports. Other ports are never opened."""
    with reported_errors():
        outcome = find_devices(ports or [], family, baud)
    if as_json:
        found = [asdict(entry) for entry in outcome.found]
        silent = {"silent": outcome.silent, "foreign": outcome.foreign}
        print_json({"found": found, "problems": outcome.problems} | silent)
        return
    table = Table("port", "baud", "family", "serial number", "device")
    for entry in outcome.found:
        table.add_row(entry.url, str(entry.baud), entry.family, entry.serial_number, entry.text)
    if outcome.found:
        print_table(table)
    for url in outcome.silent:
        print_note(outcome.reason(url))
    for problem in outcome.problems.values():
        print_note(problem)
    if not outcome.found:
        print_note("no device was found; check cable and power, or name the port")
        raise typer.Exit(ExitCode.DEVICE)


@app.command(example="pygnc device info /dev/ttyUSB0")
def info(port: Port = "", *, family: FamilyName = "", baud: Baud = 0, as_json: Json = False) -> None:
    """Show identity, configuration and status of a device, or the content of a recording."""
    with reported_errors():
        url = recording_url(port)
        if url is not None:
            reports = _recording_reports(url, family, baud)
        else:
            with connect(DeviceSelection(port, family, baud)) as connected:
                device, kind = connected.device, connected.family
                reports = [{"port": device.url, "family": kind.name, "title": kind.title} | connected.describe()]
                if unknown := unknown_fields(connected.unit):
                    reports[0]["unknown_fields"] = unknown
    for report in reports:
        print_report("", report, as_json=as_json)


def _recording_reports(url: str, family: str, baud: int) -> list[dict[str, str]]:
    """Return the content of a recording, for each family in it; read it with a progress bar."""
    path = recording_path(url)
    kinds = [family_of(family)] if family else families_of(path)
    with read_progress("read", path.stat().st_size) as report:
        summaries = summarise(path, kinds, baud, report)
    return [
        {"port": url, "family": kind.name, "title": kind.title} | summary
        for kind, summary in zip(kinds, summaries, strict=True)
    ]


def _show_command(title: str, *, stored: bool) -> Callable[..., None]:
    def show(
        port: NeededPort, names: Names = None, *, family: FamilyName = "", baud: Baud = 0, as_json: Json = False
    ) -> None:
        with reported_errors(), connect(DeviceSelection(port, family, baud)) as connected:
            controls = connected.family.controls
            settings = connected.run(controls.read if stored else controls.get, "settings", names or [])
        print_settings(title, settings, as_json=as_json)

    return show


def _change_command(title: str, *, stored: bool) -> Callable[..., None]:
    def change(
        port: NeededPort, values: Values, *, family: FamilyName = "", baud: Baud = 0, as_json: Json = False
    ) -> None:
        with reported_errors():
            pairs = dict(_pair(value) for value in values)
            with connect(DeviceSelection(port, family, baud)) as connected:
                controls = connected.family.controls
                with reports_partial_changes(port):
                    settings = connected.run(controls.write if stored else controls.set, "settings", pairs)
        print_settings(title, settings, as_json=as_json)

    return change


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name or not value:
        raise UsageError(f"{text!r}: not a setting; write NAME=VALUE")
    return name, value


app.command(
    name="get",
    example="pygnc device get /dev/ttyUSB0 orientation",
    help="Show the settings in effect. DMU38x and OpenIMU: fields; `user.*` names parameters of the application.",
)(_show_command("in effect", stored=False))
app.command(
    name="read", example="pygnc device read /dev/ttyUSB0 orientation", help="Show the settings in non-volatile memory."
)(_show_command("in non-volatile memory", stored=True))
app.command(
    name="set",
    example="pygnc device set /dev/ttyUSB0 packet_rate_divider=50Hz",
    help="Change settings at once, until power-off. Values are checked first and read back afterwards.",
)(_change_command("set and read back", stored=False))
app.command(
    name="write",
    example="pygnc device write /dev/ttyUSB0 orientation=-y-x-z",
    help="Change settings in non-volatile memory. Values are checked first and read back afterwards.",
)(_change_command("written and read back", stored=True))


@app.command(example="pygnc device snapshot /dev/ttyUSB0 settings.json")
def snapshot(
    port: NeededPort,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="New file; default: standard output.")] = None,
    *,
    family: FamilyName = "",
    baud: Baud = 0,
) -> None:
    """Save all settings of a device as JSON."""
    with reported_errors():
        if file is not None and file.exists():
            raise LogError(f"{file}: the file exists already; choose another name")
        with connect(DeviceSelection(port, family, baud)) as connected:
            text = connected.run(connected.family.controls.snapshot, "saving of settings")
        if file is None:
            typer.echo(text)
        else:
            file.write_text(text + "\n")
            print_note(f"{file}: saved")


@app.command(example="pygnc device restore /dev/ttyUSB0 settings.json")
def restore(
    port: NeededPort,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Snapshot from `pygnc device snapshot`.")],
    *,
    to_another_unit: Annotated[
        bool, typer.Option("--to-another-unit", help="Accept a snapshot of a different unit.")
    ] = False,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """Restore saved settings. Only settings that differ are written."""
    with reported_errors():
        text = file.read_text()
        with connect(DeviceSelection(port, family, baud)) as connected:
            control = connected.family.controls.restore
            with reports_partial_changes(port):
                changed = connected.run(control, "restoring of settings", text, to_another_unit)
    if changed or as_json:
        print_settings("written", changed, as_json=as_json)
    else:
        print_note("all settings are already as saved")


@app.command(example="pygnc device reset /dev/ttyUSB0")
def reset(port: NeededPort, *, family: FamilyName = "", baud: Baud = 0, as_json: Json = False) -> None:
    """Restart a device and wait until it responds. Values that were set until power-off are lost."""
    with reported_errors(), connect(DeviceSelection(port, family, baud)) as connected:
        connected.run(connected.family.controls.reset, "restarts by a command")
        report = connected.describe()
    print_report("after the restart", report, as_json=as_json)


@app.command(name="command", example="pygnc device command /dev/ttyUSB0 event_support=triggers")
def carry_out(
    port: NeededPort,
    text: Annotated[str, typer.Argument(metavar="NAME[=VALUES]", help="Command, such as filter.mag_capture=use.")],
    *,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """Carry out a command that is not a setting, such as a capture of a calibration; MIP units and SPS30."""
    name, _, values = text.partition("=")
    with reported_errors(), connect(DeviceSelection(port, family, baud)) as connected:
        result = connected.run(connected.family.controls.command, "named commands", name, values)
    print_report("accepted", {name: result}, as_json=as_json)


@app.command(name="calibrate-mag", example="pygnc device calibrate-mag /dev/ttyUSB0 --store")
def calibrate_mag(
    port: NeededPort,
    *,
    store: Annotated[bool, typer.Option("--store", help="Store an acceptable result in non-volatile memory.")] = False,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """Align the magnetometer while you turn the level device by at least 380 degrees within two minutes."""
    with reported_errors(), connect(DeviceSelection(port, family, baud)) as connected:
        controls = connected.family.controls
        align = connected.operation(controls.align_magnetometer, "magnetometer alignment")
        result, is_acceptable = _align(connected, align)
        advice = "no: keep iron away from the device and turn it by at least 380 degrees"
        report = result | {"acceptable": "yes" if is_acceptable else advice}
        if store and is_acceptable:
            connected.run(controls.store_alignment, "magnetometer alignment")
            report["stored"] = "yes"
    print_report("magnetic alignment", report, as_json=as_json)
    if is_acceptable and not store and not as_json:
        print_note("alignment not stored: it is in effect until power-off; use --store to store it")
    if not is_acceptable:
        raise typer.Exit(ExitCode.FAILURE)


def _align(connected: ConnectedDevice, operation: Operation[Any]) -> tuple[dict[str, str], bool]:
    """Run the alignment with a progress bar; return its result, and True if the result is acceptable."""
    print_note("turn the device now: level, by 380 degrees, within two minutes; the alignment ends by itself")
    procedure = connected.device.engine.start(operation)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=stderr_console, disable=not stderr_console.is_terminal) as progress:
            bar = progress.add_task("turn", total=_ALIGNMENT_S)
            start_s = time.monotonic()
            while not wait([procedure.future], _POLL_S).done:
                progress.update(bar, completed=min(_ALIGNMENT_S, time.monotonic() - start_s))
    except KeyboardInterrupt:
        connected.device.engine.abort(procedure)
        wait([procedure.future], 2.0)
        print_note("interrupted: the alignment was stopped and nothing was stored")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    result: tuple[dict[str, str], bool] = procedure.result()
    return result


app.command(name="stream", example="pygnc device stream /dev/ttyUSB0 --count 10")(stream_command.stream)
app.command(name="plot", example="pygnc device plot /dev/ttyUSB0")(plot_command.plot)
app.command(name="log", example="pygnc device log /dev/ttyUSB0 --out logs")(readings_commands.log)
app.command(name="noise", example="pygnc device noise logs/rest.csv --plot noise.png")(readings_commands.noise)
app.command(
    name="calibrate-positions", example="pygnc device calibrate-positions logs/six.csv --latitude 48.1 --height 520"
)(readings_commands.calibrate_positions)
app.command(name="calibrate-rates", example="pygnc device calibrate-rates logs/table.csv --turns turns.csv")(
    readings_commands.calibrate_rates
)
app.command(name="calibrate-temperature", example="pygnc device calibrate-temperature logs/oven.csv --out oven.toml")(
    readings_commands.calibrate_temperature
)
app.command(name="upload", example="pygnc device upload logs/rest.csv --to s3://bucket/logs")(readings_commands.upload)
app.command(name="upgrade", example="pygnc device upgrade /dev/ttyUSB0 firmware.bin --dry-run")(upgrade_command.upgrade)
app.command(name="simulate", example="pygnc device simulate openimu --pty ./imu-port")(simulate_command.simulate)

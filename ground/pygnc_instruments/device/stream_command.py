"""`pygnc device stream`: readings as a table that lives, as lines, or as JSON lines."""

import time
from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pygnc_devices.declaration import Value
from pygnc_devices.reading import Reading
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection, connect, readings_of, start_streaming
from pygnc_instruments.device.terminal import (
    Baud,
    Count,
    FamilyName,
    Json,
    Port,
    Seconds,
    UserPackets,
    console,
    say,
    show_json,
    statistics_line,
    told_plainly,
    until_interrupted,
)

_DRAWS_PER_S = 10


def stream(
    port: Port = "",
    *,
    count: Count = 0,
    seconds: Seconds = 0.0,
    family: FamilyName = "",
    baud: Baud = 0,
    user_packets: UserPackets = None,
    as_json: Json = False,
) -> None:
    """Show what a device says, in SI units and radians, until Ctrl-C."""
    with told_plainly(), connect(DeviceSelection(port, family, baud, user_packets)) as connected:
        with until_interrupted():
            start_streaming(connected)
            if console.is_terminal and not as_json:
                _show_live(connected, count, seconds)
            else:
                _print(connected, count, seconds, as_json=as_json)
        say(statistics_line(connected.device.statistics))


def reading_json(reading: Reading) -> dict[str, Any]:
    """Return a reading for programs: values in SI units and radians, bytes in hex."""
    return {
        "packet": reading.packet.name,
        "t_wall_ns": reading.t_wall_ns,
        "t_mono_ns": reading.t_mono_ns,
        "t_device_ns": reading.t_device_ns,
        "lost_before": reading.lost_before,
        "values": {name: _plain(value) for name, value in reading.values.items()},
        "raw": reading.raw.hex(),
    }


def reading_line(reading: Reading) -> str:
    """Return a reading in a line."""
    time_s = "" if reading.t_device_ns is None else f" {reading.t_device_ns / 1e9:.4f} s"
    values = " ".join(f"{name}={_shown(value)}" for name, value in reading.values.items())
    return f"{reading.packet.name}{time_s} {values}"


def _print(connected: ConnectedDevice, count: int, seconds: float, *, as_json: bool) -> None:
    for reading in readings_of(connected, count, seconds):
        if reading is not None and as_json:
            show_json(reading_json(reading))
        elif reading is not None:
            typer.echo(reading_line(reading))


def _show_live(connected: ConnectedDevice, count: int, seconds: float) -> None:
    """Show the newest reading of each kind, and the statistics, in place."""
    newest: dict[str, Reading] = {}
    drawn_s = 0.0
    with Live(console=console, auto_refresh=False, transient=False) as live:
        for reading in readings_of(connected, count, seconds):
            if reading is not None:
                newest[reading.packet.name] = reading
            if time.monotonic() - drawn_s >= 1 / _DRAWS_PER_S:
                drawn_s = time.monotonic()
                live.update(_picture(newest, connected), refresh=True)
        live.update(_picture(newest, connected), refresh=True)


def _picture(newest: Mapping[str, Reading], connected: ConnectedDevice) -> Group:
    tables = [_table(reading) for reading in newest.values()]
    port = connected.device.url + ("" if connected.device.is_connected else " is gone; it is looked for")
    return Group(*tables, Text(f"{port}: {statistics_line(connected.device.statistics)}", "dim"))


def _table(reading: Reading) -> Table:
    table = Table(title=f"{reading.packet.name}: {reading.packet.meaning}", title_justify="left", show_header=False)
    for entry in reading.packet.fields:
        table.add_row(entry.name, Text(_shown(reading.values[entry.name]), justify="right"), entry.unit.name)
    return table


def _plain(value: Value | None) -> int | float | str | None:
    return value.hex() if isinstance(value, bytes) else value


def _shown(value: Value | None) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(_plain(value))

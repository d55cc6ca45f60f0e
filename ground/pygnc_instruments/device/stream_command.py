"""`pygnc device stream`: show readings as a live table, as lines of text or as JSON lines."""

import time
from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pygnc_cli.signals import until_interrupted
from pygnc_devices.declaration import Value
from pygnc_devices.reading import Reading
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection, connect
from pygnc_instruments.device.terminal import (
    Baud,
    Count,
    FamilyName,
    Json,
    Port,
    Seconds,
    UserPackets,
    console,
    print_json,
    print_note,
    reported_errors,
    statistics_line,
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
    """Show readings, in SI units and radians, until Ctrl-C."""
    with reported_errors(), connect(DeviceSelection(port, family, baud, user_packets)) as connected:
        with until_interrupted():
            connected.start_streaming()
            if console.is_terminal and not as_json:
                _show_live(connected, count, seconds)
            else:
                for reading in connected.readings(count, seconds):
                    if reading is not None and as_json:
                        print_json(_as_json(reading))
                    elif reading is not None:
                        typer.echo(_as_line(reading))
        print_note(statistics_line(connected.device.statistics))


def _as_json(reading: Reading) -> dict[str, Any]:
    return {
        "packet": reading.packet.name,
        "t_wall_ns": reading.t_wall_ns,
        "t_mono_ns": reading.t_mono_ns,
        "t_device_ns": reading.t_device_ns,
        "lost_before": reading.lost_before,
        "values": {name: _json_value(value) for name, value in reading.values.items()},
        "raw": reading.raw.hex(),
    }


def _as_line(reading: Reading) -> str:
    time_s = "" if reading.t_device_ns is None else f" {reading.t_device_ns / 1e9:.4f} s"
    values = " ".join(f"{name}={_value_text(value)}" for name, value in reading.values.items())
    return f"{reading.packet.name}{time_s} {values}"


def _show_live(connected: ConnectedDevice, count: int, seconds: float) -> None:
    """Show the newest reading of each kind of packet, and the statistics, in place."""
    newest: dict[str, Reading] = {}
    drawn_s = 0.0
    with Live(console=console, auto_refresh=False, transient=False) as live:
        for reading in connected.readings(count, seconds):
            if reading is not None:
                newest[reading.packet.name] = reading
            if time.monotonic() - drawn_s >= 1 / _DRAWS_PER_S:
                drawn_s = time.monotonic()
                live.update(_screen(newest, connected), refresh=True)
        live.update(_screen(newest, connected), refresh=True)


def _screen(newest: Mapping[str, Reading], connected: ConnectedDevice) -> Group:
    device = connected.device
    state = "" if device.is_connected else " disconnected; reconnecting"
    line = Text(f"{device.url}{state}: {statistics_line(device.statistics)}", "dim")
    return Group(*(_table(reading) for reading in newest.values()), line)


def _table(reading: Reading) -> Table:
    table = Table(title=f"{reading.packet.name}: {reading.packet.meaning}", title_justify="left", show_header=False)
    for entry in reading.packet.fields:
        table.add_row(entry.name, Text(_value_text(reading.values[entry.name]), justify="right"), entry.unit.name)
    return table


def _json_value(value: Value | None) -> int | float | str | None:
    return value.hex() if isinstance(value, bytes) else value


def _value_text(value: Value | None) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(_json_value(value))

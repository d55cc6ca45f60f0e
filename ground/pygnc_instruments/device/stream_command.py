"""`pygnc device stream`: show readings on a terminal, or print them as lines, as CSV or as JSON."""

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pygnc_cli.exit_codes import UsageError
from pygnc_cli.signals import until_interrupted
from pygnc_devices.declaration import Value
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import family as family_of
from pygnc_devices.monodrive.sensor import make_sensors
from pygnc_devices.reading import Reading
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection, connect, selections
from pygnc_instruments.device.csv_log import CsvRows, utc_text
from pygnc_instruments.device.terminal import (
    DRAWS_PER_S,
    Baud,
    Count,
    FamilyName,
    Json,
    Port,
    Seconds,
    Server,
    UserPackets,
    console,
    print_json,
    print_note,
    reported_errors,
    statistics_line,
)
from pygnc_instruments.device.time_base import TimeBase

_POLL_S: Final = 0.2
Named: TypeAlias = tuple[str, Reading]
"""Name of a sensor, "" if there is only one device, and its reading."""


def stream(
    port: Port = "",
    *,
    server: Server = "127.0.0.1",
    count: Count = 0,
    seconds: Seconds = 0.0,
    every: Annotated[int, typer.Option(min=1, help="Show one in N readings of each kind.", metavar="N")] = 1,
    family: FamilyName = "",
    baud: Baud = 0,
    user_packets: UserPackets = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with the columns of log files.")] = False,
    as_json: Json = False,
) -> None:
    """Show readings, in SI units and radians, until Ctrl-C.

    PORT may be a configuration of monoDrive's simulator (a .json file), for all its IMUs, or a recording. The names of
    the families precede the readings of a recording with several families.
    """
    with reported_errors(), contextlib.ExitStack() as stack:
        if as_csv and as_json:
            raise UsageError("--csv and --json exclude each other; omit one of them")
        if port.endswith(".json"):
            sensors = _connect_sensors(Path(port), server, stack)
        else:
            parts = selections(DeviceSelection(port, family, baud, user_packets))
            sensors = {name: stack.enter_context(connect(part)) for name, part in parts.items()}
        with until_interrupted():
            for connected in sensors.values():
                connected.start_streaming()
            shown = _thinned(_readings(sensors, seconds), every, count)
            if console.is_terminal and not (as_csv or as_json):
                _show_live(shown, sensors)
            elif as_csv:
                _print_csv(shown, sensors)
            else:
                for entry in shown:
                    if entry is not None:
                        print_json(_as_json(*entry)) if as_json else typer.echo(_as_line(*entry, sensors[entry[0]]))
        for connected in sensors.values():
            print_note(statistics_line(connected.device.statistics))


def _connect_sensors(path: Path, server: str, stack: contextlib.ExitStack) -> dict[str, ConnectedDevice]:
    """Connect to the IMUs of a configuration of monoDrive's simulator, and return them by name."""
    sensors = [stack.enter_context(sensor) for sensor in make_sensors(path, server)]
    if not sensors:
        raise DeviceError(f"{path}: no IMU has sensor_process; set it for an IMU to read")
    return {sensor.name: ConnectedDevice(sensor.device, family_of("monodrive")) for sensor in sensors}


def _readings(sensors: Mapping[str, ConnectedDevice], seconds: float) -> Generator[Named | None, None, None]:
    """Yield the readings of all sensors as they arrive, and None after each 0.2 s without a reading."""
    if len(sensors) == 1:
        ((name, connected),) = sensors.items()
        for reading in connected.readings(0, seconds):
            yield None if reading is None else (name, reading)
        return
    arrived = threading.Event()
    end_s = time.monotonic() + seconds if seconds else float("inf")
    with contextlib.ExitStack() as stack:
        queues = {
            name: stack.enter_context(contextlib.closing(connected.device.subscribe(notify=arrived.set)))
            for name, connected in sensors.items()
        }
        while time.monotonic() < end_s:
            has_arrived = arrived.wait(min(_POLL_S, end_s - time.monotonic()))
            arrived.clear()
            for name, queue in queues.items():
                while (reading := queue.take(0.0)) is not None:
                    yield name, reading
            if all(queue.is_over for queue in queues.values()):
                return
            if not has_arrived:
                yield None


def _thinned(readings: Iterable[Named | None], every: int, count: int) -> Generator[Named | None, None, None]:
    """Yield the first of each `every` readings of a kind, `count` in total (0: no limit), and every None."""
    seen: Counter[tuple[str, str]] = Counter()
    for entry in readings:
        if entry is not None:
            kind = entry[0], entry[1].packet.name
            seen[kind] += 1
            if (seen[kind] - 1) % every:
                continue
        yield entry
        count -= entry is not None
        if count == 0 and entry is not None:
            return


def _print_csv(readings: Iterable[Named | None], sensors: Mapping[str, ConnectedDevice]) -> None:
    """Print the rows of the first kind of packet; a table cannot contain several kinds."""
    rows: CsvRows | None = None
    time_base = TimeBase()
    skipped: set[tuple[str, str]] = set()
    for entry in readings:
        if entry is None:
            continue
        name, reading = entry
        is_recording = sensors[name].device.engine.is_recording
        if rows is None:
            printed, rows = (name, reading.packet.name), CsvRows(reading, is_recording=is_recording)
            typer.echo(",".join(name for name, _ in rows.columns))
        if (name, reading.packet.name) == printed:
            typer.echo(rows.row(reading, None if is_recording else time_base.measured(reading)))
        elif (name, reading.packet.name) not in skipped:
            skipped.add((name, reading.packet.name))
            kind = " ".join(filter(None, (name, reading.packet.name)))
            print_note(
                f"{kind}: omitted, because one CSV table has one kind of packet; use --json or `pygnc device log`"
            )


def _as_json(name: str, reading: Reading) -> dict[str, Any]:
    return ({"sensor": name} if name else {}) | {
        "packet": reading.packet.name,
        "t_wall_ns": reading.t_wall_ns,
        "t_mono_ns": reading.t_mono_ns,
        "t_device_ns": reading.t_device_ns,
        "lost_before": reading.lost_before,
        "gap_ns": reading.gap_ns,
        "values": {name: _json_value(value) for name, value in reading.values.items()},
        "raw": reading.raw.hex(),
    }


def _as_line(name: str, reading: Reading, connected: ConnectedDevice) -> str:
    parts = [name] if name else []
    parts.append(reading.packet.name)
    if not connected.device.engine.is_recording:  # whose readings do not arrive when they were measured
        parts.append(utc_text(reading.t_wall_ns))
    if reading.t_device_ns is not None:
        parts.append(f"{reading.t_device_ns / 1e9:.4f} s")
    return " ".join([*parts, *(f"{key}={_value_text(value)}" for key, value in reading.values.items())])


def _show_live(readings: Iterable[Named | None], sensors: Mapping[str, ConnectedDevice]) -> None:
    """Show the newest reading of each kind of packet and the statistics, updated in place by a thread of `Live`."""
    newest: dict[tuple[str, str], Reading] = {}
    with Live(get_renderable=lambda: _screen(newest.copy(), sensors), console=console, refresh_per_second=DRAWS_PER_S):
        for entry in readings:
            if entry is not None:
                newest[entry[0], entry[1].packet.name] = entry[1]


def _screen(newest: Mapping[tuple[str, str], Reading], sensors: Mapping[str, ConnectedDevice]) -> Group:
    lines = []
    for connected in sensors.values():
        device = connected.device
        state = "" if device.is_connected else " disconnected; reconnecting"
        lines.append(Text(f"{device.url}{state}: {statistics_line(device.statistics)}", "dim"))
    return Group(*(_table(name, reading) for (name, _), reading in newest.items()), *lines)


def _table(name: str, reading: Reading) -> Table:
    table = Table(
        title=f"{name} {reading.packet.name}: {reading.packet.meaning}".strip(), title_justify="left", show_header=False
    )
    for entry in reading.packet.fields:
        table.add_row(entry.name, Text(_value_text(reading.values[entry.name]), justify="right"), entry.unit.name)
    return table


def _json_value(value: Value | None) -> int | float | str | None:
    """Return a value as JSON has it, which knows neither NaN nor infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.hex() if isinstance(value, bytes) else value


def _value_text(value: Value | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value.hex() if isinstance(value, bytes) else str(value)

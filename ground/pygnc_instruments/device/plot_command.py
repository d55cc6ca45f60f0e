"""`pygnc device plot`: a small window with what a device feels; of monoDrive's sensors those with `display_process`."""

import contextlib
import signal
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_devices.device import BlockingDevice
from pygnc_devices.errors import DeviceError
from pygnc_devices.monodrive.sensor import ImuSensor, Message, make_sensors
from pygnc_instruments.device.connection import Connected, Wanted, connect
from pygnc_instruments.device.follow import start
from pygnc_instruments.device.plot_curves import Sample, Source, sample_of
from pygnc_instruments.device.terminal import (
    Baud,
    FamilyName,
    Port,
    Seconds,
    UserPackets,
    statistics_line,
    told_plainly,
)

_MONODRIVE: Final = {"acceleration": "acceleration_vector", "angular velocity": "angular_velocity_vector"}


def plot(
    port: Port = "",
    *,
    server: Annotated[str, typer.Option(help="Where the simulator of monoDrive runs.")] = "127.0.0.1",
    seconds: Seconds = 0.0,
    family: FamilyName = "",
    baud: Baud = 0,
    user_packets: UserPackets = None,
) -> None:
    """Show the last ten seconds in a window. PORT may be monoDrive's configuration (a .json file)."""
    with told_plainly(), contextlib.ExitStack() as stack:
        if port.endswith(".json"):
            sources = _sensors(Path(port), server, stack)
        else:
            connected = stack.enter_context(connect(Wanted(port, family, baud, user_packets)))
            start(connected)
            sources = [_device(connected, stack)]
        _show(sources, seconds)


def _device(connected: Connected, stack: contextlib.ExitStack) -> Source:
    readings = stack.enter_context(contextlib.closing(connected.device.subscribe()))

    def take() -> list[Sample]:
        samples = []
        while (reading := readings.take(0.0)) is not None:
            samples.append(sample_of(reading))
        return samples

    return Source(connected.device.url, take, lambda: _status(connected.device))


def _sensors(path: Path, server: str, stack: contextlib.ExitStack) -> list[Source]:
    """Return the IMUs of a vehicle that want a display, as their own queue for it gives them."""
    sensors = [entry for entry in make_sensors(path, server) if entry.configuration.display_process]
    if not sensors:
        raise DeviceError(f"{path}: no IMU in it has display_process and sensor_process")
    return [_sensor(stack.enter_context(entry)) for entry in sensors]


def _sensor(sensor: ImuSensor) -> Source:
    def take() -> list[Sample]:
        now_s = time.monotonic()
        return [Sample(now_s, _vectors(message)) for message in sensor.get_display_messages(block=False)]

    return Source(sensor.name, take, lambda: _status(sensor.device))


def _vectors(message: Message) -> dict[str, dict[str, float]]:
    panels = {}
    for title, key in _MONODRIVE.items():
        vector = message[key]
        if isinstance(vector, list):
            panels[title] = dict(zip("xyz", vector, strict=True))
    return panels


def _status(device: BlockingDevice) -> str:
    gone = "" if device.is_connected else "the port is gone; it is looked for. "
    return f"{gone}{statistics_line(device.statistics)}"


def _show(sources: list[Source], seconds: float) -> None:
    try:
        from tkinter import TclError  # noqa: PLC0415 - Tk is not everywhere

        from pygnc_instruments.device.plot_window import PlotWindow  # noqa: PLC0415 - likewise
    except ImportError:
        raise DeviceError("a window needs Tk; on Debian: sudo apt install python3-tk") from None
    try:
        window = PlotWindow(sources)
    except TclError as error:
        raise DeviceError(f"no window can be shown: {error}") from None
    before = {number: signal.signal(number, window.close) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        window.run(seconds)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

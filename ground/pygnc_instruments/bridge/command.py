"""`pygnc bridge`: command line of the bridge's server."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_cli.application import Application
from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.files import report_user_errors
from pygnc_devices.errors import DeviceError
from pygnc_instruments.bridge.messages import Event
from pygnc_instruments.bridge.server import TOKEN_VARIABLE, Bridge, BridgeSettings, BridgeSettingsError
from pygnc_instruments.device.connection import DeviceSelection
from pygnc_instruments.device.terminal import known_family

app: Final = Application()


@app.command(example="pygnc bridge /dev/ttyUSB0")
def bridge(
    device: Annotated[
        str, typer.Argument(metavar="PORT", help="Path or URL of the device's port; default: search USB adapters.")
    ] = "",
    *,
    baud: Annotated[int, typer.Option(min=0, help="Baud rate, bit/s; default: detected.", show_default=False)] = 0,
    family_name: Annotated[
        str,
        typer.Option(
            "--family",
            metavar="NAME",
            callback=known_family,
            help="Device family (ucb, gx2, monodrive ...); default: detected. With --baud, no detection is necessary.",
        ),
    ] = "",
    folder: Annotated[Path, typer.Option(help="Folder of the log files.")] = Path("imu_logs"),
    host: Annotated[
        str, typer.Option(help=f"Address to listen on; other computers need the token in {TOKEN_VARIABLE}.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port to listen on; 0 for any free port.")] = 8000,
    protocol: Annotated[
        str, typer.Option(help="Message protocol at ws://HOST:PORT/: v1, v2 (python-imu380), openimu, envelope.")
    ] = "v2",
    interval_ms: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Milliseconds between messages with all new readings (envelope, openimu) or the newest (v1, v2); "
            "default: 33 (v1, envelope) or 50.",
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin of a web page that may connect, such as https://developers.aceinna.com; repeatable."),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file of a TLS certificate, to serve https and wss.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="PEM file of the certificate's key; default: the file of the certificate.")
    ] = None,
    allow_local_clients: Annotated[
        bool,
        typer.Option(
            "--allow-local-clients",
            help="Let every program on this computer send commands without a token, for old clients.",
        ),
    ] = False,
) -> None:
    """Serve one device to browsers: WebSocket for Aceinna Navigation Studio and other programs, and a web page."""
    with report_user_errors("pygnc", {DeviceError: ExitCode.DEVICE, BridgeSettingsError: ExitCode.INPUT}):
        settings = BridgeSettings(
            DeviceSelection(device, family_name, baud),
            folder,
            host,
            port,
            protocol,
            None if interval_ms is None else interval_ms / 1000,
            tuple(origin or ()),
            os.environ.get(TOKEN_VARIABLE, ""),
            certificate,
            key,
            allow_local_clients,
        )
        asyncio.run(_run(settings))


async def _run(settings: BridgeSettings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopping.set)
        except NotImplementedError:  # the loops of Windows have no signal handlers
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))
    server = Bridge(settings, _print)
    async with server.running():
        typer.echo(f"{server.url} serves {settings.device.port or 'the first device that is found'}; stop with Ctrl-C")
        await stopping.wait()


def _print(event: Event) -> None:
    with contextlib.suppress(OSError):  # a closed terminal must not end the bridge
        match event.name:
            case "device":
                typer.echo(f"device {event.data['state']}: {event.data['reason'] or event.data['id']}")
            case "log":
                typer.echo(f"log {event.data['file'] or 'closed'}")
            case "upgrade_progress" if event.data["state"] != "running":
                typer.echo(f"upgrade {event.data['state']}: {event.data.get('message') or event.data['after']}")

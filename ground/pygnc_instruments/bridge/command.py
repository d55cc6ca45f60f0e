"""`pygnc bridge`: the command line of the bridge."""

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_devices.errors import DeviceError
from pygnc_devices.family import family
from pygnc_instruments.bridge.device_link import Place
from pygnc_instruments.bridge.messages import Event
from pygnc_instruments.bridge.server import Bridge, BridgeSettings, BridgeSettingsError

TOKEN_VARIABLE: Final = "PYGNC_BRIDGE_TOKEN"  # noqa: S105 - the name of the variable
app: Final = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command()
def bridge(
    device: Annotated[
        str | None,
        typer.Argument(metavar="[PORT]", help="Path or URL of the unit's port; else USB adapters are tried."),
    ] = None,
    *,
    baud: Annotated[int | None, typer.Option(help="Speed of the line; else it is found out.")] = None,
    family_name: Annotated[
        str | None,
        typer.Option("--family", help="Kind of unit: ucb, gx2, monodrive ...; with --baud, nothing is tried."),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where log files are.")] = Path("imu_logs"),
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this computer a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="To listen on; 0 takes any.")] = 8000,
    protocol: Annotated[
        str, typer.Option(help="Messages at ws://HOST:PORT/: v1 or v2 of python-imu380, or envelope.")
    ] = "v2",
    interval_ms: Annotated[
        float | None, typer.Option(min=1, help="Between readings; else 33 ms (v1, envelope), 50 ms (v2).")
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="A web page that may connect, such as https://developers.aceinna.com.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM file: serve https and wss.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key, if it is another one.")] = None,
) -> None:
    """Serve one unit to browsers: WebSocket for Aceinna Navigation Studio, and a page of its own."""
    logging.basicConfig(level=logging.WARNING, format="pygnc: %(message)s")
    try:
        if family_name is not None:
            family(family_name)
        settings = BridgeSettings(
            Place(device, baud, family_name),
            folder,
            host,
            port,
            protocol,
            None if interval_ms is None else interval_ms / 1000,
            tuple(origin or ()),
            os.environ.get(TOKEN_VARIABLE, ""),
            certificate,
            key,
        )
        asyncio.run(_run(settings))
    except (BridgeSettingsError, DeviceError) as error:
        typer.echo(f"pygnc: {error}", err=True)
        raise typer.Exit(1) from None


async def _run(settings: BridgeSettings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopping.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))
    served = Bridge(settings, _print)
    async with served.running():
        typer.echo(f"{served.url} serves {settings.place.url or 'the first unit that is found'}; Ctrl-C ends it")
        await stopping.wait()


def _print(event: Event) -> None:
    """Print what has changed; a closed terminal ends nothing."""
    with contextlib.suppress(OSError):
        match event.word:
            case "device":
                data = event.data
                typer.echo(f"device {data['state']}: {data['reason'] or data['id']}")
            case "log":
                typer.echo(f"log {event.data['file'] or 'closed'}")
            case "upgrade_progress" if event.data["state"] != "running":
                typer.echo(f"upgrade {event.data['state']}: {event.data.get('message') or event.data['after']}")


if __name__ == "__main__":
    app()

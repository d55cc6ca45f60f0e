"""`pygnc view`: show a run or a flight in the browser while it flies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pygnc_cli.application import Application
from pygnc_cli.files import report_user_errors

if TYPE_CHECKING:
    from pygnc_ground.view.source import Source

app: Final = Application()
PORT: Final = 8020


@app.command(example="pygnc view ~/pygnc_logs/run-00007")
def view_run(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="Folder of a run; or a home, or its pygnc_logs, for the newest run."),
    ] = None,
    *,
    live: Annotated[
        Path | None, typer.Option(help="Serial port or terminal with a flight at its other end, instead of RUN.")
    ] = None,
    baud: Annotated[
        int | None, typer.Option(min=1, help="Speed of --live in bit/s; default: the terminal's own.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port to serve the page at; 0 for any.")] = PORT,
) -> None:
    """Serve a page that shows a run and follows it while it flies: globe, attitude, formation, plots, events.

    The run and the flight are not changed. Only browsers on this computer that have used a printed link can connect.
    """
    import asyncio

    if (run is None) == (live is None):
        raise typer.BadParameter("name either RUN or --live PORT")
    if live is None and baud is not None:
        raise typer.BadParameter("--baud needs --live")
    with report_user_errors("pygnc view"):
        asyncio.run(_serve(_source(run, live, baud), port))


def _source(run: Path | None, live: Path | None, baud: int | None) -> "Source":
    if live is not None:
        from pygnc_ground.view.link import LinkSource

        return LinkSource(live, baud)
    from pygnc_ground.view.journals import RunSource

    return RunSource(run or Path())


async def _serve(source: "Source", port: int) -> None:
    import asyncio

    from pygnc_cli.signals import stopped_by_signals
    from pygnc_ground.view.server import ViewServer

    loop, stopping = asyncio.get_running_loop(), asyncio.Event()

    def stop() -> None:
        loop.call_soon_threadsafe(stopping.set)

    secret = Path.home() / ".pygnc" / "view.json"
    server = ViewServer(source, port, secret, lambda link: typer.echo(f"open {link}"), typer.echo)
    with stopped_by_signals(stop):
        async with server.running():
            typer.echo(f"{source.describe()}; each link works once; stop with Ctrl-C")
            await stopping.wait()

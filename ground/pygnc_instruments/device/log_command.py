"""`pygnc device log`: readings into CSV files, bytes beside them if wished, and both into an object store."""

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.live import Live
from rich.text import Text

import pygnc
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection, connect, readings_of, start_streaming
from pygnc_instruments.device.log_files import CsvLog, LogError, RawLog, Rotation, checked_log_name, recover_logs
from pygnc_instruments.device.terminal import (
    Baud,
    Count,
    FamilyName,
    Json,
    Port,
    Seconds,
    UserPackets,
    notes,
    say,
    show_json,
    statistics_json,
    statistics_line,
    told_plainly,
    until_interrupted,
)
from pygnc_instruments.device.upload import Destination, DestinationError, Spool, Uploader, default_spool, destination

_DRAW_EVERY: Final = 16
_MEGABYTE: Final = 1_000_000

To = Annotated[
    str,
    typer.Option("--to", metavar="URL", help="Store for finished files: az://container/prefix, s3://, gs://, file:///. "
                 "By default PYGNC_STORE_URL; credentials come from the environment."),
]  # fmt: skip
User = Annotated[str, typer.Option("--user", help="Whose prefix they get there; by default PYGNC_STORE_USER.")]
SpoolFolder = Annotated[
    Path | None, typer.Option("--spool", help="What is still to be sent is noted here; by default ~/.pygnc_spool.")
]


def log(
    port: Port = "",
    *,
    out: Annotated[Path, typer.Option(help="Folder for the files; made if missing.")] = Path(),
    name: Annotated[str, typer.Option(help="Name of the file; by default data- and the local time.")] = "",
    raw: Annotated[bool, typer.Option("--raw", help="Keep all bytes too, in a file that can be played.")] = False,
    rotate_mb: Annotated[float, typer.Option(min=0.0, help="Begin the next file after so many megabytes.")] = 0.0,
    rotate_minutes: Annotated[float, typer.Option(min=0.0, help="Begin the next file after so long.")] = 0.0,
    count: Count = 0,
    seconds: Seconds = 0.0,
    to: To = "",
    user: User = "",
    spool: SpoolFolder = None,
    family: FamilyName = "",
    baud: Baud = 0,
    user_packets: UserPackets = None,
    as_json: Json = False,
) -> None:
    """Write what a device says into CSV files, until Ctrl-C."""
    with told_plainly():
        place = _place(to, user)
        rotation = Rotation(round(rotate_mb * _MEGABYTE), rotate_minutes * 60.0)
        chosen = checked_log_name(name) if name else ""
        for left in recover_logs(out) if out.is_dir() else []:
            say(f"{left}: recovered, its end is missing")
        closed: list[Path] = []
        with (
            connect(DeviceSelection(port, family, baud, user_packets)) as connected,
            _sending(place, spool) as uploader,
        ):
            csv = CsvLog(out, chosen, _head(connected), rotation)

            def take(path: Path) -> None:
                closed.append(path)
                if uploader is not None:
                    uploader.add(path)

            csv.on_closed = take
            bytes_kept = RawLog(out, chosen, connected.device.engine) if raw else None
            try:
                with until_interrupted():
                    start_streaming(connected)
                    _write(connected, csv, count, seconds)
            finally:
                csv.close()
                if bytes_kept is not None:
                    take(bytes_kept.close())
            seen = connected.device.statistics
    if as_json:
        show_json({"files": [str(path) for path in closed], "rows": csv.rows, "statistics": statistics_json(seen)})
    else:
        for path in closed:
            typer.echo(f"{path}  {path.stat().st_size} bytes")
        say(f"{csv.rows} rows; {statistics_line(seen)}")


def upload(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE...]", help="Files to send too.")] = None,
    *,
    to: To = "",
    user: User = "",
    spool: SpoolFolder = None,
) -> None:
    """Send files, and what earlier commands could not send, into an object store."""
    with told_plainly():
        place = _place(to, user)
        if place is None:
            raise DestinationError("name a store: --to az://container/prefix, or PYGNC_STORE_URL in the environment")
        missing = [path for path in files or [] if not path.is_file()]
        if missing:
            raise LogError(f"{missing[0]}: no such file")
        uploader = Uploader(place, _spool(spool), say)
        for path in files or []:
            uploader.add(path)
        left = uploader.close()
    if left:
        say(f"{left} files stay in the spool")
        raise typer.Exit(1)


def _place(to: str, user: str) -> Destination | None:
    return destination({name: value for name, value in (("storage", to), ("id", user)) if value})


def _spool(folder: Path | None) -> Spool:
    return Spool(folder or default_spool())


@contextlib.contextmanager
def _sending(place: Destination | None, spool: Path | None) -> Generator[Uploader | None, None, None]:
    if place is None:
        yield None
        return
    uploader = Uploader(place, _spool(spool), say)
    try:
        yield uploader
    finally:
        left = uploader.close()
        if left:
            say(f"{left} files stay in the spool: `pygnc device upload` sends them")


def _head(connected: ConnectedDevice) -> dict[str, str]:
    describe = connected.family.controls.describe
    told = {} if describe is None or connected.is_recording else connected.device.run(describe(connected.unit))
    ours = {"software": f"pygnc {pygnc.__version__}", "family": connected.family.name, "port": connected.device.url}
    return told | ours


def _write(connected: ConnectedDevice, csv: CsvLog, count: int, seconds: float) -> None:
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(Live(console=notes, auto_refresh=False)) if notes.is_terminal else None
        for turn, reading in enumerate(readings_of(connected, count, seconds)):
            if reading is not None:
                csv.write(reading)
            if live is not None and (turn % _DRAW_EVERY == 0 or reading is None):
                line = f"{csv.current or 'waiting'}: {csv.rows} rows; {statistics_line(connected.device.statistics)}"
                live.update(Text(line), refresh=True)

"""`pygnc station batch | status | register | upload`: from readings to accepted batches."""

from contextlib import closing
from typing import Annotated

import typer

from pygnc_cli.exit_codes import ExitCode, UsageError
from pygnc_cli.text import printable
from pygnc_station.commands.common import NowOption, SettingsOption, command, is_delayed, open_store, show_names
from pygnc_station.errors import TransferError
from pygnc_station.settings_file import read_settings
from pygnc_station.store import query
from pygnc_station.store.batches import Batch, BatchState, batches, count_accepted, retry_rejected
from pygnc_station.store.cursors import BATCHES, pending
from pygnc_station.store.readings import clock_ms, iso_time, parse_time
from pygnc_station.store.reserve import with_reserve
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.reconciliation import send_again
from pygnc_station.upload.uploader import UPLOAD, UploadReport, sender_of, upload_all


@command(example="pygnc station batch --again --since 2026-11-20")
def batch(
    settings: SettingsOption = None,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Rejected batch for --again.")] = "",
    *,
    again: Annotated[
        bool, typer.Option("--again", help="Make the rejected batch NAME, or those of --since, ready again.")
    ] = False,
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="With --again: all batches that the server has accepted since TIME (ISO 8601, UTC); it stores what it"
            " lacks, and nothing twice.",
        ),
    ] = "",
) -> None:
    """Write the readings and files that are in no batch yet to a zip file in the pending folder."""
    if bool(name or since) != again or (name and since):
        raise UsageError("--again requires the NAME of a rejected batch or --since TIME, and these require --again")
    chosen = read_settings(settings)
    since_ms = _time(since) if since else None

    def make() -> list[Batch]:
        with Store.open(chosen.store_url) as store:
            if since_ms is not None:
                found = send_again(store, chosen, since_ms)
                readings = sum(batch.readings for batch in found)
                typer.echo(f"{len(found)} batches with {readings} readings are ready again")
            return make_batch(store, chosen, clock_ms())

    if name:
        with Store.open(chosen.store_url) as store:
            typer.echo(f"{retry_rejected(store, name).name} is ready")
        return
    made = with_reserve(chosen.store_url, make)
    for item in made:
        path = chosen.path(chosen.batches.pending) / item.file_name
        typer.echo(f"{path}  {item.readings} readings, {len(item.contents.files)} files, {item.bytes} bytes")
    if not made:
        typer.echo("nothing new")


def _time(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError:
        raise UsageError(f"invalid time {text!r}; use ISO 8601, such as 2026-11-21T17:00") from None


@command()
def status(settings: SettingsOption = None) -> None:
    """Show the numbers of readings in the store and in no batch, and the batches that are not accepted yet."""
    with open_store(settings) as store:
        with store.reads() as connection:
            waiting = sum(item.last - item.first + 1 for item in pending(connection, BATCHES))
        stored = sum(query.count(store, stream) for stream in query.streams(store))
        typer.echo(f"{stored} readings in the store")
        typer.echo(f"{waiting} readings in no batch")
        for item in batches(store, *(state for state in BatchState if state is not BatchState.ACCEPTED)):
            reason = f": {printable(item.reason)}" if item.reason else ""
            typer.echo(f"{item.name}  {item.state}  {item.readings} readings  {iso_time(item.created_ms)}{reason}")
        count, readings = count_accepted(store)
        typer.echo(f"{count} batches with {readings} readings accepted")


@command()
def register(
    settings: SettingsOption = None,
    pin: Annotated[
        str, typer.Option(envvar="PYGNC_PIN", help="PIN from the server; by default the command asks for it.")
    ] = "",
) -> None:
    """Exchange a PIN of the server for a key, and store it in a file that only you can read."""
    from pygnc_station.upload.station_server import register as exchange  # noqa: PLC0415 - imports an HTTP client

    chosen = read_settings(settings)
    typer.echo(f"registered; the key is stored in {exchange(chosen, pin or typer.prompt('PIN'))}")
    show_names(chosen)


@command()
def upload(settings: SettingsOption = None, *, now: NowOption = False) -> None:
    """Send the batches that are ready."""
    chosen = read_settings(settings)
    now_ms = clock_ms()

    def send() -> UploadReport | None:
        with Store.open(chosen.store_url) as store:
            if not now and is_delayed(store, UPLOAD, now_ms):
                return None
            with closing(sender_of(chosen)) as sender:
                return upload_all(store, chosen, sender, now_ms)

    if report := with_reserve(chosen.store_url, send):
        _print(report)
        if report.problem:
            raise TransferError(report.problem)
        if report.rejected:
            raise typer.Exit(ExitCode.FAILURE)


def _print(report: UploadReport) -> None:
    for name in report.accepted:
        typer.echo(f"{name}  accepted")
    for note in report.notes:
        typer.echo(printable(note))
    for name in report.waiting:
        typer.echo(f"{name}  sent, not accepted yet")
    for name, reason in report.rejected:
        typer.echo(f"{name}  rejected: {printable(reason)}; `pygnc station batch --again {name}` makes it ready again")
    if not (report.accepted or report.waiting or report.rejected or report.problem or report.notes):
        typer.echo("nothing to send")

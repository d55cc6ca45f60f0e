"""`pygnc station recent | watch | cells | export | import | prune | sync`: the readings of a store."""

import time
from contextlib import suppress
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_cli.exit_codes import UsageError
from pygnc_cli.files import echo_files
from pygnc_devices.declaration import Value
from pygnc_devices.emus.cells import CellData, CellTable
from pygnc_devices.emus.sentences import SUMMARY
from pygnc_station.commands.common import (
    GadgetOption,
    JsonOption,
    NowOption,
    SettingsOption,
    command,
    is_delayed,
    open_store,
    time_of,
)
from pygnc_station.errors import StationError
from pygnc_station.logger.display import json_of, line_of
from pygnc_station.settings import StationSettings
from pygnc_station.settings_file import expanded, read_settings
from pygnc_station.settings_types import zone_of
from pygnc_station.store import clock, query
from pygnc_station.store.clock import FUTURE_MS
from pygnc_station.store.cursors import BATCHES, SYNC
from pygnc_station.store.emus_history import import_emus
from pygnc_station.store.export import Additions
from pygnc_station.store.export import export as export_files
from pygnc_station.store.pruning import bytes_on_disk, free_space, prune_files, prune_to_size
from pygnc_station.store.pruning import prune as prune_store
from pygnc_station.store.query import Span, newest_of_each_kind
from pygnc_station.store.readings import DAY_MS, StoredReading, Stream, clock_ms, iso_time
from pygnc_station.store.reserve import keep_reserve, with_reserve
from pygnc_station.store.retention import keep_days_only, prune_to_statistics
from pygnc_station.store.store import Store
from pygnc_station.upload.sync import SyncResult, send_dead_letters, synchronise
from pygnc_system import plugins

DATABASES: Final = "pygnc.databases"
"""Group of the entry points that import databases of other programs."""
_SERVERS: Final = ("mysql://", "mariadb://")
_ARRIVING_S: Final = 86_400.0
"""Time within which an interrupted upload is continued."""
_UNCONFIRMED_MS: Final = 7 * DAY_MS
"""Time for which a clock may run without a confirmation by a server or NTP until its age of readings is doubted."""
_POLL_S: Final = 0.5
_PAGE: Final = 500
_UNITS: Final = {"BV2": "V", "BT2": "°C", "BT4": "°C", "BB2": "%"}
_QUANTITIES: Final = {"BV2": "voltage", "BT2": "module temperature", "BT4": "cell temperature", "BB2": "balancing"}
_STATUS: Final = "ST1"
_RESPONSE_MS: Final = 30_000
"""Longest time between the sentences of one response."""
KindOption = Annotated[str, typer.Option("--kind", "-k", metavar="NAME", help="Kind of readings; default: all.")]
SinceOption = Annotated[str, typer.Option("--since", metavar="TIME", help="Earliest time (ISO 8601, UTC).")]
UntilOption = Annotated[str, typer.Option("--until", metavar="TIME", help="Latest time, exclusive (ISO 8601, UTC).")]


class Form(StrEnum):
    """Format of exported files."""

    CSV = "csv"
    PARQUET = "parquet"
    NETCDF = "netcdf"


@command(example="pygnc station recent -n 5")
def recent(
    settings: SettingsOption = None,
    gadget: GadgetOption = "",
    kind: KindOption = "",
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Total number of readings to print.")] = 10,
    *,
    as_json: JsonOption = False,
) -> None:
    """Print the newest readings of the store, the newest first."""
    with open_store(settings) as store:
        streams = query.streams(store, gadget, kind)
        latest_ms = clock_ms() + FUTURE_MS
        for reading in query.recent(store, streams, count, Span(stop_ms=latest_ms)):
            _print(reading, streams, as_json=as_json)
        if later := sum(query.count(store, stream, Span(start_ms=latest_ms)) for stream in streams):
            typer.echo(f"{later} readings are dated in the future, by a wrong clock, and left out", err=True)
        if not streams:
            typer.echo("the store contains no such readings", err=True)


@command()
def watch(
    settings: SettingsOption = None,
    gadget: GadgetOption = "",
    kind: KindOption = "",
    *,
    as_json: JsonOption = False,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, help="Number of readings after which the command ends; 0: unlimited.")
    ] = 0,
) -> None:
    """Print new readings of the store until Ctrl-C; the logger may run at the same time."""
    with open_store(settings) as store, suppress(KeyboardInterrupt):
        after: dict[int, int] = {stream.id: stream.next_number - 1 for stream in query.streams(store, gadget, kind)}
        shown = 0
        while True:
            streams = query.streams(store, gadget, kind)
            with store.reads() as connection:
                pages = [
                    query.numbered(connection, stream.id, after.get(stream.id, 0) + 1, 1 << 62, _PAGE)
                    for stream in streams
                ]
            for reading in sorted(chain(*pages), key=lambda reading: reading.t_utc_ms):
                _print(reading, streams, as_json=as_json)
                after[reading.stream_id] = reading.number
                shown += 1
                if shown == count:
                    return
            time.sleep(_POLL_S)


@command(example="pygnc station export readings --form parquet")
def export(  # noqa: PLR0917 - options of a command
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the files, created if missing.")],
    settings: SettingsOption = None,
    gadget: GadgetOption = "",
    kind: KindOption = "",
    form: Annotated[
        Form, typer.Option("--form", help="CSV in customary units; Parquet, NetCDF in SI units.")
    ] = Form.CSV,
    since: SinceOption = "",
    until: UntilOption = "",
) -> None:
    """Write readings to files, one per device and kind."""
    from pygnc_station.server.corrections import Corrections  # noqa: PLC0415 - other commands do not need it
    from pygnc_station.server.fleet import places  # noqa: PLC0415 - likewise

    span, chosen = Span(time_of(since), time_of(until)), read_settings(settings)
    own = {device.gadget: device.location or chosen.location for device in chosen.device}
    with open_store(settings) as store:
        with store.reads() as connection:
            known, corrections = places(connection), Corrections(connection, chosen.serve)

        def additions(stream: Stream) -> Additions:
            return corrections.additions_to(stream, known.get(stream.gadget_id) or own.get(stream.gadget_id))

        echo_files(export_files(store, query.streams(store, gadget, kind), out, form, span, additions))


@command("import", example="pygnc station import batonopc.db --zone Europe/Dublin")
def import_readings(
    database: Annotated[
        str,
        typer.Argument(
            metavar="DATABASE",
            help="SQLite database of batonopc, dump of its server (.json, .jsonl), or mysql://... of emus-bms.",
        ),
    ],
    settings: SettingsOption = None,
    gadget: Annotated[str, typer.Option("--gadget", "-g", help="Device name for rows without a device name.")] = "",
    zone: Annotated[str, typer.Option(help="Time zone of DATABASE, such as Europe/Dublin; default: local.")] = "",
) -> None:
    """Import readings of batonopc, its server, or emus-bms; a repeated import adds only new readings."""
    if database.startswith(_SERVERS):
        try:
            time_zone = zone_of(zone)
        except ValueError as error:
            raise UsageError(str(error)) from None
        url = expanded(database, settings)
        with open_store(settings) as store:
            _report_import(*import_emus(store, url, time_zone, gadget))
        return
    entry = next(iter(plugins.installed(DATABASES).entries.values()), None)
    if entry is None:
        raise StationError("no installed package imports databases; install pygnc-batonopc")
    with open_store(settings) as store:
        _report_import(*plugins.load(entry)(store, Path(database), zone, gadget))


def _report_import(count: int, skipped: int) -> None:
    typer.echo(f"{count} readings" + (f", {skipped} rows without a time skipped" if skipped else ""))


@command()
def prune(
    settings: SettingsOption = None,
    days: Annotated[float, typer.Option(min=0, help="Minimum age to delete, days; 0: keep_days in [store].")] = 0.0,
) -> None:
    """Delete readings and zips above the age and the sizes of the settings; readings that are not transferred stay."""
    chosen = read_settings(settings)
    keep_days, now_ms = days or chosen.store.keep_days, clock_ms()
    zips = _prune_zips(chosen, now_ms / 1000)
    work = prune_to_statistics if chosen.is_server else prune_store

    def prune_readings() -> int:
        with Store.open(chosen.store_url) as store:
            deleted = 0
            if keep_days:
                before_ms = _age_from_ms(store, now_ms) - int(keep_days * DAY_MS)
                deleted = work(store, before_ms, readers(chosen))
            if chosen.is_server and chosen.store.keep_hours_days:
                keep_days_only(store, _age_from_ms(store, now_ms) - int(chosen.store.keep_hours_days * DAY_MS))
            if chosen.max_bytes:
                max_bytes = min(chosen.max_bytes, bytes_on_disk(store))
                deleted += prune_to_size(store, max_bytes, readers(chosen), work)
                if (used := store.used_bytes()) > max_bytes:
                    problem = f"{used / 1e9:.1f} GB of readings are above max_bytes in [store] or fill the disk"
                    typer.echo(f"{problem}, but are not transferred yet; see `pygnc station status`", err=True)
            return deleted

    def prune_accepted(least_bytes: int) -> int:
        nonlocal zips
        found = free_space(chosen.path(chosen.batches.uploaded), least_bytes)
        zips += found
        return found

    deleted = with_reserve(chosen.store_url, prune_readings, prune_accepted)
    keep_reserve(chosen.store_url)
    typer.echo(f"{deleted} readings deleted")
    typer.echo(f"{zips} zips deleted")


def _age_from_ms(store: Store, now_ms: int) -> int:
    """Return the time from which the age of readings is counted: the present, unless the clock may be set ahead."""
    with store.reads() as connection:
        confirmed_ms = clock.confirmed_ms(connection)
    if not confirmed_ms or now_ms - confirmed_ms < _UNCONFIRMED_MS or clock.is_synchronised():
        return now_ms
    confirmed = iso_time(confirmed_ms)
    typer.echo(f"the clock was last confirmed at {confirmed}; the age of readings is counted from then", err=True)
    return confirmed_ms


@command()
def sync(
    settings: SettingsOption = None,
    *,
    now: NowOption = False,
    dead_letters: Annotated[bool, typer.Option("--dead-letters", help="Send refused readings again.")] = False,
) -> None:
    """Send new readings to the central store of [sync]."""
    chosen = read_settings(settings)
    if not chosen.sync.url:
        raise StationError("no central store: set url in [sync] of the settings file")
    now_ms = clock_ms()

    def send() -> SyncResult | None:
        with Store.open(chosen.store_url) as store:
            if not now and is_delayed(store, SYNC, now_ms):
                return None
            return (
                send_dead_letters(store, chosen.central_url)
                if dead_letters
                else synchronise(store, chosen.central_url, now_ms)
            )

    done = with_reserve(chosen.store_url, send)
    if done is None:
        return
    typer.echo(f"{done.sent} readings sent" + (f", {done.refused} refused" if done.refused else ""))
    if done.problem:
        raise done.problem


def _prune_zips(settings: StationSettings, now_s: float) -> int:
    limits = {settings.path(settings.batches.uploaded): settings.batches.max_uploaded_bytes}
    received = settings.path(settings.serve.folder)
    limits |= {received / name: settings.serve.limits.folder_bytes for name in ("quarantine", "rejected", "accepted")}
    # A batch in the quarantine may still be arriving.
    return sum(prune_files(folder, limit, now_s - _ARRIVING_S) for folder, limit in limits.items() if limit)


def readers(settings: StationSettings) -> list[str]:
    """Return the names of the cursors that protect readings from being pruned."""
    from pygnc_station.sinks.sink import cursors  # noqa: PLC0415 - imports the clients of all outputs

    wanted = {SYNC: settings.sync.url, BATCHES: settings.upload.url}
    return [name for name, url in wanted.items() if url] + cursors(settings)


def _print(reading: StoredReading, streams: list[Stream], *, as_json: bool) -> None:
    (stream,) = (stream for stream in streams if stream.id == reading.stream_id)
    show = json_of if as_json else line_of
    typer.echo(show(stream.gadget_id, stream.layout, reading))


@command()
def cells(
    settings: SettingsOption = None,
    gadget: GadgetOption = "",
    *,
    bars: Annotated[bool, typer.Option(help="Draw a bar for each value.")] = True,
) -> None:
    """Print the values of each cell of an EMUS battery, and its status."""
    with open_store(settings) as store:
        shown = False
        names = sorted({stream.gadget_id for stream in query.streams(store, gadget) if stream.family == "emus"})
        for name in names:
            newest = {stream.layout.kind: (reading, stream) for reading, stream in newest_of_each_kind(store, name)}
            for kind, summary in SUMMARY.items():
                times = [newest[found][0].t_utc_ms for found in newest if _is_of(found, kind)]
                if times:
                    shown = True
                    count = _values(*newest[summary])["cells"] if summary in newest else None
                    t_utc_ms = max(times)
                    data = _response(store, name, kind, t_utc_ms).data(count if isinstance(count, int) else None)
                    _show(name, kind, data, t_utc_ms, bars=bars)
            if _STATUS in newest:
                reading, stream = newest[_STATUS]
                typer.echo(f"{name}  status  {reading.time}")
                for label, text in stream.layout.labels_of(reading.values).items():
                    typer.echo(f"  {label.replace('_', ' ')}: {text}")
        if not shown:
            raise StationError('no cells in the store; set options = { ask = ["BV2", "BT2"] } for the device, and log')


def _response(store: Store, gadget: str, kind: str, t_utc_ms: int) -> CellTable:
    """Return the cells in the response that ends at a time."""
    streams = [stream for stream in query.streams(store, gadget) if _is_of(stream.layout.kind, kind)]
    by_id = {stream.id: stream for stream in streams}
    table = CellTable(kind)
    for reading in query.between(store, streams, Span(t_utc_ms - _RESPONSE_MS, t_utc_ms + 1)):
        table.add(_values(reading, by_id[reading.stream_id]), clear_at_first=True)
    return table


def _is_of(stored: str, kind: str) -> bool:
    """Return True if a stored kind of reading is `kind`, or some of its cells."""
    return stored == kind or stored.startswith(f"{kind} ")


def _values(reading: StoredReading, stream: Stream) -> dict[str, Value | None]:
    pairs = zip(stream.layout.names, reading.values, strict=True)
    return {name: value if isinstance(value, int | float | str) else None for name, value in pairs}


def _show(gadget: str, kind: str, data: CellData, t_utc_ms: int, *, bars: bool) -> None:
    typer.echo(f"{gadget}  {_QUANTITIES[kind]}, {_UNITS[kind]}  {iso_time(t_utc_ms)}")
    lowest, highest = min(data.values.values(), default=0.0), max(data.values.values(), default=0.0)
    for (string, number), value in data.values.items():
        marks = "  lowest" * ((string, number) == data.lowest) + "  highest" * ((string, number) == data.highest)
        share = (value - lowest) / (highest - lowest) if highest > lowest else 0.0
        bar = "  " + "█" * (1 + round(share * 30)) if bars else ""
        typer.echo(f"  string {string} cell {number:3}  {value:7.2f}{bar}{marks}")
    if data.spread is not None:
        typer.echo(f"  spread {data.spread:.2f} {_UNITS[kind]}")
    if not data.is_complete:
        missing = ", ".join(f"{string}/{number}" for string, number in data.missing)
        expected = "an unknown number of" if data.expected is None else data.expected
        typer.echo(f"  incomplete: {len(data.values)} of {expected} cells; missing: {missing or 'unknown'}")

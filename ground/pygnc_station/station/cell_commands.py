"""`pygnc station cells`: a battery, cell by cell, from the store."""

from typing import Annotated, Final

import typer

from pygnc_devices.declaration import Value
from pygnc_devices.emus.cells import CellData, CellTable
from pygnc_devices.emus.sentences import SUMMARY
from pygnc_station.station.application import GadgetOption, SettingsOption, app, told
from pygnc_station.station.errors import StationError
from pygnc_station.station.settings_file import read_settings
from pygnc_station.store import query
from pygnc_station.store.query import Span
from pygnc_station.store.records import StoredReading, Stream, iso_time
from pygnc_station.store.store import Store

_UNITS: Final = {"BV2": "V", "BT2": "°C", "BT4": "°C", "BB2": "%"}
_WHAT: Final = {"BV2": "voltage", "BT2": "module temperature", "BT4": "cell temperature", "BB2": "balancing"}
_STATUS: Final = "ST1"
_ROUND_MS: Final = 30_000
"""Sentences of one answer are not further apart."""


@app.command()
def cells(
    settings: SettingsOption = None,
    gadget: GadgetOption = "",
    *,
    bars: Annotated[bool, typer.Option(help="Draw a bar for each value.")] = True,
) -> None:
    """Show each cell of an EMUS battery, the values asked for by `ask` in the device's options, and its status."""
    with told("cells"), Store.open(read_settings(settings).store_url) as store:
        shown = False
        names = sorted({stream.gadget_id for stream in query.streams(store, gadget) if stream.family == "emus"})
        for name in names:
            for kind, summary in SUMMARY.items():
                newest = _newest(store, name, kind, summary)
                if newest is not None:
                    shown = True
                    _show(name, kind, *newest, bars=bars)
            _show_status(store, name)
        if not shown:
            raise StationError('no cells in the store: set options = { ask = ["BV2", "BT2"] } for the device, and log')


def _newest(store: Store, gadget: str, kind: str, summary: str) -> tuple[CellData, int] | None:
    """Return the newest round of sentences about cells, put together by string and cell, and its time."""
    streams = query.streams(store, gadget, kind)
    last = query.recent(store, streams, 1)
    if not last:
        return None
    span = Span(last[0].t_utc_ms - _ROUND_MS, last[0].t_utc_ms + 1)
    by_id = {stream.id: stream for stream in streams}
    table = CellTable(kind)
    for reading in query.between(store, streams, span):
        table.add(_values(reading, by_id[reading.stream_id]), clear_at_first=True)
    return table.data(_expected(store, gadget, summary)), last[0].t_utc_ms


def _show_status(store: Store, gadget: str) -> None:
    """Show in words what the battery last said of itself."""
    streams = query.streams(store, gadget, _STATUS)
    for reading in query.recent(store, streams, 1):
        (layout,) = (stream.layout for stream in streams if stream.id == reading.stream_id)
        typer.echo(f"{gadget}  status  {reading.time}")
        for name, text in layout.texts_of(reading.values).items():
            typer.echo(f"  {name.replace('_', ' ')}: {text}")


def _expected(store: Store, gadget: str, summary: str) -> int | None:
    """Return how many cells the unit says there are."""
    for stream in query.streams(store, gadget, summary):
        for reading in query.recent(store, [stream], 1):
            count = _values(reading, stream)["cells"]
            return count if isinstance(count, int) else None
    return None


def _values(reading: StoredReading, stream: Stream) -> dict[str, Value | None]:
    pairs = zip(stream.layout.names, reading.values, strict=True)
    return {name: value if isinstance(value, int | float | str) else None for name, value in pairs}


def _show(gadget: str, kind: str, data: CellData, t_utc_ms: int, *, bars: bool) -> None:
    typer.echo(f"{gadget}  {_WHAT[kind]}, {_UNITS[kind]}  {iso_time(t_utc_ms)}")
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
        typer.echo(f"  incomplete: {len(data.values)} of {expected} cells; missing: {missing or 'not known'}")

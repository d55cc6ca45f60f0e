"""Export of readings to files: CSV in customary units, Parquet in SI units, one file per stream."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Final

import pygnc_system
from pygnc_station.store.query import ALWAYS, Span, walk
from pygnc_station.store.readings import Column, PlainValue, Quality, StoredReading, Stream, to_cell
from pygnc_station.store.store import Store
from pygnc_system.files import replacing

_COMMON: Final = ("utc", "quality", "lost_before", "flags")
_MEANINGS: Final = {
    "utc": "time of arrival",
    "t_utc_ms": "the same time, counted from 1970 without leap seconds",
    "quality": "sum of the flags " + ", ".join(f"{flag.value} {flag.name}" for flag in Quality),
    "lost_before": "readings missing before this one, by the count of the device",
    "flags": "flags of the driver, separated by commas",
    "raw": "received bytes; empty if unknown",
}
_UNITS: Final = {"t_utc_ms": "ms", "quality": "1", "lost_before": "1"}
_NOT_PORTABLE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME_LENGTH: Final = 80
_INTEGERS: Final = range(-(2**63), 2**63)
"""Integers that a column of a Parquet file can hold."""
_ROW_GROUP: Final = 50_000
"""Readings in a row group of a Parquet file; the memory of an export grows with it, not with the time span."""


def export(store: Store, among: Sequence[Stream], folder: Path, form: str, span: Span = ALWAYS) -> list[Path]:
    """Write readings to files; each file appears when it is complete.

    Args:
        store: store to read.
        among: streams to export.
        folder: folder of the files, created if missing.
        form: `csv` or `parquet`.
        span: time span of the readings.

    Returns:
        The paths of the files.
    """
    write: Callable[[Store, Stream, Span, Path], None] = {"csv": _write_csv, "parquet": _write_parquet}[form]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for stream, name in zip(among, file_names(among), strict=True):
        path = folder / f"{name}.{form}"
        with replacing(path) as part:
            write(store, stream, span, part)
        paths.append(path)
    return paths


def file_names(among: Sequence[Stream]) -> list[str]:
    """Return a portable name for each stream; they differ even on a file system that ignores case."""
    names: list[str] = []
    for stream in among:
        name = base = f"{portable_name(stream.gadget_id)}_{portable_name(stream.layout.kind)}"
        rank = 2
        while name.lower() in (other.lower() for other in names):
            name, rank = f"{base}_{rank}", rank + 1
        names.append(name)
    return names


def portable_name(name: str) -> str:
    """Return a file name of letters, digits, dots, hyphens and underscores; it begins with a letter or digit."""
    return _NOT_PORTABLE.sub("_", name).strip("._-")[:_MAX_NAME_LENGTH] or "unnamed"


def csv_text(rows: Iterable[Iterable[str]]) -> str:
    """Return the CSV lines of some rows."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def csv_pages(store: Store, among: Sequence[Stream], span: Span) -> Iterator[str]:
    """Yield a CSV file in customary units: its header, then pages of readings of streams with the same layout."""
    columns = among[0].layout.columns
    yield csv_text([[*_COMMON, *(column.title for column in columns), "raw"]])
    for stream in among:
        for page in walk(store, stream, span):
            yield csv_text(_csv_row(reading, columns) for reading in page)


def _csv_row(reading: StoredReading, columns: Sequence[Column]) -> list[str]:
    cells = map(to_cell, reading.row(columns))
    raw = "" if reading.raw is None else reading.raw.hex()
    return [reading.time, str(reading.quality), str(reading.lost_before), reading.flags, *cells, raw]


def _write_csv(store: Store, stream: Stream, span: Span, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(csv_pages(store, [stream], span))


def _write_parquet(store: Store, stream: Stream, span: Span, path: Path) -> None:
    import polars as pl  # noqa: PLC0415 - loggers do not need it
    from polars.io.plugins import register_io_source  # noqa: PLC0415 - likewise

    common = {"t_utc_ms": pl.Int64, "quality": pl.Int32, "lost_before": pl.Int32, "flags": pl.String}
    kinds = _kinds(store, stream, span)
    types = {bool: pl.Boolean, int: pl.Int64, float: pl.Float64, str: pl.String, NoneType: pl.Null}
    values = {name: types[kind] for name, kind in zip(stream.layout.names, kinds, strict=True)}
    utc = pl.from_epoch("t_utc_ms", "ms").dt.cast_time_unit("ms").dt.replace_time_zone("UTC").alias("utc")
    schema = {"utc": pl.Datetime("ms", "UTC")} | common | values | {"raw": pl.Binary}

    def pages(columns: list[str] | None, *_: object) -> Iterator[pl.DataFrame]:
        for page in _snapshot(store, stream, span):
            rows = [
                (each.t_utc_ms, each.quality, each.lost_before, each.flags, *_of_kinds(each.values, kinds), each.raw)
                for each in page
            ]
            frame = pl.DataFrame(rows, schema=common | values | {"raw": pl.Binary}, orient="row")
            yield frame.select(utc, pl.all()).select(columns or pl.all())

    lazy = register_io_source(pages, schema=schema)
    lazy.sink_parquet(path, metadata=_metadata(stream), row_group_size=_ROW_GROUP)


def _snapshot(store: Store, stream: Stream, span: Span) -> Iterator[list[StoredReading]]:
    """Yield the pages of the readings that were stored when the stream was read; later ones may be of other types."""
    for page in walk(store, stream, span):
        yield [reading for reading in page if reading.number < stream.next_number]


def _kinds(store: Store, stream: Stream, span: Span) -> list[type]:
    """Return for each value the type of a column that holds it in all readings; text holds everything."""
    found: list[set[type]] = [set() for _ in stream.layout.columns]
    for page in _snapshot(store, stream, span):
        for reading in page:
            for kinds, value in zip(found, reading.values, strict=False):
                kinds.add(_kind(value))
    return [_common_kind(kinds - {NoneType}) for kinds in found]


def _kind(value: PlainValue) -> type:
    return float if type(value) is int and value not in _INTEGERS else type(value)


def _common_kind(kinds: set[type]) -> type:
    if kinds == {int, float}:
        return float
    kind = kinds.pop() if len(kinds) == 1 else NoneType if not kinds else str
    return kind if kind in {bool, int, float, NoneType} else str


def _of_kinds(values: Sequence[PlainValue], kinds: Sequence[type]) -> Iterator[PlainValue]:
    """Yield the values of a reading in the types of their columns; None for values that it lacks."""
    missing: list[PlainValue] = [None] * (len(kinds) - len(values))
    for value, kind in zip((*values, *missing), kinds, strict=False):
        if value is None or type(value) is kind:
            yield value
        else:
            yield float(value) if kind is float and isinstance(value, int) else to_cell(value)


def _metadata(stream: Stream) -> dict[str, str]:
    """Return the entries by which the Parquet file of a stream explains itself, named as in other tables of PyGNC."""
    described = {name: {"unit": _UNITS.get(name, ""), "frame": "", "meaning": text} for name, text in _MEANINGS.items()}
    for column in stream.layout.columns:
        labels = ", ".join(f"{code} {label}" for code, label in column.words)
        meaning = ": ".join(filter(None, (column.meaning, labels)))
        described[column.name] = {"unit": column.unit, "frame": "", "meaning": meaning}
    return {
        "software": f"PyGNC {pygnc_system.__version__}",
        "table": stream.layout.kind,
        "content": f"readings of {stream.gadget_id}",
        "a_row_for": "every reading",
        "device": stream.gadget_id,
        "family": stream.family,
        "store": stream.origin,
        "layout": stream.layout.digest,
        "time_scale": "utc is UTC by the clock of the computer that received the reading",
        "columns": json.dumps(described),
    }

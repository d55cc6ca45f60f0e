"""Export of readings to files, one per stream: CSV in customary units, Parquet and NetCDF in SI units."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Final

import msgspec

import pygnc_system
from pygnc_station.store import parquet
from pygnc_station.store.query import ALWAYS, Span, walk
from pygnc_station.store.readings import Column, PlainValue, Quality, StoredReading, Stream, to_cell
from pygnc_station.store.store import Store
from pygnc_system.files import replacing


@dataclass(frozen=True, slots=True)
class Additions:
    """Place and corrected values that an export adds to the readings of a stream.

    Attributes:
        place: latitude and longitude in degrees, WGS 84; None if the place is unknown.
        corrected: functions that return a corrected value from the values of a reading and its time in milliseconds
            since 1970 (UTC), by the name of the value.
    """

    place: tuple[float, float] | None = None
    corrected: Mapping[str, Callable[[Sequence[PlainValue], int], float | None]] = field(default_factory=dict)

    def columns(self, stream: Stream) -> list[Column]:
        """Return the columns of the corrected values."""
        return [
            msgspec.structs.replace(
                column,
                name=f"{column.name}_corrected",
                csv_name=f"{column.csv_name or column.name} corrected",
                meaning=", ".join(filter(None, (column.meaning, "corrected for humidity and by the calibration"))),
            )
            for column in stream.layout.columns
            if column.name in self.corrected
        ]

    def values(self, reading: StoredReading) -> list[float | None]:
        """Return the corrected values of a reading, in SI units."""
        values = reading.values if self.corrected else []
        return [correct(values, reading.t_utc_ms) for correct in self.corrected.values()]


NOTHING_MORE: Final = Additions()
_COMMON: Final = ("utc", "quality", "lost_before", "flags")
_MEANINGS: Final = {
    "utc": "time of arrival",
    "t_utc_ms": "the same time, counted from 1970 without leap seconds",
    "quality": "sum of the flags " + ", ".join(f"{flag.value} {flag.name}" for flag in Quality),
    "lost_before": "readings missing before this one, by the count of the device",
    "flags": "flags of the driver, separated by commas",
    "raw": "received bytes; empty if unknown",
}
_PLACE: Final = ("latitude_deg", "longitude_deg")
_UNITS: Final = {"t_utc_ms": "ms", "quality": "1", "lost_before": "1"}
_NOT_PORTABLE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME_LENGTH: Final = 80
_INTEGERS: Final = range(-(2**63), 2**63)
"""Integers that a column of a Parquet file can hold."""
_ROW_GROUP: Final = 50_000
"""Readings in a row group of a Parquet file; the memory of an export grows with it, not with the time span."""
_BEFORE: Final = (
    parquet.Column("utc", parquet.Type.INT64, parquet.UTC_MS),
    parquet.Column("t_utc_ms", parquet.Type.INT64),
    parquet.Column("quality", parquet.Type.INT32),
    parquet.Column("lost_before", parquet.Type.INT32),
    parquet.Column("flags", parquet.Type.BYTE_ARRAY, parquet.TEXT),
)
"""First columns of a Parquet file."""
_TYPES: Final[dict[type, tuple[parquet.Type, parquet.Logical | None]]] = {
    bool: (parquet.Type.BOOLEAN, None),
    int: (parquet.Type.INT64, None),
    float: (parquet.Type.DOUBLE, None),
    str: (parquet.Type.BYTE_ARRAY, parquet.TEXT),
    NoneType: (parquet.Type.DOUBLE, None),
}
"""Types of the columns of values; one that no reading has is a number."""


def export(  # noqa: PLR0917 - what to export, where, how
    store: Store,
    among: Sequence[Stream],
    folder: Path,
    form: str,
    span: Span = ALWAYS,
    additions: Callable[[Stream], Additions] = lambda _: NOTHING_MORE,
) -> list[Path]:
    """Write readings to files; each file appears when it is complete.

    Args:
        store: store to read.
        among: streams to export.
        folder: folder of the files, created if missing.
        form: `csv`, `parquet` or `netcdf`.
        span: time span of the readings.
        additions: function that returns the place and the corrections of a stream.

    Returns:
        The paths of the files.
    """
    write, suffix = _WRITERS[form]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for stream, name in zip(among, file_names(among), strict=True):
        path = folder / f"{name}.{suffix}"
        with replacing(path) as part:
            write(store, stream, span, part, additions(stream))
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


def csv_pages(store: Store, among: Sequence[Stream], span: Span, additions: Additions = NOTHING_MORE) -> Iterator[str]:
    """Yield a CSV file in customary units: its header, then pages of readings of streams with the same layout.

    Corrected values and the place follow after the columns that every file has.
    """
    columns = among[0].layout.columns
    place = [] if additions.place is None else [str(angle_deg) for angle_deg in additions.place]
    corrected = additions.columns(among[0])
    titles = [column.title for column in (*columns, *corrected)]
    titles.insert(len(columns), "raw")
    yield csv_text([[*_COMMON, *titles, *_PLACE[: len(place)]]])
    for stream in among:
        for page in walk(store, stream, span):
            yield csv_text(
                [*_csv_row(reading, columns), *_corrected_cells(reading, corrected, additions), *place]
                for reading in page
            )


def _csv_row(reading: StoredReading, columns: Sequence[Column]) -> list[str]:
    cells = map(to_cell, reading.row(columns))
    raw = "" if reading.raw is None else reading.raw.hex()
    return [reading.time, str(reading.quality), str(reading.lost_before), reading.flags, *cells, raw]


def _corrected_cells(reading: StoredReading, columns: Sequence[Column], additions: Additions) -> Iterator[str]:
    for column, value in zip(columns, additions.values(reading), strict=True):
        yield "" if value is None else to_cell(value * column.csv_per_unit)


def _write_csv(store: Store, stream: Stream, span: Span, path: Path, additions: Additions) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(csv_pages(store, [stream], span, additions))


def _write_netcdf(store: Store, stream: Stream, span: Span, path: Path, additions: Additions) -> None:
    from pygnc_station.store.netcdf import NetCdfFile  # noqa: PLC0415 - imports a large library of an extra

    kinds = _kinds(store, stream, span)
    corrected = additions.columns(stream)
    with closing(NetCdfFile(path, stream, kinds, additions.place, corrected)) as file:
        for page in _snapshot(store, stream, span):
            file.append(page, ([*_of_kinds(each.values, kinds), *additions.values(each)] for each in page))


def _write_parquet(store: Store, stream: Stream, span: Span, path: Path, additions: Additions) -> None:
    kinds = _kinds(store, stream, span)
    corrected = additions.columns(stream)
    named = zip(stream.layout.names, kinds, strict=True)
    columns = [
        *_BEFORE,
        *(parquet.Column(name, *_TYPES[kind]) for name, kind in named),
        parquet.Column("raw", parquet.Type.BYTE_ARRAY),
        *(parquet.Column(column.name, parquet.Type.DOUBLE) for column in corrected),
    ]
    metadata = _metadata(stream, corrected, additions.place)
    with closing(parquet.ParquetFile(path, columns, metadata, metadata["software"], _ROW_GROUP)) as file:
        for page in _snapshot(store, stream, span):
            file.append([
                (
                    each.t_utc_ms,
                    each.t_utc_ms,
                    each.quality,
                    each.lost_before,
                    each.flags,
                    *_of_kinds(each.values, kinds),
                    each.raw,
                    *additions.values(each),
                )
                for each in page
            ])  # fmt: skip


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


def _metadata(stream: Stream, corrected: Sequence[Column], place: tuple[float, float] | None) -> dict[str, str]:
    """Return the entries by which the Parquet file of a stream explains itself, named as in other tables of PyGNC."""
    described = {name: {"unit": _UNITS.get(name, ""), "frame": "", "meaning": text} for name, text in _MEANINGS.items()}
    for column in (*stream.layout.columns, *corrected):
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
    } | ({} if place is None else dict(zip(_PLACE, map(str, place), strict=True)))


_WRITERS: Final[dict[str, tuple[Callable[[Store, Stream, Span, Path, Additions], None], str]]] = {
    "csv": (_write_csv, "csv"),
    "parquet": (_write_parquet, "parquet"),
    "netcdf": (_write_netcdf, "nc"),
}
"""Writer and suffix of the files of each format."""

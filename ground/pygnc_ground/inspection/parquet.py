"""Viewer of Parquet tables: their metadata, and what their columns mean."""

import json
from collections.abc import Iterator, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any, Final

from pygnc_ground.inspection.sections import Entry, Facts, Listing, Note, Section, Value, Viewer

_MAGIC: Final = b"PAR1"
_ROWS_A_READ: Final = 256
_ARROW_SCHEMA: Final = "ARROW:schema"
_LISTED: Final = {"inputs": ("file", "sha256"), "settings": ("setting", "value"), "frames": ("frame", "meaning")}
"""Entries of the metadata that are JSON objects, with the headings of their keys and values."""


def _recognises(head: bytes) -> bool:
    return head.startswith(_MAGIC)


def _summary(path: Path) -> Iterator[Section]:
    """Yield the metadata of the file, then its columns with their types and, if it has them, units and meanings."""
    import polars as pl  # noqa: PLC0415 - takes a quarter of a second

    try:
        metadata = pl.read_parquet_metadata(path)
        schema = pl.read_parquet_schema(path)
        rows = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        yield Note(f"the table cannot be read: {_first_line(error)}; copy it again", fault=True)
        return
    listed = {name: _object(metadata.get(name)) for name in (*_LISTED, "columns")}
    single = {name: text for name, text in metadata.items() if name != _ARROW_SCHEMA and not listed.get(name)}
    yield Facts("table", {**single, "rows": rows, "columns": len(schema)})
    for name, headings in _LISTED.items():
        if listed[name]:
            yield Listing(name, headings, [(key, _text(value)) for key, value in listed[name].items()])
    details = ("unit", "frame", "meaning") if listed["columns"] else ()
    rows_of_columns: list[tuple[Value, ...]] = []
    for name, kind in schema.items():
        about = listed["columns"].get(name)
        described = about if isinstance(about, dict) else {}
        rows_of_columns.append((name, str(kind), *(_text(described.get(key, "")) for key in details)))
    yield Listing("columns", ("column", "type", *details), rows_of_columns)


def _object(text: str | None) -> dict[str, Any]:
    """Return a JSON object, or an empty one if the text is something else."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _entries(path: Path) -> Iterator[Sequence[Entry]]:
    """Yield each row."""
    import polars as pl  # noqa: PLC0415 - see above

    try:
        table, begin = pl.scan_parquet(path, glob=False), 0
        while rows := table.slice(begin, _ROWS_A_READ).collect().rows(named=True):
            for number, row in enumerate(rows, begin):
                yield [Entry(f"row {number}", {name: _value(value) for name, value in row.items()})]
            begin += len(rows)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return  # the summary names the fault


def _value(value: Any) -> Value:  # noqa: ANN401 - of any type of Polars
    if isinstance(value, date | time):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str | bytes) else str(value)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


PARQUET_TABLES: Final = Viewer("Parquet table", _recognises, _summary, _entries)
"""Viewer of tables of replays, scenarios, campaigns and station exports."""

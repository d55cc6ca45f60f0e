"""Batches as batonopc makes them: a CSV of its whole table, often without names, and a YAML that holds its key."""

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import tzinfo
from itertools import chain, islice
from typing import Any, Final

from sqlalchemy import Connection

from pygnc_station.server.ingest import BadBatchError
from pygnc_station.store.batonopc import FAMILY, KEYS, RAW, TABLES, Table, group_rows, origin_of
from pygnc_station.store.layout import Layout
from pygnc_station.store.readings import Stream
from pygnc_station.store.store import make_stream, put

LONGEST_NAME: Final = 120
_CSV: Final = ".csv"
_YAML: Final = ".yaml"
_LONGEST_YAML: Final = 65_536
_LONGEST_LINE: Final = 100_000
_MOST_KINDS: Final = 100
_PAGE: Final = 2000
_TEXTS: Final = frozenset({"timestamp", "gadget_id", RAW})
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")


def stem_of(archive: zipfile.ZipFile) -> str:
    """Return what batonopc calls a batch of its own, "" if it is another's."""
    names = sorted(archive.namelist())
    stem = names[0].removesuffix(_CSV) if names else ""
    return stem if names == [stem + _CSV, stem + _YAML] else ""


def take(connection: Connection, archive: zipfile.ZipFile, stem: str, zone: tzinfo | None) -> tuple[int, int]:
    """Store the readings of a batch within a transaction, without those that earlier batches or an import brought.

    Numbers rise: what comes before the next one of its stream was here already, and stays deleted if it was pruned.

    Returns:
        How many readings are in it, and how many rows have no time that can be read.

    Raises:
        BadBatchError: it is damaged, or no table of batonopc's.
        csv.Error: likewise.
    """
    gadget_id = _gadget_of(archive, stem + _YAML)
    readings = untimed = 0
    streams: dict[tuple[str, Layout], Stream] = {}
    with _opened(archive, stem + _CSV) as rows:
        header, first = next(rows, None), next(rows, None)
        if header is None:
            raise BadBatchError(f"{stem}{_CSV} is empty")
        if first is None:
            return 0, 0
        table, origin = Table(_names(header, len(first)), zone, gadget_id), origin_of(first)
        values = (_values_of(table.names, row, line) for line, row in enumerate(chain([first], rows), 2))
        while page := list(islice(values, _PAGE)):
            done = group_rows(table, page)
            untimed += done.untimed
            for key, numbered in done.readings.items():
                if key not in streams:
                    streams[key] = _stream(connection, *key, origin)
                    if len(streams) > _MOST_KINDS:
                        raise BadBatchError(f"more than {_MOST_KINDS} kinds of readings")
                stream = streams[key]
                put(connection, stream.id, [entry for entry in numbered if entry[0] >= stream.next_number])
                readings += len(numbered)
    return readings, untimed


def without_key(archive: zipfile.ZipFile, stem: str, target: zipfile.ZipFile) -> None:
    """Copy a batch without its YAML, in which the station's key is."""
    with archive.open(stem + _CSV) as source, target.open(stem + _CSV, "w", force_zip64=True) as copy:
        while piece := source.read(1 << 18):
            copy.write(piece)


def _gadget_of(archive: zipfile.ZipFile, name: str) -> str:
    """Return the device that the YAML names, "" if none; nothing else of it is looked at, or told."""
    import yaml  # noqa: PLC0415 - most servers do without it

    if archive.getinfo(name).file_size > _LONGEST_YAML:
        raise BadBatchError(f"{name} has {archive.getinfo(name).file_size} bytes, more than {_LONGEST_YAML}")
    octets = archive.read(name)
    try:
        # Aliases can make much out of little.
        has_aliases = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(octets, yaml.SafeLoader))
        found = None if has_aliases else yaml.safe_load(octets)
    except (yaml.YAMLError, ValueError, RecursionError):  # their texts may quote the key
        found = None
    if not isinstance(found, dict):
        raise BadBatchError(f"{name} holds no keys with values")
    gadget = found.get("gadget_id")
    return "" if gadget is None else str(gadget)


@contextmanager
def _opened(archive: zipfile.ZipFile, name: str) -> Iterator[Iterator[list[str]]]:
    with archive.open(name) as octets, io.TextIOWrapper(octets, encoding="utf-8", newline="") as text:
        yield csv.reader(_lines(text, name), strict=True)


def _lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    """Yield whole lines, none without end."""
    number = 0
    while line := text.readline(_LONGEST_LINE):
        number += 1
        if not line.endswith(("\n", "\r")):
            why = f"is longer than {_LONGEST_LINE} characters" if len(line) == _LONGEST_LINE else "is cut off"
            raise BadBatchError(f"{name}: line {number} {why}")
        yield line


def _names(header: list[str], width: int) -> tuple[str, ...]:
    """Return the names of the columns: those that are given, or those of batonopc's table of that many."""
    if not any(header):
        if width not in TABLES:
            raise BadBatchError(f"{width} columns without names: no table of batonopc's has as many")
        return TABLES[width]
    if len(set(header)) != len(header) or not {"rdg_no", "timestamp"} <= set(header):
        raise BadBatchError(f"its columns must have different names, {' and '.join(KEYS[:2])} among them")
    if any(len(name) > LONGEST_NAME or not name.isprintable() for name in header):
        raise BadBatchError("a column has an impossible name")
    return tuple(header)


def _values_of(names: tuple[str, ...], row: list[str], line: int) -> list[Any]:
    """Return the cells of a row as SQLite gave them to batonopc."""
    if len(row) != len(names):
        raise BadBatchError(f"row {line}: {len(row)} cells, not {len(names)}")
    if sum(map(len, row)) > _LONGEST_LINE:
        raise BadBatchError(f"row {line} is longer than {_LONGEST_LINE} characters")
    values = [cell or None if name in _TEXTS else _value(cell) for name, cell in zip(names, row, strict=True)]
    number = values[names.index("rdg_no")]
    if not isinstance(number, int) or number < 1:
        raise BadBatchError(f"row {line}: rdg_no is no number of a reading")
    return values


def _value(cell: str) -> int | float | str | None:
    if _WHOLE.fullmatch(cell):
        return int(cell)
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell


def _stream(connection: Connection, gadget_id: str, layout: Layout, origin: str) -> Stream:
    if not 0 < len(gadget_id) <= LONGEST_NAME or not gadget_id.isprintable():
        raise BadBatchError("its device has no name, or an impossible one")
    return make_stream(connection, gadget_id, layout, family=FAMILY, origin=origin)
